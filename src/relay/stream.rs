//! The connection below `lettre`: one stream, shared by `lettre` (commands and replies) and by us (TLS, message text).
//! In: octets from a peer. Out: reply lines, one at a time and in printable ASCII. `lettre` never holds octets that we have
//! not seen, so that what a peer sends too early is noticed (G-065).

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

use crate::crypto::tls::TlsStream;
use crate::limits::REPLY_LINE_MAX;
use crate::world::Socket;

/// What carries the octets.
#[derive(Debug)]
pub(crate) enum Stream {
    Clear(Socket),
    Protected(Box<TlsStream>),
    /// LMTP on the same machine.
    Local(UnixStream),
    /// Taken away: for a TLS handshake, or at the end.
    Closed,
}

/// `lettre` opens every conversation itself: it reads a greeting, says EHLO, reads the reply. We do that part our own way
/// (HELO, LHLO, STARTTLS), so it hears this, and its EHLO goes nowhere.
const PROLOGUE: &[u8] = b"220 -\r\n250 -\r\n";

#[derive(Debug)]
struct Tap {
    stream: Stream,
    /// Read, not yet cut into lines.
    ahead: VecDeque<u8>,
    /// A line being handed out.
    line: VecDeque<u8>,
    /// What is written goes nowhere.
    mute: bool,
}

/// A handle; its clones share one connection.
#[derive(Clone, Debug)]
pub(crate) struct Shared(Arc<Mutex<Tap>>);

impl Shared {
    /// A connection that first plays the prologue.
    pub(crate) fn new(stream: Stream) -> Self {
        Self(Arc::new(Mutex::new(Tap {
            stream,
            ahead: VecDeque::new(),
            line: PROLOGUE.iter().copied().collect(),
            mute: true,
        })))
    }

    /// The prologue is over: from now on octets go to the peer.
    pub(crate) fn speak(&self) {
        self.lock().mute = false;
    }

    /// Takes the stream out, for a handshake; `None` if the peer has sent anything that nobody asked for.
    pub(crate) fn take(&self) -> Option<Stream> {
        let mut tap = self.lock();
        let quiet = tap.ahead.is_empty() && tap.line.is_empty();
        let stream = std::mem::replace(&mut tap.stream, Stream::Closed);
        quiet.then_some(stream)
    }

    /// Whether the peer is connected and silent, as far as can be seen without waiting.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut tap = self.lock();
        if !tap.ahead.is_empty() || !tap.line.is_empty() {
            return false;
        }
        let mut octet = [0; 1];
        let mut buf = ReadBuf::new(&mut octet);
        let mut cx = Context::from_waker(Waker::noop());
        tap.stream.poll_read(&mut cx, &mut buf).is_pending()
    }

    fn lock(&self) -> MutexGuard<'_, Tap> {
        // A panic while it was held leaves a connection in an unknown state at worst; the peer's replies then do not fit.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Clear(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Protected(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Local(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Closed => Poll::Ready(Ok(())),
        }
    }
}

impl Tap {
    /// Moves one whole line from `ahead` to `line`, if there is one.
    fn cut(&mut self) -> bool {
        let Some(end) = self.ahead.iter().position(|octet| *octet == b'\n') else {
            return false;
        };
        let raw = self.ahead.drain(..=end);
        // A lone LF ends a reply line too (we are liberal in what we read); anything unprintable becomes `?`, so that no
        // peer writes control characters into a journal.
        let printable = |octet: u8| match octet {
            b' '..=b'~' => octet,
            b'\t' => b' ',
            _ => b'?',
        };
        self.line = raw
            .filter(|octet| !matches!(octet, b'\r' | b'\n'))
            .map(printable)
            .collect();
        if self.line.len() == 3 {
            // RFC 5321 §4.2: a code without text is to be understood; lettre wants the space.
            self.line.push_back(b' ');
        }
        self.line.extend(b"\r\n");
        true
    }
}

impl AsyncRead for Shared {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut tap = self.lock();
        loop {
            if !tap.line.is_empty() || tap.cut() {
                let wanted = buf.remaining().min(tap.line.len());
                for octet in tap.line.drain(..wanted) {
                    buf.put_slice(&[octet]);
                }
                return Poll::Ready(Ok(()));
            }
            if tap.ahead.len() > REPLY_LINE_MAX {
                let error = io::Error::new(io::ErrorKind::InvalidData, "a reply line is too long");
                return Poll::Ready(Err(error));
            }
            let mut chunk = [0; 1_024];
            let mut read = ReadBuf::new(&mut chunk);
            match tap.stream.poll_read(cx, &mut read) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) if read.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => tap.ahead.extend(read.filled()),
            }
        }
    }
}

impl AsyncWrite for Shared {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut tap = self.lock();
        if tap.mute {
            return Poll::Ready(Ok(octets.len()));
        }
        match &mut tap.stream {
            Stream::Clear(stream) => Pin::new(stream).poll_write(cx, octets),
            Stream::Protected(stream) => Pin::new(stream).poll_write(cx, octets),
            Stream::Local(stream) => Pin::new(stream).poll_write(cx, octets),
            Stream::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.lock().stream {
            Stream::Clear(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Protected(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Local(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Closed => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.lock().stream {
            Stream::Clear(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Protected(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Local(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Closed => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncTokioStream for Shared {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        match &self.lock().stream {
            Stream::Clear(socket) => Ok(socket.peer()),
            Stream::Protected(stream) => Ok(stream.get_ref().peer()),
            Stream::Local(_) | Stream::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}
