//! Hostile input: truncated, nested, too long, too many, damaged, random. Nothing panics and everything is bounded.

use std::io::Read;

use proptest::prelude::*;

use super::algorithm::{DATA, SIGNED_DATA, object_identifier, write_cipher};
use super::der::{INTEGER, OCTET_STRING, SEQUENCE, SET, constructed, context, element};
use super::interop::{Party, drain, envelope, loosen, password_recipient, read_envelope};
use super::*;
use crate::crypto::ContentCipher;
use crate::crypto::issue::KeyKind;

#[test]
fn truncated_or_followed_by_anything_is_an_error() {
    let bob = Party::new(KeyKind::Rsa(2048));
    let envelopes = [bob.encrypt("-aes256"), bob.encrypt("-aes-256-gcm -stream")];
    for der in envelopes {
        assert!(read_envelope(&der).is_ok());
        for cut in (0..der.len()).filter(|cut| *cut < 800 || *cut > der.len() - 200) {
            assert!(read_envelope(&der[..cut]).is_err(), "cut at {cut}");
        }
        assert!(read_envelope(&[der.as_slice(), &[0]].concat()).is_err());
        let (_, content) = read_enveloped(der.as_slice()).expect("a head");
        assert!(content.finish().is_err(), "content left unread");
    }
    for der in [bob.sign(""), loosen(&bob.sign(""))] {
        assert!(read_signed(&der).is_ok());
        for cut in 0..der.len() {
            assert!(read_signed(&der[..cut]).is_err(), "cut at {cut}");
        }
        assert!(read_signed(&[der.as_slice(), &[0]].concat()).is_err());
    }
}

#[test]
fn nesting_lengths_and_counts_are_bounded() {
    let deep = |start: &[u8], again: &[u8]| [start, &again.repeat(100_000)].concat();
    for octets in [
        deep(&[], &[0x30, 0x80]),
        deep(&[], &[0x30, 0x84, 0x7f, 0xff, 0xff, 0xff]),
        vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        vec![0x30, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        vec![
            0x30, 0x80, 0x06, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        ],
        vec![0x30, 0x80, 0x06, 0x84, 0x7f, 0xff, 0xff, 0xff, 1],
        vec![0x30, 0xff, 1, 2, 3],
        vec![0x30, 0x03, 0x06, 0x05, 1, 2, 3, 4, 5],
        vec![0x1f, 0x81, 0x81, 0x81],
        vec![0, 0],
        vec![],
    ] {
        assert!(read_envelope(&octets).is_err());
        assert!(read_signed(&octets).is_err());
        assert!(read_certs_only(&octets).is_err());
        assert!(read_opaque_signed(octets.as_slice()).is_err());
    }

    let cbc = write_cipher(ContentCipher::Aes256Cbc, &[0; 16]).expect("written");
    let recipients = |count| envelope(&cbc, &vec![password_recipient(); count], b"x");
    assert!(read_envelope(&recipients(100)).is_ok());
    assert_eq!(
        read_envelope(&recipients(101)),
        Err(CmsError::OverLimit("recipients of the envelope"))
    );
    assert!(read_envelope(&recipients(0)).is_err());
    // One recipient with everything in it, and one whose inside is nested.
    let large = element(
        constructed(3),
        &[&element(OCTET_STRING, &[&vec![0; 300 * 1024]])],
    );
    assert_eq!(
        read_envelope(&envelope(&cbc, &[large], b"x")),
        Err(CmsError::OverLimit("head of the envelope"))
    );
    let nested = (0..40).fold(Vec::new(), |inner, _| element(constructed(3), &[&inner]));
    assert_eq!(
        read_envelope(&envelope(&cbc, &[nested], b"x")),
        Err(CmsError::OverLimit("nesting of ASN.1"))
    );
}

/// An envelope in indefinite lengths up to its content, which is begun; five end-of-contents end it.
fn loose_head(algorithm: &[u8]) -> Vec<u8> {
    let mut ber = loosen(&envelope(algorithm, &[password_recipient()], b"mark"));
    let content = loosen(&element(context(0), &[b"mark"]));
    ber.truncate(ber.len() - content.len() - 8);
    ber.extend([0xa0, 0x80]);
    ber
}

#[test]
fn segments_nested_too_deeply_end_the_content() {
    let cbc = write_cipher(ContentCipher::Aes256Cbc, &[0; 16]).expect("written");
    let start = loose_head(&cbc);
    for (depth, sound) in [(3, true), (40, false), (100_000, false)] {
        let mut octets = start.clone();
        octets.extend([0x24, 0x80].repeat(depth));
        octets.extend([0x04, 0x02, 7, 7]);
        octets.extend([0, 0].repeat(depth + 1 + 4));
        assert_eq!(read_envelope(&octets).is_ok(), sound, "{depth}");
    }
}

#[test]
fn too_many_certificates_or_signers_are_over_the_limit() {
    let version = element(INTEGER, &[&[1]]);
    let build = |certificates: &[u8], signers: &[u8]| {
        let signed = element(
            SEQUENCE,
            &[
                &version,
                &element(SET, &[]),
                &element(SEQUENCE, &[&object_identifier(DATA)]),
                &element(constructed(0), &[certificates]),
                &element(SET, &[signers]),
            ],
        );
        element(
            SEQUENCE,
            &[
                &object_identifier(SIGNED_DATA),
                &element(constructed(0), &[&signed]),
            ],
        )
    };
    let certificates = |count: u8| -> Vec<u8> {
        (0..count)
            .flat_map(|n| element(SEQUENCE, &[&element(INTEGER, &[&[n]])]))
            .collect()
    };
    let signers = |count: usize| element(SEQUENCE, &[&version]).repeat(count);
    let read = read_signed(&build(&certificates(20), &signers(16))).expect("at the limit");
    assert_eq!((read.certificates.len(), read.unread.len()), (20, 16));
    assert_eq!(
        read_signed(&build(&certificates(21), b"")),
        Err(CmsError::OverLimit("certificates in SignedData"))
    );
    assert_eq!(
        read_signed(&build(b"", &signers(17))),
        Err(CmsError::OverLimit("signers in SignedData"))
    );
    let bundle = read_certs_only(&build(&certificates(200), b"")).expect("a bundle has more");
    assert_eq!(bundle.len(), 200);
}

/// Counts how often it is asked.
struct Counting<R> {
    source: R,
    reads: usize,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        self.reads += 1;
        self.source.read(out)
    }
}

