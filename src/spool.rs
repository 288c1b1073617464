//! Write it down durably, then (and only then) 250. Transaction T1.
//! In: an envelope and a body. Out: a [`Receipt`] for the listener, an [`Accepted`] for the road in.
//! A submitted message is written by `draft` in the same manner. Nothing is opened here.

use crate::envelope::{Address, Envelope, ListenerKind, Peer, Recipient, ReturnPath, TrackingId};
use crate::journal::{Entry, Event, LegState};
use crate::limits;
use crate::queue::{Job, JobKind, Lease, sql as jobs};
use crate::store::{Body, Named, Store, StoreError, Tx, Wake};
use crate::world::Timestamp;

/// Proof that the message is on disk. The listener's 250 needs one.
///
/// ```compile_fail
/// // A receipt cannot be made by hand.
/// let receipt = carepost::spool::Receipt { message: todo!() };
/// ```
#[must_use = "the sender has not been answered yet"]
#[derive(Debug)]
pub struct Receipt {
    message: TrackingId,
}

impl Receipt {
    /// Of which message.
    pub fn message(&self) -> TrackingId {
        self.message
    }
}

#[cfg(test)]
impl Receipt {
    /// For the listener's tests, which have no spool.
    pub(crate) fn for_tests(message: TrackingId) -> Self {
        Self { message }
    }
}

/// A message we have promised to answer for.
#[must_use]
#[derive(Debug)]
pub struct Accepted {
    pub(crate) envelope: Envelope,
    pub(crate) tenant: String,
    pub(crate) body: Body,
}

impl Accepted {
    /// What SMTP said.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Whose it is: the tenant of the first recipient.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The octets as they came, before any is opened.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The one way back from the store: for a job that is taken up after a restart or a full house.
    pub fn restore(row: AcceptedRow) -> Self {
        let AcceptedRow {
            envelope,
            tenant,
            body,
        } = row;
        Self {
            envelope,
            tenant,
            body,
        }
    }
}

/// A spooled message's rows. Only [`load`] builds one.
#[derive(Debug)]
pub struct AcceptedRow {
    envelope: Envelope,
    tenant: String,
    body: Body,
}

/// Why it is not on disk.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who takes the work up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The caller, at once: the job is leased from its first moment.
    Now,
    /// The queue's driver, when there is room.
    Queued,
}

/// T1 for mail from the wire. `tenants`: each recipient's, in their order; the message is the first one's.
/// The lease is there if `start` is [`Start::Now`].
///
/// # Errors
/// [`SpoolError`]; then nothing was kept and the sender must not hear 250.
pub async fn accept(
    store: &Store,
    envelope: Envelope,
    tenants: Vec<String>,
    body: Body,
    start: Start,
) -> Result<(Receipt, Accepted, Option<Lease>), SpoolError> {
    let accepted = Accepted {
        envelope: envelope.clone(),
        tenant: owner(&tenants).to_owned(),
        body: body.clone(),
    };
    let lease = store
        .write("spool::accept", move |tx| {
            Box::pin(async move { insert(tx, &envelope, &tenants, &body, start).await })
        })
        .await?;
    Ok((
        Receipt {
            message: accepted.envelope.id,
        },
        accepted,
        lease,
    ))
}

/// The receipt for a submission that `draft` wrote in its own T1.
pub(crate) fn receipt_for(stored: &crate::draft::Stored) -> Receipt {
    Receipt {
        message: stored.message(),
    }
}

/// The rows of T1, inside any transaction (T4 hands mail for a domain of ours over with it).
///
/// # Errors
/// [`StoreError`].
pub async fn insert(
    tx: &mut Tx,
    envelope: &Envelope,
    tenants: &[String],
    body: &Body,
    start: Start,
) -> Result<Option<Lease>, StoreError> {
    let tenant = owner(tenants);
    let body_id = tx.keep_body(body).await?;
    insert_message(tx, envelope, tenant, body, &body_id);
    for (index, recipient) in envelope.recipients.iter().enumerate() {
        let tenant = tenants.get(index).map_or(tenant, String::as_str);
        insert_leg(tx, envelope, tenant, recipient);
    }
    let job = Job::new(
        tenant,
        JobKind::Open,
        envelope.id,
        tx.now(),
        limits::DUPLICATE_WINDOW,
        tx.world(),
    );
    let lease = match start {
        Start::Now => Some(jobs::put_leased(tx, job).await?),
        Start::Queued => {
            let due = tx.now();
            jobs::put(tx, &job, due).await?;
            tx.wake(Wake::Queue);
            None
        }
    };
    tx.record(Entry::message(
        tenant,
        envelope.id,
        accepted_event(envelope, body),
    ));
    Ok(lease)
}

