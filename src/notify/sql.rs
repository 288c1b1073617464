//! The SQL of answers: notices to our senders, settling what reports say, and what is overdue.
//! A recipient's final answer and the notice about it change in one transaction (decision 11).

use std::sync::Arc;

use crate::directory::Directory;
use crate::envelope::{Address, MessageId, TrackingId};
use crate::journal::{Answer, Entry, Event, LegState, Reason};
use crate::queue::legs::{self, Change};
use crate::queue::{Lease, sql as jobs};
use crate::store::{Named, Store, StoreError, Tx};
use crate::trust::verdict;
use crate::world::Timestamp;

use super::{LegFacts, Notice, Report, Settlement, failure_notice, forwarded_mdn, settle};

/// What writing a notice needs from the node.
#[derive(Clone, Debug)]
pub struct Post {
    /// Where our senders take their mail.
    pub directory: Arc<Directory>,
    /// Our name.
    pub hostname: String,
}

/// Which leg a notice is about.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    pub tenant: &'a str,
    pub message: TrackingId,
    /// Our sender: who is told.
    pub sender: &'a Address,
    pub recipient: &'a Address,
    pub message_id: &'a MessageId,
}

/// A failure notice enters the queue for the sender's edge. None if the sender has no edge: the journal says so.
///
/// # Errors
/// [`StoreError`].
pub async fn put_failure(
    tx: &mut Tx,
    about: &About<'_>,
    reason: Reason,
    detail: &str,
    post: &Post,
) -> Result<Option<Lease>, StoreError> {
    let notice = failure_notice(
        about.sender,
        about.recipient,
        about.message_id,
        reason,
        detail,
        &post.hostname,
        tx.bodies(),
        tx.world(),
    )?;
    put_notice(tx, about, "dsn", &notice, post).await
}

/// Good news enters the queue for the sender's edge (B-019).
///
/// # Errors
/// [`StoreError`].
pub async fn put_good_news(
    tx: &mut Tx,
    about: &About<'_>,
    post: &Post,
) -> Result<Option<Lease>, StoreError> {
    let notice = forwarded_mdn(
        about.sender,
        about.recipient,
        about.message_id,
        &post.hostname,
        tx.bodies(),
        tx.world(),
    )?;
    put_notice(tx, about, "mdn", &notice, post).await
}

async fn put_notice(
    tx: &mut Tx,
    about: &About<'_>,
    kind: &'static str,
    notice: &Notice,
    post: &Post,
) -> Result<Option<Lease>, StoreError> {
    let Some(entry) = post.directory.entry(&notice.to) else {
        let event = Event::CannotAcknowledge {
            kind,
            reason: Reason::UnknownRecipient,
            detail: format!(
                "{} has no route; `carepost address add` gives it one",
                notice.to
            ),
        };
        tx.record(Entry::leg(
            about.tenant,
            about.message,
            about.recipient,
            event,
        ));
        return Ok(None);
    };
    let id = TrackingId::new(tx.world());
    insert_notice(tx, about, id, kind, notice).await?;
    let lease = verdict::put_delivery(
        tx,
        about.tenant,
        id,
        &notice.to,
        &entry.destination,
        verdict::Asked::No,
    )
    .await?;
    let event = Event::NoticeQueued {
        kind,
        notice: id.to_string(),
        to: notice.to.to_string(),
    };
    tx.record(Entry::leg(
        about.tenant,
        about.message,
        about.recipient,
        event,
    ));
    Ok(Some(lease))
}

