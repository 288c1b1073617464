//! The store as the stations hold it: one handle, cheap to clone, one process.
//! In: work. Out: its result after the commit is durable. Statements are the stations' own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::{SqliteConnection, SqlitePool};
use tokio::sync::{Notify, broadcast, mpsc, oneshot};

use crate::journal::Entry;
use crate::queue::Returns;
use crate::world::{Timestamp, World};

use super::writer::{Message, Piece};
use super::{Bodies, Body, KeyEncryptionKey, Paths, StoreError, Tx, Work, open, sql};

/// The store. Cheap to clone; one a process (advisory lock beside the database).
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    inbox: mpsc::Sender<Message>,
    readers: SqlitePool,
    database: PathBuf,
}

/// What the handle and the writer both need. The writer does not hold the handle, so that it ends with the
/// last one.
pub(super) struct Shared {
    pub(super) bodies: Bodies,
    pub(super) key: KeyEncryptionKey,
    pub(super) world: World,
    pub(super) node: String,
    pub(super) lease_token: String,
    pub(super) leases: AtomicU64,
    pub(super) returns: Arc<Returns>,
    pub(super) queue: Arc<Notify>,
    pub(super) epoch: AtomicU64,
    pub(super) events: broadcast::Sender<Arc<(Timestamp, Entry)>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new_lease_token(&self) -> String {
        let number = self.leases.fetch_add(1, Ordering::Relaxed);
        format!("{}-{number}", self.lease_token)
    }
}

impl Store {
    /// Opens (and migrates) the store, starts the writer. Frees the leases of dead processes and removes
    /// blobs that no row names.
    ///
    /// # Errors
    /// [`StoreError`] with what to do.
    pub async fn open(
        paths: &Paths,
        node: &str,
        key: KeyEncryptionKey,
        world: World,
    ) -> Result<Self, StoreError> {
        let opened = open::open(paths, node, key, world).await?;
        Ok(Self(Arc::new(Inner {
            shared: opened.shared,
            inbox: opened.inbox,
            readers: opened.readers,
            database: paths.database.clone(),
        })))
    }

    /// Where bodies are made.
    pub fn bodies(&self) -> &Bodies {
        &self.0.shared.bodies
    }

    /// The key-encryption key.
    pub fn key(&self) -> &KeyEncryptionKey {
        &self.0.shared.key
    }

    /// The clock and the rest.
    pub fn world(&self) -> &World {
        &self.0.shared.world
    }

    /// What this process's lease tokens start with: new at every start.
    pub fn lease_token(&self) -> &str {
        &self.0.shared.lease_token
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.0.shared.node
    }

    /// Where leases go that are dropped unsettled.
    pub(crate) fn returns(&self) -> &Arc<Returns> {
        &self.0.shared.returns
    }

    /// Runs `work` inside the next group commit; returns after the commit is durable.
    /// `work` may be run once only. An error or a panic rolls back this submission alone.
    /// Work that was handed in is done even if this future is dropped.
    ///
    /// # Errors
    /// What `work` says, or why the commit failed.
    pub async fn write<T, F>(&self, name: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> Work<'t, T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let piece = Piece { name, work, answer };
        let sent = self.0.inbox.send(Message::Work(Box::new(piece))).await;
        sent.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Runs `work` on a read connection. Each statement sees the newest commit; two statements may see two
    /// commits.
    ///
    /// # Errors
    /// What `work` says.
    pub async fn read<T, F>(&self, name: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send,
        F: for<'t> FnOnce(&'t mut SqliteConnection) -> Work<'t, T> + Send,
    {
        let acquired = self.0.readers.acquire().await;
        let mut conn = acquired.map_err(|error| StoreError::database(name, error))?;
        work(&mut conn).await.map_err(|error| error.or_named(name))
    }

    /// The body of that row.
    ///
    /// # Errors
    /// [`StoreError::Row`] if there is none.
    pub async fn body(&self, id: &str) -> Result<Body, StoreError> {
        let wanted = id.to_owned();
        let read = self.read("body-read", move |conn| {
            Box::pin(async move { sql::select_body(conn, &wanted).await })
        });
        let stored = read.await?.ok_or_else(|| StoreError::Row {
            name: "body-read",
            what: format!("no body {id}"),
        })?;
        let bodies = self.bodies();
        Ok(bodies.restore(id.to_owned(), stored.size, stored.sealed.as_deref())?)
    }

    /// Told after each commit that asked for [`super::Wake::Queue`], and when a lease was dropped unsettled.
    pub fn queue_woken(&self) -> Arc<Notify> {
        Arc::clone(&self.0.shared.queue)
    }

    /// Goes up with each commit that asked for [`super::Wake::Snapshots`]; part of every cache key.
    pub fn epoch(&self) -> u64 {
        self.0.shared.epoch.load(Ordering::Acquire)
    }

    /// Every journal entry, after its commit.
    pub fn events(&self) -> broadcast::Receiver<Arc<(Timestamp, Entry)>> {
        self.0.shared.events.subscribe()
    }

    /// Free octets and free inodes of the file system under the database (and the blobs, the lesser of
    /// both).
    ///
    /// # Errors
    /// What the operating system says.
    pub fn room(&self) -> std::io::Result<(u64, u64)> {
        let (octets, inodes) = open::room(&self.0.database)?;
        let (blob_octets, blob_inodes) = open::room(self.bodies().directory())?;
        Ok((octets.min(blob_octets), inodes.min(blob_inodes)))
    }

    /// Commits what waits and closes the database. Every later use says [`StoreError::Closed`].
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.0.inbox.send(Message::Close(done)).await.is_ok() {
            // An error means that the writer is gone already, which is what was asked for.
            let _ = closed.await;
        }
    }
}
