//! Bundles that the gateway follows: added, refreshed, held back, approved, removed (D-009 to D-019, D-023).
//! In: what the operator wants, what a source gives. Out: rows, journal entries; anchors swapped in one
//! transaction, or left as they were. Any failure keeps the last good set.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::fetch::{Fetched, Fetcher, Order, Validators};
use crate::journal::{Actor, Entry, Event};
use crate::limits::{
    BUNDLE_FETCH_TIMEOUT, BUNDLE_OCTETS_MAX, BUNDLE_PRINTS_JOURNALLED, BUNDLE_RETRY,
    PARTNERS_NAMED_MAX,
};
use crate::store::{Store, StoreError, Tx, Wake};
use crate::trust::{Certificate, RevocationMode};
use crate::world::Timestamp;

use super::change::Change;
use super::read::{Content, ReadError, read};
use super::signer::check_status;
use super::sql::{self, StoredBundle};

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("there is no bundle {0}\n  do: see `carepost bundle list`")]
    Unknown(String),
    #[error(
        "there is a bundle {0} already\n  do: choose another name, or `carepost bundle rm` it first"
    )]
    Taken(String),
    #[error("{0} is no name for a bundle\n  do: use letters, digits, dots and dashes")]
    BadName(String),
    #[error(
        "the bundle cannot be used: {0}\n  do: compare it with what its publisher says; nothing was changed"
    )]
    Read(#[from] ReadError),
    #[error(
        "the bundle cannot be fetched: {0}\n  do: check the URL and [fetch] allow; the anchors stay as they were"
    )]
    Fetch(String),
    #[error("the bundle holds no anchor\n  do: ask its publisher; nothing was changed")]
    Empty,
    #[error(
        "the signer is no certificate: {0}\n  do: give the publisher's signing certificate or its CA, PEM or DER"
    )]
    Signer(String),
    #[error("{0} came from a file\n  do: `carepost bundle refresh {0} --file FILE`")]
    FromFile(String),
    #[error("nothing of {0} waits for approval\n  do: see `carepost bundle show {0}`")]
    NothingHeld(String),
    #[error(
        "that is not the change that waits: it is {0} now\n  do: look again with `carepost bundle diff`, then approve what it shows"
    )]
    OtherDiff(String),
    #[error("there is no trust profile {0}\n  do: `carepost trust profile list` names them")]
    UnknownProfile(String),
    #[error("{0} is no direction\n  do: use in, out or both")]
    UnknownDirection(String),
    #[error("{0} is no mode\n  do: use hard, soft or off")]
    UnknownMode(String),
    #[error(
        "{1} names no anchor of {0}, or several\n  do: give more digits of a fingerprint that `carepost bundle show {0}` lists"
    )]
    UnknownAnchor(String, String),
    #[error("there is no domain {0}\n  do: see `carepost domain list`")]
    UnknownDomain(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A bundle to follow.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub name: String,
    /// http(s) URL, or the name of the file that `octets` came from.
    pub source: Source,
    /// Certificates, PEM or DER: the publisher's signing certificate, or its CA.
    pub signer: Option<Vec<u8>>,
    pub profile: String,
    pub direction: String,
    pub interval: Duration,
    pub revocation: Option<String>,
    pub drop_percent: u32,
}

/// Where a bundle is from.
#[derive(Clone, Debug)]
pub enum Source {
    Url(String),
    File { name: String, octets: Vec<u8> },
}

/// What came of a refresh.
#[derive(Clone, Debug, Serialize)]
pub struct Refreshed {
    pub name: String,
    /// unchanged | changed | held
    pub outcome: &'static str,
    #[serde(flatten)]
    pub diff: Diff,
    pub warnings: Vec<String>,
}

/// A change as it is shown, and by what it is approved.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Diff {
    /// What `bundle approve --diff` takes.
    pub diff: String,
    pub added: Vec<Anchor>,
    pub removed: Vec<Anchor>,
    pub kept: usize,
    /// Why it waits; None: it is, or would be, applied by itself.
    pub held: Option<String>,
    /// Domains of partners whose mail rested on an anchor that goes, and on no other that stays.
    pub cut_off: Vec<String>,
}

