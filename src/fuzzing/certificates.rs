//! ASN.1: envelopes, signatures, certificates and paths. In: octets, or a script over good ones. Asserted:
//! chunks do not matter, and a certificate that was touched leads nowhere unless its issuer signed it anew.

use std::io::Read;
use std::sync::Arc;

use crate::cms::{CmsError, read_certs_only, read_enveloped, read_opaque_signed, read_signed};
use crate::trust::{
    AnchorSet, Certificate, Evidence, PathPurpose, Profile, Question, Rules, binds, build_path,
};

use super::edit::{Script, edited};
use super::pki::{self, NOW, parsed, pki};

/// A source that gives a few octets at once.
struct Slow<'o>(&'o [u8], usize);

impl Read for Slow<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let room = out.len().min(self.1);
        self.0.read(&mut out[..room])
    }
}

/// EnvelopedData and AuthEnvelopedData, content drained.
pub fn cms_enveloped(data: &[u8]) {
    let mut script = Script(data);
    let how = script.octet();
    let octets = if how & 1 == 0 {
        script.0.to_vec()
    } else {
        edited(
            &pki().envelope_der(b"Content-Type: text/plain\r\n\r\n"),
            &mut script,
        )
    };
    let whole = enveloped(&octets, usize::MAX);
    assert_eq!(whole, enveloped(&octets, 1 + usize::from(how >> 1)));
}

type Drained = (String, Vec<u8>, (Vec<u8>, Vec<u8>));

fn enveloped(octets: &[u8], step: usize) -> Result<Drained, CmsError> {
    let (head, mut content) = read_enveloped(Slow(octets, step))?;
    let mut out = Vec::new();
    content
        .read_to_end(&mut out)
        .map_err(|error| CmsError::of(&error))?;
    assert!(out.len() <= octets.len());
    Ok((format!("{head:?}"), out, content.finish()?))
}

/// SignedData: detached, opaque, certs-only.
pub fn cms_signed(data: &[u8]) {
    let mut script = Script(data);
    let how = script.octet();
    let octets = if how & 1 == 0 {
        script.0.to_vec()
    } else {
        edited(&pki().signature(b"signed"), &mut script)
    };
    let detached = read_signed(&octets);
    let certificates = read_certs_only(&octets);
    if let (Ok(signed), Ok(certificates)) = (&detached, &certificates) {
        assert_eq!(signed.certificates, *certificates);
    }
    let opaque = |step| {
        let mut reader = read_opaque_signed(Slow(&octets, step))?;
        let mut content = Vec::new();
        reader
            .read_to_end(&mut content)
            .map_err(|error| CmsError::of(&error))?;
        Ok::<_, CmsError>((content, reader.finish()?))
    };
    let whole = opaque(usize::MAX);
    assert_eq!(whole, opaque(1 + usize::from(how >> 1)));
    if let (Ok((_, signed)), Ok(small)) = (&whole, &detached) {
        assert_eq!(signed, small);
    }
}

/// Certificates and paths.
pub fn certificate(data: &[u8]) {
    let mut script = Script(data);
    let how = script.octet();
    let pki = pki();
    let (leaf, middle) = (&pki.alice.certificate, &pki.middle.certificate);
    let (leaf, middle) = match how % 5 {
        0 => (script.0.to_vec(), middle.clone()),
        1 => (edited(leaf, &mut script), middle.clone()),
        2 => (
            pki.resigned(&edited(pki::tbs(leaf), &mut script), &pki.middle),
            middle.clone(),
        ),
        3 => (leaf.clone(), edited(middle, &mut script)),
        _ => (
            leaf.clone(),
            pki.resigned(&edited(pki::tbs(middle), &mut script), &pki.root),
        ),
    };
    let Ok(read) = Certificate::parse(&leaf) else {
        return;
    };
    for profile in [Profile::V1_2, Profile::V1_3] {
        let _ = binds(&read, &pki::address(pki::ALICE), profile);
    }
    let bag: Vec<Arc<Certificate>> = [&middle, &leaf]
        .into_iter()
        .filter_map(|der| Certificate::parse(der).ok())
        .collect();
    let anchors = AnchorSet::new([parsed(&pki.root)]);
    for purpose in [PathPurpose::Sign, PathPurpose::Encrypt] {
        let question = Question {
            bag: &bag,
            anchors: &anchors,
            rules: &Rules::direct(purpose),
            evidence: &Evidence::default(),
            now: NOW,
        };
        let path = build_path(&read, &question);
        // RFC 5280 §6.1: nothing may be changed under a signature. What stands outside it (a signature's
        // own encoding) is not what was judged.
        let kept = leaf.len() > 64
            && (same_tbs(&leaf, &pki.alice.certificate) || pki.bob().der() == leaf.as_slice());
        if how % 5 < 2 && !kept {
            assert!(path.is_err(), "a touched certificate leads somewhere");
        }
    }
}

/// Whether these octets begin with a certificate that has the same signed part.
fn same_tbs(touched: &[u8], good: &[u8]) -> bool {
    let tbs = pki::tbs(good);
    touched.windows(tbs.len()).any(|window| window == tbs)
}

/// CERT records off the wire.
pub fn dns_cert(data: &[u8]) {
    let mut script = Script(data);
    let how = script.octet();
    let octets = if how & 1 == 0 {
        script.0.to_vec()
    } else {
        edited(&cert_answer(&pki().alice.certificate), &mut script)
    };
    crate::discover::read_answer(&octets);
}

/// A DNS answer with one CERT record (RFC 1035 §4.1; RFC 4398 §2).
fn cert_answer(certificate: &[u8]) -> Vec<u8> {
    let name = b"\x05alice\x06direct\x01a\x07example\x00";
    let rdata = [&[0, 1, 0, 0, 0][..], certificate].concat();
    let length = u16::try_from(rdata.len()).unwrap_or(0).to_be_bytes();
    [
        &[0, 1, 0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0][..],
        name,
        &[0, 37, 0, 1, 0xc0, 12, 0, 37, 0, 1, 0, 0, 0, 60],
        &length,
        &rdata,
    ]
    .concat()
}

pub(super) fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "certificate" => (0..5).map(|how| vec![how, 0, 0x40, 0, 3]).collect(),
        _ => vec![vec![1], vec![3, 4, 0x40, 0, 32], vec![0, 0x30, 0x80, 0, 0]],
    }
}
