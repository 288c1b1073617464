//! The header of one entity: raw octets and an index of its fields.
//! In: a stream that stands at the first field. Out: a [`Header`]; the stream stands after the blank line.
//! Field octets are kept as they came; unfolding makes copies for reading only.

use std::io::BufRead;

use crate::limits::{HEADER_FIELDS_MAX, HEADER_OCTETS_MAX};

use super::{ContentType, Disposition, MimeError, TransferEncoding};

/// CR CR LF, and that once more doubled.
const LINE_END_OCTETS_MAX: usize = 5;

/// A header block. Lookups ignore letter case (RFC 5322 §1.2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    octets: Vec<u8>,
    fields: Vec<Span>,
}

/// Offsets into the octets: name is `start..name_end`, value is `value..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: usize,
    name_end: usize,
    value: usize,
    end: usize,
}

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'h> {
    name: &'h str,
    raw: &'h [u8],
    value: &'h [u8],
}

impl<'h> Field<'h> {
    /// Its name as written.
    pub fn name(&self) -> &'h str {
        self.name
    }

    /// Whether this is its name, in any letter case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Name, colon, value with its folds and its final line end, exactly as they came.
    pub fn raw(&self) -> &'h [u8] {
        self.raw
    }

    /// The value, unfolded (RFC 5322 §2.2.3) and trimmed. Octets that are no UTF-8 become U+FFFD, which
    /// no address holds.
    pub fn value(&self) -> String {
        let unfolded: Vec<u8> = self
            .value
            .iter()
            .copied()
            .filter(|octet| !matches!(octet, b'\r' | b'\n'))
            .collect();
        String::from_utf8_lossy(&unfolded).trim().to_owned()
    }
}

impl Header {
    /// Reads up to and including the blank line, or to the end of the stream.
    ///
    /// # Errors
    /// [`MimeError`]: a line that is no field, a bare CR within a line, or a limit.
    pub fn read(source: &mut impl BufRead) -> Result<Self, MimeError> {
        let mut header = Self::default();
        loop {
            let start = header.octets.len();
            read_line(source, &mut header.octets)?;
            let line = header.octets.get(start..).unwrap_or_default();
            // CR CR LF is what one known peer makes of CRLF; it is a line end, not content.
            let content = trim_line_end(line);
            // A run of CRs so long that a reader of chunks gives it up for content would be a blank line to
            // it, and the end of the header (what is judged is what is handed on).
            if line.len() - content.len() > LINE_END_OCTETS_MAX {
                return Err(MimeError::Malformed("a line end of many CRs"));
            }
            if content.is_empty() {
                return Ok(header);
            }
            // Readers disagree on whether a bare CR ends a line: none may slip a field past us
            // (RFC 5322 §2.3).
            if memchr::memchr2(b'\r', 0, content).is_some() {
                return Err(MimeError::Malformed("a bare CR or NUL in a header field"));
            }
            header.take_line(start)?;
        }
    }

    fn take_line(&mut self, start: usize) -> Result<(), MimeError> {
        let end = self.octets.len();
        let line = self.octets.get(start..).unwrap_or_default();
        if matches!(line.first(), Some(b' ' | b'\t')) {
            let last = self
                .fields
                .last_mut()
                .ok_or(MimeError::Malformed("the header begins with a folded line"))?;
            last.end = end;
            return Ok(());
        }
        if self.fields.len() >= HEADER_FIELDS_MAX {
            return Err(MimeError::OverLimit("header fields"));
        }
        let colon = memchr::memchr(b':', line)
            .ok_or(MimeError::Malformed("a header line without a colon"))?;
        let name = line.get(..colon).unwrap_or_default();
        // RFC 5322 §4.5.8: obsolete syntax lets white space stand before the colon.
        let name_len = name.trim_ascii_end().len();
        let printable = name
            .iter()
            .take(name_len)
            .all(|octet| octet.is_ascii_graphic());
        if name_len == 0 || !printable {
            return Err(MimeError::Malformed("a header line without a field name"));
        }
        self.fields.push(Span {
            start,
            name_end: start + name_len,
            value: start + colon + 1,
            end,
        });
        Ok(())
    }

    /// The octets as they came, blank line included.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// All fields in order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.fields.iter().map(|span| {
            let part = |from, to| self.octets.get(from..to).unwrap_or_default();
            Field {
                name: std::str::from_utf8(part(span.start, span.name_end)).unwrap_or_default(),
                raw: part(span.start, span.end),
                value: part(span.value, span.end),
            }
        })
    }

    /// All fields of this name, in order.
    pub fn all<'h>(&'h self, name: &'h str) -> impl Iterator<Item = Field<'h>> {
        self.fields().filter(move |field| field.is(name))
    }

    /// The field of this name, if there is one.
    ///
    /// # Errors
    /// [`MimeError::Doubled`] if there are several (RFC 5322 §3.6).
    pub fn at_most_one<'h>(&'h self, name: &'h str) -> Result<Option<Field<'h>>, MimeError> {
        let mut found = self.all(name);
        let first = found.next();
        match found.next() {
            Some(_) => Err(MimeError::Doubled(name.to_owned())),
            None => Ok(first),
        }
    }

    /// The one field of this name.
    ///
    /// # Errors
    /// [`MimeError::Missing`] or [`MimeError::Doubled`].
    pub fn exactly_one<'h>(&'h self, name: &'h str) -> Result<Field<'h>, MimeError> {
        self.at_most_one(name)?
            .ok_or_else(|| MimeError::Missing(name.to_owned()))
    }

    /// Content-Type; text/plain if there is none (RFC 2045 §5.2).
    ///
    /// # Errors
    /// [`MimeError`] if it is doubled or cannot be read.
    pub fn content_type(&self) -> Result<ContentType, MimeError> {
        match self.at_most_one("Content-Type")? {
            Some(field) => ContentType::parse(&field.value()),
            None => Ok(ContentType::default()),
        }
    }

    /// Content-Disposition, if there is one.
    ///
    /// # Errors
    /// [`MimeError`] if it is doubled or cannot be read.
    pub fn disposition(&self) -> Result<Option<Disposition>, MimeError> {
        self.at_most_one("Content-Disposition")?
            .map(|field| Disposition::parse(&field.value()))
            .transpose()
    }

    /// Content-Transfer-Encoding, if there is one.
    ///
    /// # Errors
    /// [`MimeError`] if it is doubled or unknown.
    pub fn transfer_encoding(&self) -> Result<Option<TransferEncoding>, MimeError> {
        self.at_most_one("Content-Transfer-Encoding")?
            .map(|field| TransferEncoding::parse(&field.value()))
            .transpose()
    }
}

