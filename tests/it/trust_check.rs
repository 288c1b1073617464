//! `carepost trust check` from outside: each option is heard, each wrong word is refused, and a batch of
//! thousands is answered line by line, whatever its lines and files hold.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use carepost::crypto::issue::{
    Issued, KeyKind, Purpose, Template, crl, issue, make_key, pem_certificate,
};
use carepost::world::{Timestamp, World};
use serde_json::{Value, json};

use crate::world::carepost;

const DAY: Duration = Duration::from_secs(86_400);

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-22T06:00:00Z").expect("a time")
}

fn made(name: &str, purpose: Purpose, issuer: Option<&Issued>) -> Issued {
    let template = Template {
        common_name: name.to_owned(),
        purpose,
        not_before: now().minus(DAY),
        not_after: now().plus(DAY),
        crl_url: None,
        claimed_ski: None,
    };
    let key = make_key(KeyKind::P256).expect("a key");
    issue(&World::at(now()), &template, &key, issuer).expect("issues")
}

/// Files of a small PKI: root.der, ca.pem, leaf.der, chain.pem (leaf and CA), none of them long.
fn pki(folder: &Path) {
    let ca = Purpose::Ca { path_len: None };
    let root = made("Root", ca.clone(), None);
    let middle = made("CA", ca, Some(&root));
    let ann = Purpose::Direct {
        address: Some("ann@d.example".to_owned()),
        domain: None,
    };
    let leaf = made("Ann", ann, Some(&middle));
    let write =
        |name: &str, octets: &[u8]| std::fs::write(folder.join(name), octets).expect("writes");
    let pem = |issued: &Issued| pem_certificate(&issued.certificate);
    write("root.der", &root.certificate);
    write("ca.pem", pem(&middle).as_bytes());
    write("leaf.der", &leaf.certificate);
    write(
        "chain.pem",
        format!("some words\n{}\n{}", pem(&leaf), pem(&middle)).as_bytes(),
    );
    write("junk", b"\x30\x82\xff\xff junk");
    write("half.pem", b"-----BEGIN CERTIFICATE-----\nMIIB");
    write("empty", b"");
    let (from, to) = (now().minus(DAY), now().plus(DAY));
    write("root.crl", &crl(&root, &[], from, to).expect("a CRL"));
    write("ca.crl", &crl(&middle, &[], from, to).expect("a CRL"));
}

/// The exit code and the answer of `trust check --json` with these words, in that folder.
fn ask(folder: &Path, words: &str) -> (i32, Value) {
    let output = carepost()
        .current_dir(folder)
        .args(["--json", "trust", "check"])
        .args(words.split_whitespace())
        .output()
        .expect("the program starts");
    let answer = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().expect("an exit code"), answer)
}

#[test]
fn every_option_is_heard_and_every_wrong_word_is_a_usage_error() {
    let folder = tempfile::tempdir().expect("a folder");
    pki(folder.path());
    let base = "--leaf leaf.der --intermediate ca.pem --anchor root.der --at 2026-11-22T06:00:00Z";
    let off = format!("{base} --revocation off");
    let alone = "--anchor root.der --at 2026-11-22T06:00:00Z --profile rfc5280";
    for (words, code, reason) in [
        (off.clone(), 0, None),
        (format!("{base} --profile rfc5280"), 0, None),
        (base.to_owned(), 75, Some("revocation-unknown")),
        (format!("{base} --revocation soft"), 0, None),
        (format!("{base} --crl root.crl ca.crl"), 0, None),
        (format!("{base} --crl root.crl --crl ca.crl"), 0, None),
        (
            format!("{base} --crl root.crl"),
            75,
            Some("revocation-unknown"),
        ),
        (
            format!("{base} --crl ca.crl --revocation-scope leaf"),
            0,
            None,
        ),
        (
            format!("{base} --profile rfc5280 --crl junk"),
            75,
            Some("revocation-unknown"),
        ),
        (format!("{off} --address ann@d.example"), 0, None),
        (
            format!("{off} --address bob@d.example"),
            1,
            Some("not-bound"),
        ),
        (format!("{off} --purpose encrypt"), 0, None),
        (
            format!("{off} --eku 1.3.6.1.5.5.7.3.1"),
            1,
            Some("wrong-usage"),
        ),
        (
            format!("{off} --eku any --purpose any --profile v1.2"),
            0,
            None,
        ),
        (format!("{off} --policy 1.2.3"), 0, None),
        (
            format!("{off} --policy 1.2.3 --require-explicit-policy"),
            1,
            Some("certificate-policy"),
        ),
        (
            format!("{off} --inhibit-policy-mapping --inhibit-any-policy"),
            0,
            None,
        ),
        (format!("--leaf chain.pem {alone}"), 0, None),
        (format!("--leaf leaf.der {alone}"), 1, Some("no-path")),
        (
            format!("--leaf leaf.der --intermediate junk half.pem empty none ca.pem {alone}"),
            0,
            None,
        ),
        (format!("--leaf none {alone}"), 1, Some("bad-certificate")),
        (format!("--leaf junk {alone}"), 1, Some("bad-certificate")),
        (
            format!("--leaf half.pem {alone}"),
            1,
            Some("bad-certificate"),
        ),
        (format!("--leaf empty {alone}"), 1, Some("bad-certificate")),
        (format!("--leaf . {alone}"), 1, Some("bad-certificate")),
        (
            "--leaf chain.pem --anchor junk --profile rfc5280".to_owned(),
            1,
            Some("no-path"),
        ),
        (
            base.replace("06:00:00Z", "06:00:00+01:00") + " --revocation off",
            0,
            None,
        ),
        (base.replace("2026-11-22", "2027-11-22"), 1, Some("expired")),
        (
            base.replace("2026-11-22", "1999-11-22"),
            1,
            Some("not-yet-valid"),
        ),
        (base.replace("2026-11-22T06:00:00Z", "2026-11-22"), 2, None),
        (base.replace("2026-11-22T06:00:00Z", "1795309323"), 2, None),
        (format!("{base} --revocation never"), 2, None),
        (format!("{base} --purpose both"), 2, None),
        (format!("{base} --profile v1.4"), 2, None),
        (format!("{base} --policy x.y"), 2, None),
        (format!("{base} --address nobody"), 2, None),
        (format!("{base} --porpoise"), 2, None),
        ("--leaf leaf.der".to_owned(), 2, None),
        ("--anchor root.der".to_owned(), 2, None),
        (String::new(), 2, None),
    ] {
        let (ended, answer) = ask(folder.path(), &words);
        assert_eq!(ended, code, "{words}: {answer:#}");
        assert_eq!(answer["reason"].as_str(), reason, "{words}: {answer:#}");
        if code == 0 {
            assert_eq!(answer["verdict"], "trusted", "{words}");
            assert_eq!(answer["path"].as_array().map(Vec::len), Some(3), "{words}");
        }
    }
}

