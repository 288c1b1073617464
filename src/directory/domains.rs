//! Domains that are ours.

use crate::journal::Actor;
use crate::store::{Store, StoreError};
use crate::trust::Profile;

/// A row for the operator.
#[derive(Clone, Debug, serde::Serialize)]
pub struct DomainRow {
    pub name: String,
    pub tenant: String,
    pub profile: String,
    pub unknown_recipient: String,
    pub trust_in: String,
    pub trust_out: String,
    pub addresses: i64,
}

/// Adds a domain (name already checked as an A-label). False if it was there.
///
/// # Errors
/// [`StoreError`].
pub async fn add_domain(
    _store: &Store,
    _actor: Actor,
    _name: &str,
    _profile: Profile,
) -> Result<bool, StoreError> {
    todo!()
}

/// All of them, by name.
///
/// # Errors
/// [`StoreError`].
pub async fn list_domains(_store: &Store) -> Result<Vec<DomainRow>, StoreError> {
    todo!()
}
