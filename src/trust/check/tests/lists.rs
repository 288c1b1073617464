//! The cases of NIST PKITS that turn on CRLs (4.4, 4.5, 4.7, 4.14), made anew from RFC 5280; more are in
//! `revocation`.

use super::sections::leaf;
use super::*;
use crate::trust::{RevocationMode, RevocationScope};

const OK: Option<Reason> = None;
const REVOKED: Option<Reason> = Some(Reason::Revoked);
const UNKNOWN: Option<Reason> = Some(Reason::RevocationUnknown);

fn judge(leaf: &Made, through: &[&Made], root: &Made, crls: &[Vec<u8>]) -> Option<Reason> {
    let rules = Rules {
        revocation: RevocationMode::Hard,
        revocation_scope: RevocationScope::All,
        ..Rules::rfc5280()
    };
    let mut asked = case(leaf, through, root, rules);
    asked.crls = crls.iter().map(|der| file("crl", der)).collect();
    reason(&asked)
}

fn root() -> Made {
    Make::crl_ca("Root").by_itself()
}

/// Numbered so that lists can name it.
fn numbered(make: Make, serial: &[u8]) -> Make {
    Make {
        serial: serial.to_vec(),
        ..make
    }
}

#[test]
fn section_4_serial_numbers_are_compared_as_numbers_with_their_sign() {
    let root = root();
    let long = vec![0x7f; 20];
    let mut near = long.clone();
    near[19] = 0x7e;
    for (own, listed, expected) in [
        (vec![0xff], vec![0x00, 0xff], OK),
        (vec![0xff], vec![0xff], REVOKED),
        (vec![0x00, 0xff], vec![0xff], OK),
        (long.clone(), long.clone(), REVOKED),
        (long.clone(), near, OK),
        (long.clone(), long[1..].to_vec(), OK),
        (vec![1], vec![0, 0, 1], REVOKED),
    ] {
        let leaf = numbered(leaf(), &own).by(&root);
        let crl = MakeCrl::new().listing(&listed, vec![]).by(&root);
        assert_eq!(
            judge(&leaf, &[], &root, &[crl]),
            expected,
            "{own:?} {listed:?}"
        );
    }
}

#[test]
fn section_4_a_list_counts_if_the_right_issuer_signed_it_and_another_beside_it_does_no_harm() {
    let root = root();
    let ca = Make::crl_ca("CA").serial(2).by(&root);
    let other = Make::crl_ca("Other").serial(3).by(&root);
    let namesake = Make::crl_ca("CA").by_itself();
    let leaf = leaf().serial(7).by(&ca);
    let of_root = MakeCrl::new().by(&root);
    let good = MakeCrl::new().by(&ca);
    let against = || MakeCrl::new().listing(&[7], vec![]);
    let bent = |mut der: Vec<u8>| {
        *der.last_mut().expect("octets") ^= 1;
        der
    };
    for (what, crls, expected) in [
        ("right", vec![good.clone()], OK),
        ("none", vec![], UNKNOWN),
        ("bent", vec![bent(good.clone())], UNKNOWN),
        ("of another CA", vec![against().by(&other)], UNKNOWN),
        (
            "in its name, by another key",
            vec![against().by(&namesake)],
            UNKNOWN,
        ),
        (
            "right and forged",
            vec![against().by(&namesake), good.clone()],
            OK,
        ),
        (
            "forged and right",
            vec![good.clone(), bent(against().by(&ca))],
            OK,
        ),
        (
            "good and against",
            vec![good.clone(), against().by(&ca)],
            REVOKED,
        ),
    ] {
        let all = [vec![of_root.clone()], crls].concat();
        let through = [&ca, &other, &namesake];
        assert_eq!(judge(&leaf, &through, &root, &all), expected, "{what}");
    }
}

#[test]
fn section_5_a_ca_that_changed_its_key_tells_status_with_either_key() {
    let root = root();
    let ca = |serial: u8| Make::crl_ca("CA").serial(serial);
    let (old, new) = (ca(2).by(&root), ca(3).by(&root));
    let old_with_new = ca(4).key(&old.key).by(&new);
    let new_with_old = ca(5).key(&new.key).by(&old);
    let of_root = MakeCrl::new().by(&root);
    let list = |serial: u8| MakeCrl::new().listing(&[serial], vec![]);
    for (what, leaf_by, through, signer, serial, expected) in [
        ("old with new", &old, [&new, &old_with_new], &new, 9, OK),
        (
            "old with new, listed",
            &old,
            [&new, &old_with_new],
            &new,
            7,
            REVOKED,
        ),
        (
            "old with new, itself listed",
            &old,
            [&new, &old_with_new],
            &new,
            4,
            REVOKED,
        ),
        ("new with old", &new, [&old, &new_with_old], &old, 9, OK),
        (
            "new with old, listed",
            &new,
            [&old, &new_with_old],
            &old,
            7,
            REVOKED,
        ),
        (
            "new with old, itself listed",
            &new,
            [&old, &new_with_old],
            &old,
            5,
            REVOKED,
        ),
        // Both keys are certified by the root: the list of one speaks for the leafs of the other.
        ("two keys", &old, [&old, &new], &new, 9, OK),
        ("two keys, listed", &old, [&old, &new], &new, 7, REVOKED),
    ] {
        let leaf = leaf().serial(7).by(leaf_by);
        let crls = [of_root.clone(), list(serial).by(signer)];
        assert_eq!(judge(&leaf, &through, &root, &crls), expected, "{what}");
    }
}

#[test]
fn section_7_a_ca_that_may_not_sign_lists_tells_nothing() {
    let root = root();
    for (bits, expected) in [(0x06, OK), (0x04, UNKNOWN)] {
        let usage = vec![basic_constraints(true, None), key_usage(bits)];
        let ca = Make::ca("CA").extensions(usage).serial(2).by(&root);
        let leaf = leaf().serial(7).by(&ca);
        let crls = [MakeCrl::new().by(&root), MakeCrl::new().by(&ca)];
        assert_eq!(judge(&leaf, &[&ca], &root, &crls), expected, "{bits}");
    }
}

#[test]
fn section_14_scopes_by_kind_of_certificate_are_kept_to() {
    let root = root();
    let ca = Make::crl_ca("CA").serial(2).by(&root);
    let leaf = leaf().serial(7).by(&ca);
    let of_root = |parts: &[Vec<u8>]| MakeCrl::new().with(scope(parts)).by(&root);
    let of_ca = |parts: &[Vec<u8>]| MakeCrl::new().with(scope(parts)).by(&ca);
    let (users, cas, attributes) = (el(0x81, &[0xff]), el(0x82, &[0xff]), el(0x85, &[0xff]));
    for (what, above, below, expected) in [
        ("CAs above, users below", &cas, &users, OK),
        ("users above", &users, &users, UNKNOWN),
        ("CAs below", &cas, &cas, UNKNOWN),
        ("attributes", &cas, &attributes, UNKNOWN),
    ] {
        let above = of_root(std::slice::from_ref(above));
        let below = of_ca(std::slice::from_ref(below));
        assert_eq!(
            judge(&leaf, &[&ca], &root, &[above, below]),
            expected,
            "{what}"
        );
    }
}
