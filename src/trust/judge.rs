//! The verdicts: per recipient, in both directions.

use std::sync::Arc;

use crate::envelope::{Address, TrackingId};
use crate::journal::Reason;
use crate::open::Opened;
use crate::world::Timestamp;

use super::{AnchorId, Anchors, Certificate, Path};

/// Proof that this recipient accepts this message. Made by [`judge`] alone; comes back from a committed verdict
/// through [`Grant::restore`]. No Clone, no Default, no Deserialize.
#[must_use]
#[derive(Debug)]
pub struct Grant {
    message: TrackingId,
    recipient: Address,
    anchor: AnchorId,
    signer: [u8; 32],
    digest: [u8; 32],
    path: Vec<String>,
}

/// A committed verdict's row. Only this station's store code builds one.
#[derive(Debug)]
pub struct GrantRow {
    pub(in crate::trust) message: TrackingId,
    pub(in crate::trust) recipient: Address,
    pub(in crate::trust) anchor: AnchorId,
    pub(in crate::trust) signer: [u8; 32],
    pub(in crate::trust) digest: [u8; 32],
}

impl Grant {
    /// The one way back from the store.
    pub fn restore(row: GrantRow) -> Self {
        let GrantRow {
            message,
            recipient,
            anchor,
            signer,
            digest,
        } = row;
        Self {
            message,
            recipient,
            anchor,
            signer,
            digest,
            path: Vec::new(),
        }
    }

    pub fn message(&self) -> TrackingId {
        self.message
    }

    pub fn recipient(&self) -> &Address {
        &self.recipient
    }

    /// Which anchor vouched.
    pub fn anchor(&self) -> AnchorId {
        self.anchor
    }

    /// SHA-256 of the signer's certificate.
    pub fn signer(&self) -> [u8; 32] {
        self.signer
    }

    /// SHA-256 of the content that was judged; what is revealed must have it.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Subjects from leaf to anchor; empty for a restored grant.
    pub fn path(&self) -> &[String] {
        &self.path
    }
}

/// Why not, with the evidence in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distrust {
    pub reason: Reason,
    /// Which certificate, which rule (RFC section or requirement id), which values.
    pub detail: String,
}

/// What must be fetched before a verdict. Nothing yet asks for one; revocation and AIA will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// A CRL, by URL.
    Crl(String),
    /// An issuer's certificate, by URL.
    Issuer(String),
}

/// What was fetched so far: revocation lists and the like. Empty for now; the type is here from the first day.
#[derive(Debug, Default)]
pub struct Evidence {}

/// One answer per recipient.
#[must_use]
#[derive(Debug, Default)]
pub struct Judgment {
    pub granted: Vec<Grant>,
    pub refused: Vec<(Address, Distrust)>,
    pub undecided: Vec<(Address, Vec<Need>)>,
}

/// Inbound: for each recipient that `opened` could be opened for, whether some signer bound to the sender has a path to one of
/// the recipient's inbound anchors.
pub fn judge(
    _opened: &Opened,
    _anchors: &Anchors,
    _evidence: &Evidence,
    _now: Timestamp,
) -> Judgment {
    todo!()
}

/// A report: each recipient of `opened` (a local address that sent something) is granted if some signer is bound to
/// `reported_on` (the tracked recipient that the report speaks for) and has a path to the outbound OR inbound anchors of that
/// local address (B-027, decision 9).
pub fn judge_report(
    _opened: &Opened,
    _reported_on: &Address,
    _anchors: &Anchors,
    _evidence: &Evidence,
    _now: Timestamp,
) -> Judgment {
    todo!()
}

/// Outbound: an address with a certificate that was checked against the sender's anchors. Made by [`judge_recipient`] alone.
#[derive(Debug)]
pub struct TrustedRecipient {
    address: Address,
    certificate: Arc<Certificate>,
    path: Path,
}

impl TrustedRecipient {
    pub fn address(&self) -> &Address {
        &self.address
    }

    pub fn certificate(&self) -> &Arc<Certificate> {
        &self.certificate
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The outbound verdict.
#[derive(Debug)]
pub enum RecipientJudgment {
    Trusted(TrustedRecipient),
    Refused(Distrust),
    Undecided(Vec<Need>),
}

/// Outbound: the first certificate of `found` that is bound to `recipient`, fit for encryption, and has a path to the sender's
/// outbound anchors (A-081, C-012, C-040). `for_report`: inbound anchors count too.
pub fn judge_recipient(
    _recipient: &Address,
    _found: &[Arc<Certificate>],
    _sender: &Address,
    _for_report: bool,
    _anchors: &Anchors,
    _evidence: &Evidence,
    _now: Timestamp,
) -> RecipientJudgment {
    todo!()
}
