//! The listener over loopback, with a real store behind it: streaming, TLS, deadlines, limits, drain.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{AcceptError, BoxFuture, Gate, Guard, Listener, Node, guard, serve};
use crate::config::{Limits, ListenerTls};
use crate::crypto::issue::{KeyKind, Purpose, Template, issue, make_key, pem_certificate, pem_key};
use crate::crypto::tls::{ClientContext, PeerCheck, ServerContext};
use crate::directory::{self, Directory};
use crate::envelope::{Address, Envelope, ListenerKind};
use crate::journal::Actor;
use crate::limits::DISCARD_TIMEOUT;
use crate::route::Destination;
use crate::spool::Receipt;
use crate::store::{Body, KeyEncryptionKey, Paths, Store};
use crate::trust::Profile;
use crate::world::{Socket, Timestamp, Wire, World};

const PATIENCE: Duration = Duration::from_secs(20);
const SEALED: &str = "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\n";

/// Keeps what it is given.
struct Recorder {
    directory: Arc<Directory>,
    taken: Mutex<Vec<(Envelope, String)>>,
}

impl Gate for Recorder {
    fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory)
    }

    fn authenticate<'a>(
        &'a self,
        name: &'a str,
        password: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, ()>> {
        let right = password == "right";
        Box::pin(async move { Ok(right.then(|| name.to_owned())) })
    }

    fn accept(
        &self,
        envelope: Envelope,
        body: Body,
    ) -> BoxFuture<'_, Result<Receipt, AcceptError>> {
        Box::pin(async move {
            let mut text = String::new();
            let mut reader = body.reader().expect("the body opens");
            reader.read_to_string(&mut text).expect("the body reads");
            let receipt = Receipt::for_tests(envelope.id);
            self.taken
                .lock()
                .expect("not poisoned")
                .push((envelope, text));
            Ok(receipt)
        })
    }
}

/// A listener on a port of its own.
struct House {
    folder: tempfile::TempDir,
    world: World,
    gate: Arc<Recorder>,
    port: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

fn limits() -> Limits {
    Limits {
        message_size: 2_000_000,
        ..guard::tests::limits()
    }
}

impl House {
    async fn open(kind: ListenerKind, tls: ListenerTls, limits: Limits) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let world = World::at(Timestamp::from_unix_s(1_795_309_323));
        let paths = Paths {
            database: folder.path().join("carepost.db"),
            blobs: folder.path().join("blobs"),
        };
        let key = KeyEncryptionKey::new([1; 32]);
        let store = Store::open(&paths, "node", key, world.clone())
            .await
            .expect("a store");
        let gate = Arc::new(Recorder {
            directory: Arc::new(furnish(&store).await),
            taken: Mutex::default(),
        });
        let loopback = "127.0.0.1:0".parse().expect("an address");
        let port = world.listen(loopback).await.expect("a port");
        let local = port.local().expect("bound");
        let node = Node {
            world: world.clone(),
            store,
            hostname: "mx.gateway.example".into(),
            guard: Guard::new(&limits),
            limits,
            tls: (tls != ListenerTls::Off).then(|| server_context(folder.path())),
            gate: gate.clone(),
        };
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(serve(node, Listener { port, kind, tls }, stopped));
        Self {
            folder,
            world,
            gate,
            port: local,
            stop,
            serving,
        }
    }

    async fn relay() -> Self {
        Self::open(ListenerKind::Relay, ListenerTls::Off, limits()).await
    }

    async fn socket(&self) -> Socket {
        self.world
            .connect(self.port, PATIENCE)
            .await
            .expect("it connects")
    }

    async fn client(&self) -> Client {
        Client(Box::new(self.socket().await))
    }

    /// TLS over `socket`, the certificate verified.
    async fn protect(&self, socket: Socket) -> Client {
        let roots = self.folder.path().join("cert.pem");
        let context = ClientContext::new(Some(&roots)).expect("a context");
        let check = PeerCheck::Verify;
        let stream = context.connect(socket, "mx.gateway.example", check).await;
        Client(Box::new(stream.expect("the handshake succeeds")))
    }

