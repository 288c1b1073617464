//! What the sender is told when a message cannot arrive, and when.

use crate::dns::Dns;
use crate::linter::Entity;
use crate::partner::{Partner, letter, mdn};
use crate::world::{Ca, Gateway, Identity, SILENCE, Sink, Valid, events, leg_of, wait};

const DOCTOR: &str = "dr.alvarez@direct.clinic.test";

struct Clinic {
    gateway: Gateway,
    identity: Identity,
    dns: Dns,
    folder: tempfile::TempDir,
}

fn clinic(prepare: impl FnOnce(&Gateway)) -> Clinic {
    let folder = tempfile::tempdir().expect("a folder");
    let dns = Dns::start();
    let identity = Identity::new(folder.path(), "direct.clinic.test");
    let mut gateway = Gateway::init(folder.path(), &identity, &dns);
    dns.hisp(
        &identity.domain,
        gateway.ip,
        Some(&identity.leaf.certificate),
    );
    gateway.person(DOCTOR);
    prepare(&gateway);
    gateway.serve();
    Clinic {
        gateway,
        identity,
        dns,
        folder,
    }
}

impl Clinic {
    /// Sends, and reads the failure notice about it.
    fn notice(&self, to: &str, id: &str, reason: &str) -> Entity {
        let text = letter(DOCTOR, &[to], id, "fine");
        let tracking = self.gateway.submit(DOCTOR, &[to], &text).id();
        let mail = self
            .gateway
            .mail_with(DOCTOR, &format!("X-Original-Message-ID: <{id}>"));
        let message = self.gateway.leg(&tracking, "out", to, "failed");
        let leg = leg_of(&message, to).expect("a leg");
        assert_eq!(leg["reason"], reason, "{message:#}");
        assert_eq!(events(&message, "answered"), 1, "{message:#}");
        Entity::parse(&mail)
    }
}

/// Checks a notice: RFC 3464 for machines, plain words for people, nothing of the content.
fn plain(notice: &Entity, to: &str, status: &str) {
    assert_eq!(notice.media_type(), "multipart/report");
    let parts = notice.parts();
    let words = &parts[0].body;
    assert!(
        words.contains(&format!("Your message did not reach {to}.")),
        "{words}"
    );
    assert!(
        words.contains("What happened: ") && words.contains("What to do: "),
        "{words}"
    );
    let status_part = &parts[1];
    assert_eq!(status_part.media_type(), "message/delivery-status");
    assert!(
        status_part.body.contains(&format!("Status: {status}")),
        "{}",
        status_part.body
    );
    assert!(
        status_part.body.contains("Action: failed"),
        "{}",
        status_part.body
    );
    assert!(
        !notice.body.contains("Referral"),
        "the subject travels: {}",
        notice.body
    );
}

/// No certificate, an untrusted one, no mail host, a refusal by the peer: the sender is told at once, in plain words.
#[test]
fn what_cannot_arrive_is_told_at_once_in_plain_words() {
    let clinic = clinic(|_| {});
    let folder = clinic.folder.path();
    let (dns, gateway) = (&clinic.dns, &clinic.gateway);

    // A mail host, but no certificate.
    let bare = Sink::start();
    dns.hisp("direct.bare.test", bare.ip, None);
    let to = "a@direct.bare.test";
    plain(
        &clinic.notice(to, "1@direct.clinic.test", "no-certificate"),
        to,
        "5.7.4",
    );

    // A certificate that nobody here trusts.
    let stranger = Partner::new(folder, "direct.stranger.test", dns);
    let to = "a@direct.stranger.test";
    plain(
        &clinic.notice(to, "2@direct.clinic.test", "no-path"),
        to,
        "5.7.1",
    );

    // RFC 7505.
    let mute = Identity::new(folder, "direct.mute.test");
    dns.null_mx(&mute.domain, &mute.leaf.certificate);
    gateway.trust(&mute);
    let to = "a@direct.mute.test";
    plain(
        &clinic.notice(to, "3@direct.clinic.test", "no-mail-host"),
        to,
        "5.1.2",
    );

    // The peer says no, in its own words.
    let strict = Partner::with(
        folder,
        "direct.strict.test",
        dns,
        |_| "550 5.1.1 no such doctor",
    );
    gateway.trust(&strict.identity);
    let to = "a@direct.strict.test";
    let notice = clinic.notice(to, "4@direct.clinic.test", "hop-refused");
    plain(&notice, to, "5.1.1");
    assert!(notice.body.contains("no such doctor"), "{}", notice.body);

    for sink in [&bare, &stranger.sink, &strict.sink] {
        assert!(sink.received().is_empty(), "something left that should not");
    }
    // The nearest accepted: a partner that is trusted and takes it.
    let partner = Partner::new(folder, "direct.partner.test", dns);
    gateway.trust(&partner.identity);
    let to = "a@direct.partner.test";
    gateway
        .submit(
            DOCTOR,
            &[to],
            &letter(DOCTOR, &[to], "5@direct.clinic.test", "fine"),
        )
        .id();
    partner.opened(1, &clinic.identity);
    assert_eq!(gateway.mail(DOCTOR).len(), 4, "one notice for each failure");
}

