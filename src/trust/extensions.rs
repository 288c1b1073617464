//! The extensions of one certificate (RFC 5280 §4.2), decoded strictly: the whole value, nothing after it.
//! In: the Extensions element. Out: what the path rules use, and a list of defects. A known extension that
//! does not decode is a defect whether it is critical or not; so is one that appears twice, and an unknown
//! one that is critical.

use std::collections::HashSet;

use der::Decode;
use der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, CertificatePolicies, CrlDistributionPoints,
    ExtendedKeyUsage, InhibitAnyPolicy, IssuerAltName, KeyUsage as KeyUsageBits, NameConstraints,
    PolicyConstraints, PolicyMappings, SubjectAltName, SubjectInfoAccessSyntax,
    SubjectKeyIdentifier,
};

use crate::limits::POINTERS_MAX;

use super::KeyUsage;
use super::constraints::{Base, Constraints};
use super::name::Name;
use super::points::{self, Point};
use super::tlv::{self, Element, tag};

/// Names of a subjectAltName by form.
#[derive(Debug, Default)]
pub(super) struct AltNames {
    pub mail: Vec<String>,
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
    pub subject_key_id: Option<Vec<u8>>,
    pub authority_key_id: Option<Vec<u8>>,
    pub alt_names: AltNames,
    /// Whether subjectAltName is critical; None if it is absent.
    pub alt_names_critical: Option<bool>,
    pub name_constraints: Option<Constraints>,
    /// certificatePolicies; None if the extension is absent.
    pub policies: Option<Vec<ObjectIdentifier>>,
    /// policyMappings: (issuerDomainPolicy, subjectDomainPolicy).
    pub policy_mappings: Vec<(ObjectIdentifier, ObjectIdentifier)>,
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
        match oid {
            "2.5.29.14" => {
                let id: SubjectKeyIdentifier = decode("subjectKeyIdentifier", value)?;
                self.subject_key_id = Some(id.0.as_bytes().to_vec());
            }
            "2.5.29.15" => {
                let usage = key_usage(value)?;
                // RFC 5280 §4.2.1.3: at least one bit.
                self.lapse(usage == KeyUsage::default(), "keyUsage without any bit");
                self.key_usage = Some(usage);
            }
            "2.5.29.17" => self.take_alt_names(critical, value)?,
            "2.5.29.19" => self.basic_constraints = Some(basic_constraints(value)?),
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
                let mappings: PolicyMappings = decode("policyMappings", value)?;
                // RFC 5280 §4.2.1.5: SEQUENCE SIZE (1..MAX).
                refuse("policyMappings is empty", mappings.0.is_empty())?;
                let pair = |pair: x509_cert::ext::pkix::PolicyMapping| {
                    (pair.issuer_domain_policy, pair.subject_domain_policy)
                };
                self.policy_mappings = mappings.0.into_iter().map(pair).collect();
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
        "2.5.29.18" => decode::<IssuerAltName>("issuerAltName", value).map(drop),
        "2.5.29.46" => decode::<CrlDistributionPoints>("freshestCRL", value).map(drop),
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
    (oid.tag == tag::OID && value.tag == tag::OCTET_STRING).then_some((
        oid.value,
        critical,
        value.value,
    ))
}

/// X.690 §11.1: 0x00 or 0xFF and nothing else.
fn read_boolean(value: &[u8]) -> Option<bool> {
    match value {
        [0x00] => Some(false),
        [0xff] => Some(true),
        _ => None,
    }
}

/// The OID in dotted form; hex if it is none.
pub(super) fn dotted(octets: &[u8]) -> String {
    match ObjectIdentifier::from_bytes(octets) {
        Ok(oid) => oid.to_string(),
        Err(_) => octets.iter().map(|octet| format!("{octet:02x}")).collect(),
    }
}

fn decode<'v, T: Decode<'v>>(what: &str, value: &'v [u8]) -> Result<T, Defect> {
    T::from_der(value).map_err(|error| format!("{what} does not decode: {error}"))
}

fn refuse(why: &str, wrong: bool) -> Result<(), Defect> {
    if wrong { Err(why.to_owned()) } else { Ok(()) }
}

fn key_usage(value: &[u8]) -> Result<KeyUsage, Defect> {
    let bits: KeyUsageBits = decode("keyUsage", value)?;
    Ok(KeyUsage {
        digital_signature: bits.digital_signature(),
        non_repudiation: bits.non_repudiation(),
        key_encipherment: bits.key_encipherment(),
        key_agreement: bits.key_agreement(),
        key_cert_sign: bits.key_cert_sign(),
        crl_sign: bits.crl_sign(),
    })
}

fn extended_key_usage(value: &[u8]) -> Result<Vec<String>, Defect> {
    let found: ExtendedKeyUsage = decode("extendedKeyUsage", value)?;
    // RFC 5280 §4.2.1.12: SEQUENCE SIZE (1..MAX).
    refuse("extendedKeyUsage is empty", found.0.is_empty())?;
    Ok(found.0.iter().map(ObjectIdentifier::to_string).collect())
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

fn policies(value: &[u8]) -> Result<Vec<ObjectIdentifier>, Defect> {
    let found: CertificatePolicies = decode("certificatePolicies", value)?;
    refuse("certificatePolicies is empty", found.0.is_empty())?;
    let mut oids: Vec<_> = found
        .0
        .iter()
        .map(|policy| policy.policy_identifier)
        .collect();
    let count = oids.len();
    oids.sort();
    oids.dedup();
    // RFC 5280 §4.2.1.4: a policy appears once.
    refuse(
        "certificatePolicies names a policy twice",
        oids.len() != count,
    )?;
    Ok(oids)
}

fn alt_names(value: &[u8]) -> Result<AltNames, Defect> {
    let found: SubjectAltName = decode("subjectAltName", value)?;
    // RFC 5280 §4.2.1.6: at least one entry, none of them empty.
    refuse("subjectAltName is empty", found.0.is_empty())?;
    let mut names = AltNames::default();
    for name in found.0 {
        match name {
            GeneralName::Rfc822Name(mail) => {
                if !is_mailbox(mail.as_str()) {
                    return Err(format!("rfc822Name {:?} is no mailbox", mail.as_str()));
                }
                names.mail.push(mail.as_str().to_owned());
            }
            GeneralName::DnsName(dns) => {
                if !is_host(dns.as_str()) {
                    return Err(format!("dNSName {:?} is no domain name", dns.as_str()));
                }
                names.dns.push(dns.as_str().to_owned());
            }
            GeneralName::DirectoryName(name) => names.directory.push(directory(&name)?),
            GeneralName::UniformResourceIdentifier(uri) => names.uri.push(uri.as_str().to_owned()),
            GeneralName::IpAddress(ip) if matches!(ip.as_bytes().len(), 4 | 16) => {
                names.ip.push(ip.as_bytes().to_vec());
            }
            other => names.other.push(form(&other)),
        }
    }
    Ok(names)
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

/// Printable ASCII without blanks, no empty label: neither a leading nor a trailing dot (RFC 1034 §3.5,
/// G-043).
pub(super) fn is_host(text: &str) -> bool {
    let label =
        |label: &str| !label.is_empty() && label.bytes().all(|octet| octet.is_ascii_graphic());
    text.len() <= 255 && text.split('.').all(label)
}

fn directory(name: &x509_cert::name::Name) -> Result<Name, Defect> {
    let der = der::Encode::to_der(name).ok();
    let read = der.and_then(|der| Name::parse(&der));
    read.map(|found| found.name)
        .ok_or_else(|| "a directoryName does not decode".to_owned())
}

/// How a form that is not compared is called.
fn form(name: &GeneralName) -> String {
    match name {
        GeneralName::OtherName(other) => format!("otherName {}", other.type_id),
        GeneralName::Rfc822Name(_) => "rfc822Name".to_owned(),
        GeneralName::DnsName(_) => "dNSName".to_owned(),
        GeneralName::DirectoryName(_) => "directoryName".to_owned(),
        GeneralName::EdiPartyName(_) => "ediPartyName".to_owned(),
        GeneralName::UniformResourceIdentifier(_) => "uniformResourceIdentifier".to_owned(),
        GeneralName::IpAddress(_) => "iPAddress".to_owned(),
        GeneralName::RegisteredId(_) => "registeredID".to_owned(),
    }
}

fn name_constraints(value: &[u8], lapses: &mut Vec<String>) -> Result<Constraints, Defect> {
    let found: NameConstraints = decode("nameConstraints", value)?;
    let mut bases = |subtrees: Option<Vec<GeneralSubtree>>| {
        subtrees
            .unwrap_or_default()
            .into_iter()
            .map(|subtree| base(subtree, lapses))
            .collect::<Result<Vec<_>, _>>()
    };
    let constraints = Constraints {
        permitted: bases(found.permitted_subtrees)?,
        excluded: bases(found.excluded_subtrees)?,
    };
    // RFC 5280 §4.2.1.10: not an empty sequence.
    let empty = constraints.permitted.is_empty() && constraints.excluded.is_empty();
    refuse("nameConstraints is empty", empty)?;
    Ok(constraints)
}

fn base(subtree: GeneralSubtree, lapses: &mut Vec<String>) -> Result<Base, Defect> {
    // RFC 5280 §4.2.1.10: minimum is zero and maximum is absent; other values are to be refused.
    let plain = subtree.minimum == 0 && subtree.maximum.is_none();
    refuse("nameConstraints uses minimum or maximum", !plain)?;
    let odd = |text: &str| Err(format!("nameConstraints: {text:?} is no subtree"));
    let domain = |text: &str| text.is_empty() || is_host(text.strip_prefix('.').unwrap_or(text));
    match subtree.base {
        GeneralName::Rfc822Name(mail) => match mail.as_str() {
            text if is_mailbox(text) || (domain(text) && !text.contains('@')) => {
                Ok(Base::Mail(text.to_owned()))
            }
            text => odd(text),
        },
        GeneralName::DnsName(dns) => match dns.as_str() {
            text if domain(text) && !text.contains('*') => {
                if text.starts_with('.') {
                    // RFC 5280 §4.2.1.10 gives a leading dot a meaning for mail and URIs alone.
                    lapses.push("nameConstraints: a dNSName with a leading dot".to_owned());
                }
                Ok(Base::Dns(text.to_owned()))
            }
            text => odd(text),
        },
        GeneralName::DirectoryName(name) => directory(&name).map(Base::Directory),
        GeneralName::UniformResourceIdentifier(host) if is_uri_base(host.as_str()) => {
            Ok(Base::Uri(host.as_str().to_owned()))
        }
        GeneralName::IpAddress(range) if is_range(range.as_bytes()) => {
            Ok(Base::Ip(range.as_bytes().to_vec()))
        }
        other => {
            let form = form(&other);
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
