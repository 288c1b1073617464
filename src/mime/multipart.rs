//! Splits a multipart into its parts, octet for octet, in one pass.
//! In: a stream that stands after the multipart's header. Out: one [`Part`] after the other, each a
//! stream of its exact octets. The line end before a boundary belongs to the boundary (RFC 2046 §5.1.1,
//! RFC 1847 §2.1). What stands before the first and after the last boundary is dropped: nobody signed it,
//! nobody shall read it.

use std::io::{BufRead, Read};

use memchr::memmem::Finder;

use crate::limits::{BOUNDARY_PADDING_MAX, FRAME, MIME_PARTS_MAX};

use super::MimeError;

/// A multipart in the reading.
#[derive(Debug)]
pub struct Multipart<R> {
    source: R,
    /// Finds `--boundary`.
    finder: Finder<'static>,
    buffer: Vec<u8>,
    /// Octets of the buffer that were handed out.
    at: usize,
    /// Octets from `at` that are known to be content of this part.
    ready: usize,
    /// No octet of this part was passed yet, so that it begins a line.
    fresh: bool,
    source_ended: bool,
    state: State,
    parts: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Within the preamble or a part.
    Inside,
    /// At a boundary; `skip` octets from the end of the content lead past it.
    AtBoundary { skip: usize, last: bool },
    /// After the closing boundary.
    Closed,
}

/// One part. What is not read of it is passed over by [`Multipart::next_part`].
#[derive(Debug)]
pub struct Part<'m, R>(&'m mut Multipart<R>);

impl<R: BufRead> Multipart<R> {
    /// `boundary` as the Content-Type gives it, without the leading `--`.
    pub fn new(source: R, boundary: &str) -> Self {
        let needle = format!("--{boundary}");
        Self {
            source,
            finder: Finder::new(needle.as_bytes()).into_owned(),
            buffer: Vec::new(),
            at: 0,
            ready: 0,
            fresh: true,
            source_ended: false,
            state: State::Inside,
            parts: 0,
        }
    }

    /// The next part; none after the closing boundary.
    ///
    /// # Errors
    /// [`MimeError`]: no boundary, none that closes, too many parts, or the source failed.
    pub fn next_part(&mut self) -> Result<Option<Part<'_, R>>, MimeError> {
        loop {
            self.pass(self.ready);
            if self.state != State::Inside {
                break;
            }
            self.advance()?;
        }
        let State::AtBoundary { skip, last } = self.state else {
            return Ok(None);
        };
        self.at += skip;
        if last {
            self.state = State::Closed;
            return Ok(None);
        }
        if self.parts >= MIME_PARTS_MAX {
            return Err(MimeError::OverLimit("parts of one multipart"));
        }
        self.parts += 1;
        self.state = State::Inside;
        self.fresh = true;
        Ok(Some(Part(self)))
    }

    fn pass(&mut self, amount: usize) {
        let amount = amount.min(self.ready);
        self.at += amount;
        self.ready -= amount;
        self.fresh = self.fresh && amount == 0;
    }

    /// Makes some octets ready, or comes to a boundary.
    fn advance(&mut self) -> Result<(), MimeError> {
        while self.ready == 0 && self.state == State::Inside {
            match self.look() {
                Look::Content(octets) => self.ready = octets,
                Look::Boundary {
                    content,
                    skip,
                    last,
                } => {
                    self.ready = content;
                    self.state = State::AtBoundary { skip, last };
                }
                Look::More if self.source_ended => {
                    return Err(MimeError::Malformed(
                        "a multipart without its closing boundary",
                    ));
                }
                Look::More => self.refill()?,
            }
        }
        Ok(())
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    /// What the buffered octets are.
    fn look(&self) -> Look {
        let rest = self.rest();
        let needle = self.finder.needle().len();
        let mut from = 0;
        while let Some(found) = rest.get(from..).and_then(|more| self.finder.find(more)) {
            let start = from + found;
            match self.boundary_at(rest, start) {
                Candidate::Boundary { skip, last } => {
                    let content = content_end(rest, start);
                    let skip = start - content + skip;
                    return Look::Boundary {
                        content,
                        skip,
                        last,
                    };
                }
                Candidate::Unfinished => return Look::content(content_end(rest, start)),
                Candidate::None => from = start + 1,
            }
        }
        if self.source_ended {
            // No boundary will come: RFC 2046 §5.1.1 wants a closing one.
            return Look::content(rest.len());
        }
        // CR LF and all but the last octet of `--boundary` may be waiting at the end.
        Look::content(rest.len().saturating_sub(needle + 1))
    }

    /// Whether a boundary line stands at `start`, where the needle was found.
    fn boundary_at(&self, rest: &[u8], start: usize) -> Candidate {
        let begins_line = match start.checked_sub(1) {
            Some(before) => rest.get(before) == Some(&b'\n'),
            None => self.fresh,
        };
        if !begins_line {
            return Candidate::None;
        }
        let after = start + self.finder.needle().len();
        let tail = rest.get(after..).unwrap_or_default();
        let (tail, dashes) = match tail {
            [b'-', b'-', more @ ..] => (more, 2),
            [b'-'] | [] if !self.source_ended => return Candidate::Unfinished,
            _ => (tail, 0),
        };
        let last = dashes == 2;
        let padding = tail
            .iter()
            .take_while(|octet| matches!(octet, b' ' | b'\t'))
            .count();
        if padding > BOUNDARY_PADDING_MAX {
            return Candidate::None;
        }
        let line_end = match tail.get(padding..).unwrap_or_default() {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            [] | [b'\r'] if !self.source_ended => return Candidate::Unfinished,
            [] if last => 0,
            _ => return Candidate::None,
        };
        let skip = self.finder.needle().len() + dashes + padding + line_end;
        Candidate::Boundary { skip, last }
    }

    fn refill(&mut self) -> Result<(), MimeError> {
        self.buffer.drain(..self.at.min(self.buffer.len()));
        self.at = 0;
        let chunk = self.source.fill_buf()?;
        let taken = chunk.len().min(FRAME);
        self.source_ended = taken == 0;
        self.buffer.extend(chunk.iter().take(taken));
        self.source.consume(taken);
        Ok(())
    }
}

