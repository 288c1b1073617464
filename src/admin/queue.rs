//! `queue list|retry|hold|release`. In: a job's id, or a message's for all its jobs. Out: what was changed,
//! in the queue, in the legs and in the journal, in one transaction. An attempt in flight is not broken
//! off.

use serde::Serialize;
use sqlx::FromRow;

use crate::envelope::{Address, TrackingId};
use crate::journal::{Actor, Entry, Event, LegState, Reason};
use crate::queue::JobKind;
use crate::queue::operator::{self, JobRow};
use crate::store::{Named, StoreError, Tx};

use super::{Failure, Handle, QueueItem, exit};

pub async fn list(handle: &Handle) -> Result<Vec<JobRow>, Failure> {
    Ok(operator::list(&handle.store).await?)
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
    let done = handle.store.write("queue::act", move |tx| {
        Box::pin(act_in(tx, actor, id, deed))
    });
    let done = done.await?;
    if done.jobs.is_empty() {
        return Err(Failure::new(
            exit::FAILED,
            format!("there is no work {} that this fits", asked.id),
            "see `carepost queue list`: retry is for ready jobs, hold for ready or leased ones, release for held ones",
        ));
    }
    Ok(done)
}

/// A job that the deed fits, before it is done.
#[derive(FromRow)]
struct Found {
    id: String,
    tenant_id: String,
    kind: String,
    message_id: String,
    recipient_key: String,
    destination: String,
    lease_token: Option<String>,
}

async fn act_in(tx: &mut Tx, actor: Actor, id: String, deed: Deed) -> Result<Done, StoreError> {
    let (wanted, idle_only) = match deed {
        Deed::Retry => ("ready", true),
        Deed::Hold => ("ready", false),
        Deed::Release => ("held", false),
    };
    let mut found: Vec<Found> = sqlx::query_as(
        "SELECT id, tenant_id, kind, message_id, recipient_key, destination, lease_token
         FROM job WHERE (id = $1 OR message_id = $2) AND state = $3 ORDER BY id",
    )
    .bind(&id)
    .bind(id.to_ascii_uppercase())
    .bind(wanted)
    .fetch_all(tx.conn().await?)
    .await
    .named("queue::find")?;
    found.retain(|job| !idle_only || job.lease_token.is_none());
    for job in &found {
        change(tx, &actor, job, deed).await?;
    }
    Ok(Done {
        jobs: found.into_iter().map(|job| job.id).collect(),
    })
}

async fn change(tx: &mut Tx, actor: &Actor, job: &Found, deed: Deed) -> Result<(), StoreError> {
    let working = working_state(&job.kind);
    match deed {
        Deed::Retry => {
            operator::retry_now(tx, &job.id).await?;
            record(tx, actor, job, None, Event::Retried);
        }
        Deed::Hold => {
            let detail = format!("by {}", actor.word());
            operator::hold_job(tx, &job.id, &format!("held {detail}")).await?;
            let event = Event::Held {
                reason: Reason::HeldByOperator,
                detail,
            };
            // An attempt in flight settles its legs from the state that it found them in.
            let from: &[LegState] = match &job.lease_token {
                None => &[working, LegState::Undecided],
                Some(_) => &[],
            };
            move_legs(tx, actor, job, from, LegState::Held, &event).await?;
        }
        Deed::Release => {
            operator::release_job(tx, &job.id).await?;
            move_legs(tx, actor, job, &[LegState::Held], working, &Event::Released).await?;
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

fn record(tx: &mut Tx, actor: &Actor, row: &Found, recipient: Option<Address>, event: Event) {
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
    row: &Found,
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
    .fetch_all(tx.conn().await?)
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
