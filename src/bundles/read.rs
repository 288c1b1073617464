//! One bundle's octets (D-001 to D-010): PKCS#7 certificates alone (.p7b), or the same under a signature
//! (.p7m); DER, BER or PEM, whatever its name or type says.
//! In: octets, the pinned signer. Out: its certificates, all or none. A bundle whose signer is pinned is
//! never read without that signature (D-004).

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use crate::cms::{self, CmsError, SignedData, SignerInfo};
use crate::crypto::{Digest, DigestAlgorithm, hex, sha256};
use crate::limits::BUNDLE_OCTETS_MAX;
use crate::trust::{
    AnchorSet, Certificate, Evidence, ExtendedUsage, PathPurpose, Question, Rules, Switch,
    build_path,
};
use crate::world::Timestamp;

use super::metadata::{self, Metadata};

/// What a bundle holds.
#[derive(Clone, Debug)]
pub struct Content {
    /// SHA-256 of the octets, hex (D-016).
    pub digest: String,
    /// By fingerprint.
    pub anchors: BTreeMap<String, Arc<Certificate>>,
    pub metadata: Option<Metadata>,
    /// Whose signature was right; None: no signer is pinned.
    pub signed: Option<Signed>,
    /// What is odd, and does not keep it from being used.
    pub warnings: Vec<String>,
}

/// A signer, with what came along.
#[derive(Clone, Debug)]
pub struct Signed {
    pub by: Arc<Certificate>,
    pub bag: Vec<Arc<Certificate>>,
}

/// By which a bundle's signer is judged: a valid signing certificate, whatever its uses.
pub(super) fn signer_rules() -> Rules {
    Rules {
        ca_as_leaf: Switch::On,
        extended_usage: ExtendedUsage::Any,
        ..Rules::direct(PathPurpose::Sign)
    }
}

/// Why it is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("it is no bundle: {0}")]
    Malformed(String),
    #[error("its signer is pinned, and it is not signed")]
    NotSigned,
    #[error("it is signed, and no signer is pinned")]
    NotPinned,
    #[error("its signature is not by the pinned signer: {0}")]
    WrongSigner(String),
    #[error("a certificate in it cannot be read: {0}")]
    Certificate(String),
}