enum Look {
    /// So many octets are content; more may follow.
    Content(usize),
    /// Then a boundary, `skip` octets with the line end before it.
    Boundary {
        content: usize,
        skip: usize,
        last: bool,
    },
    /// Not to be told yet.
    More,
}

impl Look {
    fn content(octets: usize) -> Self {
        if octets == 0 {
            Self::More
        } else {
            Self::Content(octets)
        }
    }
}

enum Candidate {
    Boundary { skip: usize, last: bool },
    Unfinished,
    None,
}

/// Where content ends when a boundary begins at `start`: before the line end that belongs to the boundary.
fn content_end(rest: &[u8], start: usize) -> usize {
    let before = rest.get(..start).unwrap_or_default();
    match before {
        [head @ .., b'\r', b'\n'] => head.len(),
        [head @ .., b'\n'] => head.len(),
        _ => start,
    }
}

impl<R: BufRead> BufRead for Part<'_, R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.0.advance()?;
        let ready = self.0.ready;
        Ok(self.0.rest().get(..ready).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.0.pass(amount);
    }
}

impl<R: BufRead> Read for Part<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        super::transfer::read_buffered(self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, boundary: &str, chunk: usize) -> Result<Vec<String>, MimeError> {
        let source = std::io::BufReader::with_capacity(chunk, text.as_bytes());
        let mut multipart = Multipart::new(source, boundary);
        let mut parts = Vec::new();
        while let Some(mut part) = multipart.next_part()? {
            let mut octets = String::new();
            part.read_to_string(&mut octets)?;
            parts.push(octets);
        }
        Ok(parts)
    }

    fn check(text: &str, boundary: &str, expected: &[&str]) {
        for chunk in 1..40 {
            let parts = split(text, boundary, chunk).expect(text);
            assert_eq!(parts, expected, "{text:?} by {chunk}");
        }
    }

    #[test]
    fn parts_are_exact_and_the_line_end_before_a_boundary_is_the_boundarys() {
        check(
            "--b\r\none\r\n--b\r\ntwo\r\n\r\n--b--\r\n",
            "b",
            &["one", "two\r\n"],
        );
        check(
            "pre\r\namble\r\n--b \t\r\none\r\n--b--  \r\nepi\r\n--b\r\nlogue",
            "b",
            &["one"],
        );
        check("--b\none\n--b\ntwo\r\n\n--b--", "b", &["one", "two\r\n"]);
        check("--b\r\n\r\n--b\r\n--b--", "b", &["", ""]);
        check("--b\r\n\r\n\r\n--b--", "b", &["\r\n"]);
    }

    #[test]
    fn what_only_looks_like_a_boundary_is_content() {
        check(
            "--b\r\nx --b\r\n--bc\r\n--b-\r\n--b--x\r\n--b x\r\n --b\r\n\r--b\r\n--b--\r\n",
            "b",
            &["x --b\r\n--bc\r\n--b-\r\n--b--x\r\n--b x\r\n --b\r\n\r--b"],
        );
    }

    #[test]
    fn a_multipart_that_does_not_close_is_refused() {
        for text in [
            "",
            "text",
            "--b\r\none",
            "--b\r\none\r\n--b",
            "--b\r\none\r\n--b\r\ntwo\r\n--b-",
        ] {
            for chunk in [1, 3, 64] {
                assert!(split(text, "b", chunk).is_err(), "{text:?}");
            }
        }
    }

    #[test]
    fn a_part_that_is_not_read_is_passed_over() {
        let mut multipart = Multipart::new(&b"--b\r\none\r\n--b\r\ntwo\r\n--b--"[..], "b");
        assert!(multipart.next_part().expect("first").is_some());
        let mut second = String::new();
        let mut part = multipart.next_part().expect("second").expect("is there");
        part.read_to_string(&mut second).expect("reads");
        assert_eq!(second, "two");
        assert!(multipart.next_part().expect("end").is_none());
        assert!(multipart.next_part().expect("end").is_none());
    }

    #[test]
    fn parts_are_counted() {
        let parts = |n: usize| "--b\r\n\r\n".repeat(n) + "--b--";
        assert!(split(&parts(MIME_PARTS_MAX), "b", 4096).is_ok());
        let error = split(&parts(MIME_PARTS_MAX + 1), "b", 4096);
        assert_eq!(error, Err(MimeError::OverLimit("parts of one multipart")));
    }
}
