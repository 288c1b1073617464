//! Transaction T2: the verdict on one message. Per recipient granted, refused or undecided; one delivery job a grant;
//! the drafts of its reports; journal. A committed verdict is final for that (message, recipient).

use crate::draft::{self, Draft, Waiting};
use crate::envelope::{Address, TrackingId};
use crate::journal::{Entry, Event, LegState, Reason};
use crate::limits;
use crate::open::{Kind, Opened};
use crate::queue::legs::{self, Change};
use crate::queue::{Job, JobKind, Lease, sql as jobs};
use crate::route::{Destination, NoRoute, Routed};
use crate::store::{Named, StoreError, Tx};
use crate::world::Timestamp;

use super::{Grant, Profile};

/// What was learnt by opening, as rows and journal hold it.
#[derive(Clone, Debug)]
pub struct OpenedFacts {
    message_id: Option<String>,
    sender: Option<Address>,
    digest: [u8; 32],
    cms_digest: [u8; 32],
    kind: Kind,
    asked: bool,
    event: Event,
    /// DER of the first signer's certificate: the hint for reports.
    hint: Option<Vec<u8>>,
}

impl OpenedFacts {
    /// Collects them.
    pub fn of(opened: &Opened) -> Self {
        let signer = opened.signers().first().map(|signer| &signer.certificate);
        let protection = opened.protection();
        Self {
            message_id: opened.message_id().map(|id| id.as_str().to_owned()),
            sender: opened.sender().cloned(),
            digest: opened.digest(),
            cms_digest: opened.cms_digest(),
            kind: opened.kind(),
            asked: opened.asked(),
            event: Event::Opened {
                sender: opened
                    .sender()
                    .map(|sender| sender.to_string())
                    .unwrap_or_default(),
                signer: signer
                    .map(|certificate| certificate.subject_text().to_owned())
                    .unwrap_or_default(),
                cipher: protection.cipher.to_owned(),
                key_transport: protection.key_transport.to_owned(),
                digest: protection.digest.to_owned(),
                wrapped: protection.wrapped,
            },
            hint: signer.map(|certificate| certificate.der().to_vec()),
        }
    }

    /// DER of the signer's certificate: serves for our reports if the sender publishes none.
    pub fn hint(&self) -> Option<&[u8]> {
        self.hint.as_deref()
    }
}

/// Where a granted copy goes next. Each holds the grant.
#[derive(Debug)]
pub enum Next {
    /// To an edge.
    Deliver(Routed),
    /// Nowhere: no such address, or an inactive one. `failed` follows `processed`.
    Undeliverable(Box<NoRoute>),
    /// Nowhere: it was a report, and is settled.
    Settled(Grant),
}

impl Next {
    /// The grant that it rests on.
    pub fn grant(&self) -> &Grant {
        match self {
            Self::Deliver(routed) => routed.grant(),
            Self::Undeliverable(no_route) => &no_route.grant,
            Self::Settled(grant) => grant,
        }
    }
}

