//! The journey in: open -> judge -> route -> deliver -> notify. Control flow only.
//! In: a spooled message and the lease on its job. Out: each recipient in a named state, each answer that
//! is owed in the queue. An untrusted sender hears nothing; retries never judge again; a report never gets
//! a report.

use std::sync::Arc;

use crate::deliver::{self, DeliverError, Delivered, HandOver, Parcel};
use crate::envelope::{Address, ReturnPath};
use crate::journal::{Entry, Event, Fault, LegState, Reason};
use crate::limits;
use crate::notify::{self, About, Report, sql as answers};
use crate::open::{self, Kind, Opened, OuterKind};
use crate::queue::legs::{self, Change};
use crate::queue::{Lease, sql as jobs};
use crate::route::{self, Routed};
use crate::serve::{Gateway, Snapshot};
use crate::spool::{self, Accepted};
use crate::store::{Body, StoreError};
use crate::trust::verdict::{self, Committed, Next, OpenedFacts, Verdict};
use crate::trust::{self, Evidence, Grant, Judgment};

/// A message from the wire, from its lease to its verdict, and on to what the verdict brings about.
///
/// # Errors
/// [`StoreError`]: nothing is lost, the lease runs out and the job is taken up again.
pub async fn receive(
    gateway: &Arc<Gateway>,
    accepted: Accepted,
    lease: Lease,
) -> Result<(), StoreError> {
    if lease.attempt() > limits::OPEN_ATTEMPTS_MAX {
        return hold_poison(gateway, &accepted, lease).await;
    }
    let snapshot = gateway.snapshot().await;
    let accepted = Arc::new(accepted);
    let Some(opened) = open(gateway, &snapshot, &accepted).await else {
        return again(gateway, lease, CRASHED).await;
    };
    match opened {
        Outcome::ClearDsn => clear_dsn(gateway, &snapshot, &accepted, lease).await,
        // Our own disk failed: nothing is known yet, and nothing is decided.
        Outcome::Unopenable(why) if why.fault == Fault::Later => {
            again(gateway, lease, &why.detail).await
        }
        Outcome::Unopenable(why) => {
            refuse_all(gateway, &accepted, lease, why.reason, why.detail).await
        }
        Outcome::Opened(opened) => match opened.kind() {
            Kind::Message => message(gateway, &snapshot, &accepted, Arc::new(*opened), lease).await,
            Kind::Report => report(gateway, &snapshot, &accepted, Arc::new(*opened), lease).await,
        },
    }
}

/// One delivery job that is taken up again: the body is opened from the stored ciphertext, its digest
/// compared with the verdict's.
///
/// # Errors
/// [`StoreError`].
pub async fn deliver_again(gateway: &Arc<Gateway>, lease: Lease) -> Result<(), StoreError> {
    let job = lease.job();
    let pending = deliver::sql::pending(&gateway.store, job.message, &job.recipient_key).await?;
    if !pending.waiting {
        return gateway.drop_job(lease).await;
    }
    if pending.is_notice {
        return deliver_notice(gateway, lease, pending).await;
    }
    let snapshot = gateway.snapshot().await;
    let accepted = Arc::new(Accepted::restore(
        spool::load(&gateway.store, job.message).await?,
    ));
    let Some(Outcome::Opened(opened)) = open(gateway, &snapshot, &accepted).await else {
        return give_up(
            gateway,
            lease,
            pending.recipient,
            Reason::DecryptFailed,
            "it no longer opens",
        )
        .await;
    };
    let (message, key) = (job.message, job.recipient_key.clone());
    let row = gateway.store.read("trust::grant_row", move |conn| {
        Box::pin(async move { trust::grant_row(conn, message, &key).await })
    });
    let Some(row) = row.await? else {
        return gateway.drop_job(lease).await;
    };
    match route::route(Grant::restore(row), &snapshot.directory) {
        Ok(routed) => deliver_granted(gateway, routed, lease, Arc::new(*opened)).await,
        Err(no) => {
            let about = about(gateway, &opened);
            let report = about.and_then(|about| failed(gateway, &no.grant, &about, no.reason));
            let attempt = deliver::sql::Attempt::Never {
                reason: no.reason,
                detail: no.detail,
            };
            commit_delivery(gateway, lease, pending.recipient, attempt, report, &opened).await
        }
    }
}

