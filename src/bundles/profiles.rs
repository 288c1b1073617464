//! Trust profiles: named sets of bundles and single anchors that domains point to, per direction (D-017).
//! In: what the operator wants. Out: rows, journal entries. Anchors are in `anchors`, bundles in
//! `subscription`.

use serde::Serialize;

use crate::journal::{Actor, Entry, Event};
use crate::store::{Store, StoreError, Wake};

use super::sql;
use super::subscription::{BundleError, check_direction};

/// A trust profile for the operator.
#[derive(Clone, Debug, Serialize)]
pub struct ProfileRow {
    pub name: String,
    pub tenant: String,
    /// `name (direction)`.
    pub bundles: Vec<String>,
    /// Single anchors: `label (direction)`.
    pub anchors: Vec<String>,
    /// Domains that trust it: `domain (direction)`.
    pub domains: Vec<String>,
}

/// Makes a profile, or gives one that is there more bundles. `bundles`: name and direction.
///
/// # Errors
/// [`BundleError`].
pub async fn add_profile(
    store: &Store,
    actor: Actor,
    name: &str,
    bundles: Vec<(String, String)>,
) -> Result<ProfileRow, BundleError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(BundleError::BadName(name.to_owned()));
    }
    for (_, direction) in &bundles {
        check_direction(direction)?;
    }
    let profile = name.to_owned();
    let done = store.write("bundles.add_profile", move |tx| {
        Box::pin(async move {
            for (bundle, _) in &bundles {
                if sql::bundle(tx.conn().await?, bundle).await?.is_none() {
                    return Ok(Err(BundleError::Unknown(bundle.clone())));
                }
            }
            sql::insert_profile(tx.conn().await?, &profile).await?;
            for (bundle, direction) in &bundles {
                sql::attach(tx.conn().await?, &profile, bundle, direction).await?;
            }
            let listed = bundles.iter().map(|(name, way)| format!("{name} ({way})"));
            let event = Event::TrustProfileSet {
                profile,
                bundles: listed.collect(),
            };
            tx.record(Entry::operator("default", actor, event));
            tx.wake(Wake::Snapshots);
            Ok(Ok(()))
        })
    });
    done.await??;
    show_profile(store, name).await
}

/// Points a domain to a profile for what comes in, goes out, or both.
///
/// # Errors
/// [`BundleError`].
pub async fn assign_profile(
    store: &Store,
    actor: Actor,
    domain: &str,
    profile: &str,
    direction: &str,
) -> Result<ProfileRow, BundleError> {
    check_direction(direction)?;
    let (on, to, way) = (domain.to_owned(), profile.to_owned(), direction.to_owned());
    let done = store.write("bundles.assign_profile", move |tx| {
        Box::pin(async move {
            let Some(tenant) = sql::tenant(tx.conn().await?, &to).await? else {
                return Ok(Err(BundleError::UnknownProfile(to)));
            };
            if !sql::assign(tx.conn().await?, &on, &to, &way).await? {
                return Ok(Err(BundleError::UnknownDomain(on)));
            }
            let event = Event::TrustProfileAssigned {
                domain: on,
                profile: to,
                direction: way,
            };
            tx.record(Entry::operator(&tenant, actor, event));
            tx.wake(Wake::Snapshots);
            Ok(Ok(()))
        })
    });
    done.await??;
    show_profile(store, profile).await
}

/// One profile.
///
/// # Errors
/// [`BundleError`].
pub async fn show_profile(store: &Store, name: &str) -> Result<ProfileRow, BundleError> {
    let all = list_profiles(store).await?;
    let found = all.into_iter().find(|row| row.name == name);
    found.ok_or_else(|| BundleError::UnknownProfile(name.to_owned()))
}

/// All of them, by name.
///
/// # Errors
/// [`StoreError`].
pub async fn list_profiles(store: &Store) -> Result<Vec<ProfileRow>, StoreError> {
    let rows = store.read("bundles.list_profiles", |conn| {
        Box::pin(async move {
            let (attached, anchors) = (sql::attached(conn).await?, sql::all(conn).await?);
            let (domains, profiles) = (sql::domains(conn).await?, sql::profiles(conn).await?);
            let row = |(name, tenant): (String, String)| {
                let bundles = attached.iter().filter(|(profile, _, _)| *profile == name);
                let single = anchors.iter().filter(|anchor| anchor.profile == name);
                ProfileRow {
                    tenant,
                    bundles: bundles
                        .map(|(_, bundle, way)| format!("{bundle} ({way})"))
                        .collect(),
                    anchors: single
                        .map(|one| format!("{} ({})", one.label, one.direction))
                        .collect(),
                    domains: domains
                        .iter()
                        .filter_map(|domain| points(domain, &name))
                        .collect(),
                    name,
                }
            };
            Ok(profiles.into_iter().map(row).collect())
        })
    });
    rows.await
}

fn points(domain: &sql::StoredDomain, profile: &str) -> Option<String> {
    let way = match (domain.trust_in == profile, domain.trust_out == profile) {
        (true, true) => "both",
        (true, false) => "in",
        (false, true) => "out",
        (false, false) => return None,
    };
    Some(format!("{} ({way})", domain.name))
}
