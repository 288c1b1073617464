//! Every key that the file may hold, with its default, unit and reason: one list, from which unknown keys
//! are recognised, the file that `init` writes is made, and `docs/config.md` is tested. In: nothing. Out:
//! the list, and a commented file.

use std::fmt::Write as _;

/// One key of one section.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// `listener` is the name of `[[listener]]`.
    pub section: &'static str,
    pub name: &'static str,
    /// As TOML; empty: it has none.
    pub default: &'static str,
    /// What the number or text is.
    pub unit: &'static str,
    /// What it is for, and why one would change it.
    pub why: &'static str,
}

const fn key(
    section: &'static str,
    name: &'static str,
    default: &'static str,
    unit: &'static str,
    why: &'static str,
) -> Key {
    Key {
        section,
        name,
        default,
        unit,
        why,
    }
}

/// The sections in the order of the file, with a sentence each.
pub const SECTIONS: &[(&str, &str)] = &[
    ("node", "This host."),
    (
        "store",
        "Where messages are kept. Relative paths start at data_dir.",
    ),
    (
        "admin",
        "What the operator and the monitoring talk to. Never reachable from outside.",
    ),
    (
        "tls",
        "Certificate and key of the listeners. Relative paths start at this file's folder.",
    ),
    (
        "listener",
        "One block a port. `relay` takes mail from other HISPs; `submission` from your clinics, who log in.",
    ),
    ("dns", "Who answers questions about names."),
    ("relay", "The way to other HISPs."),
    (
        "revocation",
        "Whether certificates of others were revoked: asked of the CRLs and OCSP responders that they name.",
    ),
    (
        "fetch",
        "How CRLs, OCSP answers, issuers' certificates and trust bundles are fetched.",
    ),
    ("limits", "Caps. Each default says where it comes from."),
    ("log", "What is written to standard error."),
];

/// Every key.
pub const KEYS: &[Key] = &[
    key(
        "node",
        "hostname",
        "",
        "fully qualified name",
        "Said in the greeting, in EHLO and in reports; other HISPs compare it with DNS.",
    ),
    key(
        "node",
        "data_dir",
        r#""/var/lib/carepost""#,
        "path",
        "The folder that holds what must be backed up. Relative: from this file's folder.",
    ),
    key(
        "store",
        "database",
        r#""carepost.db""#,
        "path",
        "The SQLite database. Needs a local disk: SQLite's locks do not hold over NFS.",
    ),
    key(
        "store",
        "blobs",
        r#""blobs""#,
        "path",
        "Folder of large messages, encrypted.",
    ),
    key(
        "store",
        "kek_file",
        r#""kek""#,
        "path",
        "The key-encryption key. CAREPOST_KEK_FILE or the systemd credential carepost-kek come before it. Keep a copy elsewhere.",
    ),
    key(
        "admin",
        "socket",
        r#""admin.sock""#,
        "path",
        "Commands reach the running carepost here; only its own user may. Relative: from data_dir.",
    ),
    key(
        "admin",
        "health",
        r#""127.0.0.1:8090""#,
        "loopback address:port",
        "/healthz/live and /healthz/ready. Loopback only: the answer names domains and faults.",
    ),
    key(
        "tls",
        "certificate",
        r#""tls.crt""#,
        "path, PEM",
        "Certificate of the listeners, leaf first, then intermediates.",
    ),
    key(
        "tls",
        "key",
        r#""tls.key""#,
        "path, PEM",
        "Its private key.",
    ),
    key(
        "tls",
        "ca_file",
        "",
        "path, PEM",
        "Roots that verify the mail systems of your clinics. Without it: those of the operating system.",
    ),
    key(
        "listener",
        "kind",
        "",
        "relay | submission",
        "Who may connect, and what is asked of them.",
    ),
    key(
        "listener",
        "address",
        "",
        "address:port",
        "Where to listen. Ports below 1024 need CAP_NET_BIND_SERVICE.",
    ),
    key(
        "listener",
        "tls",
        r#""starttls""#,
        "starttls | implicit | off",
        "implicit is for port 465. off is possible for relay alone: passwords never travel in clear.",
    ),
    key(
        "dns",
        "servers",
        "[]",
        "list of address or address:port",
        "Recursive resolvers to ask. Empty: those of /etc/resolv.conf.",
    ),
    key(
        "relay",
        "port",
        "25",
        "port",
        "Port of other HISPs (RFC 5321 §4.5.4.2). Another one is for test networks.",
    ),
    key(
        "revocation",
        "mode",
        r#""hard""#,
        "hard | soft | off",
        "What follows if the status cannot be learnt within wait_s: refused (hard), or granted with a warning (soft). off asks nothing. A bundle may have its own.",
    ),
    key(
        "revocation",
        "scope",
        r#""all""#,
        "all | leaf",
        "Of which certificates the status is asked: every one below the anchor, or the leaf alone.",
    ),
    key(
        "revocation",
        "no_pointer",
        r#""accept""#,
        "accept | reject",
        "A certificate that names neither a CRL nor a responder: accepted and journalled, or of unknown status.",
    ),
    key(
        "revocation",
        "wait_s",
        "1800",
        "seconds",
        "How long a verdict waits for evidence. Less than the sender's 60 minutes, so that an answer still arrives.",
    ),
    key(
        "fetch",
        "allow",
        "[]",
        "list of networks",
        "Networks that may be fetched from though they are not public, such as \"10.1.2.0/24\". Others write the URLs: name no more than needed.",
    ),
    key(
        "fetch",
        "ca_file",
        "",
        "path, PEM",
        "Roots for https instead of those of the operating system. Relative: from this file's folder.",
    ),
    key(
        "limits",
        "message_size",
        "134217728",
        "octets",
        "Largest message. A 25 MB referral is 34 MiB in base64; images are larger.",
    ),
    key(
        "limits",
        "recipients",
        "100",
        "recipients",
        "Of one transaction. RFC 5321 §4.5.3.1.8 asks for at least 100.",
    ),
    key(
        "limits",
        "command_timeout_s",
        "300",
        "seconds",
        "Longest wait for one command. RFC 5321 §4.5.3.2.7 asks for 5 minutes; test suites ask for less.",
    ),
    key(
        "limits",
        "connections",
        "2000",
        "connections",
        "At once, all clients together. Each needs a file descriptor.",
    ),
    key(
        "limits",
        "connections_per_client",
        "50",
        "connections",
        "At once from one address (Postfix: 50). Raise it for a clinic behind one address.",
    ),
    key(
        "limits",
        "free_octets",
        "201326592",
        "octets",
        "Free space below which mail is deferred with 452: 1.5 times the largest message.",
    ),
    key(
        "limits",
        "free_inodes",
        "1000",
        "inodes",
        "Free inodes below which mail is deferred with 452.",
    ),
    key(
        "limits",
        "processed_wait_s",
        "3600",
        "seconds",
        "How long a recipient's HISP may take to confirm; then the sender is told of a failure. Test suites: 60 minutes.",
    ),
    key(
        "limits",
        "dispatched_wait_s",
        "3600",
        "seconds",
        "The same for the confirmation of delivery, where one was asked for.",
    ),
    key(
        "log",
        "format",
        r#""plain""#,
        "plain | json",
        "json is for log collectors.",
    ),
    key(
        "log",
        "filter",
        r#""info""#,
        "tracing filter",
        "warn | info | debug, or by station: \"info,carepost::relay=debug\". Never logs content.",
    ),
];