/// One anchor of a bundle for the operator.
#[derive(Clone, Debug, Serialize)]
pub struct Anchor {
    pub fingerprint: String,
    pub subject: String,
}

/// A bundle for the operator.
#[derive(Clone, Debug, Serialize)]
pub struct BundleRow {
    pub name: String,
    pub source: String,
    /// Fingerprint of the pinned signer.
    pub signer: Option<String>,
    pub revocation: Option<String>,
    pub anchors: usize,
    pub excluded: Vec<String>,
    pub profiles: Vec<String>,
    pub interval_s: i64,
    pub drop_percent: i64,
    pub digest: Option<String>,
    pub metadata: Option<serde_json::Value>,
    /// When the source last answered as it should.
    pub heard: String,
    pub changed: String,
    pub next: Option<String>,
    /// What is wrong with it now.
    pub alarm: Option<String>,
    /// What waits for `bundle approve`.
    pub held: Option<String>,
}

/// Reads octets off the reactor.
async fn read_off(
    octets: Vec<u8>,
    signer: Option<Arc<Certificate>>,
    now: Timestamp,
) -> Result<Content, BundleError> {
    let reading = tokio::task::spawn_blocking(move || read(&octets, signer.as_ref(), now));
    match reading.await {
        Ok(read) => Ok(read?),
        Err(_) => Err(BundleError::Fetch("reading it broke off".to_owned())),
    }
}

/// D-003: a signer below the pinned CA may have been revoked. `mode`: the bundle's own, else hard.
async fn check_signer(
    fetcher: &Fetcher,
    content: &Content,
    pinned: Option<&Arc<Certificate>>,
    mode: Option<&str>,
    now: Timestamp,
) -> Result<(), BundleError> {
    let (Some(signed), Some(pinned)) = (&content.signed, pinned) else {
        return Ok(());
    };
    let mode = mode
        .and_then(RevocationMode::from_word)
        .unwrap_or(RevocationMode::Hard);
    check_status(fetcher, signed, pinned, mode, now).await
}

/// Adds a bundle with the anchors that it holds now.
///
/// # Errors
/// [`BundleError`]; nothing is added then.
pub async fn add(
    store: &Store,
    fetcher: &Fetcher,
    actor: Actor,
    wanted: Wanted,
) -> Result<Refreshed, BundleError> {
    check(&wanted)?;
    let now = store.world().now();
    let signer = wanted.signer.as_deref().map(pinned).transpose()?;
    let (source, octets, validators) = match wanted.source {
        Source::File {
            ref name,
            ref octets,
        } => (
            format!("file:{name}"),
            octets.clone(),
            Validators::default(),
        ),
        Source::Url(ref url) => match get(fetcher, url, Validators::default()).await? {
            Fetched::New { octets, validators } => (url.clone(), octets, validators),
            Fetched::Same => return Err(BundleError::Empty),
        },
    };
    let content = read_off(octets, signer.clone(), now).await?;
    let mode = wanted.revocation.as_deref();
    check_signer(fetcher, &content, signer.as_ref(), mode, now).await?;
    if content.anchors.is_empty() {
        return Err(BundleError::Empty);
    }
    let interval = match wanted.source {
        Source::Url(_) => i64::try_from(wanted.interval.as_secs()).unwrap_or(i64::MAX),
        Source::File { .. } => 0,
    };
    let row = StoredBundle {
        name: wanted.name.clone(),
        tenant_id: "default".to_owned(),
        source,
        signer: signer.map(|signer| signer.der().to_vec()),
        revocation: wanted.revocation.clone(),
        interval_s: interval,
        drop_percent: i64::from(wanted.drop_percent),
        digest: None,
        metadata: None,
        etag: None,
        last_modified: None,
        heard_at: now.0,
        changed_at: now.0,
        due_at: next_due(store, interval, 0),
        failures: 0,
        last_error: None,
        held_at: None,
        held_why: None,
        created_by: actor.word().to_owned(),
    };
    let warnings = warnings(&row.source, &content);
    let done = store.write("bundles.add", move |tx| {
        Box::pin(async move { add_in(tx, actor, row, wanted, content, validators).await })
    });
    let (name, diff) = done.await??;
    Ok(Refreshed {
        name,
        outcome: "changed",
        diff,
        warnings,
    })
}

