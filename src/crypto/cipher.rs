//! Content encryption: AES in CBC and GCM, streamed. In: a key, an IV and octets in pieces of any size.
//! Out: octets appended to the caller's buffer. Promised: lengths are checked before OpenSSL sees them,
//! and every failure is one value. Never done here: deciding whether plaintext may be shown.

use openssl::symm::{Cipher, Crypter, Mode};

use super::key::{CryptoError, Secret};

/// GCM tag octets that are made (RFC 5084 §3.2: 16 is the longest).
const TAG_LEN: usize = 16;
/// Shortest GCM tag that is read (RFC 5084 §3.2; G-017).
const TAG_LEN_MIN: usize = 12;
/// GCM nonce octets (RFC 5084 §3.2; G-017).
const NONCE_LEN: usize = 12;
/// AES block and CBC IV octets.
const BLOCK: usize = 16;
/// Octets given to OpenSSL at once: its lengths are C ints.
const CHUNK: usize = 1024 * 1024;

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
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Aes128Cbc,
        Self::Aes192Cbc,
        Self::Aes256Cbc,
        Self::Aes128Gcm,
        Self::Aes192Gcm,
        Self::Aes256Gcm,
    ];

    /// Octets of the key.
    pub fn key_len(self) -> usize {
        match self {
            Self::Aes128Cbc | Self::Aes128Gcm => 16,
            Self::Aes192Cbc | Self::Aes192Gcm => 24,
            Self::Aes256Cbc | Self::Aes256Gcm => 32,
        }
    }

    /// Octets of the CBC IV or GCM nonce.
    pub fn iv_len(self) -> usize {
        if self.is_aead() { NONCE_LEN } else { BLOCK }
    }

    /// Whether it authenticates what it decrypts.
    pub fn is_aead(self) -> bool {
        matches!(self, Self::Aes128Gcm | Self::Aes192Gcm | Self::Aes256Gcm)
    }

    /// Encrypted octets for `len` clear ones: CBC pads to the next full block, GCM adds nothing.
    pub fn encrypted_len(self, len: u64) -> Option<u64> {
        if self.is_aead() {
            return Some(len);
        }
        let block = 16_u64;
        (len / block).checked_add(1)?.checked_mul(block)
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

    fn openssl(self) -> Cipher {
        match self {
            Self::Aes128Cbc => Cipher::aes_128_cbc(),
            Self::Aes192Cbc => Cipher::aes_192_cbc(),
            Self::Aes256Cbc => Cipher::aes_256_cbc(),
            Self::Aes128Gcm => Cipher::aes_128_gcm(),
            Self::Aes192Gcm => Cipher::aes_192_gcm(),
            Self::Aes256Gcm => Cipher::aes_256_gcm(),
        }
    }
}

/// Decrypts a stream. For CBC the padding is checked in [`Decryptor::finish`]; for GCM the tag.
pub struct Decryptor {
    crypter: Crypter,
    cipher: ContentCipher,
}

impl Decryptor {
    /// Starts: `iv` is the CBC IV (16) or GCM nonce (12); `aad` only for GCM.
    ///
    /// # Errors
    /// [`CryptoError`] if a length does not fit the cipher.
    pub fn new(
        cipher: ContentCipher,
        key: &Secret,
        iv: &[u8],
        aad: &[u8],
    ) -> Result<Self, CryptoError> {
        start(cipher, Mode::Decrypt, key, iv, aad).map(|crypter| Self { crypter, cipher })
    }

    /// Decrypts `octets`, appending to `out`.
    ///
    /// # Errors
    /// [`CryptoError`].
    pub fn update(&mut self, octets: &[u8], out: &mut Vec<u8>) -> Result<(), CryptoError> {
        update(&mut self.crypter, octets, out)
    }

    /// Ends: removes padding, or checks the tag (12 to 16 octets, G-017).
    ///
    /// # Errors
    /// [`CryptoError`], one value whatever was wrong.
    pub fn finish(mut self, tag: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), CryptoError> {
        match (self.cipher.is_aead(), tag) {
            (true, Some(tag)) if (TAG_LEN_MIN..=TAG_LEN).contains(&tag.len()) => {
                self.crypter.set_tag(tag)?;
            }
            (false, None) => {}
            _ => return Err(CryptoError),
        }
        finalize(&mut self.crypter, out)
    }
}

/// Encrypts a stream.
pub struct Encryptor {
    crypter: Crypter,
    cipher: ContentCipher,
}

impl Encryptor {
    /// Starts; see [`Decryptor::new`].
    ///
    /// # Errors
    /// [`CryptoError`] if a length does not fit the cipher.
    pub fn new(
        cipher: ContentCipher,
        key: &Secret,
        iv: &[u8],
        aad: &[u8],
    ) -> Result<Self, CryptoError> {
        start(cipher, Mode::Encrypt, key, iv, aad).map(|crypter| Self { crypter, cipher })
    }

    /// Encrypts `octets`, appending to `out`.
    ///
    /// # Errors
    /// [`CryptoError`].
    pub fn update(&mut self, octets: &[u8], out: &mut Vec<u8>) -> Result<(), CryptoError> {
        update(&mut self.crypter, octets, out)
    }

