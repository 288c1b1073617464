//! Message digests.

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
}

/// A digest in the making.
pub struct Digest(openssl::hash::Hasher);

impl Digest {
    /// Starts one.
    pub fn new(_algorithm: DigestAlgorithm) -> Self {
        todo!()
    }

    /// Takes octets.
    pub fn update(&mut self, _octets: &[u8]) {
        let _ = &self.0;
        todo!()
    }

    /// The value.
    pub fn finish(self) -> Vec<u8> {
        todo!()
    }
}

/// SHA-256 of octets at hand.
pub fn sha256(octets: &[u8]) -> [u8; 32] {
    openssl::sha::sha256(octets)
}
