//! What is sealed is read by `openssl cms` and by our own `open`; what must not leave does not.

use super::*;
use crate::draft::DraftKind;
use crate::envelope::MessageId;
use crate::open::testing::*;
use crate::trust::{Evidence, RecipientJudgment, judge, judge_recipient};
use std::io::Read;

fn draft(scene: &Scene, text: &str, to: &[&str]) -> Draft {
    Draft {
        id: TrackingId::new(&scene.world),
        kind: DraftKind::Message,
        from: address(ALICE),
        to: to.iter().map(|one| address(one)).collect(),
        message_id: MessageId::parse("<1@direct.a.example>").expect("an id"),
        asked: false,
        body: scene.bodies.of(text.as_bytes()).expect("a body"),
    }
}

fn trusted(scene: &Scene, to: &str, certificate: &str) -> TrustedRecipient {
    let judgment = judge_recipient(
        &address(to),
        &[Scene::certificate(certificate)],
        &address(ALICE),
        crate::trust::Side::Outbound,
        &scene.anchors(),
        &Evidence::default(),
        scene.world.now(),
    );
    match judgment {
        RecipientJudgment::Trusted(trusted) => trusted,
        other => panic!("{other:?}"),
    }
}

fn sealed(
    scene: &Scene,
    text: &str,
    to: &[(&str, &str)],
    signer: &str,
    suite: Suite,
) -> Result<Sealed, SealError> {
    let names: Vec<&str> = to.iter().map(|(name, _)| *name).collect();
    let to: Vec<_> = to
        .iter()
        .map(|(name, certificate)| trusted(scene, name, certificate))
        .collect();
    let identity = Arc::new(Scene::identity(signer));
    seal(
        &draft(scene, text, &names),
        &to,
        &identity,
        suite,
        &scene.bodies,
        &scene.world,
    )
}

fn octets(body: &Body) -> Vec<u8> {
    let mut out = Vec::new();
    body.reader()
        .expect("opens")
        .read_to_end(&mut out)
        .expect("reads");
    out
}

const CIPHERS: [ContentCipher; 4] = [
    ContentCipher::Aes256Cbc,
    ContentCipher::Aes128Cbc,
    ContentCipher::Aes256Gcm,
    ContentCipher::Aes128Gcm,
];

#[test]
fn what_is_sealed_opens_again_in_every_suite() {
    let scene = Scene::new();
    let oaep = KeyTransport::Oaep {
        digest: DigestAlgorithm::Sha256,
        mgf: DigestAlgorithm::Sha256,
    };
    for cipher in CIPHERS {
        for (transport, digest, signer) in [
            (KeyTransport::Pkcs1, DigestAlgorithm::Sha256, "alice"),
            (oaep, DigestAlgorithm::Sha384, "alice-ec"),
            (oaep, DigestAlgorithm::Sha512, "alice"),
        ] {
            let suite = Suite {
                cipher,
                transport,
                digest,
            };
            let sealed = sealed(&scene, &message(), &[(BOB, "bob")], signer, suite).expect("seals");
            let opened = scene.open_body(sealed.body().clone()).expect("opens");
            assert_eq!(opened.digest(), crate::crypto::sha256(message().as_bytes()));
            assert_eq!(opened.protection().cipher, cipher.name());
            let judgment = judge(
                &opened,
                &scene.anchors(),
                &Evidence::default(),
                scene.world.now(),
            );
            let body = opened.body().reveal(&judgment.granted[0]).expect("granted");
            assert_eq!(octets(body), message().as_bytes());
        }
    }
}

#[test]
fn openssl_decrypts_and_verifies_what_is_sealed() {
    let scene = Scene::new();
    for (signer, digest) in [
        ("alice", DigestAlgorithm::Sha256),
        ("alice-ec", DigestAlgorithm::Sha384),
    ] {
        for cipher in CIPHERS {
            let suite = Suite {
                cipher,
                digest,
                ..Suite::default()
            };
            let sealed = sealed(&scene, &message(), &[(BOB, "bob")], signer, suite).expect("seals");
            let (certificate, key) = scene.pem("bob");
            let arguments = [
                "-decrypt",
                "-recip",
                text(&certificate),
                "-inkey",
                text(&key),
            ];
            let signed = scene.openssl(&octets(sealed.body()), &arguments);
            let content = scene.openssl(&signed, &["-verify", "-noverify"]);
            let expected = format!(
                "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\n{}",
                message()
            );
            assert_eq!(
                String::from_utf8_lossy(&content),
                expected,
                "{signer} {cipher:?}"
            );
        }
    }
}

