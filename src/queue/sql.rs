//! The queue's SQL: in, leased, settled.
//! A leased job is due again when its lease runs out, so that one index tells what is due. All leases are
//! this process's: those of dead ones are freed when the store opens. Settling asks for the token, so a
//! lease that ran out and was given to another settles nothing.

use sqlx::SqliteConnection;

use crate::envelope::TrackingId;
use crate::limits::{LEASE, RETRY_BROKEN_OFF};
use crate::store::{Named, Store, StoreError, Tx, Wake};
use crate::world::Timestamp;

use super::lease::Ticket;
use super::{Job, JobKind, Lease};

/// Puts a job in, due at `due`.
///
/// # Errors
/// [`StoreError`].
pub async fn put(tx: &mut Tx, job: &Job, due: Timestamp) -> Result<(), StoreError> {
    insert(tx, job, due, None);
    tx.wake(Wake::Queue);
    Ok(())
}

/// As [`put`], leased by this process from the start, so that no second statement is needed (attempt 1 is
/// committed here).
///
/// # Errors
/// [`StoreError`].
pub async fn put_leased(tx: &mut Tx, job: Job) -> Result<Lease, StoreError> {
    let token = tx.new_lease_token();
    let until = tx.now().plus(LEASE);
    insert(tx, &job, until, Some(&token));
    Ok(Lease::new(job, 1, &token, tx.returns()))
}

fn insert(tx: &mut Tx, job: &Job, due: Timestamp, token: Option<&str>) {
    let leased = token.is_some();
    let node = leased.then(|| tx.node().to_owned());
    tx.later("job-put", "INSERT INTO job (id, tenant_id, kind, message_id, recipient_key, destination, due_at, expires_at, \
         attempt, lease_node, lease_token, lease_until, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)")
    .bind(&job.id)
    .bind(&job.tenant)
    .bind(job.kind.word())
    .bind(job.message.to_string())
    .bind(&job.recipient_key)
    .bind(&job.destination)
    .bind(due.0)
    .bind(job.expires_at.0)
    .bind(i64::from(leased))
    .bind(node)
    .bind(token)
    .bind(leased.then_some(due.0))
    .bind(job.created_at.0);
}

/// Leases up to `most` due jobs (state ready, due, not leased by a living process), the oldest first,
/// attempt + 1, in one commit.
///
/// # Errors
/// [`StoreError`]. The caller waits a while before it asks again.
pub async fn lease_due(store: &Store, most: usize) -> Result<Vec<Lease>, StoreError> {
    let returned = store.returns().take();
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let work = store.write("job-lease", move |tx| {
        Box::pin(async move {
            if !returned.is_empty() {
                give_back(tx, returned).await?;
            }
            let token = tx.new_lease_token();
            let rows = lease_rows(tx, &token, most).await?;
            let mut leases = Vec::with_capacity(rows.len());
            for row in rows {
                let (id, attempt) = (row.0.clone(), u32::try_from(row.8).unwrap_or(u32::MAX));
                match job(row) {
                    Some(job) => leases.push(Lease::new(job, attempt, &token, tx.returns())),
                    None => hold_unreadable(tx, &id).await?,
                }
            }
            leases.sort_by_key(|lease| lease.job().created_at);
            Ok(leases)
        })
    });
    work.await
}

/// id, tenant_id, kind, message_id, recipient_key, destination, expires_at, created_at, attempt.
type JobColumns = (
    String,
    String,
    String,
    String,
    String,
    String,
    i64,
    i64,
    i64,
);

async fn lease_rows(tx: &mut Tx, token: &str, most: i64) -> Result<Vec<JobColumns>, StoreError> {
    let (now, until) = (tx.now(), tx.now().plus(LEASE));
    let node = tx.node().to_owned();
    sqlx::query_as(
        "UPDATE job SET lease_node = $1, lease_token = $2, lease_until = $3, due_at = $3, attempt = attempt + 1 \
         WHERE id IN (SELECT id FROM job WHERE state = 'ready' AND due_at <= $4 ORDER BY due_at LIMIT $5) \
         RETURNING id, tenant_id, kind, message_id, recipient_key, destination, expires_at, created_at, attempt",
    )
    .bind(node)
    .bind(token)
    .bind(until.0)
    .bind(now.0)
    .bind(most)
    .fetch_all(tx.conn().await?)
    .await
    .named("job-lease")
}

fn job(row: JobColumns) -> Option<Job> {
    let (id, tenant, kind, message, recipient_key, destination, expires_at, created_at, _) = row;
    Some(Job {
        id,
        tenant,
        kind: JobKind::from_word(&kind)?,
        message: message.parse().ok()?,
        recipient_key,
        destination,
        expires_at: Timestamp(expires_at),
        created_at: Timestamp(created_at),
    })
}

/// One row that cannot be read must not stop the others. It is held where the operator sees it.
async fn hold_unreadable(tx: &mut Tx, id: &str) -> Result<(), StoreError> {
    tracing::error!(job = id, "a job does not read back and is held");
    sqlx::query(
        "UPDATE job SET state = 'held', last_error = 'the row does not read back', \
         lease_node = NULL, lease_token = NULL, lease_until = NULL WHERE id = $1",
    )
    .bind(id)
    .execute(tx.conn().await?)
    .await
    .named("job-unreadable")?;
    Ok(())
}

