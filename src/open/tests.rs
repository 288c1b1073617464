//! What is opened, and beside each the nearest thing that is not. The peer is `openssl cms`.

use super::testing::*;
use super::*;
use crate::crypto::sha256;
use crate::trust::Profile;

fn reason(result: Result<Opened, Unopenable>) -> Result<(), Reason> {
    match result {
        Ok(_) => Ok(()),
        Err(why) => {
            assert_eq!(why.fault, Fault::Never, "{why:?}");
            Err(why.reason)
        }
    }
}

/// Signed by Alice and encrypted for Bob, with these options of `openssl cms -sign` and `-encrypt`.
fn sealed(scene: &Scene, entity: &[u8], sign: &[&str], encrypt: &[&str]) -> Vec<u8> {
    let signed = scene.sign(entity, "alice", sign);
    scene.encrypt(&signed, &["bob"], encrypt)
}

#[test]
fn what_openssl_makes_is_opened_in_all_its_forms() {
    let scene = Scene::new();
    let aes = "-aes256";
    let forms: [(&str, &[&str], &[&str]); 14] = [
        ("detached", &[], &[aes]),
        ("exact octets, mixed line ends", &["-binary"], &[aes]),
        ("header lines with CRLF", &["-crlfeol"], &[aes]),
        ("opaque", &["-nodetach"], &[aes]),
        ("SHA-384", &["-md", "sha384"], &[aes]),
        ("SHA-512", &["-md", "sha512"], &[aes]),
        ("RSA-PSS", &["-keyopt", "rsa_padding_mode:pss"], &[aes]),
        ("no signed attributes", &["-noattr"], &[aes]),
        ("named by key id", &["-keyid"], &[aes, "-keyid"]),
        ("AES-128", &[], &["-aes128"]),
        ("AES-256-GCM", &[], &["-aes-256-gcm"]),
        ("BER", &["-stream"], &[aes, "-stream"]),
        ("opaque BER", &["-nodetach", "-stream"], &[aes, "-stream"]),
        (
            "opaque, other digest",
            &["-nodetach", "-md", "sha512"],
            &[aes],
        ),
    ];
    for (what, sign, encrypt) in forms {
        let opened = scene.open(&sealed(&scene, &wrapped(&message()), sign, encrypt));
        let opened = opened.unwrap_or_else(|why| panic!("{what}: {why:?}"));
        assert_eq!(opened.digest(), sha256(message().as_bytes()), "{what}");
        assert_eq!(opened.sender(), Some(&address(ALICE)), "{what}");
        assert_eq!(opened.recipients(), [address(BOB)], "{what}");
        assert_eq!(opened.signers().len(), 1, "{what}");
        assert_eq!(
            opened.message_id().map(MessageId::as_str),
            Some("<1@direct.a.example>")
        );
        assert!(opened.protection().wrapped && !opened.asked());
    }
}

#[test]
fn key_transport_and_elliptic_signatures_of_every_kind_are_read() {
    let scene = Scene::new();
    let bob = scene.pem("bob").0;
    let entity = scene.sign(&wrapped(&message()), "alice-ec", &["-md", "sha384"]);
    for options in [
        &["-keyopt", "rsa_padding_mode:oaep"][..],
        &[
            "-keyopt",
            "rsa_padding_mode:oaep",
            "-keyopt",
            "rsa_oaep_md:sha256",
        ],
    ] {
        let mut arguments = vec!["-aes256", "-recip", text(&bob)];
        arguments.extend(options);
        let opened = scene
            .open(&scene.encrypt(&entity, &[], &arguments))
            .expect("opens");
        assert_eq!(opened.protection().key_transport, "RSAES-OAEP");
        assert_eq!(opened.protection().digest, "sha-384");
    }
}

