//! Clear text bound for elsewhere: may wait, cannot be sent. Only `seal` makes something of it that can.
//! In: what a clinic submitted, or a report of ours. Out: a [`Draft`], and its rows (T1 of the road out).

pub mod prepare;

use crate::envelope::{Address, Envelope, MessageId, TrackingId};
use crate::journal::{Entry, LegState};
use crate::limits;
use crate::queue::{Job, JobKind, Lease, sql as jobs};
use crate::spool::{self, Start};
use crate::store::{Body, Named, Store, StoreError, Tx};
use crate::world::Timestamp;

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DraftKind {
    /// Submitted by a clinic; its answer is awaited.
    Message,
    /// A disposition notification: ours, or a read receipt of a clinic's client. No answer is awaited (B-032).
    Mdn,
}

impl DraftKind {
    /// The word in rows.
    pub fn word(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Mdn => "mdn",
        }
    }

    /// Reads [`DraftKind::word`] back.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Message, Self::Mdn]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}

/// A complete RFC 5322 message, required headers in place.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Our id for it.
    pub id: TrackingId,
    /// What it is.
    pub kind: DraftKind,
    /// From.
    pub from: Address,
    /// Everyone that this draft is for, all domains together.
    pub to: Vec<Address>,
    /// Its Message-ID.
    pub message_id: MessageId,
    /// Asked for delivery notification (B-001).
    pub asked: bool,
    /// Its octets.
    pub body: Body,
}

/// Proof that a submission's rows are committed.
#[must_use]
#[derive(Debug)]
pub struct Stored {
    message: TrackingId,
}

impl Stored {
    /// Of which message.
    pub(crate) fn message(&self) -> TrackingId {
        self.message
    }
}

/// What came of a submission.
#[derive(Debug)]
pub enum Submitted {
    /// It is new: here is the work, one lease a recipient domain.
    New(Stored, Vec<Lease>),
    /// The same octets under the same id from the same sender: the message we have (E-012).
    Again(Stored),
    /// Another message under that id (E-012): refused.
    IdTaken,
}

/// How long answers are awaited.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// For `processed`.
    pub processed: std::time::Duration,
}

/// T1 for a submission: checks the Message-ID, writes message, legs, one relay job a domain; leased by the
/// caller if `start` is [`Start::Now`].
///
/// # Errors
/// [`StoreError`]; then nothing was kept.
pub async fn submit(
    store: &Store,
    envelope: Envelope,
    tenant: String,
    draft: Draft,
    digest: [u8; 32],
    waits: Waits,
    start: Start,
) -> Result<Submitted, StoreError> {
    store
        .write("draft::submit", move |tx| {
            Box::pin(async move {
                if let Some(known) = claim_message_id(tx, &draft, digest).await? {
                    return Ok(known);
                }
                let body_id = tx.keep_body(&draft.body).await?;
                insert_submission(tx, &envelope, &tenant, &draft, &body_id);
                let due = tx.now().plus(waits.processed);
                let answer_due = (draft.kind == DraftKind::Message).then_some(due);
                insert_legs(tx, &tenant, &draft, answer_due);
                if draft.kind == DraftKind::Message {
                    note_correspondents(tx, &draft);
                }
                let life = match draft.kind {
                    // A referral is tried for as long as its timer runs.
                    DraftKind::Message => waits.processed,
                    DraftKind::Mdn => limits::REPORT_QUEUE_LIFE,
                };
                let leases = insert_jobs(tx, &tenant, &draft, life, start).await?;
                tx.record(Entry::message(
                    &tenant,
                    draft.id,
                    spool::accepted_event(&envelope, &draft.body),
                ));
                Ok(Submitted::New(Stored { message: draft.id }, leases))
            })
        })
        .await
}

