//! Answers bent field by field: which of them speak for a certificate.

use super::*;
use crate::crypto::PrivateKey;
use crate::crypto::issue::KeyKind;
use crate::journal::Reason;
use crate::trust::testing::*;
use crate::trust::{
    AnchorSet, Evidence, NoPointer, Question, RevocationMode, RevocationRules, RevocationScope,
    Rules, build_path,
};

const DAY_LATER: &str = "20261123000000Z";
const TODAY: &str = "20261122000000Z";

fn gt(text: &str) -> Vec<u8> {
    el(0x18, text.as_bytes())
}

fn explicit(tag: u8, value: &[u8]) -> Vec<u8> {
    el(tag, value)
}

/// An answer to make.
#[derive(Clone)]
struct MakeAnswer {
    status: Vec<u8>,
    this_update: &'static str,
    next_update: Option<&'static str>,
    responder: Vec<u8>,
    extensions: Vec<u8>,
    single_extensions: Vec<u8>,
    certificates: Vec<Vec<u8>>,
    times: usize,
    id: Vec<u8>,
}

struct Chain {
    root: Made,
    ca: Made,
    leaf: Made,
    id: CertId,
}

fn chain() -> Chain {
    let root = Make::crl_ca("Root").by_itself();
    let ca = Make::crl_ca("CA").serial(2).by(&root);
    let leaf = Make::leaf(&[(1, "ann@d.example")]).serial(7).by(&ca);
    let id = CertId::of(&leaf.certificate, &ca.certificate);
    Chain { root, ca, leaf, id }
}

fn cert_id(id: &CertId) -> Vec<u8> {
    let parts = [
        SHA1.to_vec(),
        el(0x04, &id.name_hash),
        el(0x04, &id.key_hash),
        el(0x02, &id.serial),
    ];
    el(0x30, &parts.concat())
}

impl MakeAnswer {
    fn new(chain: &Chain) -> Self {
        Self {
            status: vec![0x80, 0],
            this_update: TODAY,
            next_update: Some(DAY_LATER),
            responder: explicit(0xa1, &chain.ca.name()),
            extensions: Vec::new(),
            single_extensions: Vec::new(),
            certificates: Vec::new(),
            times: 1,
            id: cert_id(&chain.id),
        }
    }

    fn sign(&self, key: &PrivateKey) -> Vec<u8> {
        let next = self
            .next_update
            .map_or_else(Vec::new, |at| explicit(0xa0, &gt(at)));
        let single = [
            self.id.clone(),
            self.status.clone(),
            gt(self.this_update),
            next,
            self.single_extensions.clone(),
        ];
        let single = el(0x30, &single.concat());
        let list = el(0x30, &single.repeat(self.times));
        let tbs = [
            self.responder.clone(),
            gt(TODAY),
            list,
            self.extensions.clone(),
        ];
        let tbs = el(0x30, &tbs.concat());
        let signature = key
            .sign(DigestAlgorithm::Sha256, &sha256(&tbs))
            .expect("signs");
        let certificates = match self.certificates.concat() {
            none if none.is_empty() => none,
            some => explicit(0xa0, &el(0x30, &some)),
        };
        let algorithm = el(0x30, &oid(ECDSA_SHA256));
        let bits = el(0x03, &[vec![0], signature].concat());
        let basic = el(0x30, &[tbs, algorithm, bits, certificates].concat());
        let bytes = el(0x30, &[oid(BASIC), el(0x04, &basic)].concat());
        el(0x30, &[el(0x0a, &[0]), explicit(0xa0, &bytes)].concat())
    }
}

fn judge(chain: &Chain, der: &[u8]) -> Option<Reason> {
    let Ok(answers) = Answers::parse(der) else {
        return Some(Reason::Malformed);
    };
    let mut evidence = Evidence::default();
    evidence.add_answers(chain.id.clone(), answers);
    let asked = RevocationRules {
        mode: RevocationMode::Hard,
        scope: RevocationScope::Leaf,
        no_pointer: NoPointer::Unknown,
    };
    let question = Question {
        bag: &[Arc::clone(&chain.ca.certificate)],
        anchors: &AnchorSet::new([Arc::clone(&chain.root.certificate)]),
        rules: &Rules::rfc5280().asking(asked),
        evidence: &evidence,
        now: NOW,
    };
    build_path(&chain.leaf.certificate, &question)
        .err()
        .map(|why| why.reason)
}