#[test]
fn outer_headers_of_known_peers_are_recognised() {
    let scene = Scene::new();
    let signed = scene.sign(&wrapped(&message()), "alice", &[]);
    let der = scene.encrypt_der(&signed, &["bob"], &["-aes256"]);
    for kind in [
        "application/x-pkcs7-mime; name=smime.p7m",
        "Application/PKCS7-MIME",
        "application/octet-stream; name=\"Smime.P7M\"",
    ] {
        let sealed = scene.outer(kind, &der);
        assert_eq!(
            outer_kind(&scene.bodies.of(&sealed).expect("a body")),
            OuterKind::Sealed,
            "{kind}"
        );
        assert_eq!(reason(scene.open(&sealed)), Ok(()), "{kind}");
        assert_eq!(reason(scene.open(&to_lf(&sealed))), Ok(()), "{kind}, LF");
    }
    let mut binary =
        b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: binary\r\n\r\n"
            .to_vec();
    binary.extend(&der);
    assert_eq!(reason(scene.open(&binary)), Ok(()));
    for (kind, is) in [
        ("application/octet-stream; name=x.pdf", OuterKind::Clear),
        ("application/pkcs7-mime; name=a; name=b", OuterKind::Clear),
        ("text/plain", OuterKind::Clear),
        (
            "multipart/report; report-type=disposition-notification; boundary=b",
            OuterKind::Clear,
        ),
        (
            "multipart/report; Report-Type=Delivery-Status; boundary=b",
            OuterKind::ClearDsn,
        ),
    ] {
        let clear = scene.outer(kind, &der);
        assert_eq!(
            outer_kind(&scene.bodies.of(&clear).expect("a body")),
            is,
            "{kind}"
        );
        assert_eq!(
            reason(scene.open(&clear)),
            Err(Reason::NotEncrypted),
            "{kind}"
        );
    }
}

#[test]
fn line_ends_inside_are_taken_exactly_first_and_canonically_second() {
    let scene = Scene::new();
    let lf = to_lf(&wrapped(&message()));
    // Signed as it is, and signed in canonical form but sent as it is.
    for options in [&["-binary"][..], &[]] {
        let signed = to_lf(&scene.sign(&lf, "alice", options));
        let opened = scene
            .open(&scene.encrypt(&signed, &["bob"], &["-aes256"]))
            .expect("opens");
        assert_eq!(opened.digest(), sha256(message().as_bytes()), "{options:?}");
    }
    let signed = to_lf(&scene.sign(&wrapped(&message()), "alice", &["-binary"]));
    let broken = scene.encrypt(&signed, &["bob"], &["-aes256"]);
    assert_eq!(
        reason(scene.open(&broken)),
        Ok(()),
        "canonical form of LF is what was signed"
    );
}

#[test]
fn what_is_not_signed_encrypted_and_wrapped_is_refused() {
    let scene = Scene::new();
    let entity = wrapped(&message());
    let signed = scene.sign(&entity, "alice", &[]);
    let cases = [
        (
            "encrypted only",
            scene.encrypt(&entity, &["bob"], &["-aes256"]),
            Reason::NotSigned,
        ),
        ("signed only", signed.clone(), Reason::NotEncrypted),
        (
            "signed only, opaque, in the clothes of an envelope",
            scene.outer(
                "application/pkcs7-mime; smime-type=enveloped-data",
                &scene.sign(&entity, "alice", &["-nodetach", "-outform", "DER"]),
            ),
            Reason::NotEncrypted,
        ),
        (
            "encrypted twice",
            scene.encrypt(
                &scene.encrypt(&signed, &["bob"], &["-aes256"]),
                &["bob"],
                &["-aes256"],
            ),
            Reason::NotSigned,
        ),
        (
            "no certificates",
            sealed(&scene, &entity, &["-nocerts"], &["-aes256"]),
            Reason::BadSignature,
        ),
        (
            "another's key",
            scene.encrypt(&signed, &["carol"], &["-aes256"]),
            Reason::NoKey,
        ),
        (
            "an EC key",
            scene.encrypt(&signed, &["bob-ec"], &["-aes256"]),
            Reason::NoKey,
        ),
        (
            "one key twice",
            scene.encrypt(&signed, &["bob", "carol", "bob"], &["-aes256"]),
            Reason::DoubledRecipient,
        ),
        (
            "not wrapped",
            sealed(&scene, message().as_bytes(), &[], &["-aes256"]),
            Reason::NotWrapped,
        ),
        (
            "garbage",
            scene.outer("application/pkcs7-mime", b"0\x80garbage"),
            Reason::Malformed,
        ),
        ("nothing", Vec::new(), Reason::NotEncrypted),
    ];
    for (what, octets, expected) in cases {
        assert_eq!(reason(scene.open(&octets)), Err(expected), "{what}");
    }
}