/// None if the id is free (and now taken by this draft).
async fn claim_message_id(
    tx: &mut Tx,
    draft: &Draft,
    digest: [u8; 32],
) -> Result<Option<Submitted>, StoreError> {
    let now = tx.now();
    let digest = crate::crypto::hex(&digest);
    let taken: Option<(String,)> = sqlx::query_as(
        "INSERT INTO submitted (sender_key, message_id, digest, tracking_id, at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (sender_key, message_id) DO UPDATE
            SET digest = excluded.digest, tracking_id = excluded.tracking_id, at = excluded.at
            WHERE submitted.at < $6
         RETURNING tracking_id",
    )
    .bind(draft.from.key())
    .bind(draft.message_id.as_str())
    .bind(&digest)
    .bind(draft.id.to_string())
    .bind(now.0)
    .bind(now.minus(limits::DUPLICATE_WINDOW).0)
    .fetch_optional(tx.conn().await?)
    .await
    .named("draft::claim_message_id")?;
    if taken.is_some() {
        return Ok(None);
    }
    let (known_digest, tracking): (String, String) = sqlx::query_as(
        "SELECT digest, tracking_id FROM submitted WHERE sender_key = $1 AND message_id = $2",
    )
    .bind(draft.from.key())
    .bind(draft.message_id.as_str())
    .fetch_one(tx.conn().await?)
    .await
    .named("draft::claim_message_id")?;
    let known = tracking.parse::<TrackingId>();
    Ok(Some(match known {
        Ok(message) if known_digest == digest => Submitted::Again(Stored { message }),
        _ => Submitted::IdTaken,
    }))
}

fn insert_submission(tx: &mut Tx, envelope: &Envelope, tenant: &str, draft: &Draft, body_id: &str) {
    tx.later(
        "draft::insert_submission",
        "INSERT INTO message (id, tenant_id, direction, kind, listener, account, peer, helo, tls, return_path,
            envid, ret, body_type, message_id, sender, sender_key, size, body_id, received_at)
         VALUES ($1, $2, 'out', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
    )
    .bind(draft.id.to_string())
    .bind(tenant)
    .bind(draft.kind.word())
    .bind(envelope.listener.word())
    .bind(&envelope.account)
    .bind(envelope.peer.ip.to_string())
    .bind(&envelope.peer.helo)
    .bind(&envelope.peer.tls)
    .bind(envelope.return_path.address().map(Address::written))
    .bind(&envelope.envid)
    .bind(&envelope.ret)
    .bind(&envelope.body)
    .bind(draft.message_id.as_str())
    .bind(draft.from.written())
    .bind(draft.from.key())
    .bind(i64::try_from(draft.body.len()).unwrap_or(i64::MAX))
    .bind(body_id)
    .bind(envelope.received_at.0);
}