/// Makes jobs due again whose workers broke off; not at once, because they may do it again.
async fn give_back(tx: &mut Tx, returned: Vec<Ticket>) -> Result<(), StoreError> {
    let due = tx.now().plus(RETRY_BROKEN_OFF);
    for ticket in &returned {
        sqlx::query(
            "UPDATE job SET due_at = $3, lease_node = NULL, lease_token = NULL, lease_until = NULL \
             WHERE id = $1 AND lease_token = $2",
        )
        .bind(&ticket.job)
        .bind(&ticket.token)
        .bind(due.0)
        .execute(tx.conn().await?)
        .await
        .named("job-give-back")?;
    }
    tx.after_commit(move || returned.into_iter().for_each(Ticket::spend));
    Ok(())
}

/// Frees what a dead process had leased: it is due at once. Only while no other process can lease (the
/// store's lock).
pub(crate) async fn free_dead_leases(
    conn: &mut SqliteConnection,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE job SET due_at = $1, lease_node = NULL, lease_token = NULL, lease_until = NULL \
         WHERE lease_token IS NOT NULL",
    )
    .bind(now.0)
    .execute(conn)
    .await
    .named("job-free-dead")?;
    Ok(())
}

/// When the earliest ready job is due; for a leased one, when its lease runs out.
///
/// # Errors
/// [`StoreError`].
pub async fn next_due(store: &Store) -> Result<Option<Timestamp>, StoreError> {
    let read = store.read("job-next-due", |conn| {
        Box::pin(async move {
            sqlx::query_scalar("SELECT MIN(due_at) FROM job WHERE state = 'ready'")
                .fetch_one(conn)
                .await
                .named("job-next-due")
        })
    });
    let due: Option<i64> = read.await?;
    Ok(due.map(Timestamp))
}

/// The job is done: removes its row. False if the lease was lost (cancelled or taken): the caller's
/// transaction must then not claim the work.
///
/// # Errors
/// [`StoreError`].
pub async fn done(tx: &mut Tx, lease: Lease) -> Result<bool, StoreError> {
    let delete = "DELETE FROM job WHERE id = $1 AND lease_token = $2 RETURNING id";
    tx.later("job-done", delete)
        .bind(&lease.job().id)
        .bind(lease.token());
    let done: Option<(String,)> = tx.ask().await?;
    Ok(settled(tx, lease, u64::from(done.is_some())))
}

/// Not now: frees the lease, due again at `due`. A job that the operator holds stays held. False as for
/// [`done`].
///
/// # Errors
/// [`StoreError`].
pub async fn retry_at(
    tx: &mut Tx,
    lease: Lease,
    due: Timestamp,
    why: &str,
) -> Result<bool, StoreError> {
    let result = sqlx::query(
        "UPDATE job SET due_at = $3, last_error = $4, lease_node = NULL, lease_token = NULL, lease_until = NULL \
         WHERE id = $1 AND lease_token = $2",
    )
    .bind(&lease.job().id)
    .bind(lease.token())
    .bind(due.0)
    .bind(why)
    .execute(tx.conn().await?)
    .await
    .named("job-retry")?;
    tx.wake(Wake::Queue);
    Ok(settled(tx, lease, result.rows_affected()))
}

/// As [`retry_at`], and the count of attempts starts again: what was done came to an end, and more is to come.
///
/// # Errors
/// [`StoreError`].
pub async fn retry_afresh(tx: &mut Tx, lease: Lease, due: Timestamp) -> Result<bool, StoreError> {
    sqlx::query("UPDATE job SET attempt = 0 WHERE id = $1 AND lease_token = $2")
        .bind(&lease.job().id)
        .bind(lease.token())
        .execute(tx.conn().await?)
        .await
        .named("job-afresh")?;
    retry_at(tx, lease, due, "").await
}

/// Removes a message's relay jobs that have no recipient left to send to. One that is worked on ends by itself.
///
/// # Errors
/// [`StoreError`].
pub async fn withdraw_idle(tx: &mut Tx, message: TrackingId) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM job WHERE message_id = $1 AND kind = 'relay' AND lease_token IS NULL AND NOT EXISTS \
            (SELECT 1 FROM leg WHERE leg.message_id = $1 AND leg.state IN ('queued', 'held') \
                AND leg.recipient_key LIKE '%@' || job.destination)",
    )
    .bind(message.to_string())
    .execute(tx.conn().await?)
    .await
    .named("job-withdraw")?;
    Ok(())
}

/// Holds it until an operator releases it. False as for [`done`].
///
/// # Errors
/// [`StoreError`].
pub async fn hold(tx: &mut Tx, lease: Lease, why: &str) -> Result<bool, StoreError> {
    let result = sqlx::query(
        "UPDATE job SET state = 'held', last_error = $3, lease_node = NULL, lease_token = NULL, lease_until = NULL \
         WHERE id = $1 AND lease_token = $2",
    )
    .bind(&lease.job().id)
    .bind(lease.token())
    .bind(why)
    .execute(tx.conn().await?)
    .await
    .named("job-hold")?;
    Ok(settled(tx, lease, result.rows_affected()))
}

/// The lease is used up when the commit is durable; until then its drop gives it back.
fn settled(tx: &mut Tx, lease: Lease, rows: u64) -> bool {
    tx.after_commit(move || lease.spend());
    rows == 1
}
