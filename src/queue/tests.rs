//! What the queue promises, over a real database.

use std::path::Path;
use std::time::Duration;

use super::operator::{Cancelled, cancel, hold_job, list, release_job, retry_now};
use super::*;
use crate::limits::{LEASE, RETRY_BROKEN_OFF};
use crate::store::{KeyEncryptionKey, Named, Paths, Store, StoreError, Tx, Work};
use crate::world::World;

const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

async fn open(dir: &Path) -> Store {
    let paths = Paths {
        database: dir.join("carepost.db"),
        blobs: dir.join("blobs"),
    };
    let key = KeyEncryptionKey::new([1; 32]);
    let store = Store::open(&paths, "node", key, World::at(NOW));
    store.await.expect("the store opens")
}

async fn write<T, F>(store: &Store, work: F) -> T
where
    T: Send + 'static,
    F: for<'t> FnOnce(&'t mut Tx) -> Work<'t, T> + Send + 'static,
{
    store.write("test", work).await.expect("written")
}

/// Puts `count` jobs of one new message, due now; returns the message.
async fn put_jobs(store: &Store, count: usize) -> TrackingId {
    let message = TrackingId::new(store.world());
    write(store, move |tx| {
        Box::pin(async move {
            sqlx::query(
                "INSERT INTO message (id, tenant_id, direction, kind, size, received_at) \
                 VALUES ($1, 'default', 'out', 'message', 0, 0)",
            )
            .bind(message.to_string())
            .execute(tx.conn().await?)
            .await
            .named("message-put")?;
            for number in 0..count {
                sql::put(tx, &new_job(message, number), tx.now()).await?;
            }
            Ok(())
        })
    })
    .await;
    message
}

fn new_job(message: TrackingId, number: usize) -> Job {
    Job {
        id: format!("{message}.{number}"),
        tenant: "default".into(),
        kind: JobKind::Relay,
        message,
        recipient_key: String::new(),
        destination: "b.example".into(),
        expires_at: NOW.plus(Duration::from_secs(3_600)),
        created_at: NOW,
    }
}

async fn lease(store: &Store, most: usize) -> Vec<Lease> {
    sql::lease_due(store, most).await.expect("leased")
}

async fn lease_one(store: &Store) -> Lease {
    let mut leases = lease(store, 10).await;
    assert_eq!(leases.len(), 1);
    leases.remove(0)
}

async fn done(store: &Store, lease: Lease) -> bool {
    write(store, |tx| Box::pin(sql::done(tx, lease))).await
}

async fn retry_at(store: &Store, lease: Lease, due: Timestamp) -> bool {
    write(store, move |tx| {
        Box::pin(async move { sql::retry_at(tx, lease, due, "busy").await })
    })
    .await
}

#[tokio::test]
async fn two_leasers_never_get_one_job() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    put_jobs(&store, 20).await;
    let (one, two, three) = tokio::join!(lease(&store, 8), lease(&store, 8), lease(&store, 8));
    assert_eq!((one.len(), two.len(), three.len()), (8, 8, 4));
    let mut ids: Vec<&str> = [&one, &two, &three]
        .into_iter()
        .flatten()
        .map(|lease| lease.job().id.as_str())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 20);
    assert!(one.iter().all(|lease| lease.attempt() == 1));
    assert!(lease(&store, 8).await.is_empty());
}

#[tokio::test]
async fn a_lease_settles_its_job_and_a_lost_one_does_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    put_jobs(&store, 1).await;
    let first = lease_one(&store).await;
    assert!(lease(&store, 1).await.is_empty());
    store.world().advance(LEASE);
    let second = lease_one(&store).await;
    assert_eq!(second.attempt(), 2);
    assert!(!done(&store, first).await);
    assert_eq!(list(&store).await.expect("listed").len(), 1);
    assert!(done(&store, second).await);
    assert_eq!(list(&store).await.expect("listed"), []);
}

#[tokio::test]
async fn a_retried_job_is_due_when_it_was_said() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    put_jobs(&store, 1).await;
    assert_eq!(sql::next_due(&store).await.expect("asked"), Some(NOW));
    let due = NOW.plus(Duration::from_secs(60));
    assert!(retry_at(&store, lease_one(&store).await, due).await);
    assert_eq!(sql::next_due(&store).await.expect("asked"), Some(due));
    store.world().advance(Duration::from_secs(59));
    assert!(lease(&store, 1).await.is_empty());
    store.world().advance(Duration::from_secs(1));
    let again = lease_one(&store).await;
    assert_eq!(again.attempt(), 2);
    assert!(done(&store, again).await);
    assert_eq!(sql::next_due(&store).await.expect("asked"), None);
}

#[tokio::test]
async fn a_job_put_with_its_lease_is_nobody_elses() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    let message = put_jobs(&store, 0).await;
    let own = write(&store, move |tx| {
        Box::pin(sql::put_leased(tx, new_job(message, 0)))
    })
    .await;
    assert_eq!(own.attempt(), 1);
    assert!(lease(&store, 1).await.is_empty());
    assert!(done(&store, own).await);
}

