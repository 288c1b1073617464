//! Parse arguments, run one verb, exit code.

fn main() {}