/// A batch of these lines over standard input: the exit code and the answers.
fn batch(folder: &Path, lines: &[String]) -> (i32, Vec<Value>) {
    let mut child = Command::new(carepost().get_program())
        .current_dir(folder)
        .args(["trust", "check", "--batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut into = child.stdin.take().expect("a pipe");
    let text = lines.join("\n");
    let writer = std::thread::spawn(move || {
        into.write_all(text.as_bytes()).expect("writes");
    });
    let output = child.wait_with_output().expect("the program ends");
    writer.join().expect("written");
    let read = |line: &str| serde_json::from_str(line).expect("JSON");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    (
        output.status.code().expect("an exit code"),
        text.lines().map(read).collect(),
    )
}

#[test]
fn a_batch_of_thousands_is_answered_line_by_line_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    pki(folder.path());
    let line = |id: usize| match id % 5 {
        0 => json!({"id": id, "leaf": "chain.pem", "anchor": "root.der", "profile": "rfc5280",
                    "at": "2026-11-22T06:00:00Z"}),
        1 => {
            json!({"id": id, "leaf": "leaf.der", "intermediate": ["ca.pem"], "anchor": ["root.der"],
                    "crl": ["root.crl", "ca.crl"], "at": "2026-11-22T06:00:00Z"})
        }
        2 => json!({"id": id, "leaf": "junk", "anchor": "root.der"}),
        3 => json!({"id": id, "leaf": "chain.pem", "anchor": [], "profile": "rfc5280"}),
        _ => json!({"id": id, "leaf": "chain.pem", "anchor": "root.der", "profile": "rfc5280",
                    "at": "2030-01-01T00:00:00Z"}),
    };
    let lines: Vec<String> = (0..3_000).map(|id| line(id).to_string()).collect();
    let (code, answers) = batch(folder.path(), &lines);
    assert_eq!((code, answers.len()), (0, 3_000));
    for (id, answer) in answers.iter().enumerate() {
        let (verdict, reason) = match id % 5 {
            0 | 1 => ("trusted", Value::Null),
            2 => ("untrusted", json!("bad-certificate")),
            3 => ("untrusted", json!("no-path")),
            _ => ("untrusted", json!("expired")),
        };
        assert_eq!(answer["id"], id);
        assert_eq!(
            (&answer["verdict"], &answer["reason"]),
            (&json!(verdict), &reason),
            "{answer}"
        );
    }
}

#[test]
fn a_line_that_cannot_be_understood_is_answered_too_and_decides_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    pki(folder.path());
    let good = json!({"id": "good", "leaf": "chain.pem", "anchor": "root.der", "profile": "rfc5280",
                      "at": "2026-11-22T06:00:00Z"});
    let lines = [
        good.to_string(),
        "{".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        "\u{feff}{}".to_owned(),
        json!({"id": 7}).to_string(),
        json!({"id": 7, "leaf": 8, "anchor": "root.der"}).to_string(),
        json!({"id": 7, "leaf": "chain.pem", "anchor": "root.der", "at": "now"}).to_string(),
        json!({"id": 7, "leaf": "chain.pem", "anchor": "root.der", "anchors_of": "x"}).to_string(),
        json!({"id": 7, "leaf": "chain.pem", "anchor": "root.der", "policy": "1.2.x"}).to_string(),
        String::new(),
        "x".repeat(3 << 20),
        good.to_string(),
    ];
    let (code, answers) = batch(folder.path(), &lines);
    // Each line but the empty one.
    assert_eq!((code, answers.len()), (0, 12));
    for (at, answer) in answers.iter().enumerate() {
        let (verdict, reason) = match at {
            0 | 11 => ("trusted", Value::Null),
            _ => ("undetermined", json!("bad-question")),
        };
        assert_eq!(
            (&answer["verdict"], &answer["reason"]),
            (&json!(verdict), &reason),
            "{answer}"
        );
    }
    assert_eq!(answers[5]["id"], 7);
}
