//! Opening the store: directories, lock, schema, leftovers of a dead process, the writer and the readers.
//! In: two paths and a key. Out: a store that this process owns, or why not.
//! Nothing is removed before the lock is ours.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection, SqlitePool};
use tokio::sync::{Notify, broadcast, mpsc};

use crate::limits::{EVENTS_LAG_MAX, READERS, SUBMISSIONS_WAITING_MAX};
use crate::queue::{self, Returns};
use crate::world::{Timestamp, World};

use super::at_rest::hex;
use super::handle::Shared;
use super::writer::{Desk, Message, Writer};
use super::{Bodies, KeyEncryptionKey, Paths, StoreError, sql};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// Prepared statements that a connection keeps; a connection that runs them all has about a hundred.
const STATEMENTS_KEPT: usize = 256;

/// What an open store is made of.
pub(super) struct Opened {
    pub(super) shared: Arc<Shared>,
    pub(super) inbox: mpsc::Sender<Message>,
    pub(super) readers: SqlitePool,
}

pub(super) async fn open(
    paths: &Paths,
    node: &str,
    key: KeyEncryptionKey,
    world: World,
) -> Result<Opened, StoreError> {
    let own = paths.clone();
    let prepared = tokio::task::spawn_blocking(move || prepare(&own));
    let lock = prepared.await.map_err(|_| StoreError::Closed)??;

    let options = connect_options(&paths.database);
    let mut conn = connect(&options).await?;
    migrate(&mut conn).await?;
    check_key(&mut conn, &key, world.now()).await?;
    queue::sql::free_dead_leases(&mut conn, world.now()).await?;
    let bodies = Bodies::new(&paths.blobs, key.clone(), world.clone());
    sweep(&mut conn, &bodies).await?;

    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(options.clone().read_only(true));
    let queue = Arc::new(Notify::new());
    let shared = Arc::new(Shared {
        bodies,
        key,
        node: node.to_owned(),
        lease_token: hex(&world.random::<16>()),
        leases: AtomicU64::new(0),
        returns: Returns::new(Arc::clone(&queue)),
        queue,
        epoch: AtomicU64::new(1),
        events: broadcast::Sender::new(EVENTS_LAG_MAX),
        world,
    });
    let (inbox, waiting) = mpsc::channel(SUBMISSIONS_WAITING_MAX);
    let desk = Desk::new(conn, &shared).await?;
    let writer = Writer::new(waiting, &shared, options, readers.clone(), lock, desk);
    tokio::spawn(writer.run());
    Ok(Opened {
        shared,
        inbox,
        readers,
    })
}

/// Directories, then the lock, then the database file: all for carepost's user alone.
fn prepare(paths: &Paths) -> Result<File, StoreError> {
    let parent = parent(&paths.database);
    for directory in [parent, &paths.blobs] {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|source| path_error(directory, source))?;
    }
    let lock_path = beside(&paths.database, ".lock");
    let lock = private_file(&lock_path).map_err(|source| path_error(&lock_path, source))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::InUse(paths.database.display().to_string()));
        }
        Err(TryLockError::Error(source)) => return Err(path_error(&lock_path, source)),
    }
    // SQLite gives its -wal and -shm files the mode of the database file.
    private_file(&paths.database).map_err(|source| path_error(&paths.database, source))?;
    Ok(lock)
}

fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
}

fn path_error(path: &Path, source: io::Error) -> StoreError {
    let path = path.display().to_string();
    StoreError::Path { path, source }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn parent(path: &Path) -> &Path {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// 250 means durable: every commit is synced (<https://www.sqlite.org/pragma.html#pragma_synchronous>,
/// FULL).
fn connect_options(database: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(database)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // What a savepoint would undo is kept in memory; in a file it is most of what is written.
        .pragma("temp_store", "MEMORY")
        .statement_cache_capacity(STATEMENTS_KEPT)
        .disable_statement_logging()
}

pub(super) async fn connect(
    options: &SqliteConnectOptions,
) -> Result<SqliteConnection, StoreError> {
    options
        .connect()
        .await
        .map_err(|error| StoreError::database("open", error))
}

async fn migrate(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    let known = MIGRATIONS.iter().map(|migration| migration.version).max();
    MIGRATIONS.run(conn).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) => StoreError::Newer {
            found,
            known: known.unwrap_or(0),
        },
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => {
            StoreError::database("migrate", source)
        }
        other => StoreError::database("migrate", sqlx::Error::Migrate(Box::new(other))),
    })
}

/// A store belongs to the key that it began with: under another nothing in it can be read, and what was
/// written under that one could not be read under its own.
async fn check_key(
    conn: &mut SqliteConnection,
    key: &KeyEncryptionKey,
    now: Timestamp,
) -> Result<(), StoreError> {
    let given = key.id();
    let expected = sql::claim_key(conn, &given, now.0).await?;
    if expected == given {
        Ok(())
    } else {
        Err(StoreError::OtherKey { given, expected })
    }
}

/// Removes blobs that no row names: their process died between writing the file and the commit.
async fn sweep(conn: &mut SqliteConnection, bodies: &Bodies) -> Result<(), StoreError> {
    for shard in 0..=u8::MAX {
        let name = hex(&[shard]);
        let directory = bodies.directory().join(&name);
        let listing = directory.clone();
        let listed = tokio::task::spawn_blocking(move || files(&listing)).await;
        let files = listed
            .map_err(|_| StoreError::Closed)?
            .map_err(|source| path_error(&directory, source))?;
        if files.is_empty() {
            continue;
        }
        let kept = sql::blobs_of_shard(conn, &name).await?;
        let stray = files
            .into_iter()
            .filter(move |file| !kept.contains(file))
            .map(move |file| directory.join(file));
        // What cannot be removed only takes room; the next start tries again.
        let removed = tokio::task::spawn_blocking(move || {
            stray
                .filter(|path| std::fs::remove_file(path).is_ok())
                .count()
        });
        let removed = removed.await.map_err(|_| StoreError::Closed)?;
        if removed > 0 {
            tracing::info!(shard = name, removed, "blobs without a row were removed");
        }
    }
    Ok(())
}

/// Names of the files in a directory; none if there is no such directory.
fn files(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    entries
        .filter_map(|entry| {
            entry
                .map(|entry| entry.file_name().into_string().ok())
                .transpose()
        })
        .collect()
}

/// Free octets and inodes for an unprivileged user.
pub(super) fn room(path: &Path) -> io::Result<(u64, u64)> {
    let facts = rustix::fs::statvfs(path)?;
    let octets = facts.f_bavail.saturating_mul(facts.f_frsize);
    // File systems without a table of inodes (btrfs) say that they have none at all.
    let inodes = match facts.f_files {
        0 => u64::MAX,
        _ => facts.f_favail,
    };
    Ok((octets, inodes))
}
