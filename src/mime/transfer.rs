//! Transfer encodings: decoding streams, and base64 lines for output.
//! In: encoded octets in chunks. Out: decoded octets in chunks. Tolerant of line ends, of nothing else.

use std::io::{BufRead, Read, Write};

use base64_simd::AsOut;

use crate::limits::{FRAME, LINE_OCTETS_MAX};

use super::MimeError;

/// Content-Transfer-Encoding (RFC 2045 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferEncoding {
    /// 7bit, 8bit, binary: the octets themselves.
    Identity,
    Base64,
    QuotedPrintable,
}

impl TransferEncoding {
    /// Reads a field value, in any letter case, comments ignored.
    ///
    /// # Errors
    /// [`MimeError::Malformed`] for one that is not known: its content cannot be told (RFC 2045 §6.4).
    pub fn parse(value: &str) -> Result<Self, MimeError> {
        let word = super::parameters::without_comments(value);
        match word.trim().to_ascii_lowercase().as_str() {
            "7bit" | "8bit" | "binary" => Ok(Self::Identity),
            "base64" => Ok(Self::Base64),
            "quoted-printable" => Ok(Self::QuotedPrintable),
            _ => Err(MimeError::Malformed("an unknown Content-Transfer-Encoding")),
        }
    }

    /// Decodes a stream.
    pub fn decode<R: BufRead>(self, source: R) -> Decoded<R> {
        Decoded {
            source,
            encoding: self,
            held: Vec::new(),
            out: Vec::new(),
            at: 0,
            state: Reading::Open,
        }
    }
}

/// A decoded stream. An error of the encoding comes out as [`std::io::ErrorKind::InvalidData`] around a
/// [`MimeError`].
#[derive(Debug)]
pub struct Decoded<R> {
    source: R,
    encoding: TransferEncoding,
    /// Encoded octets that need more to be decoded.
    held: Vec<u8>,
    out: Vec<u8>,
    at: usize,
    state: Reading,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Open,
    /// base64 padding was seen.
    Padded,
    Ended,
}

impl<R: BufRead> Decoded<R> {
    fn refill(&mut self) -> Result<(), MimeError> {
        self.out.clear();
        self.at = 0;
        while self.out.is_empty() && self.state != Reading::Ended {
            let chunk = self.source.fill_buf()?;
            let chunk = chunk.get(..chunk.len().min(FRAME)).unwrap_or_default();
            let taken = chunk.len();
            match self.encoding {
                TransferEncoding::Base64 => compact(chunk, &mut self.held),
                TransferEncoding::Identity | TransferEncoding::QuotedPrintable => {
                    self.held.extend(chunk);
                }
            }
            self.source.consume(taken);
            self.decode_held(taken == 0)?;
            if taken == 0 {
                self.state = Reading::Ended;
            }
        }
        Ok(())
    }

    fn decode_held(&mut self, at_end: bool) -> Result<(), MimeError> {
        match self.encoding {
            TransferEncoding::Base64 => self.decode_base64(at_end),
            TransferEncoding::QuotedPrintable => {
                let done = decode_quoted(&self.held, at_end, &mut self.out)?;
                self.held.drain(..done);
                Ok(())
            }
            TransferEncoding::Identity => {
                std::mem::swap(&mut self.held, &mut self.out);
                Ok(())
            }
        }
    }

    fn decode_base64(&mut self, at_end: bool) -> Result<(), MimeError> {
        let broken = MimeError::Malformed("broken base64");
        if self.state == Reading::Padded && !self.held.is_empty() {
            return Err(broken);
        }
        let whole = self.held.len() - self.held.len() % 4;
        let now = if at_end { self.held.len() } else { whole };
        let encoded = self.held.get(..now).unwrap_or_default();
        if encoded.is_empty() {
            return Ok(());
        }
        if encoded.ends_with(b"=") {
            self.state = Reading::Padded;
        }
        self.out.resize(now + 3, 0);
        let out = self.out.as_mut_slice().as_out();
        // Only a last quantum may lack its padding (the forgiving form); `=` anywhere else is an error in
        // both.
        let decoded = if now == whole && !encoded.ends_with(b"=") {
            base64_simd::STANDARD_NO_PAD.decode(encoded, out)
        } else {
            base64_simd::forgiving_decode(encoded, out)
        };
        let octets = decoded.map_err(|_| broken)?.len();
        self.out.truncate(octets);
        self.held.drain(..now);
        Ok(())
    }
}

impl<R: BufRead> BufRead for Decoded<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.encoding == TransferEncoding::Identity {
            return self.source.fill_buf();
        }
        if self.at >= self.out.len() {
            self.refill()?;
        }
        Ok(self.out.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        if self.encoding == TransferEncoding::Identity {
            self.source.consume(amount);
        } else {
            self.at = self.at.saturating_add(amount).min(self.out.len());
        }
    }
}

impl<R: BufRead> Read for Decoded<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        read_buffered(self, out)
    }
}

