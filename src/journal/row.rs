//! One row of the journal: what is stored, shown and sealed.

use serde::Serialize;

use crate::world::Timestamp;

use super::Entry;

/// The shape of `facts`; goes up when a fact changes its meaning.
pub const VERSION: i64 = 1;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Which node wrote it.
    pub node: String,
    /// One more than the row before it on that node.
    pub seq: i64,
    /// [`VERSION`] at the time.
    pub version: i64,
    /// When its transaction began.
    #[serde(serialize_with = "rfc3339")]
    pub at: Timestamp,
    pub tenant: String,
    pub actor: String,
    /// Our id of the message.
    pub message: Option<String>,
    /// The recipient's key.
    pub recipient: Option<String>,
    /// The event's name.
    pub event: String,
    /// A JSON object.
    pub facts: String,
}

impl Row {
    /// The row that an entry becomes.
    pub fn of(entry: &Entry, node: &str, seq: i64, at: Timestamp) -> Self {
        let (event, facts) = entry.event.row();
        Self {
            node: node.to_owned(),
            seq,
            version: VERSION,
            at,
            tenant: entry.tenant.clone(),
            actor: entry.actor.word().to_owned(),
            message: entry.message.map(|message| message.to_string()),
            recipient: entry.recipient.as_ref().map(|r| r.key().to_owned()),
            event,
            facts,
        }
    }
}

fn rfc3339<S: serde::Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.rfc3339())
}
