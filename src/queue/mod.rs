//! The durable queue: jobs, leases, when to try again. In: work to do. Out: a [`Lease`] on one piece of it,
//! which ends one way: settled. Never decides what a failed attempt means: that is its driver's.

mod lease;
pub mod operator;
mod schedule;
pub mod sql;

#[cfg(test)]
mod tests;

use crate::envelope::TrackingId;
use crate::world::Timestamp;

pub use lease::Lease;
pub(crate) use lease::Returns;
pub use schedule::next_attempt;

/// What kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Open and judge an inbound message.
    Open,
    /// Hand one granted recipient's copy, or a notice, to the edge.
    Deliver,
    /// Discover, judge, seal and relay to one domain.
    Relay,
}

impl JobKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Deliver => "deliver",
            Self::Relay => "relay",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Open, Self::Deliver, Self::Relay]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}

/// One row of `job`.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: String,
    pub tenant: String,
    pub kind: JobKind,
    pub message: TrackingId,
    /// Deliver: the recipient's key.
    pub recipient_key: String,
    /// Relay: the recipients' domain; deliver: the route as written.
    pub destination: String,
    pub expires_at: Timestamp,
    pub created_at: Timestamp,
}
