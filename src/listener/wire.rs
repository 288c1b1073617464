//! Octets between socket and dialogue. In: buffers as they come. Out: whole command lines, and how long to
//! wait for more. A line ends with CRLF and nothing else, and is never kept beyond [`COMMAND_LINE_MAX`].

use std::io;
use std::time::Duration;

use memchr::memchr2;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::session::BadLine;
use crate::crypto::tls::TlsStream;
use crate::limits::{COMMAND_LINE_MAX, COMMAND_SKIP_MAX, DATA_RATE_MIN, PIECE};
use crate::world::Socket;

/// Octets of the buffer while commands are read: two of the longest lines.
const COMMAND_BUFFER: usize = 2 * COMMAND_LINE_MAX;

/// The connection, before and after the handshake.
pub(super) enum Stream {
    Clear(Socket),
    Tls(Box<TlsStream>),
    /// A handshake failed, or is under way.
    Gone,
}

impl Stream {
    pub(super) async fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(socket) => socket.read(out).await,
            Self::Tls(stream) => stream.read(out).await,
            Self::Gone => Ok(0),
        }
    }

    pub(super) async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        match self {
            Self::Clear(socket) => {
                socket.write_all(octets).await?;
                socket.flush().await
            }
            Self::Tls(stream) => {
                stream.write_all(octets).await?;
                stream.flush().await
            }
            Self::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(socket) => socket.shutdown().await,
            Self::Tls(stream) => stream.shutdown().await,
            Self::Gone => Ok(()),
        }
    }
}

/// What is in the buffer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// A line without its CRLF.
    Line(Vec<u8>),
    Bad(BadLine),
    /// No whole line yet.
    More,
}

/// What was read and not yet used.
#[derive(Debug)]
pub(super) struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Octets of an over-long line that were thrown away so far.
    skipped: usize,
}

