//! Encodes the lines of one leaf part.
//! In: pieces of lines. Out: 7-bit lines of at most 76 characters, written to a sink.

use std::io::Write;

use super::super::{Base64Lines, TransferEncoding};
use super::walk::Entity;

/// Octets of an output line before its soft break (RFC 2045 §6.7 rule 5).
const QUOTED_LINE_MAX: usize = 75;
const BASE64_LINE_MAX: usize = 76;

/// How the leaf at hand is written.
pub(super) enum Encoder {
    /// As it is.
    Copy,
    /// 8-bit or long-line text.
    Quoted { column: usize },
    /// Anything else that is 8-bit or has long lines.
    Base64(Base64Lines<Vec<u8>>),
    /// base64 already, in lines too long.
    ReflowBase64 { column: usize },
    /// quoted-printable already, in lines too long; up to two octets of an escape are held.
    ReflowQuoted { column: usize, held: Vec<u8> },
}

impl Encoder {
    /// For an unfit leaf: the encoder, and the new Content-Transfer-Encoding if it changes.
    pub(super) fn choose(entity: &Entity) -> (Self, Option<&'static str>) {
        match entity.encoding {
            TransferEncoding::Base64 => (Self::ReflowBase64 { column: 0 }, None),
            TransferEncoding::QuotedPrintable => {
                let held = Vec::new();
                (Self::ReflowQuoted { column: 0, held }, None)
            }
            TransferEncoding::Identity if entity.text => {
                (Self::Quoted { column: 0 }, Some("quoted-printable"))
            }
            TransferEncoding::Identity => {
                (Self::Base64(Base64Lines::new(Vec::new())), Some("base64"))
            }
        }
    }

    /// Octets of a line.
    pub(super) fn text(
        &mut self,
        octets: &[u8],
        ends_line: bool,
        sink: &mut impl Write,
    ) -> std::io::Result<()> {
        match self {
            Self::Copy => sink.write_all(octets),
            Self::Quoted { column } => quote(octets, column, sink),
            Self::Base64(lines) => {
                lines.write_all(octets)?;
                lines.drain_into(sink)
            }
            Self::ReflowBase64 { column } => reflow_base64(octets, column, sink),
            Self::ReflowQuoted { column, held } => {
                reflow_quoted(octets, ends_line, column, held, sink)
            }
        }
    }

    /// A line end within the content.
    pub(super) fn line_end(&mut self, sink: &mut impl Write) -> std::io::Result<()> {
        match self {
            Self::Copy => sink.write_all(b"\r\n"),
            Self::Base64(lines) => lines.write_all(b"\r\n"),
            Self::ReflowBase64 { .. } => Ok(()),
            Self::Quoted { column } | Self::ReflowQuoted { column, .. } => {
                *column = 0;
                sink.write_all(b"\r\n")
            }
        }
    }

    /// Writes what is held; tells whether the output still needs a line end before a boundary.
    pub(super) fn finish(self, sink: &mut impl Write) -> std::io::Result<bool> {
        match self {
            Self::Copy | Self::Quoted { .. } => Ok(true),
            Self::Base64(lines) => {
                sink.write_all(&lines.finish()?)?;
                Ok(false)
            }
            Self::ReflowBase64 { column } => {
                if column > 0 {
                    sink.write_all(b"\r\n")?;
                }
                Ok(false)
            }
            Self::ReflowQuoted { held, .. } => {
                sink.write_all(&held)?;
                Ok(true)
            }
        }
    }
}

fn quote(octets: &[u8], column: &mut usize, sink: &mut impl Write) -> std::io::Result<()> {
    let mut out = Vec::with_capacity(octets.len() * 3);
    let last = octets.len().saturating_sub(1);
    for (at, &octet) in octets.iter().enumerate() {
        // RFC 2045 §6.7 rules 2 and 3: blanks at the end of a line are encoded. A piece that is not the
        // end of its line may be followed by the line end alone, so its last blank is encoded too.
        let plain = matches!(octet, b'!'..=b'<' | b'>'..=b'~')
            || (matches!(octet, b' ' | b'\t') && at != last);
        let width = if plain { 1 } else { 3 };
        if *column + width > QUOTED_LINE_MAX {
            out.extend(b"=\r\n");
            *column = 0;
        }
        if plain {
            out.push(octet);
        } else {
            write!(out, "={octet:02X}")?;
        }
        *column += width;
    }
    sink.write_all(&out)
}

fn reflow_base64(octets: &[u8], column: &mut usize, sink: &mut impl Write) -> std::io::Result<()> {
    let mut out = Vec::with_capacity(octets.len() + octets.len() / 32 + 2);
    for &octet in octets.iter().filter(|octet| !octet.is_ascii_whitespace()) {
        if *column == BASE64_LINE_MAX {
            out.extend(b"\r\n");
            *column = 0;
        }
        out.push(octet);
        *column += 1;
    }
    sink.write_all(&out)
}

fn reflow_quoted(
    octets: &[u8],
    ends_line: bool,
    column: &mut usize,
    held: &mut Vec<u8>,
    sink: &mut impl Write,
) -> std::io::Result<()> {
    let mut out = Vec::with_capacity(octets.len() + octets.len() / 32 + 4);
    for &octet in octets {
        held.push(octet);
        let token = if held.first() == Some(&b'=') { 3 } else { 1 };
        if held.len() < token {
            continue;
        }
        if *column + token > QUOTED_LINE_MAX {
            out.extend(b"=\r\n");
            *column = 0;
        }
        out.append(held);
        *column += token;
    }
    if ends_line {
        // A soft line break, or a broken escape that stays what it is.
        out.append(held);
    }
    sink.write_all(&out)
}
