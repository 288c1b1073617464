//! Chains made by chance and bent by chance, the same each time for one seed.
//! In: a [`Chance`]. Out: a [`Chain`] with what was done to it in words, and what policies are asked for.

use crate::trust::check::{Case, File};
use crate::trust::{Oid, PolicyRules, Rules, Switch};

use super::{
    DAY, Made, Make, NOW, alt_names, authority_key_id, basic_constraints, directory_name, el,
    extended_key_usage, extension, inhibit_any_policy, inhibit_policy_mapping, key_usage,
    long_name, name_constraints, oid, policies, policy_mappings, require_explicit_policy,
    subject_key_id, trees,
};

/// Chance that is the same each time (Knuth's MMIX numbers).
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let high = usize::try_from(self.0 >> 33).expect("31 bits");
        high % bound
    }

    pub fn of<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.below(some.len())]
    }

    /// Once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// A chain, root first and leaf last; what lies beside it; what is asked.
pub struct Chain {
    pub ders: Vec<Vec<u8>>,
    pub beside: Vec<Vec<u8>>,
    pub asked: PolicyRules,
    /// What was done to it.
    pub said: String,
}

impl Chain {
    /// As a question to us.
    pub fn case(&self) -> Case {
        let file = |der: &Vec<u8>| File {
            name: "file".to_owned(),
            octets: Ok(der.clone()),
        };
        let [root, between @ .., leaf] = self.ders.as_slice() else {
            panic!("a chain has a root and a leaf");
        };
        Case {
            leaf: file(leaf),
            intermediates: between.iter().chain(&self.beside).map(file).collect(),
            anchors: vec![file(root)],
            crls: Vec::new(),
            address: None,
            rules: Rules {
                policies: self.asked.clone(),
                ..Rules::rfc5280()
            },
            at: NOW,
            evidence: crate::trust::Evidence::default(),
        }
    }
}

const A: &str = "1.2.3.1";
const B: &str = "1.2.3.2";
const ANY: &str = "2.5.29.32.0";

const NAMES: [(u8, &str); 10] = [
    (1, "ann@d.example"),
    (1, "ann@a.d.example"),
    (1, "bob@e.example"),
    (2, "d.example"),
    (2, "a.d.example"),
    (2, "e.example"),
    (6, "http://d.example/x"),
    (6, "http://a.d.example/x"),
    (7, "\x0a\x01\x02\x03"),
    (7, "\x0b\x01\x02\x03"),
];
const TREES: [(u8, &str); 10] = [
    (1, "d.example"),
    (1, ".d.example"),
    (1, "ann@d.example"),
    (2, "d.example"),
    (2, "a.d.example"),
    (2, ""),
    (6, "d.example"),
    (6, ".d.example"),
    (7, "\x0a\x01\0\0\x7f\x7f\0\0"),
    (7, "\x0a\x01\0\0\0\0\0\0"),
];

/// Extension values that are broken, or odd.
fn odd_values() -> Vec<(&'static str, Vec<u8>)> {
    let uri = el(0x86, b"http://ca.example/1");
    vec![
        ("2.5.29.15", vec![3, 2, 7, 0x81]),
        ("2.5.29.15", vec![3, 2, 0, 0x80]),
        ("2.5.29.15", vec![3, 1, 0]),
        ("2.5.29.19", vec![0x30, 3, 1, 1, 1]),
        ("2.5.29.19", vec![0x30, 6, 1, 1, 0xff, 2, 1, 0xff]),
        ("2.5.29.17", vec![0x30, 0]),
        ("2.5.29.17", vec![5, 0]),
        ("2.5.29.17", el(0x30, &el(0x82, b"d\0.example"))),
        ("2.5.29.17", el(0x30, &el(0x82, b" "))),
        ("2.5.29.17", el(0x30, &el(0x81, b"ann@d@e"))),
        ("2.5.29.17", el(0x30, &el(0x87, &[1, 2, 3]))),
        ("2.5.29.14", vec![0x30, 0]),
        ("2.5.29.35", vec![4, 1, 1]),
        ("2.5.29.37", vec![0x30, 0]),
        ("2.5.29.37", vec![0x30, 3, 6, 1, 0x80]),
        ("2.5.29.32", vec![0x30, 0]),
        (
            "2.5.29.32",
            el(0x30, &[el(0x30, &oid(A)), el(0x30, &oid(A))].concat()),
        ),
        ("2.5.29.33", vec![5, 0]),
        ("2.5.29.33", vec![0x30, 0]),
        ("2.5.29.36", vec![0x30, 3, 0x80, 1, 0xff]),
        ("2.5.29.36", vec![0x30, 0]),
        ("2.5.29.54", vec![2, 1, 0xff]),
        ("2.5.29.30", vec![0x30, 0]),
        (
            "2.5.29.30",
            el(
                0x30,
                &el(
                    0xa0,
                    &el(0x30, &[el(0x82, b"d.example"), el(0x80, &[1])].concat()),
                ),
            ),
        ),
        ("2.5.29.31", vec![5, 0]),
        ("2.5.29.31", el(0x30, &el(0x30, &el(0xa0, &el(0xa0, &uri))))),
        ("2.5.29.18", vec![0x30, 0]),
        ("1.3.6.1.5.5.7.1.1", vec![0x30, 0]),
        ("1.3.6.1.5.5.7.1.1", vec![4, 0]),
        ("1.2.3.4", vec![]),
    ]
}

