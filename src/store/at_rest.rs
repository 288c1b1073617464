//! Encryption at rest: AES-256-GCM in frames of 64 KiB, under one key-encryption key.
//! In: octets. Out: a header and frames, which read back only whole, in order and in their place.
//! Every frame sequence starts with a version and the key's id. The key itself is never written by anything
//! but [`KeyEncryptionKey::write_new`], and never overwritten.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;
use openssl::md::Md;
use openssl::pkey::Id;
use openssl::pkey_ctx::PkeyCtx;
use zeroize::Zeroizing;

use crate::limits::FRAME;
use crate::world::World;

/// The key-encryption key: 32 octets from a 0600 file, the environment or a systemd credential.
#[derive(Clone)]
pub struct KeyEncryptionKey {
    key: Zeroizing<[u8; 32]>,
    id: [u8; KEY_ID],
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
    /// A new one was not made.
    #[error(
        "no key-encryption key was made at {0}: {1}\n  do: keep a key that is already there, it is never overwritten; else check the directory"
    )]
    NotMade(String, String),
}

/// What a sequence of frames holds; one kind never reads back as the other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// A private key.
    Secret,
    /// The octets of a message.
    Body,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Secret => b"carepost secret",
            Self::Body => b"carepost body",
        }
    }
}

const VERSION: u8 = 1;
const KEY_ID: usize = 8;
const SALT: usize = 16;
/// Octets before the first frame: version, key id, salt.
pub(super) const HEADER: usize = 1 + KEY_ID + SALT;
/// Octets that a frame is longer than its plaintext.
pub(super) const TAG: usize = 16;

/// Octets of the sealed form of `size` octets, or None if no such thing fits the frame counter.
pub(super) fn sealed_len(size: u64) -> Option<u64> {
    size.checked_add(u64::from(frames(size)?) * TAG as u64)?
        .checked_add(HEADER as u64)
}

/// Frames of `size` octets. Nothing is one empty frame, so that even emptiness is authenticated.
pub(super) fn frames(size: u64) -> Option<u32> {
    u32::try_from(size.div_ceil(FRAME as u64).max(1)).ok()
}

impl KeyEncryptionKey {
    /// Wraps 32 octets.
    pub fn new(key: [u8; 32]) -> Self {
        let key = Zeroizing::new(key);
        let digest = openssl::sha::sha256(&*key);
        let mut id = [0; KEY_ID];
        id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self { key, id }
    }