/// Whose message it is.
fn owner(tenants: &[String]) -> &str {
    tenants.first().map_or("default", String::as_str)
}

/// The journal's word for it.
pub(crate) fn accepted_event(envelope: &Envelope, body: &Body) -> Event {
    Event::Accepted {
        listener: envelope.listener.word(),
        peer: envelope.peer.ip.to_string(),
        tls: envelope.peer.tls.clone(),
        account: envelope.account.clone(),
        size: body.len(),
        recipients: envelope.recipients.len(),
    }
}

fn insert_message(tx: &mut Tx, envelope: &Envelope, tenant: &str, body: &Body, body_id: &str) {
    tx.later(
        "spool::insert_message",
        "INSERT INTO message (id, tenant_id, direction, kind, listener, account, peer, helo, tls, return_path,
            envid, ret, body_type, size, body_id, received_at)
         VALUES ($1, $2, 'in', 'message', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(envelope.id.to_string())
    .bind(tenant)
    .bind(envelope.listener.word())
    .bind(&envelope.account)
    .bind(envelope.peer.ip.to_string())
    .bind(&envelope.peer.helo)
    .bind(&envelope.peer.tls)
    .bind(envelope.return_path.address().map(Address::written))
    .bind(&envelope.envid)
    .bind(&envelope.ret)
    .bind(&envelope.body)
    .bind(i64::try_from(body.len()).unwrap_or(i64::MAX))
    .bind(body_id)
    .bind(envelope.received_at.0);
}

fn insert_leg(tx: &mut Tx, envelope: &Envelope, tenant: &str, recipient: &Recipient) {
    let now = tx.now();
    tx.later(
        "spool::insert_leg",
        "INSERT INTO leg (message_id, recipient_key, recipient, tenant_id, state, notify, orcpt, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(envelope.id.to_string())
    .bind(recipient.address.key())
    .bind(recipient.address.written())
    .bind(tenant)
    .bind(LegState::Accepted.word())
    .bind(&recipient.notify)
    .bind(&recipient.orcpt)
    .bind(now.0);
}

type MessageRow = (
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    i64,
);

/// Reads a spooled message back.
///
/// # Errors
/// [`StoreError`]; [`StoreError::Row`] if its body was purged.
pub async fn load(store: &Store, message: TrackingId) -> Result<AcceptedRow, StoreError> {
    let id = message.to_string();
    let (row, recipients) = store
        .read("spool::load", move |conn| {
            Box::pin(async move {
                let row: MessageRow = sqlx::query_as(
                    "SELECT tenant_id, listener, account, peer, helo, tls, return_path, envid, ret, body_type,
                        body_id, received_at FROM message WHERE id = $1",
                )
                .bind(&id)
                .fetch_one(&mut *conn)
                .await
                .named("spool::load")?;
                let legs: Vec<(String, Option<String>, Option<String>)> = sqlx::query_as(
                    "SELECT recipient, notify, orcpt FROM leg WHERE message_id = $1 ORDER BY recipient_key",
                )
                .bind(&id)
                .fetch_all(&mut *conn)
                .await
                .named("spool::load")?;
                Ok((row, legs))
            })
        })
        .await?;
    let (
        tenant,
        listener,
        account,
        peer,
        helo,
        tls,
        return_path,
        envid,
        ret,
        body_type,
        body_id,
        at,
    ) = row;
    let broken = |what: &str| StoreError::Row {
        name: "spool::load",
        what: format!("{message}: {what}"),
    };
    let body_id = body_id.ok_or_else(|| broken("its body was purged"))?;
    let recipients = recipients
        .into_iter()
        .map(|(written, notify, orcpt)| {
            let address = Address::parse(&written).map_err(|_| broken("recipient"))?;
            Ok(Recipient {
                address,
                notify,
                orcpt,
            })
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    let envelope = Envelope {
        id: message,
        listener: listener
            .as_deref()
            .and_then(ListenerKind::from_word)
            .unwrap_or(ListenerKind::Relay),
        account,
        peer: Peer {
            ip: peer
                .and_then(|ip| ip.parse().ok())
                .unwrap_or(std::net::Ipv4Addr::LOCALHOST.into()),
            helo: helo.unwrap_or_default(),
            tls,
        },
        return_path: match return_path {
            None => ReturnPath::Null,
            Some(text) => ReturnPath::To(Address::parse(&text).map_err(|_| broken("return path"))?),
        },
        recipients,
        envid,
        ret,
        body: body_type,
        received_at: Timestamp(at),
    };
    Ok(AcceptedRow {
        envelope,
        tenant,
        body: store.body(&body_id).await?,
    })
}
