//! Makes keys, certificates, CRLs and PKCS#12 files: for `init`, `demo`, listeners without a certificate,
//! and tests. Reads the operator's own key files (PEM, PKCS#12): the one place where OpenSSL parses for
//! us. Never done here: judging what it reads; a certificate of the operator's is inspected by `certs`.

use std::net::IpAddr;

use der::Encode;
use openssl::asn1::{Asn1Integer, Asn1Object, Asn1OctetString, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::EcKey;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::stack::Stack;
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, CrlNumber, ExtendedKeyUsage, KeyUsage,
    SubjectAlternativeName, SubjectKeyIdentifier,
};
use openssl::x509::{
    X509, X509Builder, X509CrlBuilder, X509Extension, X509Name, X509NameBuilder, X509Ref,
    X509RevokedBuilder,
};
use x509_cert::ext::pkix::CrlDistributionPoints;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};

use super::key::{CryptoError, Curve, PrivateKey, Secret};
use crate::world::{Timestamp, World};

/// Longest commonName, characters (RFC 5280 appendix A, ub-common-name). A longer one is cut: nothing
/// binds by it.
const COMMON_NAME_MAX: usize = 64;

/// What kind of key to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// 2048, 3072 or 4096 bits.
    Rsa(u32),
    P256,
    P384,
}

/// What the certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A CA; `path_len` as in basicConstraints.
    Ca { path_len: Option<u32> },
    /// Direct end entity: digitalSignature + keyEncipherment (keyAgreement for EC), emailProtection.
    Direct {
        address: Option<String>,
        domain: Option<String>,
    },
    /// A TLS server: DNS names or IP addresses.
    Server { names: Vec<String> },
}

/// What to make. A plain struct so that tests can bend single fields.
#[derive(Clone, Debug)]
pub struct Template {
    /// commonName of the subject.
    pub common_name: String,
    pub purpose: Purpose,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// http URL of the CRL, if one is published.
    pub crl_url: Option<String>,
    /// subjectKeyIdentifier to claim instead of the true one (the demo's forger does this).
    pub claimed_ski: Option<Vec<u8>>,
}

/// A key with its certificate (DER).
#[derive(Clone, Debug)]
pub struct Issued {
    pub key: PrivateKey,
    pub certificate: Vec<u8>,
}

/// Makes a key.
///
/// # Errors
/// [`CryptoError`].
pub fn make_key(kind: KeyKind) -> Result<PrivateKey, CryptoError> {
    let ec = |curve: Curve| -> Result<_, CryptoError> {
        Ok(PKey::from_ec_key(EcKey::generate(curve.group()?)?)?)
    };
    let key = match kind {
        KeyKind::Rsa(bits @ (2_048 | 3_072 | 4_096)) => PKey::from_rsa(Rsa::generate(bits)?)?,
        KeyKind::Rsa(_) => return Err(CryptoError),
        KeyKind::P256 => ec(Curve::P256)?,
        KeyKind::P384 => ec(Curve::P384)?,
    };
    PrivateKey::new(key)
}

/// Signs a certificate over `key` with SHA-256; by `issuer`, or by itself if there is none. The serial
/// number is 16 random octets.
///
/// # Errors
/// [`CryptoError`].
pub fn issue(
    world: &World,
    template: &Template,
    key: &PrivateKey,
    issuer: Option<&Issued>,
) -> Result<Issued, CryptoError> {
    let issuer_certificate = issuer.map(|i| X509::from_der(&i.certificate)).transpose()?;
    let subject = common_name(&template.common_name)?;
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(&*serial_number(world)?)?;
    builder.set_subject_name(&subject)?;
    match &issuer_certificate {
        Some(certificate) => builder.set_issuer_name(certificate.subject_name())?,
        None => builder.set_issuer_name(&subject)?,
    }
    builder.set_not_before(&*instant(template.not_before)?)?;
    builder.set_not_after(&*instant(template.not_after)?)?;
    let public = key.public();
    builder.set_pubkey(public.openssl())?;
    key_identifiers(&mut builder, template, issuer_certificate.as_deref())?;
    for extension in purpose_extensions(&template.purpose, key.is_rsa())? {
        builder.append_extension(extension)?;
    }
    if let Some(url) = &template.crl_url {
        builder.append_extension(crl_distribution_point(url)?)?;
    }
    let signing = issuer.map_or(key, |i| &i.key);
    builder.sign(signing.openssl(), MessageDigest::sha256())?;
    Ok(Issued {
        key: key.clone(),
        certificate: builder.build().to_der()?,
    })
}

