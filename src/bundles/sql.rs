//! The rows of anchors, bundles and trust profiles. In: plain columns. Out: plain columns;
//! nothing is parsed here.

use sqlx::{FromRow, SqliteConnection};

use crate::store::{Named, StoreError};

/// What statements run on.
pub(super) type Conn = SqliteConnection;

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

// ---- bundles ------------------------------------------------------------------------------------

/// One row of `bundle`, without what waits for approval.
#[derive(Clone, Debug, FromRow)]
pub(super) struct StoredBundle {
    pub name: String,
    pub tenant_id: String,
    pub source: String,
    pub signer: Option<Vec<u8>>,
    pub revocation: Option<String>,
    pub interval_s: i64,
    pub drop_percent: i64,
    pub digest: Option<String>,
    pub metadata: Option<String>,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    pub heard_at: i64,
    pub changed_at: i64,
    pub due_at: Option<i64>,
    pub failures: i64,
    pub last_error: Option<String>,
    pub held_at: Option<i64>,
    pub held_why: Option<String>,
    pub created_by: String,
}

/// All bundles, by name.
pub(super) async fn bundles(conn: &mut SqliteConnection) -> Result<Vec<StoredBundle>, StoreError> {
    sqlx::query_as(
        "SELECT name, tenant_id, source, signer, revocation, interval_s, drop_percent, digest, metadata, etag,
                last_modified, heard_at, changed_at, due_at, failures, last_error, held_at, held_why, created_by
           FROM bundle ORDER BY name",
    )
    .fetch_all(conn)
    .await
    .named("bundles.bundles")
}

/// One bundle.
pub(super) async fn bundle(
    conn: &mut SqliteConnection,
    name: &str,
) -> Result<Option<StoredBundle>, StoreError> {
    let all = bundles(conn).await?;
    Ok(all.into_iter().find(|bundle| bundle.name == name))
}

/// Names of the bundles whose refresh is due, the longest due first.
pub(super) async fn due(
    conn: &mut SqliteConnection,
    now: i64,
    most: i64,
) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar("SELECT name FROM bundle WHERE due_at <= $1 ORDER BY due_at LIMIT $2")
        .bind(now)
        .bind(most)
        .fetch_all(conn)
        .await
        .named("bundles.due")
}

/// A new bundle, with no anchor yet; false if there is one of that name.
pub(super) async fn insert_bundle(
    conn: &mut SqliteConnection,
    row: &StoredBundle,
    now: i64,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "INSERT INTO bundle (name, tenant_id, source, signer, revocation, interval_s, drop_percent, heard_at,
                             changed_at, due_at, created_at, created_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $8, $10) ON CONFLICT (name) DO NOTHING",
    )
    .bind(&row.name)
    .bind(&row.tenant_id)
    .bind(&row.source)
    .bind(&row.signer)
    .bind(&row.revocation)
    .bind(row.interval_s)
    .bind(row.drop_percent)
    .bind(now)
    .bind(row.due_at)
    .bind(&row.created_by)
    .execute(conn)
    .await
    .named("bundles.insert_bundle")?;
    Ok(done.rows_affected() > 0)
}

/// (fingerprint, DER) of a bundle, exclusions among them.
pub(super) async fn anchors_of(
    conn: &mut SqliteConnection,
    bundle: &str,
) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    sqlx::query_as(
        "SELECT fingerprint, der FROM bundle_anchor WHERE bundle = $1 ORDER BY fingerprint",
    )
    .bind(bundle)
    .fetch_all(conn)
    .await
    .named("bundles.anchors_of")
}

/// One anchor more.
pub(super) async fn add_to(
    conn: &mut SqliteConnection,
    bundle: &str,
    fingerprint: &str,
    der: &[u8],
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO bundle_anchor (bundle, fingerprint, der) VALUES ($1, $2, $3)")
        .bind(bundle)
        .bind(fingerprint)
        .bind(der)
        .execute(conn)
        .await
        .named("bundles.add_to")?;
    Ok(())
}

/// One anchor less.
pub(super) async fn take_from(
    conn: &mut SqliteConnection,
    bundle: &str,
    fingerprint: &str,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM bundle_anchor WHERE bundle = $1 AND fingerprint = $2")
        .bind(bundle)
        .bind(fingerprint)
        .execute(conn)
        .await
        .named("bundles.take_from")?;
    Ok(())
}

