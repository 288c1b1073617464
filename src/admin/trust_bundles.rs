//! `bundle add|list|show|refresh|diff|approve|exclude|rm`.

use std::time::Duration;

use serde_json::Value;

use crate::bundles::{self, Source, Wanted};
use crate::discover::{Resolver, ResolverSettings};
use crate::fetch::{Allowed, Fetcher, Rest};
use crate::journal::Actor;

use super::{BundleAdd, Failure, Handle, Request, answer, decode, exit, usage};

pub async fn run(handle: &Handle, actor: Actor, request: Request) -> Result<Value, Failure> {
    use Request as R;
    let store = &handle.store;
    match request {
        R::BundleAdd(asked) => {
            let (fetcher, wanted) = (fetcher(handle)?, wanted(asked)?);
            answer(bundles::add_bundle(store, &fetcher, actor, wanted).await?)
        }
        R::BundleShow(asked) => answer(bundles::show_bundle(store, &asked.name).await?),
        R::BundleRefresh(asked) => {
            let (fetcher, file) = (fetcher(handle)?, octets(asked.octets.as_deref())?);
            answer(bundles::refresh_bundle(store, &fetcher, actor, &asked.name, file).await?)
        }
        R::BundleDiff(asked) => {
            let (fetcher, file) = (fetcher(handle)?, octets(asked.octets.as_deref())?);
            answer(bundles::diff_bundle(store, &fetcher, &asked.name, file).await?)
        }
        R::BundleApprove(asked) => {
            if asked.reason.trim().is_empty() {
                return Err(usage("the reason is empty", "say why with --reason"));
            }
            let (name, diff) = (&asked.name, &asked.diff);
            answer(bundles::approve_bundle(store, actor, name, diff, &asked.reason).await?)
        }
        R::BundleExclude(asked) => {
            let (name, which) = (&asked.name, &asked.which);
            answer(bundles::exclude_anchor(store, actor, name, which, asked.reason).await?)
        }
        R::BundleRm(asked) => answer(bundles::remove_bundle(store, actor, &asked.name).await?),
        _ => answer(bundles::list_bundles(store).await?),
    }
}

fn octets(base64: Option<&str>) -> Result<Option<Vec<u8>>, Failure> {
    base64.map(decode).transpose()
}

fn wanted(asked: BundleAdd) -> Result<Wanted, Failure> {
    let source = match octets(asked.octets.as_deref())? {
        Some(octets) => Source::File {
            name: asked.source,
            octets,
        },
        None => Source::Url(asked.source),
    };
    Ok(Wanted {
        name: asked.name,
        source,
        signer: octets(asked.signer.as_deref())?,
        profile: asked.profile,
        direction: asked.direction,
        interval: Duration::from_secs(asked.interval_s),
        revocation: asked.revocation,
        drop_percent: asked.drop_percent,
    })
}

fn fetcher(handle: &Handle) -> Result<Fetcher, Failure> {
    let (config, world) = (&handle.config, handle.world().clone());
    let broken =
        |why: String| Failure::new(exit::CONFIG, why, "see [fetch], [dns] of the configuration");
    let resolver = match &handle.resolver {
        Some(resolver) => resolver.clone(),
        None => {
            let servers = config.dns_servers.clone();
            Resolver::new(&ResolverSettings { servers }, world.clone()).map_err(broken)?
        }
    };
    let allowed = Allowed {
        nets: config.fetch_allow.clone(),
        rest: Rest::Public,
    };
    Fetcher::new(world, resolver, allowed, config.fetch_ca_file.as_deref()).map_err(broken)
}
