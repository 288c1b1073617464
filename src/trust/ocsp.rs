//! OCSP (RFC 6960): the question, and the answer read strictly and by hand.
//! In: a certificate and its issuer; DER from a responder. Out: the request's DER; [`Answers`]. Says nothing
//! about who signed and what follows: that is `revocation`.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use crate::crypto::{Digest, DigestAlgorithm, SignatureAlgorithm, sha256};
use crate::limits::{OCSP_OCTETS_MAX, OCSP_SINGLES_MAX};
use crate::world::Timestamp;

use super::Certificate;
use super::algorithm::read_signature_algorithm;
use super::certificate::range_of;
use super::crl::{EntryReason, read_time};
use super::extensions::read_extension;
use super::name::Name;
use super::oid::dotted;
use super::tlv::{self, Element, tag};

/// id-sha1, with NULL.
const SHA1: &[u8] = &[
    0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00,
];
/// The same without parameters (RFC 5754 §2 prefers it).
const SHA1_BARE: &[u8] = &[0x30, 0x07, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a];
const BASIC: &str = "1.3.6.1.5.5.7.48.1.1";
const NONCE: &str = "1.3.6.1.5.5.7.48.1.2";
/// Certificates of one answer that are read: a responder and what stands above it.
const CERTIFICATES_READ: usize = 8;

/// Which certificate is asked about (RFC 6960 §4.1.1). Its digests are SHA-1, as RFC 5019 §2.1.1 wants: they
/// find, and prove nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertId {
    name_hash: Vec<u8>,
    key_hash: Vec<u8>,
    /// Contents of the INTEGER.
    serial: Vec<u8>,
}

impl CertId {
    /// Of a certificate and the one who issued it.
    pub fn of(certificate: &Certificate, issuer: &Certificate) -> Self {
        Self {
            name_hash: sha1(certificate.issuer()),
            key_hash: sha1(issuer.key_bits()),
            serial: certificate.serial().to_vec(),
        }
    }

    /// OCSPRequest, unsigned, for this one certificate, without a nonce: most responders answer with what
    /// they made before (RFC 5019 §2.1.1).
    pub fn request(&self) -> Vec<u8> {
        let id = [
            SHA1.to_vec(),
            wrap(tag::OCTET_STRING, &self.name_hash),
            wrap(tag::OCTET_STRING, &self.key_hash),
            wrap(tag::INTEGER, &self.serial),
        ];
        let mut der = wrap(tag::SEQUENCE, &id.concat());
        // Request, requestList, tbsRequest, OCSPRequest.
        for _ in 0..4 {
            der = wrap(tag::SEQUENCE, &der);
        }
        der
    }
}

fn sha1(octets: &[u8]) -> Vec<u8> {
    let mut digest = Digest::new(DigestAlgorithm::Sha1);
    digest.update(octets);
    digest.finish()
}

/// One element; contents here are never longer than a serial number and two digests.
fn wrap(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(value.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        Ok(long) => out.extend([0x81, long]),
        Err(_) => {
            let [high, low] = u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes();
            out.extend([0x82, high, low]);
        }
    }
    out.extend_from_slice(value);
    out
}

/// Why it is no answer that we read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no OCSP answer: {0}")]
pub struct OcspError(pub String);

/// A parsed BasicOCSPResponse. Nothing about it is trusted.
#[derive(Debug)]
pub struct Answers {
    der: Vec<u8>,
    fingerprint: [u8; 32],
    /// Where the signed octets lie in `der`.
    tbs: Range<usize>,
    responder: Responder,
    signature_algorithm: Result<SignatureAlgorithm, String>,
    signature: Vec<u8>,
    pub(super) certificates: Vec<Arc<Certificate>>,
    singles: Vec<Single>,
    /// Why it must not be used at all.
    pub(super) defects: Vec<String>,
}

/// ResponderID.
#[derive(Debug)]
enum Responder {
    Name(Name),
    /// SHA-1 of its key.
    Key(Vec<u8>),
}

