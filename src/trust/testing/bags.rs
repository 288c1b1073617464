//! Bags of certificates that a hostile sender could make: each is answered within the budgets of `limits.rs`.
//! In: nothing. Out: a [`Bag`], as octets, so that reading it costs what it costs.

use crate::crypto::PrivateKey;
use crate::crypto::issue::KeyKind;

use super::{
    Made, Make, el, general_names, key, name, name_constraints, policies, policy_mappings,
    require_explicit_policy, san,
};

/// One question that is made to cost.
#[derive(Clone)]
pub struct Bag {
    pub what: String,
    pub leaf: Vec<u8>,
    pub between: Vec<Vec<u8>>,
    pub anchors: Vec<Vec<u8>>,
    /// What the detail of the verdict names; None: it is trusted.
    pub limit: Option<&'static str>,
}

const MAIL: (u8, &str) = (1, "ann@d.example");

fn der(made: &Made) -> Vec<u8> {
    made.certificate.der().to_vec()
}

fn root() -> Made {
    Make::ca("Root").by_itself()
}

/// A root that permits no mail of the leaf's: each path is complete, and each is refused.
fn picky_root() -> Made {
    let trees = name_constraints(&[(1, "e.example")], &[]);
    Make::ca("Root").with(trees).by_itself()
}

/// All bags.
pub fn all() -> Vec<Bag> {
    let mut bags = Vec::new();
    for count in [4, 8, 12] {
        bags.push(namesakes(count, &root(), None));
        let limit = if count < 5 { "permitted" } else { "limit of" };
        bags.push(namesakes(count, &picky_root(), Some(limit)));
        bags.push(forged_namesakes(count));
    }
    bags.push(mesh(8, &root(), None));
    bags.push(mesh(8, &picky_root(), Some("limit of")));
    bags.push(forged_mesh(8));
    bags.push(claimants(KeyKind::P256));
    bags.push(claimants(KeyKind::P384));
    bags.push(policy_tangle(1, &root(), None));
    bags.push(policy_tangle(2, &picky_root(), Some("limit of")));
    bags.push(subtrees());
    bags.push(ladder(60));
    bags
}

/// The same with so many anchors more, of other names and of the root's.
pub fn among(bag: &Bag, others: &[Vec<u8>]) -> Bag {
    let mut bag = bag.clone();
    bag.what
        .push_str(&format!(", {} anchors", others.len() + bag.anchors.len()));
    bag.anchors.extend_from_slice(others);
    bag
}

/// Anchors that no bag leads to; every hundredth has the root's name.
pub fn strangers(count: usize) -> Vec<Vec<u8>> {
    let key = key(KeyKind::P256);
    let stranger = |n: usize| {
        let subject = if n.is_multiple_of(100) {
            "Root".to_owned()
        } else {
            format!("Stranger {n}")
        };
        let serial = u32::try_from(n).expect("small").to_be_bytes();
        let make = Make {
            serial: [&[1][..], &serial].concat(),
            ..Make::ca(&subject).key(&key)
        };
        make.der(&name(&subject), &key)
    };
    (0..count).map(stranger).collect()
}

/// `count` CAs of one name, each certified by each and by the root.
fn namesakes(count: usize, root: &Made, limit: Option<&'static str>) -> Bag {
    let keys: Vec<PrivateKey> = (0..count).map(|_| key(KeyKind::P256)).collect();
    let mut between = Vec::new();
    for (at, own) in keys.iter().enumerate() {
        let make = Make::ca("CA").key(own);
        between.push(make.der(&root.name(), &root.key));
        let others = keys.iter().enumerate().filter(|(from, _)| *from != at);
        between.extend(others.map(|(_, other)| make.der(&name("CA"), other)));
    }
    let words = if limit.is_none() {
        "sound"
    } else {
        "all refused"
    };
    Bag {
        what: format!("{count} cross-signed CAs of one name, {words}"),
        leaf: Make::leaf(&[MAIL]).der(&name("CA"), &keys[0]),
        between,
        anchors: vec![der(root)],
        limit,
    }
}

/// The same, none of them certified by the root, though all say so.
fn forged_namesakes(count: usize) -> Bag {
    let liar = Make::ca("Root").by_itself();
    let bag = namesakes(count, &liar, Some("not signed by the key"));
    Bag {
        what: format!("{count} cross-signed CAs of one name, forged"),
        anchors: vec![der(&root())],
        ..bag
    }
}