fn common_name(name: &str) -> Result<X509Name, ErrorStack> {
    let cut: String = name.chars().take(COMMON_NAME_MAX).collect();
    let mut subject = X509NameBuilder::new()?;
    subject.append_entry_by_nid(Nid::COMMONNAME, &cut)?;
    Ok(subject.build())
}

/// 16 random octets, positive and never short (RFC 5280 §4.1.2.2).
fn serial_number(world: &World) -> Result<Asn1Integer, ErrorStack> {
    let random = u128::from_be_bytes(world.random::<16>());
    let number = (random & (u128::MAX >> 1)) | (1 << 126);
    Asn1Integer::from_bn(&*BigNum::from_slice(&number.to_be_bytes())?)
}

fn instant(at: Timestamp) -> Result<Asn1Time, CryptoError> {
    Ok(Asn1Time::from_unix(at.unix_s())?)
}

/// subjectKeyIdentifier, then authorityKeyIdentifier when somebody else signs (RFC 5280 §4.2.1.1 and
/// §4.2.1.2).
fn key_identifiers(
    builder: &mut X509Builder,
    template: &Template,
    issuer: Option<&X509Ref>,
) -> Result<(), CryptoError> {
    let ski = match &template.claimed_ski {
        Some(claimed) => {
            let value = der::asn1::OctetStringRef::new(claimed).map_err(|_| CryptoError)?;
            raw_extension("2.5.29.14", &value)?
        }
        None => SubjectKeyIdentifier::new().build(&builder.x509v3_context(issuer, None))?,
    };
    builder.append_extension(ski)?;
    if issuer.is_some() {
        let aki = AuthorityKeyIdentifier::new()
            .keyid(true)
            .build(&builder.x509v3_context(issuer, None))?;
        builder.append_extension(aki)?;
    }
    Ok(())
}

fn purpose_extensions(purpose: &Purpose, rsa: bool) -> Result<Vec<X509Extension>, CryptoError> {
    let mut usage = KeyUsage::new();
    usage.critical();
    if let Purpose::Ca { path_len } = purpose {
        let mut constraints = BasicConstraints::new();
        constraints.critical().ca();
        if let Some(length) = path_len {
            constraints.pathlen(*length);
        }
        usage.key_cert_sign().crl_sign();
        return Ok(vec![constraints.build()?, usage.build()?]);
    }
    usage.digital_signature();
    if rsa {
        usage.key_encipherment();
    } else {
        usage.key_agreement();
    }
    let mut extended = ExtendedKeyUsage::new();
    if matches!(purpose, Purpose::Direct { .. }) {
        extended.email_protection();
    } else {
        extended.server_auth();
    }
    let mut extensions = vec![usage.build()?, extended.build()?];
    extensions.extend(alternative_names(purpose)?);
    Ok(extensions)
}

fn alternative_names(purpose: &Purpose) -> Result<Option<X509Extension>, CryptoError> {
    let mut names = SubjectAlternativeName::new();
    let mut count = 0_usize;
    // Both name forms are IA5String (RFC 5280 §4.2.1.6).
    let mut ascii = |name: &str| -> Result<(), CryptoError> {
        count += 1;
        if name.is_ascii() {
            Ok(())
        } else {
            Err(CryptoError)
        }
    };
    match purpose {
        Purpose::Ca { .. } => {}
        Purpose::Direct { address, domain } => {
            if let Some(address) = address {
                ascii(address)?;
                names.email(address);
            }
            if let Some(domain) = domain {
                ascii(domain)?;
                names.dns(domain);
            }
        }
        Purpose::Server { names: hosts } => {
            for host in hosts {
                ascii(host)?;
                match host.parse::<IpAddr>() {
                    Ok(_) => names.ip(host),
                    Err(_) => names.dns(host),
                };
            }
        }
    }
    if count == 0 {
        return Ok(None);
    }
    let builder = X509::builder()?;
    Ok(Some(names.build(&builder.x509v3_context(None, None))?))
}

