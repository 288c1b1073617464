//! The journey out: discover -> judge -> seal -> relay -> settle. Control flow only.
//! In: a lease on a relay job: one message, the recipients of one domain. Out: for each of them relayed,
//! waiting, or failed with the sender told. Nothing leaves that is not sealed; nobody is sealed for who is
//! not trusted.

use std::sync::Arc;

use crate::discover::DiscoverError;
use crate::draft::{self, Draft, DraftKind};
use crate::envelope::{Address, Envelope, ListenerKind, Peer, Recipient, ReturnPath, TrackingId};
use crate::journal::{Event, Reason};
use crate::notify::sql as answers;
use crate::queue::Lease;
use crate::relay::Outcome;
use crate::relay::sql::{self as relaying, Result4, Trail};
use crate::seal::{self, SealError, Sealed, Suite};
use crate::serve::{Gateway, Snapshot};
use crate::spool::{self, Start};
use crate::store::StoreError;
use crate::trust::{self, Certificate, Need, RecipientJudgment, Side, TrustedRecipient, Waiting};
use crate::world::Timestamp;

/// One attempt. `waiting`: what the job is about, if it is at hand; else it is read from the store.
///
/// # Errors
/// [`StoreError`]: nothing is lost, the lease runs out and the job is taken up again.
pub async fn send(
    gateway: &Arc<Gateway>,
    lease: Lease,
    waiting: Option<draft::Waiting>,
) -> Result<(), StoreError> {
    let waiting = match waiting {
        Some(waiting) => waiting,
        None => {
            draft::load(
                &gateway.store,
                lease.job().message,
                &lease.job().destination,
            )
            .await?
        }
    };
    if waiting.draft.to.is_empty() {
        return gateway.drop_job(lease).await;
    }
    let snapshot = gateway.snapshot().await;
    let mut attempt = Attempt {
        trail: Trail::new(),
        results: Vec::new(),
    };
    if gateway.world.now() >= lease.job().expires_at {
        // It lay over its time (a stop, a full house): nothing leaves after the sender was told, or is about to be.
        let detail = "its time was over before it could be tried".to_owned();
        let waiting_for = &waiting.draft.to;
        waiting_for
            .iter()
            .for_each(|to| attempt.later(to, Reason::QueueExpired, detail.clone()));
        return attempt
            .settle(gateway, &snapshot, lease, waiting.draft, String::new())
            .await;
    }
    let since = lease.job().created_at;
    let trusted = attempt
        .find_trusted(gateway, &snapshot, &waiting, since)
        .await;
    let sealed = match trusted.is_empty() {
        true => None,
        false => {
            attempt
                .seal(gateway, &snapshot, &waiting.draft, trusted)
                .await
        }
    };
    if let Some(sealed) = sealed {
        return attempt
            .relay(gateway, &snapshot, lease, waiting.draft, sealed)
            .await;
    }
    attempt
        .settle(gateway, &snapshot, lease, waiting.draft, String::new())
        .await
}

/// What one attempt has come to so far.
struct Attempt {
    trail: Trail,
    results: Vec<(Address, Result4)>,
}

/// What was found for one recipient.
enum Found {
    Certificates(Vec<Arc<Certificate>>, Event),
    Nothing(Reason, String),
    Later(Reason, String),
}