/// Keys of a section.
pub fn keys_of(section: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.section == section)
}

/// What `init` knows and the list does not.
#[derive(Clone, Debug, Default)]
pub struct Fill {
    /// (section, key, value): written instead of the default.
    pub values: Vec<(&'static str, &'static str, String)>,
    /// (kind, address, tls): one block each.
    pub listeners: Vec<(&'static str, String, &'static str)>,
}

impl Fill {
    fn value(&self, key: &Key) -> Option<String> {
        self.values
            .iter()
            .find(|(section, name, _)| *section == key.section && *name == key.name)
            .map(|(_, _, value)| quoted(value))
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The whole file: every key with its reason, unit and default.
pub fn template(fill: &Fill) -> String {
    let mut out = String::from(
        "# carepost: what this node needs at start; `carepost serve` must be restarted after a change.\n\
         # Domains, accounts, addresses and anchors are not here: see `carepost --help`.\n",
    );
    for (section, about) in SECTIONS {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "\n# {about}");
        if *section == "listener" {
            listeners(&mut out, fill);
        } else {
            let _ = writeln!(out, "[{section}]");
            for key in keys_of(section) {
                entry(&mut out, key, fill.value(key));
            }
        }
    }
    out
}

fn about(out: &mut String, key: &Key) {
    let default = if key.default.is_empty() {
        "none"
    } else {
        key.default
    };
    let _ = writeln!(
        out,
        "# {}\n# ({}; default {default})",
        key.why.replace('\n', " "),
        key.unit
    );
}

fn entry(out: &mut String, key: &Key, value: Option<String>) {
    about(out, key);
    let _ = match value {
        Some(value) => writeln!(out, "{} = {value}", key.name),
        None if key.default.is_empty() => writeln!(out, "# {} = \"...\"", key.name),
        None => writeln!(out, "{} = {}", key.name, key.default),
    };
}

fn listeners(out: &mut String, fill: &Fill) {
    for key in keys_of("listener") {
        let _ = writeln!(out, "# {}:", key.name);
        about(out, key);
    }
    for (kind, address, tls) in &fill.listeners {
        let _ = writeln!(
            out,
            "[[listener]]\nkind = {}\naddress = {}\ntls = {}\n",
            quoted(kind),
            quoted(address),
            quoted(tls)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The row of `docs/config.md` for a key.
    fn row(key: &Key) -> String {
        let default = if key.default.is_empty() {
            "none".to_owned()
        } else {
            format!("`{}`", key.default)
        };
        let unit = key.unit.replace('|', "\\|");
        let why = key.why.replace('|', "\\|");
        format!("| `{}` | {default} | {unit} | {why} |", key.name)
    }

    #[test]
    fn the_doc_lists_every_key_with_default_unit_and_reason() {
        let doc = include_str!("../../docs/config.md");
        for (section, _) in SECTIONS {
            let heading = if *section == "listener" {
                "## `[[listener]]`".to_owned()
            } else {
                format!("## `[{section}]`")
            };
            let part = doc
                .split("\n## ")
                .find(|part| format!("## {part}").starts_with(&heading));
            let part = part.unwrap_or_else(|| panic!("docs/config.md lacks {heading}"));
            let mut rows = 0;
            for key in keys_of(section) {
                assert!(
                    part.contains(&row(key)),
                    "docs/config.md lacks: {}",
                    row(key)
                );
                rows += 1;
            }
            let listed = part.lines().filter(|line| line.starts_with("| `")).count();
            assert_eq!(listed, rows, "{heading} lists a key that is not known");
        }
    }
}
