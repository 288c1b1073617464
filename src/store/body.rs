//! The octets of a message as a handle: small in memory, large as an encrypted blob, read in chunks.
//! No station holds a message as `Vec<u8>`.
//! In: octets in chunks. Out: a [`Body`] that any number of readers read in constant memory.
//! Plaintext never reaches the disk. A blob that no commit made durable goes with its last handle.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits::{BODY_IN_MEMORY_MAX, FRAME};
use crate::world::World;

use super::KeyEncryptionKey;
use super::at_rest::{HEADER, Opener, Place, Purpose, Sealer, TAG, frames, hex, sealed_len};

/// Where bodies are made and found. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bodies(Arc<Shelf>);

#[derive(Debug)]
struct Shelf {
    blobs: PathBuf,
    key: KeyEncryptionKey,
    world: World,
}

/// One body. Cheap to clone (shared). At most [`crate::limits::BODY_IN_MEMORY_MAX`] octets are in memory;
/// a larger one is a blob file under the key-encryption key.
/// A blob that was never made durable by a commit is removed when its last handle is dropped.
#[derive(Clone, Debug)]
pub struct Body(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: String,
    size: u64,
    octets: Octets,
    shelf: Bodies,
    /// A commit made it durable.
    kept: AtomicBool,
}

enum Octets {
    Memory(Box<[u8]>),
    Blob(Blob),
}

impl std::fmt::Debug for Octets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory(_) => f.write_str("Memory"),
            Self::Blob(blob) => write!(f, "Blob({})", blob.path.display()),
        }
    }
}

/// One blob file; removes it unless a row names it.
#[derive(Debug)]
struct Blob {
    path: PathBuf,
    sync: Mutex<OnDisk>,
    stays: AtomicBool,
}

/// Whether the octets of a blob and its name are on the disk.
#[derive(Debug)]
enum OnDisk {
    /// Still open as it was written: only this descriptor is sure to hear of a lost write.
    Written(File),
    Durable,
    /// fsync said no. Asking again may say yes and be wrong (Linux drops the pages), so it is never asked
    /// again.
    Lost(io::ErrorKind),
}

impl Drop for Blob {
    fn drop(&mut self) {
        if !self.stays.load(Ordering::Acquire) {
            // What cannot be removed now is removed by the sweep at the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Takes octets, spills into a blob past the memory cap. Calls block on disk only past the cap:
/// async code hands such writes to `tokio::task::spawn_blocking`.
#[derive(Debug)]
pub struct BodyWriter {
    id: String,
    size: u64,
    shelf: Bodies,
    stage: Stage,
}

enum Stage {
    Memory(Vec<u8>),
    Blob(BlobWriter),
    /// A write failed: what is there is not the body.
    Broken,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Memory(_) => "Memory",
            Self::Blob(_) => "Blob",
            Self::Broken => "Broken",
        })
    }
}

struct BlobWriter {
    blob: Blob,
    file: File,
    sealer: Sealer,
    /// At most one frame; a full one waits here until it is known whether it is the last.
    clear: Vec<u8>,
    sealed: Vec<u8>,
}

/// Reads plaintext, at most [`crate::limits::FRAME`] octets a chunk. Implements [`io::Read`] and
/// [`io::BufRead`].
#[derive(Debug)]
pub struct BodyReader {
    body: Body,
    source: Source,
}

enum Source {
    /// How many octets were read.
    Memory(usize),
    Blob(BlobReader),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Memory(_) => "Memory",
            Self::Blob(_) => "Blob",
        })
    }
}

struct BlobReader {
    file: File,
    opener: Opener,
    frame: Vec<u8>,
    read: usize,
    /// Plaintext octets still in the file.
    left: u64,
    /// The one frame of an empty body has no plaintext, and is checked all the same.
    frames_left: u32,
}

/// Why a body cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The disk.
    #[error("blob {id}: {source}\n  do: check the disk under the blobs directory")]
    Io { id: String, source: io::Error },
    /// It does not decrypt: another key, or changed octets.
    #[error(
        "blob {0} does not decrypt\n  do: check that the key-encryption key is the one of this store"
    )]
    Sealed(String),
}

impl Bodies {
    /// Bodies in the directory `blobs`, which is made when it is first needed.
    pub fn new(blobs: &Path, key: KeyEncryptionKey, world: World) -> Self {
        Self(Arc::new(Shelf {
            blobs: blobs.to_owned(),
            key,
            world,
        }))
    }

