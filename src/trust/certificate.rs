//! One certificate: read once, by `x509-parser`, into what is used; shared from then on.
//! In: DER. Out: a [`Certificate`], with everything that is wrong with it on its own as a defect. Decides
//! nothing about trust.

use std::ops::Range;
use std::sync::Arc;

use x509_parser::certificate::X509CertificateParser;
use x509_parser::nom::Parser;
use x509_parser::prelude::X509Certificate;

use crate::crypto::{CryptoError, Digest, DigestAlgorithm, PublicKey, SignatureAlgorithm, sha256};
use crate::limits::CERTIFICATE_OCTETS_MAX;
use crate::world::Timestamp;

use super::algorithm::{read_key, read_signature_algorithm};
use super::constraints::{Constraints, Names};
use super::extensions::Extensions;
use super::name::{Name, ReadName};
use super::oid::Oid;
use super::tlv::{self, Element, tag};

/// keyUsage bits that matter (RFC 5280 §4.2.1.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    der: Vec<u8>,
    fingerprint: [u8; 32],
    /// Where the signed octets lie in `der`.
    tbs: Range<usize>,
    /// Content octets of the INTEGER.
    serial: Vec<u8>,
    /// DER of the Name.
    issuer: Vec<u8>,
    /// DER of the Name.
    subject: Vec<u8>,
    pub(super) issuer_name: Name,
    pub(super) subject_name: Name,
    /// For people: `CN=..., O=...`.
    subject_text: String,
    issuer_text: String,
    not_before: Timestamp,
    not_after: Timestamp,
    public_key: Result<PublicKey, CryptoError>,
    /// RSA 2048, P-256, or what it is instead.
    key_text: String,
    /// Set if the key is not to be used at all, whatever its size: an odd exponent, an unknown curve.
    pub(super) key_fault: Option<String>,
    /// Where the subjectPublicKey's own octets lie in `der`.
    key_bits: Range<usize>,
    /// SHA-256 of the SubjectPublicKeyInfo: which key it is.
    pub(super) key_id: [u8; 32],
    /// How it is signed, or what the algorithm is called that is refused.
    pub(super) signature_algorithm: Result<SignatureAlgorithm, String>,
    signature: Vec<u8>,
    /// emailAddress attributes of the subject.
    pub(super) subject_mail: Vec<String>,
    pub(super) extensions: Extensions,
    /// What is wrong with it whatever the path: duplicate or undecodable extensions, unknown critical ones,
    /// odd versions...
    pub(super) defects: Vec<String>,
    /// What RFC 5280 forbids on top of that (`Standard::Rfc5280`).
    pub(super) lapses: Vec<Lapse>,
    /// What one check with its key costs, in hundredths of one with P-256.
    pub(super) check_cost: u32,
}

/// Something that RFC 5280 §4 forbids though a path could do with it, and where that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lapse {
    pub what: String,
    /// None: wherever the certificate stands.
    pub seat: Option<Seat>,
}

/// Where a certificate stands in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seat {
    Anchor,
    BelowAnchor,
}

impl Certificate {
    /// Reads DER.
    ///
    /// # Errors
    /// [`CertificateError`] if it is no certificate at all; what is merely wrong is kept as a defect and
    /// refused when judged.
    pub fn parse(der: &[u8]) -> Result<Arc<Self>, CertificateError> {
        if der.len() > CERTIFICATE_OCTETS_MAX {
            return Err(broken("larger than 64 KiB"));
        }
        // Extension values are decoded by `Extensions`, strictly.
        let parsed = X509CertificateParser::new()
            .with_deep_parse_extensions(false)
            .parse(der);
        match parsed {
            Ok(([], parsed)) => read(der, &parsed).map(Arc::new),
            Ok(_) => Err(broken("octets follow it")),
            Err(_) => Err(broken("its structure does not decode")),
        }
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

    pub fn issuer_text(&self) -> &str {
        &self.issuer_text
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

    /// The kind of key for people: `RSA 2048`, `P-256`.
    pub fn key_text(&self) -> &str {
        &self.key_text
    }

    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.extensions.key_usage
    }

    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.extensions.subject_key_id.as_deref()
    }