#[test]
fn what_is_protected_by_a_weak_algorithm_is_refused() {
    let scene = Scene::new();
    let entity = wrapped(&message());
    for (what, octets) in [
        (
            "SHA-1",
            sealed(&scene, &entity, &["-md", "sha1"], &["-aes256"]),
        ),
        (
            "MD5",
            sealed(&scene, &entity, &["-md", "md5"], &["-aes256"]),
        ),
        ("3DES", sealed(&scene, &entity, &[], &["-des3"])),
    ] {
        let expected = Err(Reason::WeakAlgorithm);
        assert_eq!(reason(scene.open(&octets)), expected, "{what}");
    }
}

#[test]
fn an_unwrapped_message_is_opened_under_v1_2_only() {
    let mut scene = Scene::new();
    let whole = sealed(&scene, message().as_bytes(), &[], &["-aes256"]);
    let body = b"Content-Type: text/plain\r\n\r\nSee her soon.\r\n";
    let bare = sealed(&scene, body, &[], &["-aes256"]);
    for (what, octets) in [("whole", &whole), ("bare", &bare)] {
        scene.profile = Profile::V1_3;
        assert_eq!(
            reason(scene.open(octets)),
            Err(Reason::NotWrapped),
            "{what}"
        );
        scene.profile = Profile::V1_2;
        let opened = scene
            .open(octets)
            .unwrap_or_else(|why| panic!("{what}: {why:?}"));
        assert!(!opened.protection().wrapped);
        assert_eq!(opened.sender(), Some(&address(ALICE)), "{what}");
    }
    let opened = scene.open(&bare).expect("opens");
    let expected = format!(
        "From: {ALICE}\r\nTo: {BOB}\r\nMessage-ID: <1@direct.a.example>\r\nDate: Sun, 22 Nov 2026 01:00:00 +0000\r\n\
         Subject: outside\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nSee her soon.\r\n"
    );
    assert_eq!(opened.digest(), sha256(expected.as_bytes()));
}

#[test]
fn a_wrapper_is_recognised_however_it_is_written() {
    let scene = Scene::new();
    for wrapper in [
        "content-type: Message/RFC822; charset=x\r\nContent-Disposition: inline\r\n\r\n",
        "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
    ] {
        let entity = format!("{wrapper}{}", message());
        let opened = scene
            .open(&sealed(&scene, entity.as_bytes(), &[], &["-aes256"]))
            .expect(wrapper);
        assert_eq!(opened.digest(), sha256(message().as_bytes()), "{wrapper}");
    }
    let base64 = base64_simd::STANDARD.encode_to_string(message());
    let entity = format!(
        "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n{base64}\r\n"
    );
    let opened = scene
        .open(&sealed(&scene, entity.as_bytes(), &[], &["-aes256"]))
        .expect("opens");
    assert_eq!(opened.digest(), sha256(message().as_bytes()));
}

/// Signs by hand, so that a test can put anything around the parts.
fn multipart(scene: &Scene, entity: &[u8], shape: impl Fn(&str, &str) -> String) -> Vec<u8> {
    let signature = scene.sign(entity, "alice", &["-binary", "-outform", "DER"]);
    let part = format!(
        "Content-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
        base64_simd::STANDARD.encode_to_string(signature)
    );
    let entity = std::str::from_utf8(entity).expect("ASCII");
    scene.encrypt(shape(entity, &part).as_bytes(), &["bob"], &["-aes256"])
}

const SIGNED: &str = "Content-Type: multipart/signed; boundary=b";

