//! `queue list|retry|hold|release`. In: a job's id, or a message's for all its jobs. Out: what was changed. A job that a worker
//! holds right now is left alone: its result would be lost.

use serde::Serialize;
use sqlx::FromRow;

use crate::envelope::{Address, TrackingId};
use crate::journal::{Actor, Entry, Event, LegState, Reason};
use crate::queue::JobKind;
use crate::store::{Named, StoreError, Tx, Wake};
use crate::world::Timestamp;

use super::{Failure, Handle, QueueItem, exit};

/// A piece of work.
#[derive(Debug, Serialize)]
pub struct Listed {
    job: String,
    kind: String,
    message: String,
    /// The recipient, or the domain, or the route.
    to: String,
    state: String,
    attempt: i64,
    due_at: String,
    expires_at: String,
    /// Whether a worker has it now.
    working: bool,
    last_error: Option<String>,
}

#[derive(FromRow)]
struct ListRow {
    id: String,
    kind: String,
    message_id: String,
    recipient_key: String,
    destination: String,
    state: String,
    attempt: i64,
    due_at: i64,
    expires_at: i64,
    lease_token: Option<String>,
    lease_until: Option<i64>,
    last_error: Option<String>,
}

pub async fn list(handle: &Handle) -> Result<Vec<Listed>, Failure> {
    let (now, token) = (handle.world().now(), handle.store.lease_token().to_owned());
    let rows = handle.store.read("queue::list", |conn| {
        Box::pin(async move {
            sqlx::query_as::<_, ListRow>(
                "SELECT id, kind, message_id, recipient_key, destination, state, attempt, due_at, expires_at,
                        lease_token, lease_until, last_error
                 FROM job ORDER BY due_at, id LIMIT 10000",
            )
            .fetch_all(conn)
            .await
            .named("queue::list")
        })
    });
    let listed = rows.await?.into_iter().map(|row| Listed {
        working: row.lease_token.as_deref() == Some(&token)
            && row.lease_until.is_some_and(|until| until > now.0),
        job: row.id,
        kind: row.kind,
        message: row.message_id,
        to: if row.recipient_key.is_empty() {
            row.destination
        } else {
            row.recipient_key
        },
        state: row.state,
        attempt: row.attempt,
        due_at: Timestamp(row.due_at).rfc3339(),
        expires_at: Timestamp(row.expires_at).rfc3339(),
        last_error: row.last_error,
    });
    Ok(listed.collect())
}

/// What to do with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Retry,
    Hold,
    Release,
}

/// What was done.
#[derive(Debug, Serialize)]
pub struct Done {
    jobs: Vec<String>,
    /// A worker has these now; nothing was done to them.
    working: Vec<String>,
}

pub async fn retry(handle: &Handle, actor: Actor, asked: QueueItem) -> Result<Done, Failure> {
    act(handle, actor, asked, Deed::Retry).await
}

pub async fn hold(handle: &Handle, actor: Actor, asked: QueueItem) -> Result<Done, Failure> {
    act(handle, actor, asked, Deed::Hold).await
}

pub async fn release(handle: &Handle, actor: Actor, asked: QueueItem) -> Result<Done, Failure> {
    act(handle, actor, asked, Deed::Release).await
}

async fn act(handle: &Handle, actor: Actor, asked: QueueItem, deed: Deed) -> Result<Done, Failure> {
    let id = asked.id.trim().to_owned();
    let token = handle.store.lease_token().to_owned();
    let done = handle.store.write("queue::act", move |tx| {
        Box::pin(act_in(tx, actor, id, token, deed))
    });
    let done = done.await?;
    if !done.jobs.is_empty() {
        return Ok(done);
    }
    if done.working.is_empty() {
        return Err(Failure::new(
            exit::FAILED,
            format!("there is no such work as {} that this fits", asked.id),
            "see `carepost queue list`: retry and hold are for ready jobs, release is for held ones",
        ));
    }
    Err(Failure::new(
        exit::TEMPFAIL,
        format!("{} is being worked on right now", asked.id),
        "try again in a minute",
    ))
}

#[derive(FromRow)]
struct JobRow {
    id: String,
    tenant_id: String,
    kind: String,
    message_id: String,
    recipient_key: String,
    destination: String,
    lease_token: Option<String>,
    lease_until: Option<i64>,
}

