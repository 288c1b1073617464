//! Discovery against a small DNS server on loopback: UDP and TCP, answers from a table.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::cert::{Algorithm, CertType};
use hickory_proto::rr::rdata::{A, CERT, CNAME, MX};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::crypto::issue::{KeyKind, Purpose, Template, issue, make_key};
use crate::world::Timestamp;

/// TTL of every record here.
const TTL: u32 = 600;

/// What the server knows; tests change it while it runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Zone {
    records: Arc<Mutex<HashMap<String, Vec<RData>>>>,
    failures: Arc<Mutex<HashMap<String, ResponseCode>>>,
    /// `UDP CERT a.example.`, as asked.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Zone {
    pub(crate) fn with(self, name: &str, record: RData) -> Self {
        self.put(name, record);
        self
    }

    pub(crate) fn failing(self, name: &str, code: ResponseCode) -> Self {
        let mut failures = self.failures.lock().expect("no panic holds it");
        failures.insert(name.to_owned(), code);
        drop(failures);
        self
    }

    fn put(&self, name: &str, record: RData) {
        let mut records = self.records.lock().expect("no panic holds it");
        records.entry(name.to_owned()).or_default().push(record);
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().expect("no panic holds it"))
    }

    /// Starts a server and a resolver that asks it alone.
    pub(crate) async fn resolver(&self, world: World) -> Resolver {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
            let at = udp.local_addr().expect("bound");
            // The TCP port of that number may be taken; then another.
            if let Ok(tcp) = TcpListener::bind(at).await {
                break (udp, tcp);
            }
        };
        let at = udp.local_addr().expect("bound");
        tokio::spawn(self.clone().serve_udp(udp));
        tokio::spawn(self.clone().serve_tcp(tcp));
        let servers = vec![at];
        Resolver::new(&ResolverSettings { servers }, world).expect("a resolver")
    }

    async fn serve_udp(self, socket: UdpSocket) {
        let mut octets = [0; 4_096];
        while let Ok((length, from)) = socket.recv_from(&mut octets).await {
            let mut reply = self.answer("UDP", &octets[..length]);
            if reply.to_vec().expect("encodes").len() > 1_232 {
                reply = reply.truncate();
                reply.answers.clear();
            }
            let octets = reply.to_vec().expect("encodes");
            socket.send_to(&octets, from).await.expect("sent");
        }
    }

    async fn serve_tcp(self, port: TcpListener) {
        while let Ok((mut stream, _)) = port.accept().await {
            let zone = self.clone();
            tokio::spawn(async move {
                while let Ok(length) = stream.read_u16().await {
                    let mut octets = vec![0; usize::from(length)];
                    stream.read_exact(&mut octets).await.expect("a question");
                    let reply = zone.answer("TCP", &octets).to_vec().expect("encodes");
                    let length = u16::try_from(reply.len()).expect("fits");
                    stream.write_u16(length).await.expect("sent");
                    stream.write_all(&reply).await.expect("sent");
                }
            });
        }
    }

    fn answer(&self, by: &str, octets: &[u8]) -> Message {
        let question = Message::from_vec(octets).expect("a question");
        let query: Query = question.queries.first().expect("one question").clone();
        let name = query.name().to_lowercase().to_ascii();
        let mut asked = self.asked.lock().expect("no panic holds it");
        asked.push(format!("{by} {} {name}", query.query_type()));
        let mut reply = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
        reply.metadata.recursion_available = true;
        reply.add_query(query.clone());
        let failures = self.failures.lock().expect("no panic holds it");
        if let Some(code) = failures.get(&name) {
            reply.metadata.response_code = *code;
            return reply;
        }
        let records = self.records.lock().expect("no panic holds it");
        let mut owner = query.name().clone();
        if !records.contains_key(&name) {
            reply.metadata.response_code = ResponseCode::NXDomain;
        }
        // A chain of aliases, as a recursive server gives it.
        for _ in 0..4 {
            let here = records.get(&owner.to_lowercase().to_ascii());
            let here = here.map(Vec::as_slice).unwrap_or_default();
            let mut next = None;
            for data in here {
                if let RData::CNAME(CNAME(target)) = data {
                    next = Some(target.clone());
                } else if data.record_type() != query.query_type() {
                    continue;
                }
                reply.add_answer(Record::from_rdata(owner.clone(), TTL, data.clone()));
            }
            match next {
                Some(target) => owner = target,
                None => break,
            }
        }
        reply
    }
}

pub(crate) fn mx(preference: u16, host: &str) -> RData {
    RData::MX(MX::new(preference, Name::from_ascii(host).expect("a name")))
}

pub(crate) fn a(d: u8) -> RData {
    RData::A(A(Ipv4Addr::new(127, 0, 0, d)))
}

fn cert(cert_type: CertType, data: &[u8]) -> RData {
    // C-010: the key tag and the algorithm are nonsense on purpose.
    RData::CERT(CERT::new(cert_type, 0, Algorithm::from(0), data.to_vec()))
}