async fn add_in(
    tx: &mut Tx,
    actor: Actor,
    row: StoredBundle,
    wanted: Wanted,
    content: Content,
    validators: Validators,
) -> Result<Result<(String, Diff), BundleError>, StoreError> {
    if sql::tenant(tx.conn().await?, &wanted.profile)
        .await?
        .is_none()
    {
        return Ok(Err(BundleError::UnknownProfile(wanted.profile)));
    }
    let now = tx.now().0;
    if !sql::insert_bundle(tx.conn().await?, &row, now).await? {
        return Ok(Err(BundleError::Taken(row.name)));
    }
    sql::attach(
        tx.conn().await?,
        &wanted.profile,
        &row.name,
        &wanted.direction,
    )
    .await?;
    let event = Event::BundleAdded {
        bundle: row.name.clone(),
        source: row.source.clone(),
        signer: row
            .signer
            .as_deref()
            .map(|der| crate::crypto::hex(&crate::crypto::sha256(der))),
        profile: wanted.profile,
        direction: wanted.direction,
    };
    tx.record(Entry::operator(&row.tenant_id, actor.clone(), event));
    sql::note_heard(tx.conn().await?, &row.name, &validators, now, row.due_at).await?;
    let diff = apply(tx, actor, &row, &content, None).await?;
    Ok(Ok((row.name, diff)))
}

fn check(wanted: &Wanted) -> Result<(), BundleError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let name = &wanted.name;
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(BundleError::BadName(name.clone()));
    }
    check_direction(&wanted.direction)?;
    match &wanted.revocation {
        Some(word) if RevocationMode::from_word(word).is_none() => {
            Err(BundleError::UnknownMode(word.clone()))
        }
        _ => Ok(()),
    }
}

pub(super) fn check_direction(word: &str) -> Result<(), BundleError> {
    if ["in", "out", "both"].contains(&word) {
        return Ok(());
    }
    Err(BundleError::UnknownDirection(word.to_owned()))
}

fn pinned(octets: &[u8]) -> Result<Arc<Certificate>, BundleError> {
    let found = crate::crypto::issue::read_certificates(octets).map_err(BundleError::Signer)?;
    let first = found
        .first()
        .ok_or_else(|| BundleError::Signer("the file is empty".into()))?;
    Certificate::parse(first).map_err(|error| BundleError::Signer(error.to_string()))
}

async fn get(fetcher: &Fetcher, url: &str, known: Validators) -> Result<Fetched, BundleError> {
    let order = Order {
        known,
        ..Order::get(url, BUNDLE_OCTETS_MAX, BUNDLE_FETCH_TIMEOUT)
    };
    let fetched = fetcher.fetch(&order).await;
    fetched.map_err(|error| BundleError::Fetch(error.to_string()))
}

/// When a bundle is refreshed next: after its interval with up to a tenth more, so that gateways do not all
/// come at once (D-011); after failures sooner.
fn next_due(store: &Store, interval_s: i64, failures: u32) -> Option<i64> {
    let interval = Duration::from_secs(u64::try_from(interval_s).ok().filter(|span| *span > 0)?);
    let wait = match failures {
        0 => {
            let [high, low] = store.world().random::<2>();
            let part = u32::from(u16::from_be_bytes([high, low]));
            interval.saturating_add((interval / 10).saturating_mul(part) / u32::from(u16::MAX))
        }
        failures => BUNDLE_RETRY
            .saturating_mul(
                1u32.checked_shl(failures.saturating_sub(1))
                    .unwrap_or(u32::MAX),
            )
            .min(interval),
    };
    Some(store.world().now().plus(wait).0)
}

