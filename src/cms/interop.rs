//! Differential tests: what the `openssl` command writes we read, what we write it reads (and the `cms`
//! crate, which reads strict DER). Keys and certificates are made by
//! [`crate::crypto::issue`] in a temporary directory.

use std::io::Read;
use std::path::Path;
use std::process::Command;

use super::algorithm::{DATA, ENVELOPED_DATA, object_identifier, write_cipher};
use super::der::{INTEGER, OCTET_STRING, SEQUENCE, SET, Walker, constructed, context, element};
use super::*;
use crate::crypto::issue::{
    Issued, KeyKind, Purpose, Template, issue, make_key, pem_certificate, pem_key,
};
use crate::crypto::{
    ContentCipher, Decryptor, Digest, DigestAlgorithm, Encryptor, KeyTransport, Secret,
    SignatureAlgorithm,
};
use crate::world::{Timestamp, World};

const NOW: i64 = 1_795_309_323;
const OAEP: KeyTransport = KeyTransport::Oaep {
    digest: DigestAlgorithm::Sha256,
    mgf: DigestAlgorithm::Sha256,
};

fn world() -> World {
    World::at(Timestamp::from_unix_s(NOW))
}

/// Someone with a key, a certificate and a directory that holds both as PEM.
pub(super) struct Party {
    dir: tempfile::TempDir,
    issued: Issued,
    name: Identifier,
    key_id: Vec<u8>,
}

