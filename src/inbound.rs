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
use crate::open::{self, Kind, Opened, OuterKind, Signer};
use crate::queue::legs::{self, Change};
use crate::queue::{Lease, sql as jobs};
use crate::route::{self, Routed};
use crate::serve::{Gateway, Snapshot};
use crate::spool::{self, Accepted};
use crate::store::{Body, StoreError};
use crate::trust::verdict::{self, Committed, Next, OpenedFacts, Verdict};
use crate::trust::{self, Evidence, Grant, Judgment, Need};
use crate::world::Timestamp;

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
            not_counted(gateway, lease, &why.detail).await
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
    let (message, key) = (job.message, job.recipient_key.clone());
    let row = gateway.store.read("trust::grant_row", move |conn| {
        Box::pin(async move { trust::grant_row(conn, message, &key).await })
    });
    let Some(row) = row.await? else {
        return gateway.drop_job(lease).await;
    };
    let grant = Grant::restore(row);
    let snapshot = gateway.snapshot().await;
    let accepted = Arc::new(Accepted::restore(
        spool::load(&gateway.store, message).await?,
    ));
    let opened = match open(gateway, &snapshot, &accepted).await {
        Some(Outcome::Opened(opened)) => opened,
        Some(Outcome::Unopenable(why)) if why.fault != Fault::Later => {
            return unopened(
                gateway,
                lease,
                &grant,
                &pending,
                Some(why.reason),
                why.detail,
            )
            .await;
        }
        Some(Outcome::ClearDsn) => {
            let (reason, why) = (Some(Reason::Malformed), "it is a clear DSN now".to_owned());
            return unopened(gateway, lease, &grant, &pending, reason, why).await;
        }
        Some(Outcome::Unopenable(why)) => {
            return unopened(gateway, lease, &grant, &pending, None, why.detail).await;
        }
        None => {
            return unopened(gateway, lease, &grant, &pending, None, CRASHED.to_owned()).await;
        }
    };
    match route::route(grant, &snapshot.directory) {
        Ok(routed) => deliver_granted(gateway, routed, lease, Arc::new(*opened)).await,
        Err(no) => {
            let about = about(gateway, &opened);
            let report = about.and_then(|about| failed(gateway, &no.grant, &about, no.reason));
            let attempt = deliver::sql::Attempt::Never {
                reason: no.reason,
                detail: no.detail,
            };
            let hint = hint(&opened);
            commit_delivery(gateway, lease, pending.recipient, attempt, report, hint).await
        }
    }
}

/// What was granted does not open any more. `reason`: it never will (its key is gone); else it is tried
/// again for as long as the job lives. The sender, who heard `processed`, hears `failed` in the end
/// (B-010).
async fn unopened(
    gateway: &Arc<Gateway>,
    lease: Lease,
    grant: &Grant,
    pending: &deliver::sql::Pending,
    reason: Option<Reason>,
    why: String,
) -> Result<(), StoreError> {
    let detail = format!("it no longer opens: {why}");
    let (attempt, report) = match (reason, gateway.next_attempt(&lease)) {
        (None, Some(next)) => (deliver::sql::Attempt::Later { detail, next }, None),
        (reason, _) => {
            let reason = reason.unwrap_or(Reason::QueueExpired);
            let about = about_pending(gateway, pending);
            let report = about.and_then(|about| failed(gateway, grant, &about, reason));
            (deliver::sql::Attempt::Never { reason, detail }, report)
        }
    };
    let recipient = pending.recipient.clone();
    commit_delivery(gateway, lease, recipient, attempt, report, None).await
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
    let due = gateway.world.now().plus(limits::RETRY_BROKEN_OFF);
    let why = why.to_owned();
    gateway
        .store
        .write("inbound::again", move |tx| {
            Box::pin(async move { jobs::retry_at(tx, lease, due, &why).await })
        })
        .await
        .map(|_| ())
}