// ---- open ---------------------------------------------------------------------------------------

enum Outcome {
    Opened(Box<Opened>),
    Unopenable(open::Unopenable),
    ClearDsn,
}

/// None: the opening crashed; the attempt is counted.
async fn open(
    gateway: &Arc<Gateway>,
    snapshot: &Arc<Snapshot>,
    accepted: &Arc<Accepted>,
) -> Option<Outcome> {
    let (gateway_, snapshot, accepted) = (
        Arc::clone(gateway),
        Arc::clone(snapshot),
        Arc::clone(accepted),
    );
    let work = move || {
        if open::outer_kind(accepted.body()) == OuterKind::ClearDsn {
            return Outcome::ClearDsn;
        }
        let (bodies, world) = (gateway_.store.bodies(), &gateway_.world);
        match open::open(&accepted, &snapshot.keys, &snapshot.anchors, bodies, world) {
            Ok(opened) => Outcome::Opened(Box::new(opened)),
            Err(why) => Outcome::Unopenable(why),
        }
    };
    gateway.compute(work).await
}

/// What is written down when opening a message took its thread with it.
const CRASHED: &str = "carepost stopped while opening it";

async fn again(gateway: &Arc<Gateway>, lease: Lease, why: &str) -> Result<(), StoreError> {
    let due = gateway.world.now().plus(std::time::Duration::from_secs(60));
    let why = why.to_owned();
    gateway
        .store
        .write("inbound::again", move |tx| {
            Box::pin(async move { jobs::retry_at(tx, lease, due, &why).await })
        })
        .await
        .map(|_| ())
}

async fn hold_poison(
    gateway: &Arc<Gateway>,
    accepted: &Accepted,
    lease: Lease,
) -> Result<(), StoreError> {
    let (id, tenant) = (accepted.envelope().id, accepted.tenant().to_owned());
    gateway
        .store
        .write("inbound::hold_poison", move |tx| {
            Box::pin(async move {
                if jobs::hold(tx, lease, Reason::Poison.code()).await? {
                    let event = Event::Held {
                        reason: Reason::Poison,
                        detail: String::new(),
                    };
                    tx.record(Entry::message(&tenant, id, event));
                }
                Ok(())
            })
        })
        .await
}

async fn refuse_all(
    gateway: &Arc<Gateway>,
    accepted: &Accepted,
    lease: Lease,
    reason: Reason,
    detail: String,
) -> Result<(), StoreError> {
    let recipients = recipients(accepted);
    gateway
        .store
        .write("trust::commit_unopenable", move |tx| {
            Box::pin(async move {
                verdict::commit_unopenable(tx, lease, &recipients, reason, &detail).await
            })
        })
        .await
}

fn recipients(accepted: &Accepted) -> Vec<Address> {
    accepted
        .envelope()
        .recipients
        .iter()
        .map(|recipient| recipient.address.clone())
        .collect()
}

// ---- judge --------------------------------------------------------------------------------------

async fn message(
    gateway: &Arc<Gateway>,
    snapshot: &Arc<Snapshot>,
    accepted: &Accepted,
    opened: Arc<Opened>,
    lease: Lease,
) -> Result<(), StoreError> {
    let Some(judgment) = judge(gateway, snapshot, &opened).await else {
        return again(gateway, lease, CRASHED).await;
    };
    let mut verdicts = excluded(&opened);
    verdicts.extend(
        judgment
            .refused
            .into_iter()
            .map(|(recipient, why)| Verdict::Refused {
                recipient,
                reason: why.reason,
                detail: why.detail,
            }),
    );
    for (recipient, needs) in judgment.undecided {
        let needs = needs.iter().map(|need| format!("{need:?}")).collect();
        verdicts.push(undecided(gateway, accepted, recipient, needs));
    }
    for grant in judgment.granted {
        verdicts.push(granted(gateway, snapshot, &opened, grant));
    }
    if lease.attempt() > 1 {
        keep_open_legs(gateway, accepted, &mut verdicts).await?;
    }
    commit(gateway, opened, verdicts, lease).await
}

