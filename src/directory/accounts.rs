//! Logins of clinics and their passwords (argon2id, tagged; one a device). In: what the operator
//! orders. Out: rows. A password is seen once, when it is made; it is never stored or logged.

use std::collections::HashMap;

use crate::envelope::{Address, TrackingId};
use crate::journal::{Actor, Entry, Event};
use crate::store::{Store, StoreError, Tx, Wake};
use crate::world::{Timestamp, World};

use super::addresses::tenant_of;
use super::domains::DEFAULT_TENANT;
use super::{password, sql};

/// Characters of a password that we make: 24 of 32 signs are 120 bits.
const PASSWORD_LENGTH: usize = 24;

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

/// Makes an account that may send as these addresses. Its tenant is theirs; all are of one tenant.
///
/// # Errors
/// [`AccountError`].
pub async fn add_account(
    store: &Store,
    actor: Actor,
    name: &str,
    addresses: &[Address],
) -> Result<(), AccountError> {
    let account = login(name);
    let addresses = addresses.to_vec();
    store
        .write("account-add", move |tx| {
            Box::pin(async move {
                match tenant_of_all(tx, &addresses).await? {
                    Ok(tenant) => insert_account(tx, actor, account, &tenant, &addresses).await,
                    Err(refused) => Ok(Err(refused)),
                }
            })
        })
        .await?
}

/// How a login is kept and compared: ASCII lower case, no blanks around it.
fn login(name: &str) -> String {
    name.trim().to_ascii_lowercase()
}

async fn tenant_of_all(
    tx: &mut Tx,
    addresses: &[Address],
) -> Result<Result<String, AccountError>, StoreError> {
    let mut tenant: Option<String> = None;
    for address in addresses {
        let owner = tenant_of(tx.conn().await?, address.domain()).await?;
        let fits = match (&owner, &tenant) {
            (None, _) => false,
            (Some(_), None) => true,
            // Another customer's domain is as foreign as a stranger's.
            (Some(owner), Some(tenant)) => owner == tenant,
        };
        if !fits {
            return Ok(Err(AccountError::ForeignAddress(address.to_string())));
        }
        tenant = owner;
    }
    Ok(Ok(tenant.unwrap_or_else(|| DEFAULT_TENANT.to_owned())))
}

async fn insert_account(
    tx: &mut Tx,
    actor: Actor,
    account: String,
    tenant: &str,
    addresses: &[Address],
) -> Result<Result<(), AccountError>, StoreError> {
    let now = tx.now();
    let added = sqlx::query(sql::ACCOUNT_ADD)
        .bind(&account)
        .bind(tenant)
        .bind(now.0)
        .execute(tx.conn().await?)
        .await?
        .rows_affected();
    if added == 0 {
        return Ok(Err(AccountError::Exists(account)));
    }
    for address in addresses {
        sqlx::query(sql::ACCOUNT_ADDRESS_ADD)
            .bind(&account)
            .bind(address.key())
            .execute(tx.conn().await?)
            .await?;
    }
    let addresses = addresses.iter().map(Address::to_string).collect();
    let event = Event::AccountAdded { account, addresses };
    tx.record(Entry::operator(tenant, actor, event));
    tx.wake(Wake::Snapshots);
    Ok(Ok(()))
}

/// Makes a password (24 random characters unless `chosen`) and returns it: the only time it is seen.
///
/// # Errors
/// [`AccountError`].
pub async fn add_password(
    store: &Store,
    actor: Actor,
    account: &str,
    label: &str,
    chosen: Option<&str>,
) -> Result<String, AccountError> {
    let (account, label) = (login(account), label.to_owned());
    let secret = chosen.map_or_else(|| random_password(store.world()), str::to_owned);
    let hash = password::hash(store.world(), &secret).await;
    let id = TrackingId::new(store.world()).to_string();
    store
        .write("password-add", move |tx| {
            Box::pin(async move {
                let Some(tenant) = account_tenant(tx, &account).await? else {
                    return Ok(Err(AccountError::Unknown(account)));
                };
                let taken: Option<String> = sqlx::query_scalar(sql::PASSWORD_ACTIVE)
                    .bind(&account)
                    .bind(&label)
                    .fetch_optional(tx.conn().await?)
                    .await?;
                if taken.is_some() {
                    return Ok(Err(AccountError::LabelTaken(account, label)));
                }
                let now = tx.now();
                sqlx::query(sql::PASSWORD_ADD)
                    .bind(id)
                    .bind(&account)
                    .bind(&label)
                    .bind(hash)
                    .bind(now.0)
                    .execute(tx.conn().await?)
                    .await?;
                let event = Event::PasswordAdded { account, label };
                tx.record(Entry::operator(&tenant, actor, event));
                tx.wake(Wake::Snapshots);
                Ok(Ok(()))
            })
        })
        .await??;
    Ok(secret)
}

