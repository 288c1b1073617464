//! Name constraints (RFC 5280 §4.2.1.10; G-031): may a CA issue for these names?
//! In: the constraints of one CA, the names of one certificate below it. Out: yes, or the name and the rule
//! it breaks. A form that is constrained here but cannot be compared refuses every certificate that has a
//! name of that form.

use super::extensions::AltNames;
use super::name::Name;

/// otherName of a mailbox with non-ASCII local part (RFC 9598 §3).
const SMTP_UTF8_MAILBOX: &str = "otherName 1.3.6.1.5.5.7.8.9";

const OTHER_NAME: &str = "otherName ";
const URI: &str = "uniformResourceIdentifier";
const IP: &str = "iPAddress";

/// The base of one subtree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// A mailbox, a host, or `.domain`.
    Mail(String),
    Dns(String),
    Directory(Name),
    /// A host, or `.domain`.
    Uri(String),
    /// An address and its mask.
    Ip(Vec<u8>),
    /// A form that is not compared, by its name.
    Other(String),
}

/// One nameConstraints extension.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Constraints {
    pub permitted: Vec<Base>,
    pub excluded: Vec<Base>,
}

/// The names of one certificate that constraints are compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names<'a> {
    pub subject: &'a Name,
    /// emailAddress attributes of the subject: constrained like rfc822Names.
    pub subject_mail: &'a [String],
    pub alt: &'a AltNames,
}

/// One name, by form, taken apart once however many subtrees it is compared with.
enum Value<'a> {
    /// None: no mailbox that constraints can be applied to.
    Mail(&'a str, Option<Mailbox<'a>>),
    Dns(&'a str),
    Directory(&'a Name),
    /// With its host; None: it has none that constraints can be applied to.
    Uri(&'a str, Option<&'a str>),
    Ip(&'a [u8]),
    Other(&'a str),
}

/// `local@host`.
#[derive(Clone, Copy)]
struct Mailbox<'a> {
    local: &'a str,
    host: &'a str,
}

impl<'a> Mailbox<'a> {
    /// An emailAddress of the subject was not checked when it was read.
    fn of(text: &'a str) -> Option<Self> {
        let (local, host) = text.rsplit_once('@')?;
        super::extensions::is_mailbox(text).then_some(Self { local, host })
    }

    /// RFC 5321 §4.1.2: quoted, one local part has many writings.
    fn is_quoted(self) -> bool {
        self.local.starts_with('"')
    }
}

impl Names<'_> {
    fn values(&self) -> impl Iterator<Item = Value<'_>> {
        let mail = self
            .alt
            .mail
            .iter()
            .chain(self.subject_mail)
            .map(|mail| Value::Mail(mail, Mailbox::of(mail)));
        let dns = self.alt.dns.iter().map(|dns| Value::Dns(dns));
        let subject = Some(self.subject).filter(|subject| !subject.is_empty());
        let directory = subject
            .into_iter()
            .chain(&self.alt.directory)
            .map(Value::Directory);
        let other = self.alt.other.iter().map(|form| Value::Other(form));
        let uri = self
            .alt
            .uri
            .iter()
            .map(|uri| Value::Uri(uri, uri_host(uri)));
        let ip = self.alt.ip.iter().map(|ip| Value::Ip(ip));
        let named = mail.chain(dns).chain(directory);
        named.chain(uri).chain(ip).chain(other)
    }

    fn count(&self) -> usize {
        let alt = self.alt;
        let mail = alt.mail.len().saturating_add(self.subject_mail.len());
        let texts = alt.dns.len().saturating_add(alt.uri.len());
        let rest = alt.ip.len().saturating_add(alt.other.len());
        // The subject is one.
        let directory = alt.directory.len().saturating_add(1);
        mail.saturating_add(texts)
            .saturating_add(rest)
            .saturating_add(directory)
    }
}

impl Constraints {
    /// How many comparisons [`Constraints::allow`] may make.
    pub fn cost(&self, names: &Names<'_>) -> usize {
        let bases = self.permitted.len().saturating_add(self.excluded.len());
        names.count().saturating_mul(bases)
    }

    /// Whether all names lie inside the permitted subtrees of their form and outside all excluded ones.
    ///
    /// # Errors
    /// Which name breaks which constraint, in words.
    pub fn allow(&self, names: &Names<'_>) -> Result<(), String> {
        names.values().try_for_each(|value| self.allow_one(&value))
    }