async fn act_in(
    tx: &mut Tx,
    actor: Actor,
    id: String,
    token: String,
    deed: Deed,
) -> Result<Done, StoreError> {
    let now = tx.now();
    let wanted = if deed == Deed::Release {
        "held"
    } else {
        "ready"
    };
    let rows: Vec<JobRow> = sqlx::query_as(
        "SELECT id, tenant_id, kind, message_id, recipient_key, destination, lease_token, lease_until
         FROM job WHERE (id = $1 OR message_id = $2) AND state = $3 ORDER BY id",
    )
    .bind(&id)
    .bind(id.to_ascii_uppercase())
    .bind(wanted)
    .fetch_all(tx.conn())
    .await
    .named("queue::find")?;
    let mut done = Done {
        jobs: Vec::new(),
        working: Vec::new(),
    };
    for row in rows {
        let ours = row.lease_token.as_deref() == Some(&token);
        if ours && row.lease_until.is_some_and(|until| until > now.0) {
            done.working.push(row.id);
            continue;
        }
        change(tx, &actor, &row, deed).await?;
        done.jobs.push(row.id);
    }
    tx.wake(Wake::Queue);
    Ok(done)
}

async fn change(tx: &mut Tx, actor: &Actor, row: &JobRow, deed: Deed) -> Result<(), StoreError> {
    let now = tx.now();
    let sql = match deed {
        Deed::Retry => "UPDATE job SET due_at = $2 WHERE id = $1",
        Deed::Hold => {
            "UPDATE job SET state = 'held', lease_token = NULL, lease_until = NULL, lease_node = NULL WHERE id = $1 AND $2 > 0"
        }
        // The count starts again: what held it was seen by a person.
        Deed::Release => "UPDATE job SET state = 'ready', attempt = 0, due_at = $2 WHERE id = $1",
    };
    sqlx::query(sql)
        .bind(&row.id)
        .bind(now.0)
        .execute(tx.conn())
        .await
        .named("queue::change")?;
    let working = working_state(&row.kind);
    match deed {
        Deed::Retry => record(tx, actor, row, None, Event::Retried),
        Deed::Hold => {
            let event = Event::Held {
                reason: Reason::HeldByOperator,
                detail: format!("by {}", actor.word()),
            };
            let from = [working, LegState::Undecided];
            move_legs(tx, actor, row, &from, LegState::Held, &event).await?;
        }
        Deed::Release => {
            move_legs(tx, actor, row, &[LegState::Held], working, &Event::Released).await?;
        }
    }
    Ok(())
}

/// The state of a leg while such a job works for it.
fn working_state(kind: &str) -> LegState {
    match JobKind::from_word(kind) {
        Some(JobKind::Deliver) => LegState::Delivering,
        Some(JobKind::Relay) => LegState::Queued,
        Some(JobKind::Open) | None => LegState::Accepted,
    }
}

fn record(tx: &mut Tx, actor: &Actor, row: &JobRow, recipient: Option<Address>, event: Event) {
    let Ok(message) = row.message_id.parse::<TrackingId>() else {
        return;
    };
    tx.record(Entry {
        actor: actor.clone(),
        recipient,
        ..Entry::message(&row.tenant_id, message, event)
    });
}

/// The legs that this job works for: its one recipient, those in its domain, or all.
async fn move_legs(
    tx: &mut Tx,
    actor: &Actor,
    row: &JobRow,
    from: &[LegState],
    to: LegState,
    event: &Event,
) -> Result<(), StoreError> {
    let words: Vec<&str> = from.iter().map(|state| state.word()).collect();
    let (reason, detail) = match event {
        Event::Held { reason, detail } => (Some(reason.code()), Some(detail.as_str())),
        _ => (None, None),
    };
    let domain = if row.kind == JobKind::Relay.word() {
        row.destination.as_str()
    } else {
        ""
    };
    let now = tx.now();
    let legs: Vec<(String,)> = sqlx::query_as(
        "UPDATE leg SET state = $2, reason = $3, detail = $4, updated_at = $5
         WHERE message_id = $1 AND answer IS NULL AND $6 LIKE '% ' || state || ' %'
           AND ($7 = '' OR recipient_key = $7) AND ($8 = '' OR recipient_key LIKE '%@' || $8)
         RETURNING recipient",
    )
    .bind(&row.message_id)
    .bind(to.word())
    .bind(reason)
    .bind(detail)
    .bind(now.0)
    .bind(format!(" {} ", words.join(" ")))
    .bind(&row.recipient_key)
    .bind(domain)
    .fetch_all(tx.conn())
    .await
    .named("queue::legs")?;
    for (recipient,) in legs {
        record(
            tx,
            actor,
            row,
            Address::parse(&recipient).ok(),
            event.clone(),
        );
    }
    Ok(())
}