    pub fn san_mail(&self) -> &[String] {
        &self.extensions.alt_names.mail
    }

    pub fn san_dns(&self) -> &[String] {
        &self.extensions.alt_names.dns
    }

    /// What is wrong with it whatever the path, in words.
    pub fn defects(&self) -> &[String] {
        &self.defects
    }

    /// Whether basicConstraints says cA.
    pub fn is_ca(&self) -> bool {
        matches!(self.extensions.basic_constraints, Some((true, _)))
    }

    /// Whether this certificate is the one that `rid` names. Names are compared as names (RFC 5280 §7.1):
    /// some peers write the issuer anew, with other string types. A wrong guess proves nothing: the key must
    /// still fit.
    pub fn is_named_by(&self, rid: &crate::cms::Identifier) -> bool {
        match rid {
            crate::cms::Identifier::IssuerAndSerial { issuer, serial } => {
                same_number(serial, &self.serial)
                    && (*issuer == self.issuer
                        || Name::parse(issuer).is_some_and(|read| read.name == self.issuer_name))
            }
            crate::cms::Identifier::KeyId(id) => match self.subject_key_id() {
                Some(own) => own == id,
                None => self.hashed_key_id().is_some_and(|own| own == *id),
            },
        }
    }

    /// The key identifier that peers compute for a certificate that has none (RFC 5280 §4.2.1.2, method 1).
    fn hashed_key_id(&self) -> Option<Vec<u8>> {
        let (_, read) = x509_parser::parse_x509_certificate(&self.der).ok()?;
        let mut digest = Digest::new(DigestAlgorithm::Sha1);
        digest.update(&read.public_key().subject_public_key.data);
        Some(digest.finish())
    }

    /// Whether issuer and subject are the same name (RFC 5280 §3.2: self-issued).
    pub(super) fn is_self_issued(&self) -> bool {
        self.issuer_name == self.subject_name
    }

    /// Whether the key identifiers say that `issuer` issued it. Orders candidates; proves nothing.
    pub(super) fn points_to(&self, issuer: &Self) -> bool {
        let id = self.extensions.authority_key_id.as_deref();
        id.is_some() && id == issuer.subject_key_id()
    }

    /// Whether the key of `issuer` made this certificate's signature. Costs one public-key operation.
    pub(super) fn is_signed_by(&self, issuer: &Self) -> bool {
        let (Ok(algorithm), Ok(key)) = (&self.signature_algorithm, &issuer.public_key) else {
            return false;
        };
        let fits = match algorithm {
            SignatureAlgorithm::Ecdsa(_) => !key.is_rsa(),
            SignatureAlgorithm::RsaPkcs1(_) | SignatureAlgorithm::RsaPss { .. } => key.is_rsa(),
        };
        let Some(tbs) = self.der.get(self.tbs.clone()).filter(|_| fits) else {
            return false;
        };
        // Nearly all are signed with SHA-256, for which OpenSSL has a way without look-ups.
        if algorithm.digest() == DigestAlgorithm::Sha256 {
            return key.verify(*algorithm, &sha256(tbs), &self.signature);
        }
        let mut digest = Digest::new(algorithm.digest());
        digest.update(tbs);
        key.verify(*algorithm, &digest.finish(), &self.signature)
    }

    /// The subjectPublicKey's octets, which OCSP and key identifiers digest.
    pub(super) fn key_bits(&self) -> &[u8] {
        self.der.get(self.key_bits.clone()).unwrap_or_default()
    }

    pub(super) fn constraints(&self) -> Option<&Constraints> {
        self.extensions.name_constraints.as_ref()
    }

