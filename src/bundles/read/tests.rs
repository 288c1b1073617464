//! Bundles in every form, and each near miss of a signature.

use super::*;
use crate::bundles::{Publisher, make};
use crate::trust::testing::{DAY, Made, Make, NOW};

struct Case {
    anchors: Vec<Vec<u8>>,
    publisher: Made,
}

impl Case {
    fn new() -> Self {
        let anchors =
            ["A", "B", "C"].map(|name| Make::ca(name).by_itself().certificate.der().to_vec());
        Self {
            anchors: anchors.to_vec(),
            publisher: Make::leaf(&[(1, "p@d.example")]).by_itself(),
        }
    }

    fn plain(&self, metadata: Option<&[u8]>) -> Vec<u8> {
        make(&self.anchors, metadata, None, NOW).expect("made")
    }

    fn signed(&self, by: &Made) -> Vec<u8> {
        let publisher = Publisher {
            certificate: by.certificate.der().to_vec(),
            key: by.key.clone(),
        };
        make(&self.anchors, None, Some(&publisher), NOW).expect("made")
    }

    fn pinned(&self, octets: &[u8]) -> Result<usize, ReadError> {
        read(octets, Some(&self.publisher.certificate), NOW).map(|found| found.anchors.len())
    }
}

fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    let text = base64_simd::STANDARD.encode_to_string(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("ASCII"))
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
    .into_bytes()
}

/// The outer four elements with lengths that end at two zero octets.
fn ber(der: &[u8]) -> Vec<u8> {
    let (header, rest) = (&der[..1], &der[4..]);
    [header, &[0x80], rest, &[0, 0]].concat()
}

#[test]
fn certificates_alone_are_read_from_der_ber_and_pem() {
    let case = Case::new();
    let der = case.plain(None);
    for octets in [der.clone(), ber(&der), pem("PKCS7", &der), pem("CMS", &der)] {
        let found = read(&octets, None, NOW).expect("reads");
        assert_eq!((found.anchors.len(), found.metadata), (3, None));
        assert_eq!(found.digest, hex(&sha256(&octets)));
    }
    for bad in [
        &der[..der.len() - 1],
        b"",
        b"<html>404</html>",
        &pem("CERTIFICATE", &der),
    ] {
        assert!(matches!(read(bad, None, NOW), Err(ReadError::Malformed(_))));
    }
    // D-018: all or none.
    let broken = crate::cms::bundle(&[case.anchors[0].clone(), vec![0x30, 0]], None);
    assert!(matches!(
        read(&broken, None, NOW),
        Err(ReadError::Certificate(_))
    ));
}

#[test]
fn metadata_is_told_and_what_is_odd_about_it_warned_of() {
    let case = Case::new();
    let xml = b"<TrustBundle><Profile>x</Profile><ValidTo>2020-01-01T00:00:00Z</ValidTo><Anchors><Anchor/></Anchors></TrustBundle>";
    let found = read(&case.plain(Some(xml)), None, NOW).expect("reads");
    assert_eq!(
        found.metadata.and_then(|found| found.profile).as_deref(),
        Some("x")
    );
    assert_eq!(found.warnings.len(), 2, "{:?}", found.warnings);
    let hostile =
        b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><TrustBundle>&e;</TrustBundle>";
    let found = read(&case.plain(Some(hostile)), None, NOW).expect("reads");
    assert_eq!((found.anchors.len(), found.metadata), (3, None));
    assert_eq!(found.warnings, ["its metadata has a document type"]);
}

#[test]
fn a_pinned_signer_is_demanded_always_and_by_no_other() {
    let case = Case::new();
    let signed = case.signed(&case.publisher);
    assert_eq!(case.pinned(&signed), Ok(3));
    assert_eq!(case.pinned(&pem("PKCS7", &signed)), Ok(3));
    // D-004: the JRI reads this one.
    assert_eq!(case.pinned(&case.plain(None)), Err(ReadError::NotSigned));
    assert!(matches!(
        read(&signed, None, NOW),
        Err(ReadError::NotPinned)
    ));
    let other = case.signed(&Make::leaf(&[(1, "p@d.example")]).by_itself());
    assert!(matches!(
        case.pinned(&other),
        Err(ReadError::WrongSigner(_))
    ));
    // Every octet of what is signed counts.
    let inner = case.plain(None);
    let at = signed
        .windows(inner.len())
        .position(|window| window == inner)
        .expect("inside");
    for offset in [0, inner.len() / 2, inner.len() - 1] {
        let mut touched = signed.clone();
        touched[at + offset] ^= 1;
        assert!(case.pinned(&touched).is_err(), "octet {offset}");
    }
}

#[test]
fn a_pinned_ca_vouches_for_its_signers_while_they_are_valid() {
    let case = Case::new();
    let ca = Make::ca("Publisher").by_itself();
    let by_ca = |make: Make| {
        let signer = make.by(&ca);
        read(&case.signed(&signer), Some(&ca.certificate), NOW).map(|found| found.anchors.len())
    };
    assert_eq!(by_ca(Make::leaf(&[(1, "p@d.example")])), Ok(3));
    let over = Make {
        not_after: NOW.minus(DAY / 2),
        ..Make::leaf(&[(1, "p@d.example")])
    };
    assert!(matches!(by_ca(over), Err(ReadError::WrongSigner(_))));
    let stranger = Make::leaf(&[(1, "p@d.example")]).by(&Make::ca("Publisher").by_itself());
    let read = read(&case.signed(&stranger), Some(&ca.certificate), NOW);
    assert!(matches!(read, Err(ReadError::WrongSigner(_))));
}
