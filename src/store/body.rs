//! The octets of a message as a handle: small in memory, large as an encrypted blob, read in chunks.
//! No station holds a message as `Vec<u8>`.

use std::io;

/// Where bodies are made and found. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bodies {
    _private: (),
}

/// One body. Cheap to clone (shared). At most [`crate::limits::BODY_IN_MEMORY_MAX`] octets are in memory;
/// a larger one is a blob file under the key-encryption key.
/// A blob that was never made durable by a commit is removed when its last handle is dropped.
#[derive(Clone, Debug)]
pub struct Body {
    _private: (),
}

/// Takes octets, spills into a blob past the memory cap. Calls block on disk only past the cap:
/// async code hands such writes to `tokio::task::spawn_blocking`.
#[derive(Debug)]
pub struct BodyWriter {
    _private: (),
}

/// Reads plaintext, at most [`crate::limits::FRAME`] octets a chunk. Implements [`io::Read`] and [`io::BufRead`].
#[derive(Debug)]
pub struct BodyReader {
    _private: (),
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
    /// Starts a body. Infallible: the blob file is made only past the memory cap.
    pub fn writer(&self) -> BodyWriter {
        todo!()
    }

    /// A body of octets at hand; spills like any other.
    ///
    /// # Errors
    /// [`BodyError::Io`] past the memory cap.
    pub fn of(&self, _octets: &[u8]) -> Result<Body, BodyError> {
        todo!()
    }
}

impl BodyWriter {
    /// Appends.
    ///
    /// # Errors
    /// [`BodyError::Io`].
    pub fn append(&mut self, _octets: &[u8]) -> Result<(), BodyError> {
        todo!()
    }

    /// Octets so far.
    pub fn len(&self) -> u64 {
        todo!()
    }

    /// Whether nothing was appended yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the next `more` octets go to disk (the caller then leaves the reactor).
    pub fn spills(&self, _more: usize) -> bool {
        todo!()
    }

    /// Ends it. Not durable yet: [`crate::store::Tx::keep_body`] does that.
    ///
    /// # Errors
    /// [`BodyError::Io`].
    pub fn finish(self) -> Result<Body, BodyError> {
        todo!()
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
    /// Plaintext octets.
    pub fn len(&self) -> u64 {
        todo!()
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
        todo!()
    }
}

impl io::Read for BodyReader {
    fn read(&mut self, _out: &mut [u8]) -> io::Result<usize> {
        todo!()
    }
}

impl io::BufRead for BodyReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        todo!()
    }

    fn consume(&mut self, _amount: usize) {
        todo!()
    }
}
