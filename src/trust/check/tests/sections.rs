//! The cases of NIST PKITS by its sections (4.1 to 4.13, 4.16; CRLs are in `revocation`), and of other
//! public suites of their kind, made anew from RFC 5280: for each chain that holds, the nearest one that
//! does not.

use super::*;
use crate::crypto::issue::KeyKind;

const C: &str = "1.2.3.3";
const OK: Option<Reason> = None;
const POLICY: Option<Reason> = Some(Reason::CertificatePolicy);
const FORM: Option<Reason> = Some(Reason::BadExtension);
const NAMES: Option<Reason> = Some(Reason::NameConstraint);
const LONG: Option<Reason> = Some(Reason::PathTooLong);
const NOT_CA: Option<Reason> = Some(Reason::NotCa);

/// Root first; each is signed by the one before it; the last is the leaf.
pub(super) fn chain(makes: &[Make]) -> Vec<Made> {
    let mut made: Vec<Made> = Vec::new();
    for make in makes {
        let next = match made.last() {
            None => make.clone().by_itself(),
            Some(above) => make.clone().by(above),
        };
        made.push(next);
    }
    made
}

/// What path validation alone says of this chain.
pub(super) fn verdict(makes: &[Make], rules: Rules) -> Option<Reason> {
    answer(makes, rules).reason
}

pub(super) fn answer(makes: &[Make], rules: Rules) -> Answer {
    let made = chain(makes);
    let [root, between @ .., leaf] = made.as_slice() else {
        panic!("a chain has a root and a leaf");
    };
    let between: Vec<&Made> = between.iter().collect();
    check(&case(leaf, &between, root, rules))
}

pub(super) fn plain(makes: &[Make]) -> Option<Reason> {
    verdict(makes, Rules::rfc5280())
}

pub(super) fn root() -> Make {
    Make::ca("Root")
}

/// No name and no use: what path validation alone asks for.
pub(super) fn leaf() -> Make {
    Make::leaf(&[]).extensions(vec![])
}

fn ca(name: &str) -> Make {
    Make::ca(name)
}

/// A CA with this path length.
fn long(name: &str, length: u8) -> Make {
    ca(name).extensions(vec![basic_constraints(true, Some(length)), key_usage(0x04)])
}

#[test]
fn section_1_signatures_must_be_right_at_every_edge() {
    let made = chain(&[root(), ca("CA"), leaf()]);
    let judge = |ders: [Vec<u8>; 2]| {
        let mut asked = case(&made[2], &[], &made[0], Rules::rfc5280());
        let [ca, leaf] = ders;
        asked.intermediates = vec![file("ca", &ca)];
        asked.leaf = file("leaf", &leaf);
        reason(&asked)
    };
    let der = |at: usize| made[at].certificate.der().to_vec();
    // The last octet of an ECDSA signature is a digit of s.
    let bent = |at: usize| {
        let mut der = der(at);
        *der.last_mut().expect("octets") ^= 1;
        der
    };
    assert_eq!(judge([der(1), der(2)]), OK);
    let forged = Some(Reason::BadIssuerSignature);
    assert_eq!(judge([bent(1), der(2)]), forged);
    assert_eq!(judge([der(1), bent(2)]), forged);
}

#[test]
fn section_2_validity_is_read_in_both_forms_and_from_1950_on() {
    let utc = |text: &str| el(0x17, text.as_bytes());
    let general = |text: &str| el(0x18, text.as_bytes());
    let with = |times: [Vec<u8>; 2]| Make {
        times: Some(times.concat()),
        ..leaf()
    };
    let unread = Some(Reason::BadCertificate);
    for (row, (times, expected)) in [
        ([utc("500101000000Z"), utc("491231235959Z")], OK),
        ([utc("700101000000Z"), general("20501231235959Z")], OK),
        ([general("20020101000000Z"), general("99991231235959Z")], OK),
        (
            [utc("010101000000Z"), utc("500101000000Z")],
            Some(Reason::Expired),
        ),
        (
            [utc("470101000000Z"), utc("490101000000Z")],
            Some(Reason::NotYetValid),
        ),
        ([utc("010101000000Z"), utc("490101000000+0000")], FORM),
        ([utc("0101010000Z"), utc("490101000000Z")], FORM),
        ([utc("010101000000Z"), general("20500101000000.5Z")], FORM),
        ([utc("011301000000Z"), utc("490101000000Z")], unread),
        ([el(0x13, b"010101000000Z"), utc("490101000000Z")], unread),
    ]
    .into_iter()
    .enumerate()
    {
        let der = with(times).der(&name("Root"), &key(KeyKind::P256));
        let found = match Certificate::parse(&der) {
            Err(_) => unread,
            Ok(_) => {
                let root = root().by_itself();
                let make = with_times_of(&der);
                let leaf = make.by(&root);
                reason(&case(&leaf, &[], &root, Rules::rfc5280()))
            }
        };
        // What does not decode may be refused when read or when judged.
        let refused = |reason: Option<Reason>| reason == unread || reason == FORM;
        assert!(
            found == expected || (refused(found) && refused(expected)),
            "row {row}: {found:?}"
        );
    }
}

