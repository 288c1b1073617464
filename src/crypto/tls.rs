//! TLS contexts: 1.2 and 1.3, forward secrecy only (RFC 9325; G-075), and handshakes on a [`Socket`].

use std::path::Path;
use std::sync::Arc;

use crate::world::Socket;

/// A protected connection.
pub type TlsStream = tokio_openssl::SslStream<Socket>;

/// What a listener needs to speak TLS.
#[derive(Clone)]
pub struct ServerContext {
    _acceptor: Arc<openssl::ssl::SslAcceptor>,
}

/// What a client needs.
#[derive(Clone)]
pub struct ClientContext {
    _connector: Arc<openssl::ssl::SslConnector>,
}

/// How the other end's certificate is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerCheck {
    /// It must chain to the roots and name this host.
    Verify,
    /// Any will do (opportunistic relay; the content is sealed anyway).
    Any,
}

impl ServerContext {
    /// From PEM files.
    ///
    /// # Errors
    /// A sentence naming the file and what is wrong with it.
    pub fn load(_certificate: &Path, _key: &Path) -> Result<Self, String> {
        todo!()
    }

    /// The handshake, server side.
    ///
    /// # Errors
    /// What OpenSSL says.
    pub async fn accept(&self, _socket: Socket) -> Result<TlsStream, String> {
        todo!()
    }
}

impl ClientContext {
    /// Roots from `ca_file`, else from where the system keeps them.
    ///
    /// # Errors
    /// A sentence naming the file.
    pub fn new(_ca_file: Option<&Path>) -> Result<Self, String> {
        todo!()
    }

    /// The handshake, client side; `host` for SNI and, with [`PeerCheck::Verify`], for the name check.
    ///
    /// # Errors
    /// What OpenSSL says.
    pub async fn connect(
        &self,
        _socket: Socket,
        _host: &str,
        _check: PeerCheck,
    ) -> Result<TlsStream, String> {
        todo!()
    }
}

/// `TLSv1.3 TLS_AES_256_GCM_SHA384`, for envelope rows and the journal.
pub fn describe(_stream: &TlsStream) -> String {
    todo!()
}

impl std::fmt::Debug for ServerContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerContext(..)")
    }
}

impl std::fmt::Debug for ClientContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientContext(..)")
    }
}
