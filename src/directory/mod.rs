//! Provider addresses and what they route to; domains, accounts, holders. In: the store, CSV files.
//! Out: a [`Directory`] snapshot for the road, rows for the operator. account, address, holder and
//! route are four tables.

mod accounts;
mod addresses;
mod csv;
mod domains;
mod password;
mod snapshot;
mod sql;
#[cfg(test)]
mod tests;

pub use accounts::{
    Account, AccountError, Password, add_account, add_password, list_accounts, revoke_password,
    verify_password,
};
pub use addresses::{AddressRow, is_npi, list_addresses, remove_address, set_address};
#[cfg(feature = "fuzzing")]
pub(crate) use csv::read_csv;
pub use csv::{ImportReport, RejectedRow, import_csv};
pub use domains::{DomainRow, add_domain, list_domains};
pub use snapshot::{AddressState, Directory, DomainEntry, Entry, UnknownRecipient, load};
