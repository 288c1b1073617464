//! The other HISP's and the clinic's side of SMTP: persistent sessions that send one message after the other.
//! In: octets. Out: what was said to be taken, and how long it took. Commands are not pipelined.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode};

use crate::Outcome;

/// A connection after its greeting.
pub struct Session {
    wire: BufReader<Wire>,
}

enum Wire {
    Clear(TcpStream),
    Tls(Box<SslStream<TcpStream>>),
}

impl Read for Wire {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(out),
            Self::Tls(stream) => stream.read(out),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.write(octets),
            Self::Tls(stream) => stream.write(octets),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// One message to send.
pub struct Mail<'a> {
    pub from: &'a str,
    pub to: &'a [String],
    /// Ends with CRLF; no line begins with a dot.
    pub octets: &'a [u8],
}

/// When it was begun, and when it was taken.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub mail: Instant,
    pub taken: Instant,
}

impl Session {
    /// As another HISP: plain SMTP.
    pub fn relay(to: SocketAddr) -> Outcome<Self> {
        let mut session = Self::connect(to)?;
        session.say("EHLO mail.direct.peer.test", 250)?;
        Ok(session)
    }

    /// As a clinic: STARTTLS, then a login.
    pub fn submission(to: SocketAddr, login: &str, password: &str) -> Outcome<Self> {
        let mut session = Self::connect(to)?;
        session.say("EHLO desk.clinic.test", 250)?;
        session.say("STARTTLS", 220)?;
        let told = |error: &dyn std::error::Error| error.to_string();
        let mut connector =
            SslConnector::builder(SslMethod::tls_client()).map_err(|error| told(&error))?;
        // The certificate is the one that `init` made; what is tested here is not TLS.
        connector.set_verify(SslVerifyMode::NONE);
        let Wire::Clear(stream) = session.wire.into_inner() else {
            return Err("already under TLS".to_owned());
        };
        let tls = connector
            .build()
            .connect("gw.direct.gate.test", stream)
            .map_err(|error| error.to_string())?;
        session = Self {
            wire: BufReader::new(Wire::Tls(Box::new(tls))),
        };
        session.say("EHLO desk.clinic.test", 250)?;
        let plain = openssl::base64::encode_block(format!("\0{login}\0{password}").as_bytes());
        session.say(&format!("AUTH PLAIN {plain}"), 235)?;
        Ok(session)
    }

    fn connect(to: SocketAddr) -> Outcome<Self> {
        let told = |error: std::io::Error| error.to_string();
        let stream = TcpStream::connect(to).map_err(told)?;
        stream.set_nodelay(true).map_err(told)?;
        stream
            .set_read_timeout(Some(Duration::from_secs(120)))
            .map_err(told)?;
        let mut session = Self {
            wire: BufReader::new(Wire::Clear(stream)),
        };
        session.expect(220)?;
        Ok(session)
    }

    /// Sends one message; Err: the connection is of no more use, and nobody knows whether it was taken.
    pub fn send(&mut self, mail: &Mail<'_>) -> Outcome<Times> {
        let began = Instant::now();
        self.say(&format!("MAIL FROM:<{}>", mail.from), 250)?;
        for to in mail.to {
            self.say(&format!("RCPT TO:<{to}>"), 250)?;
        }
        self.say("DATA", 354)?;
        let wire = self.wire.get_mut();
        wire.write_all(mail.octets)
            .and_then(|()| wire.write_all(b".\r\n"))
            .map_err(|error| error.to_string())?;
        self.expect(250)?;
        Ok(Times {
            mail: began,
            taken: Instant::now(),
        })
    }

    fn say(&mut self, line: &str, code: u16) -> Outcome<()> {
        let line = format!("{line}\r\n");
        self.wire
            .get_mut()
            .write_all(line.as_bytes())
            .map_err(|error| error.to_string())?;
        self.expect(code)
    }

    fn expect(&mut self, code: u16) -> Outcome<()> {
        let mut line = String::new();
        loop {
            line.clear();
            let got = self
                .wire
                .read_line(&mut line)
                .map_err(|error| error.to_string())?;
            if got == 0 {
                return Err("the connection was closed".to_owned());
            }
            if !line.starts_with(&code.to_string()) {
                return Err(format!("expected {code}, heard {}", line.trim_end()));
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }
}