/// One recipient's verdict with all that it brings about.
#[derive(Debug)]
pub enum Verdict {
    /// Trusted. `reports`: the drafts to queue, with their kind's name.
    Granted {
        next: Next,
        profile: Profile,
        reports: Vec<(&'static str, Draft)>,
    },
    /// Not trusted, or excluded by `open`.
    Refused {
        recipient: Address,
        reason: Reason,
        detail: String,
    },
    /// Evidence is missing; judged again at this time.
    Undecided {
        recipient: Address,
        needs: Vec<String>,
        again_at: Timestamp,
    },
}

impl Verdict {
    /// Whose it is.
    pub fn recipient(&self) -> &Address {
        match self {
            Self::Granted { next, .. } => next.grant().recipient(),
            Self::Refused { recipient, .. } | Self::Undecided { recipient, .. } => recipient,
        }
    }
}

/// What T2 brought about: the work that this process holds the leases of.
#[derive(Debug, Default)]
pub struct Committed {
    /// One a granted copy that goes to an edge.
    pub deliveries: Vec<(Routed, Lease)>,
    /// One a report of ours.
    pub relays: Vec<(Lease, Waiting)>,
}

/// T2. None if the job's lease was lost: an operator cancelled it.
///
/// # Errors
/// [`StoreError`].
pub async fn commit(
    tx: &mut Tx,
    lease: Lease,
    facts: &OpenedFacts,
    verdicts: Vec<Verdict>,
) -> Result<Option<Committed>, StoreError> {
    let again_at = verdicts.iter().find_map(|verdict| match verdict {
        Verdict::Undecided { again_at, .. } => Some(*again_at),
        _ => None,
    });
    let (message, tenant) = (lease.job().message, lease.job().tenant.clone());
    let kept = match again_at {
        // The attempts that end in a verdict are no crashes: the count starts again.
        Some(at) => jobs::retry_afresh(tx, lease, at).await?,
        None => jobs::done(tx, lease).await?,
    };
    if !kept {
        return Ok(None);
    }
    note_opened(tx, message, facts);
    tx.record(Entry::message(&tenant, message, facts.event.clone()));
    let mut committed = Committed::default();
    for verdict in verdicts {
        // A leg that has its verdict keeps it: a message that was partly undecided comes again.
        let Some(tenant) = undecided_leg(tx, message, verdict.recipient()).await? else {
            continue;
        };
        match verdict {
            Verdict::Granted {
                next,
                profile,
                reports,
            } => {
                let granted = Granted {
                    next,
                    profile,
                    reports,
                };
                commit_grant(tx, &tenant, facts, granted, &mut committed).await?;
            }
            Verdict::Refused {
                recipient,
                reason,
                detail,
            } => {
                refuse(tx, &tenant, message, &recipient, reason, &detail);
            }
            Verdict::Undecided {
                recipient, needs, ..
            } => {
                undecided(tx, &tenant, message, &recipient, needs);
            }
        }
    }
    Ok(Some(committed))
}

/// T2 for what could not be opened: every leg is refused, and nobody outside hears of it.
///
/// # Errors
/// [`StoreError`].
pub async fn commit_unopenable(
    tx: &mut Tx,
    lease: Lease,
    recipients: &[Address],
    reason: Reason,
    detail: &str,
) -> Result<(), StoreError> {
    let (message, tenant) = (lease.job().message, lease.job().tenant.clone());
    if !jobs::done(tx, lease).await? {
        return Ok(());
    }
    let mut tenants = vec![tenant];
    for recipient in recipients {
        tenants.extend(undecided_leg(tx, message, recipient).await?);
        let change = Change {
            state: LegState::Refused,
            reason: Some(reason),
            detail,
        };
        legs::set_state(tx, message, recipient, &OPENABLE, change);
    }
    tenants.sort_unstable();
    tenants.dedup();
    for tenant in tenants {
        let detail = detail.to_owned();
        let event = Event::Unopenable { reason, detail };
        tx.record(Entry::message(&tenant, message, event));
    }
    Ok(())
}

/// The states from which a leg can be judged.
const OPENABLE: [LegState; 2] = [LegState::Accepted, LegState::Undecided];

/// The tenant of a leg that can still be judged; None if its verdict was given, or an operator stopped it.
async fn undecided_leg(
    tx: &mut Tx,
    message: TrackingId,
    recipient: &Address,
) -> Result<Option<String>, StoreError> {
    let leg = legs::find(tx, message, recipient).await?;
    Ok(leg
        .filter(|leg| OPENABLE.contains(&leg.state))
        .map(|leg| leg.tenant))
}

struct Granted {
    next: Next,
    profile: Profile,
    reports: Vec<(&'static str, Draft)>,
}

fn note_opened(tx: &mut Tx, message: TrackingId, facts: &OpenedFacts) {
    tx.later(
        "trust::note_opened",
        "UPDATE message SET message_id = $2, sender = $3, sender_key = $4, digest = $5, kind = $6 WHERE id = $1",
    )
    .bind(message.to_string())
    .bind(&facts.message_id)
    .bind(facts.sender.as_ref().map(Address::written))
    .bind(facts.sender.as_ref().map(Address::key))
    .bind(crate::crypto::hex(&facts.digest))
    .bind(match facts.kind {
        Kind::Message => "message",
        Kind::Report => "mdn",
    });
}

async fn commit_grant(
    tx: &mut Tx,
    tenant: &str,
    facts: &OpenedFacts,
    granted: Granted,
    committed: &mut Committed,
) -> Result<(), StoreError> {
    let Granted {
        next,
        profile,
        reports,
    } = granted;
    let grant = next.grant();
    let (message, recipient) = (grant.message(), grant.recipient().clone());
    if let Some(earlier) = seen_before(tx, message, &recipient, &facts.cms_digest).await? {
        let change = Change {
            state: LegState::Duplicate,
            reason: None,
            detail: &earlier,
        };
        legs::set_state(tx, message, &recipient, &OPENABLE, change);
        tx.record(Entry::leg(
            tenant,
            message,
            &recipient,
            Event::Duplicate {
                earlier: earlier.clone(),
            },
        ));
        return Ok(());
    }
    let event = granted_event(grant, profile);
    tx.record(Entry::leg(tenant, message, &recipient, event));
    note_grant(tx, facts.asked, &next);
    for (kind, draft) in reports {
        let leases =
            draft::insert_report(tx, tenant, &draft, message, facts.hint.as_deref()).await?;
        let to = draft
            .to
            .first()
            .map(ToString::to_string)
            .unwrap_or_default();
        let event = Event::ReportQueued {
            kind,
            report: draft.id.to_string(),
            to,
        };
        tx.record(Entry::leg(tenant, message, &recipient, event));
        for lease in leases {
            let waiting = Waiting {
                draft: draft.clone(),
                hint: facts.hint.clone(),
            };
            committed.relays.push((lease, waiting));
        }
    }
    match next {
        Next::Deliver(routed) => {
            let asked = if facts.asked { Asked::Yes } else { Asked::No };
            let lease =
                put_delivery(tx, tenant, message, &recipient, routed.destination(), asked).await?;
            committed.deliveries.push((routed, lease));
        }
        Next::Undeliverable(no) => {
            let event = Event::Undeliverable {
                reason: no.reason,
                detail: no.detail,
            };
            tx.record(Entry::leg(tenant, message, &recipient, event));
        }
        Next::Settled(_) => {}
    }
    Ok(())
}

fn granted_event(grant: &Grant, profile: Profile) -> Event {
    Event::Granted {
        anchor: grant.anchor().to_string(),
        path: grant.path().to_vec(),
        profile: profile.word().to_owned(),
        notes: grant.notes().to_vec(),
    }
}

/// Whether delivery notification was asked for (B-001).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Yes,
    No,
}

/// A delivery job, leased by this process. When `dispatched` was asked for, the answer must beat the sender's timer.
///
/// # Errors
/// [`StoreError`].
pub async fn put_delivery(
    tx: &mut Tx,
    tenant: &str,
    message: TrackingId,
    recipient: &Address,
    destination: &Destination,
    asked: Asked,
) -> Result<Lease, StoreError> {
    let life = match asked {
        Asked::Yes => limits::EDGE_LIFE_ASKED,
        Asked::No => limits::EDGE_LIFE,
    };
    let mut job = Job::new(
        tenant,
        JobKind::Deliver,
        message,
        tx.now(),
        life,
        tx.world(),
    );
    job.recipient_key = recipient.key().to_owned();
    job.destination = destination.to_string();
    jobs::put_leased(tx, job).await
}

/// The id of the earlier message if these octets were granted to this recipient within the window.
async fn seen_before(
    tx: &mut Tx,
    message: TrackingId,
    recipient: &Address,
    cms_digest: &[u8; 32],
) -> Result<Option<String>, StoreError> {
    let now = tx.now();
    let digest = crate::crypto::hex(cms_digest);
    let fresh: Option<(String,)> = sqlx::query_as(
        "INSERT INTO seen (recipient_key, digest, message_id, at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (recipient_key, digest) DO UPDATE SET message_id = excluded.message_id, at = excluded.at
            WHERE seen.at < $5
         RETURNING message_id",
    )
    .bind(recipient.key())
    .bind(&digest)
    .bind(message.to_string())
    .bind(now.0)
    .bind(now.minus(limits::DUPLICATE_WINDOW).0)
    .fetch_optional(tx.conn().await?)
    .await
    .named("trust::seen_before")?;
    if fresh.is_some() {
        return Ok(None);
    }
    let (earlier,): (String,) =
        sqlx::query_as("SELECT message_id FROM seen WHERE recipient_key = $1 AND digest = $2")
            .bind(recipient.key())
            .bind(&digest)
            .fetch_one(tx.conn().await?)
            .await
            .named("trust::seen_before")?;
    Ok(Some(earlier))
}

fn note_grant(tx: &mut Tx, asked: bool, next: &Next) {
    let grant = next.grant();
    let (state, reason, detail) = match next {
        Next::Deliver(_) => (LegState::Delivering, None, ""),
        Next::Undeliverable(no) => (LegState::Undeliverable, Some(no.reason), no.detail.as_str()),
        Next::Settled(_) => (LegState::Settled, None, ""),
    };
    let now = tx.now();
    tx.later(
        "trust::note_grant",
        "UPDATE leg SET state = $3, reason = $4, detail = $5, anchor = $6, signer = $7, asked = $8, updated_at = $9
         WHERE message_id = $1 AND recipient_key = $2",
    )
    .bind(grant.message().to_string())
    .bind(grant.recipient().key())
    .bind(state.word())
    .bind(reason.map(Reason::code))
    .bind(detail)
    .bind(grant.anchor().to_string())
    .bind(crate::crypto::hex(&grant.signer()))
    .bind(i64::from(asked))
    .bind(now.0);
    legs::conclude(tx, grant.message());
}

fn refuse(
    tx: &mut Tx,
    tenant: &str,
    message: TrackingId,
    recipient: &Address,
    reason: Reason,
    detail: &str,
) {
    let change = Change {
        state: LegState::Refused,
        reason: Some(reason),
        detail,
    };
    legs::set_state(tx, message, recipient, &OPENABLE, change);
    let event = Event::Refused {
        reason,
        detail: detail.to_owned(),
    };
    tx.record(Entry::leg(tenant, message, recipient, event));
}

fn undecided(
    tx: &mut Tx,
    tenant: &str,
    message: TrackingId,
    recipient: &Address,
    needs: Vec<String>,
) {
    let detail = needs.join(", ");
    let change = Change {
        state: LegState::Undecided,
        reason: Some(Reason::RevocationUnknown),
        detail: &detail,
    };
    legs::set_state(tx, message, recipient, &OPENABLE, change);
    tx.record(Entry::leg(
        tenant,
        message,
        recipient,
        Event::Undecided { needs },
    ));
}
