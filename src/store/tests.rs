//! What the store promises, over a real database in a temporary directory.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::journal::{Actor, Entry, Event};
use crate::limits::BODY_IN_MEMORY_MAX;
use crate::world::{Timestamp, World};

const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

fn paths(dir: &Path) -> Paths {
    Paths {
        database: dir.join("carepost.db"),
        blobs: dir.join("blobs"),
    }
}

async fn try_open(dir: &Path) -> Result<Store, StoreError> {
    let key = KeyEncryptionKey::new([1; 32]);
    Store::open(&paths(dir), "node", key, World::at(NOW)).await
}

async fn open(dir: &Path) -> Store {
    try_open(dir).await.expect("the store opens")
}

fn entry(domain: &str) -> Entry {
    let domain = domain.to_owned();
    Entry::operator(
        "default",
        Actor::Operator("ann".into()),
        Event::DomainAdded { domain },
    )
}

async fn put_setting(store: &Store, key: &str) -> Result<(), StoreError> {
    let key = key.to_owned();
    store
        .write("setting", move |tx| {
            Box::pin(async move {
                insert_setting(tx, &key).await?;
                tx.record(entry(&key));
                if key.starts_with("bad") {
                    // The same key once more: the table refuses it.
                    insert_setting(tx, &key).await?;
                }
                assert!(!key.starts_with("panic"), "as the test wants");
                Ok(())
            })
        })
        .await
}

async fn insert_setting(tx: &mut Tx, key: &str) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO setting (scope, key, value, actor, at) VALUES ('global', $1, '', '', 0)",
    )
    .bind(key)
    .execute(tx.conn().await?)
    .await
    .named("setting-put")?;
    Ok(())
}

async fn texts(store: &Store, sql: &'static str) -> Vec<String> {
    store
        .read("texts", move |conn| {
            Box::pin(async move { sqlx::query_scalar(sql).fetch_all(conn).await.named("texts") })
        })
        .await
        .expect("the query runs")
}

async fn keys(store: &Store) -> Vec<String> {
    texts(
        store,
        "SELECT key FROM setting WHERE scope = 'global' ORDER BY rowid",
    )
    .await
}

/// Holds the writer until told, so that what is sent meanwhile shares one commit.
fn hold_writer(
    store: &Store,
) -> (
    tokio::sync::oneshot::Sender<()>,
    tokio::task::JoinHandle<()>,
) {
    let (go, wait) = tokio::sync::oneshot::channel();
    let store = store.clone();
    let held = tokio::spawn(async move {
        let work = store.write("hold", |_| {
            Box::pin(async move {
                let _ = wait.await;
                Ok(())
            })
        });
        // It shares the fate of its commit, which some tests make fail.
        let _ = work.await;
    });
    (go, held)
}

/// Polls each once in order, so that they stand in the writer's queue in this order, then lets the writer
/// go.
async fn together<T>(
    store: &Store,
    works: Vec<std::pin::Pin<Box<dyn Future<Output = T> + Send + '_>>>,
) -> Vec<T> {
    let (go, held) = hold_writer(store);
    tokio::task::yield_now().await;
    let mut works = works;
    for work in &mut works {
        let first = std::future::poll_fn(|cx| std::task::Poll::Ready(work.as_mut().poll(cx)));
        assert!(first.await.is_pending());
    }
    go.send(()).expect("the writer waits");
    held.await.expect("held");
    let mut results = Vec::new();
    for work in works {
        results.push(work.await);
    }
    results
}

