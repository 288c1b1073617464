//! Which paths are found, which are refused and why, and what the search costs.

use super::*;
use crate::crypto::issue::{Issued, KeyKind, Purpose, Template, issue, make_key};
use crate::limits::CERTIFICATES_MAX;
use crate::trust::PathPurpose;
use crate::trust::testing::*;
use crate::world::World;

const MAIL: (u8, &str) = (1, "ann@d.example");

fn set(anchors: &[&Made]) -> AnchorSet {
    AnchorSet::new(anchors.iter().map(|made| Arc::clone(&made.certificate)))
}

fn bag(made: &[&Made]) -> Vec<Arc<Certificate>> {
    made.iter()
        .map(|made| Arc::clone(&made.certificate))
        .collect()
}

fn try_path(leaf: &Made, through: &[&Made], anchors: &[&Made]) -> Result<Path, Distrust> {
    let (bag, anchors) = (bag(through), set(anchors));
    ask(
        &leaf.certificate,
        &bag,
        &anchors,
        PathPurpose::Sign,
        NOW,
        &mut Work::default(),
    )
}

/// As the roads ask.
fn ask(
    leaf: &Arc<Certificate>,
    bag: &[Arc<Certificate>],
    anchors: &AnchorSet,
    purpose: PathPurpose,
    now: Timestamp,
    work: &mut Work,
) -> Result<Path, Distrust> {
    let question = Question {
        bag,
        anchors,
        rules: &Rules::direct(purpose),
        evidence: &Evidence::default(),
        now,
    };
    build_path_within(leaf, &question, work)
}

/// None: accepted.
fn refusal(leaf: &Made, through: &[&Made], anchors: &[&Made]) -> Option<Reason> {
    try_path(leaf, through, anchors).err().map(|why| why.reason)
}

#[test]
fn a_path_ends_in_the_anchor_and_names_what_lies_on_it() {
    let root = Make::ca("Root").by_itself();
    let ca = Make::ca("CA").by(&root);
    let leaf = Make::leaf(&[MAIL]).by(&ca);
    let path = try_path(&leaf, &[&ca], &[&root]).expect("trusted");
    assert_eq!(path.anchor(), AnchorId(root.certificate.fingerprint()));
    assert_eq!(path.subjects(), ["CN=Leaf", "CN=CA", "CN=Root"]);
    // an anchor need not be a root.
    assert_eq!(refusal(&leaf, &[], &[&ca]), None);
    assert_eq!(refusal(&leaf, &[&ca], &[]), Some(Reason::NoPath));
    assert_eq!(refusal(&leaf, &[], &[&root]), Some(Reason::NoPath));
    let sibling = Make::ca("Sibling").by(&root);
    assert_eq!(
        refusal(&leaf, &[&ca, &root], &[&sibling]),
        Some(Reason::NoPath)
    );
}

#[test]
fn what_is_wrong_with_a_leaf_is_told() {
    let root = Make::ca("Root").by_itself();
    let leaf = || Make::leaf(&[MAIL]);
    let only = |extensions| leaf().extensions(extensions);
    let table = [
        (leaf(), None),
        (
            Make {
                not_after: NOW,
                ..leaf()
            },
            None,
        ),
        (
            Make {
                not_after: Timestamp(NOW.0 - 1_000_000),
                ..leaf()
            },
            Some(Reason::Expired),
        ),
        (
            Make {
                not_before: NOW,
                ..leaf()
            },
            None,
        ),
        (
            Make {
                not_before: Timestamp(NOW.0 + 1_000_000),
                ..leaf()
            },
            Some(Reason::NotYetValid),
        ),
        (leaf().with(basic_constraints(false, None)), None),
        (
            leaf().with(basic_constraints(true, None)),
            Some(Reason::LeafIsCa),
        ),
        // keyUsage: absent, digitalSignature, keyEncipherment alone.
        (only(vec![san(&[MAIL])]), None),
        (only(vec![san(&[MAIL]), key_usage(0x80)]), None),
        (
            only(vec![san(&[MAIL]), key_usage(0x20)]),
            Some(Reason::WrongUsage),
        ),
        // extendedKeyUsage: any, serverAuth alone.
        (only(vec![extended_key_usage("2.5.29.37.0")]), None),
        (
            only(vec![extended_key_usage("1.3.6.1.5.5.7.3.1")]),
            Some(Reason::WrongUsage),
        ),
        (leaf().with(extension("1.2.3.4", false, &[5, 0])), None),
        (
            leaf().with(extension("1.2.3.4", true, &[5, 0])),
            Some(Reason::BadExtension),
        ),
        (leaf().with(san(&[MAIL])), Some(Reason::BadExtension)),
    ];
    for (row, (make, expected)) in table.into_iter().enumerate() {
        assert_eq!(
            refusal(&make.by(&root), &[], &[&root]),
            expected,
            "row {row}"
        );
    }
}

