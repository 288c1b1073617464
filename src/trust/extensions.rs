//! The extensions of one certificate (RFC 5280 §4.2), decoded strictly: the whole value, nothing after it.
//! In: the Extensions element. Out: what the path rules use, and a list of defects. A known extension that
//! does not decode is a defect whether it is critical or not; so is one that appears twice, and an unknown
//! one that is critical.

use std::collections::HashSet;

use der::Decode;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, CrlDistributionPoints, InhibitAnyPolicy,
    PolicyConstraints, SubjectInfoAccessSyntax, SubjectKeyIdentifier,
};

use crate::limits::POINTERS_MAX;

use super::KeyUsage;
use super::constraints::{Base, Constraints};
use super::general::General;
use super::name::Name;
use super::oid::{Oid, dotted, is_oid};
use super::points::{self, Point};
use super::tlv::{self, Element, tag};

/// Names of a subjectAltName by form.
#[derive(Debug, Default)]
pub(super) struct AltNames {
    pub mail: Vec<String>,
    /// SmtpUTF8Mailbox (RFC 9598); stands among `other`, too.
    pub utf8_mail: Vec<String>,
    pub dns: Vec<String>,
    pub directory: Vec<Name>,
    pub uri: Vec<String>,
    /// 4 or 16 octets.
    pub ip: Vec<Vec<u8>>,
    /// Forms that are not compared: `registeredID`, `ediPartyName`, `otherName OID`, and an `iPAddress` of
    /// another length.
    pub other: Vec<String>,
}

/// What the extensions say.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    pub key_usage: Option<KeyUsage>,
    pub extended_key_usage: Option<Vec<String>>,
    pub basic_constraints: Option<(bool, Option<u32>)>,
    pub basic_constraints_critical: bool,
    pub subject_key_id: Option<Vec<u8>>,
    pub authority_key_id: Option<Vec<u8>>,
    pub alt_names: AltNames,
    /// Whether subjectAltName is critical; None if it is absent.
    pub alt_names_critical: Option<bool>,
    pub name_constraints: Option<Constraints>,
    /// certificatePolicies; None if the extension is absent.
    pub policies: Option<Vec<Oid>>,
    /// policyMappings: (issuerDomainPolicy, subjectDomainPolicy).
    pub policy_mappings: Vec<(Oid, Oid)>,
    pub require_explicit_policy: Option<u32>,
    pub inhibit_policy_mapping: Option<u32>,
    pub inhibit_any_policy: Option<u32>,
    /// cRLDistributionPoints; None if the extension is absent.
    pub points: Option<Vec<Point>>,
    /// authorityInfoAccess: URLs of OCSP responders (RFC 5280 §4.2.2.1).
    pub responders: Vec<String>,
    /// authorityInfoAccess: URLs of the issuer's certificates.
    pub issuers_at: Vec<String>,
    /// id-pkix-ocsp-nocheck (RFC 6960 §4.2.2.2.1).
    pub no_check: bool,
    pub defects: Vec<String>,
    /// What RFC 5280 forbids and the field writes all the same: refused under `Standard::Rfc5280` alone.
    pub lapses: Vec<String>,
}

/// A value that is known but wrong, in words.
type Defect = String;

impl Extensions {
    /// Reads the contents of `[3] EXPLICIT Extensions`.
    pub fn read(octets: &[u8]) -> Self {
        let mut out = Self::default();
        let list = tlv::only(octets, tag::SEQUENCE).and_then(|list| tlv::all(list.value));
        let Some(list) = list.filter(|list| !list.is_empty()) else {
            out.defects
                .push("the extensions do not decode (RFC 5280 §4.1.2.9)".to_owned());
            return out;
        };
        let mut seen = HashSet::new();
        for extension in list {
            match read_extension(extension) {
                None => out
                    .defects
                    .push("an extension does not decode (RFC 5280 §4.2)".to_owned()),
                Some((oid, ..)) if !seen.insert(oid) => {
                    // RFC 5280 §4.2: not more than one instance of an extension.
                    out.defects
                        .push(format!("extension {} appears twice", dotted(oid)));
                }
                Some((oid, critical, value)) => {
                    if let Err(defect) = out.take(&dotted(oid), critical, value) {
                        out.defects.push(defect);
                    }
                }
            }
        }
        out
    }

