//! Sign, then encrypt. In: a [`Draft`], recipients whose certificates were judged, our identity. Out: a [`Sealed`], the only
//! thing that `relay` takes. Pure but for the scratch blob of a large body.

use std::sync::Arc;

use crate::certs::Identity;
use crate::crypto::{ContentCipher, DigestAlgorithm, KeyTransport};
use crate::draft::Draft;
use crate::envelope::{Address, TrackingId};
use crate::journal::Reason;
use crate::store::{Bodies, Body};
use crate::trust::TrustedRecipient;
use crate::world::World;

/// How to seal for a peer. The default is what every known peer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suite {
    pub cipher: ContentCipher,
    pub transport: KeyTransport,
    pub digest: DigestAlgorithm,
}

impl Default for Suite {
    /// AES-256-CBC, RSAES-PKCS1-v1_5, SHA-256.
    fn default() -> Self {
        Self {
            cipher: ContentCipher::Aes256Cbc,
            transport: KeyTransport::Pkcs1,
            digest: DigestAlgorithm::Sha256,
        }
    }
}

/// Signed, encrypted, ready for the wire: outer headers and base64, lines of at most 76 characters, CRLF, ending in CRLF.
#[must_use]
#[derive(Debug)]
pub struct Sealed {
    draft: TrackingId,
    from: Address,
    recipients: Vec<Address>,
    suite: Suite,
    body: Body,
}

impl Sealed {
    pub fn draft(&self) -> TrackingId {
        self.draft
    }

    /// MAIL FROM (G-052: the recipient's own address for MDNs too).
    pub fn from(&self) -> &Address {
        &self.from
    }

    pub fn recipients(&self) -> &[Address] {
        &self.recipients
    }

    pub fn suite(&self) -> Suite {
        self.suite
    }

    pub fn body(&self) -> &Body {
        &self.body
    }
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// A key, certificate or digest that cannot be used.
    #[error("sealing failed: {detail}")]
    Unfit { reason: Reason, detail: String },
    /// Reading or writing a body.
    #[error("sealing failed: {0}")]
    Body(String),
}

/// Seals `draft` for `to` (all must be among the draft's recipients), signed by `identity`. Runs on a CPU thread.
///
/// # Errors
/// [`SealError`].
pub fn seal(
    _draft: &Draft,
    _to: &[TrustedRecipient],
    _identity: &Arc<Identity>,
    _suite: Suite,
    _bodies: &Bodies,
    _world: &World,
) -> Result<Sealed, SealError> {
    todo!()
}