/// Made once with the `openssl` command line: a root with RSA 2048, and leafs below it.
macro_rules! fixture {
    ($name:literal) => {
        Certificate::parse(include_bytes!(concat!("fixtures/", $name, ".der")))
            .expect("a certificate")
    };
}

#[test]
fn keys_and_signatures_of_every_kind_are_accepted_or_refused_for_what_they_are() {
    let root = fixture!("root");
    let anchors = AnchorSet::new([root]);
    for (name, leaf, expected) in [
        ("sha256", fixture!("sha256"), None),
        ("pss", fixture!("pss"), None),
        ("rsa3072", fixture!("rsa3072"), None),
        ("p384", fixture!("p384"), None),
        (
            "sha1",
            fixture!("sha1"),
            Some(Reason::WeakCertificateSignature),
        ),
        (
            "pss-sha1",
            fixture!("pss-sha1"),
            Some(Reason::WeakCertificateSignature),
        ),
        ("rsa1024", fixture!("rsa1024"), Some(Reason::WeakKey)),
        ("rsa9000", fixture!("rsa9000"), Some(Reason::WeakKey)),
        ("p521", fixture!("p521"), Some(Reason::WeakKey)),
        ("explicit", fixture!("explicit"), Some(Reason::WeakKey)),
        ("ed25519", fixture!("ed25519"), Some(Reason::WeakKey)),
    ] {
        let found = ask(
            &leaf,
            &[],
            &anchors,
            PathPurpose::Sign,
            NOW.plus(DAY),
            &mut Work::default(),
        );
        assert_eq!(found.err().map(|why| why.reason), expected, "{name}");
    }
}

#[test]
fn a_certificate_signed_with_sha1_is_refused_below_an_anchor_but_an_anchor_is_not_judged_by_its_own_signature()
 {
    let sha1 = "1.2.840.10045.4.1";
    let old = |make: Make| Make {
        algorithm: sha1,
        inner_algorithm: sha1,
        ..make
    };
    let root = old(Make::ca("Root")).by_itself();
    let ca = old(Make::ca("CA")).by(&root);
    let weak = Some(Reason::WeakCertificateSignature);
    assert_eq!(refusal(&Make::leaf(&[MAIL]).by(&root), &[], &[&root]), None);
    assert_eq!(
        refusal(&old(Make::leaf(&[MAIL])).by(&root), &[], &[&root]),
        weak
    );
    assert_eq!(
        refusal(&Make::leaf(&[MAIL]).by(&ca), &[&ca], &[&root]),
        weak
    );
}

