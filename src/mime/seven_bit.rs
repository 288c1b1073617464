//! Makes a message 7-bit safe before it is signed: CRLF, ASCII, lines of at most 998 octets (A-040;
//! RFC 8551 §3.1.3).
//! In: a body. Out: the same body if it is fit already, else one whose unfit leaf parts are
//! quoted-printable (text) or base64. Two passes, flat memory. Nothing within a foreign signature is
//! re-encoded: that is refused instead.

mod encode;
mod walk;

use std::io::{BufRead, Write};

use crate::limits::{LINE_OCTETS_MAX, MIME_PARTS_MAX};
use crate::store::{Bodies, Body, BodyError};

use super::{Canonical, Header, LoneCr, MimeError, TransferEncoding};
use encode::Encoder;
use walk::{Entity, Visitor, walk};

/// What the octets of a body are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fitness {
    /// Line ends are CRLF and nothing else.
    pub canonical: bool,
    /// ASCII without NUL, no line over [`LINE_OCTETS_MAX`].
    pub seven_bit: bool,
}

impl From<BodyError> for MimeError {
    fn from(error: BodyError) -> Self {
        Self::Source(error.to_string())
    }
}

/// Looks at every octet once.
///
/// # Errors
/// [`MimeError::Source`].
pub fn inspect(mut source: impl BufRead) -> Result<Fitness, MimeError> {
    let mut fitness = Fitness {
        canonical: true,
        seven_bit: true,
    };
    let (mut line, mut after_cr) = (0usize, false);
    loop {
        let chunk = source.fill_buf()?;
        if chunk.is_empty() {
            fitness.canonical &= !after_cr;
            return Ok(fitness);
        }
        fitness.seven_bit &= chunk.is_ascii() && memchr::memchr(0, chunk).is_none();
        let mut rest = chunk;
        while let Some(&first) = rest.first() {
            fitness.canonical &= after_cr == (first == b'\n');
            let until = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            line += until;
            fitness.seven_bit &= line <= LINE_OCTETS_MAX;
            let stop = rest.get(until).copied();
            fitness.canonical &= stop != Some(b'\n') || (until == 0 && after_cr);
            after_cr = stop == Some(b'\r');
            line = if stop.is_some() { 0 } else { line };
            rest = rest.get(until + 1..).unwrap_or_default();
        }
        let taken = chunk.len();
        source.consume(taken);
    }
}

/// The body in 7-bit form; the very same if it is so already.
///
/// # Errors
/// [`MimeError`]; [`MimeError::Unfit`] names what cannot be re-encoded.
pub fn seven_bit(body: &Body, bodies: &Bodies) -> Result<Body, MimeError> {
    let fitness = inspect(body.reader()?)?;
    if fitness.canonical && fitness.seven_bit {
        return Ok(body.clone());
    }
    let mut writer = bodies.writer();
    let canonical = || Ok::<_, BodyError>(Canonical::new(body.reader()?, LoneCr::Break));
    if fitness.seven_bit {
        std::io::copy(&mut canonical()?, &mut writer)?;
    } else {
        convert(canonical()?, canonical()?, &mut writer)?;
    }
    Ok(writer.finish()?)
}

/// First pass over `first` finds the leaf parts that are unfit, second pass over `second` (the same
/// octets) writes.
fn convert(
    first: impl BufRead,
    second: impl BufRead,
    sink: &mut impl Write,
) -> Result<(), MimeError> {
    let mut survey = Survey::default();
    walk(first, &mut survey)?;
    walk(
        second,
        &mut Rewrite {
            sink,
            leaves: survey.0,
            encoder: Encoder::Copy,
            held_line_end: false,
        },
    )
}

/// What the first pass learnt of one entity.
#[derive(Clone, Copy, Debug, Default)]
struct Leaf {
    eight_bit: bool,
    long_line: bool,
}

#[derive(Default)]
struct Survey(Vec<Leaf>);

impl Visitor for Survey {
    fn header(&mut self, _entity: &Entity, header: &Header) -> Result<(), MimeError> {
        if !header.octets().is_ascii() {
            return Err(MimeError::Unfit("8-bit octets in a header field"));
        }
        let mut lines = header.octets().split(|octet| *octet == b'\n');
        if lines.any(|line| line.len() > LINE_OCTETS_MAX + 1) {
            return Err(MimeError::Unfit("a header line of more than 998 octets"));
        }
        if self.0.len() >= MIME_PARTS_MAX {
            return Err(MimeError::OverLimit("parts of one message"));
        }
        self.0.push(Leaf::default());
        Ok(())
    }

