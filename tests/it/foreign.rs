//! docs/foreign-mail.md is a promise: whoever types it gets what it says. This types it.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::linter;
use crate::world::{loopback, run};

/// The commands of the page, in order.
fn commands(page: &str) -> String {
    let blocks = page.split("\n```sh\n").skip(1);
    let blocks: Vec<&str> = blocks
        .filter_map(|rest| rest.split("\n```").next())
        .collect();
    assert!(blocks.len() > 5, "the page has lost its commands");
    blocks.join("\n")
}

/// A message that was signed and encrypted by `openssl cms` and sent by `swaks` is delivered, and its MDN can be opened and
/// verified by `openssl cms`: by the very commands of docs/foreign-mail.md, with nsd answering for both domains.
#[test]
fn the_page_about_foreign_mail_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/foreign-mail.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let script = format!(
        "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n{}\n",
        commands(&page)
    );
    let binary = Path::new(env!("CARGO_BIN_EXE_carepost"));
    let path = format!(
        "{}:{}:/usr/sbin",
        binary.parent().expect("a folder").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    // Bounded by the machine's own clock, so that a page that waits in vain ends.
    run(Command::new("timeout")
        .args(["180", "bash", "-c", &script])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("IP", loopback().to_string())
        .stdin(Stdio::null()));

    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect(name);
    let files: Vec<_> = std::fs::read_dir(folder.path().join("mail/new"))
        .expect("a Maildir")
        .collect();
    assert_eq!(files.len(), 1);
    let mail = std::fs::read_to_string(files[0].as_ref().expect("a file").path()).expect("a mail");
    assert!(mail.contains("Please see Mrs. Sampleton"), "{mail}");
    let sealed = read("sealed.eml");
    assert!(!sealed.contains("Sampleton"), "{sealed}");
    let mut complaints = linter::outer(&read("mdn.eml"));
    complaints.extend(linter::inner(&read("mdn.txt")));
    assert!(complaints.is_empty(), "{complaints:#?}");
    assert!(read("mdn.txt").contains("automatic-action/MDN-sent-automatically;processed"));
}
