//! Transaction T3: what one delivery attempt came to. Job, leg, `dispatched` or `failed` draft, journal.

use crate::draft::{self, Draft, Waiting};
use crate::envelope::{Address, TrackingId};
use crate::journal::{Entry, Event, LegState, Reason};
use crate::queue::legs::{self, Change};
use crate::queue::{Lease, sql as jobs};
use crate::store::{Named, Store, StoreError, Tx};
use crate::world::Timestamp;

/// What is written.
#[derive(Debug)]
pub enum Attempt {
    /// The edge has it.
    Delivered { detail: String },
    /// Again at this time.
    Later { detail: String, next: Timestamp },
    /// Never.
    Never { reason: Reason, detail: String },
}

/// T3. `report`: `dispatched` or `failed`, if one is owed. Returns the leases of its relay jobs; None if
/// the lease was lost.
///
/// # Errors
/// [`StoreError`].
pub async fn commit(
    tx: &mut Tx,
    lease: Lease,
    recipient: &Address,
    attempt: Attempt,
    report: Option<(&'static str, Draft, Option<Vec<u8>>)>,
) -> Result<Option<Vec<(Lease, Waiting)>>, StoreError> {
    let job = lease.job();
    let (tenant, message, route) = (job.tenant.clone(), job.message, job.destination.clone());
    let tries = lease.attempt();
    let kept = match &attempt {
        Attempt::Later { detail, next } => jobs::retry_at(tx, lease, *next, detail).await?,
        Attempt::Delivered { .. } | Attempt::Never { .. } => jobs::done(tx, lease).await?,
    };
    if !kept {
        return Ok(None);
    }
    let event = match attempt {
        Attempt::Delivered { detail } => {
            let change = Change {
                state: LegState::Delivered,
                reason: None,
                detail: &detail,
            };
            legs::set_state(tx, message, recipient, &[LegState::Delivering], change);
            Event::Delivered { route, detail }
        }
        Attempt::Later { detail, next } => Event::DeliveryDeferred {
            route,
            attempt: tries,
            detail,
            next: next.rfc3339(),
        },
        Attempt::Never { reason, detail } => {
            let change = Change {
                state: LegState::Undeliverable,
                reason: Some(reason),
                detail: &detail,
            };
            legs::set_state(tx, message, recipient, &[LegState::Delivering], change);
            Event::Undeliverable { reason, detail }
        }
    };
    tx.record(Entry::leg(&tenant, message, recipient, event));
    let Some((kind, draft, hint)) = report else {
        return Ok(Some(Vec::new()));
    };
    let to = draft
        .to
        .first()
        .map(ToString::to_string)
        .unwrap_or_default();
    let queued = Event::ReportQueued {
        kind,
        report: draft.id.to_string(),
        to,
    };
    tx.record(Entry::leg(&tenant, message, recipient, queued));
    let leases = draft::insert_report(tx, &tenant, &draft, message, hint.as_deref()).await?;
    let waiting = || Waiting {
        draft: draft.clone(),
        hint: hint.clone(),
    };
    Ok(Some(
        leases.into_iter().map(|lease| (lease, waiting())).collect(),
    ))
}

/// What a delivery job needs beyond its row, when it is taken up again.
#[derive(Debug)]
pub struct Pending {
    /// The recipient as it was written in RCPT TO.
    pub recipient: Address,
    /// A notice of ours (clear), not a message from the wire.
    pub is_notice: bool,
    /// A message, which is answered; not a report, which is not (B-032).
    pub is_message: bool,
    /// It still waits to be delivered.
    pub waiting: bool,
    /// Who sent it, and under which id: for reports on it.
    pub sender: Option<Address>,
    pub message_id: Option<crate::envelope::MessageId>,
    pub asked: bool,
    pub body_id: Option<String>,
}

/// Reads it.
///
/// # Errors
/// [`StoreError`].
pub async fn pending(
    store: &Store,
    message: TrackingId,
    recipient_key: &str,
) -> Result<Pending, StoreError> {
    type Row = (
        String,
        String,
        i64,
        String,
        Option<String>,
        Option<String>,
        Option<String>,
        String,
    );
    let (id, key) = (message.to_string(), recipient_key.to_owned());
    let row: Row = store
        .read("deliver::pending", move |conn| {
            Box::pin(async move {
                sqlx::query_as(
                    "SELECT leg.recipient, leg.state, leg.asked, message.direction, message.sender,
                        message.message_id, message.body_id, message.kind
                     FROM leg JOIN message ON message.id = leg.message_id
                     WHERE leg.message_id = $1 AND leg.recipient_key = $2",
                )
                .bind(id)
                .bind(key)
                .fetch_one(conn)
                .await
                .named("deliver::pending")
            })
        })
        .await?;
    let (recipient, state, asked, direction, sender, message_id, body_id, kind) = row;
    Ok(Pending {
        recipient: Address::parse(&recipient).map_err(|_| StoreError::Row {
            name: "deliver::pending",
            what: format!("{message}: recipient"),
        })?,
        is_notice: direction == "notice",
        is_message: kind == "message",
        waiting: state == LegState::Delivering.word(),
        sender: sender.and_then(|text| Address::parse(&text).ok()),
        message_id: message_id.and_then(|text| crate::envelope::MessageId::parse(&text)),
        asked: asked != 0,
        body_id,
    })
}
