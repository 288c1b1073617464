//! The rows of our identities. In: plain columns. Out: plain columns; nothing is checked or unwrapped here.

use sqlx::{FromRow, SqliteConnection};

use crate::store::{Named, StoreError};

/// One row of `identity`.
#[derive(Clone, Debug, FromRow)]
pub(super) struct StoredIdentity {
    /// SHA-256 of the certificate, lower-case hex.
    pub id: String,
    pub tenant_id: String,
    pub domain: String,
    pub address_key: Option<String>,
    pub certificate: Vec<u8>,
    pub chain: Vec<u8>,
    pub wrapped_key: Vec<u8>,
    pub state: String,
    pub not_before: i64,
    pub not_after: i64,
    pub added_at: i64,
    pub added_by: String,
}

/// All identities, by domain and expiry.
pub(super) async fn all(conn: &mut SqliteConnection) -> Result<Vec<StoredIdentity>, StoreError> {
    sqlx::query_as(
        "SELECT id, tenant_id, domain, address_key, certificate, chain, wrapped_key, state,
                not_before, not_after, added_at, added_by
           FROM identity ORDER BY domain, not_after DESC, id",
    )
    .fetch_all(conn)
    .await
    .named("certs.all")
}

/// Our domains, with their tenants and profiles.
pub(super) async fn domains(
    conn: &mut SqliteConnection,
) -> Result<Vec<(String, String)>, StoreError> {
    sqlx::query_as("SELECT name, tenant_id FROM domain ORDER BY name")
        .fetch_all(conn)
        .await
        .named("certs.domains")
}

/// Keeps an identity. False if it was there.
pub(super) async fn insert(
    conn: &mut SqliteConnection,
    row: &StoredIdentity,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "INSERT INTO identity (id, tenant_id, domain, address_key, certificate, chain, wrapped_key,
                               state, not_before, not_after, added_at, added_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(&row.id)
    .bind(&row.tenant_id)
    .bind(&row.domain)
    .bind(&row.address_key)
    .bind(&row.certificate)
    .bind(&row.chain)
    .bind(&row.wrapped_key)
    .bind(&row.state)
    .bind(row.not_before)
    .bind(row.not_after)
    .bind(row.added_at)
    .bind(&row.added_by)
    .execute(conn)
    .await
    .named("certs.insert")?;
    Ok(done.rows_affected() == 1)
}

/// The DER elements of the chain column, one a certificate.
pub(super) fn split(chain: &[u8]) -> Option<Vec<&[u8]>> {
    use der::Reader;
    let mut reader = der::SliceReader::new(chain).ok()?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        found.push(reader.tlv_bytes().ok()?);
    }
    Some(found)
}
