//! Which CRLs speak for a certificate, which against it, and which say nothing.

use super::*;
use crate::trust::testing::*;
use crate::trust::{Evidence, Path, Rules, build_path};

const MAIL: (u8, &str) = (1, "ann@d.example");
const LEAF: u8 = 7;

/// Root, CA, leaf.
struct Chain {
    root: Made,
    ca: Made,
    leaf: Made,
}

fn chain(leaf: Make) -> Chain {
    let root = Make::crl_ca("Root").by_itself();
    let ca = Make::crl_ca("CA").serial(2).by(&root);
    let leaf = leaf.serial(LEAF).by(&ca);
    Chain { root, ca, leaf }
}

fn plain() -> Make {
    Make::leaf(&[MAIL])
}

fn rules(mode: RevocationMode, scope: RevocationScope) -> Rules {
    Rules {
        revocation: mode,
        revocation_scope: scope,
        ..Rules::rfc5280()
    }
}

fn judge(
    chain: &Chain,
    beside: &[&Made],
    crls: &[Vec<u8>],
    rules: &Rules,
) -> Result<Path, Distrust> {
    let bag: Vec<_> = beside
        .iter()
        .chain([&&chain.ca])
        .map(|made| Arc::clone(&made.certificate))
        .collect();
    let question = Question {
        bag: &bag,
        anchors: &AnchorSet::new([Arc::clone(&chain.root.certificate)]),
        rules,
        evidence: &Evidence::of(crls.iter().map(|der| Crl::parse(der).expect("a CRL"))),
        now: NOW,
    };
    build_path(&chain.leaf.certificate, &question)
}

/// The leaf's status; that of the CA is known to be good.
fn status(chain: &Chain, beside: &[&Made], crls: &[Vec<u8>]) -> Option<Reason> {
    let mut all = vec![MakeCrl::new().by(&chain.root)];
    all.extend_from_slice(crls);
    let rules = rules(RevocationMode::Hard, RevocationScope::All);
    judge(chain, beside, &all, &rules)
        .err()
        .map(|why| why.reason)
}

const REVOKED: Option<Reason> = Some(Reason::Revoked);
const UNKNOWN: Option<Reason> = Some(Reason::RevocationUnknown);

