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
                let event = Event::Relayed {
                    host,
                    tls,
                    reply: reply.clone(),
                    attempt: self.attempt,
                };
                self.record(tx, event);
                self.relayed(tx, &reply).await?;
                Ok(None)
            }
            (Result4::HandedOver { message }, _) => {
                self.record(tx, Event::HandedOver { message });
                self.relayed(tx, "handed over within this gateway").await?;
                Ok(None)
            }
            (Result4::Later { reason, detail }, Some(next)) => {
                let change = Change {
                    state: LegState::Queued,
                    reason: Some(reason),
                    detail: &detail,
                };
                let waiting = [LegState::Queued];
                if !legs::try_state(tx, self.draft.id, self.recipient, &waiting, change).await? {
                    // Answered, held or cancelled meanwhile: nothing is tried again for it.
                    return Ok(None);
                }
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

    async fn relayed(&self, tx: &mut Tx, detail: &str) -> Result<(), StoreError> {
        let change = Change {
            state: LegState::Relayed,
            reason: None,
            detail,
        };
        let waiting = [LegState::Queued, LegState::Held];
        legs::set_state(tx, self.draft.id, self.recipient, &waiting, change);
        // Even where a report overtook this commit (B-024), a DSN that bears the token is about this leg.
        tx.later(
            "relay::token",
            "UPDATE leg SET token = $3 WHERE message_id = $1 AND recipient_key = $2 RETURNING answer",
        )
        .bind(self.draft.id.to_string())
        .bind(self.recipient.key())
        .bind((!self.token.is_empty()).then_some(self.token));
        let row: Option<(Option<String>,)> = tx.ask().await?;
        if row.and_then(|(answer,)| answer).as_deref() == Some(Answer::Failed.word()) {
            // Decision 11: the sender was told that it failed; that it went out after all is written down only.
            let kind = LegState::Relayed.word().to_owned();
            self.record(tx, Event::Late { kind });
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::sync::Arc;

    use crate::draft::Draft;
    use crate::envelope::{MessageId, TrackingId};
    use crate::queue::{Job, JobKind};
    use crate::store::Store;
    use crate::trust::testing::{events, open_store};

    type LegRow = (
        String,
        Option<String>,
        Option<String>,
        Option<String>,
        Option<i64>,
    );

    async fn scene(dir: &Path, leg: &'static str) -> (Store, Draft, Lease) {
        let store = open_store(dir).await;
        let body = store.bodies().of(b"x").expect("a body");
        let address = |text| Address::parse(text).expect("an address");
        let draft = Draft {
            id: TrackingId::new(store.world()),
            kind: DraftKind::Message,
            from: address("a@d.example"),
            to: vec![address("b@far.example")],
            message_id: MessageId::parse("<1@d.example>").expect("an id"),
            asked: false,
            body,
        };
        let id = draft.id;
        let put = store.write("test", move |tx| {
            Box::pin(async move {
                for statement in [
                    "INSERT INTO message (id, tenant_id, direction, kind, size, received_at)
                     VALUES ($1, 'default', 'out', 'message', 1, 0)",
                    leg,
                ] {
                    sqlx::query(statement)
                        .bind(id.to_string())
                        .execute(tx.conn().await?)
                        .await?;
                }
                let world = tx.world().clone();
                let life = crate::limits::PROCESSED_WAIT;
                let mut job = Job::new("default", JobKind::Relay, id, tx.now(), life, &world);
                job.destination = "far.example".to_owned();
                jobs::put_leased(tx, job).await
            })
        });
        let lease = put.await.expect("written");
        (store, draft, lease)
    }

    async fn relayed(store: &Store, draft: Draft, lease: Lease) -> LegRow {
        let id = draft.id.to_string();
        let post = notices::Post {
            directory: Arc::default(),
            hostname: "mx.d.example".to_owned(),
        };
        let result = Result4::Relayed {
            host: "mx.far.example".to_owned(),
            tls: None,
            reply: "250 ok".to_owned(),
        };
        let work = store.write("test", move |tx| {
            Box::pin(async move {
                let commit = Commit {
                    draft: &draft,
                    token: "t1",
                    trail: Vec::new(),
                    results: vec![(draft.to[0].clone(), result)],
                    next: None,
                };
                super::commit(tx, lease, commit, &post).await
            })
        });
        let _notices = work.await.expect("committed");
        let select = "SELECT leg.state, leg.reason, leg.answer, leg.token, message.final_at
                      FROM leg JOIN message ON message.id = leg.message_id WHERE message.id = $1";
        let read = store.read("test", move |conn| {
            Box::pin(async move { Ok(sqlx::query_as(select).bind(id).fetch_one(conn).await?) })
        });
        read.await.expect("read")
    }

    #[tokio::test]
    async fn an_attempt_that_succeeds_after_the_sender_was_told_of_failure_is_recorded_late() {
        let dir = tempfile::tempdir().expect("a folder");
        let leg = "INSERT INTO leg (message_id, recipient_key, recipient, tenant_id, state, reason, answer, updated_at)
                   VALUES ($1, 'b@far.example', 'b@far.example', 'default', 'failed', 'queue-expired', 'failed', 0)";
        let (store, draft, lease) = scene(dir.path(), leg).await;
        let (state, reason, answer, token, _) = relayed(&store, draft, lease).await;
        assert_eq!(
            (state.as_str(), answer.as_deref()),
            ("failed", Some("failed"))
        );
        assert_eq!(reason.as_deref(), Some("queue-expired"));
        // A bounce of it still finds its leg.
        assert_eq!(token.as_deref(), Some("t1"));
        assert_eq!(events(&store).await, ["relayed", "late"]);
    }

    #[tokio::test]
    async fn a_message_is_final_when_nothing_is_awaited_and_not_before() {
        for (due, fin) in [("1", false), ("NULL", true)] {
            let dir = tempfile::tempdir().expect("a folder");
            let leg = match due {
                "1" => "INSERT INTO leg (message_id, recipient_key, recipient, tenant_id, state, answer_due, updated_at)
                        VALUES ($1, 'b@far.example', 'b@far.example', 'default', 'queued', 1, 0)",
                _ => "INSERT INTO leg (message_id, recipient_key, recipient, tenant_id, state, updated_at)
                      VALUES ($1, 'b@far.example', 'b@far.example', 'default', 'queued', 0)",
            };
            let (store, draft, lease) = scene(dir.path(), leg).await;
            let (state, .., final_at) = relayed(&store, draft, lease).await;
            assert_eq!(
                (state.as_str(), final_at.is_some()),
                ("relayed", fin),
                "{due}"
            );
            assert_eq!(events(&store).await, ["relayed"]);
        }
    }
}
