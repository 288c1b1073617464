//! Reading: BER (indefinite and constructed lengths) into structures, content streamed past.

use std::io::Read;

use crate::crypto::{ContentCipher, DigestAlgorithm, KeyTransport, SignatureAlgorithm};

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

/// How a certificate is named in a RecipientInfo or SignerInfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identifier {
    /// The issuer's name (DER, as encoded there) and serial number (content octets of the INTEGER).
    IssuerAndSerial { issuer: Vec<u8>, serial: Vec<u8> },
    /// subjectKeyIdentifier.
    KeyId(Vec<u8>),
}

/// ECDH for one recipient (RFC 5753); one entry a recipientEncryptedKey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAgree {
    /// The originator's ephemeral point, uncompressed or compressed.
    pub point: Vec<u8>,
    /// ukm, if any.
    pub ukm: Option<Vec<u8>>,
    /// OID of the key agreement scheme, dotted.
    pub scheme: String,
    /// OID of the key wrap, dotted.
    pub wrap: String,
}

/// One way to the content key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipientInfo {
    /// RSA.
    KeyTrans {
        rid: Identifier,
        transport: KeyTransport,
        encrypted_key: Vec<u8>,
    },
    /// ECDH.
    KeyAgree {
        rid: Identifier,
        agree: KeyAgree,
        encrypted_key: Vec<u8>,
    },
    /// A kind or algorithm that is not read (kekri, pwri, ori, unknown transport); named for the operator.
    Other { what: String },
}

/// Everything in an EnvelopedData or AuthEnvelopedData before its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopedHead {
    pub recipients: Vec<RecipientInfo>,
    pub cipher: ContentCipher,
    /// CBC IV or GCM nonce.
    pub iv: Vec<u8>,
    /// AuthEnvelopedData (RFC 5083): a tag follows the content.
    pub authenticated: bool,
}

/// The encrypted content as a stream of octets, segment headers removed.
pub struct ContentReader<R> {
    _source: R,
}

impl<R: Read> ContentReader<R> {
    /// After the content was read to its end: the DER of authAttrs as SET (AAD of AuthEnvelopedData; empty if none) and the tag.
    /// For plain EnvelopedData both are empty. Also checks that the structure ends properly.
    ///
    /// # Errors
    /// [`CmsError`].
    pub fn finish(self) -> Result<(Vec<u8>, Vec<u8>), CmsError> {
        todo!()
    }
}

impl<R: Read> Read for ContentReader<R> {
    fn read(&mut self, _out: &mut [u8]) -> std::io::Result<usize> {
        todo!()
    }
}

/// Reads the head of a ContentInfo that holds EnvelopedData or AuthEnvelopedData; the content follows as a stream.
///
/// # Errors
/// [`CmsError`].
pub fn read_enveloped<R: Read>(_source: R) -> Result<(EnvelopedHead, ContentReader<R>), CmsError> {
    todo!()
}

/// One SignerInfo, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerInfo {
    pub sid: Identifier,
    pub digest: DigestAlgorithm,
    pub algorithm: SignatureAlgorithm,
    /// The DER SET OF (tag 0x31) of the signed attributes, re-encoded if the peer sent BER (RFC 5652 §5.4); None if there are none.
    pub signed_attrs: Option<Vec<u8>>,
    /// Values of messageDigest attributes: exactly one is right (G-011).
    pub message_digests: Vec<Vec<u8>>,
    /// Values of contentType attributes, dotted OIDs: exactly one, id-data, is right.
    pub content_types: Vec<String>,
    /// signingTime, seconds since the epoch.
    pub signing_time: Option<i64>,
    pub signature: Vec<u8>,
}

/// A SignedData without its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignedData {
    /// OID of eContentType, dotted.
    pub content_type: String,
    /// Whether eContent was present.
    pub has_content: bool,
    /// DER of each certificate, in order, duplicates removed.
    pub certificates: Vec<Vec<u8>>,
    /// SignerInfos that could be read.
    pub signers: Vec<SignerInfo>,
    /// What could not be read among the SignerInfos (an unknown algorithm, say): a sentence each.
    pub unread: Vec<String>,
}

/// Reads a ContentInfo that holds SignedData, detached or with small content (the content is skipped).
///
/// # Errors
/// [`CmsError`].
pub fn read_signed(_octets: &[u8]) -> Result<SignedData, CmsError> {
    todo!()
}

/// eContent of an opaque SignedData as a stream.
pub struct OpaqueReader<R> {
    _source: R,
}

impl<R: Read> OpaqueReader<R> {
    /// After the content was read to its end: the rest of the structure.
    ///
    /// # Errors
    /// [`CmsError`].
    pub fn finish(self) -> Result<SignedData, CmsError> {
        todo!()
    }
}

impl<R: Read> Read for OpaqueReader<R> {
    fn read(&mut self, _out: &mut [u8]) -> std::io::Result<usize> {
        todo!()
    }
}

/// Reads the head of a ContentInfo that holds SignedData with eContent (opaque signing); the content follows as a stream.
///
/// # Errors
/// [`CmsError`]; `Malformed("no content")` for a detached one.
pub fn read_opaque_signed<R: Read>(_source: R) -> Result<OpaqueReader<R>, CmsError> {
    todo!()
}

/// The certificates of a certs-only SignedData (`.p7b`, `.p7c`), DER or BER.
///
/// # Errors
/// [`CmsError`].
pub fn read_certs_only(_octets: &[u8]) -> Result<Vec<Vec<u8>>, CmsError> {
    todo!()
}