/// Fetches a bundle anew, or takes it from a file, and applies what may be applied.
///
/// # Errors
/// [`BundleError`]; the anchors stay as they were, and the failure is noted.
pub async fn refresh(
    store: &Store,
    fetcher: &Fetcher,
    actor: Actor,
    name: &str,
    file: Option<Vec<u8>>,
) -> Result<Refreshed, BundleError> {
    let row = find(store, name).await?;
    match refresh_row(store, fetcher, actor, &row, file).await {
        Ok(done) => Ok(done),
        Err(BundleError::Store(error)) => Err(BundleError::Store(error)),
        Err(error) => {
            note_failure(store, &row, &error).await?;
            Err(error)
        }
    }
}

async fn find(store: &Store, name: &str) -> Result<StoredBundle, BundleError> {
    let wanted = name.to_owned();
    let found = store.read("bundles.find", move |conn| {
        Box::pin(async move { sql::bundle(conn, &wanted).await })
    });
    let found = found.await?;
    found.ok_or_else(|| BundleError::Unknown(name.to_owned()))
}

/// What the source has now; None: what is at hand.
async fn hear(
    fetcher: &Fetcher,
    row: &StoredBundle,
    file: Option<Vec<u8>>,
) -> Result<Option<(Vec<u8>, Validators)>, BundleError> {
    if let Some(octets) = file {
        return Ok(Some((octets, Validators::default())));
    }
    if row.source.starts_with("file:") {
        return Err(BundleError::FromFile(row.name.clone()));
    }
    let known = Validators {
        etag: row.etag.clone(),
        last_modified: row.last_modified.clone(),
    };
    Ok(match get(fetcher, &row.source, known).await? {
        Fetched::Same => None,
        Fetched::New { octets, validators } => Some((octets, validators)),
    })
}

/// The pinned signer comes from its row: it is never asked whether there is one (D-004).
fn signer_of(row: &StoredBundle) -> Result<Option<Arc<Certificate>>, BundleError> {
    let signer = row.signer.as_deref().map(Certificate::parse).transpose();
    signer.map_err(|error| BundleError::Signer(error.to_string()))
}

async fn refresh_row(
    store: &Store,
    fetcher: &Fetcher,
    actor: Actor,
    row: &StoredBundle,
    file: Option<Vec<u8>>,
) -> Result<Refreshed, BundleError> {
    let heard = hear(fetcher, row, file).await?;
    let mut content = None;
    let mut validators = Validators {
        etag: row.etag.clone(),
        last_modified: row.last_modified.clone(),
    };
    if let Some((octets, said)) = heard {
        let (signer, now) = (signer_of(row)?, store.world().now());
        let read = read_off(octets.clone(), signer.clone(), now).await?;
        check_signer(
            fetcher,
            &read,
            signer.as_ref(),
            row.revocation.as_deref(),
            now,
        )
        .await?;
        validators = said;
        content = Some((octets, read));
    }
    let due = next_due(store, row.interval_s, 0);
    let (row, name) = (row.clone(), row.name.clone());
    let warnings = content
        .as_ref()
        .map_or_else(Vec::new, |(_, read)| warnings(&row.source, read));
    let done = store.write("bundles.refresh", move |tx| {
        Box::pin(async move {
            let now = tx.now().0;
            if !is_same(tx, &row).await? {
                return Ok(("unchanged", Diff::default()));
            }
            sql::note_heard(tx.conn().await?, &row.name, &validators, now, due).await?;
            match content {
                None => Ok(("unchanged", Diff::default())),
                Some((octets, content)) => take(tx, actor, &row, &octets, &content).await,
            }
        })
    });
    let (outcome, diff) = done.await?;
    Ok(Refreshed {
        name,
        outcome,
        diff,
        warnings,
    })
}

