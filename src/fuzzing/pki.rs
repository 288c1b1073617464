//! Keys and certificates, made once a process: nothing secret is kept in the repository. In: nothing. Out:
//! a CA, an intermediate, Alice who signs, Bob who opens; and their messages, sealed by hand so that each
//! layer can be bent.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};

use crate::certs::{Identity, IdentityState, KeyRing};
use crate::cms::{EnvelopedPlan, Identifier, KeyTransRecipient, signed_attributes, signed_data};
use crate::crypto::issue::{Issued, KeyKind, Purpose, Template, issue, make_key};
use crate::crypto::{ContentCipher, DigestAlgorithm, Encryptor, KeyTransport, Secret, sha256};
use crate::envelope::{Address, Envelope, ListenerKind, Peer, Recipient, ReturnPath, TrackingId};
use crate::mime::Base64Lines;
use crate::spool::Accepted;
use crate::store::{Bodies, Body, KeyEncryptionKey};
use crate::trust::{AnchorSet, Anchors, Certificate, DomainTrust, Profile};
use crate::world::{Timestamp, World};

pub(super) const ALICE: &str = "alice@direct.a.example";
pub(super) const BOB: &str = "bob@direct.b.example";
/// 2026-11-22T01:02:03Z.
pub(super) const NOW: Timestamp = Timestamp(1_795_309_323_000_000);
const DAY_US: i64 = 86_400_000_000;

pub(super) const HEADER: &str = "From: Alice <alice@direct.a.example>\r\nTo: \"Dr. Bob\" <Bob@direct.b.example>\r\n\
    Subject: Referral\r\nDate: Sun, 22 Nov 2026 01:00:00 +0000\r\nMessage-ID: <1@direct.a.example>\r\n";

/// One process's world.
pub(super) struct Pki {
    pub(super) world: World,
    pub(super) bodies: Bodies,
    pub(super) root: Issued,
    pub(super) middle: Issued,
    pub(super) alice: Issued,
    bob: Issued,
    pub(super) ring: KeyRing,
    cek: Secret,
    /// The content key for Bob.
    wrapped: KeyTransRecipient,
}

pub(super) fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(Pki::make)
}

pub(super) fn parsed(issued: &Issued) -> Arc<Certificate> {
    Certificate::parse(&issued.certificate).expect("what we issue, we read")
}

fn party(
    world: &World,
    name: &str,
    purpose: Purpose,
    kind: KeyKind,
    by: Option<&Issued>,
) -> Issued {
    let template = Template {
        common_name: name.to_owned(),
        purpose,
        not_before: Timestamp(NOW.0 - 30 * DAY_US),
        not_after: Timestamp(NOW.0 + 300 * DAY_US),
        crl_url: None,
        claimed_ski: None,
    };
    issue(world, &template, &make_key(kind).expect("a key"), by).expect("a certificate")
}

fn direct(address: &str) -> Purpose {
    Purpose::Direct {
        address: Some(address.to_owned()),
        domain: None,
    }
}

impl Pki {
    fn make() -> Self {
        let world = World::at(NOW);
        let ca = Purpose::Ca { path_len: None };
        let root = party(&world, "root", ca.clone(), KeyKind::P256, None);
        let middle = party(&world, "middle", ca, KeyKind::P256, Some(&root));
        let alice = party(&world, "alice", direct(ALICE), KeyKind::P256, Some(&middle));
        let bob = party(&world, "bob", direct(BOB), KeyKind::Rsa(2_048), Some(&root));
        let certificate = parsed(&bob);
        let rid = Identifier::IssuerAndSerial {
            issuer: certificate.issuer().to_vec(),
            serial: certificate.serial().to_vec(),
        };
        let cek = Secret::new(vec![7; ContentCipher::Aes256Cbc.key_len()]);
        let key = certificate.public_key().expect("an RSA key");
        let transport = KeyTransport::Pkcs1;
        let encrypted_key = key.wrap_cek(transport, &cek).expect("wraps");
        let ring = KeyRing::of([Identity {
            certificate,
            chain: Vec::new(),
            key: bob.key.clone(),
            domain: "direct.b.example".to_owned(),
            state: IdentityState::Active,
        }]);
        let blobs = std::env::temp_dir().join(format!("carepost-fuzz-{}", std::process::id()));
        Self {
            bodies: Bodies::new(&blobs, KeyEncryptionKey::new([7; 32]), world.clone()),
            world,
            root,
            middle,
            alice,
            bob,
            ring,
            cek,
            wrapped: KeyTransRecipient {
                rid,
                transport,
                encrypted_key,
            },
        }
    }

    pub(super) fn body(&self, octets: &[u8]) -> Body {
        self.bodies.of(octets).expect("a body in memory")
    }

    /// Both domains trust the one root.
    pub(super) fn anchors(&self, profile: Profile) -> Anchors {
        let set = Arc::new(AnchorSet::new([parsed(&self.root)]));
        let trust = DomainTrust {
            tenant: "default".to_owned(),
            profile,
            inbound: Arc::clone(&set),
            outbound: set,
            revocation: crate::trust::RevocationRules::default(),
        };
        let domains = ["direct.a.example", "direct.b.example"];
        let domains: HashMap<_, _> = domains
            .map(|domain| (domain.to_owned(), trust.clone()))
            .into();
        Anchors::new(domains)
    }