impl Party {
    pub(super) fn new(kind: KeyKind) -> Self {
        let template = Template {
            common_name: "Bob".to_owned(),
            purpose: Purpose::Direct {
                address: Some("bob@direct.example".to_owned()),
                domain: None,
            },
            not_before: Timestamp::from_unix_s(NOW - 60),
            not_after: Timestamp::from_unix_s(NOW + 3_600),
            crl_url: None,
            claimed_ski: Some(vec![7; 20]),
        };
        let key = make_key(kind).expect("a key");
        let issued = issue(&world(), &template, &key, None).expect("issued");
        let (_, parsed) =
            x509_parser::parse_x509_certificate(&issued.certificate).expect("it parses");
        let name = Identifier::IssuerAndSerial {
            issuer: parsed.issuer().as_raw().to_vec(),
            serial: parsed.raw_serial().to_vec(),
        };
        let dir = tempfile::tempdir().expect("a directory");
        let write = |file: &str, octets: &[u8]| {
            std::fs::write(dir.path().join(file), octets).expect("written");
        };
        write("cert.pem", pem_certificate(&issued.certificate).as_bytes());
        write("key.pem", &pem_key(&issued.key).expect("PEM"));
        write("text", &text());
        Self {
            dir,
            issued,
            name,
            key_id: vec![7; 20],
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Runs `openssl cms` in the directory; what it wrote to `out`, or why it failed.
    fn openssl(&self, arguments: &str) -> Result<Vec<u8>, String> {
        let ran = Command::new("openssl")
            .arg("cms")
            .args(arguments.split_whitespace())
            .args(["-out", "out"])
            .current_dir(self.path())
            .output()
            .expect("the openssl command is installed");
        if !ran.status.success() {
            return Err(String::from_utf8_lossy(&ran.stderr).into_owned());
        }
        Ok(std::fs::read(self.path().join("out")).expect("it wrote"))
    }

    pub(super) fn encrypt(&self, options: &str) -> Vec<u8> {
        let arguments = format!("-encrypt -binary -in text -outform DER {options} -recip cert.pem");
        let fixed = options.contains("-keyopt");
        let arguments = if fixed {
            // Options of a recipient stand after it.
            format!("-encrypt -binary -in text -outform DER -recip cert.pem {options}")
        } else {
            arguments
        };
        self.openssl(&arguments).expect("openssl encrypts")
    }

    pub(super) fn sign(&self, options: &str) -> Vec<u8> {
        let arguments = format!(
            "-sign -binary -in text -outform DER -signer cert.pem -inkey key.pem {options}"
        );
        self.openssl(&arguments).expect("openssl signs")
    }

    /// Opens an envelope with this party's key.
    fn open(&self, der: &[u8]) -> Result<(Vec<u8>, EnvelopedHead), CmsError> {
        let (head, mut content) = read_enveloped(der)?;
        let encrypted = drain(&mut content)?;
        let (aad, tag) = content.finish()?;
        let [
            RecipientInfo::KeyTrans {
                transport,
                encrypted_key,
                ..
            },
        ] = head.recipients.as_slice()
        else {
            panic!("one RSA recipient: {:?}", head.recipients);
        };
        let len = head.cipher.key_len();
        let cek = self
            .issued
            .key
            .unwrap_cek(&world(), *transport, encrypted_key, len);
        let mut clear = Vec::new();
        let mut opening = Decryptor::new(head.cipher, &cek, &head.iv, &aad).expect("it fits");
        opening.update(&encrypted, &mut clear).expect("it decrypts");
        let tag = head.authenticated.then_some(tag.as_slice());
        opening.finish(tag, &mut clear).expect("it ends");
        Ok((clear, head))
    }

    /// Whether this SignerInfo is right over `content`.
    fn verifies(&self, signer: &SignerInfo, content: &[u8]) -> bool {
        let value = digest(signer.digest, content);
        let signed = match &signer.signed_attrs {
            None => value,
            Some(attributes) => {
                let sound = signer.message_digests == [value]
                    && signer.content_types == ["1.2.840.113549.1.7.1"];
                if !sound {
                    return false;
                }
                digest(signer.digest, attributes)
            }
        };
        self.issued
            .key
            .public()
            .verify(signer.algorithm, &signed, &signer.signature)
    }
}

fn text() -> Vec<u8> {
    let line = b"Content-Type: text/plain\r\n\r\nA referral, or part of one.\r\n";
    line.iter().copied().cycle().take(10_079).collect()
}

fn digest(algorithm: DigestAlgorithm, octets: &[u8]) -> Vec<u8> {
    let mut digest = Digest::new(algorithm);
    digest.update(octets);
    digest.finish()
}

pub(super) fn drain(from: &mut impl Read) -> Result<Vec<u8>, CmsError> {
    let (mut all, mut piece) = (Vec::new(), [0; 777]);
    loop {
        match from.read(&mut piece).map_err(|e| CmsError::of(&e))? {
            0 => return Ok(all),
            count => all.extend_from_slice(&piece[..count]),
        }
    }
}

/// The same in the loosest BER: indefinite lengths everywhere, OCTET STRINGs in nested segments, one of
/// them empty.
pub(super) fn loosen(der: &[u8]) -> Vec<u8> {
    let (mut out, mut walker) = (Vec::new(), Walker::new(der));
    while !walker.is_empty() {
        let one = walker.any("DER").expect("it is DER");
        // Everything with the tag [0] primitive in these structures is an OCTET STRING.
        if one.tag == OCTET_STRING || one.tag == context(0) {
            let (head, tail) = one.content.split_at(one.content.len() / 2);
            out.extend([one.tag | 0x20, 0x80, 0x24, 0x80]);
            out.extend(element(OCTET_STRING, &[head]));
            out.extend([0x04, 0x00, 0x00, 0x00]);
            out.extend(element(0x24, &[&element(OCTET_STRING, &[tail])]));
            out.extend([0, 0]);
        } else if one.tag & 0x20 != 0 {
            out.extend([one.tag, 0x80]);
            out.extend(loosen(one.content));
            out.extend([0, 0]);
        } else {
            out.extend(one.whole);
        }
    }
    out
}

/// An EnvelopedData made by hand, definite lengths.
pub(super) fn envelope(algorithm: &[u8], recipients: &[Vec<u8>], content: &[u8]) -> Vec<u8> {
    let encrypted = element(
        SEQUENCE,
        &[
            &object_identifier(DATA),
            algorithm,
            &element(context(0), &[content]),
        ],
    );
    let enveloped = element(
        SEQUENCE,
        &[
            &element(INTEGER, &[&[0]]),
            &element(SET, &[&recipients.concat()]),
            &encrypted,
        ],
    );
    element(
        SEQUENCE,
        &[
            &object_identifier(ENVELOPED_DATA),
            &element(constructed(0), &[&enveloped]),
        ],
    )
}

/// A recipient of a kind that is not read: short, and enough to be counted.
pub(super) fn password_recipient() -> Vec<u8> {
    element(constructed(3), &[&element(INTEGER, &[&[0]])])
}

pub(super) fn read_envelope(ber: &[u8]) -> Result<EnvelopedHead, CmsError> {
    let (head, mut content) = read_enveloped(ber)?;
    drain(&mut content)?;
    content.finish()?;
    Ok(head)
}

/// Options of `openssl cms -encrypt`, and what they should be read as.
fn envelope_forms() -> Vec<(&'static str, ContentCipher, KeyTransport)> {
    let oaep = |digest, mgf| KeyTransport::Oaep { digest, mgf };
    let (sha1, sha256, sha512) = (
        DigestAlgorithm::Sha1,
        DigestAlgorithm::Sha256,
        DigestAlgorithm::Sha512,
    );
    vec![
        (
            "-aes-128-cbc",
            ContentCipher::Aes128Cbc,
            KeyTransport::Pkcs1,
        ),
        (
            "-aes-192-cbc",
            ContentCipher::Aes192Cbc,
            KeyTransport::Pkcs1,
        ),
        ("-aes256", ContentCipher::Aes256Cbc, KeyTransport::Pkcs1),
        (
            "-stream -aes256",
            ContentCipher::Aes256Cbc,
            KeyTransport::Pkcs1,
        ),
        (
            "-keyid -stream -aes128",
            ContentCipher::Aes128Cbc,
            KeyTransport::Pkcs1,
        ),
        (
            "-aes-256-gcm",
            ContentCipher::Aes256Gcm,
            KeyTransport::Pkcs1,
        ),
        (
            "-aes-128-gcm -stream",
            ContentCipher::Aes128Gcm,
            KeyTransport::Pkcs1,
        ),
        (
            "-aes256 -keyopt rsa_padding_mode:oaep",
            ContentCipher::Aes256Cbc,
            oaep(sha1, sha1),
        ),
        (
            "-aes256 -keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256",
            ContentCipher::Aes256Cbc,
            oaep(sha256, sha256),
        ),
        (
            "-aes-256-gcm -keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha512 -keyopt rsa_mgf1_md:sha1",
            ContentCipher::Aes256Gcm,
            oaep(sha512, sha1),
        ),
    ]
}

#[test]
fn every_envelope_that_openssl_makes_is_opened() {
    let bob = Party::new(KeyKind::Rsa(2048));
    for (options, cipher, transport) in envelope_forms() {
        let der = bob.encrypt(options);
        let (clear, head) = bob.open(&der).expect(options);
        assert_eq!(clear, text(), "{options}");
        assert_eq!(
            (head.cipher, head.authenticated),
            (cipher, cipher.is_aead())
        );
        let [
            RecipientInfo::KeyTrans {
                rid,
                transport: found,
                ..
            },
        ] = head.recipients.as_slice()
        else {
            panic!("{options}: {head:?}");
        };
        assert_eq!(*found, transport, "{options}");
        if options.contains("-keyid") {
            assert_eq!(*rid, Identifier::KeyId(bob.key_id.clone()));
        } else {
            assert_eq!(*rid, bob.name);
        }
    }
}

#[test]
fn what_is_refused_in_an_envelope_is_named() {
    let bob = Party::new(KeyKind::Rsa(2048));
    assert_eq!(
        read_envelope(&bob.encrypt("-des3")),
        Err(CmsError::Algorithm("1.2.840.113549.3.7".to_owned()))
    );
    let labelled =
        bob.encrypt("-aes256 -keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_label:616263");
    let head = read_envelope(&labelled).expect("the structure is sound");
    let what = "RSAES-OAEP with a label".to_owned();
    assert_eq!(head.recipients, [RecipientInfo::Other { what }]);
    assert_eq!(
        read_envelope(&bob.sign("")),
        Err(CmsError::ContentType("1.2.840.113549.1.7.2".to_owned()))
    );
    // GCM in EnvelopedData carries no tag (RFC 5084 §1).
    let cbc = write_cipher(ContentCipher::Aes256Cbc, &[0; 16]).expect("written");
    let gcm = write_cipher(ContentCipher::Aes256Gcm, &[0; 12]).expect("written");
    let recipients = [password_recipient()];
    assert!(read_envelope(&envelope(&cbc, &recipients, b"x")).is_ok());
    assert_eq!(
        read_envelope(&envelope(&gcm, &recipients, b"x")),
        Err(CmsError::Algorithm("2.16.840.1.101.3.4.1.46".to_owned()))
    );
}

#[test]
fn an_ec_recipient_is_read_with_its_point() {
    let bob = Party::new(KeyKind::P256);
    let head = read_envelope(&bob.encrypt("-aes256")).expect("read");
    let [
        RecipientInfo::KeyAgree {
            rid,
            agree,
            encrypted_key,
        },
    ] = head.recipients.as_slice()
    else {
        panic!("one EC recipient: {head:?}");
    };
    assert_eq!(*rid, bob.name);
    assert_eq!(encrypted_key.len(), 40);
    assert_eq!((agree.point.len(), agree.point.first()), (65, Some(&4)));
    assert_eq!(agree.wrap, "2.16.840.1.101.3.4.1.45");
    let by_key_id = read_envelope(&bob.encrypt("-keyid -aes256")).expect("read");
    let RecipientInfo::KeyAgree { rid, .. } = &by_key_id.recipients[0] else {
        panic!("an EC recipient");
    };
    assert_eq!(*rid, Identifier::KeyId(bob.key_id.clone()));
}

#[test]
fn every_signature_that_openssl_makes_is_read_and_verifies() {
    let rsa = Party::new(KeyKind::Rsa(2048));
    let ec = Party::new(KeyKind::P384);
    let pkcs1 = SignatureAlgorithm::RsaPkcs1;
    let pss = |digest, salt| SignatureAlgorithm::RsaPss {
        digest,
        mgf: digest,
        salt,
    };
    let (sha1, sha256, sha384, sha512) = (
        DigestAlgorithm::Sha1,
        DigestAlgorithm::Sha256,
        DigestAlgorithm::Sha384,
        DigestAlgorithm::Sha512,
    );
    for (party, options, algorithm) in [
        (&rsa, "-md sha256", pkcs1(sha256)),
        (&rsa, "-md sha1", pkcs1(sha1)),
        (&rsa, "-md sha384 -keyid", pkcs1(sha384)),
        (&rsa, "-md sha512", pkcs1(sha512)),
        (&rsa, "-md sha256 -noattr", pkcs1(sha256)),
        (
            &rsa,
            "-md sha256 -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:32",
            pss(sha256, 32),
        ),
        (
            &rsa,
            "-md sha512 -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:20",
            pss(sha512, 20),
        ),
        (&ec, "-md sha256", SignatureAlgorithm::Ecdsa(sha256)),
        (&ec, "-md sha384", SignatureAlgorithm::Ecdsa(sha384)),
    ] {
        for form in ["", "-nodetach", "-nodetach -stream"] {
            // OpenSSL 3.0 itself cannot stream RSASSA-PSS.
            if options.contains("pss") && form.contains("stream") {
                continue;
            }
            let der = party.sign(&format!("{options} {form}"));
            let read = read_signed(&der).expect(options);
            assert_eq!(read.has_content, !form.is_empty());
            assert!(read.certificates.iter().eq([&party.issued.certificate]));
            let [signer] = read.signers.as_slice() else {
                panic!("{options}: {read:?}");
            };
            assert_eq!(signer.algorithm, algorithm, "{options}");
            assert_eq!(signer.signed_attrs.is_none(), options.contains("noattr"));
            assert!(party.verifies(signer, &text()), "{options} {form}");
            assert!(!party.verifies(signer, b"another text"), "{options} {form}");
            if read.has_content {
                let mut opaque = read_opaque_signed(der.as_slice()).expect("opaque");
                assert_eq!(drain(&mut opaque).expect("content"), text());
                assert_eq!(opaque.finish().expect("finished"), read);
            } else {
                let detached = read_opaque_signed(der.as_slice()).err();
                assert_eq!(detached, Some(CmsError::Malformed("no content")));
            }
        }
    }
}

#[test]
fn the_loosest_ber_reads_like_the_der() {
    let bob = Party::new(KeyKind::Rsa(2048));
    for options in ["", "-keyid", "-nodetach"] {
        let der = bob.sign(options);
        let ber = loosen(&der);
        assert_ne!(der, ber);
        assert_eq!(read_signed(&ber), read_signed(&der), "{options}");
        let read = read_signed(&ber).expect("read");
        assert!(bob.verifies(&read.signers[0], &text()));
    }
    for options in ["-aes256", "-aes256 -keyid", "-aes-256-gcm"] {
        let der = bob.encrypt(options);
        let (clear, head) = bob.open(&loosen(&der)).expect(options);
        assert_eq!(clear, text());
        assert_eq!(head, bob.open(&der).expect(options).1);
    }
}

#[test]
fn certificates_come_out_of_a_certs_only_bundle_once_each() {
    let (bob, eve) = (Party::new(KeyKind::P256), Party::new(KeyKind::P384));
    let both = [
        pem_certificate(&bob.issued.certificate),
        pem_certificate(&eve.issued.certificate),
        pem_certificate(&bob.issued.certificate),
    ];
    std::fs::write(bob.path().join("all.pem"), both.concat()).expect("written");
    let ran = Command::new("openssl")
        .args("crl2pkcs7 -nocrl -certfile all.pem -outform DER -out out".split(' '))
        .current_dir(bob.path())
        .status()
        .expect("the openssl command is installed");
    assert!(ran.success());
    let der = std::fs::read(bob.path().join("out")).expect("it wrote");
    let mut expected = vec![
        bob.issued.certificate.clone(),
        eve.issued.certificate.clone(),
    ];
    expected.sort();
    for octets in [der.clone(), loosen(&der)] {
        let mut found = read_certs_only(&octets).expect("read");
        found.sort();
        assert_eq!(found, expected);
    }
}

/// Seals `text` for `party` as `seal` will.
fn seal(party: &Party, cipher: ContentCipher, transport: KeyTransport, rid: Identifier) -> Vec<u8> {
    let cek = Secret::new(vec![3; cipher.key_len()]);
    let wrapped = party.issued.key.public().wrap_cek(transport, &cek);
    let recipient = KeyTransRecipient {
        rid,
        transport,
        encrypted_key: wrapped.expect("it wraps"),
    };
    let iv = vec![5; cipher.iv_len()];
    let clear = text();
    let len = cipher
        .encrypted_len(u64::try_from(clear.len()).expect("small"))
        .expect("small");
    let plan = EnvelopedPlan::new(&[recipient], cipher, &iv, len).expect("planned");
    let mut out = plan.head.clone();
    let mut sealing = Encryptor::new(cipher, &cek, &iv, b"").expect("it fits");
    sealing.update(&clear, &mut out).expect("it encrypts");
    let tag = sealing.finish(&mut out).expect("it ends");
    out.extend(plan.tail(tag.as_deref()));
    out
}

#[test]
fn what_we_seal_openssl_opens_and_so_do_we() {
    let bob = Party::new(KeyKind::Rsa(2048));
    let sha1 = KeyTransport::Oaep {
        digest: DigestAlgorithm::Sha1,
        mgf: DigestAlgorithm::Sha1,
    };
    for (cipher, transport, rid) in [
        (ContentCipher::Aes256Cbc, KeyTransport::Pkcs1, &bob.name),
        (ContentCipher::Aes128Cbc, OAEP, &bob.name),
        (ContentCipher::Aes256Gcm, OAEP, &bob.name),
        (ContentCipher::Aes256Cbc, sha1, &bob.name),
        (
            ContentCipher::Aes128Gcm,
            KeyTransport::Pkcs1,
            &Identifier::KeyId(bob.key_id.clone()),
        ),
        (
            ContentCipher::Aes256Cbc,
            KeyTransport::Pkcs1,
            &Identifier::KeyId(bob.key_id.clone()),
        ),
    ] {
        let der = seal(&bob, cipher, transport, rid.clone());
        assert_eq!(bob.open(&der).expect("opened").0, text());
        std::fs::write(bob.path().join("sealed"), &der).expect("written");
        let clear = bob
            .openssl("-decrypt -binary -inform DER -in sealed -recip cert.pem -inkey key.pem")
            .expect("openssl decrypts");
        assert_eq!(clear, text(), "{cipher:?} {transport:?}");
        use ::der::Decode;
        let info = ::cms::content_info::ContentInfo::from_der(&der).expect("strict DER");
        if !cipher.is_aead() {
            let strict = info
                .content
                .decode_as::<::cms::enveloped_data::EnvelopedData>();
            assert_eq!(strict.expect("EnvelopedData").recip_infos.0.len(), 1);
        }
    }
    let none = EnvelopedPlan::new(&[], ContentCipher::Aes256Cbc, &[0; 16], 16);
    assert!(none.is_err());
}

#[test]
fn what_we_sign_openssl_verifies_and_so_do_we() {
    for (kind, digest_algorithm) in [
        (KeyKind::Rsa(2048), DigestAlgorithm::Sha256),
        (KeyKind::Rsa(2048), DigestAlgorithm::Sha512),
        (KeyKind::P256, DigestAlgorithm::Sha256),
    ] {
        let alice = Party::new(kind);
        let chain = [
            alice.issued.certificate.clone(),
            Party::new(KeyKind::P256).issued.certificate,
        ];
        let attributes = signed_attributes(
            &digest(digest_algorithm, &text()),
            Timestamp::from_unix_s(NOW),
        )
        .expect("attributes");
        let signature = alice
            .issued
            .key
            .sign(digest_algorithm, &digest(digest_algorithm, &attributes))
            .expect("it signs");
        let rsa = alice.issued.key.is_rsa();
        let der = signed_data(
            &chain,
            &alice.name,
            digest_algorithm,
            rsa,
            &attributes,
            &signature,
        )
        .expect("written");
        let read = read_signed(&der).expect("read");
        let [signer] = read.signers.as_slice() else {
            panic!("one signer: {read:?}");
        };
        assert!(alice.verifies(signer, &text()));
        assert_eq!(signer.sid, alice.name);
        assert_eq!(signer.signing_time, Some(NOW));
        assert_eq!(signer.signed_attrs.as_deref(), Some(attributes.as_slice()));
        assert_eq!((read.has_content, read.certificates.len()), (false, 2));
        std::fs::write(alice.path().join("p7s"), &der).expect("written");
        alice
            .openssl("-verify -binary -noverify -inform DER -in p7s -content text")
            .expect("openssl verifies");
        use ::der::Decode;
        let info = ::cms::content_info::ContentInfo::from_der(&der).expect("strict DER");
        let strict = info.content.decode_as::<::cms::signed_data::SignedData>();
        assert_eq!(strict.expect("SignedData").signer_infos.0.len(), 1);
    }
}

#[test]
fn an_unknown_signer_neither_helps_nor_harms() {
    let (rsa, ec) = (Party::new(KeyKind::Rsa(2048)), Party::new(KeyKind::P256));
    for file in ["cert.pem", "key.pem"] {
        std::fs::copy(ec.path().join(file), rsa.path().join(format!("ec-{file}"))).expect("copied");
    }
    let der = rsa.sign("-md sha256 -signer ec-cert.pem -inkey ec-key.pem");
    assert_eq!(read_signed(&der).expect("read").signers.len(), 2);
    // ecdsa-with-SHA256 becomes ecdsa-with-SHA224, which is not read.
    let known = [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    let mut other = der.clone();
    let at = (0..der.len())
        .rev()
        .find(|at| der[*at..].starts_with(&known))
        .expect("the algorithm is there");
    other[at + 7] = 1;
    let read = read_signed(&other).expect("read");
    assert_eq!((read.signers.len(), read.unread.len()), (1, 1));
    assert!(rsa.verifies(&read.signers[0], &text()));
    assert!(read.unread[0].contains("1.2.840.10045.4.3.1"), "{read:?}");
}

#[test]
fn attributes_are_sorted_as_der_wants_them() {
    use super::der::{OCTET_STRING, SET, element};
    let short = element(OCTET_STRING, &[&[1]]);
    let long = element(OCTET_STRING, &[&[0; 3]]);
    let sorted = element(SET, &[&short, &long]);
    assert_eq!(
        sorted_attributes(&element(SET, &[&long, &short])),
        Some(sorted.clone())
    );
    assert_eq!(sorted_attributes(&sorted), None);
    assert_eq!(sorted_attributes(&sorted[..3]), None);
    assert_eq!(sorted_attributes(&[]), None);
}
