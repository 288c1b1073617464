//! What an operator may do, one function a verb. In: a [`Request`] and who asks. Out: a JSON answer or a
//! [`Failure`] of two lines. The running carepost answers through `admin.sock`; a command without one opens
//! the store itself and calls the same [`run`]. Never prints; never decides about a message.

mod accounts;
mod addresses;
mod anchors;
mod certs;
mod check;
mod domains;
mod health;
mod http;
mod messages;
mod protocol;
mod queue;
mod socket;
#[cfg(test)]
mod tests;
pub mod timeline;
mod trust_bundles;
mod trust_profiles;

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::Value;

use crate::bundles;
use crate::certs::KeyRing;
use crate::config::Config;
use crate::discover::Resolver;
use crate::journal::Actor;
use crate::store::{Store, StoreError};
use crate::trust::Anchors;
use crate::world::World;

pub(crate) use check::DEMO_CA;
pub use check::Item;
pub use health::{Check, Health, health};
pub use http::serve_health;
pub use protocol::{
    AccountAdd, AddressAdd, AddressImport, AddressList, AddressRm, AnchorExport, AnchorImport,
    AnchorRm, BundleAdd, BundleApprove, BundleExclude, BundleFile, BundleName, CertImport,
    DomainAdd, Failure, Hidden, ImportMode, MessageCancel, MessageList, MessageShow, PasswordAdd,
    PasswordRevoke, QueueItem, Reply, Request, TrustProfileAdd, TrustProfileAssign,
    TrustProfileName, exit,
};
pub use socket::{operator, serve_socket};

/// What every verb needs. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    store: Store,
    config: Arc<Config>,
    resolver: Option<Resolver>,
    loaded: Arc<Mutex<Option<Loaded>>>,
    refresh: Option<Refresh>,
}

/// Makes the running gateway see what was committed.
pub type Refresh = Arc<dyn Fn() -> Refreshing + Send + Sync>;
/// What [`Refresh`] returns.
pub type Refreshing = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

/// Identities and anchors of one epoch, so that a probe every second does not unwrap every key.
#[derive(Clone)]
struct Loaded {
    epoch: u64,
    identities: Arc<KeyRing>,
    anchors: Arc<Anchors>,
}

impl Handle {
    /// Of an open store. Without a resolver the DNS checks say so.
    pub fn new(store: Store, config: Arc<Config>, resolver: Option<Resolver>) -> Self {
        Self {
            store,
            config,
            resolver,
            loaded: Arc::default(),
            refresh: None,
        }
    }

    /// Before a verb answers, `refresh` is run: what the operator changed is then in force everywhere
    /// (decision 13: removal takes effect at once).
    #[must_use]
    pub fn refreshing(mut self, refresh: Refresh) -> Self {
        self.refresh = Some(refresh);
        self
    }

    async fn refreshed(&self) -> Result<(), StoreError> {
        match &self.refresh {
            Some(refresh) => refresh().await,
            None => Ok(()),
        }
    }

    /// Commits what waits and closes the store.
    pub async fn close(&self) {
        self.store.close().await;
    }

    fn world(&self) -> &World {
        self.store.world()
    }

    async fn loaded(&self) -> Result<Loaded, StoreError> {
        let epoch = self.store.epoch();
        let kept = self
            .loaded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(kept) = kept.filter(|kept| kept.epoch == epoch) {
            return Ok(kept);
        }
        let fresh = Loaded {
            epoch,
            identities: Arc::new(crate::certs::load(&self.store).await?),
            anchors: Arc::new(bundles::load(&self.store, self.config.revocation).await?),
        };
        let mut slot = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(fresh.clone());
        Ok(fresh)
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handle(..)")
    }
}

/// Does what was asked.
///
/// # Errors
/// [`Failure`].
pub async fn run(handle: &Handle, actor: Actor, request: Request) -> Result<Value, Failure> {
    let answer = dispatch(handle, actor, request).await;
    // Some verbs change one thing after another and may fail between them.
    let refreshed = handle.refreshed().await;
    let answer = answer?;
    refreshed.map_err(|error| {
        Failure::new(
            exit::TEMPFAIL,
            format!("it is written down, but the running carepost still works with what was before: {error}"),
            "see `carepost health`; restart carepost if it stays so",
        )
    })?;
    Ok(answer)
}

