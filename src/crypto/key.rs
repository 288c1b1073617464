//! Keys: public ones built from numbers, private ones behind a handle that may be awaited. In: numbers,
//! digests, wrapped content keys. Out: signatures, yes or no, content keys. Promised:
//! [`PrivateKey::unwrap_cek`] cannot fail, so nothing can be learnt from how it fails. Never done here:
//! reading certificates, deciding which sizes are enough.

use std::sync::{Arc, OnceLock};

use der::Decode;
use der::asn1::UintRef;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::{HasPublic, Id, PKey, PKeyRef, Private, Public};
use openssl::pkey_ctx::{PkeyCtx, PkeyCtxRef};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::RsaPssSaltlen;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use super::DigestAlgorithm;
use crate::world::World;

/// Octets that are wiped when dropped.
pub type Secret = Zeroizing<Vec<u8>>;

/// One uniform failure: what was wrong is not told, so that nothing can be learnt from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cryptographic operation failed")]
pub struct CryptoError;

impl From<ErrorStack> for CryptoError {
    fn from(_: ErrorStack) -> Self {
        Self
    }
}

/// Largest RSA public exponent, bits. The cost of verifying grows with it; OpenSSL's own cap for large
/// moduli is 64, and no certificate in use has more than 17.
const RSA_EXPONENT_BITS_MAX: i32 = 64;
/// Largest RSA modulus that is looked at at all, octets (OpenSSL's own cap of 16,384 bits). Policy asks
/// for less.
const RSA_MODULUS_OCTETS_MAX: usize = 2_048;

/// The curves that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    P256,
    P384,
}

impl Curve {
    /// The group's constants; made once a process.
    pub(super) fn group(self) -> Result<&'static EcGroup, CryptoError> {
        static P256: OnceLock<Option<EcGroup>> = OnceLock::new();
        static P384: OnceLock<Option<EcGroup>> = OnceLock::new();
        let (cell, nid) = match self {
            Self::P256 => (&P256, Nid::X9_62_PRIME256V1),
            Self::P384 => (&P384, Nid::SECP384R1),
        };
        cell.get_or_init(|| EcGroup::from_curve_name(nid).ok())
            .as_ref()
            .ok_or(CryptoError)
    }
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
    /// ECDSA; the value is the DER SEQUENCE { r, s }, read into (r, s) before OpenSSL sees it.
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

    fn set_up<T>(self, context: &mut PkeyCtxRef<T>) -> Result<(), ErrorStack> {
        match self {
            Self::Pkcs1 => context.set_rsa_padding(Padding::PKCS1),
            Self::Oaep { digest, mgf } => {
                context.set_rsa_padding(Padding::PKCS1_OAEP)?;
                context.set_rsa_oaep_md(digest.md())?;
                context.set_rsa_mgf1_md(mgf.md())
            }
        }
    }
}

/// Whether the OpenSSL at hand answers bad PKCS#1 v1.5 padding with a random value of its own (3.2 and
/// later). Below that the gateway starts only with `key_transport = "oaep-only"`.
pub fn rejects_implicitly() -> bool {
    openssl::version::number() >= 0x3020_0000
}

/// A public key, built once from its numbers. Cheap to clone, usable from many threads.
#[derive(Clone)]
pub struct PublicKey {
    key: Arc<PKey<Public>>,
}

impl PublicKey {
    /// RSA from modulus and exponent, big-endian. Size limits of `limits.rs` are checked by the caller's
    /// policy through [`PublicKey::bits`]; numbers that are no RSA key at all fail here: even ones, and
    /// exponents of 1 or over 64 bits.
    ///
    /// # Errors
    /// [`CryptoError`].
    pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, CryptoError> {
        if modulus.len().max(exponent.len()) > RSA_MODULUS_OCTETS_MAX + 1 {
            return Err(CryptoError);
        }
        let (n, e) = (BigNum::from_slice(modulus)?, BigNum::from_slice(exponent)?);
        // RFC 8017 §3.1: n is a product of odd primes, e is odd and at least 3.
        let sound = n.is_odd() && e.is_odd() && (2..=RSA_EXPONENT_BITS_MAX).contains(&e.num_bits());
        if !sound || n <= e {
            return Err(CryptoError);
        }
        let key = PKey::from_rsa(Rsa::from_public_components(n, e)?)?;
        Ok(Self { key: Arc::new(key) })
    }