    fn taken(&self) -> Vec<(Envelope, String)> {
        self.gate.taken.lock().expect("not poisoned").clone()
    }
}

async fn furnish(store: &Store) -> Directory {
    let actor = || Actor::Carepost;
    let address = Address::parse("dr.a@clinic.example").expect("an address");
    let route = Destination::Maildir("/nowhere".into());
    directory::add_domain(store, actor(), "clinic.example", Profile::V1_3)
        .await
        .expect("a domain");
    directory::set_address(store, actor(), &address, &route, None, None)
        .await
        .expect("an address");
    directory::add_account(store, actor(), "desk", &[address])
        .await
        .expect("an account");
    directory::load(store).await.expect("a directory")
}

fn server_context(folder: &std::path::Path) -> ServerContext {
    let world = World::real();
    let template = Template {
        common_name: "mx.gateway.example".into(),
        purpose: Purpose::Server {
            names: vec!["mx.gateway.example".into()],
        },
        not_before: world.now().minus(Duration::from_secs(60)),
        not_after: world.now().plus(Duration::from_secs(3_600)),
        crl_url: None,
        claimed_ski: None,
    };
    let key = make_key(KeyKind::P256).expect("a key");
    let issued = issue(&world, &template, &key, None).expect("a certificate");
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, pem_certificate(&issued.certificate)).expect("written");
    std::fs::write(&key, pem_key(&issued.key).expect("PEM")).expect("written");
    ServerContext::load(&certificate, &key).expect("a context")
}

/// The other end.
struct Client(Box<dyn Wire>);

impl Client {
    async fn send(&mut self, octets: &[u8]) {
        self.0.write_all(octets).await.expect("written");
        self.0.flush().await.expect("written");
    }

    /// Reads up to the last line of a reply; the whole, empty if the connection is over.
    async fn hear(&mut self) -> String {
        let mut text = String::new();
        let last = |text: &str| {
            let line = text.lines().last().unwrap_or_default();
            text.ends_with("\r\n") && line.as_bytes().get(3) == Some(&b' ')
        };
        while !last(&text) {
            let read = World::real().within(PATIENCE, self.0.read_u8()).await;
            match read.expect("a reply in time") {
                Ok(octet) => text.push(char::from(octet)),
                Err(_) => break,
            }
        }
        text
    }

    async fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes()).await;
        self.hear().await
    }

    /// Up to the reply to DATA.
    async fn begin(&mut self, from: &str) {
        assert!(self.hear().await.starts_with("220 "));
        self.up_to_data(from).await;
    }

    async fn up_to_data(&mut self, from: &str) {
        self.ask("EHLO mx.other.example").await;
        assert!(
            self.ask(&format!("MAIL FROM:<{from}>"))
                .await
                .starts_with("250 2.1.0")
        );
        assert!(
            self.ask("RCPT TO:<dr.a@clinic.example>")
                .await
                .starts_with("250 2.1.5")
        );
        assert!(self.ask("DATA").await.starts_with("354 "));
    }

    async fn is_closed(&mut self) -> bool {
        self.hear().await.is_empty()
    }
}

fn starts(text: &str, start: &str) {
    assert!(text.starts_with(start), "{text:?} instead of {start:?}");
}

#[tokio::test]
async fn messages_small_and_large_arrive_octet_for_octet_behind_our_received_field() {
    let house = House::relay().await;
    let mut client = house.client().await;
    assert!(client.hear().await.starts_with("220 mx.gateway.example"));
    // From empty to past the memory cap, where the body becomes a blob.
    for lines in [0, 1, 1_000, 12_000] {
        client.up_to_data("dr.z@other.example").await;
        let message = format!(
            "{SEALED}{}",
            format!(".{}\r\n", "x".repeat(75)).repeat(lines)
        );
        let stuffed = message.replace("\r\n.", "\r\n..");
        starts(
            &client.ask(&format!("{stuffed}.")).await,
            "250 2.0.0 accepted id=",
        );
        let (envelope, text) = house.taken().pop().expect("taken");
        let received = format!("with ESMTP id {};", envelope.id);
        let (trace, rest) = text.split_once("Content-Type").expect("the header follows");
        starts(
            trace,
            "Received: from mx.other.example ([127.0.0.1])\r\n\tby mx.gateway.example",
        );
        assert!(trace.contains(&received), "{trace}");
        assert!(format!("Content-Type{rest}") == message, "{lines} lines");
    }
}

