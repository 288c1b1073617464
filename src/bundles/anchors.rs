//! Single anchors (D-020, D-021): taken in, listed, removed, and made into the snapshot that `trust` reads.
//! In: DER that the operator gave, the store. Out: rows with warnings, [`Anchors`]. Decides nothing about
//! messages.

use std::collections::HashMap;
use std::sync::Arc;

use crate::journal::{Actor, Entry, Event};
use crate::limits::RSA_BITS_MIN;
use crate::store::{Store, StoreError, Tx, Wake};
use crate::trust::{
    AnchorSet, Anchors, Certificate, Direction, DomainTrust, Profile, RevocationMode,
    RevocationRules,
};
use crate::world::Timestamp;

use super::sql::{self, StoredAnchor, StoredDomain, StoredMember};

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    #[error("not an anchor: {0}\n  do: give the partner's CA certificate, PEM or DER")]
    Unfit(String),
    #[error("there is no anchor {0}\n  do: see `carepost anchor list`")]
    Unknown(String),
    #[error("{0} fits several anchors\n  do: give more digits of the fingerprint")]
    Ambiguous(String),
    #[error("there is no trust profile {0}\n  do: `carepost trust profile list` names them")]
    UnknownProfile(String),
    #[error("{0} is no direction\n  do: use in, out or both")]
    UnknownDirection(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A row for the operator.
#[derive(Clone, Debug, serde::Serialize)]
pub struct AnchorRow {
    pub fingerprint: String,
    pub label: String,
    pub profile: String,
    pub direction: String,
    pub subject: String,
    pub not_after: String,
    /// Warnings: expired, no CA, small key (D-021).
    pub warnings: Vec<String>,
}

/// Adds an anchor (DER). `direction`: in, out or both. RSA below 2048 bits is refused; the rest is warned
/// about. Idempotent; adding it again with another direction or label changes that.
///
/// # Errors
/// [`AnchorError`].
pub async fn add_anchor(
    store: &Store,
    actor: Actor,
    der: &[u8],
    label: Option<&str>,
    profile: &str,
    direction: &str,
) -> Result<AnchorRow, AnchorError> {
    let certificate = Certificate::parse(der).map_err(|why| AnchorError::Unfit(why.0))?;
    check_fit(&certificate)?;
    if !["in", "out", "both"].contains(&direction) {
        return Err(AnchorError::UnknownDirection(direction.to_owned()));
    }
    let now = store.world().now();
    let wanted = StoredAnchor {
        fingerprint: certificate.fingerprint_hex(),
        profile: profile.to_owned(),
        direction: direction.to_owned(),
        label: label.unwrap_or(certificate.subject_text()).to_owned(),
        der: der.to_vec(),
        added_at: now.0,
        added_by: actor.word().to_owned(),
    };
    let keep_label = label.is_none();
    let done = store
        .write("bundles.add_anchor", move |tx| {
            Box::pin(put(tx, actor, wanted, keep_label))
        })
        .await?;
    match done {
        Some(row) => Ok(shown(&row, now)),
        None => Err(AnchorError::UnknownProfile(profile.to_owned())),
    }
}

/// None if there is no such trust profile. `keep_label`: one that is there keeps its own.
async fn put(
    tx: &mut Tx,
    actor: Actor,
    mut row: StoredAnchor,
    keep_label: bool,
) -> Result<Option<StoredAnchor>, StoreError> {
    let Some(tenant) = sql::tenant(tx.conn().await?, &row.profile).await? else {
        return Ok(None);
    };
    if let Some(known) = sql::one(tx.conn().await?, &row.fingerprint, &row.profile).await? {
        if keep_label {
            row.label.clone_from(&known.label);
        }
        if row.direction == known.direction && row.label == known.label {
            return Ok(Some(known));
        }
    }
    sql::put(tx.conn().await?, &row).await?;
    let event = Event::AnchorAdded {
        fingerprint: row.fingerprint.clone(),
        label: row.label.clone(),
        profile: row.profile.clone(),
        direction: row.direction.clone(),
    };
    tx.record(Entry::operator(&tenant, actor, event));
    tx.wake(Wake::Snapshots);
    Ok(Some(row))
}

/// What no path could ever end in is refused at once (D-021).
fn check_fit(certificate: &Certificate) -> Result<(), AnchorError> {
    let weak = match certificate.public_key() {
        Ok(key) => key.is_rsa() && key.bits() < RSA_BITS_MIN,
        Err(_) => true,
    };
    if weak {
        let key = certificate.key_text();
        return Err(AnchorError::Unfit(format!(
            "its key is {key}; RSA 2048, P-256 or more is asked for (A-019)"
        )));
    }
    Ok(())
}

/// Removes by fingerprint (a unique beginning will do) or label.
///
/// # Errors
/// [`AnchorError`].
pub async fn remove_anchor(
    store: &Store,
    actor: Actor,
    which: &str,
) -> Result<AnchorRow, AnchorError> {
    let wanted = which.to_owned();
    let removed = store
        .write("bundles.remove_anchor", move |tx| {
            Box::pin(remove(tx, actor, wanted))
        })
        .await?;
    match removed.as_slice() {
        [] => Err(AnchorError::Unknown(which.to_owned())),
        [one] => Ok(shown(one, store.world().now())),
        _ => Err(AnchorError::Ambiguous(which.to_owned())),
    }
}

/// The rows that fit; removed only if it is one.
async fn remove(tx: &mut Tx, actor: Actor, which: String) -> Result<Vec<StoredAnchor>, StoreError> {
    let fitting = fitting(sql::all(tx.conn().await?).await?, &which);
    let [one] = fitting.as_slice() else {
        return Ok(fitting);
    };
    sql::delete(tx.conn().await?, &one.fingerprint, &one.profile).await?;
    let tenant = sql::tenant(tx.conn().await?, &one.profile)
        .await?
        .unwrap_or_else(|| "default".to_owned());
    let event = Event::AnchorRemoved {
        fingerprint: one.fingerprint.clone(),
        label: one.label.clone(),
        profile: one.profile.clone(),
    };
    tx.record(Entry::operator(&tenant, actor, event));
    tx.wake(Wake::Snapshots);
    Ok(fitting)
}

/// By label, or else by the beginning of the fingerprint, which may be written `AB:CD:...`.
fn fitting(rows: Vec<StoredAnchor>, which: &str) -> Vec<StoredAnchor> {
    let labelled: Vec<_> = rows
        .iter()
        .filter(|row| row.label == which)
        .cloned()
        .collect();
    if !labelled.is_empty() {
        return labelled;
    }
    let digits = which.replace([':', ' '], "").to_ascii_lowercase();
    if digits.is_empty() || !digits.bytes().all(|octet| octet.is_ascii_hexdigit()) {
        return Vec::new();
    }
    rows.into_iter()
        .filter(|row| row.fingerprint.starts_with(&digits))
        .collect()
}

/// All of them, by label.
///
/// # Errors
/// [`StoreError`].
pub async fn list_anchors(store: &Store) -> Result<Vec<AnchorRow>, StoreError> {
    let rows = store
        .read("bundles.list", |conn| Box::pin(sql::all(conn)))
        .await?;
    let now = store.world().now();
    Ok(rows.iter().map(|row| shown(row, now)).collect())
}

fn shown(row: &StoredAnchor, now: Timestamp) -> AnchorRow {
    let certificate = Certificate::parse(&row.der).ok();
    let (subject, not_after, warnings) = match &certificate {
        None => (
            String::new(),
            String::new(),
            vec!["it cannot be read any more".to_owned()],
        ),
        Some(certificate) => (
            certificate.subject_text().to_owned(),
            certificate.not_after().rfc3339(),
            warnings(certificate, now),
        ),
    };
    AnchorRow {
        fingerprint: row.fingerprint.clone(),
        label: row.label.clone(),
        profile: row.profile.clone(),
        direction: row.direction.clone(),
        subject,
        not_after,
        warnings,
    }
}

/// What will keep it from vouching for anyone, now or always (D-021).
fn warnings(certificate: &Certificate, now: Timestamp) -> Vec<String> {
    let mut found = certificate.defects().to_vec();
    if now > certificate.not_after() {
        found.push(format!("it expired {}", certificate.not_after().rfc3339()));
    }
    if now < certificate.not_before() {
        found.push(format!(
            "it is valid from {}",
            certificate.not_before().rfc3339()
        ));
    }
    if !certificate.is_ca() {
        found.push("it is no CA: it vouches for itself alone".to_owned());
    } else if certificate
        .key_usage()
        .is_some_and(|usage| !usage.key_cert_sign)
    {
        found.push("it is a CA whose keyUsage does not allow signing certificates".to_owned());
    }
    found
}

/// The snapshot: every domain with its inbound and outbound anchors (sets of equal profile and direction are
/// shared).
///
/// # Errors
/// [`StoreError`].
pub async fn load(store: &Store, asked: RevocationRules) -> Result<Anchors, StoreError> {
    let (anchors, members, domains) = store
        .read("bundles.load", |conn| {
            Box::pin(async move {
                let (anchors, members) = (sql::all(conn).await?, sql::members(conn).await?);
                Ok((anchors, members, sql::domains(conn).await?))
            })
        })
        .await?;
    // A bundle of 10,000 anchors is half a second of reading.
    let read = tokio::task::spawn_blocking(move || snapshot(&anchors, &members, domains, asked));
    read.await.map_err(|_| StoreError::Row {
        name: "bundles.load",
        what: "the anchors: reading them broke off".to_owned(),
    })?
}

/// (trust profile, direction) -> certificates.
type Sets = HashMap<(String, Direction), Arc<AnchorSet>>;

fn snapshot(
    anchors: &[StoredAnchor],
    members: &[StoredMember],
    domains: Vec<StoredDomain>,
    asked: RevocationRules,
) -> Result<Anchors, StoreError> {
    let sets = sets(anchors, members, asked.mode);
    let none = Arc::new(AnchorSet::default());
    let set = |profile: &str, direction| {
        let found = sets.get(&(profile.to_owned(), direction));
        Arc::clone(found.unwrap_or(&none))
    };
    let mut out = HashMap::new();
    for domain in domains {
        let profile = Profile::from_word(&domain.profile).ok_or_else(|| StoreError::Row {
            name: "bundles.load",
            what: format!("the profile of {}", domain.name),
        })?;
        let trust = DomainTrust {
            tenant: domain.tenant_id,
            profile,
            inbound: set(&domain.trust_in, Direction::In),
            outbound: set(&domain.trust_out, Direction::Out),
            revocation: asked,
        };
        out.insert(domain.name, trust);
    }
    Ok(Anchors::new(out))
}

/// One reason for which a certificate is an anchor.
struct Held<'a> {
    fingerprint: &'a str,
    profile: &'a str,
    direction: &'a str,
    der: &'a [u8],
    /// What is asked about revocation below it, unless as everywhere.
    mode: Option<RevocationMode>,
}