/// What was applied: where the anchors came from.
pub(super) struct Applied<'a> {
    pub bundle: &'a str,
    pub digest: &'a str,
    pub metadata: Option<String>,
    pub changed: bool,
}

/// Notes what the anchors are from; nothing waits any more.
pub(super) async fn note_applied(
    conn: &mut SqliteConnection,
    applied: Applied<'_>,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE bundle SET digest = $2, metadata = $3, changed_at = CASE WHEN $4 = 1 THEN $5 ELSE changed_at END,
                held = NULL, held_at = NULL, held_why = NULL WHERE name = $1",
    )
    .bind(applied.bundle)
    .bind(applied.digest)
    .bind(applied.metadata)
    .bind(i64::from(applied.changed))
    .bind(now)
    .execute(conn)
    .await
    .named("bundles.note_applied")?;
    Ok(())
}

/// Notes that the source answered as it should.
pub(super) async fn note_heard(
    conn: &mut SqliteConnection,
    bundle: &str,
    validators: &crate::fetch::Validators,
    now: i64,
    due_at: Option<i64>,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE bundle SET heard_at = $2, etag = $3, last_modified = $4, due_at = $5, failures = 0, last_error = NULL
         WHERE name = $1",
    )
    .bind(bundle)
    .bind(now)
    .bind(&validators.etag)
    .bind(&validators.last_modified)
    .bind(due_at)
    .execute(conn)
    .await
    .named("bundles.note_heard")?;
    Ok(())
}

/// Notes that it did not.
pub(super) async fn note_failure(
    conn: &mut SqliteConnection,
    bundle: &str,
    why: &str,
    due_at: Option<i64>,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE bundle SET failures = failures + 1, last_error = $2, due_at = $3 WHERE name = $1",
    )
    .bind(bundle)
    .bind(why)
    .bind(due_at)
    .execute(conn)
    .await
    .named("bundles.note_failure")?;
    Ok(())
}

/// Puts new content aside until an operator approves it.
pub(super) async fn hold(
    conn: &mut SqliteConnection,
    bundle: &str,
    octets: &[u8],
    why: &str,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE bundle SET held = $2, held_why = $3, held_at = $4 WHERE name = $1")
        .bind(bundle)
        .bind(octets)
        .bind(why)
        .bind(now)
        .execute(conn)
        .await
        .named("bundles.hold")?;
    Ok(())
}

/// What waits for approval.
pub(super) async fn held(
    conn: &mut SqliteConnection,
    bundle: &str,
) -> Result<Option<Vec<u8>>, StoreError> {
    let held: Option<Option<Vec<u8>>> =
        sqlx::query_scalar("SELECT held FROM bundle WHERE name = $1")
            .bind(bundle)
            .fetch_optional(conn)
            .await
            .named("bundles.held")?;
    Ok(held.flatten())
}

/// Takes a bundle away with all that belongs to it.
pub(super) async fn delete_bundle(
    conn: &mut SqliteConnection,
    name: &str,
) -> Result<(), StoreError> {
    for statement in [
        "DELETE FROM trust_profile_bundle WHERE bundle = $1",
        "DELETE FROM bundle_exclusion WHERE bundle = $1",
        "DELETE FROM bundle_anchor WHERE bundle = $1",
        "DELETE FROM bundle WHERE name = $1",
    ] {
        sqlx::query(statement)
            .bind(name)
            .execute(&mut *conn)
            .await
            .named("bundles.delete_bundle")?;
    }
    Ok(())
}

/// Excludes an anchor of a bundle, or no longer (`reason` None).
pub(super) async fn exclude(
    conn: &mut SqliteConnection,
    bundle: &str,
    fingerprint: &str,
    reason: Option<&str>,
    actor: &str,
    now: i64,
) -> Result<(), StoreError> {
    let query = match reason {
        None => sqlx::query("DELETE FROM bundle_exclusion WHERE bundle = $1 AND fingerprint = $2")
            .bind(bundle)
            .bind(fingerprint),
        Some(reason) => sqlx::query(
            "INSERT INTO bundle_exclusion (bundle, fingerprint, reason, at, actor) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (bundle, fingerprint) DO UPDATE SET reason = excluded.reason",
        )
        .bind(bundle)
        .bind(fingerprint)
        .bind(reason)
        .bind(now)
        .bind(actor),
    };
    query.execute(conn).await.named("bundles.exclude")?;
    Ok(())
}