    /// EC from a point in uncompressed or compressed form; a point that is not on the curve, or is its
    /// zero, fails.
    ///
    /// # Errors
    /// [`CryptoError`].
    pub fn ec(curve: Curve, point: &[u8]) -> Result<Self, CryptoError> {
        let group = curve.group()?;
        let mut context = BigNumContext::new()?;
        let point = EcPoint::from_bytes(group, point, &mut context)?;
        // SEC 1 §3.2.2.1. The cofactor of these curves is 1: every point on them but zero has the right order,
        // so that the costly last step says nothing.
        if point.is_infinity(group) || !point.is_on_curve(group, &mut context)? {
            return Err(CryptoError);
        }
        let key = EcKey::from_public_key(group, &point)?;
        Ok(Self {
            key: Arc::new(PKey::from_ec_key(key)?),
        })
    }

    /// Bits of the modulus or of the curve's field.
    pub fn bits(&self) -> u32 {
        self.key.bits()
    }

    /// Whether it is RSA.
    pub fn is_rsa(&self) -> bool {
        self.key.id() == Id::RSA
    }

    /// Whether both are the same key.
    pub fn same_as(&self, other: &Self) -> bool {
        self.key.public_eq(&other.key)
    }

    /// Checks a signature over a digest that was computed elsewhere.
    /// For ECDSA `signature` is a DER SEQUENCE of two INTEGERs.
    pub fn verify(&self, algorithm: SignatureAlgorithm, digest: &[u8], signature: &[u8]) -> bool {
        let checked = match algorithm {
            SignatureAlgorithm::Ecdsa(_) if self.is_rsa() => Err(CryptoError),
            SignatureAlgorithm::Ecdsa(_) => canonical_ecdsa(signature)
                .and_then(|signature| verify_with(&self.key, algorithm, digest, &signature)),
            _ if self.is_rsa() => verify_with(&self.key, algorithm, digest, signature),
            _ => Err(CryptoError),
        };
        checked.unwrap_or(false)
    }

    /// Encrypts a content key (RSA only).
    ///
    /// # Errors
    /// [`CryptoError`].
    pub fn wrap_cek(&self, transport: KeyTransport, cek: &Secret) -> Result<Vec<u8>, CryptoError> {
        if !self.is_rsa() {
            return Err(CryptoError);
        }
        let mut context = PkeyCtx::new(&self.key)?;
        context.encrypt_init()?;
        transport.set_up(&mut context)?;
        let mut wrapped = Vec::new();
        context.encrypt_to_vec(cek, &mut wrapped)?;
        Ok(wrapped)
    }

    pub(super) fn openssl(&self) -> &PKeyRef<Public> {
        &self.key
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PublicKey(..)")
    }
}

/// Reads SEQUENCE { r, s } strictly and writes it again, so that OpenSSL parses nothing a stranger made.
fn canonical_ecdsa(signature: &[u8]) -> Result<Vec<u8>, CryptoError> {
    #[derive(der::Sequence)]
    struct Value<'a> {
        r: UintRef<'a>,
        s: UintRef<'a>,
    }
    let value = Value::from_der(signature).map_err(|_| CryptoError)?;
    let signature = EcdsaSig::from_private_components(
        BigNum::from_slice(value.r.as_bytes())?,
        BigNum::from_slice(value.s.as_bytes())?,
    )?;
    Ok(signature.to_der()?)
}

fn verify_with<T: HasPublic>(
    key: &PKeyRef<T>,
    algorithm: SignatureAlgorithm,
    digest: &[u8],
    signature: &[u8],
) -> Result<bool, CryptoError> {
    let mut context = PkeyCtx::new(key)?;
    context.verify_init()?;
    match algorithm {
        SignatureAlgorithm::RsaPkcs1(_) => context.set_rsa_padding(Padding::PKCS1)?,
        SignatureAlgorithm::RsaPss { mgf, salt, .. } => {
            let salt = std::ffi::c_int::try_from(salt).map_err(|_| CryptoError)?;
            context.set_rsa_padding(Padding::PKCS1_PSS)?;
            context.set_rsa_mgf1_md(mgf.md())?;
            context.set_rsa_pss_saltlen(RsaPssSaltlen::custom(salt))?;
        }
        SignatureAlgorithm::Ecdsa(_) => {}
    }
    // With the digest named, OpenSSL checks its length, and for PKCS#1 v1.5 the whole DigestInfo (G-012).
    context.set_signature_md(algorithm.digest().md())?;
    Ok(context.verify(digest, signature)?)
}

