//! Content out of reach until someone shows a [`Grant`] for this very message.

use crate::envelope::TrackingId;
use crate::trust::Grant;

/// Holds `T`. No Deref, no getter but [`Withheld::reveal`].
pub struct Withheld<T> {
    message: TrackingId,
    digest: [u8; 32],
    inner: T,
}

impl<T> Withheld<T> {
    pub(super) fn new(message: TrackingId, digest: [u8; 32], inner: T) -> Self {
        Self {
            message,
            digest,
            inner,
        }
    }

    /// The content, if the grant is for this message and for these very octets.
    pub fn reveal(&self, grant: &Grant) -> Option<&T> {
        (grant.message() == self.message && grant.digest() == self.digest).then_some(&self.inner)
    }
}

impl<T> std::fmt::Debug for Withheld<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Withheld({})", self.message)
    }
}