fn crl_distribution_point(url: &str) -> Result<X509Extension, CryptoError> {
    let url = der::asn1::Ia5String::new(url).map_err(|_| CryptoError)?;
    let name = GeneralName::UniformResourceIdentifier(url);
    let points = CrlDistributionPoints(vec![DistributionPoint {
        distribution_point: Some(DistributionPointName::FullName(vec![name])),
        reasons: None,
        crl_issuer: None,
    }]);
    raw_extension("2.5.29.31", &points)
}

fn raw_extension(oid: &str, value: &impl Encode) -> Result<X509Extension, CryptoError> {
    let der = value.to_der().map_err(|_| CryptoError)?;
    let content = Asn1OctetString::new_from_bytes(&der)?;
    let oid = Asn1Object::from_str(oid)?;
    Ok(X509Extension::new_from_der(&oid, false, &content)?)
}

/// A CRL (DER) of `issuer` listing these serial numbers. Its number is `this_update` in seconds, so that
/// later ones are higher.
///
/// # Errors
/// [`CryptoError`].
pub fn crl(
    issuer: &Issued,
    serials: &[Vec<u8>],
    this_update: Timestamp,
    next_update: Timestamp,
) -> Result<Vec<u8>, CryptoError> {
    let certificate = X509::from_der(&issuer.certificate)?;
    let number = u64::try_from(this_update.unix_s()).map_err(|_| CryptoError)?;
    let revoked_at = instant(this_update)?;
    let mut builder = X509CrlBuilder::new()?;
    builder.set_issuer_name(certificate.subject_name())?;
    builder.set_last_update(&revoked_at)?;
    builder.set_next_update(&*instant(next_update)?)?;
    for serial in serials {
        let number = BigNum::from_slice(serial)?;
        let mut entry = X509RevokedBuilder::new()?;
        entry.set_serial_number(&*Asn1Integer::from_bn(&number)?)?;
        entry.set_revocation_date(&revoked_at)?;
        builder.add_revoked(entry.build())?;
    }
    let context = X509::builder()?;
    let aki = AuthorityKeyIdentifier::new()
        .keyid(true)
        .build(&context.x509v3_context(Some(&certificate), None))?;
    builder.append_extension(aki)?;
    let number = CrlNumber::new(BigNum::from_slice(&number.to_be_bytes())?)?;
    builder.append_extension(number.build()?)?;
    builder.sort()?;
    builder.sign(issuer.key.openssl(), MessageDigest::sha256())?;
    Ok(builder.build()?.to_der()?)
}

/// What a PKCS#12 or PEM file held: key, leaf, the other certificates (all DER).
#[derive(Debug)]
pub struct KeyFile {
    pub key: PrivateKey,
    pub certificate: Vec<u8>,
    pub chain: Vec<Vec<u8>>,
}

/// Reads a PKCS#12 file.
///
/// # Errors
/// A sentence for the operator: wrong password, no key inside, not PKCS#12.
pub fn read_p12(octets: &[u8], password: &str) -> Result<KeyFile, String> {
    if password.contains('\0') {
        return Err("the password is wrong".to_owned());
    }
    let file = Pkcs12::from_der(octets).map_err(|_| "this is not a PKCS#12 file".to_owned())?;
    let parsed = file
        .parse2(password)
        .map_err(|cause| p12_sentence(&cause))?;
    let key = parsed
        .pkey
        .ok_or_else(|| "there is no private key inside".to_owned())?;
    let certificate = parsed
        .cert
        .ok_or_else(|| "there is no certificate inside that belongs to the key".to_owned())?;
    let unreadable = |_| "a certificate inside cannot be read".to_owned();
    let chain = match &parsed.ca {
        Some(chain) => chain.iter().map(X509Ref::to_der).collect::<Result<_, _>>(),
        None => Ok(Vec::new()),
    };
    Ok(KeyFile {
        key: PrivateKey::new(key).map_err(|_| KEY_KIND.to_owned())?,
        certificate: certificate.to_der().map_err(unreadable)?,
        chain: chain.map_err(unreadable)?,
    })
}

