//! Take a message off the wire. In: a port. Out: spooled messages, and the replies of RFC 5321.
//! Accepts, permits, deadlines, TLS, drain; the dialogue itself is `session`, without I/O.

mod command;
mod conversation;
mod data;
mod guard;
mod pending;
mod reply;
mod sasl;
mod session;
mod wire;

#[cfg(test)]
mod sockets;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use crate::config::{Limits, ListenerTls};
use crate::crypto::tls::ServerContext;
use crate::directory::{Directory, UnknownRecipient};
use crate::envelope::{Address, Envelope, ListenerKind};
use crate::limits::{ACCEPT_PAUSE, ACCEPT_PAUSE_MAX, DRAIN_TIMEOUT, GOODBYE_TIMEOUT};
use crate::spool::{Receipt, SpoolError};
use crate::store::{Body, Store};
use crate::world::{Port, Socket, World};

use conversation::stopped;
use guard::Client;
use wire::Stream;

pub use guard::Guard;
pub use reply::Reply;

/// What the listener needs from the rest of the node. One for all ports.
#[derive(Clone)]
pub struct Node {
    pub world: World,
    pub store: Store,
    pub hostname: String,
    pub limits: Limits,
    pub tls: Option<ServerContext>,
    pub gate: Arc<dyn Gate>,
    /// What all ports remember of clients: [`Guard::new`], once.
    pub guard: Arc<Guard>,
}

/// A boxed future.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where a finished message goes, and what the listener looks up. Implemented by `serve` with the spool and
/// the live snapshots; by a recorder in tests.
pub trait Gate: Send + Sync {
    /// The live directory snapshot.
    fn directory(&self) -> Arc<Directory>;
    /// Checks a login; the account's name if it is right.
    fn authenticate<'a>(
        &'a self,
        name: &'a str,
        password: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, ()>>;
    /// T1. Returns after the commit; the road goes on by itself.
    fn accept(&self, envelope: Envelope, body: Body)
    -> BoxFuture<'_, Result<Receipt, AcceptError>>;
}

/// Why a message was not taken at end of DATA.
#[derive(Debug)]
pub enum AcceptError {
    /// The store said no: 451 or 452.
    Spool(SpoolError),
    /// A rule of ours: 550 with this enhanced code and sentence (loop, clear mail, reused Message-ID,
    /// sender not yours...).
    Refused {
        enhanced: &'static str,
        text: String,
    },
}

/// What RCPT and MAIL look up. The directory's snapshot; a table in tests.
trait Lookup {
    /// How mail for this address is received on a relay port.
    fn standing(&self, address: &Address) -> Standing;
    /// Whom `<postmaster>` without a domain means.
    fn postmaster(&self, hostname: &str) -> Option<Address>;
    /// Whether the login may send as this address.
    fn may_send_as(&self, account: &str, address: &Address) -> bool;
    /// Changes when the login's sessions are to end; None if there is no such login.
    fn revocations(&self, account: &str) -> Option<u64>;
}

/// What an address is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Its mail is taken, be it disabled, full or moved: that is answered by a notice.
    Taken,
    /// In a domain of ours that refuses unknown recipients.
    Unknown,
    /// In no domain of ours.
    Foreign,
}

impl Lookup for Directory {
    fn standing(&self, address: &Address) -> Standing {
        let Some(domain) = self.domain(address.domain()) else {
            return Standing::Foreign;
        };
        let taken = domain.unknown_recipient == UnknownRecipient::Accept;
        // Reports on what a login sent come to its address, be there a mailbox or not (A-110, B-013).
        if taken || self.entry(address).is_some() || self.is_sender(address) {
            Standing::Taken
        } else {
            Standing::Unknown
        }
    }

    fn postmaster(&self, hostname: &str) -> Option<Address> {
        let mut names: Vec<&str> = self.domains().map(|domain| domain.name.as_str()).collect();
        names.sort_unstable();
        names.insert(0, hostname);
        names.into_iter().find_map(|name| {
            let address = Address::parse(&format!("postmaster@{name}")).ok()?;
            self.entry(&address).map(|entry| entry.address.clone())
        })
    }

    fn may_send_as(&self, account: &str, address: &Address) -> bool {
        Directory::may_send_as(self, account, address)
    }

    fn revocations(&self, account: &str) -> Option<u64> {
        Directory::revocations(self, account)
    }
}

/// One port with its kind.
pub struct Listener {
    pub port: Port,
    pub kind: ListenerKind,
    pub tls: ListenerTls,
}

/// Serves until `stop` says so: then no new connections; sessions in DATA may finish within 30 s; the
/// others get 421.
pub async fn serve(node: Node, listener: Listener, stop: watch::Receiver<bool>) {
    let Listener { port, kind, tls } = listener;
    let world = node.world.clone();
    let serving = conversation::Port {
        node,
        kind,
        tls,
        stop: stop.clone(),
    };
    let mut sessions = JoinSet::new();
    let mut pause = ACCEPT_PAUSE;
    loop {
        tokio::select! {
            () = stopped(stop.clone()) => break,
            Some(ended) = sessions.join_next() => note_panic(&ended),
            accepted = port.accept() => match accepted {
                Ok(socket) => {
                    pause = ACCEPT_PAUSE;
                    welcome(&serving, socket, &mut sessions);
                }
                Err(error) => {
                    if !is_the_peers(&error) {
                        // Out of descriptors, most likely: sessions must end before more can begin.
                        tracing::error!(%error, "cannot accept connections for the moment");
                        world.sleep(pause).await;
                        pause = pause.saturating_mul(2).min(ACCEPT_PAUSE_MAX);
                    }
                }
            },
        }
    }
    drop(port);
    let drained = async {
        while let Some(ended) = sessions.join_next().await {
            note_panic(&ended);
        }
    };
    // Each session keeps its own deadline; this one is for those that hang in the store.
    let patience = DRAIN_TIMEOUT.saturating_add(GOODBYE_TIMEOUT);
    if world.within(patience, drained).await.is_err() {
        tracing::warn!(
            open = sessions.len(),
            "sessions were cut off at the end of the drain"
        );
    }
}

/// Starts a session, or says 421 if there are too many (G-085).
fn welcome(serving: &conversation::Port, socket: Socket, sessions: &mut JoinSet<()>) {
    let peer = socket.peer();
    if let Some(permit) = serving.node.guard.admit(Client::new(peer.ip())) {
        sessions.spawn(conversation::converse(serving.clone(), socket, permit));
        return;
    }
    tracing::info!(%peer, "connection refused: too many");
    // A TLS client could not read it; and a flood is not worth a task each.
    let polite = sessions.len() < serving.node.limits.connections.saturating_mul(2);
    if serving.tls != ListenerTls::Implicit && polite {
        sessions.spawn(turn_away(serving.node.world.clone(), socket));
    }
}

async fn turn_away(world: World, socket: Socket) {
    let mut line = Vec::new();
    Reply::new(421, "4.7.0", "too many connections, try later").write_to(&mut line);
    let mut stream = Stream::Clear(socket);
    let said = async {
        let _ = stream.write(&line).await;
        let _ = stream.shutdown().await;
    };
    // The peer may be gone; then nobody is left to tell.
    let _ = world.within(GOODBYE_TIMEOUT, said).await;
}

fn note_panic(ended: &Result<(), JoinError>) {
    if ended.as_ref().is_err_and(JoinError::is_panic) {
        tracing::error!("a session panicked: this is a mistake of ours; the others go on");
    }
}

/// Whether accept failed because of this one peer, so that the next can be taken at once.
fn is_the_peers(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, NotConnected};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted | NotConnected
    )
}
