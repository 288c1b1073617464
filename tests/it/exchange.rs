//! Two gateways of ours, with all between them on the wire for everyone to see.

use carepost::crypto::issue::Issued;
use carepost::crypto::{Digest, DigestAlgorithm};

use crate::dns::Dns;
use crate::linter::Entity;
use crate::partner::{self, asking, letter};
use crate::world::{
    Ca, Gateway, Identity, Received, SILENCE, Tap, Valid, events, leg_of, relay, wait,
};

const DOCTOR: &str = "dr.alvarez@direct.alpha.test";
const COLLEAGUE: &str = "dr.baker@direct.beta.test";

struct Two {
    alpha_id: Identity,
    beta_id: Identity,
    alpha: Gateway,
    beta: Gateway,
    /// Before beta, and before alpha.
    onward: Tap,
    back: Tap,
    folder: tempfile::TempDir,
    dns: Dns,
}

/// Both trust each other; a doctor at each.
fn two() -> Two {
    let folder = tempfile::tempdir().expect("a folder");
    let dns = Dns::start();
    let alpha_id = Identity::new(folder.path(), "direct.alpha.test");
    let beta_id = Identity::new(folder.path(), "direct.beta.test");
    let mut alpha = Gateway::init(folder.path(), &alpha_id, &dns);
    let mut beta = Gateway::init(folder.path(), &beta_id, &dns);
    let (onward, back) = (Tap::before(beta.ip), Tap::before(alpha.ip));
    dns.hisp(&alpha_id.domain, back.ip, Some(&alpha_id.leaf.certificate));
    dns.hisp(&beta_id.domain, onward.ip, Some(&beta_id.leaf.certificate));
    alpha.trust(&beta_id);
    beta.trust(&alpha_id);
    alpha.person(DOCTOR);
    beta.person(COLLEAGUE);
    alpha.serve();
    beta.serve();
    Two {
        alpha_id,
        beta_id,
        alpha,
        beta,
        onward,
        back,
        folder,
        dns,
    }
}

impl Two {
    /// Everything that went over the wire, opened by `openssl` and through the linter.
    fn lint(&self) -> Vec<partner::Opened> {
        let there = self.onward.received();
        let here = self.back.received();
        let opened = there
            .iter()
            .map(|one| partner::open(&self.beta_id, one, &self.alpha_id));
        opened
            .chain(
                here.iter()
                    .map(|one| partner::open(&self.alpha_id, one, &self.beta_id)),
            )
            .collect()
    }

    /// What beta did with a message, and that alpha heard nothing of it.
    fn silence(&self, id: &str, reason: &str) {
        let message = self.beta.leg(id, "in", COLLEAGUE, "refused");
        let leg = leg_of(&message, COLLEAGUE).expect("a leg");
        assert_eq!(leg["reason"], reason, "{message:#}");
        std::thread::sleep(SILENCE);
        assert_eq!(self.back.received().len(), 0, "beta answered");
        assert!(self.beta.mail(COLLEAGUE).is_empty(), "beta delivered");
    }
}

/// The nearest accepted: the same octets, sealed by who is trusted, are delivered and acknowledged.
fn control(two: &Two, id: &str) {
    let text = letter(DOCTOR, &[COLLEAGUE], id, "fine");
    let sealed = partner::seal(&two.alpha_id, &text, &[&two.beta_id.leaf]);
    let replies = relay(two.beta.ip, DOCTOR, &[COLLEAGUE], &sealed);
    assert!(
        replies.last().is_some_and(|last| last.starts_with("250 ")),
        "{replies:?}"
    );
    two.beta.mail_with(COLLEAGUE, id);
    wait("the processed MDN", || {
        (!two.back.received().is_empty()).then_some(())
    });
}

fn forged(two: &Two, signer: Issued, ca: Ca, id: &str) -> Received {
    let forger = Identity::of(two.folder.path(), &two.alpha_id.domain, ca, signer);
    let text = letter(DOCTOR, &[COLLEAGUE], id, "Please change the medication.");
    let octets = partner::seal(&forger, &text, &[&two.beta_id.leaf]);
    Received {
        from: DOCTOR.to_owned(),
        to: vec![COLLEAGUE.to_owned()],
        octets,
    }
}

