//! Where a domain takes its mail, and where a host is. In: a name. Out: hosts with addresses, in the order
//! to try them. MX by preference, then name; the domain itself if there is no MX (RFC 5321 §5.1); nothing
//! for a null MX (RFC 7505).

use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::limits::{ADDRESSES_PER_HOST_MAX, MX_HOSTS_MAX, NOT_FOUND_TTL_MAX};

use super::dns::{Answer, Existence};
use super::plan::domain_name;
use super::{DiscoverError, MailHost, Resolver};

/// An answer and how long it may be kept.
type Lasting<T> = (Result<T, DiscoverError>, Duration);

/// What MX said.
#[derive(Debug, PartialEq, Eq)]
enum Exchanges {
    /// In the order to try them.
    Listed(Vec<Name>),
    /// There are no MX records: the domain is its own host.
    Implicit,
    /// RFC 7505: the domain takes no mail.
    Null,
}

impl Resolver {
    pub(super) async fn ask_mail_hosts(&self, domain: &str) -> Lasting<Vec<MailHost>> {
        let none = |why: String| (Err(DiscoverError::NotFound(why)), NOT_FOUND_TTL_MAX);
        let name = match domain_name(domain) {
            Ok(name) => name,
            Err(why) => return none(format!("{domain} is not a name: {why}")),
        };
        let (exchanges, life) = match self.ask(name.clone(), RecordType::MX).await {
            Answer::Records { records, life } => (exchanges(&records), life),
            Answer::NotThere { exists, life } => match exists {
                Existence::NoSuchName => return none(format!("{domain} does not exist")),
                Existence::NoSuchRecord => (Exchanges::Implicit, life),
            },
            Answer::Silent(why) => return no_answer(format!("MX of {domain}: {why}")),
        };
        let hosts = match exchanges {
            Exchanges::Listed(hosts) => hosts,
            Exchanges::Implicit => vec![name],
            Exchanges::Null => {
                return none(format!("{domain} says that it takes no mail (null MX)"));
            }
        };
        self.locate(domain, hosts, life).await
    }

    /// Addresses of each host; a host without any is left out. No host left and some answer missing: no
    /// answer.
    async fn locate(
        &self,
        domain: &str,
        hosts: Vec<Name>,
        life: Duration,
    ) -> Lasting<Vec<MailHost>> {
        let mut found = Vec::new();
        let mut life = life;
        let mut silent = None;
        for host in hosts.into_iter().take(MX_HOSTS_MAX) {
            let (addresses, host_life) = self.ask_addresses(&host).await;
            life = life.min(host_life);
            match addresses {
                Ok(addresses) => found.push(MailHost {
                    name: text(&host),
                    addresses,
                }),
                Err(DiscoverError::NoAnswer(why)) => silent = Some(why),
                Err(DiscoverError::NotFound(_)) => {}
            }
        }
        match (found.is_empty(), silent) {
            (false, None) => (Ok(found), life),
            // Hosts whose addresses did not come now may come next time: not kept.
            (false, Some(_)) => (Ok(found), Duration::ZERO),
            (true, Some(why)) => no_answer(why),
            (true, None) => {
                let why = format!("no mail host of {domain} has an address");
                (Err(DiscoverError::NotFound(why)), NOT_FOUND_TTL_MAX)
            }
        }
    }

    /// IPv4 first: a host with a dead IPv6 route then costs no time-out.
    pub(super) async fn ask_addresses(&self, host: &Name) -> Lasting<Vec<IpAddr>> {
        let (v4, v6) = tokio::join!(
            self.ask(host.clone(), RecordType::A),
            self.ask(host.clone(), RecordType::AAAA)
        );
        let mut found = Vec::new();
        let mut lives = Vec::new();
        let mut silent = None;
        for answer in [v4, v6] {
            match answer {
                Answer::Records { records, life } => {
                    found.extend(records.iter().filter_map(address));
                    lives.push(life);
                }
                Answer::NotThere { life, .. } => lives.push(life),
                Answer::Silent(why) => silent = Some(why),
            }
        }
        let life = lives.into_iter().min().unwrap_or_default();
        found.truncate(ADDRESSES_PER_HOST_MAX);
        match (found.is_empty(), silent) {
            (false, None) => (Ok(found), life),
            (false, Some(_)) => (Ok(found), Duration::ZERO),
            (true, Some(why)) => no_answer(format!("addresses of {}: {why}", text(host))),
            (true, None) => {
                let why = format!("{} has no address", text(host));
                (
                    Err(DiscoverError::NotFound(why)),
                    life.min(NOT_FOUND_TTL_MAX),
                )
            }
        }
    }
}

fn no_answer<T>(why: String) -> Lasting<T> {
    (Err(DiscoverError::NoAnswer(why)), Duration::ZERO)
}

/// By preference, then name, so that two runs try the same order.
fn exchanges(records: &[Record]) -> Exchanges {
    let mut listed: Vec<(u16, Name)> = records
        .iter()
        .filter_map(|record| match &record.data {
            RData::MX(mx) => Some((mx.preference, mx.exchange.to_lowercase())),
            _ => None,
        })
        .collect();
    if listed.is_empty() {
        // Only an alias, whose target has no MX.
        return Exchanges::Implicit;
    }
    // RFC 7505 §3: a null MX stands alone; beside others it names no host and is passed over.
    listed.retain(|(_, host)| !host.is_root());
    if listed.is_empty() {
        return Exchanges::Null;
    }
    listed.sort();
    listed.dedup_by(|later, earlier| later.1 == earlier.1);
    Exchanges::Listed(listed.into_iter().map(|(_, host)| host).collect())
}

fn address(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(found) => Some(IpAddr::V4(found.0)),
        RData::AAAA(found) => Some(IpAddr::V6(found.0)),
        _ => None,
    }
}

/// Lower case, no trailing dot.
fn text(name: &Name) -> String {
    name.to_lowercase()
        .to_ascii()
        .trim_end_matches('.')
        .to_owned()
}
