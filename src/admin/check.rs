//! What still blocks real mail: one list, computed from the live state, DNS and the ports. In: the handle.
//! Out: items that are done or not, each with what to do. Changes nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::Serialize;

use crate::bundles;
use crate::crypto::issue;
use crate::directory;
use crate::discover::{DiscoverError, Resolver};
use crate::envelope::Address;
use crate::limits;
use crate::store::{Named, StoreError};
use crate::trust::Certificate;

use super::{Failure, Handle};

/// Domains whose DNS is asked in one run: each costs questions over the network.
const DOMAINS_CHECKED_MAX: usize = 20;

/// What `init --demo-ca` puts into the name of its CA.
pub(crate) const DEMO_CA: &str = "carepost demo CA";

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    pub done: bool,
    /// What must be true.
    pub what: String,
    /// What was found.
    pub found: String,
    /// What to do; empty if done.
    #[serde(rename = "do")]
    pub remedy: String,
}

impl Item {
    /// It is so.
    pub fn done(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            done: true,
            what: what.into(),
            found: found.into(),
            remedy: String::new(),
        }
    }

    /// It is not, yet.
    pub fn open(
        what: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            done: false,
            what: what.into(),
            found: found.into(),
            remedy: remedy.into(),
        }
    }
}

/// One active certificate of ours.
struct Ours {
    domain: String,
    /// Whom discovery is asked about.
    address: Option<Address>,
    certificate: std::sync::Arc<Certificate>,
}

/// The whole list.
pub async fn list(handle: &Handle) -> Result<Vec<Item>, Failure> {
    let config = &handle.config;
    let mut items = vec![
        Item::done("the configuration reads", config.file.display().to_string()),
        Item::done(
            "the key-encryption key is there",
            format!(
                "key {}; keep a copy elsewhere: without it nothing stored can be read",
                handle.store.key().id()
            ),
        ),
        Item::done("the store opens", config.database.display().to_string()),
    ];
    let domains = directory::list_domains(&handle.store).await?;
    items.push(if domains.is_empty() {
        Item::open(
            "a domain is ours",
            "none",
            "`carepost domain add direct.example.org`",
        )
    } else {
        Item::done("a domain is ours", domains.len().to_string())
    });
    let ours = active(handle).await?;
    for domain in domains.iter().take(DOMAINS_CHECKED_MAX) {
        items.extend(of_domain(handle, &domain.name, domain.addresses, &ours).await);
    }
    items.push(anchors(handle).await?);
    items.push(accounts(handle).await?);
    items.push(tls(handle).await);
    for listener in &config.listeners {
        items.push(port(handle, listener.address).await);
    }
    Ok(items)
}

async fn active(handle: &Handle) -> Result<Vec<Ours>, StoreError> {
    let rows: Vec<(String, Option<String>, Vec<u8>)> = handle
        .store
        .read("check::active", |conn| {
            Box::pin(async move {
                sqlx::query_as(
                    "SELECT domain, address_key, certificate FROM identity WHERE state = 'active' ORDER BY domain, id",
                )
                .fetch_all(conn)
                .await
                .named("check::active")
            })
        })
        .await?;
    let ours = rows.into_iter().filter_map(|(domain, address, der)| {
        Some(Ours {
            address: Address::parse(&address.unwrap_or(format!("postmaster@{domain}"))).ok(),
            domain,
            certificate: Certificate::parse(&der).ok()?,
        })
    });
    Ok(ours.collect())
}

async fn of_domain(handle: &Handle, domain: &str, addresses: i64, ours: &[Ours]) -> Vec<Item> {
    let now = handle.world().now();
    let ours: Vec<&Ours> = ours.iter().filter(|ours| ours.domain == domain).collect();
    let valid: Vec<&Ours> = ours
        .iter()
        .copied()
        .filter(|ours| ours.certificate.not_before() <= now && now < ours.certificate.not_after())
        .collect();
    let what = format!("{domain} has a valid certificate");
    let import = "`carepost cert import FILE.p12 --password-file FILE`";
    let identity = match (valid.first(), ours.first()) {
        (Some(one), _) => Item::done(
            what,
            format!("until {}", one.certificate.not_after().rfc3339()),
        ),
        (None, Some(_)) => Item::open(what, "expired, or not valid yet", import),
        (None, None) => Item::open(what, "none", import),
    };
    let mut items = vec![identity, real_ca(domain, &valid)];
    items.push(routes(domain, addresses));
    match &handle.resolver {
        Some(resolver) => {
            items.push(mail_host(resolver, domain, &handle.config.hostname).await);
            items.push(published(resolver, domain, &valid).await);
        }
        None => items.push(Item::open(
            format!("DNS knows {domain}"),
            "no resolver",
            "check /etc/resolv.conf, or name resolvers in [dns] servers",
        )),
    }
    items
}

fn real_ca(domain: &str, valid: &[&Ours]) -> Item {
    let what = format!("{domain}'s certificate comes from a CA that partners trust");
    let demo = |ours: &&Ours| is_demo(&ours.certificate);
    if valid.is_empty() {
        Item::open(
            what,
            "no valid certificate",
            "get one from a Direct CA for this domain, then `carepost cert import`",
        )
    } else if valid.iter().all(demo) {
        Item::open(
            what,
            "only one of a demo CA: nobody outside your own test partners trusts it",
            "get one from a Direct CA for this domain, then `carepost cert import`",
        )
    } else {
        Item::done(what, "not a demo CA")
    }
}

/// Whether the demo CA of `init` issued it, by its issuer's name.
fn is_demo(certificate: &Certificate) -> bool {
    certificate
        .issuer()
        .windows(DEMO_CA.len())
        .any(|part| part == DEMO_CA.as_bytes())
}

