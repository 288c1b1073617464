//! Content encryption: AES in CBC and GCM, streamed.

use super::key::{CryptoError, Secret};

/// The content ciphers that are known. 3DES, RC2 and the like are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentCipher {
    Aes128Cbc,
    Aes192Cbc,
    Aes256Cbc,
    Aes128Gcm,
    Aes192Gcm,
    Aes256Gcm,
}

impl ContentCipher {
    /// Octets of the key.
    pub fn key_len(self) -> usize {
        match self {
            Self::Aes128Cbc | Self::Aes128Gcm => 16,
            Self::Aes192Cbc | Self::Aes192Gcm => 24,
            Self::Aes256Cbc | Self::Aes256Gcm => 32,
        }
    }

    /// Whether it authenticates what it decrypts.
    pub fn is_aead(self) -> bool {
        matches!(self, Self::Aes128Gcm | Self::Aes192Gcm | Self::Aes256Gcm)
    }

    /// The name for journal and people: `AES-256-CBC`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes128Cbc => "AES-128-CBC",
            Self::Aes192Cbc => "AES-192-CBC",
            Self::Aes256Cbc => "AES-256-CBC",
            Self::Aes128Gcm => "AES-128-GCM",
            Self::Aes192Gcm => "AES-192-GCM",
            Self::Aes256Gcm => "AES-256-GCM",
        }
    }
}

/// Decrypts a stream. For CBC the padding is checked in [`Decryptor::finish`]; for GCM the tag.
pub struct Decryptor(openssl::symm::Crypter);

impl Decryptor {
    /// Starts: `iv` is the CBC IV (16) or GCM nonce; `aad` only for GCM.
    ///
    /// # Errors
    /// [`CryptoError`] if a length does not fit the cipher.
    pub fn new(
        _cipher: ContentCipher,
        _key: &Secret,
        _iv: &[u8],
        _aad: &[u8],
    ) -> Result<Self, CryptoError> {
        todo!()
    }

    /// Decrypts `octets`, appending to `out`.
    ///
    /// # Errors
    /// [`CryptoError`].
    pub fn update(&mut self, _octets: &[u8], _out: &mut Vec<u8>) -> Result<(), CryptoError> {
        let _ = &self.0;
        todo!()
    }

    /// Ends: removes padding, or checks the tag (12 to 16 octets, G-017).
    ///
    /// # Errors
    /// [`CryptoError`], one value whatever was wrong.
    pub fn finish(self, _tag: Option<&[u8]>, _out: &mut Vec<u8>) -> Result<(), CryptoError> {
        todo!()
    }
}

/// Encrypts a stream.
pub struct Encryptor(openssl::symm::Crypter);

impl Encryptor {
    /// Starts; see [`Decryptor::new`].
    ///
    /// # Errors
    /// [`CryptoError`] if a length does not fit the cipher.
    pub fn new(
        _cipher: ContentCipher,
        _key: &Secret,
        _iv: &[u8],
        _aad: &[u8],
    ) -> Result<Self, CryptoError> {
        todo!()
    }

    /// Encrypts `octets`, appending to `out`.
    ///
    /// # Errors
    /// [`CryptoError`].
    pub fn update(&mut self, _octets: &[u8], _out: &mut Vec<u8>) -> Result<(), CryptoError> {
        let _ = &self.0;
        todo!()
    }

    /// Ends; returns the GCM tag (16 octets), or nothing for CBC.
    ///
    /// # Errors
    /// [`CryptoError`].
    pub fn finish(self, _out: &mut Vec<u8>) -> Result<Option<Vec<u8>>, CryptoError> {
        todo!()
    }
}
