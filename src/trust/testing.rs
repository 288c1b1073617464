//! Certificates and CRLs for tests and benches, built octet by octet so that single fields can be bent in
//! ways no issuing library allows. Not part of what is built for use.

pub mod bags;
pub mod chance;
pub mod oracle;

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use der::asn1::ObjectIdentifier;

use crate::crypto::issue::{KeyKind, Purpose, Template, issue, make_key};
use crate::crypto::{DigestAlgorithm, PrivateKey, sha256};
use crate::store::{KeyEncryptionKey, Paths, Store};
use crate::world::{Timestamp, World};

use super::Certificate;
use super::tlv;

/// When all tests take place.
pub const NOW: Timestamp = Timestamp(1_795_309_323_000_000);
pub const DAY: Duration = Duration::from_secs(86_400);

pub const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";
pub const RSA_SHA256: &str = "1.2.840.113549.1.1.11";
const DIGITAL_SIGNATURE: u8 = 0x80;
const KEY_ENCIPHERMENT: u8 = 0x20;
const KEY_AGREEMENT: u8 = 0x08;
const KEY_CERT_SIGN: u8 = 0x04;
const CRL_SIGN: u8 = 0x02;

/// One element.
pub fn el(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len();
    let mut out = vec![tag];
    let octets = u32::try_from(length).expect("short").to_be_bytes();
    match octets {
        [0, 0, 0, short] if short < 0x80 => out.push(short),
        [0, 0, 0, long] => out.extend([0x81, long]),
        [0, 0, long, rest] => out.extend([0x82, long, rest]),
        [_, long, rest @ ..] => out.extend([0x83, long, rest[0], rest[1]]),
    }
    out.extend(value);
    out
}

pub fn oid(dotted: &str) -> Vec<u8> {
    el(0x06, ObjectIdentifier::new_unwrap(dotted).as_bytes())
}

/// `CN=text`.
pub fn name(text: &str) -> Vec<u8> {
    let attribute = [oid("2.5.4.3"), el(0x0c, text.as_bytes())].concat();
    el(0x30, &el(0x31, &el(0x30, &attribute)))
}

pub fn extension(dotted: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical {
        el(0x01, &[0xff])
    } else {
        Vec::new()
    };
    el(0x30, &[oid(dotted), critical, el(0x04, value)].concat())
}

pub fn basic_constraints(ca: bool, path_len: Option<u8>) -> Vec<u8> {
    let ca = if ca { el(0x01, &[0xff]) } else { Vec::new() };
    let path_len = path_len.map_or_else(Vec::new, |length| el(0x02, &[length]));
    extension("2.5.29.19", true, &el(0x30, &[ca, path_len].concat()))
}

/// The first octet of the BIT STRING.
pub fn key_usage(bits: u8) -> Vec<u8> {
    let unused = u8::try_from(bits.trailing_zeros()).expect("small").min(7);
    extension("2.5.29.15", true, &el(0x03, &[unused, bits]))
}

/// Names as (tag, text): 1 rfc822Name, 2 dNSName, 6 URI, 7 iPAddress.
pub fn general_names(names: &[(u8, &str)]) -> Vec<u8> {
    names
        .iter()
        .flat_map(|(form, text)| el(0x80 | form, text.as_bytes()))
        .collect()
}

pub fn san(names: &[(u8, &str)]) -> Vec<u8> {
    extension("2.5.29.17", false, &el(0x30, &general_names(names)))
}

pub fn extended_key_usage(dotted: &str) -> Vec<u8> {
    extension("2.5.29.37", false, &el(0x30, &oid(dotted)))
}

pub fn name_constraints(permitted: &[(u8, &str)], excluded: &[(u8, &str)]) -> Vec<u8> {
    let trees = |tag: u8, names: &[(u8, &str)]| {
        let trees: Vec<u8> = names
            .iter()
            .flat_map(|one| el(0x30, &general_names(&[*one])))
            .collect();
        if trees.is_empty() {
            trees
        } else {
            el(tag, &trees)
        }
    };
    extension(
        "2.5.29.30",
        true,
        &el(
            0x30,
            &[trees(0xa0, permitted), trees(0xa1, excluded)].concat(),
        ),
    )
}

pub fn policies(dotted: &[&str]) -> Vec<u8> {
    let list: Vec<u8> = dotted.iter().flat_map(|one| el(0x30, &oid(one))).collect();
    extension("2.5.29.32", false, &el(0x30, &list))
}

pub fn require_explicit_policy(skip: u8) -> Vec<u8> {
    extension("2.5.29.36", true, &el(0x30, &el(0x80, &[skip])))
}