    /// Ends; returns the GCM tag (16 octets), or nothing for CBC.
    ///
    /// # Errors
    /// [`CryptoError`].
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Option<Vec<u8>>, CryptoError> {
        finalize(&mut self.crypter, out)?;
        if !self.cipher.is_aead() {
            return Ok(None);
        }
        let mut tag = vec![0; TAG_LEN];
        self.crypter.get_tag(&mut tag)?;
        Ok(Some(tag))
    }
}

fn start(
    cipher: ContentCipher,
    mode: Mode,
    key: &Secret,
    iv: &[u8],
    aad: &[u8],
) -> Result<Crypter, CryptoError> {
    // OpenSSL's wrapper panics or truncates on wrong lengths, so they are checked first.
    let aad_fits = aad.is_empty() || cipher.is_aead();
    if key.len() != cipher.key_len() || iv.len() != cipher.iv_len() || !aad_fits {
        return Err(CryptoError);
    }
    let mut crypter = Crypter::new(cipher.openssl(), mode, key, Some(iv))?;
    for piece in aad.chunks(CHUNK) {
        crypter.aad_update(piece)?;
    }
    Ok(crypter)
}

fn update(crypter: &mut Crypter, octets: &[u8], out: &mut Vec<u8>) -> Result<(), CryptoError> {
    for piece in octets.chunks(CHUNK) {
        let start = out.len();
        out.resize(start + piece.len() + BLOCK, 0);
        let room = out.get_mut(start..).ok_or(CryptoError)?;
        let written = crypter.update(piece, room);
        out.truncate(start + written.as_ref().copied().unwrap_or(0));
        written?;
    }
    Ok(())
}

fn finalize(crypter: &mut Crypter, out: &mut Vec<u8>) -> Result<(), CryptoError> {
    let start = out.len();
    out.resize(start + BLOCK, 0);
    let room = out.get_mut(start..).ok_or(CryptoError)?;
    let written = crypter.finalize(room);
    out.truncate(start + written.as_ref().copied().unwrap_or(0));
    written?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [ContentCipher; 6] = [
        ContentCipher::Aes128Cbc,
        ContentCipher::Aes192Cbc,
        ContentCipher::Aes256Cbc,
        ContentCipher::Aes128Gcm,
        ContentCipher::Aes192Gcm,
        ContentCipher::Aes256Gcm,
    ];

    fn key(cipher: ContentCipher) -> Secret {
        Secret::new(vec![7; cipher.key_len()])
    }

    fn seal(cipher: ContentCipher, text: &[u8], aad: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut out = Vec::new();
        let iv = vec![9; cipher.iv_len()];
        let mut sealing = Encryptor::new(cipher, &key(cipher), &iv, aad).expect("lengths fit");
        for piece in text.chunks(1_000) {
            sealing.update(piece, &mut out).expect("it encrypts");
        }
        let tag = sealing.finish(&mut out).expect("it ends");
        (out, tag)
    }

    fn open(
        cipher: ContentCipher,
        sealed: &[u8],
        tag: Option<&[u8]>,
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let mut out = Vec::new();
        let iv = vec![9; cipher.iv_len()];
        let mut opening = Decryptor::new(cipher, &key(cipher), &iv, aad)?;
        for piece in sealed.chunks(777) {
            opening.update(piece, &mut out)?;
        }
        opening.finish(tag, &mut out)?;
        Ok(out)
    }

    #[test]
    fn every_cipher_gives_back_what_it_took_and_the_length_it_promised() {
        let text = vec![b'x'; 70_003];
        for cipher in ALL {
            let (sealed, tag) = seal(cipher, &text, b"");
            assert_eq!(cipher.encrypted_len(70_003), Some(sealed.len() as u64));
            assert_eq!(open(cipher, &sealed, tag.as_deref(), b""), Ok(text.clone()));
        }
        assert_eq!(ContentCipher::Aes256Cbc.encrypted_len(16), Some(32));
    }

    #[test]
    fn gcm_refuses_another_tag_aad_or_a_short_tag() {
        let cipher = ContentCipher::Aes256Gcm;
        let (sealed, tag) = seal(cipher, b"a referral", b"aad");
        let tag = tag.expect("GCM has a tag");
        assert!(open(cipher, &sealed, Some(&tag), b"aad").is_ok());
        assert!(open(cipher, &sealed, Some(&tag[..12]), b"aad").is_ok());
        assert!(open(cipher, &sealed, Some(&tag[..11]), b"aad").is_err());
        assert!(open(cipher, &sealed, Some(&tag), b"AAD").is_err());
        assert!(open(cipher, &sealed, None, b"aad").is_err());
        let mut other = tag.clone();
        other[0] ^= 1;
        assert!(open(cipher, &sealed, Some(&other), b"aad").is_err());
    }

    #[test]
    fn lengths_that_do_not_fit_are_errors_not_panics() {
        let cipher = ContentCipher::Aes256Cbc;
        let short = Secret::new(vec![0; 16]);
        assert!(Decryptor::new(cipher, &short, &[0; 16], b"").is_err());
        assert!(Decryptor::new(cipher, &key(cipher), &[0; 15], b"").is_err());
        assert!(Decryptor::new(cipher, &key(cipher), &[0; 16], b"aad").is_err());
        assert!(Decryptor::new(ContentCipher::Aes256Gcm, &key(cipher), &[0; 16], b"").is_err());
        assert!(open(cipher, &[0; 15], None, b"").is_err());
        assert!(open(cipher, &[], None, b"").is_err());
    }
}
