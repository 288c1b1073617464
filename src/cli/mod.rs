//! What the operator types. In: arguments. Out: a table or JSON on standard output, two lines on standard
//! error if it failed, and an exit code of sysexits.h. Every verb goes through `admin`; nothing is decided
//! here.

mod account;
mod address;
mod anchor;
mod bundle;
mod cert;
mod check;
mod connect;
#[cfg(feature = "demo")]
mod demo;
mod domain;
mod health;
mod init;
mod message;
mod queue;
mod rules;
mod serve;
mod smime;
mod table;
mod trust;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::Value;

use crate::admin::{Failure, Request, exit};
use crate::config::{self, Config};

/// Where the configuration is if nobody says otherwise.
const CONFIG_FILE: &str = "/etc/carepost/carepost.toml";

/// A Direct Secure Messaging gateway.
#[derive(Debug, Parser)]
#[command(name = "carepost", version, about, propagate_version = true)]
struct Arguments {
    /// The configuration [default: $CAREPOST_CONFIG, else /etc/carepost/carepost.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Watch a referral travel between two gateways on this machine, every claim checked
    #[cfg(feature = "demo")]
    Demo(demo::Demo),
    /// Make a new gateway: configuration, keys, store
    Init(init::Init),
    /// Say what still blocks real mail
    Check,
    /// Run the gateway
    Serve,
    /// Ask the running gateway whether it can do its work
    Health,
    /// Domains that are ours
    #[command(subcommand)]
    Domain(domain::Domain),
    /// Logins of clinics
    #[command(subcommand)]
    Account(account::Account),
    /// Addresses and their routes
    #[command(subcommand)]
    Address(address::Address),
    /// Whom we trust
    #[command(subcommand)]
    Anchor(anchor::Anchor),
    /// Trust bundles that communities publish
    #[command(subcommand)]
    Bundle(Box<bundle::Bundle>),
    /// Our own certificates and keys
    #[command(subcommand)]
    Cert(cert::Cert),
    /// Messages: where they are and what happened to them
    #[command(subcommand)]
    Message(message::Message),
    /// Work that waits
    #[command(subcommand)]
    Queue(queue::Queue),
    /// S/MIME messages in files: open, verify, seal, inspect
    #[command(subcommand)]
    Smime(Box<smime::Smime>),
    /// The verdict on certificates, as a tool; trust profiles
    #[command(subcommand)]
    Trust(trust::Trust),
    /// The meaning of the exit codes
    ExitCodes,
}

const EXIT_CODES: &[(u8, &str)] = &[
    (
        0,
        "done; health: ready; check: nothing blocks; trust check: trusted; smime: accepted",
    ),
    (
        exit::FAILED,
        "it failed, for the reason that was told; health: not ready; check: something blocks; trust check: not trusted; smime: refused",
    ),
    (exit::USAGE, "the command line was wrong"),
    (
        exit::UNAVAILABLE,
        "what it needs is not there: no carepost runs, a port is in use",
    ),
    (exit::SOFTWARE, "our own fault: report it"),
    (
        exit::CANT_CREATE,
        "a file is there already, or cannot be made",
    ),
    (
        exit::TEMPFAIL,
        "try again later: the store is in use or full; trust check: status not to be had; smime: cannot tell now",
    ),
    (exit::NOPERM, "this user may not"),
    (
        exit::CONFIG,
        "the configuration, the key-encryption key or the database version does not fit",
    ),
];

/// Runs one verb.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return not_understood(&error),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(arguments.run()),
        Err(error) => Err(Failure::new(
            exit::TEMPFAIL,
            format!("no threads to work with: {error}"),
            "raise the limit on tasks of this user or unit",
        )),
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            err(&failure.to_string());
            ExitCode::from(failure.code)
        }
    }
}

/// Help and version are no errors; the rest is told in our two lines.
fn not_understood(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind as Kind;
    let text = error.render().to_string();
    match error.kind() {
        Kind::DisplayHelp | Kind::DisplayVersion => {
            out(&text);
            ExitCode::SUCCESS
        }
        Kind::DisplayHelpOnMissingArgumentOrSubcommand => {
            err(text.trim_end());
            ExitCode::from(exit::USAGE)
        }
        _ => {
            let told = text.split("\nUsage:").next().unwrap_or_default();
            let told = told
                .split("\nFor more information")
                .next()
                .unwrap_or_default();
            let lines: Vec<&str> = told
                .trim_start_matches("error: ")
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .collect();
            err(&format!(
                "{}\n  do: add --help to see what is possible",
                lines.join("; ")
            ));
            ExitCode::from(exit::USAGE)
        }
    }
}

