//! Questions to DNS through `hickory`. In: an absolute name and a type. Out: records, or "not there", or
//! "no answer". EDNS with 1,232 octets, TCP when an answer is cut short (C-015), mixed case against forged
//! answers. Keeps nothing itself.

use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, Record, RecordType};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};

use crate::limits::{DNS_TIMEOUT, NOT_FOUND_TTL_MAX};
use crate::world::World;

use super::ResolverSettings;

/// What DNS said.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Records, aliases followed (C-016); at least one record of some type. `life`: the smallest TTL.
    Records {
        records: Vec<Record>,
        life: Duration,
    },
    /// NXDOMAIN or NODATA: an answer, and it is no (C-017).
    NotThere { exists: Existence, life: Duration },
    /// SERVFAIL, REFUSED, time-out, nonsense: not an answer (C-017).
    Silent(String),
}

/// What "not there" means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existence {
    /// NXDOMAIN.
    NoSuchName,
    /// The name exists, without such a record.
    NoSuchRecord,
}

/// Builds the client.
///
/// # Errors
/// A sentence.
pub(crate) fn client(settings: &ResolverSettings) -> Result<TokioResolver, String> {
    let mut builder = if settings.servers.is_empty() {
        TokioResolver::builder_tokio().map_err(|error| {
            format!("the system's resolver configuration cannot be read: {error}")
        })?
    } else {
        let servers = settings.servers.iter().map(|at| {
            let mut server = NameServerConfig::udp_and_tcp(at.ip());
            for connection in &mut server.connections {
                connection.port = at.port();
            }
            server
        });
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        // Named servers are asked and nothing else; the system's own setting keeps /etc/hosts.
        builder.options_mut().use_hosts_file = ResolveHosts::Never;
        builder
    };
    let options = builder.options_mut();
    options.edns0 = true;
    // DNS Flag Day 2020: larger datagrams get lost in fragments.
    options.edns_payload_len = 1_232;
    options.case_randomization = true;
    options.try_tcp_on_error = true;
    options.timeout = DNS_TIMEOUT / 4;
    options.attempts = 1;
    // Our own caches know the world's clock and can be flushed per name (C-032).
    options.cache_size = 0;
    builder
        .build()
        .map_err(|error| format!("the resolver cannot be set up: {error}"))
}

/// Asks once, retries included, within [`DNS_TIMEOUT`].
pub(crate) async fn ask(
    client: &TokioResolver,
    world: &World,
    name: Name,
    kind: RecordType,
) -> Answer {
    match world.within(DNS_TIMEOUT, client.lookup(name, kind)).await {
        Err(_) => Answer::Silent(format!("no answer in {} s", DNS_TIMEOUT.as_secs())),
        Ok(Err(error)) => refusal(&error),
        // hickory repeats what was cut short over TCP; what is cut short even so must not pass for the
        // whole.
        Ok(Ok(lookup)) if lookup.message().metadata.truncation => {
            Answer::Silent("the answer was cut short".to_owned())
        }
        Ok(Ok(lookup)) => {
            let code = lookup.message().metadata.response_code;
            if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
                return Answer::Silent(code.to_string());
            }
            let records = lookup.answers().to_vec();
            let ttl = records.iter().map(|record| record.ttl).min();
            Answer::Records {
                records,
                life: Duration::from_secs(u64::from(ttl.unwrap_or(0))),
            }
        }
    }
}

/// RFC 2308 §2: NXDOMAIN and NODATA are answers; every other failure is none.
fn refusal(error: &NetError) -> Answer {
    let NetError::Dns(DnsError::NoRecordsFound(none)) = error else {
        return Answer::Silent(error.to_string());
    };
    let exists = match none.response_code {
        ResponseCode::NXDomain => Existence::NoSuchName,
        ResponseCode::NoError => Existence::NoSuchRecord,
        other => return Answer::Silent(other.to_string()),
    };
    // RFC 2308 §5: bounded by the SOA's minimum; without one, by our cap (C-032).
    let life = none
        .negative_ttl
        .map_or(NOT_FOUND_TTL_MAX, |ttl| Duration::from_secs(u64::from(ttl)));
    Answer::NotThere { exists, life }
}
