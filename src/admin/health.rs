//! Readiness: each thing that mail needs is tried, now. In: the live store, keys, anchors, resolver. Out: a
//! list that names what failed and what to do. Never a guess from configuration.

use serde::Serialize;

use crate::bundles;
use crate::certs;
use crate::limits;
use crate::store::Named;

use super::{Failure, Handle};

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What to do; empty if all is well.
    #[serde(rename = "do")]
    pub remedy: String,
}

/// All of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    pub ready: bool,
    /// Whose health it is: two gateways on one machine may be set to one port.
    pub store: String,
    pub checks: Vec<Check>,
}

/// What a check found out.
type Found = Result<String, (String, String)>;

fn wrong(detail: impl Into<String>, remedy: impl Into<String>) -> (String, String) {
    (detail.into(), remedy.into())
}

fn of(failure: Failure) -> (String, String) {
    (failure.happened, failure.remedy)
}

/// Tries everything, side by side.
pub async fn health(handle: &Handle) -> Health {
    let checks = tokio::join!(
        check(handle, "database-write", write(handle)),
        check(handle, "free-space", space(handle)),
        check(handle, "key-encryption-key", key(handle)),
        check(handle, "identities", identities(handle)),
        check(handle, "anchors", anchors(handle)),
        check(handle, "dns", dns(handle)),
        check(handle, "live-settings", live(handle)),
    );
    let checks = Vec::from(<[Check; 7]>::from(checks));
    Health {
        ready: checks.iter().all(|check| check.ok),
        store: handle.config.database.display().to_string(),
        checks,
    }
}

async fn check(handle: &Handle, name: &'static str, work: impl Future<Output = Found>) -> Check {
    let span = limits::HEALTH_CHECK_TIMEOUT;
    let found = match handle.world().within(span, work).await {
        Ok(found) => found,
        Err(_) => Err(wrong(
            format!("no result within {} s", span.as_secs()),
            "see what the machine is busy with: disk, CPU, network",
        )),
    };
    let (ok, (detail, remedy)) = match found {
        Ok(detail) => (true, (detail, String::new())),
        Err(why) => (false, why),
    };
    Check {
        name,
        ok,
        detail,
        remedy,
    }
}

/// A row is really written and committed: a read-only or full disk shows only so.
async fn write(handle: &Handle) -> Found {
    let scope = format!("node:{}", handle.store.node());
    let written = handle.store.write("health::write", move |tx| {
        Box::pin(async move {
            let now = tx.now();
            sqlx::query(
                "INSERT INTO setting (scope, key, value, actor, at) VALUES ($1, 'health.written', $2, 'carepost', $3)
                 ON CONFLICT (scope, key) DO UPDATE SET value = excluded.value, at = excluded.at",
            )
            .bind(scope)
            .bind(now.rfc3339())
            .bind(now.0)
            .execute(tx.conn().await?)
            .await
            .named("health::write")?;
            Ok(())
        })
    });
    match written.await {
        Ok(()) => Ok("a row was written and committed".to_owned()),
        Err(error) => Err(of(error.into())),
    }
}

async fn space(handle: &Handle) -> Found {
    let (octets, inodes) = handle.store.room().map_err(|error| {
        wrong(
            format!("the file system of the store: {error}"),
            "check the disk",
        )
    })?;
    let limits = &handle.config.limits;
    let detail = format!("{} MiB and {inodes} inodes free", octets / (1024 * 1024));
    if octets >= limits.free_octets && inodes >= limits.free_inodes {
        return Ok(detail);
    }
    Err(wrong(
        format!("{detail}; below the limit, so mail is deferred with 452"),
        "free space under the database and the blobs, or lower [limits] free_octets and free_inodes",
    ))
}

async fn key(handle: &Handle) -> Found {
    const CONTEXT: &str = "health";
    let secret: [u8; 32] = handle.world().random();
    let key = handle.store.key();
    let wrapped = key.wrap(handle.world(), CONTEXT, &secret);
    let back = key.unwrap(CONTEXT, &wrapped);
    if back.is_some_and(|back| back.as_slice() == secret) {
        return Ok(format!("key {} wrapped and unwrapped a secret", key.id()));
    }
    Err(wrong(
        "the key-encryption key does not unwrap what it wrapped",
        "restart carepost; if it stays so, replace the machine",
    ))
}

async fn identities(handle: &Handle) -> Found {
    const REMEDY: &str = "see `carepost cert list`; `carepost cert import` takes in a valid one";
    let now = handle.world().now();
    let loaded = handle.loaded().await.map_err(|error| of(error.into()))?;
    let rows = certs::list_identities(&handle.store)
        .await
        .map_err(|error| of(error.into()))?;
    let alarms: Vec<String> = loaded
        .identities
        .alarms(now)
        .iter()
        .map(|alarm| alarm.text.replace("\n  do: ", "; "))
        .collect();
    // Times are RFC 3339 in UTC, which compare as text.
    let today = now.rfc3339();
    let usable = rows
        .iter()
        .filter(|row| row.state == "active")
        .filter(|row| row.not_before <= today && today < row.not_after)
        .count();
    let mut detail = format!("{usable} of {} valid and active", rows.len());
    for alarm in &alarms {
        detail.push_str("; ");
        detail.push_str(alarm);
    }
    // One domain's fault is that domain's alarm; the node is ready as long as one identity works.
    if usable > 0 && !loaded.identities.is_empty() {
        Ok(detail)
    } else {
        Err(wrong(detail, REMEDY))
    }
}

async fn anchors(handle: &Handle) -> Found {
    let loaded = handle.loaded().await.map_err(|error| of(error.into()))?;
    match loaded.anchors.count() {
        0 => Err(wrong(
            "no trust anchor: every message would be refused",
            "`carepost anchor import FILE` with a partner's CA certificate",
        )),
        count => Ok(format!("{count} loaded{}", alarms(handle).await?)),
    }
}

/// What is wrong with bundles. Their last good anchors hold: mail goes on, and somebody has to look.
async fn alarms(handle: &Handle) -> Result<String, (String, String)> {
    let bundles = bundles::list_bundles(&handle.store).await;
    let mut text = String::new();
    for bundle in bundles.map_err(|error| of(error.into()))? {
        if let Some(alarm) = bundle.alarm {
            text.push_str(&format!("; bundle {}: {alarm}", bundle.name));
        }
        if let Some(held) = bundle.held {
            text.push_str(&format!(
                "; bundle {} waits for approval: {held}",
                bundle.name
            ));
        }
    }
    Ok(text)
}

/// Trust, directory and keys as the roads use them are those of the store.
async fn live(handle: &Handle) -> Found {
    match handle.refreshed().await {
        Ok(()) => Ok("trust, directory and keys are up to date".to_owned()),
        Err(error) => Err(wrong(
            format!("trust, directory and keys are those of an earlier moment: {error}"),
            "undo the last change, or report this",
        )),
    }
}

async fn dns(handle: &Handle) -> Found {
    const REMEDY: &str = "check /etc/resolv.conf, or name resolvers in [dns] servers";
    let Some(resolver) = &handle.resolver else {
        return Err(wrong("no resolver", REMEDY));
    };
    match resolver.alive().await {
        Ok(()) => Ok("a resolver answered".to_owned()),
        Err(sentence) => Err(wrong(sentence, REMEDY)),
    }
}