/// A certificate, and its record.
fn made(name: &str) -> (Vec<u8>, RData) {
    let template = Template {
        common_name: name.to_owned(),
        purpose: Purpose::Direct {
            address: Some(name.to_owned()),
            domain: None,
        },
        not_before: Timestamp::from_unix_s(1_700_000_000),
        not_after: Timestamp::from_unix_s(1_900_000_000),
        crl_url: None,
        claimed_ski: None,
    };
    let key = make_key(KeyKind::P256).expect("a key");
    let issued = issue(&world(), &template, &key, None).expect("issued");
    let record = cert(CertType::PKIX, &issued.certificate);
    (issued.certificate, record)
}

fn world() -> World {
    World::at(Timestamp::from_unix_s(1_800_000_000))
}

fn address(text: &str) -> Address {
    Address::parse(text).expect("an address")
}

async fn find(zone: &Zone, who: &str) -> Result<Discovered, DiscoverError> {
    zone.resolver(world()).await.discover(&address(who)).await
}

#[tokio::test]
async fn an_address_bound_certificate_is_found_before_the_domain_is_asked() {
    let (der, record) = made("john.smith@d.example");
    let zone = Zone::default()
        .with("john.smith.d.example.", record)
        .with("d.example.", made("other@d.example").1);
    let found = find(&zone, "John.Smith@d.example").await.expect("found");
    assert_eq!(found.source, Source::DnsAddress);
    assert_eq!(found.name, "john.smith.d.example.");
    assert_eq!(found.certificates.len(), 1);
    assert_eq!(found.certificates[0].der(), der);
    assert_eq!(zone.asked(), ["UDP CERT john.smith.d.example."]);
}

#[tokio::test]
async fn without_an_address_bound_one_the_domain_bound_certificate_is_found() {
    let (der, record) = made("d@d.example");
    for zone in [
        // NXDOMAIN, then NODATA (C-017), then a record of no use (C-009).
        Zone::default(),
        Zone::default().with("a.d.example.", a(1)),
        Zone::default().with("a.d.example.", cert(CertType::PGP, b"a packet")),
    ] {
        let zone = zone.with("d.example.", record.clone());
        let found = find(&zone, "a@d.example").await.expect("found");
        assert_eq!(found.source, Source::DnsDomain);
        assert_eq!(found.certificates[0].der(), der);
    }
    // A local part that DNS cannot hold leaves the domain (C-005).
    let zone = Zone::default().with("d.example.", record);
    let long = format!("{}@d.example", "x".repeat(64));
    assert!(find(&zone, &long).await.is_ok());
}

#[tokio::test]
async fn broken_and_foreign_records_do_not_hide_a_good_one() {
    let (der, record) = made("a@d.example");
    let zone = Zone::default()
        .with("a.d.example.", cert(CertType::PKIX, b"no certificate"))
        .with("a.d.example.", cert(CertType::SPKI, &der))
        .with("a.d.example.", record);
    let found = find(&zone, "a@d.example").await.expect("found");
    assert_eq!(found.certificates.len(), 1);
    assert_eq!(found.certificates[0].der(), der);
}

#[tokio::test]
async fn an_answer_cut_short_is_asked_again_over_tcp() {
    let mut zone = Zone::default();
    for n in 0..6 {
        zone = zone.with("a.d.example.", made(&format!("{n}@d.example")).1);
    }
    let found = find(&zone, "a@d.example").await.expect("found");
    assert_eq!(found.certificates.len(), 6);
    let asked = ["UDP CERT a.d.example.", "TCP CERT a.d.example."];
    assert_eq!(zone.asked(), asked);
}

#[tokio::test]
async fn an_alias_is_followed() {
    let (der, record) = made("a@d.example");
    let target = Name::from_ascii("keys.hisp.example.").expect("a name");
    let zone = Zone::default()
        .with("a.d.example.", RData::CNAME(CNAME(target)))
        .with("keys.hisp.example.", record);
    let found = find(&zone, "a@d.example").await.expect("found");
    assert_eq!(found.certificates[0].der(), der);
}

#[tokio::test]
async fn no_answer_is_not_no_certificate() {
    let (_, record) = made("d@d.example");
    for code in [ResponseCode::ServFail, ResponseCode::Refused] {
        // The address step fails: the domain's certificate must not stand in for it.
        let zone = Zone::default()
            .with("d.example.", record.clone())
            .failing("a.d.example.", code);
        let failed = find(&zone, "a@d.example").await;
        assert!(
            matches!(failed, Err(DiscoverError::NoAnswer(_))),
            "{failed:?}"
        );
        // The domain step fails after an honest no.
        let zone = Zone::default().failing("d.example.", code);
        let failed = find(&zone, "a@d.example").await;
        assert!(
            matches!(failed, Err(DiscoverError::NoAnswer(_))),
            "{failed:?}"
        );
    }
    let Err(DiscoverError::NotFound(why)) = find(&Zone::default(), "a@d.example").await else {
        panic!("nothing is published");
    };
    assert!(
        why.contains("dns-address a.d.example.: no such name"),
        "{why}"
    );
    assert!(why.contains("dns-domain d.example."), "{why}");
}

