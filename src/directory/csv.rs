//! Import of addresses from CSV: header `address,route,holder,npi`; upsert; rejected rows with reasons.
//! In: the text of a file. Out: an [`ImportReport`]. Good rows are taken together in one transaction; a
//! bad row stops no other.

use std::collections::HashMap;

use sqlx::SqliteConnection;

use crate::envelope::Address;
use crate::journal::Actor;
use crate::route::Destination;
use crate::store::{Store, StoreError};

use super::addresses::{Wanted, is_npi, put};
use super::sql;

/// The columns; a file has each once, in any order. All of them: an import is the whole truth about its
/// addresses, and a missing column would silently wipe what it names.
const COLUMNS: [&str; 4] = ["address", "route", "holder", "npi"];

/// A row that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RejectedRow {
    /// Line in the file, the header is 1.
    pub line: u64,
    /// The row as it was.
    pub row: Vec<String>,
    /// Why, one sentence.
    pub reason: String,
}

/// What an import did, or would do.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct ImportReport {
    pub added: u64,
    pub changed: u64,
    pub unchanged: u64,
    pub rejected: Vec<RejectedRow>,
}

/// Imports; all good rows in one transaction; nothing with `dry_run`.
///
/// # Errors
/// A sentence for the operator (no header, not UTF-8), or the store's.
pub async fn import_csv(
    store: &Store,
    actor: Actor,
    text: &str,
    dry_run: bool,
) -> Result<Result<ImportReport, String>, StoreError> {
    let read = match parse(text) {
        Ok(read) => read,
        Err(sentence) => return Ok(Err(sentence)),
    };
    if dry_run {
        return store
            .read("address-import-dry", move |conn| {
                Box::pin(async move { Ok(Ok(compare(conn, read).await?.report)) })
            })
            .await;
    }
    let world = store.world().clone();
    store
        .write("address-import", move |tx| {
            Box::pin(async move {
                let plan = compare(tx.conn().await?, read).await?;
                for (tenant, wanted) in &plan.writes {
                    put(tx, &world, &actor, tenant, wanted).await?;
                }
                sqlx::query(sql::HOLDER_SWEEP)
                    .execute(tx.conn().await?)
                    .await?;
                Ok(Ok(plan.report))
            })
        })
        .await
}

/// One row of the file, its line and its fields as they were.
struct Row {
    line: u64,
    fields: Vec<String>,
    wanted: Wanted,
}

/// What the text alone says.
#[derive(Default)]
struct Parsed {
    rows: Vec<Row>,
    rejected: Vec<RejectedRow>,
}

/// Reads the file; what it says about our domains is checked later.
fn parse(text: &str) -> Result<Parsed, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = Lines::new(&text);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut records = reader.records();
    let header = match records.next() {
        Some(Ok(header)) => header,
        Some(Err(error)) => return Err(unreadable(&error)),
        None => {
            return Err(format!(
                "the file is empty; its first line must be {}",
                COLUMNS.join(",")
            ));
        }
    };
    let order = columns(&header)?;
    let mut parsed = Parsed::default();
    let mut seen: HashMap<String, u64> = HashMap::new();
    for record in records {
        let record = record.map_err(|error| unreadable(&error))?;
        let line = lines.at(record.position().map_or(0, csv::Position::byte));
        let fields: Vec<String> = record.iter().map(str::to_owned).collect();
        match row(&fields, &order, line, &mut seen) {
            Ok(wanted) => parsed.rows.push(Row {
                line,
                fields,
                wanted,
            }),
            Err(reason) => parsed.rejected.push(RejectedRow {
                line,
                row: fields,
                reason,
            }),
        }
    }
    Ok(parsed)
}

/// For the fuzzer: the text alone, no store.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_csv(text: &str) {
    if let Ok(parsed) = parse(text) {
        let lines = text.lines().count() as u64 + 2;
        assert!(parsed.rows.iter().all(|row| row.line <= lines));
    }
}

