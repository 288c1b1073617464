//! Chains made by chance and bent by chance, judged by us (`rfc5280`) and by `openssl verify`. Where the verdicts
//! differ there is a reason in [`explained`], and in docs/deviations.md; anything else is a fault of ours.

use std::path::Path;
use std::process::Command;

use super::*;
use crate::crypto::issue::pem_certificate;

/// Chains that are made.
const CHAINS: u64 = 360;

/// Chance that is the same each time (Knuth's MMIX numbers).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let high = usize::try_from(self.0 >> 33).expect("31 bits");
        high % bound
    }

    fn of<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.below(some.len())]
    }
}

const NAMES: [(u8, &str); 8] = [
    (1, "ann@d.example"),
    (1, "ann@a.d.example"),
    (2, "d.example"),
    (2, "a.d.example"),
    (2, "e.example"),
    (6, "http://d.example/x"),
    (6, "http://a.d.example/x"),
    (7, "\x0a\x01\x02\x03"),
];
const TREES: [(u8, &str); 8] = [
    (1, "d.example"),
    (1, ".d.example"),
    (1, "ann@d.example"),
    (2, "d.example"),
    (2, "a.d.example"),
    (6, "d.example"),
    (6, ".d.example"),
    (7, "\x0a\x01\0\0\0\0\0\0"),
];

/// What is done to a chain; the last certificate is the leaf.
fn bend(chance: &mut Chance, makes: &mut [Make], said: &mut Vec<String>) {
    let last = makes.len() - 1;
    let at = chance.below(makes.len());
    let ca = chance.below(makes.len().max(2) - 1);
    let kind = chance.below(20);
    said.push(format!("bend {kind} at {at} of {last}, ca {ca}"));
    let old = (NOW.minus(DAY / 2), NOW.plus(DAY / 2));
    let add = |make: &mut Make, extension: Vec<u8>| make.extensions.push(extension);
    match kind {
        0 => makes[at].not_after = old.0,
        1 => makes[at].not_before = old.1,
        2 => makes[ca].extensions.retain(|one| !is(one, "2.5.29.19")),
        3 => replace(&mut makes[ca], basic_constraints(false, None), "2.5.29.19"),
        4 => replace(&mut makes[ca], key_usage(0x80), "2.5.29.15"),
        5..=6 => {
            let length = u8::try_from(chance.below(3)).expect("small");
            replace(
                &mut makes[ca],
                basic_constraints(true, Some(length)),
                "2.5.29.19",
            );
        }
        7..=10 => {
            let tree = [chance.of(&TREES)];
            said.push(format!("tree {tree:?}"));
            let made = match chance.below(2) {
                0 => name_constraints(&tree, &[]),
                _ => name_constraints(&[], &tree),
            };
            replace(&mut makes[ca], made, "2.5.29.30");
        }
        11 => add(&mut makes[at], extension("1.2.3.4", true, &[5, 0])),
        12 => add(&mut makes[at], extension("1.2.3.4", false, &[5, 0])),
        13 => {
            let again = makes[at].extensions[0].clone();
            add(&mut makes[at], again);
        }
        14 => add(&mut makes[ca], require_explicit_policy(0)),
        15 => {
            for make in makes.iter_mut() {
                let found = policies(&[chance.of(&[A, A, A, B, ANY])]);
                replace(make, found, "2.5.29.32");
            }
        }
        16 => replace(&mut makes[ca], policy_mappings(&[(A, B)]), "2.5.29.33"),
        17 => makes[at].version = chance.of(&[None, Some(1)]),
        18 if ca > 0 => makes[ca].subject = makes[ca - 1].subject.clone(),
        _ => replace(&mut makes[ca], inhibit_any_policy(0), "2.5.29.54"),
    }
}

fn is(extension: &[u8], dotted: &str) -> bool {
    extension[2..].starts_with(&oid(dotted))
}

fn replace(make: &mut Make, extension: Vec<u8>, dotted: &str) {
    make.extensions.retain(|one| !is(one, dotted));
    make.extensions.push(extension);
}