    fn allow_one(&self, value: &Value<'_>) -> Result<(), String> {
        let same_form = |base: &&Base| is_same_form(base, value);
        let (mut limited, mut inside) = (false, false);
        for base in self.permitted.iter().filter(same_form) {
            incomparable(value, base).map_or(Ok(()), Err)?;
            limited = true;
            inside = inside || is_within(value, base);
        }
        if limited && !inside {
            return Err(format!("{} lies outside the permitted names", words(value)));
        }
        for base in self.excluded.iter().filter(same_form) {
            incomparable(value, base).map_or(Ok(()), Err)?;
            if may_meet(value, base) {
                return Err(format!("{} lies in an excluded subtree", words(value)));
            }
        }
        Ok(())
    }
}

fn is_same_form(base: &Base, value: &Value<'_>) -> bool {
    match (base, value) {
        (Base::Mail(_), Value::Mail(..))
        | (Base::Dns(_), Value::Dns(_))
        | (Base::Uri(_), Value::Uri(..))
        | (Base::Ip(_), Value::Ip(_))
        | (Base::Directory(_), Value::Directory(_)) => true,
        // RFC 9598 §6: constraints on mailboxes mean these as well.
        (Base::Mail(_), Value::Other(form)) => *form == SMTP_UTF8_MAILBOX,
        // RFC 5280 §4.2.1.10: otherName is one form, whatever its type.
        (Base::Other(base), Value::Other(form)) => {
            base == form || (base.starts_with(OTHER_NAME) && form.starts_with(OTHER_NAME))
        }
        (Base::Other(base), Value::Uri(..)) => base == URI,
        (Base::Other(base), Value::Ip(_)) => base == IP,
        (Base::Ip(_), Value::Other(form)) => *form == IP,
        _ => false,
    }
}

/// RFC 5280 §4.2.1.10: what cannot be compared under a constraint of its form is refused.
fn incomparable(value: &Value<'_>, base: &Base) -> Option<String> {
    let cannot = |form: &str| Some(format!("a constraint on {form} cannot be applied"));
    match (value, base) {
        (Value::Other(form), _) => cannot(form),
        (_, Base::Other(form)) => cannot(form),
        (Value::Directory(name), Base::Directory(base)) if name.is_opaque() || base.is_opaque() => {
            cannot("a directory name that cannot be read")
        }
        (Value::Mail(mail, None), _) => Some(format!(
            "{mail:?} is no mailbox that a constraint can be applied to"
        )),
        (Value::Mail(mail, Some(mailbox)), Base::Mail(base)) => base
            .rsplit_once('@')
            .filter(|(local, _)| mailbox.is_quoted() || local.starts_with('"'))
            .map(|_| format!("a constraint on a mailbox cannot be applied to {mail:?}: quoted")),
        // RFC 5280 §4.2.1.10: no authority, or an address instead of a host: refused.
        (Value::Uri(uri, None), _) => Some(format!(
            "{uri:?} has no host name that a constraint can be applied to"
        )),
        _ => None,
    }
}

/// The host of a URI (RFC 3986 §3.2), if it is a domain name.
fn uri_host(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|octet| octet.is_ascii_digit()) => host,
        _ => host,
    };
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._".contains(&octet);
    let numeric = |label: &str| label.bytes().all(|octet| octet.is_ascii_digit());
    let is_name = super::extensions::is_host(host)
        && host.bytes().all(plain)
        && !host.rsplit('.').next().is_some_and(numeric);
    is_name.then_some(host)
}

fn words(value: &Value<'_>) -> String {
    match value {
        Value::Mail(text, _) | Value::Dns(text) | Value::Uri(text, _) | Value::Other(text) => {
            format!("{text:?}")
        }
        Value::Directory(_) => "its directory name".to_owned(),
        Value::Ip(octets) => match <[u8; 4]>::try_from(*octets) {
            Ok(octets) => std::net::Ipv4Addr::from(octets).to_string(),
            Err(_) => <[u8; 16]>::try_from(*octets).map_or_else(
                |_| IP.to_owned(),
                |v6| std::net::Ipv6Addr::from(v6).to_string(),
            ),
        },
    }
}

fn is_within(value: &Value<'_>, base: &Base) -> bool {
    match (value, base) {
        (Value::Mail(_, Some(mailbox)), Base::Mail(base)) => is_mail_within(*mailbox, base),
        (Value::Dns(dns), Base::Dns(base)) => is_host_within(without_wildcard(dns), base),
        (Value::Directory(name), Base::Directory(base)) => name.is_within(base),
        (Value::Uri(_, Some(host)), Base::Uri(base)) if base.starts_with('.') => {
            is_host_within(host, base)
        }
        (Value::Uri(_, Some(host)), Base::Uri(base)) => host.eq_ignore_ascii_case(base),
        (Value::Ip(address), Base::Ip(range)) => is_ip_within(address, range),
        _ => false,
    }
}