/// Counts lines. csv's own count is that of the place where it began to look: before empty lines, and
/// behind by one after CRLF.
struct Lines<'t> {
    rest: &'t [u8],
    offset: u64,
    line: u64,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            rest: text.as_bytes(),
            offset: 0,
            line: 1,
        }
    }

    /// The line of the first octet at or after `offset` that is no line end. Offsets come in order.
    fn at(&mut self, offset: u64) -> u64 {
        while let [first, rest @ ..] = self.rest {
            if self.offset >= offset && *first != b'\n' {
                break;
            }
            self.line += u64::from(*first == b'\n');
            self.offset += 1;
            self.rest = rest;
        }
        self.line
    }
}

fn unreadable(error: &csv::Error) -> String {
    format!("the file cannot be read as CSV: {error}")
}

/// Where each of [`COLUMNS`] stands.
fn columns(header: &csv::StringRecord) -> Result<[usize; 4], String> {
    let names: Vec<String> = header
        .iter()
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let whole = COLUMNS.join(",");
    if let Some(name) = names.iter().find(|name| !COLUMNS.contains(&name.as_str())) {
        return Err(format!(
            "unknown column {name:?}; the first line must be {whole}"
        ));
    }
    let mut order = [0; 4];
    for (slot, column) in order.iter_mut().zip(COLUMNS) {
        let mut places = names.iter().enumerate().filter(|(_, name)| *name == column);
        *slot = match (places.next(), places.next()) {
            (Some((place, _)), None) => place,
            (None, _) => {
                return Err(format!(
                    "column {column} is missing; the first line must be {whole}"
                ));
            }
            (Some(_), Some(_)) => return Err(format!("column {column} is there twice")),
        };
    }
    Ok(order)
}

/// Checks one row; the first row of an address wins.
fn row(
    fields: &[String],
    order: &[usize; 4],
    line: u64,
    seen: &mut HashMap<String, u64>,
) -> Result<Wanted, String> {
    if fields.len() != COLUMNS.len() {
        return Err(format!(
            "{} fields instead of {}",
            fields.len(),
            COLUMNS.len()
        ));
    }
    let [address, route, holder, npi] =
        order.map(|place| fields.get(place).map_or("", |field| field.trim()));
    let address = Address::parse(address).map_err(|error| error.to_string())?;
    let route = Destination::parse(route)?;
    if !npi.is_empty() && !is_npi(npi) {
        return Err(format!(
            "{npi} is not a National Provider Identifier: its check digit or length is wrong"
        ));
    }
    if holder.chars().any(char::is_control) {
        return Err("the holder's name holds a control character".to_owned());
    }
    if let Some(earlier) = seen.get(address.key()) {
        return Err(format!("{address} is on line {earlier} already"));
    }
    seen.insert(address.key().to_owned(), line);
    let given = |field: &str| (!field.is_empty()).then(|| field.to_owned());
    Ok(Wanted {
        address,
        route,
        holder: given(holder),
        npi: given(npi),
    })
}

/// What would change.
struct Plan {
    report: ImportReport,
    /// With the tenant of each.
    writes: Vec<(String, Wanted)>,
}

/// An address as it is in the store: written, route, holder's name, identifier.
type Kept = (String, String, Option<String>, Option<String>);

async fn compare(conn: &mut SqliteConnection, parsed: Parsed) -> Result<Plan, StoreError> {
    let domains: HashMap<String, String> =
        sqlx::query_as::<_, (String, String)>(sql::DOMAIN_TENANTS)
            .fetch_all(&mut *conn)
            .await?
            .into_iter()
            .collect();
    type Known = (String, String, String, Option<String>, Option<String>);
    let rows: Vec<Known> = sqlx::query_as(sql::ADDRESS_COMPARE).fetch_all(conn).await?;
    let kept: HashMap<String, Kept> = rows
        .into_iter()
        .map(|(key, written, route, holder, npi)| (key, (written, route, holder, npi)))
        .collect();
    Ok(plan(parsed, &domains, &kept))
}