    pub(super) fn policies(&self) -> Option<&[Oid]> {
        self.extensions.policies.as_deref()
    }

    /// The names that name constraints are compared with.
    pub(super) fn names(&self) -> Names<'_> {
        Names {
            subject: &self.subject_name,
            subject_mail: &self.subject_mail,
            alt: &self.extensions.alt_names,
        }
    }
}

fn broken(why: &str) -> CertificateError {
    CertificateError(why.to_owned())
}

/// The fields of a TBSCertificate as elements, in the order of RFC 5280 §4.1 and with nothing between or
/// after them.
struct Fields<'a> {
    tbs: Element<'a>,
    algorithm: Element<'a>,
    inner_algorithm: Element<'a>,
    signature: &'a [u8],
    serial: Element<'a>,
    issuer: Element<'a>,
    validity: Element<'a>,
    subject: Element<'a>,
    key: Element<'a>,
    unique_ids: usize,
    extensions: Option<Element<'a>>,
}

fn fields(der: &[u8]) -> Option<Fields<'_>> {
    let outer = tlv::all(tlv::only(der, tag::SEQUENCE)?.value)?;
    let [tbs, algorithm, signature] = outer.as_slice() else {
        return None;
    };
    let inner = tlv::all(tbs.value)?;
    let inner = match inner.as_slice() {
        [version, rest @ ..] if version.tag == tag::CONTEXT_0 => rest,
        rest => rest,
    };
    let [
        serial,
        inner_algorithm,
        issuer,
        validity,
        subject,
        key,
        rest @ ..,
    ] = inner
    else {
        return None;
    };
    let tags: Vec<u8> = rest.iter().map(|element| element.tag).collect();
    let known = matches!(
        tags.as_slice(),
        [] | [tag::CONTEXT_1 | tag::CONTEXT_2 | tag::CONTEXT_3]
            | [tag::CONTEXT_1, tag::CONTEXT_2 | tag::CONTEXT_3]
            | [tag::CONTEXT_2, tag::CONTEXT_3]
            | [tag::CONTEXT_1, tag::CONTEXT_2, tag::CONTEXT_3]
    );
    let extensions = rest
        .iter()
        .find(|element| element.tag == tag::CONTEXT_3)
        .copied();
    // The signature is whole octets.
    let (0, signature) = signature
        .value
        .split_first()
        .filter(|_| known && signature.tag == tag::BIT_STRING)?
    else {
        return None;
    };
    Some(Fields {
        tbs: *tbs,
        algorithm: *algorithm,
        inner_algorithm: *inner_algorithm,
        signature,
        serial: *serial,
        issuer: *issuer,
        validity: *validity,
        subject: *subject,
        key: *key,
        unique_ids: rest.len().saturating_sub(usize::from(extensions.is_some())),
        extensions,
    })
}

/// Whether two INTEGERs are the same; leading zeros do not count.
fn same_number(one: &[u8], other: &[u8]) -> bool {
    fn trimmed(mut octets: &[u8]) -> &[u8] {
        while let [0, rest @ ..] = octets {
            octets = rest;
        }
        octets
    }
    trimmed(one) == trimmed(other)
}