/// A private key that never leaves its handle: a file's today, a PKCS#11 token's later.
#[derive(Clone)]
pub struct PrivateKey {
    key: Arc<PKey<Private>>,
    public: PublicKey,
}

impl PrivateKey {
    /// From unencrypted PKCS#8 DER (our own store, after unwrapping).
    ///
    /// # Errors
    /// [`CryptoError`].
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, CryptoError> {
        Self::new(PKey::private_key_from_pkcs8(der)?)
    }

    /// RSA, P-256 or P-384; anything else is an error.
    pub(super) fn new(key: PKey<Private>) -> Result<Self, CryptoError> {
        let public = match key.id() {
            Id::RSA => {
                let rsa = key.rsa()?;
                PublicKey::rsa(&rsa.n().to_vec(), &rsa.e().to_vec())?
            }
            Id::EC => {
                let ec = key.ec_key()?;
                let curve = match ec.group().curve_name() {
                    Some(Nid::X9_62_PRIME256V1) => Curve::P256,
                    Some(Nid::SECP384R1) => Curve::P384,
                    _ => return Err(CryptoError),
                };
                let mut context = BigNumContext::new()?;
                let form = openssl::ec::PointConversionForm::UNCOMPRESSED;
                let point = ec.public_key().to_bytes(ec.group(), form, &mut context)?;
                PublicKey::ec(curve, &point)?
            }
            _ => return Err(CryptoError),
        };
        Ok(Self {
            key: Arc::new(key),
            public,
        })
    }

    /// As PKCS#8 DER, for wrapping.
    ///
    /// # Errors
    /// [`CryptoError`].
    pub fn to_pkcs8(&self) -> Result<Secret, CryptoError> {
        Ok(Secret::new(self.key.private_key_to_pkcs8()?))
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        self.public.clone()
    }

    /// Whether it is RSA.
    pub fn is_rsa(&self) -> bool {
        self.public.is_rsa()
    }

    /// Its curve; None for RSA.
    pub(super) fn curve(&self) -> Option<Curve> {
        match self.key.ec_key().ok()?.group().curve_name() {
            Some(Nid::X9_62_PRIME256V1) => Some(Curve::P256),
            Some(Nid::SECP384R1) => Some(Curve::P384),
            _ => None,
        }
    }

    /// Signs a digest with this key's default scheme: RSA PKCS#1 v1.5, or ECDSA (DER). SHA-1 signatures
    /// are never made.
    ///
    /// # Errors
    /// [`CryptoError`].
    pub fn sign(&self, digest: DigestAlgorithm, value: &[u8]) -> Result<Vec<u8>, CryptoError> {
        if digest == DigestAlgorithm::Sha1 {
            return Err(CryptoError);
        }
        let mut context = PkeyCtx::new(&self.key)?;
        context.sign_init()?;
        if self.is_rsa() {
            context.set_rsa_padding(Padding::PKCS1)?;
        }
        context.set_signature_md(digest.md())?;
        let mut signature = Vec::new();
        context.sign_to_vec(value, &mut signature)?;
        Ok(signature)
    }

    /// Decrypts a content key of `len` octets. Cannot fail: a random key is drawn first, and the decrypted
    /// one is taken by constant-time select only if decryption succeeded with exactly that length
    /// (A-066; RFC 3218 §2.3.2). A wrong key shows later, like any other damage.
    pub fn unwrap_cek(
        &self,
        world: &World,
        transport: KeyTransport,
        wrapped: &[u8],
        len: usize,
    ) -> Secret {
        let mut cek = Secret::new(vec![0; len]);
        world.fill_random(&mut cek);
        // One spare length: never shorter than any plaintext, whatever `len` says.
        let mut clear = Secret::new(vec![0; self.key.size().max(len)]);
        let decrypted = self.decrypt(transport, wrapped, &mut clear);
        let (ran, written) = match decrypted {
            Ok(written) => (1_u8, written),
            Err(CryptoError) => (0, 0),
        };
        let take = Choice::from(ran) & written.ct_eq(&len);
        for (random, decrypted) in cek.iter_mut().zip(clear.iter()) {
            random.conditional_assign(decrypted, take);
        }
        cek
    }

