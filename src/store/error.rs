//! Why the store said no, and how a station gives its SQL a name.
//! In: what sqlx or the disk says. Out: one [`StoreError`], with the name of the statement and what to do.

use crate::journal::Fault;

/// Why the store said no.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process owns it.
    #[error(
        "{0} is in use by another carepost\n  do: use the running one (its admin.sock), or stop it first"
    )]
    InUse(String),
    /// Written by a newer carepost.
    #[error(
        "the database has schema {found}, this carepost knows up to {known}\n  do: run the newer carepost again, or restore a backup from before the upgrade"
    )]
    Newer { found: i64, known: i64 },
    /// Whatever it holds was encrypted under another key.
    #[error(
        "the key-encryption key is not the one of this database: its id is {given}, the database's is {expected}\n  do: put the right key back, from your safe copy; no message was touched"
    )]
    OtherKey { given: String, expected: String },
    /// A directory or file cannot be made or read.
    #[error(
        "{path}: {source}\n  do: check that the directory exists and belongs to carepost's user"
    )]
    Path {
        path: String,
        source: std::io::Error,
    },
    /// No room.
    #[error(
        "no room left in the store: {0}\n  do: free space; mail is deferred with 452 until then"
    )]
    Full(String),
    /// The disk or the database failed.
    #[error("{name}: {source}\n  do: check the disk and the database file")]
    Database {
        name: &'static str,
        source: sqlx::Error,
    },
    /// A row that this code cannot have written.
    #[error("{name}: a row does not read back: {what}\n  do: report this; it is a mistake of ours")]
    Row { name: &'static str, what: String },
    /// The work itself broke. Nothing of it was kept.
    #[error("{name}: the work panicked\n  do: report this; it is a mistake of ours")]
    Panicked { name: &'static str },
    /// A body.
    #[error(transparent)]
    Body(#[from] super::BodyError),
    /// The writer is gone: the process is stopping.
    #[error("the store is closing\n  do: try again")]
    Closed,
}

impl StoreError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Full(_)
            | Self::Closed
            | Self::InUse(_)
            | Self::Path { .. }
            | Self::Database { .. }
            | Self::Body(_) => Fault::Later,
            Self::Newer { .. } | Self::OtherKey { .. } => Fault::Never,
            Self::Row { .. } | Self::Panicked { .. } => Fault::Ours,
        }
    }

    /// What sqlx said about the statement `name`.
    pub fn database(name: &'static str, source: sqlx::Error) -> Self {
        match &source {
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Self::Closed,
            source if is_full(source) => Self::Full(format!("{name}: {source}")),
            _ => Self::Database { name, source },
        }
    }

    /// The same error once more: a failed commit is told to everyone who was in it.
    pub(super) fn repeat(&self) -> Self {
        match self {
            Self::Full(what) => Self::Full(what.clone()),
            Self::Closed => Self::Closed,
            other => Self::Database {
                name: "commit",
                source: sqlx::Error::Io(std::io::Error::other(other.to_string())),
            },
        }
    }

    /// Gives an unnamed error the name of the work it came from.
    pub(super) fn or_named(self, name: &'static str) -> Self {
        match self {
            Self::Database {
                name: UNNAMED,
                source,
            } => Self::Database { name, source },
            other => other,
        }
    }
}

/// SQLITE_FULL, or a full disk below SQLite (<https://www.sqlite.org/rescode.html#full>).
fn is_full(error: &sqlx::Error) -> bool {
    match error {
        // The primary result code is the low octet of the extended one.
        sqlx::Error::Database(cause) => cause
            .code()
            .and_then(|code| code.parse::<u32>().ok())
            .is_some_and(|code| code & 0xff == 13),
        sqlx::Error::Io(cause) => cause.kind() == std::io::ErrorKind::StorageFull,
        _ => false,
    }
}

const UNNAMED: &str = "unnamed";

impl From<sqlx::Error> for StoreError {
    fn from(source: sqlx::Error) -> Self {
        Self::database(UNNAMED, source)
    }
}

/// Every statement of a station runs under a name: `query.execute(tx.conn().await?).await.named("job-put")?`.
pub trait Named<T> {
    /// Names the statement in the error.
    ///
    /// # Errors
    /// [`StoreError`], telling a full disk from a broken one.
    fn named(self, name: &'static str) -> Result<T, StoreError>;
}

impl<T> Named<T> for Result<T, sqlx::Error> {
    fn named(self, name: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::database(name, source))
    }
}
