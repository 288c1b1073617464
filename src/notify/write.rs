//! How reports are put on paper. In: addresses, ids, plain words. Out: an RFC 5322 message in canonical form: CRLF, 7-bit
//! ASCII, no line over 998 octets. Never writes a value that could end its own line.

use crate::envelope::{Address, MessageId, TrackingId};
use crate::world::World;

/// RFC 5322 §2.1.1: lines should be this long at most.
const LINE_WISH: usize = 78;
/// RFC 5322 §2.1.1: lines must be this long at most.
const LINE_MAX: usize = 998;

/// Header fields, or the fields of a report part (they have the same form: RFC 8098 §3.1, RFC 3464 §2.1.1).
#[derive(Debug, Default)]
pub(super) struct Fields(String);

impl Fields {
    /// A field of words; folded between them.
    pub(super) fn words(&mut self, name: &str, value: &str) -> &mut Self {
        self.0.push_str(name);
        self.0.push(':');
        let mut column = name.len() + 1;
        for word in printable(value).split(' ').filter(|word| !word.is_empty()) {
            if column + 1 + word.len() > LINE_WISH {
                self.0.push_str("\r\n");
                column = 0;
            }
            self.0.push(' ');
            self.0.push_str(word);
            column += 1 + word.len();
        }
        self.end()
    }

    /// A field of one piece (an address, an id); if it is long it stands on a line of its own.
    pub(super) fn piece(&mut self, name: &str, value: &str) -> &mut Self {
        self.whole(name, value, LINE_WISH)
    }

    /// A field that peers compare as a line: never folded while RFC 5322 allows the line at all. ETT compares Disposition and
    /// Original-Message-ID octet by octet.
    pub(super) fn line(&mut self, name: &str, value: &str) -> &mut Self {
        self.whole(name, value, LINE_MAX)
    }

    /// A field that says all by being there.
    pub(super) fn bare(&mut self, name: &str) -> &mut Self {
        self.0.push_str(name);
        self.0.push(':');
        self.end()
    }

    /// An empty line: the next recipient of a delivery status begins (RFC 3464 §2.1).
    pub(super) fn next_group(&mut self) -> &mut Self {
        self.end()
    }

    /// A `Content-Type` with its parameters, each part on a line of its own. The caller's words, no input.
    fn parameters(&mut self, name: &str, value: &str, parameters: &[String]) -> &mut Self {
        self.0.push_str(&format!("{name}: {value}"));
        for parameter in parameters {
            self.0.push_str(&format!(";\r\n {parameter}"));
        }
        self.end()
    }

    fn whole(&mut self, name: &str, value: &str, longest: usize) -> &mut Self {
        let value = printable(value);
        let gap = if name.len() + 2 + value.len() > longest {
            "\r\n "
        } else {
            " "
        };
        self.0.push_str(&format!("{name}:{gap}{value}"));
        self.end()
    }

    fn end(&mut self) -> &mut Self {
        self.0.push_str("\r\n");
        self
    }

    pub(super) fn text(self) -> String {
        self.0
    }
}

/// One body part.
pub(super) struct Part {
    pub(super) content_type: &'static str,
    pub(super) text: String,
}

/// What the header of a report says.
pub(super) struct Head<'a> {
    pub(super) from: &'a Address,
    pub(super) to: &'a Address,
    pub(super) message_id: &'a MessageId,
    /// The message that is reported on.
    pub(super) about: &'a MessageId,
    pub(super) subject: String,
    /// `disposition-notification` or `delivery-status`.
    pub(super) report_type: &'static str,
}

/// The whole message: multipart/report (RFC 6522). Never asks for a notification itself (RFC 8098 §2.1, ETT DTS 452), and
/// says that a machine wrote it (RFC 3834 §5), so that nobody's machine answers (B-032).
pub(super) fn report(head: &Head<'_>, parts: &[Part], world: &World) -> Vec<u8> {
    // Cannot be guessed, so that no quoted word can be a boundary; letters, digits and one hyphen (ETT DTS 137-140).
    let boundary = format!("carepost-{}", TrackingId::new(world)).to_ascii_lowercase();
    let mut fields = Fields::default();
    fields
        .piece("From", &header_address(head.from))
        .piece("To", &header_address(head.to))
        .piece("Date", &world.now().rfc5322())
        .piece("Message-ID", head.message_id.as_str())
        .words("Subject", &head.subject)
        .piece("In-Reply-To", head.about.as_str())
        .piece("References", head.about.as_str())
        .piece("Auto-Submitted", "auto-replied")
        .piece("MIME-Version", "1.0")
        .parameters(
            "Content-Type",
            "multipart/report",
            &[
                format!("report-type={}", head.report_type),
                format!("boundary=\"{boundary}\""),
            ],
        )
        .piece("Content-Transfer-Encoding", "7bit");
    let mut out = fields.text();
    for part in parts {
        out.push_str(&format!(
            "\r\n--{boundary}\r\nContent-Type: {}\r\nContent-Transfer-Encoding: 7bit\r\n\r\n{}",
            part.content_type, part.text
        ));
    }
    out.push_str(&format!("\r\n--{boundary}--\r\n"));
    out.into_bytes()
}

/// Paragraphs for people, wrapped, an empty line between them.
pub(super) fn paragraphs(texts: &[String]) -> Part {
    let wrapped: Vec<String> = texts
        .iter()
        .filter(|text| !text.trim().is_empty())
        .map(|text| wrap(text))
        .collect();
    Part {
        content_type: "text/plain; charset=us-ascii",
        text: wrapped.join("\r\n"),
    }
}