/// What is done to a chain; the first is the root, the last the leaf.
fn bend(chance: &mut Chance, makes: &mut [Make], said: &mut Vec<String>) {
    let last = makes.len() - 1;
    let at = chance.below(makes.len());
    let ca = chance.below(last);
    let kind = chance.below(32);
    said.push(format!("bend {kind} at {at} of {last}, ca {ca}"));
    match kind {
        0..=9 => bend_frame(kind, chance, makes, (at, ca)),
        10..=16 => bend_names(kind, chance, makes, ca, said),
        17..=24 => bend_policies(kind, chance, makes, ca),
        25 => add_key_ids(makes),
        26 => drop_extension(&mut makes[at], "2.5.29.35"),
        27 => drop_extension(&mut makes[ca], "2.5.29.14"),
        28 => set(
            &mut makes[at],
            extended_key_usage("1.3.6.1.5.5.7.3.1"),
            "2.5.29.37",
        ),
        29 => drop_extension(&mut makes[ca], "2.5.29.15"),
        _ => {
            let all = odd_values();
            let (dotted, value) = all[chance.below(all.len())].clone();
            let critical = chance.once_in(3);
            said.push(format!("{dotted} {critical} {value:02x?}"));
            set(&mut makes[at], extension(dotted, critical, &value), dotted);
        }
    }
}

/// Each points at the one above it.
fn add_key_ids(makes: &mut [Make]) {
    for (level, make) in makes.iter_mut().enumerate() {
        let id = u8::try_from(level).expect("small");
        set(make, subject_key_id(&[id + 1]), "2.5.29.14");
        set(make, authority_key_id(&[id.max(1)]), "2.5.29.35");
    }
}

/// Validity, basic constraints, usage, versions, serial numbers.
fn bend_frame(kind: usize, chance: &mut Chance, makes: &mut [Make], (at, ca): (usize, usize)) {
    match kind {
        0 => makes[at].not_after = NOW.minus(DAY / 2),
        1 => makes[at].not_before = NOW.plus(DAY / 2),
        2 => drop_extension(&mut makes[ca], "2.5.29.19"),
        3 => set(&mut makes[ca], basic_constraints(false, None), "2.5.29.19"),
        4 => set(&mut makes[ca], key_usage(0x80), "2.5.29.15"),
        5 | 6 => {
            let length = u8::try_from(chance.below(3)).expect("small");
            set(
                &mut makes[ca],
                basic_constraints(true, Some(length)),
                "2.5.29.19",
            );
        }
        7 => {
            let critical = chance.once_in(2);
            makes[at]
                .extensions
                .push(extension("1.2.3.4", critical, &[5, 0]));
        }
        8 => makes[at].version = chance.of(&[None, Some(1), Some(3)]),
        _ => {
            let serials = [vec![0], vec![0xff], vec![0, 1], vec![1; 21], vec![1; 20]];
            makes[at].serial = serials[chance.below(serials.len())].clone();
        }
    }
}

/// Name constraints, and names of one CA for another.
fn bend_names(
    kind: usize,
    chance: &mut Chance,
    makes: &mut [Make],
    ca: usize,
    said: &mut Vec<String>,
) {
    let made = match kind {
        10 if ca > 0 => {
            makes[ca].subject = makes[ca - 1].subject.clone();
            return;
        }
        11 => {
            let within = [directory_name("Leaf")];
            let org = el(0xa4, &long_name(&[("2.5.4.10", 0x0c, "Org")]));
            match chance.below(3) {
                0 => trees(&within, &[]),
                1 => trees(&[], &within),
                _ => trees(&[], &[org]),
            }
        }
        12 => {
            let last = makes.len() - 1;
            makes[last].subject = el(0x30, &[]);
            return;
        }
        _ => {
            let tree = [chance.of(&TREES)];
            said.push(format!("tree {tree:?}"));
            match chance.below(2) {
                0 => name_constraints(&tree, &[]),
                _ => name_constraints(&[], &tree),
            }
        }
    };
    set(&mut makes[ca], made, "2.5.29.30");
}