    fn body(&mut self, entity: &Entity, piece: &walk::Piece<'_>) -> Result<(), MimeError> {
        let eight_bit = !piece.octets.is_ascii() || memchr::memchr(0, piece.octets).is_some();
        let long_line = piece.line_so_far > LINE_OCTETS_MAX;
        if (eight_bit || long_line) && entity.signed {
            return Err(MimeError::Unfit(
                "8-bit octets or long lines under another signature",
            ));
        }
        if eight_bit && entity.encoding != TransferEncoding::Identity {
            return Err(MimeError::Unfit(
                "8-bit octets in a part that says it is encoded",
            ));
        }
        if let Some(leaf) = self.0.get_mut(entity.index) {
            leaf.eight_bit |= eight_bit;
            leaf.long_line |= long_line;
        }
        Ok(())
    }

    fn boundary(&mut self, _line: &[u8]) -> Result<(), MimeError> {
        Ok(())
    }

    fn end(&mut self) -> Result<(), MimeError> {
        Ok(())
    }
}

struct Rewrite<'s, W> {
    sink: &'s mut W,
    leaves: Vec<Leaf>,
    encoder: Encoder,
    /// A line end that belongs to the content, or to the boundary that may follow.
    held_line_end: bool,
}

impl<W: Write> Rewrite<'_, W> {
    fn end_content(&mut self) -> Result<(), MimeError> {
        let encoder = std::mem::replace(&mut self.encoder, Encoder::Copy);
        let needs_line_end = encoder.finish(self.sink)?;
        if std::mem::take(&mut self.held_line_end) && needs_line_end {
            self.sink.write_all(b"\r\n")?;
        }
        Ok(())
    }
}