    /// Starts a body. Infallible: the blob file is made only past the memory cap.
    pub fn writer(&self) -> BodyWriter {
        BodyWriter {
            id: hex(&self.0.world.random::<16>()),
            size: 0,
            shelf: self.clone(),
            stage: Stage::Memory(Vec::new()),
        }
    }

    /// A body of octets at hand; spills like any other.
    ///
    /// # Errors
    /// [`BodyError::Io`] past the memory cap.
    pub fn of(&self, octets: &[u8]) -> Result<Body, BodyError> {
        let mut writer = self.writer();
        writer.append(octets)?;
        writer.finish()
    }

    /// A body as its row tells it: `sealed` is the row's data, None for a blob.
    pub(super) fn restore(
        &self,
        id: String,
        size: u64,
        sealed: Option<&[u8]>,
    ) -> Result<Body, BodyError> {
        let octets = match sealed {
            None => Octets::Blob(Blob {
                path: self.path(&id),
                sync: Mutex::new(OnDisk::Durable),
                stays: AtomicBool::new(true),
            }),
            Some(sealed) => {
                let clear = self.0.key.unseal(Purpose::Body, &id, sealed);
                let whole = clear.filter(|clear| clear.len() as u64 == size);
                let clear = whole.ok_or_else(|| BodyError::Sealed(id.clone()))?;
                Octets::Memory(clear.as_slice().into())
            }
        };
        Ok(Body(Arc::new(Inner {
            id,
            size,
            octets,
            shelf: self.clone(),
            kept: AtomicBool::new(true),
        })))
    }

    /// The directory of all blobs.
    pub(super) fn directory(&self) -> &Path {
        &self.0.blobs
    }

    /// Where the blob of that id is: `<blobs>/<first two digits>/<id>`.
    pub(super) fn path(&self, id: &str) -> PathBuf {
        let shard = id.get(..2).unwrap_or("__");
        self.0.blobs.join(shard).join(id)
    }

    /// Makes the file of a new blob, readable by its owner alone; never opens one that is there.
    fn create(&self, id: &str) -> io::Result<(Blob, File)> {
        let path = self.path(id);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let shard = path.parent().unwrap_or(&self.0.blobs);
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(shard)?;
                options.open(&path)?
            }
            other => other?,
        };
        let blob = Blob {
            path,
            sync: Mutex::new(OnDisk::Written(file.try_clone()?)),
            stays: AtomicBool::new(false),
        };
        Ok((blob, file))
    }
}

impl BodyWriter {
    /// Appends.
    ///
    /// # Errors
    /// [`BodyError::Io`].
    pub fn append(&mut self, octets: &[u8]) -> Result<(), BodyError> {
        let result = self.try_append(octets);
        if result.is_err() {
            self.stage = Stage::Broken;
        }
        result.map_err(|source| self.io(source))?;
        self.size = self.size.saturating_add(octets.len() as u64);
        Ok(())
    }

    fn try_append(&mut self, octets: &[u8]) -> io::Result<()> {
        match &mut self.stage {
            Stage::Memory(clear)
                if clear.len().saturating_add(octets.len()) <= BODY_IN_MEMORY_MAX =>
            {
                clear.extend_from_slice(octets);
                Ok(())
            }
            Stage::Memory(clear) => {
                let clear = std::mem::take(clear);
                let mut writer = BlobWriter::new(&self.shelf, &self.id)?;
                writer.append(&clear)?;
                writer.append(octets)?;
                self.stage = Stage::Blob(writer);
                Ok(())
            }
            Stage::Blob(writer) => writer.append(octets),
            Stage::Broken => Err(io::Error::other("an earlier write failed")),
        }
    }

    /// Octets so far.
    pub fn len(&self) -> u64 {
        self.size
    }

    /// Whether nothing was appended yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the next `more` octets go to disk (the caller then leaves the reactor).
    pub fn spills(&self, more: usize) -> bool {
        match &self.stage {
            Stage::Memory(clear) => clear.len().saturating_add(more) > BODY_IN_MEMORY_MAX,
            Stage::Blob(writer) => writer.clear.len().saturating_add(more) > FRAME,
            Stage::Broken => false,
        }
    }