    fn take(&mut self, oid: &str, critical: bool, value: &[u8]) -> Result<(), Defect> {
        self.check_critical(oid, critical);
        refuse_empty(oid, value)?;
        match oid {
            "2.5.29.14" => {
                let id: SubjectKeyIdentifier = decode("subjectKeyIdentifier", value)?;
                self.subject_key_id = Some(id.0.as_bytes().to_vec());
            }
            "2.5.29.15" => {
                let bits = named_bits("keyUsage", value)?;
                // RFC 5280 §4.2.1.3: at least one bit. X.690 §11.2.2: no zeros at the end.
                self.lapse(bits.mask == 0, "keyUsage without any bit");
                self.lapse(bits.idle && bits.mask != 0, "keyUsage ends in zeros");
                self.key_usage = Some(key_usage(bits.mask));
            }
            "2.5.29.17" => self.take_alt_names(critical, value)?,
            "2.5.29.19" => {
                self.basic_constraints = Some(basic_constraints(value)?);
                self.basic_constraints_critical = critical;
            }
            "2.5.29.30" => {
                let constraints = name_constraints(value, &mut self.lapses)?;
                self.name_constraints = Some(constraints);
            }
            "2.5.29.31" => self.take_points(value)?,
            "2.5.29.35" => {
                let id: AuthorityKeyIdentifier = decode("authorityKeyIdentifier", value)?;
                // RFC 5280 §4.2.1.1: both or neither.
                let halves =
                    id.authority_cert_issuer.is_some() != id.authority_cert_serial_number.is_some();
                self.lapse(halves, "authorityKeyIdentifier with half an issuer");
                self.authority_key_id = id.key_identifier.map(|id| id.as_bytes().to_vec());
            }
            "1.3.6.1.5.5.7.1.1" => self.take_access(value)?,
            "1.3.6.1.5.5.7.48.1.5" => {
                let null = tlv::only(value, tag::NULL).is_some_and(|null| null.value.is_empty());
                refuse("ocsp-nocheck is not NULL", !null)?;
                self.no_check = true;
            }
            "2.5.29.37" => self.extended_key_usage = Some(extended_key_usage(value)?),
            "2.5.29.32" | "2.5.29.33" | "2.5.29.36" | "2.5.29.54" => self.policy(oid, value)?,
            _ => merely_known(oid, critical, value)?,
        }
        Ok(())
    }

    fn lapse(&mut self, found: bool, what: &str) {
        if found {
            self.lapses.push(what.to_owned());
        }
    }

    /// Those that RFC 5280 §4.2.1 and §4.2.2 want one way or the other: a restriction that other readers may
    /// pass over restricts nothing, and a critical extension asks for what is not done here.
    fn check_critical(&mut self, oid: &str, critical: bool) {
        let (name, wanted) = match oid {
            "2.5.29.30" => ("nameConstraints", true),
            "2.5.29.36" => ("policyConstraints", true),
            "2.5.29.54" => ("inhibitAnyPolicy", true),
            "2.5.29.14" => ("subjectKeyIdentifier", false),
            "2.5.29.35" => ("authorityKeyIdentifier", false),
            "2.5.29.46" => ("freshestCRL", false),
            "2.5.29.9" => ("subjectDirectoryAttributes", false),
            "1.3.6.1.5.5.7.1.1" => ("authorityInfoAccess", false),
            "1.3.6.1.5.5.7.1.11" => ("subjectInfoAccess", false),
            _ => return,
        };
        let what = if wanted {
            "is not critical"
        } else {
            "is critical"
        };
        self.lapse(critical != wanted, &format!("{name} {what}"));
    }

