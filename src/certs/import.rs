//! Taking in an identity; listing them.

use crate::crypto::issue::KeyFile;
use crate::journal::Actor;
use crate::store::{Store, StoreError};

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(
        "the certificate is unusable: {0}\n  do: ask the CA for one with a subjectAltName for your domain, RSA 2048 or P-256"
    )]
    Unfit(String),
    #[error(
        "the key does not belong to the certificate\n  do: export both again from where they were made"
    )]
    Mismatch,
    #[error(
        "the certificate is for {0}, which is not a domain of ours\n  do: `carepost domain add` first"
    )]
    ForeignDomain(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A row for the operator.
#[derive(Clone, Debug, serde::Serialize)]
pub struct IdentityRow {
    pub fingerprint: String,
    pub domain: String,
    pub bound_to: String,
    pub subject: String,
    pub state: String,
    pub not_before: String,
    pub not_after: String,
    /// RSA 2048, P-256...
    pub key: String,
}

/// Checks and stores a key file; the domains and addresses come from its subjectAltName. Returns the row. Importing it again changes nothing.
///
/// # Errors
/// [`ImportError`].
pub async fn add_identity(
    _store: &Store,
    _actor: Actor,
    _file: &KeyFile,
) -> Result<IdentityRow, ImportError> {
    todo!()
}

/// All of them, by domain and expiry.
///
/// # Errors
/// [`StoreError`].
pub async fn list_identities(_store: &Store) -> Result<Vec<IdentityRow>, StoreError> {
    todo!()
}
