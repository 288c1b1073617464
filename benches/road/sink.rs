//! Mail servers that take everything: the other HISP (SMTP), and the edges (SMTP, LMTP).
//! In: connections. Out: what was taken, by Message-ID. It counts as taken from the moment the reply is about to leave.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::Outcome;

/// One taken message.
#[derive(Clone, Debug)]
pub struct Taken {
    pub at: Instant,
    pub from: String,
    pub to: Vec<String>,
    /// Of the outermost header, angle brackets included.
    pub message_id: String,
    pub in_reply_to: String,
    /// Kept for some.
    pub octets: Option<Vec<u8>>,
}

/// What it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Smtp,
    Lmtp,
}

/// A running one. Its threads end with the process.
#[derive(Clone, Debug)]
pub struct Sink {
    pub address: SocketAddr,
    protocol: Protocol,
    /// Of so many, one message's octets are kept.
    sample: usize,
    taken: Arc<Mutex<Vec<Taken>>>,
}

impl Sink {
    pub fn start(protocol: Protocol, sample: usize) -> Outcome<Self> {
        let told = |error: std::io::Error| error.to_string();
        let listener = TcpListener::bind("127.0.0.1:0").map_err(told)?;
        let sink = Self {
            address: listener.local_addr().map_err(told)?,
            protocol,
            sample,
            taken: Arc::default(),
        };
        let shared = sink.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sink = shared.clone();
                // A broken connection is the gateway's to notice.
                std::thread::spawn(move || sink.converse(stream).is_ok());
            }
        });
        Ok(sink)
    }

    pub fn taken(&self) -> MutexGuard<'_, Vec<Taken>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn count(&self) -> usize {
        self.taken().len()
    }

    fn converse(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut out = stream.try_clone()?;
        let mut wire = BufReader::with_capacity(64 * 1024, stream);
        out.write_all(b"220 sink.test ready\r\n")?;
        let (mut line, mut from, mut to) = (Vec::new(), String::new(), Vec::new());
        loop {
            line.clear();
            if wire.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            let verb = text.get(..4).unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" | "LHLO" => out.write_all(
                    b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 200000000\r\n",
                )?,
                "MAIL" => {
                    from = path(&text);
                    to.clear();
                    out.write_all(b"250 2.1.0 ok\r\n")?;
                }
                "RCPT" => {
                    to.push(path(&text));
                    out.write_all(b"250 2.1.5 ok\r\n")?;
                }
                "DATA" => {
                    out.write_all(b"354 go on\r\n")?;
                    let octets = data(&mut wire)?;
                    let times = if self.protocol == Protocol::Lmtp { to.len() } else { 1 };
                    self.take(&from, std::mem::take(&mut to), octets);
                    out.write_all("250 2.0.0 taken\r\n".repeat(times).as_bytes())?;
                }
                "QUIT" => return out.write_all(b"221 2.0.0 bye\r\n"),
                _ => out.write_all(b"250 2.0.0 ok\r\n")?,
            }
        }
    }

    fn take(&self, from: &str, to: Vec<String>, octets: Vec<u8>) {
        let message_id = field(&octets, "Message-ID").unwrap_or_default();
        let in_reply_to = field(&octets, "In-Reply-To").unwrap_or_default();
        let mut taken = self.taken();
        let keep = taken.len().is_multiple_of(self.sample);
        taken.push(Taken {
            at: Instant::now(),
            from: from.to_owned(),
            to,
            message_id,
            in_reply_to,
            octets: keep.then_some(octets),
        });
    }
}

/// What stands between the angle brackets.
fn path(line: &str) -> String {
    let start = line.find('<').map_or(line.len(), |at| at + 1);
    let rest = line.get(start..).unwrap_or_default();
    rest.split('>')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
}

/// To the final dot, dots unstuffed.
fn data(wire: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    loop {
        let start = octets.len();
        if wire.read_until(b'\n', &mut octets)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let line = &octets[start..];
        if line == b".\r\n" {
            octets.truncate(start);
            return Ok(octets);
        }
        if line.starts_with(b".") {
            octets.remove(start);
        }
    }
}

/// A field of the first header, unfolded.
pub fn field(octets: &[u8], name: &str) -> Option<String> {
    let end = octets
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap_or(octets.len());
    let header = String::from_utf8_lossy(&octets[..end])
        .replace("\r\n ", " ")
        .replace("\r\n\t", " ");
    header.split("\r\n").find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    })
}
