//! The demo's two gateways: each with its own folder, keys, CA, anchors, database and listeners, exactly as
//! `init` would make them for a clinic, on loopback ports.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;

use crate::config;
use crate::crypto::issue::{self, Issued, KeyFile, KeyKind, Purpose, Template};
use crate::envelope::Address;
use crate::journal::Actor;
use crate::route::Destination;
use crate::serve::{self, Running};
use crate::store::KeyEncryptionKey;
use crate::trust::Profile;
use crate::world::World;
use crate::{bundles, certs, directory};

/// What one side is called.
#[derive(Clone, Copy, Debug)]
pub struct Side {
    /// `alpha`: its folder, and its name on the screen.
    pub name: &'static str,
    /// `direct.alpha.test`
    pub domain: &'static str,
    /// `gw.direct.alpha.test`: within the domain, so that one zone holds all
    pub hostname: &'static str,
}

/// A CA and a domain certificate under it.
#[derive(Clone, Debug)]
pub struct Pki {
    pub ca: Issued,
    pub leaf: Issued,
}

/// One gateway that runs.
pub struct Site {
    pub dir: PathBuf,
    pub pki: Pki,
    pub running: Running,
    pub submission: SocketAddr,
    pub relay: SocketAddr,
}

/// Ports of one gateway, picked before it starts so that its configuration file names them.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub relay: SocketAddr,
    pub submission: SocketAddr,
    pub health: SocketAddr,
}

impl Ports {
    /// Asks the system for three free ones.
    ///
    /// # Errors
    /// What the system says.
    pub fn pick() -> Result<Self, String> {
        // All three are held until all are known, so that they differ.
        let hold = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let held = [hold(), hold(), hold()];
        let mut ports = held.iter().map(|held| match held {
            Ok(listener) => listener.local_addr().map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        });
        let mut next = || ports.next().unwrap_or_else(|| Err("no port".to_owned()));
        Ok(Self {
            relay: next()?,
            submission: next()?,
            health: next()?,
        })
    }
}

/// Makes a CA, and a certificate under it that is bound to `domain`.
///
/// # Errors
/// What OpenSSL says.
pub fn make_pki(world: &World, name: &str, domain: &str) -> Result<Pki, String> {
    let template = |common_name: String, purpose: Purpose, claimed_ski: Option<Vec<u8>>| Template {
        common_name,
        purpose,
        not_before: world.now().minus(Duration::from_secs(3_600)),
        not_after: world.now().plus(Duration::from_secs(30 * 86_400)),
        crl_url: None,
        claimed_ski,
    };
    let failed = |error: crate::crypto::CryptoError| format!("making certificates: {error}");
    let key = issue::make_key(KeyKind::Rsa(2_048)).map_err(failed)?;
    let ca_template = template(
        format!("{name} demo CA"),
        Purpose::Ca { path_len: Some(0) },
        None,
    );
    let ca = issue::issue(world, &ca_template, &key, None).map_err(failed)?;
    let leaf = make_leaf(world, domain, Some(&ca), None)?;
    Ok(Pki { ca, leaf })
}

/// A certificate bound to `domain`; self-signed without an issuer; `claimed_ski` is what a forger writes into it.
///
/// # Errors
/// What OpenSSL says.
pub fn make_leaf(
    world: &World,
    domain: &str,
    issuer: Option<&Issued>,
    claimed_ski: Option<Vec<u8>>,
) -> Result<Issued, String> {
    let failed = |error: crate::crypto::CryptoError| format!("making certificates: {error}");
    let template = Template {
        common_name: domain.to_owned(),
        purpose: Purpose::Direct {
            address: None,
            domain: Some(domain.to_owned()),
        },
        not_before: world.now().minus(Duration::from_secs(3_600)),
        not_after: world.now().plus(Duration::from_secs(30 * 86_400)),
        crl_url: None,
        claimed_ski,
    };
    let key = issue::make_key(KeyKind::Rsa(2_048)).map_err(failed)?;
    issue::issue(world, &template, &key, issuer).map_err(failed)
}

/// What a site is made of.
pub struct Plan<'a> {
    pub side: Side,
    pub dir: &'a Path,
    pub pki: Pki,
    pub ports: Ports,
    pub dns: SocketAddr,
    /// Where the other gateway is reached: the tap's port.
    pub relay_port: u16,
    /// The other side's CA.
    pub partner_ca: &'a [u8],
}

