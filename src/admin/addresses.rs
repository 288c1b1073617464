//! `address import|list|add|rm`.

use serde::Serialize;

use crate::directory::{self, AddressRow, ImportReport};
use crate::journal::Actor;
use crate::route::Destination;

use super::{
    AddressAdd, AddressImport, AddressList, AddressRm, Failure, Handle, ImportMode, domain_name,
    exit, parse_address, usage,
};

pub async fn import(
    handle: &Handle,
    actor: Actor,
    asked: AddressImport,
) -> Result<ImportReport, Failure> {
    let dry_run = asked.mode == ImportMode::DryRun;
    directory::import_csv(&handle.store, actor, &asked.csv, dry_run)
        .await?
        .map_err(|sentence| {
            let text = if sentence.contains("\n  do: ") {
                sentence
            } else {
                format!("{sentence}\n  do: the first line must be: address,route,holder,npi")
            };
            Failure::of(exit::FAILED, &text)
        })
}

pub async fn list(handle: &Handle, asked: AddressList) -> Result<Vec<AddressRow>, Failure> {
    let domain = asked.domain.as_deref().map(domain_name).transpose()?;
    Ok(directory::list_addresses(&handle.store, domain.as_deref()).await?)
}

/// An address as it now stands.
#[derive(Debug, Serialize)]
pub struct Set {
    address: String,
    route: String,
}

pub async fn add(handle: &Handle, actor: Actor, asked: AddressAdd) -> Result<Set, Failure> {
    let address = parse_address(&asked.address)?;
    let route = Destination::parse(&asked.route).map_err(|sentence| {
        usage(
            sentence,
            "write it as maildir:/path, smtp://host:25, lmtp://host:24 or lmtp:unix:/path",
        )
    })?;
    if let Some(npi) = asked.npi.as_deref().filter(|npi| !directory::is_npi(npi)) {
        return Err(usage(
            format!(
                "{npi} is not a National Provider Identifier: its check digit or length is wrong"
            ),
            "give its 10 digits, or leave --npi out",
        ));
    }
    let ours = directory::set_address(
        &handle.store,
        actor,
        &address,
        &route,
        asked.holder.as_deref(),
        asked.npi.as_deref(),
    )
    .await?;
    if ours {
        return Ok(Set {
            address: address.to_string(),
            route: route.to_string(),
        });
    }
    Err(Failure::new(
        exit::FAILED,
        format!("{} is not a domain of ours", address.domain()),
        format!("`carepost domain add {}` first", address.domain()),
    ))
}

/// An address that is gone.
#[derive(Debug, Serialize)]
pub struct Removed {
    address: String,
}

pub async fn remove(handle: &Handle, actor: Actor, asked: AddressRm) -> Result<Removed, Failure> {
    let address = parse_address(&asked.address)?;
    if directory::remove_address(&handle.store, actor, &address).await? {
        return Ok(Removed {
            address: address.to_string(),
        });
    }
    Err(Failure::new(
        exit::FAILED,
        format!("there is no address {address}"),
        "see `carepost address list`",
    ))
}
