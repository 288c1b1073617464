//! What is kept: one SQLite database, one directory of blobs, both under the key-encryption key.
//! In: named pieces of SQL from the stations. Out: rows, and receipts after the commit.
//! Never decides anything about a message.

mod at_rest;
mod body;
mod error;
mod handle;
mod later;
mod open;
mod sql;
mod tx;
mod writer;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use at_rest::{KekError, KeyEncryptionKey};
pub use body::{Bodies, Body, BodyError, BodyReader, BodyWriter};
pub use error::{Named, StoreError};
pub use handle::Store;
pub use later::Later;
pub use tx::{Tx, Wake};

/// Where things are kept.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The SQLite file.
    pub database: PathBuf,
    /// The directory of blobs.
    pub blobs: PathBuf,
}

/// A future that a station hands to [`Store::write`] or [`Store::read`].
pub type Work<'t, T> = std::pin::Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 't>>;
