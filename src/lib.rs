//! carepost: a Direct Secure Messaging gateway.
//!
//! A message walks one road in and one road out; every folder is a station on it.
//! Read [`inbound`] first, then [`outbound`]. The library is for our binary, tests, fuzz
//! targets and benches; it promises no stable API.
#![forbid(unsafe_code)]
#![deny(unused_must_use)]

// The two journeys. Control flow only.
pub mod inbound;
pub mod outbound;

// The road in, in travel order.
pub mod deliver;
pub mod envelope;
pub mod listener;
pub mod notify;
pub mod open;
pub mod route;
pub mod spool;
pub mod trust;

// The road out.
pub mod discover;
pub mod draft;
pub mod queue;
pub mod relay;
pub mod seal;

// What the operator keeps, and touches.
pub mod admin;
pub mod bundles;
pub mod certs;
pub mod cli;
pub mod config;
pub mod directory;
pub mod serve;
pub mod smime;

// Underfoot.
pub mod cms;
pub mod crypto;
pub mod fetch;
pub mod journal;
pub mod limits;
pub mod mime;
pub mod store;
pub mod world;

// A world in a box: `carepost demo`.
#[cfg(feature = "demo")]
pub mod demo;

// Targets for `scripts/fuzz`; not part of what is built for use.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
