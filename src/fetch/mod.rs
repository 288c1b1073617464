//! Fetch small public things by HTTP: CRLs, OCSP answers, issuers' certificates, trust bundles.
//! In: a URL that somebody else wrote. Out: octets, bounded in size and time, or why not. http and https
//! alone; a name is resolved once and the connection goes to just that address; addresses that are not public
//! are refused unless the configuration names them; redirects are counted and checked anew. Never done here:
//! believing what was fetched.

mod address;
mod evidence;
mod exchange;
mod kept;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use url::{Host, Url};

use crate::crypto::tls::{ClientContext, PeerCheck};
use crate::discover::{DiscoverError, Resolver};
use crate::journal::Fault;
use crate::limits::{
    ADDRESSES_PER_HOST_MAX, FETCH_CONNECT_TIMEOUT, FETCH_REDIRECTS_MAX, FETCH_URL_MAX,
    FETCHES_AT_ONCE_MAX, HANDSHAKE_TIMEOUT,
};
use crate::world::{Socket, Wire, World};

pub use address::{Allowed, Net, Rest};
pub use evidence::{EvidenceCache, Rounds};
use exchange::Reply;

/// Why it was not fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error("{0} is no http or https URL that we follow")]
    BadUrl(String),
    #[error("{host} is at {address}, which is not public and not in [fetch] allow")]
    Forbidden { host: String, address: IpAddr },
    #[error("{0}")]
    NoName(String),
    #[error("{0} does not answer: {1}")]
    Unreachable(String, String),
    #[error("{0}: TLS failed: {1}")]
    Tls(String, String),
    #[error("the server says {0}")]
    Status(u16),
    #[error("a redirect that is not followed: {0}")]
    Redirect(String),
    #[error("it is larger than {0} octets")]
    TooLarge(usize),
    #[error("it took too long")]
    TooSlow,
    #[error("the exchange broke off: {0}")]
    Broken(String),
}

impl FetchError {
    /// Whether asking again may help.
    pub fn fault(&self) -> Fault {
        match self {
            Self::BadUrl(_) | Self::Forbidden { .. } | Self::Redirect(_) | Self::TooLarge(_) => {
                Fault::Never
            }
            Self::Status(code) if (400..500).contains(code) && *code != 408 && *code != 429 => {
                Fault::Never
            }
            _ => Fault::Later,
        }
    }
}

/// What a server said about a thing, so that it need not be sent twice (RFC 9110 §13.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Validators {
    pub etag: Option<String>,
    pub last_modified: Option<String>,
}

/// One thing to fetch.
#[derive(Clone, Debug)]
pub struct Order {
    pub url: String,
    /// Octets of the body.
    pub largest: usize,
    /// From the question to the last octet, redirects included.
    pub longest: Duration,
    /// What is at hand already.
    pub known: Validators,
    /// To be sent, with its type: a POST, whose redirects are not followed.
    pub body: Option<(&'static str, Vec<u8>)>,
    pub named_by: NamedBy,
}

/// Who named the URL. Strangers' URLs have seats of their own, so that slow ones keep nobody else waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBy {
    /// The operator, or a CA below an anchor.
    Trusted,
    /// Whoever made a certificate that leads nowhere yet.
    Anyone,
}

impl Order {
    /// A plain GET.
    pub fn get(url: &str, largest: usize, longest: Duration) -> Self {
        Self {
            url: url.to_owned(),
            largest,
            longest,
            known: Validators::default(),
            body: None,
            named_by: NamedBy::Trusted,
        }
    }
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// 304: what is at hand is still right.
    Same,
    New {
        octets: Vec<u8>,
        validators: Validators,
    },
}

/// The client. Cheap to clone.
#[derive(Clone)]
pub struct Fetcher(Arc<Inner>);

struct Inner {
    world: World,
    resolver: Resolver,
    tls: ClientContext,
    allowed: Allowed,
    at_once: Semaphore,
    for_strangers: Semaphore,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fetcher({:?})", self.0.allowed)
    }
}

impl Fetcher {
    /// Makes one. `ca_file`: roots for https instead of the system's.
    ///
    /// # Errors
    /// A sentence naming the file.
    pub fn new(
        world: World,
        resolver: Resolver,
        allowed: Allowed,
        ca_file: Option<&Path>,
    ) -> Result<Self, String> {
        Ok(Self(Arc::new(Inner {
            world,
            resolver,
            tls: ClientContext::new(ca_file)?,
            allowed,
            at_once: Semaphore::new(FETCHES_AT_ONCE_MAX),
            for_strangers: Semaphore::new(FETCHES_AT_ONCE_MAX),
        })))
    }

    pub(crate) fn world(&self) -> &World {
        &self.0.world
    }

