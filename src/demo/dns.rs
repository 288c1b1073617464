//! The demo's DNS: an authoritative server on loopback with the MX, A and CERT records of both gateways.
//! In: names and certificates. Out: an address to ask. Answers over UDP and TCP.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::rdata::cert::{Algorithm, CERT, CertType};
use hickory_proto::rr::rdata::{A, MX, SOA};
use hickory_proto::rr::{Name, RData, Record};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_server::Server;
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneHandler, ZoneType};
use tokio::net::{TcpListener, UdpSocket};

/// One domain's records.
#[derive(Clone, Debug)]
pub struct Zone {
    /// `direct.alpha.test`.
    pub domain: String,
    /// Its mail host's name; resolves to 127.0.0.1.
    pub mail_host: String,
    /// DER of the certificate published at the domain; None publishes none.
    pub certificate: Option<Vec<u8>>,
}

/// A running server; it ends when dropped.
pub struct Dns {
    /// Where to ask.
    pub address: SocketAddr,
    _server: Server<Catalog>,
}

/// Time to live of every record, seconds.
const TTL_S: u32 = 300;

impl Dns {
    /// Starts it on a free loopback port, the same for UDP and TCP.
    ///
    /// # Errors
    /// What the operating system says, or a name that is none.
    pub async fn start(zones: &[Zone]) -> Result<Self, String> {
        let mut catalog = Catalog::new();
        for zone in zones {
            let origin = name(&zone.domain)?;
            let handler: Arc<dyn ZoneHandler> = Arc::new(handler(&origin, zone)?);
            catalog.upsert(origin.into(), vec![handler]);
        }
        let (udp, tcp) = sockets().await?;
        let address = udp.local_addr().map_err(|error| error.to_string())?;
        let mut server = Server::new(catalog);
        server.register_socket(udp);
        server.register_listener(tcp, Duration::from_secs(5), 64 * 1024);
        Ok(Self {
            address,
            _server: server,
        })
    }
}

/// A UDP and a TCP socket on one port: the system picks it for UDP, and TCP may find it taken.
async fn sockets() -> Result<(UdpSocket, TcpListener), String> {
    for _ in 0..20 {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(|error| error.to_string())?;
        let address = udp.local_addr().map_err(|error| error.to_string())?;
        if let Ok(tcp) = TcpListener::bind(address).await {
            return Ok((udp, tcp));
        }
    }
    Err("no loopback port is free for DNS\n  do: close programs that hold many ports".to_owned())
}

fn name(text: &str) -> Result<Name, String> {
    Name::from_ascii(format!("{text}.")).map_err(|error| format!("{text}: {error}"))
}

fn handler(
    origin: &Name,
    zone: &Zone,
) -> Result<InMemoryZoneHandler<TokioRuntimeProvider>, String> {
    let mut handler =
        InMemoryZoneHandler::empty(origin.clone(), ZoneType::Primary, AxfrPolicy::Deny);
    let host = name(&zone.mail_host)?;
    let mut add = |owner: &Name, data: RData| {
        handler.upsert_mut(Record::from_rdata(owner.clone(), TTL_S, data), 0);
    };
    add(
        origin,
        RData::SOA(SOA::new(
            host.clone(),
            host.clone(),
            1,
            3600,
            600,
            86_400,
            60,
        )),
    );
    add(origin, RData::MX(MX::new(10, host.clone())));
    add(&host, RData::A(A::new(127, 0, 0, 1)));
    if let Some(certificate) = &zone.certificate {
        // RFC 4398 §2: PKIX; key tag and algorithm 0 say "not given".
        let cert = CERT::new(
            CertType::PKIX,
            0,
            Algorithm::Reserved(0),
            certificate.clone(),
        );
        add(origin, RData::CERT(cert));
    }
    Ok(handler)
}