const UNKNOWN: Option<Reason> = Some(Reason::RevocationUnknown);
const REVOKED: Option<Reason> = Some(Reason::Revoked);

/// What it is, the answer, what it says.
type Row = (&'static str, MakeAnswer, Option<Reason>);

fn bent(chain: &Chain, bend: impl FnOnce(&mut MakeAnswer)) -> MakeAnswer {
    let mut answer = MakeAnswer::new(chain);
    bend(&mut answer);
    answer
}

fn revoked(reason: &[u8]) -> Vec<u8> {
    let reason = match reason {
        [] => Vec::new(),
        code => explicit(0xa0, &el(0x0a, code)),
    };
    el(0xa1, &[gt(TODAY), reason].concat())
}

fn by_responder(chain: &Chain) -> Vec<Row> {
    let by = |responder: Vec<u8>| bent(chain, |answer| answer.responder = responder);
    let key_id = el(0x04, &sha1(chain.ca.certificate.key_bits()));
    vec![
        ("good", MakeAnswer::new(chain), None),
        ("by key", by(explicit(0xa2, &key_id)), None),
        ("another key", by(explicit(0xa2, &el(4, &[0; 20]))), UNKNOWN),
        ("another name", by(explicit(0xa1, &name("X"))), UNKNOWN),
    ]
}

fn by_status_and_time(chain: &Chain) -> Vec<Row> {
    let is = |status: Vec<u8>| bent(chain, |answer| answer.status = status);
    let over = |answer: MakeAnswer| MakeAnswer {
        next_update: Some("20261122010000Z"),
        ..answer
    };
    let endless = |at| {
        bent(chain, |answer| {
            (answer.this_update, answer.next_update) = (at, None);
        })
    };
    let of = |at| bent(chain, |answer| answer.this_update = at);
    vec![
        ("revoked", is(revoked(&[])), REVOKED),
        ("on hold", is(revoked(&[6])), REVOKED),
        ("unknown", is(vec![0x82, 0]), UNKNOWN),
        ("old", over(MakeAnswer::new(chain)), UNKNOWN),
        ("old and revoked", over(is(revoked(&[1]))), REVOKED),
        ("old and on hold", over(is(revoked(&[6]))), UNKNOWN),
        ("of the future", of("20261122011000Z"), UNKNOWN),
        ("a clock that is ahead", of("20261122010500Z"), None),
        ("without end and old", endless(TODAY), UNKNOWN),
        ("without end and new", endless("20261122010000Z"), None),
    ]
}

fn by_subject_and_form(chain: &Chain) -> Vec<Row> {
    let about = |id: CertId| bent(chain, |answer| answer.id = cert_id(&id));
    let other = CertId {
        serial: vec![8],
        ..chain.id.clone()
    };
    let twin = CertId {
        key_hash: vec![0; 20],
        ..chain.id.clone()
    };
    let odd = || explicit(0xa1, &el(0x30, &extension("1.2.3", true, &[5, 0])));
    let nonce = || explicit(0xa1, &el(0x30, &extension(NONCE, false, &[4, 0])));
    let many = OCSP_SINGLES_MAX + 1;
    vec![
        ("another certificate", about(other), UNKNOWN),
        ("another CA of the name", about(twin), UNKNOWN),
        ("a nonce", bent(chain, |a| a.extensions = nonce()), None),
        ("odd", bent(chain, |a| a.extensions = odd()), UNKNOWN),
        (
            "odd inside",
            bent(chain, |a| a.single_extensions = odd()),
            UNKNOWN,
        ),
        ("twice", bent(chain, |a| a.times = 2), None),
        ("too often", bent(chain, |a| a.times = many), UNKNOWN),
    ]
}

#[test]
fn only_a_fresh_answer_about_this_very_certificate_speaks_for_it() {
    let chain = chain();
    let tables = [
        by_responder(&chain),
        by_status_and_time(&chain),
        by_subject_and_form(&chain),
    ];
    for (what, made, expected) in tables.concat() {
        assert_eq!(judge(&chain, &made.sign(&chain.ca.key)), expected, "{what}");
    }
    let good = MakeAnswer::new(&chain);
    assert_eq!(
        judge(&chain, &good.sign(&chain.leaf.key)),
        UNKNOWN,
        "another's signature"
    );
    assert_eq!(
        judge(&chain, &good.sign(&chain.root.key)),
        UNKNOWN,
        "the CA above"
    );
}

#[test]
fn a_delegate_answers_by_leave_of_the_very_ca() {
    let chain = chain();
    let leave = || extended_key_usage("1.3.6.1.5.5.7.3.9");
    let any = extended_key_usage("2.5.29.37.0");
    let make = |extensions: Vec<Vec<u8>>| Make::crl_signer("Delegate").extensions(extensions);
    let over = Make {
        not_after: NOW.minus(DAY / 2),
        ..make(vec![leave()])
    };
    let twin = Make::crl_ca("CA").by(&chain.root);
    for (what, delegate, expected) in [
        ("with leave", make(vec![leave()]).by(&chain.ca), None),
        (
            "with leave and nocheck",
            make(vec![
                leave(),
                extension("1.3.6.1.5.5.7.48.1.5", false, &[5, 0]),
            ])
            .by(&chain.ca),
            None,
        ),
        ("without leave", make(vec![]).by(&chain.ca), UNKNOWN),
        (
            "with leave for anything",
            make(vec![any]).by(&chain.ca),
            UNKNOWN,
        ),
        ("expired", over.by(&chain.ca), UNKNOWN),
        (
            "of the CA above",
            make(vec![leave()]).by(&chain.root),
            UNKNOWN,
        ),
        ("of itself", make(vec![leave()]).by_itself(), UNKNOWN),
        (
            "of a CA of the same name",
            make(vec![leave()]).by(&twin),
            UNKNOWN,
        ),
    ] {
        let answer = MakeAnswer {
            responder: explicit(0xa1, &delegate.name()),
            certificates: vec![delegate.certificate.der().to_vec()],
            ..MakeAnswer::new(&chain)
        };
        assert_eq!(
            judge(&chain, &answer.sign(&delegate.key)),
            expected,
            "{what}"
        );
        let bare = MakeAnswer {
            certificates: Vec::new(),
            ..answer
        };
        assert_eq!(
            judge(&chain, &bare.sign(&delegate.key)),
            UNKNOWN,
            "{what}, not sent along"
        );
    }
    let stranger = key(KeyKind::P256);
    assert_eq!(
        judge(&chain, &MakeAnswer::new(&chain).sign(&stranger)),
        UNKNOWN
    );
}

#[test]
fn octets_that_are_bent_anywhere_never_pass() {
    let chain = chain();
    let good = MakeAnswer::new(&chain).sign(&chain.ca.key);
    assert_eq!(judge(&chain, &good), None);
    for at in 0..good.len() {
        for bit in [1, 0x80] {
            let mut bent = good.clone();
            bent[at] ^= bit;
            assert!(judge(&chain, &bent).is_some(), "octet {at} bit {bit:02x}");
        }
    }
    for (status, word) in [
        (1u8, "malformedRequest"),
        (3, "tryLater"),
        (6, "unauthorized"),
    ] {
        let refused = Answers::parse(&el(0x30, &el(0x0a, &[status]))).expect_err("no answer");
        assert!(refused.0.contains(word), "{refused}");
    }
    assert!(Answers::parse(&el(0x30, &el(0x0a, &[0]))).is_err());
    assert!(Answers::parse(&vec![0; OCSP_OCTETS_MAX + 1]).is_err());
}
