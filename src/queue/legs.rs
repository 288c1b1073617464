//! The state of one recipient of one message. In: a change. Out: whether it was made.
//! A final answer is set once: no change here ever touches a leg that has one. When the last leg of a
//! message comes to its end, the message is marked final in the same transaction.

use crate::envelope::{Address, TrackingId};
use crate::journal::{Answer, LegState, Reason};
use crate::store::{Named, StoreError, Tx};
use crate::world::Timestamp;

use super::{Job, JobKind};

/// What changes.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// The new state.
    pub state: LegState,
    /// Why.
    pub reason: Option<Reason>,
    /// Evidence in words.
    pub detail: &'a str,
}

/// From which states the change may be made; anything else was overtaken by another event.
pub type From<'a> = &'a [LegState];

/// Changes the state, if it is one of `from`.
pub fn set_state(
    tx: &mut Tx,
    message: TrackingId,
    recipient: &Address,
    from: From<'_>,
    change: Change<'_>,
) {
    update_state(tx, UPDATE_STATE, message, recipient, from, change);
    conclude(tx, message);
}

/// As [`set_state`]; false if the state was none of `from`.
///
/// # Errors
/// [`StoreError`].
pub async fn try_state(
    tx: &mut Tx,
    message: TrackingId,
    recipient: &Address,
    from: From<'_>,
    change: Change<'_>,
) -> Result<bool, StoreError> {
    update_state(tx, UPDATE_STATE_ASKED, message, recipient, from, change);
    let changed: Option<(String,)> = tx.ask().await?;
    if changed.is_some() {
        conclude(tx, message);
    }
    Ok(changed.is_some())
}

const UPDATE_STATE: &str = "UPDATE leg SET state = $3, reason = $4, detail = $5, updated_at = $6
     WHERE message_id = $1 AND recipient_key = $2 AND answer IS NULL AND $7 LIKE '% ' || state || ' %'";

const UPDATE_STATE_ASKED: &str =
    "UPDATE leg SET state = $3, reason = $4, detail = $5, updated_at = $6
     WHERE message_id = $1 AND recipient_key = $2 AND answer IS NULL AND $7 LIKE '% ' || state || ' %'
     RETURNING message_id";

fn update_state(
    tx: &mut Tx,
    update: &'static str,
    message: TrackingId,
    recipient: &Address,
    from: From<'_>,
    change: Change<'_>,
) {
    let words: Vec<&str> = from.iter().map(|state| state.word()).collect();
    let now = tx.now();
    tx.later("legs::set_state", update)
        .bind(message.to_string())
        .bind(recipient.key())
        .bind(change.state.word())
        .bind(change.reason.map(Reason::code))
        .bind(change.detail)
        .bind(now.0)
        .bind(format!(" {} ", words.join(" ")));
}

/// Gives the final answer, if none was given yet (B-017). Nothing is awaited any more. False if there was one.
///
/// # Errors
/// [`StoreError`].
pub async fn answer(
    tx: &mut Tx,
    message: TrackingId,
    recipient: &Address,
    answer: Answer,
    change: Change<'_>,
) -> Result<bool, StoreError> {
    let now = tx.now();
    let done = sqlx::query(
        "UPDATE leg SET state = $3, reason = $4, detail = $5, updated_at = $6, answer = $7, answer_due = NULL
         WHERE message_id = $1 AND recipient_key = $2 AND answer IS NULL",
    )
    .bind(message.to_string())
    .bind(recipient.key())
    .bind(change.state.word())
    .bind(change.reason.map(Reason::code))
    .bind(change.detail)
    .bind(now.0)
    .bind(answer.word())
    .execute(tx.conn().await?)
    .await
    .named("legs::answer")?;
    let fresh = done.rows_affected() > 0;
    if fresh {
        conclude(tx, message);
    }
    Ok(fresh)
}

/// Waits for the next answer until `due`.
pub fn await_until(tx: &mut Tx, message: TrackingId, recipient: &Address, due: Timestamp) {
    tx.later(
        "legs::await_until",
        "UPDATE leg SET answer_due = $3 WHERE message_id = $1 AND recipient_key = $2 AND answer IS NULL",
    )
    .bind(message.to_string())
    .bind(recipient.key())
    .bind(due.0);
}

/// A leg as a transaction finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// Whose recipient it is.
    pub tenant: String,
    /// Where it stands.
    pub state: LegState,
}

/// Reads it; None if there is no such leg, or its state is not one of ours.
///
/// # Errors
/// [`StoreError`].
pub async fn find(
    tx: &mut Tx,
    message: TrackingId,
    recipient: &Address,
) -> Result<Option<Leg>, StoreError> {
    let row: Option<(String, String)> = sqlx::query_as(
        "SELECT tenant_id, state FROM leg WHERE message_id = $1 AND recipient_key = $2",
    )
    .bind(message.to_string())
    .bind(recipient.key())
    .fetch_optional(tx.conn().await?)
    .await
    .named("legs::find")?;
    Ok(row.and_then(|(tenant, state)| {
        let state = LegState::from_word(&state)?;
        Some(Leg { tenant, state })
    }))
}

/// Marks the message final if nothing of it is under way and nothing is awaited (decision 12).
pub fn conclude(tx: &mut Tx, message: TrackingId) {
    let now = tx.now();
    tx.later(
        "legs::conclude",
        "UPDATE message SET final_at = $2 WHERE id = $1 AND final_at IS NULL AND NOT EXISTS
            (SELECT 1 FROM leg WHERE leg.message_id = $1 AND leg.answer IS NULL AND (leg.answer_due IS NOT NULL
                OR leg.state IN ('accepted', 'undecided', 'delivering', 'queued', 'held')))",
    )
    .bind(message.to_string())
    .bind(now.0);
}

/// The legs that `job` works for are held, because the job is.
///
/// # Errors
/// [`StoreError`].
pub async fn hold(tx: &mut Tx, job: &Job, reason: Reason, detail: &str) -> Result<(), StoreError> {
    let now = tx.now();
    let domain = match job.kind {
        JobKind::Relay => job.destination.as_str(),
        JobKind::Open | JobKind::Deliver => "",
    };
    sqlx::query(
        "UPDATE leg SET state = 'held', reason = $2, detail = $3, updated_at = $4
         WHERE message_id = $1 AND answer IS NULL AND state IN ('accepted', 'undecided', 'delivering', 'queued')
            AND ($5 = '' OR recipient_key = $5) AND ($6 = '' OR recipient_key LIKE '%@' || $6)",
    )
    .bind(job.message.to_string())
    .bind(reason.code())
    .bind(detail)
    .bind(now.0)
    .bind(&job.recipient_key)
    .bind(domain)
    .execute(tx.conn().await?)
    .await
    .named("legs::hold")?;
    Ok(())
}