impl Arguments {
    async fn run(self) -> Result<u8, Failure> {
        let place = self
            .config
            .or_else(|| std::env::var_os("CAREPOST_CONFIG").map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from(CONFIG_FILE));
        let desk = Desk {
            place,
            json: self.json,
        };
        match self.verb {
            #[cfg(feature = "demo")]
            Verb::Demo(verb) => return verb.run().await,
            Verb::Init(verb) => verb.run(&desk).await?,
            Verb::Check => return check::run(&desk).await,
            Verb::Serve => serve::run(&desk).await?,
            Verb::Health => return health::run(&desk).await,
            Verb::Domain(verb) => verb.run(&desk).await?,
            Verb::Account(verb) => verb.run(&desk).await?,
            Verb::Address(verb) => return verb.run(&desk).await,
            Verb::Anchor(verb) => verb.run(&desk).await?,
            Verb::Bundle(verb) => verb.run(&desk).await?,
            Verb::Cert(verb) => verb.run(&desk).await?,
            Verb::Message(verb) => verb.run(&desk).await?,
            Verb::Queue(verb) => verb.run(&desk).await?,
            Verb::Smime(verb) => return verb.run(&desk).await,
            Verb::Trust(verb) => return verb.run(&desk).await,
            Verb::ExitCodes => exit_codes(&desk),
        }
        Ok(0)
    }
}

fn exit_codes(desk: &Desk) {
    let rows: Vec<Value> = EXIT_CODES
        .iter()
        .map(|(code, meaning)| serde_json::json!({"code": code, "meaning": meaning}))
        .collect();
    desk.show(&Value::from(rows), |rows| {
        table::table(rows, &[("CODE", "code"), ("MEANING", "meaning")], "")
    });
}

/// What every verb has at hand: the configuration's place, and how to print.
struct Desk {
    place: PathBuf,
    json: bool,
}

impl Desk {
    fn config(&self) -> Result<Config, Failure> {
        read_config(&self.place)
    }

    /// Through admin.sock, or alone.
    async fn ask(&self, request: Request) -> Result<Value, Failure> {
        connect::ask(&self.config()?, request).await
    }

    /// JSON, or what `human` makes of it.
    fn show(&self, value: &Value, human: impl FnOnce(&Value) -> String) {
        if self.json {
            let text = serde_json::to_string_pretty(value).unwrap_or_default();
            out(&format!("{text}\n"));
        } else {
            out(&human(value));
        }
    }
}

fn read_config(place: &Path) -> Result<Config, Failure> {
    config::load(place).map_err(|error| Failure::of(exit::CONFIG, &error.to_string()))
}

/// Standard output; a reader that went away (`| head`) is no error of ours.
fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}

/// Standard error, one line more.
fn err(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A file of the operator's.
fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::new(
            exit::USAGE,
            format!("{}: {error}", path.display()),
            "give a file that this user can read",
        )
    })
}

/// A password in a file: its first line.
fn read_password(path: &Path) -> Result<String, Failure> {
    let octets = zeroize::Zeroizing::new(read_file(path)?);
    let text = std::str::from_utf8(&octets).map_err(|_| {
        Failure::new(
            exit::USAGE,
            format!("{} is not text", path.display()),
            "give a file with the password on its first line",
        )
    })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn base64(octets: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_verbs_are_sound_and_each_is_in_the_doc() {
        let command = Arguments::command();
        command.clone().debug_assert();
        let doc = include_str!("../../docs/cli.md");
        let mut open = vec![(String::from("carepost"), &command)];
        while let Some((path, command)) = open.pop() {
            for verb in command.get_subcommands() {
                let path = format!("{path} {}", verb.get_name());
                if !verb.has_subcommands() {
                    assert!(
                        doc.contains(&format!("`{path}")),
                        "docs/cli.md lacks `{path}`"
                    );
                }
                open.push((path, verb));
            }
        }
    }

    #[test]
    fn the_doc_lists_every_exit_code() {
        let doc = include_str!("../../docs/cli.md");
        for (code, meaning) in EXIT_CODES {
            assert!(doc.contains(&format!("| {code} | {meaning} |")), "{code}");
        }
    }
}