#[tokio::test]
async fn pipelined_commands_are_answered_together_and_in_order() {
    let house = House::relay().await;
    let mut client = house.client().await;
    let wire = format!(
        "EHLO a.example\r\nMAIL FROM:<>\r\nRCPT TO:<dr.a@clinic.example>\r\n\
         DATA\r\n{SEALED}x\r\n.\r\nQUIT\r\n"
    );
    client.send(wire.as_bytes()).await;
    for start in [
        "220 ",
        "250-",
        "250 2.1.0",
        "250 2.1.5",
        "354 ",
        "250 2.0.0",
        "221 2.0.0",
    ] {
        starts(&client.hear().await, start);
    }
    assert!(client.is_closed().await);
    assert_eq!(house.taken().len(), 1);
}

#[tokio::test]
async fn clear_mail_is_refused_and_a_clear_dsn_is_taken_from_the_null_sender_only() {
    const DSN: &str = "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n";
    let house = House::relay().await;
    for (from, header, start) in [
        ("dr.z@other.example", "Subject: x\r\n", "554 5.7.1"),
        ("", "Subject: x\r\n", "554 5.7.1"),
        ("dr.z@other.example", DSN, "554 5.7.1"),
        ("", DSN, "250 2.0.0"),
        ("dr.z@other.example", SEALED, "250 2.0.0"),
    ] {
        let mut client = house.client().await;
        client.begin(from).await;
        starts(&client.ask(&format!("{header}\r\nx\r\n.")).await, start);
    }
    assert_eq!(house.taken().len(), 2);
}

#[tokio::test]
async fn a_clinic_submits_over_starttls_and_over_implicit_tls() {
    for tls in [ListenerTls::StartTls, ListenerTls::Implicit] {
        let house = House::open(ListenerKind::Submission, tls, limits()).await;
        let socket = house.socket().await;
        let mut client = if tls == ListenerTls::StartTls {
            let mut clear = Client(Box::new(socket));
            starts(&clear.hear().await, "220 ");
            assert!(clear.ask("EHLO laptop").await.contains("250-STARTTLS"));
            starts(&clear.ask("STARTTLS").await, "220 2.0.0");
            house.protect(Socket::new(clear.0, house.port)).await
        } else {
            let mut client = house.protect(socket).await;
            starts(&client.hear().await, "220 ");
            client
        };
        let capabilities = client.ask("EHLO laptop").await;
        assert!(capabilities.contains("AUTH PLAIN LOGIN") && !capabilities.contains("STARTTLS"));
        starts(
            &client.ask("AUTH PLAIN AGRlc2sAd3Jvbmc=").await,
            "535 5.7.8",
        );
        starts(
            &client.ask("AUTH PLAIN AGRlc2sAcmlnaHQ=").await,
            "235 2.7.0",
        );
        client.up_to_data("dr.a@clinic.example").await;
        // Clear text is what clinics submit.
        starts(
            &client.ask("Subject: x\r\n\r\nhello\r\n.").await,
            "250 2.0.0 accepted id=",
        );
        let (envelope, text) = house.taken().pop().expect("taken");
        assert_eq!(envelope.account.as_deref(), Some("desk"));
        assert!(
            envelope
                .peer
                .tls
                .is_some_and(|tls| tls.starts_with("TLSv1."))
        );
        starts(&text, "Received: by mx.gateway.example with ESMTPSA id ");
        assert!(!text.contains("127.0.0.1") && !text.contains("laptop"));
    }
}