pub fn policy_mappings(pairs: &[(&str, &str)]) -> Vec<u8> {
    let pair = |(from, to): &(&str, &str)| el(0x30, &[oid(from), oid(to)].concat());
    let list: Vec<u8> = pairs.iter().flat_map(pair).collect();
    extension("2.5.29.33", true, &el(0x30, &list))
}

/// policyConstraints with inhibitPolicyMapping alone.
pub fn inhibit_policy_mapping(skip: u8) -> Vec<u8> {
    extension("2.5.29.36", true, &el(0x30, &el(0x81, &[skip])))
}

pub fn subject_key_id(id: &[u8]) -> Vec<u8> {
    extension("2.5.29.14", false, &el(0x04, id))
}

/// authorityKeyIdentifier with keyIdentifier alone.
pub fn authority_key_id(id: &[u8]) -> Vec<u8> {
    extension("2.5.29.35", false, &el(0x30, &el(0x80, id)))
}

/// subjectAltName of whole GeneralNames, critical or not.
pub fn alt_names(critical: bool, names: &[Vec<u8>]) -> Vec<u8> {
    extension("2.5.29.17", critical, &el(0x30, &names.concat()))
}

/// nameConstraints of whole GeneralNames.
pub fn trees(permitted: &[Vec<u8>], excluded: &[Vec<u8>]) -> Vec<u8> {
    let list = |tag: u8, names: &[Vec<u8>]| match names {
        [] => Vec::new(),
        names => el(
            tag,
            &names
                .iter()
                .flat_map(|one| el(0x30, one))
                .collect::<Vec<u8>>(),
        ),
    };
    let both = [list(0xa0, permitted), list(0xa1, excluded)].concat();
    extension("2.5.29.30", true, &el(0x30, &both))
}

/// A Name of attributes as (type, tag of the string, text), one an RDN.
pub fn long_name(attributes: &[(&str, u8, &str)]) -> Vec<u8> {
    let rdn = |(kind, form, text): &(&str, u8, &str)| {
        let attribute = [oid(kind), el(*form, text.as_bytes())].concat();
        el(0x31, &el(0x30, &attribute))
    };
    el(0x30, &attributes.iter().flat_map(rdn).collect::<Vec<u8>>())
}

pub fn inhibit_any_policy(skip: u8) -> Vec<u8> {
    extension("2.5.29.54", true, &el(0x02, &[skip]))
}

/// `[0] DistributionPointName` with one URI.
pub fn point_name(uri: &str) -> Vec<u8> {
    el(0xa0, &el(0xa0, &general_names(&[(6, uri)])))
}

/// cRLDistributionPoints with one point of these parts.
pub fn distribution_point(parts: &[Vec<u8>]) -> Vec<u8> {
    extension("2.5.29.31", false, &el(0x30, &el(0x30, &parts.concat())))
}

/// issuingDistributionPoint of these parts.
pub fn scope(parts: &[Vec<u8>]) -> Vec<u8> {
    extension("2.5.29.28", true, &el(0x30, &parts.concat()))
}

pub fn directory_name(text: &str) -> Vec<u8> {
    el(0xa4, &name(text))
}

/// A CRL to make.
#[derive(Clone)]
pub struct MakeCrl {
    pub this_update: Timestamp,
    pub next_update: Option<Timestamp>,
    /// Serial number and entry extensions.
    pub entries: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
    pub extensions: Vec<Vec<u8>>,
    pub version: Option<u8>,
}

impl Default for MakeCrl {
    fn default() -> Self {
        Self::new()
    }
}