/// (fingerprint, reason) of what is excluded from a bundle.
pub(super) async fn exclusions(
    conn: &mut SqliteConnection,
    bundle: &str,
) -> Result<Vec<(String, String)>, StoreError> {
    sqlx::query_as("SELECT fingerprint, reason FROM bundle_exclusion WHERE bundle = $1")
        .bind(bundle)
        .fetch_all(conn)
        .await
        .named("bundles.exclusions")
}

/// One anchor that a profile has through a bundle.
#[derive(Clone, Debug, FromRow)]
pub(super) struct StoredMember {
    pub fingerprint: String,
    pub profile: String,
    pub direction: String,
    pub der: Vec<u8>,
    pub revocation: Option<String>,
}

/// All anchors that profiles have through bundles, without what is excluded.
pub(super) async fn members(conn: &mut SqliteConnection) -> Result<Vec<StoredMember>, StoreError> {
    sqlx::query_as(
        "SELECT a.fingerprint, p.profile, p.direction, a.der, b.revocation
           FROM trust_profile_bundle p JOIN bundle b ON b.name = p.bundle JOIN bundle_anchor a ON a.bundle = b.name
          WHERE NOT EXISTS (SELECT 1 FROM bundle_exclusion e WHERE e.bundle = b.name AND e.fingerprint = a.fingerprint)
          ORDER BY a.fingerprint",
    )
    .fetch_all(conn)
    .await
    .named("bundles.members")
}

/// Senders whose messages this anchor vouched for.
pub(super) async fn vouched_for(
    conn: &mut SqliteConnection,
    fingerprint: &str,
    most: i64,
) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar(
        "SELECT DISTINCT m.sender_key FROM leg l JOIN message m ON m.id = l.message_id
          WHERE l.anchor = $1 AND m.direction = 'in' AND m.sender_key IS NOT NULL LIMIT $2",
    )
    .bind(fingerprint)
    .bind(most)
    .fetch_all(conn)
    .await
    .named("bundles.vouched_for")
}

// ---- trust profiles -----------------------------------------------------------------------------

/// (profile, bundle, direction).
pub(super) async fn attached(
    conn: &mut SqliteConnection,
) -> Result<Vec<(String, String, String)>, StoreError> {
    sqlx::query_as(
        "SELECT profile, bundle, direction FROM trust_profile_bundle ORDER BY profile, bundle",
    )
    .fetch_all(conn)
    .await
    .named("bundles.attached")
}

/// Gives a profile a bundle, or another direction of it.
pub(super) async fn attach(
    conn: &mut SqliteConnection,
    profile: &str,
    bundle: &str,
    direction: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO trust_profile_bundle (profile, bundle, direction) VALUES ($1, $2, $3)
         ON CONFLICT (profile, bundle) DO UPDATE SET direction = excluded.direction",
    )
    .bind(profile)
    .bind(bundle)
    .bind(direction)
    .execute(conn)
    .await
    .named("bundles.attach")?;
    Ok(())
}

/// (name, tenant) of all trust profiles.
pub(super) async fn profiles(
    conn: &mut SqliteConnection,
) -> Result<Vec<(String, String)>, StoreError> {
    sqlx::query_as("SELECT name, tenant_id FROM trust_profile ORDER BY name")
        .fetch_all(conn)
        .await
        .named("bundles.profiles")
}

/// A new trust profile of the tenant `default`; false if it was there.
pub(super) async fn insert_profile(
    conn: &mut SqliteConnection,
    name: &str,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "INSERT INTO trust_profile (name, tenant_id) VALUES ($1, 'default') ON CONFLICT (name) DO NOTHING",
    )
    .bind(name)
    .execute(conn)
    .await
    .named("bundles.insert_profile")?;
    Ok(done.rows_affected() > 0)
}

/// Points a domain to a profile, per direction; false if there is no such domain.
pub(super) async fn assign(
    conn: &mut SqliteConnection,
    domain: &str,
    profile: &str,
    direction: &str,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "UPDATE domain SET trust_in = CASE WHEN $3 = 'out' THEN trust_in ELSE $2 END,
                trust_out = CASE WHEN $3 = 'in' THEN trust_out ELSE $2 END WHERE name = $1",
    )
    .bind(domain)
    .bind(profile)
    .bind(direction)
    .execute(conn)
    .await
    .named("bundles.assign")?;
    Ok(done.rows_affected() > 0)
}
