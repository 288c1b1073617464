//! What is asked by options and answered as one object; and what `openssl verify` says of the same files.

mod differential;
mod forms;
mod incumbents;
mod lists;
mod sections;

use super::*;
use crate::trust::testing::*;
use crate::trust::{PolicyRules, Switch};

const A: &str = "1.2.3.1";
const B: &str = "1.2.3.2";
const ANY: &str = "2.5.29.32.0";

pub(super) fn file(name: &str, octets: &[u8]) -> File {
    File {
        name: name.to_owned(),
        octets: Ok(octets.to_vec()),
    }
}

pub(super) fn case(leaf: &Made, through: &[&Made], anchor: &Made, rules: Rules) -> Case {
    let files = |made: &[&Made]| {
        made.iter()
            .map(|one| file("", one.certificate.der()))
            .collect()
    };
    Case {
        leaf: file("leaf", leaf.certificate.der()),
        intermediates: files(through),
        anchors: files(&[anchor]),
        crls: Vec::new(),
        address: None,
        rules,
        at: NOW,
        evidence: Evidence::default(),
    }
}

fn reason(case: &Case) -> Option<Reason> {
    check(case).reason
}

/// One of these policies must hold; any, if there are none.
fn ask(acceptable: &[&str]) -> PolicyRules {
    let oid = |text: &&str| crate::trust::Oid::parse(text).expect("an OID");
    PolicyRules {
        acceptable: acceptable.iter().map(oid).collect(),
        explicit: Switch::On,
        ..PolicyRules::default()
    }
}

fn under(policies: PolicyRules) -> Rules {
    Rules {
        policies,
        ..Rules::rfc5280()
    }
}

#[test]
fn policies_that_are_asked_for_must_hold_under_the_names_they_have_above() {
    let root = Make::ca("Root").by_itself();
    let leaf = |found: &[&str]| Make::leaf(&[]).extensions(vec![policies(found)]);
    let ca = |found: &[&str]| Make::ca("CA").with(policies(found));
    let mapped = || ca(&[A]).with(policy_mappings(&[(A, B)]));
    let no_mapping = PolicyRules {
        inhibit_mapping: Switch::On,
        ..ask(&[A])
    };
    let no_any = PolicyRules {
        inhibit_any: Switch::On,
        ..ask(&[])
    };
    let bad = Some(Reason::CertificatePolicy);
    for (row, (ca, leaf, policies, expected)) in [
        (ca(&[A]), leaf(&[A]), ask(&[]), None),
        (ca(&[A]), leaf(&[A]), ask(&[A]), None),
        (ca(&[A]), leaf(&[A]), ask(&[B]), bad),
        (ca(&[A]), leaf(&[A]), ask(&[B, A]), None),
        (ca(&[A]), leaf(&[B]), ask(&[]), bad),
        (ca(&[ANY]), leaf(&[A]), ask(&[A]), None),
        (ca(&[ANY]), leaf(&[A]), ask(&[B]), bad),
        (ca(&[ANY]), leaf(&[ANY]), ask(&[B]), None),
        (ca(&[ANY]), leaf(&[A]), no_any, bad),
        (
            ca(&[ANY]),
            leaf(&[A]),
            PolicyRules {
                explicit: Switch::Off,
                ..ask(&[B])
            },
            None,
        ),
        (mapped(), leaf(&[B]), ask(&[A]), None),
        (mapped(), leaf(&[B]), ask(&[B]), bad),
        (mapped(), leaf(&[A]), ask(&[A]), bad),
        (mapped(), leaf(&[B]), no_mapping, bad),
        (
            ca(&[ANY]).with(policy_mappings(&[(A, B)])),
            leaf(&[B]),
            ask(&[A]),
            None,
        ),
        (
            ca(&[ANY]).with(inhibit_any_policy(0)),
            leaf(&[ANY]),
            ask(&[]),
            bad,
        ),
        (
            ca(&[A]).with(policy_mappings(&[(A, ANY)])),
            leaf(&[B]),
            ask(&[]),
            Some(Reason::BadExtension),
        ),
        (Make::ca("CA"), leaf(&[A]), ask(&[]), bad),
    ]
    .into_iter()
    .enumerate()
    {
        let ca = ca.by(&root);
        let leaf = leaf.by(&ca);
        let rules = under(policies);
        assert_eq!(
            reason(&case(&leaf, &[&ca], &root, rules)),
            expected,
            "row {row}"
        );
    }
}