    fn take_alt_names(&mut self, critical: bool, value: &[u8]) -> Result<(), Defect> {
        self.alt_names = alt_names(value)?;
        let short = |form: &String| form == "iPAddress";
        let odd = self.alt_names.other.iter().any(short);
        self.lapse(odd, "an iPAddress that has neither 4 nor 16 octets");
        let odd = !self
            .alt_names
            .mail
            .iter()
            .all(|mail| is_strict_mailbox(mail));
        self.lapse(odd, "an rfc822Name that is no Mailbox of RFC 5321");
        let odd = !self.alt_names.dns.iter().all(|dns| is_preferred(dns));
        self.lapse(odd, "a dNSName that is not in the preferred name syntax");
        let odd = !self.alt_names.uri.iter().all(|uri| is_absolute(uri));
        self.lapse(odd, "a uniformResourceIdentifier without scheme");
        self.alt_names_critical = Some(critical);
        Ok(())
    }

    fn take_access(&mut self, value: &[u8]) -> Result<(), Defect> {
        let access: AuthorityInfoAccessSyntax = decode("authorityInfoAccess", value)?;
        for one in access.0 {
            let GeneralName::UniformResourceIdentifier(uri) = one.access_location else {
                continue;
            };
            let urls = match one.access_method.to_string().as_str() {
                "1.3.6.1.5.5.7.48.1" => &mut self.responders,
                "1.3.6.1.5.5.7.48.2" => &mut self.issuers_at,
                _ => continue,
            };
            if urls.len() < POINTERS_MAX {
                urls.push(uri.as_str().to_owned());
            }
        }
        Ok(())
    }

    fn take_points(&mut self, value: &[u8]) -> Result<(), Defect> {
        decode::<CrlDistributionPoints>("cRLDistributionPoints", value)?;
        let read = points::read_points(value);
        self.lapse(
            read.is_none(),
            "cRLDistributionPoints has a point without name",
        );
        self.points = Some(read.unwrap_or_default());
        Ok(())
    }

    fn policy(&mut self, oid: &str, value: &[u8]) -> Result<(), Defect> {
        match oid {
            "2.5.29.32" => self.policies = Some(policies(value)?),
            "2.5.29.33" => {
                self.policy_mappings = mappings(value)?;
            }
            "2.5.29.36" => {
                let found: PolicyConstraints = decode("policyConstraints", value)?;
                // RFC 5280 §4.2.1.11: never an empty sequence.
                let (explicit, mapping) =
                    (found.require_explicit_policy, found.inhibit_policy_mapping);
                self.lapse(explicit.or(mapping).is_none(), "policyConstraints is empty");
                self.require_explicit_policy = found.require_explicit_policy;
                self.inhibit_policy_mapping = found.inhibit_policy_mapping;
            }
            _ => {
                let found: InhibitAnyPolicy = decode("inhibitAnyPolicy", value)?;
                self.inhibit_any_policy = Some(found.0);
            }
        }
        Ok(())
    }
}

/// Extensions that ask nothing of a path, but must decode all the same; and those that are not known.
fn merely_known(oid: &str, critical: bool, value: &[u8]) -> Result<(), Defect> {
    match oid {
        "2.5.29.18" => {
            let names = listed("issuerAltName", value)?;
            let wrong = names.into_iter().any(|one| General::read(one).is_none());
            refuse("issuerAltName does not decode", wrong)
        }
        "2.5.29.46" => decode::<CrlDistributionPoints>("freshestCRL", value).map(drop),
        "2.5.29.9" => directory_attributes(value),
        "1.3.6.1.5.5.7.1.11" => {
            decode::<SubjectInfoAccessSyntax>("subjectInfoAccess", value).map(drop)
        }
        // RFC 5280 §4.2: an unrecognised critical extension refuses the certificate (G-033).
        _ if critical => Err(format!("extension {oid} is critical and not known")),
        _ => Ok(()),
    }
}

/// (extnID, critical, extnValue).
pub(super) fn read_extension(extension: Element<'_>) -> Option<(&[u8], bool, &[u8])> {
    if extension.tag != tag::SEQUENCE {
        return None;
    }
    let parts = tlv::all(extension.value)?;
    let (oid, critical, value) = match parts.as_slice() {
        [oid, value] => (oid, false, value),
        [oid, critical, value] if critical.tag == tag::BOOLEAN => {
            (oid, read_boolean(critical.value)?, value)
        }
        _ => return None,
    };
    (is_oid(oid.tag, oid.value) && value.tag == tag::OCTET_STRING).then_some((
        oid.value,
        critical,
        value.value,
    ))
}

