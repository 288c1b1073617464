//! `carepost bundle add|list|show|refresh|diff|approve|exclude|rm|make`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::admin::{
    BundleAdd, BundleApprove, BundleExclude, BundleFile, BundleName, Failure, Request, exit,
};
use crate::bundles::{Publisher, make};
use crate::crypto::issue;
use crate::limits::{BUNDLE_DROP_PERCENT, BUNDLE_INTERVAL};
use crate::world::World;

use super::table::{aligned, cell, field, table};
use super::{Desk, base64, read_file};

#[derive(Debug, Subcommand)]
pub enum Bundle {
    /// Follow a bundle: fetched now, and again at its interval
    Add(Add),
    /// List them, with what is wrong
    List,
    /// All about one
    Show { name: String },
    /// Fetch one now, and apply what may be applied
    Refresh {
        name: String,
        /// Take it from this file
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// What would change, and which partners it would cut off; applies nothing
    Diff {
        name: String,
        /// Compare with this file
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Apply the change that `diff` showed
    Approve {
        name: String,
        /// Its id
        #[arg(long, value_name = "SHA")]
        diff: String,
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Do not trust one anchor of a bundle, whatever its publisher says
    Exclude {
        name: String,
        /// The beginning of its fingerprint
        anchor: String,
        #[arg(long, value_name = "TEXT", required_unless_present = "undo")]
        reason: Option<String>,
        /// Trust it again
        #[arg(long, conflicts_with = "reason")]
        undo: bool,
    },
    /// Trust a bundle no longer, at once
    Rm { name: String },
    /// Make a bundle for others to follow
    Make(Make),
}

#[derive(Debug, Args)]
pub struct Add {
    name: String,
    /// http(s) URL, or a file
    source: String,
    /// The publisher's signing certificate, or its CA: the bundle must be signed by it, always
    #[arg(long, value_name = "FILE")]
    signer: Option<PathBuf>,
    /// Trust profile
    #[arg(long, default_value = "default")]
    profile: String,
    /// in: for mail that comes; out: for mail that goes; both
    #[arg(long, default_value = "both")]
    direction: String,
    /// Seconds between refreshes; 0: never by itself
    #[arg(long, value_name = "SECONDS", default_value_t = BUNDLE_INTERVAL.as_secs())]
    interval: u64,
    /// hard, soft or off below its anchors [default: as the gateway]
    #[arg(long)]
    revocation: Option<String>,
    /// Percent of its anchors that may go without approval
    #[arg(long, value_name = "PERCENT", default_value_t = BUNDLE_DROP_PERCENT)]
    drop: u32,
}

#[derive(Debug, Args)]
pub struct Make {
    /// Certificates, PEM or DER
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    anchor: Vec<PathBuf>,
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What it says about itself, XML
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
    /// Sign it with this certificate
    #[arg(long, value_name = "FILE", requires = "key")]
    signer: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "signer")]
    key: Option<PathBuf>,
}

const COLUMNS: [(&str, &str); 7] = [
    ("NAME", "name"),
    ("ANCHORS", "anchors"),
    ("PROFILES", "profiles"),
    ("HEARD", "heard"),
    ("NEXT", "next"),
    ("ALARM", "alarm"),
    ("HELD", "held"),
];

impl Bundle {
    pub(super) async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::Add(add) => {
                let value = desk.ask(add.request()?).await?;
                desk.show(&value, refreshed);
            }
            Self::List => {
                let value = desk.ask(Request::BundleList).await?;
                desk.show(&value, |rows| table(rows, &COLUMNS, "no bundle yet"));
            }
            Self::Show { name } => {
                let value = desk.ask(Request::BundleShow(BundleName { name })).await?;
                desk.show(&value, facts);
            }
            Self::Refresh { name, file } => {
                let octets = file.as_deref().map(octets).transpose()?;
                let request = Request::BundleRefresh(BundleFile { name, octets });
                desk.show(&desk.ask(request).await?, refreshed);
            }
            Self::Diff { name, file } => {
                let octets = file.as_deref().map(octets).transpose()?;
                let request = Request::BundleDiff(BundleFile { name, octets });
                desk.show(&desk.ask(request).await?, diff);
            }
            Self::Approve { name, diff, reason } => {
                let request = Request::BundleApprove(BundleApprove { name, diff, reason });
                desk.show(&desk.ask(request).await?, refreshed);
            }
            Self::Exclude {
                name,
                anchor,
                reason,
                ..
            } => {
                let which = anchor;
                let request = Request::BundleExclude(BundleExclude {
                    name,
                    which,
                    reason,
                });
                let value = desk.ask(request).await?;
                desk.show(&value, |value| {
                    format!(
                        "changed: {}  {}\n",
                        field(value, "fingerprint"),
                        field(value, "subject")
                    )
                });
            }
            Self::Rm { name } => {
                let value = desk.ask(Request::BundleRm(BundleName { name })).await?;
                desk.show(&value, |value| {
                    let (name, anchors) = (field(value, "name"), field(value, "anchors"));
                    format!("no longer trusted: {name} with {anchors} anchors\n")
                });
            }
            Self::Make(make) => make.run(desk)?,
        }
        Ok(())
    }
}

