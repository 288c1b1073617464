//! What the stories play in: DNS, gateways as real processes, mail servers that keep what they are sent, partners with keys of
//! their own. Everything listens on addresses of 127.0.0.0/8 that no other story uses, so that all may run side by side.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use carepost::crypto::issue::{self, Issued, KeyKind, Purpose, Template};
use carepost::world::World;
use serde_json::Value;

/// Ports are the same in every story; addresses differ.
pub const RELAY: u16 = 10_025;
pub const SUBMISSION: u16 = 10_587;
pub const HEALTH: u16 = 10_080;
/// The longest that anything may take before a story has failed. Machines are slow now and then; nothing is measured.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// How long silence is listened to.
pub const SILENCE: Duration = Duration::from_secs(2);
const DAY: Duration = Duration::from_secs(86_400);

/// An address of this process and story alone.
pub fn loopback() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let last = NEXT.fetch_add(1, Ordering::SeqCst);
    assert!(last < 250, "more addresses than one process has");
    Ipv4Addr::new(127, 1 + high % 250, low, last)
}

/// Asks until there is an answer.
pub fn wait<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(found) = ask() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("waited in vain for {what}");
}

pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Runs a program to its end; its output if it ended well.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().expect("the program starts");
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

// ---- certificates -------------------------------------------------------------------------------

/// A CA that is trusted by whoever imports it.
pub struct Ca(pub Issued);

/// When a certificate is valid, from now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Valid {
    Now,
    ForSeconds,
}

fn template(name: &str, purpose: Purpose, valid: Valid) -> Template {
    let now = World::real().now();
    let (not_before, not_after) = match valid {
        Valid::Now => (now.minus(DAY), now.plus(DAY * 30)),
        // Long enough to be taken in as it should be.
        Valid::ForSeconds => (now.minus(DAY), now.plus(Duration::from_secs(8))),
    };
    Template {
        common_name: name.to_owned(),
        purpose,
        not_before,
        not_after,
        crl_url: None,
        claimed_ski: None,
    }
}

impl Ca {
    pub fn new(name: &str) -> Self {
        let key = issue::make_key(KeyKind::Rsa(2_048)).expect("a key");
        let ca = template(name, Purpose::Ca { path_len: Some(0) }, Valid::Now);
        Self(issue::issue(&World::real(), &ca, &key, None).expect("a certificate"))
    }

    /// A certificate bound to a domain.
    pub fn domain(&self, domain: &str, valid: Valid) -> Issued {
        self.leaf(domain, valid, None)
    }

    /// The same, naming a CRL.
    pub fn pointing(&self, domain: &str, crl: &str) -> Issued {
        let purpose = Purpose::Direct {
            address: None,
            domain: Some(domain.to_owned()),
        };
        let key = issue::make_key(KeyKind::Rsa(2_048)).expect("a key");
        let leaf = Template {
            crl_url: Some(crl.to_owned()),
            ..template(domain, purpose, Valid::Now)
        };
        issue::issue(&World::real(), &leaf, &key, Some(&self.0)).expect("a certificate")
    }

    /// The same, with a key identifier that is not its own.
    pub fn leaf(&self, domain: &str, valid: Valid, claimed_ski: Option<Vec<u8>>) -> Issued {
        let purpose = Purpose::Direct {
            address: None,
            domain: Some(domain.to_owned()),
        };
        let key = issue::make_key(KeyKind::Rsa(2_048)).expect("a key");
        let leaf = Template {
            claimed_ski,
            ..template(domain, purpose, valid)
        };
        issue::issue(&World::real(), &leaf, &key, Some(&self.0)).expect("a certificate")
    }
}

/// One side's certificates, as values and as the files that `openssl` and `carepost` read.
pub struct Identity {
    pub domain: String,
    pub leaf: Issued,
    pub dir: PathBuf,
}

