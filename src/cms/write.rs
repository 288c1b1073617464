//! Writing: DER, definite lengths, the one shape that every known peer reads.

use crate::crypto::{ContentCipher, DigestAlgorithm, KeyTransport};
use crate::world::Timestamp;

use super::read::{CmsError, Identifier};

/// The DER SET OF signed attributes: contentType id-data, messageDigest, signingTime, smimeCapabilities
/// (AES-256-CBC, AES-128-CBC, AES-256-GCM, AES-128-GCM). This is what gets digested and signed.
///
/// # Errors
/// [`CmsError`].
pub fn signed_attributes(_digest: &[u8], _signing_time: Timestamp) -> Result<Vec<u8>, CmsError> {
    todo!()
}

/// A detached SignedData with one SignerInfo (issuerAndSerial). `rsa`: rsaEncryption as signature algorithm, else ecdsa-with-SHA*.
/// `certificates`: DER, the signer's first.
///
/// # Errors
/// [`CmsError`].
pub fn signed_data(
    _certificates: &[Vec<u8>],
    _signer: &Identifier,
    _digest: DigestAlgorithm,
    _rsa: bool,
    _signed_attributes: &[u8],
    _signature: &[u8],
) -> Result<Vec<u8>, CmsError> {
    todo!()
}

/// One RSA recipient of an envelope to be written.
#[derive(Clone, Debug)]
pub struct KeyTransRecipient {
    pub rid: Identifier,
    pub transport: KeyTransport,
    pub encrypted_key: Vec<u8>,
}

/// Head and tail of an EnvelopedData whose encrypted content of known length is streamed between them.
#[derive(Clone, Debug)]
pub struct EnvelopedPlan {
    /// What goes before the encrypted octets.
    pub head: Vec<u8>,
    /// What goes after them (for AuthEnvelopedData: the tag must be appended by [`EnvelopedPlan::tail`]).
    pub(super) authenticated: bool,
}

impl EnvelopedPlan {
    /// Plans EnvelopedData (CBC) or AuthEnvelopedData (GCM) for `content_len` encrypted octets (CBC padding included).
    ///
    /// # Errors
    /// [`CmsError`].
    pub fn new(
        _recipients: &[KeyTransRecipient],
        _cipher: ContentCipher,
        _iv: &[u8],
        _content_len: u64,
    ) -> Result<Self, CmsError> {
        todo!()
    }

    /// What follows the encrypted octets: nothing, or the tag of AuthEnvelopedData.
    pub fn tail(&self, _tag: Option<&[u8]>) -> Vec<u8> {
        let _ = self.authenticated;
        todo!()
    }
}