#[tokio::test]
async fn an_error_or_a_panic_in_a_group_is_its_own_and_order_is_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    let names = ["a", "bad 1", "b", "panic 1", "panic 2", "c", "bad 2", "d"];
    let works = names
        .iter()
        .map(|name| Box::pin(put_setting(&store, name)) as _)
        .collect();
    let results = together(&store, works).await;
    for (name, result) in names.iter().zip(results) {
        match name.split(' ').next() {
            Some("bad") => assert!(matches!(
                result,
                Err(StoreError::Database {
                    name: "setting-put",
                    ..
                })
            )),
            Some("panic") => assert!(matches!(
                result,
                Err(StoreError::Panicked { name: "setting" })
            )),
            _ => assert!(result.is_ok(), "{name}: {result:?}"),
        }
    }
    assert_eq!(keys(&store).await, ["a", "b", "c", "d"]);
    // One commit, one seal; the journal knows only what happened.
    let facts = texts(&store, "SELECT facts FROM journal ORDER BY seq").await;
    assert_eq!(
        facts,
        ["a", "b", "c", "d"].map(|key| format!(r#"{{"domain":"{key}"}}"#))
    );
    assert_eq!(
        texts(&store, "SELECT hash FROM journal_seal").await.len(),
        1
    );
    assert_eq!(
        crate::journal::sql::verify(&store).await.expect("checked"),
        None
    );
}

#[tokio::test]
async fn a_first_submission_that_fails_leaves_nothing_and_the_next_is_committed() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    assert!(put_setting(&store, "bad").await.is_err());
    assert!(put_setting(&store, "panic").await.is_err());
    assert!(put_setting(&store, "good").await.is_ok());
    assert_eq!(keys(&store).await, ["good"]);
}

#[tokio::test]
async fn a_full_database_refuses_everyone_in_the_commit_and_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    put_setting(&store, "before").await.expect("written");
    let fill = |octets: i64| {
        let store = store.clone();
        async move {
            store
                .write("fill", move |tx| {
                    Box::pin(async move {
                        sqlx::query("PRAGMA max_page_count = 100")
                            .execute(tx.conn().await?)
                            .await
                            .named("cap")?;
                        sqlx::query(
                            "INSERT INTO body (id, size, data) VALUES ($1, 0, zeroblob($2))",
                        )
                        .bind(octets.to_string())
                        .bind(octets)
                        .execute(tx.conn().await?)
                        .await
                        .named("fill")?;
                        Ok(())
                    })
                })
                .await
        }
    };
    let works: Vec<std::pin::Pin<Box<dyn Future<Output = _> + Send>>> = vec![
        Box::pin(put_setting(&store, "same commit")),
        Box::pin(fill(10_000_000)),
        Box::pin(put_setting(&store, "after it")),
    ];
    let results = together(&store, works).await;
    assert!(
        matches!(results[1], Err(StoreError::Full(_))),
        "{:?}",
        results[1]
    );
    // SQLite rolls back everything, so everyone who was in it is told.
    assert!(
        matches!(results[0], Err(StoreError::Full(_))),
        "{:?}",
        results[0]
    );
    assert!(results[2].is_ok(), "{:?}", results[2]);
    assert_eq!(keys(&store).await, ["before", "after it"]);
    put_setting(&store, "later").await.expect("goes on");
    assert_eq!(
        crate::journal::sql::verify(&store).await.expect("checked"),
        None
    );
}

#[tokio::test]
async fn a_commit_that_fails_is_told_to_everyone_in_it_and_the_writer_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    let body = store
        .bodies()
        .of(&vec![1; BODY_IN_MEMORY_MAX + 1])
        .expect("made");
    let kept = body.clone();
    let spoil = store.write("spoil", move |tx| {
        Box::pin(async move {
            tx.keep_body(&kept).await?;
            // Checked only at the commit, which therefore fails.
            sqlx::query("PRAGMA defer_foreign_keys = ON")
                .execute(tx.conn().await?)
                .await
                .named("defer")?;
            sqlx::query(
                "INSERT INTO account (name, tenant_id, created_at) VALUES ('x', 'nobody', 0)",
            )
            .execute(tx.conn().await?)
            .await
            .named("orphan")?;
            Ok(())
        })
    });
    let works: Vec<std::pin::Pin<Box<dyn Future<Output = _> + Send>>> =
        vec![Box::pin(put_setting(&store, "one")), Box::pin(spoil)];
    for result in together(&store, works).await {
        assert!(
            matches!(result, Err(StoreError::Database { name: "commit", .. })),
            "{result:?}"
        );
    }
    assert_eq!(keys(&store).await, Vec::<String>::new());
    put_setting(&store, "two").await.expect("goes on");
    assert_eq!(keys(&store).await, ["two"]);
    // The body of the failed commit goes with its handles.
    let path = store.bodies().path(body.id());
    assert!(path.exists());
    drop(body);
    assert!(!path.exists());
}

