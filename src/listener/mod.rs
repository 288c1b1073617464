//! Take a message off the wire. In: a port. Out: spooled messages, and the replies of RFC 5321.
//! Accepts, permits, deadlines, TLS, drain; the dialogue itself is `session`, without I/O.

mod session;

use std::sync::Arc;

use crate::config::{Limits, ListenerTls};
use crate::crypto::tls::ServerContext;
use crate::directory::Directory;
use crate::envelope::{Envelope, ListenerKind};
use crate::spool::{Receipt, SpoolError};
use crate::store::{Body, Store};
use crate::world::{Port, World};

/// What the listener needs from the rest of the node. One for all ports.
#[derive(Clone)]
pub struct Node {
    pub world: World,
    pub store: Store,
    pub hostname: String,
    pub limits: Limits,
    pub tls: Option<ServerContext>,
    pub gate: Arc<dyn Gate>,
}

/// A boxed future.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where a finished message goes, and what the listener looks up. Implemented by `serve` with the spool and the live snapshots; by
/// a recorder in tests.
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
    /// A rule of ours: 550 with this enhanced code and sentence (loop, clear mail, reused Message-ID, sender not yours...).
    Refused {
        enhanced: &'static str,
        text: String,
    },
}

/// One port with its kind.
pub struct Listener {
    pub port: Port,
    pub kind: ListenerKind,
    pub tls: ListenerTls,
}

/// Serves until `stop` says so: then no new connections; sessions in DATA may finish within 30 s; the others get 421.
pub async fn serve(_node: Node, _listener: Listener, _stop: tokio::sync::watch::Receiver<bool>) {
    todo!()
}