const KEY_KIND: &str = "the key is neither RSA nor EC on P-256 or P-384";

fn p12_sentence(cause: &ErrorStack) -> String {
    let reasons = || cause.errors().iter().filter_map(|error| error.reason());
    if reasons().any(|reason| reason.contains("mac verify failure")) {
        return "the password is wrong".to_owned();
    }
    if reasons().any(|reason| reason.contains("unsupported") || reason.contains("unknown")) {
        return "it is encrypted in an old way (RC2 or the like) that is not read: convert it with \
                `openssl pkcs12 -legacy -in old.p12 -nodes | openssl pkcs12 -export -out new.p12`"
            .to_owned();
    }
    "the PKCS#12 file is damaged, or the password is wrong".to_owned()
}

/// Writes a PKCS#12 file (AES-256, for tests and the demo).
///
/// # Errors
/// [`CryptoError`].
pub fn write_p12(
    issued: &Issued,
    chain: &[Vec<u8>],
    password: &str,
) -> Result<Secret, CryptoError> {
    if password.contains('\0') {
        return Err(CryptoError);
    }
    let mut others = Stack::new()?;
    for der in chain {
        others.push(X509::from_der(der)?)?;
    }
    let certificate = X509::from_der(&issued.certificate)?;
    let mut builder = Pkcs12::builder();
    builder
        .pkey(issued.key.openssl())
        .cert(&certificate)
        .ca(others)
        .key_algorithm(Nid::AES_256_CBC)
        .cert_algorithm(Nid::AES_256_CBC)
        .mac_md(MessageDigest::sha256());
    Ok(Secret::new(builder.build2(password)?.to_der()?))
}

/// Reads a PEM private key (PKCS#8 or traditional) of the operator's.
///
/// # Errors
/// A sentence for the operator.
pub fn read_pem_key(octets: &[u8]) -> Result<PrivateKey, String> {
    let mut asked = false;
    // Without a callback OpenSSL would ask for the passphrase at the terminal.
    let key = PKey::private_key_from_pem_callback(octets, |_| {
        asked = true;
        Ok(0)
    });
    match key {
        Ok(key) => PrivateKey::new(key).map_err(|_| KEY_KIND.to_owned()),
        Err(_) if asked => Err("the key is encrypted with a passphrase: remove it with \
                                `openssl pkey -in key.pem -out clear.pem`, or use PKCS#12"
            .to_owned()),
        Err(_) => Err("there is no PEM private key in it".to_owned()),
    }
}

/// PEM of a private key (PKCS#8), for the TLS key file that `init` writes.
///
/// # Errors
/// [`CryptoError`].
pub fn pem_key(key: &PrivateKey) -> Result<Secret, CryptoError> {
    Ok(Secret::new(key.openssl().private_key_to_pem_pkcs8()?))
}

