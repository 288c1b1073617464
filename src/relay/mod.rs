//! To the next hop: MX order, TLS demands, SMTP by `lettre`, reply -> outcome per recipient.
//! In: a [`Sealed`]. Out: an [`Outcome`] for each recipient. Nothing unsealed can come here.

pub mod sql;

use crate::crypto::tls::ClientContext;
use crate::discover::{MailHost, Resolver};
use crate::envelope::Address;
use crate::journal::Reason;
use crate::seal::Sealed;
use crate::world::World;

/// What relaying needs from the node.
#[derive(Clone, Debug)]
pub struct Relay {
    pub world: World,
    pub resolver: Resolver,
    /// EHLO name.
    pub hostname: String,
    /// The port of other HISPs: 25.
    pub port: u16,
    pub tls: ClientContext,
    /// Open connections kept for the next message, shared by clones.
    pub(crate) pool: std::sync::Arc<pool::Pool>,
}

mod pool {
    //! (Helper to be written: kept connections, by host.)
    #[derive(Debug, Default)]
    pub struct Pool {}
}

/// What happened for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The next hop took responsibility.
    Relayed {
        host: String,
        tls: Option<String>,
        reply: String,
    },
    /// Not now.
    Later { reason: Reason, detail: String },
    /// Never.
    Refused { reason: Reason, detail: String },
}

impl Relay {
    pub fn new(
        world: World,
        resolver: Resolver,
        hostname: String,
        port: u16,
        tls: ClientContext,
    ) -> Self {
        Self {
            world,
            resolver,
            hostname,
            port,
            tls,
            pool: std::sync::Arc::default(),
        }
    }

    /// One attempt: finds the mail hosts of `domain`, tries them in order, one transaction. Every recipient of `sealed` gets
    /// exactly one outcome. `envid`: this attempt's random token, sent as ENVID where DSN is offered.
    pub async fn relay(
        &self,
        _sealed: &Sealed,
        _domain: &str,
        _envid: &str,
    ) -> Vec<(Address, Outcome)> {
        todo!()
    }
}

/// Pure: the order in which hosts are tried.
pub fn hop_order(hosts: Vec<MailHost>) -> Vec<MailHost> {
    hosts
        .into_iter()
        .take(crate::limits::MX_HOSTS_MAX)
        .collect()
}