impl Identity {
    /// A CA of its own, and a certificate for the domain.
    pub fn new(folder: &Path, domain: &str) -> Self {
        let ca = Ca::new(&format!("CA of {domain}"));
        let leaf = ca.domain(domain, Valid::Now);
        Self::of(folder, domain, ca, leaf)
    }

    pub fn of(folder: &Path, domain: &str, ca: Ca, leaf: Issued) -> Self {
        // Forgers have the same names; each has a folder of its own.
        static COUNT: AtomicU8 = AtomicU8::new(0);
        let count = COUNT.fetch_add(1, Ordering::SeqCst);
        let dir = folder.join(format!("pki-{domain}-{count}"));
        std::fs::create_dir_all(&dir).expect("a folder");
        let write = |name: &str, octets: &[u8]| {
            std::fs::write(dir.join(name), octets).expect("written");
        };
        write(
            "ca.pem",
            issue::pem_certificate(&ca.0.certificate).as_bytes(),
        );
        write(
            "leaf.pem",
            issue::pem_certificate(&leaf.certificate).as_bytes(),
        );
        write("leaf.key", &issue::pem_key(&leaf.key).expect("a key"));
        let p12 = issue::write_p12(&leaf, std::slice::from_ref(&ca.0.certificate), "secret");
        write("leaf.p12", &p12.expect("a PKCS#12 file"));
        write("p12.password", b"secret\n");
        Self {
            domain: domain.to_owned(),
            leaf,
            dir,
        }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

// ---- a gateway ----------------------------------------------------------------------------------

/// The binary under test.
pub fn carepost() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carepost"));
    command.env_remove("CAREPOST_CONFIG").stdin(Stdio::null());
    command
}

/// A gateway in a folder of its own; a process of its own while it runs.
pub struct Gateway {
    pub domain: String,
    pub ip: Ipv4Addr,
    pub dir: PathBuf,
    serving: Option<Child>,
}

impl Gateway {
    /// `carepost init` with the identity's certificate; DNS and ports of this world; not started yet.
    pub fn init(folder: &Path, identity: &Identity, dns: &crate::dns::Dns) -> Self {
        let gateway = Self::at(folder.join(&identity.domain), &identity.domain, loopback());
        let at = |port: u16| format!("{}:{port}", gateway.ip);
        run(carepost()
            .args(["init", "--domain", &identity.domain, "--hostname"])
            .arg(format!("gw.{}", identity.domain))
            .arg("--dir")
            .arg(&gateway.dir)
            .arg("--p12")
            .arg(identity.file("leaf.p12"))
            .arg("--p12-password-file")
            .arg(identity.file("p12.password"))
            .args([
                "--listen-relay",
                &at(RELAY),
                "--listen-submission",
                &at(SUBMISSION),
            ])
            .args(["--health", &at(HEALTH)]));
        gateway.configure("servers = []", &format!("servers = [\"{}\"]", dns.address));
        gateway.configure("port = 25", &format!("port = {RELAY}"));
        // In clear on loopback, so that a tap between two gateways can read what S/MIME alone protects.
        let block = format!("address = \"{}\"\ntls = ", at(RELAY));
        gateway.configure(&format!("{block}\"starttls\""), &format!("{block}\"off\""));
        gateway
    }

    /// One that is there already.
    pub fn at(dir: PathBuf, domain: &str, ip: Ipv4Addr) -> Self {
        let domain = domain.to_owned();
        Self {
            domain,
            ip,
            dir,
            serving: None,
        }
    }

    /// What no verb does: a statement on the store, while nobody has it open.
    pub fn sql(&self, statement: &'static str) {
        use sqlx::{ConnectOptions, Connection, Executor};
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let options =
            sqlx::sqlite::SqliteConnectOptions::new().filename(self.dir.join("carepost.db"));
        runtime.block_on(async {
            let mut connection = options.connect().await.expect("opens");
            connection.execute(statement).await.expect(statement);
            connection.close().await.expect("closes");
        });
    }