impl From<CmsError> for ReadError {
    fn from(error: CmsError) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// Reads it.
///
/// # Errors
/// [`ReadError`].
pub fn read(
    octets: &[u8],
    pinned: Option<&Arc<Certificate>>,
    now: Timestamp,
) -> Result<Content, ReadError> {
    let digest = hex(&sha256(octets));
    let outer = unwrapped(octets)?;
    let (content, signed) = opened(&outer)?;
    let mut signed_by = None;
    let inner = match (
        pinned,
        signed.signers.is_empty() && signed.unread.is_empty(),
    ) {
        (None, true) => outer,
        (None, false) => return Err(ReadError::NotPinned),
        (Some(_), true) => return Err(ReadError::NotSigned),
        (Some(pinned), false) => {
            let content = content.ok_or(ReadError::NotSigned)?;
            signed_by = Some(check_signature(&content, &signed, pinned, now)?);
            unwrapped(&content)?
        }
    };
    let content = whole(digest, &inner, now)?;
    Ok(Content {
        signed: signed_by,
        ..content
    })
}

/// The DER or BER, out of PEM if it is in that.
fn unwrapped(octets: &[u8]) -> Result<Vec<u8>, ReadError> {
    // A SEQUENCE is no text, whatever stands in its strings.
    if octets.first() == Some(&0x30) || memchr::memmem::find(octets, b"-----BEGIN ").is_none() {
        return Ok(octets.to_vec());
    }
    for block in x509_parser::pem::Pem::iter_from_buffer(octets) {
        let block = block.map_err(|error| ReadError::Malformed(error.to_string()))?;
        if matches!(
            block.label.as_str(),
            "PKCS7" | "CMS" | "PKCS #7 SIGNED DATA"
        ) {
            return Ok(block.contents);
        }
    }
    Err(ReadError::Malformed(
        "there is no PKCS#7 block in the PEM".to_owned(),
    ))
}

/// eContent, if there is any, and the rest.
fn opened(der: &[u8]) -> Result<(Option<Vec<u8>>, SignedData), ReadError> {
    let mut reader = match cms::read_opaque_signed(der) {
        Ok(reader) => reader,
        Err(CmsError::Malformed("no content")) => {
            // Certificates alone: nothing is signed, whatever SignerInfos there are.
            return Ok((None, cms::read_bundle(der)?));
        }
        Err(error) => return Err(error.into()),
    };
    let mut content = Vec::new();
    let most = u64::try_from(BUNDLE_OCTETS_MAX).unwrap_or(u64::MAX);
    let read = reader.by_ref().take(most).read_to_end(&mut content);
    read.map_err(|error| CmsError::of(&error))?;
    Ok((Some(content), cms::read_bundle(der)?))
}

/// D-002, D-003: some signature is right, and its certificate is the pinned one or leads to it.
fn check_signature(
    content: &[u8],
    signed: &SignedData,
    pinned: &Arc<Certificate>,
    now: Timestamp,
) -> Result<Signed, ReadError> {
    let came = signed.certificates.iter();
    let bag: Vec<_> = came
        .filter_map(|der| Certificate::parse(der).ok())
        .collect();
    let rules = signer_rules();
    let question = Question {
        bag: &bag,
        anchors: &AnchorSet::new([Arc::clone(pinned)]),
        rules: &rules,
        evidence: &Evidence::default(),
        now,
    };
    let mut why = "no signer is named by it".to_owned();
    for info in &signed.signers {
        let named = |one: &&Arc<Certificate>| one.is_named_by(&info.sid);
        for certificate in [pinned].into_iter().chain(&bag).filter(named) {
            if let Err(distrust) = build_path(certificate, &question) {
                why = distrust.detail;
            } else if is_signed(content, info, certificate, &signed.content_type) {
                let by = Arc::clone(certificate);
                let bag = bag.clone();
                return Ok(Signed { by, bag });
            } else {
                why = "the signature does not verify".to_owned();
            }
        }
    }
    Err(ReadError::WrongSigner(why))
}

/// RFC 5652 §5.4, §11.1, §11.2; SHA-1 never.
fn is_signed(content: &[u8], info: &SignerInfo, by: &Certificate, content_type: &str) -> bool {
    let digest = |algorithm, octets: &[u8]| {
        let mut digest = Digest::new(algorithm);
        digest.update(octets);
        digest.finish()
    };
    let weak = [info.digest, info.algorithm.digest()].contains(&DigestAlgorithm::Sha1);
    let (Ok(key), false) = (by.public_key(), weak) else {
        return false;
    };
    let signed = match &info.signed_attrs {
        None => digest(info.algorithm.digest(), content),
        Some(attributes) => {
            let right = info.message_digests == [digest(info.digest, content)]
                && info.content_types == [content_type];
            if !right {
                return false;
            }
            digest(info.algorithm.digest(), attributes)
        }
    };
    key.verify(info.algorithm, &signed, &info.signature)
}

/// D-018: all its certificates, or none.
fn whole(digest: String, der: &[u8], now: Timestamp) -> Result<Content, ReadError> {
    let (content, signed) = opened(der)?;
    let mut anchors = BTreeMap::new();
    for one in &signed.certificates {
        let read = Certificate::parse(one);
        let certificate = read.map_err(|error| ReadError::Certificate(error.to_string()))?;
        anchors.insert(certificate.fingerprint_hex(), certificate);
    }
    let mut warnings = Vec::new();
    let metadata = content.filter(|content| !content.is_empty());
    let metadata = metadata.and_then(|content| match metadata::read(&content) {
        Ok(metadata) => Some(metadata),
        Err(why) => {
            warnings.push(why);
            None
        }
    });
    if let Some(metadata) = &metadata {
        if metadata.is_over(now) {
            let until = metadata.valid_to.as_deref().unwrap_or_default();
            warnings.push(format!("its publisher meant it to hold until {until}"));
        }
        if let Some(listed) = metadata.anchors.filter(|listed| *listed != anchors.len()) {
            let found = anchors.len();
            warnings.push(format!(
                "its metadata lists {listed} anchors, and it holds {found}"
            ));
        }
    }
    Ok(Content {
        digest,
        anchors,
        metadata,
        signed: None,
        warnings,
    })
}

#[cfg(test)]
mod tests;
