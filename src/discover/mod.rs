//! Find the receiver's certificate. In: an address. Out: certificates, not yet trusted. Asks DNS (address, then domain);
//! LDAP comes later. "Not there" and "no answer" differ (C-017). Never decides trust.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::envelope::Address;
use crate::trust::Certificate;
use crate::world::World;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscoverError {
    /// Every step answered, none had a certificate. What was asked, in words.
    NotFound(String),
    /// Some step did not answer: SERVFAIL, time-out, REFUSED. Try again.
    NoAnswer(String),
}

/// Where a domain takes its mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailHost {
    pub name: String,
    pub addresses: Vec<std::net::IpAddr>,
}

/// Asks DNS, with caches. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Resolver {
    _private: (),
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
    pub fn new(_settings: &ResolverSettings, _world: World) -> Result<Self, String> {
        todo!()
    }

    /// The address's certificates: CERT at `local.domain`, then at `domain` (C-001, C-002). At most one step is believed:
    /// the first that gave at least one decodable certificate.
    ///
    /// # Errors
    /// [`DiscoverError`].
    pub async fn discover(&self, _address: &Address) -> Result<Discovered, DiscoverError> {
        todo!()
    }

    /// Mail hosts by MX preference, then name; the domain itself if there is no MX (RFC 5321 §5.1); `NotFound` for a null MX
    /// (RFC 7505) or a domain that does not exist.
    ///
    /// # Errors
    /// [`DiscoverError`].
    pub async fn mail_hosts(&self, _domain: &str) -> Result<Vec<MailHost>, DiscoverError> {
        todo!()
    }

    /// Addresses of a host name (edges).
    ///
    /// # Errors
    /// [`DiscoverError`].
    pub async fn addresses(&self, _host: &str) -> Result<Vec<std::net::IpAddr>, DiscoverError> {
        todo!()
    }

    /// Whether any server answers at all (for readiness): asks for the root's NS.
    pub async fn alive(&self) -> Result<(), String> {
        todo!()
    }

    /// Forgets everything (an anchor or peer changed).
    pub fn flush(&self) {
        todo!()
    }
}
