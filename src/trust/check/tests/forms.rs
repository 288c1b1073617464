//! Certificates whose form is broken in one place: refused wherever they stand, critical or not; and the
//! nearest form that is right.

use super::sections::{answer, leaf, plain, root};
use super::*;

const OK: Option<Reason> = None;
const FORM: Option<Reason> = Some(Reason::BadExtension);

/// One extension, whether it is critical, its value, and what is said of a leaf that has it.
type Row = (&'static str, bool, Vec<u8>, Option<Reason>);

fn judge(rows: Vec<Row>) {
    for (row, (dotted, critical, value, expected)) in rows.into_iter().enumerate() {
        let made = leaf().with(extension(dotted, critical, &value));
        let found = answer(&[root(), made.clone()], Rules::rfc5280());
        let detail = &found.detail;
        assert_eq!(found.reason, expected, "row {row} {dotted}: {detail}");
        if expected.is_some() {
            // A CA has its own form; what breaks a leaf breaks it, too.
            let mut ca = Make::ca("CA");
            ca.extensions.extend(made.extensions);
            ca.extensions.dedup_by(|a, b| a[2..] == b[2..]);
            assert!(
                plain(&[root(), ca, leaf()]).is_some(),
                "row {row} {dotted}, CA"
            );
        }
    }
}

#[test]
fn usages_constraints_and_key_identifiers_are_read_strictly() {
    let bits = |octets: &[u8]| el(0x03, octets);
    let seq = |inner: &[u8]| el(0x30, inner);
    judge(vec![
        ("2.5.29.15", true, bits(&[7, 0x80]), OK),
        ("2.5.29.15", true, bits(&[7, 0x00, 0x80]), OK),
        ("2.5.29.15", true, bits(&[0]), FORM),
        ("2.5.29.15", true, bits(&[7, 0x00]), FORM),
        ("2.5.29.15", true, bits(&[8, 0x80]), FORM),
        ("2.5.29.15", true, bits(&[7, 0x81]), FORM),
        ("2.5.29.15", true, bits(&[5, 0x80]), FORM),
        ("2.5.29.15", true, bits(&[7, 0, 0, 0x80]), FORM),
        ("2.5.29.15", true, bits(&[]), FORM),
        ("2.5.29.15", true, el(0x04, &[7, 0x80]), FORM),
        ("2.5.29.19", true, seq(&[]), OK),
        ("2.5.29.19", true, seq(&[1, 1, 1]), FORM),
        ("2.5.29.19", true, seq(&[2, 1, 0]), FORM),
        ("2.5.29.19", true, seq(&[1, 1, 0xff, 2, 1, 0xff]), FORM),
        ("2.5.29.19", true, seq(&[1, 1, 0xff, 2, 2, 0, 1]), FORM),
        ("2.5.29.19", true, seq(&[1, 1, 0xff, 5, 0]), FORM),
        ("2.5.29.19", true, [seq(&[]), vec![0]].concat(), FORM),
        ("2.5.29.19", true, vec![0x30, 0x80, 0, 0], FORM),
        ("2.5.29.19", true, vec![0x30, 0x81, 0], FORM),
        ("2.5.29.14", false, el(0x04, &[1]), OK),
        ("2.5.29.14", true, el(0x04, &[1]), FORM),
        ("2.5.29.14", false, seq(&[4, 1, 1]), FORM),
        ("2.5.29.35", false, seq(&[0x81, 1, 1]), FORM),
        ("2.5.29.35", false, seq(&[0x82, 1, 1]), FORM),
        ("2.5.29.35", true, seq(&[0x80, 1, 1]), FORM),
        ("2.5.29.37", false, seq(&oid("1.3.6.1.5.5.7.3.4")), OK),
        ("2.5.29.37", false, seq(&[]), FORM),
        ("2.5.29.37", false, seq(&[6, 1, 0x80]), FORM),
        ("2.5.29.37", false, seq(&[5, 0]), FORM),
    ]);
}

#[test]
fn alternative_names_are_read_strictly_and_none_is_passed_over() {
    let names = |names: &[(u8, &str)]| el(0x30, &general_names(names));
    let raw = |tag: u8, inner: &[u8]| el(0x30, &el(tag, inner));
    let other = |kind: &str, value: Vec<u8>| el(0xa0, &[oid(kind), el(0xa0, &value)].concat());
    let utf8 = |text: &str| el(0x30, &other("1.3.6.1.5.5.7.8.9", el(0x0c, text.as_bytes())));
    let san = "2.5.29.17";
    judge(vec![
        (san, false, names(&[(2, "d.example")]), OK),
        (san, false, names(&[(2, "*.d.example")]), OK),
        (san, false, names(&[(2, "d_e.example")]), OK),
        (san, false, names(&[]), FORM),
        (san, false, vec![5, 0], FORM),
        (san, false, vec![], FORM),
        (san, false, names(&[(2, "")]), FORM),
        (san, false, names(&[(2, " ")]), FORM),
        (san, false, names(&[(2, "d.example.")]), FORM),
        (san, false, names(&[(2, "d!.example")]), FORM),
        (san, false, names(&[(2, "a.*.example")]), FORM),
        (san, false, names(&[(2, "d\0.example")]), FORM),
        (san, false, raw(0x82, "dé.example".as_bytes()), FORM),
        (san, false, names(&[(1, "a@d.example")]), OK),
        (san, false, names(&[(1, "a@@d.example")]), FORM),
        (san, false, names(&[(1, "Ann <a@d.example>")]), FORM),
        (san, false, names(&[(1, "a@d.example.")]), FORM),
        (san, false, names(&[(1, "a@d.example\0")]), FORM),
        (san, false, names(&[(1, "@d.example")]), FORM),
        (san, false, names(&[(6, "http://d.example/")]), OK),
        (san, false, names(&[(6, "//d.example/")]), FORM),
        (san, false, names(&[(6, "urn:")]), FORM),
        (san, false, raw(0x87, &[10, 0, 0, 1]), OK),
        (san, false, raw(0x87, &[10, 0, 0]), FORM),
        (san, false, raw(0x87, &[]), FORM),
        (san, false, raw(0x88, &[42, 3, 4]), OK),
        (san, false, raw(0x88, &[]), FORM),
        (san, false, raw(0x89, &[1]), FORM),
        (san, false, raw(0xa4, &name("Ann")), OK),
        (san, false, raw(0xa4, &[5, 0]), FORM),
        (san, false, el(0x30, &other("1.2.3", el(0x0c, b"x"))), OK),
        (san, false, raw(0xa0, &oid("1.2.3")), FORM),
        (san, false, utf8("änn@d.example"), OK),
        (san, false, utf8("ann@d.example"), FORM),
        (san, false, utf8("änn@d.example@e.example"), FORM),
        (san, false, utf8("änn"), FORM),
        (
            san,
            false,
            el(
                0x30,
                &other("1.3.6.1.5.5.7.8.9", el(0x16, b"ann@d.example")),
            ),
            FORM,
        ),
    ]);
}

#[test]
fn constraints_on_names_and_policies_are_read_strictly() {
    let seq = |inner: &[u8]| el(0x30, inner);
    let list = |parts: &[Vec<u8>]| el(0x30, &parts.concat());
    let policy = |kind: &str| el(0x30, &oid(kind));
    let pair = |a: &str, b: &str| el(0x30, &[oid(a), oid(b)].concat());
    judge(vec![
        ("2.5.29.32", false, list(&[policy(A), policy(B)]), OK),
        ("2.5.29.32", false, list(&[policy(A), policy(A)]), FORM),
        ("2.5.29.32", false, list(&[]), FORM),
        (
            "2.5.29.32",
            false,
            list(&[el(0x30, &[oid(A), seq(&[])].concat())]),
            FORM,
        ),
        ("2.5.29.33", true, list(&[pair(A, B)]), OK),
        ("2.5.29.33", true, list(&[]), FORM),
        ("2.5.29.33", false, list(&[policy(A)]), FORM),
        ("2.5.29.33", false, vec![4, 0], FORM),
        ("2.5.29.36", true, seq(&[0x80, 1, 3]), OK),
        ("2.5.29.36", true, seq(&[]), FORM),
        ("2.5.29.36", false, seq(&[0x80, 1, 3]), FORM),
        ("2.5.29.36", true, seq(&[0x80, 1, 0xff]), FORM),
        ("2.5.29.36", true, seq(&[0x82, 1, 3]), FORM),
        ("2.5.29.54", true, el(0x02, &[3]), OK),
        ("2.5.29.54", true, el(0x02, &[0xff]), FORM),
        ("2.5.29.54", false, el(0x02, &[3]), FORM),
        ("2.5.29.54", true, el(0x02, &[]), FORM),
    ]);
    let tree = |form: u8, octets: &[u8]| el(0x30, &el(0xa0, &el(0x30, &el(0x80 | form, octets))));
    for (row, (critical, value, expected)) in [
        (true, tree(2, b"d.example"), OK),
        (false, tree(2, b"d.example"), FORM),
        (true, seq(&[]), FORM),
        (true, el(0x30, &el(0xa0, &[])), FORM),
        (true, tree(2, b".d.example"), FORM),
        (true, tree(2, b"*.d.example"), FORM),
        (true, tree(2, b"d..example"), FORM),
        (true, tree(1, b"a@b@d.example"), FORM),
        (true, tree(1, b"@d.example"), FORM),
        (true, tree(7, &[10, 0, 0, 0, 255, 0, 0, 0]), OK),
        (true, tree(7, &[10, 0, 0, 0]), FORM),
        (true, tree(7, &[10, 0, 0, 0, 255, 0, 255, 0]), FORM),
        (true, tree(7, &[10, 0, 0, 0, 255, 0, 0, 0, 0]), FORM),
        (true, tree(6, b"http://d.example/"), FORM),
        (
            true,
            el(
                0x30,
                &el(0xa0, &el(0x30, &[tree_name(), el(0x80, &[1])].concat())),
            ),
            FORM,
        ),
        (
            true,
            el(
                0x30,
                &el(0xa0, &el(0x30, &[tree_name(), el(0x81, &[1])].concat())),
            ),
            FORM,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let ca = Make::ca("CA").with(extension("2.5.29.30", critical, &value));
        assert_eq!(plain(&[root(), ca, leaf()]), expected, "row {row}");
    }
}

fn tree_name() -> Vec<u8> {
    el(0x82, b"d.example")
}

#[test]
fn pointers_and_lists_of_the_rest_decode_or_refuse() {
    let seq = |inner: &[u8]| el(0x30, inner);
    let at = || el(0x86, b"http://ca.example/1");
    let access = |inner: &[u8]| seq(&seq(&[oid("1.3.6.1.5.5.7.48.2"), inner.to_vec()].concat()));
    let attribute = |inner: &[u8]| seq(&seq(&[oid("1.3.6.1.5.5.7.9.4"), inner.to_vec()].concat()));
    judge(vec![
        ("1.3.6.1.5.5.7.1.1", false, access(&at()), OK),
        ("1.3.6.1.5.5.7.1.1", true, access(&at()), FORM),
        ("1.3.6.1.5.5.7.1.1", false, seq(&[]), FORM),
        ("1.3.6.1.5.5.7.1.1", false, access(&[]), FORM),
        ("1.3.6.1.5.5.7.1.11", false, access(&at()), OK),
        ("1.3.6.1.5.5.7.1.11", false, seq(&[]), FORM),
        ("2.5.29.18", false, seq(&at()), OK),
        ("2.5.29.18", false, seq(&[]), FORM),
        (
            "2.5.29.31",
            false,
            seq(&seq(&el(0xa0, &el(0xa0, &at())))),
            OK,
        ),
        ("2.5.29.31", false, seq(&[]), FORM),
        ("2.5.29.31", false, seq(&seq(&el(0x81, &[1, 0x40]))), FORM),
        ("2.5.29.31", false, seq(&seq(&el(0xa0, &at()))), FORM),
        (
            "2.5.29.46",
            false,
            seq(&seq(&el(0xa0, &el(0xa0, &at())))),
            OK,
        ),
        ("2.5.29.46", false, seq(&[]), FORM),
        (
            "2.5.29.46",
            true,
            seq(&seq(&el(0xa0, &el(0xa0, &at())))),
            FORM,
        ),
        (
            "2.5.29.9",
            false,
            attribute(&el(0x31, &el(0x13, b"DE"))),
            OK,
        ),
        ("2.5.29.9", false, attribute(&el(0x31, &[])), FORM),
        ("2.5.29.9", false, seq(&[5, 0]), FORM),
        (
            "2.5.29.9",
            true,
            attribute(&el(0x31, &el(0x13, b"DE"))),
            FORM,
        ),
        ("1.2.3.4", false, vec![], OK),
        ("1.2.3.4", true, vec![], FORM),
    ]);
}

#[test]
fn the_frame_of_an_extension_and_of_a_certificate_is_read_strictly() {
    let wrap = |parts: &[Vec<u8>]| el(0x30, &parts.concat());
    let value = || el(0x04, &[5, 0]);
    let raw = |der: Vec<u8>| {
        let mut make = leaf();
        make.extensions.push(der);
        make
    };
    for (row, (make, expected)) in [
        (raw(wrap(&[oid("1.2.3"), value()])), OK),
        (raw(wrap(&[oid("1.2.3"), el(1, &[0xff]), value()])), FORM),
        (raw(wrap(&[oid("1.2.3"), el(1, &[0x01]), value()])), FORM),
        (raw(wrap(&[oid("1.2.3"), value(), value()])), FORM),
        (raw(wrap(&[oid("1.2.3")])), FORM),
        (raw(wrap(&[oid("1.2.3"), el(0x0c, b"x")])), FORM),
        (raw(wrap(&[el(6, &[]), value()])), FORM),
        (raw(wrap(&[el(6, &[0x2a, 0x83]), value()])), FORM),
        (raw(wrap(&[el(6, &[0x2a, 0x80, 3]), value()])), FORM),
        (raw(el(0x31, &[oid("1.2.3"), value()].concat())), FORM),
        (
            Make {
                serial: vec![0],
                ..leaf()
            },
            FORM,
        ),
        (
            Make {
                serial: vec![0xff],
                ..leaf()
            },
            OK,
        ),
        (
            Make {
                serial: vec![0x7f; 20],
                ..leaf()
            },
            OK,
        ),
        (
            Make {
                serial: [vec![0], vec![0x80; 20]].concat(),
                ..leaf()
            },
            FORM,
        ),
        (
            Make {
                serial: vec![0x7f; 21],
                ..leaf()
            },
            FORM,
        ),
        (
            Make {
                serial: vec![0, 1],
                ..leaf()
            },
            FORM,
        ),
        (
            Make {
                version: Some(3),
                ..leaf()
            },
            FORM,
        ),
        (
            Make {
                version: Some(1),
                ..leaf()
            },
            OK,
        ),
        (
            Make {
                version: None,
                ..leaf()
            },
            OK,
        ),
        (
            Make {
                subject: el(0x30, &[]),
                ..leaf()
            },
            FORM,
        ),
        (
            Make {
                subject: el(0x30, &[]),
                ..leaf()
            }
            .with(alt_names(true, &[tree_name()])),
            OK,
        ),
        (
            Make {
                subject: el(0x30, &[]),
                ..leaf()
            }
            .with(alt_names(false, &[tree_name()])),
            FORM,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let found = read_and_judge(&make);
        assert_eq!(found.is_some(), expected.is_some(), "row {row}: {found:?}");
    }
    // A root numbered zero is common, and is no name of anything here.
    assert_eq!(
        plain(&[
            Make {
                serial: vec![0],
                ..root()
            },
            leaf()
        ]),
        OK
    );
}

/// As the tool does, so that what is no certificate at all is refused, too.
fn read_and_judge(make: &Make) -> Option<Reason> {
    let root = root().by_itself();
    let good = leaf().by(&root);
    let mut asked = case(&good, &[], &root, Rules::rfc5280());
    asked.leaf = file("leaf", &make.der(&root.name(), &root.key));
    reason(&asked)
}
