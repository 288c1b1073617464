//! What is read of a certificate, and what is wrong with one on its own.

use super::*;
use crate::trust::testing::*;

impl Certificate {
    /// The same under another name and fingerprint, for tests that need very many.
    pub(crate) fn renamed(&self, n: u32) -> Arc<Self> {
        let mut copy = read(
            &self.der,
            &x509_parser::parse_x509_certificate(&self.der)
                .expect("parses")
                .1,
        )
        .expect("reads");
        copy.subject_name = Name::parse(&name(&format!("Other {n}")))
            .expect("a name")
            .name;
        copy.fingerprint = sha256(&n.to_be_bytes());
        Arc::new(copy)
    }
}

fn leaf() -> Make {
    Make::leaf(&[(1, "ann@d.example"), (2, "d.example")])
}

#[test]
fn a_plain_certificate_has_no_defect() {
    let made = leaf().by_itself();
    let certificate = &made.certificate;
    assert_eq!(certificate.defects(), [""; 0]);
    assert_eq!(certificate.san_mail(), ["ann@d.example"]);
    assert_eq!(certificate.san_dns(), ["d.example"]);
    assert_eq!(certificate.subject_text(), "CN=Leaf");
    assert_eq!(certificate.key_text(), "P-256");
    assert!(certificate.is_signed_by(certificate));
    assert!(!certificate.is_ca());
}

fn assert_defect(what: &str, make: Make) {
    let made = make.by_itself();
    assert!(!made.certificate.defects().is_empty(), "{what}");
}

#[test]
fn a_structure_that_rfc_5280_does_not_allow_is_a_defect() {
    let bent = |bend: fn(&mut Make)| {
        let mut make = leaf();
        bend(&mut make);
        make
    };
    let unique = bent(|make| {
        make.version = None;
        make.extensions = Vec::new();
        make.unique_ids = el(0x81, &[0, 1]);
    });
    assert_defect("v4", bent(|make| make.version = Some(3)));
    assert_defect("extensions in v1", bent(|make| make.version = None));
    assert_defect("extensions in v2", bent(|make| make.version = Some(1)));
    assert_defect("unique ids in v1", unique);
    assert_defect("long serial", bent(|make| make.serial = vec![1; 21]));
    let other = |make: &mut Make| make.inner_algorithm = "1.2.840.10045.4.3.3";
    assert_defect("algorithms differ", bent(other));
}

#[test]
fn an_extension_that_is_doubled_unknown_and_critical_or_undecodable_is_a_defect() {
    for (what, oid, critical, value) in [
        ("doubled", "2.5.29.17", false, &[0x30, 3, 0x82, 1, b'd'][..]),
        ("unknown critical", "1.2.3", true, &[]),
        ("authorityInfoAccess", "1.3.6.1.5.5.7.1.1", false, &[1]),
        ("policyMappings", "2.5.29.33", false, &[0x30, 2, 5, 0]),
        ("basicConstraints", "2.5.29.19", false, &[0x30, 2, 5, 0]),
        (
            "octets after basicConstraints",
            "2.5.29.19",
            false,
            &[0x30, 0, 5, 0],
        ),
        ("empty nameConstraints", "2.5.29.30", true, &[0x30, 0]),
        (
            "subtree with minimum",
            "2.5.29.30",
            true,
            &[0x30, 10, 0xa0, 8, 0x30, 6, 0x82, 1, b'd', 0x80, 1, 1],
        ),
        ("cRLDistributionPoints", "2.5.29.31", false, &[5, 0]),
    ] {
        assert_defect(what, leaf().with(extension(oid, critical, value)));
    }
    for (what, oid, value) in [
        ("keyUsage", "2.5.29.15", &[4, 0][..]),
        ("octets after keyUsage", "2.5.29.15", &[3, 2, 7, 0x80, 5, 0]),
        ("empty subjectAltName", "2.5.29.17", &[0x30, 0]),
        ("empty extendedKeyUsage", "2.5.29.37", &[0x30, 0]),
    ] {
        assert_defect(what, leaf().extensions(vec![extension(oid, false, value)]));
    }
    let fine = leaf().with(extension("1.2.3", false, &[])).by_itself();
    assert_eq!(fine.certificate.defects(), [""; 0]);
}