impl Input {
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; COMMAND_BUFFER],
            start: 0,
            end: 0,
            skipped: 0,
        }
    }

    /// What waits.
    pub(super) fn pending(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    pub(super) fn consume(&mut self, octets: usize) {
        self.start = self.start.saturating_add(octets).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Where the next octets go. Never empty after [`Input::cut`] said [`Cut::More`], nor when nothing is
    /// pending.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// That many octets were put into [`Input::space`].
    pub(super) fn filled(&mut self, octets: usize) {
        self.end = self.end.saturating_add(octets).min(self.buffer.len());
    }

    /// A buffer for DATA.
    pub(super) fn widen(&mut self) {
        self.resize(PIECE);
    }

    /// A buffer for commands again, or as much as waits.
    pub(super) fn narrow(&mut self) {
        self.resize(COMMAND_BUFFER);
    }

    fn resize(&mut self, octets: usize) {
        let pending = self.pending().to_vec();
        let mut buffer = vec![0; octets.max(pending.len())];
        if let Some(head) = buffer.get_mut(..pending.len()) {
            head.copy_from_slice(&pending);
        }
        self.buffer = buffer;
        self.start = 0;
        self.end = pending.len();
    }

    /// The next line.
    pub(super) fn cut(&mut self) -> Cut {
        let pending = self.pending();
        let Some(at) = memchr2(b'\r', b'\n', pending) else {
            return self.unfinished();
        };
        match (pending.get(at), pending.get(at + 1)) {
            (Some(b'\r'), Some(b'\n')) => {
                let line = pending.get(..at).unwrap_or_default().to_vec();
                let skipped = std::mem::take(&mut self.skipped);
                self.consume(at + 2);
                // RFC 5321 §4.5.3.1.4 counts the CRLF.
                if skipped > 0 || line.len() + 2 > COMMAND_LINE_MAX {
                    Cut::Bad(BadLine::TooLong)
                } else {
                    Cut::Line(line)
                }
            }
            (Some(b'\r'), None) => self.unfinished(),
            _ => Cut::Bad(BadLine::BareLineEnd),
        }
    }

    /// Waits for more, but keeps no line beyond its limit.
    fn unfinished(&mut self) -> Cut {
        let length = self.pending().len();
        if length >= COMMAND_LINE_MAX {
            // The last octet may be the CR of the line's end.
            self.skipped = self.skipped.saturating_add(length - 1);
            self.consume(length - 1);
        }
        if self.skipped > COMMAND_SKIP_MAX {
            Cut::Bad(BadLine::Endless)
        } else {
            Cut::More
        }
    }
}

/// Patience with DATA, as Postfix `smtpd_min_data_rate`: it runs out with time and is refilled by octets.
#[derive(Debug)]
pub(super) struct Pace {
    left: Duration,
    most: Duration,
}

impl Pace {
    pub(super) fn new(most: Duration) -> Self {
        Self { left: most, most }
    }

    /// The longest wait for the next octets.
    pub(super) fn patience(&self) -> Duration {
        self.left
    }

    /// So many octets came after so long.
    pub(super) fn came(&mut self, octets: usize, after: Duration) {
        let micros = (octets as u64).saturating_mul(1_000_000) / DATA_RATE_MIN;
        let refilled = self
            .left
            .saturating_sub(after)
            .saturating_add(Duration::from_micros(micros));
        self.left = refilled.min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All cuts of `wire`, read in pieces of `step`, up to the first that closes.
    fn cuts(wire: &[u8], step: usize) -> Vec<Cut> {
        let mut input = Input::new();
        let mut found = Vec::new();
        for piece in wire.chunks(step) {
            let space = input.space();
            space[..piece.len()].copy_from_slice(piece);
            input.filled(piece.len());
            loop {
                match input.cut() {
                    Cut::More => break,
                    cut @ Cut::Bad(BadLine::BareLineEnd | BadLine::Endless) => {
                        found.push(cut);
                        return found;
                    }
                    cut => found.push(cut),
                }
            }
        }
        found
    }

    fn line(text: &[u8]) -> Cut {
        Cut::Line(text.to_vec())
    }

    #[test]
    fn only_crlf_ends_a_line() {
        let bare = || Cut::Bad(BadLine::BareLineEnd);
        for (wire, wanted) in [
            (
                &b"NOOP\r\nRSET\r\nQU"[..],
                vec![line(b"NOOP"), line(b"RSET")],
            ),
            (b"\r\n", vec![line(b"")]),
            (b"NOOP\nRSET\r\n", vec![bare()]),
            (b"NOOP\rRSET\r\n", vec![bare()]),
            // ETT SMTP 10: a line that never ends must not be taken for DATA.
            (b"DATA \x0c\rtext\x0c\r.\x0c\r", vec![bare()]),
            (b"NOOP\r\r\n", vec![bare()]),
        ] {
            for step in [1, 3, wire.len()] {
                assert_eq!(
                    cuts(wire, step),
                    wanted,
                    "{:?}",
                    String::from_utf8_lossy(wire)
                );
            }
        }
    }

    #[test]
    fn a_line_may_have_2048_octets_and_no_more() {
        let wire = |octets: usize| [vec![b'x'; octets - 2], b"\r\nNOOP\r\n".to_vec()].concat();
        for step in [1, 7, 2_047, 2_048, 2_049] {
            for octets in [COMMAND_LINE_MAX - 1, COMMAND_LINE_MAX] {
                let wanted = vec![line(&vec![b'x'; octets - 2]), line(b"NOOP")];
                assert_eq!(cuts(&wire(octets), step), wanted, "{octets} by {step}");
            }
            for octets in [
                COMMAND_LINE_MAX + 1,
                COMMAND_LINE_MAX + 2,
                3 * COMMAND_LINE_MAX,
            ] {
                let wanted = vec![Cut::Bad(BadLine::TooLong), line(b"NOOP")];
                assert_eq!(cuts(&wire(octets), step), wanted, "{octets} by {step}");
            }
        }
        let endless = vec![b'x'; 2 * COMMAND_SKIP_MAX];
        assert_eq!(cuts(&endless, 1_000), vec![Cut::Bad(BadLine::Endless)]);
    }

    #[test]
    fn buffers_keep_what_waits() {
        let mut input = Input::new();
        input.widen();
        let many = vec![b'y'; COMMAND_BUFFER + 5];
        input.space()[..many.len()].copy_from_slice(&many);
        input.filled(many.len());
        input.consume(3);
        input.narrow();
        assert_eq!(input.pending().len(), COMMAND_BUFFER + 2);
        input.consume(usize::MAX);
        assert!(input.pending().is_empty() && !input.space().is_empty());
    }

    #[test]
    fn a_dripping_client_runs_out_of_patience_and_a_slow_one_does_not() {
        let most = Duration::from_secs(300);
        let second = Duration::from_secs(1);
        let rate = usize::try_from(DATA_RATE_MIN).expect("small");
        let mut slow = Pace::new(most);
        let mut drip = Pace::new(most);
        for _ in 0..10_000 {
            slow.came(rate, second);
            drip.came(1, second);
        }
        assert_eq!(slow.patience(), most);
        assert_eq!(drip.patience(), Duration::from_micros(2_000));
        // A burst buys no more than the first patience.
        drip.came(usize::MAX, second);
        assert_eq!(drip.patience(), most);
    }
}