    /// Fetches it.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch(&self, order: &Order) -> Result<Fetched, FetchError> {
        let seats = match order.named_by {
            NamedBy::Trusted => &self.0.at_once,
            NamedBy::Anyone => &self.0.for_strangers,
        };
        // Waiting for a seat is part of the time: a queue of strangers' orders ends by itself.
        let seated = async {
            let Ok(_seat) = seats.acquire().await else {
                return Err(FetchError::TooSlow);
            };
            self.follow(order).await
        };
        let followed = self.0.world.within(order.longest, seated).await;
        followed.map_err(|_| FetchError::TooSlow)?
    }

    async fn follow(&self, order: &Order) -> Result<Fetched, FetchError> {
        let mut url = read_url(&order.url)?;
        for _ in 0..=FETCH_REDIRECTS_MAX {
            match self.ask(&url, order).await? {
                Reply::Here(fetched) => return Ok(fetched),
                Reply::Elsewhere(place) => url = elsewhere(&url, &place, order)?,
            }
        }
        let what = format!("more than {FETCH_REDIRECTS_MAX} of them");
        Err(FetchError::Redirect(what))
    }

    async fn ask(&self, url: &Url, order: &Order) -> Result<Reply, FetchError> {
        let (host, addresses) = self.pinned(url).await?;
        let socket = self.connect(&host, &addresses).await?;
        let wire: Box<dyn Wire> = match url.scheme() {
            "https" => Box::new(self.protect(socket, &host).await?),
            _ => Box::new(socket),
        };
        exchange::exchange(&self.0.world, wire, url, order).await
    }

    /// The host and the addresses that may be connected to; asked for once, so that what was checked is what
    /// is used.
    async fn pinned(&self, url: &Url) -> Result<(String, Vec<SocketAddr>), FetchError> {
        let bad = || FetchError::BadUrl(shown(url.as_str()));
        let port = url.port_or_known_default().ok_or_else(bad)?;
        let (host, found) = match url.host().ok_or_else(bad)? {
            Host::Ipv4(ip) => (ip.to_string(), vec![IpAddr::V4(ip)]),
            Host::Ipv6(ip) => (ip.to_string(), vec![IpAddr::V6(ip)]),
            Host::Domain(name) => {
                let asked = self.0.resolver.addresses(name).await;
                let found = asked.map_err(|error| match error {
                    DiscoverError::NotFound(why) | DiscoverError::NoAnswer(why) => {
                        FetchError::NoName(format!("{name}: {why}"))
                    }
                });
                (name.to_owned(), found?)
            }
        };
        let fit = |ip: &&IpAddr| self.0.allowed.allows(**ip);
        let addresses: Vec<_> = found
            .iter()
            .filter(fit)
            .take(ADDRESSES_PER_HOST_MAX)
            .map(|ip| SocketAddr::new(*ip, port))
            .collect();
        match (addresses.as_slice(), found.first()) {
            ([], Some(address)) => Err(FetchError::Forbidden {
                host,
                address: *address,
            }),
            ([], None) => Err(FetchError::NoName(format!("{host} has no address"))),
            _ => Ok((host, addresses)),
        }
    }

    async fn connect(&self, host: &str, addresses: &[SocketAddr]) -> Result<Socket, FetchError> {
        let mut last = String::new();
        for address in addresses {
            match self.0.world.connect(*address, FETCH_CONNECT_TIMEOUT).await {
                Ok(socket) => return Ok(socket),
                Err(error) => last = format!("{address}: {error}"),
            }
        }
        Err(FetchError::Unreachable(host.to_owned(), last))
    }

    /// D-009: TLS is verified, always.
    async fn protect(
        &self,
        socket: Socket,
        host: &str,
    ) -> Result<crate::crypto::tls::TlsStream, FetchError> {
        let shaken = self.0.tls.connect(socket, host, PeerCheck::Verify);
        match self.0.world.within(HANDSHAKE_TIMEOUT, shaken).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(why)) => Err(FetchError::Tls(host.to_owned(), why)),
            Err(_) => Err(FetchError::TooSlow),
        }
    }
}

/// Parsed as browsers do, so that odd writings of an address are seen for what they are.
fn read_url(text: &str) -> Result<Url, FetchError> {
    let bad = || FetchError::BadUrl(shown(text));
    if text.len() > FETCH_URL_MAX {
        return Err(bad());
    }
    let mut url = Url::parse(text).map_err(|_| bad())?;
    url.set_fragment(None);
    let plain = url.username().is_empty() && url.password().is_none();
    if matches!(url.scheme(), "http" | "https") && plain && url.host().is_some() {
        Ok(url)
    } else {
        Err(bad())
    }
}

fn elsewhere(from: &Url, place: &str, order: &Order) -> Result<Url, FetchError> {
    let no = |what: &str| Err(FetchError::Redirect(format!("{what}: {}", shown(place))));
    if order.body.is_some() {
        return no("of what is sent");
    }
    let Ok(joined) = from.join(place) else {
        return no("to no URL");
    };
    let to = read_url(joined.as_str())?;
    if from.scheme() == "https" && to.scheme() != "https" {
        return no("from https to http");
    }
    Ok(to)
}

/// A foreign URL for one line of text.
fn shown(url: &str) -> String {
    let plain = |c: char| if c.is_control() { '?' } else { c };
    url.chars().take(200).map(plain).collect()
}