    /// Ends it. Not durable yet: [`crate::store::Tx::keep_body`] does that.
    ///
    /// # Errors
    /// [`BodyError::Io`].
    pub fn finish(mut self) -> Result<Body, BodyError> {
        let stage = std::mem::replace(&mut self.stage, Stage::Broken);
        let octets = match stage {
            Stage::Memory(clear) => Octets::Memory(clear.into_boxed_slice()),
            Stage::Blob(writer) => {
                let blob = writer.finish().map_err(|source| self.io(source))?;
                Octets::Blob(blob)
            }
            Stage::Broken => return Err(self.io(io::Error::other("an earlier write failed"))),
        };
        Ok(Body(Arc::new(Inner {
            id: self.id,
            size: self.size,
            octets,
            shelf: self.shelf,
            kept: AtomicBool::new(false),
        })))
    }

    fn io(&self, source: io::Error) -> BodyError {
        let id = self.id.clone();
        BodyError::Io { id, source }
    }
}

impl BlobWriter {
    fn new(shelf: &Bodies, id: &str) -> io::Result<Self> {
        let (blob, mut file) = shelf.create(id)?;
        let sealer = Sealer::new(&shelf.0.key, &shelf.0.world, Purpose::Body, id);
        file.write_all(sealer.header())?;
        Ok(Self {
            blob,
            file,
            sealer,
            clear: Vec::with_capacity(FRAME),
            sealed: Vec::with_capacity(FRAME + TAG),
        })
    }

    fn append(&mut self, mut octets: &[u8]) -> io::Result<()> {
        while !octets.is_empty() {
            if self.clear.len() == FRAME {
                self.flush(Place::Within)?;
            }
            let room = FRAME - self.clear.len();
            let (now, later) = octets.split_at_checked(room).unwrap_or((octets, &[]));
            self.clear.extend_from_slice(now);
            octets = later;
        }
        Ok(())
    }

    fn flush(&mut self, place: Place) -> io::Result<()> {
        self.sealed.clear();
        self.sealer.frame(&self.clear, place, &mut self.sealed);
        self.clear.clear();
        self.file.write_all(&self.sealed)
    }

    fn finish(mut self) -> io::Result<Blob> {
        self.flush(Place::Last)?;
        Ok(self.blob)
    }
}

impl io::Write for BodyWriter {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.append(octets).map_err(io::Error::other)?;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Body {
    /// Its name in row and file. Says nothing about its octets.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Plaintext octets.
    pub fn len(&self) -> u64 {
        self.0.size
    }

    /// Whether it has no octets.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads from the start.
    ///
    /// # Errors
    /// [`BodyError`] if the blob cannot be opened.
    pub fn reader(&self) -> Result<BodyReader, BodyError> {
        let source = match &self.0.octets {
            Octets::Memory(_) => Source::Memory(0),
            Octets::Blob(blob) => Source::Blob(self.open(blob)?),
        };
        Ok(BodyReader {
            body: self.clone(),
            source,
        })
    }

    /// Brings the octets of a blob and its name to the disk; nothing for a small body. Blocks: for
    /// `spawn_blocking`. [`crate::store::Tx::keep_body`] does it too, but then others wait in the same
    /// commit.
    ///
    /// # Errors
    /// [`BodyError::Io`]. Such a body stays refused: what the disk lost once is not asked for again.
    pub fn sync(&self) -> Result<(), BodyError> {
        let Octets::Blob(blob) = &self.0.octets else {
            return Ok(());
        };
        let mut sync = blob.sync.lock().unwrap_or_else(PoisonError::into_inner);
        let result = match &*sync {
            OnDisk::Durable => return Ok(()),
            OnDisk::Lost(kind) => Err(io::Error::from(*kind)),
            OnDisk::Written(file) => file.sync_data().and_then(|()| sync_names(&blob.path)),
        };
        *sync = match &result {
            Ok(()) => OnDisk::Durable,
            Err(error) => OnDisk::Lost(error.kind()),
        };
        result.map_err(|source| self.io(source))
    }

    /// Whether its octets are in a file.
    pub(super) fn is_blob(&self) -> bool {
        matches!(self.0.octets, Octets::Blob(_))
    }

    /// The octets as they go into a row; None for a blob.
    pub(super) fn sealed(&self) -> Option<Vec<u8>> {
        let Octets::Memory(clear) = &self.0.octets else {
            return None;
        };
        let Shelf { key, world, .. } = &*self.0.shelf.0;
        Some(key.seal(world, Purpose::Body, self.id(), clear))
    }

    /// Whether a commit made it durable.
    pub(super) fn is_kept(&self) -> bool {
        self.0.kept.load(Ordering::Acquire)
    }

    /// Its row is committed.
    pub(super) fn keep(&self) {
        self.stay(true);
        self.0.kept.store(true, Ordering::Release);
    }

