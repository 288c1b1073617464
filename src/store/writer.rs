//! One writer, group commit: what waits is committed in one full-sync transaction, each submission in
//! its own SAVEPOINT; replies, wake-ups and journal broadcasts leave after the commit.
//! In: submissions. Out: their results, durable. A submission's error or panic is its own; an error of the
//! commit is everyone's, and the connection is opened anew.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection, SqlitePool};
use tokio::sync::{mpsc, oneshot};

use crate::journal::sql::ChainEnd;
use crate::journal::{self, Row};
use crate::limits::{COMMIT_GROUP_MAX, COMMIT_OCTETS_MAX};

use super::handle::Shared;
use super::open::connect;
use super::tx::Touched;
use super::{Body, Named, StoreError, Tx, Wake, Work, sql};

/// What the writer is told.
pub(super) enum Message {
    Work(Box<dyn Submission>),
    /// Commit what waits, close, say so.
    Close(oneshot::Sender<()>),
}

/// One call of [`super::Store::write`], its types forgotten.
pub(super) trait Submission: Send {
    /// Runs the work once.
    fn run<'t>(self: Box<Self>, tx: &'t mut Tx) -> Pin<Box<dyn Future<Output = Ran> + Send + 't>>;

    /// Answers without running it.
    fn refuse(self: Box<Self>, error: StoreError);
}

/// A submission that ran, and waits for its commit.
pub(super) struct Ran {
    fate: Fate,
    reply: Reply,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Commit,
    RollBack,
    /// As `RollBack`, and SQLite may have rolled back everything already.
    Full,
}

/// Answers the caller, who learns first of all whether the commit failed.
type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// The one kind of [`Submission`].
pub(super) struct Piece<T, F> {
    pub(super) name: &'static str,
    pub(super) work: F,
    pub(super) answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Submission for Piece<T, F>
where
    T: Send + 'static,
    F: for<'t> FnOnce(&'t mut Tx) -> Work<'t, T> + Send + 'static,
{
    fn run<'t>(self: Box<Self>, tx: &'t mut Tx) -> Pin<Box<dyn Future<Output = Ran> + Send + 't>> {
        let Self { name, work, answer } = *self;
        Box::pin(async move {
            let mut result = unwinding(name, work, tx).await;
            if result.is_ok()
                && let Err(error) = tx.catch_up().await
            {
                result = Err(error.or_named(name));
            }
            let fate = match &result {
                Ok(_) => Fate::Commit,
                Err(StoreError::Full(_)) => Fate::Full,
                Err(_) => Fate::RollBack,
            };
            let reply = move |commit: Result<(), StoreError>| {
                // The work's own error says more than that of the commit. Nobody may be listening any more.
                let _ = answer.send(result.and_then(|value| commit.map(|()| value)));
            };
            Ran {
                fate,
                reply: Box::new(reply),
            }
        })
    }

    fn refuse(self: Box<Self>, error: StoreError) {
        let _ = self.answer.send(Err(error));
    }
}

/// Runs the work so that its panic is an error like any other.
async fn unwinding<T, F>(name: &'static str, work: F, tx: &mut Tx) -> Result<T, StoreError>
where
    F: for<'t> FnOnce(&'t mut Tx) -> Work<'t, T>,
{
    let panicked = |_| StoreError::Panicked { name };
    // What a broken work leaves behind is in the transaction only, and rolled back.
    let mut future = catch_unwind(AssertUnwindSafe(|| work(tx))).map_err(panicked)?;
    let result = std::future::poll_fn(|context| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll,
            Err(panic) => Poll::Ready(Err(panicked(panic))),
        }
    });
    result.await.map_err(|error| error.or_named(name))
}

/// The writer's connection and the end of its journal.
pub(super) struct Desk {
    tx: Tx,
    chain: ChainEnd,
}

impl Desk {
    pub(super) async fn new(
        mut conn: SqliteConnection,
        shared: &Arc<Shared>,
    ) -> Result<Self, StoreError> {
        let chain = journal::sql::chain_end(&mut conn, &shared.node).await?;
        Ok(Self {
            tx: Tx::new(conn, Arc::clone(shared)),
            chain,
        })
    }
}

/// The task that owns the only connection that writes, and the lock.
pub(super) struct Writer {
    inbox: mpsc::Receiver<Message>,
    shared: Arc<Shared>,
    options: SqliteConnectOptions,
    readers: SqlitePool,
    /// Held as long as anything may be written.
    lock: File,
    /// None after a failed commit, until the database opens again.
    desk: Option<Desk>,
    closers: Vec<oneshot::Sender<()>>,
}

