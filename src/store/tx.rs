//! One transaction as the stations see it: the connection, and what is to happen after the commit.
//! In: statements, journal entries, bodies, wake-ups. Out: what the writer commits, and then does.
//! Nothing noted here happens if the submission or the commit fails.

use std::sync::Arc;

use sqlx::SqliteConnection;
use tokio::task::JoinHandle;

use crate::journal::Entry;
use crate::queue::Returns;
use crate::world::Timestamp;

use super::handle::Shared;
use super::later::{Later, Waiting};
use super::{Body, BodyError, StoreError, sql};

/// What a commit wakes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The queue driver: a job is due.
    Queue,
    /// Caches of trust, directory or identities are stale.
    Snapshots,
}

/// One transaction's handle, given to the work inside [`super::Store::write`].
///
/// The work runs its statements and returns their errors; it waits for nothing else, because everyone waits
/// for it. It never begins, commits or rolls back by itself.
pub struct Tx {
    pub(super) conn: SqliteConnection,
    shared: Arc<Shared>,
    now: Timestamp,
    /// Noted by the submissions of this group that did not fail.
    pub(super) entries: Vec<Entry>,
    effects: Vec<Effect>,
    syncs: Vec<JoinHandle<Result<(), BodyError>>>,
    octets: usize,
    /// Statements that nobody waits for yet.
    waiting: Waiting,
    /// How often any were run.
    runs: u64,
}

/// What happens after the commit.
enum Effect {
    Wake(Wake),
    Kept(Body),
    Then(Box<dyn FnOnce() + Send>),
}

/// How much was noted when a submission began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    entries: usize,
    effects: usize,
    syncs: usize,
    octets: usize,
    runs: u64,
}

/// Whether the database has heard of a submission that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touched {
    Nothing,
    Something,
}

