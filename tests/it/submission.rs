//! What a clinic's mail client meets at the submission port, over real TLS with `swaks`.

use crate::dns::Dns;
use crate::partner::{Partner, letter};
use crate::world::{Gateway, Identity, SILENCE};

const DOCTOR: &str = "dr.alvarez@direct.clinic.test";
const NURSE: &str = "nurse@direct.clinic.test";
const COLLEAGUE: &str = "dr.baker@direct.partner.test";

struct Clinic {
    gateway: Gateway,
    partner: Partner,
    identity: Identity,
    _dns: Dns,
    _folder: tempfile::TempDir,
}

fn clinic() -> Clinic {
    let folder = tempfile::tempdir().expect("a folder");
    let dns = Dns::start();
    let identity = Identity::new(folder.path(), "direct.clinic.test");
    let partner = Partner::new(folder.path(), "direct.partner.test", &dns);
    let mut gateway = Gateway::init(folder.path(), &identity, &dns);
    dns.hisp(
        &identity.domain,
        gateway.ip,
        Some(&identity.leaf.certificate),
    );
    gateway.trust(&partner.identity);
    gateway.person(DOCTOR);
    gateway.mailbox(NURSE);
    gateway.serve();
    Clinic {
        gateway,
        partner,
        identity,
        _dns: dns,
        _folder: folder,
    }
}

/// A wrong password is refused with 535, and nothing is taken; the right one is accepted.
#[test]
fn a_wrong_password_is_refused() {
    let clinic = clinic();
    let text = letter(DOCTOR, &[COLLEAGUE], "1@direct.clinic.test", "fine");
    let refused = clinic
        .gateway
        .submit_as(DOCTOR, "a guess", DOCTOR, &[COLLEAGUE], &text);
    assert!(refused.heard("535 "), "{}", refused.0);
    assert!(!refused.heard("354"), "{}", refused.0);
    clinic.gateway.submit(DOCTOR, &[COLLEAGUE], &text).id();
    clinic.partner.opened(1, &clinic.identity);
}

/// A login sends as its own addresses only, in the envelope and in the message.
#[test]
fn a_sender_that_is_not_yours_is_refused() {
    let clinic = clinic();
    let foreign = letter(NURSE, &[COLLEAGUE], "1@direct.clinic.test", "fine");
    for (from, text) in [(NURSE, &foreign), (DOCTOR, &foreign)] {
        let refused =
            clinic
                .gateway
                .submit_as(DOCTOR, "secret-of-a-clinic", from, &[COLLEAGUE], text);
        assert!(refused.heard("550 5.7.1"), "{}", refused.0);
    }
    // The nearest accepted: another way to write one's own address.
    let own = letter(
        "DR.Alvarez@Direct.Clinic.test",
        &[COLLEAGUE],
        "2@direct.clinic.test",
        "fine",
    );
    clinic.gateway.submit(DOCTOR, &[COLLEAGUE], &own).id();
    clinic.partner.opened(1, &clinic.identity);
}

/// Mail in Outlook's own format would reach nobody in a readable form: the sender learns which setting to change.
#[test]
fn mail_in_outlooks_own_format_is_refused_with_the_setting_to_change() {
    let clinic = clinic();
    let text = letter(DOCTOR, &[COLLEAGUE], "1@direct.clinic.test", "fine");
    let own = text.replace(
        "text/plain; charset=us-ascii",
        "application/ms-tnef; name=winmail.dat",
    );
    assert_ne!(own, text);
    let refused = clinic.gateway.submit(DOCTOR, &[COLLEAGUE], &own);
    assert!(refused.heard("550 5.6.1"), "{}", refused.0);
    assert!(
        refused.0.contains("Convert to HTML format"),
        "{}",
        refused.0
    );
    clinic.gateway.submit(DOCTOR, &[COLLEAGUE], &text).id();
    clinic.partner.opened(1, &clinic.identity);
}

/// Direct knows no blind copies: whoever is written to is named, and the sender learns at once why not.
#[test]
fn a_blind_recipient_is_refused_and_bcc_never_leaves() {
    let clinic = clinic();
    let other = "dr.chen@direct.partner.test";
    let text = letter(DOCTOR, &[COLLEAGUE], "1@direct.clinic.test", "fine");
    let refused = clinic.gateway.submit(DOCTOR, &[COLLEAGUE, other], &text);
    assert!(refused.heard("550 5.7.1"), "{}", refused.0);
    assert!(refused.0.contains(other), "{}", refused.0);
    // Named in Cc it is fine; a Bcc field for nobody here is taken out.
    let named = text.replace(
        "Subject:",
        &format!("Cc: {other}\r\nBcc: boss@elsewhere.test\r\nSubject:"),
    );
    clinic
        .gateway
        .submit(DOCTOR, &[COLLEAGUE, other], &named)
        .id();
    let opened = clinic.partner.opened(1, &clinic.identity);
    assert_eq!(opened[0].received.to, [COLLEAGUE, other]);
    assert!(
        !opened[0].entity.contains("boss@elsewhere.test"),
        "{}",
        opened[0].entity
    );
}

/// A client that repeats itself after a lost 250 gets the same answer and sends one message; another message under the same
/// Message-ID is refused.
#[test]
fn the_same_message_id_with_the_same_octets_is_one_message() {
    let clinic = clinic();
    let text = letter(DOCTOR, &[COLLEAGUE], "same@direct.clinic.test", "fine");
    let first = clinic.gateway.submit(DOCTOR, &[COLLEAGUE], &text).id();
    assert_eq!(
        clinic.gateway.submit(DOCTOR, &[COLLEAGUE], &text).id(),
        first
    );
    let other = text.replace("fine", "other");
    let refused = clinic.gateway.submit(DOCTOR, &[COLLEAGUE], &other);
    assert!(refused.heard("550 5.6.0"), "{}", refused.0);
    clinic.partner.opened(1, &clinic.identity);
    std::thread::sleep(SILENCE);
    assert_eq!(clinic.partner.sink.received().len(), 1);
    let listed =
        clinic
            .gateway
            .ask(&["message", "list", "--message-id", "same@direct.clinic.test"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed:#}");
}

/// A message without Message-ID and Date gets them; one that has them keeps them.
#[test]
fn a_message_without_message_id_and_date_gets_them() {
    let clinic = clinic();
    let text = letter(DOCTOR, &[COLLEAGUE], "own@direct.clinic.test", "fine");
    let bare = text
        .replace("Message-ID: <own@direct.clinic.test>\r\n", "")
        .replace("Date: Sun, 22 Nov 2026 01:02:03 +0000\r\n", "");
    clinic.gateway.submit(DOCTOR, &[COLLEAGUE], &bare).id();
    clinic.gateway.submit(DOCTOR, &[COLLEAGUE], &text).id();
    let opened = clinic.partner.opened(2, &clinic.identity);
    let ids: Vec<_> = opened
        .iter()
        .map(|one| one.message().one("Message-ID").to_owned())
        .collect();
    let own = |id: &String| id == "<own@direct.clinic.test>";
    assert_eq!(ids.iter().filter(|id| own(id)).count(), 1, "{ids:?}");
    // That Date and Message-ID are there and well formed the linter has seen.
    let made = ids.iter().find(|id| !own(id)).expect("the other");
    assert!(made.ends_with("@direct.clinic.test>"), "{made}");
}