#[test]
fn an_issuer_must_be_a_ca_that_is_fit_now() {
    let root = Make::ca("Root").by_itself();
    let ca = || Make::ca("CA");
    let only = |extensions| ca().extensions(extensions);
    let cases = [
        (ca(), None),
        (only(vec![basic_constraints(true, None)]), None),
        (only(vec![key_usage(0x04)]), Some(Reason::NotCa)),
        (
            only(vec![basic_constraints(false, None)]),
            Some(Reason::NotCa),
        ),
        (
            only(vec![basic_constraints(true, None), key_usage(0x02)]),
            Some(Reason::NotCa),
        ),
        (
            Make {
                not_after: NOW.minus(DAY),
                ..ca()
            },
            Some(Reason::Expired),
        ),
        (
            Make {
                not_before: NOW.plus(DAY),
                ..ca()
            },
            Some(Reason::NotYetValid),
        ),
        (
            ca().with(extension("1.2.3.4", true, &[5, 0])),
            Some(Reason::BadExtension),
        ),
        (ca().with(extended_key_usage("1.3.6.1.5.5.7.3.4")), None),
        (
            ca().with(extended_key_usage("1.3.6.1.5.5.7.3.1")),
            Some(Reason::WrongUsage),
        ),
        (
            Make {
                version: None,
                extensions: vec![],
                ..ca()
            },
            Some(Reason::NotCa),
        ),
    ];
    for (row, (make, expected)) in cases.into_iter().enumerate() {
        // As intermediate, and as the anchor itself.
        let below = make.clone().by(&root);
        let leaf = Make::leaf(&[MAIL]).by(&below);
        assert_eq!(
            refusal(&leaf, &[&below], &[&root]),
            expected,
            "row {row}, intermediate"
        );
        assert_eq!(
            refusal(&leaf, &[], &[&below]),
            expected,
            "row {row}, anchor"
        );
    }
}

#[test]
fn path_lengths_count_intermediates_that_are_not_self_issued() {
    let limited = |length| {
        Make::ca("Root").extensions(vec![basic_constraints(true, Some(length)), key_usage(4)])
    };
    let root = limited(1).by_itself();
    let one = Make::ca("One").by(&root);
    let two = Make::ca("Two").by(&one);
    let leaf = Make::leaf(&[MAIL]);
    assert_eq!(refusal(&leaf.clone().by(&one), &[&one], &[&root]), None);
    let deep = leaf.clone().by(&two);
    assert_eq!(
        refusal(&deep, &[&one, &two], &[&root]),
        Some(Reason::PathTooLong)
    );
    // The tightest length on the way counts, not the anchor's alone.
    let last = limited(0);
    let last = Make {
        subject: name("Last"),
        ..last
    }
    .by(&one);
    let wide = limited(3).by_itself();
    let three = Make::ca("Three").by(&last);
    let one = Make::ca("One").key(&one.key).by(&wide);
    assert_eq!(
        refusal(&leaf.clone().by(&last), &[&one, &last], &[&wide]),
        None
    );
    let deep = leaf.clone().by(&three);
    let through = [&one, &last, &three];
    assert_eq!(
        refusal(&deep, &through, &[&wide]),
        Some(Reason::PathTooLong)
    );
    let one = Make::ca("One").key(&one.key).by(&root);
    // A key rollover: same name, other key.
    let rolled = Make::ca("One").by(&one);
    assert_eq!(refusal(&leaf.by(&rolled), &[&one, &rolled], &[&root]), None);
}

