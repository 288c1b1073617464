//! What the operator types, with the real binary: a gateway from nothing, every verb with and without a running carepost, and
//! the ways in which it refuses to start.

use std::path::Path;

use serde_json::Value;

use crate::dns::Dns;
use crate::world::{Gateway, HEALTH, Identity, RELAY, SUBMISSION, carepost, loopback, run};

/// `init --demo-ca` in a folder that does not exist yet.
fn init(dir: &Path) -> (std::process::Command, std::net::Ipv4Addr) {
    let ip = loopback();
    let mut command = carepost();
    command
        .args([
            "init",
            "--demo-ca",
            "--domain",
            "direct.new.test",
            "--hostname",
            "gw.direct.new.test",
            "--dir",
        ])
        .arg(dir)
        .args(["--listen-relay", &format!("{ip}:{RELAY}")])
        .args(["--listen-submission", &format!("{ip}:{SUBMISSION}")])
        .args(["--health", &format!("{ip}:{HEALTH}")]);
    (command, ip)
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Every verb on live state, and what it must show.
fn verbs(gateway: &Gateway, who: &str) {
    let address = format!("{who}@direct.new.test");
    gateway.person(&address);
    let listed = gateway.ask(&["address", "list"]);
    assert!(
        array(&listed)
            .iter()
            .any(|row| row["address"] == address.as_str()),
        "{listed:#}"
    );
    let listed = gateway.ask(&["account", "list"]);
    assert!(
        array(&listed)
            .iter()
            .any(|row| row["name"] == address.as_str()),
        "{listed:#}"
    );
    gateway.ask(&["account", "password", "revoke", &address, "--label", "desk"]);
    gateway.ask(&["address", "rm", &address]);
    let listed = gateway.ask(&["address", "list"]);
    assert!(
        !array(&listed)
            .iter()
            .any(|row| row["address"] == address.as_str()),
        "{listed:#}"
    );

    let folder = tempfile::tempdir().expect("a folder");
    let partner = Identity::new(folder.path(), &format!("direct.{who}.test"));
    gateway.trust(&partner);
    let anchors = gateway.ask(&["anchor", "list"]);
    let row = array(&anchors)
        .iter()
        .find(|row| row["label"] == partner.domain.as_str());
    let fingerprint = row.expect("the anchor")["fingerprint"]
        .as_str()
        .expect("text")
        .to_owned();
    gateway.ask(&["anchor", "rm", &fingerprint]);
    let anchors = gateway.ask(&["anchor", "list"]);
    assert!(
        !array(&anchors)
            .iter()
            .any(|row| row["fingerprint"] == fingerprint.as_str()),
        "{anchors:#}"
    );
    gateway.refused(1, &["anchor", "rm", &fingerprint]);

    assert_eq!(
        gateway.ask(&["domain", "list"])[0]["name"],
        "direct.new.test"
    );
    let record = gateway.ask(&["cert", "list", "--dns"])[0]["record"].clone();
    assert!(
        record
            .as_str()
            .is_some_and(|record| record.contains("IN CERT PKIX 0 0 MII")),
        "{record}"
    );
    assert_eq!(array(&gateway.ask(&["queue", "list"])).len(), 0);
    assert_eq!(array(&gateway.ask(&["message", "list"])).len(), 0);
    gateway.refused(1, &["message", "show", "00000000000000000000000000"]);
}

/// `init` makes a gateway that `serve` runs as it stands; `check` and `health` say what is missing; every verb works through the
/// running carepost and, the same, alone.
#[test]
fn a_new_gateway_runs_as_it_stands_and_every_verb_works_with_and_without_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("gateway");
    let (mut command, ip) = init(&dir);
    let made = run(&mut command);
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    for part in [
        "DNS records to publish:",
        "IN CERT PKIX 0 0 ",
        "What still blocks real mail:",
        "carepost serve --config",
    ] {
        assert!(said.contains(part), "init does not say {part}: {said}");
    }
    let mut gateway = Gateway::at(dir, "direct.new.test", ip);
    gateway.refused(69, &["health"]);
    verbs(&gateway, "alone");

    gateway.serve();
    verbs(&gateway, "running");
    let output = gateway
        .command(&["--json", "check"])
        .output()
        .expect("starts");
    assert_eq!(
        output.status.code(),
        Some(1),
        "a demo CA must still block real mail"
    );
    let items: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let open: Vec<_> = array(&items)
        .iter()
        .filter(|item| item["done"] != true)
        .collect();
    assert!(
        open.iter()
            .all(|item| item["do"].as_str().is_some_and(|text| !text.is_empty())),
        "{items:#}"
    );
    let output = gateway
        .command(&["--json", "health"])
        .output()
        .expect("starts");
    let health: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    // The resolvers of this machine are not ours to vouch for.
    for check in array(&health["checks"])
        .iter()
        .filter(|check| check["name"] != "dns")
    {
        assert_eq!(check["ok"], true, "{check:#}");
    }
    // What was done is in the journal, and a stop and a start change nothing.
    gateway.stop();
    verbs(&gateway, "afterwards");
    gateway.serve();
    gateway.stop();
}