/// A referral with its C-CDA arrives whole, the sender is told that it was processed and delivered, and nobody on the wire can
/// read a word of it.
#[test]
fn a_referral_arrives_whole_and_is_acknowledged_twice() {
    let two = two();
    let document = include_str!("../../src/demo/ccda.xml")
        .replace("\r\n", "\n")
        .replace('\n', "\r\n");
    let text = format!(
        "From: {DOCTOR}\r\nTo: {COLLEAGUE}\r\nSubject: Marisol Sampleton\r\nDate: Sun, 22 Nov 2026 01:02:03 +0000\r\n\
         Message-ID: <referral.1@direct.alpha.test>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nDear colleague, see the note.\r\n\
         --b\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Disposition: attachment; filename=\"note.xml\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}\r\n--b--\r\n",
        base64_lines(document.as_bytes())
    );
    let submitted = two.alpha.submit(DOCTOR, &[COLLEAGUE], &asking(&text));
    let id = submitted.id();

    let mail = two
        .beta
        .mail_with(COLLEAGUE, "<referral.1@direct.alpha.test>");
    let entity = Entity::parse(&mail);
    let parts = entity.parts();
    let octets: String = parts[1].body.split_whitespace().collect();
    let octets = base64_simd::STANDARD.decode_to_vec(octets).expect("base64");
    assert_eq!(
        sha256(&octets),
        sha256(document.as_bytes()),
        "the attachment changed"
    );

    let sent = two.alpha.leg(&id, "out", COLLEAGUE, "dispatched");
    assert_eq!(
        leg_of(&sent, COLLEAGUE).expect("a leg")["answer"],
        "delivered"
    );
    assert_eq!(events(&sent, "answered"), 1, "{sent:#}");
    let told = two
        .alpha
        .mail_with(DOCTOR, "<referral.1@direct.alpha.test>");
    assert!(told.contains("dispatched"), "{told}");

    let wire = two.lint();
    let mut said: Vec<_> = wire
        .iter()
        .filter_map(partner::Opened::disposition)
        .map(|(kind, _)| kind)
        .collect();
    said.sort();
    assert_eq!(said, ["dispatched", "processed"]);
    assert_eq!(wire.len(), 3, "one message and two answers");
    for received in two.onward.received().iter().chain(&two.back.received()) {
        let text = String::from_utf8_lossy(&received.octets);
        assert!(!text.contains("Sampleton"), "the wire carries the subject");
    }
}

/// Whoever is not trusted gets 250 and then silence: no delivery, no answer, nothing in DNS that a good message would not ask.
#[test]
fn an_untrusted_signer_meets_silence() {
    let two = two();
    let stranger = Ca::new("a stranger");
    let signer = stranger.domain(&two.alpha_id.domain, Valid::Now);
    let forgery = forged(&two, signer, stranger, "untrusted@direct.alpha.test");
    let replies = relay(two.beta.ip, DOCTOR, &[COLLEAGUE], &forgery.octets);
    assert!(
        replies.last().is_some_and(|last| last.starts_with("250 ")),
        "{replies:?}"
    );
    two.silence("untrusted@direct.alpha.test", "no-path");
    control(&two, "trusted@direct.alpha.test");
}

/// A certificate that only claims the key identifier of a trusted one is a stranger's all the same.
#[test]
fn a_copied_key_identifier_meets_silence() {
    let two = two();
    let identifier = key_identifier(&two.alpha_id);
    let stranger = Ca::new("CA of direct.alpha.test");
    let signer = stranger.leaf(&two.alpha_id.domain, Valid::Now, Some(identifier));
    let forgery = forged(&two, signer, stranger, "copied@direct.alpha.test");
    let replies = relay(two.beta.ip, DOCTOR, &[COLLEAGUE], &forgery.octets);
    assert!(
        replies.last().is_some_and(|last| last.starts_with("250 ")),
        "{replies:?}"
    );
    let message = two
        .beta
        .leg("copied@direct.alpha.test", "in", COLLEAGUE, "refused");
    let reason = leg_of(&message, COLLEAGUE).expect("a leg")["reason"].clone();
    assert!(
        reason == "bad-issuer-signature" || reason == "no-path",
        "{message:#}"
    );
    two.silence("copied@direct.alpha.test", reason.as_str().expect("a code"));
    control(&two, "not.copied@direct.alpha.test");
}

/// A message in which one octet changed on the way is not delivered and not answered.
#[test]
fn a_message_that_was_changed_on_the_way_meets_silence() {
    let two = two();
    let text = letter(DOCTOR, &[COLLEAGUE], "whole@direct.alpha.test", "100 mg");
    let sealed = partner::seal(&two.alpha_id, &text, &[&two.beta_id.leaf]);
    let mut octets = sealed.clone();
    let middle = octets.len() / 2;
    let at = (middle..octets.len())
        .find(|&at| octets[at].is_ascii_alphanumeric())
        .expect("base64");
    octets[at] = if octets[at] == b'A' { b'B' } else { b'A' };
    let replies = relay(two.beta.ip, DOCTOR, &[COLLEAGUE], &octets);
    let last = replies.last().expect("a reply");
    assert!(last.starts_with("250 "), "{replies:?}");
    let listed = two.beta.ask(&["message", "list"]);
    let id = listed[0]["id"].as_str().expect("an id").to_owned();
    let message = two.beta.leg(&id, "in", COLLEAGUE, "refused");
    let reason = leg_of(&message, COLLEAGUE).expect("a leg")["reason"].clone();
    two.silence(&id, reason.as_str().expect("a code"));

    // The octets as they were are taken.
    relay(two.beta.ip, DOCTOR, &[COLLEAGUE], &sealed);
    two.beta.mail_with(COLLEAGUE, "whole@direct.alpha.test");
}

