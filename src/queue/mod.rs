//! The durable queue: jobs, leases, when to try again. In: work to do. Out: a [`Lease`] on one piece of it, which ends one way: settled.

mod schedule;
pub mod sql;

use crate::envelope::TrackingId;
use crate::world::Timestamp;

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

/// The right to work on one job until it is settled or the lease runs out. Not Clone.
#[must_use = "a lease that is dropped is tried again only after it runs out"]
#[derive(Debug)]
pub struct Lease {
    job: Job,
    token: String,
    /// This attempt included; committed before the work begins.
    attempt: u32,
}

impl Lease {
    pub fn job(&self) -> &Job {
        &self.job
    }

    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    pub fn token(&self) -> &str {
        &self.token
    }
}