#[test]
fn nothing_around_the_signed_part_is_ever_taken_for_it() {
    let scene = Scene::new();
    let entity = wrapped(&message());
    let fine = multipart(&scene, &entity, |e, s| {
        format!("{SIGNED}\r\n\r\npreamble\r\n--b\r\n{e}\r\n--b\r\n{s}\r\n--b--\r\nepilogue")
    });
    assert_eq!(
        scene.open(&fine).expect("opens").digest(),
        sha256(message().as_bytes())
    );
    type Shape = fn(&str, &str) -> String;
    let shapes: [(&str, Shape, Reason); 8] = [
        (
            "a third part",
            |e, s| format!("{SIGNED}\r\n\r\n--b\r\n{e}\r\n--b\r\n{s}\r\n--b\r\n\r\nx\r\n--b--"),
            Reason::Malformed,
        ),
        (
            "a part before",
            |e, s| {
                format!(
                    "{SIGNED}\r\n\r\n--b\r\n{}\r\n--b\r\n{s}\r\n--b--",
                    e.replace("soon", "never")
                )
            },
            Reason::BadSignature,
        ),
        (
            "no signature",
            |e, _| format!("{SIGNED}\r\n\r\n--b\r\n{e}\r\n--b--"),
            Reason::Malformed,
        ),
        (
            "not closed",
            |e, s| format!("{SIGNED}\r\n\r\n--b\r\n{e}\r\n--b\r\n{s}\r\n"),
            Reason::Malformed,
        ),
        (
            "no boundary",
            |e, s| {
                format!("Content-Type: multipart/signed\r\n\r\n--b\r\n{e}\r\n--b\r\n{s}\r\n--b--")
            },
            Reason::Malformed,
        ),
        (
            "another protocol",
            |e, s| {
                format!(
                    "{SIGNED}; protocol=\"application/pgp-signature\"\r\n\r\n--b\r\n{e}\r\n--b\r\n{s}\r\n--b--"
                )
            },
            Reason::NotSigned,
        ),
        (
            "text for a signature",
            |e, _| format!("{SIGNED}\r\n\r\n--b\r\n{e}\r\n--b\r\n\r\nx\r\n--b--"),
            Reason::NotSigned,
        ),
        (
            "a line more",
            |e, s| format!("{SIGNED}\r\n\r\n--b\r\n{e}\r\n\r\n--b\r\n{s}\r\n--b--"),
            Reason::BadSignature,
        ),
    ];
    for (what, shape, expected) in shapes {
        let opened = scene.open(&multipart(&scene, &entity, shape));
        assert_eq!(reason(opened), Err(expected), "{what}");
    }
}

#[test]
fn nothing_around_the_signed_multipart_passes_for_signed() {
    let scene = Scene::new();
    let entity = wrapped(&message());
    type Shape = fn(&str, &str) -> String;
    let shapes: [(&str, Shape, Reason); 4] = [
        (
            "an encoding around all parts",
            |e, s| {
                format!(
                    "Content-Transfer-Encoding: base64\r\n{SIGNED}\r\n\r\n--b\r\n{e}\r\n--b\r\n{s}\r\n--b--"
                )
            },
            Reason::Malformed,
        ),
        (
            "signed beside something that is not",
            |e, s| {
                format!(
                    "Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n\r\nx\r\n--m\r\n{SIGNED}\r\n\r\n\
                     --b\r\n{e}\r\n--b\r\n{s}\r\n--b--\r\n--m--"
                )
            },
            Reason::PartlySigned,
        ),
        (
            "a signed message that is shown as attached",
            |e, s| {
                format!(
                    "Content-Type: message/rfc822\r\n\r\n{SIGNED}\r\n\r\n--b\r\n{e}\r\n--b\r\n{s}\r\n--b--"
                )
            },
            Reason::NotSigned,
        ),
        (
            "the signature first",
            |e, s| format!("{SIGNED}\r\n\r\n--b\r\n{s}\r\n--b\r\n{e}\r\n--b--"),
            Reason::NotWrapped,
        ),
    ];
    for (what, shape, expected) in shapes {
        let opened = scene.open(&multipart(&scene, &entity, shape));
        assert_eq!(reason(opened), Err(expected), "{what}");
    }
}

#[test]
fn a_detached_signature_with_content_of_its_own_is_refused() {
    let scene = Scene::new();
    let entity = wrapped(&message());
    let carries = scene.sign(&entity, "alice", &["-nodetach", "-outform", "DER"]);
    let carries = base64_simd::STANDARD.encode_to_string(carries);
    let other = message().replace("soon", "never");
    let two_contents = format!(
        "{SIGNED}\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n{other}\r\n--b\r\n\
         Content-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\n{carries}\r\n--b--\r\n"
    );
    let sealed = scene.encrypt(two_contents.as_bytes(), &["bob"], &["-aes256"]);
    assert_eq!(
        reason(scene.open(&sealed)),
        Err(Reason::TwoContents),
        "eContent of its own"
    );
}

