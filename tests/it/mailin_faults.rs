//! Why the listener is our own (docs/decisions/0001-own-listener.md): the faults of `mailin-embedded` 0.8.3
//! over real sockets, each beside our listener doing it right. If the first half of a test fails after an
//! update, that fault was mended.
#![cfg(feature = "demo")]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use carepost::config::{Limits, ListenerTls};
use carepost::directory::{self, Directory};
use carepost::envelope::{Address, Envelope, ListenerKind};
use carepost::journal::Actor;
use carepost::limits;
use carepost::listener::{AcceptError, BoxFuture, Gate, Guard, Listener, Node, serve};
use carepost::route::Destination;
use carepost::spool::Receipt;
use carepost::store::{Body, KeyEncryptionKey, Paths, Store};
use carepost::trust::Profile;
use carepost::world::World;
use mailin_embedded::{Handler, Response, Server, response};

/// A message with a second one hidden in it.
const SMUGGLER: &str = "Content-Type: application/pkcs7-mime\r\n\r\nhello\n.\r\n\
    MAIL FROM:<ceo@evil.example>\r\nRCPT TO:<dr.a@clinic.example>\r\nDATA\r\nhidden\r\n.\r\n";

/// The same lines, each dot stuffed as RFC 5321 §4.5.2 says: one message. (`ask` adds the last CRLF.)
const HONEST: &str = "Content-Type: application/pkcs7-mime\r\n\r\nhello\r\n..\r\n\
    MAIL FROM:<ceo@evil.example>\r\nRCPT TO:<dr.a@clinic.example>\r\nDATA\r\nhidden\r\n.";

/// What a server took: return paths, as it read them.
type Taken = Arc<Mutex<Vec<String>>>;

/// Counts messages of `mailin-embedded`.
#[derive(Clone)]
struct Counter {
    from: String,
    taken: Taken,
}

impl Handler for Counter {
    fn mail(&mut self, _ip: std::net::IpAddr, _domain: &str, from: &str) -> Response {
        self.from = from.to_owned();
        response::OK
    }

    fn data_end(&mut self) -> Response {
        self.taken
            .lock()
            .expect("not poisoned")
            .push(self.from.clone());
        response::OK
    }
}

/// `mailin-embedded` on a port of its own. It cannot be stopped; it ends with the tests.
fn mailin() -> (SocketAddr, Taken) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound");
    let taken = Taken::default();
    let mut server = Server::new(Counter {
        from: String::new(),
        taken: taken.clone(),
    });
    server
        .with_name("mailin.example")
        .with_tcp_listener(listener);
    std::thread::spawn(move || {
        let _ = server.serve();
    });
    (port, taken)
}

/// Keeps the return path of what reaches the gate, and refuses it: a receipt exists only where a spool is.
struct Recorder {
    directory: Arc<Directory>,
    taken: Taken,
}

impl Gate for Recorder {
    fn directory(&self) -> Arc<Directory> {
        self.directory.clone()
    }

    fn authenticate<'a>(
        &'a self,
        _name: &'a str,
        _password: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, ()>> {
        Box::pin(async { Ok(None) })
    }

    fn accept(
        &self,
        envelope: Envelope,
        _body: Body,
    ) -> BoxFuture<'_, Result<Receipt, AcceptError>> {
        let from = envelope.return_path.address().map_or("", Address::written);
        self.taken
            .lock()
            .expect("not poisoned")
            .push(from.to_owned());
        Box::pin(async {
            Err(AcceptError::Refused {
                enhanced: "5.0.0",
                text: "recorded".into(),
            })
        })
    }
}

/// Our listener on a port of its own.
struct Ours {
    _folder: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
    _stop: tokio::sync::watch::Sender<bool>,
    port: SocketAddr,
    taken: Taken,
}

fn ours() -> Ours {
    let folder = tempfile::tempdir().expect("a directory");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let taken = Taken::default();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let (node, listener) = runtime.block_on(relay(folder.path(), taken.clone()));
    let port = listener.port.local().expect("bound");
    runtime.spawn(serve(node, listener, stopped));
    Ours {
        _folder: folder,
        _runtime: runtime,
        _stop: stop,
        port,
        taken,
    }
}

async fn relay(folder: &std::path::Path, taken: Taken) -> (Node, Listener) {
    let world = World::real();
    let paths = Paths {
        database: folder.join("carepost.db"),
        blobs: folder.join("blobs"),
    };
    let key = KeyEncryptionKey::new([1; 32]);
    let store = Store::open(&paths, "node", key, world.clone())
        .await
        .expect("a store");
    let address = Address::parse("dr.a@clinic.example").expect("an address");
    let route = Destination::Maildir("/nowhere".into());
    let actor = || Actor::Carepost;
    directory::add_domain(&store, actor(), "clinic.example", Profile::V1_3)
        .await
        .expect("a domain");
    directory::set_address(&store, actor(), &address, &route, None, None)
        .await
        .expect("an address");
    let directory = Arc::new(directory::load(&store).await.expect("a directory"));
    let limits = Limits {
        message_size: limits::MESSAGE_SIZE_MAX,
        recipients: limits::RECIPIENTS_MAX,
        command_timeout: limits::COMMAND_TIMEOUT,
        connections: limits::CONNECTIONS_MAX,
        connections_per_client: limits::CONNECTIONS_PER_CLIENT_MAX,
        free_octets: 0,
        free_inodes: 0,
        processed_wait: limits::PROCESSED_WAIT,
        dispatched_wait: limits::DISPATCHED_WAIT,
    };
    let loopback = "127.0.0.1:0".parse().expect("an address");
    let listener = Listener {
        port: world.listen(loopback).await.expect("a port"),
        kind: ListenerKind::Relay,
        tls: ListenerTls::Off,
    };
    let node = Node {
        world,
        store,
        hostname: "mx.gateway.example".into(),
        guard: Guard::new(&limits),
        limits,
        tls: None,
        gate: Arc::new(Recorder { directory, taken }),
    };
    (node, listener)
}