#[tokio::test]
async fn what_was_kept_before_closing_is_there_after_opening() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    let mut ids = Vec::new();
    for size in [0, 1, 70_000, BODY_IN_MEMORY_MAX, BODY_IN_MEMORY_MAX + 1] {
        let body = store.bodies().of(&vec![7; size]).expect("made");
        let twice = store.write("keep", move |tx| {
            Box::pin(async move {
                let first = tx.keep_body(&body).await?;
                assert_eq!(tx.keep_body(&body).await?, first);
                Ok((first, body))
            })
        });
        let (id, body) = twice.await.expect("kept");
        let again = store.write("keep", move |tx| {
            Box::pin(async move { tx.keep_body(&body).await })
        });
        assert_eq!(again.await.expect("kept"), id);
        ids.push((id, size));
    }
    store.close().await;
    assert!(matches!(
        put_setting(&store, "x").await,
        Err(StoreError::Closed)
    ));
    assert!(matches!(
        store.body(&ids[0].0).await,
        Err(StoreError::Closed)
    ));

    let store = open(dir.path()).await;
    for (id, size) in &ids {
        let mut octets = Vec::new();
        let body = store.body(id).await.expect("there");
        body.reader()
            .expect("opens")
            .read_to_end(&mut octets)
            .expect("reads");
        assert!(octets.len() == *size && octets.iter().all(|&octet| octet == 7));
    }
    assert!(matches!(
        store.body("none").await,
        Err(StoreError::Row { .. })
    ));
    assert_eq!(
        texts(&store, "SELECT id FROM body WHERE data IS NULL")
            .await
            .len(),
        1
    );
}

#[tokio::test]
async fn a_dropped_body_loses_its_row_and_then_its_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    let body = store
        .bodies()
        .of(&vec![7; BODY_IN_MEMORY_MAX + 1])
        .expect("made");
    let path = store.bodies().path(body.id());
    let id = store.write("keep", move |tx| {
        Box::pin(async move { tx.keep_body(&body).await })
    });
    let id = id.await.expect("kept");
    assert!(path.exists(), "a kept blob outlives its handles");
    let gone = store.write("drop", move |tx| {
        Box::pin(async move { tx.drop_body(&id).await })
    });
    gone.await.expect("dropped");
    for _ in 0..200 {
        if !path.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!path.exists());
    assert!(texts(&store, "SELECT id FROM body").await.is_empty());
}

#[tokio::test]
async fn opening_removes_blobs_that_no_row_names_and_no_others() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    let body = store
        .bodies()
        .of(&vec![7; BODY_IN_MEMORY_MAX + 1])
        .expect("made");
    let kept = store.bodies().path(body.id());
    let keep = store.write("keep", move |tx| {
        Box::pin(async move { tx.keep_body(&body).await })
    });
    keep.await.expect("kept");
    store.close().await;
    let stray = kept.with_file_name("stray");
    std::fs::write(&stray, "left by a crash").expect("written");
    let _store = open(dir.path()).await;
    assert!(kept.exists() && !stray.exists());
}

#[tokio::test]
async fn a_second_opener_is_refused_until_the_first_has_closed() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    assert!(matches!(
        try_open(dir.path()).await,
        Err(StoreError::InUse(_))
    ));
    store.close().await;
    assert!(try_open(dir.path()).await.is_ok());
}

#[tokio::test]
async fn a_database_of_a_newer_carepost_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    let newer = store.write("newer", |tx| {
        Box::pin(async move {
            sqlx::query(
                "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9000, 'from the future', TRUE, x'00', 0)",
            )
            .execute(tx.conn().await?)
            .await
            .named("newer")?;
            Ok(())
        })
    });
    newer.await.expect("written");
    store.close().await;
    assert!(matches!(
        try_open(dir.path()).await,
        Err(StoreError::Newer { found: 9000, .. })
    ));
}

#[tokio::test]
async fn a_store_opens_under_its_own_key_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    open(dir.path()).await.close().await;
    let other = KeyEncryptionKey::new([2; 32]);
    let opened = Store::open(&paths(dir.path()), "node", other, World::at(NOW)).await;
    let error = opened.expect_err("refused");
    assert!(matches!(error, StoreError::OtherKey { .. }), "{error}");
    open(dir.path()).await.close().await;
}