#[tokio::test]
async fn what_was_found_is_kept_for_its_time_and_a_failure_is_not() {
    let world = world();
    let zone = Zone::default().failing("a.d.example.", ResponseCode::ServFail);
    let resolver = zone.resolver(world.clone()).await;
    let who = address("a@d.example");
    assert!(resolver.discover(&who).await.is_err());
    zone.failures.lock().expect("no panic holds it").clear();
    assert!(matches!(
        resolver.discover(&who).await,
        Err(DiscoverError::NotFound(_))
    ));
    zone.put("a.d.example.", made("a@d.example").1);
    // "Not there" is kept for a minute at most (C-032).
    assert!(resolver.discover(&who).await.is_err());
    world.advance(NOT_FOUND_TTL_MAX);
    assert!(resolver.discover(&who).await.is_ok());
    let _asked_so_far = zone.asked();
    world.advance(Duration::from_secs(u64::from(TTL) - 1));
    assert!(resolver.discover(&who).await.is_ok());
    assert!(zone.asked().is_empty());
    world.advance(Duration::from_secs(1));
    assert!(resolver.discover(&who).await.is_ok());
    assert_eq!(zone.asked().len(), 1);
    // C-033: one address, or everything, can be looked at anew.
    resolver.forget(&who);
    assert!(resolver.discover(&who).await.is_ok());
    resolver.flush();
    assert!(resolver.discover(&who).await.is_ok());
    assert_eq!(zone.asked().len(), 2);
}

async fn hosts(zone: &Zone) -> Result<Vec<String>, DiscoverError> {
    let resolver = zone.resolver(world()).await;
    let hosts = resolver.mail_hosts("d.example").await?;
    let text = |host: MailHost| format!("{} {:?}", host.name, host.addresses);
    Ok(hosts.into_iter().map(text).collect())
}

#[tokio::test]
async fn mail_hosts_come_by_preference_then_name() {
    let zone = Zone::default()
        .with("d.example.", mx(20, "a.example."))
        .with("d.example.", mx(10, "C.example."))
        .with("d.example.", mx(10, "b.example."))
        .with("d.example.", mx(5, "gone.example."))
        .with("a.example.", a(1))
        .with("b.example.", a(2))
        .with("c.example.", a(3));
    let expected = [
        "b.example [127.0.0.2]",
        "c.example [127.0.0.3]",
        "a.example [127.0.0.1]",
    ];
    assert_eq!(hosts(&zone).await.expect("hosts"), expected);
}

#[tokio::test]
async fn a_domain_without_mx_is_its_own_host_and_a_null_mx_is_none() {
    let own = Zone::default().with("d.example.", a(1));
    assert_eq!(hosts(&own).await.expect("hosts"), ["d.example [127.0.0.1]"]);
    for none in [
        Zone::default(),
        own.clone().with("d.example.", mx(0, ".")),
        Zone::default().with("d.example.", mx(10, "gone.example.")),
    ] {
        assert!(matches!(
            hosts(&none).await,
            Err(DiscoverError::NotFound(_))
        ));
    }
    for silent in [
        Zone::default().failing("d.example.", ResponseCode::ServFail),
        Zone::default()
            .with("d.example.", mx(10, "mx.example."))
            .failing("mx.example.", ResponseCode::ServFail),
    ] {
        assert!(matches!(
            hosts(&silent).await,
            Err(DiscoverError::NoAnswer(_))
        ));
    }
}

#[tokio::test]
async fn an_address_in_digits_is_not_asked_for() {
    let zone = Zone::default().with("mail.example.", a(7));
    let resolver = zone.resolver(world()).await;
    let found = |host: &'static str| {
        let resolver = resolver.clone();
        async move { resolver.addresses(host).await }
    };
    let v6 = "2001:db8::1".parse::<IpAddr>().expect("an address");
    assert_eq!(found("2001:db8::1").await, Ok(vec![v6]));
    assert!(zone.asked().is_empty());
    let v4 = IpAddr::from([127, 0, 0, 7]);
    assert_eq!(found("mail.example").await, Ok(vec![v4]));
    assert!(matches!(
        found("gone.example").await,
        Err(DiscoverError::NotFound(_))
    ));
}

#[tokio::test]
async fn dns_is_alive_if_anything_answers() {
    let zone = Zone::default();
    assert_eq!(zone.resolver(world()).await.alive().await, Ok(()));
    let silent = zone.failing(".", ResponseCode::ServFail);
    assert!(silent.resolver(world()).await.alive().await.is_err());
    let nowhere = ResolverSettings {
        servers: vec![SocketAddr::from(([127, 0, 0, 1], 1))],
    };
    let resolver = Resolver::new(&nowhere, world()).expect("a resolver");
    assert!(resolver.alive().await.is_err());
}