/// [`Read::read`] in terms of [`BufRead`].
pub(super) fn read_buffered(source: &mut impl BufRead, out: &mut [u8]) -> std::io::Result<usize> {
    let mut chunk = source.fill_buf()?;
    let octets = chunk.read(out)?;
    source.consume(octets);
    Ok(octets)
}

/// Appends `chunk` without its white space.
fn compact(chunk: &[u8], out: &mut Vec<u8>) {
    let mut rest = chunk;
    while !rest.is_empty() {
        let until = memchr::memchr3(b'\n', b' ', b'\t', rest).unwrap_or(rest.len());
        let (line, more) = rest.split_at(until);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match memchr::memchr(b'\r', line) {
            Some(_) => out.extend(line.iter().filter(|octet| **octet != b'\r')),
            None => out.extend(line),
        }
        rest = more.get(1..).unwrap_or_default();
    }
}

/// Decodes what can be decoded (RFC 2045 §6.7); returns how many encoded octets that took.
fn decode_quoted(held: &[u8], at_end: bool, out: &mut Vec<u8>) -> Result<usize, MimeError> {
    let mut done = 0;
    loop {
        let rest = held.get(done..).unwrap_or_default();
        let plain = memchr::memchr3(b'=', b' ', b'\t', rest).unwrap_or(rest.len());
        let (text, special) = rest.split_at(plain);
        out.extend(text);
        done += plain;
        let step = match special.first() {
            None => return Ok(done),
            Some(b'=') => quoted_escape(special, at_end, out)?,
            Some(_) => quoted_blanks(special, at_end, out)?,
        };
        match step {
            Some(octets) => done += octets,
            None => return Ok(done),
        }
    }
}

/// After `=`: a soft line break, or two hexadecimal digits. None if more is needed.
fn quoted_escape(held: &[u8], at_end: bool, out: &mut Vec<u8>) -> Result<Option<usize>, MimeError> {
    let after = held.get(1..).unwrap_or_default();
    let blanks = after
        .iter()
        .take_while(|octet| matches!(octet, b' ' | b'\t'))
        .count();
    match after.get(blanks..).unwrap_or_default() {
        [b'\n', ..] => return Ok(Some(blanks + 2)),
        [b'\r', b'\n', ..] => return Ok(Some(blanks + 3)),
        [] | [b'\r'] if at_end => return Ok(Some(held.len())),
        [] | [b'\r'] if blanks <= LINE_OCTETS_MAX => return Ok(None),
        [_] if blanks == 0 && !at_end => return Ok(None),
        _ => {}
    }
    let octet = hex_pair(after).ok_or(MimeError::Malformed("broken quoted-printable"))?;
    out.push(octet);
    Ok(Some(3))
}

/// Blanks at the end of a line were added on the way and are dropped (RFC 2045 §6.7 rule 3). None if more
/// is needed.
fn quoted_blanks(held: &[u8], at_end: bool, out: &mut Vec<u8>) -> Result<Option<usize>, MimeError> {
    let blanks = held
        .iter()
        .take_while(|octet| matches!(octet, b' ' | b'\t'))
        .count();
    if blanks > LINE_OCTETS_MAX {
        return Err(MimeError::OverLimit("blanks in a quoted-printable line"));
    }
    match held.get(blanks..).unwrap_or_default() {
        [] | [b'\r'] if !at_end => return Ok(None),
        [] | [b'\n', ..] | [b'\r', b'\n', ..] => {}
        _ => out.extend(held.iter().take(blanks)),
    }
    Ok(Some(blanks))
}

/// The octet that two hexadecimal digits at the beginning stand for.
pub(super) fn hex_pair(octets: &[u8]) -> Option<u8> {
    let [high, low, ..] = octets else {
        return None;
    };
    let high = char::from(*high).to_digit(16)?;
    let low = char::from(*low).to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}

/// Octets of one output line, decoded: 76 characters (RFC 2045 §6.8).
const LINE_DECODED: usize = 57;
const LINE_ENCODED: usize = 76;

/// Writes base64 in lines of 76 characters with CRLF. [`Base64Lines::finish`] must be called.
#[derive(Debug)]
pub struct Base64Lines<W> {
    sink: W,
    held: Vec<u8>,
    out: Vec<u8>,
}

impl<W: Write> Base64Lines<W> {
    pub fn new(sink: W) -> Self {
        Self {
            sink,
            held: Vec::with_capacity(LINE_DECODED),
            out: Vec::new(),
        }
    }

    /// Writes the last, shorter line and returns the sink.
    ///
    /// # Errors
    /// What the sink says.
    pub fn finish(mut self) -> std::io::Result<W> {
        let last = std::mem::take(&mut self.held);
        self.encode(&last)?;
        Ok(self.sink)
    }

