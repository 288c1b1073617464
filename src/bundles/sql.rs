//! The rows of anchors. In: plain columns. Out: plain columns; nothing is parsed here.

use sqlx::{FromRow, SqliteConnection};

use crate::store::{Named, StoreError};

/// One row of `anchor`.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(super) struct StoredAnchor {
    /// SHA-256 of the DER, lower-case hex.
    pub fingerprint: String,
    pub profile: String,
    pub direction: String,
    pub label: String,
    pub der: Vec<u8>,
    pub added_at: i64,
    pub added_by: String,
}

/// What a domain of ours points to.
#[derive(Clone, Debug, FromRow)]
pub(super) struct StoredDomain {
    pub name: String,
    pub tenant_id: String,
    /// v1.3 or v1.2.
    pub profile: String,
    pub trust_in: String,
    pub trust_out: String,
}

/// All anchors, by label.
pub(super) async fn all(conn: &mut SqliteConnection) -> Result<Vec<StoredAnchor>, StoreError> {
    sqlx::query_as(
        "SELECT fingerprint, profile, direction, label, der, added_at, added_by
           FROM anchor ORDER BY label, fingerprint, profile",
    )
    .fetch_all(conn)
    .await
    .named("bundles.all")
}

/// All domains of ours.
pub(super) async fn domains(conn: &mut SqliteConnection) -> Result<Vec<StoredDomain>, StoreError> {
    sqlx::query_as("SELECT name, tenant_id, profile, trust_in, trust_out FROM domain")
        .fetch_all(conn)
        .await
        .named("bundles.domains")
}

/// The tenant of a trust profile, if there is one of that name.
pub(super) async fn tenant(
    conn: &mut SqliteConnection,
    profile: &str,
) -> Result<Option<String>, StoreError> {
    sqlx::query_scalar("SELECT tenant_id FROM trust_profile WHERE name = $1")
        .bind(profile)
        .fetch_optional(conn)
        .await
        .named("bundles.tenant")
}

/// One anchor of a profile.
pub(super) async fn one(
    conn: &mut SqliteConnection,
    fingerprint: &str,
    profile: &str,
) -> Result<Option<StoredAnchor>, StoreError> {
    sqlx::query_as(
        "SELECT fingerprint, profile, direction, label, der, added_at, added_by
           FROM anchor WHERE fingerprint = $1 AND profile = $2",
    )
    .bind(fingerprint)
    .bind(profile)
    .fetch_optional(conn)
    .await
    .named("bundles.one")
}

/// Keeps an anchor; direction and label of one that is there are changed.
pub(super) async fn put(conn: &mut SqliteConnection, row: &StoredAnchor) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO anchor (fingerprint, profile, direction, label, der, added_at, added_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (fingerprint, profile)
         DO UPDATE SET direction = excluded.direction, label = excluded.label",
    )
    .bind(&row.fingerprint)
    .bind(&row.profile)
    .bind(&row.direction)
    .bind(&row.label)
    .bind(&row.der)
    .bind(row.added_at)
    .bind(&row.added_by)
    .execute(conn)
    .await
    .named("bundles.put")?;
    Ok(())
}

/// Removes one anchor of a profile.
pub(super) async fn delete(
    conn: &mut SqliteConnection,
    fingerprint: &str,
    profile: &str,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM anchor WHERE fingerprint = $1 AND profile = $2")
        .bind(fingerprint)
        .bind(profile)
        .execute(conn)
        .await
        .named("bundles.delete")?;
    Ok(())
}
