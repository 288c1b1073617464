//! What the tool accepts, and beside each the nearest thing that it refuses. The peer is `openssl cms`.

use super::*;
use crate::open::testing::*;
use crate::trust::Profile;

/// A question about these octets: Bob's key, the one CA, v1.3.
fn asked(scene: &Scene, task: Task, octets: &[u8]) -> Request {
    Request {
        task,
        file: scene.file("message", octets),
        content: None,
        identities: vec![Arc::new(Scene::identity("bob"))],
        anchors: Arc::new(AnchorSet::new([Scene::ca()])),
        intermediates: vec![],
        mail_from: None,
        rcpt_to: vec![],
        at: scene.world.now(),
        rules: Rules::Direct(Profile::V1_3),
        waivers: Waivers::NONE,
        path_rules: path_rules(Rules::Direct(Profile::V1_3)),
        evidence: trust::Evidence::default(),
        address: None,
        notes: vec![],
    }
}

fn verdict(scene: &Scene, request: &Request) -> Verdict {
    let scratch = Scratch::new(&scene.world);
    answer(request, &scratch, &scene.world).0
}

fn short(verdict: &Verdict) -> (Outcome, &'static str, Option<Reason>) {
    (verdict.verdict, verdict.stage, verdict.reason)
}

fn refused(stage: &'static str, reason: Reason) -> (Outcome, &'static str, Option<Reason>) {
    (Outcome::Refused, stage, Some(reason))
}

const ACCEPTED: (Outcome, &str, Option<Reason>) = (Outcome::Accepted, "trust", None);

fn sealed(scene: &Scene) -> Vec<u8> {
    let signed = scene.sign(&wrapped(&message()), "alice", &[]);
    scene.encrypt(&signed, &["bob"], &["-aes256"])
}

#[test]
fn a_message_is_opened_as_on_the_road() {
    let scene = Scene::new();
    let mail = sealed(&scene);
    let good = asked(&scene, Task::Open, &mail);
    let answer = verdict(&scene, &good);
    assert_eq!(short(&answer), ACCEPTED, "{answer:?}");
    assert_eq!(answer.sender.as_deref(), Some(ALICE));
    assert_eq!(answer.wrapped, Some(true));
    assert_eq!(answer.path.len(), 2);
    assert!(answer.waivers.is_empty());
}

#[test]
fn the_envelope_and_the_key_must_fit_a_message_as_on_the_road() {
    let scene = Scene::new();
    let good = asked(&scene, Task::Open, &sealed(&scene));
    let from = |text| Some(ReturnPath::To(address(text)));
    let eve = "eve@direct.a.example";
    for (what, request, expected) in [
        (
            "envelope given",
            Request {
                mail_from: from(ALICE),
                rcpt_to: vec![address(BOB)],
                ..good.clone()
            },
            ACCEPTED,
        ),
        (
            "another MAIL FROM",
            Request {
                mail_from: from(eve),
                ..good.clone()
            },
            refused("bind", Reason::EnvelopeSender),
        ),
        (
            "MAIL FROM:<>",
            Request {
                mail_from: Some(ReturnPath::Null),
                ..good.clone()
            },
            refused("bind", Reason::EnvelopeSender),
        ),
        (
            "another RCPT TO",
            Request {
                rcpt_to: vec![address(CAROL)],
                ..good.clone()
            },
            refused("decrypt", Reason::NoKey),
        ),
        (
            "another key",
            Request {
                identities: vec![Arc::new(Scene::identity("carol"))],
                ..good.clone()
            },
            refused("decrypt", Reason::NoKey),
        ),
    ] {
        assert_eq!(short(&verdict(&scene, &request)), expected, "{what}");
    }
}

