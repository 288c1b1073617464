//! Addresses, their holders and routes.

use crate::envelope::Address;
use crate::journal::Actor;
use crate::route::Destination;
use crate::store::{Store, StoreError};

/// A row for the operator.
#[derive(Clone, Debug, serde::Serialize)]
pub struct AddressRow {
    pub address: String,
    pub route: String,
    pub holder: Option<String>,
    pub npi: Option<String>,
    pub state: String,
}

/// Adds or changes one. False if its domain is not ours.
///
/// # Errors
/// [`StoreError`].
pub async fn set_address(
    _store: &Store,
    _actor: Actor,
    _address: &Address,
    _route: &Destination,
    _holder: Option<&str>,
    _npi: Option<&str>,
) -> Result<bool, StoreError> {
    todo!()
}

/// Removes one. False if it was not there.
///
/// # Errors
/// [`StoreError`].
pub async fn remove_address(
    _store: &Store,
    _actor: Actor,
    _address: &Address,
) -> Result<bool, StoreError> {
    todo!()
}

/// All of them (or one domain's), by address.
///
/// # Errors
/// [`StoreError`].
pub async fn list_addresses(
    _store: &Store,
    _domain: Option<&str>,
) -> Result<Vec<AddressRow>, StoreError> {
    todo!()
}
