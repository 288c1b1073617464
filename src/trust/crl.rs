//! One certificate revocation list (RFC 5280 §5), read strictly and by hand.
//! In: DER. Out: a [`Crl`]: issuer, period, scope, entries. Says nothing about who signed it and what
//! follows: that is `revocation`.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use time::{Date, Month, PrimitiveDateTime, Time};

use crate::crypto::{Digest, SignatureAlgorithm, sha256};
use crate::limits::CRL_OCTETS_MAX;
use crate::world::Timestamp;

use super::Certificate;
use super::algorithm::read_signature_algorithm;
use super::certificate::range_of;
use super::extensions::read_extension;
use super::name::Name;
use super::oid::dotted;
use super::points::{self, PointName, Scope};
use super::tlv::{self, Element, tag};

/// Issuers whose certificates of one number an indirect CRL lists.
const NAMESAKES_MAX: usize = 64;

/// Why it is not a CRL that we read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a CRL: {0}")]
pub struct CrlError(pub String);

/// A parsed CRL. Nothing about it is trusted.
#[derive(Debug)]
pub struct Crl {
    der: Vec<u8>,
    fingerprint: [u8; 32],
    /// Where the signed octets lie in `der`.
    tbs: Range<usize>,
    pub(super) issuer: Name,
    pub(super) this_update: Timestamp,
    /// Absent in a CRL that says nothing about its end: such a one never says that a certificate is good.
    pub(super) next_update: Option<Timestamp>,
    signature_algorithm: Result<SignatureAlgorithm, String>,
    signature: Vec<u8>,
    /// issuingDistributionPoint.
    pub(super) scope: Option<Scope>,
    /// It has deltaCRLIndicator.
    pub(super) is_delta: bool,
    /// Serial number -> entries.
    listed: HashMap<Vec<u8>, Vec<Entry>>,
    /// Why it must not be used at all (RFC 5280 §5.2, §5.3).
    pub(super) defects: Vec<String>,
    /// It lists a certificate twice: RFC 5280 §5.1.2.6 lists each one once (`Standard::Rfc5280`).
    pub(super) lists_twice: bool,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Names of the certificate's issuer in an indirect CRL; None: the CRL's own issuer.
    issuers: Option<Arc<Vec<PointName>>>,
    pub reason: EntryReason,
}

/// What matters of CRLReason (RFC 5280 §5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryReason {
    /// It may be lifted again.
    Hold,
    /// It was lifted; in deltas alone.
    Removed,
    ForGood,
}

impl Crl {
    /// Reads DER.
    ///
    /// # Errors
    /// [`CrlError`] if it is no CRL; what must merely not be used is kept as a defect.
    pub fn parse(der: &[u8]) -> Result<Arc<Self>, CrlError> {
        if der.len() > CRL_OCTETS_MAX {
            return Err(broken("larger than the limit"));
        }
        read(der).map(Arc::new)
    }

    /// SHA-256 of the DER.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// Octets of the DER.
    pub fn size(&self) -> usize {
        self.der.len()
    }

    /// When it was made.
    pub fn this_update(&self) -> Timestamp {
        self.this_update
    }

    /// When the next one is due.
    pub fn next_update(&self) -> Option<Timestamp> {
        self.next_update
    }

    /// Whether the other one is by the same issuer, for the same scope, and was made later.
    pub(super) fn is_replaced_by(&self, other: &Self) -> bool {
        other.issuer == self.issuer
            && other.scope == self.scope
            && other.is_delta == self.is_delta
            && other.this_update > self.this_update
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
        let Some(tbs) = self.der.get(self.tbs.clone()) else {
            return false;
        };
        let mut digest = Digest::new(algorithm.digest());
        digest.update(tbs);
        key.verify(*algorithm, &digest.finish(), &self.signature)
    }

    /// The entry for a certificate.
    pub(super) fn entry(&self, certificate: &Certificate) -> Option<&Entry> {
        let issuer = &certificate.issuer_name;
        let names = |entry: &&Entry| match &entry.issuers {
            None => self.issuer == *issuer,
            Some(names) => names
                .iter()
                .any(|name| matches!(name, PointName::Directory(name) if name == issuer)),
        };
        let listed = self.listed.get(shortest(certificate.serial()))?;
        let mut found = listed.iter().filter(names);
        // Twice listed counts as the worse of both.
        let first = found.next()?;
        Some(found.fold(first, |worst, next| match next.reason {
            EntryReason::ForGood => next,
            _ => worst,
        }))
    }
}