/// A leaf with the validity of this certificate.
fn with_times_of(der: &[u8]) -> Make {
    let inside = |der: &[u8]| {
        crate::trust::tlv::first(der)
            .expect("an element")
            .0
            .value
            .to_vec()
    };
    let tbs = inside(&inside(der));
    let fields = crate::trust::tlv::all(&inside(&inside(der))).map(|all| all.len());
    assert!(fields.is_some(), "{tbs:?}");
    let outer = inside(der);
    let (tbs, _) = crate::trust::tlv::first(&outer).expect("an element");
    let all = crate::trust::tlv::all(tbs.value).expect("elements");
    Make {
        times: Some(all[4].value.to_vec()),
        ..leaf()
    }
}

#[test]
fn section_3_names_chain_by_rfc_5280_7_1() {
    const CN: &str = "2.5.4.3";
    const O: &str = "2.5.4.10";
    const DC: &str = "0.9.2342.19200300.100.1.25";
    let base = long_name(&[(O, 0x13, "Test Org"), (CN, 0x13, "Good CA")]);
    for (what, written, same) in [
        (
            "case",
            vec![(O, 0x13, "TEST ORG"), (CN, 0x13, "good ca")],
            true,
        ),
        (
            "blanks",
            vec![(O, 0x13, " Test   Org "), (CN, 0x13, "Good CA")],
            true,
        ),
        (
            "UTF-8",
            vec![(O, 0x0c, "Test Org"), (CN, 0x0c, "Good CA")],
            true,
        ),
        (
            "order",
            vec![(CN, 0x13, "Good CA"), (O, 0x13, "Test Org")],
            false,
        ),
        (
            "blank lost",
            vec![(O, 0x13, "TestOrg"), (CN, 0x13, "Good CA")],
            false,
        ),
        (
            "other",
            vec![(O, 0x13, "Test Org"), (CN, 0x13, "Good CB")],
            false,
        ),
        ("shorter", vec![(O, 0x13, "Test Org")], false),
        (
            "other type",
            vec![(O, 0x13, "Test Org"), (DC, 0x16, "Good CA")],
            false,
        ),
    ] {
        let root = root().by_itself();
        let made = ca("").named(base.clone()).by(&root);
        let leaf = leaf().sign(&long_name(&written), &made.key);
        let found = reason(&case(&leaf, &[&made], &root, Rules::rfc5280()));
        assert_eq!(found, (!same).then_some(Reason::NoPath), "{what}");
    }
    let unique = Make {
        unique_ids: [el(0x81, &[0, 1]), el(0x82, &[0, 2])].concat(),
        ..leaf()
    };
    assert_eq!(plain(&[root(), unique]), OK);
}