/// RFC 5280 §4.2: these are SEQUENCE SIZE (1..MAX).
fn refuse_empty(oid: &str, value: &[u8]) -> Result<(), Defect> {
    let name = match oid {
        "2.5.29.9" => "subjectDirectoryAttributes",
        "2.5.29.46" => "freshestCRL",
        "1.3.6.1.5.5.7.1.1" => "authorityInfoAccess",
        "1.3.6.1.5.5.7.1.11" => "subjectInfoAccess",
        _ => return Ok(()),
    };
    let empty = tlv::only(value, tag::SEQUENCE).is_some_and(|list| list.value.is_empty());
    refuse(&format!("{name} is empty"), empty)
}

/// RFC 5280 §4.2.1.8: SEQUENCE OF Attribute, each with a type and a SET of values.
fn directory_attributes(value: &[u8]) -> Result<(), Defect> {
    let attribute = |one: &Element<'_>| {
        let parts = (one.tag == tag::SEQUENCE).then(|| tlv::all(one.value))?;
        match parts?.as_slice() {
            [kind, values] if is_oid(kind.tag, kind.value) && values.tag == tag::SET => {
                tlv::all(values.value).map(|values| values.len())
            }
            _ => None,
        }
    };
    let list = tlv::only(value, tag::SEQUENCE).and_then(|list| tlv::all(list.value));
    let fine = list.is_some_and(|list| list.iter().all(|one| attribute(one).unwrap_or(0) > 0));
    refuse("subjectDirectoryAttributes does not decode", !fine)
}

/// X.690 §11.1: 0x00 or 0xFF and nothing else.
fn read_boolean(value: &[u8]) -> Option<bool> {
    match value {
        [0x00] => Some(false),
        [0xff] => Some(true),
        _ => None,
    }
}

fn decode<'v, T: Decode<'v>>(what: &str, value: &'v [u8]) -> Result<T, Defect> {
    T::from_der(value).map_err(|error| format!("{what} does not decode: {error}"))
}

fn refuse(why: &str, wrong: bool) -> Result<(), Defect> {
    if wrong { Err(why.to_owned()) } else { Ok(()) }
}

/// A named bit list; bit n of the mask is bit (n) of the list.
struct NamedBits {
    mask: u16,
    /// Whether it ends in zeros.
    idle: bool,
}

/// Strict: what is not used is zero (X.690 §11.2.1), and there are at most two octets of bits.
fn named_bits(what: &str, value: &[u8]) -> Result<NamedBits, Defect> {
    let read = || {
        let bits = tlv::only(value, tag::BIT_STRING)?.value;
        let (unused, octets) = bits.split_first()?;
        let last = octets.last().copied().unwrap_or(0);
        let spare = last & !0xff_u8.checked_shl(u32::from(*unused)).unwrap_or(0);
        if *unused > 7 || octets.len() > 2 || spare != 0 || (octets.is_empty() && *unused != 0) {
            return None;
        }
        let octet = |at: usize| u16::from(octets.get(at).copied().unwrap_or(0).reverse_bits());
        Some(NamedBits {
            mask: octet(0) | (octet(1) << 8),
            idle: last == 0 || u32::from(*unused) != last.trailing_zeros(),
        })
    };
    read().ok_or_else(|| format!("{what} does not decode"))
}

fn key_usage(mask: u16) -> KeyUsage {
    let bit = |at: u16| mask & (1 << at) != 0;
    KeyUsage {
        digital_signature: bit(0),
        non_repudiation: bit(1),
        key_encipherment: bit(2),
        key_agreement: bit(4),
        key_cert_sign: bit(5),
        crl_sign: bit(6),
    }
}