/// Judges; what is needed would be fetched here and judged again (decision 4). Nothing asks for evidence yet.
async fn judge(
    gateway: &Arc<Gateway>,
    snapshot: &Arc<Snapshot>,
    opened: &Arc<Opened>,
) -> Option<Judgment> {
    let (snapshot, opened, now) = (
        Arc::clone(snapshot),
        Arc::clone(opened),
        gateway.world.now(),
    );
    gateway
        .compute(move || trust::judge(&opened, &snapshot.anchors, &Evidence::default(), now))
        .await
}

fn excluded(opened: &Opened) -> Vec<Verdict> {
    opened
        .excluded()
        .iter()
        .map(|(recipient, reason, detail)| Verdict::Refused {
            recipient: recipient.clone(),
            reason: *reason,
            detail: detail.clone(),
        })
        .collect()
}

/// After the longest wait, what is still undecided is refused: silence must end before the sender's own timer does.
fn undecided(
    gateway: &Gateway,
    accepted: &Accepted,
    recipient: Address,
    needs: Vec<String>,
) -> Verdict {
    let now = gateway.world.now();
    if now.since(accepted.envelope().received_at) >= limits::UNDECIDED_WAIT {
        let detail = format!("still missing: {}", needs.join(", "));
        return Verdict::Refused {
            recipient,
            reason: Reason::RevocationUnknown,
            detail,
        };
    }
    let again_at = now.plus(std::time::Duration::from_secs(60));
    Verdict::Undecided {
        recipient,
        needs,
        again_at,
    }
}

/// A message that was partly undecided comes again: what is final stays so.
async fn keep_open_legs(
    gateway: &Arc<Gateway>,
    accepted: &Accepted,
    verdicts: &mut Vec<Verdict>,
) -> Result<(), StoreError> {
    let open = legs::in_states(
        &gateway.store,
        accepted.envelope().id,
        &[LegState::Accepted, LegState::Undecided],
    )
    .await?;
    verdicts.retain(|verdict| {
        let recipient = match verdict {
            Verdict::Granted { next, .. } => next.grant().recipient(),
            Verdict::Refused { recipient, .. } | Verdict::Undecided { recipient, .. } => recipient,
        };
        open.iter().any(|key| key == recipient.key())
    });
    Ok(())
}

// ---- route --------------------------------------------------------------------------------------

fn granted(gateway: &Gateway, snapshot: &Snapshot, opened: &Opened, grant: Grant) -> Verdict {
    let profile = snapshot
        .anchors
        .of(grant.recipient())
        .map_or(trust::Profile::V1_3, |domain| domain.profile);
    let about = about(gateway, opened);
    let mut reports = Vec::new();
    if let Some(about) = &about {
        reports.extend(processed(gateway, &grant, about));
    }
    match route::route(grant, &snapshot.directory) {
        Ok(routed) => Verdict::Granted {
            next: Next::Deliver(routed),
            profile,
            reports,
        },
        Err(no) => {
            // A-005, B-010: after trust has passed, an unknown mailbox is answered, never met with silence.
            if let Some(about) = &about {
                reports.extend(failed(gateway, &no.grant, about, no.reason));
            }
            Verdict::Granted {
                next: Next::Undeliverable(no),
                profile,
                reports,
            }
        }
    }
}