    fn encode(&mut self, octets: &[u8]) -> std::io::Result<()> {
        self.out.clear();
        for line in octets.chunks(LINE_DECODED) {
            let mut encoded = [0u8; LINE_ENCODED];
            let text = base64_simd::STANDARD.encode(line, encoded.as_mut_slice().as_out());
            self.out.extend_from_slice(text);
            self.out.extend_from_slice(b"\r\n");
        }
        self.sink.write_all(&self.out)
    }
}

impl Base64Lines<Vec<u8>> {
    /// Moves the lines that are done to another sink.
    pub(super) fn drain_into(&mut self, sink: &mut impl Write) -> std::io::Result<()> {
        sink.write_all(&self.sink)?;
        self.sink.clear();
        Ok(())
    }
}

impl<W: Write> Write for Base64Lines<W> {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        let octets = octets.get(..octets.len().min(FRAME)).unwrap_or_default();
        let mut rest = octets;
        if !self.held.is_empty() {
            let (head, more) = rest.split_at(rest.len().min(LINE_DECODED - self.held.len()));
            self.held.extend(head);
            rest = more;
            if self.held.len() == LINE_DECODED {
                let line = std::mem::take(&mut self.held);
                self.encode(&line)?;
            }
        }
        let (whole, more) = rest.split_at(rest.len() - rest.len() % LINE_DECODED);
        if !whole.is_empty() {
            self.encode(whole)?;
        }
        self.held.extend(more);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.sink.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(encoding: TransferEncoding, text: &[u8], chunk: usize) -> Result<Vec<u8>, MimeError> {
        let source = std::io::BufReader::with_capacity(chunk, text);
        let mut out = Vec::new();
        encoding.decode(source).read_to_end(&mut out)?;
        Ok(out)
    }

    fn check(encoding: TransferEncoding, text: &[u8], expected: &[u8]) {
        for chunk in 1..20 {
            let decoded = decode(encoding, text, chunk);
            assert_eq!(
                decoded.as_deref(),
                Ok(expected),
                "{:?} by {chunk}",
                text.escape_ascii()
            );
        }
    }

    #[test]
    fn base64_is_read_whatever_its_lines() {
        for text in [
            "aGVsbG8sIHdvcmxk",
            "aGVs\r\nbG8sIH\ndvcm xk\r\n\r\n",
            "\taGVsbG8sIHdvcmxk\r\r\n",
        ] {
            check(TransferEncoding::Base64, text.as_bytes(), b"hello, world");
        }
        check(TransferEncoding::Base64, b"aGk=\r\n", b"hi");
        check(TransferEncoding::Base64, b"aGk", b"hi");
        check(TransferEncoding::Base64, b"", b"");
    }

    #[test]
    fn broken_base64_is_refused() {
        for text in [
            "aGk=aGk=",
            "aG-k",
            "a",
            "aGVsbG8sIHdvcmxk!",
            "=",
            "aGk=\r\nfooter",
        ] {
            for chunk in [1, 4, 64] {
                assert!(
                    decode(TransferEncoding::Base64, text.as_bytes(), chunk).is_err(),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn base64_lines_read_back() {
        for len in [0, 1, 56, 57, 58, 114, 1000, 70_000] {
            let octets: Vec<u8> = (0..len).map(|n: usize| n.to_le_bytes()[0]).collect();
            let mut lines = Base64Lines::new(Vec::new());
            for chunk in octets.chunks(41) {
                lines.write_all(chunk).expect("memory takes it");
            }
            let text = lines.finish().expect("memory takes it");
            assert!(
                text.split(|octet| *octet == b'\n')
                    .all(|line| line.len() <= 77)
            );
            assert!(len == 0 || text.ends_with(b"\r\n"));
            assert_eq!(decode(TransferEncoding::Base64, &text, 4096), Ok(octets));
        }
    }

    #[test]
    fn quoted_printable_is_read() {
        let qp = TransferEncoding::QuotedPrintable;
        check(
            qp,
            b"gr=C3=BC=c3=9fe \t\r\nsoft=\r\nly =  \nx=",
            "grüße\r\nsoftly x".as_bytes(),
        );
        check(qp, b"a b\t\nc ", b"a b\nc");
        for text in [&b"=G0"[..], b"=4", b"=C3=Bx"] {
            assert!(decode(qp, text, 5).is_err(), "{:?}", text.escape_ascii());
        }
        let blanks = [b"a".as_slice(), &[b' '; LINE_OCTETS_MAX + 1]].concat();
        assert!(decode(qp, &blanks, 64).is_err());
    }

    #[test]
    fn an_unknown_encoding_is_refused() {
        assert_eq!(
            TransferEncoding::parse(" BASE64 (x)"),
            Ok(TransferEncoding::Base64)
        );
        assert_eq!(
            TransferEncoding::parse("8Bit"),
            Ok(TransferEncoding::Identity)
        );
        assert!(TransferEncoding::parse("x-uuencode").is_err());
        assert!(TransferEncoding::parse("").is_err());
    }
}
