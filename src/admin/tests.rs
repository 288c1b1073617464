//! What the verbs promise, over a real store and through the real socket.

use std::path::Path;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::*;
use crate::config::{self, Fill};
use crate::envelope::{Address, TrackingId};
use crate::journal::{Entry, Event, Reason};
use crate::queue::{self, Job, JobKind};
use crate::store::{KeyEncryptionKey, Named, Paths};
use crate::world::Timestamp;

const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

async fn gateway(dir: &Path) -> Handle {
    let text = config::template(&Fill {
        values: vec![
            ("node", "hostname", "mail.example.org".into()),
            ("node", "data_dir", ".".into()),
        ],
        listeners: vec![("relay", "127.0.0.1:1".into(), "starttls")],
    });
    let config = config::parse(&text, &dir.join("carepost.toml"), |_| None).expect("checked");
    let paths = Paths {
        database: config.database.clone(),
        blobs: config.blobs.clone(),
    };
    let key = KeyEncryptionKey::new([1; 32]);
    let store = Store::open(&paths, "node", key, World::at(NOW)).await;
    Handle::new(store.expect("opens"), Arc::new(config), None)
}

async fn ask(handle: &Handle, request: Value) -> Result<Value, Failure> {
    let request = serde_json::from_value(request).expect("a request");
    run(handle, Actor::Operator("ann".into()), request).await
}

async fn done(handle: &Handle, request: Value) -> Value {
    ask(handle, request).await.expect("done")
}

/// A queued message to `to`, with its job and a first journal entry.
async fn put_message(handle: &Handle, to: &str) -> TrackingId {
    let id = TrackingId::new(handle.world());
    let to = Address::parse(to).expect("an address");
    let put = handle.store.write("test", move |tx| {
        Box::pin(async move {
            sqlx::query(
                "INSERT INTO message (id, tenant_id, direction, kind, message_id, sender, sender_key, size, received_at)
                 VALUES ($1, 'default', 'out', 'message', '<1@d.example>', 'A@d.example', 'a@d.example', 9, $2)",
            )
            .bind(id.to_string())
            .bind(NOW.0)
            .execute(tx.conn().await?)
            .await
            .named("test")?;
            sqlx::query(
                "INSERT INTO leg (message_id, recipient_key, recipient, tenant_id, state, answer_due, updated_at)
                 VALUES ($1, $2, $3, 'default', 'queued', 1, $4)",
            )
            .bind(id.to_string())
            .bind(to.key())
            .bind(to.written())
            .bind(NOW.0)
            .execute(tx.conn().await?)
            .await
            .named("test")?;
            let job = Job {
                id: format!("{id}.1"),
                tenant: "default".into(),
                kind: JobKind::Relay,
                message: id,
                recipient_key: String::new(),
                destination: to.domain().to_owned(),
                expires_at: NOW.plus(crate::limits::PROCESSED_WAIT),
                created_at: NOW,
            };
            queue::sql::put(tx, &job, NOW).await?;
            let event = Event::RelayDeferred {
                reason: Reason::NoCertificate,
                detail: "no CERT".into(),
                attempt: 1,
                next: NOW.rfc3339(),
            };
            tx.record(Entry::leg("default", id, &to, event));
            Ok(())
        })
    });
    put.await.expect("written");
    id
}