impl MakeCrl {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            this_update: NOW.minus(DAY),
            next_update: Some(NOW.plus(DAY)),
            entries: Vec::new(),
            extensions: vec![extension("2.5.29.20", false, &el(0x02, &[1]))],
            version: Some(1),
        }
    }

    pub fn with(mut self, extension: Vec<u8>) -> Self {
        self.extensions.push(extension);
        self
    }

    pub fn listing(mut self, serial: &[u8], extensions: Vec<Vec<u8>>) -> Self {
        self.entries.push((serial.to_vec(), extensions));
        self
    }

    pub fn by(&self, issuer: &Made) -> Vec<u8> {
        self.sign(&issuer.subject, &issuer.key)
    }

    pub fn sign(&self, issuer: &[u8], key: &PrivateKey) -> Vec<u8> {
        let listed = |parts: &[Vec<u8>]| match parts {
            [] => Vec::new(),
            parts => el(0x30, &parts.concat()),
        };
        let entry = |(serial, extensions): &(Vec<u8>, Vec<Vec<u8>>)| {
            let at = time(self.this_update);
            el(0x30, &[el(0x02, serial), at, listed(extensions)].concat())
        };
        let entries: Vec<Vec<u8>> = self.entries.iter().map(entry).collect();
        let extensions = match listed(&self.extensions) {
            none if none.is_empty() => none,
            some => el(0xa0, &some),
        };
        let algorithm = el(0x30, &oid(ECDSA_SHA256));
        let tbs = [
            self.version.map_or_else(Vec::new, |v| el(0x02, &[v])),
            algorithm.clone(),
            issuer.to_vec(),
            time(self.this_update),
            self.next_update.map_or_else(Vec::new, time),
            listed(&entries),
            extensions,
        ];
        let tbs = el(0x30, &tbs.concat());
        let signature = key
            .sign(DigestAlgorithm::Sha256, &sha256(&tbs))
            .expect("signs");
        let signature = el(0x03, &[vec![0], signature].concat());
        el(0x30, &[tbs, algorithm, signature].concat())
    }
}

/// What to make.
#[derive(Clone)]
pub struct Make {
    pub subject: Vec<u8>,
    /// Contents of version, as in 2 for v3; None for v1.
    pub version: Option<u8>,
    pub serial: Vec<u8>,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// The two times, if they are not to be written from the fields above.
    pub times: Option<Vec<u8>>,
    /// What stands between key and extensions.
    pub unique_ids: Vec<u8>,
    pub extensions: Vec<Vec<u8>>,
    pub inner_algorithm: &'static str,
    pub algorithm: &'static str,
    pub key: PrivateKey,
    /// Stands after the extensions, signed.
    pub trailer: Vec<u8>,
}

/// A certificate with its key.
#[derive(Clone)]
pub struct Made {
    pub key: PrivateKey,
    pub certificate: Arc<Certificate>,
    subject: Vec<u8>,
}

pub fn key(kind: KeyKind) -> PrivateKey {
    make_key(kind).expect("keys can be made")
}

impl Made {
    /// DER of its subject.
    pub fn name(&self) -> Vec<u8> {
        self.subject.clone()
    }
}

impl Make {
    fn new(subject: &str, extensions: Vec<Vec<u8>>) -> Self {
        Self {
            subject: name(subject),
            version: Some(2),
            serial: vec![1],
            not_before: NOW.minus(DAY),
            not_after: NOW.plus(DAY),
            times: None,
            unique_ids: Vec::new(),
            extensions,
            inner_algorithm: ECDSA_SHA256,
            algorithm: ECDSA_SHA256,
            key: key(KeyKind::P256),
            trailer: Vec::new(),
        }
    }

    /// A CA.
    pub fn ca(subject: &str) -> Self {
        Self::new(
            subject,
            vec![basic_constraints(true, None), key_usage(KEY_CERT_SIGN)],
        )
    }

    /// A CA that signs CRLs, too.
    pub fn crl_ca(subject: &str) -> Self {
        let usage = key_usage(KEY_CERT_SIGN | CRL_SIGN);
        Self::new(subject, vec![basic_constraints(true, None), usage])
    }

    /// Who signs CRLs and nothing else.
    pub fn crl_signer(subject: &str) -> Self {
        Self::new(subject, vec![key_usage(CRL_SIGN)])
    }

    pub fn serial(mut self, number: u8) -> Self {
        self.serial = vec![number];
        self
    }

    /// A Direct end entity with these names.
    pub fn leaf(names: &[(u8, &str)]) -> Self {
        let usage = key_usage(DIGITAL_SIGNATURE | KEY_ENCIPHERMENT | KEY_AGREEMENT);
        Self::new(
            "Leaf",
            vec![usage, extended_key_usage("1.3.6.1.5.5.7.3.4"), san(names)],
        )
    }

    pub fn with(mut self, extension: Vec<u8>) -> Self {
        self.extensions.push(extension);
        self
    }

    pub fn extensions(mut self, extensions: Vec<Vec<u8>>) -> Self {
        self.extensions = extensions;
        self
    }

    pub fn key(mut self, key: &PrivateKey) -> Self {
        self.key = key.clone();
        self
    }

    /// Signed by a key with RSA.
    pub fn with_rsa(self) -> Self {
        Self {
            inner_algorithm: RSA_SHA256,
            algorithm: RSA_SHA256,
            ..self
        }
    }

