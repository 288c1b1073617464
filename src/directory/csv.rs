//! Import of addresses from CSV: header `address,route,holder,npi`; upsert; rejected rows with reasons.

use crate::journal::Actor;
use crate::store::{Store, StoreError};

/// A row that was not taken.
#[derive(Clone, Debug, serde::Serialize)]
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
    _store: &Store,
    _actor: Actor,
    _text: &str,
    _dry_run: bool,
) -> Result<Result<ImportReport, String>, StoreError> {
    todo!()
}