    /// Reads the file (64 hex digits); refuses one that others can read.
    ///
    /// # Errors
    /// [`KekError`], naming the place.
    pub fn read(path: &Path) -> Result<Self, KekError> {
        let place = path.display().to_string();
        let unusable = |what: String| KekError::Unusable(path.display().to_string(), what);
        let file = File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => KekError::Missing(place.clone()),
            _ => unusable(error.to_string()),
        })?;
        let facts = file
            .metadata()
            .map_err(|error| unusable(error.to_string()))?;
        if !facts.is_file() {
            return Err(unusable("it is not a file".into()));
        }
        if facts.mode() & 0o077 != 0 {
            let mode = facts.mode() & 0o777;
            return Err(unusable(format!("others may read it (mode {mode:04o})")));
        }
        let mut text = Zeroizing::new(String::with_capacity(128));
        // One octet more than digits and CR LF, so that a longer file is seen to be longer.
        file.take(67)
            .read_to_string(&mut text)
            .map_err(|error| unusable(error.to_string()))?;
        Self::parse(&place, &text)
    }

    /// Reads 64 hex digits found at `place` (the environment, a credential). Blanks around them do not
    /// matter.
    ///
    /// # Errors
    /// [`KekError::Unusable`], without a word of what was there.
    pub fn parse(place: &str, text: &str) -> Result<Self, KekError> {
        let unusable = || KekError::Unusable(place.to_owned(), "it is not 64 hex digits".into());
        let digits = text.trim().as_bytes();
        if digits.len() != 64 {
            return Err(unusable());
        }
        let mut key = Zeroizing::new([0u8; 32]);
        for (octet, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            *octet = pair.iter().try_fold(0u8, |sum, &digit| {
                let value = char::from(digit).to_digit(16).ok_or_else(unusable)?;
                Ok(sum << 4 | u8::try_from(value).unwrap_or(0))
            })?;
        }
        Ok(Self::new(*key))
    }

    /// Makes a new key and its file (mode 0600), durable when this returns. Never overwrites one.
    ///
    /// # Errors
    /// [`KekError::NotMade`].
    pub fn write_new(path: &Path, world: &World) -> Result<Self, KekError> {
        let key = Zeroizing::new(world.random::<32>());
        let text = Zeroizing::new(hex(&*key) + "\n");
        write_new_private(path, text.as_bytes())
            .map_err(|error| KekError::NotMade(path.display().to_string(), error.to_string()))?;
        Ok(Self::new(*key))
    }

    /// A short public name of the key (first 8 octets of its SHA-256, hex), stored beside what it protects.
    pub fn id(&self) -> String {
        hex(&self.id)
    }

    /// Encrypts a small secret (a private key) with `context` as associated data.
    pub fn wrap(&self, world: &World, context: &str, secret: &[u8]) -> Vec<u8> {
        self.seal(world, Purpose::Secret, context, secret)
    }

    /// Reverses [`KeyEncryptionKey::wrap`]; `None` if the key, the context or a bit differs.
    pub fn unwrap(&self, context: &str, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.unseal(Purpose::Secret, context, wrapped)
    }

    /// Octets at hand as header and frames.
    pub(super) fn seal(
        &self,
        world: &World,
        purpose: Purpose,
        context: &str,
        octets: &[u8],
    ) -> Vec<u8> {
        let mut sealer = Sealer::new(self, world, purpose, context);
        let mut out = Vec::with_capacity(HEADER + octets.len() + TAG * (octets.len() / FRAME + 1));
        out.extend_from_slice(sealer.header());
        let mut rest = octets;
        while let Some((frame, more)) = rest.split_at_checked(FRAME).filter(|(_, m)| !m.is_empty())
        {
            sealer.frame(frame, Place::Within, &mut out);
            rest = more;
        }
        sealer.frame(rest, Place::Last, &mut out);
        out
    }

    /// Reverses [`KeyEncryptionKey::seal`].
    pub(super) fn unseal(
        &self,
        purpose: Purpose,
        context: &str,
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (header, mut rest) = sealed.split_first_chunk::<HEADER>()?;
        let mut opener = Opener::new(self, purpose, context, header)?;
        let mut out = Zeroizing::new(Vec::with_capacity(rest.len()));
        let mut frame = Zeroizing::new(Vec::new());
        loop {
            let (this, more) = rest.split_at_checked(FRAME + TAG).unwrap_or((rest, &[]));
            let place = if more.is_empty() {
                Place::Last
            } else {
                Place::Within
            };
            frame.clear();
            frame.extend_from_slice(this);
            opener.frame(&mut frame, place)?;
            out.extend_from_slice(&frame);
            if more.is_empty() {
                return Some(out);
            }
            rest = more;
        }
    }

    /// Each sequence has a key of its own (HKDF-SHA-256, RFC 5869 §2), so that nonces may simply count:
    /// random nonces under one key would be bounded to 2^32 frames (NIST SP 800-38D, 8.3).
    fn sequence_key(
        &self,
        purpose: Purpose,
        salt: &[u8],
    ) -> Result<Zeroizing<[u8; 32]>, ErrorStack> {
        let mut context = PkeyCtx::new_id(Id::HKDF)?;
        context.derive_init()?;
        context.set_hkdf_md(Md::sha256())?;
        context.set_hkdf_key(&*self.key)?;
        context.set_hkdf_salt(salt)?;
        context.add_hkdf_info(purpose.label())?;
        let mut key = Zeroizing::new([0; 32]);
        context.derive(Some(&mut *key))?;
        Ok(key)
    }
}

impl std::fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyEncryptionKey(..)")
    }
}

/// Where a frame stands in its sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Within,
    Last,
}

/// The nonce says which frame it is and whether it is the last (the STREAM construction of Hoang,
/// Reyhanitabar, Rogaway and Vizár, 2015), so that frames cannot be swapped, dropped or cut off.
fn nonce(index: u32, place: Place) -> [u8; 12] {
    let [a, b, c, d] = index.to_be_bytes();
    let last = u8::from(place == Place::Last);
    [0, 0, 0, 0, 0, 0, 0, a, b, c, d, last]
}

/// Encrypts the frames of one sequence, in order.
pub(super) struct Sealer {
    cipher: CipherCtx,
    header: [u8; HEADER],
    associated: Vec<u8>,
    next: u32,
}

/// What cannot fail once key and nonce have their lengths.
const SEALS: &str = "AES-256-GCM with a 32-octet key and a 12-octet nonce does not fail";

