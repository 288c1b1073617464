//! `message list|show|cancel`: where a message is, why, and everything that happened to it. In: filters or
//! an id. Out: rows in words. Never the content of a message.

use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, SqliteConnection};

use crate::envelope::{Address, TrackingId};
use crate::journal::{Actor, Entry, Event, LegState, Reason};
use crate::limits;
use crate::queue::{legs, operator};
use crate::store::{Named, StoreError, Tx};
use crate::world::Timestamp;

use super::timeline::sentence;
use super::{Failure, Handle, MessageCancel, MessageList, MessageShow, exit, parse_address, usage};

/// How many messages are listed if no limit was given.
const LISTED: u32 = 50;
/// Messages that one Message-ID may show: it came in, and reports about it.
const SHOWN_MAX: i64 = 10;

/// A message in a list.
#[derive(Debug, Serialize)]
pub struct Listed {
    id: String,
    direction: String,
    kind: String,
    message_id: Option<String>,
    sender: Option<String>,
    size: i64,
    received_at: String,
    legs: Vec<ListedLeg>,
}

/// One of its recipients.
#[derive(Debug, Serialize)]
pub struct ListedLeg {
    recipient: String,
    state: String,
    reason: Option<String>,
    updated_at: String,
}

#[derive(FromRow)]
struct ListRow {
    id: String,
    direction: String,
    kind: String,
    message_id: Option<String>,
    sender: Option<String>,
    size: i64,
    received_at: i64,
    recipient: Option<String>,
    state: Option<String>,
    reason: Option<String>,
    updated_at: Option<i64>,
}

const LIST: &str = "
    SELECT m.id, m.direction, m.kind, m.message_id, m.sender, m.size, m.received_at,
           l.recipient, l.state, l.reason, l.updated_at
    FROM (
        SELECT id, direction, kind, message_id, COALESCE(sender, return_path) AS sender, size, received_at
        FROM message
        WHERE ($1 IS NULL OR sender_key = $1 OR EXISTS (
                SELECT 1 FROM leg WHERE leg.message_id = message.id AND leg.recipient_key = $1))
          AND ($2 IS NULL OR EXISTS (
                SELECT 1 FROM leg WHERE leg.message_id = message.id AND leg.state = $2))
          AND ($3 IS NULL OR message_id = $3)
        ORDER BY received_at DESC, id DESC
        LIMIT $4
    ) m
    LEFT JOIN leg l ON l.message_id = m.id
    ORDER BY m.received_at DESC, m.id DESC, l.recipient_key";

pub async fn list(handle: &Handle, asked: MessageList) -> Result<Vec<Listed>, Failure> {
    let address = asked.address.as_deref().map(parse_address).transpose()?;
    let state = asked.state.as_deref().map(state_word).transpose()?;
    let limit = asked.limit.unwrap_or(LISTED);
    if limit == 0 || limit > limits::MESSAGES_LISTED_MAX {
        return Err(usage(
            format!("--limit {limit} is not possible"),
            format!("use 1 to {}", limits::MESSAGES_LISTED_MAX),
        ));
    }
    let message_id = asked.message_id.as_deref().map(bracketed);
    let rows = handle.store.read("messages::list", move |conn| {
        Box::pin(async move {
            sqlx::query_as::<_, ListRow>(LIST)
                .bind(address.map(|address| address.key().to_owned()))
                .bind(state)
                .bind(message_id)
                .bind(i64::from(limit))
                .fetch_all(conn)
                .await
                .named("messages::list")
        })
    });
    Ok(gathered(rows.await?))
}

