//! Logins of clinics and their passwords (argon2id, tagged; one a device).

use crate::envelope::Address;
use crate::journal::Actor;
use crate::store::{Store, StoreError};

/// A row for the operator.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Account {
    pub name: String,
    pub tenant: String,
    pub disabled: bool,
    pub addresses: Vec<String>,
    pub passwords: Vec<Password>,
}

/// A password, without itself.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Password {
    pub label: String,
    pub created_at: String,
    pub revoked_at: Option<String>,
}

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error(
        "account {0} exists\n  do: `carepost account password add {0}` gives it another password"
    )]
    Exists(String),
    #[error("there is no account {0}\n  do: see `carepost account list`")]
    Unknown(String),
    #[error("account {0} has no active password labelled {1}\n  do: see `carepost account list`")]
    NoSuchPassword(String, String),
    #[error(
        "account {0} has an active password labelled {1}\n  do: choose another --label, or revoke that one first"
    )]
    LabelTaken(String, String),
    #[error("{0} is not in a domain of ours\n  do: `carepost domain add` first")]
    ForeignAddress(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes an account that may send as these addresses.
///
/// # Errors
/// [`AccountError`].
pub async fn add_account(
    _store: &Store,
    _actor: Actor,
    _name: &str,
    _addresses: &[Address],
) -> Result<(), AccountError> {
    todo!()
}

/// Makes a password (24 random characters unless `chosen`) and returns it: the only time it is seen.
///
/// # Errors
/// [`AccountError`].
pub async fn add_password(
    _store: &Store,
    _actor: Actor,
    _account: &str,
    _label: &str,
    _chosen: Option<&str>,
) -> Result<String, AccountError> {
    todo!()
}

/// Revokes one.
///
/// # Errors
/// [`AccountError`].
pub async fn revoke_password(
    _store: &Store,
    _actor: Actor,
    _account: &str,
    _label: &str,
) -> Result<(), AccountError> {
    todo!()
}

/// All of them, by name.
///
/// # Errors
/// [`StoreError`].
pub async fn list_accounts(_store: &Store) -> Result<Vec<Account>, StoreError> {
    todo!()
}

/// Whether the password is right for an enabled account. Two verifications at once (`limits`), off the reactor; an unknown
/// account costs as much as a wrong password. Returns the account's name.
///
/// # Errors
/// [`StoreError`].
pub async fn verify_password(
    _store: &Store,
    _name: &str,
    _password: &str,
) -> Result<Option<String>, StoreError> {
    todo!()
}