    pub fn config(&self) -> PathBuf {
        self.dir.join("carepost.toml")
    }

    /// Changes a line of the configuration.
    pub fn configure(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.config()).expect("a configuration");
        assert_eq!(text.matches(from).count(), 1, "{from} in\n{text}");
        std::fs::write(self.config(), text.replace(from, to)).expect("written");
    }

    /// A command for this gateway.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = carepost();
        command.arg("--config").arg(self.config()).args(arguments);
        command
    }

    /// Runs a verb and reads its JSON.
    pub fn ask(&self, arguments: &[&str]) -> Value {
        let output = run(self.command(&["--json"]).args(arguments));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!(
                "{arguments:?} gave no JSON: {error}\n{}",
                String::from_utf8_lossy(&output.stdout)
            )
        })
    }

    /// Runs a verb that ends with `code`; what it said on standard error.
    pub fn refused(&self, code: i32, arguments: &[&str]) -> String {
        // One that does not refuse must not run for ever.
        let output = Command::new("timeout")
            .args(["60", env!("CARGO_BIN_EXE_carepost"), "--config"])
            .arg(self.config())
            .args(arguments)
            .env_remove("CAREPOST_CONFIG")
            .stdin(Stdio::null())
            .output()
            .expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {said}{}",
            String::from_utf8_lossy(&output.stdout)
        );
        said
    }

    /// Starts `serve` and waits until it is ready for mail.
    pub fn serve(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))
            .expect("a log");
        let child = self.command(&["serve"]).stderr(log).spawn();
        let child = self.serving.insert(child.expect("it starts"));
        let (dir, health) = (self.dir.clone(), SocketAddr::from((self.ip, HEALTH)));
        wait("the gateway", || {
            let ended = child.try_wait().expect("a child of ours");
            assert!(ended.is_none(), "serve ended: {}", log_of(&dir));
            TcpStream::connect(health).ok()
        });
        let relay = SocketAddr::from((self.ip, RELAY));
        wait("its relay port", || TcpStream::connect(relay).ok());
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.serving.take() {
            let id = child.id().to_string();
            let _sent = Command::new("kill").arg(&id).status();
            let _ended = child.wait();
        }
    }

    pub fn trust(&self, partner: &Identity) {
        let file = partner.file("ca.pem");
        self.ask(&[
            "anchor",
            "import",
            file.to_str().expect("a plain path"),
            "--label",
            &partner.domain,
        ]);
    }

    /// An address with a Maildir, a login of the same name and the password `secret`.
    pub fn person(&self, address: &str) {
        self.mailbox(address);
        self.ask(&["account", "add", address, "--address", address]);
        let file = self.dir.join("password");
        std::fs::write(&file, "secret-of-a-clinic\n").expect("written");
        let file = file.to_str().expect("a plain path");
        self.ask(&[
            "account",
            "password",
            "add",
            address,
            "--label",
            "desk",
            "--password-file",
            file,
        ]);
    }

    /// An address with a Maildir.
    pub fn mailbox(&self, address: &str) {
        // carepost makes the Maildir, never the folder that it lies in: that may be a disk that is not mounted.
        std::fs::create_dir_all(self.dir.join("mail")).expect("a folder");
        let route = format!("maildir:{}", self.maildir(address).display());
        self.ask(&["address", "add", address, "--route", &route]);
    }

    pub fn maildir(&self, address: &str) -> PathBuf {
        self.dir.join("mail").join(address)
    }

    /// What lies in the Maildir of an address.
    pub fn mail(&self, address: &str) -> Vec<String> {
        let Ok(files) = std::fs::read_dir(self.maildir(address).join("new")) else {
            return Vec::new();
        };
        let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
        files.sort();
        let read = |file: &PathBuf| {
            String::from_utf8_lossy(&std::fs::read(file).expect("read")).into_owned()
        };
        files.iter().map(read).collect()
    }

    /// The first mail of an address for which this holds.
    pub fn mail_with(&self, address: &str, what: &str) -> String {
        wait(&format!("mail for {address} with {what}"), || {
            self.mail(address)
                .into_iter()
                .find(|mail| mail.contains(what))
        })
    }

    /// A message, by tracking id or Message-ID, in a direction.
    pub fn message(&self, id: &str, direction: &str) -> Option<Value> {
        let output = self
            .command(&["--json", "message", "show", id])
            .output()
            .expect("it starts");
        let messages: Value = serde_json::from_slice(&output.stdout).ok()?;
        let mut messages = messages.as_array()?.iter();
        messages
            .find(|message| message["direction"] == direction)
            .cloned()
    }

    /// Waits until the leg of this recipient is in this state; the whole message.
    pub fn leg(&self, id: &str, direction: &str, recipient: &str, state: &str) -> Value {
        let mut last = Value::Null;
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(message) = self.message(id, direction) {
                if leg_of(&message, recipient).is_some_and(|leg| leg["state"] == state) {
                    return message;
                }
                last = message;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!(
            "{recipient} of {id} is not {state} but {last:#}\n{}",
            log_of(&self.dir)
        );
    }

    /// Submits with `swaks` over STARTTLS as this person.
    pub fn submit(&self, from: &str, to: &[&str], message: &str) -> Submitted {
        self.submit_as(from, "secret-of-a-clinic", from, to, message)
    }

    pub fn submit_as(
        &self,
        login: &str,
        password: &str,
        from: &str,
        to: &[&str],
        message: &str,
    ) -> Submitted {
        let file = tempfile::NamedTempFile::new_in(&self.dir).expect("a file");
        std::fs::write(file.path(), message.replace("\r\n", "\n")).expect("written");
        let output = Command::new("swaks")
            .args([
                "--server",
                &self.ip.to_string(),
                "--port",
                &SUBMISSION.to_string(),
            ])
            .args([
                "--tls",
                "--auth",
                "PLAIN",
                "--auth-user",
                login,
                "--auth-password",
                password,
            ])
            .args([
                "--helo",
                "clinic.test",
                "--from",
                from,
                "--to",
                &to.join(","),
            ])
            .arg("--data")
            .arg(format!("@{}", file.path().display()))
            .stdin(Stdio::null())
            .output()
            .expect("swaks is installed");
        Submitted(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("log of {}:\n{}", self.domain, log_of(&self.dir));
        }
    }
}