#[tokio::test]
async fn domains_accounts_and_addresses_are_kept_and_listed() {
    let dir = tempfile::tempdir().expect("a folder");
    let handle = gateway(dir.path()).await;
    let add = json!({"verb": "domain-add", "name": "D.Example", "profile": "v1.3"});
    assert_eq!(
        done(&handle, add.clone()).await,
        json!({"domain": "d.example", "added": true})
    );
    assert_eq!(done(&handle, add).await["added"], false);
    let address = json!({"verb": "address-add", "address": "a@d.example", "route": "maildir:/m/a"});
    done(&handle, address).await;
    let account = json!({"verb": "account-add", "name": "Clinic", "addresses": ["a@d.example"]});
    assert_eq!(done(&handle, account).await["account"], "clinic");
    let password = json!({"verb": "account-password-add", "account": "clinic", "label": "pc"});
    let made = done(&handle, password).await;
    assert!(
        made["password"]
            .as_str()
            .is_some_and(|text| text.len() >= 16)
    );
    let listed = done(&handle, json!({"verb": "account-list"})).await;
    assert_eq!(listed[0]["passwords"][0]["label"], "pc");
    assert!(
        !listed
            .to_string()
            .contains(made["password"].as_str().unwrap_or("?"))
    );
    let listed = done(
        &handle,
        json!({"verb": "address-list", "domain": "d.example"}),
    )
    .await;
    assert_eq!(listed[0]["route"], "maildir:/m/a");
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_its_code_and_a_remedy() {
    let dir = tempfile::tempdir().expect("a folder");
    let handle = gateway(dir.path()).await;
    let add = json!({"verb": "domain-add", "name": "d.example", "profile": "v1.3"});
    done(&handle, add).await;
    let account = json!({"verb": "account-add", "name": "clinic", "addresses": []});
    done(&handle, account).await;
    for (request, code) in [
        (
            json!({"verb": "domain-add", "name": "localhost", "profile": "v1.3"}),
            exit::USAGE,
        ),
        (
            json!({"verb": "domain-add", "name": "e.example", "profile": "v9"}),
            exit::USAGE,
        ),
        (
            json!({"verb": "address-add", "address": "a@other.example", "route": "maildir:/m"}),
            exit::FAILED,
        ),
        (
            json!({"verb": "address-add", "address": "b@d.example", "route": "ftp:/m"}),
            exit::USAGE,
        ),
        (
            json!({"verb": "address-rm", "address": "b@d.example"}),
            exit::FAILED,
        ),
        (
            json!({"verb": "account-add", "name": "two words", "addresses": []}),
            exit::USAGE,
        ),
        (
            json!({"verb": "account-password-add", "account": "clinic", "label": "x", "chosen": "short"}),
            exit::USAGE,
        ),
        (
            json!({"verb": "anchor-import", "octets": "AAAA", "profile": "default", "direction": "both"}),
            exit::FAILED,
        ),
        (
            json!({"verb": "cert-import", "certificate": "AAAA"}),
            exit::FAILED,
        ),
        (
            json!({"verb": "message-show", "id": "nothing"}),
            exit::FAILED,
        ),
        (json!({"verb": "message-list", "limit": 0}), exit::USAGE),
    ] {
        let failure = ask(&handle, request.clone()).await.expect_err("refused");
        assert_eq!(failure.code, code, "{request}: {failure}");
        assert!(!failure.remedy.is_empty(), "{request}");
    }
}

#[tokio::test]
async fn a_message_is_found_by_filter_and_shown_with_its_timeline() {
    let dir = tempfile::tempdir().expect("a folder");
    let handle = gateway(dir.path()).await;
    let id = put_message(&handle, "B@x.example").await.to_string();
    for filter in [
        json!({"verb": "message-list"}),
        json!({"verb": "message-list", "address": "A@D.example"}),
        json!({"verb": "message-list", "address": "b@x.example", "state": "queued"}),
        json!({"verb": "message-list", "message_id": "1@d.example"}),
    ] {
        let listed = done(&handle, filter.clone()).await;
        assert_eq!(listed[0]["id"], id, "{filter}");
        assert_eq!(listed[0]["legs"][0]["recipient"], "B@x.example");
    }
    for filter in [
        json!({"verb": "message-list", "address": "c@d.example"}),
        json!({"verb": "message-list", "state": "failed"}),
    ] {
        assert_eq!(done(&handle, filter).await, json!([]));
    }
    for name in [
        id.to_lowercase(),
        "<1@d.example>".into(),
        "1@d.example".into(),
    ] {
        let shown = done(&handle, json!({"verb": "message-show", "id": name})).await;
        let text = shown[0]["timeline"][0]["text"].as_str().unwrap_or_default();
        assert!(
            text.starts_with("not now: no certificate is published"),
            "{text}"
        );
        assert_eq!(shown[0]["jobs"][0]["destination"], "x.example");
    }
}

#[tokio::test]
async fn work_is_held_released_and_cancelled_with_the_operators_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let handle = gateway(dir.path()).await;
    let id = put_message(&handle, "b@x.example").await.to_string();
    let state = async || {
        let shown = done(&handle, json!({"verb": "message-show", "id": id})).await;
        let leg = &shown[0]["legs"][0];
        (
            leg["state"].clone(),
            leg["reason"].clone(),
            shown[0]["jobs"][0]["state"].clone(),
        )
    };
    done(&handle, json!({"verb": "queue-retry", "id": id})).await;
    done(&handle, json!({"verb": "queue-hold", "id": id})).await;
    assert_eq!(
        state().await,
        (json!("held"), json!("held-by-operator"), json!("held"))
    );
    ask(&handle, json!({"verb": "queue-hold", "id": id}))
        .await
        .expect_err("held already");
    ask(&handle, json!({"verb": "queue-retry", "id": id}))
        .await
        .expect_err("held");
    done(
        &handle,
        json!({"verb": "queue-release", "id": format!("{id}.1")}),
    )
    .await;
    assert_eq!(
        state().await,
        (json!("queued"), Value::Null, json!("ready"))
    );
    done(&handle, json!({"verb": "message-cancel", "id": id})).await;
    assert_eq!(
        state().await,
        (
            json!("cancelled"),
            json!("cancelled-by-operator"),
            Value::Null
        )
    );
    ask(&handle, json!({"verb": "message-cancel", "id": id}))
        .await
        .expect_err("final");
    assert_eq!(
        done(&handle, json!({"verb": "queue-list"})).await,
        json!([])
    );
    let shown = done(&handle, json!({"verb": "message-show", "id": id})).await;
    let events: Vec<String> = shown[0]["timeline"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|moment| format!("{} {}", moment["actor"], moment["event"]).replace('"', ""))
        .collect();
    let wanted = [
        "carepost relay-deferred",
        "ann retried",
        "ann held",
        "ann released",
        "ann cancelled",
    ];
    assert_eq!(events, wanted);
}