/// The submissions of one transaction.
#[derive(Default)]
struct Group {
    replies: Vec<Reply>,
    state: State,
}

/// What the database was told so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    /// The first submission needs no savepoint: if it fails, so does the transaction, and the next begins
    /// another.
    Begun,
    /// A savepoint is open, and something happened since.
    Used(Name),
    /// A savepoint is open, and nothing happened since.
    Fresh(Name),
}

/// Savepoints take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    One,
    Two,
}

impl Writer {
    pub(super) fn new(
        inbox: mpsc::Receiver<Message>,
        shared: &Arc<Shared>,
        options: SqliteConnectOptions,
        readers: SqlitePool,
        lock: File,
        desk: Desk,
    ) -> Self {
        Self {
            inbox,
            shared: Arc::clone(shared),
            options,
            readers,
            lock,
            desk: Some(desk),
            closers: Vec::new(),
        }
    }

    /// Runs until the last handle is gone, or until told to close.
    pub(super) async fn run(mut self) {
        while let Some(message) = self.inbox.recv().await {
            if let Some(work) = self.work(message) {
                self.group(work).await;
            }
        }
        if let Some(desk) = self.desk.take() {
            // The last connection folds the WAL into the database. If it cannot, the next start does.
            let _ = desk.tx.conn.close().await;
        }
        self.readers.close().await;
        // A child process between fork and exec holds the file open too: dropping ours alone would
        // leave the store locked until then. If unlocking fails, the drop is what is left to do.
        let _unlocked = self.lock.unlock();
        drop(self.lock);
        for closer in self.closers {
            let _ = closer.send(());
        }
    }

    /// The work in a message, if it is one.
    fn work(&mut self, message: Message) -> Option<Box<dyn Submission>> {
        match message {
            Message::Work(work) => Some(work),
            Message::Close(closer) => {
                self.inbox.close();
                self.closers.push(closer);
                None
            }
        }
    }

    fn waiting(&mut self) -> Option<Box<dyn Submission>> {
        while let Ok(message) = self.inbox.try_recv() {
            if let Some(work) = self.work(message) {
                return Some(work);
            }
        }
        None
    }

    /// One transaction, from the first submission until nobody waits or it is large enough.
    async fn group(&mut self, first: Box<dyn Submission>) {
        let mut desk = match self.desk().await {
            Ok(desk) => desk,
            Err(error) => return first.refuse(error),
        };
        let mut group = Group::default();
        let mut next = Some(first);
        while let Some(work) = next {
            if let Err(error) = group.run(&mut desk.tx, work).await {
                return self.broken(desk, group, error).await;
            }
            let full =
                group.replies.len() >= COMMIT_GROUP_MAX || desk.tx.octets() >= COMMIT_OCTETS_MAX;
            next = if full { None } else { self.waiting() };
        }
        match group.commit(&mut desk).await {
            Ok(rows) => {
                self.tell(&mut desk.tx, group, &rows);
                self.desk = Some(desk);
            }
            Err(error) => self.broken(desk, group, error).await,
        }
    }

    /// The desk, opened anew if the last commit failed.
    async fn desk(&mut self) -> Result<Desk, StoreError> {
        match self.desk.take() {
            Some(desk) => Ok(desk),
            None => Desk::new(connect(&self.options).await?, &self.shared).await,
        }
    }

    /// After the commit: first what is now true, then the replies, then those who only listen.
    fn tell(&self, tx: &mut Tx, group: Group, rows: &[Row]) {
        let wakes = tx.take_effect();
        if wakes.contains(&Wake::Snapshots) {
            self.shared.epoch.fetch_add(1, Ordering::AcqRel);
        }
        for reply in group.replies {
            reply(Ok(()));
        }
        if wakes.contains(&Wake::Queue) {
            self.shared.queue.notify_one();
        }
        let at = tx.now();
        for (entry, row) in tx.entries.drain(..).zip(rows) {
            tracing::info!(
                target: "carepost::journal",
                seq = row.seq,
                message = row.message.as_deref().unwrap_or_default(),
                event = row.event,
                "journal"
            );
            // An error means that nobody listens.
            let _ = self.shared.events.send(Arc::new((at, entry)));
        }
    }

