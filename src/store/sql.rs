//! The SQL of bodies.

use std::collections::HashSet;

use sqlx::SqliteConnection;

use super::{Named, StoreError, Tx};

/// Where the octets of a removed row were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    InRow,
    InFile,
}

/// One row of `body`.
pub(super) struct Stored {
    pub(super) size: u64,
    /// None: in the file of that id.
    pub(super) sealed: Option<Vec<u8>>,
}

/// The id of the key-encryption key that this database belongs to; a new one belongs to `given`.
pub(super) async fn claim_key(
    conn: &mut SqliteConnection,
    given: &str,
    now: i64,
) -> Result<String, StoreError> {
    sqlx::query(
        "INSERT INTO setting (scope, key, value, actor, at) VALUES ('store', 'key-encryption-key', $1, 'carepost', $2)
         ON CONFLICT (scope, key) DO NOTHING",
    )
    .bind(given)
    .bind(now)
    .execute(&mut *conn)
    .await
    .named("key-claim")?;
    sqlx::query_scalar(
        "SELECT value FROM setting WHERE scope = 'store' AND key = 'key-encryption-key'",
    )
    .fetch_one(conn)
    .await
    .named("key-claim")
}

pub(super) fn insert_body(tx: &mut Tx, id: &str, size: u64, sealed: Option<Vec<u8>>) {
    let insert = "INSERT INTO body (id, size, data) VALUES ($1, $2, $3)";
    tx.later("body-keep", insert)
        .bind(id)
        .bind(i64::try_from(size).unwrap_or(i64::MAX))
        .bind(sealed);
}

pub(super) async fn delete_body(
    conn: &mut SqliteConnection,
    id: &str,
) -> Result<Option<Held>, StoreError> {
    let in_file: Option<bool> =
        sqlx::query_scalar("DELETE FROM body WHERE id = $1 RETURNING data IS NULL")
            .bind(id)
            .fetch_optional(conn)
            .await
            .named("body-drop")?;
    Ok(in_file.map(|in_file| if in_file { Held::InFile } else { Held::InRow }))
}

pub(super) async fn select_body(
    conn: &mut SqliteConnection,
    id: &str,
) -> Result<Option<Stored>, StoreError> {
    let row: Option<(i64, Option<Vec<u8>>)> =
        sqlx::query_as("SELECT size, data FROM body WHERE id = $1")
            .bind(id)
            .fetch_optional(conn)
            .await
            .named("body-read")?;
    Ok(row.map(|(size, sealed)| Stored {
        size: u64::try_from(size).unwrap_or(0),
        sealed,
    }))
}

/// Whether a row names that body.
pub(super) async fn body_exists(conn: &mut SqliteConnection, id: &str) -> Result<bool, StoreError> {
    let found: Option<i64> = sqlx::query_scalar("SELECT 1 FROM body WHERE id = $1")
        .bind(id)
        .fetch_optional(conn)
        .await
        .named("body-exists")?;
    Ok(found.is_some())
}

/// Ids of the blobs of one shard (ids that start with `shard`, two hex digits).
pub(super) async fn blobs_of_shard(
    conn: &mut SqliteConnection,
    shard: &str,
) -> Result<HashSet<String>, StoreError> {
    let ids: Vec<String> =
        sqlx::query_scalar("SELECT id FROM body WHERE id >= $1 AND id < $2 AND data IS NULL")
            .bind(shard)
            // 'g' follows every hex digit.
            .bind(format!("{shard}g"))
            .fetch_all(conn)
            .await
            .named("body-shard")?;
    Ok(ids.into_iter().collect())
}