struct Client(BufReader<TcpStream>);

impl Client {
    /// Past the greeting and HELO.
    fn greeted(port: SocketAddr) -> Self {
        let stream = TcpStream::connect(port).expect("it connects");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a deadline");
        let mut client = Self(BufReader::new(stream));
        assert!(client.hear().starts_with("220"));
        assert!(client.ask("HELO mx.other.example").starts_with("250"));
        client
    }

    fn send(&mut self, octets: &[u8]) {
        self.0.get_mut().write_all(octets).expect("written");
    }

    /// One line; empty if the connection is over.
    fn hear(&mut self) -> String {
        let mut line = String::new();
        let _ = self.0.read_line(&mut line);
        line
    }

    fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes());
        self.hear()
    }
}

#[test]
fn the_empty_path_is_a_syntax_error_there_and_a_report_here() {
    let (port, _) = mailin();
    assert!(Client::greeted(port).ask("MAIL FROM:<>").starts_with("500"));
    let ours = ours();
    assert!(
        Client::greeted(ours.port)
            .ask("MAIL FROM:<>")
            .starts_with("250 2.1.0")
    );
}

#[test]
fn size_is_a_syntax_error_there_and_kept_to_here() {
    let command = "MAIL FROM:<dr.z@other.example> SIZE=1000";
    let (port, _) = mailin();
    assert!(Client::greeted(port).ask(command).starts_with("500"));
    let ours = ours();
    assert!(
        Client::greeted(ours.port)
            .ask(command)
            .starts_with("250 2.1.0")
    );
}

fn smuggle(port: SocketAddr) -> String {
    let mut client = Client::greeted(port);
    assert!(
        client
            .ask("MAIL FROM:<dr.z@other.example>")
            .starts_with("250")
    );
    assert!(
        client
            .ask("RCPT TO:<dr.a@clinic.example>")
            .starts_with("250")
    );
    assert!(client.ask("DATA").starts_with("354"));
    client.send(SMUGGLER.as_bytes());
    let mut replies = String::new();
    while !replies.contains("550 ") && replies.lines().count() < 5 {
        replies.push_str(&client.hear());
    }
    replies
}

#[test]
fn one_message_is_two_there_and_none_here() {
    let (port, taken) = mailin();
    smuggle(port);
    let senders = taken.lock().expect("not poisoned").clone();
    assert_eq!(senders, ["dr.z@other.example", "ceo@evil.example"]);
    let ours = ours();
    assert!(smuggle(ours.port).starts_with("550 5.5.2"));
    assert!(ours.taken.lock().expect("not poisoned").is_empty());
}

#[test]
fn an_honest_message_reaches_our_gate_once() {
    let ours = ours();
    let mut client = Client::greeted(ours.port);
    assert!(
        client
            .ask("MAIL FROM:<dr.z@other.example>")
            .starts_with("250")
    );
    assert!(
        client
            .ask("RCPT TO:<dr.a@clinic.example>")
            .starts_with("250")
    );
    assert!(client.ask("DATA").starts_with("354"));
    assert!(client.ask(HONEST).starts_with("550 5.0.0 recorded"));
    assert_eq!(
        *ours.taken.lock().expect("not poisoned"),
        ["dr.z@other.example"]
    );
}

#[test]
fn a_line_of_4_mib_is_swallowed_there_and_cut_off_here() {
    let line = vec![b'x'; 4 * 1024 * 1024];
    let (port, _) = mailin();
    let mut client = Client::greeted(port);
    client.send(&line);
    // It waits for more: all of it is in memory, and only the line's end brings an answer.
    client
        .0
        .get_ref()
        .set_read_timeout(Some(Duration::from_millis(300)))
        .expect("a deadline");
    assert_eq!(client.hear(), "");
    client
        .0
        .get_ref()
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a deadline");
    assert!(client.ask("").starts_with("500"));
    let ours = ours();
    let mut client = Client::greeted(ours.port);
    // The connection may be closed before all of it is sent.
    let _ = client.0.get_mut().write_all(&line);
    let answer = client.hear();
    assert!(
        answer.starts_with("500 5.5.2") || answer.is_empty(),
        "{answer}"
    );
    assert!(client.0.get_mut().write_all(b"NOOP\r\n").is_err() || client.hear().is_empty());
}
