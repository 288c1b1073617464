//! What the operator sees of the queue, and may do to it.
//! In: a job's id, or a message's, which means all its jobs. Out: how many jobs changed.
//! An attempt in flight is not broken off: what it settles stands. Held in flight, a job that is done is
//! done, and one that is to be retried stays held. Only [`cancel`] refuses while work is in flight, because
//! what may be delivered in this moment cannot be called cancelled.

use serde::Serialize;

use crate::envelope::TrackingId;
use crate::limits::JOBS_SHOWN_MAX;
use crate::store::{Named, Store, StoreError, Tx, Wake};
use crate::world::Timestamp;

/// One job as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobRow {
    pub id: String,
    /// open | deliver | relay.
    pub kind: String,
    /// Our id of the message.
    pub message: String,
    /// Deliver: the recipient's key; else empty.
    pub recipient: String,
    /// Relay: the recipients' domain; deliver: the route.
    pub destination: String,
    /// ready | held | leased.
    pub state: String,
    /// When it is tried next; leased: when the lease runs out.
    #[serde(serialize_with = "rfc3339")]
    pub due: Timestamp,
    /// Attempts so far, the one in flight included.
    pub attempt: i64,
    pub last_error: Option<String>,
    /// When it is given up.
    #[serde(serialize_with = "rfc3339")]
    pub expires: Timestamp,
}

/// What became of a cancellation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// These are out of the queue.
    Removed(Vec<JobRow>),
    /// Nothing was changed: one of them is being worked on. Hold it, and cancel again.
    InFlight,
}

/// id, kind, message_id, recipient_key, destination, state, due_at, attempt, last_error, expires_at.
type Columns = (
    String,
    String,
    String,
    String,
    String,
    String,
    i64,
    i64,
    Option<String>,
    i64,
);

fn row(columns: Columns) -> JobRow {
    let (id, kind, message, recipient, destination, state, due, attempt, last_error, expires) =
        columns;
    JobRow {
        id,
        kind,
        message,
        recipient,
        destination,
        state,
        due: Timestamp(due),
        attempt,
        last_error,
        expires: Timestamp(expires),
    }
}

/// The queue, what is due first first; at most [`JOBS_SHOWN_MAX`] jobs.
///
/// # Errors
/// [`StoreError`].
pub async fn list(store: &Store) -> Result<Vec<JobRow>, StoreError> {
    let read = store.read("job-list", |conn| {
        Box::pin(async move {
            sqlx::query_as::<_, Columns>(
                "SELECT id, kind, message_id, recipient_key, destination, \
                 CASE WHEN state = 'ready' AND lease_token IS NOT NULL THEN 'leased' ELSE state END, \
                 due_at, attempt, last_error, expires_at FROM job ORDER BY due_at, id LIMIT $1",
            )
            .bind(JOBS_SHOWN_MAX)
            .fetch_all(conn)
            .await
            .named("job-list")
        })
    });
    Ok(read.await?.into_iter().map(row).collect())
}

/// Tries waiting jobs now. Held ones stay held, those in flight go on.
///
/// # Errors
/// [`StoreError`].
pub async fn retry_now(tx: &mut Tx, which: &str) -> Result<u64, StoreError> {
    let now = tx.now();
    let result = sqlx::query(
        "UPDATE job SET due_at = $2 \
         WHERE (id = $1 OR message_id = $1) AND state = 'ready' AND lease_token IS NULL",
    )
    .bind(normal(which))
    .bind(now.0)
    .execute(tx.conn().await?)
    .await
    .named("job-retry-now")?;
    tx.wake(Wake::Queue);
    Ok(result.rows_affected())
}

/// Lets nothing more be tried until [`release_job`].
///
/// # Errors
/// [`StoreError`].
pub async fn hold_job(tx: &mut Tx, which: &str, why: &str) -> Result<u64, StoreError> {
    let result = sqlx::query(
        "UPDATE job SET state = 'held', last_error = $2 \
         WHERE (id = $1 OR message_id = $1) AND state = 'ready'",
    )
    .bind(normal(which))
    .bind(why)
    .execute(tx.conn().await?)
    .await
    .named("job-hold-by-operator")?;
    Ok(result.rows_affected())
}

/// Lets held jobs go on, now, with their attempts counted anew; one still in flight when its attempt ends.
///
/// # Errors
/// [`StoreError`].
pub async fn release_job(tx: &mut Tx, which: &str) -> Result<u64, StoreError> {
    let now = tx.now();
    let result = sqlx::query(
        "UPDATE job SET state = 'ready', attempt = 0, \
         due_at = CASE WHEN lease_until IS NULL OR lease_until < $2 THEN $2 ELSE lease_until END \
         WHERE (id = $1 OR message_id = $1) AND state = 'held'",
    )
    .bind(normal(which))
    .bind(now.0)
    .execute(tx.conn().await?)
    .await
    .named("job-release")?;
    tx.wake(Wake::Queue);
    Ok(result.rows_affected())
}

/// Takes jobs out of the queue: all that `which` names, or none. What the message's legs say then is the
/// caller's.
///
/// # Errors
/// [`StoreError`].
pub async fn cancel(tx: &mut Tx, which: &str) -> Result<Cancelled, StoreError> {
    let (now, which) = (tx.now(), normal(which));
    let in_flight: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM job WHERE (id = $1 OR message_id = $1) AND lease_until > $2",
    )
    .bind(&which)
    .bind(now.0)
    .fetch_one(tx.conn().await?)
    .await
    .named("job-in-flight")?;
    if in_flight > 0 {
        return Ok(Cancelled::InFlight);
    }
    let removed: Vec<Columns> = sqlx::query_as(
        "DELETE FROM job WHERE id = $1 OR message_id = $1 \
         RETURNING id, kind, message_id, recipient_key, destination, state, due_at, attempt, last_error, expires_at",
    )
    .bind(&which)
    .fetch_all(tx.conn().await?)
    .await
    .named("job-cancel")?;
    Ok(Cancelled::Removed(removed.into_iter().map(row).collect()))
}

/// A message's id as rows have it, however it was typed; a job's as it is.
fn normal(which: &str) -> String {
    match which.parse::<TrackingId>() {
        Ok(message) => message.to_string(),
        Err(_) => which.to_owned(),
    }
}

fn rfc3339<S: serde::Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.rfc3339())
}
