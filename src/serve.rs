//! One process: opens the store, loads the snapshots, binds the ports, runs the roads, until it is told to stop.

use tokio::sync::watch;

use crate::config::Config;

/// Runs the node until `stop` says so.
///
/// # Errors
/// Two lines: what happened, and what to do.
pub async fn run(_config: Config, _stop: watch::Receiver<bool>) -> Result<(), String> {
    Err("the roads are not joined yet\n  do: wait for the integrator".to_owned())
}