/// Whether the bundle is still the one that was asked for: an operator may have removed it meanwhile, and added
/// another of that name, with another source or signer.
async fn is_same(tx: &mut Tx, row: &StoredBundle) -> Result<bool, StoreError> {
    let found = sql::bundle(tx.conn().await?, &row.name).await?;
    Ok(found.is_some_and(|found| found.source == row.source && found.signer == row.signer))
}

/// What its reader found odd; and D-007: it says itself that it is published elsewhere.
fn warnings(source: &str, content: &Content) -> Vec<String> {
    let mut warnings = content.warnings.clone();
    let points = content
        .metadata
        .iter()
        .flat_map(|metadata| &metadata.distribution_points);
    let points: Vec<&str> = points.map(String::as_str).collect();
    if !points.is_empty() && !source.starts_with("file:") && !points.contains(&source) {
        let points = points.join(", ");
        warnings.push(format!(
            "its metadata says that it is published at {points}"
        ));
    }
    warnings
}

async fn note_failure(
    store: &Store,
    row: &StoredBundle,
    error: &BundleError,
) -> Result<(), StoreError> {
    let text = error.to_string();
    let why = text.lines().next().unwrap_or_default().to_owned();
    tracing::error!(bundle = row.name, %why, "a trust bundle could not be refreshed; its last good anchors stay");
    let failures = u32::try_from(row.failures)
        .unwrap_or(u32::MAX)
        .saturating_add(1);
    let due = next_due(store, row.interval_s, failures);
    let row = row.clone();
    store
        .write("bundles.note_failure", move |tx| {
            Box::pin(async move {
                if !is_same(tx, &row).await? {
                    return Ok(());
                }
                sql::note_failure(tx.conn().await?, &row.name, &why, due).await?;
                // Once for each cause: a source that is down for a week is one line.
                if row.last_error.as_deref() != Some(&why) {
                    let event = Event::BundleFailed {
                        bundle: row.name.clone(),
                        detail: why,
                    };
                    tx.record(Entry::operator(&row.tenant_id, Actor::Carepost, event));
                }
                Ok(())
            })
        })
        .await
}

/// New content: applied, or held back.
async fn take(
    tx: &mut Tx,
    actor: Actor,
    row: &StoredBundle,
    octets: &[u8],
    content: &Content,
) -> Result<(&'static str, Diff), StoreError> {
    let before = sql::anchors_of(tx.conn().await?, &row.name).await?;
    let before: BTreeMap<String, Vec<u8>> = before.into_iter().collect();
    let change = Change::between(before.keys(), content.anchors.keys());
    let percent = u32::try_from(row.drop_percent).unwrap_or(0);
    let Some(why) = change.doubt(percent) else {
        let outcome = if change.is_empty() {
            "unchanged"
        } else {
            "changed"
        };
        return Ok((outcome, apply(tx, actor, row, content, None).await?));
    };
    let mut diff = shown(tx.conn().await?, &row.name, &change, &before, content).await?;
    diff.held = Some(why.clone());
    let now = tx.now().0;
    let waiting = sql::held(tx.conn().await?, &row.name).await?;
    if waiting.as_deref() != Some(octets) {
        sql::hold(tx.conn().await?, &row.name, octets, &why, now).await?;
        let event = Event::BundleHeld {
            bundle: row.name.clone(),
            diff: diff.diff.clone(),
            detail: why,
        };
        tx.record(Entry::operator(&row.tenant_id, actor, event));
    }
    Ok(("held", diff))
}

