//! Binding: whose certificate is it? (A-010 to A-014.)
//! In: a certificate, an address. Out: bound or not, and how. Says nothing about trust.

use std::collections::HashSet;

use crate::envelope::Address;

use super::{Certificate, Profile};

/// How a certificate belongs to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Some rfc822Name is the address.
    Address,
    /// Some dNSName is its domain.
    Domain,
}

/// Whether the certificate belongs to this address: some rfc822Name equals the address, or some dNSName
/// equals its domain. Every value is compared; no wildcard; no parent or child domain
/// the subject's emailAddress never binds under v1.3; a non-ASCII local part never binds.
pub fn binds(certificate: &Certificate, address: &Address, profile: Profile) -> bool {
    binding(certificate, address, profile).is_some()
}

/// As [`binds`], and by which kind of name; the closer binding if there are both.
pub fn binding(certificate: &Certificate, address: &Address, profile: Profile) -> Option<Binding> {
    if !address.local().is_ascii() || (profile == Profile::V1_2 && !legacy_agrees(certificate)) {
        return None;
    }
    if certificate
        .san_mail()
        .iter()
        .any(|value| is_address(value, address))
    {
        Some(Binding::Address)
    } else if certificate
        .san_dns()
        .iter()
        .any(|value| is_domain(value, address))
    {
        Some(Binding::Domain)
    } else {
        None
    }
}

/// Whom some certificates belong to, for many questions at once. Anyone can make a certificate that names
/// thousands, and a clinic writes to hundreds: comparing each with each is work for an attacker to order.
#[derive(Debug, Default)]
pub struct Bindings {
    mail: HashSet<String>,
    domains: HashSet<String>,
}

impl Bindings {
    /// Of these certificates together.
    pub fn of<'c>(
        certificates: impl IntoIterator<Item = &'c Certificate>,
        profile: Profile,
    ) -> Self {
        let mut all = Self::default();
        for certificate in certificates {
            if profile == Profile::V1_2 && !legacy_agrees(certificate) {
                continue;
            }
            let mail = certificate.san_mail().iter();
            all.mail.extend(mail.map(|name| name.to_ascii_lowercase()));
            let domains = certificate.san_dns().iter();
            all.domains
                .extend(domains.map(|name| name.to_ascii_lowercase()));
        }
        all
    }

    /// As [`binds`].
    pub fn bind(&self, address: &Address) -> bool {
        address.local().is_ascii()
            && (self.mail.contains(address.key()) || self.domains.contains(address.domain()))
    }
}

/// RFC 8550 §3, for plain S/MIME: whether the certificate names this sender. Its mail addresses count; if it
/// has none, its domains. The subject's emailAddress counts only where no rfc822Name stands: beside one, name
/// constraints do not hold for it (RFC 5280 §4.2.1.10). One that names nobody names no sender either.
pub fn names_sender(certificate: &Certificate, address: &Address) -> bool {
    let mail = match certificate.san_mail() {
        [] => certificate.subject_mail.as_slice(),
        named => named,
    };
    if mail.is_empty() {
        let mut domains = certificate.san_dns().iter();
        return domains.any(|value| is_domain(value, address));
    }
    address.local().is_ascii() && mail.iter().any(|value| is_address(value, address))
}

/// Whether an rfc822Name is this address. The strict parser lets neither NUL nor a trailing dot pass
/// (G-043). ASCII keeps its length and but for letter case its characters in a key, so that of thousands of
/// names only the likely one is parsed.
fn is_address(value: &str, address: &Address) -> bool {
    value.eq_ignore_ascii_case(address.key())
        && Address::parse(value).is_ok_and(|named| named == *address)
}

/// Whether a dNSName is the address's domain. Exact but for letter case, so a `*` is only ever a `*` (A-011,
///
fn is_domain(value: &str, address: &Address) -> bool {
    value.eq_ignore_ascii_case(address.domain())
}