/// T2, then what it brought about.
async fn commit(
    gateway: &Arc<Gateway>,
    opened: Arc<Opened>,
    verdicts: Vec<Verdict>,
    lease: Lease,
) -> Result<(), StoreError> {
    let facts = OpenedFacts::of(&opened);
    let committed = gateway
        .store
        .write("trust::commit", move |tx| {
            Box::pin(async move { verdict::commit(tx, lease, &facts, verdicts).await })
        })
        .await?;
    if let Some(committed) = committed {
        go_on(gateway, opened, committed);
    }
    Ok(())
}

fn go_on(gateway: &Arc<Gateway>, opened: Arc<Opened>, committed: Committed) {
    for (routed, lease) in committed.deliveries {
        gateway.spawn_delivery(routed, lease, Arc::clone(&opened));
    }
    for (lease, waiting) in committed.relays {
        gateway.spawn_relay(lease, Some(waiting));
    }
}

// ---- deliver ------------------------------------------------------------------------------------

/// One attempt to hand a granted copy over, and its outcome (T3).
///
/// # Errors
/// [`StoreError`].
pub async fn deliver_granted(
    gateway: &Arc<Gateway>,
    routed: Routed,
    lease: Lease,
    opened: Arc<Opened>,
) -> Result<(), StoreError> {
    let recipient = routed.grant().recipient().clone();
    let Some(body) = opened.body().reveal(routed.grant()).cloned() else {
        let why = "its content is not what was judged";
        return give_up(gateway, lease, recipient, Reason::BadSignature, why).await;
    };
    let return_path = opened
        .sender()
        .map_or(ReturnPath::Null, |sender| ReturnPath::To(sender.clone()));
    let parcel = parcel(&lease, &recipient, return_path, &body);
    let (attempt, report) = match deliver::deliver(&gateway.edge, routed, parcel).await {
        Ok(delivered) => {
            let report = dispatched(gateway, &opened, &delivered);
            (
                deliver::sql::Attempt::Delivered {
                    detail: delivered.detail().to_owned(),
                },
                report,
            )
        }
        Err(error) => match *error {
            DeliverError::Later { routed, detail } => {
                later(gateway, &lease, &opened, &routed, detail)
            }
            DeliverError::Never {
                grant,
                reason,
                detail,
            } => {
                let report = about(gateway, &opened)
                    .and_then(|about| failed(gateway, &grant, &about, reason));
                (deliver::sql::Attempt::Never { reason, detail }, report)
            }
        },
    };
    commit_delivery(gateway, lease, recipient, attempt, report, &opened).await
}

type Owed = Option<(&'static str, crate::draft::Draft)>;

fn later(
    gateway: &Gateway,
    lease: &Lease,
    opened: &Opened,
    routed: &Routed,
    detail: String,
) -> (deliver::sql::Attempt, Owed) {
    match gateway.next_attempt(lease) {
        Some(next) => (deliver::sql::Attempt::Later { detail, next }, None),
        None => {
            let reason = Reason::QueueExpired;
            let report = about(gateway, opened)
                .and_then(|about| failed(gateway, routed.grant(), &about, reason));
            (deliver::sql::Attempt::Never { reason, detail }, report)
        }
    }
}

fn parcel<'a>(
    lease: &Lease,
    recipient: &'a Address,
    return_path: ReturnPath,
    body: &'a Body,
) -> Parcel<'a> {
    let (message, attempt) = (lease.job().message, lease.attempt());
    let path = return_path
        .address()
        .map(Address::written)
        .unwrap_or_default();
    let trace = format!("Return-Path: <{path}>\r\nX-Carepost-Delivery: {message}.{attempt}\r\n");
    Parcel {
        message,
        recipient,
        return_path,
        trace,
        body,
        attempt,
    }
}

/// T3, then what it brought about.
async fn commit_delivery(
    gateway: &Arc<Gateway>,
    lease: Lease,
    recipient: Address,
    attempt: deliver::sql::Attempt,
    report: Owed,
    opened: &Opened,
) -> Result<(), StoreError> {
    let hint = OpenedFacts::of(opened).hint().map(<[u8]>::to_vec);
    let report = report.map(|(kind, draft)| (kind, draft, hint));
    let relays = gateway
        .store
        .write("deliver::commit", move |tx| {
            Box::pin(
                async move { deliver::sql::commit(tx, lease, &recipient, attempt, report).await },
            )
        })
        .await?;
    for (lease, waiting) in relays.into_iter().flatten() {
        gateway.spawn_relay(lease, Some(waiting));
    }
    Ok(())
}

