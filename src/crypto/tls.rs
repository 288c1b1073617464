//! TLS contexts: 1.2 and 1.3, forward secrecy only (RFC 9325 §4.1; G-075), and handshakes on a [`Socket`].
//! In: PEM files, sockets. Out: protected streams. Contexts are built once and shared; a reload builds new
//! ones. Never done here: deadlines (the caller's [`crate::world::World`] has them) and deciding where TLS
//! is demanded.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::ssl::{
    SslAcceptor, SslConnector, SslConnectorBuilder, SslFiletype, SslMethod, SslVerifyMode,
    SslVersion,
};

use crate::world::Socket;

/// Ciphers of TLS 1.2 that a client of ours offers: ephemeral keys and AEAD only (RFC 9325 §4.2).
const CLIENT_CIPHERS: &str =
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:!aNULL:!eNULL:!PSK:!aDSS:!SRP";

/// A protected connection.
pub type TlsStream = tokio_openssl::SslStream<Socket>;

/// What a listener needs to speak TLS.
#[derive(Clone)]
pub struct ServerContext {
    acceptor: Arc<SslAcceptor>,
}

/// What a client needs.
#[derive(Clone)]
pub struct ClientContext {
    connector: Arc<SslConnector>,
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
    /// From PEM files: the certificate with its chain, leaf first, and its key.
    ///
    /// # Errors
    /// A sentence naming the file and what is wrong with it.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, String> {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls())
            .map_err(|cause| format!("TLS cannot start: {}", reasons(&cause)))?;
        readable(certificate)?;
        readable(key)?;
        builder
            .set_certificate_chain_file(certificate)
            .map_err(|cause| unfit(certificate, "is no PEM certificate", &cause))?;
        builder
            .set_private_key_file(key, SslFiletype::PEM)
            .map_err(|cause| unfit(key, "is no PEM key of that certificate", &cause))?;
        builder
            .check_private_key()
            .map_err(|cause| unfit(key, "does not belong to the certificate", &cause))?;
        Ok(Self {
            acceptor: Arc::new(builder.build()),
        })
    }

    /// The handshake, server side.
    ///
    /// # Errors
    /// What OpenSSL says.
    pub async fn accept(&self, socket: Socket) -> Result<TlsStream, String> {
        let ssl = openssl::ssl::Ssl::new(self.acceptor.context()).map_err(|e| reasons(&e))?;
        let mut stream = TlsStream::new(ssl, socket).map_err(|e| reasons(&e))?;
        Pin::new(&mut stream)
            .accept()
            .await
            .map_err(|cause| cause.to_string())?;
        Ok(stream)
    }
}

impl ClientContext {
    /// Roots from `ca_file`, else from where the system keeps them.
    ///
    /// # Errors
    /// A sentence naming the file.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, String> {
        let broken = |cause: ErrorStack| format!("TLS cannot start: {}", reasons(&cause));
        let mut builder = SslConnector::builder(SslMethod::tls()).map_err(broken)?;
        builder
            .set_min_proto_version(Some(SslVersion::TLS1_2))
            .map_err(broken)?;
        builder.set_cipher_list(CLIENT_CIPHERS).map_err(broken)?;
        match ca_file {
            Some(file) => {
                readable(file)?;
                builder
                    .set_ca_file(file)
                    .map_err(|cause| unfit(file, "holds no PEM certificates", &cause))?;
            }
            None => system_roots(&mut builder).map_err(broken)?,
        }
        Ok(Self {
            connector: Arc::new(builder.build()),
        })
    }

    /// The handshake, client side; `host` for SNI and, with [`PeerCheck::Verify`], for the name check.
    ///
    /// # Errors
    /// What OpenSSL says; with [`PeerCheck::Verify`] what is wrong with the certificate.
    pub async fn connect(
        &self,
        socket: Socket,
        host: &str,
        check: PeerCheck,
    ) -> Result<TlsStream, String> {
        // A name with a NUL would be cut off there by OpenSSL.
        if host.is_empty() || host.contains('\0') {
            return Err("the host has no usable name".to_owned());
        }
        let mut connection = self.connector.configure().map_err(|e| reasons(&e))?;
        if check == PeerCheck::Any {
            connection.set_verify(SslVerifyMode::NONE);
            connection.set_verify_hostname(false);
        }
        // Certificates and SNI name a host without its trailing dot.
        let name = host.strip_suffix('.').unwrap_or(host);
        let ssl = connection.into_ssl(name).map_err(|e| reasons(&e))?;
        let mut stream = TlsStream::new(ssl, socket).map_err(|e| reasons(&e))?;
        match Pin::new(&mut stream).connect().await {
            Ok(()) => Ok(stream),
            Err(cause) => Err(explain(&stream, check, &cause)),
        }
    }
}

/// `TLSv1.3 TLS_AES_256_GCM_SHA384`, for envelope rows and the journal.
pub fn describe(stream: &TlsStream) -> String {
    let ssl = stream.ssl();
    let cipher = ssl
        .current_cipher()
        .map_or("no cipher", |c| c.standard_name().unwrap_or(c.name()));
    format!("{} {cipher}", ssl.version_str())
}