/// `init` never overwrites: one file in the way, and nothing is touched.
#[test]
fn init_refuses_to_overwrite() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("gateway");
    run(&mut init(&dir).0);
    let kek = std::fs::read(dir.join("kek")).expect("a key");
    let output = init(&dir).0.output().expect("starts");
    assert_eq!(output.status.code(), Some(73));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("nothing was changed") && said.contains("\n  do: "),
        "{said}"
    );
    assert_eq!(std::fs::read(dir.join("kek")).expect("a key"), kek);
}

/// A small gateway of an identity of its own.
fn gateway(folder: &Path) -> (Gateway, Dns) {
    let dns = Dns::start();
    let identity = Identity::new(folder, "direct.new.test");
    (Gateway::init(folder, &identity, &dns), dns)
}

/// A typing error in the configuration is told with file, line and the key that was meant.
#[test]
fn an_unknown_key_is_told_with_file_line_and_the_nearest_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let (gateway, _dns) = gateway(folder.path());
    gateway.configure("message_size = ", "mesage_size = ");
    let text = std::fs::read_to_string(gateway.config()).expect("a file");
    let line = 1 + text
        .lines()
        .position(|line| line.starts_with("mesage_size"))
        .expect("the line");
    let said = gateway.refused(78, &["serve"]);
    let place = format!("{}:{line}:", gateway.config().display());
    assert!(
        said.contains(&place) && said.contains("did you mean `message_size`?"),
        "{said}"
    );
    gateway.configure("mesage_size = ", "message_size = ");
    gateway.ask(&["domain", "list"]);
}

/// A port that is taken is named, with what to do; freed, the same configuration starts.
#[test]
fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut gateway, _dns) = gateway(folder.path());
    let taken = std::net::TcpListener::bind((gateway.ip, SUBMISSION)).expect("free");
    let said = gateway.refused(69, &["serve"]);
    let port = format!("{}:{SUBMISSION}", gateway.ip);
    assert!(said.contains(&port) && said.contains("\n  do: "), "{said}");
    drop(taken);
    gateway.serve();
}

/// Without the key-encryption key nothing starts, and the message says that a new key will not help.
#[test]
fn a_missing_key_encryption_key_stops_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut gateway, _dns) = gateway(folder.path());
    let (key, away) = (gateway.dir.join("kek"), gateway.dir.join("kek.away"));
    std::fs::rename(&key, &away).expect("moved");
    for verb in [["serve"].as_slice(), &["domain", "list"]] {
        let said = gateway.refused(78, verb);
        assert!(
            said.contains("key-encryption key") && said.contains("\n  do: "),
            "{said}"
        );
    }
    assert!(!key.exists(), "a new key was made");
    std::fs::rename(&away, &key).expect("moved");
    gateway.serve();
}

/// A key that is well formed and another one would make every domain unusable, and what arrives now unreadable later.
#[test]
fn the_key_encryption_key_of_another_gateway_stops_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut gateway, _dns) = gateway(folder.path());
    let key = gateway.dir.join("kek");
    let right = std::fs::read_to_string(&key).expect("a key");
    let turned = right
        .replace(['0', '1', '2', '3'], "4")
        .replace(['a', 'b'], "c");
    assert_ne!(turned, right);
    std::fs::write(&key, turned).expect("written");
    for verb in [["serve"].as_slice(), &["domain", "list"]] {
        let said = gateway.refused(78, verb);
        assert!(
            said.contains("not the one of this database") && said.contains("\n  do: "),
            "{said}"
        );
    }
    std::fs::write(&key, right).expect("written");
    gateway.serve();
}

/// A database that a newer carepost has changed is left alone.
#[test]
fn a_database_from_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut gateway, _dns) = gateway(folder.path());
    gateway.sql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', 1, x'00', 0)",
    );
    for verb in [["serve"].as_slice(), &["domain", "list"]] {
        let said = gateway.refused(78, verb);
        assert!(said.contains("9999") && said.contains("\n  do: "), "{said}");
    }
    gateway.sql("DELETE FROM _sqlx_migrations WHERE version = 9999");
    gateway.serve();
}

/// One process owns the store: a second `serve` and a command that cannot reach the first are turned away, and nothing is broken.
#[test]
fn one_process_owns_the_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut gateway, _dns) = gateway(folder.path());
    gateway.serve();
    let said = gateway.refused(75, &["serve"]);
    assert!(said.contains("in use by another carepost"), "{said}");
    gateway.ask(&["domain", "list"]);
    // Without its socket the running one cannot be asked; its lock still holds.
    let (socket, away) = (
        gateway.dir.join("admin.sock"),
        gateway.dir.join("away.sock"),
    );
    std::fs::rename(&socket, &away).expect("moved");
    gateway.refused(75, &["domain", "list"]);
    std::fs::rename(&away, &socket).expect("moved");
    gateway.ask(&["domain", "list"]);
    gateway.stop();
    gateway.ask(&["domain", "list"]);
}