async fn give_up(
    gateway: &Arc<Gateway>,
    lease: Lease,
    recipient: Address,
    reason: Reason,
    detail: &str,
) -> Result<(), StoreError> {
    let attempt = deliver::sql::Attempt::Never {
        reason,
        detail: detail.to_owned(),
    };
    gateway
        .store
        .write("deliver::give_up", move |tx| {
            Box::pin(
                async move { deliver::sql::commit(tx, lease, &recipient, attempt, None).await },
            )
        })
        .await
        .map(|_| ())
}

async fn deliver_notice(
    gateway: &Arc<Gateway>,
    lease: Lease,
    pending: deliver::sql::Pending,
) -> Result<(), StoreError> {
    let snapshot = gateway.snapshot().await;
    let body = match &pending.body_id {
        Some(id) => gateway.store.body(id).await?,
        None => return gateway.drop_job(lease).await,
    };
    let Some(entry) = snapshot.directory.entry(&pending.recipient) else {
        let why = "the address has no route any more";
        return give_up(
            gateway,
            lease,
            pending.recipient,
            Reason::UnknownRecipient,
            why,
        )
        .await;
    };
    let parcel = parcel(&lease, &pending.recipient, ReturnPath::Null, &body);
    let attempt = match deliver::hand_over(&gateway.edge, &entry.destination, &parcel).await {
        HandOver::Done(detail) => deliver::sql::Attempt::Delivered { detail },
        HandOver::Never(detail) => deliver::sql::Attempt::Never {
            reason: Reason::EdgeRefused,
            detail,
        },
        HandOver::Later(detail) => match gateway.next_attempt(&lease) {
            Some(next) => deliver::sql::Attempt::Later { detail, next },
            None => deliver::sql::Attempt::Never {
                reason: Reason::QueueExpired,
                detail,
            },
        },
    };
    let recipient = pending.recipient.clone();
    gateway
        .store
        .write("deliver::commit_notice", move |tx| {
            Box::pin(
                async move { deliver::sql::commit(tx, lease, &recipient, attempt, None).await },
            )
        })
        .await
        .map(|_| ())
}

// ---- notify -------------------------------------------------------------------------------------

fn about(gateway: &Gateway, opened: &Opened) -> Option<About> {
    Some(About {
        sender: opened.sender()?.clone(),
        message_id: opened.message_id()?.clone(),
        asked: opened.asked(),
        reporter: gateway.config.hostname.clone(),
    })
}

fn processed(gateway: &Gateway, grant: &Grant, about: &About) -> Owed {
    let draft = notify::processed(grant, about, gateway.store.bodies(), &gateway.world);
    owed(gateway, "processed", draft)
}

fn failed(gateway: &Gateway, grant: &Grant, about: &About, why: Reason) -> Owed {
    let draft = notify::failed(grant, about, why, gateway.store.bodies(), &gateway.world);
    owed(gateway, "failed", draft)
}

/// Only if it was asked for (B-009), and only for messages.
fn dispatched(gateway: &Gateway, opened: &Opened, delivered: &Delivered) -> Owed {
    if !opened.asked() || opened.kind() == Kind::Report {
        return None;
    }
    let about = about(gateway, opened)?;
    let draft = notify::dispatched(delivered, &about, gateway.store.bodies(), &gateway.world);
    owed(gateway, "dispatched", draft)
}

fn owed(
    gateway: &Gateway,
    kind: &'static str,
    draft: Result<crate::draft::Draft, crate::store::BodyError>,
) -> Owed {
    match draft {
        Ok(draft) => Some((kind, draft)),
        Err(error) => {
            gateway.complain("notify", &error.to_string());
            None
        }
    }
}

