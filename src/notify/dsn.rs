//! Notices to our own senders: failure in plain words (RFC 3464, B-033), and a peer's good news passed on (B-019).

use crate::envelope::{Address, MessageId};
use crate::journal::Reason;
use crate::store::{Bodies, Body, BodyError};
use crate::world::World;

/// A clear message for a local edge; it never leaves the trust boundary.
#[derive(Clone, Debug)]
pub struct Notice {
    pub to: Address,
    pub message_id: MessageId,
    pub body: Body,
}

/// Says that `message_id` did not reach `recipient`, why, and what to do. Carries `X-Original-Message-ID` (ETT MT 1-12), one
/// RFC 3463 status (B-034), Date, and `Auto-Submitted: auto-replied`. Null return path.
///
/// # Errors
/// [`BodyError`].
#[expect(
    clippy::too_many_arguments,
    reason = "each is a different fact of the report"
)]
pub fn failure_notice(
    _sender: &Address,
    _recipient: &Address,
    _message_id: &MessageId,
    _reason: Reason,
    _detail: &str,
    _host: &str,
    _bodies: &Bodies,
    _world: &World,
) -> Result<Notice, BodyError> {
    todo!()
}

/// Says that `recipient` got it: an MDN `dispatched` with `Original-Message-ID` (ETT MT 21, 29), in our words, for the sender's edge.
///
/// # Errors
/// [`BodyError`].
pub fn forwarded_mdn(
    _sender: &Address,
    _recipient: &Address,
    _message_id: &MessageId,
    _host: &str,
    _bodies: &Bodies,
    _world: &World,
) -> Result<Notice, BodyError> {
    todo!()
}