/// Swaps the anchors: in the transaction that runs, so nobody ever sees half of it (D-013).
async fn apply(
    tx: &mut Tx,
    actor: Actor,
    row: &StoredBundle,
    content: &Content,
    reason: Option<String>,
) -> Result<Diff, StoreError> {
    let before = sql::anchors_of(tx.conn().await?, &row.name).await?;
    let before: BTreeMap<String, Vec<u8>> = before.into_iter().collect();
    let change = Change::between(before.keys(), content.anchors.keys());
    let diff = shown(tx.conn().await?, &row.name, &change, &before, content).await?;
    for print in &change.removed {
        sql::take_from(tx.conn().await?, &row.name, print).await?;
    }
    for print in &change.added {
        if let Some(certificate) = content.anchors.get(print) {
            sql::add_to(tx.conn().await?, &row.name, print, certificate.der()).await?;
        }
    }
    let metadata = content.metadata.as_ref();
    let applied = sql::Applied {
        bundle: &row.name,
        digest: &content.digest,
        metadata: metadata.and_then(|metadata| serde_json::to_string(metadata).ok()),
        changed: !change.is_empty(),
    };
    let now = tx.now().0;
    sql::note_applied(tx.conn().await?, applied, now).await?;
    if !change.is_empty() {
        let few = |prints: &[String]| {
            prints
                .iter()
                .take(BUNDLE_PRINTS_JOURNALLED)
                .cloned()
                .collect()
        };
        let event = Event::BundleChanged {
            bundle: row.name.clone(),
            digest: content.digest.clone(),
            diff: diff.diff.clone(),
            anchors: content.anchors.len(),
            added: few(&change.added),
            removed: few(&change.removed),
            reason,
        };
        tx.record(Entry::operator(&row.tenant_id, actor, event));
        tx.wake(Wake::Snapshots);
    }
    Ok(diff)
}

async fn shown(
    conn: &mut sql::Conn,
    name: &str,
    change: &Change,
    before: &BTreeMap<String, Vec<u8>>,
    content: &Content,
) -> Result<Diff, StoreError> {
    let subject = |der: &[u8]| {
        let read = Certificate::parse(der);
        read.map_or_else(|_| "?".to_owned(), |read| read.subject_text().to_owned())
    };
    let added = change.added.iter().map(|print| Anchor {
        fingerprint: print.clone(),
        subject: content
            .anchors
            .get(print)
            .map_or_else(String::new, |one| one.subject_text().to_owned()),
    });
    let removed = change.removed.iter().map(|print| Anchor {
        fingerprint: print.clone(),
        subject: before
            .get(print)
            .map_or_else(String::new, |der| subject(der)),
    });
    Ok(Diff {
        diff: change.id(name),
        added: added.collect(),
        removed: removed.collect(),
        kept: change.kept,
        held: None,
        cut_off: cut_off(conn, name, change).await?,
    })
}

/// Domains of partners whose mail rested on what goes and that no other bundle or single anchor keeps.
async fn cut_off(
    conn: &mut sql::Conn,
    name: &str,
    change: &Change,
) -> Result<Vec<String>, StoreError> {
    if change.removed.is_empty() {
        return Ok(Vec::new());
    }
    let mut kept = std::collections::HashSet::<String>::new();
    for other in sql::bundles(conn)
        .await?
        .iter()
        .filter(|other| other.name != name)
    {
        kept.extend(
            sql::anchors_of(conn, &other.name)
                .await?
                .into_iter()
                .map(|(print, _)| print),
        );
    }
    kept.extend(sql::all(conn).await?.into_iter().map(|row| row.fingerprint));
    let mut domains = std::collections::BTreeSet::new();
    for print in change.removed.iter().filter(|print| !kept.contains(*print)) {
        for sender in sql::vouched_for(conn, print, PARTNERS_NAMED_MAX).await? {
            domains.extend(sender.rsplit_once('@').map(|(_, domain)| domain.to_owned()));
        }
    }
    Ok(domains.into_iter().collect())
}

/// What would change: what waits for approval; else what the source, or a file, has now. Applies nothing.
///
/// # Errors
/// [`BundleError`].
pub async fn diff(
    store: &Store,
    fetcher: &Fetcher,
    name: &str,
    file: Option<Vec<u8>>,
) -> Result<Diff, BundleError> {
    let row = find(store, name).await?;
    let octets = match (file, held(store, name).await?) {
        (Some(octets), _) | (None, Some(octets)) => Some(octets),
        (None, None) => hear(fetcher, &row, None).await?.map(|(octets, _)| octets),
    };
    let Some(octets) = octets else {
        return Ok(Diff::default());
    };
    let content = read_off(octets, signer_of(&row)?, store.world().now()).await?;
    let percent = u32::try_from(row.drop_percent).unwrap_or(0);
    let diff = store.read("bundles.diff", move |conn| {
        Box::pin(async move {
            let before = sql::anchors_of(conn, &row.name).await?;
            let before: BTreeMap<String, Vec<u8>> = before.into_iter().collect();
            let change = Change::between(before.keys(), content.anchors.keys());
            let mut diff = shown(conn, &row.name, &change, &before, &content).await?;
            diff.held = change.doubt(percent);
            Ok(diff)
        })
    });
    Ok(diff.await?)
}