#[test]
fn content_goes_by_in_large_pieces_without_a_limit_of_its_own() {
    // Java writes segments of some thousand octets, all in indefinite lengths.
    let segment = element(OCTET_STRING, &[&[0x5a; 4_096]]);
    let count = 2_000;
    let cbc = write_cipher(ContentCipher::Aes256Cbc, &[0; 16]).expect("written");
    let mut octets = loose_head(&cbc);
    octets.extend(segment.repeat(count));
    octets.extend([0, 0].repeat(5));
    let mut source = Counting {
        source: octets.as_slice(),
        reads: 0,
    };
    let (_, mut content) = read_enveloped(&mut source).expect("a head");
    let (mut total, mut out) = (0, vec![0; 64 * 1024]);
    loop {
        match content.read(&mut out).expect("content") {
            0 => break,
            taken => total += taken,
        }
    }
    content.finish().expect("it ends");
    assert_eq!(total, count * 4_096);
    assert!(
        source.reads <= octets.len() / crate::limits::PIECE + 3,
        "{}",
        source.reads
    );
}

#[test]
fn an_error_of_the_source_is_told_as_such() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    let failed = read_enveloped(Broken).err();
    assert_eq!(
        failed,
        Some(CmsError::Source("the disk is gone".to_owned()))
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = read_envelope(&octets);
        let _ = read_signed(&octets);
        let _ = read_certs_only(&octets);
    }

    #[test]
    fn a_damaged_structure_never_panics(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        for mut octets in samples() {
            for (at, value) in &damage {
                let at = at.index(octets.len());
                octets[at] = *value;
            }
            let _ = read_envelope(&octets);
            let _ = read_signed(&octets);
            if let Ok(mut opaque) = read_opaque_signed(octets.as_slice()) {
                let _ = drain(&mut opaque);
                let _ = opaque.finish();
            }
        }
    }
}

/// DER and loose BER of what openssl makes, made once.
fn samples() -> Vec<Vec<u8>> {
    static SAMPLES: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    SAMPLES
        .get_or_init(|| {
            let (rsa, ec) = (Party::new(KeyKind::Rsa(2048)), Party::new(KeyKind::P256));
            std::fs::write(rsa.path().join("text"), b"short").expect("written");
            std::fs::write(ec.path().join("text"), b"short").expect("written");
            let mut all = vec![
                rsa.encrypt("-aes-256-gcm"),
                rsa.encrypt("-aes256 -keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256"),
                ec.encrypt("-aes256"),
                rsa.sign("-nodetach -keyopt rsa_padding_mode:pss"),
                ec.sign("-keyid"),
            ];
            all.extend(all.clone().iter().map(|der| loosen(der)));
            all
        })
        .clone()
}