    /// Whether its file outlives its handles: true as soon as a row may name it.
    pub(super) fn stay(&self, stays: bool) {
        if let Octets::Blob(blob) = &self.0.octets {
            blob.stays.store(stays, Ordering::Release);
        }
    }

    fn open(&self, blob: &Blob) -> Result<BlobReader, BodyError> {
        let sealed = || BodyError::Sealed(self.id().to_owned());
        let mut file = File::open(&blob.path).map_err(|source| self.io(source))?;
        let facts = file.metadata().map_err(|source| self.io(source))?;
        if sealed_len(self.0.size) != Some(facts.len()) {
            return Err(sealed());
        }
        let mut header = [0; HEADER];
        file.read_exact(&mut header)
            .map_err(|source| self.io(source))?;
        let key = &self.0.shelf.0.key;
        let opener = Opener::new(key, Purpose::Body, self.id(), &header).ok_or_else(sealed)?;
        Ok(BlobReader {
            file,
            opener,
            frame: Vec::new(),
            read: 0,
            left: self.0.size,
            frames_left: frames(self.0.size).ok_or_else(sealed)?,
        })
    }

    fn io(&self, source: io::Error) -> BodyError {
        let id = self.id().to_owned();
        BodyError::Io { id, source }
    }
}

/// A name is durable when its directory is; the directory may be new itself.
fn sync_names(path: &Path) -> io::Result<()> {
    for directory in path.ancestors().skip(1).take(2) {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

impl BlobReader {
    /// Decrypts the next frame into `frame`; false at the end. Nothing of a frame is seen before its tag is
    /// checked.
    fn next_frame(&mut self, id: &str) -> io::Result<bool> {
        if self.frames_left == 0 {
            return Ok(false);
        }
        let place = match self.frames_left {
            1 => Place::Last,
            _ => Place::Within,
        };
        let clear = usize::try_from(self.left).map_or(FRAME, |left| left.min(FRAME));
        self.read = 0;
        self.frame.clear();
        self.frame.resize(clear + TAG, 0);
        let read = self.file.read_exact(&mut self.frame);
        let opened = read.map(|()| self.opener.frame(&mut self.frame, place));
        match opened {
            Ok(Some(())) => {
                self.left = self.left.saturating_sub(clear as u64);
                self.frames_left -= 1;
                Ok(true)
            }
            Ok(None) => Err(io::Error::other(BodyError::Sealed(id.to_owned()))),
            Err(error) => {
                self.frame.clear();
                Err(error)
            }
        }
    }
}

impl io::Read for BodyReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let chunk = self.fill_buf()?;
        let amount = chunk.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..amount), chunk.get(..amount)) {
            to.copy_from_slice(from);
        }
        self.consume(amount);
        Ok(amount)
    }
}

