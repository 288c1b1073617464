//! Canonical line ends: CRLF and nothing else (RFC 8551 §3.1.1).
//! In: a stream with line ends of any kind. Out: the same with CRLF for each LF, each CR CR LF and, if
//! wanted, each lone CR.

use std::io::{BufRead, Read};

use crate::limits::FRAME;

/// What becomes of a CR that no LF follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoneCr {
    /// It stays: what signers that canonicalise text do.
    Keep,
    /// It becomes CRLF: what goes on to mail systems holds no bare CR.
    Break,
}

/// Reads the canonical form of its source.
#[derive(Debug)]
pub struct Canonical<R> {
    source: R,
    lone: LoneCr,
    /// CRs at the end of the last chunk whose fate is open.
    held: usize,
    out: Vec<u8>,
    at: usize,
    ended: bool,
}

impl<R: BufRead> Canonical<R> {
    pub fn new(source: R, lone: LoneCr) -> Self {
        Self {
            source,
            lone,
            held: 0,
            out: Vec::new(),
            at: 0,
            ended: false,
        }
    }

    fn refill(&mut self) -> std::io::Result<()> {
        self.out.clear();
        self.at = 0;
        while self.out.is_empty() && !self.ended {
            let chunk = self.source.fill_buf()?;
            let taken = chunk.len().min(FRAME);
            if taken == 0 {
                self.ended = true;
                lone_crs(&mut self.held, self.lone, &mut self.out);
                return Ok(());
            }
            let chunk = chunk.get(..taken).unwrap_or_default();
            canonical(chunk, &mut self.held, self.lone, &mut self.out);
            self.source.consume(taken);
        }
        Ok(())
    }
}

fn canonical(mut rest: &[u8], held: &mut usize, lone: LoneCr, out: &mut Vec<u8>) {
    while let Some((&first, after)) = rest.split_first() {
        match first {
            b'\n' => {
                *held = 0;
                out.extend(b"\r\n");
                rest = after;
            }
            b'\r' => {
                // A run longer than any chunk is content, so that holding it back stays bounded.
                if *held >= FRAME {
                    lone_crs(held, lone, out);
                }
                *held += 1;
                rest = after;
            }
            _ => {
                lone_crs(held, lone, out);
                let until = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                let (text, more) = rest.split_at(until);
                out.extend(text);
                rest = more;
            }
        }
    }
}

fn lone_crs(held: &mut usize, lone: LoneCr, out: &mut Vec<u8>) {
    let count = std::mem::take(held);
    match lone {
        LoneCr::Keep => out.extend(std::iter::repeat_n(b'\r', count)),
        LoneCr::Break if count > 0 => out.extend(b"\r\n"),
        LoneCr::Break => {}
    }
}

impl<R: BufRead> BufRead for Canonical<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.at >= self.out.len() {
            self.refill()?;
        }
        Ok(self.out.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.at = self.at.saturating_add(amount).min(self.out.len());
    }
}

impl<R: BufRead> Read for Canonical<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        super::transfer::read_buffered(self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(text: &[u8], lone: LoneCr, chunk: usize) -> Vec<u8> {
        let source = std::io::BufReader::with_capacity(chunk, text);
        let mut out = Vec::new();
        Canonical::new(source, lone)
            .read_to_end(&mut out)
            .expect("memory reads");
        out
    }

    #[test]
    fn every_line_end_becomes_crlf_whatever_the_chunks() {
        for (text, keep, broken) in [
            (&b"a\nb\r\nc"[..], &b"a\r\nb\r\nc"[..], &b"a\r\nb\r\nc"[..]),
            (b"a\r\r\nb", b"a\r\nb", b"a\r\nb"),
            (b"a\rb", b"a\rb", b"a\r\nb"),
            (b"a\r\rb\r", b"a\r\rb\r", b"a\r\nb\r\n"),
            (b"\n\n", b"\r\n\r\n", b"\r\n\r\n"),
            (b"", b"", b""),
        ] {
            for chunk in 1..6 {
                assert_eq!(
                    through(text, LoneCr::Keep, chunk),
                    keep,
                    "{text:?} by {chunk}"
                );
                assert_eq!(
                    through(text, LoneCr::Break, chunk),
                    broken,
                    "{text:?} by {chunk}"
                );
            }
        }
    }
}