fn octets(path: &Path) -> Result<String, Failure> {
    Ok(base64(&read_file(path)?))
}

impl Add {
    fn request(self) -> Result<Request, Failure> {
        let is_url = ["http://", "https://"].iter().any(|scheme| {
            let start = self.source.get(..scheme.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        });
        let file = match is_url {
            true => None,
            false => Some(octets(Path::new(&self.source))?),
        };
        Ok(Request::BundleAdd(BundleAdd {
            name: self.name,
            source: self.source,
            octets: file,
            signer: self.signer.as_deref().map(octets).transpose()?,
            profile: self.profile,
            direction: self.direction,
            interval_s: self.interval,
            revocation: self.revocation,
            drop_percent: self.drop,
        }))
    }
}

impl Make {
    fn run(self, desk: &Desk) -> Result<(), Failure> {
        let usage = |what: String| {
            Failure::new(exit::USAGE, what, "give certificates and keys, PEM or DER")
        };
        let mut anchors = Vec::new();
        for file in &self.anchor {
            let octets = read_file(file)?;
            let found = issue::read_certificates(&octets);
            anchors.extend(found.map_err(|why| usage(format!("{}: {why}", file.display())))?);
        }
        let publisher = match (&self.signer, &self.key) {
            (Some(signer), Some(key)) => {
                let found = issue::read_certificates(&read_file(signer)?).map_err(usage)?;
                let none = || usage(format!("{} holds no certificate", signer.display()));
                Some(Publisher {
                    certificate: found.into_iter().next().ok_or_else(none)?,
                    key: issue::read_pem_key(&read_file(key)?).map_err(usage)?,
                })
            }
            _ => None,
        };
        let metadata = self.metadata.as_deref().map(read_file).transpose()?;
        let now = World::real().now();
        let made = make(&anchors, metadata.as_deref(), publisher.as_ref(), now);
        let made = made.map_err(|error| Failure::of(exit::FAILED, &error.to_string()))?;
        std::fs::write(&self.out, &made).map_err(|error| {
            let what = format!("{}: {error}", self.out.display());
            Failure::new(
                exit::CANT_CREATE,
                what,
                "give a file that this user can write",
            )
        })?;
        let value =
            serde_json::json!({"file": self.out, "anchors": anchors.len(), "octets": made.len()});
        desk.show(&value, |value| {
            format!(
                "{} written, {} anchors\n",
                field(value, "file"),
                field(value, "anchors")
            )
        });
        Ok(())
    }
}

fn facts(value: &Value) -> String {
    let facts = value.as_object().into_iter().flatten();
    let lines: Vec<_> = facts
        .map(|(key, value)| vec![key.clone(), cell(value)])
        .collect();
    aligned(&lines)
}

fn refreshed(value: &Value) -> String {
    let mut text = format!(
        "{}: {}\n{}",
        field(value, "name"),
        field(value, "outcome"),
        diff(value)
    );
    for warning in value["warnings"].as_array().into_iter().flatten() {
        text.push_str(&format!("warning: {}\n", cell(warning)));
    }
    text
}

/// The lines that come and go, whom it cuts off, and how to approve it.
fn diff(value: &Value) -> String {
    let mut text = String::new();
    for (sign, key) in [("+", "added"), ("-", "removed")] {
        for anchor in value[key].as_array().into_iter().flatten() {
            let print = field(anchor, "fingerprint");
            let print = print.get(..16).unwrap_or(&print);
            text.push_str(&format!("{sign} {print}  {}\n", field(anchor, "subject")));
        }
    }
    if text.is_empty() {
        return "no anchor comes or goes\n".to_owned();
    }
    text.push_str(&format!("= {} stay\n", field(value, "kept")));
    for domain in value["cut_off"].as_array().into_iter().flatten() {
        text.push_str(&format!("cut off: {}\n", cell(domain)));
    }
    if let Some(why) = value["held"].as_str() {
        let id = field(value, "diff");
        text.push_str(&format!(
            "waits: {why}\n  do: carepost bundle approve NAME --diff {id} --reason TEXT\n"
        ));
    }
    text
}
