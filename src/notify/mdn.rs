//! Disposition notifications (RFC 8098; Delivery Notification IG): compose.

use crate::deliver::Delivered;
use crate::draft::Draft;
use crate::envelope::{Address, MessageId};
use crate::journal::Reason;
use crate::store::{Bodies, BodyError};
use crate::trust::Grant;
use crate::world::World;

/// The message that is reported on.
#[derive(Clone, Debug)]
pub struct About {
    /// Who sent it: who the report goes to.
    pub sender: Address,
    pub message_id: MessageId,
    /// Whether delivery notification was validly asked for (B-004, B-009).
    pub asked: bool,
    /// Reporting-UA: our host name; letters, digits, dots, hyphens (ETT DTS 457).
    pub reporter: String,
}

/// `processed`: trusted. From the recipient's address, to the sender.
///
/// # Errors
/// [`BodyError`].
pub fn processed(
    _grant: &Grant,
    _about: &About,
    _bodies: &Bodies,
    _world: &World,
) -> Result<Draft, BodyError> {
    todo!()
}

/// `dispatched`: at its final destination (B-006); carries X-DIRECT-FINAL-DESTINATION-DELIVERY only if asked (B-007, B-009).
///
/// # Errors
/// [`BodyError`].
pub fn dispatched(
    _delivered: &Delivered,
    _about: &About,
    _bodies: &Bodies,
    _world: &World,
) -> Result<Draft, BodyError> {
    todo!()
}

/// `failed` (B-010, B-011): trusted, but it cannot be delivered. `why` becomes a Failure field of plain words (ETT DTS 463).
///
/// # Errors
/// [`BodyError`].
pub fn failed(
    _grant: &Grant,
    _about: &About,
    _why: Reason,
    _bodies: &Bodies,
    _world: &World,
) -> Result<Draft, BodyError> {
    todo!()
}