    fn decrypt(
        &self,
        transport: KeyTransport,
        wrapped: &[u8],
        out: &mut [u8],
    ) -> Result<usize, CryptoError> {
        if !self.is_rsa() {
            return Err(CryptoError);
        }
        let mut context = PkeyCtx::new(&self.key)?;
        context.decrypt_init()?;
        transport.set_up(&mut context)?;
        Ok(context.decrypt(wrapped, Some(out))?)
    }

    pub(super) fn openssl(&self) -> &PKeyRef<Private> {
        &self.key
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::super::Digest;
    use super::super::issue::{KeyKind, make_key};
    use super::*;

    fn digest(algorithm: DigestAlgorithm, text: &[u8]) -> Vec<u8> {
        let mut digest = Digest::new(algorithm);
        digest.update(text);
        digest.finish()
    }

    fn world() -> World {
        World::at(crate::world::Timestamp::from_unix_s(1_795_309_323))
    }

    #[test]
    fn a_signature_verifies_with_its_key_and_text_only() {
        for kind in [KeyKind::Rsa(2048), KeyKind::P256, KeyKind::P384] {
            let (key, other) = (
                make_key(kind).expect("a key"),
                make_key(kind).expect("a key"),
            );
            let value = digest(DigestAlgorithm::Sha256, b"a referral");
            let signature = key.sign(DigestAlgorithm::Sha256, &value).expect("it signs");
            let algorithm = match kind {
                KeyKind::Rsa(_) => SignatureAlgorithm::RsaPkcs1(DigestAlgorithm::Sha256),
                _ => SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha256),
            };
            assert!(key.public().verify(algorithm, &value, &signature));
            assert!(!other.public().verify(algorithm, &value, &signature));
            let changed = digest(DigestAlgorithm::Sha256, b"another");
            assert!(!key.public().verify(algorithm, &changed, &signature));
            assert!(!key.public().verify(algorithm, &value[..31], &signature));
            assert!(!key.public().verify(algorithm, &value, &signature[1..]));
            assert!(!key.public().verify(algorithm, &value, b""));
            assert!(key.sign(DigestAlgorithm::Sha1, &value[..20]).is_err());
        }
    }