fn held<'a>(
    anchors: &'a [StoredAnchor],
    members: &'a [StoredMember],
) -> impl Iterator<Item = Held<'a>> {
    let single = anchors.iter().map(|row| Held {
        fingerprint: &row.fingerprint,
        profile: &row.profile,
        direction: &row.direction,
        der: &row.der,
        mode: None,
    });
    let bundled = members.iter().map(|row| Held {
        fingerprint: &row.fingerprint,
        profile: &row.profile,
        direction: &row.direction,
        der: &row.der,
        mode: row
            .revocation
            .as_deref()
            .and_then(RevocationMode::from_word),
    });
    single.chain(bundled)
}

/// The members of one set, with the mode below each: the strictest of all that hold it.
type Members = HashMap<[u8; 32], (Arc<Certificate>, RevocationMode)>;

/// Each certificate is parsed once (D-019: the union). One that cannot be read is left out: nothing is trusted
/// through it, and the list says so.
fn sets(anchors: &[StoredAnchor], members: &[StoredMember], mode: RevocationMode) -> Sets {
    let mut parsed: HashMap<&str, Option<Arc<Certificate>>> = HashMap::new();
    let mut found: HashMap<(String, Direction), Members> = HashMap::new();
    for one in held(anchors, members) {
        let certificate = parsed
            .entry(one.fingerprint)
            .or_insert_with(|| Certificate::parse(one.der).ok());
        let Some(certificate) = certificate else {
            tracing::error!(
                fingerprint = one.fingerprint,
                "an anchor cannot be read and is left out"
            );
            continue;
        };
        let directions: &[Direction] = match one.direction {
            "in" => &[Direction::In],
            "out" => &[Direction::Out],
            "both" => &[Direction::In, Direction::Out],
            _ => &[],
        };
        for direction in directions {
            let set = found
                .entry((one.profile.to_owned(), *direction))
                .or_default();
            let below = one.mode.unwrap_or(mode);
            let known = set
                .entry(certificate.fingerprint())
                .or_insert_with(|| (Arc::clone(certificate), below));
            known.1 = known.1.max(below);
        }
    }
    let set = |members: Members| {
        let all = members
            .values()
            .map(|(certificate, _)| Arc::clone(certificate));
        let mut set = AnchorSet::new(all);
        for (print, (_, below)) in members.into_iter().filter(|(_, (_, below))| *below != mode) {
            set.set_mode(print, below);
        }
        Arc::new(set)
    };
    found
        .into_iter()
        .map(|(key, members)| (key, set(members)))
        .collect()
}