#[test]
fn a_changed_octet_anywhere_is_refused() {
    let scene = Scene::new();
    let signed = scene.sign(&wrapped(&message()), "alice", &[]);
    for cipher in ["-aes256", "-aes-256-gcm"] {
        let der = scene.encrypt_der(&signed, &["bob"], &[cipher]);
        for at in (0..der.len())
            .step_by(der.len() / 60)
            .chain([der.len() - 1])
        {
            let mut changed = der.clone();
            changed[at] ^= 1;
            let octets = scene.outer("application/pkcs7-mime", &changed);
            // Where the octet stands in a name nobody reads, or in the signature's base64 padding,
            // nothing changes.
            if let Ok(opened) = scene.open(&octets) {
                assert_eq!(
                    opened.digest(),
                    sha256(message().as_bytes()),
                    "{cipher} at {at}"
                );
                assert_eq!(cipher, "-aes256", "GCM lets nothing pass");
            }
        }
        let cut = scene.outer("application/pkcs7-mime", &der[..der.len() - 9]);
        assert!(scene.open(&cut).is_err());
        let longer = scene.outer("application/pkcs7-mime", &[&der[..], b"more"].concat());
        assert!(scene.open(&longer).is_err());
    }
    let altered = String::from_utf8(signed)
        .expect("ASCII")
        .replace("soon", "never");
    let altered = scene.encrypt(altered.as_bytes(), &["bob"], &["-aes256"]);
    assert_eq!(reason(scene.open(&altered)), Err(Reason::BadSignature));
}

#[test]
fn the_envelope_must_agree_with_the_inner_header() {
    let entity = wrapped(&message());
    let check = |bend: fn(&mut Scene), expected: Result<(), Reason>, what: &str| {
        let mut scene = Scene::new();
        bend(&mut scene);
        let octets = sealed(&scene, &entity, &[], &["-aes256"]);
        assert_eq!(reason(scene.open(&octets)), expected, "{what}");
    };
    check(|_| {}, Ok(()), "as it should be");
    check(
        |s| s.mail_from = Some("ALICE@Direct.A.example"),
        Ok(()),
        "letter case",
    );
    check(
        |s| s.mail_from = Some("eve@direct.a.example"),
        Err(Reason::EnvelopeSender),
        "MAIL FROM",
    );
    check(|s| s.mail_from = None, Err(Reason::EnvelopeSender), "<>");
    check(
        |s| {
            s.rcpt_to = vec![CAROL];
            s.holders = vec!["b-domain", "bob", "carol"];
        },
        Err(Reason::NoKey),
        "RCPT TO of another, whose key is not named",
    );
    check(
        |s| {
            s.profile = Profile::V1_2;
            s.mail_from = Some("eve@direct.a.example");
        },
        Ok(()),
        "v1.2 does not compare",
    );
}

#[test]
fn each_recipient_needs_a_key_of_its_own_and_a_place_in_the_header() {
    let mut scene = Scene::new();
    scene.holders = vec!["bob", "carol"];
    scene.rcpt_to = vec![BOB, CAROL, "dan@direct.b.example"];
    let both = HEADER.replace("To: ", "Cc: carol@direct.b.example\r\nTo: ");
    for (header, certificates, recipients, excluded) in [
        (
            both.as_str(),
            &["bob", "carol"][..],
            vec![BOB, CAROL],
            vec![Reason::NoKey],
        ),
        (
            HEADER,
            &["bob", "carol"],
            vec![BOB],
            vec![Reason::NoKey, Reason::EnvelopeRecipient],
        ),
        (
            both.as_str(),
            &["bob"],
            vec![BOB],
            vec![Reason::NoKey, Reason::NoKey],
        ),
    ] {
        let signed = scene.sign(&wrapped(&message_with(header)), "alice", &[]);
        let opened = scene
            .open(&scene.encrypt(&signed, certificates, &["-aes256"]))
            .expect("opens");
        let expected: Vec<Address> = recipients.into_iter().map(address).collect();
        assert_eq!(opened.recipients(), expected);
        let reasons: Vec<Reason> = opened
            .excluded()
            .iter()
            .map(|(_, reason, _)| *reason)
            .collect();
        assert_eq!(reasons, excluded);
    }
    // One domain key serves everyone of the domain.
    scene.holders = vec!["b-domain"];
    scene.rcpt_to = vec![BOB, CAROL];
    let signed = scene.sign(&wrapped(&message_with(&both)), "alice", &[]);
    let opened = scene
        .open(&scene.encrypt(&signed, &["b-domain"], &["-aes256"]))
        .expect("opens");
    assert_eq!(opened.recipients().len(), 2);
}

