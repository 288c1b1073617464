//! `trust profile add|list|show|assign`.

use serde_json::Value;

use crate::bundles;
use crate::journal::Actor;

use super::{Failure, Handle, Request, answer, domain_name};

pub async fn run(handle: &Handle, actor: Actor, request: Request) -> Result<Value, Failure> {
    use Request as R;
    let store = &handle.store;
    match request {
        R::TrustProfileAdd(asked) => {
            answer(bundles::add_profile(store, actor, &asked.name, asked.bundles).await?)
        }
        R::TrustProfileShow(asked) => answer(bundles::show_profile(store, &asked.name).await?),
        R::TrustProfileAssign(asked) => {
            let domain = domain_name(&asked.domain)?;
            let (profile, way) = (&asked.profile, &asked.direction);
            answer(bundles::assign_profile(store, actor, &domain, profile, way).await?)
        }
        _ => answer(bundles::list_profiles(store).await?),
    }
}
