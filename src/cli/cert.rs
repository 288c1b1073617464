//! `carepost cert import|list`.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use crate::admin::{CertImport, Failure, Hidden, Request};

use super::table::{field, table, tame};
use super::{Desk, base64, read_file, read_password};

#[derive(Debug, Subcommand)]
pub enum Cert {
    /// Take in a certificate with its private key
    Import {
        /// PKCS#12, or PEM with --key
        file: PathBuf,
        /// The file whose first line is the password of the PKCS#12 file
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// The PEM private key of a PEM certificate
        #[arg(long, value_name = "FILE", conflicts_with = "password_file")]
        key: Option<PathBuf>,
    },
    /// List them
    List {
        /// Print the DNS records that publish them
        #[arg(long)]
        dns: bool,
    },
}

impl Cert {
    pub(super) async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::Import {
                file,
                password_file,
                key,
            } => {
                let request = import(&file, password_file.as_deref(), key.as_deref())?;
                let value = desk.ask(request).await?;
                desk.show(&value, |value| {
                    format!(
                        "{} serves {} until {}\nnext: publish it; `carepost cert list --dns` prints the record\n",
                        field(value, "fingerprint"),
                        field(value, "bound_to"),
                        field(value, "not_after")
                    )
                });
            }
            Self::List { dns: false } => {
                let value = desk.ask(Request::CertList).await?;
                let columns = [
                    ("DOMAIN", "domain"),
                    ("BOUND TO", "bound_to"),
                    ("STATE", "state"),
                    ("KEY", "key"),
                    ("FROM", "not_before"),
                    ("UNTIL", "not_after"),
                    ("FINGERPRINT", "fingerprint"),
                ];
                desk.show(&value, |rows| table(rows, &columns, "no certificate yet"));
            }
            Self::List { dns: true } => {
                let value = desk.ask(Request::CertRecords).await?;
                desk.show(&value, |rows| {
                    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
                    rows.iter()
                        .map(|row| {
                            format!("{}\n", tame(row["record"].as_str().unwrap_or_default()))
                        })
                        .collect()
                });
            }
        }
        Ok(())
    }
}

/// The request that takes in these files.
pub fn import(
    file: &Path,
    password_file: Option<&Path>,
    key: Option<&Path>,
) -> Result<Request, Failure> {
    let octets = zeroize::Zeroizing::new(read_file(file)?);
    let key = key
        .map(|path| read_file(path).map(zeroize::Zeroizing::new))
        .transpose()?;
    Ok(Request::CertImport(CertImport {
        certificate: base64(&octets),
        key: key.map(|key| Hidden(base64(&key))),
        password: password_file
            .map(|path| read_password(path).map(Hidden))
            .transpose()?,
    }))
}
