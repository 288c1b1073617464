//! What a receiving gateway decides for each recipient, and what the partner hears of it.

use crate::dns::Dns;
use crate::partner::{Partner, letter};
use crate::world::{Ca, Gateway, Identity, SILENCE, Valid, events, leg_of, relay, wait};

const SENDER: &str = "dr.smith@direct.partner.test";

struct House {
    folder: tempfile::TempDir,
    dns: Dns,
    identity: Identity,
    partner: Partner,
    gateway: Gateway,
}

fn house() -> House {
    let folder = tempfile::tempdir().expect("a folder");
    let dns = Dns::start();
    let identity = Identity::new(folder.path(), "direct.north.test");
    let partner = Partner::new(folder.path(), "direct.partner.test", &dns);
    let gateway = Gateway::init(folder.path(), &identity, &dns);
    dns.hisp(
        &identity.domain,
        gateway.ip,
        Some(&identity.leaf.certificate),
    );
    gateway.trust(&partner.identity);
    House {
        folder,
        dns,
        identity,
        partner,
        gateway,
    }
}

impl House {
    /// One more domain, with a certificate under a CA of its own.
    fn domain(&self, domain: &str, valid: Valid) -> Identity {
        let ca = Ca::new(&format!("CA of {domain}"));
        let leaf = ca.domain(domain, valid);
        let identity = Identity::of(self.folder.path(), domain, ca, leaf);
        self.gateway.ask(&["domain", "add", domain]);
        let (file, key) = (identity.file("leaf.pem"), identity.file("leaf.key"));
        let (file, key) = (file.to_str().expect("plain"), key.to_str().expect("plain"));
        self.gateway.ask(&["cert", "import", file, "--key", key]);
        self.dns
            .hisp(domain, self.gateway.ip, Some(&identity.leaf.certificate));
        identity
    }
}

/// Trust is per recipient: one message to two domains is delivered where its signer is trusted, and only that recipient answers.
#[test]
fn one_message_to_two_domains_is_delivered_where_its_signer_is_trusted() {
    let mut house = house();
    let south = house.domain("direct.south.test", Valid::Now);
    house.gateway.sql(
        "INSERT INTO trust_profile (name, tenant_id) VALUES ('closed', 'default');
         UPDATE domain SET trust_in = 'closed' WHERE name = 'direct.south.test';",
    );
    let (open, closed) = ("a@direct.north.test", "b@direct.south.test");
    house.gateway.mailbox(open);
    house.gateway.mailbox(closed);
    house.gateway.serve();

    let text = letter(SENDER, &[open, closed], "two@direct.partner.test", "fine");
    let to = [&house.identity.leaf, &south.leaf];
    let last = house
        .partner
        .send(house.gateway.ip, SENDER, &[open, closed], &text, &to);
    assert!(last.starts_with("250 "), "{last}");
    house.gateway.mail_with(open, "two@direct.partner.test");
    let message = house
        .gateway
        .leg("two@direct.partner.test", "in", closed, "refused");
    assert_eq!(
        leg_of(&message, closed).expect("a leg")["reason"],
        "no-path",
        "{message:#}"
    );
    house
        .gateway
        .leg("two@direct.partner.test", "in", open, "delivered");

    let answers = house.partner.opened(1, &house.identity);
    let said = answers[0].disposition().expect("an MDN");
    assert_eq!(
        said,
        (
            "processed".to_owned(),
            "<two@direct.partner.test>".to_owned()
        )
    );
    assert_eq!(answers[0].received.from, open);
    std::thread::sleep(SILENCE);
    assert_eq!(
        house.partner.sink.received().len(),
        1,
        "more than one answer"
    );
    assert!(
        house.gateway.mail(closed).is_empty(),
        "delivered where it is not trusted"
    );
}

/// An unknown mailbox: where unknown recipients are accepted, the partner hears processed, then failed; where they are rejected,
/// 550 at RCPT and nothing more.
#[test]
fn an_unknown_mailbox_is_answered_or_rejected_as_the_domain_says() {
    let mut house = house();
    let south = house.domain("direct.south.test", Valid::Now);
    house
        .gateway
        .sql("UPDATE domain SET unknown_recipient = 'accept' WHERE name = 'direct.south.test';");
    house.gateway.mailbox("known@direct.north.test");
    house.gateway.serve();

    let nobody = "nobody@direct.north.test";
    let text = letter(SENDER, &[nobody], "1@direct.partner.test", "fine");
    let sealed = house.partner.seal(&text, &[&house.identity.leaf]);
    let replies = relay(house.gateway.ip, SENDER, &[nobody], &sealed);
    assert!(
        replies
            .last()
            .is_some_and(|last| last.starts_with("550 5.1.1")),
        "{replies:?}"
    );

    let nobody = "nobody@direct.south.test";
    let text = letter(SENDER, &[nobody], "2@direct.partner.test", "fine");
    let last = house
        .partner
        .send(house.gateway.ip, SENDER, &[nobody], &text, &[&south.leaf]);
    assert!(last.starts_with("250 "), "{last}");
    let answers = house.partner.opened(2, &south);
    let mut said: Vec<_> = answers
        .iter()
        .filter_map(|answer| answer.disposition())
        .collect();
    said.sort();
    let about = "<2@direct.partner.test>".to_owned();
    assert_eq!(
        said,
        [
            ("failed".to_owned(), about.clone()),
            ("processed".to_owned(), about)
        ]
    );
    let message = house
        .gateway
        .leg("2@direct.partner.test", "in", nobody, "undeliverable");
    assert_eq!(
        leg_of(&message, nobody).expect("a leg")["reason"],
        "unknown-recipient"
    );
}