/// PEM of a certificate.
pub fn pem_certificate(der: &[u8]) -> String {
    let text = base64_simd::STANDARD.encode_to_string(der);
    let mut pem = String::with_capacity(text.len() + text.len() / 64 + 64);
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    // Base64 is ASCII, so that every chunk is a string again.
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// The certificates in a file: DER, or any number of PEM blocks. Blocks of other kinds (a key beside its
/// certificate) are passed over.
///
/// # Errors
/// A sentence for the operator.
pub fn read_certificates(octets: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    if memchr::memmem::find(octets, b"-----BEGIN ").is_none() {
        check_certificate(octets)?;
        return Ok(vec![octets.to_vec()]);
    }
    let mut certificates = Vec::new();
    for block in x509_parser::pem::Pem::iter_from_buffer(octets) {
        let block = block.map_err(|cause| format!("a PEM block cannot be read: {cause}"))?;
        if matches!(block.label.as_str(), "CERTIFICATE" | "X509 CERTIFICATE") {
            check_certificate(&block.contents)?;
            certificates.push(block.contents);
        }
    }
    if certificates.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    Ok(certificates)
}

fn check_certificate(der: &[u8]) -> Result<(), String> {
    match x509_parser::parse_x509_certificate(der) {
        Ok(([], _)) => Ok(()),
        Ok(_) => Err("there is something after the certificate".to_owned()),
        Err(_) => Err("this is no certificate, in DER or PEM".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{GeneralName, parse_x509_certificate, parse_x509_crl};

    use super::*;

    fn world() -> World {
        World::at(Timestamp::from_unix_s(1_795_309_323))
    }

    fn template(purpose: Purpose) -> Template {
        Template {
            common_name: "Test".to_owned(),
            purpose,
            not_before: Timestamp::from_unix_s(1_795_000_000),
            not_after: Timestamp::from_unix_s(1_796_000_000),
            crl_url: Some("http://ca.example/crl".to_owned()),
            claimed_ski: None,
        }
    }

    fn ca() -> Issued {
        let key = make_key(KeyKind::P256).expect("a key");
        let template = template(Purpose::Ca { path_len: Some(0) });
        issue(&world(), &template, &key, None).expect("issued")
    }

    fn leaf(kind: KeyKind, issuer: &Issued) -> Issued {
        let purpose = Purpose::Direct {
            address: Some("bob@direct.example".to_owned()),
            domain: Some("direct.example".to_owned()),
        };
        let key = make_key(kind).expect("a key");
        issue(&world(), &template(purpose), &key, Some(issuer)).expect("issued")
    }

    #[test]
    fn a_direct_certificate_holds_what_direct_asks_for() {
        let ca = ca();
        for (kind, rsa) in [(KeyKind::Rsa(2048), true), (KeyKind::P384, false)] {
            let leaf = leaf(kind, &ca);
            let (_, parsed) = parse_x509_certificate(&leaf.certificate).expect("it parses");
            let (_, issuer) = parse_x509_certificate(&ca.certificate).expect("it parses");
            assert_eq!(parsed.issuer(), issuer.subject());
            assert_eq!(parsed.raw_serial().len(), 16);
            assert_eq!(parsed.validity().not_before.timestamp(), 1_795_000_000);
            let usage = parsed.key_usage().expect("valid").expect("present");
            assert!(usage.critical && usage.value.digital_signature());
            assert_eq!(usage.value.key_encipherment(), rsa);
            assert_eq!(usage.value.key_agreement(), !rsa);
            let extended = parsed.extended_key_usage().expect("valid").expect("there");
            assert!(extended.value.email_protection);
            let names = parsed.subject_alternative_name().expect("valid");
            assert_eq!(
                names.expect("there").value.general_names,
                [
                    GeneralName::RFC822Name("bob@direct.example"),
                    GeneralName::DNSName("direct.example")
                ]
            );
            let text = format!("{:?}", parsed.extensions());
            assert!(text.contains("SubjectKeyIdentifier"), "{text}");
            assert!(text.contains("AuthorityKeyIdentifier"), "{text}");
            assert!(text.contains("http://ca.example/crl"), "{text}");
            assert!(!parsed.is_ca() && issuer.is_ca());
        }
    }

    #[test]
    fn a_certificate_verifies_with_its_issuers_key_only() {
        let (ca, other) = (ca(), ca());
        let leaf = X509::from_der(&leaf(KeyKind::P256, &ca).certificate).expect("DER");
        assert!(leaf.verify(ca.key.public().openssl()).expect("checked"));
        assert!(!leaf.verify(other.key.public().openssl()).unwrap_or(false));
    }

    #[test]
    fn a_forger_can_claim_another_key_identifier() {
        let key = make_key(KeyKind::P256).expect("a key");
        let mut template = template(Purpose::Ca { path_len: None });
        template.claimed_ski = Some(vec![1, 2, 3, 4]);
        let forged = issue(&world(), &template, &key, None).expect("issued");
        let certificate = X509::from_der(&forged.certificate).expect("DER");
        let claimed = certificate.subject_key_id().expect("present");
        assert_eq!(claimed.as_slice(), [1, 2, 3, 4]);
    }

    #[test]
    fn a_long_common_name_is_cut_and_a_foreign_letter_in_a_name_refused() {
        let key = make_key(KeyKind::P256).expect("a key");
        let mut long = template(Purpose::Direct {
            address: None,
            domain: None,
        });
        long.common_name = "é".repeat(100);
        assert!(issue(&world(), &long, &key, None).is_ok());
        long.purpose = Purpose::Direct {
            address: Some("é@direct.example".to_owned()),
            domain: None,
        };
        assert_eq!(issue(&world(), &long, &key, None).err(), Some(CryptoError));
    }

    #[test]
    fn a_crl_lists_its_serials_and_may_be_empty() {
        let ca = ca();
        let (from, to) = (
            Timestamp::from_unix_s(1_795_000_000),
            Timestamp::from_unix_s(1_795_600_000),
        );
        for serials in [vec![], vec![vec![0, 0x80, 1], vec![5]]] {
            let der = crl(&ca, &serials, from, to).expect("made");
            let (rest, parsed) = parse_x509_crl(&der).expect("it parses");
            assert!(rest.is_empty());
            let mut listed: Vec<_> = parsed
                .iter_revoked_certificates()
                .map(|entry| entry.raw_serial().to_vec())
                .collect();
            listed.sort();
            assert_eq!(listed, serials);
            let next = parsed.next_update().expect("present");
            assert_eq!(next.timestamp(), 1_795_600_000);
            let checked = openssl::x509::X509Crl::from_der(&der).expect("DER");
            assert!(checked.verify(ca.key.public().openssl()).expect("checked"));
        }
    }

    #[test]
    fn a_p12_file_gives_back_key_leaf_and_chain_for_the_right_password() {
        let ca = ca();
        let leaf = leaf(KeyKind::Rsa(2048), &ca);
        let chain = [ca.certificate.clone()];
        for password in ["", "sesame"] {
            let file = write_p12(&leaf, &chain, password).expect("written");
            let read = read_p12(&file, password).expect("read");
            assert!(read.key.public().same_as(&leaf.key.public()));
            assert_eq!(read.certificate, leaf.certificate);
            assert_eq!(read.chain, chain);
            assert_eq!(
                read_p12(&file, "other").expect_err("wrong"),
                "the password is wrong"
            );
            assert!(read_p12(&file, "a\0b").is_err());
        }
        assert_eq!(
            read_p12(b"nothing", "").expect_err("no file"),
            "this is not a PKCS#12 file"
        );
    }

    #[test]
    fn pem_files_read_back_and_wrong_ones_are_explained() {
        let ca = ca();
        let key = pem_key(&ca.key).expect("PEM");
        let again = read_pem_key(&key).expect("read");
        assert!(again.public().same_as(&ca.key.public()));
        let locked = ca
            .key
            .openssl()
            .private_key_to_pem_pkcs8_passphrase(openssl::symm::Cipher::aes_256_cbc(), b"secret")
            .expect("locked");
        assert!(
            read_pem_key(&locked)
                .expect_err("locked")
                .contains("passphrase")
        );
        assert!(read_pem_key(b"").is_err());

        let pem = pem_certificate(&ca.certificate);
        let two = format!("{}{pem}junk\n{pem}", String::from_utf8_lossy(&key));
        assert_eq!(
            read_certificates(two.as_bytes()).expect("read"),
            vec![ca.certificate.clone(), ca.certificate.clone()]
        );
        assert_eq!(
            read_certificates(&ca.certificate).expect("read"),
            vec![ca.certificate.clone()]
        );
        assert!(read_certificates(&key).is_err());
        assert!(read_certificates(b"nothing").is_err());
    }
}
