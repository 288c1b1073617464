//! Key agreement for EC recipients (RFC 5753 §3.1): ECDH with an ephemeral key, the key derivation of
//! ANSI X9.63, and AES key wrap (RFC 3394). In: a stranger's point and a wrapped key. Out: a content key,
//! always: [`PrivateKey::agree_cek`] cannot fail. Never done here: reading the structures.

use openssl::aes::{AesKey, unwrap_key};
use openssl::derive::Deriver;
use openssl::hash::{Hasher, MessageDigest};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::key::{CryptoError, PrivateKey, PublicKey, Secret};
use crate::world::World;

/// Octets that AES key wrap adds (RFC 3394 §2.2.1).
const WRAP_ADDS: usize = 8;

/// The digest of the key derivation. SHA-1 is sound here: no collision helps anyone (RFC 5753 §7.1 has it,
/// and it is what `openssl cms` sends unasked). As a signature's digest it stays refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kdf {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Kdf {
    fn message_digest(self) -> MessageDigest {
        match self {
            Self::Sha1 => MessageDigest::sha1(),
            Self::Sha224 => MessageDigest::sha224(),
            Self::Sha256 => MessageDigest::sha256(),
            Self::Sha384 => MessageDigest::sha384(),
            Self::Sha512 => MessageDigest::sha512(),
        }
    }
}

/// AES key wrap, by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyWrap {
    Aes128,
    Aes192,
    Aes256,
}

impl KeyWrap {
    /// Octets of its key.
    pub fn key_len(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }
}

/// What both sides know of one agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The originator's ephemeral point.
    pub point: Vec<u8>,
    pub kdf: Kdf,
    pub wrap: KeyWrap,
    /// DER of ECC-CMS-SharedInfo (RFC 5753 §7.2).
    pub shared_info: Vec<u8>,
}

impl PrivateKey {
    /// Unwraps a content key of `len` octets. Cannot fail, like [`PrivateKey::unwrap_cek`]: a random
    /// key stands in for one that does not unwrap.
    pub fn agree_cek(
        &self,
        world: &World,
        agreement: &Agreement,
        wrapped: &[u8],
        len: usize,
    ) -> Secret {
        let mut cek = Secret::new(vec![0; len]);
        world.fill_random(&mut cek);
        let (clear, ran) = match self.agree(agreement, wrapped) {
            Ok(clear) => (clear, 1_u8),
            Err(CryptoError) => (Secret::new(Vec::new()), 0),
        };
        let take = Choice::from(ran) & clear.len().ct_eq(&len);
        for (random, unwrapped) in cek.iter_mut().zip(clear.iter()) {
            random.conditional_assign(unwrapped, take);
        }
        cek
    }

    fn agree(&self, agreement: &Agreement, wrapped: &[u8]) -> Result<Secret, CryptoError> {
        // RFC 3394 §2: whole blocks of 8, at least two and the integrity block.
        let fits = wrapped.len().is_multiple_of(WRAP_ADDS) && (24..=72).contains(&wrapped.len());
        let curve = self.curve().filter(|_| fits).ok_or(CryptoError)?;
        // On this key's own curve, and not its zero (RFC 5753 §9; no small subgroup has cofactor 1).
        let theirs = PublicKey::ec(curve, &agreement.point)?;
        let mut deriver = Deriver::new(self.openssl())?;
        deriver.set_peer(theirs.openssl())?;
        let shared = Secret::new(deriver.derive_to_vec()?);
        let key = x963(agreement, &shared)?;
        let key = AesKey::new_decrypt(&key).map_err(|_| CryptoError)?;
        let len = wrapped.len().checked_sub(WRAP_ADDS).ok_or(CryptoError)?;
        let mut clear = Secret::new(vec![0; len]);
        match unwrap_key(&key, None, &mut clear, wrapped) {
            Ok(written) if written == len => Ok(clear),
            _ => Err(CryptoError),
        }
    }
}

/// SEC 1 §3.6.1: K = Hash(Z, counter, SharedInfo), counter from 1 in four octets, as often as needed.
fn x963(agreement: &Agreement, shared: &Secret) -> Result<Secret, CryptoError> {
    let len = agreement.wrap.key_len();
    let mut key = Secret::new(Vec::with_capacity(len + 64));
    for counter in 1_u32..=2 {
        let mut hasher = Hasher::new(agreement.kdf.message_digest())?;
        hasher.update(shared)?;
        hasher.update(&counter.to_be_bytes())?;
        hasher.update(&agreement.shared_info)?;
        key.extend_from_slice(&hasher.finish()?);
    }
    // Two digests of 20 octets suffice for the longest key.
    key.truncate(len);
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::super::issue::{KeyKind, make_key};
    use super::*;
    use crate::world::Timestamp;

    #[test]
    fn what_does_not_unwrap_gives_a_random_key_of_the_right_length_and_never_an_error() {
        let world = World::at(Timestamp::from_unix_s(1_795_309_323));
        let (ec, rsa) = (
            make_key(KeyKind::P256).expect("a key"),
            make_key(KeyKind::Rsa(2_048)).expect("a key"),
        );
        for key in [&ec, &rsa] {
            for (point, wrapped) in [(65, 40), (65, 0), (65, 41), (0, 40), (97, 800), (65, 24)] {
                let agreement = Agreement {
                    point: vec![4; point],
                    kdf: Kdf::Sha256,
                    wrap: KeyWrap::Aes256,
                    shared_info: vec![],
                };
                let one = key.agree_cek(&world, &agreement, &vec![7; wrapped], 32);
                let two = key.agree_cek(&world, &agreement, &vec![7; wrapped], 32);
                assert_eq!(one.len(), 32);
                assert_ne!(*one, *two);
            }
        }
    }
}
