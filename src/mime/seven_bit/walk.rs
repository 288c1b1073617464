//! Walks a message part by part, line by line, without recursion.
//! In: a canonical (CRLF) stream. Out: calls to a [`Visitor`] in the order of the octets.

use std::io::BufRead;

use crate::limits::{BOUNDARY_PADDING_MAX, HEADER_OCTETS_MAX, MIME_DEPTH_MAX};

use super::super::{ContentType, Header, MimeError, TransferEncoding};

/// Longest piece of a line that is looked at as a whole; a boundary line with its padding fits.
const PIECE_MAX: usize = 4_096;

/// The entity that the walk is in.
#[derive(Clone, Debug)]
pub(super) struct Entity {
    /// Its number, in the order of headers.
    pub index: usize,
    /// multipart/*, or message/rfc822 as it is.
    pub composite: bool,
    /// text/* or message/*.
    pub text: bool,
    pub encoding: TransferEncoding,
    /// Within multipart/signed or multipart/encrypted.
    pub signed: bool,
}

/// Some octets of one line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'l> {
    /// Without the line end.
    pub octets: &'l [u8],
    /// Octets of this line, this piece included.
    pub line_so_far: usize,
    /// Whether CRLF follows.
    pub ends_line: bool,
}

pub(super) trait Visitor {
    fn header(&mut self, entity: &Entity, header: &Header) -> Result<(), MimeError>;
    fn body(&mut self, entity: &Entity, piece: &Piece<'_>) -> Result<(), MimeError>;
    /// A boundary line, without its line end.
    fn boundary(&mut self, line: &[u8]) -> Result<(), MimeError>;
    fn end(&mut self) -> Result<(), MimeError>;
}

/// What encloses the entity.
enum Level {
    /// `--boundary`.
    Multipart {
        boundary: String,
        signed: bool,
    },
    Message,
}

enum State {
    Header(Vec<u8>),
    Body(Entity),
}

struct Walk {
    levels: Vec<Level>,
    state: State,
    entities: usize,
}

/// Walks.
///
/// # Errors
/// [`MimeError`]: of the source, the grammar, a limit, or the visitor.
pub(super) fn walk(mut source: impl BufRead, visitor: &mut impl Visitor) -> Result<(), MimeError> {
    let mut walk = Walk {
        levels: Vec::new(),
        state: State::Header(Vec::new()),
        entities: 0,
    };
    let mut line = Vec::new();
    let mut passed = 0;
    while next_piece(&mut source, &mut line)? {
        let content = line.strip_suffix(b"\r\n");
        let octets = content.unwrap_or(&line);
        let whole = passed == 0 && line.len() < PIECE_MAX;
        passed += octets.len();
        let piece = Piece {
            octets,
            line_so_far: passed,
            ends_line: content.is_some(),
        };
        walk.take(whole, &piece, visitor)?;
        if piece.ends_line {
            passed = 0;
        }
        line.clear();
    }
    if let State::Header(octets) = &mut walk.state {
        let octets = std::mem::take(octets);
        walk.end_header(&octets, visitor)?;
    }
    visitor.end()
}

/// Appends up to a line end, or [`PIECE_MAX`] octets; false at the end of the stream.
fn next_piece(source: &mut impl BufRead, line: &mut Vec<u8>) -> Result<bool, MimeError> {
    loop {
        let chunk = source.fill_buf()?;
        // A CR is never the last octet of a piece: its LF comes with it.
        let room = PIECE_MAX.saturating_sub(line.len());
        if chunk.is_empty() || (room == 0 && !line.ends_with(b"\r")) {
            return Ok(!line.is_empty());
        }
        let window = chunk
            .get(..chunk.len().min(room.max(1)))
            .unwrap_or_default();
        let until = memchr::memchr(b'\n', window);
        let taken = until.map_or(window.len(), |at| at + 1);
        line.extend(window.iter().take(taken));
        source.consume(taken);
        if until.is_some() {
            return Ok(true);
        }
    }
}

impl Walk {
    fn take(
        &mut self,
        whole: bool,
        piece: &Piece<'_>,
        visitor: &mut impl Visitor,
    ) -> Result<(), MimeError> {
        if whole && let Some((level, last)) = self.boundary_level(piece.octets) {
            return self.at_boundary(level, last, piece.octets, visitor);
        }
        match &mut self.state {
            State::Body(entity) => visitor.body(entity, piece),
            State::Header(octets) => {
                if octets.len() + piece.octets.len() > HEADER_OCTETS_MAX {
                    return Err(MimeError::OverLimit("header octets"));
                }
                octets.extend(piece.octets);
                if piece.ends_line {
                    octets.extend(b"\r\n");
                }
                if whole && piece.octets.is_empty() {
                    let octets = std::mem::take(octets);
                    self.end_header(&octets, visitor)?;
                }
                Ok(())
            }
        }
    }

