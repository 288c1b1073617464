//! Message text as it goes over the wire: checked or mended lines, dots stuffed, the final dot (RFC 5321
//! §4.5.2). In: octets. Out: chunks. A bare CR or LF never leaves (G-061), so no peer can see an end of
//! message that is not ours.

use std::io::BufRead;

use memchr::{memchr, memchr2};
use tokio::sync::mpsc;

use crate::limits::{BODY_IN_MEMORY_MAX, FRAME, PIECE, SENT_LINE_MAX};
use crate::store::{Body, BodyReader};

/// What happens to a line that SMTP does not carry: a bare CR or LF, more than [`SENT_LINE_MAX`] octets, a
/// NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    /// Nothing is sent. For what we made ourselves: its octets are signed and must not change.
    Demand,
    /// A bare CR or LF becomes CRLF; a long line is folded as Postfix does (`smtp_line_length_limit`); a
    /// NUL goes through. For clear text that others wrote, on its last step into a clinic.
    Mend,
}

/// Why text cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DataError {
    /// RFC 5321 §2.3.8 and the like; which rule.
    NotCanonical(&'static str),
    /// The body cannot be read.
    Body(String),
}

/// Stuffs dots and watches line ends, chunk by chunk.
#[derive(Debug)]
pub(crate) struct DataEncoder {
    lines: Lines,
    /// Octets of this line so far.
    column: usize,
    /// A CR was the last octet; what follows decides.
    carriage: bool,
}

impl DataEncoder {
    pub(crate) fn new(lines: Lines) -> Self {
        Self {
            lines,
            column: 0,
            carriage: false,
        }
    }

    /// Encodes more text.
    ///
    /// # Errors
    /// [`DataError::NotCanonical`] under [`Lines::Demand`].
    pub(crate) fn push(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), DataError> {
        if self.lines == Lines::Demand && memchr(0, text).is_some() {
            return Err(DataError::NotCanonical("a NUL (RFC 5322 §4)"));
        }
        let mut rest = text;
        while let Some(first) = rest.first() {
            if self.carriage {
                if *first == b'\n' {
                    rest = rest.get(1..).unwrap_or_default();
                } else {
                    self.bare("a bare CR (RFC 5321 §2.3.8)")?;
                }
                self.end_line(out);
                continue;
            }
            let run = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            let (line, tail) = rest.split_at(run);
            self.line(line, out)?;
            rest = match tail.split_first() {
                None => tail,
                Some((b'\r', after)) => {
                    self.carriage = true;
                    after
                }
                Some((_, after)) => {
                    self.bare("a bare LF (RFC 5321 §2.3.8)")?;
                    self.end_line(out);
                    after
                }
            };
        }
        Ok(())
    }

    /// Ends the last line, if it is open, and writes the final dot.
    ///
    /// # Errors
    /// As [`DataEncoder::push`].
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), DataError> {
        if self.carriage {
            self.bare("a bare CR (RFC 5321 §2.3.8)")?;
            self.end_line(out);
        } else if self.column > 0 {
            self.end_line(out);
        }
        out.extend_from_slice(b".\r\n");
        Ok(())
    }

    fn bare(&self, what: &'static str) -> Result<(), DataError> {
        match self.lines {
            Lines::Demand => Err(DataError::NotCanonical(what)),
            Lines::Mend => Ok(()),
        }
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n");
        self.column = 0;
        self.carriage = false;
    }

    fn line(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), DataError> {
        let mut rest = text;
        while !rest.is_empty() {
            if self.column == SENT_LINE_MAX {
                // RFC 5322 §2.1.1.
                self.bare("a line of more than 998 octets (RFC 5322 §2.1.1)")?;
                out.extend_from_slice(b"\r\n ");
                self.column = 1;
            }
            if self.column == 0 && rest.first() == Some(&b'.') {
                // RFC 5321 §4.5.2.
                out.push(b'.');
            }
            let room = SENT_LINE_MAX.saturating_sub(self.column);
            let (now, later) = rest.split_at(room.min(rest.len()));
            out.extend_from_slice(now);
            self.column = self.column.saturating_add(now.len());
            rest = later;
        }
        Ok(())
    }
}

/// One message being encoded: lines to put before it, then the body, then the dot.
#[derive(Debug)]
struct Encoding<R> {
    reader: R,
    encoder: DataEncoder,
    head: Option<String>,
    ended: bool,
}

impl<R: BufRead> Encoding<R> {
    /// The next chunk of about [`FRAME`] octets; `None` after the dot.
    fn next_chunk(&mut self) -> Option<Result<Vec<u8>, DataError>> {
        if self.ended {
            return None;
        }
        let mut out = Vec::with_capacity(PIECE);
        let filled = self.fill(&mut out);
        self.ended |= filled.is_err();
        Some(filled.map(|()| out))
    }

    fn fill(&mut self, out: &mut Vec<u8>) -> Result<(), DataError> {
        if let Some(head) = self.head.take() {
            self.encoder.push(head.as_bytes(), out)?;
        }
        while out.len() < FRAME {
            let text = self
                .reader
                .fill_buf()
                .map_err(|error| DataError::Body(error.to_string()))?;
            if text.is_empty() {
                self.ended = true;
                return self.encoder.finish(out);
            }
            let taken = text.len();
            self.encoder.push(text, out)?;
            self.reader.consume(taken);
        }
        Ok(())
    }
}

/// A message's wire form, chunk after chunk. A body that lies on disk is read and decrypted on a thread
/// that may block.
#[derive(Debug)]
pub(crate) struct Chunks(Feed);