/// A report of ours enters the queue, in the transaction that makes it true. `about`: the message it reports on;
/// `hint`: DER of a certificate that serves if the sender publishes none.
///
/// # Errors
/// [`StoreError`].
pub async fn insert_report(
    tx: &mut Tx,
    tenant: &str,
    draft: &Draft,
    about: TrackingId,
    hint: Option<&[u8]>,
) -> Result<Vec<Lease>, StoreError> {
    let body_id = tx.keep_body(&draft.body).await?;
    let now = tx.now();
    tx.later(
        "draft::insert_report",
        "INSERT INTO message (id, tenant_id, direction, kind, return_path, message_id, sender, sender_key, about,
            hint, size, body_id, received_at)
         VALUES ($1, $2, 'out', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(draft.id.to_string())
    .bind(tenant)
    .bind(draft.kind.word())
    .bind(draft.from.written())
    .bind(draft.message_id.as_str())
    .bind(draft.from.written())
    .bind(draft.from.key())
    .bind(about.to_string())
    .bind(hint)
    .bind(i64::try_from(draft.body.len()).unwrap_or(i64::MAX))
    .bind(body_id)
    .bind(now.0);
    insert_legs(tx, tenant, draft, None);
    insert_jobs(tx, tenant, draft, limits::REPORT_QUEUE_LIFE, Start::Now).await
}

/// Reports to the sender may speak for them from now on.
fn note_correspondents(tx: &mut Tx, draft: &Draft) {
    let now = tx.now();
    for recipient in &draft.to {
        tx.later(
            "draft::note_correspondents",
            "INSERT INTO correspondent (sender_key, domain, recipient_key, recipient, at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (sender_key, domain, recipient_key)
                DO UPDATE SET recipient = excluded.recipient, at = excluded.at",
        )
        .bind(draft.from.key())
        .bind(recipient.domain())
        .bind(recipient.key())
        .bind(recipient.written())
        .bind(now.0);
    }
}

fn insert_legs(tx: &mut Tx, tenant: &str, draft: &Draft, answer_due: Option<Timestamp>) {
    let now = tx.now();
    for recipient in &draft.to {
        tx.later(
            "draft::insert_leg",
            "INSERT INTO leg (message_id, recipient_key, recipient, tenant_id, state, asked, answer_due, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(draft.id.to_string())
        .bind(recipient.key())
        .bind(recipient.written())
        .bind(tenant)
        .bind(LegState::Queued.word())
        .bind(i64::from(draft.asked))
        .bind(answer_due.map(|at| at.0))
        .bind(now.0);
    }
}

/// One a domain.
async fn insert_jobs(
    tx: &mut Tx,
    tenant: &str,
    draft: &Draft,
    life: std::time::Duration,
    start: Start,
) -> Result<Vec<Lease>, StoreError> {
    let now = tx.now();
    let mut domains: Vec<&str> = draft.to.iter().map(Address::domain).collect();
    domains.sort_unstable();
    domains.dedup();
    let mut leases = Vec::with_capacity(domains.len());
    for domain in domains {
        let mut job = Job::new(tenant, JobKind::Relay, draft.id, now, life, tx.world());
        job.destination = domain.to_owned();
        match start {
            Start::Now => leases.push(jobs::put_leased(tx, job).await?),
            Start::Queued => jobs::put(tx, &job, now).await?,
        }
    }
    Ok(leases)
}

/// What one relay job needs: the draft, narrowed to the recipients of `domain` that still wait, and the hint.
#[derive(Debug)]
pub struct Waiting {
    /// `to` holds the waiting recipients of the domain only.
    pub draft: Draft,
    /// DER of a certificate that serves if the recipient publishes none (reports only).
    pub hint: Option<Vec<u8>>,
}

type DraftRow = (
    String,
    Option<String>,
    Option<String>,
    Option<Vec<u8>>,
    Option<String>,
);

/// Reads a draft back. `to` may be empty: everyone was answered, or cancelled.
///
/// # Errors
/// [`StoreError`].
pub async fn load(store: &Store, message: TrackingId, domain: &str) -> Result<Waiting, StoreError> {
    let id = message.to_string();
    let (row, legs) = store
        .read("draft::load", move |conn| {
            Box::pin(async move {
                let row: DraftRow = sqlx::query_as(
                    "SELECT kind, message_id, sender, hint, body_id FROM message WHERE id = $1",
                )
                .bind(&id)
                .fetch_one(&mut *conn)
                .await
                .named("draft::load")?;
                let legs: Vec<(String, i64)> = sqlx::query_as(
                    "SELECT recipient, asked FROM leg WHERE message_id = $1 AND state = $2",
                )
                .bind(&id)
                .bind(LegState::Queued.word())
                .fetch_all(&mut *conn)
                .await
                .named("draft::load")?;
                Ok((row, legs))
            })
        })
        .await?;
    let broken = |what: &str| StoreError::Row {
        name: "draft::load",
        what: format!("{message}: {what}"),
    };
    let (kind, message_id, sender, hint, body_id) = row;
    let body = store
        .body(&body_id.ok_or_else(|| broken("its body was purged"))?)
        .await?;
    let mut to = Vec::new();
    for (written, _) in &legs {
        let address = Address::parse(written).map_err(|_| broken("recipient"))?;
        if address.domain() == domain {
            to.push(address);
        }
    }
    let draft = Draft {
        id: message,
        kind: DraftKind::from_word(&kind).ok_or_else(|| broken("kind"))?,
        from: sender
            .and_then(|text| Address::parse(&text).ok())
            .ok_or_else(|| broken("sender"))?,
        to,
        message_id: message_id
            .and_then(|id| MessageId::parse(&id))
            .ok_or_else(|| broken("message id"))?,
        asked: legs.iter().any(|(_, asked)| *asked != 0),
        body,
    };
    Ok(Waiting { draft, hint })
}
