//! The snapshot that the listener and `route` read: domains, addresses, who may send as whom.
//! In: the store. Out: a [`Directory`], swapped as a whole when the store's epoch goes up.

use std::collections::{HashMap, HashSet};

use crate::envelope::{Address, Recipient};
use crate::route::Destination;
use crate::store::{Store, StoreError};
use crate::trust::Profile;

use super::sql;

/// Whether an address takes mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressState {
    Active,
    Disabled,
    Full,
    Moved,
}

impl AddressState {
    /// The word in rows.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Full => "full",
            Self::Moved => "moved",
        }
    }

    /// Reads [`AddressState::word`] back.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Active, Self::Disabled, Self::Full, Self::Moved]
            .into_iter()
            .find(|state| state.word() == word)
    }
}

/// What RCPT says to an unknown mailbox of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownRecipient {
    /// 550 5.1.1.
    Reject,
    /// Accepted; answered `processed`, then `failed`.
    Accept,
}

impl UnknownRecipient {
    /// The word in rows.
    pub fn word(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Accept => "accept",
        }
    }

    /// Reads [`UnknownRecipient::word`] back.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Reject, Self::Accept]
            .into_iter()
            .find(|choice| choice.word() == word)
    }
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
    /// `postmaster` of domains whose operator gave it no route, by address key.
    pub(super) postmasters: HashMap<String, Entry>,
    /// By login.
    pub(super) senders: HashMap<String, Sender>,
    /// Every address key that some login may send as.
    pub(super) sender_keys: HashSet<String>,
}

/// A login.
#[derive(Debug, Default)]
pub(super) struct Sender {
    tenant: String,
    /// Address keys that it may send as.
    keys: HashSet<String>,
    /// Passwords that were revoked so far.
    revocations: u64,
}

impl Directory {
    /// The domain, if it is ours.
    pub fn domain(&self, name: &str) -> Option<&DomainEntry> {
        self.domains.get(name)
    }

    pub fn domains(&self) -> impl Iterator<Item = &DomainEntry> {
        self.domains.values()
    }

    /// The address, if it is in the directory. `postmaster` of a domain of ours always is, if any
    /// address of it is (G-088): see `load`.
    pub fn entry(&self, address: &Address) -> Option<&Entry> {
        self.addresses
            .get(address.key())
            .or_else(|| self.postmasters.get(address.key()))
    }

    /// Whether this login may send as this address (E-011).
    pub fn may_send_as(&self, account: &str, address: &Address) -> bool {
        self.senders
            .get(account)
            .is_some_and(|sender| sender.keys.contains(address.key()))
    }

    /// The tenant of a login.
    pub fn tenant_of_account(&self, account: &str) -> Option<&str> {
        self.senders
            .get(account)
            .map(|sender| sender.tenant.as_str())
    }

    /// Changes whenever a password of this login is revoked; None if there is no such login, or it is disabled. A session that
    /// was let in under another number has to log in again.
    pub fn revocations(&self, account: &str) -> Option<u64> {
        self.senders.get(account).map(|sender| sender.revocations)
    }

    /// Whether some login sends as this address: then reports on what it sent come back to it, even if the directory has no
    /// mailbox for it.
    pub fn is_sender(&self, address: &Address) -> bool {
        self.sender_keys.contains(address.key())
    }

    /// Whose each recipient is: the address's tenant, else the domain's.
    pub fn tenants_of(&self, recipients: &[Recipient]) -> Vec<String> {
        let tenant = |recipient: &Recipient| {
            let address = &recipient.address;
            let by_address = self.entry(address).map(|entry| &entry.tenant);
            let by_domain = || self.domain(address.domain()).map(|domain| &domain.tenant);
            by_address
                .or_else(by_domain)
                .map_or_else(|| "default".to_owned(), String::clone)
        };
        recipients.iter().map(tenant).collect()
    }

    /// How many addresses.
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }
}

type DomainFields = (String, String, String, String);
type AddressFields = (String, String, String, String);
type SenderFields = (String, String, Option<String>, i64);
type Rows = (Vec<DomainFields>, Vec<AddressFields>, Vec<SenderFields>);

/// Reads it all.
///
/// `postmaster` of a domain without such an address goes where the domain's first active address goes
/// (RFC 5321 §4.5.1).
///
/// # Errors
/// [`StoreError`].
pub async fn load(store: &Store) -> Result<Directory, StoreError> {
    let (domains, addresses, senders): Rows = store
        .read(NAME, |conn| {
            Box::pin(async move {
                let domains = sqlx::query_as(sql::DOMAIN_LOAD)
                    .fetch_all(&mut *conn)
                    .await?;
                let addresses = sqlx::query_as(sql::ADDRESS_LOAD)
                    .fetch_all(&mut *conn)
                    .await?;
                let senders = sqlx::query_as(sql::SENDER_LOAD).fetch_all(conn).await?;
                Ok((domains, addresses, senders))
            })
        })
        .await?;
    let mut directory = Directory::default();
    for row in domains {
        let entry = domain_entry(row)?;
        directory.domains.insert(entry.name.clone(), entry);
    }
    for row in addresses {
        let entry = address_entry(row)?;
        directory.admit(entry)?;
    }
    for (account, tenant, key, revocations) in senders {
        let sender = directory.senders.entry(account).or_default();
        sender.tenant = tenant;
        sender.revocations = u64::try_from(revocations).unwrap_or_default();
        sender.keys.extend(key.clone());
        directory.sender_keys.extend(key);
    }
    Ok(directory)
}

const NAME: &str = "directory-load";

/// What this code cannot have written.
fn broken(what: impl Into<String>) -> StoreError {
    StoreError::Row {
        name: NAME,
        what: what.into(),
    }
}

fn domain_entry((name, tenant, profile, unknown): DomainFields) -> Result<DomainEntry, StoreError> {
    Ok(DomainEntry {
        profile: Profile::from_word(&profile)
            .ok_or_else(|| broken(format!("domain {name}: profile {profile}")))?,
        unknown_recipient: UnknownRecipient::from_word(&unknown)
            .ok_or_else(|| broken(format!("domain {name}: unknown_recipient {unknown}")))?,
        name,
        tenant,
    })
}

fn address_entry((written, tenant, state, route): AddressFields) -> Result<Entry, StoreError> {
    let wrong = |what: String| broken(format!("address {written}: {what}"));
    Ok(Entry {
        address: Address::parse(&written).map_err(|error| wrong(error.to_string()))?,
        state: AddressState::from_word(&state).ok_or_else(|| wrong(format!("state {state}")))?,
        destination: Destination::parse(&route)
            .map_err(|error| wrong(format!("route {route}: {error}")))?,
        tenant,
    })
}

impl Directory {
    fn admit(&mut self, entry: Entry) -> Result<(), StoreError> {
        let postmaster = Address::parse(&format!("postmaster@{}", entry.address.domain()))
            .map_err(|error| broken(format!("{}: {error}", entry.address)))?;
        if entry.state == AddressState::Active {
            self.postmasters
                .entry(postmaster.key().to_owned())
                .or_insert_with(|| Entry {
                    address: postmaster,
                    ..entry.clone()
                });
        }
        self.addresses.insert(entry.address.key().to_owned(), entry);
        Ok(())
    }
}