/// Rows of one message stand together; each becomes one of its legs.
fn gathered(rows: Vec<ListRow>) -> Vec<Listed> {
    let mut messages = Vec::<Listed>::new();
    for row in rows {
        if messages.last().is_none_or(|last| last.id != row.id) {
            messages.push(Listed {
                id: row.id,
                direction: row.direction,
                kind: row.kind,
                message_id: row.message_id,
                sender: row.sender,
                size: row.size,
                received_at: Timestamp(row.received_at).rfc3339(),
                legs: Vec::new(),
            });
        }
        let leg = row.recipient.zip(row.state).zip(row.updated_at);
        if let (Some(message), Some(((recipient, state), updated_at))) = (messages.last_mut(), leg)
        {
            message.legs.push(ListedLeg {
                recipient,
                state,
                reason: row.reason,
                updated_at: Timestamp(updated_at).rfc3339(),
            });
        }
    }
    messages
}

fn state_word(written: &str) -> Result<&'static str, Failure> {
    LegState::from_word(written)
        .map(LegState::word)
        .ok_or_else(|| {
            let known: Vec<&str> = LegState::ALL.iter().map(|state| state.word()).collect();
            usage(
                format!("there is no state {written}"),
                format!("use one of: {}", known.join(", ")),
            )
        })
}

/// A Message-ID as the header has it; people often leave the brackets out.
fn bracketed(written: &str) -> String {
    if written.starts_with('<') {
        written.to_owned()
    } else {
        format!("<{written}>")
    }
}

/// One message with everything.
#[derive(Debug, Serialize)]
pub struct Shown {
    #[serde(flatten)]
    head: Head,
    received_at: String,
    final_at: Option<String>,
    legs: Vec<Leg>,
    jobs: Vec<Work>,
    timeline: Vec<Moment>,
    /// Reports and notices that were made here about it.
    reports: Vec<About>,
}

#[derive(Debug, FromRow, Serialize)]
struct Head {
    id: String,
    direction: String,
    kind: String,
    listener: Option<String>,
    account: Option<String>,
    peer: Option<String>,
    helo: Option<String>,
    tls: Option<String>,
    return_path: Option<String>,
    message_id: Option<String>,
    sender: Option<String>,
    about: Option<String>,
    size: i64,
    #[serde(skip)]
    received_us: i64,
    #[serde(skip)]
    final_us: Option<i64>,
}

/// One recipient, with the reason in words.
#[derive(Debug, Serialize)]
struct Leg {
    recipient: String,
    state: String,
    reason: Option<String>,
    happened: Option<&'static str>,
    #[serde(rename = "do")]
    remedy: Option<&'static str>,
    detail: Option<String>,
    asked: bool,
    anchor: Option<String>,
    signer: Option<String>,
    answer: Option<String>,
    answer_due: Option<String>,
    updated_at: String,
}

#[derive(FromRow)]
struct LegRow {
    recipient: String,
    state: String,
    reason: Option<String>,
    detail: Option<String>,
    asked: i64,
    anchor: Option<String>,
    signer: Option<String>,
    answer: Option<String>,
    answer_due: Option<i64>,
    updated_at: i64,
}

impl From<LegRow> for Leg {
    fn from(row: LegRow) -> Self {
        let reason = row.reason.as_deref().and_then(Reason::from_code);
        Self {
            recipient: row.recipient,
            state: row.state,
            reason: row.reason,
            happened: reason.map(Reason::happened),
            remedy: reason.map(Reason::remedy),
            detail: row.detail.filter(|detail| !detail.is_empty()),
            asked: row.asked != 0,
            anchor: row.anchor,
            signer: row.signer,
            answer: row.answer,
            answer_due: row.answer_due.map(|due| Timestamp(due).rfc3339()),
            updated_at: Timestamp(row.updated_at).rfc3339(),
        }
    }
}

/// What is still to be done for it.
#[derive(Debug, Serialize)]
struct Work {
    id: String,
    kind: String,
    destination: String,
    state: String,
    attempt: i64,
    due_at: String,
    last_error: Option<String>,
}

/// One journal row in words.
#[derive(Debug, Serialize)]
struct Moment {
    at: String,
    actor: String,
    recipient: Option<String>,
    event: String,
    text: String,
    facts: Value,
}

#[derive(Debug, FromRow, Serialize)]
struct About {
    id: String,
    direction: String,
    kind: String,
}

