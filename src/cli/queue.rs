//! `carepost queue list|retry|hold|release`.

use clap::Subcommand;

use crate::admin::{Failure, QueueItem, Request};

use super::Desk;
use super::table::{field, table};

#[derive(Debug, Subcommand)]
pub enum Queue {
    /// Work that waits, the next due first
    List,
    /// Try now
    Retry {
        /// A job's id, or a message's tracking id for all its jobs
        id: String,
    },
    /// Stop working on it until it is released
    Hold { id: String },
    /// Go on with what was held
    Release { id: String },
}

impl Queue {
    pub(super) async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let (request, done) = match self {
            Self::List => return list(desk).await,
            Self::Retry { id } => (Request::QueueRetry(QueueItem { id }), "due now"),
            Self::Hold { id } => (Request::QueueHold(QueueItem { id }), "held"),
            Self::Release { id } => (Request::QueueRelease(QueueItem { id }), "released"),
        };
        let value = desk.ask(request).await?;
        desk.show(&value, |value| {
            format!("{done}: {}\n", field(value, "jobs"))
        });
        Ok(())
    }
}

async fn list(desk: &Desk) -> Result<(), Failure> {
    let value = desk.ask(Request::QueueList).await?;
    let columns = [
        ("JOB", "id"),
        ("KIND", "kind"),
        ("MESSAGE", "message"),
        ("RECIPIENT", "recipient"),
        ("DESTINATION", "destination"),
        ("STATE", "state"),
        ("ATTEMPT", "attempt"),
        ("DUE", "due"),
        ("UNTIL", "expires"),
        ("LAST ERROR", "last_error"),
    ];
    desk.show(&value, |rows| table(rows, &columns, "nothing waits"));
    Ok(())
}
