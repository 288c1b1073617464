//! Distribution points: where the status of a certificate is told, and for what a CRL tells it
//! (RFC 5280 §4.2.1.13, §5.2.5). In: extension values. Out: names that can be compared, reasons as bits. Read
//! by hand, because both sides must be read alike. Nothing is fetched.

use super::general::General;
use super::name::Name;
use super::tlv::{self, Element, tag};

/// ReasonFlags 1 to 8; bit 0 is `unused` (RFC 5280 §4.2.1.13).
pub(super) const ALL_REASONS: u16 = 0b1_1111_1110;

/// A GeneralName as far as it is compared here: directory names as names, the rest octet for octet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PointName {
    Directory(Name),
    /// DER.
    Other(Vec<u8>),
}

/// DistributionPointName.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PointNames {
    Full(Vec<PointName>),
    /// One RDN, to be put below the name of the CRL's issuer.
    Relative(Vec<u8>),
}

impl PointNames {
    /// The full names, given the name of the CRL's issuer.
    pub fn below(&self, issuer: &Name) -> Vec<PointName> {
        match self {
            Self::Full(names) => names.clone(),
            Self::Relative(rdn) => vec![PointName::Directory(issuer.below(rdn))],
        }
    }
}

/// One DistributionPoint of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub names: Option<PointNames>,
    /// Those that its CRL covers.
    pub reasons: u16,
    /// cRLIssuer, its directory names; None if absent.
    pub crl_issuers: Option<Vec<Name>>,
}

impl Point {
    /// Its URIs.
    pub fn urls(&self) -> Vec<String> {
        let Some(PointNames::Full(names)) = &self.names else {
            return Vec::new();
        };
        let uri = |name: &PointName| match name {
            PointName::Directory(_) => None,
            PointName::Other(der) => {
                let (element, _) = tlv::first(der)?;
                let text = std::str::from_utf8(element.value).ok()?;
                (element.tag == 0x86).then(|| text.to_owned())
            }
        };
        names.iter().filter_map(uri).collect()
    }
}

/// IssuingDistributionPoint of a CRL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub names: Option<PointNames>,
    pub only: Option<Only>,
    pub reasons: u16,
    pub indirect: bool,
}

/// For what kind of certificates alone a CRL speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Only {
    Users,
    Cas,
    Attributes,
}

/// Reads CRLDistributionPoints.
pub(super) fn read_points(value: &[u8]) -> Option<Vec<Point>> {
    let points = tlv::all(tlv::only(value, tag::SEQUENCE)?.value)?;
    if points.is_empty() {
        return None;
    }
    points.into_iter().map(read_point).collect()
}

fn read_point(point: Element<'_>) -> Option<Point> {
    if point.tag != tag::SEQUENCE {
        return None;
    }
    let mut out = Point {
        names: None,
        reasons: ALL_REASONS,
        crl_issuers: None,
    };
    let mut last = 0;
    for part in tlv::all(point.value)? {
        if part.tag & 0x1f < last {
            return None;
        }
        last = (part.tag & 0x1f).saturating_add(1);
        match part.tag {
            0xa0 => out.names = Some(read_names(part.value)?),
            0x81 => out.reasons = read_reasons(part.value)?,
            0xa2 => {
                let directory = |name: PointName| match name {
                    PointName::Directory(name) => Some(name),
                    PointName::Other(_) => None,
                };
                let issuers = general_names(part.value)?;
                out.crl_issuers = Some(issuers.into_iter().filter_map(directory).collect());
            }
            _ => return None,
        }
    }
    // RFC 5280 §4.2.1.13: not of reasons alone.
    (out.names.is_some() || out.crl_issuers.is_some()).then_some(out)
}