#[test]
fn rfc5280_asks_for_path_validation_alone_and_for_the_form_of_section_4() {
    let root = Make::ca("Root").by_itself();
    let bare = || Make::leaf(&[]).extensions(vec![]);
    let constrained = |critical| {
        let tree = el(0xa0, &el(0x30, &general_names(&[(2, "d.example")])));
        Make::ca("CA").with(extension("2.5.29.30", critical, &el(0x30, &tree)))
    };
    let bad = Some(Reason::BadExtension);
    for (row, (leaf, expected)) in [
        (bare(), None),
        (bare().with(basic_constraints(true, None)), None),
        (bare().with(extended_key_usage("1.3.6.1.5.5.7.3.1")), None),
        (bare().with(key_usage(0x20)), None),
        (bare().with(key_usage(0x04)), bad),
        (bare().with(key_usage(0)), bad),
        (bare().with(extension("2.5.29.14", true, &el(4, &[1]))), bad),
        (bare().with(name_constraints(&[(2, "d.example")], &[])), bad),
        (
            Make {
                subject: el(0x30, &[]),
                ..bare()
            },
            bad,
        ),
        (
            Make {
                serial: vec![0, 1],
                ..bare()
            },
            bad,
        ),
        (
            Make {
                serial: vec![0xff],
                ..bare()
            },
            None,
        ),
        (
            Make {
                serial: vec![0],
                ..bare()
            },
            bad,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let leaf = leaf.by(&root);
        assert_eq!(
            reason(&case(&leaf, &[], &root, Rules::rfc5280())),
            expected,
            "row {row}"
        );
    }
    for (critical, expected) in [(true, None), (false, bad)] {
        let ca = constrained(critical).by(&root);
        let leaf = bare().by(&ca);
        assert_eq!(
            reason(&case(&leaf, &[&ca], &root, Rules::rfc5280())),
            expected
        );
    }
}

#[test]
fn an_answer_has_the_path_that_came_closest_and_what_was_passed_over() {
    let root = Make::ca("Root").by_itself();
    let old = Make {
        not_after: NOW.minus(DAY / 2),
        ..Make::ca("CA")
    }
    .by(&root);
    let leaf = Make::leaf(&[(1, "ann@d.example")]).by(&old);
    let mut asked = case(&leaf, &[&old], &root, Rules::rfc5280());
    asked.intermediates.push(file("junk", b"junk"));
    asked.crls.push(File {
        name: "gone".into(),
        octets: Err("not there".into()),
    });
    let answer = check(&asked);
    assert_eq!(
        (answer.verdict, answer.reason),
        (Verdict::Untrusted, Some(Reason::Expired))
    );
    let subjects: Vec<&str> = answer
        .path
        .iter()
        .map(|step| step.subject.as_str())
        .collect();
    assert_eq!(subjects, ["CN=Leaf", "CN=CA", "CN=Root"]);
    assert_eq!(answer.notes.len(), 2, "{:?}", answer.notes);
    let text = serde_json::to_string(&answer).expect("JSON");
    assert!(
        text.starts_with(r#"{"verdict":"untrusted","reason":"expired","detail":"#),
        "{text}"
    );
}

#[test]
fn a_chain_of_four_costs_three_signatures_and_a_tangle_of_policies_stays_small() {
    let names: Vec<String> = (0..8).map(|n| format!("1.2.3.{n}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let pairs: Vec<(&str, &str)> = all
        .iter()
        .flat_map(|from| all.iter().map(move |to| (*from, *to)))
        .collect();
    let root = Make::ca("Root").by_itself();
    let mut made = vec![root.clone()];
    for level in 0..8 {
        let above = made.last().expect("the root").clone();
        let ca = Make::ca(&format!("CA {level}"))
            .with(policies(&all))
            .with(policy_mappings(&pairs));
        made.push(ca.by(&above));
    }
    let short = Make::leaf(&[(1, "ann@d.example")]).by(&made[2]);
    let answer = check(&case(
        &short,
        &[&made[1], &made[2]],
        &root,
        Rules::rfc5280(),
    ));
    assert_eq!(answer.verdict, Verdict::Trusted, "{}", answer.detail);
    assert_eq!(
        (answer.budget.signature_checks, answer.budget.paths),
        (3, 1)
    );
    let through: Vec<&Made> = made.iter().skip(1).collect();
    let deep = Make::leaf(&[(1, "ann@d.example")])
        .with(policies(&all))
        .by(&made[8]);
    let rules = Rules {
        policies: PolicyRules {
            explicit: Switch::On,
            ..PolicyRules::default()
        },
        ..Rules::rfc5280()
    };
    let answer = check(&case(&deep, &through, &root, rules));
    assert_eq!(answer.verdict, Verdict::Trusted, "{}", answer.detail);
    // 8^9 in a tree; in a graph 8 nodes a level that expect 8 each, and 64 mappings.
    assert!(
        answer.budget.policy_nodes <= 9 * (64 + 64),
        "{}",
        answer.budget.policy_nodes
    );
}