#[test]
fn names_that_two_readers_could_read_differently_are_defects() {
    for (form, text) in [
        (1, ""),
        (1, "d.example"),
        (1, "ann@d.example\0.evil.example"),
        (1, "ann@evil.example@d.example"),
        (1, "ann@d.example."),
        (1, "Ann <ann@d.example>"),
        (1, "ann@"),
        (1, "änn@d.example"),
        (2, ""),
        (2, "d.example."),
        (2, ".d.example"),
        (2, "d.example\0.evil.example"),
        (2, "d example"),
        (2, "d..example"),
    ] {
        let made = Make::leaf(&[(2, "fine.example"), (form, text)]).by_itself();
        assert!(!made.certificate.defects().is_empty(), "{form} {text:?}");
    }
    for (form, text) in [
        (1, "\"a@b\"@d.example"),
        (2, "*.d.example"),
        (2, "d_e.example"),
    ] {
        let made = Make::leaf(&[(form, text)]).by_itself();
        assert_eq!(made.certificate.defects(), [""; 0], "{form} {text:?}");
    }
}

#[test]
fn odd_serial_numbers_are_tolerated_and_odd_structures_are_not_read() {
    for serial in [
        vec![0],
        vec![0xff],
        vec![0; 1],
        [vec![0], vec![0x80; 20]].concat(),
    ] {
        let made = Make {
            serial: serial.clone(),
            ..leaf()
        }
        .by_itself();
        assert_eq!(made.certificate.defects(), [""; 0], "{serial:?}");
    }
    let good = leaf();
    let issuer = good.subject.clone();
    let der = good.der(&issuer, &good.key);
    assert!(Certificate::parse(&der).is_ok());
    for bad in [
        [der.clone(), vec![0]].concat(),
        der[1..].to_vec(),
        der[..der.len() - 1].to_vec(),
        vec![],
    ] {
        assert!(Certificate::parse(&bad).is_err());
    }
    let trailing = Make {
        trailer: vec![5, 0],
        ..leaf()
    };
    assert!(Certificate::parse(&trailing.der(&issuer, &trailing.key)).is_err());
}

#[test]
fn dates_before_1970_and_far_ahead_are_read() {
    let far = Timestamp::parse_rfc3339("9999-12-31T23:59:59Z").expect("a time");
    let long_ago = Timestamp::parse_rfc3339("1950-01-01T00:00:00Z").expect("a time");
    let made = Make {
        not_before: long_ago,
        not_after: far,
        ..leaf()
    }
    .by_itself();
    assert_eq!(made.certificate.not_before(), long_ago);
    assert_eq!(made.certificate.not_after(), far);
    assert_eq!(made.certificate.defects(), [""; 0]);
}

#[test]
fn cut_or_flipped_octets_never_break_the_reader() {
    let make = leaf()
        .with(name_constraints(&[(1, "d.example")], &[]))
        .with(policies(&["1.2.3"]));
    let der = make.der(&make.subject.clone(), &make.key);
    for at in 0..der.len() {
        assert!(Certificate::parse(&der[..at]).is_err());
        for flip in [0x01, 0x80, 0xff] {
            let mut bent = der.clone();
            bent[at] ^= flip;
            drop(Certificate::parse(&bent));
        }
    }
}

#[test]
fn a_certificate_is_named_however_the_peer_writes_its_issuer() {
    use crate::cms::Identifier;
    use crate::trust::testing::*;
    let root = Make::ca("Root").by_itself();
    let leaf = Make::leaf(&[(1, "ann@d.example")]).by(&root).certificate;
    // CN=Root as PrintableString, as UTF8String, in other letter case; CN=Rood.
    let name = |tag: u8, text: &[u8]| {
        let attribute = [oid("2.5.4.3"), el(tag, text)].concat();
        el(0x30, &el(0x31, &el(0x30, &attribute)))
    };
    let named = |issuer: Vec<u8>, serial: &[u8]| {
        leaf.is_named_by(&Identifier::IssuerAndSerial {
            issuer,
            serial: serial.to_vec(),
        })
    };
    let serial = leaf.serial().to_vec();
    for issuer in [
        leaf.issuer().to_vec(),
        name(0x13, b"Root"),
        name(0x0c, b"ROOT"),
    ] {
        assert!(named(issuer.clone(), &serial));
        assert!(named(issuer.clone(), &[&[0], &serial[..]].concat()));
        assert!(!named(issuer, &[&serial[..], &[0]].concat()));
    }
    assert!(!named(name(0x0c, b"Rood"), &serial));
    assert!(!named(vec![], &serial));
}
