//! `carepost domain add|list`.

use clap::Subcommand;

use crate::admin::{DomainAdd, Failure, Request};

use super::Desk;
use super::table::{field, table};

#[derive(Debug, Subcommand)]
pub enum Domain {
    /// Make a domain ours
    Add {
        /// Its name, such as direct.example.org
        name: String,
        /// Edition of the Applicability Statement: v1.3 or v1.2
        #[arg(long, default_value = "v1.3")]
        profile: String,
    },
    /// List them
    List,
}

impl Domain {
    pub(super) async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::Add { name, profile } => {
                let request = Request::DomainAdd(DomainAdd { name, profile });
                let value = desk.ask(request).await?;
                desk.show(&value, |value| {
                    let name = field(value, "domain");
                    if value["added"] == true {
                        format!("{name} is ours now\n")
                    } else {
                        format!("{name} was ours already; nothing changed\n")
                    }
                });
            }
            Self::List => {
                let value = desk.ask(Request::DomainList).await?;
                let columns = [
                    ("DOMAIN", "name"),
                    ("TENANT", "tenant"),
                    ("PROFILE", "profile"),
                    ("UNKNOWN", "unknown_recipient"),
                    ("ADDRESSES", "addresses"),
                ];
                desk.show(&value, |rows| table(rows, &columns, "no domain yet"));
            }
        }
        Ok(())
    }
}
