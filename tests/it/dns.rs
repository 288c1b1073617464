//! DNS as the stories need it: answers from a table that may change while it runs, over UDP and TCP.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::cert::{Algorithm, CertType};
use hickory_proto::rr::rdata::{A, CERT, MX};
use hickory_proto::rr::{Name, RData, Record};

use crate::world::{locked, loopback};

const PORT: u16 = 10_053;
/// Nothing is to be remembered for longer than a story's next step.
const TTL: u32 = 1;

#[derive(Default)]
struct Zone {
    records: HashMap<String, Vec<RData>>,
    broken: HashSet<String>,
}

/// A running server.
pub struct Dns {
    pub address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

impl Dns {
    pub fn start() -> Self {
        let address = SocketAddr::from((loopback(), PORT));
        let udp = UdpSocket::bind(address).expect("an address of our own");
        let tcp = TcpListener::bind(address).expect("an address of our own");
        let zone = Arc::<Mutex<Zone>>::default();
        let (over_udp, over_tcp) = (Arc::clone(&zone), Arc::clone(&zone));
        std::thread::spawn(move || serve_udp(&udp, &over_udp));
        std::thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                let zone = Arc::clone(&over_tcp);
                std::thread::spawn(move || serve_tcp(stream, &zone).is_ok());
            }
        });
        Self { address, zone }
    }

    /// A HISP: MX, A, and CERT for the domain if it publishes one.
    pub fn hisp(&self, domain: &str, ip: Ipv4Addr, certificate: Option<&[u8]>) {
        let host = format!("mx.{domain}");
        self.put(domain, RData::MX(MX::new(10, name(&host))));
        self.put(&host, RData::A(A(ip)));
        if let Some(der) = certificate {
            self.put(domain, cert(der));
        }
    }

    /// RFC 7505: this domain takes no mail.
    pub fn null_mx(&self, domain: &str, certificate: &[u8]) {
        self.put(domain, RData::MX(MX::new(0, Name::root())));
        self.put(domain, cert(certificate));
    }

    pub fn put(&self, owner: &str, data: RData) {
        let mut zone = locked(&self.zone);
        zone.records
            .entry(format!("{owner}."))
            .or_default()
            .push(data);
    }

    /// SERVFAIL for this domain and all below it.
    pub fn break_down(&self, domain: &str) {
        locked(&self.zone).broken.insert(format!("{domain}."));
    }

    pub fn mend(&self, domain: &str) {
        locked(&self.zone).broken.remove(&format!("{domain}."));
    }
}

fn name(text: &str) -> Name {
    Name::from_ascii(format!("{text}.")).expect("a name")
}

fn cert(der: &[u8]) -> RData {
    RData::CERT(CERT::new(
        CertType::PKIX,
        0,
        Algorithm::Reserved(0),
        der.to_vec(),
    ))
}

fn serve_udp(socket: &UdpSocket, zone: &Mutex<Zone>) {
    let mut octets = [0; 4_096];
    while let Ok((length, from)) = socket.recv_from(&mut octets) {
        let mut reply = answer(zone, &octets[..length]);
        if reply.to_vec().expect("encodes").len() > 1_232 {
            reply = reply.truncate();
            reply.answers.clear();
        }
        // A client that went away asks again.
        let _sent = socket.send_to(&reply.to_vec().expect("encodes"), from);
    }
}

fn serve_tcp(mut stream: TcpStream, zone: &Mutex<Zone>) -> std::io::Result<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut octets)?;
        let reply = answer(zone, &octets).to_vec().expect("encodes");
        stream.write_all(&u16::try_from(reply.len()).expect("fits").to_be_bytes())?;
        stream.write_all(&reply)?;
    }
}

fn answer(zone: &Mutex<Zone>, octets: &[u8]) -> Message {
    let question = Message::from_vec(octets).expect("a question");
    let query = question.queries.first().expect("one question").clone();
    let asked = query.name().to_lowercase().to_ascii();
    let mut reply = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    reply.metadata.recursion_available = true;
    reply.add_query(query.clone());
    let zone = locked(zone);
    if zone
        .broken
        .iter()
        .any(|domain| asked == *domain || asked.ends_with(&format!(".{domain}")))
    {
        reply.metadata.response_code = ResponseCode::ServFail;
        return reply;
    }
    let Some(records) = zone.records.get(&asked) else {
        reply.metadata.response_code = ResponseCode::NXDomain;
        return reply;
    };
    for data in records
        .iter()
        .filter(|data| data.record_type() == query.query_type())
    {
        reply.add_answer(Record::from_rdata(query.name().clone(), TTL, data.clone()));
    }
    reply
}