fn log_of(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("log")).unwrap_or_default()
}

pub fn leg_of<'a>(message: &'a Value, recipient: &str) -> Option<&'a Value> {
    let mut legs = message["legs"].as_array()?.iter();
    legs.find(|leg| {
        leg["recipient"]
            .as_str()
            .is_some_and(|to| to.eq_ignore_ascii_case(recipient))
    })
}

/// How often an event is in a message's timeline.
pub fn events(message: &Value, event: &str) -> usize {
    let timeline = message["timeline"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    timeline
        .iter()
        .filter(|moment| moment["event"] == event)
        .count()
}

/// A session of `swaks`, as it told it.
pub struct Submitted(pub String);

impl Submitted {
    /// The tracking id of the 250.
    pub fn id(&self) -> String {
        let (_, rest) = self
            .0
            .split_once("accepted id=")
            .unwrap_or_else(|| panic!("not accepted:\n{}", self.0));
        rest.chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect()
    }

    /// A line from the server begins so.
    pub fn heard(&self, reply: &str) -> bool {
        let lines = self.0.lines().filter_map(|line| line.strip_prefix('<'));
        let mut replies = lines.map(|line| line.trim_start_matches(['~', '*', '-', ' ', '<']));
        replies.any(|line| line.starts_with(reply))
    }
}

// ---- mail on the wire ---------------------------------------------------------------------------

/// What a mail server was sent.
#[derive(Clone, Debug)]
pub struct Received {
    pub from: String,
    pub to: Vec<String>,
    pub octets: Vec<u8>,
}

/// What a mail server says to RCPT.
pub type Desk = fn(&str) -> &'static str;

/// A mail server that keeps what it is sent.
pub struct Sink {
    pub ip: Ipv4Addr,
    received: Arc<Mutex<Vec<Received>>>,
    connections: Arc<AtomicU8>,
}

impl Sink {
    pub fn start() -> Self {
        Self::with(|_| "250 2.1.5 fine")
    }

    pub fn with(desk: Desk) -> Self {
        Self::named(desk, &[])
    }

    /// `offers`: EHLO keywords.
    pub fn named(desk: Desk, offers: &'static [&'static str]) -> Self {
        let ip = loopback();
        let port = TcpListener::bind((ip, RELAY)).expect("an address of our own");
        let received = Arc::default();
        let connections = Arc::default();
        let (keep, count) = (Arc::clone(&received), Arc::<AtomicU8>::clone(&connections));
        std::thread::spawn(move || {
            for stream in port.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let keep = Arc::clone(&keep);
                // A client that goes away ends its own conversation.
                std::thread::spawn(move || converse(stream, desk, offers, &keep).is_ok());
            }
        });
        Self {
            ip,
            received,
            connections,
        }
    }

    pub fn received(&self) -> Vec<Received> {
        locked(&self.received).clone()
    }

    pub fn connections(&self) -> u8 {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits for this many; not one more.
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        let received = wait("mail at a sink", || {
            Some(self.received()).filter(|all| all.len() >= count)
        });
        assert_eq!(received.len(), count, "more mail than expected");
        received
    }
}

