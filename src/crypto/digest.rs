//! Message digests. In: octets. Out: their digest. Nothing here decides which digest is good enough.

use openssl::hash::{Hasher, MessageDigest};
use openssl::md::{Md, MdRef};

/// The digests that are known. SHA-1 is read only where a policy says so; it is never made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DigestAlgorithm {
    /// Only for reports from named peers.
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl DigestAlgorithm {
    /// The `micalg` spelling (RFC 8551 §3.5.3.2).
    pub fn micalg(self) -> &'static str {
        match self {
            Self::Sha1 => "sha-1",
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    pub(super) fn message_digest(self) -> MessageDigest {
        match self {
            Self::Sha1 => MessageDigest::sha1(),
            Self::Sha256 => MessageDigest::sha256(),
            Self::Sha384 => MessageDigest::sha384(),
            Self::Sha512 => MessageDigest::sha512(),
        }
    }

    pub(super) fn md(self) -> &'static MdRef {
        match self {
            Self::Sha1 => Md::sha1(),
            Self::Sha256 => Md::sha256(),
            Self::Sha384 => Md::sha384(),
            Self::Sha512 => Md::sha512(),
        }
    }
}

/// A digest in the making.
pub struct Digest(Hasher);

impl Digest {
    /// Starts one.
    pub fn new(algorithm: DigestAlgorithm) -> Self {
        Self(Hasher::new(algorithm.message_digest()).expect("OpenSSL has SHA-1 and SHA-2"))
    }

    /// Takes octets.
    pub fn update(&mut self, octets: &[u8]) {
        self.0
            .update(octets)
            .expect("a digest that was started takes octets");
    }

    /// The value.
    pub fn finish(mut self) -> Vec<u8> {
        let value = self.0.finish().expect("a digest that was started ends");
        value.to_vec()
    }
}

/// SHA-256 of octets at hand.
pub fn sha256(octets: &[u8]) -> [u8; 32] {
    openssl::sha::sha256(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_in_pieces_is_the_digest_of_the_whole() {
        let mut digest = Digest::new(DigestAlgorithm::Sha256);
        digest.update(b"a ");
        digest.update(b"referral");
        assert_eq!(digest.finish(), sha256(b"a referral"));
    }

    #[test]
    fn each_digest_has_its_length() {
        for (algorithm, len) in [
            (DigestAlgorithm::Sha1, 20),
            (DigestAlgorithm::Sha256, 32),
            (DigestAlgorithm::Sha384, 48),
            (DigestAlgorithm::Sha512, 64),
        ] {
            assert_eq!(Digest::new(algorithm).finish().len(), len);
        }
    }
}