#[test]
fn a_copied_key_identifier_or_name_does_not_make_an_anchor() {
    let world = World::at(NOW);
    let template = |name: &str, purpose, claimed_ski| Template {
        common_name: name.to_owned(),
        purpose,
        not_before: NOW.minus(DAY),
        not_after: NOW.plus(DAY),
        crl_url: None,
        claimed_ski,
    };
    let made = |template: &Template, issuer: Option<&Issued>| {
        let key = make_key(KeyKind::P256).expect("a key");
        issue(&world, template, &key, issuer).expect("issues")
    };
    let ca = Purpose::Ca { path_len: None };
    let direct = Purpose::Direct {
        address: Some("ann@d.example".into()),
        domain: None,
    };
    let root = made(&template("Root", ca.clone(), None), None);
    let anchor = Certificate::parse(&root.certificate).expect("a certificate");
    let anchors = AnchorSet::new([Arc::clone(&anchor)]);
    let ski = anchor.subject_key_id().map(<[u8]>::to_vec);
    let judge = |issued: &Issued, through: &[&Issued]| {
        let leaf = Certificate::parse(&issued.certificate).expect("a certificate");
        let bag: Vec<_> = through
            .iter()
            .filter_map(|one| Certificate::parse(&one.certificate).ok())
            .collect();
        ask(
            &leaf,
            &bag,
            &anchors,
            PathPurpose::Sign,
            NOW,
            &mut Work::default(),
        )
        .err()
        .map(|why| why.reason)
    };
    assert_eq!(
        judge(
            &made(&template("L", direct.clone(), None), Some(&root)),
            &[]
        ),
        None
    );
    // the leaf claims the anchor's identifier; so does a CA of the anchor's name; and one signs in
    // its name.
    let claimed = made(&template("L", direct.clone(), ski.clone()), None);
    assert_eq!(judge(&claimed, &[]), Some(Reason::NoPath));
    let twin = made(&template("Root", ca, ski), None);
    let below_twin = made(&template("L", direct.clone(), None), Some(&twin));
    assert_eq!(
        judge(&below_twin, &[&twin]),
        Some(Reason::BadIssuerSignature)
    );
    let forger = Issued {
        key: make_key(KeyKind::P256).expect("a key"),
        ..root.clone()
    };
    let forged = made(&template("L", direct, None), Some(&forger));
    assert_eq!(judge(&forged, &[]), Some(Reason::BadIssuerSignature));
}

#[test]
fn a_leaf_among_the_anchors_vouches_for_itself_after_every_other_check() {
    let leaf = Make::leaf(&[MAIL]).by_itself();
    let other = Make::leaf(&[MAIL]).by_itself();
    assert_eq!(refusal(&leaf, &[], &[&leaf]), None);
    assert_eq!(
        refusal(&other, &[&leaf], &[&leaf]),
        Some(Reason::BadIssuerSignature)
    );
    let expired = Make {
        not_after: NOW.minus(DAY),
        ..Make::leaf(&[MAIL])
    }
    .by_itself();
    assert_eq!(refusal(&expired, &[], &[&expired]), Some(Reason::Expired));
    let root = Make::ca("Root").by_itself();
    assert_eq!(refusal(&root, &[], &[&root]), Some(Reason::LeafIsCa));
}

#[test]
fn a_dead_end_is_left_and_another_way_is_found() {
    let (root, other) = (Make::ca("Root").by_itself(), Make::ca("Other").by_itself());
    let bridge = Make::ca("Bridge");
    // The bridge is certified twice; one certificate is constrained to names that the leaf has not.
    let tight = bridge
        .clone()
        .with(name_constraints(&[(1, "e.example")], &[]))
        .by(&root);
    let open = bridge.by(&root);
    let old = Make {
        not_after: NOW.minus(DAY),
        ..Make::ca("Bridge").key(&open.key)
    }
    .by(&root);
    let leaf = Make::leaf(&[MAIL]).by(&open);
    for through in [
        [&tight, &old, &open],
        [&open, &tight, &old],
        [&old, &open, &tight],
    ] {
        assert_eq!(refusal(&leaf, &through, &[&root]), None);
    }
    assert_eq!(
        refusal(&leaf, &[&tight, &old], &[&root]),
        Some(Reason::NameConstraint)
    );
    assert_eq!(refusal(&leaf, &[&old], &[&root]), Some(Reason::Expired));
    // Cross certificates in a ring end nowhere and go on for no time.
    let back = Make::ca("Other").key(&other.key).by(&open);
    let ring = Make::ca("Bridge").key(&open.key).by(&other);
    assert_eq!(
        refusal(&leaf, &[&ring, &back], &[&root]),
        Some(Reason::NoPath)
    );
    assert_eq!(refusal(&leaf, &[&ring, &back, &open], &[&root]), None);
    assert_eq!(refusal(&leaf, &[&ring, &back], &[&other]), None);
}