/// SingleResponse.
#[derive(Clone, Debug)]
pub(super) struct Single {
    id: CertId,
    pub status: CertStatus,
    pub this_update: Timestamp,
    pub next_update: Option<Timestamp>,
}

/// CertStatus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CertStatus {
    Good,
    Revoked(EntryReason),
    /// The responder does not know it: never good (G-041).
    Unknown,
}

impl Answers {
    /// Reads DER.
    ///
    /// # Errors
    /// [`OcspError`]: no answer, or one that says why there is none; what must merely not be used is kept as
    /// a defect.
    pub fn parse(der: &[u8]) -> Result<Arc<Self>, OcspError> {
        if der.len() > OCSP_OCTETS_MAX {
            return Err(broken("larger than the limit"));
        }
        read(der).map(Arc::new)
    }

    /// Until when it may be kept: the first end of what it says.
    pub fn next_update(&self) -> Option<Timestamp> {
        let ends: Option<Vec<_>> = self.singles.iter().map(|one| one.next_update).collect();
        ends?.into_iter().min()
    }

    pub(super) fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// What it says about this certificate; twice is the worse of both.
    pub(super) fn single(&self, id: &CertId) -> Option<&Single> {
        let rank = |single: &&Single| match single.status {
            CertStatus::Good => 0,
            CertStatus::Unknown => 1,
            CertStatus::Revoked(_) => 2,
        };
        let about = self.singles.iter().filter(|single| single.id == *id);
        about.max_by_key(rank)
    }

    /// Whether ResponderID names this certificate.
    pub(super) fn names(&self, signer: &Certificate) -> bool {
        match &self.responder {
            Responder::Name(name) => *name == signer.subject_name,
            Responder::Key(hash) => *hash == sha1(signer.key_bits()),
        }
    }

    /// How it is signed, if that is an algorithm that counts.
    pub(super) fn signature_kind(&self) -> Result<(), &str> {
        self.signature_algorithm
            .as_ref()
            .map(|_| ())
            .map_err(String::as_str)
    }

    /// Whether the key of `signer` made its signature. Costs one public-key operation.
    pub(super) fn is_signed_by(&self, signer: &Certificate) -> bool {
        let (Ok(algorithm), Ok(key)) = (&self.signature_algorithm, signer.public_key()) else {
            return false;
        };
        let fits = match algorithm {
            SignatureAlgorithm::Ecdsa(_) => !key.is_rsa(),
            SignatureAlgorithm::RsaPkcs1(_) | SignatureAlgorithm::RsaPss { .. } => key.is_rsa(),
        };
        let Some(tbs) = self.der.get(self.tbs.clone()).filter(|_| fits) else {
            return false;
        };
        let mut digest = Digest::new(algorithm.digest());
        digest.update(tbs);
        key.verify(*algorithm, &digest.finish(), &self.signature)
    }
}

fn broken(why: &str) -> OcspError {
    OcspError(why.to_owned())
}

fn odd() -> OcspError {
    broken("its structure does not decode")
}

/// RFC 6960 §4.2.1: OCSPResponse.
fn read(der: &[u8]) -> Result<Answers, OcspError> {
    let response = tlv::only(der, tag::SEQUENCE).ok_or_else(odd)?;
    let parts = tlv::all(response.value).ok_or_else(odd)?;
    let (status, bytes) = match parts.as_slice() {
        [status] => (status, None),
        [status, bytes] if bytes.tag == tag::CONTEXT_0 => (status, Some(bytes)),
        _ => return Err(odd()),
    };
    let word = match (status.tag, status.value) {
        (tag::ENUMERATED, [0]) => None,
        (tag::ENUMERATED, [1]) => Some("malformedRequest"),
        (tag::ENUMERATED, [2]) => Some("internalError"),
        (tag::ENUMERATED, [3]) => Some("tryLater"),
        (tag::ENUMERATED, [5]) => Some("sigRequired"),
        (tag::ENUMERATED, [6]) => Some("unauthorized"),
        _ => return Err(odd()),
    };
    if let Some(word) = word {
        return Err(OcspError(format!("the responder says {word}")));
    }
    let bytes = bytes.and_then(|bytes| tlv::only(bytes.value, tag::SEQUENCE));
    let parts = bytes.and_then(|bytes| tlv::all(bytes.value));
    match parts.as_deref() {
        Some([kind, octets]) if kind.tag == tag::OID && octets.tag == tag::OCTET_STRING => {
            if dotted(kind.value) != BASIC {
                return Err(broken("a kind of answer that is not known"));
            }
            read_basic(octets.value)
        }
        _ => Err(odd()),
    }
}

