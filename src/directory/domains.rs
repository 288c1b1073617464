//! Domains that are ours.

use crate::journal::{Actor, Entry, Event};
use crate::store::{Store, StoreError, Wake};
use crate::trust::Profile;

use super::sql;

/// The tenant of a single clinic.
pub(super) const DEFAULT_TENANT: &str = "default";

/// A row for the operator.
#[derive(Clone, Debug, serde::Serialize)]
pub struct DomainRow {
    pub name: String,
    pub tenant: String,
    pub profile: String,
    pub unknown_recipient: String,
    pub trust_in: String,
    pub trust_out: String,
    pub addresses: i64,
}

/// Adds a domain (name already checked by [`crate::envelope::parse_domain`]). False if it was there.
///
/// # Errors
/// [`StoreError`].
pub async fn add_domain(
    store: &Store,
    actor: Actor,
    name: &str,
    profile: Profile,
) -> Result<bool, StoreError> {
    let domain = name.to_owned();
    store
        .write("domain-add", move |tx| {
            Box::pin(async move {
                let now = tx.now();
                let added = sqlx::query(sql::DOMAIN_ADD)
                    .bind(&domain)
                    .bind(DEFAULT_TENANT)
                    .bind(profile.word())
                    .bind(now.0)
                    .execute(tx.conn().await?)
                    .await?
                    .rows_affected()
                    > 0;
                if added {
                    let event = Event::DomainAdded { domain };
                    tx.record(Entry::operator(DEFAULT_TENANT, actor, event));
                    tx.wake(Wake::Snapshots);
                }
                Ok(added)
            })
        })
        .await
}

/// All of them, by name.
///
/// # Errors
/// [`StoreError`].
pub async fn list_domains(store: &Store) -> Result<Vec<DomainRow>, StoreError> {
    type Row = (String, String, String, String, String, String, i64);
    let rows: Vec<Row> = store
        .read("domain-list", |conn| {
            Box::pin(async move { Ok(sqlx::query_as(sql::DOMAIN_LIST).fetch_all(conn).await?) })
        })
        .await?;
    let row =
        |(name, tenant, profile, unknown_recipient, trust_in, trust_out, addresses)| DomainRow {
            name,
            tenant,
            profile,
            unknown_recipient,
            trust_in,
            trust_out,
            addresses,
        };
    Ok(rows.into_iter().map(row).collect())
}
