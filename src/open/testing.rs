//! A small world for the tests of `open` and `seal`: two HISPs, their people, and the `openssl` command
//! line as a foreign peer.
//! In: what a test wants to send. Out: accepted messages, and what became of them. Time stands still.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use crate::certs::{Identity, IdentityState, KeyRing};
use crate::crypto::issue::{
    Issued, KeyKind, Purpose, Template, crl, issue, make_key, pem_certificate, pem_key,
};
use crate::envelope::{Address, Envelope, ListenerKind, Peer, Recipient, ReturnPath, TrackingId};
use crate::spool::Accepted;
use crate::store::{Bodies, Body, KeyEncryptionKey};
use crate::trust::{AnchorSet, Anchors, Certificate, Crl, DomainTrust, Profile};
use crate::world::{Timestamp, World};

use super::{Opened, Unopenable, open};

pub(crate) const ALICE: &str = "alice@direct.a.example";
pub(crate) const BOB: &str = "bob@direct.b.example";
pub(crate) const CAROL: &str = "carol@direct.b.example";

/// 2026-11-22T01:02:03Z.
const NOW: i64 = 1_795_309_323;
const DAY: i64 = 86_400;

/// Keys are made once for all tests.
struct Pki {
    ca: Issued,
    parties: HashMap<&'static str, Issued>,
}

fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(|| {
        let world = World::at(Timestamp::from_unix_s(NOW));
        let ca = party(
            &world,
            "ca",
            Purpose::Ca { path_len: None },
            KeyKind::Rsa(2_048),
            None,
        );
        let mut parties = HashMap::new();
        for (name, address, domain, kind) in [
            ("alice", Some(ALICE), None, KeyKind::Rsa(2_048)),
            ("alice-ec", Some(ALICE), None, KeyKind::P256),
            (
                "eve",
                Some("eve@direct.a.example"),
                None,
                KeyKind::Rsa(2_048),
            ),
            ("bob", Some(BOB), None, KeyKind::Rsa(2_048)),
            ("bob-ec", Some(BOB), None, KeyKind::P256),
            ("bob-384", Some(BOB), None, KeyKind::P384),
            ("carol", Some(CAROL), None, KeyKind::Rsa(2_048)),
            (
                "b-domain",
                None,
                Some("direct.b.example"),
                KeyKind::Rsa(2_048),
            ),
        ] {
            let purpose = Purpose::Direct {
                address: address.map(str::to_owned),
                domain: domain.map(str::to_owned),
            };
            parties.insert(name, party(&world, name, purpose, kind, Some(&ca)));
        }
        Pki { ca, parties }
    })
}

fn party(
    world: &World,
    name: &str,
    purpose: Purpose,
    kind: KeyKind,
    ca: Option<&Issued>,
) -> Issued {
    let template = Template {
        common_name: name.to_owned(),
        purpose,
        not_before: Timestamp::from_unix_s(NOW - 30 * DAY),
        not_after: Timestamp::from_unix_s(NOW + 300 * DAY),
        crl_url: None,
        claimed_ski: None,
    };
    issue(world, &template, &make_key(kind).expect("makes a key"), ca).expect("issues")
}

pub(crate) fn address(text: &str) -> Address {
    Address::parse(text).expect("an address")
}

/// One test's directory, store of bodies, and clock.
pub(crate) struct Scene {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) bodies: Bodies,
    pub(crate) world: World,
    pub(crate) profile: Profile,
    /// Whose keys the receiving side has.
    pub(crate) holders: Vec<&'static str>,
    pub(crate) mail_from: Option<&'static str>,
    pub(crate) rcpt_to: Vec<&'static str>,
}

