//! `domain add|list`.

use serde::Serialize;

use crate::directory::{self, DomainRow};
use crate::journal::Actor;
use crate::trust::Profile;

use super::{DomainAdd, Failure, Handle, domain_name, usage};

/// What became of it.
#[derive(Debug, Serialize)]
pub struct Added {
    domain: String,
    /// False: it was ours before, and nothing changed.
    added: bool,
}

pub async fn add(handle: &Handle, actor: Actor, asked: DomainAdd) -> Result<Added, Failure> {
    let domain = domain_name(&asked.name)?;
    let profile = Profile::from_word(&asked.profile).ok_or_else(|| {
        usage(
            format!("there is no profile {}", asked.profile),
            "use v1.3 or v1.2",
        )
    })?;
    let added = directory::add_domain(&handle.store, actor, &domain, profile).await?;
    Ok(Added { domain, added })
}

pub async fn list(handle: &Handle) -> Result<Vec<DomainRow>, Failure> {
    Ok(directory::list_domains(&handle.store).await?)
}
