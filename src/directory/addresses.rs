//! Addresses, their holders and routes.

use sqlx::SqliteConnection;

use crate::envelope::{Address, TrackingId};
use crate::journal::{Actor, Entry, Event};
use crate::route::Destination;
use crate::store::{Store, StoreError, Tx, Wake};
use crate::world::World;

use super::sql;

/// A row for the operator.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AddressRow {
    pub address: String,
    pub route: String,
    pub holder: Option<String>,
    pub npi: Option<String>,
    pub state: String,
}

/// What an address shall be.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) address: Address,
    pub(super) route: Destination,
    pub(super) holder: Option<String>,
    pub(super) npi: Option<String>,
}

/// Adds or changes one; what is not given is taken away. False if its domain is not ours. `npi` was
/// checked by [`is_npi`].
///
/// # Errors
/// [`StoreError`].
pub async fn set_address(
    store: &Store,
    actor: Actor,
    address: &Address,
    route: &Destination,
    holder: Option<&str>,
    npi: Option<&str>,
) -> Result<bool, StoreError> {
    let wanted = Wanted {
        address: address.clone(),
        route: route.clone(),
        holder: holder.map(str::to_owned),
        npi: npi.map(str::to_owned),
    };
    let world = store.world().clone();
    store
        .write("address-set", move |tx| {
            Box::pin(async move {
                let Some(tenant) = tenant_of(tx.conn().await?, wanted.address.domain()).await?
                else {
                    return Ok(false);
                };
                put(tx, &world, &actor, &tenant, &wanted).await?;
                sqlx::query(sql::HOLDER_SWEEP)
                    .execute(tx.conn().await?)
                    .await?;
                Ok(true)
            })
        })
        .await
}

/// The tenant of a domain of ours.
pub(super) async fn tenant_of(
    conn: &mut SqliteConnection,
    domain: &str,
) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar(sql::DOMAIN_TENANT)
        .bind(domain)
        .fetch_optional(conn)
        .await?)
}

/// Writes one address, its route and its holder. The tenant is that of its domain.
pub(super) async fn put(
    tx: &mut Tx,
    world: &World,
    actor: &Actor,
    tenant: &str,
    wanted: &Wanted,
) -> Result<(), StoreError> {
    let route = wanted.route.to_string();
    sqlx::query(sql::ROUTE_KEEP)
        .bind(&route)
        .bind(tenant)
        .bind(wanted.route.kind())
        .execute(tx.conn().await?)
        .await?;
    let holder = put_holder(tx, world, tenant, wanted).await?;
    let now = tx.now();
    sqlx::query(sql::ADDRESS_SET)
        .bind(wanted.address.key())
        .bind(wanted.address.written())
        .bind(wanted.address.domain())
        .bind(tenant)
        .bind(holder)
        .bind(&route)
        .bind(now.0)
        .execute(tx.conn().await?)
        .await?;
    let event = Event::AddressSet {
        address: wanted.address.written().to_owned(),
        route,
    };
    tx.record(Entry::operator(tenant, actor.clone(), event));
    tx.wake(Wake::Snapshots);
    Ok(())
}

/// The holder's row: one person a National Provider Identifier; without one, the name stands for the
/// person. A name alone never joins somebody who has an identifier.
async fn put_holder(
    tx: &mut Tx,
    world: &World,
    tenant: &str,
    wanted: &Wanted,
) -> Result<Option<String>, StoreError> {
    let (name, known) = match (&wanted.holder, &wanted.npi) {
        (None, None) => return Ok(None),
        (name, Some(npi)) => (name.as_ref().unwrap_or(npi), (sql::HOLDER_BY_NPI, npi)),
        (Some(name), None) => (name, (sql::HOLDER_BY_NAME, name)),
    };
    let (statement, value) = known;
    let found: Option<String> = sqlx::query_scalar(statement)
        .bind(tenant)
        .bind(value)
        .fetch_optional(tx.conn().await?)
        .await?;
    if let Some(id) = found {
        if wanted.holder.is_some() {
            sqlx::query(sql::HOLDER_RENAME)
                .bind(&id)
                .bind(name)
                .execute(tx.conn().await?)
                .await?;
        }
        return Ok(Some(id));
    }
    let id = TrackingId::new(world).to_string();
    sqlx::query(sql::HOLDER_ADD)
        .bind(&id)
        .bind(tenant)
        .bind(name)
        .bind(&wanted.npi)
        .execute(tx.conn().await?)
        .await?;
    Ok(Some(id))
}

/// Removes one. False if it was not there. Which accounts may send as it does not change.
///
/// # Errors
/// [`StoreError`].
pub async fn remove_address(
    store: &Store,
    actor: Actor,
    address: &Address,
) -> Result<bool, StoreError> {
    let key = address.key().to_owned();
    store
        .write("address-remove", move |tx| {
            Box::pin(async move {
                let gone: Option<(String, String)> = sqlx::query_as(sql::ADDRESS_REMOVE)
                    .bind(&key)
                    .fetch_optional(tx.conn().await?)
                    .await?;
                let Some((address, tenant)) = gone else {
                    return Ok(false);
                };
                sqlx::query(sql::HOLDER_SWEEP)
                    .execute(tx.conn().await?)
                    .await?;
                let event = Event::AddressRemoved { address };
                tx.record(Entry::operator(&tenant, actor, event));
                tx.wake(Wake::Snapshots);
                Ok(true)
            })
        })
        .await
}

/// All of them (or one domain's), by address.
///
/// # Errors
/// [`StoreError`].
pub async fn list_addresses(
    store: &Store,
    domain: Option<&str>,
) -> Result<Vec<AddressRow>, StoreError> {
    type Row = (String, String, Option<String>, Option<String>, String);
    let domain = domain.unwrap_or_default().to_owned();
    let rows: Vec<Row> = store
        .read("address-list", move |conn| {
            Box::pin(async move {
                Ok(sqlx::query_as(sql::ADDRESS_LIST)
                    .bind(domain)
                    .fetch_all(conn)
                    .await?)
            })
        })
        .await?;
    let row = |(address, route, holder, npi, state)| AddressRow {
        address,
        route,
        holder,
        npi,
        state,
    };
    Ok(rows.into_iter().map(row).collect())
}

/// Whether this is a National Provider Identifier: ten digits, the first 1 or 2, the last a Luhn check
/// digit over the number with the prefix 80840 (45 CFR §162.406; CMS "NPI check digit").
pub fn is_npi(text: &str) -> bool {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(10)).collect();
    let Some(digits) = digits.filter(|digits| digits.len() == 10) else {
        return false;
    };
    // The prefix 80840 adds 24 to every sum.
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match place % 2 {
            0 => *digit,
            _ => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum();
    matches!(digits.first(), Some(1 | 2)) && (sum + 24).is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_npi_is_ten_digits_with_a_right_check_digit() {
        assert!(is_npi("1234567893"));
        assert!(is_npi("1245319599"));
        for wrong in [
            "1234567894",
            "1243567893",
            "123456789",
            "12345678931",
            "3234567893",
            "",
            "123456789x",
        ] {
            assert!(!is_npi(wrong), "{wrong}");
        }
    }
}