fn read(der: &[u8], parsed: &X509Certificate<'_>) -> Result<Certificate, CertificateError> {
    let fields = fields(der).ok_or_else(|| broken("its fields are not in order"))?;
    let issuer = Name::parse(fields.issuer.whole).ok_or_else(|| broken("no issuer name"))?;
    let subject = Name::parse(fields.subject.whole).ok_or_else(|| broken("no subject name"))?;
    let mut extensions = fields
        .extensions
        .map(|found| Extensions::read(found.value))
        .unwrap_or_default();
    let mut defects = structure_defects(&fields, parsed);
    defects.append(&mut extensions.defects);
    let lapses = lapses(&fields, &issuer, &subject, &mut extensions);
    if issuer.name.is_empty() {
        // RFC 5280 §4.1.2.4.
        defects.push("the issuer name is empty".to_owned());
    }
    // A hostile certificate can have thousands; a few tell enough.
    defects.truncate(8);
    let key = read_key(fields.key);
    Ok(Certificate {
        fingerprint: sha256(der),
        tbs: range_of(der, fields.tbs.whole),
        serial: fields.serial.value.to_vec(),
        issuer: fields.issuer.whole.to_vec(),
        subject: fields.subject.whole.to_vec(),
        issuer_name: issuer.name,
        subject_name: subject.name,
        subject_text: subject_text(parsed, &extensions),
        issuer_text: printable(&parsed.issuer().to_string()),
        not_before: Timestamp::from_unix_s(parsed.validity().not_before.timestamp()),
        not_after: Timestamp::from_unix_s(parsed.validity().not_after.timestamp()),
        public_key: key.key,
        key_text: key.text,
        key_fault: key.fault,
        key_bits: key_bits(der, fields.key),
        key_id: sha256(fields.key.whole),
        signature_algorithm: read_signature_algorithm(fields.algorithm),
        signature: fields.signature.to_vec(),
        subject_mail: subject.mails,
        extensions,
        defects,
        lapses,
        check_cost: key.cost,
        der: der.to_vec(),
    })
}

/// What RFC 5280 §4 forbids, beyond what no reader takes.
fn lapses(
    fields: &Fields<'_>,
    issuer: &ReadName,
    subject: &ReadName,
    extensions: &mut Extensions,
) -> Vec<Lapse> {
    let found = std::mem::take(&mut extensions.lapses).into_iter();
    let mut lapses: Vec<Lapse> = found.map(|what| Lapse { what, seat: None }).collect();
    lapses.extend(usage_lapses(extensions));
    let mut note = |wrong: bool, seat: Option<Seat>, what: &str| {
        if wrong {
            let what = what.to_owned();
            lapses.push(Lapse { what, seat });
        }
    };
    let is_ca = matches!(extensions.basic_constraints, Some((true, _)));
    // X.690 §8.3.2: two writings of one number would be two names in a CRL.
    note(
        tlv::integer(fields.serial).is_none(),
        None,
        "its serial number is not written shortest",
    );
    // RFC 5280 §4.1.2.2. Negative ones are tolerated, as that section advises: a leading zero was left out.
    note(
        fields.serial.value == [0],
        Some(Seat::BelowAnchor),
        "its serial number is zero",
    );
    note(
        fields.serial.value.len() > 20,
        None,
        "its serial number is longer than 20 octets",
    );
    note(
        issuer.odd || subject.odd,
        None,
        "a name has an attribute that is no string, or has characters its type does not have",
    );
    // RFC 5280 §4.1.2.6.
    note(
        subject.name.is_empty() && (is_ca || extensions.alt_names_critical != Some(true)),
        None,
        "an empty subject without a critical subjectAltName, or of a CA",
    );
    // RFC 5280 §4.2.1.9. Of a CA below, its issuer is answerable for it.
    note(
        is_ca && !extensions.basic_constraints_critical,
        Some(Seat::Anchor),
        "basicConstraints of an anchor is not critical",
    );
    lapses.truncate(8);
    lapses
}

/// RFC 5280 §4.2.1.3, §4.2.1.9, §4.2.1.10: what only a CA may have.
fn usage_lapses(extensions: &Extensions) -> Vec<Lapse> {
    let mut lapses = Vec::new();
    let mut note = |wrong: bool, what: &str| {
        if wrong {
            let what = what.to_owned();
            lapses.push(Lapse { what, seat: None });
        }
    };
    let is_ca = matches!(extensions.basic_constraints, Some((true, _)));
    let signs = extensions.key_usage.map(|usage| usage.key_cert_sign);
    note(
        extensions.name_constraints.is_some() && !is_ca,
        "nameConstraints in a certificate that is no CA",
    );
    note(
        signs == Some(true) && !is_ca,
        "keyCertSign in a certificate that is no CA",
    );
    let length = match extensions.basic_constraints {
        Some((_, length)) => length,
        None => None,
    };
    note(
        length.is_some() && (!is_ca || signs == Some(false)),
        "pathLenConstraint in a certificate that is no CA, or lacks keyCertSign",
    );
    lapses
}

