//! `carepost address import|list|add|rm`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::Value;

use crate::admin::{
    AddressAdd, AddressImport, AddressList, AddressRm, Failure, ImportMode, Request, exit,
};

use super::table::{field, table};
use super::{Desk, read_file};

#[derive(Debug, Subcommand)]
pub enum Address {
    /// Add and change addresses from CSV with the header address,route,holder,npi
    Import {
        file: PathBuf,
        /// Say what would change, change nothing
        #[arg(long)]
        dry_run: bool,
        /// Where rows that were not taken go, with reasons [default: FILE.rejected.csv]
        #[arg(long, value_name = "FILE")]
        rejected: Option<PathBuf>,
    },
    /// List them
    List {
        /// Of one domain
        #[arg(long)]
        domain: Option<String>,
    },
    /// Add or change one
    Add {
        address: String,
        /// maildir:/path, smtp://host:25, lmtp://host:24 or lmtp:unix:/path
        #[arg(long)]
        route: String,
        /// The person or department behind it
        #[arg(long)]
        holder: Option<String>,
        /// National Provider Identifier, 10 digits
        #[arg(long)]
        npi: Option<String>,
    },
    /// Remove one
    Rm { address: String },
}

impl Address {
    pub(super) async fn run(self, desk: &Desk) -> Result<u8, Failure> {
        match self {
            Self::Import {
                file,
                dry_run,
                rejected,
            } => return import(desk, &file, mode(dry_run), rejected).await,
            Self::List { domain } => {
                let request = Request::AddressList(AddressList { domain });
                let value = desk.ask(request).await?;
                let columns = [
                    ("ADDRESS", "address"),
                    ("ROUTE", "route"),
                    ("HOLDER", "holder"),
                    ("NPI", "npi"),
                    ("STATE", "state"),
                ];
                desk.show(&value, |rows| table(rows, &columns, "no address yet"));
            }
            Self::Add {
                address,
                route,
                holder,
                npi,
            } => {
                let request = Request::AddressAdd(AddressAdd {
                    address,
                    route,
                    holder,
                    npi,
                });
                let value = desk.ask(request).await?;
                desk.show(&value, |value| {
                    format!(
                        "{} goes to {}\n",
                        field(value, "address"),
                        field(value, "route")
                    )
                });
            }
            Self::Rm { address } => {
                let value = desk.ask(Request::AddressRm(AddressRm { address })).await?;
                desk.show(&value, |value| {
                    format!("{} is gone\n", field(value, "address"))
                });
            }
        }
        Ok(0)
    }
}

fn mode(dry_run: bool) -> ImportMode {
    if dry_run {
        ImportMode::DryRun
    } else {
        ImportMode::Apply
    }
}

async fn import(
    desk: &Desk,
    file: &Path,
    mode: ImportMode,
    rejected: Option<PathBuf>,
) -> Result<u8, Failure> {
    let csv = String::from_utf8(read_file(file)?).map_err(|_| {
        Failure::new(
            exit::FAILED,
            format!("{} is not UTF-8", file.display()),
            "save it as CSV UTF-8",
        )
    })?;
    let head = header(&csv);
    let value = desk
        .ask(Request::AddressImport(AddressImport { csv, mode }))
        .await?;
    let rows = value["rejected"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let place = rejected.unwrap_or_else(|| beside(file));
    if !rows.is_empty() {
        write_rejected(&place, &head, rows)?;
    }
    desk.show(&value, |value| report(value, mode, rows, &place));
    Ok(if rows.is_empty() { 0 } else { exit::FAILED })
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".rejected.csv");
    PathBuf::from(name)
}

fn report(value: &Value, mode: ImportMode, rows: &[Value], place: &Path) -> String {
    let what = match mode {
        ImportMode::Apply => "",
        ImportMode::DryRun => "would be: ",
    };
    let mut text = format!(
        "{what}{} added, {} changed, {} unchanged, {} rejected\n",
        field(value, "added"),
        field(value, "changed"),
        field(value, "unchanged"),
        rows.len()
    );
    if !rows.is_empty() {
        let columns = [("LINE", "line"), ("REASON", "reason")];
        let first: Vec<Value> = rows.iter().take(10).cloned().collect();
        text.push_str(&table(&Value::from(first), &columns, ""));
        text.push_str(&format!("all rejected rows: {}\n", place.display()));
    }
    text
}

/// The names of the columns, in the file's own order.
fn header(csv: &str) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new().from_reader(csv.as_bytes());
    let names = reader.headers().cloned().unwrap_or_default();
    names.iter().map(str::to_owned).collect()
}

/// The row as it was, then its line and the reason.
fn write_rejected(place: &Path, head: &[String], rows: &[Value]) -> Result<(), Failure> {
    let wrong = |error: String| {
        Failure::new(
            exit::CANT_CREATE,
            format!("{}: {error}", place.display()),
            "give another place with --rejected FILE",
        )
    };
    let mut writer = csv::WriterBuilder::new()
        .flexible(true)
        .from_path(place)
        .map_err(|error| wrong(error.to_string()))?;
    let ours = ["line".to_owned(), "reason".to_owned()];
    writer
        .write_record(head.iter().chain(&ours))
        .map_err(|error| wrong(error.to_string()))?;
    for row in rows {
        let cells = row["row"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut record: Vec<String> = cells
            .iter()
            .map(|cell| cell.as_str().unwrap_or_default().to_owned())
            .collect();
        record.resize(record.len().max(head.len()), String::new());
        record.push(row["line"].to_string());
        record.push(row["reason"].as_str().unwrap_or_default().to_owned());
        writer
            .write_record(&record)
            .map_err(|error| wrong(error.to_string()))?;
    }
    writer.flush().map_err(|error| wrong(error.to_string()))
}