/// A line without the CRs and the LF at its end.
pub(super) fn trim_line_end(line: &[u8]) -> &[u8] {
    let mut content = line.strip_suffix(b"\n").unwrap_or(line);
    while let Some(shorter) = content.strip_suffix(b"\r") {
        content = shorter;
    }
    content
}

/// Appends one line, its LF included; nothing at the end of the stream. `out` stays within
/// [`HEADER_OCTETS_MAX`].
fn read_line(source: &mut impl BufRead, out: &mut Vec<u8>) -> Result<(), MimeError> {
    loop {
        let chunk = source.fill_buf()?;
        if chunk.is_empty() {
            return Ok(());
        }
        let (taken, ended) = match memchr::memchr(b'\n', chunk) {
            Some(at) => (at + 1, true),
            None => (chunk.len(), false),
        };
        if out.len() + taken > HEADER_OCTETS_MAX {
            return Err(MimeError::OverLimit("header octets"));
        }
        out.extend(chunk.iter().take(taken));
        source.consume(taken);
        if ended {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Header, MimeError> {
        Header::read(&mut text.as_bytes())
    }

    #[test]
    fn fields_are_found_in_any_case_and_unfolded() {
        let mut source: &[u8] =
            b"FROM: a@b.example\r\nSubject : one\r\n two\r\n\tthree\r\n\r\nbody";
        let header = Header::read(&mut source).expect("reads");
        assert_eq!(source, b"body");
        assert_eq!(
            header.exactly_one("subject").expect("one").value(),
            "one two\tthree"
        );
        assert_eq!(
            header.exactly_one("From").expect("one").raw(),
            b"FROM: a@b.example\r\n"
        );
        assert!(header.octets().ends_with(b"\r\n\r\n"));
        assert_eq!(header.at_most_one("To"), Ok(None));
    }

    #[test]
    fn line_ends_of_every_kind_are_read() {
        for text in [
            "A: 1\nB: 2\n\nx",
            "A: 1\r\nB: 2\r\n\r\nx",
            "A: 1\r\r\nB: 2\r\r\n\r\r\nx",
            "A: 1\r\nB: 2",
        ] {
            let header = read(text).expect("reads");
            assert_eq!(
                header.exactly_one("B").expect("one").value(),
                "2",
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for (text, why) in [
            ("A 1\r\n\r\n", "a header line without a colon"),
            (" folded\r\n\r\n", "the header begins with a folded line"),
            (": nameless\r\n\r\n", "a header line without a field name"),
            (
                "A: 1\rFrom: x@y.example\r\n\r\n",
                "a bare CR or NUL in a header field",
            ),
        ] {
            assert_eq!(read(text), Err(MimeError::Malformed(why)), "{text:?}");
        }
        assert_eq!(
            read("To: a\r\nto: b\r\n\r\n")
                .expect("reads")
                .exactly_one("To"),
            Err(MimeError::Doubled("To".into()))
        );
        assert_eq!(
            read("\r\n").expect("reads").exactly_one("To"),
            Err(MimeError::Missing("To".into()))
        );
    }

    #[test]
    fn a_run_of_crs_is_no_line_end() {
        let text = |crs: usize| format!("A: 1{}\nB: 2\r\n\r\n", "\r".repeat(crs));
        assert!(read(&text(4)).is_ok());
        for crs in [5, 70_000] {
            let why = Err(MimeError::Malformed("a line end of many CRs"));
            assert_eq!(read(&text(crs)), why, "{crs}");
        }
    }

    #[test]
    fn a_header_holds_its_limits_and_not_one_more() {
        let fields = |n: usize| "A: 1\r\n".repeat(n) + "\r\n";
        assert!(read(&fields(HEADER_FIELDS_MAX)).is_ok());
        assert_eq!(
            read(&fields(HEADER_FIELDS_MAX + 1)),
            Err(MimeError::OverLimit("header fields"))
        );
        let octets = |n: usize| format!("A: {}\r\n\r\n", "x".repeat(n - 7));
        assert!(read(&octets(HEADER_OCTETS_MAX)).is_ok());
        assert_eq!(
            read(&octets(HEADER_OCTETS_MAX + 1)),
            Err(MimeError::OverLimit("header octets"))
        );
    }
}