fn bend_policies(kind: usize, chance: &mut Chance, makes: &mut [Make], ca: usize) {
    let skip = u8::try_from(chance.below(3)).expect("small");
    match kind {
        17..=19 => {
            for make in makes.iter_mut().skip(1) {
                let found = chance.of(&[&[A][..], &[A], &[A], &[B], &[ANY], &[A, B]]);
                set(make, policies(found), "2.5.29.32");
            }
        }
        20 | 21 => {
            let pairs = chance.of(&[&[(A, B)][..], &[(A, B), (B, A)], &[(ANY, A)], &[(A, A)]]);
            set(&mut makes[ca], policy_mappings(pairs), "2.5.29.33");
        }
        22 => set(&mut makes[ca], inhibit_any_policy(skip), "2.5.29.54"),
        23 => set(&mut makes[ca], inhibit_policy_mapping(skip), "2.5.29.36"),
        _ => set(&mut makes[ca], require_explicit_policy(skip), "2.5.29.36"),
    }
}

fn is(extension: &[u8], dotted: &str) -> bool {
    extension[2..].starts_with(&oid(dotted))
}

fn drop_extension(make: &mut Make, dotted: &str) {
    make.extensions.retain(|one| !is(one, dotted));
}

fn set(make: &mut Make, extension: Vec<u8>, dotted: &str) {
    drop_extension(make, dotted);
    make.extensions.push(extension);
}

/// A leaf with up to three names.
fn make_leaf(chance: &mut Chance, said: &mut Vec<String>) -> Make {
    let names: Vec<(u8, &str)> = (0..chance.below(3)).map(|_| chance.of(&NAMES)).collect();
    said.push(format!("{names:?}"));
    let raw: Vec<Vec<u8>> = names
        .iter()
        .map(|(form, text)| el(0x80 | form, text.as_bytes()))
        .collect();
    let mut leaf = Make::leaf(&[]);
    leaf.extensions.pop();
    if raw.is_empty() {
        leaf
    } else {
        leaf.with(alt_names(false, &raw))
    }
}

fn make_question(chance: &mut Chance) -> PolicyRules {
    let wanted = chance.of(&[&[][..], &[], &[A], &[B], &[A, B]]);
    PolicyRules {
        acceptable: wanted.iter().filter_map(|text| Oid::parse(text)).collect(),
        explicit: Switch::of(chance.once_in(3)),
        inhibit_mapping: Switch::of(chance.once_in(8)),
        inhibit_any: Switch::of(chance.once_in(8)),
    }
}

/// One chain.
pub fn make_chain(chance: &mut Chance) -> Chain {
    let mut said = Vec::new();
    let mut makes: Vec<Make> = vec![Make::ca("Root")];
    makes.extend((0..=chance.below(3)).map(|level| Make::ca(&format!("CA {level}"))));
    makes.push(make_leaf(chance, &mut said));
    if !chance.once_in(3) {
        add_key_ids(&mut makes);
    }
    for _ in 0..chance.below(4) {
        bend(chance, &mut makes, &mut said);
    }
    let asked = make_question(chance);
    said.push(format!("{asked:?}"));
    let wrong = chance.below(30);
    let mut ders: Vec<Vec<u8>> = Vec::new();
    // Name and key of the certificate before.
    let mut above = (makes[0].subject.clone(), makes[0].key.clone());
    for (level, make) in makes.iter().enumerate() {
        let signer = if level == wrong { &make.key } else { &above.1 };
        ders.push(make.der(&above.0, signer));
        above = (make.subject.clone(), make.key.clone());
    }
    if chance.once_in(8) {
        let at = chance.below(ders.len());
        let octet = chance.below(ders[at].len());
        ders[at][octet] ^= 1 << chance.below(8);
        said.push(format!("flip {octet} of {at}"));
    }
    let beside = if chance.once_in(6) {
        let at = 1 + chance.below(makes.len() - 1);
        said.push(format!("a namesake of {at}"));
        let issuer = makes[at - 1].subject.clone();
        let namesake: Made = Make::ca("x").named(makes[at].subject.clone()).by_itself();
        vec![
            Make::ca("x")
                .named(makes[at].subject.clone())
                .der(&issuer, &namesake.key),
        ]
    } else {
        Vec::new()
    };
    Chain {
        ders,
        beside,
        asked,
        said: said.join("; "),
    }
}