impl Attempt {
    /// discover -> judge, for each recipient.
    async fn find_trusted(
        &mut self,
        gateway: &Arc<Gateway>,
        snapshot: &Arc<Snapshot>,
        waiting: &draft::Waiting,
        since: Timestamp,
    ) -> Vec<TrustedRecipient> {
        let mut trusted = Vec::new();
        for recipient in &waiting.draft.to {
            let certificates =
                match discover(gateway, snapshot, recipient, waiting.hint.as_deref()).await {
                    Found::Certificates(certificates, event) => {
                        self.trail.push((Some(recipient.clone()), event));
                        certificates
                    }
                    Found::Nothing(reason, detail) => {
                        self.fail(recipient, reason, detail);
                        continue;
                    }
                    Found::Later(reason, detail) => {
                        self.later(recipient, reason, detail);
                        continue;
                    }
                };
            let patience = gateway.waiting(since);
            let judged = judge(
                gateway,
                snapshot,
                &waiting.draft,
                recipient,
                certificates,
                patience,
            );
            match judged.await {
                RecipientJudgment::Trusted(recipient) => {
                    self.trail
                        .push((Some(recipient.address().clone()), trusted_event(&recipient)));
                    trusted.push(recipient);
                }
                // B-020: distrust found at send time is told at once.
                RecipientJudgment::Refused(why) => self.fail(recipient, why.reason, why.detail),
                RecipientJudgment::Undecided(needs) => {
                    let needs: Vec<String> = needs.iter().map(Need::to_string).collect();
                    let detail = format!("not to be had now: {}", needs.join(", "));
                    self.later(recipient, Reason::RevocationUnknown, detail);
                }
            }
        }
        trusted
    }

    /// Signs and encrypts; None if that cannot be done: everyone concerned has failed then.
    async fn seal(
        &mut self,
        gateway: &Arc<Gateway>,
        snapshot: &Arc<Snapshot>,
        draft: &Draft,
        trusted: Vec<TrustedRecipient>,
    ) -> Option<Sealed> {
        let recipients: Vec<Address> = trusted.iter().map(|to| to.address().clone()).collect();
        let profile = profile_of(snapshot, &draft.from);
        let Some(identity) = snapshot
            .keys
            .signer(&draft.from, profile, gateway.world.now())
        else {
            // never sign with an expired, revoked or mismatched certificate.
            let detail = format!("no valid signing certificate for {}", draft.from.domain());
            recipients
                .iter()
                .for_each(|to| self.fail(to, Reason::NoIdentity, detail.clone()));
            return None;
        };
        let suite = Suite::default();
        let signer = identity.certificate.subject_text().to_owned();
        let (draft, gateway_) = (draft.clone(), Arc::clone(gateway));
        let sealed = gateway
            .compute(move || {
                let (bodies, world) = (gateway_.store.bodies(), &gateway_.world);
                seal::seal(&draft, &trusted, &identity, suite, bodies, world)
            })
            .await;
        match sealed {
            Some(Ok(sealed)) => {
                let event = Event::Sealed {
                    cipher: suite.cipher.name().to_owned(),
                    key_transport: suite.transport.name().to_owned(),
                    digest: suite.digest.micalg().to_owned(),
                    signer,
                    recipients: recipients.len(),
                };
                self.trail.push((None, event));
                Some(sealed)
            }
            Some(Err(SealError::Unfit { reason, detail })) => {
                recipients
                    .iter()
                    .for_each(|to| self.fail(to, reason, detail.clone()));
                None
            }
            Some(Err(SealError::Body(detail))) => {
                recipients
                    .iter()
                    .for_each(|to| self.later(to, Reason::HopUnavailable, detail.clone()));
                None
            }
            None => {
                let detail = "sealing crashed; see the log";
                recipients
                    .iter()
                    .for_each(|to| self.later(to, Reason::HopUnavailable, detail.to_owned()));
                None
            }
        }
    }

    /// To the next hop, or into our own road in (no socket, no MX) for a domain of ours.
    async fn relay(
        mut self,
        gateway: &Arc<Gateway>,
        snapshot: &Arc<Snapshot>,
        lease: Lease,
        draft: Draft,
        sealed: Sealed,
    ) -> Result<(), StoreError> {
        let domain = lease.job().destination.clone();
        if snapshot.directory.domain(&domain).is_some() {
            return self
                .hand_over(gateway, snapshot, lease, draft, sealed)
                .await;
        }
        let token = match draft.kind {
            DraftKind::Message => TrackingId::new(&gateway.world).to_string(),
            DraftKind::Mdn => String::new(),
        };
        let envid = (!token.is_empty()).then_some(token.as_str());
        for (recipient, outcome) in gateway.relay.relay(&sealed, &domain, envid).await {
            match outcome {
                Outcome::Relayed { host, tls, reply } => {
                    self.results
                        .push((recipient, Result4::Relayed { host, tls, reply }));
                }
                Outcome::Later { reason, detail } => self.later(&recipient, reason, detail),
                Outcome::Refused { reason, detail } => self.fail(&recipient, reason, detail),
            }
        }
        self.settle(gateway, snapshot, lease, draft, token).await
    }