/// Root first, leaf last, and what was done.
fn make_chain(chance: &mut Chance) -> (Vec<Made>, Vec<Vec<u8>>, String) {
    let mut said = Vec::new();
    let names: Vec<(u8, &str)> = (0..=chance.below(2)).map(|_| chance.of(&NAMES)).collect();
    said.push(format!("{names:?}"));
    let mut makes: Vec<Make> = (0..=chance.below(3))
        .map(|level| Make::ca(&format!("CA {level}")))
        .collect();
    makes.push(Make::leaf(&names));
    for _ in 0..chance.below(4) {
        bend(chance, &mut makes, &mut said);
    }
    let mut chain = vec![Make::ca("Root").by_itself()];
    let wrong = chance.below(24);
    let mut ders = vec![chain[0].certificate.der().to_vec()];
    for (level, make) in makes.into_iter().enumerate() {
        let above = chain.last().expect("the root").clone();
        let key = make.key.clone();
        let made = if level == wrong {
            make.sign(&above.name(), &key)
        } else {
            make.by(&above)
        };
        let mut der = made.certificate.der().to_vec();
        if chance.below(12) == 0 {
            let octet = chance.below(der.len());
            der[octet] ^= 1 << chance.below(8);
            said.push(format!("flip {octet} of {level}"));
        }
        ders.push(der);
        chain.push(made);
    }
    (chain, ders, said.join("; "))
}

/// Whether `openssl verify` accepts, and its words.
fn openssl(folder: &Path, ders: &[Vec<u8>]) -> (bool, String) {
    let [root, between @ .., leaf] = ders else {
        panic!("a chain has a root and a leaf");
    };
    let write = |name: &str, ders: &[Vec<u8>]| {
        let text: String = ders.iter().map(|der| pem_certificate(der)).collect();
        std::fs::write(folder.join(name), text).expect("writes");
    };
    write("root.pem", std::slice::from_ref(root));
    write("leaf.pem", std::slice::from_ref(leaf));
    write("between.pem", between);
    let mut command = Command::new("openssl");
    command.args([
        "verify",
        "-no-CApath",
        "-no-CAstore",
        "-policy_check",
        "-CAfile",
        "root.pem",
    ]);
    command.args(["-attime", &NOW.unix_s().to_string()]);
    if !between.is_empty() {
        command.args(["-untrusted", "between.pem"]);
    }
    let output = command
        .arg("leaf.pem")
        .current_dir(folder)
        .output()
        .expect("openssl runs");
    let words = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&words).into_owned(),
    )
}

/// Why our verdict may be another than OpenSSL's.
fn explained(answer: &Answer, words: &str) -> Option<&'static str> {
    let detail = answer.detail.as_str();
    let says = |text: &str| words.contains(text);
    match answer.reason {
        Some(Reason::BadCertificate) => Some("DER is read strictly"),
        Some(Reason::BadExtension) => Some("the form that RFC 5280 §4 demands"),
        Some(Reason::NameConstraint) if detail.contains("cannot be applied") => {
            Some("a constraint that cannot be applied refuses")
        }
        None if says("unsupported name constraint") => {
            Some("OpenSSL does not compare this form of constraint")
        }
        _ => None,
    }
}

#[test]
fn we_and_openssl_differ_only_where_a_reason_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut chance = Chance(5_280);
    let (mut accepted, mut differ, mut faults) = (0, 0, Vec::new());
    for _ in 0..CHAINS {
        let (chain, ders, said) = make_chain(&mut chance);
        let leaf = chain.last().expect("a leaf");
        let mut asked = case(leaf, &[], &chain[0], Rules::rfc5280());
        asked.leaf = file("leaf", ders.last().expect("a leaf"));
        let between = &ders[1..ders.len() - 1];
        asked.intermediates = between.iter().map(|der| file("between", der)).collect();
        let answer = check(&asked);
        let (fine, words) = openssl(folder.path(), &ders);
        let ours = answer.verdict == Verdict::Trusted;
        accepted += usize::from(ours);
        if ours != fine {
            differ += 1;
            if explained(&answer, &words).is_none() {
                faults.push(format!(
                    "{said}\n  ours {:?} {}\n  {words}",
                    answer.reason, answer.detail
                ));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} differ:\n{}",
        faults.len(),
        faults.join("\n")
    );
    // Chance must neither break all chains nor none, nor find reasons for everything.
    assert!((40..300).contains(&accepted), "{accepted} accepted");
    assert!(differ < 100, "{differ} differ");
}