fn converse(
    stream: TcpStream,
    desk: Desk,
    offers: &[&str],
    keep: &Mutex<Vec<Received>>,
) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut say = |line: &str| writer.write_all(format!("{line}\r\n").as_bytes());
    say("220 sink.test ready")?;
    let (mut from, mut to) = (String::new(), Vec::new());
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let verb = line.trim_end().to_ascii_uppercase();
        if verb.starts_with("EHLO") {
            offers
                .iter()
                .try_for_each(|offer| say(&format!("250-{offer}")))?;
            say("250 8BITMIME")?;
        } else if verb.starts_with("MAIL") {
            from = path_of(&line);
            say("250 2.1.0 fine")?;
        } else if verb.starts_with("RCPT") {
            let recipient = path_of(&line);
            let reply = desk(&recipient);
            if reply.starts_with('2') {
                to.push(recipient);
            }
            say(reply)?;
        } else if verb == "DATA" {
            say("354 go on")?;
            let octets = read_data(&mut reader)?;
            let (from, to) = (std::mem::take(&mut from), std::mem::take(&mut to));
            locked(keep).push(Received { from, to, octets });
            say("250 2.0.0 kept")?;
        } else if verb == "QUIT" {
            return say("221 2.0.0 bye");
        } else {
            say("250 2.0.0 fine")?;
        }
    }
}

fn path_of(line: &str) -> String {
    let inside = line
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'));
    inside.map(|(path, _)| path.to_owned()).unwrap_or_default()
}

/// Up to the dot that stands alone; dots unstuffed.
fn read_data(reader: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? == 0 || line == b".\r\n" {
            return Ok(octets);
        }
        octets.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}