#[test]
fn the_signer_must_be_the_sender() {
    let scene = Scene::new();
    let entity = wrapped(&message());
    let by_eve = scene.encrypt(&scene.sign(&entity, "eve", &[]), &["bob"], &["-aes256"]);
    assert_eq!(reason(scene.open(&by_eve)), Err(Reason::SignerNotSender));
    let eve = scene.pem("eve");
    let both = ["-signer", text(&eve.0), "-inkey", text(&eve.1)];
    // Of two signers only the one that is bound to the sender counts.
    let (alice, key) = scene.pem("alice");
    let mut arguments = vec!["-sign", "-signer", text(&alice), "-inkey", text(&key)];
    arguments.extend(both);
    let signed = scene.openssl(&entity, &arguments);
    let opened = scene
        .open(&scene.encrypt(&signed, &["bob"], &["-aes256"]))
        .expect("opens");
    let signers: Vec<_> = opened
        .signers()
        .iter()
        .map(|one| one.certificate.fingerprint())
        .collect();
    assert_eq!(signers, [Scene::certificate("alice").fingerprint()]);
    assert_eq!(opened.bag().len(), 2);
    // Signed by the Sender, for someone else who is From.
    let on_behalf = HEADER.replace(
        "From: Alice <alice@",
        "Sender: alice@direct.a.example\r\nFrom: Eve <eve@",
    );
    let octets = sealed(
        &scene,
        &wrapped(&message_with(&on_behalf)),
        &[],
        &["-aes256"],
    );
    assert_eq!(
        scene.open(&octets).expect("opens").sender(),
        Some(&address(ALICE))
    );
}

#[test]
fn header_fields_that_readers_see_differently_are_refused() {
    let scene = Scene::new();
    for (what, header) in [
        (
            "two From fields",
            HEADER.replace("Subject: ", "From: eve@direct.a.example\r\nSubject: "),
        ),
        (
            "two authors",
            HEADER.replace("Alice <", "eve@direct.a.example, Alice <"),
        ),
        (
            "an unreadable author",
            HEADER.replace(
                "Alice <alice@direct.a.example>",
                "alice@direct.a.example <eve>",
            ),
        ),
        ("no From", HEADER.replace("From: ", "X-From: ")),
        ("no To", HEADER.replace("To: ", "X-To: ")),
        (
            "two To fields",
            HEADER.replace("Subject: ", "To: eve@direct.a.example\r\nSubject: "),
        ),
        ("no Date", HEADER.replace("Date: ", "X-Date: ")),
        (
            "two Message-IDs",
            HEADER.replace("Subject: ", "Message-ID: <2@direct.a.example>\r\nSubject: "),
        ),
        ("a broken Message-ID", HEADER.replace("<1@", "1@")),
        (
            "a bare CR",
            HEADER.replace("Subject: ", "Subject: x\rFrom: eve@direct.a.example "),
        ),
    ] {
        let octets = sealed(
            &scene,
            &wrapped(&message_with(&header)),
            &["-binary"],
            &["-aes256"],
        );
        assert_eq!(
            reason(scene.open(&octets)),
            Err(Reason::BadHeaders),
            "{what}"
        );
    }
    let asked = format!(
        "{HEADER}Disposition-Notification-Options: X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true\r\n"
    );
    let octets = sealed(&scene, &wrapped(&message_with(&asked)), &[], &["-aes256"]);
    assert!(scene.open(&octets).expect("opens").asked());
}