async fn held(store: &Store, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let name = name.to_owned();
    let held = store.read("bundles.held", move |conn| {
        Box::pin(async move { sql::held(conn, &name).await })
    });
    held.await
}

/// Applies what waits, if it is still what was shown.
///
/// # Errors
/// [`BundleError`].
pub async fn approve(
    store: &Store,
    actor: Actor,
    name: &str,
    shown_id: &str,
    reason: &str,
) -> Result<Refreshed, BundleError> {
    let row = find(store, name).await?;
    let octets = held(store, name).await?;
    let octets = octets.ok_or_else(|| BundleError::NothingHeld(name.to_owned()))?;
    // Read again: a signature that was good may be by one whose certificate is over.
    let content = read_off(octets, signer_of(&row)?, store.world().now()).await?;
    let (wanted, reason) = (shown_id.to_ascii_lowercase(), reason.to_owned());
    let warnings = content.warnings.clone();
    let done = store.write("bundles.approve", move |tx| {
        Box::pin(async move {
            let before = sql::anchors_of(tx.conn().await?, &row.name).await?;
            let prints: Vec<String> = before.into_iter().map(|(print, _)| print).collect();
            let id = Change::between(&prints, content.anchors.keys()).id(&row.name);
            if id != wanted {
                return Ok(Err(BundleError::OtherDiff(id)));
            }
            Ok(Ok(apply(tx, actor, &row, &content, Some(reason)).await?))
        })
    });
    Ok(Refreshed {
        name: name.to_owned(),
        outcome: "changed",
        diff: done.await??,
        warnings,
    })
}

/// Trusts a bundle no longer, at once.
///
/// # Errors
/// [`BundleError`].
pub async fn remove(store: &Store, actor: Actor, name: &str) -> Result<BundleRow, BundleError> {
    let shown = show(store, name).await?;
    let (row, anchors) = (find(store, name).await?, shown.anchors);
    let done = store.write("bundles.remove", move |tx| {
        Box::pin(async move {
            sql::delete_bundle(tx.conn().await?, &row.name).await?;
            let event = Event::BundleRemoved {
                bundle: row.name,
                anchors,
            };
            tx.record(Entry::operator(&row.tenant_id, actor, event));
            tx.wake(Wake::Snapshots);
            Ok(())
        })
    });
    done.await?;
    Ok(shown)
}

/// Does not trust one anchor of a bundle, or does again (`reason` None): D-018, an audited override.
///
/// # Errors
/// [`BundleError`].
pub async fn exclude(
    store: &Store,
    actor: Actor,
    name: &str,
    which: &str,
    reason: Option<String>,
) -> Result<Anchor, BundleError> {
    let row = find(store, name).await?;
    let digits = which.replace([':', ' '], "").to_ascii_lowercase();
    let (bundle, given) = (row.name.clone(), which.to_owned());
    let done = store.write("bundles.exclude", move |tx| {
        Box::pin(async move {
            let all = sql::anchors_of(tx.conn().await?, &row.name).await?;
            let fits =
                |(print, _): &&(String, Vec<u8>)| !digits.is_empty() && print.starts_with(&digits);
            let fitting: Vec<_> = all.iter().filter(fits).collect();
            let [(print, der)] = fitting.as_slice() else {
                return Ok(Err(BundleError::UnknownAnchor(bundle, given)));
            };
            let (now, who) = (tx.now().0, actor.word().to_owned());
            sql::exclude(
                tx.conn().await?,
                &row.name,
                print,
                reason.as_deref(),
                &who,
                now,
            )
            .await?;
            let event = Event::BundleExclusion {
                bundle: row.name.clone(),
                fingerprint: print.clone(),
                reason,
            };
            tx.record(Entry::operator(&row.tenant_id, actor, event));
            tx.wake(Wake::Snapshots);
            let subject = Certificate::parse(der).map(|one| one.subject_text().to_owned());
            Ok(Ok(Anchor {
                fingerprint: print.clone(),
                subject: subject.unwrap_or_default(),
            }))
        })
    });
    done.await?
}

