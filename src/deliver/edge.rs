//! Hand-over to a clinic's mail system by SMTP (E-014) or LMTP (RFC 2033). In: a parcel and a server. Out: its own words.
//! At least once: when a connection ends after the final dot the parcel goes again, with the same Message-ID.

use std::net::SocketAddr;
use std::path::Path;

use crate::discover::DiscoverError;
use crate::limits::{ADDRESSES_PER_HOST_MAX, RELAY_ATTEMPT_TIMEOUT};
use crate::relay::Lines;
use crate::relay::session::{Caller, Dsn, Failure, Hop, Mailing, Place, Protocol, Said, TlsRule};
use crate::route::EdgeTls;

use super::{Edge, HandOver, Parcel};

pub(super) async fn smtp(
    edge: &Edge,
    host: &str,
    port: u16,
    tls: EdgeTls,
    parcel: &Parcel<'_>,
) -> HandOver {
    let rule = match tls {
        EdgeTls::Offered => TlsRule::OfferedVerified,
        EdgeTls::Demanded => TlsRule::Demanded,
        EdgeTls::Never => TlsRule::Never,
    };
    by_name(edge, host, port, (Protocol::Smtp, rule), parcel).await
}

pub(super) async fn lmtp(edge: &Edge, host: &str, port: u16, parcel: &Parcel<'_>) -> HandOver {
    by_name(edge, host, port, (Protocol::Lmtp, TlsRule::Never), parcel).await
}

pub(super) async fn lmtp_socket(edge: &Edge, path: &Path, parcel: &Parcel<'_>) -> HandOver {
    let hop = Hop {
        host: "localhost",
        place: Place::Unix(path.to_owned()),
        protocol: Protocol::Lmtp,
        tls: TlsRule::Never,
    };
    let attempt = send(edge, &hop, parcel);
    match edge.world.within(RELAY_ATTEMPT_TIMEOUT, attempt).await {
        Ok(Ok(done)) => done,
        Ok(Err(why)) => HandOver::Later(format!("{}: {why}", path.display())),
        Err(_) => HandOver::Later(format!("{}: it took too long", path.display())),
    }
}

async fn by_name(
    edge: &Edge,
    host: &str,
    port: u16,
    (protocol, tls): (Protocol, TlsRule),
    parcel: &Parcel<'_>,
) -> HandOver {
    let attempt = async {
        let addresses = match edge.resolver.addresses(host).await {
            Ok(addresses) => addresses,
            // The operator named it: a name that is gone today may be back tomorrow.
            Err(DiscoverError::NotFound(why) | DiscoverError::NoAnswer(why)) => {
                return HandOver::Later(why);
            }
        };
        let mut tried = Vec::new();
        for ip in addresses.into_iter().take(ADDRESSES_PER_HOST_MAX) {
            let hop = Hop {
                host,
                place: Place::Tcp(SocketAddr::new(ip, port)),
                protocol,
                tls,
            };
            match send(edge, &hop, parcel).await {
                Ok(done) => return done,
                Err(why) => tried.push(format!("{host} [{ip}]:{port}: {why}")),
            }
        }
        HandOver::Later(tried.join("; "))
    };
    match edge.world.within(RELAY_ATTEMPT_TIMEOUT, attempt).await {
        Ok(done) => done,
        Err(_) => HandOver::Later(format!("{host}: it took too long")),
    }
}

/// One transaction. The error says why this place could not be used; another may be.
async fn send(edge: &Edge, hop: &Hop<'_>, parcel: &Parcel<'_>) -> Result<HandOver, String> {
    let caller = Caller {
        world: &edge.world,
        tls: &edge.tls,
        hello: &edge.hostname,
    };
    let mailing = Mailing {
        from: parcel.return_path.address(),
        to: std::slice::from_ref(parcel.recipient),
        head: &parcel.trace,
        body: parcel.body,
        lines: Lines::Mend,
        dsn: Dsn::Unsaid,
    };
    let key = format!(
        "{:?} {:?} {:?} {}",
        hop.place, hop.protocol, hop.tls, hop.host
    );
    match edge.pool.send(caller, hop, &key, &mailing).await {
        Ok(sent) => Ok(match sent.said.into_iter().next() {
            Some(Said::Taken(words)) => HandOver::Done(words),
            Some(Said::Refused(words)) => HandOver::Never(words),
            Some(Said::Later(words)) => HandOver::Later(words),
            None => HandOver::Later("the server said nothing".to_owned()),
        }),
        Err(Failure::Lost(why)) => Err(why),
        Err(Failure::Body(why)) => Ok(HandOver::Later(why)),
        Err(Failure::Unsendable(why)) => Ok(HandOver::Never(why)),
    }
}