/// A number without octets that say nothing: two writings of one number are one certificate.
fn shortest(mut number: &[u8]) -> &[u8] {
    while let [0, next, ..] | [0xff, next, ..] = number {
        let idle = (number.first() == Some(&0)) == (*next < 0x80);
        match number.get(1..) {
            Some(rest) if idle => number = rest,
            _ => break,
        }
    }
    number
}

fn broken(why: &str) -> CrlError {
    CrlError(why.to_owned())
}

/// The fields of TBSCertList (RFC 5280 §5.1).
struct Fields<'a> {
    version: Option<Element<'a>>,
    algorithm: Element<'a>,
    issuer: Element<'a>,
    this_update: Element<'a>,
    next_update: Option<Element<'a>>,
    revoked: Option<Element<'a>>,
    extensions: Option<Element<'a>>,
}

fn fields<'a>(tbs: &[Element<'a>]) -> Option<Fields<'a>> {
    fn take<'a>(rest: &mut &[Element<'a>], fits: impl Fn(u8) -> bool) -> Option<Element<'a>> {
        let (first, after) = rest.split_first()?;
        if !fits(first.tag) {
            return None;
        }
        *rest = after;
        Some(*first)
    }
    let is_time = |tag: u8| matches!(tag, tag::UTC_TIME | tag::GENERALIZED_TIME);
    let mut rest = tbs;
    let found = Fields {
        version: take(&mut rest, |tag| tag == tag::INTEGER),
        algorithm: take(&mut rest, |tag| tag == tag::SEQUENCE)?,
        issuer: take(&mut rest, |tag| tag == tag::SEQUENCE)?,
        this_update: take(&mut rest, is_time)?,
        next_update: take(&mut rest, is_time),
        revoked: take(&mut rest, |tag| tag == tag::SEQUENCE),
        extensions: take(&mut rest, |tag| tag == tag::CONTEXT_0),
    };
    rest.is_empty().then_some(found)
}

fn read(der: &[u8]) -> Result<Crl, CrlError> {
    let odd = || broken("its structure does not decode");
    let list = tlv::only(der, tag::SEQUENCE).ok_or_else(odd)?;
    let outer = tlv::all(list.value).ok_or_else(odd)?;
    let [tbs, algorithm, signature] = outer.as_slice() else {
        return Err(odd());
    };
    let inner = tlv::all(tbs.value).ok_or_else(odd)?;
    let fields = fields(&inner)
        .filter(|_| tbs.tag == tag::SEQUENCE)
        .ok_or_else(odd)?;
    let whole = |octets: &'_ [u8]| {
        octets
            .split_first()
            .filter(|(unused, _)| **unused == 0)
            .is_some()
    };
    if signature.tag != tag::BIT_STRING || !whole(signature.value) {
        return Err(odd());
    }
    let issuer = Name::parse(fields.issuer.whole).ok_or_else(|| broken("no issuer name"))?;
    let time = |at: Element<'_>| read_time(at).ok_or_else(|| broken("a time that is none"));
    let mut crl = Crl {
        fingerprint: sha256(der),
        tbs: range_of(der, tbs.whole),
        issuer: issuer.name,
        this_update: time(fields.this_update)?,
        next_update: fields.next_update.map(time).transpose()?,
        signature_algorithm: read_signature_algorithm(*algorithm),
        signature: signature.value.get(1..).unwrap_or_default().to_vec(),
        scope: None,
        is_delta: false,
        listed: HashMap::new(),
        defects: Vec::new(),
        lists_twice: false,
        der: der.to_vec(),
    };
    crl.check_structure(&fields, *algorithm);
    crl.read_extensions(&fields);
    crl.read_entries(&fields)?;
    crl.defects.truncate(8);
    Ok(crl)
}

impl Crl {
    fn note(&mut self, wrong: bool, what: &str) {
        if wrong {
            self.defects.push(what.to_owned());
        }
    }

    fn check_structure(&mut self, fields: &Fields<'_>, algorithm: Element<'_>) {
        let version = fields.version.map(|version| version.value);
        // RFC 5280 §5.1.2.1: v2, or none; extensions make it v2.
        let known = matches!(version, None | Some([1]));
        self.note(!known, "its version is none that exists");
        let plain = version.is_none() && fields.extensions.is_some();
        self.note(plain, "extensions in a CRL that is not v2");
        // RFC 5280 §5.1.1.2.
        let agree = algorithm.whole == fields.algorithm.whole;
        self.note(
            !agree,
            "the signature algorithm inside differs from the one outside",
        );
        // RFC 5280 §5.1.2.3.
        self.note(self.issuer.is_empty(), "the issuer name is empty");
        // RFC 5280 §5.1.2.6: absent rather than empty.
        let empty = fields.revoked.is_some_and(|list| list.value.is_empty());
        self.note(empty, "an empty list of revoked certificates");
        let numbered = fields.extensions.is_some();
        // RFC 5280 §5.2.3: every v2 CRL has a number.
        self.note(
            version.is_some() && !numbered,
            "it has no cRLNumber (RFC 5280 §5.2.3)",
        );
    }