/// RFC 5280 §4.2.1.10: an address and a mask, both of the family's length.
fn is_ip_within(address: &[u8], range: &[u8]) -> bool {
    let Some((base, mask)) = range.split_at_checked(address.len()) else {
        return false;
    };
    mask.len() == address.len()
        && address
            .iter()
            .zip(base)
            .zip(mask)
            .all(|((a, b), m)| a & m == b & m)
}

/// Whether some meaning of the name lies in the subtree: a wildcard stands for every name below its stem.
fn may_meet(value: &Value<'_>, base: &Base) -> bool {
    match (value, base) {
        (Value::Dns(dns), Base::Dns(base)) if dns.contains('*') => {
            let stem = without_wildcard(dns);
            let base = base.strip_prefix('.').unwrap_or(base);
            stem.contains('*') || is_host_within(stem, base) || is_host_within(base, stem)
        }
        // A leading dot has no meaning of its own here; an exclusion is read the wide way.
        (Value::Dns(dns), Base::Dns(base)) => {
            is_host_within(dns, base.strip_prefix('.').unwrap_or(base))
        }
        _ => is_within(value, base),
    }
}

fn without_wildcard(dns: &str) -> &str {
    dns.strip_prefix("*.").unwrap_or(dns)
}

/// RFC 5280 §4.2.1.10: a mailbox, all mailboxes of one host, or (leading dot) of all hosts below a domain.
/// An empty base takes in everything, as for dNSName.
fn is_mail_within(mail: Mailbox<'_>, base: &str) -> bool {
    let Mailbox { local, host } = mail;
    match base.rsplit_once('@') {
        // RFC 5280 §7.5: local parts are compared octet for octet.
        Some((base_local, base_host)) => {
            local == base_local && host.eq_ignore_ascii_case(base_host)
        }
        None if base.is_empty() => true,
        None if base.starts_with('.') => is_host_within(host, base),
        None => host.eq_ignore_ascii_case(base),
    }
}

