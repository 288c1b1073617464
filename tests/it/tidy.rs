//! What no compiler checks and every reader relies on: the map is complete, files say what they are for, functions stay short,
//! and each outside thing is touched in the places that are listed here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Functions that were longer than [`FUNCTION_MAX`] when the rule began, as `file::function` with their lines. None may grow;
/// one that has become shorter than here must be listed shorter, or not at all.
const LONG_FUNCTIONS: &[(&str, usize)] = &[
    ("src/notify/sql.rs::commit_report", 93),
    ("src/spool.rs::load", 84),
    ("src/trust/verdict.rs::commit_grant", 74),
    (
        "src/trust/check/tests/forms.rs::the_frame_of_an_extension_and_of_a_certificate_is_read_strictly",
        124,
    ),
    (
        "src/trust/check/tests/sections.rs::section_13_mail_hosts_uris_and_addresses_are_constrained_by_form",
        123,
    ),
    (
        "src/trust/check/tests/sections.rs::sections_10_and_11_policies_are_mapped_and_mapping_is_inhibited",
        121,
    ),
    (
        "src/trust/filter.rs::each_rule_of_a_filter_refuses_by_its_name_and_an_empty_filter_refuses_nothing",
        116,
    ),
];
/// Lines of a function.
const FUNCTION_MAX: usize = 70;
/// Characters of a line of comment. Code is rustfmt's; what stands in quotes is not broken.
const LINE_MAX: usize = 120;

/// Who names what, outside of tests. A file that is not listed does not.
const TOUCHES: &[(&[&str], &[&str])] = &[
    // TCP and UDP. All else gets a `world::Socket`.
    (
        &[
            "tokio::net::Tcp",
            "tokio::net::Udp",
            "tokio::net::{Tcp",
            "std::net::Tcp",
            "std::net::Udp",
            "TcpListener",
            "TcpStream",
            "UdpSocket",
        ],
        &["src/world.rs", "src/relay/stream.rs", "src/demo/"],
    ),
    // Unix sockets: the operator's, and LMTP.
    (
        &["UnixListener", "UnixStream"],
        &[
            "src/admin/socket.rs",
            "src/cli/connect.rs",
            "src/relay/",
            "src/deliver/",
        ],
    ),
    // The one face over OpenSSL; randomness comes from it too; and the store seals its own frames, which nobody else reads.
    (
        &["openssl::", "openssl_probe::", "tokio_openssl::"],
        &["src/crypto/", "src/world.rs", "src/store/at_rest.rs"],
    ),
    (&["hickory_"], &["src/discover/", "src/demo/dns.rs"]),
    (&["lettre::"], &["src/relay/", "src/demo/"]),
    // Simulations and tests stand or fall with these.
    (&["SystemTime", "Instant", "tokio::time"], &["src/world.rs"]),
];

/// SQL stays beside its station: the files that name sqlx.
const SQL: &[&str] = &[
    "src/admin/certs.rs",
    "src/admin/check.rs",
    "src/admin/health.rs",
    "src/admin/messages.rs",
    "src/admin/queue.rs",
    "src/directory/accounts.rs",
    "src/directory/addresses.rs",
    "src/directory/csv.rs",
    "src/directory/domains.rs",
    "src/directory/snapshot.rs",
    "src/draft/mod.rs",
    "src/queue/legs.rs",
    "src/queue/operator.rs",
    "src/spool.rs",
    "src/trust/verdict.rs",
];

/// The ways back from a row to a value, each in its own module and taking a row that only that module's store code can build.
const RESTORES: &[&str] = &[
    "src/certs/keyring.rs: fn restore(kek: &KeyEncryptionKey, row: &StoredIdentity) -> Result<Option<Identity>, String> {",
    "src/spool.rs: pub fn restore(row: AcceptedRow) -> Self {",
    "src/store/body.rs: pub(super) fn restore(",
    "src/trust/judge.rs: pub fn restore(row: GrantRow) -> Self {",
];

struct Source {
    /// `src/relay/mod.rs`
    name: String,
    text: String,
}

impl Source {
    /// Without the tests: a file of tests has nothing else.
    fn code(&self) -> &str {
        let tests = ["/tests.rs", "/testing.rs", "/hostile.rs", "/interop.rs"];
        if tests.iter().any(|end| self.name.ends_with(end)) {
            return "";
        }
        let code = self
            .text
            .split("\n#[cfg(test)]\nmod ")
            .next()
            .unwrap_or_default();
        code.split("\n#[cfg(test)]\npub(crate) mod ")
            .next()
            .unwrap_or_default()
    }

