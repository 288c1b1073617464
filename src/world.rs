//! The outside world in one handle: clock, randomness and sockets.
//! In: a question ("what time is it?"). Out: the answer, real or simulated.
//! Nothing else in this crate asks the system for the time, for randomness or for a TCP socket.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use time::format_description::well_known::{Rfc2822, Rfc3339};
use time::{OffsetDateTime, UtcOffset};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Wall-clock time: microseconds since 1970-01-01T00:00:00Z. What is durable carries this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// From whole seconds since the epoch (how certificates count).
    pub fn from_unix_s(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Whole seconds since the epoch, rounded down.
    pub fn unix_s(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This much later.
    pub fn plus(self, span: Duration) -> Self {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros))
    }

    /// This much earlier.
    pub fn minus(self, span: Duration) -> Self {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(micros))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `2026-11-22T01:02:03Z`, whole seconds.
    pub fn rfc3339(self) -> String {
        self.whole_second().format(&Rfc3339).unwrap_or_default()
    }

    /// `Sun, 22 Nov 2026 01:02:03 +0000` (RFC 5322 §3.3).
    pub fn rfc5322(self) -> String {
        self.whole_second().format(&Rfc2822).unwrap_or_default()
    }

    /// Reads RFC 3339 (`2026-11-22T01:02:03Z`).
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let at = OffsetDateTime::parse(text, &Rfc3339)
            .ok()?
            .to_offset(UtcOffset::UTC);
        i64::try_from(at.unix_timestamp_nanos() / 1_000)
            .ok()
            .map(Self)
    }

    fn whole_second(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(self.unix_s()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

/// In-process time that never jumps; only differences mean anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// Time between two readings; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// The deadline passed before the work was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("deadline passed")]
pub struct TimedOut;

/// A byte stream to a peer: TCP, or a simulated one.
pub trait Wire: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Wire for T {}

/// One connection and who is at its other end.
pub struct Socket {
    wire: Box<dyn Wire>,
    peer: SocketAddr,
}

impl Socket {
    /// Wraps any byte stream (a simulated one in tests).
    pub fn new(wire: Box<dyn Wire>, peer: SocketAddr) -> Self {
        Self { wire, peer }
    }

    /// The other end's address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Socket({})", self.peer)
    }
}

/// A bound port.
#[derive(Debug)]
pub struct Port(tokio::net::TcpListener);

impl Port {
    /// The address it is bound to (tests bind port 0).
    ///
    /// # Errors
    /// What the operating system says.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    /// What the operating system says; out of file descriptors among them.
    pub async fn accept(&self) -> io::Result<Socket> {
        let (stream, peer) = self.0.accept().await?;
        stream.set_nodelay(true)?;
        Ok(Socket::new(Box::new(stream), peer))
    }
}

#[derive(Debug)]
enum Clock {
    Real {
        started: Instant,
    },
    /// Stands still until a test moves it.
    Manual {
        wall_us: AtomicI64,
    },
}

/// The handle. Cheap to clone.
#[derive(Clone, Debug)]
pub struct World(Arc<Clock>);

impl World {
    /// The real clock, the real network, the real random source.
    pub fn real() -> Self {
        Self(Arc::new(Clock::Real {
            started: Instant::now(),
        }))
    }

    /// A world whose clock stands at `at` until [`World::advance`]; network and randomness stay real.
    pub fn at(at: Timestamp) -> Self {
        Self(Arc::new(Clock::Manual {
            wall_us: AtomicI64::new(at.0),
        }))
    }

    /// Moves a standing clock. Does nothing to a real one.
    pub fn advance(&self, span: Duration) {
        if let Clock::Manual { wall_us } = &*self.0 {
            wall_us.fetch_add(
                i64::try_from(span.as_micros()).unwrap_or(0),
                Ordering::SeqCst,
            );
        }
    }

    /// Wall-clock time.
    pub fn now(&self) -> Timestamp {
        match &*self.0 {
            Clock::Real { .. } => {
                let since = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
            }
            Clock::Manual { wall_us } => Timestamp(wall_us.load(Ordering::SeqCst)),
        }
    }

    /// In-process time, for measuring spans.
    pub fn monotonic(&self) -> Monotonic {
        match &*self.0 {
            Clock::Real { started } => Monotonic(started.elapsed()),
            Clock::Manual { wall_us } => {
                let micros = u64::try_from(wall_us.load(Ordering::SeqCst)).unwrap_or(0);
                Monotonic(Duration::from_micros(micros))
            }
        }
    }

    /// Sleeps.
    pub async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }

    /// Runs `work`, but no longer than `span`.
    ///
    /// # Errors
    /// [`TimedOut`] when the span is over first; `work` is dropped.
    pub async fn within<F: Future>(&self, span: Duration, work: F) -> Result<F::Output, TimedOut> {
        tokio::time::timeout(span, work).await.map_err(|_| TimedOut)
    }

    /// Fills `out` with cryptographically strong random octets.
    pub fn fill_random(&self, out: &mut [u8]) {
        // OpenSSL's generator aborts a key or token rather than make a weak one; so do we.
        openssl::rand::rand_bytes(out).expect("the system's random source works");
    }

    /// `N` random octets.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        self.fill_random(&mut out);
        out
    }

    /// Opens a TCP connection, TCP_NODELAY set, within `span`.
    ///
    /// # Errors
    /// What the operating system says, `TimedOut` among it.
    pub async fn connect(&self, to: SocketAddr, span: Duration) -> io::Result<Socket> {
        let stream = self
            .within(span, tokio::net::TcpStream::connect(to))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "connection timed out"))??;
        stream.set_nodelay(true)?;
        Ok(Socket::new(Box::new(stream), to))
    }

    /// Binds a TCP port.
    ///
    /// # Errors
    /// What the operating system says: in use, not permitted.
    pub async fn listen(&self, at: SocketAddr) -> io::Result<Port> {
        tokio::net::TcpListener::bind(at).await.map(Port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_reads_back_what_it_writes() {
        let at = Timestamp::from_unix_s(1_795_309_323);
        assert_eq!(at.rfc3339(), "2026-11-22T01:02:03Z");
        assert_eq!(at.rfc5322(), "Sun, 22 Nov 2026 01:02:03 +0000");
        assert_eq!(Timestamp::parse_rfc3339("2026-11-22T01:02:03Z"), Some(at));
        assert_eq!(Timestamp::parse_rfc3339("2026-11-22 01:02:03"), None);
    }

    #[test]
    fn a_standing_clock_moves_only_when_told() {
        let world = World::at(Timestamp::from_unix_s(1_000));
        let before = world.now();
        world.advance(Duration::from_secs(60));
        assert_eq!(world.now().since(before), Duration::from_secs(60));
        assert_eq!(before.since(world.now()), Duration::ZERO);
    }
}