/// BasicOCSPResponse.
fn read_basic(der: &[u8]) -> Result<Answers, OcspError> {
    let basic = tlv::only(der, tag::SEQUENCE).ok_or_else(odd)?;
    let parts = tlv::all(basic.value).ok_or_else(odd)?;
    let (tbs, algorithm, signature, certificates) = match parts.as_slice() {
        [tbs, algorithm, signature] => (tbs, algorithm, signature, None),
        [tbs, algorithm, signature, certificates] if certificates.tag == tag::CONTEXT_0 => {
            (tbs, algorithm, signature, Some(certificates))
        }
        _ => return Err(odd()),
    };
    let signature = match signature.value.split_first() {
        Some((0, octets)) if signature.tag == tag::BIT_STRING => octets.to_vec(),
        _ => return Err(odd()),
    };
    if tbs.tag != tag::SEQUENCE {
        return Err(odd());
    }
    let mut defects = Vec::new();
    let (responder, singles) = read_data(*tbs, &mut defects).ok_or_else(odd)?;
    defects.truncate(8);
    Ok(Answers {
        fingerprint: sha256(der),
        tbs: range_of(der, tbs.whole),
        responder,
        signature_algorithm: read_signature_algorithm(*algorithm),
        signature,
        certificates: certificates
            .map_or_else(|| Some(Vec::new()), |found| read_certificates(*found))
            .ok_or_else(odd)?,
        singles,
        defects,
        der: der.to_vec(),
    })
}

/// Those that decode; the rest cannot be the signer's.
fn read_certificates(found: Element<'_>) -> Option<Vec<Arc<Certificate>>> {
    let list = tlv::all(tlv::only(found.value, tag::SEQUENCE)?.value)?;
    let read = list.iter().take(CERTIFICATES_READ);
    Some(
        read.filter_map(|one| Certificate::parse(one.whole).ok())
            .collect(),
    )
}

/// ResponseData.
fn read_data(tbs: Element<'_>, defects: &mut Vec<String>) -> Option<(Responder, Vec<Single>)> {
    let parts = tlv::all(tbs.value)?;
    let rest = match parts.as_slice() {
        // X.690 §11.5 wants the default version left out; some write it.
        [version, rest @ ..] if version.tag == tag::CONTEXT_0 => {
            if version.value != [tag::INTEGER, 1, 0] {
                defects.push("its version is none that exists".to_owned());
            }
            rest
        }
        rest => rest,
    };
    let (responder, produced, list, extensions) = match rest {
        [responder, produced, list] => (responder, produced, list, None),
        [responder, produced, list, extensions] if extensions.tag == 0xa1 => {
            (responder, produced, list, Some(*extensions))
        }
        _ => return None,
    };
    let responder = match responder.tag {
        0xa1 => Responder::Name(Name::parse(responder.value)?.name),
        0xa2 => Responder::Key(
            tlv::only(responder.value, tag::OCTET_STRING)?
                .value
                .to_vec(),
        ),
        _ => return None,
    };
    generalized(*produced)?;
    check_extensions(extensions, defects)?;
    if list.tag != tag::SEQUENCE {
        return None;
    }
    let mut singles = Vec::new();
    for single in tlv::all(list.value)? {
        if singles.len() >= OCSP_SINGLES_MAX {
            defects.push("it speaks of too many certificates".to_owned());
            break;
        }
        singles.extend(read_single(single, defects)?);
    }
    Some((responder, singles))
}