// ---- reports ------------------------------------------------------------------------------------

/// A report: judged against whom it speaks for, then settled; never routed, unless it is a read receipt.
async fn report(
    gateway: &Arc<Gateway>,
    snapshot: &Arc<Snapshot>,
    accepted: &Accepted,
    opened: Arc<Opened>,
    lease: Lease,
) -> Result<(), StoreError> {
    let mut verdicts = excluded(&opened);
    let mut settlements = Vec::new();
    for recipient in opened.recipients() {
        match judge_report(gateway, snapshot, &opened, recipient).await? {
            Err((reason, detail)) => {
                verdicts.push(Verdict::Refused {
                    recipient: recipient.clone(),
                    reason,
                    detail,
                });
            }
            Ok(grant) => {
                let (next, settled) = read_report(gateway, snapshot, &opened, grant).await?;
                let profile = trust::Profile::V1_3;
                verdicts.push(Verdict::Granted {
                    next,
                    profile,
                    reports: Vec::new(),
                });
                settlements.extend(settled);
            }
        }
    }
    let facts = OpenedFacts::of(&opened);
    let (id, waits) = (
        accepted.envelope().id,
        gateway.config.limits.dispatched_wait,
    );
    let post = gateway.post(snapshot);
    let committed = gateway
        .store
        .write("notify::commit_report", move |tx| {
            Box::pin(async move {
                let Some(committed) = verdict::commit(tx, lease, &facts, verdicts).await? else {
                    return Ok(None);
                };
                let mut notices = Vec::new();
                for (leg, report) in &settlements {
                    notices
                        .extend(answers::commit_report(tx, leg, report, id, waits, &post).await?);
                }
                Ok(Some((committed, notices)))
            })
        })
        .await?;
    if let Some((committed, notices)) = committed {
        go_on(gateway, opened, committed);
        notices
            .into_iter()
            .for_each(|lease| gateway.spawn_job(lease));
    }
    Ok(())
}

type ReportVerdict = Result<Grant, (Reason, String)>;

/// The signer must be trusted and bound to somebody that this recipient wrote to (decision 9, A-110).
async fn judge_report(
    gateway: &Arc<Gateway>,
    snapshot: &Arc<Snapshot>,
    opened: &Arc<Opened>,
    recipient: &Address,
) -> Result<ReportVerdict, StoreError> {
    let since = gateway.world.now().minus(limits::DUPLICATE_WINDOW);
    let correspondents = answers::correspondents(&gateway.store, recipient, since).await?;
    let (snapshot, opened, recipient) =
        (Arc::clone(snapshot), Arc::clone(opened), recipient.clone());
    let now = gateway.world.now();
    let work = move || {
        let speaks_for = correspondents
            .iter()
            .find(|address| speaks_for(&snapshot, &opened, &recipient, address));
        let Some(speaks_for) = speaks_for else {
            let detail =
                "nobody that this address wrote to is named by the report's signer".to_owned();
            return Err((Reason::UnmatchedReport, detail));
        };
        let judgment = trust::judge_report(
            &opened,
            speaks_for,
            &snapshot.anchors,
            &Evidence::default(),
            now,
        );
        let refused = judgment
            .refused
            .into_iter()
            .find(|(address, _)| *address == recipient);
        match judgment
            .granted
            .into_iter()
            .find(|grant| *grant.recipient() == recipient)
        {
            Some(grant) => Ok(grant),
            None => Err(refused.map_or(
                (
                    Reason::RevocationUnknown,
                    "the report's signer could not be judged now".to_owned(),
                ),
                |(_, why)| (why.reason, why.detail),
            )),
        }
    };
    let crashed = || Err((Reason::Malformed, "judging the report crashed".to_owned()));
    Ok(gateway.compute(work).await.unwrap_or_else(crashed))
}

