//! `carepost anchor import|list|export|rm`.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::Value;

use crate::admin::{AnchorExport, AnchorImport, AnchorRm, Failure, Request};

use super::table::{cell, field, table};
use super::{Desk, base64, read_file};

#[derive(Debug, Subcommand)]
pub enum Anchor {
    /// Trust the CA certificates of a file, PEM or DER
    Import {
        file: PathBuf,
        /// What to call it [default: from its subject]
        #[arg(long)]
        label: Option<String>,
        /// Trust profile
        #[arg(long, default_value = "default")]
        profile: String,
        /// in: for mail that comes; out: for mail that goes; both
        #[arg(long, default_value = "both")]
        direction: String,
    },
    /// List them
    List,
    /// Write anchors as PEM: single ones and those of bundles
    Export {
        /// The beginning of a fingerprint [default: all]
        which: Option<String>,
        /// Of this trust profile alone
        #[arg(long)]
        profile: Option<String>,
    },
    /// Trust one no longer, at once
    Rm {
        /// The beginning of its fingerprint, or its label
        which: String,
    },
}

const COLUMNS: [(&str, &str); 5] = [
    ("LABEL", "label"),
    ("DIRECTION", "direction"),
    ("SUBJECT", "subject"),
    ("UNTIL", "not_after"),
    ("FINGERPRINT", "fingerprint"),
];

impl Anchor {
    pub(super) async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::Import {
                file,
                label,
                profile,
                direction,
            } => {
                let request = Request::AnchorImport(AnchorImport {
                    octets: base64(&read_file(&file)?),
                    label,
                    profile,
                    direction,
                });
                let value = desk.ask(request).await?;
                desk.show(&value, |rows| {
                    format!(
                        "trusted from now on:\n{}{}",
                        table(rows, &COLUMNS, ""),
                        warnings(rows)
                    )
                });
            }
            Self::List => {
                let value = desk.ask(Request::AnchorList).await?;
                desk.show(&value, |rows| {
                    table(
                        rows,
                        &COLUMNS,
                        "no anchor yet: every message would be refused",
                    ) + &warnings(rows)
                });
            }
            Self::Export { which, profile } => {
                let request = Request::AnchorExport(AnchorExport { profile, which });
                let value = desk.ask(request).await?;
                desk.show(&value, pem);
            }
            Self::Rm { which } => {
                let value = desk.ask(Request::AnchorRm(AnchorRm { which })).await?;
                desk.show(&value, |value| {
                    format!(
                        "no longer trusted: {} ({})\n",
                        field(value, "label"),
                        field(value, "fingerprint")
                    )
                });
            }
        }
        Ok(())
    }
}

/// One block each, with its subject before it.
fn pem(rows: &Value) -> String {
    let mut text = String::new();
    for row in rows.as_array().into_iter().flatten() {
        let pem = row["pem"].as_str().unwrap_or_default();
        text.push_str(&format!("# {}\n{pem}", field(row, "subject")));
    }
    text
}

fn warnings(rows: &Value) -> String {
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut text = String::new();
    for row in rows {
        let warnings = row["warnings"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        for warning in warnings {
            text.push_str(&format!(
                "warning: {}: {}\n",
                field(row, "label"),
                cell(warning)
            ));
        }
    }
    text
}
