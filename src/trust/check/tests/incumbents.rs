//! Defects of the Java and .NET reference implementations that concern trust: each as what must not happen
//! here. The numbers are those of the list that the project was begun with.

use super::sections::{leaf, root};
use super::*;
use crate::trust::{PathPurpose, RevocationMode, RevocationScope};

const ANN: (u8, &str) = (1, "ann@d.example");

/// As the roads ask.
fn direct(leaf: &Made, through: &[&Made], anchor: &Made) -> Option<Reason> {
    reason(&case(
        leaf,
        through,
        anchor,
        Rules::direct(PathPurpose::Sign),
    ))
}

/// The anchor that all attackers know, with its key identifier.
fn anchor() -> Made {
    root().with(subject_key_id(b"anchor")).by_itself()
}

#[test]
fn defect_1_a_leaf_with_the_key_identifier_of_an_anchor_is_not_trusted_for_it() {
    let anchor = anchor();
    let forged = Make::leaf(&[ANN]).with(subject_key_id(b"anchor"));
    let plain = Make::leaf(&[ANN]);
    assert_eq!(direct(&plain.by(&anchor), &[], &anchor), None);
    assert_eq!(
        direct(&forged.clone().by_itself(), &[], &anchor),
        Some(Reason::NoPath)
    );
    // The same, in the anchor's name.
    let named = forged.named(name("Root")).by_itself();
    assert_eq!(
        direct(&named, &[], &anchor),
        Some(Reason::BadIssuerSignature)
    );
}

#[test]
fn defect_1_an_intermediate_with_the_key_identifier_of_an_anchor_vouches_for_nobody() {
    let anchor = anchor();
    for make in [
        Make::ca("CA").with(subject_key_id(b"anchor")),
        Make::ca("Root").with(subject_key_id(b"anchor")),
        Make::ca("CA")
            .with(subject_key_id(b"anchor"))
            .with(authority_key_id(b"anchor")),
    ] {
        let forged = make.by_itself();
        let leaf = Make::leaf(&[ANN])
            .with(authority_key_id(b"anchor"))
            .by(&forged);
        assert!(direct(&leaf, &[&forged], &anchor).is_some());
    }
}

#[test]
fn defect_1_an_anchor_that_was_issued_again_with_its_key_is_met_by_key_and_signature() {
    let anchor = anchor();
    let again = root()
        .key(&anchor.key)
        .serial(9)
        .with(subject_key_id(b"anchor"))
        .by_itself();
    let leaf = Make::leaf(&[ANN])
        .with(authority_key_id(b"anchor"))
        .by(&again);
    assert_ne!(
        anchor.certificate.fingerprint(),
        again.certificate.fingerprint()
    );
    assert_eq!(direct(&leaf, &[&again], &anchor), None);
    // The same name and identifier with another key is another anchor.
    let other = root().serial(9).with(subject_key_id(b"anchor")).by_itself();
    let leaf = Make::leaf(&[ANN])
        .with(authority_key_id(b"anchor"))
        .by(&other);
    assert_eq!(
        direct(&leaf, &[&other], &anchor),
        Some(Reason::BadIssuerSignature)
    );
}

#[test]
fn defect_1_an_expired_leaf_is_not_trusted_by_any_way_round_the_checks() {
    let anchor = anchor();
    let old = Make {
        not_after: NOW.minus(DAY / 2),
        ..Make::leaf(&[ANN]).with(subject_key_id(b"anchor"))
    };
    let expired = Some(Reason::Expired);
    assert_eq!(direct(&old.clone().by(&anchor), &[], &anchor), expired);
    let itself = old.by_itself();
    assert_eq!(direct(&itself, &[], &itself), expired);
}

#[test]
fn defect_3_certificates_signed_with_sha1_or_md5_are_refused() {
    let anchor = anchor();
    for algorithm in [
        "1.2.840.113549.1.1.4",
        "1.2.840.113549.1.1.5",
        "1.3.14.3.2.29",
        "1.2.840.10045.4.1",
    ] {
        let weak = Make {
            algorithm,
            inner_algorithm: algorithm,
            ..Make::leaf(&[ANN])
        };
        let weak = weak.by(&anchor);
        let refused = Some(Reason::WeakCertificateSignature);
        assert_eq!(direct(&weak, &[], &anchor), refused, "{algorithm}");
    }
}

#[test]
fn defect_4_a_certificate_of_a_trusted_organisation_does_not_serve_for_another_address() {
    let anchor = anchor();
    let theirs = Make::leaf(&[(1, "eve@d.example"), (2, "e.example")]).by(&anchor);
    let ask = |text: &str| {
        let mut asked = case(&theirs, &[], &anchor, Rules::direct(PathPurpose::Sign));
        let address = crate::envelope::Address::parse(text).expect("an address");
        asked.address = Some((address, crate::trust::Profile::V1_3));
        reason(&asked)
    };
    assert_eq!(ask("eve@d.example"), None);
    assert_eq!(ask("bob@e.example"), None);
    assert_eq!(ask("ann@d.example"), Some(Reason::NotBound));
    assert_eq!(ask("bob@x.e.example"), Some(Reason::NotBound));
}