fn routes(domain: &str, addresses: i64) -> Item {
    let what = format!("{domain} has addresses with routes");
    if addresses > 0 {
        Item::done(what, format!("{addresses}"))
    } else {
        Item::open(
            what,
            "none",
            format!(
                "`carepost address add NAME@{domain} --route maildir:/path`, or `carepost address import FILE.csv`"
            ),
        )
    }
}

async fn mail_host(resolver: &Resolver, domain: &str, hostname: &str) -> Item {
    let what = format!("DNS sends {domain}'s mail to this host");
    let remedy = format!(
        "publish `{domain}. 3600 IN MX 10 {hostname}.` and an address record for {hostname}"
    );
    match resolver.mail_hosts(domain).await {
        Ok(hosts) => {
            let same = |name: &str| name.trim_end_matches('.').eq_ignore_ascii_case(hostname);
            match hosts.iter().find(|host| same(&host.name)) {
                Some(host) if host.addresses.is_empty() => {
                    Item::open(what, format!("{hostname} has no address"), remedy)
                }
                Some(_) => Item::done(what, format!("MX {hostname}")),
                None => {
                    let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
                    Item::open(what, format!("MX {}", names.join(", ")), remedy)
                }
            }
        }
        Err(DiscoverError::NotFound(said) | DiscoverError::NoAnswer(said)) => {
            Item::open(what, said, remedy)
        }
    }
}

async fn published(resolver: &Resolver, domain: &str, valid: &[&Ours]) -> Item {
    let what = format!("DNS publishes {domain}'s certificate");
    let remedy = "publish the CERT record that `carepost cert list --dns` prints";
    let Some((ours, address)) = valid
        .iter()
        .find_map(|ours| Some((ours, ours.address.as_ref()?)))
    else {
        return Item::open(what, "no valid certificate to publish", remedy);
    };
    match resolver.discover(address).await {
        Ok(found) => {
            let wanted = ours.certificate.fingerprint();
            if found
                .certificates
                .iter()
                .any(|certificate| certificate.fingerprint() == wanted)
            {
                Item::done(what, format!("CERT at {}", found.name))
            } else {
                Item::open(what, format!("another one at {}", found.name), remedy)
            }
        }
        Err(DiscoverError::NotFound(said) | DiscoverError::NoAnswer(said)) => {
            Item::open(what, said, remedy)
        }
    }
}

async fn anchors(handle: &Handle) -> Result<Item, Failure> {
    let what = "partners' trust anchors are imported";
    let rows = bundles::list_anchors(&handle.store).await?;
    let today = handle.world().now().rfc3339();
    let real = rows
        .iter()
        .filter(|row| !row.subject.contains(DEMO_CA) && today < row.not_after)
        .count();
    let bundles = bundles::list_bundles(&handle.store).await?;
    let bundled: usize = bundles.iter().map(|bundle| bundle.anchors).sum();
    let real = real.saturating_add(bundled);
    Ok(if real > 0 {
        Item::done(what, format!("{real}"))
    } else {
        let found = if rows.is_empty() {
            "none"
        } else {
            "only demo CAs, or expired ones"
        };
        Item::open(
            what,
            found,
            "`carepost anchor import FILE --label NAME`, or `carepost bundle add NAME URL`",
        )
    })
}

async fn accounts(handle: &Handle) -> Result<Item, Failure> {
    let what = "a clinic can log in to send";
    let rows = directory::list_accounts(&handle.store).await?;
    let able = rows
        .iter()
        .filter(|row| !row.disabled && !row.addresses.is_empty())
        .filter(|row| {
            row.passwords
                .iter()
                .any(|password| password.revoked_at.is_none())
        })
        .count();
    Ok(if able > 0 {
        Item::done(what, able.to_string())
    } else {
        Item::open(
            what,
            "no account with an address and a password",
            "`carepost account add NAME --address ADDRESS`, then `carepost account password add NAME --label DEVICE`",
        )
    })
}

async fn tls(handle: &Handle) -> Item {
    let what = "the listeners' TLS certificate comes from a CA";
    let remedy = format!(
        "put a certificate for {} into {} and its key into {}, then restart",
        handle.config.hostname,
        handle.config.tls_certificate.display(),
        handle.config.tls_key.display()
    );
    let leaf = tokio::fs::read(&handle.config.tls_certificate)
        .await
        .map_err(|error| error.to_string())
        .and_then(|octets| issue::read_certificates(&octets))
        .and_then(|found| {
            found
                .into_iter()
                .next()
                .ok_or("no certificate in it".into())
        })
        .and_then(|der| Certificate::parse(&der).map_err(|error| error.to_string()));
    match leaf {
        Err(found) => Item::open(what, found, remedy),
        Ok(leaf) if leaf.issuer() == leaf.subject() => Item::open(
            what,
            "self-signed: other HISPs take it, mail programs of clinics warn or refuse",
            remedy,
        ),
        Ok(leaf) if leaf.not_after() <= handle.world().now() => Item::open(what, "expired", remedy),
        Ok(leaf) => Item::done(what, format!("until {}", leaf.not_after().rfc3339())),
    }
}

async fn port(handle: &Handle, address: SocketAddr) -> Item {
    let what = format!("port {} answers on this host", address.port());
    let local = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let to = SocketAddr::new(local, address.port());
    match handle
        .world()
        .connect(to, limits::HEALTH_CHECK_TIMEOUT)
        .await
    {
        Ok(_) => Item::done(
            what,
            "from here; whether the firewall lets others in is not known",
        ),
        Err(error) => Item::open(
            what,
            error.to_string(),
            "start `carepost serve`; open the port in the firewall",
        ),
    }
}
