//! Integration tests: one binary, a module each.

mod mailin_faults;