#[test]
fn a_name_that_shows_another_address_is_refused() {
    // Eve signs as herself, and is shown as Alice.
    let mut eve = Scene::new();
    eve.mail_from = Some("eve@direct.a.example");
    for (shown, expected) in [
        ("Eve", Ok(())),
        ("\"eve@direct.a.example\"", Ok(())),
        ("\"alice@direct.a.example\"", Err(Reason::MisleadingSender)),
        (
            "=?utf-8?q?Alice_=3Calice=40direct=2Ea=2Eexample=3E?=",
            Err(Reason::MisleadingSender),
        ),
    ] {
        let header = HEADER.replace(
            "Alice <alice@direct.a.example>",
            &format!("{shown} <eve@direct.a.example>"),
        );
        let signed = eve.sign(&wrapped(&message_with(&header)), "eve", &[]);
        let octets = eve.encrypt(&signed, &["bob"], &["-aes256"]);
        assert_eq!(reason(eve.open(&octets)), expected, "{shown}");
    }
}

#[test]
fn reports_are_bound_by_their_own_rules() {
    let mut scene = Scene::new();
    scene.mail_from = None;
    let report = "To: bob@direct.b.example\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/report; report-type=disposition-notification; boundary=r\r\n\r\n--r\r\n\r\nx\r\n--r--\r\n";
    let opened = scene
        .open(&sealed(&scene, &wrapped(report), &[], &["-aes256"]))
        .expect("opens");
    assert_eq!(
        (opened.kind(), opened.sender(), opened.message_id()),
        (Kind::Report, None, None)
    );
    assert_eq!(opened.signers().len(), 1);
    assert_eq!(opened.recipients(), [address(BOB)]);
}

#[test]
fn a_message_can_be_answered_and_a_report_never() {
    let scene = Scene::new();
    let opened = scene
        .open(&sealed(&scene, &wrapped(&message()), &[], &["-aes256"]))
        .expect("opens");
    assert!(opened.answers_to().is_some());
    let report = format!(
        "{HEADER}Content-Type: multipart/report; report-type=disposition-notification; boundary=r\r\n\r\n--r\r\n\r\nx\r\n--r--\r\n"
    );
    let opened = scene
        .open(&sealed(&scene, &wrapped(&report), &[], &["-aes256"]))
        .expect("opens");
    assert!(opened.sender().is_some() && opened.message_id().is_some());
    assert_eq!(opened.answers_to(), None);
}

#[test]
fn a_large_message_goes_through_blobs_and_a_lost_blob_is_no_verdict() {
    let scene = Scene::new();
    let line = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n";
    let large = message_with(HEADER) + &line.repeat(3 * 1024 * 1024 / line.len());
    let octets = sealed(&scene, &wrapped(&large), &["-binary"], &["-aes256"]);
    let body = scene.bodies.of(&octets).expect("a body");
    let opened = scene.open_body(body.clone()).expect("opens");
    assert_eq!(opened.digest(), sha256(large.as_bytes()));
    assert_eq!(
        opened.cms_digest(),
        scene
            .open_body(body.clone())
            .expect("opens again")
            .cms_digest()
    );
    drop(opened);
    std::fs::remove_dir_all(scene.dir.path().join("blobs")).expect("removes");
    let why = scene.open_body(body).expect_err("its blob is gone");
    assert_eq!(why.fault, Fault::Later, "{why:?}");
}

#[test]
fn what_is_encrypted_for_an_elliptic_key_is_opened_whatever_the_key_derivation() {
    let mut scene = Scene::new();
    let signed = scene.sign(&wrapped(&message()), "alice", &[]);
    for (bob, kdf, wrap, cipher) in [
        ("bob-ec", None, None, "-aes256"),
        ("bob-ec", Some("sha1"), Some("-aes128-wrap"), "-aes128"),
        ("bob-ec", Some("sha224"), Some("-aes192-wrap"), "-aes192"),
        ("bob-384", Some("sha256"), Some("-aes256-wrap"), "-aes256"),
        (
            "bob-384",
            Some("sha384"),
            Some("-aes256-wrap"),
            "-aes-256-gcm",
        ),
        (
            "bob-ec",
            Some("sha512"),
            Some("-aes128-wrap"),
            "-aes-128-gcm",
        ),
    ] {
        scene.holders = vec![bob];
        let certificate = scene.pem(bob).0;
        let kdf = kdf.map(|digest| format!("ecdh_kdf_md:{digest}"));
        let mut options = vec![cipher];
        options.extend(wrap);
        options.extend(["-recip", text(&certificate)]);
        if let Some(kdf) = &kdf {
            options.extend(["-keyopt", kdf]);
        }
        let sealed = scene.encrypt(&signed, &[], &options);
        let opened = scene.open(&sealed);
        let opened = opened.unwrap_or_else(|why| panic!("{options:?}: {why:?}"));
        assert_eq!(opened.protection().key_transport, "ECDH");
        assert_eq!(opened.digest(), sha256(message().as_bytes()));
        // The same certificate with another's key, and a recipient without any of it.
        scene.holders = vec!["bob"];
        assert_eq!(reason(scene.open(&sealed)), Err(Reason::NoKey), "{bob}");
    }
}

