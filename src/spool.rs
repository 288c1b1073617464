//! Write it down durably, then (and only then) 250. Transaction T1.
//! In: an envelope and a body. Out: a [`Receipt`] for the listener, an [`Accepted`] for the road in
//! (relay) or the road out (submission).

use crate::envelope::{Envelope, TrackingId};
use crate::store::{Body, StoreError};

/// Proof that the message is on disk. The listener's 250 needs one.
#[must_use = "the sender has not been answered yet"]
#[derive(Debug)]
pub struct Receipt {
    message: TrackingId,
}

impl Receipt {
    /// Of which message.
    pub fn message(&self) -> TrackingId {
        self.message
    }
}

#[cfg(test)]
impl Receipt {
    /// For the listener's tests, which have no spool.
    pub(crate) fn for_tests(message: TrackingId) -> Self {
        Self { message }
    }
}

/// A message we have promised to answer for.
#[must_use]
#[derive(Debug)]
pub struct Accepted {
    pub(crate) envelope: Envelope,
    pub(crate) tenant: String,
    pub(crate) body: Body,
    /// How often opening it was tried, this time included.
    pub(crate) attempt: u32,
}

impl Accepted {
    /// What SMTP said.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The octets as they came, before any is opened.
    pub fn body(&self) -> &Body {
        &self.body
    }
}

/// Why it is not on disk.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}