/// The elements of a SEQUENCE SIZE (1..MAX) that the value is.
fn listed<'v>(what: &str, value: &'v [u8]) -> Result<Vec<Element<'v>>, Defect> {
    let list = tlv::only(value, tag::SEQUENCE).and_then(|list| tlv::all(list.value));
    let list = list.ok_or_else(|| format!("{what} does not decode"))?;
    refuse(&format!("{what} is empty"), list.is_empty())?;
    Ok(list)
}

/// RFC 5280 §4.2.1.12.
fn extended_key_usage(value: &[u8]) -> Result<Vec<String>, Defect> {
    let what = "extendedKeyUsage";
    let read = |one: Element<'_>| is_oid(one.tag, one.value).then(|| dotted(one.value));
    let uses: Option<Vec<String>> = listed(what, value)?.into_iter().map(read).collect();
    uses.ok_or_else(|| format!("{what} does not decode"))
}

/// Read by hand: `x509-cert` holds pathLenConstraint in eight bits.
fn basic_constraints(value: &[u8]) -> Result<(bool, Option<u32>), Defect> {
    let read = || {
        let parts = tlv::all(tlv::only(value, tag::SEQUENCE)?.value)?;
        let (ca, rest) = match parts.as_slice() {
            [first, rest @ ..] if first.tag == tag::BOOLEAN => (read_boolean(first.value)?, rest),
            rest => (false, rest),
        };
        match rest {
            [] => Some((ca, None)),
            [length] => {
                let digits = tlv::unsigned(*length)?;
                // More than four octets of length are as good as no constraint.
                let fold = |sum: u32, digit: &u8| (sum << 8) | u32::from(*digit);
                let length = if digits.len() > 4 {
                    u32::MAX
                } else {
                    digits.iter().fold(0, fold)
                };
                Some((ca, Some(length)))
            }
            _ => None,
        }
    };
    read().ok_or_else(|| "basicConstraints does not decode".to_owned())
}

/// RFC 5280 §4.2.1.4.
fn policies(value: &[u8]) -> Result<Vec<Oid>, Defect> {
    let what = "certificatePolicies";
    let read: Option<Vec<Oid>> = listed(what, value)?.into_iter().map(policy).collect();
    let mut oids = read.ok_or_else(|| format!("{what} does not decode"))?;
    let count = oids.len();
    oids.sort();
    oids.dedup();
    refuse(&format!("{what} names a policy twice"), oids.len() != count)?;
    Ok(oids)
}

/// PolicyInformation; its qualifiers are SIZE (1..MAX), each an OID and what it says.
fn policy(one: Element<'_>) -> Option<Oid> {
    let parts = tlv::all(one.value).filter(|_| one.tag == tag::SEQUENCE)?;
    let fine = |qualifier: &Element<'_>| {
        let parts = tlv::all(qualifier.value).filter(|_| qualifier.tag == tag::SEQUENCE);
        parts.is_some_and(|parts| match parts.as_slice() {
            [kind] | [kind, _] => is_oid(kind.tag, kind.value),
            _ => false,
        })
    };
    match parts.as_slice() {
        [kind] => Oid::of(*kind),
        [kind, list] if list.tag == tag::SEQUENCE => {
            let qualifiers = tlv::all(list.value).filter(|list| !list.is_empty())?;
            qualifiers.iter().all(fine).then(|| Oid::of(*kind))?
        }
        _ => None,
    }
}

/// RFC 5280 §4.2.1.5.
fn mappings(value: &[u8]) -> Result<Vec<(Oid, Oid)>, Defect> {
    let what = "policyMappings";
    let read = |one: Element<'_>| {
        let parts = tlv::all(one.value).filter(|_| one.tag == tag::SEQUENCE)?;
        match parts.as_slice() {
            [from, to] => Some((Oid::of(*from)?, Oid::of(*to)?)),
            _ => None,
        }
    };
    let pairs: Option<Vec<_>> = listed(what, value)?.into_iter().map(read).collect();
    pairs.ok_or_else(|| format!("{what} does not decode"))
}