#[test]
fn name_constraints_of_every_ca_above_hold_for_every_certificate_below() {
    let root = Make::ca("Root").by_itself();
    type Names<'a> = &'a [(u8, &'a str)];
    let cases: &[(Names<'_>, Names<'_>, Names<'_>, bool)] = &[
        (&[(1, "d.example")], &[], &[MAIL], true),
        (&[(1, "e.example")], &[], &[MAIL], false),
        (&[(2, "d.example")], &[], &[(2, "a.d.example")], true),
        (&[(2, "d.example")], &[], &[(2, "evild.example")], false),
        (&[], &[(2, "d.example")], &[MAIL], true),
        (&[], &[(1, "d.example")], &[MAIL], false),
        (&[], &[(6, "d.example")], &[MAIL], true),
        (
            &[],
            &[(6, "d.example")],
            &[MAIL, (6, "http://e.example")],
            true,
        ),
        (
            &[],
            &[(6, "d.example")],
            &[MAIL, (6, "http://d.example/")],
            false,
        ),
        (&[], &[(6, "d.example")], &[MAIL, (6, "urn:x")], false),
    ];
    for (row, (permitted, excluded, names, fine)) in cases.iter().enumerate() {
        let ca = Make::ca("CA")
            .with(name_constraints(permitted, excluded))
            .by(&root);
        let sub = Make::ca("Sub").by(&ca);
        let leaf = Make::leaf(names).by(&sub);
        let expected = (!fine).then_some(Reason::NameConstraint);
        assert_eq!(
            refusal(&leaf, &[&ca, &sub], &[&root]),
            expected,
            "row {row}"
        );
        assert_eq!(
            refusal(&leaf, &[&sub], &[&ca]),
            expected,
            "row {row}, of the anchor"
        );
    }
}

#[test]
fn where_a_ca_demands_a_policy_it_must_hold_all_the_way() {
    let root = Make::ca("Root").by_itself();
    let strict = Make::ca("CA").with(require_explicit_policy(0));
    for (ca, leaf, fine) in [
        (vec![], vec![], false),
        (vec!["1.2.3.1"], vec!["1.2.3.1"], true),
        (vec!["1.2.3.1"], vec!["1.2.3.2"], false),
        (vec!["1.2.3.1"], vec![], false),
        (vec!["2.5.29.32.0"], vec!["1.2.3.2"], true),
    ] {
        let add = |make: Make, found: &[&str]| {
            if found.is_empty() {
                make
            } else {
                make.with(policies(found))
            }
        };
        let issuer = add(strict.clone(), &ca).by(&root);
        let under = add(Make::leaf(&[MAIL]), &leaf).by(&issuer);
        let expected = (!fine).then_some(Reason::CertificatePolicy);
        assert_eq!(
            refusal(&under, &[&issuer], &[&root]),
            expected,
            "{ca:?} {leaf:?}"
        );
    }
}

#[test]
fn ten_thousand_anchors_cost_no_more_than_one() {
    let root = Make::ca("Root").by_itself();
    let ca = Make::ca("CA").by(&root);
    let leaf = Make::leaf(&[MAIL]).by(&ca);
    let shared = key(KeyKind::P256);
    let one = Make::ca("Other").key(&shared).by_itself();
    let costs: Vec<_> = [1_u32, 10_000]
        .into_iter()
        .map(|count| {
            // Parsing is not what is measured: the same certificate under many names.
            let others = (1..count).map(|n| one.certificate.renamed(n));
            let anchors = AnchorSet::new(others.chain([Arc::clone(&root.certificate)]));
            assert_eq!(anchors.len(), usize::try_from(count).expect("fits"));
            let mut work = Work::default();
            let bag = bag(&[&ca]);
            let found = ask(
                &leaf.certificate,
                &bag,
                &anchors,
                PathPurpose::Sign,
                NOW,
                &mut work,
            );
            assert!(found.is_ok());
            (work.signature_checks(), work.comparisons(), work.steps)
        })
        .collect();
    assert_eq!(costs[0], costs[1]);
    assert_eq!(costs[0].0, 2);
}

/// `names` CAs, each certified by each, with and without a way to the root.
fn mesh(root: &Made, names: usize) -> Vec<Made> {
    let cas: Vec<_> = (0..names)
        .map(|n| Make::ca(&format!("Mesh {n}")).by(root))
        .collect();
    let cross = |at: usize| {
        let others = cas.iter().enumerate().filter(move |(from, _)| *from != at);
        let make = Make::ca(&format!("Mesh {at}")).key(&cas[at].key);
        others
            .map(move |(_, other)| make.clone().by(other))
            .collect::<Vec<_>>()
    };
    let crossed: Vec<Made> = (0..names).flat_map(cross).collect();
    cas.into_iter().chain(crossed).collect()
}

#[test]
fn a_mesh_of_cross_signed_cas_stays_within_its_budget() {
    let root = Make::ca("Root").by_itself();
    let stranger = Make::ca("Stranger").by_itself();
    let all = mesh(&root, 6);
    let leaf = Make::leaf(&[MAIL]).by(&all[0]);
    let picky = Make::leaf(&[(1, "ann@e.example")]).by(&all[0]);
    let tight = Make::ca("Root")
        .key(&root.key)
        .with(name_constraints(&[(1, "d.example")], &[]))
        .by_itself();
    let bag: Vec<_> = all
        .iter()
        .map(|made| Arc::clone(&made.certificate))
        .collect();
    let run = |leaf: &Made, anchor: &Made| {
        let mut work = Work::default();
        let found = ask(
            &leaf.certificate,
            &bag,
            &set(&[anchor]),
            PathPurpose::Sign,
            NOW,
            &mut work,
        );
        assert!(work.signature_checks() <= SIGNATURE_CHECKS_MAX);
        assert!(work.steps <= PATH_STEPS_MAX + 1);
        found.map_err(|why| why.reason).err()
    };
    assert!(bag.len() > CERTIFICATES_MAX);
    assert_eq!(run(&leaf, &root), None);
    // No anchor, no work.
    let mut idle = Work::default();
    assert!(
        ask(
            &leaf.certificate,
            &bag,
            &set(&[&stranger]),
            PathPurpose::Sign,
            NOW,
            &mut idle
        )
        .is_err()
    );
    assert_eq!(idle.signature_checks(), 0);
    // Every path is complete and every one breaks a name constraint: factorially many.
    assert_eq!(run(&picky, &tight), Some(Reason::OutOfBudget));
}

#[test]
fn a_path_deeper_than_the_limit_is_not_decided() {
    let root = Make::ca("Root").by_itself();
    let mut cas = vec![root];
    for n in 0..=PATH_DEPTH_MAX {
        cas.push(Make::ca(&format!("CA {n}")).by(&cas[n]));
    }
    let leaf = |depth: usize| Make::leaf(&[MAIL]).by(&cas[depth]);
    let through: Vec<&Made> = cas.iter().skip(1).collect();
    assert_eq!(refusal(&leaf(PATH_DEPTH_MAX), &through, &[&cas[0]]), None);
    let deep = refusal(&leaf(PATH_DEPTH_MAX + 1), &through, &[&cas[0]]);
    assert_eq!(deep, Some(Reason::OutOfBudget));
}

#[test]
fn encryption_asks_for_another_key_usage_than_signing() {
    let root = Make::ca("Root").by_itself();
    let try_with = |bits: u8, purpose| {
        let leaf = Make::leaf(&[])
            .extensions(vec![key_usage(bits), san(&[MAIL])])
            .by(&root);
        ask(
            &leaf.certificate,
            &[],
            &set(&[&root]),
            purpose,
            NOW,
            &mut Work::default(),
        )
        .err()
        .map(|why| why.reason)
    };
    assert_eq!(try_with(0x08, PathPurpose::Encrypt), None);
    assert_eq!(
        try_with(0x80, PathPurpose::Encrypt),
        Some(Reason::WrongUsage)
    );
    assert_eq!(try_with(0x80, PathPurpose::Sign), None);
    assert_eq!(try_with(0x08, PathPurpose::Sign), Some(Reason::WrongUsage));
}
