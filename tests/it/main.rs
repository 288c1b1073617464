//! Integration tests: one binary, a module each. The stories open with their promise, use the real binary and real sockets on
//! loopback, and measure no time.

mod dns;
mod linter;
mod partner;
mod web;
mod world;

mod bundles;
mod cli;
mod edges;
mod exchange;
mod failures;
mod foreign;
mod mailin_faults;
mod revocation;
mod roads;
mod submission;
mod tidy;
mod trust_check;
mod verdicts;
