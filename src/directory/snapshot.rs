//! The snapshot that the listener and `route` read: domains, addresses, who may send as whom.

use std::collections::{HashMap, HashSet};

use crate::envelope::Address;
use crate::route::Destination;
use crate::store::{Store, StoreError};
use crate::trust::Profile;

/// Whether an address takes mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressState {
    Active,
    Disabled,
    Full,
    Moved,
}

/// What RCPT says to an unknown mailbox of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownRecipient {
    /// 550 5.1.1.
    Reject,
    /// Accepted; answered `processed`, then `failed`.
    Accept,
}

/// One domain of ours.
#[derive(Clone, Debug)]
pub struct DomainEntry {
    pub name: String,
    pub tenant: String,
    pub profile: Profile,
    pub unknown_recipient: UnknownRecipient,
}

/// One address of ours.
#[derive(Clone, Debug)]
pub struct Entry {
    pub address: Address,
    pub tenant: String,
    pub state: AddressState,
    pub destination: Destination,
}

/// Everything, in memory.
#[derive(Debug, Default)]
pub struct Directory {
    pub(super) domains: HashMap<String, DomainEntry>,
    /// By address key.
    pub(super) addresses: HashMap<String, Entry>,
    /// Login -> (tenant, address keys it may send as).
    pub(super) senders: HashMap<String, (String, HashSet<String>)>,
}

impl Directory {
    /// The domain, if it is ours.
    pub fn domain(&self, name: &str) -> Option<&DomainEntry> {
        self.domains.get(name)
    }

    pub fn domains(&self) -> impl Iterator<Item = &DomainEntry> {
        self.domains.values()
    }

    /// The address, if it is in the directory. `postmaster` of a domain of ours always is, if any address of it is (G-088): see `load`.
    pub fn entry(&self, address: &Address) -> Option<&Entry> {
        self.addresses.get(address.key())
    }

    /// Whether this login may send as this address (E-011).
    pub fn may_send_as(&self, account: &str, address: &Address) -> bool {
        self.senders
            .get(account)
            .is_some_and(|(_, keys)| keys.contains(address.key()))
    }

    /// The tenant of a login.
    pub fn tenant_of_account(&self, account: &str) -> Option<&str> {
        self.senders.get(account).map(|(tenant, _)| tenant.as_str())
    }

    /// How many addresses.
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }
}

/// Reads it all.
///
/// # Errors
/// [`StoreError`].
pub async fn load(_store: &Store) -> Result<Directory, StoreError> {
    todo!()
}
