//! Find the receiver's certificate. In: an address. Out: certificates, not yet trusted. Asks DNS (address,
//! then domain); LDAP comes later. "Not there" and "no answer" differ (C-017). Never decides trust.

mod cache;
mod dns;
mod mail;
mod plan;
#[cfg(test)]
pub(crate) mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::rdata::cert::CertType;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::TokioResolver;

use crate::envelope::Address;
use crate::limits::{CERT_RECORDS_MAX, DISCOVERED_TTL_MAX, NOT_FOUND_TTL_MAX};
use crate::trust::Certificate;
use crate::world::World;

use cache::Cache;
use dns::{Answer, Existence};
use plan::Step;

/// Where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    DnsAddress,
    DnsDomain,
}

impl Source {
    pub fn word(self) -> &'static str {
        match self {
            Self::DnsAddress => "dns-address",
            Self::DnsDomain => "dns-domain",
        }
    }
}

/// What was found. At least one certificate.
#[derive(Clone, Debug)]
pub struct Discovered {
    pub address: Address,
    pub certificates: Vec<Arc<Certificate>>,
    pub source: Source,
    /// The DNS name that answered.
    pub name: String,
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoverError {
    /// Every step answered, none had a certificate. What was asked, in words.
    #[error("{0}\n  do: check the name; ask its owner what should be published there")]
    NotFound(String),
    /// Some step did not answer: SERVFAIL, time-out, REFUSED. Try again.
    #[error("{0}\n  do: it is tried again by itself; check that DNS can be reached")]
    NoAnswer(String),
}

/// Where a domain takes its mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailHost {
    pub name: String,
    pub addresses: Vec<IpAddr>,
}

/// Asks DNS, with caches. Cheap to clone.
#[derive(Clone)]
pub struct Resolver {
    client: TokioResolver,
    world: World,
    kept: Arc<Caches>,
}

/// Certificates of a name: what a step gave, an empty one included.
#[derive(Clone, Debug, Default)]
struct Published {
    certificates: Vec<Arc<Certificate>>,
    /// What the answer was, for the trace.
    remark: String,
}

#[derive(Debug, Default)]
struct Caches {
    certificates: Cache<Published>,
    hosts: Cache<Result<Vec<MailHost>, DiscoverError>>,
    addresses: Cache<Result<Vec<IpAddr>, DiscoverError>>,
}

/// How to reach DNS.
#[derive(Clone, Debug, Default)]
pub struct ResolverSettings {
    /// Empty: what the system is set to (/etc/resolv.conf).
    pub servers: Vec<SocketAddr>,
}

impl Resolver {
    /// Makes one.
    ///
    /// # Errors
    /// A sentence: the system's resolver configuration cannot be read, say.
    pub fn new(settings: &ResolverSettings, world: World) -> Result<Self, String> {
        Ok(Self {
            client: dns::client(settings)?,
            world,
            kept: Arc::default(),
        })
    }

    /// The address's certificates: CERT at `local.domain`, then at `domain` (C-001, C-002). At most one
    /// step is believed: the first that gave at least one decodable certificate. Which of them is bound to
    /// the address and valid now is for `trust` to say, at each use (C-012, C-034, C-040).
    ///
    /// # Errors
    /// [`DiscoverError`].
    pub async fn discover(&self, address: &Address) -> Result<Discovered, DiscoverError> {
        let mut asked = Vec::new();
        for step in plan::plan(address) {
            let (source, name) = match step {
                Step::Ask { source, name } => (source, name),
                Step::Skip { source, why } => {
                    asked.push(format!("{}: not asked, {why}", source.word()));
                    continue;
                }
            };
            let label = name.to_ascii();
            // C-017: a step that did not answer may hold the certificate that counts; a later one must not
            // stand in for it.
            let published = self.certificates(name).await.map_err(|why| {
                DiscoverError::NoAnswer(format!("{} {label}: {why}", source.word()))
            })?;
            if published.certificates.is_empty() {
                asked.push(format!("{} {label}: {}", source.word(), published.remark));
                continue;
            }
            return Ok(Discovered {
                address: address.clone(),
                certificates: published.certificates,
                source,
                name: label,
            });
        }
        Err(DiscoverError::NotFound(asked.join("; ")))
    }

    /// Mail hosts by MX preference, then name; the domain itself if there is no MX (RFC 5321 §5.1);
    /// `NotFound` for a null MX (RFC 7505) or a domain that does not exist.
    ///
    /// # Errors
    /// [`DiscoverError`].
    pub async fn mail_hosts(&self, domain: &str) -> Result<Vec<MailHost>, DiscoverError> {
        if let Some(kept) = self.kept.hosts.find(domain, self.world.monotonic()) {
            return kept;
        }
        let (hosts, life) = self.ask_mail_hosts(domain).await;
        let now = self.world.monotonic();
        let cache = &self.kept.hosts;
        cache.keep(domain, hosts.clone(), 0, capped(life, &hosts), now);
        hosts
    }

