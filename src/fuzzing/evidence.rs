//! CRLs, OCSP answers and bundles: what is fetched over plain HTTP, where anyone may change it. In: octets,
//! or a script over good ones. Asserted: what was touched never speaks for a certificate unless its issuer
//! signed it anew.

use std::sync::Arc;
use std::time::Duration;

use crate::bundles::{Publisher, make, read_bundle};
use crate::crypto::issue::crl as make_crl;
use crate::crypto::{DigestAlgorithm, sha256};
use crate::trust::{
    AnchorSet, Answers, CertId, Crl, Evidence, NoPointer, Question, RevocationMode,
    RevocationRules, RevocationScope, Rules, build_path,
};

use super::edit::{Script, edited};
use super::pki::{self, NOW, element, parsed, pki};

const HOUR: Duration = Duration::from_secs(3_600);

/// Whether Alice is trusted by this evidence about her alone.
fn is_trusted(evidence: &Evidence) -> bool {
    let pki = pki();
    let asked = RevocationRules {
        mode: RevocationMode::Hard,
        scope: RevocationScope::Leaf,
        no_pointer: NoPointer::Unknown,
    };
    let question = Question {
        bag: &[parsed(&pki.middle)],
        anchors: &AnchorSet::new([parsed(&pki.root)]),
        rules: &Rules::rfc5280().asking(asked),
        evidence,
        now: NOW,
    };
    build_path(&parsed(&pki.alice), &question).is_ok()
}

/// How the octets come about: raw, edited, or edited in the signed part and signed again.
fn octets(data: &[u8], good: &[u8]) -> (u8, Vec<u8>) {
    let mut script = Script(data);
    let how = script.octet() % 3;
    let octets = match how {
        0 => script.0.to_vec(),
        1 => edited(good, &mut script),
        _ => pki().resigned(&edited(pki::tbs(good), &mut script), &pki().middle),
    };
    (how, octets)
}

/// Whether the signed part of `good` is still there.
fn is_kept(touched: &[u8], good: &[u8]) -> bool {
    let tbs = pki::tbs(good);
    touched.windows(tbs.len()).any(|window| window == tbs)
}

/// CRLs.
pub fn crl(data: &[u8]) {
    let good = make_crl(&pki().middle, &[], NOW.minus(HOUR), NOW.plus(HOUR)).expect("a CRL");
    let (how, octets) = octets(data, &good);
    let Ok(read) = Crl::parse(&octets) else {
        return;
    };
    let trusted = is_trusted(&Evidence::of([read]));
    assert!(
        how == 2 || !trusted || is_kept(&octets, &good),
        "a touched CRL speaks for somebody"
    );
}

/// OCSP answers.
pub fn ocsp(data: &[u8]) {
    let (alice, middle) = (parsed(&pki().alice), parsed(&pki().middle));
    let id = CertId::of(&alice, &middle);
    let good = basic(&id, middle.subject());
    let (how, octets) = octets(data, &good);
    for der in [wrapped(&octets), octets.clone()] {
        let Ok(read) = Answers::parse(&der) else {
            continue;
        };
        let mut evidence = Evidence::default();
        evidence.add_answers(id.clone(), Arc::clone(&read));
        let trusted = is_trusted(&evidence);
        assert!(
            how == 2 || !trusted || is_kept(&octets, &good),
            "a touched answer speaks"
        );
    }
}

/// BasicOCSPResponse by the CA itself: good.
fn basic(id: &CertId, responder: &[u8]) -> Vec<u8> {
    let request = id.request();
    // CertID lies four elements deep.
    let mut cert_id = request.as_slice();
    for _ in 0..4 {
        cert_id = pki::inside(cert_id);
    }
    let time = |text: &str| element(0x18, &[text.as_bytes()]);
    let (at, until) = (time("20261122000000Z"), time("20261123000000Z"));
    let next = element(0xa0, &[&until]);
    let single = element(0x30, &[cert_id, &[0x80, 0], &at, &next]);
    let name = element(0xa1, &[responder]);
    let tbs = element(0x30, &[&name, &at, &element(0x30, &[&single])]);
    let digest = sha256(&tbs);
    let signature = pki().middle.key.sign(DigestAlgorithm::Sha256, &digest);
    let bits = element(0x03, &[&[0], &signature.expect("signs")]);
    let algorithm = pki::algorithm(&pki().middle.certificate);
    element(0x30, &[&tbs, &algorithm, &bits])
}

/// OCSPResponse.
fn wrapped(basic: &[u8]) -> Vec<u8> {
    let kind = [
        0x06, 0x09, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01,
    ];
    let bytes = element(0x30, &[&kind, &element(0x04, &[basic])]);
    element(0x30, &[&[0x0a, 1, 0], &element(0xa0, &[&bytes])])
}

/// Trust bundles: read without a signer, and with Alice as the pinned one.
pub fn bundle(data: &[u8]) {
    let pki = pki();
    let anchors = [pki.root.certificate.clone(), pki.middle.certificate.clone()];
    let publisher = Publisher {
        certificate: pki.alice.certificate.clone(),
        key: pki.alice.key.clone(),
    };
    let xml = b"<TrustBundle><Profile>a&amp;b</Profile><Anchors><Anchor/></Anchors></TrustBundle>";
    let mut script = Script(data);
    let how = script.octet() % 3;
    let by = (how == 2).then_some(&publisher);
    let good = make(&anchors, Some(xml), by, NOW).expect("a bundle");
    let octets = match how {
        0 => script.0.to_vec(),
        _ => edited(&good, &mut script),
    };
    drop(read_bundle(&octets, None, NOW));
    if let Ok(found) = read_bundle(&octets, Some(&parsed(&pki.alice)), NOW) {
        let all = found.anchors.values().map(|one| one.der());
        let known = all.filter(|der| anchors.iter().any(|anchor| anchor == der));
        assert_eq!(
            (known.count(), found.anchors.len()),
            (2, 2),
            "a touched bundle is believed"
        );
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    vec![
        vec![1],
        vec![1, 4, 0x40, 0, 32],
        vec![2, 0, 0x20, 0, 3],
        vec![0, 0x30, 0],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The driver does this for hours; a moment of it keeps the targets honest.
    #[test]
    fn touched_ones_speak_for_nobody() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_be_bytes()
        };
        for round in 0..1_500_usize {
            let data: Vec<u8> = (0..=round % 4).flat_map(|_| next()).collect();
            crl(&data);
            ocsp(&data);
            bundle(&data);
        }
    }

    #[test]
    fn the_good_ones_speak_for_alice() {
        let (alice, middle) = (parsed(&pki().alice), parsed(&pki().middle));
        let list = make_crl(&pki().middle, &[], NOW.minus(HOUR), NOW.plus(HOUR)).expect("a CRL");
        assert!(is_trusted(&Evidence::of([
            Crl::parse(&list).expect("a CRL")
        ])));
        let id = CertId::of(&alice, &middle);
        let answers = Answers::parse(&wrapped(&basic(&id, middle.subject()))).expect("an answer");
        let mut evidence = Evidence::default();
        assert!(!is_trusted(&evidence));
        evidence.add_answers(id, answers);
        assert!(is_trusted(&evidence));
        for seed in seeds() {
            crl(&seed);
            bundle(&seed);
            ocsp(&seed);
        }
    }
}
