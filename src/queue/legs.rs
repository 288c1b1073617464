//! The state of one recipient of one message. In: a change. Out: whether it was made.
//! A final answer is set once: no change here ever touches a leg that has one.

use crate::envelope::{Address, TrackingId};
use crate::journal::{Answer, LegState, Reason};
use crate::store::{Named, Store, StoreError, Tx};
use crate::world::Timestamp;

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
    let words: Vec<&str> = from.iter().map(|state| state.word()).collect();
    let now = tx.now();
    tx.later(
        "legs::set_state",
        "UPDATE leg SET state = $3, reason = $4, detail = $5, updated_at = $6
         WHERE message_id = $1 AND recipient_key = $2 AND $7 LIKE '% ' || state || ' %'",
    )
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
    Ok(done.rows_affected() > 0)
}

/// Waits for the next answer until `due`.
///
/// # Errors
/// [`StoreError`].
pub async fn await_until(
    tx: &mut Tx,
    message: TrackingId,
    recipient: &Address,
    due: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE leg SET answer_due = $3 WHERE message_id = $1 AND recipient_key = $2 AND answer IS NULL")
        .bind(message.to_string())
        .bind(recipient.key())
        .bind(due.0)
        .execute(tx.conn().await?)
        .await
        .named("legs::await_until")?;
    Ok(())
}

/// Keys of the recipients that are in one of these states.
///
/// # Errors
/// [`StoreError`].
pub async fn in_states(
    store: &Store,
    message: TrackingId,
    states: &[LegState],
) -> Result<Vec<String>, StoreError> {
    let words: Vec<&str> = states.iter().map(|state| state.word()).collect();
    let (id, words) = (message.to_string(), format!(" {} ", words.join(" ")));
    let rows: Vec<(String,)> = store
        .read("legs::in_states", move |conn| {
            Box::pin(async move {
                sqlx::query_as(
                    "SELECT recipient_key FROM leg WHERE message_id = $1 AND $2 LIKE '% ' || state || ' %'",
                )
                .bind(id)
                .bind(words)
                .fetch_all(conn)
                .await
                .named("legs::in_states")
            })
        })
        .await?;
    Ok(rows.into_iter().map(|(key,)| key).collect())
}