/// Speaks SMTP in clear to a relay port. The replies after the greeting, one for each command, the last for the message.
pub fn relay(to: Ipv4Addr, from: &str, recipients: &[&str], octets: &[u8]) -> Vec<String> {
    let stream = TcpStream::connect((IpAddr::from(to), RELAY)).expect("the relay port");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut writer = stream.try_clone().expect("a handle");
    let mut reader = BufReader::new(stream);
    let mut replies = vec![reply(&mut reader)];
    let mut say = |octets: &[u8]| {
        writer.write_all(octets).expect("sent");
        let heard = reply(&mut reader);
        replies.push(heard.clone());
        heard
    };
    say(b"EHLO partner.test\r\n");
    say(format!("MAIL FROM:<{from}>\r\n").as_bytes());
    let mut taken = 0;
    for recipient in recipients {
        taken += usize::from(say(format!("RCPT TO:<{recipient}>\r\n").as_bytes()).starts_with('2'));
    }
    if taken > 0 && say(b"DATA\r\n").starts_with("354") {
        let mut data = Vec::new();
        for line in octets.split_inclusive(|&octet| octet == b'\n') {
            if line.starts_with(b".") {
                data.push(b'.');
            }
            data.extend_from_slice(line);
        }
        if !data.ends_with(b"\r\n") {
            data.extend_from_slice(b"\r\n");
        }
        data.extend_from_slice(b".\r\n");
        say(&data);
    }
    replies
}

fn reply(reader: &mut impl BufRead) -> String {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a reply");
        if line.as_bytes().get(3) != Some(&b'-') {
            return line.trim_end().to_owned();
        }
    }
}

/// What went by on each connection, while it goes by.
type Streams = Arc<Mutex<Vec<Arc<Mutex<Vec<u8>>>>>>;

/// Stands before a gateway's relay port and keeps the messages that go by.
pub struct Tap {
    pub ip: Ipv4Addr,
    streams: Streams,
}

impl Tap {
    pub fn before(gateway: Ipv4Addr) -> Self {
        let ip = loopback();
        let port = TcpListener::bind((ip, RELAY)).expect("an address of our own");
        let streams = Streams::default();
        let keep = Arc::clone(&streams);
        std::thread::spawn(move || {
            for near in port.incoming().flatten() {
                let Ok(far) = TcpStream::connect((gateway, RELAY)) else {
                    continue;
                };
                let seen = Arc::default();
                locked(&keep).push(Arc::clone(&seen));
                let (mut a, mut b) = (
                    near.try_clone().expect("a handle"),
                    far.try_clone().expect("a handle"),
                );
                std::thread::spawn(move || pass(&mut a, &mut b, Some(&seen)));
                let (mut a, mut b) = (far, near);
                std::thread::spawn(move || pass(&mut a, &mut b, None));
            }
        });
        Self { ip, streams }
    }

    /// The messages so far.
    pub fn received(&self) -> Vec<Received> {
        let streams: Vec<Vec<u8>> = locked(&self.streams)
            .iter()
            .map(|seen| locked(seen).clone())
            .collect();
        streams
            .iter()
            .flat_map(|stream| transactions(stream))
            .collect()
    }
}

fn pass(from: &mut TcpStream, to: &mut TcpStream, seen: Option<&Mutex<Vec<u8>>>) {
    let mut chunk = [0; 16_384];
    while let Ok(got) = std::io::Read::read(from, &mut chunk) {
        if let Some(seen) = seen {
            locked(seen).extend_from_slice(&chunk[..got]);
        }
        if got == 0 || to.write_all(&chunk[..got]).is_err() {
            break;
        }
    }
    let _closed = to.shutdown(std::net::Shutdown::Both);
}

/// The transactions in what a client said.
fn transactions(stream: &[u8]) -> Vec<Received> {
    let mut reader = BufReader::new(stream);
    let (mut all, mut from, mut to) = (Vec::new(), String::new(), Vec::new());
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|got| got > 0) {
        let text = String::from_utf8_lossy(&line).into_owned();
        let verb = text.trim_end().to_ascii_uppercase();
        if verb.starts_with("MAIL") {
            from = path_of(&text);
        } else if verb.starts_with("RCPT") {
            to.push(path_of(&text));
        } else if verb == "DATA" {
            let octets = read_data(&mut reader).expect("from memory");
            let (from, to) = (std::mem::take(&mut from), std::mem::take(&mut to));
            all.push(Received { from, to, octets });
        }
        line.clear();
    }
    all
}