    /// What SMTP said: Alice to Bob.
    pub(super) fn envelope(&self, listener: ListenerKind) -> Envelope {
        let account = (listener == ListenerKind::Submission).then(|| "desk".to_owned());
        Envelope {
            id: TrackingId::new(&self.world),
            listener,
            account,
            peer: Peer {
                ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
                helo: "a.example".to_owned(),
                tls: None,
            },
            return_path: ReturnPath::To(address(ALICE)),
            recipients: vec![Recipient::plain(address(BOB))],
            envid: None,
            ret: None,
            body: None,
            received_at: self.world.now(),
        }
    }

    pub(super) fn accepted(&self, octets: &[u8]) -> Accepted {
        Accepted {
            envelope: self.envelope(ListenerKind::Relay),
            tenant: "default".to_owned(),
            body: self.body(octets),
        }
    }

    /// Alice's SignedData over these octets.
    pub(super) fn signature(&self, content: &[u8]) -> Vec<u8> {
        let attributes = signed_attributes(&sha256(content), NOW).expect("attributes");
        let signature = self
            .alice
            .key
            .sign(DigestAlgorithm::Sha256, &sha256(&attributes))
            .expect("signs");
        let certificate = parsed(&self.alice);
        let signer = Identifier::IssuerAndSerial {
            issuer: certificate.issuer().to_vec(),
            serial: certificate.serial().to_vec(),
        };
        let bag = [
            self.alice.certificate.clone(),
            self.middle.certificate.clone(),
        ];
        let digest = DigestAlgorithm::Sha256;
        signed_data(&bag, &signer, digest, false, &attributes, &signature).expect("writes")
    }

    /// EnvelopedData for Bob.
    pub(super) fn envelope_der(&self, plain: &[u8]) -> Vec<u8> {
        let cipher = ContentCipher::Aes256Cbc;
        let iv = vec![9; cipher.iv_len()];
        let mut encrypted = Vec::new();
        let mut encryptor = Encryptor::new(cipher, &self.cek, &iv, &[]).expect("a cipher");
        encryptor.update(plain, &mut encrypted).expect("encrypts");
        encryptor.finish(&mut encrypted).expect("encrypts");
        let recipients = std::slice::from_ref(&self.wrapped);
        let len = encrypted.len() as u64;
        let plan = EnvelopedPlan::new(recipients, cipher, &iv, len).expect("a plan");
        [plan.head.clone(), encrypted, plan.tail(None)].concat()
    }

    /// A certificate whose signed part was changed, signed again by `issuer`.
    pub(super) fn resigned(&self, tbs: &[u8], issuer: &Issued) -> Vec<u8> {
        let signature = issuer
            .key
            .sign(DigestAlgorithm::Sha256, &sha256(tbs))
            .expect("signs");
        let bits = element(0x03, &[&[0], &signature]);
        element(0x30, &[tbs, &algorithm(&issuer.certificate), &bits])
    }

    pub(super) fn bob(&self) -> Arc<Certificate> {
        parsed(&self.bob)
    }
}

pub(super) fn address(text: &str) -> Address {
    Address::parse(text).expect("an address")
}

/// multipart/signed.
pub(super) fn multipart(content: &[u8], signature: &[u8]) -> Vec<u8> {
    let head = b"Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256; boundary=b\r\n\r\n--b\r\n";
    let middle = b"\r\n--b\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\nContent-Transfer-Encoding: base64\r\n\r\n";
    let lines = base64(Vec::new(), signature);
    [&head[..], content, middle, &lines, b"--b--\r\n"].concat()
}

/// The outer message.
pub(super) fn outer(der: &[u8]) -> Vec<u8> {
    let header = format!(
        "{HEADER}MIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n"
    );
    base64(header.into_bytes(), der)
}

fn base64(sink: Vec<u8>, octets: &[u8]) -> Vec<u8> {
    let mut lines = Base64Lines::new(sink);
    std::io::Write::write_all(&mut lines, octets).expect("memory takes it");
    lines.finish().expect("memory takes it")
}

/// The message in its wrapper.
pub(super) fn wrapped() -> Vec<u8> {
    format!(
        "Content-Type: message/rfc822\r\n\r\n{HEADER}MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nPlease see her soon.\r\n"
    )
    .into_bytes()
}

/// One DER element.
pub(super) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len();
    let mut out = vec![tag];
    if length < 0x80 {
        out.push(length as u8);
    } else {
        out.push(0x83);
        out.extend_from_slice(&(length as u32).to_be_bytes()[1..]);
        // DER wants the shortest form.
        while out[1] > 0x81 && out[2] == 0 {
            out.remove(2);
            out[1] -= 1;
        }
    }
    out.extend(content);
    out
}

/// Octets of the header of the element at hand, and of the whole.
fn measure(der: &[u8]) -> (usize, usize) {
    let first = usize::from(der[1]);
    if first < 0x80 {
        return (2, 2 + first);
    }
    let octets = first & 0x7f;
    let length = der[2..2 + octets]
        .iter()
        .fold(0, |sum, octet| sum << 8 | usize::from(*octet));
    (2 + octets, 2 + octets + length)
}

/// The signed part of a certificate of ours.
pub(super) fn tbs(certificate: &[u8]) -> &[u8] {
    let (header, _) = measure(certificate);
    let inside = &certificate[header..];
    &inside[..measure(inside).1]
}

/// The contents of an element of ours.
pub(super) fn inside(der: &[u8]) -> &[u8] {
    &der[measure(der).0..]
}

/// The signature algorithm of a certificate of ours.
pub(super) fn algorithm(certificate: &[u8]) -> Vec<u8> {
    let (header, _) = measure(certificate);
    let after = &certificate[header + tbs(certificate).len()..];
    after[..measure(after).1].to_vec()
}