#[test]
fn nothing_but_routing_stands_outside() {
    let scene = Scene::new();
    let header = format!(
        "{HEADER}Cc: carol@direct.b.example\r\nBCC: eve@direct.a.example\r\nIn-Reply-To: <0@direct.b.example>\r\nX-Patient: Doe\r\n"
    );
    let both = [(BOB, "b-domain"), (CAROL, "b-domain")];
    let sealed = sealed(
        &scene,
        &message_with(&header),
        &both,
        "alice",
        Suite::default(),
    )
    .expect("seals");
    let text = String::from_utf8(octets(sealed.body())).expect("ASCII");
    let (outer, encrypted) = text.split_once("\r\n\r\n").expect("a header");
    assert_eq!(
        outer,
        "Date: Sun, 22 Nov 2026 01:00:00 +0000\r\nFrom: Alice <alice@direct.a.example>\r\n\
         To: \"Dr. Bob\" <Bob@direct.b.example>\r\nCc: carol@direct.b.example\r\nMessage-ID: <1@direct.a.example>\r\n\
         In-Reply-To: <0@direct.b.example>\r\nMIME-Version: 1.0\r\n\
         Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=\"smime.p7m\"\r\n\
         Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"smime.p7m\""
    );
    assert!(encrypted.ends_with("\r\n") && encrypted.lines().all(|line| line.len() <= 76));
    // Both share one certificate, hence one RecipientInfo; two would be refused.
    let mut scene = scene;
    scene.holders = vec!["b-domain"];
    scene.rcpt_to = vec![BOB, CAROL];
    let opened = scene.open_body(sealed.body().clone()).expect("opens");
    assert_eq!(opened.recipients().len(), 2);
    let inner = message_with(&header.replace("BCC: eve@direct.a.example\r\n", ""));
    assert_eq!(opened.digest(), crate::crypto::sha256(inner.as_bytes()));
}

#[test]
fn the_signed_entity_has_the_shape_that_validators_want() {
    let scene = Scene::new();
    let sealed = sealed(
        &scene,
        &message(),
        &[(BOB, "bob")],
        "alice",
        Suite::default(),
    )
    .expect("seals");
    let (certificate, key) = scene.pem("bob");
    let arguments = [
        "-decrypt",
        "-recip",
        text(&certificate),
        "-inkey",
        text(&key),
    ];
    let signed =
        String::from_utf8(scene.openssl(&octets(sealed.body()), &arguments)).expect("ASCII");
    let start = "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256;\r\n\tboundary=\"";
    assert!(signed.starts_with(start), "{signed}");
    assert!(signed.contains(
        "\r\nContent-Type: application/pkcs7-signature; name=\"smime.p7s\"\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"smime.p7s\"\r\n\r\n"
    ));
}

#[test]
fn content_is_made_seven_bit_before_it_is_signed() {
    let scene = Scene::new();
    let text = message().replace("soon", "sööön").replace("\r\n", "\n");
    let sealed = sealed(&scene, &text, &[(BOB, "bob")], "alice", Suite::default()).expect("seals");
    let opened = scene.open_body(sealed.body().clone()).expect("opens");
    let judgment = judge(
        &opened,
        &scene.anchors(),
        &Evidence::default(),
        scene.world.now(),
    );
    let inner = octets(opened.body().reveal(&judgment.granted[0]).expect("granted"));
    assert!(inner.is_ascii());
    assert!(String::from_utf8_lossy(&inner).contains("s=C3=B6=C3=B6=C3=B6n"));
}

#[test]
fn what_must_not_leave_is_refused() {
    let scene = Scene::new();
    let why = |result: Result<Sealed, SealError>| match result {
        Err(SealError::Unfit { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    let bob = [(BOB, "bob")];
    let plain = Suite::default();
    // `trust` lets no such recipient through today; this is the second lock.
    let clear = draft(&scene, &message(), &[BOB]).body;
    let identity = Arc::new(Scene::identity("alice"));
    let read = entity::Message::read(&clear).expect("reads");
    let signed = entity::sign(read, &identity, plain.digest, &scene.world).expect("signs");
    let curve = Scene::certificate("bob-ec");
    let result = encrypt::encrypt(&signed, &[&*curve], plain, &scene.bodies, &scene.world);
    assert!(matches!(
        result,
        Err(SealError::Unfit {
            reason: Reason::WeakKey,
            ..
        })
    ));
    let sha1 = Suite {
        digest: DigestAlgorithm::Sha1,
        ..plain
    };
    assert_eq!(
        why(sealed(&scene, &message(), &bob, "alice", sha1)),
        Reason::WeakAlgorithm
    );
    for name in ["From", "To", "Date", "Message-ID"] {
        let text = message().replace(&format!("{name}: "), &format!("X-{name}: "));
        assert_eq!(
            why(sealed(&scene, &text, &bob, "alice", plain)),
            Reason::BadHeaders,
            "{name}"
        );
    }
    let stranger = [trusted(&scene, CAROL, "carol")];
    let identity = Arc::new(Scene::identity("alice"));
    let draft = draft(&scene, &message(), &[BOB]);
    let result = seal(
        &draft,
        &stranger,
        &identity,
        plain,
        &scene.bodies,
        &scene.world,
    );
    assert_eq!(why(result), Reason::EnvelopeRecipient);
    assert_eq!(
        why(seal(
            &draft,
            &[],
            &identity,
            plain,
            &scene.bodies,
            &scene.world
        )),
        Reason::OverLimit
    );
}

#[test]
fn a_large_message_is_sealed_in_pieces() {
    let scene = Scene::new();
    let line = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n";
    let large = message() + &line.repeat(2 * 1024 * 1024 / line.len());
    let sealed = sealed(&scene, &large, &[(BOB, "bob")], "alice", Suite::default()).expect("seals");
    let opened = scene.open_body(sealed.body().clone()).expect("opens");
    assert_eq!(opened.digest(), crate::crypto::sha256(large.as_bytes()));
}