/// Writes the folder, starts the gateway, and does what an operator does: domain, certificate, anchor.
///
/// # Errors
/// Two lines for the operator.
pub async fn start(
    world: &World,
    plan: Plan<'_>,
    stop: watch::Receiver<bool>,
) -> Result<Site, String> {
    let Plan {
        side,
        dir,
        pki,
        ports,
        dns,
        relay_port,
        partner_ca,
    } = plan;
    let dir = dir.join(side.name);
    write_folder(world, &dir, side, ports, dns, relay_port)?;
    let config = config::load(&dir.join("carepost.toml")).map_err(|error| error.to_string())?;
    let running = serve::start(config, world.clone(), stop).await?;
    let store = &running.gateway.store;
    let told = |error: crate::store::StoreError| error.to_string();
    directory::add_domain(store, Actor::Carepost, side.domain, Profile::V1_3)
        .await
        .map_err(told)?;
    let file = KeyFile {
        key: pki.leaf.key.clone(),
        certificate: pki.leaf.certificate.clone(),
        chain: vec![pki.ca.certificate.clone()],
    };
    certs::add_identity(store, Actor::Carepost, &file)
        .await
        .map_err(|error| error.to_string())?;
    bundles::add_anchor(
        store,
        Actor::Carepost,
        partner_ca,
        Some("partner"),
        "default",
        "both",
    )
    .await
    .map_err(|error| error.to_string())?;
    Ok(Site {
        dir,
        pki,
        running,
        submission: ports.submission,
        relay: ports.relay,
    })
}

fn write_folder(
    world: &World,
    dir: &Path,
    side: Side,
    ports: Ports,
    dns: SocketAddr,
    relay_port: u16,
) -> Result<(), String> {
    let told =
        |error: std::io::Error| format!("{}: {error}\n  do: choose another folder", dir.display());
    std::fs::create_dir_all(dir).map_err(told)?;
    KeyEncryptionKey::write_new(&dir.join("kek"), world).map_err(|error| error.to_string())?;
    let key = issue::make_key(KeyKind::P256).map_err(|error| error.to_string())?;
    let template = Template {
        common_name: side.hostname.to_owned(),
        purpose: Purpose::Server {
            names: vec![side.hostname.to_owned()],
        },
        not_before: world.now().minus(Duration::from_secs(3_600)),
        not_after: world.now().plus(Duration::from_secs(30 * 86_400)),
        crl_url: None,
        claimed_ski: None,
    };
    let server = issue::issue(world, &template, &key, None).map_err(|error| error.to_string())?;
    let pem = issue::pem_key(&server.key).map_err(|error| error.to_string())?;
    std::fs::write(
        dir.join("tls.crt"),
        issue::pem_certificate(&server.certificate),
    )
    .map_err(told)?;
    std::fs::write(dir.join("tls.key"), &*pem).map_err(told)?;
    std::fs::write(
        dir.join("carepost.toml"),
        configuration(side, ports, dns, relay_port),
    )
    .map_err(told)
}

fn configuration(side: Side, ports: Ports, dns: SocketAddr, relay_port: u16) -> String {
    format!(
        "# Gateway {name} of `carepost demo`.\n\
         [node]\nhostname = \"{hostname}\"\ndata_dir = \".\"\n\n\
         [store]\nkek_file = \"kek\"\n\n\
         [admin]\nhealth = \"{health}\"\n\n\
         [tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"\n\n\
         [[listener]]\nkind = \"relay\"\naddress = \"{relay}\"\ntls = \"off\"\n\n\
         [[listener]]\nkind = \"submission\"\naddress = \"{submission}\"\n\n\
         [dns]\nservers = [\"{dns}\"]\n\n\
         [relay]\nport = {relay_port}\n",
        name = side.name,
        hostname = side.hostname,
        health = ports.health,
        relay = ports.relay,
        submission = ports.submission,
    )
}

impl Site {
    /// Gives an address a route.
    ///
    /// # Errors
    /// Two lines for the operator.
    pub async fn add_address(
        &self,
        address: &str,
        route: &Destination,
        holder: &str,
    ) -> Result<(), String> {
        let address = Address::parse(address).map_err(|error| error.to_string())?;
        let store = &self.running.gateway.store;
        directory::set_address(store, Actor::Carepost, &address, route, Some(holder), None)
            .await
            .map_err(|error| error.to_string())
            .map(|_| ())
    }

    /// Makes a login that may send as `address`; returns its password.
    ///
    /// # Errors
    /// Two lines for the operator.
    pub async fn add_login(&self, login: &str, address: &str) -> Result<String, String> {
        let address = Address::parse(address).map_err(|error| error.to_string())?;
        let store = &self.running.gateway.store;
        directory::add_account(store, Actor::Carepost, login, &[address])
            .await
            .map_err(|error| error.to_string())?;
        directory::add_password(store, Actor::Carepost, login, "demo", None)
            .await
            .map_err(|error| error.to_string())
    }
}