#[tokio::test]
async fn a_dropped_lease_is_due_again_soon_and_a_failed_settlement_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    put_jobs(&store, 1).await;
    drop(lease_one(&store).await);
    assert!(lease(&store, 1).await.is_empty());
    store.world().advance(RETRY_BROKEN_OFF);
    let second = lease_one(&store).await;
    assert_eq!(second.attempt(), 2);
    let failed: Result<(), StoreError> = store
        .write("fail", |tx| {
            Box::pin(async move {
                assert!(sql::done(tx, second).await?);
                Err(StoreError::Closed)
            })
        })
        .await;
    assert!(failed.is_err());
    assert!(lease(&store, 1).await.is_empty());
    store.world().advance(RETRY_BROKEN_OFF);
    assert_eq!(lease_one(&store).await.attempt(), 3);
}

#[tokio::test]
async fn a_restart_frees_the_leases_of_the_dead_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    put_jobs(&store, 1).await;
    let dead = lease_one(&store).await;
    store.close().await;
    let store = open(dir.path()).await;
    let living = lease_one(&store).await;
    assert_eq!(living.attempt(), 2);
    assert_ne!(living.token(), dead.token());
    assert!(!done(&store, dead).await);
    assert!(done(&store, living).await);
}

#[tokio::test]
async fn a_row_that_does_not_read_back_is_held_and_stops_no_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    let message = put_jobs(&store, 2).await;
    write(&store, move |tx| {
        Box::pin(async move {
            sqlx::query("UPDATE job SET kind = 'dance' WHERE id = $1")
                .bind(format!("{message}.0"))
                .execute(tx.conn().await?)
                .await
                .named("spoil")?;
            Ok(())
        })
    })
    .await;
    assert!(lease_one(&store).await.job().id.ends_with(".1"));
    let held = list(&store).await.expect("listed");
    assert!(
        held.iter()
            .any(|job| job.kind == "dance" && job.state == "held")
    );
}

#[tokio::test]
async fn the_operator_holds_releases_and_hurries_jobs() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    let message = put_jobs(&store, 2).await;
    let which = message.to_string().to_lowercase();
    let state = async || -> Vec<String> {
        let jobs = list(&store).await.expect("listed");
        jobs.into_iter().map(|job| job.state).collect()
    };
    let all = which.clone();
    assert_eq!(
        write(&store, |tx| Box::pin(async move {
            hold_job(tx, &all, "ann").await
        }))
        .await,
        2
    );
    assert_eq!(state().await, ["held", "held"]);
    assert!(lease(&store, 5).await.is_empty());
    let one = format!("{message}.1");
    assert_eq!(
        write(&store, |tx| Box::pin(
            async move { release_job(tx, &one).await }
        ))
        .await,
        1
    );
    let free = lease_one(&store).await;
    assert!(state().await.contains(&"leased".to_owned()));

    // Held in flight: what is to be retried stays held.
    let one = free.job().id.clone();
    assert_eq!(
        write(&store, |tx| Box::pin(async move {
            hold_job(tx, &one, "ann").await
        }))
        .await,
        1
    );
    assert!(retry_at(&store, free, NOW).await);
    assert_eq!(state().await, ["held", "held"]);

    let all = which.clone();
    assert_eq!(
        write(&store, |tx| Box::pin(
            async move { release_job(tx, &all).await }
        ))
        .await,
        2
    );
    let far = NOW.plus(Duration::from_secs(1_000));
    for lease in lease(&store, 5).await {
        assert_eq!(lease.attempt(), 1, "released jobs are counted anew");
        assert!(retry_at(&store, lease, far).await);
    }
    assert!(lease(&store, 5).await.is_empty());
    assert_eq!(
        write(&store, |tx| Box::pin(
            async move { retry_now(tx, &which).await }
        ))
        .await,
        2
    );
    assert_eq!(lease(&store, 5).await.len(), 2);
}

#[tokio::test]
async fn the_operator_cancels_all_jobs_of_a_message_or_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    let message = put_jobs(&store, 2).await;
    let cancel_it = async || {
        let which = message.to_string();
        write(&store, |tx| {
            Box::pin(async move { cancel(tx, &which).await })
        })
        .await
    };
    let busy = lease(&store, 1).await;
    let other = put_jobs(&store, 1).await;
    assert_eq!(cancel_it().await, Cancelled::InFlight);
    assert_eq!(list(&store).await.expect("listed").len(), 3);
    for lease in busy {
        assert!(retry_at(&store, lease, NOW).await);
    }
    assert!(matches!(cancel_it().await, Cancelled::Removed(jobs) if jobs.len() == 2));
    let left = list(&store).await.expect("listed");
    assert!(left.iter().all(|job| job.message == other.to_string()) && left.len() == 1);
}