#[tokio::test]
async fn files_are_for_carepost_alone() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    put_setting(&store, "a").await.expect("written");
    for name in [
        "carepost.db",
        "carepost.db-wal",
        "carepost.db.lock",
        "blobs",
    ] {
        let facts = std::fs::metadata(dir.path().join(name)).expect(name);
        assert_eq!(facts.mode() & 0o077, 0, "{name}");
    }
    let (octets, inodes) = store.room().expect("asked");
    assert!(octets > 0 && inodes > 0);
}

#[tokio::test]
async fn replies_come_after_what_the_commit_made_true() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    let mut events = store.events();
    let ran = Arc::new(AtomicUsize::new(0));
    let (before, inside) = (store.epoch(), Arc::clone(&ran));
    let work = store.write("wake", move |tx| {
        Box::pin(async move {
            assert_eq!(tx.now(), NOW);
            tx.record(entry("a.example"));
            tx.wake(Wake::Snapshots);
            tx.wake(Wake::Queue);
            tx.after_commit(move || {
                inside.fetch_add(1, Ordering::SeqCst);
            });
            Ok(())
        })
    });
    work.await.expect("written");
    assert_eq!(store.epoch(), before + 1);
    assert_eq!(ran.load(Ordering::SeqCst), 1);
    store.queue_woken().notified().await;
    let (at, heard) = &*events.recv().await.expect("heard");
    assert_eq!((*at, heard.event.row().0), (NOW, "domain-added".to_owned()));

    let inside = Arc::clone(&ran);
    let failed: Result<(), _> = store
        .write("fail", move |tx| {
            Box::pin(async move {
                tx.record(entry("b.example"));
                tx.wake(Wake::Snapshots);
                tx.after_commit(move || {
                    inside.fetch_add(1, Ordering::SeqCst);
                });
                Err(StoreError::Closed)
            })
        })
        .await;
    assert!(failed.is_err());
    assert_eq!((store.epoch(), ran.load(Ordering::SeqCst)), (before + 1, 1));
    assert!(events.try_recv().is_err());
}

#[tokio::test]
async fn the_seals_show_the_first_row_that_was_touched() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    for count in [1, 3, 40, 1] {
        let work = store.write("many", move |tx| {
            Box::pin(async move {
                (0..count).for_each(|at| tx.record(entry(&format!("{at}.example"))));
                Ok(())
            })
        });
        work.await.expect("written");
    }
    store.close().await;
    let store = open(dir.path()).await;
    put_setting(&store, "after opening").await.expect("written");
    assert_eq!(
        crate::journal::sql::verify(&store).await.expect("checked"),
        None
    );

    // Each change is undone by the one after it. Commits: 1, 2-4, 5-44, 45, 46.
    let cases = [
        ("UPDATE journal SET actor = 'bob' WHERE seq = 20", Some(5)),
        ("UPDATE journal SET actor = 'ann' WHERE seq = 20", None),
        ("UPDATE journal SET seq = 1000 WHERE seq = 45", Some(45)),
        ("UPDATE journal SET seq = 45 WHERE seq = 1000", None),
        ("UPDATE journal SET seq = 1000 WHERE seq = 46", Some(46)),
        ("UPDATE journal SET seq = 46 WHERE seq = 1000", None),
        (
            "INSERT INTO journal SELECT node, 47, version, at, tenant_id, actor, message_id, recipient_key, event, facts FROM journal WHERE seq = 46",
            Some(47),
        ),
        ("DELETE FROM journal WHERE seq = 47", None),
        ("DELETE FROM journal WHERE seq <= 4", None),
        ("DELETE FROM journal WHERE seq = 5", Some(5)),
        ("DELETE FROM journal WHERE seq <= 44", None),
        ("DELETE FROM journal_seal WHERE first_seq = 2", Some(2)),
    ];
    for (change, expected) in cases {
        let work = store.write("touch", move |tx| {
            Box::pin(async move {
                sqlx::query(change)
                    .execute(tx.conn().await?)
                    .await
                    .named("touch")?;
                Ok(())
            })
        });
        work.await.expect(change);
        let found = crate::journal::sql::verify(&store).await.expect("checked");
        assert_eq!(found, expected, "{change}");
    }
}
