//! Encryption at rest: AES-256-GCM in frames of 64 KiB, under one key-encryption key.
//! Every frame sequence starts with a version and the key's id.

use std::path::Path;

use zeroize::Zeroizing;

/// The key-encryption key: 32 octets from a 0600 file, the environment or a systemd credential.
#[derive(Clone)]
pub struct KeyEncryptionKey {
    key: Zeroizing<[u8; 32]>,
}

/// Why there is no usable key.
#[derive(Debug, thiserror::Error)]
pub enum KekError {
    /// Not there.
    #[error(
        "no key-encryption key at {0}\n  do: restore it from your safe copy; without it nothing stored can be read. A new gateway gets one from `carepost init`"
    )]
    Missing(String),
    /// There, but wrong: length, encoding or permissions.
    #[error(
        "the key-encryption key at {0} is unusable: {1}\n  do: restore it from your safe copy, readable by carepost alone (mode 0600)"
    )]
    Unusable(String, String),
}

impl KeyEncryptionKey {
    /// Wraps 32 octets.
    pub fn new(key: [u8; 32]) -> Self {
        Self {
            key: Zeroizing::new(key),
        }
    }

    /// Reads the file (64 hex digits); refuses one that others can read.
    ///
    /// # Errors
    /// [`KekError`], naming the place.
    pub fn read(_path: &Path) -> Result<Self, KekError> {
        todo!()
    }

    /// A short public name of the key (first 8 octets of its SHA-256, hex), stored beside what it protects.
    pub fn id(&self) -> String {
        todo!()
    }

    /// Encrypts a small secret (a private key) with `context` as associated data.
    pub fn wrap(&self, _world: &crate::world::World, _context: &str, _secret: &[u8]) -> Vec<u8> {
        let _ = &self.key;
        todo!()
    }

    /// Reverses [`KeyEncryptionKey::wrap`]; `None` if the key, the context or a bit differs.
    pub fn unwrap(&self, _context: &str, _wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        todo!()
    }
}

impl std::fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyEncryptionKey(..)")
    }
}