    fn read_extensions(&mut self, fields: &Fields<'_>) {
        let Some(extensions) = fields.extensions else {
            return;
        };
        let list = tlv::only(extensions.value, tag::SEQUENCE)
            .and_then(|list| tlv::all(list.value))
            .filter(|list| !list.is_empty());
        let Some(list) = list else {
            return self.note(true, "its extensions do not decode");
        };
        let mut seen = HashSet::new();
        for extension in list {
            let Some((oid, critical, value)) = read_extension(extension) else {
                self.note(true, "an extension does not decode");
                continue;
            };
            let oid = dotted(oid);
            self.take_extension(&oid, critical, value);
            let again = !seen.insert(oid);
            // RFC 5280 §4.2, which §5.2 follows.
            self.note(again, "an extension appears twice");
        }
        // RFC 5280 §5.2.3.
        self.note(
            !seen.contains("2.5.29.20"),
            "it has no cRLNumber (RFC 5280 §5.2.3)",
        );
    }

    fn take_extension(&mut self, oid: &str, critical: bool, value: &[u8]) {
        let is_number = |value| {
            tlv::only(value, tag::INTEGER).is_some_and(|number| tlv::unsigned(number).is_some())
        };
        match oid {
            "2.5.29.20" => {
                self.note(!is_number(value), "cRLNumber does not decode");
                self.note(critical, "cRLNumber is critical (RFC 5280 §5.2.3)");
            }
            "2.5.29.27" => {
                self.is_delta = true;
                self.note(!is_number(value), "deltaCRLIndicator does not decode");
            }
            "2.5.29.28" => {
                self.scope = points::read_scope(value);
                self.note(
                    self.scope.is_none(),
                    "issuingDistributionPoint does not decode",
                );
            }
            "2.5.29.35" => {
                self.note(
                    tlv::only(value, tag::SEQUENCE).is_none(),
                    "authorityKeyIdentifier does not decode",
                );
                self.note(critical, "authorityKeyIdentifier is critical");
            }
            // issuerAltName, freshestCRL, authorityInfoAccess: not needed to judge, and never critical
            // (RFC 5280 §5.2.2, §5.2.6, §5.2.7) but for the first, which asks for nothing.
            "2.5.29.18" => {}
            _ => self.note(
                critical,
                &format!("extension {oid} is critical and not known (RFC 5280 §5.2)"),
            ),
        }
    }

    fn read_entries(&mut self, fields: &Fields<'_>) -> Result<(), CrlError> {
        let Some(revoked) = fields.revoked else {
            return Ok(());
        };
        let indirect = self.scope.as_ref().is_some_and(|scope| scope.indirect);
        // RFC 5280 §5.3.3: an entry's issuer holds for those after it, too.
        let mut issuers = None;
        let mut rest = revoked.value;
        while !rest.is_empty() {
            let odd = || broken("an entry does not decode");
            let (element, after) = tlv::first(rest).ok_or_else(odd)?;
            rest = after;
            let read = read_entry(element).ok_or_else(odd)?;
            self.note(
                fields.version.is_none() && read.has_extensions,
                "entry extensions in a CRL that is not v2",
            );
            if self.defects.len() < 8 {
                self.defects.extend(read.defects);
            }
            if let Some(names) = read.issuers {
                self.note(!indirect, "certificateIssuer in a CRL that is not indirect");
                issuers = Some(Arc::new(names));
            }
            let entry = Entry {
                issuers: issuers.clone(),
                reason: read.reason,
            };
            let serial = shortest(read.serial).to_vec();
            let listed = self.listed.entry(serial).or_default();
            // One number can be that of many issuers; so many are taken for a fault rather than compared.
            self.lists_twice |= listed.len() >= NAMESAKES_MAX
                || listed.iter().any(|known| known.issuers == entry.issuers);
            listed.push(entry);
        }
        Ok(())
    }
}

struct ReadEntry<'a> {
    serial: &'a [u8],
    reason: EntryReason,
    issuers: Option<Vec<PointName>>,
    has_extensions: bool,
    defects: Vec<String>,
}