#[test]
fn the_anchor_and_the_time_must_fit_a_message_as_on_the_road() {
    let scene = Scene::new();
    let good = asked(&scene, Task::Open, &sealed(&scene));
    assert_eq!(short(&verdict(&scene, &good)), ACCEPTED);
    let at = |days: i64| Timestamp::from_unix_s(scene.world.now().unix_s() + days * 86_400);
    for (what, request, expected) in [
        (
            "no anchor",
            Request {
                anchors: Arc::default(),
                ..good.clone()
            },
            refused("trust", Reason::NoPath),
        ),
        (
            "too late",
            Request {
                at: at(400),
                ..good.clone()
            },
            refused("trust", Reason::Expired),
        ),
        (
            "too early",
            Request {
                at: at(-40),
                ..good.clone()
            },
            refused("trust", Reason::NotYetValid),
        ),
    ] {
        assert_eq!(short(&verdict(&scene, &request)), expected, "{what}");
    }
}

#[test]
fn nobody_passes_for_another_under_any_rules() {
    let scene = Scene::new();
    let signed = scene.sign(&wrapped(&message()), "eve", &[]);
    let forged = scene.encrypt(&signed, &["bob"], &["-aes256"]);
    // Alice wrote to Bob, who sealed it anew for Carol.
    let passed_on = scene.encrypt(
        &scene.sign(&wrapped(&message()), "alice", &[]),
        &["carol"],
        &["-aes256"],
    );
    for rules in [
        Rules::Direct(Profile::V1_3),
        Rules::Direct(Profile::V1_2),
        Rules::Plain,
    ] {
        let request = Request {
            rules,
            ..asked(&scene, Task::Open, &forged)
        };
        let answer = verdict(&scene, &request);
        assert_eq!(
            short(&answer),
            refused("bind", Reason::SignerNotSender),
            "{rules:?}"
        );
        let waived = Request {
            waivers: Waivers::NONE.with(Waiver::Binding),
            ..request
        };
        let answer = verdict(&scene, &waived);
        assert_eq!(short(&answer), ACCEPTED, "{rules:?}");
        assert_eq!(answer.waivers, ["no-binding"]);
    }
    let carol = Request {
        identities: vec![Arc::new(Scene::identity("carol"))],
        ..asked(&scene, Task::Open, &passed_on)
    };
    let answer = verdict(&scene, &carol);
    assert_eq!(short(&answer), refused("bind", Reason::EnvelopeRecipient));
}

#[test]
fn plain_rules_ask_for_the_from_that_is_shown_too() {
    let scene = Scene::new();
    let mail = String::from_utf8(sealed(&scene)).expect("ASCII");
    let request = |text: &str| Request {
        rules: Rules::Plain,
        ..asked(&scene, Task::Open, text.as_bytes())
    };
    assert_eq!(short(&verdict(&scene, &request(&mail))), ACCEPTED);
    let shown = mail.replacen(ALICE, "victim@direct.a.example", 1);
    let answer = verdict(&scene, &request(&shown));
    assert_eq!(short(&answer), refused("bind", Reason::SignerNotSender));
}

#[test]
fn each_waiver_opens_its_own_door_and_no_other() {
    let scene = Scene::new();
    let clear = scene.sign(&wrapped(&message()), "alice", &[]);
    let bare = message();
    let unwrapped = scene.encrypt(
        &scene.sign(bare.as_bytes(), "alice", &[]),
        &["bob"],
        &["-aes256"],
    );
    let unsigned = scene.encrypt(&wrapped(&message()), &["bob"], &["-aes256"]);
    for (octets, waiver, stage, reason) in [
        (&clear, Waiver::Unencrypted, "decrypt", Reason::NotEncrypted),
        (&unwrapped, Waiver::Unwrapped, "unwrap", Reason::NotWrapped),
        (&unsigned, Waiver::DecryptOnly, "verify", Reason::NotSigned),
    ] {
        let strict = asked(&scene, Task::Open, octets);
        assert_eq!(short(&verdict(&scene, &strict)), refused(stage, reason));
        for other in [
            Waiver::Unencrypted,
            Waiver::Unwrapped,
            Waiver::Binding,
            Waiver::DecryptOnly,
        ] {
            let waivers = Waivers::NONE.with(other);
            let answer = verdict(
                &scene,
                &Request {
                    waivers,
                    ..strict.clone()
                },
            );
            // What is encrypted can always be decrypted.
            let decrypts = other == Waiver::DecryptOnly && waiver == Waiver::Unwrapped;
            let opens = other == waiver || decrypts;
            assert_eq!(
                answer.verdict == Outcome::Accepted,
                opens,
                "{waiver:?} {other:?}"
            );
            assert_eq!(answer.waivers, [other.word()]);
        }
    }
}