#[test]
fn a_wrapped_key_that_was_changed_looks_like_any_other_damage() {
    let mut scene = Scene::new();
    scene.holders = vec!["bob-ec"];
    let signed = scene.sign(&wrapped(&message()), "alice", &[]);
    let der = scene.encrypt_der(&signed, &["bob-ec"], &["-aes256"]);
    // The wrapped key of 40 octets stands before EncryptedContentInfo.
    let head = memchr::memmem::find(&der, &[4, 40]).expect("a wrapped key");
    for at in [head + 2, head + 20, head + 41] {
        let mut changed = der.clone();
        if let Some(octet) = changed.get_mut(at) {
            *octet ^= 1;
        }
        let sealed = scene.outer("application/pkcs7-mime", &changed);
        assert_eq!(
            reason(scene.open(&sealed)),
            Err(Reason::DecryptFailed),
            "{at}"
        );
    }
}

/// Which octets are changed: all of them if `CAREPOST_MUTATIONS=all`, else enough of each class.
fn mutations(octets: usize, step: usize) -> Vec<(usize, u8)> {
    let all = std::env::var("CAREPOST_MUTATIONS").is_ok_and(|value| value == "all");
    let every = if all { 1 } else { step };
    let bits: &[u32] = if all { &[0, 1, 2, 3, 4, 5, 6, 7] } else { &[0] };
    let flip = |at: usize| {
        let turn = u32::try_from(at % 8).unwrap_or_default();
        bits.iter().map(move |bit| (at, 1_u8 << ((bit + turn) % 8)))
    };
    (0..octets).step_by(every).flat_map(flip).collect()
}

#[test]
fn no_flipped_bit_gets_other_content_accepted() {
    let scene = Scene::new();
    let expected = sha256(message().as_bytes());
    let signed = scene.sign(&wrapped(&message()), "alice", &[]);
    let (mut tried, mut harmless) = (0_usize, 0_usize);
    let mut check = |what: &str, at: usize, octets: &[u8]| {
        tried += 1;
        if let Ok(opened) = scene.open(octets) {
            assert_eq!(opened.digest(), expected, "{what} at {at}");
            assert_eq!(opened.sender(), Some(&address(ALICE)), "{what} at {at}");
            harmless += 1;
        }
    };
    // The clear header, and base64 as it stands on the wire.
    let sealed = scene.encrypt(&signed, &["bob", "carol"], &["-aes256"]);
    let body = memchr::memmem::find(&sealed, b"\r\n\r\n").expect("a header") + 4;
    for (at, bit) in mutations(body + 200, 3) {
        let mut changed = sealed.clone();
        changed[at] ^= bit;
        check("wire", at, &changed);
    }
    // The CMS under it, in both forms of envelope.
    for cipher in ["-aes256", "-aes-128-gcm"] {
        let der = scene.encrypt_der(&signed, &["bob", "carol"], &[cipher]);
        for (at, bit) in mutations(der.len(), 23) {
            let mut changed = der.clone();
            changed[at] ^= bit;
            check(cipher, at, &scene.outer("application/pkcs7-mime", &changed));
        }
    }
    // What a sender who has the recipient's key can change: everything that is signed, and the signature.
    for (at, bit) in mutations(signed.len(), 29) {
        let mut changed = signed.clone();
        changed[at] ^= bit;
        check(
            "signed",
            at,
            &scene.encrypt(&changed, &["bob"], &["-aes256"]),
        );
    }
    println!("{tried} changes tried, {harmless} changed nothing that is signed");
    assert!(tried > 500 && harmless < tried / 2, "{harmless} of {tried}");
}