#[tokio::test]
async fn what_a_worker_has_in_hand_is_not_cancelled() {
    let dir = tempfile::tempdir().expect("a folder");
    let handle = gateway(dir.path()).await;
    let id = put_message(&handle, "b@x.example").await.to_string();
    let leases = queue::sql::lease_due(&handle.store, 1)
        .await
        .expect("leased");
    assert_eq!(leases.len(), 1);
    let failure = ask(&handle, json!({"verb": "message-cancel", "id": id})).await;
    assert_eq!(failure.expect_err("refused").code, exit::TEMPFAIL);
    let shown = done(&handle, json!({"verb": "message-show", "id": id})).await;
    assert_eq!(shown[0]["legs"][0]["state"], "queued");
}

#[tokio::test]
async fn a_verb_answers_after_the_running_gateway_has_seen_its_change() {
    let dir = tempfile::tempdir().expect("a folder");
    let handle = gateway(dir.path()).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (store, noted) = (handle.store.clone(), Arc::clone(&seen));
    let handle = handle.refreshing(Arc::new(move || {
        noted.lock().expect("not poisoned").push(store.epoch());
        Box::pin(async { Ok(()) })
    }));
    let before = handle.store.epoch();
    let add = json!({"verb": "domain-add", "name": "d.example", "profile": "v1.3"});
    done(&handle, add.clone()).await;
    let after = handle.store.epoch();
    assert!(after > before);
    assert_eq!(*seen.lock().expect("not poisoned"), [after]);
    // What the gateway cannot see is not called done.
    let blind = handle.refreshing(Arc::new(|| Box::pin(async { Err(StoreError::Closed) })));
    let failure = ask(&blind, add).await.expect_err("not in force");
    assert_eq!(failure.code, exit::TEMPFAIL);
}

#[tokio::test]
async fn readiness_names_what_is_missing_and_the_socket_answers_line_by_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let handle = gateway(dir.path()).await;
    let (say, stop) = watch::channel(false);
    let path = dir.path().join("admin.sock");
    let serving = serve_socket(handle.clone(), path.clone(), stop)
        .await
        .expect("binds");
    let (reader, mut writer) = UnixStream::connect(&path)
        .await
        .expect("connects")
        .into_split();
    let mut lines = BufReader::new(reader).lines();
    writer
        .write_all(b"{\"verb\":\"health\"}\nnonsense\n")
        .await
        .expect("written");
    let mut answers = Vec::<Value>::new();
    for _ in 0..2 {
        let line = lines.next_line().await.expect("read").expect("a line");
        answers.push(serde_json::from_str(&line).expect("JSON"));
    }
    let checks = answers[0]["ok"]["checks"].as_array().expect("checks");
    let state: Vec<(&str, bool)> = checks
        .iter()
        .map(|check| {
            (
                check["name"].as_str().unwrap_or_default(),
                check["ok"] == true,
            )
        })
        .collect();
    let wanted = [
        ("database-write", true),
        ("free-space", true),
        ("key-encryption-key", true),
        ("identities", false),
        ("anchors", false),
        ("dns", false),
        ("live-settings", true),
    ];
    assert_eq!(state, wanted);
    assert_eq!(answers[1]["error"]["code"], exit::USAGE);
    say.send(true).expect("listening");
    serving.await.expect("ends");
    assert!(!path.exists());
}

#[tokio::test]
async fn probes_hear_live_and_not_ready_over_http() {
    use tokio::io::AsyncReadExt;
    let dir = tempfile::tempdir().expect("a folder");
    let handle = gateway(dir.path()).await;
    let world = handle.world().clone();
    // A free port, found by binding it and letting go.
    let free = world
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("binds");
    let address = free.local().expect("bound");
    drop(free);
    let (say, stop) = watch::channel(false);
    let serving = serve_health(handle.clone(), address, stop.clone())
        .await
        .expect("binds");
    let again = serve_health(handle, address, stop)
        .await
        .expect_err("in use");
    assert!(again.contains("\n  do: "), "{again}");
    for (place, status) in [("live", "200"), ("ready", "503"), ("else", "404")] {
        let wait = std::time::Duration::from_secs(5);
        let mut socket = world.connect(address, wait).await.expect("connects");
        let request =
            format!("GET /healthz/{place} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.expect("written");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.expect("read");
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
    say.send(true).expect("listening");
    serving.await.expect("ends");
}