    /// The code without what is said about it.
    fn statements(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.code().lines().enumerate();
        lines
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .map(|(at, line)| (at + 1, line))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    files(&root().join("src"), &mut found);
    found.sort();
    let read = |path: &PathBuf| Source {
        name: path
            .strip_prefix(root())
            .expect("inside")
            .display()
            .to_string(),
        text: std::fs::read_to_string(path).expect("UTF-8"),
    };
    found.iter().map(read).collect()
}

fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// Each file begins with what comes in, what goes out, what it promises.
#[test]
fn each_file_says_what_it_is_for() {
    let silent = sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//! "));
    none(
        &silent
            .map(|source| format!("{} does not begin with //!", source.name))
            .collect::<Vec<_>>(),
    );
}

/// Functions fit on a screen; those that did not are listed and may only shrink.
#[test]
fn no_function_outgrows_a_screen() {
    let mut complaints = Vec::new();
    let mut found = BTreeMap::new();
    for source in sources() {
        for (name, lines) in functions(&source.text) {
            let most = found.entry(format!("{}::{name}", source.name)).or_insert(0);
            *most = lines.max(*most);
        }
    }
    for (name, lines) in &found {
        let allowed = LONG_FUNCTIONS.iter().find(|(listed, _)| listed == name);
        let most = allowed.map_or(FUNCTION_MAX, |(_, lines)| *lines);
        if *lines > most {
            complaints.push(format!("{name} has {lines} lines, {most} are allowed"));
        }
        if allowed.is_some() && *lines < most {
            complaints.push(format!("{name} has shrunk to {lines} lines: list it so"));
        }
    }
    for (name, _) in LONG_FUNCTIONS {
        if !found.contains_key(*name) {
            complaints.push(format!("{name} is listed and gone"));
        }
    }
    none(&complaints);
}

/// Name and lines of each function: from its `fn` to the brace that closes it at the same depth (rustfmt's layout).
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let words = line.trim_start();
        let Some((before, after)) = words.split_once("fn ") else {
            continue;
        };
        let modifiers = ["pub", "pub(super)", "pub(crate)", "async", "const"];
        if !before
            .split_whitespace()
            .all(|word| modifiers.contains(&word))
        {
            continue;
        }
        let name: String = after
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        let close = format!("{}}}", " ".repeat(indent));
        let end = lines[at..]
            .iter()
            .position(|line| *line == close || (line.ends_with("{}") && line.starts_with(words)));
        if let Some(length) = end {
            found.push((name, length + 1));
        }
    }
    found
}

/// Comments are readable beside the code.
#[test]
fn lines_of_comment_are_short() {
    let mut complaints = Vec::new();
    for source in sources() {
        for (at, line) in source.text.lines().enumerate() {
            if line.trim_start().starts_with("//") && line.chars().count() > LINE_MAX {
                complaints.push(format!(
                    "{}:{}: more than {LINE_MAX} characters",
                    source.name,
                    at + 1
                ));
            }
        }
    }
    none(&complaints);
}

/// The map of the house is complete: `src/lib.rs` and docs/ARCHITECTURE.md name each entry of `src/`.
#[test]
fn the_map_is_complete() {
    let lib = std::fs::read_to_string(root().join("src/lib.rs")).expect("the map");
    // Not written yet while a first version is built.
    let page = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).ok();
    let mut complaints = Vec::new();
    for entry in std::fs::read_dir(root().join("src")).expect("src") {
        let entry = entry
            .expect("an entry")
            .file_name()
            .into_string()
            .expect("UTF-8");
        let module = entry.trim_end_matches(".rs");
        if !["lib", "main"].contains(&module) && !lib.contains(&format!("\npub mod {module};\n")) {
            complaints.push(format!("src/lib.rs does not name {module}"));
        }
        if page.as_ref().is_some_and(|page| !page.contains(module)) {
            complaints.push(format!("docs/ARCHITECTURE.md does not name {entry}"));
        }
    }
    none(&complaints);
}

/// Clock, sockets, OpenSSL, DNS, SMTP and SQL are named where they are listed, and nowhere else.
#[test]
fn each_outside_thing_is_touched_in_its_place() {
    let mut complaints = Vec::new();
    for source in sources() {
        for (at, line) in source.statements() {
            for (names, places) in TOUCHES {
                let named = names.iter().find(|name| names_it(line, name));
                let allowed = places.iter().any(|place| source.name.starts_with(place));
                if let Some(name) = named.filter(|_| !allowed) {
                    complaints.push(format!("{}:{at}: {name}", source.name));
                }
            }
            let sql = source.name.ends_with("/sql.rs") || source.name.starts_with("src/store/");
            if names_it(line, "sqlx::") && !sql && !SQL.contains(&source.name.as_str()) {
                complaints.push(format!("{}:{at}: sqlx", source.name));
            }
        }
    }
    none(&complaints);
}