#[test]
fn bare_objects_in_der_ber_and_pem_are_read_like_mail() {
    let scene = Scene::new();
    let signed = scene.sign(&wrapped(&message()), "alice", &[]);
    let pem = scene.pem("bob").0;
    for options in [
        &["-outform", "DER"][..],
        &["-outform", "DER", "-stream"],
        &["-outform", "PEM"],
        &["-outform", "SMIME", "-stream"],
    ] {
        let mut arguments = vec!["-encrypt", "-binary", "-aes256"];
        arguments.extend(options);
        arguments.push(text(&pem));
        let octets = scene.openssl(&signed, &arguments);
        let answer = verdict(&scene, &asked(&scene, Task::Open, &octets));
        assert_eq!(short(&answer), ACCEPTED, "{options:?}: {answer:?}");
        let cut = octets.get(..octets.len() / 2).unwrap_or_default();
        let answer = verdict(&scene, &asked(&scene, Task::Open, cut));
        assert_eq!(answer.verdict, Outcome::Refused, "{options:?} cut");
    }
}

#[test]
fn what_is_only_signed_is_verified_in_every_form() {
    let scene = Scene::new();
    let entity = wrapped(&message());
    let plain = b"octets of no kind, \xff\x00 without end".to_vec();
    for (what, octets, options, rules) in [
        (
            "clear-signed",
            &entity,
            &[][..],
            Rules::Direct(Profile::V1_3),
        ),
        (
            "opaque",
            &entity,
            &["-nodetach"],
            Rules::Direct(Profile::V1_3),
        ),
        (
            "bare",
            &entity,
            &["-nodetach", "-outform", "DER"],
            Rules::Direct(Profile::V1_2),
        ),
        (
            "bare",
            &entity,
            &["-nodetach", "-outform", "PEM"],
            Rules::Plain,
        ),
        (
            "octets",
            &plain,
            &["-nodetach", "-binary", "-outform", "DER"],
            Rules::Plain,
        ),
    ] {
        let signed = scene.sign(octets, "alice", options);
        let good = Request {
            identities: vec![],
            rules,
            ..asked(&scene, Task::Verify, &signed)
        };
        is_accepted_for_its_anchor_alone(&scene, good, what);
    }
    let sealed = asked(&scene, Task::Verify, &sealed(&scene));
    assert_eq!(
        short(&verdict(&scene, &sealed)),
        refused("verify", Reason::NotSigned)
    );
}

fn is_accepted_for_its_anchor_alone(scene: &Scene, good: Request, what: &str) {
    let answer = verdict(scene, &good);
    assert_eq!(short(&answer), ACCEPTED, "{what}: {answer:?}");
    let untrusted = Request {
        anchors: Arc::default(),
        ..good
    };
    let answer = verdict(scene, &untrusted);
    assert_eq!(short(&answer), refused("trust", Reason::NoPath), "{what}");
}

