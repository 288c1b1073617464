//! A wire tap between the gateways: passes octets on, remembers them, and can be told to change one on the way.
//! In: a port to listen on, a port to pass on to. Out: what went by.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};

use crate::world::{Port, World};

/// How many octets are remembered: a few referrals.
const REMEMBERED_MAX: usize = 16 * 1024 * 1024;
/// A full base64 line of a sealed message.
const BASE64_LINE: usize = 76;

/// What the tap has seen and does.
#[derive(Debug, Default)]
pub struct Tap {
    seen: Mutex<Vec<u8>>,
    connections: AtomicUsize,
    /// Set: the next full base64 line gets one character changed.
    armed: AtomicBool,
}

impl Tap {
    /// Listens on `port` and passes everything on to `to`, until the process ends.
    pub fn start(world: World, port: Port, to: SocketAddr) -> Arc<Self> {
        let tap = Arc::new(Self::default());
        let shared = Arc::clone(&tap);
        tokio::spawn(async move {
            while let Ok(near) = port.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let Ok(far) = world.connect(to, crate::limits::CONNECT_TIMEOUT).await else {
                    continue;
                };
                let (near_in, near_out) = split(near);
                let (far_in, far_out) = split(far);
                tokio::spawn(pass(Arc::clone(&shared), Way::Onward, near_in, far_out));
                tokio::spawn(pass(Arc::clone(&shared), Way::Back, far_in, near_out));
            }
        });
        tap
    }

    /// Changes one character of the next sealed message.
    pub fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// Whether the change was made.
    pub fn fired(&self) -> bool {
        !self.armed.load(Ordering::SeqCst)
    }

    /// Whether these octets went by in either direction.
    pub fn saw(&self, octets: &[u8]) -> bool {
        let seen = self
            .seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        memchr::memmem::find(&seen, octets).is_some()
    }

    /// Octets that went by.
    pub fn octets(&self) -> usize {
        self.seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .len()
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn remember(&self, octets: &[u8]) {
        let mut seen = self
            .seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if seen.len() + octets.len() <= REMEMBERED_MAX {
            seen.extend_from_slice(octets);
        }
    }

    fn tamper(&self, octets: &mut [u8]) {
        if !self.armed.load(Ordering::SeqCst) {
            return;
        }
        if let Some(at) = middle_of_a_base64_line(octets) {
            octets[at] = if octets[at] == b'A' { b'B' } else { b'A' };
            self.armed.store(false, Ordering::SeqCst);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Onward,
    Back,
}

async fn pass(
    tap: Arc<Tap>,
    way: Way,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) {
    let mut chunk = vec![0; crate::limits::FRAME];
    while let Ok(got) = from.read(&mut chunk).await {
        if got == 0 {
            break;
        }
        if way == Way::Onward {
            tap.tamper(&mut chunk[..got]);
        }
        tap.remember(&chunk[..got]);
        if to.write_all(&chunk[..got]).await.is_err() || to.flush().await.is_err() {
            break;
        }
    }
    // The other side may be gone already.
    let _closed = to.shutdown().await;
}

/// The middle of the middle full line of base64, if there is one: deep inside the ciphertext.
fn middle_of_a_base64_line(octets: &[u8]) -> Option<usize> {
    let is_base64 = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/');
    let mut starts = Vec::new();
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', octets) {
        let line = octets[start..end]
            .strip_suffix(b"\r")
            .unwrap_or(&octets[start..end]);
        if line.len() == BASE64_LINE && line.iter().all(is_base64) {
            starts.push(start);
        }
        start = end + 1;
    }
    starts
        .get(starts.len() / 2)
        .map(|start| start + BASE64_LINE / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_armed_tap_changes_exactly_one_octet_of_a_base64_line() {
        let tap = Tap::default();
        let line = format!("{}\r\n", "QUJD".repeat(19));
        let clean = format!("Subject: x\r\n\r\n{line}{line}{line}").into_bytes();
        let mut octets = clean.clone();
        tap.tamper(&mut octets);
        assert_eq!(octets, clean, "not armed");
        tap.arm();
        tap.tamper(&mut octets);
        assert_eq!(octets.iter().zip(&clean).filter(|(a, b)| a != b).count(), 1);
        assert!(tap.fired());
    }
}