impl Scene {
    /// Alice writes to Bob, v1.3.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let world = World::at(Timestamp::from_unix_s(NOW));
        let key = KeyEncryptionKey::new([7; 32]);
        Self {
            bodies: Bodies::new(&dir.path().join("blobs"), key, world.clone()),
            dir,
            world,
            profile: Profile::V1_3,
            holders: vec!["bob"],
            mail_from: Some(ALICE),
            rcpt_to: vec![BOB],
        }
    }

    pub(crate) fn certificate(name: &str) -> Arc<Certificate> {
        Certificate::parse(&pki().parties[name].certificate).expect("a certificate")
    }

    pub(crate) fn identity(name: &str) -> Identity {
        let certificate = Self::certificate(name);
        let named = certificate
            .san_mail()
            .iter()
            .chain(certificate.san_dns())
            .next();
        let domain = named.map(|name| name.rsplit('@').next().unwrap_or(name).to_owned());
        Identity {
            certificate,
            chain: vec![],
            key: pki().parties[name].key.clone(),
            domain: domain.expect("a subjectAltName"),
            state: IdentityState::Active,
        }
    }

    /// The CA as a certificate.
    pub(crate) fn ca() -> Arc<Certificate> {
        Certificate::parse(&pki().ca.certificate).expect("a certificate")
    }

    /// The CA's list of today: these parties are revoked.
    pub(crate) fn crl(revoked: &[&str]) -> Arc<Crl> {
        let serial = |name: &&str| {
            let (_, read) = x509_parser::parse_x509_certificate(&pki().parties[*name].certificate)
                .expect("a certificate");
            read.raw_serial().to_vec()
        };
        let serials: Vec<Vec<u8>> = revoked.iter().map(serial).collect();
        let at = |since| Timestamp::from_unix_s(NOW + since);
        let der = crl(&pki().ca, &serials, at(-DAY), at(DAY)).expect("a list");
        Crl::parse(&der).expect("reads")
    }

    /// Both domains trust the one CA.
    pub(crate) fn anchors(&self) -> Anchors {
        let ca = Certificate::parse(&pki().ca.certificate).expect("a certificate");
        let set = Arc::new(AnchorSet::new([ca]));
        let trust = DomainTrust {
            tenant: "default".to_owned(),
            profile: self.profile,
            inbound: Arc::clone(&set),
            outbound: set,
            revocation: crate::trust::RevocationRules::default(),
        };
        let domains = ["direct.a.example", "direct.b.example"];
        Anchors::new(
            domains
                .map(|domain| (domain.to_owned(), trust.clone()))
                .into(),
        )
    }

    pub(crate) fn accepted(&self, body: Body) -> Accepted {
        let envelope = Envelope {
            id: TrackingId::new(&self.world),
            listener: ListenerKind::Relay,
            account: None,
            peer: Peer {
                ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
                helo: "a.example".to_owned(),
                tls: None,
            },
            return_path: self
                .mail_from
                .map_or(ReturnPath::Null, |from| ReturnPath::To(address(from))),
            recipients: self
                .rcpt_to
                .iter()
                .map(|to| Recipient::plain(address(to)))
                .collect(),
            envid: None,
            ret: None,
            body: None,
            received_at: self.world.now(),
        };
        Accepted {
            envelope,
            tenant: "default".to_owned(),
            body,
        }
    }

    /// Opens octets as they came from the wire.
    pub(crate) fn open(&self, message: &[u8]) -> Result<Opened, Unopenable> {
        self.open_body(self.bodies.of(message).expect("a body"))
    }

    pub(crate) fn open_body(&self, body: Body) -> Result<Opened, Unopenable> {
        let keys = KeyRing::of(self.holders.iter().map(|name| Self::identity(name)));
        open(
            &self.accepted(body),
            &keys,
            &self.anchors(),
            &self.bodies,
            &self.world,
        )
    }

    /// Writes a file; its path.
    pub(crate) fn file(&self, name: &str, octets: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, octets).expect("writes");
        path
    }

    /// PEM files of a party: certificate, key.
    pub(crate) fn pem(&self, name: &str) -> (PathBuf, PathBuf) {
        let issued = &pki().parties[name];
        let key = pem_key(&issued.key).expect("a key");
        (
            self.file(
                &format!("{name}.pem"),
                pem_certificate(&issued.certificate).as_bytes(),
            ),
            self.file(&format!("{name}.key"), &key),
        )
    }

    /// `openssl cms ...` on a file, as a foreign peer.
    pub(crate) fn openssl(&self, input: &[u8], arguments: &[&str]) -> Vec<u8> {
        let (input, output) = (self.file("in", input), self.dir.path().join("out"));
        let run = Command::new("openssl")
            .arg("cms")
            .args(arguments.iter().take(1))
            .args([Path::new("-in"), &input, Path::new("-out"), &output])
            .args(arguments.iter().skip(1))
            .current_dir(self.dir.path())
            .output()
            .expect("the openssl command line");
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(run.status.success(), "{arguments:?}: {said}");
        std::fs::read(output).expect("reads")
    }

    /// Signs an entity with `openssl cms -sign`; more options may follow.
    pub(crate) fn sign(&self, entity: &[u8], signer: &str, options: &[&str]) -> Vec<u8> {
        let (certificate, key) = self.pem(signer);
        let mut arguments = vec!["-sign", "-signer", text(&certificate), "-inkey", text(&key)];
        arguments.extend(options);
        self.openssl(entity, &arguments)
    }

    /// Encrypts an entity with `openssl cms -encrypt` to DER, and puts an outer header on it.
    pub(crate) fn encrypt(&self, entity: &[u8], recipients: &[&str], options: &[&str]) -> Vec<u8> {
        self.outer(
            "application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m",
            &self.encrypt_der(entity, recipients, options),
        )
    }

    pub(crate) fn encrypt_der(
        &self,
        entity: &[u8],
        recipients: &[&str],
        options: &[&str],
    ) -> Vec<u8> {
        let files: Vec<PathBuf> = recipients.iter().map(|name| self.pem(name).0).collect();
        let mut arguments = vec!["-encrypt", "-binary", "-outform", "DER"];
        arguments.extend(options);
        arguments.extend(files.iter().map(|file| text(file)));
        self.openssl(entity, &arguments)
    }

    /// An outer header over base64 of these octets.
    pub(crate) fn outer(&self, content_type: &str, der: &[u8]) -> Vec<u8> {
        let header = format!(
            "From: {ALICE}\r\nTo: {BOB}\r\nMessage-ID: <1@direct.a.example>\r\nDate: Sun, 22 Nov 2026 01:00:00 +0000\r\n\
             Subject: outside\r\nMIME-Version: 1.0\r\nContent-Type: {content_type}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        );
        let mut lines = crate::mime::Base64Lines::new(header.into_bytes());
        std::io::Write::write_all(&mut lines, der).expect("memory takes it");
        lines.finish().expect("memory takes it")
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path of ASCII")
}

/// Alice's message, with these header lines instead of her own.
pub(crate) fn message_with(header: &str) -> String {
    format!(
        "{header}MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nPlease see her soon.\r\n--\r\nAlice\r\n"
    )
}

pub(crate) const HEADER: &str = "From: Alice <alice@direct.a.example>\r\nTo: \"Dr. Bob\" <Bob@direct.b.example>\r\n\
    Subject: Referral\r\nDate: Sun, 22 Nov 2026 01:00:00 +0000\r\nMessage-ID: <1@direct.a.example>\r\n";

pub(crate) fn message() -> String {
    message_with(HEADER)
}

/// In the wrapper of A-031.
pub(crate) fn wrapped(message: &str) -> Vec<u8> {
    format!("Content-Type: message/rfc822\r\n\r\n{message}").into_bytes()
}

pub(crate) fn to_lf(octets: &[u8]) -> Vec<u8> {
    octets
        .iter()
        .copied()
        .filter(|octet| *octet != b'\r')
        .collect()
}