#[test]
fn section_6_basic_constraints_and_path_lengths_hold() {
    let bare = |bc: Vec<u8>| ca("CA").extensions(vec![bc, key_usage(0x04)]);
    let soft = extension("2.5.29.19", false, &el(0x30, &el(0x01, &[0xff])));
    let again = |make: Make, name_of: &str| Make {
        subject: name(name_of),
        ..make
    };
    for (row, (makes, expected)) in [
        (
            vec![root(), ca("CA").extensions(vec![key_usage(0x04)]), leaf()],
            FORM,
        ),
        (
            vec![root(), bare(basic_constraints(false, None)), leaf()],
            FORM,
        ),
        (vec![root(), bare(soft.clone()), leaf()], OK),
        (vec![root(), ca("CA").extensions(vec![]), leaf()], NOT_CA),
        // What no CA above answers for must be right in form.
        (vec![root().extensions(vec![soft]), leaf()], FORM),
        (vec![root(), long("A", 0), leaf()], OK),
        (vec![root(), long("A", 0), ca("B"), leaf()], LONG),
        // The last certificate is no intermediate, though it be a CA.
        (vec![root(), long("A", 0), ca("B")], OK),
        (
            vec![root(), long("A", 6), long("B", 0), ca("C"), leaf()],
            LONG,
        ),
        (vec![root(), long("A", 0), long("B", 5), leaf()], LONG),
        (
            vec![root(), long("A", 6), long("B", 1), long("C", 4), leaf()],
            OK,
        ),
        (
            vec![
                root(),
                long("A", 6),
                long("B", 1),
                long("C", 4),
                ca("D"),
                leaf(),
            ],
            LONG,
        ),
        (vec![long("Root", 0), leaf()], OK),
        (vec![long("Root", 0), ca("A"), leaf()], LONG),
        // Self-issued: not counted, but bound.
        (vec![root(), long("A", 0), ca("A"), leaf()], OK),
        (vec![root(), long("A", 0), ca("A"), ca("B"), leaf()], LONG),
        (
            vec![
                root(),
                long("A", 0),
                again(long("A", 3), "A"),
                ca("B"),
                leaf(),
            ],
            LONG,
        ),
        (
            vec![root(), long("A", 1), ca("A"), long("B", 0), ca("B"), leaf()],
            OK,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(plain(&makes), expected, "row {row}");
    }
}

#[test]
fn section_7_key_usage_binds_critical_or_not() {
    let usage = |critical: bool, bits: u8| {
        let unused = u8::try_from(bits.trailing_zeros()).expect("small");
        let usage = extension("2.5.29.15", critical, &el(0x03, &[unused, bits]));
        ca("CA").extensions(vec![basic_constraints(true, None), usage])
    };
    for (critical, bits, expected) in [
        (true, 0x04, OK),
        (false, 0x04, OK),
        (true, 0x02, NOT_CA),
        (false, 0x02, NOT_CA),
        (true, 0x80, NOT_CA),
    ] {
        assert_eq!(
            plain(&[root(), usage(critical, bits), leaf()]),
            expected,
            "{critical} {bits}"
        );
    }
}

/// A CA and a leaf with these policies.
fn with(name: &str, found: &[&str]) -> Make {
    ca(name).with(policies(found))
}

fn end(found: &[&str]) -> Make {
    leaf().with(policies(found))
}

fn any() -> PolicyRules {
    PolicyRules::default()
}

#[test]
fn section_8_certificate_policies_meet_along_the_path() {
    for (row, (makes, rules, expected)) in [
        (vec![root(), with("A", &[A]), end(&[A])], ask(&[]), OK),
        (vec![root(), with("A", &[A]), end(&[A])], ask(&[A]), OK),
        (vec![root(), with("A", &[A]), end(&[A])], ask(&[B]), POLICY),
        (vec![root(), with("A", &[A]), end(&[A])], ask(&[A, B]), OK),
        (vec![root(), ca("A"), leaf()], any(), OK),
        (vec![root(), ca("A"), leaf()], ask(&[]), POLICY),
        (
            vec![root(), with("A", &[A, B]), with("B", &[A]), end(&[A])],
            ask(&[]),
            OK,
        ),
        (
            vec![root(), with("A", &[A]), with("B", &[B]), end(&[A])],
            ask(&[]),
            POLICY,
        ),
        (
            vec![root(), with("A", &[A]), with("B", &[B]), end(&[A])],
            any(),
            OK,
        ),
        (
            vec![root(), with("A", &[A]), ca("B"), end(&[A])],
            ask(&[]),
            POLICY,
        ),
        (vec![root(), with("A", &[A]), end(&[B])], any(), OK),
        (
            vec![root(), with("A", &[A, B]), with("B", &[A, C]), end(&[C])],
            ask(&[]),
            POLICY,
        ),
        (
            vec![root(), with("A", &[A, B]), with("B", &[A, B]), end(&[A, B])],
            ask(&[B]),
            OK,
        ),
        (vec![root(), with("A", &[ANY]), end(&[A])], ask(&[A]), OK),
        (
            vec![root(), with("A", &[ANY]), end(&[A])],
            ask(&[B]),
            POLICY,
        ),
        (vec![root(), with("A", &[A]), end(&[ANY])], ask(&[A]), OK),
        (
            vec![root(), with("A", &[A]), end(&[ANY])],
            ask(&[B]),
            POLICY,
        ),
        (vec![root(), with("A", &[ANY]), end(&[ANY])], ask(&[B]), OK),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(verdict(&makes, under(rules)), expected, "row {row}");
    }
}

#[test]
fn section_9_an_explicit_policy_is_demanded_after_so_many_certificates() {
    let demand = |name: &str, skip: u8| with(name, &[A]).with(require_explicit_policy(skip));
    let at_end = leaf().with(require_explicit_policy(0));
    for (row, (makes, expected)) in [
        (vec![root(), demand("A", 10), with("B", &[A]), leaf()], OK),
        (vec![root(), demand("A", 3), with("B", &[A]), leaf()], OK),
        (
            vec![root(), demand("A", 2), with("B", &[A]), leaf()],
            POLICY,
        ),
        (vec![root(), demand("A", 0), leaf()], POLICY),
        (vec![root(), demand("A", 0), end(&[A])], OK),
        (vec![root(), demand("A", 0), end(&[B])], POLICY),
        (vec![root(), demand("A", 2), demand("B", 0), leaf()], POLICY),
        (vec![root(), demand("A", 0), demand("B", 9), leaf()], POLICY),
        // Self-issued certificates take nothing from the count.
        (vec![root(), demand("A", 2), with("A", &[A]), leaf()], OK),
        (
            vec![
                root(),
                demand("A", 1),
                with("A", &[A]),
                with("B", &[A]),
                leaf(),
            ],
            POLICY,
        ),
        (vec![root(), with("A", &[A]), at_end.clone()], POLICY),
        (
            vec![root(), with("A", &[A]), at_end.with(policies(&[A]))],
            OK,
        ),
        // What the anchor's certificate demands holds, too (RFC 5937 §3.2).
        (
            vec![
                root().with(require_explicit_policy(0)),
                with("A", &[A]),
                leaf(),
            ],
            POLICY,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(plain(&makes), expected, "row {row}");
    }
}

#[test]
fn sections_10_and_11_policies_are_mapped_and_mapping_is_inhibited() {
    let maps = |name: &str, found: &[&str], pairs: &[(&str, &str)]| {
        with(name, found).with(policy_mappings(pairs))
    };
    let stop = |make: Make, skip: u8| make.with(inhibit_policy_mapping(skip));
    let no_mapping = |wanted: &[&str]| PolicyRules {
        inhibit_mapping: Switch::On,
        ..ask(wanted)
    };
    let twice = || maps("B", &[B], &[(B, C)]);
    for (row, (makes, rules, expected)) in [
        (
            vec![root(), maps("A", &[A], &[(A, B)]), end(&[B])],
            ask(&[A]),
            OK,
        ),
        (
            vec![root(), maps("A", &[A], &[(A, B)]), end(&[B])],
            ask(&[B]),
            POLICY,
        ),
        (
            vec![root(), maps("A", &[A], &[(A, B)]), end(&[B])],
            no_mapping(&[A]),
            POLICY,
        ),
        (
            vec![root(), maps("A", &[A], &[(A, B)]), end(&[A])],
            ask(&[A]),
            POLICY,
        ),
        (
            vec![root(), maps("A", &[A], &[(A, B), (A, C)]), end(&[C])],
            ask(&[A]),
            OK,
        ),
        (
            vec![root(), maps("A", &[A, B], &[(A, C), (B, C)]), end(&[C])],
            ask(&[B]),
            OK,
        ),
        (
            vec![root(), maps("A", &[A], &[(A, B)]), twice(), end(&[C])],
            ask(&[A]),
            OK,
        ),
        (
            vec![root(), maps("A", &[A], &[(A, B)]), twice(), end(&[B])],
            ask(&[]),
            POLICY,
        ),
        (
            vec![root(), maps("A", &[A], &[(ANY, B)]), end(&[B])],
            ask(&[]),
            FORM,
        ),
        (
            vec![root(), maps("A", &[A], &[(A, ANY)]), end(&[B])],
            any(),
            FORM,
        ),
        (
            vec![root(), maps("A", &[ANY], &[(A, B)]), end(&[B])],
            ask(&[A]),
            OK,
        ),
        (
            vec![root(), maps("A", &[ANY], &[(A, B)]), end(&[B])],
            ask(&[C]),
            POLICY,
        ),
        (
            vec![
                root(),
                stop(with("A", &[A]), 0),
                maps("B", &[A], &[(A, B)]),
                end(&[B]),
            ],
            ask(&[]),
            POLICY,
        ),
        (
            vec![
                root(),
                stop(with("A", &[A]), 1),
                maps("B", &[A], &[(A, B)]),
                end(&[B]),
            ],
            ask(&[]),
            OK,
        ),
        (
            vec![
                root(),
                stop(with("A", &[A]), 1),
                maps("B", &[A], &[(A, B)]),
                twice_named("C"),
                end(&[C]),
            ],
            ask(&[]),
            POLICY,
        ),
        // Self-issued certificates take nothing from the count.
        (
            vec![
                root(),
                stop(with("A", &[A]), 1),
                with("A", &[A]),
                maps("B", &[A], &[(A, B)]),
                end(&[B]),
            ],
            ask(&[]),
            OK,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(verdict(&makes, under(rules)), expected, "row {row}");
    }
}

fn twice_named(name: &str) -> Make {
    with(name, &[B]).with(policy_mappings(&[(B, C)]))
}

#[test]
fn section_12_any_policy_is_inhibited_but_for_self_issued_certificates() {
    let stop = |name: &str, skip: u8| with(name, &[A]).with(inhibit_any_policy(skip));
    let no_any = |wanted: &[&str]| PolicyRules {
        inhibit_any: Switch::On,
        ..ask(wanted)
    };
    for (row, (makes, rules, expected)) in [
        (vec![root(), stop("A", 0), end(&[ANY])], ask(&[]), POLICY),
        (vec![root(), stop("A", 0), end(&[A])], ask(&[]), OK),
        (
            vec![root(), stop("A", 1), with("B", &[ANY]), end(&[A])],
            ask(&[]),
            OK,
        ),
        (
            vec![root(), stop("A", 1), with("B", &[ANY]), end(&[ANY])],
            ask(&[]),
            POLICY,
        ),
        (
            vec![root(), stop("A", 5), stop("B", 0), end(&[ANY])],
            ask(&[]),
            POLICY,
        ),
        (
            vec![root(), stop("A", 0), with("A", &[ANY]), end(&[A])],
            ask(&[]),
            OK,
        ),
        // The exception is for intermediates alone.
        (
            vec![root(), stop("A", 0), end(&[ANY]).named(name("A"))],
            ask(&[]),
            POLICY,
        ),
        (
            vec![
                root(),
                stop("A", 1),
                with("A", &[A]),
                with("B", &[ANY]),
                end(&[A]),
            ],
            ask(&[]),
            OK,
        ),
        (
            vec![root(), with("A", &[ANY]), end(&[A])],
            no_any(&[]),
            POLICY,
        ),
        (vec![root(), with("A", &[A]), end(&[A])], no_any(&[A]), OK),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(verdict(&makes, under(rules)), expected, "row {row}");
    }
}

const CN: &str = "2.5.4.3";
const O: &str = "2.5.4.10";

/// `O=org, CN=cn` as a Name.
fn person(org: &str, cn: &str) -> Vec<u8> {
    long_name(&[(O, 0x0c, org), (CN, 0x0c, cn)])
}

fn within(org: &str) -> Vec<u8> {
    el(0xa4, &long_name(&[(O, 0x13, org)]))
}

fn tree(form: u8, text: &str) -> Vec<u8> {
    el(0x80 | form, text.as_bytes())
}

#[test]
fn section_13_directory_names_are_constrained_in_subject_and_alternative_names() {
    let only = |orgs: &[&str]| {
        let bases: Vec<Vec<u8>> = orgs.iter().map(|org| within(org)).collect();
        ca("CA").with(trees(&bases, &[]))
    };
    let not = |org: &str| ca("CA").with(trees(&[], &[within(org)]));
    let who = |org: &str| leaf().named(person(org, "Ann"));
    let also = |org: &str, other: &str| {
        let name = el(0xa4, &person(other, "Ann"));
        who(org).with(alt_names(false, &[name]))
    };
    let below = |name: Vec<u8>, make: Make| make.named(name);
    for (row, (makes, expected)) in [
        (vec![root(), only(&["Org"]), who("Org")], OK),
        (vec![root(), only(&["Org"]), who("ORG ")], OK),
        (vec![root(), only(&["Org"]), who("Other")], NAMES),
        (vec![root(), only(&["Org"]), also("Org", "Other")], NAMES),
        (vec![root(), only(&["Org"]), also("Org", "org")], OK),
        (vec![root(), only(&["X", "Org"]), who("Org")], OK),
        (vec![root(), not("Org"), who("Org")], NAMES),
        (vec![root(), not("Org"), who("Other")], OK),
        (vec![root(), not("Org"), also("Other", "Org")], NAMES),
        // Constraints of all CAs hold together, and of a CA below for those above it.
        (
            vec![
                root(),
                only(&["Org"]),
                below(person("Org", "Sub"), only(&["X"])),
                who("Org"),
            ],
            NAMES,
        ),
        (
            vec![
                root(),
                only(&["Org"]),
                below(person("X", "Sub"), ca("")),
                who("Org"),
            ],
            NAMES,
        ),
        // Not of self-issued intermediates, but of a self-issued leaf.
        (vec![root(), only(&["Org"]), ca("CA"), who("Org")], OK),
        (
            vec![root(), only(&["Org"]), leaf().named(name("CA"))],
            NAMES,
        ),
        (
            vec![root().with(trees(&[within("Org")], &[])), who("Other")],
            NAMES,
        ),
        (
            vec![root().with(trees(&[within("Org")], &[])), who("Org")],
            OK,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(plain(&makes), expected, "row {row}");
    }
}

#[test]
fn section_13_mail_hosts_uris_and_addresses_are_constrained_by_form() {
    let only = |base: Vec<u8>| ca("CA").with(trees(&[base], &[]));
    let not = |base: Vec<u8>| ca("CA").with(trees(&[], &[base]));
    let has = |form: u8, text: &str| leaf().with(alt_names(false, &[tree(form, text)]));
    let e_mail = |text: &str| {
        let subject = long_name(&[(CN, 0x0c, "Ann"), ("1.2.840.113549.1.9.1", 0x16, text)]);
        leaf().named(subject)
    };
    let v4 = || el(0x87, &[10, 0, 0, 0, 255, 0, 0, 0]);
    let ip = |octets: &[u8]| leaf().with(alt_names(false, &[el(0x87, octets)]));
    for (row, (makes, expected)) in [
        (
            vec![root(), only(tree(1, ".d.example")), has(1, "a@b.d.example")],
            OK,
        ),
        (
            vec![root(), only(tree(1, ".d.example")), has(1, "a@d.example")],
            NAMES,
        ),
        (
            vec![root(), only(tree(1, "d.example")), has(1, "a@d.example")],
            OK,
        ),
        (
            vec![root(), only(tree(1, "d.example")), has(1, "a@b.d.example")],
            NAMES,
        ),
        (
            vec![root(), only(tree(1, "a@d.example")), has(1, "a@D.EXAMPLE")],
            OK,
        ),
        (
            vec![root(), only(tree(1, "a@d.example")), has(1, "A@d.example")],
            NAMES,
        ),
        (
            vec![
                root(),
                not(tree(1, "a@d.example")),
                has(1, "\"a\"@d.example"),
            ],
            NAMES,
        ),
        (
            vec![root(), not(tree(1, "d.example")), has(1, "a@e.example")],
            OK,
        ),
        (
            vec![root(), only(tree(1, "d.example")), e_mail("a@d.example")],
            OK,
        ),
        (
            vec![root(), only(tree(1, "d.example")), e_mail("a@e.example")],
            NAMES,
        ),
        (
            vec![root(), only(tree(1, "d.example")), has(2, "e.example")],
            OK,
        ),
        (
            vec![root(), only(tree(2, "d.example")), has(2, "a.d.example")],
            OK,
        ),
        (
            vec![root(), only(tree(2, "d.example")), has(2, "xd.example")],
            NAMES,
        ),
        (
            vec![root(), not(tree(2, "d.example")), has(2, "*.example")],
            NAMES,
        ),
        (
            vec![
                root(),
                only(tree(6, ".d.example")),
                has(6, "http://a.d.example/x"),
            ],
            OK,
        ),
        (
            vec![
                root(),
                only(tree(6, "d.example")),
                has(6, "http://a.d.example/x"),
            ],
            NAMES,
        ),
        (
            vec![
                root(),
                not(tree(6, "d.example")),
                has(6, "ldap://d.example:389/"),
            ],
            NAMES,
        ),
        (
            vec![root(), only(tree(6, "d.example")), has(6, "urn:isbn:1")],
            NAMES,
        ),
        (vec![root(), only(v4()), ip(&[10, 1, 2, 3])], OK),
        (vec![root(), only(v4()), ip(&[11, 1, 2, 3])], NAMES),
        (vec![root(), only(v4()), ip(&[0; 16])], NAMES),
        (vec![root(), not(v4()), ip(&[0; 16])], OK),
        (vec![root(), not(v4()), ip(&[10, 1, 2, 3])], NAMES),
        (
            vec![
                root(),
                only(el(0x88, &[42, 3, 4])),
                leaf().with(alt_names(false, &[el(0x88, &[42, 3, 4])])),
            ],
            NAMES,
        ),
        (
            vec![root(), only(el(0x88, &[42, 3, 4])), has(2, "d.example")],
            OK,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(plain(&makes), expected, "row {row}");
    }
}

#[test]
fn section_16_only_unknown_extensions_that_are_critical_refuse_wherever_they_stand() {
    let odd = |make: Make, critical| make.with(extension("1.2.3.4", critical, &[5, 0]));
    for (critical, expected) in [(false, OK), (true, FORM)] {
        for chain in [
            vec![odd(root(), critical), ca("CA"), leaf()],
            vec![root(), odd(ca("CA"), critical), leaf()],
            vec![root(), ca("CA"), odd(leaf(), critical)],
        ] {
            assert_eq!(plain(&chain), expected);
        }
    }
}

#[test]
fn key_identifiers_are_used_throughout_a_path_or_not_at_all() {
    let own = |make: Make, id: u8| make.with(subject_key_id(&[id]));
    let points = |make: Make, id: u8| make.with(authority_key_id(&[id]));
    let root = || own(root(), 1);
    let middle = || points(own(ca("CA"), 2), 1);
    let last = || points(leaf(), 2);
    for (row, (makes, expected)) in [
        (vec![root(), middle(), last()], OK),
        // The id of another: it orders candidates and proves nothing.
        (vec![root(), middle(), points(leaf(), 9)], OK),
        (vec![root(), middle(), leaf()], FORM),
        (vec![root(), own(ca("CA"), 2), last()], FORM),
        (vec![root(), points(ca("CA"), 1), last()], FORM),
        (vec![Make::ca("Root"), middle(), last()], FORM),
        (vec![points(root(), 1), leaf()], FORM),
        // A PKI without them.
        (vec![root(), own(ca("CA"), 2), leaf()], OK),
        (vec![Make::ca("Root"), ca("CA"), leaf()], OK),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(plain(&makes), expected, "row {row}");
        // The field writes such certificates: Direct does not ask.
        let direct = Rules {
            ca_as_leaf: Switch::On,
            ..Rules::direct(crate::trust::PathPurpose::Any)
        };
        assert_eq!(verdict(&makes, direct), OK, "row {row}");
    }
    // An anchor that another CA has issued points at that one, as any other certificate.
    let other = own(Make::ca("Other"), 7).by_itself();
    for (anchor, expected) in [(root(), FORM), (points(root(), 7), OK)] {
        let anchor = anchor.by(&other);
        let leaf = points(leaf(), 1).by(&anchor);
        assert_eq!(
            reason(&case(&leaf, &[], &anchor, Rules::rfc5280())),
            expected
        );
    }
}