impl std::fmt::Debug for Tx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tx")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl Tx {
    pub(super) fn new(conn: SqliteConnection, shared: Arc<Shared>) -> Self {
        Self {
            conn,
            now: shared.world.now(),
            shared,
            entries: Vec::new(),
            effects: Vec::new(),
            syncs: Vec::new(),
            octets: 0,
            waiting: Waiting::default(),
            runs: 0,
        }
    }

    /// The connection, for statements whose results are asked for; they run through [`sqlx::query`] with `$1` binds.
    /// What [`Tx::later`] holds runs first.
    ///
    /// # Errors
    /// [`StoreError`] of what was held.
    pub async fn conn(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        // Whoever takes the connection is going to use it.
        self.runs += 1;
        self.catch_up().await?;
        Ok(&mut self.conn)
    }

    /// A statement whose result nobody asks for. It runs with the next that somebody waits for, in this
    /// order; its error is
    /// that of the submission.
    pub fn later(&mut self, name: &'static str, sql: &'static str) -> Later<'_> {
        self.waiting.add(name, sql)
    }

    /// Runs what [`Tx::later`] holds.
    pub(super) async fn catch_up(&mut self) -> Result<(), StoreError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.runs += 1;
        std::mem::take(&mut self.waiting).run(&mut self.conn).await
    }

    /// Runs what [`Tx::later`] holds, and returns the first row of the last of them; the others return none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ask<O>(&mut self) -> Result<Option<O>, StoreError>
    where
        O: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow> + Send + Unpin,
    {
        self.runs += 1;
        std::mem::take(&mut self.waiting).ask(&mut self.conn).await
    }

    /// When this transaction began.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The clock and the rest.
    pub fn world(&self) -> &crate::world::World {
        &self.shared.world
    }

    /// Where bodies are made.
    pub fn bodies(&self) -> &super::Bodies {
        &self.shared.bodies
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.shared.node
    }

    /// A token that no lease had before; starts with [`super::Store::lease_token`].
    pub(crate) fn new_lease_token(&self) -> String {
        self.shared.new_lease_token()
    }

    /// Where leases go that are dropped unsettled.
    pub(crate) fn returns(&self) -> &Arc<Returns> {
        &self.shared.returns
    }

    /// Records a journal entry; it becomes a row of this commit.
    pub fn record(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Wakes someone after the commit.
    pub fn wake(&mut self, who: Wake) {
        self.effects.push(Effect::Wake(who));
    }

    /// Runs `then` after the commit, before the caller of [`super::Store::write`] is answered; drops it if
    /// there is no commit. It must not block.
    pub fn after_commit(&mut self, then: impl FnOnce() + Send + 'static) {
        self.effects.push(Effect::Then(Box::new(then)));
    }

    /// Makes a body durable in this commit and returns its row id: in a row if small, else the blob,
    /// which was synced (file and directory) before. Idempotent for one body.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_body(&mut self, body: &Body) -> Result<String, StoreError> {
        let id = body.id().to_owned();
        if body.is_kept() || self.keeps(&id) {
            return Ok(id);
        }
        if body.is_blob() {
            // Runs beside the statements; the commit waits for it.
            let blob = body.clone();
            self.syncs
                .push(tokio::task::spawn_blocking(move || blob.sync()));
        }
        let sealed = body.sealed();
        self.octets = self
            .octets
            .saturating_add(sealed.as_ref().map_or(0, Vec::len));
        sql::insert_body(self, &id, body.len(), sealed);
        self.effects.push(Effect::Kept(body.clone()));
        Ok(id)
    }

    /// Removes a body: its row now, its file after the commit. Nothing if it is not there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn drop_body(&mut self, id: &str) -> Result<(), StoreError> {
        if sql::delete_body(self.conn().await?, id).await? == Some(sql::Held::InFile) {
            let path = self.shared.bodies.path(id);
            self.after_commit(move || {
                // What is not removed now is removed by the sweep at the next start.
                tokio::task::spawn_blocking(move || std::fs::remove_file(path));
            });
        }
        Ok(())
    }

    fn keeps(&self, id: &str) -> bool {
        self.effects
            .iter()
            .any(|effect| matches!(effect, Effect::Kept(body) if body.id() == id))
    }

    // ---- for the writer ----

    pub(super) fn begin(&mut self) {
        self.rewind(Mark {
            entries: 0,
            effects: 0,
            syncs: 0,
            octets: 0,
            runs: 0,
        });
        self.now = self.shared.world.now();
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            entries: self.entries.len(),
            effects: self.effects.len(),
            syncs: self.syncs.len(),
            octets: self.octets,
            runs: self.runs,
        }
    }

    /// What a submission begins with; it runs with its first statement.
    pub(super) fn enter(&mut self, text: &'static str) {
        self.waiting.add("writer", text);
    }

    /// Forgets what was noted since `mark`.
    pub(super) fn rewind(&mut self, mark: Mark) -> Touched {
        self.entries.truncate(mark.entries);
        self.effects.truncate(mark.effects);
        self.syncs.truncate(mark.syncs);
        self.octets = mark.octets;
        // A submission that succeeded has none left.
        self.waiting = Waiting::default();
        if self.runs == mark.runs {
            Touched::Nothing
        } else {
            Touched::Something
        }
    }

    /// Body octets that this group puts into rows.
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    /// Waits until the blobs of this group are on the disk.
    pub(super) async fn synced(&mut self) -> Result<(), StoreError> {
        for sync in self.syncs.drain(..) {
            sync.await
                .map_err(|_| StoreError::Closed)?
                .map_err(|error| match &error {
                    BodyError::Io { source, .. }
                        if source.kind() == std::io::ErrorKind::StorageFull =>
                    {
                        StoreError::Full(error.to_string())
                    }
                    _ => StoreError::Body(error),
                })?;
        }
        Ok(())
    }

    /// From here on a row may name these bodies, whatever the commit says.
    pub(super) fn bodies_stay(&self) {
        for body in self.kept_bodies() {
            body.stay(true);
        }
    }

    /// The bodies that this group keeps.
    pub(super) fn kept_bodies(&self) -> impl Iterator<Item = &Body> {
        self.effects.iter().filter_map(|effect| match effect {
            Effect::Kept(body) => Some(body),
            _ => None,
        })
    }

    /// After the commit: marks what is durable, then tells whom to wake.
    pub(super) fn take_effect(&mut self) -> Vec<Wake> {
        let mut wakes = Vec::new();
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Wake(who) if wakes.contains(&who) => {}
                Effect::Wake(who) => wakes.push(who),
                Effect::Kept(body) => body.keep(),
                Effect::Then(then) => then(),
            }
        }
        wakes
    }
}