fn speaks_for(
    snapshot: &Snapshot,
    opened: &Opened,
    recipient: &Address,
    tracked: &Address,
) -> bool {
    let profile = snapshot
        .anchors
        .of(recipient)
        .map_or(trust::Profile::V1_3, |domain| domain.profile);
    opened
        .signers()
        .iter()
        .any(|signer| trust::binds(&signer.certificate, tracked, profile))
}

type Settlements = Vec<(answers::Tracked, Report)>;

/// What it says, and about which legs of ours.
async fn read_report(
    gateway: &Arc<Gateway>,
    snapshot: &Arc<Snapshot>,
    opened: &Arc<Opened>,
    grant: Grant,
) -> Result<(Next, Settlements), StoreError> {
    let Some(body) = opened.body().reveal(&grant).cloned() else {
        return Ok((Next::Settled(grant), Vec::new()));
    };
    let Some(Ok(report)) = gateway.compute(move || notify::parse_report(&body)).await else {
        return Ok((Next::Settled(grant), Vec::new()));
    };
    let Some(original) = report.original.clone() else {
        return Ok((Next::Settled(grant), Vec::new()));
    };
    let mut legs = answers::legs_of(&gateway.store, grant.recipient(), &original).await?;
    legs.retain(|tracked| speaks_for(snapshot, opened, grant.recipient(), &tracked.leg.recipient));
    let legs = answers::meant(legs, &report);
    let receipt = legs
        .iter()
        .any(|leg| notify::settle(&leg.leg, &report) == notify::Settlement::PassOn);
    let settlements = legs.into_iter().map(|leg| (leg, report.clone())).collect();
    if !receipt {
        return Ok((Next::Settled(grant), settlements));
    }
    // B-018: read receipts are the sender's to see.
    Ok(match route::route(grant, &snapshot.directory) {
        Ok(routed) => (Next::Deliver(routed), settlements),
        Err(no) => (Next::Undeliverable(no), settlements),
    })
}

/// A DSN in the clear closes a leg only if it brings back the token of our own relay attempt; otherwise it is a hint.
async fn clear_dsn(
    gateway: &Arc<Gateway>,
    snapshot: &Arc<Snapshot>,
    accepted: &Arc<Accepted>,
    lease: Lease,
) -> Result<(), StoreError> {
    let body = accepted.body().clone();
    let report = gateway
        .compute(move || notify::parse_report(&body))
        .await
        .and_then(Result::ok);
    let token = report
        .as_ref()
        .and_then(|report| report.envelope_id.clone());
    let legs = match &token {
        Some(token) => answers::legs_by_token(&gateway.store, token).await?,
        None => Vec::new(),
    };
    let (id, tenant, recipients) = (
        accepted.envelope().id,
        accepted.tenant().to_owned(),
        recipients(accepted),
    );
    let (waits, post) = (
        gateway.config.limits.dispatched_wait,
        gateway.post(snapshot),
    );
    let notices = gateway
        .store
        .write("notify::clear_dsn", move |tx| {
            Box::pin(async move {
                if !jobs::done(tx, lease).await? {
                    return Ok(Vec::new());
                }
                let mut notices = Vec::new();
                if let Some(report) = report {
                    for leg in answers::meant(legs, &report) {
                        notices.extend(
                            answers::commit_report(tx, &leg, &report, id, waits, &post).await?,
                        );
                    }
                }
                let change = Change {
                    state: LegState::Settled,
                    reason: None,
                    detail: "a clear DSN",
                };
                for recipient in &recipients {
                    legs::set_state(tx, id, recipient, &[LegState::Accepted], change.clone());
                }
                if notices.is_empty() {
                    let detail = "a clear DSN without our token: a hint only".to_owned();
                    let event = Event::ReportIgnored {
                        reason: Reason::UnmatchedReport,
                        detail,
                    };
                    tx.record(Entry::message(&tenant, id, event));
                }
                Ok(notices)
            })
        })
        .await?;
    notices
        .into_iter()
        .for_each(|lease| gateway.spawn_job(lease));
    Ok(())
}
