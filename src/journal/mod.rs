//! What happened to a message: one closed enum of events, from which audit row, trace,
//! metric and timeline are made.
//! In: an [`Entry`], recorded in the transaction that makes it true. Out: a row, a log line, a broadcast.
//! Never holds a subject, a body, a file name or a password.

mod event;
mod reason;
mod row;
mod seal;
pub mod sql;
mod state;

pub use event::{Actor, Entry, Event};
pub use reason::Reason;
pub use row::{Row, VERSION};
pub use seal::{FIRST_SEAL, seal};
pub use state::{Answer, Fault, LegState};