    /// The transaction is lost, or nobody can tell: everyone hears so, and the connection is not trusted
    /// again (after a failed fsync SQLite's pages and the disk may differ).
    async fn broken(&mut self, mut desk: Desk, group: Group, error: StoreError) {
        tracing::error!(%error, "a commit failed");
        let doubtful: Vec<Body> = desk.tx.kept_bodies().cloned().collect();
        desk.tx.begin();
        // Closing rolls back. Its own error tells nothing new.
        let _ = desk.tx.conn.close().await;
        for reply in group.replies {
            reply(Err(error.repeat()));
        }
        self.desk = match self.desk().await {
            Ok(desk) => Some(settle_doubt(desk, &doubtful).await),
            Err(error) => {
                tracing::error!(%error, "the database does not open again");
                None
            }
        };
    }
}

/// A body whose commit failed goes with its handles, unless its row is there after all.
async fn settle_doubt(mut desk: Desk, bodies: &[Body]) -> Desk {
    for body in bodies {
        if let Ok(exists) = sql::body_exists(&mut desk.tx.conn, body.id()).await {
            body.stay(exists);
        }
    }
    desk
}

impl Group {
    /// Runs one submission and undoes it if it fails.
    ///
    /// # Errors
    /// The transaction is lost.
    async fn run(&mut self, tx: &mut Tx, work: Box<dyn Submission>) -> Result<(), StoreError> {
        let before = self.enter(tx);
        let mark = tx.mark();
        let ran = work.run(tx).await;
        self.replies.push(ran.reply);
        if ran.fate == Fate::Commit {
            return Ok(());
        }
        if tx.rewind(mark) == Touched::Nothing {
            self.state = before;
            return Ok(());
        }
        self.undo(tx).await.map_err(|error| match ran.fate {
            Fate::Full => StoreError::Full("the commit was rolled back".into()),
            Fate::Commit | Fate::RollBack => error,
        })
    }

    /// Opens what the next submission can be rolled back to, together with its first statement. Returns the
    /// state before.
    fn enter(&mut self, tx: &mut Tx) -> State {
        let before = self.state;
        let (text, state) = match before {
            State::Idle => {
                tx.begin();
                ("BEGIN IMMEDIATE", State::Begun)
            }
            State::Begun => ("SAVEPOINT one", State::Used(Name::One)),
            // Two names, so that a failure in the middle of this never rolls the submission before back.
            State::Used(Name::One) => ("RELEASE one; SAVEPOINT two", State::Used(Name::Two)),
            State::Used(Name::Two) => ("RELEASE two; SAVEPOINT one", State::Used(Name::One)),
            State::Fresh(name) => {
                self.state = State::Used(name);
                return before;
            }
        };
        tx.enter(text);
        self.state = state;
        before
    }

    /// SQLite itself may have rolled back everything (a full disk does that); then there is nothing to roll
    /// back to, and the error of this statement is the end of the group.
    async fn undo(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        let (text, state) = match self.state {
            State::Used(name @ Name::One) | State::Fresh(name @ Name::One) => {
                ("ROLLBACK TO one", State::Fresh(name))
            }
            State::Used(name @ Name::Two) | State::Fresh(name @ Name::Two) => {
                ("ROLLBACK TO two", State::Fresh(name))
            }
            State::Begun | State::Idle => ("ROLLBACK", State::Idle),
        };
        tell(&mut tx.conn, text).await?;
        self.state = state;
        Ok(())
    }

    /// Writes the journal rows and their seal, and commits. Returns the rows.
    async fn commit(&mut self, desk: &mut Desk) -> Result<Vec<Row>, StoreError> {
        if self.state == State::Idle {
            return Ok(Vec::new());
        }
        let tx = &mut desk.tx;
        tx.synced().await?;
        let seqs = (desk.chain.seq + 1)..;
        let rows: Vec<Row> = seqs
            .zip(&tx.entries)
            .map(|(seq, entry)| Row::of(entry, tx.node(), seq, tx.now()))
            .collect();
        tx.bodies_stay();
        let end = journal::sql::seal_and_commit(&mut tx.conn, &desk.chain, &rows).await?;
        desk.chain = end;
        Ok(rows)
    }
}

async fn tell(conn: &mut SqliteConnection, text: &'static str) -> Result<(), StoreError> {
    sqlx::query(text).execute(conn).await.named("writer")?;
    Ok(())
}