pub async fn show(handle: &Handle, asked: MessageShow) -> Result<Vec<Shown>, Failure> {
    let written = asked.id.trim().to_owned();
    let messages = handle.store.read("messages::show", move |conn| {
        Box::pin(async move {
            let mut messages = Vec::new();
            for head in heads(conn, &written).await? {
                messages.push(shown(conn, head).await?);
            }
            Ok(messages)
        })
    });
    let messages = messages.await?;
    if messages.is_empty() {
        return Err(unknown(&asked.id));
    }
    Ok(messages)
}

fn unknown(id: &str) -> Failure {
    Failure::new(
        exit::FAILED,
        format!("there is no message {id}"),
        "give a tracking id or a Message-ID; `carepost message list --address ADDRESS` finds them",
    )
}

async fn heads(conn: &mut SqliteConnection, written: &str) -> Result<Vec<Head>, StoreError> {
    sqlx::query_as(
        "SELECT id, direction, kind, listener, account, peer, helo, tls, return_path, message_id, sender, about, size,
                received_at AS received_us, final_at AS final_us
         FROM message WHERE id = $1 OR message_id = $2 ORDER BY received_at, id LIMIT $3",
    )
    .bind(written.to_ascii_uppercase())
    .bind(bracketed(written))
    .bind(SHOWN_MAX)
    .fetch_all(conn)
    .await
    .named("messages::heads")
}

async fn shown(conn: &mut SqliteConnection, head: Head) -> Result<Shown, StoreError> {
    let legs: Vec<LegRow> = sqlx::query_as(
        "SELECT recipient, state, reason, detail, asked, anchor, signer, answer, answer_due, updated_at
         FROM leg WHERE message_id = $1 ORDER BY recipient_key",
    )
    .bind(&head.id)
    .fetch_all(&mut *conn)
    .await
    .named("messages::legs")?;
    let reports: Vec<About> = sqlx::query_as(
        "SELECT id, direction, kind FROM message WHERE about = $1 ORDER BY received_at, id LIMIT 1000",
    )
    .bind(&head.id)
    .fetch_all(&mut *conn)
    .await
    .named("messages::reports")?;
    Ok(Shown {
        received_at: Timestamp(head.received_us).rfc3339(),
        final_at: head.final_us.map(|at| Timestamp(at).rfc3339()),
        legs: legs.into_iter().map(Leg::from).collect(),
        jobs: jobs(conn, &head.id).await?,
        timeline: timeline(conn, &head.id).await?,
        reports,
        head,
    })
}

async fn jobs(conn: &mut SqliteConnection, id: &str) -> Result<Vec<Work>, StoreError> {
    type Row = (String, String, String, String, i64, i64, Option<String>);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, kind, destination, state, attempt, due_at, last_error FROM job WHERE message_id = $1 ORDER BY id",
    )
    .bind(id)
    .fetch_all(conn)
    .await
    .named("messages::jobs")?;
    let work = rows.into_iter().map(
        |(id, kind, destination, state, attempt, due_at, last_error)| Work {
            id,
            kind,
            destination,
            state,
            attempt,
            due_at: Timestamp(due_at).rfc3339(),
            last_error,
        },
    );
    Ok(work.collect())
}

async fn timeline(conn: &mut SqliteConnection, id: &str) -> Result<Vec<Moment>, StoreError> {
    type Row = (i64, String, Option<String>, String, String);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT at, actor, recipient_key, event, facts FROM journal WHERE message_id = $1 ORDER BY at, seq LIMIT $2",
    )
    .bind(id)
    .bind(limits::TIMELINE_MAX)
    .fetch_all(conn)
    .await
    .named("messages::timeline")?;
    let moments = rows
        .into_iter()
        .map(|(at, actor, recipient, event, facts)| {
            let facts: Value = serde_json::from_str(&facts).unwrap_or_default();
            Moment {
                at: Timestamp(at).rfc3339(),
                actor,
                recipient,
                text: sentence(&event, &facts),
                event,
                facts,
            }
        });
    Ok(moments.collect())
}