impl Sealer {
    /// Starts a sequence that reads back only for this `context`.
    pub(super) fn new(
        key: &KeyEncryptionKey,
        world: &World,
        purpose: Purpose,
        context: &str,
    ) -> Self {
        let salt = world.random::<SALT>();
        let mut header = [VERSION; HEADER];
        let rest = key.id.iter().chain(&salt);
        header
            .iter_mut()
            .skip(1)
            .zip(rest)
            .for_each(|(to, from)| *to = *from);
        let sequence_key = key.sequence_key(purpose, &salt).expect(SEALS);
        let mut cipher = CipherCtx::new().expect(SEALS);
        cipher
            .encrypt_init(Some(Cipher::aes_256_gcm()), Some(&*sequence_key), None)
            .expect(SEALS);
        Self {
            cipher,
            header,
            associated: associated(&header, context),
            next: 0,
        }
    }

    /// What stands before the first frame.
    pub(super) fn header(&self) -> &[u8; HEADER] {
        &self.header
    }

    /// Appends one encrypted frame to `out`.
    pub(super) fn frame(&mut self, clear: &[u8], place: Place, out: &mut Vec<u8>) {
        debug_assert!(clear.len() <= FRAME && (clear.len() == FRAME || place == Place::Last));
        self.try_frame(clear, place, out).expect(SEALS);
        // 2^32 frames are 256 TiB; a body ends long before.
        self.next = self
            .next
            .checked_add(1)
            .expect("a body has under 2^32 frames");
    }

    fn try_frame(
        &mut self,
        clear: &[u8],
        place: Place,
        out: &mut Vec<u8>,
    ) -> Result<(), ErrorStack> {
        let start = out.len();
        out.extend_from_slice(clear);
        self.cipher
            .encrypt_init(None, None, Some(&nonce(self.next, place)))?;
        self.cipher.cipher_update(&self.associated, None)?;
        if let Some(text) = out.get_mut(start..).filter(|text| !text.is_empty()) {
            let length = text.len();
            self.cipher.cipher_update_inplace(text, length)?;
        }
        self.cipher.cipher_final(&mut [])?;
        let mut tag = [0; TAG];
        self.cipher.tag(&mut tag)?;
        out.extend_from_slice(&tag);
        Ok(())
    }
}

/// Decrypts the frames of one sequence, in order.
pub(super) struct Opener {
    cipher: CipherCtx,
    associated: Vec<u8>,
    next: u32,
}

impl Opener {
    /// Starts at a header; None if it was made under another key or by a newer version.
    pub(super) fn new(
        key: &KeyEncryptionKey,
        purpose: Purpose,
        context: &str,
        header: &[u8; HEADER],
    ) -> Option<Self> {
        let (&version, rest) = header.split_first()?;
        let (id, salt) = rest.split_at_checked(KEY_ID)?;
        if version != VERSION || id != key.id {
            return None;
        }
        let sequence_key = key.sequence_key(purpose, salt).ok()?;
        let mut cipher = CipherCtx::new().ok()?;
        cipher
            .decrypt_init(Some(Cipher::aes_256_gcm()), Some(&*sequence_key), None)
            .ok()?;
        Some(Self {
            cipher,
            associated: associated(header, context),
            next: 0,
        })
    }

    /// Turns an encrypted frame into its plaintext, in place. None, and nothing left in `frame`, if a bit
    /// of it, its place or its context differs.
    pub(super) fn frame(&mut self, frame: &mut Vec<u8>, place: Place) -> Option<()> {
        let length = frame.len().checked_sub(TAG);
        let opened = length.and_then(|length| self.try_frame(frame, length, place));
        frame.truncate(opened.unwrap_or(0));
        self.next = self.next.checked_add(1)?;
        opened.map(|_| ())
    }

    fn try_frame(&mut self, frame: &mut [u8], length: usize, place: Place) -> Option<usize> {
        let (text, tag) = frame.split_at_mut_checked(length)?;
        self.cipher
            .decrypt_init(None, None, Some(&nonce(self.next, place)))
            .ok()?;
        self.cipher.set_tag(tag).ok()?;
        self.cipher.cipher_update(&self.associated, None).ok()?;
        if !text.is_empty() {
            self.cipher.cipher_update_inplace(text, length).ok()?;
        }
        self.cipher.cipher_final(&mut []).ok()?;
        Some(length)
    }
}

fn associated(header: &[u8; HEADER], context: &str) -> Vec<u8> {
    [header.as_slice(), context.as_bytes()].concat()
}

