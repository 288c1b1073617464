//! One process: opens the store, loads the snapshots, binds the ports, runs the roads, until it is told to stop.
