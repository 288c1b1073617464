//! Content-Type and Content-Disposition: a value and its parameters.
//! In: an unfolded field value. Out: lower-case type words, parameter values with quotes, comments and
//! RFC 2231 undone. A parameter that occurs twice is refused: readers disagree on which one counts.

use crate::limits::MIME_PARAMETERS_MAX;

use super::MimeError;
use super::transfer::hex_pair;

/// A media type (RFC 2045 §5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType {
    kind: String,
    subtype: String,
    parameters: Vec<(String, String)>,
}

/// How a part wants to be shown (RFC 2183).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disposition {
    kind: String,
    parameters: Vec<(String, String)>,
}

impl Default for ContentType {
    /// RFC 2045 §5.2.
    fn default() -> Self {
        Self {
            kind: "text".to_owned(),
            subtype: "plain".to_owned(),
            parameters: Vec::new(),
        }
    }
}

impl ContentType {
    /// Reads a field value.
    ///
    /// # Errors
    /// [`MimeError`].
    pub fn parse(value: &str) -> Result<Self, MimeError> {
        let (word, parameters) = parse(value)?;
        let (kind, subtype) = word
            .split_once('/')
            .ok_or(MimeError::Malformed("a content type without a slash"))?;
        let (kind, subtype) = (kind.trim(), subtype.trim());
        if !is_token(kind) || !is_token(subtype) {
            return Err(MimeError::Malformed("a content type that is no token"));
        }
        Ok(Self {
            kind: kind.to_owned(),
            subtype: subtype.to_owned(),
            parameters,
        })
    }

    /// Whether it is this type; arguments in lower case.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind == kind && self.subtype == subtype
    }

    /// `text`, `multipart`, ... in lower case.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// In lower case.
    pub fn subtype(&self) -> &str {
        &self.subtype
    }

    /// A parameter's value; `name` in lower case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        find(&self.parameters, name)
    }

    /// The boundary of a multipart (RFC 2046 §5.1.1: 1 to 70 characters, not ending in a blank).
    ///
    /// # Errors
    /// [`MimeError::Malformed`].
    pub fn boundary(&self) -> Result<&str, MimeError> {
        let boundary = self
            .parameter("boundary")
            .ok_or(MimeError::Malformed("a multipart without a boundary"))?;
        let fine = (1..=70).contains(&boundary.len())
            && boundary.bytes().all(|octet| (b' '..=b'~').contains(&octet))
            && !boundary.ends_with(' ');
        if fine {
            Ok(boundary)
        } else {
            Err(MimeError::Malformed("a boundary that is none"))
        }
    }
}

impl Disposition {
    /// Reads a field value.
    ///
    /// # Errors
    /// [`MimeError`].
    pub fn parse(value: &str) -> Result<Self, MimeError> {
        let (kind, parameters) = parse(value)?;
        Ok(Self { kind, parameters })
    }

    /// `inline`, `attachment`, ... in lower case.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The file name it claims. Never to be used as a path.
    pub fn filename(&self) -> Option<&str> {
        find(&self.parameters, "filename")
    }
}

fn find<'p>(parameters: &'p [(String, String)], name: &str) -> Option<&'p str> {
    parameters
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

fn is_token(word: &str) -> bool {
    // RFC 2045 §5.1.
    !word.is_empty()
        && word
            .bytes()
            .all(|octet| octet.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&octet))
}

/// Splits `word; name=value; ...`; the word in lower case.
fn parse(value: &str) -> Result<(String, Vec<(String, String)>), MimeError> {
    let mut pieces = split_unquoted(&without_comments(value), ';')?.into_iter();
    let word = pieces
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let mut segments = Vec::new();
    for piece in pieces {
        if piece.trim().is_empty() {
            continue;
        }
        if segments.len() >= MIME_PARAMETERS_MAX {
            return Err(MimeError::OverLimit("parameters of one field"));
        }
        segments.push(Segment::parse(&piece)?);
    }
    Ok((word, join(segments)?))
}

/// One `name=value`, RFC 2231 §3 and §4 marks taken off the name.
struct Segment {
    name: String,
    index: Option<usize>,
    encoded: bool,
    value: String,
}

impl Segment {
    fn parse(piece: &str) -> Result<Self, MimeError> {
        let (name, value) = piece
            .split_once('=')
            .ok_or(MimeError::Malformed("a parameter without a value"))?;
        let name = name.trim().to_ascii_lowercase();
        if !is_token(&name) {
            return Err(MimeError::Malformed("a parameter name that is no token"));
        }
        let (name, encoded) = match name.strip_suffix('*') {
            Some(rest) => (rest.to_owned(), true),
            None => (name, false),
        };
        let (name, index) = match name.rsplit_once('*') {
            Some((rest, digits)) => {
                let index = digits
                    .parse()
                    .map_err(|_| MimeError::Malformed("a parameter with a broken number"))?;
                (rest.to_owned(), Some(index))
            }
            None => (name, None),
        };
        Ok(Self {
            name,
            index,
            encoded,
            value: unquote(value.trim()),
        })
    }

    fn octets(&self) -> Vec<u8> {
        if !self.encoded {
            return self.value.as_bytes().to_vec();
        }
        // charset'language'text stands in the first segment only (RFC 2231 §4.1).
        let text = match self.index {
            None | Some(0) => self.value.splitn(3, '\'').last().unwrap_or_default(),
            Some(_) => &self.value,
        };
        percent_decoded(text)
    }
}