#[tokio::test]
async fn what_follows_starttls_in_the_clear_is_dropped_with_the_session() {
    let tls = ListenerTls::StartTls;
    let house = House::open(ListenerKind::Relay, tls, limits()).await;
    let mut client = house.client().await;
    starts(&client.hear().await, "220 ");
    client.send(b"STARTTLS\r\nEHLO evil.example\r\n").await;
    starts(&client.hear().await, "503 5.5.1");
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn silence_ends_a_session_wherever_it_falls() {
    // ETT SMTP 13.
    let quick = Limits {
        command_timeout: Duration::from_millis(150),
        ..limits()
    };
    let house = House::open(ListenerKind::Relay, ListenerTls::Off, quick).await;
    let mut idle = house.client().await;
    starts(&idle.hear().await, "220 ");
    let mut within_a_line = house.client().await;
    starts(&within_a_line.hear().await, "220 ");
    within_a_line.send(b"NOOP\r\nEHL").await;
    starts(&within_a_line.hear().await, "250 2.0.0");
    for client in [&mut idle, &mut within_a_line] {
        starts(&client.hear().await, "421 4.4.2");
        assert!(client.is_closed().await);
    }
    drop((idle, within_a_line));
    let mut in_data = house.client().await;
    in_data.begin("").await;
    in_data.send(SEALED.as_bytes()).await;
    starts(&in_data.hear().await, "421 4.4.2");
    assert!(in_data.is_closed().await && house.taken().is_empty());
}

#[tokio::test]
async fn after_a_bare_line_end_input_is_thrown_away_for_a_while_and_then_refused() {
    let house = House::relay().await;
    let mut client = house.client().await;
    client.begin("").await;
    client
        .send(b"x\n.\r\nMAIL FROM:<evil@evil.example>\r\n")
        .await;
    house.world.sleep(Duration::from_millis(50)).await;
    house.world.advance(DISCARD_TIMEOUT);
    client.send(b"DATA\r\n").await;
    starts(&client.hear().await, "550 5.5.2");
    assert!(client.is_closed().await && house.taken().is_empty());
}

#[tokio::test]
async fn one_client_too_many_hears_421_and_the_next_is_served_when_one_has_gone() {
    let house = House::relay().await;
    let mut first = house.client().await;
    let mut second = house.client().await;
    starts(&first.hear().await, "220 ");
    starts(&second.hear().await, "220 ");
    let mut third = house.client().await;
    starts(&third.hear().await, "421 4.7.0");
    assert!(third.is_closed().await);
    starts(&first.ask("QUIT").await, "221 2.0.0");
    assert!(first.is_closed().await);
    house.world.sleep(Duration::from_millis(50)).await;
    starts(&house.client().await.hear().await, "220 ");
}

#[tokio::test]
async fn mail_is_deferred_while_the_store_is_low_on_room() {
    let low = Limits {
        free_octets: u64::MAX,
        ..limits()
    };
    let house = House::open(ListenerKind::Relay, ListenerTls::Off, low).await;
    let mut client = house.client().await;
    starts(&client.hear().await, "220 ");
    client.ask("HELO a.example").await;
    starts(&client.ask("MAIL FROM:<>").await, "452 4.3.1");
}

#[tokio::test]
async fn a_stop_ends_idle_sessions_at_once_and_lets_data_finish() {
    let house = House::relay().await;
    let mut idle = house.client().await;
    starts(&idle.hear().await, "220 ");
    let mut busy = house.client().await;
    busy.begin("").await;
    busy.send(SEALED.as_bytes()).await;
    house.stop.send(true).expect("it listens");
    starts(&idle.hear().await, "421 4.3.2");
    assert!(idle.is_closed().await);
    busy.send(b"x\r\n.\r\n").await;
    starts(&busy.hear().await, "250 2.0.0 accepted id=");
    starts(&busy.hear().await, "421 4.3.2");
    assert!(
        house.world.connect(house.port, PATIENCE).await.is_err(),
        "the port is closed"
    );
    house.serving.await.expect("serve returns");
    assert_eq!(house.gate.taken.lock().expect("not poisoned").len(), 1);
}
