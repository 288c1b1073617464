//! Keys: public ones built from numbers, private ones behind a handle that may be awaited.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::DigestAlgorithm;
use crate::world::World;

/// Octets that are wiped when dropped.
pub type Secret = Zeroizing<Vec<u8>>;

/// One uniform failure: what was wrong is not told, so that nothing can be learnt from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cryptographic operation failed")]
pub struct CryptoError;

/// The curves that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    P256,
    P384,
}

/// How a signature was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5.
    RsaPkcs1(DigestAlgorithm),
    /// RSASSA-PSS; MGF1 with `mgf`, salt of `salt` octets.
    RsaPss {
        digest: DigestAlgorithm,
        mgf: DigestAlgorithm,
        salt: usize,
    },
    /// ECDSA; the value is the DER SEQUENCE { r, s }, read by `cms` into (r, s).
    Ecdsa(DigestAlgorithm),
}

impl SignatureAlgorithm {
    /// Its digest.
    pub fn digest(self) -> DigestAlgorithm {
        match self {
            Self::RsaPkcs1(digest) | Self::RsaPss { digest, .. } | Self::Ecdsa(digest) => digest,
        }
    }
}

/// How a content key was encrypted for one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyTransport {
    /// RSAES-PKCS1-v1_5.
    Pkcs1,
    /// RSAES-OAEP with hash, MGF1 hash; the label is empty.
    Oaep {
        digest: DigestAlgorithm,
        mgf: DigestAlgorithm,
    },
}

impl KeyTransport {
    /// The name for journal and people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pkcs1 => "RSAES-PKCS1-v1_5",
            Self::Oaep { .. } => "RSAES-OAEP",
        }
    }
}

/// A public key, built once from its numbers. Cheap to clone, usable from many threads.
#[derive(Clone)]
pub struct PublicKey {
    _key: Arc<openssl::pkey::PKey<openssl::pkey::Public>>,
}

impl PublicKey {
    /// RSA from modulus and exponent, big-endian. Size limits of `limits.rs` and odd numbers are checked by the caller's policy
    /// through [`PublicKey::bits`]; numbers that are no RSA key at all fail here.
    ///
    /// # Errors
    /// [`CryptoError`].
    pub fn rsa(_modulus: &[u8], _exponent: &[u8]) -> Result<Self, CryptoError> {
        todo!()
    }

    /// EC from a point in uncompressed or compressed form; a point that is not on the curve fails.
    ///
    /// # Errors
    /// [`CryptoError`].
    pub fn ec(_curve: Curve, _point: &[u8]) -> Result<Self, CryptoError> {
        todo!()
    }

    /// Bits of the modulus or of the curve's field.
    pub fn bits(&self) -> u32 {
        todo!()
    }

    /// Whether it is RSA.
    pub fn is_rsa(&self) -> bool {
        todo!()
    }

    /// Checks a signature over a digest that was computed elsewhere.
    /// For ECDSA `signature` is a DER SEQUENCE of two INTEGERs.
    pub fn verify(
        &self,
        _algorithm: SignatureAlgorithm,
        _digest: &[u8],
        _signature: &[u8],
    ) -> bool {
        todo!()
    }

    /// Encrypts a content key (RSA only).
    ///
    /// # Errors
    /// [`CryptoError`].
    pub fn wrap_cek(
        &self,
        _transport: KeyTransport,
        _cek: &Secret,
    ) -> Result<Vec<u8>, CryptoError> {
        todo!()
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PublicKey(..)")
    }
}

/// A private key that never leaves its handle: a file's today, a PKCS#11 token's later.
#[derive(Clone)]
pub struct PrivateKey {
    _key: Arc<openssl::pkey::PKey<openssl::pkey::Private>>,
}

impl PrivateKey {
    /// From unencrypted PKCS#8 DER (our own store, after unwrapping).
    ///
    /// # Errors
    /// [`CryptoError`].
    pub fn from_pkcs8(_der: &[u8]) -> Result<Self, CryptoError> {
        todo!()
    }

    /// As PKCS#8 DER, for wrapping.
    ///
    /// # Errors
    /// [`CryptoError`].
    pub fn to_pkcs8(&self) -> Result<Secret, CryptoError> {
        todo!()
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        todo!()
    }

    /// Whether it is RSA.
    pub fn is_rsa(&self) -> bool {
        todo!()
    }

    /// Signs a digest with this key's default scheme: RSA PKCS#1 v1.5, or ECDSA (DER).
    ///
    /// # Errors
    /// [`CryptoError`].
    pub fn sign(&self, _digest: DigestAlgorithm, _value: &[u8]) -> Result<Vec<u8>, CryptoError> {
        todo!()
    }

    /// Decrypts a content key of `len` octets. Cannot fail: a random key is drawn first, and the decrypted
    /// one is taken by constant-time select only if decryption succeeded with exactly that length
    /// (A-066; RFC 3218 §2.3.2). A wrong key shows later, like any other damage.
    pub fn unwrap_cek(
        &self,
        _world: &World,
        _transport: KeyTransport,
        _wrapped: &[u8],
        _len: usize,
    ) -> Secret {
        todo!()
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}
