//! The only face over `openssl`: digests, ciphers, RSA and EC, TLS contexts, key handles, and the making
//! of certificates. In: numbers and octets, never hostile DER. Out: octets, or one uniform failure.

mod agree;
mod cipher;
mod digest;
pub mod issue;
mod key;
pub mod tls;

pub use agree::{Agreement, Kdf, KeyWrap};
pub use cipher::{ContentCipher, Decryptor, Encryptor};
pub use digest::{Digest, DigestAlgorithm, sha256};
pub use key::{
    CryptoError, Curve, KeyTransport, PrivateKey, PublicKey, Secret, SignatureAlgorithm,
    rejects_implicitly,
};

/// Lower-case hex.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The OpenSSL that is linked, in its own words.
pub fn version() -> &'static str {
    openssl::version::version()
}