/// A vendored OpenSSL looks for roots where it was built, which is nowhere; so the usual places are asked.
fn system_roots(builder: &mut SslConnectorBuilder) -> Result<(), ErrorStack> {
    let found = openssl_probe::probe();
    let usable = |path: &Option<std::path::PathBuf>| path.as_deref().is_some_and(is_plain);
    let file = found
        .cert_file
        .as_deref()
        .filter(|_| usable(&found.cert_file));
    let dir = found
        .cert_dir
        .as_deref()
        .filter(|_| usable(&found.cert_dir));
    if file.is_some() || dir.is_some() {
        builder.load_verify_locations(file, dir)?;
    }
    Ok(())
}

fn explain(stream: &TlsStream, check: PeerCheck, cause: &openssl::ssl::Error) -> String {
    let verdict = stream.ssl().verify_result();
    if check == PeerCheck::Verify && verdict != openssl::x509::X509VerifyResult::OK {
        return format!("the certificate is refused: {}", verdict.error_string());
    }
    cause.to_string()
}

/// The path as OpenSSL's wrapper needs it: it panics on one that is not UTF-8 or holds a NUL.
fn is_plain(path: &Path) -> bool {
    path.to_str().is_some_and(|text| !text.contains('\0'))
}

fn readable(path: &Path) -> Result<(), String> {
    if !is_plain(path) {
        return Err(format!("{} is no usable path", path.display()));
    }
    std::fs::File::open(path)
        .map(drop)
        .map_err(|cause| format!("{} cannot be read: {cause}", path.display()))
}

fn unfit(path: &Path, what: &str, cause: &ErrorStack) -> String {
    format!("{} {what} ({})", path.display(), reasons(cause))
}

/// The reasons alone; OpenSSL's own text names files and lines of its source.
fn reasons(cause: &ErrorStack) -> String {
    let reasons: Vec<_> = cause.errors().iter().filter_map(|e| e.reason()).collect();
    if reasons.is_empty() {
        return "no reason given".to_owned();
    }
    reasons.join("; ")
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::issue::{
        Issued, KeyKind, Purpose, Template, issue, make_key, pem_certificate, pem_key,
    };
    use super::*;
    use crate::world::{Timestamp, World};

    struct Files {
        _dir: tempfile::TempDir,
        certificate: std::path::PathBuf,
        key: std::path::PathBuf,
    }

    /// A self-signed server certificate for `mx.example`, valid now: OpenSSL asks the real clock.
    fn files() -> Files {
        let world = World::real();
        let template = Template {
            common_name: "mx.example".to_owned(),
            purpose: Purpose::Server {
                names: vec!["mx.example".to_owned()],
            },
            not_before: Timestamp(world.now().0 - 60_000_000),
            not_after: Timestamp(world.now().0 + 3_600_000_000),
            crl_url: None,
            claimed_ski: None,
        };
        let key = make_key(KeyKind::P256).expect("a key");
        let Issued { key, certificate } = issue(&world, &template, &key, None).expect("issued");
        let dir = tempfile::tempdir().expect("a directory");
        let paths = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        std::fs::write(&paths.0, pem_certificate(&certificate)).expect("written");
        std::fs::write(&paths.1, pem_key(&key).expect("PEM")).expect("written");
        Files {
            _dir: dir,
            certificate: paths.0,
            key: paths.1,
        }
    }

    async fn shake(files: &Files, host: &str, check: PeerCheck) -> Result<String, String> {
        let server = ServerContext::load(&files.certificate, &files.key)?;
        let client = ClientContext::new(Some(&files.certificate))?;
        let (near, far) = tokio::io::duplex(16_384);
        let peer = "127.0.0.1:25".parse().expect("an address");
        let serving = tokio::spawn(async move {
            let mut stream = server.accept(Socket::new(Box::new(far), peer)).await?;
            stream
                .write_all(b"220 ready\r\n")
                .await
                .map_err(|e| e.to_string())
        });
        let mut stream = client
            .connect(Socket::new(Box::new(near), peer), host, check)
            .await?;
        let mut greeting = [0; 11];
        stream
            .read_exact(&mut greeting)
            .await
            .map_err(|e| e.to_string())?;
        assert_eq!(&greeting, b"220 ready\r\n");
        serving.await.expect("it ran")?;
        Ok(describe(&stream))
    }

    #[tokio::test]
    async fn a_host_is_verified_by_name_and_root() {
        let files = files();
        let described = shake(&files, "mx.example", PeerCheck::Verify).await;
        assert!(described.expect("shaken").starts_with("TLSv1.3 TLS_"));
        let refused = shake(&files, "mx.other.example", PeerCheck::Verify).await;
        assert!(
            refused
                .expect_err("another name")
                .contains("certificate is refused")
        );
        assert!(
            shake(&files, "mx.other.example", PeerCheck::Any)
                .await
                .is_ok()
        );
        assert!(
            shake(&files, "mx.example.", PeerCheck::Verify)
                .await
                .is_ok()
        );
        assert!(shake(&files, "mx.example\0", PeerCheck::Any).await.is_err());
    }

    #[test]
    fn a_wrong_file_is_named_in_the_error() {
        let (files, other) = (self::files(), self::files());
        let mismatch = ServerContext::load(&files.certificate, &other.key).expect_err("mismatch");
        assert!(mismatch.contains("key.pem"), "{mismatch}");
        let swapped = ServerContext::load(&files.key, &files.key).expect_err("no certificate");
        assert!(
            swapped.contains("key.pem is no PEM certificate"),
            "{swapped}"
        );
        let missing = ClientContext::new(Some(Path::new("/nowhere/ca.pem"))).expect_err("missing");
        assert!(missing.contains("/nowhere/ca.pem"), "{missing}");
        assert!(ClientContext::new(None).is_ok());
    }
}