/// `count` CAs of as many names, each certified by each; the first by the root.
fn mesh(count: usize, root: &Made, limit: Option<&'static str>) -> Bag {
    let keys: Vec<PrivateKey> = (0..count).map(|_| key(KeyKind::P256)).collect();
    let named = |n: usize| format!("Mesh {n}");
    let mut between = vec![
        Make::ca(&named(0))
            .key(&keys[0])
            .der(&root.name(), &root.key),
    ];
    for (at, own) in keys.iter().enumerate() {
        let make = Make::ca(&named(at)).key(own);
        let others = keys.iter().enumerate().filter(|(from, _)| *from != at);
        between.extend(others.map(|(from, other)| make.der(&name(&named(from)), other)));
    }
    let last = count - 1;
    let words = if limit.is_none() {
        "sound"
    } else {
        "all refused"
    };
    Bag {
        what: format!("mesh of {count} CAs, {words}"),
        leaf: Make::leaf(&[MAIL]).der(&name(&named(last)), &keys[last]),
        between,
        anchors: vec![der(root)],
        limit,
    }
}

/// The same, every edge signed by another key than it says.
fn forged_mesh(count: usize) -> Bag {
    let mut bag = mesh(count, &root(), Some("not signed by the key"));
    let stranger = key(KeyKind::P256);
    for (at, der) in bag.between.iter_mut().enumerate() {
        let issuer = if at == 0 {
            "Root".to_owned()
        } else {
            format!("Mesh {}", at % count)
        };
        *der = Make::ca(&format!("Mesh {}", (at / 7) % count)).der(&name(&issuer), &stranger);
    }
    bag.what = format!("mesh of {count} CAs, forged");
    bag
}

/// 3,000 CAs that claim to be issued by the anchor, and to have issued the leaf.
fn claimants(kind: KeyKind) -> Bag {
    let anchor = Make::ca("Root").key(&key(kind)).by_itself();
    let liar = key(KeyKind::P256);
    let claimant = |n: u32| Make {
        serial: [&[1][..], &n.to_be_bytes()].concat(),
        ..Make::ca("CA").key(&liar)
    };
    Bag {
        what: format!("3000 certificates that claim a {kind:?} anchor as issuer"),
        leaf: Make::leaf(&[MAIL]).der(&name("CA"), &liar),
        between: (0..3_000)
            .map(|n| claimant(n).der(&name("Root"), &liar))
            .collect(),
        anchors: vec![der(&anchor)],
        limit: Some("limit of"),
    }
}

/// Nine levels of eight policies, each mapped to all; `ways` certificates at each level.
fn policy_tangle(ways: u8, root: &Made, limit: Option<&'static str>) -> Bag {
    let names: Vec<String> = (0..8).map(|n| format!("1.2.3.{n}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let pair = |n: usize| (all[n / 8], all[n % 8]);
    let pairs: Vec<(&str, &str)> = (0..64).map(pair).collect();
    let mut above = (root.name(), root.key.clone());
    let mut between = Vec::new();
    for level in 0..8_u8 {
        let own = key(KeyKind::P256);
        let subject = format!("CA {level}");
        for way in 0..ways {
            let make = Make::ca(&subject)
                .key(&own)
                .serial(1 + level * ways + way)
                .with(policies(&all))
                .with(policy_mappings(&pairs))
                .with(require_explicit_policy(0));
            between.push(make.der(&above.0, &above.1));
        }
        above = (name(&subject), own);
    }
    Bag {
        what: format!("policy mappings, 9 levels of 8 to 8, {ways} at each"),
        leaf: Make::leaf(&[MAIL])
            .with(policies(&all))
            .der(&above.0, &above.1),
        between,
        anchors: vec![der(root)],
        limit,
    }
}

/// 2,000 subtrees against 2,000 names.
fn subtrees() -> Bag {
    let root = root();
    let texts: Vec<String> = (0..2_000).map(|n| format!("n{n}.example")).collect();
    let names: Vec<(u8, &str)> = texts.iter().map(|text| (2, text.as_str())).collect();
    let trees: Vec<u8> = names
        .iter()
        .flat_map(|one| el(0x30, &general_names(&[*one])))
        .collect();
    let trees = super::extension("2.5.29.30", true, &el(0x30, &el(0xa0, &trees)));
    let ca = Make::ca("CA").with(trees).by(&root);
    let mut leaf = Make::leaf(&[]);
    leaf.extensions.pop();
    Bag {
        what: "2000 subtrees against 2000 names".to_owned(),
        leaf: leaf.with(san(&names)).der(&ca.name(), &ca.key),
        between: vec![der(&ca)],
        anchors: vec![der(&root)],
        limit: Some("limit of"),
    }
}

/// A chain of that many CAs.
fn ladder(length: usize) -> Bag {
    let root = root();
    let mut above = (root.name(), root.key.clone());
    let mut between = Vec::new();
    for step in 0..length {
        let (own, subject) = (key(KeyKind::P256), format!("Step {step}"));
        between.push(Make::ca(&subject).key(&own).der(&above.0, &above.1));
        above = (name(&subject), own);
    }
    Bag {
        what: format!("a chain of {length} CAs"),
        leaf: Make::leaf(&[MAIL]).der(&above.0, &above.1),
        between,
        anchors: vec![der(&root)],
        limit: Some("limit of"),
    }
}