/// One bundle.
///
/// # Errors
/// [`BundleError`].
pub async fn show(store: &Store, name: &str) -> Result<BundleRow, BundleError> {
    let all = list(store).await?;
    let found = all.into_iter().find(|row| row.name == name);
    found.ok_or_else(|| BundleError::Unknown(name.to_owned()))
}

/// All of them, by name.
///
/// # Errors
/// [`StoreError`].
pub async fn list(store: &Store) -> Result<Vec<BundleRow>, StoreError> {
    let now = store.world().now();
    let rows = store.read("bundles.list_bundles", move |conn| {
        Box::pin(async move {
            let attached = sql::attached(conn).await?;
            let mut rows = Vec::new();
            for row in sql::bundles(conn).await? {
                let anchors = sql::anchors_of(conn, &row.name).await?.len();
                let excluded = sql::exclusions(conn, &row.name).await?;
                let profiles = attached.iter().filter(|(_, bundle, _)| *bundle == row.name);
                let profiles: Vec<String> = profiles
                    .map(|(profile, _, way)| format!("{profile} ({way})"))
                    .collect();
                rows.push(row_of(row, anchors, excluded, profiles, now));
            }
            Ok(rows)
        })
    });
    rows.await
}

fn row_of(
    row: StoredBundle,
    anchors: usize,
    excluded: Vec<(String, String)>,
    profiles: Vec<String>,
    now: Timestamp,
) -> BundleRow {
    let heard = Timestamp(row.heard_at);
    let hours = now.since(heard).as_secs() / 3_600;
    let alarm = row.last_error.map(|why| {
        format!(
            "{why} ({} times; its anchors are {hours} h old)",
            row.failures
        )
    });
    let held = row.held_why.map(|why| {
        let since = row.held_at.map(|at| Timestamp(at).rfc3339());
        format!("{why} (since {})", since.unwrap_or_default())
    });
    BundleRow {
        name: row.name,
        source: row.source,
        signer: row
            .signer
            .map(|der| crate::crypto::hex(&crate::crypto::sha256(&der))),
        revocation: row.revocation,
        anchors,
        excluded: excluded
            .into_iter()
            .map(|(print, why)| format!("{print}: {why}"))
            .collect(),
        profiles,
        interval_s: row.interval_s,
        drop_percent: row.drop_percent,
        digest: row.digest,
        metadata: row
            .metadata
            .and_then(|text| serde_json::from_str(&text).ok()),
        heard: heard.rfc3339(),
        changed: Timestamp(row.changed_at).rfc3339(),
        next: row.due_at.map(|due| Timestamp(due).rfc3339()),
        alarm,
        held,
    }
}

/// Refreshes what is due, one after the other.
///
/// # Errors
/// [`StoreError`]; what is wrong with a bundle is noted in its row.
pub async fn refresh_due(store: &Store, fetcher: &Fetcher, most: usize) -> Result<(), StoreError> {
    let (now, most) = (
        store.world().now().0,
        i64::try_from(most).unwrap_or(i64::MAX),
    );
    let due = store.read("bundles.due", move |conn| {
        Box::pin(async move { sql::due(conn, now, most).await })
    });
    for name in due.await? {
        // Any other failure is noted in the bundle's row.
        if let Err(BundleError::Store(error)) =
            refresh(store, fetcher, Actor::Carepost, &name, None).await
        {
            return Err(error);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
