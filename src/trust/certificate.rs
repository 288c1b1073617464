//! One certificate: read once, by `x509-parser`, into what is used; shared from then on.

use std::sync::Arc;

use crate::crypto::{CryptoError, PublicKey};
use crate::world::Timestamp;

/// keyUsage bits that matter (RFC 5280 §4.2.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUsage {
    pub digital_signature: bool,
    pub non_repudiation: bool,
    pub key_encipherment: bool,
    pub key_agreement: bool,
    pub key_cert_sign: bool,
    pub crl_sign: bool,
}

/// Why it is not a certificate that we read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a certificate: {0}")]
pub struct CertificateError(pub String);

/// A parsed certificate. Nothing about it is trusted.
#[derive(Debug)]
pub struct Certificate {
    pub(super) der: Vec<u8>,
    pub(super) fingerprint: [u8; 32],
    pub(super) version: u32,
    /// Content octets of the INTEGER.
    pub(super) serial: Vec<u8>,
    /// DER of the Name.
    pub(super) issuer: Vec<u8>,
    /// DER of the Name.
    pub(super) subject: Vec<u8>,
    /// For people: `CN=..., O=...`.
    pub(super) subject_text: String,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) public_key: Result<PublicKey, CryptoError>,
    pub(super) key_usage: Option<KeyUsage>,
    /// Dotted OIDs.
    pub(super) extended_key_usage: Option<Vec<String>>,
    /// (cA, pathLenConstraint).
    pub(super) basic_constraints: Option<(bool, Option<u32>)>,
    pub(super) subject_key_id: Option<Vec<u8>>,
    pub(super) authority_key_id: Option<Vec<u8>>,
    /// subjectAltName rfc822Name values, as encoded.
    pub(super) san_mail: Vec<String>,
    /// subjectAltName dNSName values, as encoded.
    pub(super) san_dns: Vec<String>,
    /// emailAddress attributes of the subject.
    pub(super) subject_mail: Vec<String>,
    /// What is wrong with it whatever the path: duplicate or undecodable extensions, unknown critical ones, odd versions...
    pub(super) defects: Vec<String>,
}

impl Certificate {
    /// Reads DER.
    ///
    /// # Errors
    /// [`CertificateError`] if it is no certificate at all; what is merely wrong is kept as a defect and refused when judged.
    pub fn parse(_der: &[u8]) -> Result<Arc<Self>, CertificateError> {
        todo!()
    }

    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the DER.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// The fingerprint in lower-case hex.
    pub fn fingerprint_hex(&self) -> String {
        self.fingerprint
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect()
    }

    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    pub fn issuer(&self) -> &[u8] {
        &self.issuer
    }

    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    pub fn subject_text(&self) -> &str {
        &self.subject_text
    }

    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// # Errors
    /// [`CryptoError`] if the key is of a kind that is not read.
    pub fn public_key(&self) -> Result<&PublicKey, CryptoError> {
        self.public_key.as_ref().map_err(|error| *error)
    }

    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.key_usage
    }

    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.subject_key_id.as_deref()
    }

    pub fn san_mail(&self) -> &[String] {
        &self.san_mail
    }

    pub fn san_dns(&self) -> &[String] {
        &self.san_dns
    }

    /// Whether basicConstraints says cA.
    pub fn is_ca(&self) -> bool {
        matches!(self.basic_constraints, Some((true, _)))
    }

    /// Whether this certificate is the one that `rid` names.
    pub fn is_named_by(&self, rid: &crate::cms::Identifier) -> bool {
        match rid {
            crate::cms::Identifier::IssuerAndSerial { issuer, serial } => {
                *issuer == self.issuer && *serial == self.serial
            }
            crate::cms::Identifier::KeyId(id) => self.subject_key_id.as_deref() == Some(id),
        }
    }
}