fn with_status(leaf: &Made, ca: &Made, root: &Made, crls: &[Vec<u8>]) -> Option<Reason> {
    let rules = Rules {
        revocation: RevocationMode::Hard,
        revocation_scope: RevocationScope::All,
        ..Rules::direct(PathPurpose::Sign)
    };
    let mut asked = case(leaf, &[ca], root, rules);
    asked.crls = crls.iter().map(|der| file("crl", der)).collect();
    reason(&asked)
}

#[test]
fn defect_5_revocation_is_verified_fails_closed_and_is_asked_for_intermediates_too() {
    let root = Make::crl_ca("Root").by_itself();
    let ca = Make::crl_ca("CA").serial(2).by(&root);
    let leaf = Make::leaf(&[ANN]).serial(7).by(&ca);
    let good = MakeCrl::new();
    let of_root = good.by(&root);
    let unknown = Some(Reason::RevocationUnknown);
    assert_eq!(
        with_status(&leaf, &ca, &root, &[of_root.clone(), good.by(&ca)]),
        None
    );
    // Nothing at hand; no status of the intermediate; a list that somebody else signed; octets.
    let stranger = Make::crl_ca("CA").by_itself();
    for crls in [
        vec![],
        vec![good.by(&ca)],
        vec![of_root.clone(), good.by(&stranger)],
        vec![of_root.clone(), b"junk".to_vec()],
    ] {
        assert_eq!(with_status(&leaf, &ca, &root, &crls), unknown);
    }
    let revoked = Some(Reason::Revoked);
    let against_ca = good.clone().listing(&[2], vec![]).by(&root);
    assert_eq!(
        with_status(&leaf, &ca, &root, &[against_ca, good.by(&ca)]),
        revoked
    );
    let against_leaf = good.listing(&[7], vec![]).by(&ca);
    assert_eq!(
        with_status(&leaf, &ca, &root, &[of_root, against_leaf]),
        revoked
    );
}

#[test]
fn defect_6_every_name_of_a_certificate_counts() {
    let anchor = anchor();
    let names = [
        (1, "a@d.example"),
        (2, "d2.example"),
        (1, "b@d.example"),
        (2, "d3.example"),
    ];
    let made = Make::leaf(&names).by(&anchor);
    for text in ["a@d.example", "b@d.example", "x@d2.example", "y@d3.example"] {
        let mut asked = case(&made, &[], &anchor, Rules::direct(PathPurpose::Sign));
        let address = crate::envelope::Address::parse(text).expect("an address");
        asked.address = Some((address, crate::trust::Profile::V1_3));
        assert_eq!(reason(&asked), None, "{text}");
    }
}

#[test]
fn a_leaf_that_is_an_anchor_is_trusted_only_if_nobody_has_revoked_it() {
    let root = Make::crl_ca("Root").by_itself();
    let leaf = Make::leaf(&[ANN]).serial(7).by(&root);
    let ask = |bag: &[&Made], crls: &[Vec<u8>], mode: RevocationMode| {
        let rules = Rules {
            revocation: mode,
            ..Rules::direct(PathPurpose::Sign)
        };
        let mut asked = case(&leaf, bag, &leaf, rules);
        asked.crls = crls.iter().map(|der| file("crl", der)).collect();
        reason(&asked)
    };
    use RevocationMode::{Hard, Off, Soft};
    let good = MakeCrl::new().by(&root);
    let against = MakeCrl::new().listing(&[7], vec![]).by(&root);
    let stranger = Make::crl_ca("Root").by_itself();
    let by_stranger = MakeCrl::new().listing(&[7], vec![]).by(&stranger);
    assert_eq!(ask(&[], &[], Off), None);
    assert_eq!(ask(&[], &[], Soft), None);
    assert_eq!(ask(&[], &[], Hard), Some(Reason::RevocationUnknown));
    assert_eq!(ask(&[&root], std::slice::from_ref(&good), Hard), None);
    assert_eq!(
        ask(&[&root], std::slice::from_ref(&against), Hard),
        Some(Reason::Revoked)
    );
    assert_eq!(ask(&[&root], &[against], Soft), Some(Reason::Revoked));
    assert_eq!(ask(&[&stranger], &[by_stranger], Soft), None);
    // One that signed itself has nobody who could speak against it.
    let own = self::leaf().by_itself();
    let rules = Rules {
        revocation: Hard,
        ..Rules::rfc5280()
    };
    assert_eq!(reason(&case(&own, &[], &own, rules)), None);
}