/// One anchor to be given to somebody.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ExportedAnchor {
    pub fingerprint: String,
    pub subject: String,
    /// PEM.
    pub pem: String,
}

/// The anchors of a profile, single ones and those of bundles alike, by fingerprint; of all profiles if none
/// is named; one alone if its fingerprint's beginning is given.
///
/// # Errors
/// [`AnchorError`].
pub async fn export_anchors(
    store: &Store,
    profile: Option<String>,
    which: Option<String>,
) -> Result<Vec<ExportedAnchor>, AnchorError> {
    let (anchors, members) = store
        .read("bundles.export", |conn| {
            Box::pin(async move { Ok((sql::all(conn).await?, sql::members(conn).await?)) })
        })
        .await?;
    let digits = which
        .as_ref()
        .map(|which| which.replace([':', ' '], "").to_ascii_lowercase());
    let mut found = std::collections::BTreeMap::new();
    for one in held(&anchors, &members) {
        let of_profile = profile
            .as_deref()
            .is_none_or(|profile| profile == one.profile);
        let asked_for = digits
            .as_deref()
            .is_none_or(|digits| one.fingerprint.starts_with(digits));
        if of_profile
            && asked_for
            && let Ok(certificate) = Certificate::parse(one.der)
        {
            found.insert(one.fingerprint.to_owned(), certificate);
        }
    }
    if let (true, Some(which)) = (found.is_empty(), which) {
        return Err(AnchorError::Unknown(which));
    }
    let exported = found
        .into_iter()
        .map(|(fingerprint, certificate)| ExportedAnchor {
            fingerprint,
            subject: certificate.subject_text().to_owned(),
            pem: crate::crypto::issue::pem_certificate(certificate.der()),
        });
    Ok(exported.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Address;
    use crate::trust::testing::*;

    fn ann() -> Actor {
        Actor::Operator("ann".into())
    }

    async fn add(store: &Store, made: &Made, label: Option<&str>, direction: &str) -> AnchorRow {
        let der = made.certificate.der();
        add_anchor(store, ann(), der, label, "default", direction)
            .await
            .expect("is added")
    }

    #[tokio::test]
    async fn an_anchor_counts_in_its_direction_until_it_is_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open_store(dir.path()).await;
        let (both, inbound) = (Make::ca("Both").by_itself(), Make::ca("In").by_itself());
        add(&store, &both, Some("partner"), "both").await;
        let row = add(&store, &inbound, None, "in").await;
        assert_eq!((row.label.as_str(), row.warnings.len()), ("CN=In", 0));
        let address = Address::parse("a@d.example").expect("an address");
        let anchors = load(&store, RevocationRules::default())
            .await
            .expect("loads");
        let trust = anchors.of(&address).expect("ours");
        assert_eq!((trust.inbound.len(), trust.outbound.len()), (2, 1));
        assert!(trust.outbound.contains(&both.certificate));
        assert_eq!(trust.profile, Profile::V1_3);
        let before = store.epoch();
        let id = inbound.certificate.fingerprint_hex().to_uppercase();
        remove_anchor(&store, ann(), &id[..20])
            .await
            .expect("is removed");
        remove_anchor(&store, ann(), "partner")
            .await
            .expect("is removed");
        assert!(store.epoch() > before);
        let anchors = load(&store, RevocationRules::default())
            .await
            .expect("loads");
        assert!(
            anchors
                .of(&address)
                .is_some_and(|trust| trust.inbound.is_empty())
        );
        let events = events(&store).await;
        assert_eq!(
            events,
            [
                "anchor-added",
                "anchor-added",
                "anchor-removed",
                "anchor-removed"
            ]
        );
    }

    #[tokio::test]
    async fn adding_an_anchor_again_changes_nothing_but_what_is_asked() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open_store(dir.path()).await;
        let root = Make::ca("Root").by_itself();
        add(&store, &root, Some("partner"), "in").await;
        let row = add(&store, &root, None, "in").await;
        assert_eq!(row.label, "partner");
        assert_eq!(events(&store).await.len(), 1);
        let row = add(&store, &root, None, "both").await;
        assert_eq!(
            (row.label.as_str(), row.direction.as_str()),
            ("partner", "both")
        );
        assert_eq!(list_anchors(&store).await.expect("lists").len(), 1);
        assert_eq!(events(&store).await.len(), 2);
    }

    #[tokio::test]
    async fn what_cannot_be_an_anchor_or_is_not_one_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open_store(dir.path()).await;
        let root = Make::ca("Root").by_itself();
        let weak = include_bytes!("../trust/path/fixtures/rsa1024.der");
        let der = root.certificate.der();
        let try_add = async |der: &[u8], profile, direction| {
            add_anchor(&store, ann(), der, None, profile, direction)
                .await
                .expect_err("is refused")
        };
        assert!(matches!(
            try_add(b"no", "default", "in").await,
            AnchorError::Unfit(_)
        ));
        assert!(matches!(
            try_add(weak, "default", "in").await,
            AnchorError::Unfit(_)
        ));
        assert!(matches!(
            try_add(der, "else", "in").await,
            AnchorError::UnknownProfile(_)
        ));
        assert!(matches!(
            try_add(der, "default", "up").await,
            AnchorError::UnknownDirection(_)
        ));
        let expired = Make {
            not_after: NOW.minus(DAY),
            ..Make::leaf(&[(2, "d.example")])
        };
        assert_eq!(
            add(&store, &expired.by_itself(), Some("one"), "in")
                .await
                .warnings
                .len(),
            2
        );
        add(&store, &root, Some("one"), "in").await;
        for (which, several) in [("one", true), ("two", false), ("", false), ("zz", false)] {
            let error = remove_anchor(&store, ann(), which)
                .await
                .expect_err("is refused");
            assert_eq!(
                matches!(error, AnchorError::Ambiguous(_)),
                several,
                "{which}"
            );
        }
        assert_eq!(list_anchors(&store).await.expect("lists").len(), 2);
    }
}