impl io::BufRead for BodyReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match (&mut self.source, &self.body.0.octets) {
            (Source::Memory(read), Octets::Memory(clear)) => {
                let rest = clear.get(*read..).unwrap_or_default();
                Ok(rest.get(..FRAME).unwrap_or(rest))
            }
            (Source::Blob(reader), _) => {
                while reader.read >= reader.frame.len() {
                    if !reader.next_frame(&self.body.0.id)? {
                        return Ok(&[]);
                    }
                }
                Ok(reader.frame.get(reader.read..).unwrap_or_default())
            }
            // A reader in memory is only ever made of a body in memory.
            (Source::Memory(_), Octets::Blob(_)) => Ok(&[]),
        }
    }

    fn consume(&mut self, amount: usize) {
        let read = match &mut self.source {
            Source::Memory(read) => read,
            Source::Blob(reader) => &mut reader.read,
        };
        *read = read.saturating_add(amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(dir: &Path) -> Bodies {
        Bodies::new(dir, KeyEncryptionKey::new([1; 32]), World::real())
    }

    fn octets(size: usize) -> Vec<u8> {
        (0..size).map(|at| (at % 251) as u8).collect()
    }

    fn read(body: &Body) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        let mut reader = body.reader().map_err(|error| error.to_string())?;
        reader
            .read_to_end(&mut out)
            .map_err(|error| error.to_string())?;
        Ok(out)
    }

    fn files(dir: &Path) -> usize {
        let shards = std::fs::read_dir(dir).expect("a directory");
        shards
            .flatten()
            .flat_map(|shard| std::fs::read_dir(shard.path()).expect("a shard"))
            .count()
    }

    #[test]
    fn a_body_of_any_size_reads_back_and_only_large_ones_are_files() {
        let dir = tempfile::tempdir().expect("a directory");
        let kib = 1024;
        for size in [
            0,
            1,
            64 * kib,
            64 * kib + 1,
            256 * kib,
            256 * kib + 1,
            320 * kib,
            3 * kib * kib,
        ] {
            let clear = octets(size);
            let mut writer = bodies(dir.path()).writer();
            for chunk in clear.chunks(10_007) {
                let fits = writer.len() as usize + chunk.len() <= BODY_IN_MEMORY_MAX;
                assert!(!(fits && writer.spills(chunk.len())));
                writer.append(chunk).expect("written");
            }
            let body = writer.finish().expect("finished");
            assert_eq!(body.len(), size as u64);
            assert_eq!(read(&body), Ok(clear), "{size}");
            assert_eq!(files(dir.path()), usize::from(size > BODY_IN_MEMORY_MAX));
            body.sync().expect("synced");
            body.sync().expect("synced again");
        }
    }

    #[test]
    fn a_reader_gives_at_most_one_frame_at_once() {
        let dir = tempfile::tempdir().expect("a directory");
        for size in [200_000, 400_000] {
            let body = bodies(dir.path()).of(&octets(size)).expect("made");
            let mut reader = body.reader().expect("opened");
            let mut sum = 0;
            loop {
                let length = reader.fill_buf().expect("read").len();
                assert!(length <= FRAME);
                if length == 0 {
                    break;
                }
                reader.consume(length);
                sum += length;
            }
            assert_eq!(sum, size);
        }
    }

    #[test]
    fn a_blob_whose_file_was_touched_does_not_read_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let size = BODY_IN_MEMORY_MAX + 5;
        let body = bodies(dir.path()).of(&octets(size)).expect("made");
        let path = bodies(dir.path()).path(body.id());
        let good = std::fs::read(&path).expect("there");
        assert!(
            !good.windows(64).any(|part| part == &octets(64)[..]),
            "plaintext on disk"
        );
        let frame = FRAME + TAG;
        let swapped = {
            let mut bad = good.clone();
            bad[HEADER..HEADER + 2 * frame].rotate_left(frame);
            bad
        };
        let flipped = |at: usize| {
            let mut bad = good.clone();
            bad[at] ^= 0x80;
            bad
        };
        let cases = [
            ("flipped header", flipped(3)),
            ("flipped first", flipped(HEADER)),
            ("flipped tag", flipped(good.len() - 1)),
            ("swapped", swapped),
            ("cut by one", good[..good.len() - 1].to_vec()),
            ("cut by a frame", good[..good.len() - 5 - TAG].to_vec()),
            ("longer", [good.as_slice(), &[0]].concat()),
        ];
        for (what, bad) in cases {
            std::fs::write(&path, bad).expect("written");
            let error = read(&body).expect_err(what);
            assert!(error.contains("does not decrypt"), "{what}: {error}");
        }
        std::fs::write(&path, good).expect("written");
        assert_eq!(read(&body), Ok(octets(size)));
    }

    #[test]
    fn a_blob_under_another_name_or_key_does_not_read_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let shelf = bodies(dir.path());
        let size = BODY_IN_MEMORY_MAX + 1;
        let one = shelf.of(&octets(size)).expect("made");
        let two = shelf.of(&octets(size)).expect("made");
        std::fs::copy(shelf.path(one.id()), shelf.path(two.id())).expect("copied");
        assert!(read(&one).is_ok());
        assert!(read(&two).is_err());
        let other = Bodies::new(dir.path(), KeyEncryptionKey::new([2; 32]), World::real());
        let restored = other.restore(one.id().to_owned(), size as u64, None);
        assert!(read(&restored.expect("restored")).is_err());
    }

    #[test]
    fn a_blob_goes_with_its_last_handle_unless_it_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let shelf = bodies(dir.path());
        let body = shelf.of(&octets(BODY_IN_MEMORY_MAX + 1)).expect("made");
        let second = body.clone();
        drop(body);
        assert_eq!(files(dir.path()), 1);
        drop(second);
        assert_eq!(files(dir.path()), 0);

        let mut unfinished = shelf.writer();
        unfinished
            .append(&octets(BODY_IN_MEMORY_MAX + 1))
            .expect("written");
        assert_eq!(files(dir.path()), 1);
        drop(unfinished);
        assert_eq!(files(dir.path()), 0);

        let body = shelf.of(&octets(BODY_IN_MEMORY_MAX + 1)).expect("made");
        body.keep();
        drop(body);
        assert_eq!(files(dir.path()), 1);
    }
}
