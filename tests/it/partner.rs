//! Another HISP, made of the `openssl` command line: it seals, sends, and opens what it is sent. Nothing here is carepost's own
//! S/MIME. Every message that it opens goes through the linter.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use carepost::crypto::issue::{self, Issued};

use crate::dns::Dns;
use crate::linter::{self, Entity};
use crate::world::{self, Desk, Identity, Received, Sink, run};

/// A message in clear, as its author wrote it. `id` without brackets.
pub fn letter(from: &str, to: &[&str], id: &str, text: &str) -> String {
    format!(
        "From: {from}\r\nTo: {}\r\nSubject: Referral\r\nDate: Sun, 22 Nov 2026 01:02:03 +0000\r\nMessage-ID: <{id}>\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n{text}\r\n",
        to.join(", ")
    )
}

/// The same, asking for a notification of delivery (Delivery Notification IG §1.3).
pub fn asking(letter: &str) -> String {
    format!(
        "Disposition-Notification-Options: X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true\r\n{letter}"
    )
}

/// A notification (RFC 8098) about the message `about`, in clear.
pub fn mdn(from: &str, to: &str, about: &str, disposition: &str) -> String {
    format!(
        "From: {from}\r\nTo: {to}\r\nSubject: report\r\nDate: Sun, 22 Nov 2026 01:02:03 +0000\r\n\
         Message-ID: <{disposition}.{about}>\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=disposition-notification; boundary=\"part\"\r\n\r\n\
         --part\r\nContent-Type: text/plain\r\n\r\nIt was {disposition}.\r\n\
         --part\r\nContent-Type: message/disposition-notification\r\n\r\n\
         Reporting-UA: partner.test\r\nFinal-Recipient: rfc822;{from}\r\nOriginal-Message-ID: <{about}>\r\n\
         Disposition: automatic-action/MDN-sent-automatically;{disposition}\r\n\r\n--part--\r\n"
    )
}

/// What a sealed message turned out to be.
#[derive(Debug)]
pub struct Opened {
    pub received: Received,
    /// The signed entity: `Content-Type: message/rfc822` and the message.
    pub entity: String,
}

impl Opened {
    pub fn message(&self) -> Entity {
        let entity = Entity::parse(&self.entity);
        match entity.media_type().as_str() {
            "message/rfc822" => Entity::parse(&entity.body),
            _ => entity,
        }
    }

    /// What an MDN says: disposition type and the id of the message it is about.
    pub fn disposition(&self) -> Option<(String, String)> {
        let message = self.message();
        let parts = message.parts();
        let part = parts
            .iter()
            .find(|part| part.media_type() == "message/disposition-notification")?;
        let fields = Entity::parse(&format!("{}\n\n", part.body.trim()));
        let (_, kind) = fields.one("Disposition").split_once(';')?;
        Some((
            kind.trim().to_owned(),
            fields.one("Original-Message-ID").to_owned(),
        ))
    }
}

pub struct Partner {
    pub identity: Identity,
    pub sink: Sink,
}

impl Partner {
    /// With a mail server and a certificate in DNS.
    pub fn new(folder: &Path, domain: &str, dns: &Dns) -> Self {
        Self::with(folder, domain, dns, |_| "250 2.1.5 fine")
    }

    pub fn with(folder: &Path, domain: &str, dns: &Dns, desk: Desk) -> Self {
        let identity = Identity::new(folder, domain);
        let sink = Sink::with(desk);
        dns.hisp(domain, sink.ip, Some(&identity.leaf.certificate));
        Self { identity, sink }
    }

    /// Wraps, signs and encrypts.
    pub fn seal(&self, letter: &str, recipients: &[&Issued]) -> Vec<u8> {
        seal(&self.identity, letter, recipients)
    }

    /// Seals and sends; the last reply.
    pub fn send(
        &self,
        gateway: Ipv4Addr,
        from: &str,
        to: &[&str],
        letter: &str,
        recipients: &[&Issued],
    ) -> String {
        let sealed = self.seal(letter, recipients);
        world::relay(gateway, from, to, &sealed)
            .pop()
            .unwrap_or_default()
    }

    /// Opens what came, which must be signed by someone under this CA.
    pub fn open(&self, received: &Received, from: &Identity) -> Opened {
        open(&self.identity, received, from)
    }

    /// Waits for so many messages, and opens them all.
    pub fn opened(&self, count: usize, from: &Identity) -> Vec<Opened> {
        let received = self.sink.wait_for(count);
        received.iter().map(|one| self.open(one, from)).collect()
    }
}

fn scratch(folder: &Path, kind: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    folder.join(format!("{}.{kind}", COUNT.fetch_add(1, Ordering::SeqCst)))
}