/// Whether a line names it as a word of its own.
fn names_it(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + name.len()..].chars().next();
        let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let open = name.ends_with("::")
            || name.ends_with('_')
            || name.ends_with("Tcp")
            || name.ends_with("Udp");
        !word(before) && (open || !word(after))
    })
}

/// Nothing unfinished, and nothing printed but by the commands.
#[test]
fn nothing_is_left_to_do_and_only_commands_print() {
    let mut complaints = Vec::new();
    for source in sources() {
        for (at, line) in source.statements() {
            for name in [
                "todo!",
                "unimplemented!",
                "dbg!",
                "println!",
                "eprintln!",
                "print!",
                "eprint!",
            ] {
                if names_it(line, name.trim_end_matches('!')) && line.contains(&format!("{name}("))
                {
                    complaints.push(format!("{}:{at}: {name}", source.name));
                }
            }
        }
    }
    none(&complaints);
}

/// Standards are named in one form, `RFC 5321 §4.5.2`, so that a search finds them all.
#[test]
fn standards_are_named_in_one_form() {
    let mut complaints = Vec::new();
    for source in sources() {
        for (at, line) in source.text.lines().enumerate() {
            let comment = line.trim_start().starts_with("//");
            for (start, _) in line.match_indices("RFC").filter(|_| comment) {
                let rest = &line[start + 3..];
                let number = rest.strip_prefix(' ').unwrap_or("");
                let digits = number.chars().take_while(char::is_ascii_digit).count();
                let after = number
                    .get(digits..)
                    .unwrap_or_default()
                    .to_ascii_lowercase();
                let section = [" sec", ", sec", "§", ", §", " s."]
                    .iter()
                    .any(|form| after.starts_with(form));
                // `RFC822` alone is a word of MIME; a number on the next line is found by no search.
                let torn = rest.is_empty()
                    || (rest.starts_with(|c: char| c.is_ascii_digit()) && !rest.starts_with("822"));
                if torn || (digits > 0 && section) {
                    complaints.push(format!("{}:{}: {}", source.name, at + 1, &line[start..]));
                }
            }
        }
    }
    none(&complaints);
}

/// Values that stand for something verified come back from a row in these functions alone.
#[test]
fn there_is_one_way_back_for_each_proof() {
    let mut found = BTreeSet::new();
    for source in sources() {
        for (_, line) in source
            .statements()
            .filter(|(_, line)| line.contains("fn restore("))
        {
            found.insert(format!("{}: {}", source.name, line.trim()));
        }
    }
    let listed: BTreeSet<String> = RESTORES.iter().map(|line| (*line).to_owned()).collect();
    assert_eq!(found, listed);
}

/// A row of docs/conformance.md that names a test names one that exists: `module::tests::name`, or `it::file::name`.
#[test]
fn the_conformance_page_names_tests_that_exist() {
    let page = root().join("docs/conformance.md");
    // Not written yet while a first version is built.
    let Ok(page) = std::fs::read_to_string(page) else {
        return;
    };
    let mut complaints = Vec::new();
    for row in page.lines().filter(|line| line.starts_with('|')) {
        for name in row.split('`').skip(1).step_by(2) {
            let is_test = name.starts_with("it::") || name.contains("::tests::");
            if is_test && !exists(name) {
                complaints.push(format!(
                    "docs/conformance.md names {name}, which is not there"
                ));
            }
        }
    }
    none(&complaints);
}

fn exists(test: &str) -> bool {
    let (module, function) = test.rsplit_once("::").unwrap_or_default();
    let module = module.trim_end_matches("::tests").replace("::", "/");
    let places = match module.strip_prefix("it/") {
        Some(file) => vec![format!("tests/it/{file}.rs")],
        None => ["{}.rs", "{}/mod.rs", "{}/tests.rs"]
            .map(|form| format!("src/{}", form.replace("{}", &module)))
            .to_vec(),
    };
    let text = |place: &String| std::fs::read_to_string(root().join(place)).unwrap_or_default();
    places
        .iter()
        .any(|place| text(place).contains(&format!("fn {function}(")))
}