    /// T4 and the next message's T1 in one transaction.
    async fn hand_over(
        mut self,
        gateway: &Arc<Gateway>,
        snapshot: &Arc<Snapshot>,
        lease: Lease,
        draft: Draft,
        sealed: Sealed,
    ) -> Result<(), StoreError> {
        let envelope = envelope_of(gateway, &sealed);
        for recipient in sealed.recipients() {
            let message = envelope.id.to_string();
            self.results
                .push((recipient.clone(), Result4::HandedOver { message }));
        }
        let tenants = snapshot.directory.tenants_of(&envelope.recipients);
        let (body, next, post) = (
            sealed.body().clone(),
            gateway.next_attempt(&lease),
            gateway.post(snapshot),
        );
        let (trail, results) = (self.trail, self.results);
        let notices = gateway
            .store
            .write("relay::hand_over", move |tx| {
                Box::pin(async move {
                    let commit = relaying::Commit {
                        draft: &draft,
                        token: "",
                        trail,
                        results,
                        next,
                    };
                    let notices = relaying::commit(tx, lease, commit, &post).await?;
                    if notices.is_some() {
                        spool::insert(tx, &envelope, &tenants, &body, Start::Queued).await?;
                    }
                    Ok(notices)
                })
            })
            .await?;
        notices
            .into_iter()
            .flatten()
            .for_each(|lease| gateway.spawn_job(lease));
        Ok(())
    }

    /// T4, then what it brought about.
    async fn settle(
        self,
        gateway: &Arc<Gateway>,
        snapshot: &Arc<Snapshot>,
        lease: Lease,
        draft: Draft,
        token: String,
    ) -> Result<(), StoreError> {
        let (next, post) = (gateway.next_attempt(&lease), gateway.post(snapshot));
        let (trail, results) = (self.trail, self.results);
        let notices = gateway
            .store
            .write("relay::commit", move |tx| {
                Box::pin(async move {
                    let commit = relaying::Commit {
                        draft: &draft,
                        token: &token,
                        trail,
                        results,
                        next,
                    };
                    relaying::commit(tx, lease, commit, &post).await
                })
            })
            .await?;
        notices
            .into_iter()
            .flatten()
            .for_each(|lease| gateway.spawn_job(lease));
        Ok(())
    }

    fn fail(&mut self, recipient: &Address, reason: Reason, detail: String) {
        self.results
            .push((recipient.clone(), Result4::Failed { reason, detail }));
    }

    fn later(&mut self, recipient: &Address, reason: Reason, detail: String) {
        self.results
            .push((recipient.clone(), Result4::Later { reason, detail }));
    }
}

/// Our own certificates for an address of ours; else DNS; else, for a report, the certificate that signed the message.
async fn discover(
    gateway: &Gateway,
    snapshot: &Snapshot,
    recipient: &Address,
    hint: Option<&[u8]>,
) -> Found {
    if snapshot.directory.domain(recipient.domain()).is_some() {
        return local(snapshot, recipient);
    }
    match gateway.resolver.discover(recipient).await {
        Ok(found) => {
            let (source, count) = (found.source.word(), found.certificates.len());
            let event = Event::Discovered {
                source,
                name: found.name,
                certificates: count,
            };
            Found::Certificates(found.certificates, event)
        }
        Err(DiscoverError::NoAnswer(detail)) => Found::Later(Reason::DiscoveryUnavailable, detail),
        Err(DiscoverError::NotFound(detail)) => match hint.map(Certificate::parse) {
            Some(Ok(certificate)) => {
                let event = Event::Discovered {
                    source: "signer",
                    name: certificate.subject_text().to_owned(),
                    certificates: 1,
                };
                Found::Certificates(vec![certificate], event)
            }
            _ => Found::Nothing(Reason::NoCertificate, detail),
        },
    }
}

