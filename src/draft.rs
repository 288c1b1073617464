//! Clear text bound for elsewhere: may wait, cannot be sent. Only `seal` makes something of it that can.

use crate::envelope::{Address, MessageId, TrackingId};
use crate::store::Body;

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DraftKind {
    /// Submitted by a clinic.
    Message,
    /// A disposition notification of ours.
    Mdn,
}

impl DraftKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Mdn => "mdn",
        }
    }
}

/// A complete RFC 5322 message in canonical form (CRLF), required headers in place, no Bcc.
#[derive(Clone, Debug)]
pub struct Draft {
    pub id: TrackingId,
    pub kind: DraftKind,
    pub from: Address,
    /// Everyone that this draft is for, all domains together.
    pub to: Vec<Address>,
    pub message_id: MessageId,
    /// Asked for delivery notification (B-001).
    pub asked: bool,
    pub body: Body,
}