#[test]
fn a_detached_signature_is_verified_with_the_content_that_lies_beside_it() {
    let scene = Scene::new();
    let plain = b"octets of no kind, \xff\x00 without end".to_vec();
    let content = scene.file("content", &plain);
    let other = scene.file("other", b"octets of no kind, changed");
    for options in [
        &["-binary", "-outform", "DER"][..],
        &["-binary", "-outform", "PEM", "-md", "sha512"],
    ] {
        let signed = scene.sign(&plain, "alice", options);
        let good = Request {
            identities: vec![],
            content: Some(content.clone()),
            rules: Rules::Plain,
            ..asked(&scene, Task::Verify, &signed)
        };
        for content in [Some(other.clone()), None] {
            let bad = Request {
                content,
                ..good.clone()
            };
            let answer = verdict(&scene, &bad);
            assert_eq!(answer.verdict, Outcome::Refused, "{options:?}: {answer:?}");
        }
        is_accepted_for_its_anchor_alone(&scene, good, "beside");
    }
}

#[test]
fn a_signers_certificate_that_did_not_come_along_may_lie_beside() {
    let scene = Scene::new();
    let signed = scene.sign(&wrapped(&message()), "alice", &["-nocerts"]);
    let request = asked(&scene, Task::Verify, &signed);
    assert_eq!(
        short(&verdict(&scene, &request)),
        refused("verify", Reason::BadSignature)
    );
    let intermediates = vec![Scene::certificate("alice")];
    let request = Request {
        intermediates,
        ..request
    };
    assert_eq!(short(&verdict(&scene, &request)), ACCEPTED);
}

#[test]
fn weak_digests_stay_refused_under_plain_rules() {
    let scene = Scene::new();
    let signed = scene.sign(&wrapped(&message()), "alice", &["-md", "sha1"]);
    let request = Request {
        rules: Rules::Plain,
        ..asked(&scene, Task::Verify, &signed)
    };
    assert_eq!(
        short(&verdict(&scene, &request)),
        refused("verify", Reason::WeakAlgorithm)
    );
}

#[test]
fn attributes_of_one_signature_are_never_content_of_another() {
    let scene = Scene::new();
    let signed = scene.sign(
        &wrapped(&message()),
        "alice",
        &["-binary", "-outform", "DER"],
    );
    let read = crate::cms::read_signed(&signed).expect("reads");
    let attributes = read.signers[0].signed_attrs.clone().expect("attributes");
    // PKCS #1 v1.5 is deterministic: this is the signature that Alice made over her attributes, with them
    // as content. She never signed such a message.
    let plain = |content: &[u8]| {
        let bare = ["-binary", "-nodetach", "-noattr", "-outform", "DER"];
        let request = Request {
            rules: Rules::Plain,
            ..asked(&scene, Task::Verify, &scene.sign(content, "alice", &bare))
        };
        short(&verdict(&scene, &request))
    };
    let forged = scene.sign(
        &attributes,
        "alice",
        &["-binary", "-noattr", "-outform", "DER"],
    );
    let forged = crate::cms::read_signed(&forged).expect("reads");
    assert_eq!(forged.signers[0].signature, read.signers[0].signature);
    assert_eq!(plain(&attributes), refused("verify", Reason::BadAttributes));
    // Whatever is not attributes is content.
    assert_eq!(plain(b"1 tablet a day"), ACCEPTED);
    let longer = [&attributes[..], b"x"].concat();
    assert_eq!(plain(&longer), ACCEPTED);
}

#[test]
fn a_mail_may_come_out_of_a_mailbox_file() {
    let scene = Scene::new();
    let mail = [
        b"From alice Sun Nov 22 01:02:03 2026\n",
        &sealed(&scene)[..],
    ]
    .concat();
    assert_eq!(
        short(&verdict(&scene, &asked(&scene, Task::Open, &mail))),
        ACCEPTED
    );
    let twice = [b"From alice Sun Nov 22 01:02:03 2026\n", &mail[..]].concat();
    let answer = verdict(&scene, &asked(&scene, Task::Open, &twice));
    assert_eq!(answer.verdict, Outcome::Refused);
}