/// Lower-case letters and digits that nobody confuses: no i, l, o, u.
fn random_password(world: &World) -> String {
    const SIGNS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    world
        .random::<PASSWORD_LENGTH>()
        .iter()
        .filter_map(|octet| SIGNS.get(usize::from(octet % 32)))
        .map(|sign| char::from(*sign))
        .collect()
}

async fn account_tenant(tx: &mut Tx, account: &str) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar(sql::ACCOUNT_TENANT)
        .bind(account)
        .fetch_optional(tx.conn().await?)
        .await?)
}

/// Revokes one. It works nowhere once this returns.
///
/// # Errors
/// [`AccountError`].
pub async fn revoke_password(
    store: &Store,
    actor: Actor,
    account: &str,
    label: &str,
) -> Result<(), AccountError> {
    let (account, label) = (login(account), label.to_owned());
    store
        .write("password-revoke", move |tx| {
            Box::pin(async move {
                let Some(tenant) = account_tenant(tx, &account).await? else {
                    return Ok(Err(AccountError::Unknown(account)));
                };
                let now = tx.now();
                let revoked = sqlx::query(sql::PASSWORD_REVOKE)
                    .bind(&account)
                    .bind(&label)
                    .bind(now.0)
                    .execute(tx.conn().await?)
                    .await?
                    .rows_affected();
                if revoked == 0 {
                    return Ok(Err(AccountError::NoSuchPassword(account, label)));
                }
                let event = Event::PasswordRevoked { account, label };
                tx.record(Entry::operator(&tenant, actor, event));
                // The epoch goes up with this commit, and the cache of right passwords empties with it.
                tx.wake(Wake::Snapshots);
                Ok(Ok(()))
            })
        })
        .await?
}

type PasswordRow = (String, String, i64, Option<i64>);
type AccountRows = (
    Vec<(String, String, i64)>,
    Vec<(String, String)>,
    Vec<PasswordRow>,
);

/// All of them, by name.
///
/// # Errors
/// [`StoreError`].
pub async fn list_accounts(store: &Store) -> Result<Vec<Account>, StoreError> {
    let (accounts, addresses, passwords): AccountRows = store
        .read("account-list", |conn| {
            Box::pin(async move {
                let accounts = sqlx::query_as(sql::ACCOUNT_LIST)
                    .fetch_all(&mut *conn)
                    .await?;
                let addresses = sqlx::query_as(sql::ACCOUNT_ADDRESS_LIST)
                    .fetch_all(&mut *conn)
                    .await?;
                let passwords = sqlx::query_as(sql::PASSWORD_LIST).fetch_all(conn).await?;
                Ok((accounts, addresses, passwords))
            })
        })
        .await?;
    let mut addresses_of: HashMap<String, Vec<String>> = HashMap::new();
    for (account, key) in addresses {
        addresses_of.entry(account).or_default().push(key);
    }
    let mut passwords_of: HashMap<String, Vec<Password>> = HashMap::new();
    for (account, label, created_at, revoked_at) in passwords {
        passwords_of.entry(account).or_default().push(Password {
            label,
            created_at: Timestamp(created_at).rfc3339(),
            revoked_at: revoked_at.map(|at| Timestamp(at).rfc3339()),
        });
    }
    let account = |(name, tenant, disabled): (String, String, i64)| Account {
        addresses: addresses_of.remove(&name).unwrap_or_default(),
        passwords: passwords_of.remove(&name).unwrap_or_default(),
        name,
        tenant,
        disabled: disabled != 0,
    };
    Ok(accounts.into_iter().map(account).collect())
}

/// Whether the password is right for an enabled account. Two verifications at once (`limits`), off the
/// reactor; an unknown account costs as much as a wrong password. Returns the account's name.
///
/// # Errors
/// [`StoreError`].
pub async fn verify_password(
    store: &Store,
    name: &str,
    password: &str,
) -> Result<Option<String>, StoreError> {
    let account = login(name);
    // Read before the rows: a revocation in between leaves an entry of an epoch that is over.
    let pass = password::Pass::new(store, &account, password);
    if pass.is_known() {
        return Ok(Some(account));
    }
    let key = account.clone();
    let hashes: Vec<String> = store
        .read("password-hashes", move |conn| {
            Box::pin(async move {
                Ok(sqlx::query_scalar(sql::PASSWORD_HASHES)
                    .bind(key)
                    .fetch_all(conn)
                    .await?)
            })
        })
        .await?;
    if password::matches_any(hashes, password).await {
        pass.remember();
        Ok(Some(account))
    } else {
        Ok(None)
    }
}