    /// With this subject, DER of a Name.
    pub fn named(self, subject: Vec<u8>) -> Self {
        Self { subject, ..self }
    }

    pub fn by_itself(self) -> Made {
        let (name, key) = (self.subject.clone(), self.key.clone());
        self.sign(&name, &key)
    }

    pub fn by(self, issuer: &Made) -> Made {
        self.sign(&issuer.subject.clone(), &issuer.key.clone())
    }

    pub fn sign(self, issuer: &[u8], signer: &PrivateKey) -> Made {
        let der = self.der(issuer, signer);
        let certificate = Certificate::parse(&der).expect("a certificate");
        Made {
            key: self.key,
            certificate,
            subject: self.subject,
        }
    }

    pub fn der(&self, issuer: &[u8], signer: &PrivateKey) -> Vec<u8> {
        let algorithm = |dotted: &str| el(0x30, &oid(dotted));
        let version = self
            .version
            .map_or_else(Vec::new, |v| el(0xa0, &el(0x02, &[v])));
        let extensions = if self.extensions.is_empty() {
            Vec::new()
        } else {
            el(0xa3, &el(0x30, &self.extensions.concat()))
        };
        let plain = || [time(self.not_before), time(self.not_after)].concat();
        let validity = self.times.clone().unwrap_or_else(plain);
        let tbs = [
            version,
            el(0x02, &self.serial),
            algorithm(self.inner_algorithm),
            issuer.to_vec(),
            el(0x30, &validity),
            self.subject.clone(),
            spki(&self.key),
            self.unique_ids.clone(),
            extensions,
            self.trailer.clone(),
        ];
        let tbs = el(0x30, &tbs.concat());
        let signature = signer
            .sign(DigestAlgorithm::Sha256, &sha256(&tbs))
            .expect("signs");
        let signature = el(0x03, &[vec![0], signature].concat());
        el(0x30, &[tbs, algorithm(self.algorithm), signature].concat())
    }
}

/// GeneralizedTime, whatever the year.
fn time(at: Timestamp) -> Vec<u8> {
    let text: String = at
        .rfc3339()
        .chars()
        .filter(|c| c.is_ascii_digit() || *c == 'Z')
        .collect();
    el(0x18, text.as_bytes())
}

/// The SubjectPublicKeyInfo; made once a key, because some tests make thousands of certificates.
fn spki(key: &PrivateKey) -> Vec<u8> {
    thread_local! {
        static KNOWN: RefCell<HashMap<[u8; 32], Vec<u8>>> = RefCell::default();
    }
    let id = sha256(&key.to_pkcs8().expect("a key"));
    if let Some(known) = KNOWN.with_borrow(|known| known.get(&id).cloned()) {
        return known;
    }
    let made = make_spki(key);
    KNOWN.with_borrow_mut(|known| known.insert(id, made.clone()));
    made
}

/// Taken from a certificate that `crypto` makes.
fn make_spki(key: &PrivateKey) -> Vec<u8> {
    let template = Template {
        common_name: "key".into(),
        purpose: Purpose::Ca { path_len: None },
        not_before: NOW,
        not_after: NOW,
        crl_url: None,
        claimed_ski: None,
    };
    let issued = issue(&World::at(NOW), &template, key, None).expect("issues");
    let (outer, _) = tlv::first(&issued.certificate).expect("an element");
    let (tbs, _) = tlv::first(outer.value).expect("an element");
    tlv::all(tbs.value).expect("elements")[6].whole.to_vec()
}

/// A store in `dir` whose clock stands at [`NOW`], with d.example as our domain.
pub async fn open_store(dir: &Path) -> Store {
    let paths = Paths {
        database: dir.join("carepost.db"),
        blobs: dir.join("blobs"),
    };
    let key = KeyEncryptionKey::new([1; 32]);
    let store = Store::open(&paths, "node", key, World::at(NOW))
        .await
        .expect("opens");
    let insert =
        "INSERT INTO domain (name, tenant_id, created_at) VALUES ('d.example', 'default', 0)";
    store
        .write("test", move |tx| {
            Box::pin(async move {
                sqlx::query(insert).execute(tx.conn().await?).await?;
                Ok(())
            })
        })
        .await
        .expect("inserts");
    store
}

/// Names of the events in the journal, in order.
pub async fn events(store: &Store) -> Vec<String> {
    let select = "SELECT event FROM journal ORDER BY node, seq";
    store
        .read("test", move |conn| {
            Box::pin(async move { Ok(sqlx::query_scalar(select).fetch_all(conn).await?) })
        })
        .await
        .expect("reads")
}