#[test]
fn any_of_several_keys_opens_and_no_other() {
    let scene = Scene::new();
    let key = |name| Arc::new(Scene::identity(name));
    let request = |identities| Request {
        identities,
        ..asked(&scene, Task::Open, &sealed(&scene))
    };
    let both = request(vec![key("b-domain"), key("bob")]);
    assert_eq!(short(&verdict(&scene, &both)), ACCEPTED);
    let others = request(vec![key("b-domain"), key("carol")]);
    assert_eq!(
        short(&verdict(&scene, &others)),
        refused("decrypt", Reason::NoKey)
    );
}

#[test]
fn a_cms_object_within_an_envelope_needs_no_mime_header() {
    let scene = Scene::new();
    let sign = |form: &str| {
        scene.sign(
            &wrapped(&message()),
            "alice",
            &["-binary", form, "-outform", "DER"],
        )
    };
    let opened = |inner: &[u8]| {
        let octets = scene.encrypt_der(inner, &["bob"], &["-aes256"]);
        short(&verdict(&scene, &asked(&scene, Task::Open, &octets)))
    };
    assert_eq!(opened(&sign("-nodetach")), ACCEPTED);
    // Without content, with a second envelope, with nothing signed.
    assert_eq!(
        opened(&sign("-nosmimecap")),
        refused("verify", Reason::Malformed)
    );
    let again = scene.encrypt_der(&sign("-nodetach"), &["bob"], &["-aes256"]);
    assert_eq!(opened(&again), refused("verify", Reason::NotSigned));
}

#[test]
fn any_octets_get_a_verdict() {
    let scene = Scene::new();
    for octets in [
        &b""[..],
        b"0",
        b"\x30\x80",
        b"MIME-Version: 1.0\r\n",
        b"-----BEGIN CMS-----\n",
        &[0; 99],
    ] {
        for task in [Task::Open, Task::Verify] {
            for rules in [Rules::Plain, Rules::Direct(Profile::V1_3)] {
                let request = Request {
                    rules,
                    ..asked(&scene, task, octets)
                };
                let answer = verdict(&scene, &request);
                assert_eq!(answer.verdict, Outcome::Refused, "{octets:?}: {answer:?}");
            }
        }
    }
    let missing = Request {
        file: scene.dir.path().join("none"),
        ..asked(&scene, Task::Open, b"")
    };
    assert_eq!(
        short(&verdict(&scene, &missing)),
        refused("input", Reason::Malformed)
    );
}

#[test]
fn a_signer_is_judged_by_the_rules_that_trust_check_knows() {
    use crate::trust::{Evidence, ExtendedUsage, RevocationMode, Switch};
    let scene = Scene::new();
    let good = asked(&scene, Task::Open, &sealed(&scene));
    let judged = |change: &dyn Fn(&mut Request)| {
        let mut request = good.clone();
        change(&mut request);
        verdict(&scene, &request)
    };
    let crl = |revoked: &[&str]| Evidence::of([Scene::crl(revoked)]);
    let unknown = (
        Outcome::Undetermined,
        "trust",
        Some(Reason::RevocationUnknown),
    );
    type Change<'a> = (
        &'a dyn Fn(&mut Request),
        (Outcome, &'static str, Option<Reason>),
    );
    let cases: [Change<'_>; 9] = [
        (
            &|it| it.path_rules.revocation = RevocationMode::Hard,
            unknown,
        ),
        (
            &|it| it.path_rules.revocation = RevocationMode::Soft,
            ACCEPTED,
        ),
        (
            &|it| {
                it.path_rules.revocation = RevocationMode::Hard;
                it.evidence = crl(&["eve"]);
            },
            ACCEPTED,
        ),
        (
            &|it| {
                it.path_rules.revocation = RevocationMode::Soft;
                it.evidence = crl(&["alice"]);
            },
            refused("trust", Reason::Revoked),
        ),
        (
            &|it| it.path_rules.policies.explicit = Switch::On,
            refused("trust", Reason::CertificatePolicy),
        ),
        (
            &|it| it.path_rules.extended_usage = ExtendedUsage::Only("1.3.6.1.5.5.7.3.1".into()),
            refused("trust", Reason::WrongUsage),
        ),
        (
            &|it| it.path_rules.extended_usage = ExtendedUsage::Any,
            ACCEPTED,
        ),
        (&|it| it.address = Some(address(ALICE)), ACCEPTED),
        (
            &|it| it.address = Some(address(BOB)),
            refused("trust", Reason::NotBound),
        ),
    ];
    for (at, (change, expected)) in cases.into_iter().enumerate() {
        let answer = judged(change);
        assert_eq!(short(&answer), expected, "{at}: {answer:?}");
    }
    let soft = judged(&|it| it.path_rules.revocation = RevocationMode::Soft);
    assert_eq!(soft.notes.len(), 1, "{soft:?}");
}