fn read_entry(entry: Element<'_>) -> Option<ReadEntry<'_>> {
    if entry.tag != tag::SEQUENCE {
        return None;
    }
    let parts = tlv::all(entry.value)?;
    let (serial, extensions) = match parts.as_slice() {
        [serial, at] => (serial, read_time(*at).map(|_| None)?),
        [serial, at, extensions] => (serial, read_time(*at).map(|_| Some(*extensions))?),
        _ => return None,
    };
    if serial.tag != tag::INTEGER || serial.value.is_empty() {
        return None;
    }
    let mut read = ReadEntry {
        serial: serial.value,
        reason: EntryReason::ForGood,
        issuers: None,
        has_extensions: extensions.is_some(),
        defects: Vec::new(),
    };
    let Some(extensions) = extensions else {
        return Some(read);
    };
    let mut seen = HashSet::new();
    for extension in tlv::all(extensions.value).filter(|_| extensions.tag == tag::SEQUENCE)? {
        let (oid, critical, value) = read_extension(extension)?;
        if !seen.insert(oid) {
            read.defects
                .push("an entry extension appears twice".to_owned());
        }
        read_entry_extension(&mut read, &dotted(oid), critical, value)?;
    }
    Some(read)
}

fn read_entry_extension(
    read: &mut ReadEntry<'_>,
    oid: &str,
    critical: bool,
    value: &[u8],
) -> Option<()> {
    match oid {
        "2.5.29.21" => {
            read.reason = match tlv::only(value, tag::ENUMERATED)?.value {
                [6] => EntryReason::Hold,
                [8] => EntryReason::Removed,
                [_] => EntryReason::ForGood,
                _ => return None,
            };
        }
        // invalidityDate says nothing that changes the verdict.
        "2.5.29.24" => {}
        "2.5.29.29" => {
            let names = tlv::only(value, tag::SEQUENCE)?;
            read.issuers = Some(points::general_names(names.value)?);
        }
        _ if critical => {
            let what = format!("entry extension {oid} is critical and not known (RFC 5280 §5.3)");
            read.defects.push(what);
        }
        _ => {}
    }
    Some(())
}

/// RFC 5280 §4.1.2.5, §5.1.2.4: Zulu time with seconds and nothing else.
pub(super) fn read_time(time: Element<'_>) -> Option<Timestamp> {
    let (zulu, digits) = time.value.split_last()?;
    if *zulu != b'Z' || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |digits: &[u8]| {
        let add = |sum: u32, digit: &u8| sum * 10 + u32::from(digit.wrapping_sub(b'0'));
        digits.iter().fold(0, add)
    };
    let (year, rest) = match (time.tag, digits.len()) {
        (tag::UTC_TIME, 12) => {
            let year = number(digits.get(..2)?);
            (
                if year < 50 { 2000 + year } else { 1900 + year },
                digits.get(2..)?,
            )
        }
        (tag::GENERALIZED_TIME, 14) => (number(digits.get(..4)?), digits.get(4..)?),
        _ => return None,
    };
    let mut pairs = rest.chunks(2).map(|pair| u8::try_from(number(pair)).ok());
    let mut next = || pairs.next().flatten();
    let (month, day) = (Month::try_from(next()?).ok()?, next()?);
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, day).ok()?;
    let time = Time::from_hms(next()?, next()?, next()?).ok()?;
    let at = PrimitiveDateTime::new(date, time).assume_utc();
    Some(Timestamp::from_unix_s(at.unix_timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_rfc_5280_and_nothing_near_them() {
        let read = |tag: u8, text: &[u8]| {
            read_time(Element {
                tag,
                whole: &[],
                value: text,
            })
            .map(Timestamp::rfc3339)
        };
        for (tag, text, expected) in [
            (
                tag::UTC_TIME,
                &b"490101000000Z"[..],
                Some("2049-01-01T00:00:00Z"),
            ),
            (
                tag::UTC_TIME,
                b"500101000000Z",
                Some("1950-01-01T00:00:00Z"),
            ),
            (
                tag::GENERALIZED_TIME,
                b"20501231235959Z",
                Some("2050-12-31T23:59:59Z"),
            ),
            (tag::UTC_TIME, b"4901010000Z", None),
            (tag::UTC_TIME, b"490101000000+0100", None),
            (tag::UTC_TIME, b"490230000000Z", None),
            (tag::GENERALIZED_TIME, b"20501231235959.5Z", None),
            (tag::GENERALIZED_TIME, b"20501231235960Z", None),
        ] {
            assert_eq!(read(tag, text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn one_serial_number_written_twice_is_one() {
        for (long, short) in [
            (&[0, 0, 1][..], &[1][..]),
            (&[0, 0x80], &[0, 0x80]),
            (&[0xff, 0xff, 0x80], &[0x80]),
            (&[0xff, 0x7f], &[0xff, 0x7f]),
            (&[0], &[0]),
            (&[0, 0], &[0]),
        ] {
            assert_eq!(shortest(long), short);
        }
    }
}