    /// The innermost level whose boundary this line is, and whether it closes it.
    fn boundary_level(&self, line: &[u8]) -> Option<(usize, bool)> {
        if !line.starts_with(b"--") {
            return None;
        }
        let text = line.trim_ascii_end();
        if line.len() - text.len() > BOUNDARY_PADDING_MAX {
            return None;
        }
        self.levels
            .iter()
            .enumerate()
            .rev()
            .find_map(|(at, level)| {
                let Level::Multipart { boundary, .. } = level else {
                    return None;
                };
                match text.strip_prefix(boundary.as_bytes())? {
                    b"" => Some((at, false)),
                    b"--" => Some((at, true)),
                    _ => None,
                }
            })
    }

    fn at_boundary(
        &mut self,
        level: usize,
        last: bool,
        line: &[u8],
        visitor: &mut impl Visitor,
    ) -> Result<(), MimeError> {
        if let State::Header(octets) = &mut self.state {
            let octets = std::mem::take(octets);
            self.end_header(&octets, visitor)?;
        }
        visitor.boundary(line)?;
        self.levels.truncate(if last { level } else { level + 1 });
        self.state = if last {
            // What follows is the epilogue, of nobody's interest.
            State::Body(Entity {
                index: usize::MAX,
                composite: true,
                text: true,
                encoding: TransferEncoding::Identity,
                signed: self.under_signature(),
            })
        } else {
            State::Header(Vec::new())
        };
        Ok(())
    }

    fn under_signature(&self) -> bool {
        self.levels
            .iter()
            .any(|level| matches!(level, Level::Multipart { signed: true, .. }))
    }

    fn end_header(&mut self, octets: &[u8], visitor: &mut impl Visitor) -> Result<(), MimeError> {
        let header = Header::read(&mut &*octets)?;
        let content_type = header.content_type()?;
        let encoding = header
            .transfer_encoding()?
            .unwrap_or(TransferEncoding::Identity);
        let level = level_of(&content_type, encoding)?;
        let entity = Entity {
            index: self.entities,
            composite: level.is_some(),
            text: matches!(content_type.kind(), "text" | "message"),
            encoding,
            signed: self.under_signature(),
        };
        self.entities += 1;
        visitor.header(&entity, &header)?;
        let is_message = matches!(level, Some(Level::Message));
        if let Some(level) = level {
            if self.levels.len() >= MIME_DEPTH_MAX {
                return Err(MimeError::OverLimit("MIME nesting"));
            }
            self.levels.push(level);
        }
        self.state = if is_message {
            State::Header(Vec::new())
        } else {
            State::Body(entity)
        };
        Ok(())
    }
}

fn level_of(
    content_type: &ContentType,
    encoding: TransferEncoding,
) -> Result<Option<Level>, MimeError> {
    if content_type.kind() == "multipart" {
        return Ok(Some(Level::Multipart {
            boundary: format!("--{}", content_type.boundary()?),
            signed: matches!(content_type.subtype(), "signed" | "encrypted"),
        }));
    }
    // An encoded message/rfc822 breaks RFC 2046 §5.2.1; it is left as the octets it is.
    let message = content_type.is("message", "rfc822") && encoding == TransferEncoding::Identity;
    Ok(message.then_some(Level::Message))
}