/// The contents of the BIT STRING of a SubjectPublicKeyInfo, without the count of unused bits.
fn key_bits(der: &[u8], key: Element<'_>) -> Range<usize> {
    let parts = tlv::all(key.value).unwrap_or_default();
    let bits = parts.get(1).and_then(|bits| bits.value.get(1..));
    range_of(der, bits.unwrap_or_default())
}

/// Where `part`, a slice of `whole`, lies in it.
pub(super) fn range_of(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    start..start.saturating_add(part.len())
}

fn structure_defects(fields: &Fields<'_>, parsed: &X509Certificate<'_>) -> Vec<String> {
    let mut defects = Vec::new();
    let mut note = |wrong: bool, what: &str| {
        if wrong {
            defects.push(what.to_owned());
        }
    };
    let version = parsed.version().0;
    // RFC 5280 §4.1.2.1: versions are 0 to 2; §4.1.2.8, §4.1.2.9: who may have unique identifiers and
    // extensions.
    note(version > 2, "its version is none that exists");
    note(
        fields.extensions.is_some() && version != 2,
        "extensions in a certificate that is not v3",
    );
    note(
        fields.unique_ids > 0 && version == 0,
        "unique identifiers in a v1 certificate",
    );
    // RFC 5280 §4.1.1.2: both fields must hold the same algorithm.
    let agree = fields.algorithm.whole == fields.inner_algorithm.whole;
    note(
        !agree,
        "the signature algorithm inside differs from the one outside",
    );
    // RFC 5280 §4.1.2.2: at most 20 octets (21 with the leading zero that some CAs add). Zero and negative
    // numbers are tolerated, as that section advises: a serial number names a certificate here and proves
    // nothing.
    let long = fields.serial.value.len() > 21
        || (fields.serial.value.len() == 21 && fields.serial.value.first() != Some(&0));
    note(long, "its serial number is longer than 20 octets");
    note(
        !are_plain_times(fields.validity),
        "its validity is not written in Zulu time",
    );
    defects
}

/// RFC 5280 §4.1.2.5: YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ, nothing shorter, no offsets or fractions.
fn are_plain_times(validity: Element<'_>) -> bool {
    let plain = |time: &Element<'_>| {
        let digits = match time.tag {
            tag::UTC_TIME => 12,
            tag::GENERALIZED_TIME => 14,
            _ => return false,
        };
        time.value.split_last().is_some_and(|(zulu, rest)| {
            *zulu == b'Z' && rest.len() == digits && rest.iter().all(u8::is_ascii_digit)
        })
    };
    tlv::all(validity.value).is_some_and(|times| times.len() == 2 && times.iter().all(plain))
}

/// The subject for people; the first alternative name if the subject is empty.
fn subject_text(parsed: &X509Certificate<'_>, extensions: &Extensions) -> String {
    let text = parsed.subject().to_string();
    if !text.is_empty() {
        return printable(&text);
    }
    let names = &extensions.alt_names;
    let first = names.mail.iter().chain(&names.dns).next();
    first.map_or_else(|| "(no subject)".to_owned(), |name| printable(name))
}

/// One line of bounded length, for logs and terminals.
fn printable(text: &str) -> String {
    const LONGEST: usize = 200;
    let plain = |c: char| if c.is_control() { '?' } else { c };
    text.chars().take(LONGEST).map(plain).collect()
}

#[cfg(test)]
mod tests;