/// What a cancellation stopped.
#[derive(Debug, Serialize)]
pub struct Cancelled {
    id: String,
    recipients: Vec<String>,
    /// Pieces of work that were taken out.
    jobs: usize,
}

/// How a cancellation ended.
enum Ended {
    /// There is no such message.
    Unknown,
    /// A worker has it right now.
    InFlight,
    Cancelled(Cancelled),
}

pub async fn cancel(
    handle: &Handle,
    actor: Actor,
    asked: MessageCancel,
) -> Result<Cancelled, Failure> {
    let id: TrackingId = asked.id.trim().parse().map_err(|error| {
        usage(
            format!("{}: {error}", asked.id),
            "`carepost message show MESSAGE-ID` tells the tracking id",
        )
    })?;
    let ended = handle.store.write("messages::cancel", move |tx| {
        Box::pin(cancel_in(tx, actor, id))
    });
    match ended.await? {
        Ended::Unknown => Err(unknown(&asked.id)),
        Ended::InFlight => Err(Failure::new(
            exit::TEMPFAIL,
            format!("{id} is being worked on right now"),
            format!("`carepost queue hold {id}`, then cancel again"),
        )),
        Ended::Cancelled(done) if done.recipients.is_empty() => Err(Failure::new(
            exit::FAILED,
            format!("{id} is final or already sent for every recipient; nothing is left to cancel"),
            format!("see `carepost message show {id}`"),
        )),
        Ended::Cancelled(done) => Ok(done),
    }
}

/// What can still be taken out: what was relayed already is out of our hands.
const CANCELLABLE: [LegState; 5] = [
    LegState::Accepted,
    LegState::Undecided,
    LegState::Delivering,
    LegState::Queued,
    LegState::Held,
];

async fn cancel_in(tx: &mut Tx, actor: Actor, id: TrackingId) -> Result<Ended, StoreError> {
    let tenant: Option<String> = sqlx::query_scalar("SELECT tenant_id FROM message WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(tx.conn().await?)
        .await
        .named("messages::cancel")?;
    let Some(tenant) = tenant else {
        return Ok(Ended::Unknown);
    };
    let operator::Cancelled::Removed(jobs) = operator::cancel(tx, &id.to_string()).await? else {
        return Ok(Ended::InFlight);
    };
    let recipients = cancel_legs(tx, &actor, id).await?;
    legs::conclude(tx, id);
    for recipient in recipients
        .iter()
        .filter_map(|text| Address::parse(text).ok())
    {
        let event = Event::Cancelled {
            reason: Reason::CancelledByOperator.code().to_owned(),
        };
        tx.record(Entry {
            actor: actor.clone(),
            ..Entry::leg(&tenant, id, &recipient, event)
        });
    }
    Ok(Ended::Cancelled(Cancelled {
        id: id.to_string(),
        recipients,
        jobs: jobs.len(),
    }))
}

/// Nothing is awaited for them any more. Returns whom it concerned.
async fn cancel_legs(
    tx: &mut Tx,
    actor: &Actor,
    id: TrackingId,
) -> Result<Vec<String>, StoreError> {
    let words: Vec<&str> = CANCELLABLE.iter().map(|state| state.word()).collect();
    let now = tx.now();
    sqlx::query_scalar(
        "UPDATE leg SET state = 'cancelled', reason = $2, detail = $3, answer_due = NULL, updated_at = $4
         WHERE message_id = $1 AND answer IS NULL AND $5 LIKE '% ' || state || ' %' RETURNING recipient",
    )
    .bind(id.to_string())
    .bind(Reason::CancelledByOperator.code())
    .bind(format!("by {}", actor.word()))
    .bind(now.0)
    .bind(format!(" {} ", words.join(" ")))
    .fetch_all(tx.conn().await?)
    .await
    .named("messages::cancel_legs")
}