impl<W: Write> Visitor for Rewrite<'_, W> {
    fn header(&mut self, entity: &Entity, header: &Header) -> Result<(), MimeError> {
        let leaf = self.leaves.get(entity.index).copied().unwrap_or_default();
        let unfit = leaf.eight_bit || leaf.long_line;
        let (encoder, label) = if entity.composite || !unfit {
            (Encoder::Copy, None)
        } else {
            Encoder::choose(entity)
        };
        self.encoder = encoder;
        // Composite types say 7bit from now on, which is the default (RFC 2045 §6.1).
        let drops = entity.composite || label.is_some();
        for field in header.fields() {
            if !(drops && field.is("Content-Transfer-Encoding")) {
                self.sink.write_all(field.raw())?;
            }
        }
        if let Some(label) = label {
            if entity.index == 0 && header.all("MIME-Version").next().is_none() {
                self.sink.write_all(b"MIME-Version: 1.0\r\n")?;
            }
            write!(self.sink, "Content-Transfer-Encoding: {label}\r\n")?;
        }
        self.sink.write_all(b"\r\n")?;
        Ok(())
    }

    fn body(&mut self, entity: &Entity, piece: &walk::Piece<'_>) -> Result<(), MimeError> {
        // Text around the parts of a multipart is for nobody, and need not be 7-bit safe.
        if entity.composite {
            return Ok(());
        }
        if std::mem::take(&mut self.held_line_end) {
            self.encoder.line_end(self.sink)?;
        }
        self.encoder
            .text(piece.octets, piece.ends_line, self.sink)?;
        self.held_line_end = piece.ends_line;
        Ok(())
    }

    fn boundary(&mut self, line: &[u8]) -> Result<(), MimeError> {
        self.end_content()?;
        self.sink.write_all(line)?;
        self.sink.write_all(b"\r\n")?;
        Ok(())
    }

    fn end(&mut self) -> Result<(), MimeError> {
        // No boundary follows: the last line end is content.
        if std::mem::take(&mut self.held_line_end) {
            self.encoder.line_end(self.sink)?;
        }
        self.end_content()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn converted(text: &[u8]) -> Result<String, MimeError> {
        let mut out = Vec::new();
        convert(text, text, &mut out)?;
        let fitness = inspect(&out[..])?;
        assert!(
            fitness.canonical && fitness.seven_bit,
            "{}",
            out.escape_ascii()
        );
        Ok(String::from_utf8(out).expect("ASCII"))
    }

    fn decoded(encoding: TransferEncoding, text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        encoding
            .decode(text.as_bytes())
            .read_to_end(&mut out)
            .expect("decodes");
        out
    }

    #[test]
    fn inspection_sees_what_is_unfit() {
        let long = "x".repeat(LINE_OCTETS_MAX);
        for (text, canonical, seven_bit) in [
            ("a\r\nb\r\n".to_owned(), true, true),
            ("a\r\n\r\n\r\nb".to_owned(), true, true),
            ("a\nb\r\n".to_owned(), false, true),
            ("\na".to_owned(), false, true),
            ("a\rb\r\n".to_owned(), false, true),
            ("a\r".to_owned(), false, true),
            ("a\r\r\n".to_owned(), false, true),
            ("ä\r\n".to_owned(), true, false),
            ("a\0\r\n".to_owned(), true, false),
            (format!("{long}\r\n{long}"), true, true),
            (format!("{long}x\r\n"), true, false),
        ] {
            for chunk in [1, 2, 3, 5000] {
                let source = std::io::BufReader::with_capacity(chunk, text.as_bytes());
                let expected = Fitness {
                    canonical,
                    seven_bit,
                };
                assert_eq!(inspect(source), Ok(expected), "{text:?} by {chunk}");
            }
        }
    }

    #[test]
    fn unfit_leaves_are_encoded_and_the_rest_stays() {
        let text = "From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n\
            Content-Type: multipart/mixed; boundary=b\r\n\r\npräamble\r\n--b\r\n\
            Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngrüße \r\n=x\r\n--b\r\n\
            Content-Type: text/plain\r\n\r\nplain\r\n--b\r\n\
            Content-Type: application/x-y\r\n\r\n\u{e4}\r\nb\r\n\r\n--b--\r\nepilögue\r\n";
        let expected = "From: a@b.example\r\nMIME-Version: 1.0\r\n\
            Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
            Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
            gr=C3=BC=C3=9Fe=20\r\n=3Dx\r\n--b\r\n\
            Content-Type: text/plain\r\n\r\nplain\r\n--b\r\n\
            Content-Type: application/x-y\r\nContent-Transfer-Encoding: base64\r\n\r\nw6QNCmINCg==\r\n--b--\r\n";
        assert_eq!(converted(text.as_bytes()).as_deref(), Ok(expected));
        assert_eq!(
            decoded(TransferEncoding::Base64, "w6QNCmINCg=="),
            "ä\r\nb\r\n".as_bytes()
        );
    }

    #[test]
    fn a_plain_message_becomes_mime() {
        let out = converted("Subject: x\r\n\r\nä\r\n".as_bytes()).expect("converts");
        assert_eq!(
            out,
            "Subject: x\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A4\r\n"
        );
    }

    #[test]
    fn long_lines_are_broken_whatever_their_encoding() {
        for (label, kind, line) in [
            ("7bit", "text/plain", "wörd ".repeat(3_000)),
            ("7bit", "application/xml", "word ".repeat(3_000)),
            ("base64", "application/xml", "QUJD".repeat(3_000)),
            ("quoted-printable", "text/plain", "=C3=A4x".repeat(3_000)),
        ] {
            let text = format!(
                "Content-Type: {kind}\r\nContent-Transfer-Encoding: {label}\r\n\r\n{line}\r\n"
            );
            let out = converted(text.as_bytes()).expect(label);
            let mut rest = out.as_bytes();
            let header = Header::read(&mut rest).expect("header");
            let (before, after) = (TransferEncoding::parse(label), header.transfer_encoding());
            let after = after.expect("known").expect("there");
            assert_eq!(
                decoded(before.expect("known"), &format!("{line}\r\n")),
                decoded(after, std::str::from_utf8(rest).expect("ASCII")),
                "{label}"
            );
        }
    }

    #[test]
    fn what_cannot_be_made_fit_is_refused() {
        for text in [
            "Subject: ä\r\n\r\nä\r\n".to_owned(),
            format!("Subject: {}\r\n\r\nä\r\n", "x".repeat(LINE_OCTETS_MAX)),
            "Content-Transfer-Encoding: base64\r\n\r\nä\r\n".to_owned(),
            "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nä\r\n--b--\r\n"
                .to_owned(),
        ] {
            assert!(
                matches!(converted(text.as_bytes()), Err(MimeError::Unfit(_))),
                "{text:?}"
            );
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested =
            |depth: usize| "Content-Type: message/rfc822\r\n\r\n".repeat(depth) + "\r\nä\r\n";
        assert!(converted(nested(10).as_bytes()).is_ok());
        assert_eq!(
            converted(nested(30).as_bytes()),
            Err(MimeError::OverLimit("MIME nesting"))
        );
    }
}