/// Reads IssuingDistributionPoint.
pub(super) fn read_scope(value: &[u8]) -> Option<Scope> {
    let parts = tlv::all(tlv::only(value, tag::SEQUENCE)?.value)?;
    // RFC 5280 §5.2.5: never an empty sequence.
    if parts.is_empty() {
        return None;
    }
    let mut out = Scope {
        names: None,
        only: None,
        reasons: ALL_REASONS,
        indirect: false,
    };
    let (mut last, mut only) = (0, Vec::new());
    for part in parts {
        if part.tag & 0x1f < last {
            return None;
        }
        last = (part.tag & 0x1f).saturating_add(1);
        match part.tag {
            0xa0 => out.names = Some(read_names(part.value)?),
            0x83 => out.reasons = read_reasons(part.value)?,
            0x84 => out.indirect = boolean(part.value)?,
            0x81 if boolean(part.value)? => only.push(Only::Users),
            0x82 if boolean(part.value)? => only.push(Only::Cas),
            0x85 if boolean(part.value)? => only.push(Only::Attributes),
            0x81 | 0x82 | 0x85 => {}
            _ => return None,
        }
    }
    out.only = match only.as_slice() {
        [] => None,
        [one] => Some(*one),
        // RFC 5280 §5.2.5: at most one of the three.
        _ => return None,
    };
    Some(out)
}

/// The contents of `[0] DistributionPointName`.
fn read_names(value: &[u8]) -> Option<PointNames> {
    match tlv::all(value)?.as_slice() {
        [full] if full.tag == 0xa0 => general_names(full.value).map(PointNames::Full),
        [relative] if relative.tag == 0xa1 => {
            Name::read_rdn(relative.value).map(PointNames::Relative)
        }
        _ => None,
    }
}

/// GeneralNames without its own tag; at least one (RFC 5280 §4.2.1.6).
pub(super) fn general_names(value: &[u8]) -> Option<Vec<PointName>> {
    let names = tlv::all(value)?;
    if names.is_empty() {
        return None;
    }
    let read = |name: Element<'_>| match General::read(name)? {
        General::Directory(name) => Some(PointName::Directory(name)),
        _ => Some(PointName::Other(name.whole.to_vec())),
    };
    names.into_iter().map(read).collect()
}

/// The contents of a BIT STRING of reasons.
fn read_reasons(value: &[u8]) -> Option<u16> {
    let (unused, octets) = value.split_first()?;
    if *unused > 7 || (octets.is_empty() && *unused > 0) || octets.len() > 2 {
        return None;
    }
    let bit = |at: u16| {
        let octet = octets.get(usize::from(at / 8)).copied().unwrap_or(0);
        u16::from(octet & (0x80 >> (at % 8)) != 0) << at
    };
    let mask = (0..9).fold(0, |mask, at| mask | bit(at));
    Some(mask & ALL_REASONS)
}

fn boolean(value: &[u8]) -> Option<bool> {
    match value {
        [0x00] => Some(false),
        [0xff] => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::testing::{el, name};

    #[test]
    fn points_and_scopes_are_read_whole_or_not_at_all() {
        let uri = el(0x86, b"http://ca.example/1.crl");
        let full = el(0xa0, &el(0xa0, &uri));
        let point = |parts: &[Vec<u8>]| read_points(&el(0x30, &el(0x30, &parts.concat())));
        let read = point(&[full.clone(), el(0x81, &[0x01, 0x40])]).expect("a point");
        assert_eq!(read[0].reasons, 0b10);
        assert!(point(&[el(0x81, &[0x01, 0x40])]).is_none());
        assert!(point(&[el(0x81, &[0x01, 0x40]), full.clone()]).is_none());
        assert!(read_points(&el(0x30, &[])).is_none());
        let scope = |parts: &[Vec<u8>]| read_scope(&el(0x30, &parts.concat()));
        let read = scope(&[full, el(0x81, &[0xff]), el(0x84, &[0xff])]).expect("a scope");
        assert_eq!((read.only, read.indirect), (Some(Only::Users), true));
        assert!(scope(&[]).is_none());
        assert!(scope(&[el(0x81, &[0xff]), el(0x82, &[0xff])]).is_none());
        assert!(scope(&[el(0x81, &[0x01])]).is_none());
        assert!(scope(&[el(0x86, &[0xff])]).is_none());
    }

    #[test]
    fn a_relative_name_stands_below_the_issuer() {
        let issuer = Name::parse(&name("CA")).expect("a name").name;
        let whole = name("X");
        let (outer, _) = tlv::first(&whole).expect("an element");
        let (set, _) = tlv::first(outer.value).expect("an element");
        let relative = Name::read_rdn(set.value).expect("an RDN");
        let PointName::Directory(below) = &PointNames::Relative(relative).below(&issuer)[0] else {
            panic!("a directory name");
        };
        assert!(below.is_within(&issuer) && *below != issuer);
    }
}