fn wrap(text: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in printable(text).split(' ').filter(|word| !word.is_empty()) {
        // A word longer than a line may be is cut: such a word is no word, and RFC 5322 §2.1.1 must hold.
        for piece in chunks(word, LINE_MAX) {
            if column > 0 && column + 1 + piece.len() > LINE_WISH {
                out.push_str("\r\n");
                column = 0;
            } else if column > 0 {
                out.push(' ');
                column += 1;
            }
            out.push_str(piece);
            column += piece.len();
        }
    }
    out.push_str("\r\n");
    out
}

fn chunks(ascii: &str, size: usize) -> impl Iterator<Item = &str> {
    let mut rest = ascii;
    std::iter::from_fn(move || {
        let (head, tail) = rest.split_at_checked(size).unwrap_or((rest, ""));
        rest = tail;
        (!head.is_empty()).then_some(head)
    })
}

/// Printable ASCII on one line: control characters become blanks, the rest of Unicode `?`.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            ' '..='~' => c,
            _ if c.is_control() || c.is_whitespace() => ' ',
            _ => '?',
        })
        .collect()
}

/// The first `most` characters of printable text.
pub(super) fn bounded(text: &str, most: usize) -> String {
    printable(text).trim().chars().take(most).collect()
}

/// An address in ASCII: the domain as A-labels if it was written otherwise. None if the local part is not ASCII.
fn ascii_address(address: &Address) -> Option<String> {
    if address.written().is_ascii() {
        return Some(address.written().to_owned());
    }
    let local = address.local();
    local
        .is_ascii()
        .then(|| format!("{local}@{}", address.domain()))
}

/// For From and To. A local part outside ASCII cannot stand in a 7-bit header; an empty group says so (RFC 6857 §3.1.8).
fn header_address(address: &Address) -> String {
    ascii_address(address).unwrap_or_else(|| "internationalized address removed:;".to_owned())
}

/// For people.
pub(super) fn shown_address(address: &Address) -> String {
    ascii_address(address).unwrap_or_else(|| printable(address.written()))
}

/// For Original-Recipient and Final-Recipient: `rfc822;a@b` without a blank (ETT DTS 454, 460), or the escaped form of
/// RFC 6533 §3 for a local part outside ASCII.
pub(super) fn typed_address(address: &Address) -> String {
    ascii_address(address).map_or_else(
        || {
            let escaped: String = address
                .local()
                .chars()
                .map(|c| match c {
                    '!'..='~' if c != '\\' && c != '+' && c != '=' => c.to_string(),
                    _ => format!("\\x{{{:02X}}}", u32::from(c)),
                })
                .collect();
            format!("utf-8;{escaped}@{}", address.domain())
        },
        |ascii| format!("rfc822;{ascii}"),
    )
}

/// A host's name: letters, digits, dots, hyphens; anything else is dropped (ETT DTS 457).
pub(super) fn host_name(host: &str) -> String {
    let name: String = host
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
        .collect();
    if name.is_empty() {
        "carepost".to_owned()
    } else {
        name
    }
}

/// `the clinic was closed` -> `The clinic was closed.`
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.trim().chars();
    let Some(first) = chars.next() else {
        return String::new();
    };
    let end = if text.trim_end().ends_with(['.', '?', '!']) {
        ""
    } else {
        "."
    };
    format!("{}{}{end}", first.to_ascii_uppercase(), chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_end_its_line() {
        let mut fields = Fields::default();
        fields
            .words("A", "x\r\nInjected: y\0\u{fc}")
            .line("B", "x\rInjected: y")
            .piece("C", "x\nInjected: y");
        assert_eq!(
            fields.text(),
            "A: x Injected: y ?\r\nB: x Injected: y\r\nC: x Injected: y\r\n"
        );
    }

    #[test]
    fn long_fields_fold_where_they_may_and_only_there() {
        let long = "x".repeat(80);
        let mut fields = Fields::default();
        fields
            .words("W", &format!("a {long} b"))
            .piece("P", &long)
            .line("L", &long);
        assert_eq!(
            fields.text(),
            format!("W: a\r\n {long}\r\n b\r\nP:\r\n {long}\r\nL: {long}\r\n")
        );
        // RFC 5322's own limit is stronger than any comparison.
        let mut fields = Fields::default();
        fields.line("Original-Message-ID", &"x".repeat(998));
        assert!(fields.text().lines().all(|line| line.len() <= 999));
    }

    #[test]
    fn people_read_lines_that_fit() {
        let part = paragraphs(&["word ".repeat(60), String::new(), "y".repeat(2_500)]);
        assert!(part.text.split("\r\n").all(|line| line.len() <= LINE_MAX));
        assert!(part.text.starts_with("word word"));
        assert!(part.text.contains("word\r\n\r\nyyy"));
        assert_eq!(
            sentence("it is tried again by itself"),
            "It is tried again by itself."
        );
    }

    #[test]
    fn addresses_outside_ascii_are_escaped() {
        let domain = Address::parse("a@kr\u{e4}uter.example").expect("parses");
        assert_eq!(typed_address(&domain), "rfc822;a@xn--kruter-cua.example");
        let local = Address::parse("\u{e4}+b@d.example").expect("parses");
        assert_eq!(typed_address(&local), "utf-8;\\x{E4}\\x{2B}b@d.example");
        assert!(header_address(&local).is_ascii());
    }
}
