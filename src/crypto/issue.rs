//! Makes keys, certificates, CRLs and PKCS#12 files: for `init`, `demo`, listeners without a certificate, and tests.
//! Reads the operator's own key files (PEM, PKCS#12): the one place where OpenSSL parses for us.

use super::key::{CryptoError, PrivateKey, Secret};
use crate::world::{Timestamp, World};

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
    /// A TLS server.
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
pub fn make_key(_kind: KeyKind) -> Result<PrivateKey, CryptoError> {
    todo!()
}

/// Signs a certificate over `key` with SHA-256; by `issuer`, or by itself if there is none. The serial number is 16 random octets.
///
/// # Errors
/// [`CryptoError`].
pub fn issue(
    _world: &World,
    _template: &Template,
    _key: &PrivateKey,
    _issuer: Option<&Issued>,
) -> Result<Issued, CryptoError> {
    todo!()
}

/// A CRL (DER) of `issuer` listing these serial numbers.
///
/// # Errors
/// [`CryptoError`].
pub fn crl(
    _issuer: &Issued,
    _serials: &[Vec<u8>],
    _this_update: Timestamp,
    _next_update: Timestamp,
) -> Result<Vec<u8>, CryptoError> {
    todo!()
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
pub fn read_p12(_octets: &[u8], _password: &str) -> Result<KeyFile, String> {
    todo!()
}

/// Writes a PKCS#12 file (AES-256, for tests and the demo).
///
/// # Errors
/// [`CryptoError`].
pub fn write_p12(
    _issued: &Issued,
    _chain: &[Vec<u8>],
    _password: &str,
) -> Result<Secret, CryptoError> {
    todo!()
}

/// Reads a PEM private key (PKCS#8 or traditional) of the operator's.
///
/// # Errors
/// A sentence for the operator.
pub fn read_pem_key(_octets: &[u8]) -> Result<PrivateKey, String> {
    todo!()
}

/// PEM of a private key (PKCS#8), for the TLS key file that `init` writes.
///
/// # Errors
/// [`CryptoError`].
pub fn pem_key(_key: &PrivateKey) -> Result<Secret, CryptoError> {
    todo!()
}

/// PEM of a certificate.
pub fn pem_certificate(_der: &[u8]) -> String {
    todo!()
}

/// The certificates in a file: DER, or any number of PEM blocks.
///
/// # Errors
/// A sentence for the operator.
pub fn read_certificates(_octets: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    todo!()
}