    #[test]
    fn a_signature_of_another_scheme_is_false_not_a_panic() {
        let rsa = make_key(KeyKind::Rsa(2048)).expect("a key");
        let ec = make_key(KeyKind::P256).expect("a key");
        let value = digest(DigestAlgorithm::Sha256, b"a referral");
        let signature = rsa.sign(DigestAlgorithm::Sha256, &value).expect("it signs");
        for algorithm in [
            SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha256),
            SignatureAlgorithm::RsaPkcs1(DigestAlgorithm::Sha384),
            SignatureAlgorithm::RsaPss {
                digest: DigestAlgorithm::Sha256,
                mgf: DigestAlgorithm::Sha256,
                salt: usize::MAX,
            },
        ] {
            assert!(!rsa.public().verify(algorithm, &value, &signature));
            assert!(!ec.public().verify(algorithm, &value, &signature));
        }
    }

    #[test]
    fn an_ecdsa_value_must_be_strict_der() {
        let key = make_key(KeyKind::P256).expect("a key");
        let algorithm = SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha256);
        let value = digest(DigestAlgorithm::Sha256, b"a referral");
        let signature = key.sign(DigestAlgorithm::Sha256, &value).expect("it signs");
        assert!(key.public().verify(algorithm, &value, &signature));
        let mut trailing = signature.clone();
        trailing.push(0);
        assert!(!key.public().verify(algorithm, &value, &trailing));
        let mut long_form = signature.clone();
        long_form.splice(1..2, [0x81, signature[1]]);
        assert!(!key.public().verify(algorithm, &value, &long_form));
    }

    #[test]
    fn a_content_key_comes_back_by_every_transport() {
        let key = make_key(KeyKind::Rsa(2048)).expect("a key");
        let cek = Secret::new((0..32).collect());
        for transport in [
            KeyTransport::Pkcs1,
            KeyTransport::Oaep {
                digest: DigestAlgorithm::Sha1,
                mgf: DigestAlgorithm::Sha1,
            },
            KeyTransport::Oaep {
                digest: DigestAlgorithm::Sha256,
                mgf: DigestAlgorithm::Sha1,
            },
            KeyTransport::Oaep {
                digest: DigestAlgorithm::Sha512,
                mgf: DigestAlgorithm::Sha512,
            },
        ] {
            let wrapped = key.public().wrap_cek(transport, &cek).expect("it wraps");
            assert_eq!(key.unwrap_cek(&world(), transport, &wrapped, 32), cek);
        }
    }

    #[test]
    fn unwrapping_what_is_wrong_gives_a_random_key_of_the_right_length() {
        let key = make_key(KeyKind::Rsa(2048)).expect("a key");
        let ec = make_key(KeyKind::P256).expect("a key");
        let cek = Secret::new(vec![5; 16]);
        let wrapped = key
            .public()
            .wrap_cek(KeyTransport::Pkcs1, &cek)
            .expect("it wraps");
        let mut damaged = wrapped.clone();
        damaged[17] ^= 1;
        let oaep = KeyTransport::Oaep {
            digest: DigestAlgorithm::Sha256,
            mgf: DigestAlgorithm::Sha256,
        };
        for (key, transport, wrapped, len) in [
            (&key, KeyTransport::Pkcs1, wrapped.as_slice(), 32),
            (&key, KeyTransport::Pkcs1, damaged.as_slice(), 16),
            (&key, KeyTransport::Pkcs1, &wrapped[1..], 16),
            (&key, KeyTransport::Pkcs1, b"".as_slice(), 16),
            (&key, oaep, wrapped.as_slice(), 16),
            (&ec, KeyTransport::Pkcs1, wrapped.as_slice(), 16),
            (&key, KeyTransport::Pkcs1, wrapped.as_slice(), 10_000),
        ] {
            let first = key.unwrap_cek(&world(), transport, wrapped, len);
            let second = key.unwrap_cek(&world(), transport, wrapped, len);
            assert_eq!(first.len(), len);
            assert_ne!(first, second, "two random keys");
            assert!(!first.starts_with(&cek), "never the wrapped one");
        }
    }

    #[test]
    fn numbers_that_are_no_key_are_refused() {
        let odd = [0xff_u8; 256];
        let mut even = odd;
        even[255] = 0xfe;
        assert!(PublicKey::rsa(&odd, &[1, 0, 1]).is_ok());
        for (modulus, exponent) in [
            (even.as_slice(), [1, 0, 1].as_slice()),
            (odd.as_slice(), [1].as_slice()),
            (odd.as_slice(), [2].as_slice()),
            (odd.as_slice(), [].as_slice()),
            (odd.as_slice(), [1; 9].as_slice()),
            ([].as_slice(), [1, 0, 1].as_slice()),
            ([3].as_slice(), [3].as_slice()),
            ([0xff; 2_050].as_slice(), [1, 0, 1].as_slice()),
        ] {
            assert!(PublicKey::rsa(modulus, exponent).is_err());
        }
        assert!(PublicKey::ec(Curve::P256, &[0]).is_err());
        assert!(PublicKey::ec(Curve::P256, &[]).is_err());
        assert!(PublicKey::ec(Curve::P256, &[[4].as_slice(), &[7; 64]].concat()).is_err());
    }

    #[test]
    fn a_private_key_survives_pkcs8() {
        for kind in [KeyKind::Rsa(2048), KeyKind::P384] {
            let key = make_key(kind).expect("a key");
            let again = PrivateKey::from_pkcs8(&key.to_pkcs8().expect("it writes"));
            assert!(again.expect("it reads").public().same_as(&key.public()));
        }
        assert!(PrivateKey::from_pkcs8(b"no key").is_err());
    }
}