#[derive(Debug)]
enum Feed {
    Here(Box<Encoding<BodyReader>>),
    Thread(mpsc::Receiver<Result<Vec<u8>, DataError>>),
}

impl Chunks {
    /// `head` goes before `body`; both under the same rule for lines.
    ///
    /// # Errors
    /// [`DataError::Body`].
    pub(crate) fn of(head: &str, body: &Body, lines: Lines) -> Result<Self, DataError> {
        let head = Some(head.to_owned());
        let encoder = DataEncoder::new(lines);
        let unreadable = |error: crate::store::BodyError| DataError::Body(error.to_string());
        if body.len() <= u64::try_from(BODY_IN_MEMORY_MAX).unwrap_or(u64::MAX) {
            let reader = body.reader().map_err(unreadable)?;
            return Ok(Self(Feed::Here(Box::new(Encoding {
                reader,
                encoder,
                head,
                ended: false,
            }))));
        }
        // Two chunks ahead of the wire; a slow peer stops the thread, not the memory.
        let (feed, chunks) = mpsc::channel(2);
        let body = body.clone();
        tokio::task::spawn_blocking(move || {
            let mut encoding = match body.reader() {
                Ok(reader) => Encoding {
                    reader,
                    encoder,
                    head,
                    ended: false,
                },
                Err(error) => {
                    let _nobody_reads = feed.blocking_send(Err(unreadable(error)));
                    return;
                }
            };
            while let Some(chunk) = encoding.next_chunk() {
                if feed.blocking_send(chunk).is_err() {
                    return;
                }
            }
        });
        Ok(Self(Feed::Thread(chunks)))
    }

    /// The next chunk; `None` after the one that ends in the dot.
    pub(crate) async fn next(&mut self) -> Option<Result<Vec<u8>, DataError>> {
        match &mut self.0 {
            Feed::Here(encoding) => encoding.next_chunk(),
            Feed::Thread(chunks) => chunks.recv().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(lines: Lines, text: &[u8], cut: usize) -> Result<Vec<u8>, DataError> {
        let mut encoder = DataEncoder::new(lines);
        let mut out = Vec::new();
        for chunk in text.chunks(cut) {
            encoder.push(chunk, &mut out)?;
        }
        encoder.finish(&mut out)?;
        Ok(out)
    }

    #[test]
    fn canonical_text_goes_out_as_it_is_with_dots_stuffed_wherever_it_is_cut() {
        for (text, wire) in [
            (&b"a\r\n"[..], &b"a\r\n.\r\n"[..]),
            (b"", b".\r\n"),
            (b".\r\n..\r\n.a\r\n", b"..\r\n...\r\n..a\r\n.\r\n"),
            (b"a.b\r\n\r\n", b"a.b\r\n\r\n.\r\n"),
            (b"no end", b"no end\r\n.\r\n"),
        ] {
            for cut in 1..=text.len().max(1) {
                for lines in [Lines::Demand, Lines::Mend] {
                    assert_eq!(encode(lines, text, cut), Ok(wire.to_vec()));
                }
            }
        }
    }

    #[test]
    fn a_bare_cr_or_lf_never_leaves() {
        for (text, mended) in [
            (&b"a\nb\r\n"[..], &b"a\r\nb\r\n.\r\n"[..]),
            (b"a\rb\r\n", b"a\r\nb\r\n.\r\n"),
            (
                b"a\n.\r\nMAIL FROM:<x@y>\r\n",
                b"a\r\n..\r\nMAIL FROM:<x@y>\r\n.\r\n",
            ),
            (b"a\r\r\nb", b"a\r\n\r\nb\r\n.\r\n"),
            (b"a\r", b"a\r\n.\r\n"),
        ] {
            for cut in 1..=text.len() {
                let refused = encode(Lines::Demand, text, cut);
                assert!(
                    matches!(refused, Err(DataError::NotCanonical(_))),
                    "{text:?}"
                );
                assert_eq!(encode(Lines::Mend, text, cut), Ok(mended.to_vec()));
            }
        }
    }

    #[test]
    fn a_line_of_998_octets_is_sent_and_one_of_999_is_refused_or_folded() {
        let fits = [vec![b'x'; SENT_LINE_MAX], b"\r\n".to_vec()].concat();
        assert!(encode(Lines::Demand, &fits, 7).is_ok());
        let long = [vec![b'x'; SENT_LINE_MAX + 1], b"\r\n".to_vec()].concat();
        assert!(encode(Lines::Demand, &long, 7).is_err());
        let folded = encode(Lines::Mend, &long, 7).expect("mended");
        assert!(folded.ends_with(b"xx\r\n x\r\n.\r\n"));
        assert!(encode(Lines::Demand, b"a\0b\r\n", 9).is_err());
    }

    #[test]
    fn a_message_is_cut_into_chunks_that_add_up() {
        let text = b".dots and some words\r\n".repeat(20_000);
        let mut encoding = Encoding {
            reader: std::io::Cursor::new(text.clone()),
            encoder: DataEncoder::new(Lines::Demand),
            head: Some("Received: here\r\n".to_owned()),
            ended: false,
        };
        let mut wire = Vec::new();
        while let Some(chunk) = encoding.next_chunk() {
            wire.extend(chunk.expect("canonical"));
        }
        let expected = [
            b"Received: here\r\n".to_vec(),
            b"..dots and some words\r\n".repeat(20_000),
            b".\r\n".to_vec(),
        ];
        assert_eq!(wire, expected.concat());
    }
}