async fn dispatch(handle: &Handle, actor: Actor, request: Request) -> Result<Value, Failure> {
    use Request as R;
    match request {
        R::DomainAdd(asked) => answer(domains::add(handle, actor, asked).await?),
        R::DomainList => answer(domains::list(handle).await?),
        R::AccountAdd(asked) => answer(accounts::add(handle, actor, asked).await?),
        R::AccountList => answer(accounts::list(handle).await?),
        R::AccountPasswordAdd(asked) => answer(accounts::add_password(handle, actor, asked).await?),
        R::AccountPasswordRevoke(asked) => {
            answer(accounts::revoke_password(handle, actor, asked).await?)
        }
        R::AddressImport(asked) => answer(addresses::import(handle, actor, asked).await?),
        R::AddressList(asked) => answer(addresses::list(handle, asked).await?),
        R::AddressAdd(asked) => answer(addresses::add(handle, actor, asked).await?),
        R::AddressRm(asked) => answer(addresses::remove(handle, actor, asked).await?),
        R::AnchorImport(asked) => answer(anchors::import(handle, actor, asked).await?),
        R::AnchorList => answer(anchors::list(handle).await?),
        R::AnchorRm(asked) => answer(anchors::remove(handle, actor, asked).await?),
        R::AnchorExport(asked) => answer(anchors::export(handle, asked).await?),
        R::BundleAdd(_)
        | R::BundleList
        | R::BundleShow(_)
        | R::BundleRefresh(_)
        | R::BundleDiff(_)
        | R::BundleApprove(_)
        | R::BundleExclude(_)
        | R::BundleRm(_) => trust_bundles::run(handle, actor, request).await,
        R::TrustProfileAdd(_)
        | R::TrustProfileList
        | R::TrustProfileShow(_)
        | R::TrustProfileAssign(_) => trust_profiles::run(handle, actor, request).await,
        R::CertImport(asked) => answer(certs::import(handle, actor, asked).await?),
        R::CertList => answer(certs::list(handle).await?),
        R::CertRecords => answer(certs::records(handle).await?),
        R::MessageList(asked) => answer(messages::list(handle, asked).await?),
        R::MessageShow(asked) => answer(messages::show(handle, asked).await?),
        R::MessageCancel(asked) => answer(messages::cancel(handle, actor, asked).await?),
        R::QueueList => answer(queue::list(handle).await?),
        R::QueueRetry(asked) => answer(queue::retry(handle, actor, asked).await?),
        R::QueueHold(asked) => answer(queue::hold(handle, actor, asked).await?),
        R::QueueRelease(asked) => answer(queue::release(handle, actor, asked).await?),
        R::Health => answer(health(handle).await),
        R::Check => answer(check::list(handle).await?),
    }
}

fn answer(value: impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|error| {
        Failure::new(
            exit::FAILED,
            format!("the answer cannot be written as JSON: {error}"),
            "report this; it is a mistake of ours",
        )
    })
}

/// A file's octets out of a request.
fn decode(base64: &str) -> Result<Vec<u8>, Failure> {
    base64_simd::STANDARD
        .decode_to_vec(base64)
        .map_err(|_| usage("a file in the request is not base64", "send it again"))
}

fn usage(happened: impl Into<String>, remedy: impl Into<String>) -> Failure {
    Failure::new(exit::USAGE, happened, remedy)
}

/// A domain name in its comparison form.
fn domain_name(written: &str) -> Result<String, Failure> {
    // A domain of ours is what may stand behind the @ of an address.
    crate::envelope::Address::parse(&format!("postmaster@{written}"))
        .map(|address| address.domain().to_owned())
        .map_err(|_| {
            usage(
                format!("{written} is not a fully qualified domain name"),
                "write it as direct.example.org",
            )
        })
}

fn parse_address(written: &str) -> Result<crate::envelope::Address, Failure> {
    crate::envelope::Address::parse(written).map_err(|error| {
        usage(
            format!("{written}: {error}"),
            "write it as dr.smith@direct.example.org",
        )
    })
}
