//! One writer, group commit: what waits is committed in one full-sync transaction, each submission in
//! its own SAVEPOINT; replies, wake-ups and journal broadcasts leave after the commit.

use std::sync::Arc;

use sqlx::SqliteConnection;
use tokio::sync::{Notify, broadcast};

use crate::journal::Entry;
use crate::world::{Timestamp, World};

use super::{Bodies, Body, KeyEncryptionKey, Paths, StoreError, Work};

/// The store. Cheap to clone; one a process (advisory lock beside the database).
#[derive(Clone, Debug)]
pub struct Store {
    _private: (),
}

/// What a commit wakes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The queue driver: a job is due.
    Queue,
    /// Caches of trust, directory or identities are stale.
    Snapshots,
}

/// One transaction's handle, given to the work inside [`Store::write`].
#[derive(Debug)]
pub struct Tx {
    _private: (),
}

impl Tx {
    /// The connection; statements run through [`sqlx::query`] with `$1` binds.
    pub fn conn(&mut self) -> &mut SqliteConnection {
        todo!()
    }

    /// When this transaction began.
    pub fn now(&self) -> Timestamp {
        todo!()
    }

    /// Records a journal entry; it becomes a row of this commit.
    pub fn record(&mut self, _entry: Entry) {
        todo!()
    }

    /// Wakes someone after the commit.
    pub fn wake(&mut self, _who: Wake) {
        todo!()
    }

    /// Makes a body durable in this commit and returns its row id: in a row if small, else the blob,
    /// which was synced (file and directory) before. Idempotent for one body.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_body(&mut self, _body: &Body) -> Result<String, StoreError> {
        todo!()
    }
}

impl Store {
    /// Opens (and migrates) the store, starts the writer.
    ///
    /// # Errors
    /// [`StoreError`] with what to do.
    pub async fn open(
        _paths: &Paths,
        _node: &str,
        _key: KeyEncryptionKey,
        _world: World,
    ) -> Result<Self, StoreError> {
        todo!()
    }

    /// Where bodies are made.
    pub fn bodies(&self) -> &Bodies {
        todo!()
    }

    /// The key-encryption key.
    pub fn key(&self) -> &KeyEncryptionKey {
        todo!()
    }

    /// The clock and the rest.
    pub fn world(&self) -> &World {
        todo!()
    }

    /// This process's lease token: new at every start, so that leases of a dead process are recognised.
    pub fn lease_token(&self) -> &str {
        todo!()
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        todo!()
    }

    /// Runs `work` inside the next group commit; returns after the commit is durable.
    /// `work` may be run once only. An error rolls back this submission alone.
    ///
    /// # Errors
    /// What `work` says, or why the commit failed.
    pub async fn write<T, F>(&self, _name: &'static str, _work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> Work<'t, T> + Send + 'static,
    {
        todo!()
    }

    /// Runs `work` on a read connection.
    ///
    /// # Errors
    /// What `work` says.
    pub async fn read<T, F>(&self, _name: &'static str, _work: F) -> Result<T, StoreError>
    where
        T: Send,
        F: for<'t> FnOnce(&'t mut SqliteConnection) -> Work<'t, T> + Send,
    {
        todo!()
    }

    /// The body of that row.
    ///
    /// # Errors
    /// [`StoreError::Row`] if there is none.
    pub async fn body(&self, _id: &str) -> Result<Body, StoreError> {
        todo!()
    }

    /// Told after each commit that asked for [`Wake::Queue`].
    pub fn queue_woken(&self) -> Arc<Notify> {
        todo!()
    }

    /// Goes up with each commit that asked for [`Wake::Snapshots`]; part of every cache key.
    pub fn epoch(&self) -> u64 {
        todo!()
    }

    /// Every journal entry, after its commit.
    pub fn events(&self) -> broadcast::Receiver<Arc<(Timestamp, Entry)>> {
        todo!()
    }

    /// Free octets and free inodes of the file system under the database (and the blobs, the lesser of both).
    ///
    /// # Errors
    /// What the operating system says.
    pub fn room(&self) -> std::io::Result<(u64, u64)> {
        todo!()
    }

    /// Commits what waits and closes the database.
    pub async fn close(&self) {
        todo!()
    }
}