/// A-012 under v1.2: an emailAddress in the subject is tolerated, but must repeat a name of the
/// subjectAltName.
fn legacy_agrees(certificate: &Certificate) -> bool {
    if certificate.subject_mail.is_empty() {
        return true;
    }
    let names = certificate.san_mail().iter().chain(certificate.san_dns());
    let names: HashSet<String> = names.map(|name| name.to_ascii_lowercase()).collect();
    certificate
        .subject_mail
        .iter()
        .all(|legacy| names.contains(&legacy.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).expect("an address")
    }

    #[test]
    fn an_rfc822_name_binds_the_whole_address_and_nothing_near_it() {
        let alice = address("Alice@Direct.Example.org");
        for same in ["alice@direct.example.org", "ALICE@direct.EXAMPLE.org"] {
            assert!(is_address(same, &alice), "{same}");
        }
        for near in [
            "bob@direct.example.org",
            "alice@example.org",
            "alice@x.direct.example.org",
            "alice@direct.example.org.",
            "alice@direct.example.org\0.evil.example",
            "alice\0@direct.example.org",
            "x alice@direct.example.org",
            "<alice@direct.example.org>",
            "direct.example.org",
            "*@direct.example.org",
            "",
        ] {
            assert!(!is_address(near, &alice), "{near:?}");
        }
    }

    #[test]
    fn a_dns_name_binds_its_very_domain_and_nothing_near_it() {
        let alice = address("alice@direct.example.org");
        assert!(is_domain("Direct.Example.ORG", &alice));
        for near in [
            "example.org",
            "a.direct.example.org",
            "*.example.org",
            "*.direct.example.org",
            "direct.example.org.",
            ".direct.example.org",
            "direct.example.org\0",
            "evildirect.example.org",
            "",
        ] {
            assert!(!is_domain(near, &alice), "{near:?}");
        }
        assert!(is_domain(
            "xn--kruter-cua.example",
            &address("a@kräuter.example")
        ));
    }

    #[test]
    fn many_questions_get_the_answers_of_one() {
        use crate::trust::testing::*;
        let many: Vec<String> = (0..2_000).map(|n| format!("A{n}@b.example")).collect();
        let mut names: Vec<(u8, &str)> = many.iter().map(|name| (1, name.as_str())).collect();
        names.push((2, "D.example"));
        let made = Make::leaf(&names).by_itself();
        let other = Make::leaf(&[(1, "x@y.example")]).by_itself();
        let both = [&*made.certificate, &*other.certificate];
        for profile in [Profile::V1_2, Profile::V1_3] {
            let bindings = Bindings::of(both, profile);
            for (who, bound) in [
                ("a7@B.example", true),
                ("a2000@b.example", false),
                ("b@d.example", true),
                ("b@c.d.example", false),
                ("a@e.example", false),
                ("X@y.example", true),
                ("änn@d.example", false),
            ] {
                let who = address(who);
                assert_eq!(bindings.bind(&who), bound, "{who}");
                let one = both.iter().any(|each| binds(each, &who, profile));
                assert_eq!(one, bound, "{who}");
            }
        }
    }

    #[test]
    fn a_legacy_address_in_the_subject_binds_nobody_and_under_v1_2_must_repeat_the_san() {
        use crate::trust::testing::*;
        let subject = |mail: &str| {
            let attribute = [oid("1.2.840.113549.1.9.1"), el(0x16, mail.as_bytes())].concat();
            el(0x30, &el(0x31, &el(0x30, &attribute)))
        };
        let ann = address("ann@d.example");
        for (legacy, names, v1_3, v1_2) in [
            ("ann@d.example", &[(2_u8, "e.example")][..], false, false),
            ("ann@d.example", &[(1, "Ann@d.example")], true, true),
            ("bob@d.example", &[(1, "ann@d.example")], true, false),
            ("d.example", &[(2, "d.example")], true, true),
        ] {
            let made = Make {
                subject: subject(legacy),
                ..Make::leaf(names)
            }
            .by_itself();
            assert_eq!(
                binds(&made.certificate, &ann, Profile::V1_3),
                v1_3,
                "{legacy} {names:?}"
            );
            assert_eq!(
                binds(&made.certificate, &ann, Profile::V1_2),
                v1_2,
                "{legacy} {names:?}"
            );
        }
        let odd = Make::leaf(&[(2, "d.example")]).by_itself();
        assert!(binds(&odd.certificate, &ann, Profile::V1_3));
        assert!(!binds(
            &odd.certificate,
            &address("änn@d.example"),
            Profile::V1_3
        ));
    }
}