fn openssl(arguments: &[&str], files: &[(&str, &Path)]) {
    let mut command = Command::new("openssl");
    command.args(arguments);
    for (option, file) in files {
        command.arg(option).arg(file);
    }
    run(&mut command);
}

/// `openssl cms -sign`, then `-encrypt`, with fresh headers outside.
pub fn seal(signer: &Identity, letter: &str, recipients: &[&Issued]) -> Vec<u8> {
    let entity = format!("Content-Type: message/rfc822\r\n\r\n{letter}");
    seal_entity(signer, letter, &entity, recipients)
}

/// The same of any entity; the headers outside are those of `letter`.
pub fn seal_entity(
    signer: &Identity,
    letter: &str,
    entity: &str,
    recipients: &[&Issued],
) -> Vec<u8> {
    let (clear, signed) = (
        scratch(&signer.dir, "clear"),
        scratch(&signer.dir, "signed"),
    );
    std::fs::write(&clear, entity).expect("written");
    let (certificate, key) = (signer.file("leaf.pem"), signer.file("leaf.key"));
    openssl(
        &["cms", "-sign", "-md", "sha256"],
        &[
            ("-in", &clear),
            ("-signer", &certificate),
            ("-inkey", &key),
            ("-out", &signed),
        ],
    );
    encrypt(signer, letter, &signed, recipients)
}

/// Encrypts an entity in a file, without a look at what it is.
pub fn encrypt(signer: &Identity, letter: &str, entity: &Path, recipients: &[&Issued]) -> Vec<u8> {
    let sealed = scratch(&signer.dir, "sealed");
    let mut command = Command::new("openssl");
    command
        .args(["cms", "-encrypt", "-aes-256-cbc", "-in"])
        .arg(entity)
        .arg("-out")
        .arg(&sealed);
    for recipient in recipients {
        let file = scratch(&signer.dir, "pem");
        std::fs::write(&file, issue::pem_certificate(&recipient.certificate)).expect("written");
        command.arg(file);
    }
    run(&mut command);
    let header = Entity::parse(letter);
    let mut text = String::new();
    for name in ["From", "To", "Date", "Message-ID"] {
        text.push_str(&format!("{name}: {}\n", header.one(name)));
    }
    text.push_str(&std::fs::read_to_string(&sealed).expect("base64"));
    text.replace('\n', "\r\n").into_bytes()
}

/// `openssl cms -decrypt`, then `-verify`; and the linter over all three layers.
pub fn open(owner: &Identity, received: &Received, from: &Identity) -> Opened {
    let outer = String::from_utf8(received.octets.clone()).expect("sealed mail is ASCII");
    let (sealed, signed) = (scratch(&owner.dir, "sealed"), scratch(&owner.dir, "signed"));
    let (clear, signature, signer) = (
        scratch(&owner.dir, "clear"),
        scratch(&owner.dir, "p7s"),
        scratch(&owner.dir, "signer"),
    );
    std::fs::write(&sealed, &received.octets).expect("written");
    let (certificate, key) = (owner.file("leaf.pem"), owner.file("leaf.key"));
    openssl(
        &["cms", "-decrypt"],
        &[
            ("-in", &sealed),
            ("-recip", &certificate),
            ("-inkey", &key),
            ("-out", &signed),
        ],
    );
    let roots = from.file("ca.pem");
    openssl(
        &["cms", "-verify"],
        &[
            ("-in", &signed),
            ("-CAfile", &roots),
            ("-out", &clear),
            ("-signer", &signer),
        ],
    );
    let read = |file: &Path| std::fs::read_to_string(file).expect("text");
    let (signed_text, entity) = (read(&signed), read(&clear));
    // The signature alone, for its inside.
    let parts = Entity::parse(&signed_text).parts();
    let pem = parts
        .last()
        .map(|part| part.body.trim().to_owned())
        .unwrap_or_default();
    std::fs::write(
        &signature,
        format!("-----BEGIN CMS-----\n{pem}\n-----END CMS-----\n"),
    )
    .expect("written");
    let inside = run(Command::new("openssl")
        .args(["cms", "-cmsout", "-print", "-inform", "PEM", "-in"])
        .arg(&signature));
    let about = run(Command::new("openssl")
        .args(["x509", "-noout", "-text", "-in"])
        .arg(&signer));
    let mut complaints = linter::outer(&outer);
    complaints.extend(linter::signed(
        &signed_text,
        &String::from_utf8_lossy(&inside.stdout),
    ));
    complaints.extend(linter::certificate(&String::from_utf8_lossy(&about.stdout)));
    complaints.extend(linter::inner(&entity));
    assert!(
        complaints.is_empty(),
        "{complaints:#?}\n{outer}\n----\n{signed_text}\n----\n{entity}"
    );
    Opened {
        received: received.clone(),
        entity,
    }
}
