//! `carepost account add|list` and `account password add|revoke`.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::Value;

use crate::admin::{AccountAdd, Failure, Hidden, PasswordAdd, PasswordRevoke, Request};

use super::table::{aligned, cell, field};
use super::{Desk, read_password};

#[derive(Debug, Subcommand)]
pub enum Account {
    /// Make a login
    Add {
        /// What the clinic's system logs in as
        name: String,
        /// An address that it may send as; may be given many times
        #[arg(long = "address", value_name = "ADDRESS", required = true)]
        addresses: Vec<String>,
    },
    /// List them with their passwords' labels
    List,
    /// One password a device
    #[command(subcommand)]
    Password(Password),
}

#[derive(Debug, Subcommand)]
pub enum Password {
    /// Make a password and print it, once
    Add {
        account: String,
        /// The device or program that will use it
        #[arg(long)]
        label: String,
        /// Take the first line of this file instead
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Make a password useless; the others stay
    Revoke {
        account: String,
        #[arg(long)]
        label: String,
    },
}

impl Account {
    pub(super) async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::Add { name, addresses } => {
                let request = Request::AccountAdd(AccountAdd { name, addresses });
                let value = desk.ask(request).await?;
                desk.show(&value, |value| {
                    let name = field(value, "account");
                    format!(
                        "{name} may send as {}\nnext: carepost account password add {name} --label DEVICE\n",
                        field(value, "addresses")
                    )
                });
            }
            Self::List => {
                let value = desk.ask(Request::AccountList).await?;
                desk.show(&value, listed);
            }
            Self::Password(verb) => verb.run(desk).await?,
        }
        Ok(())
    }
}

impl Password {
    async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::Add {
                account,
                label,
                password_file,
            } => {
                let chosen = password_file
                    .map(|path| read_password(&path).map(Hidden))
                    .transpose()?;
                let made_here = chosen.is_none();
                let request = Request::AccountPasswordAdd(PasswordAdd {
                    account,
                    label,
                    chosen,
                });
                let value = desk.ask(request).await?;
                desk.show(&value, |value| {
                    let (name, label) = (field(value, "account"), field(value, "label"));
                    if made_here {
                        format!(
                            "password of {name} for {label}, shown this once:\n{}\n",
                            field(value, "password")
                        )
                    } else {
                        format!("{name} has the password from the file, labelled {label}\n")
                    }
                });
            }
            Self::Revoke { account, label } => {
                let request = Request::AccountPasswordRevoke(PasswordRevoke { account, label });
                let value = desk.ask(request).await?;
                desk.show(&value, |value| {
                    format!(
                        "the password of {} for {} no longer works\n",
                        field(value, "account"),
                        field(value, "label")
                    )
                });
            }
        }
        Ok(())
    }
}

fn listed(value: &Value) -> String {
    let rows = value.as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return "no account yet\n".to_owned();
    }
    let mut lines = vec![
        ["ACCOUNT", "STATE", "MAY SEND AS", "PASSWORDS"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for row in rows {
        let state = if row["disabled"] == true {
            "disabled"
        } else {
            "active"
        };
        let passwords = row["passwords"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let labels: Vec<String> = passwords.iter().map(label).collect();
        lines.push(vec![
            field(row, "name"),
            state.to_owned(),
            field(row, "addresses"),
            if labels.is_empty() {
                "-".to_owned()
            } else {
                labels.join(", ")
            },
        ]);
    }
    aligned(&lines)
}

fn label(password: &Value) -> String {
    let label = cell(&password["label"]);
    if password["revoked_at"].is_null() {
        label
    } else {
        format!("{label} (revoked)")
    }
}