/// RFC 5280 §4.2.1.6: at least one entry, none of them empty.
fn alt_names(value: &[u8]) -> Result<AltNames, Defect> {
    let what = "subjectAltName";
    let mut names = AltNames::default();
    for element in listed(what, value)? {
        let name = General::read(element).ok_or_else(|| format!("{what} does not decode"))?;
        match name {
            General::Mail(mail) => {
                refuse(
                    &format!("rfc822Name {mail:?} is no mailbox"),
                    !is_mailbox(mail),
                )?;
                names.mail.push(mail.to_owned());
            }
            General::Dns(dns) => {
                refuse(&format!("dNSName {dns:?} is no domain name"), !is_host(dns))?;
                names.dns.push(dns.to_owned());
            }
            General::Directory(name) => names.directory.push(name),
            General::Uri(uri) => names.uri.push(uri.to_owned()),
            General::Ip(ip) if matches!(ip.len(), 4 | 16) => names.ip.push(ip.to_vec()),
            General::Other(ref kind, value) => {
                if kind.to_string() == SMTP_UTF8_MAILBOX {
                    let what = "SmtpUTF8Mailbox is no mailbox (RFC 9598 §3)";
                    let mailbox = utf8_mailbox(value).ok_or_else(|| what.to_owned())?;
                    names.utf8_mail.push(mailbox);
                }
                names.other.push(name.form());
            }
            other => names.other.push(other.form()),
        }
    }
    Ok(names)
}

/// id-on-SmtpUTF8Mailbox (RFC 9598 §3).
const SMTP_UTF8_MAILBOX: &str = "1.3.6.1.5.5.7.8.9";

/// RFC 9598 §3: a UTF8String without byte order mark, a local part that is not all ASCII, and a domain of
/// A-labels or LDH labels.
fn utf8_mailbox(value: Element<'_>) -> Option<String> {
    let text = std::str::from_utf8(value.value).ok()?;
    let plain = |c: char| {
        !c.is_control() && !c.is_whitespace() && !matches!(c, '@' | '"' | '<' | '>' | '\u{feff}')
    };
    let (local, domain) = text.rsplit_once('@')?;
    let fine = !local.is_ascii() && local.chars().all(plain) && is_host(domain);
    (fine && value.tag == tag::UTF8_STRING).then(|| text.to_owned())
}

/// RFC 5280 §4.2.1.6, RFC 1034 §3.5: letters, digits and hyphens; the field also writes underscores, and a
/// wildcard in the first label.
fn is_preferred(dns: &str) -> bool {
    let rest = dns.strip_prefix("*.").unwrap_or(dns);
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
    rest.bytes().all(plain) && dns.split('.').all(|label| label.len() <= 63)
}

/// RFC 5280 §4.2.1.6, RFC 3986 §3: a scheme, and something after it.
fn is_absolute(uri: &str) -> bool {
    let scheme = |octet: u8| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet);
    uri.split_once(':').is_some_and(|(name, rest)| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(scheme)
            && !rest.is_empty()
            && uri.bytes().all(|octet| octet.is_ascii_graphic())
    })
}

/// RFC 5280 §4.2.1.6: an addr-spec, no phrase or comment around it. Strict, so that two readers cannot
/// differ (G-043): no blanks or controls, one `@` outside quotes, something on both sides, no dot at an end
/// of the domain.
pub(super) fn is_mailbox(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    let local_fine = quoted || (!local.is_empty() && !local.contains(['@', '"', '<', '>', ',']));
    local_fine && is_host(domain) && text.bytes().all(|octet| octet.is_ascii_graphic())
}

/// RFC 5280 §4.2.1.6, RFC 5321 §4.1.2: a dot-atom or a quoted string, and a domain or an address literal.
fn is_strict_mailbox(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let atom = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet);
    let dot_atom = local
        .split('.')
        .all(|part| !part.is_empty() && part.bytes().all(atom));
    let quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    let literal = domain.starts_with('[') && domain.ends_with(']');
    (dot_atom || quoted) && (literal || (is_preferred(domain) && !domain.contains('*')))
}

/// Printable ASCII without blanks, no empty label: neither a leading nor a trailing dot (RFC 1034 §3.5,
/// G-043).
pub(super) fn is_host(text: &str) -> bool {
    let label =
        |label: &str| !label.is_empty() && label.bytes().all(|octet| octet.is_ascii_graphic());
    text.len() <= 255 && text.split('.').all(label)
}