/// "No answer" is not "not there": a broken name server makes the message wait, and the sender is not told of a failure.
#[test]
fn a_broken_name_server_makes_it_wait() {
    let clinic = clinic(|_| {});
    let partner = Partner::new(clinic.folder.path(), "direct.partner.test", &clinic.dns);
    clinic.gateway.trust(&partner.identity);
    clinic.dns.break_down("direct.partner.test");
    let to = "a@direct.partner.test";
    let text = letter(DOCTOR, &[to], "1@direct.clinic.test", "fine");
    let id = clinic.gateway.submit(DOCTOR, &[to], &text).id();
    wait("a deferral", || {
        let message = clinic.gateway.message(&id, "out")?;
        (events(&message, "relay-deferred") > 0).then_some(())
    });
    std::thread::sleep(SILENCE);
    let message = clinic.gateway.leg(&id, "out", to, "queued");
    assert_eq!(
        leg_of(&message, to).expect("a leg")["reason"],
        "discovery-unavailable",
        "{message:#}"
    );
    assert!(clinic.gateway.mail(DOCTOR).is_empty(), "a notice was sent");
    clinic.dns.mend("direct.partner.test");
    clinic.gateway.ask(&["queue", "retry", &id]);
    partner.opened(1, &clinic.identity);
    clinic.gateway.leg(&id, "out", to, "relayed");
}

/// A partner that never confirms: one failure notice when the time is over; a confirmation after that changes nothing.
#[test]
fn silence_becomes_one_failure_notice_and_a_late_answer_is_not_shown() {
    let clinic =
        clinic(|gateway| gateway.configure("processed_wait_s = 3600", "processed_wait_s = 3"));
    let partner = Partner::new(clinic.folder.path(), "direct.partner.test", &clinic.dns);
    clinic.gateway.trust(&partner.identity);
    let to = "a@direct.partner.test";
    let notice = clinic.notice(to, "1@direct.clinic.test", "no-processed");
    plain(&notice, to, "5.4.7");
    partner.opened(1, &clinic.identity);

    let late = mdn(to, DOCTOR, "1@direct.clinic.test", "processed");
    partner.send(
        clinic.gateway.ip,
        to,
        &[DOCTOR],
        &late,
        &[&clinic.identity.leaf],
    );
    let message = wait("the late answer", || {
        let message = clinic.gateway.message("1@direct.clinic.test", "out")?;
        (events(&message, "late") == 1).then_some(message)
    });
    assert_eq!(
        leg_of(&message, to).expect("a leg")["state"],
        "failed",
        "{message:#}"
    );
    std::thread::sleep(SILENCE);
    assert_eq!(
        clinic.gateway.mail(DOCTOR).len(),
        1,
        "the late answer was shown"
    );
}

/// The nearest accepted of the story before: a partner that confirms in time; nothing is shown, nothing fails.
#[test]
fn a_confirmation_in_time_closes_the_message_without_a_word() {
    let clinic =
        clinic(|gateway| gateway.configure("processed_wait_s = 3600", "processed_wait_s = 60"));
    let partner = Partner::new(clinic.folder.path(), "direct.partner.test", &clinic.dns);
    clinic.gateway.trust(&partner.identity);
    let to = "a@direct.partner.test";
    let text = letter(DOCTOR, &[to], "1@direct.clinic.test", "fine");
    let id = clinic.gateway.submit(DOCTOR, &[to], &text).id();
    partner.opened(1, &clinic.identity);
    let answer = mdn(to, DOCTOR, "1@direct.clinic.test", "processed");
    // Reports may come with an empty return path.
    partner.send(
        clinic.gateway.ip,
        "",
        &[DOCTOR],
        &answer,
        &[&clinic.identity.leaf],
    );
    let message = clinic.gateway.leg(&id, "out", to, "processed");
    assert_eq!(
        leg_of(&message, to).expect("a leg")["answer"],
        "delivered",
        "{message:#}"
    );
    assert!(
        clinic.gateway.mail(DOCTOR).is_empty(),
        "processed was shown"
    );
    // Nobody but the partner itself can confirm: a forged report changed nothing, see below.
    let stranger = Ca::new("a stranger");
    let leaf = stranger.domain("direct.partner.test", Valid::Now);
    let forger = Identity::of(clinic.folder.path(), "direct.partner.test", stranger, leaf);
    let id = clinic
        .gateway
        .submit(
            DOCTOR,
            &[to],
            &letter(DOCTOR, &[to], "2@direct.clinic.test", "fine"),
        )
        .id();
    partner.sink.wait_for(2);
    let forged = mdn(to, DOCTOR, "2@direct.clinic.test", "failed");
    let sealed = crate::partner::seal(&forger, &forged, &[&clinic.identity.leaf]);
    crate::world::relay(clinic.gateway.ip, "", &[DOCTOR], &sealed);
    std::thread::sleep(SILENCE);
    clinic.gateway.leg(&id, "out", to, "relayed");
}