#[test]
fn what_the_tool_seals_the_tool_opens_and_strangers_certificates_are_refused() {
    let scene = Scene::new();
    let scratch = Scratch::new(&scene.world);
    let good = seal::Order {
        file: scene.file("clear", message().as_bytes()),
        from: address(ALICE),
        identity: Arc::new(Scene::identity("alice")),
        to: vec![address(BOB)],
        certificates: vec![Scene::certificate("bob")],
        suite: crate::seal::Suite::default(),
    };
    let (answer, sealed) = seal::seal(&good, &scratch, &scene.world);
    assert_eq!(
        short(&answer),
        (Outcome::Accepted, "seal", None),
        "{answer:?}"
    );
    let mut octets = Vec::new();
    let mut reader = sealed.expect("sealed").reader().expect("reads");
    std::io::Read::read_to_end(&mut reader, &mut octets).expect("reads");
    assert_eq!(
        short(&verdict(&scene, &asked(&scene, Task::Open, &octets))),
        ACCEPTED
    );
    for (order, reason) in [
        (
            seal::Order {
                certificates: vec![Scene::certificate("carol")],
                ..good.clone()
            },
            Reason::NotBound,
        ),
        (
            seal::Order {
                certificates: vec![Scene::certificate("bob-ec")],
                ..good.clone()
            },
            Reason::WeakKey,
        ),
        (
            seal::Order {
                identity: Arc::new(Scene::identity("eve")),
                ..good.clone()
            },
            Reason::SignerNotSender,
        ),
        (
            seal::Order {
                file: scene.file("odd", b"From: x@y.example\r\n\r\n"),
                ..good.clone()
            },
            Reason::BadHeaders,
        ),
    ] {
        let (answer, sealed) = seal::seal(&order, &scratch, &scene.world);
        assert_eq!(short(&answer), refused("seal", reason), "{answer:?}");
        assert!(sealed.is_none());
    }
}

#[test]
fn the_structure_of_a_message_is_shown_without_a_key_or_its_content() {
    let scene = Scene::new();
    let scratch = Scratch::new(&scene.world);
    let signed = scene.sign(&wrapped(&message()), "alice", &["-nodetach"]);
    for (octets, expected) in [
        (sealed(&scene), "EnvelopedData, AES-256-CBC"),
        (signed, "SignedData, opaque, of 1.2.840.113549.1.7.1"),
        (
            scene.encrypt(b"x", &["bob-ec"], &["-aes-256-gcm"]),
            "AuthEnvelopedData, AES-256-GCM",
        ),
        (scene.encrypt(b"x", &["bob"], &["-des3"]), "DES-EDE3-CBC"),
        (
            scene.sign(&wrapped(&message()), "alice-ec", &[]),
            "ECDSA with sha-256",
        ),
    ] {
        let file = scene.file("message", &octets);
        let report = inspect::inspect(&file, &scratch, &scene.world).expect("a report");
        let text = report.text();
        assert!(text.contains(expected), "{expected}: {text}");
        assert!(
            !text.contains("see her soon") && !text.contains("Subject"),
            "{text}"
        );
    }
    let file = scene.file("message", b"\x30\x82");
    let report = inspect::inspect(&file, &scratch, &scene.world).expect("a report");
    assert!(!report.faults.is_empty());
}