    /// Addresses of a host name (edges); an address in digits is its own answer.
    ///
    /// # Errors
    /// [`DiscoverError`].
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, DiscoverError> {
        if let Ok(literal) = host.parse() {
            return Ok(vec![literal]);
        }
        if let Some(kept) = self.kept.addresses.find(host, self.world.monotonic()) {
            return kept;
        }
        let name = plan::domain_name(host)
            .map_err(|why| DiscoverError::NotFound(format!("{host} is not a name: {why}")))?;
        let (addresses, life) = self.ask_addresses(&name).await;
        let now = self.world.monotonic();
        let cache = &self.kept.addresses;
        cache.keep(host, addresses.clone(), 0, capped(life, &addresses), now);
        addresses
    }

    /// Whether any server answers at all (for readiness): asks for the root's NS; "not there" is an answer
    /// too.
    ///
    /// # Errors
    /// A sentence.
    pub async fn alive(&self) -> Result<(), String> {
        match self.ask(Name::root(), RecordType::NS).await {
            Answer::Records { .. } | Answer::NotThere { .. } => Ok(()),
            Answer::Silent(why) => Err(format!("DNS does not answer: {why}")),
        }
    }

    /// Forgets everything (an anchor or peer changed).
    pub fn flush(&self) {
        self.kept.certificates.flush();
        self.kept.hosts.flush();
        self.kept.addresses.flush();
    }

    /// Forgets one address's certificates: what was kept turned out to be no good, and the next look is at
    /// the source (C-033).
    pub fn forget(&self, address: &Address) {
        for step in plan::plan(address) {
            if let Step::Ask { name, .. } = step {
                self.kept.certificates.forget(&name.to_ascii());
            }
        }
    }

    async fn ask(&self, name: Name, kind: RecordType) -> Answer {
        dns::ask(&self.client, &self.world, name, kind).await
    }

    /// What is published at a name, kept or asked; the error is why there was no answer.
    async fn certificates(&self, name: Name) -> Result<Published, String> {
        let key = name.to_ascii();
        let cache = &self.kept.certificates;
        if let Some(kept) = cache.find(&key, self.world.monotonic()) {
            return Ok(kept);
        }
        let (published, life) = match self.ask(name, RecordType::CERT).await {
            Answer::Silent(why) => return Err(why),
            Answer::NotThere { exists, life } => {
                let remark = match exists {
                    Existence::NoSuchName => "no such name",
                    Existence::NoSuchRecord => "no CERT record",
                };
                let published = Published {
                    certificates: Vec::new(),
                    remark: remark.to_owned(),
                };
                (published, life)
            }
            Answer::Records { records, life } => (read(&records), life),
        };
        let cap = if published.certificates.is_empty() {
            NOT_FOUND_TTL_MAX
        } else {
            self.certificate_life(&published).min(DISCOVERED_TTL_MAX)
        };
        let weigh = |certificate: &Arc<Certificate>| certificate.der().len();
        let octets = published.certificates.iter().map(weigh).sum();
        let now = self.world.monotonic();
        cache.keep(&key, published.clone(), octets, life.min(cap), now);
        Ok(published)
    }

    /// Until the first of them that is valid now stops being so (C-031).
    fn certificate_life(&self, published: &Published) -> Duration {
        let now = self.world.now();
        let ends = published.certificates.iter().map(|one| one.not_after());
        ends.filter(|end| *end > now)
            .map(|end| end.since(now))
            .min()
            .unwrap_or(DISCOVERED_TTL_MAX)
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver(..)")
    }
}

fn capped<T>(life: Duration, answer: &Result<T, DiscoverError>) -> Duration {
    match answer {
        Ok(_) => life.min(DISCOVERED_TTL_MAX),
        Err(_) => life.min(NOT_FOUND_TTL_MAX),
    }
}

/// For the fuzzer: the CERT records of an answer off the wire.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_answer(octets: &[u8]) {
    if let Ok(answer) = hickory_proto::op::Message::from_vec(octets) {
        assert!(read(&answer.answers).certificates.len() <= CERT_RECORDS_MAX);
    }
}

/// The PKIX certificates among the records. Other types are passed over (C-009), so are records that do not
/// decode (C-011); key tag and algorithm are not looked at (C-010).
fn read(records: &[Record]) -> Published {
    let mut certificates: Vec<Arc<Certificate>> = Vec::new();
    let (mut foreign, mut broken) = (0u32, 0u32);
    let certs = records.iter().filter_map(|record| match &record.data {
        RData::CERT(cert) => Some(cert),
        _ => None,
    });
    for cert in certs.take(CERT_RECORDS_MAX) {
        // RFC 4398 §2.1: type 1, PKIX, is one DER certificate.
        if cert.cert_type != CertType::PKIX {
            foreign += 1;
            continue;
        }
        match Certificate::parse(&cert.cert_data) {
            Ok(read) if certificates.iter().all(|one| one.der() != read.der()) => {
                certificates.push(read);
            }
            Ok(_) => {}
            Err(_) => broken += 1,
        }
    }
    Published {
        certificates,
        remark: format!("no usable CERT record ({foreign} of another type, {broken} undecodable)"),
    }
}