/// Makes a file that only its owner reads, with its octets and its name on disk when this returns.
fn write_new_private(path: &Path, octets: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(octets)?;
    file.sync_all()?;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// Lower-case hex.
pub(super) fn hex(octets: &[u8]) -> String {
    octets
        .iter()
        .flat_map(|octet| [octet >> 4, octet & 15])
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn key(octet: u8) -> KeyEncryptionKey {
        KeyEncryptionKey::new([octet; 32])
    }

    #[test]
    fn a_secret_reads_back_only_with_its_key_its_context_and_every_bit() {
        let wrapped = key(1).wrap(&World::real(), "identity 7", b"private");
        let opened = |key: KeyEncryptionKey, context: &str, wrapped: &[u8]| {
            key.unwrap(context, wrapped).map(|secret| secret.to_vec())
        };
        assert_eq!(
            opened(key(1), "identity 7", &wrapped),
            Some(b"private".to_vec())
        );
        assert_eq!(opened(key(2), "identity 7", &wrapped), None);
        assert_eq!(opened(key(1), "identity 8", &wrapped), None);
        assert!(
            key(1)
                .unseal(Purpose::Body, "identity 7", &wrapped)
                .is_none()
        );
        for at in 0..wrapped.len() {
            let mut changed = wrapped.clone();
            changed[at] ^= 1;
            assert_eq!(opened(key(1), "identity 7", &changed), None, "octet {at}");
            assert_eq!(
                opened(key(1), "identity 7", &wrapped[..at]),
                None,
                "cut at {at}"
            );
        }
    }

    #[test]
    fn frames_read_back_only_whole_and_in_order() {
        let clear: Vec<u8> = (0..3 * FRAME + 5).map(|at| (at % 251) as u8).collect();
        let sealed = key(1).seal(&World::real(), Purpose::Body, "b", &clear);
        assert_eq!(sealed_len(clear.len() as u64), Some(sealed.len() as u64));
        let opened = |sealed: &[u8]| {
            key(1)
                .unseal(Purpose::Body, "b", sealed)
                .map(|o| o.to_vec())
        };
        assert_eq!(opened(&sealed), Some(clear));

        let (header, body) = sealed.split_at(HEADER);
        let frames: Vec<&[u8]> = body.chunks(FRAME + TAG).collect();
        let other = key(1).seal(&World::real(), Purpose::Body, "b", &[0; 2 * FRAME]);
        let cases: [(&str, Vec<&[u8]>); 5] = [
            ("swapped", vec![frames[1], frames[0], frames[2], frames[3]]),
            ("one dropped", vec![frames[0], frames[2], frames[3]]),
            ("last dropped", vec![frames[0], frames[1], frames[2]]),
            (
                "one twice",
                vec![frames[0], frames[0], frames[1], frames[2], frames[3]],
            ),
            (
                "of another",
                vec![
                    &other[HEADER..HEADER + FRAME + TAG],
                    frames[1],
                    frames[2],
                    frames[3],
                ],
            ),
        ];
        for (what, frames) in cases {
            assert_eq!(opened(&[header, &frames.concat()].concat()), None, "{what}");
        }
    }

    #[test]
    fn sizes_around_a_frame_read_back() {
        for size in [0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME] {
            let clear = vec![7; size];
            let sealed = key(1).seal(&World::real(), Purpose::Body, "b", &clear);
            assert_eq!(sealed_len(size as u64), Some(sealed.len() as u64));
            let opened = key(1)
                .unseal(Purpose::Body, "b", &sealed)
                .map(|o| o.to_vec());
            assert_eq!(opened, Some(clear), "{size}");
        }
    }

    #[test]
    fn a_key_file_is_made_once_private_and_reads_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("kek");
        assert!(matches!(
            KeyEncryptionKey::read(&path),
            Err(KekError::Missing(_))
        ));
        let made = KeyEncryptionKey::write_new(&path, &World::real()).expect("made");
        assert_eq!(
            std::fs::metadata(&path).expect("there").mode() & 0o777,
            0o600
        );
        assert_eq!(KeyEncryptionKey::read(&path).expect("read").id(), made.id());
        let again = KeyEncryptionKey::write_new(&path, &World::real());
        assert!(matches!(again, Err(KekError::NotMade(..))));
        assert_eq!(KeyEncryptionKey::read(&path).expect("kept").id(), made.id());

        for mode in [0o640, 0o604, 0o660] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
            assert!(matches!(
                KeyEncryptionKey::read(&path),
                Err(KekError::Unusable(..))
            ));
        }
    }

    #[test]
    fn a_key_is_64_hex_digits_and_nothing_else() {
        let digits = "0123456789abcdefABCDEF0123456789".repeat(2);
        assert!(KeyEncryptionKey::parse("env", &format!("{digits}\n")).is_ok());
        for wrong in [
            &digits[1..],
            &format!("{digits}0"),
            &digits.replace('a', "g"),
            "",
        ] {
            let error = KeyEncryptionKey::parse("env", wrong).map(|key| key.id());
            let said = error.expect_err("refused").to_string();
            assert!(
                said.contains("env") && !said.contains("0123456789"),
                "{said}"
            );
        }
    }
}
