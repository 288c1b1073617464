//! `account add|list`, `account password add|revoke`.

use serde::Serialize;

use crate::directory::{self, Account};
use crate::journal::Actor;

use super::{AccountAdd, Failure, Handle, PasswordAdd, PasswordRevoke, parse_address, usage};

/// A login that was made.
#[derive(Debug, Serialize)]
pub struct Added {
    account: String,
    addresses: Vec<String>,
}

pub async fn add(handle: &Handle, actor: Actor, asked: AccountAdd) -> Result<Added, Failure> {
    let account = login(&asked.name)?;
    let addresses = asked
        .addresses
        .iter()
        .map(|written| parse_address(written))
        .collect::<Result<Vec<_>, _>>()?;
    directory::add_account(&handle.store, actor, &account, &addresses).await?;
    Ok(Added {
        account,
        addresses: addresses.iter().map(ToString::to_string).collect(),
    })
}

/// Logins are kept in lower case (the schema's word), without blanks: they travel in SASL.
fn login(written: &str) -> Result<String, Failure> {
    let fine = !written.is_empty()
        && written.len() <= 255
        && written.bytes().all(|octet| octet.is_ascii_graphic());
    if fine {
        Ok(written.to_ascii_lowercase())
    } else {
        Err(usage(
            format!("`{written}` cannot be a login"),
            "use 1 to 255 visible ASCII characters, such as an e-mail address",
        ))
    }
}

pub async fn list(handle: &Handle) -> Result<Vec<Account>, Failure> {
    Ok(directory::list_accounts(&handle.store).await?)
}

/// The only time that a password is seen.
#[derive(Serialize)]
pub struct NewPassword {
    account: String,
    label: String,
    password: String,
}

pub async fn add_password(
    handle: &Handle,
    actor: Actor,
    asked: PasswordAdd,
) -> Result<NewPassword, Failure> {
    let account = login(&asked.account)?;
    let chosen = asked.chosen.as_ref().map(|hidden| hidden.0.as_str());
    if chosen.is_some_and(|chosen| chosen.chars().count() < crate::limits::PASSWORD_LENGTH_MIN) {
        return Err(usage(
            "the password is too short",
            "leave it out, and carepost makes one; or choose at least 12 characters",
        ));
    }
    let password =
        directory::add_password(&handle.store, actor, &account, &asked.label, chosen).await?;
    Ok(NewPassword {
        account,
        label: asked.label,
        password,
    })
}

/// A password that no longer works.
#[derive(Debug, Serialize)]
pub struct Revoked {
    account: String,
    label: String,
}

pub async fn revoke_password(
    handle: &Handle,
    actor: Actor,
    asked: PasswordRevoke,
) -> Result<Revoked, Failure> {
    let account = login(&asked.account)?;
    directory::revoke_password(&handle.store, actor, &account, &asked.label).await?;
    Ok(Revoked {
        account,
        label: asked.label,
    })
}
