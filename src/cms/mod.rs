//! The only code that knows the ASN.1 of messages: a bounded BER reader, the structures of RFC 5652 and
//! RFC 5083, a DER writer, streams. In: octets that anyone may have made. Out: structures, and content as
//! a stream. Promised: safe Rust only, every loop and every buffer bounded, content never held as a whole.
//! Never done here: keys, digests, trust.

mod algorithm;
mod ber;
mod der;
mod enveloped;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod interop;
mod outline;
mod signed;
mod write;

pub use enveloped::{ContentReader, EnvelopedHead, KeyAgree, RecipientInfo, read_enveloped};
pub use outline::{Line, outline};
pub use signed::{
    OpaqueReader, SignedData, SignerInfo, is_signed_attributes, read_bundle, read_certs_only,
    read_opaque_signed, read_signed, sorted_attributes,
};
pub use write::{
    EnvelopedPlan, KeyTransRecipient, bundle, signed_attributes, signed_data, signed_over,
};

/// Why a structure was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CmsError {
    /// Not BER, or not the structure it should be.
    #[error("not a CMS structure: {0}")]
    Malformed(&'static str),
    /// A limit of `limits.rs`.
    #[error("over a limit: {0}")]
    OverLimit(&'static str),
    /// An algorithm that is not known or is refused: its OID in dotted form.
    #[error("algorithm {0} is not accepted")]
    Algorithm(String),
    /// Another content type than expected: its OID in dotted form.
    #[error("content type {0}")]
    ContentType(String),
    /// The source failed.
    #[error("reading: {0}")]
    Source(String),
}

impl CmsError {
    /// As an error of [`std::io::Read`]; the cause stays inside it, see [`CmsError::of`].
    fn into_io(self) -> std::io::Error {
        std::io::Error::new(std::io::ErrorKind::InvalidData, self)
    }

    /// The cause that a content stream's `read` gave.
    pub fn of(error: &std::io::Error) -> Self {
        error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Self>())
            .cloned()
            .unwrap_or_else(|| Self::Source(error.to_string()))
    }
}

/// How a certificate is named in a RecipientInfo or SignerInfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identifier {
    /// The issuer's name (DER, as encoded there) and serial number (content octets of the INTEGER).
    IssuerAndSerial { issuer: Vec<u8>, serial: Vec<u8> },
    /// subjectKeyIdentifier.
    KeyId(Vec<u8>),
}