/// The same octets twice are one delivery and one answer: a peer that repeats itself does no harm.
#[test]
fn the_same_octets_twice_are_one_delivery_and_one_answer() {
    let two = two();
    let text = letter(DOCTOR, &[COLLEAGUE], "again@direct.alpha.test", "fine");
    let sealed = partner::seal(&two.alpha_id, &text, &[&two.beta_id.leaf]);
    for _ in 0..2 {
        let replies = relay(two.beta.ip, DOCTOR, &[COLLEAGUE], &sealed);
        assert!(
            replies.last().is_some_and(|last| last.starts_with("250 ")),
            "{replies:?}"
        );
    }
    two.beta.mail_with(COLLEAGUE, "again@direct.alpha.test");
    wait("the duplicate to be known as one", || {
        let listed = two.beta.ask(&["message", "list", "--state", "duplicate"]);
        (listed.as_array().map(Vec::len) == Some(1)).then_some(())
    });
    wait("the processed MDN", || {
        (!two.back.received().is_empty()).then_some(())
    });
    std::thread::sleep(SILENCE);
    assert_eq!(two.beta.mail(COLLEAGUE).len(), 1);
    assert_eq!(two.back.received().len(), 1);
    // The same message sealed anew is other octets, and another message.
    relay(
        two.beta.ip,
        DOCTOR,
        &[COLLEAGUE],
        &partner::seal(&two.alpha_id, &text, &[&two.beta_id.leaf]),
    );
    wait("a second copy", || {
        (two.beta.mail(COLLEAGUE).len() == 2).then_some(())
    });
}

/// What is held does not move; released it goes; cancelled it never goes, and its sender is told.
#[test]
fn the_operator_holds_releases_retries_and_cancels() {
    let two = two();
    two.dns.break_down("direct.beta.test");
    let send = |id: &str| {
        let text = letter(DOCTOR, &[COLLEAGUE], id, "fine");
        let id = two.alpha.submit(DOCTOR, &[COLLEAGUE], &text).id();
        wait("a first attempt", || {
            let message = two.alpha.message(&id, "out")?;
            (events(&message, "relay-deferred") > 0).then_some(())
        });
        id
    };
    let (kept, dropped) = (
        send("kept@direct.alpha.test"),
        send("dropped@direct.alpha.test"),
    );
    two.alpha.ask(&["queue", "hold", &kept]);
    two.alpha.leg(&kept, "out", COLLEAGUE, "held");
    two.dns.mend("direct.beta.test");
    two.alpha.refused(1, &["queue", "retry", &kept]);
    two.alpha.ask(&["message", "cancel", &dropped]);
    two.alpha.leg(&dropped, "out", COLLEAGUE, "cancelled");
    std::thread::sleep(SILENCE);
    assert!(two.onward.received().is_empty(), "something left");
    two.alpha.ask(&["queue", "release", &kept]);
    two.beta.mail_with(COLLEAGUE, "kept@direct.alpha.test");
    two.alpha.leg(&kept, "out", COLLEAGUE, "processed");
    two.alpha.refused(1, &["queue", "release", &kept]);
    assert_eq!(two.beta.mail(COLLEAGUE).len(), 1);
    let held = two.alpha.message(&kept, "out").expect("there");
    assert_eq!(
        (events(&held, "held"), events(&held, "released")),
        (1, 1),
        "{held:#}"
    );
    two.lint();
}

fn sha256(octets: &[u8]) -> Vec<u8> {
    let mut digest = Digest::new(DigestAlgorithm::Sha256);
    digest.update(octets);
    digest.finish()
}

fn base64_lines(octets: &[u8]) -> String {
    let text = base64_simd::STANDARD.encode_to_string(octets);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(76)
        .map(String::from_utf8_lossy)
        .collect();
    lines.join("\r\n")
}

/// subjectKeyIdentifier, as `openssl x509` shows it.
fn key_identifier(identity: &Identity) -> Vec<u8> {
    let mut command = std::process::Command::new("openssl");
    command
        .args(["x509", "-noout", "-ext", "subjectKeyIdentifier", "-in"])
        .arg(identity.file("leaf.pem"));
    let shown = crate::world::run(&mut command);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    let hex = text.lines().nth(1).expect("a second line").trim();
    hex.split(':')
        .map(|pair| u8::from_str_radix(pair, 16).expect("hex"))
        .collect()
}
