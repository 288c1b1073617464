//! Makes bundles for others to follow (D-022): certificates alone, or signed. In: certificates, what the
//! bundle says about itself, a signer. Out: DER. Never done here: deciding who belongs into it.

use crate::cms::{self, CmsError, Identifier};
use crate::crypto::{CryptoError, DigestAlgorithm, PrivateKey, sha256};
use crate::trust::Certificate;
use crate::world::Timestamp;

/// Who signs.
#[derive(Debug)]
pub struct Publisher {
    pub certificate: Vec<u8>,
    pub key: PrivateKey,
}

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    #[error("{0}\n  do: give certificates, PEM or DER")]
    Certificate(String),
    #[error(
        "the certificate and the key do not belong together\n  do: give the key of that certificate"
    )]
    Mismatch,
    #[error("the bundle cannot be written: {0}\n  do: report it; it is a mistake of ours")]
    Cms(#[from] CmsError),
    #[error("the key does not sign\n  do: give an RSA or EC key of at least 2048 bits or P-256")]
    Crypto(#[from] CryptoError),
}

/// The bundle. `metadata`: XML.
///
/// # Errors
/// [`MakeError`].
pub fn make(
    anchors: &[Vec<u8>],
    metadata: Option<&[u8]>,
    publisher: Option<&Publisher>,
    now: Timestamp,
) -> Result<Vec<u8>, MakeError> {
    for der in anchors {
        Certificate::parse(der).map_err(|error| MakeError::Certificate(error.to_string()))?;
    }
    let plain = cms::bundle(anchors, metadata);
    let Some(Publisher { certificate, key }) = publisher else {
        return Ok(plain);
    };
    let parsed = Certificate::parse(certificate)
        .map_err(|error| MakeError::Certificate(error.to_string()))?;
    let signer = Identifier::IssuerAndSerial {
        issuer: parsed.issuer().to_vec(),
        serial: parsed.serial().to_vec(),
    };
    let digest = DigestAlgorithm::Sha256;
    let attributes = cms::signed_attributes(&sha256(&plain), now)?;
    let signature = key.sign(digest, &sha256(&attributes))?;
    let public = parsed.public_key()?;
    let algorithm = match public.is_rsa() {
        true => crate::crypto::SignatureAlgorithm::RsaPkcs1(digest),
        false => crate::crypto::SignatureAlgorithm::Ecdsa(digest),
    };
    if !public.verify(algorithm, &sha256(&attributes), &signature) {
        return Err(MakeError::Mismatch);
    }
    let bag = [certificate.clone()];
    let rsa = public.is_rsa();
    let detached = cms::signed_data(&bag, &signer, digest, rsa, &attributes, &signature)?;
    Ok(cms::signed_over(&detached, &plain)?)
}