/// RFC 5280 §4.2.1.10: labels may be added on the left; with a leading dot at least one must be.
fn is_host_within(host: &str, base: &str) -> bool {
    if base.is_empty() {
        return true;
    }
    let Some(split) = host.len().checked_sub(base.len()) else {
        return false;
    };
    let (Some(added), Some(tail)) = (host.get(..split), host.get(split..)) else {
        return false;
    };
    let at_label = added.is_empty() || base.starts_with('.') || added.ends_with('.');
    let long_enough = !base.starts_with('.') || !added.is_empty();
    tail.eq_ignore_ascii_case(base) && at_label && long_enough
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(mail: &[&str], dns: &[&str], other: &[&str]) -> AltNames {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        AltNames {
            mail: own(mail),
            dns: own(dns),
            other: own(other),
            ..AltNames::default()
        }
    }

    fn allowed(constraints: &Constraints, alt: &AltNames) -> bool {
        let names = Names {
            subject: &Name::default(),
            subject_mail: &[],
            alt,
        };
        constraints.allow(&names).is_ok()
    }

    #[test]
    fn mail_subtrees_are_a_mailbox_a_host_or_what_lies_below_a_domain() {
        for (base, mail, inside) in [
            ("Ann@d.example", "Ann@D.example", true),
            ("Ann@d.example", "ann@d.example", false),
            ("d.example", "x@d.example", true),
            ("d.example", "x@a.d.example", false),
            (".d.example", "x@a.d.example", true),
            (".d.example", "x@d.example", false),
            ("d.example", "x@evild.example", false),
            ("", "x@d.example", true),
        ] {
            let mailbox = Mailbox::of(mail).expect("a mailbox");
            assert_eq!(is_mail_within(mailbox, base), inside, "{mail} in {base}");
        }
    }

    #[test]
    fn dns_subtrees_end_at_labels() {
        for (base, host, inside) in [
            ("d.example", "D.example", true),
            ("d.example", "a.b.d.example", true),
            ("d.example", "evild.example", false),
            ("d.example", "example", false),
            (".d.example", "a.d.example", true),
            (".d.example", "d.example", false),
            ("", "d.example", true),
        ] {
            assert_eq!(is_host_within(host, base), inside, "{host} in {base}");
        }
    }

    #[test]
    fn every_name_must_be_permitted_and_none_excluded() {
        let dns = |text: &str| Base::Dns(text.to_owned());
        let mail = |text: &str| Base::Mail(text.to_owned());
        let ours = Constraints {
            permitted: vec![dns("d.example"), mail("d.example")],
            excluded: vec![dns("secret.d.example")],
        };
        assert!(allowed(
            &ours,
            &names(&["a@d.example"], &["d.example"], &[])
        ));
        assert!(!allowed(
            &ours,
            &names(&[], &["d.example", "e.example"], &[])
        ));
        assert!(!allowed(
            &ours,
            &names(&["a@e.example"], &["d.example"], &[])
        ));
        assert!(!allowed(&ours, &names(&[], &["x.secret.d.example"], &[])));
        // A wildcard that could meet an excluded name.
        assert!(!allowed(&ours, &names(&[], &["*.d.example"], &[])));
        assert!(allowed(&ours, &names(&[], &["*.open.d.example"], &[])));
        // Forms that are not constrained are free; the mailbox form of RFC 9598 is not one of them.
        assert!(allowed(&ours, &names(&[], &[], &["iPAddress"])));
        assert!(!allowed(&ours, &names(&[], &[], &[SMTP_UTF8_MAILBOX])));
        // One mailbox has many writings if it is quoted: no exclusion of a mailbox is slipped by one.
        let not_ann = Constraints {
            permitted: Vec::new(),
            excluded: vec![mail("ann@d.example")],
        };
        assert!(allowed(&not_ann, &names(&["bob@d.example"], &[], &[])));
        for same in ["ann@d.example", "\"ann\"@d.example", "\"a\\nn\"@d.example"] {
            assert!(!allowed(&not_ann, &names(&[same], &[], &[])), "{same}");
        }
        // otherName is one form.
        let other = Constraints {
            permitted: vec![Base::Other("otherName 1.2.3".to_owned())],
            excluded: Vec::new(),
        };
        assert!(!allowed(&other, &names(&[], &[], &["otherName 1.2.4"])));
        assert!(allowed(&other, &names(&[], &[], &["registeredID"])));
    }

    #[test]
    fn a_constraint_that_cannot_be_applied_refuses_names_of_its_form() {
        let addresses = Constraints {
            permitted: Vec::new(),
            excluded: vec![Base::Other("iPAddress".to_owned())],
        };
        assert!(allowed(
            &addresses,
            &names(&["a@d.example"], &["d.example"], &[])
        ));
        assert!(!allowed(
            &addresses,
            &names(&[], &["d.example"], &["iPAddress"])
        ));
    }

    #[test]
    fn uris_are_constrained_by_host_and_addresses_by_range() {
        for (base, uri, inside) in [
            ("h.example", "http://H.example:80/x?y", true),
            ("h.example", "http://user@h.example", true),
            ("h.example", "http://a.h.example/", false),
            (".h.example", "ldap://a.h.example/", true),
            (".h.example", "http://h.example/", false),
            ("h.example", "http://h.example@evil.example/", false),
            ("h.example", "http://10.0.0.1/", false),
            ("h.example", "urn:x", false),
        ] {
            let only = Constraints {
                permitted: vec![Base::Uri(base.into())],
                excluded: vec![],
            };
            let alt = AltNames {
                uri: vec![uri.to_owned()],
                ..AltNames::default()
            };
            assert_eq!(allowed(&only, &alt), inside, "{uri} in {base}");
        }
        let range = vec![10, 1, 0, 0, 255, 255, 0, 0];
        for (ip, permitted) in [
            (vec![10, 1, 2, 3], true),
            (vec![10, 2, 2, 3], false),
            (vec![0; 16], false),
        ] {
            let alt = AltNames {
                ip: vec![ip.clone()],
                ..AltNames::default()
            };
            let within = Constraints {
                permitted: vec![Base::Ip(range.clone())],
                excluded: vec![],
            };
            let outside = Constraints {
                permitted: vec![],
                excluded: vec![Base::Ip(range.clone())],
            };
            assert_eq!(allowed(&within, &alt), permitted, "{ip:?}");
            assert_eq!(allowed(&outside, &alt), !permitted, "{ip:?}");
        }
    }

    #[test]
    fn an_email_address_in_the_subject_is_constrained_too() {
        let only = Constraints {
            permitted: vec![Base::Mail("d.example".into())],
            excluded: vec![],
        };
        let check = |mail: &str| {
            let subject_mail = [mail.to_owned()];
            let alt = AltNames::default();
            let names = Names {
                subject: &Name::default(),
                subject_mail: &subject_mail,
                alt: &alt,
            };
            only.allow(&names).is_ok()
        };
        assert!(check("a@d.example"));
        assert!(!check("a@e.example"));
        assert!(!check("a@e.example\0@d.example"));
    }
}
