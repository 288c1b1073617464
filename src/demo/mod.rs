//! A world in a box: two gateways, DNS, a clinic at each end, and a self-check.
