//! Sign, then encrypt. In: a [`Draft`], recipients whose certificates were judged, our identity.
//! Out: a [`Sealed`], the only thing that `relay` takes. Pure but for the scratch blob of a large body.

mod encrypt;
mod entity;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::certs::Identity;
use crate::crypto::{ContentCipher, DigestAlgorithm, KeyTransport};
use crate::draft::Draft;
use crate::envelope::{Address, TrackingId};
use crate::journal::Reason;
use crate::mime::{self, MimeError};
use crate::store::{Bodies, Body, BodyError};
use crate::trust::{Certificate, TrustedRecipient};
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

/// Signed, encrypted, ready for the wire: outer headers and base64, lines of at most 76 characters, CRLF,
/// ending in CRLF.
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

impl SealError {
    fn unfit(reason: Reason, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::Unfit { reason, detail }
    }
}

impl From<BodyError> for SealError {
    fn from(error: BodyError) -> Self {
        Self::Body(error.to_string())
    }
}

impl From<std::io::Error> for SealError {
    fn from(error: std::io::Error) -> Self {
        MimeError::from(error).into()
    }
}

impl From<MimeError> for SealError {
    fn from(error: MimeError) -> Self {
        let reason = match error {
            MimeError::Source(what) => return Self::Body(what),
            MimeError::OverLimit(_) => Reason::OverLimit,
            MimeError::Missing(_) | MimeError::Doubled(_) => Reason::BadHeaders,
            MimeError::Malformed(_) | MimeError::Unfit(_) => Reason::Malformed,
        };
        Self::unfit(reason, error.to_string())
    }
}

/// Seals `draft` for `to` (all must be among the draft's recipients), signed by `identity`. Runs on a CPU
/// thread.
///
/// # Errors
/// [`SealError`].
pub fn seal(
    draft: &Draft,
    to: &[TrustedRecipient],
    identity: &Arc<Identity>,
    suite: Suite,
    bodies: &Bodies,
    world: &World,
) -> Result<Sealed, SealError> {
    let recipients: Vec<Address> = to.iter().map(|one| one.address().clone()).collect();
    if let Some(stranger) = recipients
        .iter()
        .find(|address| !draft.to.contains(address))
    {
        let detail = format!("{stranger} is not among the draft's recipients");
        return Err(SealError::unfit(Reason::EnvelopeRecipient, detail));
    }
    let certificates: Vec<&Certificate> = to.iter().map(|one| &**one.certificate()).collect();
    let clear = mime::seven_bit(&draft.body, bodies)?;
    let message = entity::Message::read(&clear)?;
    let signed = entity::sign(message, identity, suite.digest, world)?;
    let body = encrypt::encrypt(&signed, &certificates, suite, bodies, world)?;
    Ok(Sealed {
        draft: draft.id,
        from: draft.from.clone(),
        recipients,
        suite,
        body,
    })
}
