//! Hand-over to clinics' own mail systems: an SMTP server, and a real Dovecot by LMTP.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::dns::Dns;
use crate::partner::{Partner, asking, letter};
use crate::world::{Gateway, Identity, RELAY, Sink, leg_of, run, wait};

const SENDER: &str = "dr.smith@direct.partner.test";
const DOCTOR: &str = "dr.baker@direct.clinic.test";

struct House {
    folder: tempfile::TempDir,
    identity: Identity,
    partner: Partner,
    gateway: Gateway,
    _dns: Dns,
}

fn house(route: impl FnOnce(&Path) -> String) -> House {
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
    gateway.ask(&["address", "add", DOCTOR, "--route", &route(folder.path())]);
    gateway.serve();
    House {
        folder,
        identity,
        partner,
        gateway,
        _dns: dns,
    }
}

impl House {
    /// A message that asks for a notification of delivery; what was said about it, sorted.
    fn said(&self, id: &str, answers: usize) -> Vec<String> {
        let text = asking(&letter(SENDER, &[DOCTOR], id, "fine"));
        let last = self.partner.send(
            self.gateway.ip,
            SENDER,
            &[DOCTOR],
            &text,
            &[&self.identity.leaf],
        );
        assert!(last.starts_with("250 "), "{last}");
        let opened = self.partner.opened(answers, &self.identity);
        let mut said: Vec<_> = opened
            .iter()
            .filter_map(|one| one.disposition())
            .map(|(kind, _)| kind)
            .collect();
        said.sort();
        said
    }
}

/// An SMTP edge gets the message as it was written, and only its 250 makes `dispatched`.
#[test]
fn an_smtp_edge_gets_the_message_and_its_250_makes_dispatched() {
    let edge = Sink::start();
    let house = house(|_| format!("smtp+plain://{}:{RELAY}", edge.ip));
    assert_eq!(
        house.said("1@direct.partner.test", 2),
        ["dispatched", "processed"]
    );
    let kept = edge.wait_for(1);
    let text = String::from_utf8_lossy(&kept[0].octets).into_owned();
    assert!(
        text.contains("Message-ID: <1@direct.partner.test>\r\n") && text.contains("\r\nfine\r\n"),
        "{text}"
    );
    assert_eq!(
        (kept[0].from.as_str(), kept[0].to.as_slice()),
        (SENDER, &[DOCTOR.to_owned()][..])
    );
}

/// An edge that refuses is told on as `failed`, never as `dispatched`.
#[test]
fn an_edge_that_refuses_makes_failed() {
    let edge = Sink::with(|_| "550 5.2.1 mailbox closed");
    let house = house(|_| format!("smtp+plain://{}:{RELAY}", edge.ip));
    assert_eq!(
        house.said("1@direct.partner.test", 2),
        ["failed", "processed"]
    );
    let message = house
        .gateway
        .leg("1@direct.partner.test", "in", DOCTOR, "undeliverable");
    let leg = leg_of(&message, DOCTOR).expect("a leg").clone();
    assert_eq!(leg["reason"], "edge-refused", "{message:#}");
    assert!(
        leg["detail"]
            .as_str()
            .is_some_and(|text| text.contains("mailbox closed")),
        "{message:#}"
    );
}

/// Dovecot takes the message by LMTP over a socket, and has it in the doctor's mailbox when `dispatched` is said.
#[test]
fn dovecot_takes_it_by_lmtp() {
    let house = house(|folder| format!("lmtp:unix:{}", folder.join("lmtp.sock").display()));
    let _dovecot = Dovecot::start(house.folder.path());
    assert_eq!(
        house.said("1@direct.partner.test", 2),
        ["dispatched", "processed"]
    );
    let mailbox = house.folder.path().join("mail").join(DOCTOR).join("new");
    let files: Vec<_> = std::fs::read_dir(&mailbox).expect("a mailbox").collect();
    assert_eq!(files.len(), 1, "{}", mailbox.display());
    let text = std::fs::read_to_string(files[0].as_ref().expect("a file").path()).expect("a mail");
    assert!(
        text.contains("Message-ID: <1@direct.partner.test>"),
        "{text}"
    );
}

/// A Dovecot of our own: LMTP alone, in a folder, as this user.
struct Dovecot(Child);

impl Dovecot {
    fn start(folder: &Path) -> Self {
        let mail = folder.join("mail");
        std::fs::create_dir_all(&mail).expect("a folder");
        let (user, group, mail_user) = users();
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).expect("ours");
        if mail_user != user {
            run(Command::new("chown").arg(&mail_user).arg(&mail));
        }
        let at = folder.display();
        let text = format!(
            "base_dir = {at}/dovecot\nstate_dir = {at}/dovecot\nlog_path = {at}/dovecot.log\nprotocols = lmtp\nssl = no\n\
             default_internal_user = {user}\ndefault_internal_group = {group}\ndefault_login_user = {user}\n\
             mail_location = maildir:{at}/mail/%u\n\
             userdb {{\n  driver = static\n  args = uid={mail_user} gid={group} home={at}/mail/%u allow_all_users=yes\n}}\n\
             service lmtp {{\n  unix_listener {at}/lmtp.sock {{\n    mode = 0600\n    user = {user}\n  }}\n}}\n\
             service anvil {{\n  chroot =\n}}\nservice stats {{\n  chroot =\n}}\n"
        );
        let file = folder.join("dovecot.conf");
        std::fs::write(&file, text).expect("written");
        let mut command = Command::new("dovecot");
        command.arg("-F").arg("-c").arg(&file).stdin(Stdio::null());
        let mut dovecot = Self(command.spawn().expect("dovecot is installed"));
        let (socket, log) = (folder.join("lmtp.sock"), folder.join("dovecot.log"));
        wait("dovecot", || {
            let ended = dovecot.0.try_wait().expect("a child of ours");
            assert!(
                ended.is_none(),
                "dovecot ended: {:?}",
                std::fs::read_to_string(&log)
            );
            socket.exists().then_some(())
        });
        dovecot
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let _sent = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ended = self.0.wait();
    }
}

/// Who runs it, in which group, and whose the mail is: Dovecot gives nobody's mail to root.
fn users() -> (String, String, String) {
    let id = |option: &str| {
        let output = run(Command::new("id").args([option, "-n"]));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let (user, group) = (id("-u"), id("-g"));
    match user.as_str() {
        "root" => (user, "nogroup".to_owned(), "nobody".to_owned()),
        _ => (user.clone(), group, user),
    }
}