/// Joins continuations in the order of their numbers; refuses what occurs twice or leaves a gap.
fn join(mut segments: Vec<Segment>) -> Result<Vec<(String, String)>, MimeError> {
    segments.sort_by(|a, b| (&a.name, a.index).cmp(&(&b.name, b.index)));
    let mut joined: Vec<(String, Vec<u8>, Option<usize>)> = Vec::new();
    for segment in segments {
        match joined.last_mut() {
            Some((name, octets, last)) if *name == segment.name => {
                let follows = matches!((*last, segment.index), (Some(a), Some(b)) if b == a + 1);
                if !follows {
                    return Err(MimeError::Malformed("a parameter that occurs twice"));
                }
                octets.extend(segment.octets());
                *last = segment.index;
            }
            _ if segment.index.is_some_and(|index| index != 0) => {
                return Err(MimeError::Malformed("a parameter without its beginning"));
            }
            _ => joined.push((segment.name.clone(), segment.octets(), segment.index)),
        }
    }
    Ok(joined
        .into_iter()
        .map(|(name, octets, _)| (name, String::from_utf8_lossy(&octets).into_owned()))
        .collect())
}

/// Undoes one quoted-string (RFC 5322 §3.2.4); anything else stays.
fn unquote(value: &str) -> String {
    let inner = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let Some(inner) = inner else {
        return value.to_owned();
    };
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        match (first, hex_pair(after)) {
            (b'%', Some(octet)) => {
                out.push(octet);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(first);
                rest = after;
            }
        }
    }
    out
}

/// Takes comments out (RFC 5322 §3.2.2), quoted strings left alone.
pub(super) fn without_comments(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for c in value.chars() {
        let was_escaped = std::mem::take(&mut escaped);
        if depth == 0 && !quoted && c == '(' || depth > 0 && !was_escaped && c == '(' {
            depth += 1;
            out.push(' ');
            continue;
        }
        escaped = c == '\\' && !was_escaped && (quoted || depth > 0);
        if depth > 0 {
            if c == ')' && !was_escaped {
                depth -= 1;
            }
            continue;
        }
        if c == '"' && !was_escaped {
            quoted = !quoted;
        }
        out.push(c);
    }
    out
}

/// Splits at `separator` outside quoted strings.
///
/// # Errors
/// [`MimeError::Malformed`] if a quoted string does not end.
pub(super) fn split_unquoted(value: &str, separator: char) -> Result<Vec<String>, MimeError> {
    let mut pieces = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for c in value.chars() {
        let was_escaped = std::mem::take(&mut escaped);
        if c == separator && !quoted {
            pieces.push(String::new());
            continue;
        }
        escaped = quoted && c == '\\' && !was_escaped;
        if c == '"' && !was_escaped {
            quoted = !quoted;
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
    }
    if quoted {
        return Err(MimeError::Malformed("a quoted string that does not end"));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_is_read_whatever_its_spelling() {
        for text in [
            "multipart/signed; boundary=\"a;b\\\"c\"; micalg=sha-256",
            "Multipart / SIGNED ; BOUNDARY = \"a;b\\\"c\" ;micalg=\"sha-256\";",
            "multipart/signed (not \"this\"); boundary=\"a;b\\\"c\"; micalg=sha-256 (nor (that))",
        ] {
            let read = ContentType::parse(text).expect(text);
            assert!(read.is("multipart", "signed"), "{text}");
            assert_eq!(read.boundary(), Ok("a;b\"c"), "{text}");
            assert_eq!(read.parameter("micalg"), Some("sha-256"), "{text}");
        }
        let part = ContentType::parse("multipart/mixed; boundary=----=_Part_1.2").expect("reads");
        assert_eq!(part.boundary(), Ok("----=_Part_1.2"));
    }

    #[test]
    fn rfc_2231_names_are_put_together() {
        let split = "attachment; filename*1=\"7m\"; filename*0=\"smime.p\"";
        assert_eq!(
            Disposition::parse(split).expect("reads").filename(),
            Some("smime.p7m")
        );
        let coded = "attachment; filename*=utf-8'en'r%C3%B6ntgen.pdf";
        assert_eq!(
            Disposition::parse(coded).expect("reads").filename(),
            Some("röntgen.pdf")
        );
    }

    #[test]
    fn ambiguous_or_broken_types_are_refused() {
        for text in [
            "multipart/signed; boundary=a; boundary=b",
            "multipart/signed; boundary=a; Boundary*=utf-8''b",
            "multipart",
            "multipart/",
            "text/plain; charset",
            "text/plain; name=\"x",
            "text/plain; name*1=x",
        ] {
            assert!(ContentType::parse(text).is_err(), "{text}");
        }
        let many = "text/plain".to_owned() + &"; a=b".repeat(MIME_PARAMETERS_MAX + 1);
        assert_eq!(
            ContentType::parse(&many),
            Err(MimeError::OverLimit("parameters of one field"))
        );
        for boundary in ["", "\"x \"", &"x".repeat(71)] {
            let read = ContentType::parse(&format!("multipart/mixed; boundary={boundary}"));
            assert!(
                read.is_ok_and(|read| read.boundary().is_err()),
                "{boundary}"
            );
        }
    }
}