/// SingleResponse; the inner None is one about a certificate that is named by another digest than ours.
fn read_single(single: Element<'_>, defects: &mut Vec<String>) -> Option<Option<Single>> {
    if single.tag != tag::SEQUENCE {
        return None;
    }
    let parts = tlv::all(single.value)?;
    let [id, status, this_update, rest @ ..] = parts.as_slice() else {
        return None;
    };
    let (next_update, extensions) = match rest {
        [] => (None, None),
        [next] if next.tag == tag::CONTEXT_0 => (Some(next), None),
        [extensions] if extensions.tag == 0xa1 => (None, Some(*extensions)),
        [next, extensions] if next.tag == tag::CONTEXT_0 && extensions.tag == 0xa1 => {
            (Some(next), Some(*extensions))
        }
        _ => return None,
    };
    check_extensions(extensions, defects)?;
    let next_update = match next_update {
        None => None,
        Some(next) => Some(generalized(tlv::only(next.value, tag::GENERALIZED_TIME)?)?),
    };
    let (status, this_update) = (read_status(*status)?, generalized(*this_update)?);
    let Some(id) = read_id(*id)? else {
        return Some(None);
    };
    Some(Some(Single {
        id,
        status,
        this_update,
        next_update,
    }))
}

fn read_id(id: Element<'_>) -> Option<Option<CertId>> {
    let parts = tlv::all(id.value).filter(|_| id.tag == tag::SEQUENCE)?;
    let [algorithm, name, key, serial] = parts.as_slice() else {
        return None;
    };
    let right = name.tag == tag::OCTET_STRING
        && key.tag == tag::OCTET_STRING
        && serial.tag == tag::INTEGER
        && algorithm.tag == tag::SEQUENCE;
    let ours = algorithm.whole == SHA1 || algorithm.whole == SHA1_BARE;
    right.then(|| {
        ours.then(|| CertId {
            name_hash: name.value.to_vec(),
            key_hash: key.value.to_vec(),
            serial: serial.value.to_vec(),
        })
    })
}

fn read_status(status: Element<'_>) -> Option<CertStatus> {
    match (status.tag, status.value) {
        (0x80, []) => Some(CertStatus::Good),
        (0x82, []) => Some(CertStatus::Unknown),
        (0xa1, info) => {
            let parts = tlv::all(info)?;
            let reason = match parts.as_slice() {
                [at] => generalized(*at).map(|_| EntryReason::ForGood)?,
                [at, reason] if reason.tag == tag::CONTEXT_0 => {
                    generalized(*at)?;
                    match tlv::only(reason.value, tag::ENUMERATED)?.value {
                        [6] => EntryReason::Hold,
                        // RFC 5280 §5.3.1: removeFromCRL belongs into delta CRLs; here it says nothing good.
                        [8] => EntryReason::Hold,
                        [_] => EntryReason::ForGood,
                        _ => return None,
                    }
                }
                _ => return None,
            };
            Some(CertStatus::Revoked(reason))
        }
        _ => None,
    }
}

/// None if they do not decode; a critical one that is not known makes the answer unusable.
fn check_extensions(extensions: Option<Element<'_>>, defects: &mut Vec<String>) -> Option<()> {
    let Some(extensions) = extensions else {
        return Some(());
    };
    let list = tlv::all(tlv::only(extensions.value, tag::SEQUENCE)?.value)?;
    let mut seen = HashSet::new();
    for extension in list {
        let (oid, critical, _) = read_extension(extension)?;
        if !seen.insert(oid) {
            defects.push("an extension appears twice".to_owned());
        }
        let oid = dotted(oid);
        // We send no nonce; a responder that adds one changes nothing.
        if critical && oid != NONCE {
            defects.push(format!("extension {oid} is critical and not known"));
        }
    }
    Some(())
}

/// RFC 6960 §4.2.2.1: GeneralizedTime.
fn generalized(time: Element<'_>) -> Option<Timestamp> {
    read_time(time).filter(|_| time.tag == tag::GENERALIZED_TIME)
}

#[cfg(test)]
mod tests;