async fn insert_notice(
    tx: &mut Tx,
    about: &About<'_>,
    id: TrackingId,
    kind: &str,
    notice: &Notice,
) -> Result<(), StoreError> {
    let body_id = tx.keep_body(&notice.body).await?;
    let now = tx.now();
    sqlx::query(
        "INSERT INTO message (id, tenant_id, direction, kind, message_id, about, size, body_id, received_at)
         VALUES ($1, $2, 'notice', $3, $4, $5, $6, $7, $8)",
    )
    .bind(id.to_string())
    .bind(about.tenant)
    .bind(kind)
    .bind(notice.message_id.as_str())
    .bind(about.message.to_string())
    .bind(i64::try_from(notice.body.len()).unwrap_or(i64::MAX))
    .bind(body_id)
    .bind(now.0)
    .execute(tx.conn().await?)
    .await
    .named("notify::insert_notice")?;
    sqlx::query(
        "INSERT INTO leg (message_id, recipient_key, recipient, tenant_id, state, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id.to_string())
    .bind(notice.to.key())
    .bind(notice.to.written())
    .bind(about.tenant)
    .bind(LegState::Delivering.word())
    .bind(now.0)
    .execute(tx.conn().await?)
    .await
    .named("notify::insert_notice")?;
    Ok(())
}

/// A leg of ours that something is known about now.
#[derive(Clone, Debug)]
pub struct Tracked {
    pub tenant: String,
    pub message: TrackingId,
    pub sender: Address,
    pub message_id: MessageId,
    pub submitted_at: Timestamp,
    pub leg: LegFacts,
}

type TrackedRow = (
    String,
    String,
    String,
    String,
    i64,
    String,
    String,
    i64,
    Option<String>,
);

const TRACKED: &str =
    "SELECT leg.tenant_id, message.id, message.sender, message.message_id, message.received_at,
        leg.recipient, leg.state, leg.asked, leg.answer
     FROM leg JOIN message ON message.id = leg.message_id ";

fn tracked(row: TrackedRow) -> Option<Tracked> {
    let (tenant, message, sender, message_id, at, recipient, state, asked, answer) = row;
    Some(Tracked {
        tenant,
        message: message.parse().ok()?,
        sender: Address::parse(&sender).ok()?,
        message_id: MessageId::parse(&message_id)?,
        submitted_at: Timestamp(at),
        leg: LegFacts {
            recipient: Address::parse(&recipient).ok()?,
            state: LegState::from_word(&state)?,
            asked: asked != 0,
            answer: answer.as_deref().and_then(Answer::from_word),
        },
    })
}

/// Whom certificates name: whole addresses (keys), and domains.
#[derive(Clone, Debug, Default)]
pub struct NamedBy {
    pub addresses: Vec<Address>,
    pub domains: Vec<String>,
}

/// Who of these `sender` wrote to since `since`: whom a report to `sender` may speak for. One address
/// stands for a domain, because a certificate that names a domain speaks for each address in it. What it
/// costs does not grow with what was sent.
///
/// # Errors
/// [`StoreError`].
pub async fn correspondents(
    store: &Store,
    sender: &Address,
    named: NamedBy,
    since: Timestamp,
) -> Result<Vec<Address>, StoreError> {
    const NAME: &str = "notify::correspondents";
    let key = sender.key().to_owned();
    let read = store.read(NAME, move |conn| {
        Box::pin(async move {
            let mut found: Vec<String> = Vec::new();
            for address in &named.addresses {
                let row = sqlx::query_scalar(
                    "SELECT recipient FROM correspondent
                     WHERE sender_key = $1 AND domain = $2 AND recipient_key = $3 AND at >= $4",
                );
                let row = row.bind(&key).bind(address.domain()).bind(address.key());
                let row = row.bind(since.0).fetch_optional(&mut *conn).await;
                found.extend(row.named(NAME)?);
            }
            for domain in &named.domains {
                let rows = sqlx::query_scalar(
                    "SELECT recipient FROM correspondent WHERE sender_key = $1 AND domain = $2 AND at >= $3 LIMIT 1",
                );
                let rows = rows.bind(&key).bind(domain).bind(since.0);
                found.extend(rows.fetch_optional(&mut *conn).await.named(NAME)?);
            }
            Ok(found)
        })
    });
    let found = read.await?;
    Ok(found
        .iter()
        .filter_map(|text| Address::parse(text).ok())
        .collect())
}

/// The legs of the message that a report is about, if `sender` sent it.
///
/// # Errors
/// [`StoreError`].
pub async fn legs_of(
    store: &Store,
    sender: &Address,
    original: &MessageId,
) -> Result<Vec<Tracked>, StoreError> {
    let (key, id) = (sender.key().to_owned(), original.as_str().to_owned());
    let rows: Vec<TrackedRow> = store
        .read("notify::legs_of", move |conn| {
            Box::pin(async move {
                sqlx::query_as(sqlx::AssertSqlSafe(format!(
                    "{TRACKED} WHERE message.message_id = $1 AND message.sender_key = $2
                        AND message.direction = 'out' AND message.kind = 'message'"
                )))
                .bind(id)
                .bind(key)
                .fetch_all(conn)
                .await
                .named("notify::legs_of")
            })
        })
        .await?;
    Ok(rows.into_iter().filter_map(tracked).collect())
}

/// Which of these legs the report means: the recipient it names if that is one of them, else the one that
/// sent it, else the only one there is. Final-Recipient is a hint: the ONC tool sends wrong ones.
pub fn meant(legs: Vec<Tracked>, report: &Report) -> Vec<Tracked> {
    let named = |leg: &Tracked| {
        report
            .recipients
            .iter()
            .any(|named| named.address.as_ref() == Some(&leg.leg.recipient))
    };
    let from = |leg: &Tracked| report.from.as_ref() == Some(&leg.leg.recipient);
    if legs.iter().any(named) {
        legs.into_iter().filter(named).collect()
    } else if legs.iter().any(from) {
        legs.into_iter().filter(from).collect()
    } else if legs.len() == 1 {
        legs
    } else {
        Vec::new()
    }
}

/// The leg whose last relay attempt bore this token (decision 9: only then a clear DSN closes anything).
///
/// # Errors
/// [`StoreError`].
pub async fn legs_by_token(store: &Store, token: &str) -> Result<Vec<Tracked>, StoreError> {
    let token = token.to_owned();
    let rows: Vec<TrackedRow> = store
        .read("notify::legs_by_token", move |conn| {
            Box::pin(async move {
                sqlx::query_as(sqlx::AssertSqlSafe(format!(
                    "{TRACKED} WHERE leg.token = $1 AND message.direction = 'out' AND message.kind = 'message'"
                )))
                .bind(token)
                .fetch_all(conn)
                .await
                .named("notify::legs_by_token")
            })
        })
        .await?;
    Ok(rows.into_iter().filter_map(tracked).collect())
}

/// Legs whose answer is overdue.
///
/// # Errors
/// [`StoreError`].
pub async fn overdue(store: &Store, now: Timestamp, most: i64) -> Result<Vec<Tracked>, StoreError> {
    let rows: Vec<TrackedRow> = store
        .read("notify::overdue", move |conn| {
            Box::pin(async move {
                sqlx::query_as(sqlx::AssertSqlSafe(format!(
                    "{TRACKED} WHERE leg.answer_due <= $1 AND leg.answer IS NULL ORDER BY leg.answer_due LIMIT $2"
                )))
                .bind(now.0)
                .bind(most)
                .fetch_all(conn)
                .await
                .named("notify::overdue")
            })
        })
        .await?;
    Ok(rows.into_iter().filter_map(tracked).collect())
}

/// When the next answer is due.
///
/// # Errors
/// [`StoreError`].
pub async fn next_overdue(store: &Store) -> Result<Option<Timestamp>, StoreError> {
    let row: Option<(Option<i64>,)> = store
        .read("notify::next_overdue", |conn| {
            Box::pin(async move {
                sqlx::query_as("SELECT min(answer_due) FROM leg WHERE answer_due IS NOT NULL")
                    .fetch_optional(conn)
                    .await
                    .named("notify::next_overdue")
            })
        })
        .await?;
    Ok(row.and_then(|(due,)| due).map(Timestamp))
}

/// Writes what a report changes about one leg. `report`: the report's own tracking id. Returns the lease of a notice.
///
/// # Errors
/// [`StoreError`].
pub async fn commit_report(
    tx: &mut Tx,
    tracked: &Tracked,
    report: &Report,
    report_id: TrackingId,
    dispatched_wait: std::time::Duration,
    post: &Post,
) -> Result<Option<Lease>, StoreError> {
    let Tracked {
        tenant,
        message,
        sender,
        message_id,
        leg,
        ..
    } = tracked;
    let about = About {
        tenant,
        message: *message,
        sender,
        recipient: &leg.recipient,
        message_id,
    };
    let settlement = settle(leg, report);
    let kind = word_of(&settlement).to_owned();
    let late = |kind: &str| Event::Late {
        kind: kind.to_owned(),
    };
    match settlement {
        Settlement::Nothing | Settlement::PassOn => Ok(None),
        Settlement::Late(kind) => {
            tx.record(Entry::leg(
                tenant,
                *message,
                &leg.recipient,
                late(kind.word()),
            ));
            Ok(None)
        }
        Settlement::Processed { close: false } => {
            received(tx, tracked, kind, report_id);
            let change = Change {
                state: LegState::Processed,
                reason: None,
                detail: "",
            };
            let waiting = [LegState::Queued, LegState::Relayed, LegState::Processed];
            legs::set_state(tx, *message, &leg.recipient, &waiting, change);
            // B-015: the clock runs from the submission, whatever arrives meanwhile.
            legs::await_until(
                tx,
                *message,
                &leg.recipient,
                tracked.submitted_at.plus(dispatched_wait),
            );
            Ok(None)
        }
        Settlement::Processed { close: true } => {
            received(tx, tracked, kind, report_id);
            close(
                tx,
                tracked,
                Answer::Delivered,
                LegState::Processed,
                None,
                "",
            )
            .await?;
            Ok(None)
        }
        Settlement::Dispatched => {
            received(tx, tracked, kind, report_id);
            let fresh = close(
                tx,
                tracked,
                Answer::Delivered,
                LegState::Dispatched,
                None,
                "",
            )
            .await?;
            if fresh && leg.asked {
                put_good_news(tx, &about, post).await
            } else {
                Ok(None)
            }
        }
        Settlement::Failed { text } => {
            received(tx, tracked, kind, report_id);
            fail(tx, tracked, &about, (Reason::ReportedFailed, &text), post).await
        }
    }
}

/// The final answer is a failure: what is unsent is withdrawn (decision 11), and the sender is told, once.
async fn fail(
    tx: &mut Tx,
    tracked: &Tracked,
    about: &About<'_>,
    (reason, text): (Reason, &str),
    post: &Post,
) -> Result<Option<Lease>, StoreError> {
    let (answer, state) = (Answer::Failed, LegState::Failed);
    if !close(tx, tracked, answer, state, Some(reason), text).await? {
        return Ok(None);
    }
    jobs::withdraw_idle(tx, about.message).await?;
    put_failure(tx, about, reason, text, post).await
}

/// Silence became failure (B-013, B-014).
///
/// # Errors
/// [`StoreError`].
pub async fn commit_overdue(
    tx: &mut Tx,
    tracked: &Tracked,
    post: &Post,
) -> Result<Option<Lease>, StoreError> {
    let Tracked {
        tenant,
        message,
        sender,
        message_id,
        leg,
        ..
    } = tracked;
    let about = About {
        tenant,
        message: *message,
        sender,
        recipient: &leg.recipient,
        message_id,
    };
    let reason = match leg.state {
        LegState::Processed => Reason::NoDispatched,
        LegState::Queued | LegState::Held => Reason::QueueExpired,
        _ => Reason::NoProcessed,
    };
    fail(tx, tracked, &about, (reason, ""), post).await
}

async fn close(
    tx: &mut Tx,
    tracked: &Tracked,
    answer: Answer,
    state: LegState,
    reason: Option<Reason>,
    detail: &str,
) -> Result<bool, StoreError> {
    let (message, recipient) = (tracked.message, &tracked.leg.recipient);
    let fresh = legs::answer(
        tx,
        message,
        recipient,
        answer,
        Change {
            state,
            reason,
            detail,
        },
    )
    .await?;
    let event = if fresh {
        Event::Answered {
            answer: answer.word(),
            reason,
            detail: detail.to_owned(),
        }
    } else {
        Event::Late {
            kind: answer.word().to_owned(),
        }
    };
    tx.record(Entry::leg(&tracked.tenant, message, recipient, event));
    Ok(fresh)
}

fn received(tx: &mut Tx, tracked: &Tracked, kind: String, report_id: TrackingId) {
    let event = Event::ReportReceived {
        kind,
        report: report_id.to_string(),
    };
    tx.record(Entry::leg(
        &tracked.tenant,
        tracked.message,
        &tracked.leg.recipient,
        event,
    ));
}

fn word_of(settlement: &Settlement) -> &'static str {
    match settlement {
        Settlement::Processed { .. } => "processed",
        Settlement::Dispatched => "dispatched",
        Settlement::Failed { .. } => "failed",
        Settlement::Late(kind) => kind.word(),
        Settlement::PassOn => "displayed",
        Settlement::Nothing => "other",
    }
}