fn local(snapshot: &Snapshot, recipient: &Address) -> Found {
    let identities = snapshot
        .keys
        .for_recipient(recipient, profile_of(snapshot, recipient));
    let certificates: Vec<_> = identities
        .iter()
        .filter(|identity| identity.state == crate::certs::IdentityState::Active)
        .map(|identity| Arc::clone(&identity.certificate))
        .collect();
    if certificates.is_empty() {
        let detail = format!(
            "{} is ours but has no active certificate",
            recipient.domain()
        );
        return Found::Nothing(Reason::NoCertificate, detail);
    }
    let name = recipient.domain().to_owned();
    let event = Event::Discovered {
        source: "local",
        name,
        certificates: certificates.len(),
    };
    Found::Certificates(certificates, event)
}

async fn judge(
    gateway: &Arc<Gateway>,
    snapshot: &Arc<Snapshot>,
    draft: &Draft,
    recipient: &Address,
    found: Vec<Arc<Certificate>>,
    patience: Waiting,
) -> RecipientJudgment {
    let side = match draft.kind {
        DraftKind::Message => Side::Outbound,
        DraftKind::Mdn => Side::Either,
    };
    let now = gateway.world.now();
    let judge = |evidence| {
        let (snapshot, recipient) = (Arc::clone(snapshot), recipient.clone());
        let (from, found) = (draft.from.clone(), found.clone());
        gateway.compute(move || {
            let anchors = &snapshot.anchors;
            trust::judge_recipient(&recipient, &found, &from, side, anchors, &evidence, now)
        })
    };
    let needs_of = |judged: &RecipientJudgment| match judged {
        RecipientJudgment::Undecided(needs) => needs.clone(),
        _ => Vec::new(),
    };
    let evidence = gateway.evidence.at_hand();
    gateway
        .evidence
        .settle(evidence, patience, judge, needs_of)
        .await
        .unwrap_or_else(|| {
            let detail = "judging the certificate crashed; see the log".to_owned();
            RecipientJudgment::Refused(trust::Distrust {
                reason: Reason::Malformed,
                detail,
            })
        })
}

fn trusted_event(recipient: &TrustedRecipient) -> Event {
    Event::RecipientTrusted {
        certificate: recipient.certificate().fingerprint_hex(),
        anchor: recipient.path().anchor().to_string(),
        path: recipient.path().subjects().to_vec(),
        notes: recipient.path().notes().to_vec(),
    }
}

fn profile_of(snapshot: &Snapshot, address: &Address) -> trust::Profile {
    snapshot
        .anchors
        .of(address)
        .map_or(trust::Profile::V1_3, |domain| domain.profile)
}

/// What SMTP would have said, had it been asked.
fn envelope_of(gateway: &Gateway, sealed: &Sealed) -> Envelope {
    Envelope {
        id: TrackingId::new(&gateway.world),
        listener: ListenerKind::Relay,
        account: None,
        peer: Peer {
            ip: std::net::Ipv4Addr::LOCALHOST.into(),
            helo: gateway.config.hostname.clone(),
            tls: None,
        },
        return_path: ReturnPath::To(sealed.from().clone()),
        recipients: sealed
            .recipients()
            .iter()
            .cloned()
            .map(Recipient::plain)
            .collect(),
        envid: None,
        ret: None,
        body: None,
        received_at: gateway.world.now(),
    }
}

/// Silence that lasted too long becomes the one final answer, and the sender is told (B-013, B-014).
///
/// # Errors
/// [`StoreError`].
pub async fn answer_overdue(gateway: &Arc<Gateway>) -> Result<(), StoreError> {
    let overdue = answers::overdue(&gateway.store, gateway.world.now(), 100).await?;
    if overdue.is_empty() {
        return Ok(());
    }
    let snapshot = gateway.snapshot().await;
    for tracked in overdue {
        let post = gateway.post(&snapshot);
        let notice = gateway
            .store
            .write("notify::commit_overdue", move |tx| {
                Box::pin(async move { answers::commit_overdue(tx, &tracked, &post).await })
            })
            .await?;
        notice
            .into_iter()
            .for_each(|lease| gateway.spawn_job(lease));
    }
    Ok(())
}