/// Two domains of one house write to each other by the same rules, and no socket is opened for it.
#[test]
fn mail_between_two_local_domains_takes_the_same_road_without_a_socket() {
    let mut house = house();
    let south = house.domain("direct.south.test", Valid::Now);
    house.gateway.trust(&south);
    house.gateway.trust(&house.identity);
    let (north, doctor) = ("a@direct.north.test", "b@direct.south.test");
    house.gateway.person(north);
    house.gateway.mailbox(doctor);
    // Whoever asked the MX of the local domain would come here.
    let trap = crate::world::Sink::start();
    house.dns.hisp("direct.south.test", trap.ip, None);
    house.gateway.serve();

    let text = letter(north, &[doctor], "local@direct.north.test", "fine");
    let id = house.gateway.submit(north, &[doctor], &text).id();
    house.gateway.mail_with(doctor, "local@direct.north.test");
    let message = house.gateway.leg(&id, "out", doctor, "processed");
    assert_eq!(
        leg_of(&message, doctor).expect("a leg")["answer"],
        "delivered"
    );
    assert_eq!(
        (events(&message, "sealed"), events(&message, "handed-over")),
        (1, 1),
        "{message:#}"
    );
    let taken = house
        .gateway
        .leg("local@direct.north.test", "in", doctor, "delivered");
    assert_eq!(
        (events(&taken, "opened"), events(&taken, "granted")),
        (1, 1),
        "{taken:#}"
    );
    assert_eq!(trap.connections(), 0, "a socket was opened");

    // The nearest refused: the same road without trust.
    house.gateway.ask(&["anchor", "rm", &south.domain]);
    let text = letter(north, &[doctor], "untrusted@direct.north.test", "fine");
    let id = house.gateway.submit(north, &[doctor], &text).id();
    house.gateway.leg(&id, "out", doctor, "failed");
    assert_eq!(house.gateway.mail(doctor).len(), 1);
}

/// A fault of one domain is that domain's: an expired certificate, a key that does not match, is an alarm, and the others work.
#[test]
fn a_domain_with_a_bad_certificate_is_an_alarm_and_the_others_work() {
    let mut house = house();
    let expired = house.domain("direct.expired.test", Valid::ForSeconds);
    house.domain("direct.mixed.test", Valid::Now);
    // The certificate of another key: what a restored backup may look like.
    house.gateway.sql(
        "UPDATE identity SET certificate = (SELECT certificate FROM identity WHERE domain = 'direct.expired.test')
         WHERE domain = 'direct.mixed.test';",
    );
    let (well, ill) = ("a@direct.north.test", "b@direct.expired.test");
    house.gateway.person(well);
    house.gateway.person(ill);
    wait("the certificate to expire", || {
        let now = carepost::world::World::real().now();
        let leaf = carepost::trust::Certificate::parse(&expired.leaf.certificate).expect("parses");
        (now > leaf.not_after()).then_some(())
    });
    house.gateway.serve();

    let health = house
        .gateway
        .command(&["--json", "health"])
        .output()
        .expect("starts");
    let health = String::from_utf8_lossy(&health.stdout).into_owned();
    for domain in ["direct.expired.test", "direct.mixed.test"] {
        assert!(health.contains(domain), "no alarm for {domain}: {health}");
    }
    let log = std::fs::read_to_string(house.gateway.dir.join("log")).expect("a log");
    assert!(log.contains("direct.expired.test expired"), "{log}");

    let to = "dr.smith@direct.partner.test";
    house
        .gateway
        .submit(
            well,
            &[to],
            &letter(well, &[to], "1@direct.north.test", "fine"),
        )
        .id();
    house.partner.opened(1, &house.identity);
    let id = house
        .gateway
        .submit(
            ill,
            &[to],
            &letter(ill, &[to], "2@direct.expired.test", "fine"),
        )
        .id();
    let message = house.gateway.leg(&id, "out", to, "failed");
    assert_eq!(
        leg_of(&message, to).expect("a leg")["reason"],
        "no-identity",
        "{message:#}"
    );
    house
        .gateway
        .mail_with(ill, "X-Original-Message-ID: <2@direct.expired.test>");
    assert_eq!(
        house.partner.sink.received().len(),
        1,
        "signed with an expired certificate"
    );
}