/// What it is, the list, what it says.
type Row = (&'static str, MakeCrl, Option<Reason>);

/// By time and entries.
fn lists_by_entries() -> Vec<Row> {
    let second = MakeCrl::new;
    vec![
        ("not listed", second(), None),
        ("another listed", second().listing(&[8], vec![]), None),
        (
            "another listed twice",
            second().listing(&[8], vec![]).listing(&[8], vec![]),
            UNKNOWN,
        ),
        ("listed", second().listing(&[LEAF], vec![]), REVOKED),
        (
            "listed with idle octets",
            second().listing(&[0, LEAF], vec![]),
            REVOKED,
        ),
        (
            "on hold",
            second().listing(
                &[LEAF],
                vec![extension("2.5.29.21", false, &el(0x0a, &[6]))],
            ),
            REVOKED,
        ),
        (
            "old",
            MakeCrl {
                next_update: Some(NOW.minus(DAY)),
                ..second()
            },
            UNKNOWN,
        ),
        (
            "old and listed",
            MakeCrl {
                next_update: Some(NOW.minus(DAY)),
                ..second()
            }
            .listing(&[LEAF], vec![]),
            REVOKED,
        ),
        (
            "without end",
            MakeCrl {
                next_update: None,
                ..second()
            },
            UNKNOWN,
        ),
        (
            "by a clock that is ahead",
            MakeCrl {
                this_update: NOW.plus(std::time::Duration::from_secs(240)),
                ..second()
            },
            None,
        ),
        (
            "of tomorrow",
            MakeCrl {
                this_update: NOW.plus(DAY / 2),
                ..second()
            },
            UNKNOWN,
        ),
    ]
}

/// By form.
fn lists_by_form() -> Vec<Row> {
    let number = |critical| extension("2.5.29.20", critical, &el(0x02, &[1]));
    let second = MakeCrl::new;
    vec![
        (
            "v1",
            MakeCrl {
                version: None,
                extensions: vec![],
                ..second()
            },
            None,
        ),
        (
            "v1 with extensions",
            MakeCrl {
                version: None,
                ..second()
            },
            UNKNOWN,
        ),
        (
            "without number",
            MakeCrl {
                extensions: vec![],
                ..second()
            },
            UNKNOWN,
        ),
        (
            "critical number",
            MakeCrl {
                extensions: vec![number(true)],
                ..second()
            },
            UNKNOWN,
        ),
        ("number twice", second().with(number(false)), UNKNOWN),
        (
            "unknown extension",
            second().with(extension("1.2.3", false, &[5, 0])),
            None,
        ),
        (
            "unknown critical extension",
            second().with(extension("1.2.3", true, &[5, 0])),
            UNKNOWN,
        ),
        (
            "unknown critical entry extension",
            second().listing(&[8], vec![extension("1.2.3", true, &[5, 0])]),
            UNKNOWN,
        ),
    ]
}

/// By scope.
fn lists_by_scope() -> Vec<Row> {
    let second = MakeCrl::new;
    vec![
        (
            "delta",
            second().with(extension("2.5.29.27", true, &el(2, &[1]))),
            UNKNOWN,
        ),
        (
            "for users",
            second().with(scope(&[el(0x81, &[0xff])])),
            None,
        ),
        (
            "for CAs",
            second().with(scope(&[el(0x82, &[0xff])])),
            UNKNOWN,
        ),
        (
            "for attributes",
            second().with(scope(&[el(0x85, &[0xff])])),
            UNKNOWN,
        ),
        (
            "some reasons",
            second().with(scope(&[el(0x83, &[1, 0x40])])),
            UNKNOWN,
        ),
        (
            "some reasons, listed",
            second()
                .with(scope(&[el(0x83, &[1, 0x40])]))
                .listing(&[LEAF], vec![]),
            REVOKED,
        ),
        (
            "another point",
            second().with(scope(&[point_name("http://a/1")])),
            UNKNOWN,
        ),
        (
            "somebody else's entry in a list that is not indirect",
            second().listing(
                &[8],
                vec![extension(
                    "2.5.29.29",
                    true,
                    &el(0x30, &directory_name("CA")),
                )],
            ),
            UNKNOWN,
        ),
    ]
}

#[test]
fn only_a_whole_fresh_and_known_list_speaks_for_a_certificate() {
    let rows = [lists_by_entries(), lists_by_form(), lists_by_scope()];
    let chain = chain(plain());
    for (what, crl, expected) in rows.into_iter().flatten() {
        assert_eq!(
            status(&chain, &[], &[crl.by(&chain.ca)]),
            expected,
            "{what}"
        );
    }
    assert_eq!(status(&chain, &[], &[]), UNKNOWN);
}

#[test]
fn a_list_must_be_signed_by_who_may_and_leads_to_the_same_anchor() {
    let chain = chain(plain());
    let fresh = MakeCrl::new();
    let other = Make::crl_ca("Other").by_itself();
    let namesake = Make::crl_ca("CA").by_itself();
    // The name is right, the key is not.
    let forged = fresh.by(&namesake);
    assert_eq!(status(&chain, &[], std::slice::from_ref(&forged)), UNKNOWN);
    assert_eq!(status(&chain, &[&namesake], &[forged]), UNKNOWN);
    assert_eq!(status(&chain, &[&other], &[fresh.by(&other)]), UNKNOWN);
    // A key of its own for CRLs: certified by the root, and not revoked itself.
    let signer = Make::crl_signer("CA").serial(3).by(&chain.root);
    let list = [fresh.by(&signer)];
    assert_eq!(status(&chain, &[], &list), UNKNOWN);
    assert_eq!(status(&chain, &[&signer], &list), None);
    let lame = Make::leaf(&[MAIL]);
    let lame = Make {
        subject: name("CA"),
        ..lame
    }
    .serial(4)
    .by(&chain.root);
    assert_eq!(status(&chain, &[&lame], &[fresh.by(&lame)]), UNKNOWN);
    let against = MakeCrl::new().listing(&[3], vec![]).by(&chain.root);
    assert_eq!(
        status(&chain, &[&signer], &[fresh.by(&signer), against]),
        UNKNOWN
    );
    // A list must not vouch for its own signer.
    let own = Make::crl_signer("CA").serial(5).by(&chain.ca);
    assert_eq!(status(&chain, &[&own], &[fresh.by(&own)]), UNKNOWN);
    // keyUsage without cRLSign, of the issuer and of the anchor.
    let root = Make::ca("Root").by_itself();
    let ca = Make::ca("CA").by(&root);
    let leaf = plain().serial(LEAF).by(&ca);
    let weak = Chain { root, ca, leaf };
    assert_eq!(status(&weak, &[], &[fresh.by(&weak.ca)]), UNKNOWN);
}

#[test]
fn points_and_scopes_must_meet_and_reasons_add_up() {
    let here = point_name("http://ca.example/1");
    let there = point_name("http://ca.example/2");
    let at = chain(plain().with(distribution_point(std::slice::from_ref(&here))));
    let scoped = |parts: &[Vec<u8>]| MakeCrl::new().with(scope(parts)).by(&at.ca);
    assert_eq!(
        status(&at, &[], &[scoped(std::slice::from_ref(&here))]),
        None
    );
    assert_eq!(status(&at, &[], &[scoped(&[there])]), UNKNOWN);
    let key = || el(0x83, &[0, 0x60]);
    // All but the two of `key`.
    let rest = || el(0x83, &[7, 0x1f, 0x80]);
    assert_eq!(status(&at, &[], &[scoped(&[here.clone(), key()])]), UNKNOWN);
    let both = [
        scoped(&[here.clone(), key()]),
        scoped(&[here.clone(), rest()]),
    ];
    assert_eq!(status(&at, &[], &both), None);
    // A name relative to the issuer is the whole name.
    let own = el(
        0xa0,
        &el(
            0xa0,
            &el(0xa4, &el(0x30, &[relative("CA"), relative("1")].concat())),
        ),
    );
    let short = el(0xa0, &el(0xa1, &inside(&relative("1"))));
    let at = chain(plain().with(distribution_point(&[short])));
    let list = MakeCrl::new().with(scope(&[own])).by(&at.ca);
    assert_eq!(status(&at, &[], &[list]), None);
}

/// `SET { CN=text }`
fn relative(text: &str) -> Vec<u8> {
    inside(&name(text))
}

/// The contents of an element.
fn inside(der: &[u8]) -> Vec<u8> {
    let (element, _) = crate::trust::tlv::first(der).expect("an element");
    element.value.to_vec()
}

#[test]
fn an_indirect_list_speaks_for_whom_the_certificate_and_its_entries_name() {
    let root = Make::crl_ca("Root").by_itself();
    let ca = Make::crl_ca("CA").serial(2).by(&root);
    let desk = Make::crl_signer("Desk").serial(3).by(&root);
    let issuer = el(0xa2, &directory_name("Desk"));
    let leaf = plain()
        .with(distribution_point(&[issuer]))
        .serial(LEAF)
        .by(&ca);
    let chain = Chain { root, ca, leaf };
    let indirect = || MakeCrl::new().with(scope(&[el(0x84, &[0xff])]));
    let of = |text: &str| extension("2.5.29.29", true, &el(0x30, &directory_name(text)));
    for (what, crl, expected) in [
        ("empty", indirect(), None),
        ("not indirect", MakeCrl::new(), UNKNOWN),
        ("its own serial", indirect().listing(&[LEAF], vec![]), None),
        (
            "the CA's",
            indirect().listing(&[LEAF], vec![of("CA")]),
            REVOKED,
        ),
        (
            "another's",
            indirect().listing(&[LEAF], vec![of("Other")]),
            None,
        ),
        (
            "the CA's, named before",
            indirect()
                .listing(&[1], vec![of("CA")])
                .listing(&[LEAF], vec![]),
            REVOKED,
        ),
    ] {
        assert_eq!(
            status(&chain, &[&desk], &[crl.by(&desk)]),
            expected,
            "{what}"
        );
    }
}

#[test]
fn deltas_speak_against_and_never_for() {
    let chain = chain(plain());
    let delta = || MakeCrl::new().with(extension("2.5.29.27", true, &el(2, &[1])));
    let reason = |code: u8| vec![extension("2.5.29.21", false, &el(0x0a, &[code]))];
    let base = MakeCrl::new();
    for (what, base, delta, expected) in [
        ("beside a base", base.clone(), delta(), UNKNOWN),
        (
            "listed",
            base.clone(),
            delta().listing(&[LEAF], vec![]),
            REVOKED,
        ),
        (
            "lifted",
            base.listing(&[LEAF], reason(6)),
            delta().listing(&[LEAF], reason(8)),
            UNKNOWN,
        ),
    ] {
        let crls = [base.by(&chain.ca), delta.by(&chain.ca)];
        assert_eq!(status(&chain, &[], &crls), expected, "{what}");
    }
}

#[test]
fn mode_and_scope_say_what_is_asked_and_what_unknown_means() {
    use RevocationMode::{Hard, Off, Soft};
    use RevocationScope::{All, Leaf};
    let chain = chain(plain());
    let of_leaf = MakeCrl::new().by(&chain.ca);
    let against_ca = MakeCrl::new().listing(&[2], vec![]).by(&chain.root);
    for (mode, scope, crls, expected, notes) in [
        (Off, All, vec![against_ca.clone()], None, 0),
        (Hard, Leaf, vec![of_leaf.clone()], None, 0),
        (
            Hard,
            Leaf,
            vec![of_leaf.clone(), against_ca.clone()],
            None,
            0,
        ),
        (Hard, All, vec![of_leaf.clone()], UNKNOWN, 0),
        (Hard, All, vec![of_leaf, against_ca.clone()], REVOKED, 0),
        (Soft, All, vec![], None, 2),
        (Soft, Leaf, vec![], None, 1),
        (Soft, All, vec![against_ca], REVOKED, 0),
    ] {
        let found = judge(&chain, &[], &crls, &rules(mode, scope));
        let told = found.as_ref().map_or(0, |path| path.notes().len());
        let reason = found.err().map(|why| why.reason);
        assert_eq!((reason, told), (expected, notes), "{mode:?} {scope:?}");
    }
}

#[test]
fn hostile_lists_and_signers_stay_within_the_budget() {
    let chain = chain(plain());
    let signers: Vec<Made> = (0..60)
        .map(|n| Make::crl_signer("CA").serial(100 + n).by(&chain.root))
        .collect();
    let crls: Vec<Vec<u8>> = (0..60_u8)
        .map(|n| {
            MakeCrl::new()
                .listing(&[n + 100], vec![])
                .by(&signers[usize::from(n)])
        })
        .collect();
    let bag: Vec<_> = signers
        .iter()
        .chain([&chain.ca])
        .map(|made| Arc::clone(&made.certificate))
        .collect();
    let question = Question {
        bag: &bag,
        anchors: &AnchorSet::new([Arc::clone(&chain.root.certificate)]),
        rules: &rules(RevocationMode::Hard, RevocationScope::All),
        evidence: &Evidence::of(crls.iter().map(|der| Crl::parse(der).expect("a CRL"))),
        now: NOW,
    };
    let mut work = Work::default();
    let found = crate::trust::build_path_within(&chain.leaf.certificate, &question, &mut work);
    assert!(found.is_err());
    assert!(work.signature_checks() <= crate::limits::SIGNATURE_CHECKS_MAX);
}

#[test]
fn octets_that_are_bent_anywhere_never_panic_and_never_pass() {
    let chain = chain(plain());
    let good = MakeCrl::new()
        .listing(&[8], vec![extension("2.5.29.21", false, &el(0x0a, &[1]))])
        .by(&chain.ca);
    let of_root = MakeCrl::new().by(&chain.root);
    let rules = rules(RevocationMode::Hard, RevocationScope::All);
    for at in 0..good.len() {
        let mut bent = good.clone();
        bent[at] ^= 0x01;
        let Ok(crl) = Crl::parse(&bent) else {
            continue;
        };
        let question = Question {
            bag: &[Arc::clone(&chain.ca.certificate)],
            anchors: &AnchorSet::new([Arc::clone(&chain.root.certificate)]),
            rules: &rules,
            evidence: &Evidence::of([crl, Crl::parse(&of_root).expect("a CRL")]),
            now: NOW,
        };
        assert!(
            build_path(&chain.leaf.certificate, &question).is_err(),
            "octet {at}"
        );
    }
}