fn plan(parsed: Parsed, domains: &HashMap<String, String>, kept: &HashMap<String, Kept>) -> Plan {
    let mut plan = Plan {
        report: ImportReport {
            rejected: parsed.rejected,
            ..ImportReport::default()
        },
        writes: Vec::new(),
    };
    for Row {
        line,
        fields,
        wanted,
    } in parsed.rows
    {
        let Some(tenant) = domains.get(wanted.address.domain()) else {
            plan.report.rejected.push(RejectedRow {
                line,
                row: fields,
                reason: format!("{} is not a domain of ours", wanted.address.domain()),
            });
            continue;
        };
        match kept.get(wanted.address.key()) {
            Some(known) if same(known, &wanted) => {
                plan.report.unchanged += 1;
                continue;
            }
            Some(_) => plan.report.changed += 1,
            None => plan.report.added += 1,
        }
        plan.writes.push((tenant.clone(), wanted));
    }
    plan.report.rejected.sort_by_key(|row| row.line);
    plan
}

fn same((written, route, holder, npi): &Kept, wanted: &Wanted) -> bool {
    // A holder without a name in the file is known by the identifier alone.
    let name = wanted.holder.as_ref().or(wanted.npi.as_ref());
    let named = holder.as_ref() == name || (wanted.holder.is_none() && wanted.npi.is_some());
    written == wanted.address.written()
        && *route == wanted.route.to_string()
        && named
        && *npi == wanted.npi
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(text: &str) -> Vec<(u64, String)> {
        parse(text)
            .expect("the header is right")
            .rejected
            .into_iter()
            .map(|row| (row.line, row.reason))
            .collect()
    }

    #[test]
    fn a_file_is_read_with_bom_crlf_quotes_and_columns_in_any_order() {
        let text = "\u{feff}npi, Route ,address,holder\r\n\
            1234567893,maildir:/m/a,a@d.example,\"Smith, \"\"Al\"\"\"\r\n\
            \r\n\
            ,maildir:/m/b, b@d.example ,\r\n";
        let parsed = parse(text).expect("reads");
        assert_eq!(parsed.rejected, []);
        let rows: Vec<_> = parsed
            .rows
            .iter()
            .map(|row| {
                (
                    row.line,
                    row.wanted.address.written(),
                    row.wanted.holder.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            rows,
            [
                (2, "a@d.example", Some("Smith, \"Al\"")),
                (4, "b@d.example", None)
            ]
        );
    }

    #[test]
    fn a_wrong_header_is_named() {
        for (text, why) in [
            (
                "",
                "the file is empty; its first line must be address,route,holder,npi",
            ),
            (
                "address,route,holder,fax\n",
                "unknown column \"fax\"; the first line must be address,route,holder,npi",
            ),
            (
                "address,route,npi\n",
                "column holder is missing; the first line must be address,route,holder,npi",
            ),
            (
                "address,route,holder,npi,npi\n",
                "column npi is there twice",
            ),
        ] {
            assert_eq!(parse(text).err().as_deref(), Some(why));
        }
    }

    #[test]
    fn a_bad_row_is_rejected_with_its_line_and_stops_no_other() {
        let text = "address,route,holder,npi\n\
            a@d.example,maildir:/m/a,,\n\
            a,maildir:/m/a,,\n\
            A@D.example,maildir:/m/a,,\n\
            c@d.example,maildir:/m/c,,1234567894\n\
            d@d.example,maildir:/m/d\n\
            e@d.example,maildir:/m/e,\"two\nlines\",\n\
            f@d.example,maildir:/m/f,,\n";
        let expected = [
            (3, "an address is local-part@domain"),
            (4, "A@D.example is on line 2 already"),
            (
                5,
                "1234567894 is not a National Provider Identifier: its check digit or length is wrong",
            ),
            (6, "2 fields instead of 4"),
            (7, "the holder's name holds a control character"),
        ];
        assert_eq!(
            rejected(text),
            expected.map(|(line, why)| (line, why.to_owned()))
        );
        let rows = parse(text).expect("reads").rows;
        assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 9]);
    }
}