/// RFC 5280 §4.2.1.10: not an empty sequence, nor a list of no subtrees.
fn name_constraints(value: &[u8], lapses: &mut Vec<String>) -> Result<Constraints, Defect> {
    let what = "nameConstraints";
    let mut constraints = Constraints::default();
    let mut last = 0;
    for list in listed(what, value)? {
        let (0xa0 | 0xa1, true) = (list.tag, list.tag > last) else {
            return Err(format!("{what} does not decode"));
        };
        last = list.tag;
        let subtrees = tlv::all(list.value).ok_or_else(|| format!("{what} does not decode"))?;
        refuse(&format!("{what} has an empty list"), subtrees.is_empty())?;
        for subtree in subtrees {
            let base = subtree_base(subtree, lapses)?;
            match list.tag {
                0xa0 => constraints.permitted.push(base),
                _ => constraints.excluded.push(base),
            }
        }
    }
    Ok(constraints)
}

fn subtree_base(subtree: Element<'_>, lapses: &mut Vec<String>) -> Result<Base, Defect> {
    let odd = || "nameConstraints does not decode".to_owned();
    let parts = tlv::all(subtree.value).filter(|_| subtree.tag == tag::SEQUENCE);
    let parts = parts.ok_or_else(odd)?;
    let name = match parts.as_slice() {
        [name] => name,
        // RFC 5280 §4.2.1.10: minimum is zero, which is written, and maximum is absent; others are refused.
        [name, minimum] if minimum.tag == 0x80 && minimum.value == [0] => name,
        [_, _] | [_, _, _] => return Err("nameConstraints uses minimum or maximum".to_owned()),
        _ => return Err(odd()),
    };
    base(General::read(*name).ok_or_else(odd)?, lapses)
}

fn base(name: General<'_>, lapses: &mut Vec<String>) -> Result<Base, Defect> {
    let odd = |text: &str| Err(format!("nameConstraints: {text:?} is no subtree"));
    let domain = |text: &str| text.is_empty() || is_host(text.strip_prefix('.').unwrap_or(text));
    match name {
        General::Mail(text) if is_mailbox(text) || (domain(text) && !text.contains('@')) => {
            Ok(Base::Mail(text.to_owned()))
        }
        General::Dns(text) if domain(text) && !text.contains('*') => {
            if text.starts_with('.') {
                // RFC 5280 §4.2.1.10 gives a leading dot a meaning for mail and URIs alone.
                lapses.push("nameConstraints: a dNSName with a leading dot".to_owned());
            }
            Ok(Base::Dns(text.to_owned()))
        }
        General::Mail(text) | General::Dns(text) => odd(text),
        General::Directory(name) => Ok(Base::Directory(name)),
        General::Uri(host) if is_uri_base(host) => Ok(Base::Uri(host.to_owned())),
        General::Ip(range) if is_range(range) => Ok(Base::Ip(range.to_vec())),
        other => {
            let form = other.form();
            if form == "iPAddress" || form == "uniformResourceIdentifier" {
                lapses.push(format!("nameConstraints: the {form} is no subtree"));
            }
            Ok(Base::Other(form))
        }
    }
}

/// RFC 5280 §4.2.1.10: a host, or a domain after a leading dot.
fn is_uri_base(text: &str) -> bool {
    let host = text.strip_prefix('.').unwrap_or(text);
    is_host(host) && !host.contains(['/', ':', '@', '*', '[', '%'])
}

/// RFC 5280 §4.2.1.10: an address and a mask as of RFC 4632, its ones on the left.
fn is_range(octets: &[u8]) -> bool {
    let (4 | 16, Some((_, mask))) = (octets.len() / 2, octets.split_at_checked(octets.len() / 2))
    else {
        return false;
    };
    let ones: u32 = mask.iter().map(|octet| octet.count_ones()).sum();
    let mut leading = 0;
    for octet in mask {
        leading += octet.leading_ones();
        if *octet != 0xff {
            break;
        }
    }
    octets.len() == mask.len() * 2 && ones == leading
}
