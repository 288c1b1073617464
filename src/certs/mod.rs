//! Our identities: which certificates and keys we have, for whom, in what state. In: the store, key files.
//! Out: a [`KeyRing`] snapshot for `open` and `seal`, rows and alarms for the operator. Private keys are
//! stored wrapped.

mod import;
mod keyring;
mod sql;

pub use import::{IdentityRow, ImportError, add_identity, list_identities};
pub use keyring::{Alarm, Identity, IdentityState, KeyRing, load};
