//! The only face over `openssl`: digests, ciphers, RSA and EC, TLS contexts, key handles, and the making
//! of certificates. In: numbers and octets, never hostile DER. Out: octets, or one uniform failure.

mod cipher;
mod digest;
pub mod issue;
mod key;
pub mod tls;

pub use cipher::{ContentCipher, Decryptor, Encryptor};
pub use digest::{Digest, DigestAlgorithm, sha256};
pub use key::{
    CryptoError, Curve, KeyTransport, PrivateKey, PublicKey, Secret, SignatureAlgorithm,
    rejects_implicitly,
};
