//! To the next hop: MX order, TLS demands, SMTP by `lettre`, reply -> outcome per recipient.
//! In: a [`Sealed`]. Out: an [`Outcome`] for each recipient. Nothing unsealed can come here:
//!
//! ```
//! # use carepost::{relay::Relay, seal::Sealed};
//! async fn send(relay: &Relay, message: &Sealed) {
//!     relay.relay(message, "clinic.example", Some("token")).await;
//! }
//! ```
//! ```compile_fail,E0308
//! # use carepost::{relay::Relay, draft::Draft};
//! async fn send(relay: &Relay, message: &Draft) {
//!     relay.relay(message, "clinic.example", Some("token")).await;
//! }
//! ```

mod data;
pub(crate) mod pool;
pub(crate) mod session;
mod stream;
#[cfg(test)]
pub(crate) mod tests;

use std::net::SocketAddr;

pub mod sql;

use crate::crypto::tls::ClientContext;
use crate::discover::{DiscoverError, MailHost, Resolver};
use crate::envelope::Address;
use crate::journal::Reason;
use crate::limits::{ADDRESSES_PER_HOST_MAX, MX_HOSTS_MAX, RELAY_ATTEMPT_TIMEOUT, WORDS_MAX};
use crate::seal::Sealed;
use crate::world::World;

pub(crate) use data::Lines;
use session::{Caller, Dsn, Failure, Hop, Mailing, Place, Protocol, Said, TlsRule};

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

    /// One attempt: finds the mail hosts of `domain`, tries them in order, one transaction. Every recipient
    /// of `sealed` gets exactly one outcome. `envid`: this attempt's random token, sent as ENVID where DSN
    /// is offered; `None` for a report, of whose fate nobody is to be told (NOTIFY=NEVER).
    pub async fn relay(
        &self,
        sealed: &Sealed,
        domain: &str,
        envid: Option<&str>,
    ) -> Vec<(Address, Outcome)> {
        let mailing = Mailing {
            from: Some(sealed.from()),
            to: sealed.recipients(),
            head: "",
            body: sealed.body(),
            lines: Lines::Demand,
            dsn: envid.map_or(Dsn::Never, Dsn::Track),
        };
        let outcomes = self.send(&mailing, domain).await;
        sealed.recipients().iter().cloned().zip(outcomes).collect()
    }

    /// As many outcomes as recipients, in their order.
    async fn send(&self, mailing: &Mailing<'_>, domain: &str) -> Vec<Outcome> {
        let attempt = self.attempt(mailing, domain);
        match self.world.within(RELAY_ATTEMPT_TIMEOUT, attempt).await {
            Ok(outcomes) => outcomes,
            Err(_) => same(mailing, &later("the attempt took too long".to_owned())),
        }
    }

    async fn attempt(&self, mailing: &Mailing<'_>, domain: &str) -> Vec<Outcome> {
        let hosts = match self.resolver.mail_hosts(domain).await {
            Ok(hosts) => hop_order(hosts),
            Err(DiscoverError::NotFound(detail)) => {
                let reason = Reason::NoMailHost;
                return same(mailing, &Outcome::Refused { reason, detail });
            }
            Err(DiscoverError::NoAnswer(detail)) => return same(mailing, &later(detail)),
        };
        let mut tried = Vec::new();
        for host in &hosts {
            for ip in host.addresses.iter().take(ADDRESSES_PER_HOST_MAX) {
                let at = SocketAddr::new(*ip, self.port);
                match self.try_host(mailing, host, at).await {
                    Ok(outcomes) => return outcomes,
                    Err(Failure::Lost(why)) => tried.push(format!("{} [{ip}]: {why}", host.name)),
                    Err(Failure::Body(why)) => return same(mailing, &later(why)),
                    Err(Failure::Unsendable(detail)) => {
                        let reason = Reason::HopRefused;
                        return same(mailing, &Outcome::Refused { reason, detail });
                    }
                }
            }
        }
        let tried = tried.join("; ").chars().take(WORDS_MAX).collect();
        same(mailing, &later(tried))
    }

    async fn try_host(
        &self,
        mailing: &Mailing<'_>,
        host: &MailHost,
        at: SocketAddr,
    ) -> Result<Vec<Outcome>, Failure> {
        let caller = Caller {
            world: &self.world,
            tls: &self.tls,
            hello: &self.hostname,
        };
        let hop = Hop {
            host: &host.name,
            place: Place::Tcp(at),
            protocol: Protocol::Smtp,
            tls: TlsRule::Opportunistic,
        };
        let key = format!("{} {at}", host.name);
        let sent = self.pool.send(caller, &hop, &key, mailing).await?;
        let outcome = |said: Said| match said {
            Said::Taken(reply) => Outcome::Relayed {
                host: host.name.clone(),
                tls: sent.tls.clone(),
                reply,
            },
            Said::Later(words) => later(format!("{}: {words}", host.name)),
            Said::Refused(words) => Outcome::Refused {
                reason: Reason::HopRefused,
                detail: format!("{}: {words}", host.name),
            },
        };
        Ok(sent.said.into_iter().map(outcome).collect())
    }
}

/// Pure: the order in which hosts are tried.
pub fn hop_order(hosts: Vec<MailHost>) -> Vec<MailHost> {
    hosts.into_iter().take(MX_HOSTS_MAX).collect()
}

fn later(detail: String) -> Outcome {
    Outcome::Later {
        reason: Reason::HopUnavailable,
        detail,
    }
}

fn same(mailing: &Mailing<'_>, outcome: &Outcome) -> Vec<Outcome> {
    mailing.to.iter().map(|_| outcome.clone()).collect()
}