/// As [`again`], but no attempt is counted: the machine failed, not the message.
async fn not_counted(gateway: &Arc<Gateway>, lease: Lease, why: &str) -> Result<(), StoreError> {
    gateway.complain("inbound::open", why);
    let due = gateway.world.now().plus(limits::RETRY_BROKEN_OFF);
    gateway
        .store
        .write("inbound::not_counted", move |tx| {
            Box::pin(async move { jobs::retry_afresh(tx, lease, due).await })
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
                let job = lease.job().clone();
                if jobs::hold(tx, lease, Reason::Poison.code()).await? {
                    legs::hold(tx, &job, Reason::Poison, CRASHED).await?;
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
    let received_at = accepted.envelope().received_at;
    let Some(judgment) = judge(gateway, snapshot, &opened, received_at).await else {
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
        verdicts.push(undecided(gateway, received_at, recipient, &needs));
    }
    for grant in judgment.granted {
        verdicts.push(granted(gateway, snapshot, &opened, grant));
    }
    commit(gateway, opened, verdicts, lease).await
}

/// Judges, and fetches what is missing, outside any lock, until it is decided or must be put off
/// (decision 4). The message's own signature was verified when it was opened: nothing is fetched before.
async fn judge(
    gateway: &Arc<Gateway>,
    snapshot: &Arc<Snapshot>,
    opened: &Arc<Opened>,
    received_at: Timestamp,
) -> Option<Judgment> {
    let now = gateway.world.now();
    let judge = |evidence: Evidence| {
        let (snapshot, opened) = (Arc::clone(snapshot), Arc::clone(opened));
        gateway.compute(move || trust::judge(&opened, &snapshot.anchors, &evidence, now))
    };
    let needs_of = |judgment: &Judgment| {
        let needs = judgment.undecided.iter().flat_map(|(_, needs)| needs);
        needs.cloned().collect()
    };
    let waiting = gateway.waiting(received_at);
    gateway
        .evidence
        .settle(gateway.evidence.at_hand(), waiting, judge, needs_of)
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

/// Judged again after as long as half the time that it has waited, and when the wait is over: then what is
/// missing counts as unknown, and silence ends before the sender's own timer does.
fn undecided(
    gateway: &Gateway,
    received_at: Timestamp,
    recipient: Address,
    needs: &[Need],
) -> Verdict {
    let now = gateway.world.now();
    let pause = (now.since(received_at) / 2).clamp(limits::RETRY_FIRST, limits::RETRY_MAX);
    let end = received_at.plus(gateway.config.revocation_wait);
    Verdict::Undecided {
        recipient,
        needs: needs.iter().map(Need::to_string).collect(),
        again_at: now.plus(pause).min(end),
    }
}

// ---- route --------------------------------------------------------------------------------------

fn granted(gateway: &Gateway, snapshot: &Snapshot, opened: &Opened, grant: Grant) -> Verdict {
    let profile = profile_of(snapshot, grant.recipient());
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
    let hint = hint(&opened);
    let Some(body) = opened.body().reveal(routed.grant()).cloned() else {
        let reason = Reason::BadSignature;
        let about = about(gateway, &opened);
        let report = about.and_then(|about| failed(gateway, routed.grant(), &about, reason));
        let detail = "its content is not what was judged".to_owned();
        let attempt = deliver::sql::Attempt::Never { reason, detail };
        return commit_delivery(gateway, lease, recipient, attempt, report, hint).await;
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
    commit_delivery(gateway, lease, recipient, attempt, report, hint).await
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
    hint: Option<Vec<u8>>,
) -> Result<(), StoreError> {
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
        None => {
            let why = "its text was purged before it could be handed over";
            let reason = Reason::QueueExpired;
            return give_up(gateway, lease, pending.recipient, reason, why).await;
        }
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

/// DER of the signer's certificate: serves for our reports if the sender publishes none.
fn hint(opened: &Opened) -> Option<Vec<u8>> {
    let signer = opened.signers().first()?;
    Some(signer.certificate.der().to_vec())
}

/// What our reports say of it. None for a report: nobody is told of its fate (A-106, B-032).
fn about(gateway: &Gateway, opened: &Opened) -> Option<About> {
    let (sender, message_id) = opened.answers_to()?;
    Some(About {
        sender: sender.clone(),
        message_id: message_id.clone(),
        asked: opened.asked(),
        reporter: gateway.config.hostname.clone(),
    })
}

/// As [`about`], of a message that does not open any more: its rows remember.
fn about_pending(gateway: &Gateway, pending: &deliver::sql::Pending) -> Option<About> {
    if !pending.is_message {
        return None;
    }
    Some(About {
        sender: pending.sender.clone()?,
        message_id: pending.message_id.clone()?,
        asked: pending.asked,
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

/// Only if it was asked for (B-009).
fn dispatched(gateway: &Gateway, opened: &Opened, delivered: &Delivered) -> Owed {
    if !opened.asked() {
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
        let received_at = accepted.envelope().received_at;
        match judge_report(gateway, snapshot, &opened, recipient, received_at).await? {
            ReportVerdict::Undecided(needs) => {
                verdicts.push(undecided(gateway, received_at, recipient.clone(), &needs));
            }
            ReportVerdict::Refused(reason, detail) => {
                verdicts.push(Verdict::Refused {
                    recipient: recipient.clone(),
                    reason,
                    detail,
                });
            }
            ReportVerdict::Granted(grant) => {
                let (next, settled) = read_report(gateway, snapshot, &opened, grant).await?;
                let profile = profile_of(snapshot, recipient);
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

enum ReportVerdict {
    Granted(Grant),
    Refused(Reason, String),
    Undecided(Vec<Need>),
}

/// The signer must be trusted and bound to somebody that this recipient wrote to (decision 9, A-110). Other
/// signers neither help nor harm.
async fn judge_report(
    gateway: &Arc<Gateway>,
    snapshot: &Arc<Snapshot>,
    opened: &Arc<Opened>,
    recipient: &Address,
    received_at: Timestamp,
) -> Result<ReportVerdict, StoreError> {
    let now = gateway.world.now();
    let (named, since) = (named(opened), now.minus(limits::DUPLICATE_WINDOW));
    let correspondents = answers::correspondents(&gateway.store, recipient, named, since).await?;
    let correspondents = Arc::new(correspondents);
    let judge = |evidence: Evidence| {
        let (snapshot, opened) = (Arc::clone(snapshot), Arc::clone(opened));
        let (recipient, correspondents) = (recipient.clone(), Arc::clone(&correspondents));
        gateway.compute(move || {
            report_verdict(
                &snapshot,
                &opened,
                &recipient,
                &correspondents,
                &evidence,
                now,
            )
        })
    };
    let needs_of = |verdict: &ReportVerdict| match verdict {
        ReportVerdict::Undecided(needs) => needs.clone(),
        _ => Vec::new(),
    };
    let waiting = gateway.waiting(received_at);
    let judged = gateway
        .evidence
        .settle(gateway.evidence.at_hand(), waiting, judge, needs_of);
    let crashed = || {
        let detail = "judging the report crashed".to_owned();
        ReportVerdict::Refused(Reason::Malformed, detail)
    };
    Ok(judged.await.unwrap_or_else(crashed))
}

fn report_verdict(
    snapshot: &Snapshot,
    opened: &Opened,
    recipient: &Address,
    correspondents: &[Address],
    evidence: &Evidence,
    now: Timestamp,
) -> ReportVerdict {
    let profile = profile_of(snapshot, recipient);
    let (mut refused, mut judged, mut missing) = (None, Vec::new(), Vec::new());
    for signer in opened.signers() {
        // One of those that it names tells whether a signer is trusted: judging for each of a thousand would
        // be work for anyone to order.
        let bindings = trust::Bindings::of([&*signer.certificate], profile);
        let mut named = correspondents.iter().filter(|who| bindings.bind(who));
        let Some(speaks_for) = named.next().filter(|who| !judged.contains(who)) else {
            continue;
        };
        judged.push(speaks_for);
        let judgment = trust::judge_report(opened, speaks_for, &snapshot.anchors, evidence, now);
        let mut granted = judgment.granted.into_iter();
        if let Some(grant) = granted.find(|grant| grant.recipient() == recipient) {
            return ReportVerdict::Granted(grant);
        }
        let undecided = judgment.undecided.into_iter();
        missing.extend(
            undecided
                .filter(|(to, _)| to == recipient)
                .flat_map(|(_, needs)| needs),
        );
        let mut distrusts = judgment.refused.into_iter();
        refused = refused.or(distrusts.find(|(address, _)| address == recipient));
    }
    if !missing.is_empty() {
        return ReportVerdict::Undecided(missing);
    }
    let (reason, detail) = refused.map_or_else(unmatched, |(_, why)| (why.reason, why.detail));
    ReportVerdict::Refused(reason, detail)
}

fn unmatched() -> (Reason, String) {
    let detail = "nobody that this address wrote to is named by the report's signer".to_owned();
    (Reason::UnmatchedReport, detail)
}

/// Whom the signers' certificates name.
fn named(opened: &Opened) -> answers::NamedBy {
    let mut named = answers::NamedBy::default();
    for signer in opened.signers() {
        let mail = signer.certificate.san_mail().iter();
        named
            .addresses
            .extend(mail.filter_map(|text| Address::parse(text).ok()));
        // In the form that rows hold: what may stand behind an @.
        let dns = signer.certificate.san_dns().iter();
        let domains = dns.filter_map(|name| Address::parse(&format!("postmaster@{name}")).ok());
        named
            .domains
            .extend(domains.map(|address| address.domain().to_owned()));
    }
    named.addresses.truncate(limits::REPORT_NAMES_MAX);
    named.domains.sort_unstable();
    named.domains.dedup();
    named.domains.truncate(limits::REPORT_NAMES_MAX);
    named
}

fn profile_of(snapshot: &Snapshot, address: &Address) -> trust::Profile {
    snapshot
        .anchors
        .of(address)
        .map_or(trust::Profile::V1_3, |domain| domain.profile)
}

/// Whether the signer that was found trustworthy, and no other, is bound to this recipient of ours.
fn speaks_for(
    signers: &[Signer],
    trusted: [u8; 32],
    profile: trust::Profile,
    tracked: &Address,
) -> bool {
    let mut certificates = signers.iter().map(|signer| &signer.certificate);
    certificates
        .find(|certificate| certificate.fingerprint() == trusted)
        .is_some_and(|certificate| trust::binds(certificate, tracked, profile))
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
    let (signers, profile) = (opened.signers(), profile_of(snapshot, grant.recipient()));
    legs.retain(|tracked| speaks_for(signers, grant.signer(), profile, &tracked.leg.recipient));
    let legs = answers::meant(legs, &report);
    let receipt = legs
        .iter()
        .any(|leg| notify::is_receipt_of(&leg.leg, &report, opened.sender()));
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
                let mut matched = false;
                if let Some(report) = report {
                    for leg in answers::meant(legs, &report) {
                        matched = true;
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
                if !matched {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::Profile;
    use crate::trust::testing::Make;

    #[test]
    fn a_report_speaks_for_whom_its_trusted_signer_names_and_not_for_whom_a_second_one_claims() {
        let root = Make::ca("Root").by_itself();
        let trusted = Make::leaf(&[(2, "attacker.example")]).by(&root);
        let claimed = Make::leaf(&[(2, "victim.example")]).by_itself();
        let signers = [&claimed, &trusted].map(|made| Signer {
            certificate: Arc::clone(&made.certificate),
        });
        let granted = trusted.certificate.fingerprint();
        let says = |text: &str| {
            let tracked = Address::parse(text).expect("an address");
            speaks_for(&signers, granted, Profile::V1_3, &tracked)
        };
        assert!(says("a@attacker.example"));
        assert!(!says("dr.v@victim.example"));
        assert!(!says("a@sub.attacker.example"));
    }
}
