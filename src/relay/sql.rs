//! Transaction T4: what one relay attempt came to, for each recipient. Job, legs, notices to our sender, journal.

use crate::draft::{Draft, DraftKind};
use crate::envelope::Address;
use crate::journal::{Answer, Entry, Event, LegState, Reason};
use crate::notify::sql as notices;
use crate::queue::legs::{self, Change};
use crate::queue::{Lease, sql as jobs};
use crate::store::{StoreError, Tx};
use crate::world::Timestamp;

/// What is written about one recipient.
#[derive(Clone, Debug)]
pub enum Result4 {
    /// The next hop took it.
    Relayed {
        host: String,
        tls: Option<String>,
        reply: String,
    },
    /// It entered the road in of this gateway, as this message.
    HandedOver { message: String },
    /// Not now.
    Later { reason: Reason, detail: String },
    /// Never.
    Failed { reason: Reason, detail: String },
}

/// The events that led to it, oldest first (discovered, trusted, sealed...).
pub type Trail = Vec<(Option<Address>, Event)>;

/// What one attempt came to.
#[derive(Debug)]
pub struct Commit<'a> {
    pub draft: &'a Draft,
    /// Of this attempt.
    pub token: &'a str,
    pub trail: Trail,
    pub results: Vec<(Address, Result4)>,
    /// When the recipients that wait are tried again; None: they are not, and fail.
    pub next: Option<Timestamp>,
}

/// T4. Returns the leases of delivery jobs for notices; None if the lease was lost: then nothing was written.
///
/// # Errors
/// [`StoreError`].
pub async fn commit(
    tx: &mut Tx,
    lease: Lease,
    commit: Commit<'_>,
    post: &notices::Post,
) -> Result<Option<Vec<Lease>>, StoreError> {
    let Commit {
        draft,
        token,
        trail,
        results,
        next,
    } = commit;
    let (tenant, attempt) = (lease.job().tenant.clone(), lease.attempt());
    let waits = results
        .iter()
        .any(|(_, result)| matches!(result, Result4::Later { .. }));
    let kept = match next {
        Some(next) if waits => {
            let why = results.iter().find_map(|(_, result)| match result {
                Result4::Later { detail, .. } => Some(detail.as_str()),
                _ => None,
            });
            jobs::retry_at(tx, lease, next, why.unwrap_or_default()).await?
        }
        _ => jobs::done(tx, lease).await?,
    };
    if !kept {
        return Ok(None);
    }
    for (recipient, event) in trail {
        let mut entry = Entry::message(&tenant, draft.id, event);
        entry.recipient = recipient;
        tx.record(entry);
    }
    let mut leases = Vec::new();
    for (recipient, result) in results {
        let leg = Leg {
            attempt,
            draft,
            recipient: &recipient,
            tenant: &tenant,
            token,
        };
        leases.extend(leg.commit(tx, result, next, post).await?);
    }
    Ok(Some(leases))
}

struct Leg<'a> {
    attempt: u32,
    draft: &'a Draft,
    recipient: &'a Address,
    tenant: &'a str,
    token: &'a str,
}

impl Leg<'_> {
    async fn commit(
        &self,
        tx: &mut Tx,
        result: Result4,
        next: Option<Timestamp>,
        post: &notices::Post,
    ) -> Result<Option<Lease>, StoreError> {
        match (result, next) {
            (Result4::Relayed { host, tls, reply }, _) => {
                self.relayed(tx, &reply);
                self.record(
                    tx,
                    Event::Relayed {
                        host,
                        tls,
                        reply,
                        attempt: self.attempt,
                    },
                );
                Ok(None)
            }
            (Result4::HandedOver { message }, _) => {
                self.relayed(tx, "handed over within this gateway");
                self.record(tx, Event::HandedOver { message });
                Ok(None)
            }
            (Result4::Later { reason, detail }, Some(next)) => {
                let change = Change {
                    state: LegState::Queued,
                    reason: Some(reason),
                    detail: &detail,
                };
                legs::set_state(
                    tx,
                    self.draft.id,
                    self.recipient,
                    &[LegState::Queued],
                    change,
                );
                let attempt = self.attempt;
                self.record(
                    tx,
                    Event::RelayDeferred {
                        reason,
                        detail,
                        attempt,
                        next: next.rfc3339(),
                    },
                );
                Ok(None)
            }
            (Result4::Later { reason, detail }, None) => {
                let detail = format!("last try: {} ({detail})", reason.happened());
                self.failed(tx, Reason::QueueExpired, &detail, post).await
            }
            (Result4::Failed { reason, detail }, _) => self.failed(tx, reason, &detail, post).await,
        }
    }

    fn record(&self, tx: &mut Tx, event: Event) {
        tx.record(Entry::leg(
            self.tenant,
            self.draft.id,
            self.recipient,
            event,
        ));
    }

    fn relayed(&self, tx: &mut Tx, detail: &str) {
        // A report may have overtaken this commit (B-024): only a leg that still waits becomes `relayed`.
        let now = tx.now();
        tx.later("relay::relayed", "UPDATE leg SET state = CASE state WHEN $3 THEN $4 ELSE state END, reason = NULL, detail = $5,
                token = $6, updated_at = $7
             WHERE message_id = $1 AND recipient_key = $2")
        .bind(self.draft.id.to_string())
        .bind(self.recipient.key())
        .bind(LegState::Queued.word())
        .bind(LegState::Relayed.word())
        .bind(detail)
        .bind(self.token)
        .bind(now.0);
    }

    async fn failed(
        &self,
        tx: &mut Tx,
        reason: Reason,
        detail: &str,
        post: &notices::Post,
    ) -> Result<Option<Lease>, StoreError> {
        let change = Change {
            state: LegState::Failed,
            reason: Some(reason),
            detail,
        };
        if !legs::answer(tx, self.draft.id, self.recipient, Answer::Failed, change).await? {
            return Ok(None);
        }
        let answered = Event::Answered {
            answer: Answer::Failed.word(),
            reason: Some(reason),
            detail: detail.to_owned(),
        };
        self.record(tx, answered);
        // B-032: nobody is told that a report did not arrive.
        if self.draft.kind == DraftKind::Mdn {
            return Ok(None);
        }
        let about = notices::About {
            tenant: self.tenant,
            message: self.draft.id,
            sender: &self.draft.from,
            recipient: self.recipient,
            message_id: &self.draft.message_id,
        };
        notices::put_failure(tx, &about, reason, detail, post).await
    }
}
