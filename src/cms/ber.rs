//! A bounded pull reader of BER (X.690 §8). In: octets from any source, in any chunks, made by anyone.
//! Out: one element at a time, written again as DER, passed over, or (strings of any size) streamed.
//! Promised: nesting, lengths and the octets of everything but streamed strings are bounded; nothing is
//! allocated because a length field says so; no element outgrows what holds it. Never done here: meaning.
//! What an element should be is asked by the caller.

use std::io::{ErrorKind, Read};

use super::CmsError;
use super::der::{Walker, put};
use crate::limits::{ASN1_DEPTH_MAX, PIECE};

/// Octets read from the source at once.
const BUFFER: usize = PIECE;
/// The bit of a tag that says "constructed".
const CONSTRUCTED: u8 = 0x20;
const OCTET_STRING: u8 = 0x04;

#[derive(Clone, Copy)]
enum Length {
    Definite(u64),
    Indefinite,
}

#[derive(Clone, Copy)]
struct Header {
    tag: u8,
    length: Length,
}

/// An element that was entered.
struct Frame {
    /// Offset that nothing inside may pass: its own end, or that of what holds it if its length is
    /// indefinite.
    bound: u64,
    definite: bool,
    /// Its end-of-contents octets were read.
    ended: bool,
}

/// The reader.
pub(super) struct Reader<R> {
    source: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Octets taken so far.
    offset: u64,
    /// Offset at which the budget is used up.
    limit: u64,
    limit_name: &'static str,
    frames: Vec<Frame>,
    /// A header that was read, its content not yet.
    header: Option<Header>,
    /// The string that is streamed: frames below it, octets left of its current segment.
    string_floor: usize,
    segment: u64,
}

impl<R: Read> Reader<R> {
    /// Reads `source`, at most `limit` octets until [`Reader::allow`] says otherwise.
    pub fn new(source: R, limit: usize, limit_name: &'static str) -> Self {
        let mut reader = Self {
            source,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
            offset: 0,
            limit: 0,
            limit_name,
            frames: Vec::new(),
            header: None,
            string_floor: 0,
            segment: 0,
        };
        reader.allow(limit, limit_name);
        reader
    }

    /// From here on at most `limit` octets are read other than streamed ones.
    pub fn allow(&mut self, limit: usize, limit_name: &'static str) {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        self.limit = self.offset.saturating_add(limit);
        self.limit_name = limit_name;
    }

    /// The tag of the next element, or None at the end of the element that was entered last.
    pub fn peek(&mut self) -> Result<Option<u8>, CmsError> {
        if let Some(header) = self.header {
            return Ok(Some(header.tag));
        }
        if self.at_end() {
            return Ok(None);
        }
        let header = self.read_header()?;
        if header.tag == 0 {
            return self.end_of_contents(header).map(|()| None);
        }
        if let Length::Definite(length) = header.length {
            let end = self.offset.checked_add(length);
            if end.is_none_or(|end| end > self.bound()) {
                return Err(OUTGROWS);
            }
        }
        self.header = Some(header);
        Ok(Some(header.tag))
    }

    /// The length of the element that [`Reader::peek`] found; None if it is indefinite.
    pub fn peeked_length(&self) -> Option<u64> {
        match self.header?.length {
            Length::Definite(length) => Some(length),
            Length::Indefinite => None,
        }
    }

    /// Goes into the next element, which must be constructed and have this tag.
    pub fn enter(&mut self, tag: u8, what: &'static str) -> Result<(), CmsError> {
        if tag & CONSTRUCTED == 0 || self.peek()? != Some(tag) {
            return Err(CmsError::Malformed(what));
        }
        if self.frames.len() >= ASN1_DEPTH_MAX {
            return Err(CmsError::OverLimit("nesting of ASN.1"));
        }
        let header = self.header.take().ok_or(CmsError::Malformed(what))?;
        let frame = match header.length {
            Length::Definite(length) => Frame {
                bound: self.offset.saturating_add(length),
                definite: true,
                ended: false,
            },
            Length::Indefinite => Frame {
                bound: self.bound(),
                definite: false,
                ended: false,
            },
        };
        self.frames.push(frame);
        Ok(())
    }

    /// Leaves the element that was entered last, which must be at its end.
    pub fn leave(&mut self, what: &'static str) -> Result<(), CmsError> {
        if self.peek()?.is_some() || self.frames.pop().is_none() {
            return Err(CmsError::Malformed(what));
        }
        Ok(())
    }

    /// Checks that everything was left and the source is at its end.
    pub fn end(&mut self) -> Result<(), CmsError> {
        if !self.frames.is_empty() || self.header.is_some() {
            return Err(CmsError::Malformed("it is not at its end"));
        }
        if self.start < self.end || self.fill()? {
            return Err(CmsError::Malformed("something follows the structure"));
        }
        Ok(())
    }

    /// The content of the next element, which must be primitive and have this tag.
    pub fn primitive(&mut self, tag: u8, what: &'static str) -> Result<Vec<u8>, CmsError> {
        if tag & CONSTRUCTED != 0 || self.peek()? != Some(tag) {
            return Err(CmsError::Malformed(what));
        }
        let length = self.take_definite(what)?;
        let mut content = Vec::new();
        self.take(length, &mut content)?;
        Ok(content)
    }

    /// The next element as DER: definite minimal lengths, OCTET STRINGs in one piece. The order of a SET
    /// is left as it is.
    pub fn der(&mut self, what: &'static str) -> Result<Vec<u8>, CmsError> {
        let mut out = Vec::new();
        self.append_der(&mut out, what)?;
        Ok(out)
    }

    fn append_der(&mut self, out: &mut Vec<u8>, what: &'static str) -> Result<(), CmsError> {
        let tag = self.peek()?.ok_or(CmsError::Malformed(what))?;
        if tag & CONSTRUCTED == 0 {
            let content = self.primitive(tag, what)?;
            put(out, tag, &content);
            return Ok(());
        }
        let mut inner = Vec::new();
        self.enter(tag, what)?;
        // The depth of this recursion is that of `frames`, which `enter` bounds.
        while self.peek()?.is_some() {
            self.append_der(&mut inner, what)?;
        }
        self.leave(what)?;
        if tag == OCTET_STRING | CONSTRUCTED {
            put(out, OCTET_STRING, &join(&inner)?);
        } else {
            put(out, tag, &inner);
        }
        Ok(())
    }

    /// The next element with its content octet for octet, for what was signed as it is (a certificate).
    /// Only if its own length is indefinite it is written again as DER.
    pub fn verbatim(&mut self, what: &'static str) -> Result<Vec<u8>, CmsError> {
        let tag = self.peek()?.ok_or(CmsError::Malformed(what))?;
        if let Some(Header { length, .. }) = self.header
            && matches!(length, Length::Indefinite)
        {
            return self.der(what);
        }
        let length = self.take_definite(what)?;
        let mut content = Vec::new();
        self.take(length, &mut content)?;
        let mut out = Vec::new();
        put(&mut out, tag, &content);
        Ok(out)
    }

    /// Passes over the next element.
    pub fn skip(&mut self, what: &'static str) -> Result<(), CmsError> {
        let tag = self.peek()?.ok_or(CmsError::Malformed(what))?;
        if let Some(Header { length, .. }) = self.header
            && let Length::Definite(length) = length
        {
            self.header = None;
            return self.discard(length);
        }
        self.enter(tag, what)?;
        while self.peek()?.is_some() {
            self.skip(what)?;
        }
        self.leave(what)
    }

    /// Starts streaming the next element: an OCTET STRING with this (primitive) tag, in one piece or in
    /// segments (X.690 §8.7.3). The budget ends here: whoever made the source bounds what is streamed.
    /// [`Reader::allow`] sets the next one.
    pub fn open_string(&mut self, tag: u8, what: &'static str) -> Result<(), CmsError> {
        let found = self.peek()?;
        self.string_floor = self.frames.len();
        self.segment = 0;
        self.limit = u64::MAX;
        match found {
            Some(found) if found == tag => {
                self.segment = self.take_definite(what)?;
                Ok(())
            }
            Some(found) if found == tag | CONSTRUCTED => self.enter(found, what),
            _ => Err(CmsError::Malformed(what)),
        }
    }

    /// Some octets of the string that was opened; 0 at its end.
    pub fn read_string(&mut self, out: &mut [u8]) -> Result<usize, CmsError> {
        if out.is_empty() {
            return Ok(0);
        }
        while self.segment == 0 {
            if !self.next_segment()? {
                return Ok(0);
            }
        }
        let wanted = usize::try_from(self.segment).unwrap_or(usize::MAX);
        let room = out.len().min(wanted);
        let out = out.get_mut(..room).unwrap_or_default();
        let taken = self.copy_some(out)?;
        let streamed = u64::try_from(taken).unwrap_or(u64::MAX);
        self.segment = self.segment.saturating_sub(streamed);
        Ok(taken)
    }

    /// Ends the streamed string; nothing of it may be left unread.
    pub fn close_string(&mut self) -> Result<(), CmsError> {
        while self.segment == 0 {
            if !self.next_segment()? {
                return Ok(());
            }
        }
        Err(CmsError::Malformed("the content was not read to its end"))
    }

    /// Passes over the rest of the streamed string.
    pub fn drain_string(&mut self) -> Result<(), CmsError> {
        loop {
            self.discard(self.segment)?;
            self.segment = 0;
            if !self.next_segment()? {
                return Ok(());
            }
        }
    }

    /// Goes to the next segment (it may be empty). False at the end of the string.
    fn next_segment(&mut self) -> Result<bool, CmsError> {
        const WHAT: &str = "a segment of the content is no OCTET STRING";
        if self.frames.len() <= self.string_floor {
            return Ok(false);
        }
        match self.peek()? {
            None => self.leave(WHAT)?,
            Some(OCTET_STRING) => self.segment = self.take_definite(WHAT)?,
            Some(_) => self.enter(OCTET_STRING | CONSTRUCTED, WHAT)?,
        }
        Ok(true)
    }

    fn at_end(&self) -> bool {
        self.frames
            .last()
            .is_some_and(|frame| frame.ended || (frame.definite && self.offset >= frame.bound))
    }

    fn bound(&self) -> u64 {
        self.frames.last().map_or(u64::MAX, |frame| frame.bound)
    }

    fn end_of_contents(&mut self, header: Header) -> Result<(), CmsError> {
        match (header.length, self.frames.last_mut()) {
            (Length::Definite(0), Some(frame)) if !frame.definite => {
                frame.ended = true;
                Ok(())
            }
            _ => Err(CmsError::Malformed("end-of-contents out of place")),
        }
    }

    fn read_header(&mut self) -> Result<Header, CmsError> {
        let tag = self.octet()?;
        // No structure of CMS or X.509 has a tag number above 30.
        if tag & 0x1f == 0x1f {
            return Err(CmsError::Malformed("a tag of several octets"));
        }
        let first = self.octet()?;
        let length = match first {
            0x00..=0x7f => Length::Definite(u64::from(first)),
            0x80 if tag & CONSTRUCTED != 0 => Length::Indefinite,
            0x81..=0x88 => Length::Definite(self.long_length(first & 0x7f)?),
            0x80 => return Err(CmsError::Malformed("a primitive of indefinite length")),
            _ => return Err(CmsError::OverLimit("octets of a length")),
        };
        Ok(Header { tag, length })
    }

    /// At most 8 octets, so that the value fits.
    fn long_length(&mut self, octets: u8) -> Result<u64, CmsError> {
        let mut length = 0_u64;
        for _ in 0..octets {
            length = (length << 8) | u64::from(self.octet()?);
        }
        Ok(length)
    }

    /// Uses up the header at hand; its length must be definite.
    fn take_definite(&mut self, what: &'static str) -> Result<u64, CmsError> {
        match self.header.take() {
            Some(Header {
                length: Length::Definite(length),
                ..
            }) => Ok(length),
            _ => Err(CmsError::Malformed(what)),
        }
    }

    fn octet(&mut self) -> Result<u8, CmsError> {
        if self.offset >= self.bound() {
            return Err(OUTGROWS);
        }
        self.within_limit(1)?;
        let mut octet = [0];
        self.copy_some(&mut octet)?;
        Ok(octet[0])
    }

    fn within_limit(&self, length: u64) -> Result<(), CmsError> {
        match self.offset.checked_add(length) {
            Some(end) if end <= self.limit => Ok(()),
            _ => Err(CmsError::OverLimit(self.limit_name)),
        }
    }

    /// Takes exactly `length` octets; memory grows with what arrives, not with what is claimed.
    fn take(&mut self, length: u64, out: &mut Vec<u8>) -> Result<(), CmsError> {
        self.pass(length, |piece| out.extend_from_slice(piece))
    }

    fn discard(&mut self, length: u64) -> Result<(), CmsError> {
        self.pass(length, |_| ())
    }

    fn pass(&mut self, length: u64, mut each: impl FnMut(&[u8])) -> Result<(), CmsError> {
        self.within_limit(length)?;
        let mut left = length;
        while left > 0 {
            if self.start == self.end && !self.fill()? {
                return Err(TRUNCATED);
            }
            let wanted = usize::try_from(left).unwrap_or(usize::MAX);
            let buffered = self.buffer.get(self.start..self.end).unwrap_or_default();
            let piece = buffered.get(..wanted).unwrap_or(buffered);
            each(piece);
            let taken = piece.len();
            self.advance(taken);
            left = left.saturating_sub(u64::try_from(taken).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    /// Fills some of `out`, at least one octet. Large pieces go by the buffer.
    fn copy_some(&mut self, out: &mut [u8]) -> Result<usize, CmsError> {
        if self.start == self.end {
            if out.len() >= BUFFER {
                let taken = read_some(&mut self.source, out)?;
                self.offset = self
                    .offset
                    .saturating_add(u64::try_from(taken).unwrap_or(0));
                return if taken == 0 {
                    Err(TRUNCATED)
                } else {
                    Ok(taken)
                };
            }
            if !self.fill()? {
                return Err(TRUNCATED);
            }
        }
        let mut buffered = self.buffer.get(self.start..self.end).unwrap_or_default();
        let taken = read_some(&mut buffered, out)?;
        self.advance(taken);
        Ok(taken)
    }

    fn advance(&mut self, taken: usize) {
        self.start += taken;
        self.offset = self
            .offset
            .saturating_add(u64::try_from(taken).unwrap_or(u64::MAX));
    }

    /// Reads into the empty buffer. False at the end of the source.
    fn fill(&mut self) -> Result<bool, CmsError> {
        self.start = 0;
        self.end = read_some(&mut self.source, &mut self.buffer)?;
        Ok(self.end > 0)
    }
}

const OUTGROWS: CmsError = CmsError::Malformed("an element is longer than what holds it");
const TRUNCATED: CmsError = CmsError::Malformed("it ends too early");

fn read_some(source: &mut impl Read, out: &mut [u8]) -> Result<usize, CmsError> {
    loop {
        match source.read(out) {
            // A source that claims more than it was given room for is broken.
            Ok(count) => return Ok(count.min(out.len())),
            Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
            Err(cause) => return Err(CmsError::of(&cause)),
        }
    }
}

/// The octets of OCTET STRINGs in a row.
fn join(segments: &[u8]) -> Result<Vec<u8>, CmsError> {
    const WHAT: &str = "a segment of a string is no OCTET STRING";
    let mut joined = Vec::with_capacity(segments.len());
    let mut walker = Walker::new(segments);
    while !walker.is_empty() {
        joined.extend_from_slice(walker.expect(OCTET_STRING, WHAT)?);
    }
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SEQUENCE { INTEGER 5 } with a length in three octets where one would do.
    const LONG: [u8; 7] = [0x30, 0x82, 0x00, 0x03, 0x02, 0x01, 0x05];

    #[test]
    fn der_is_minimal_and_verbatim_keeps_what_is_inside() {
        let around = [[0x30, 0x81, 0x07].as_slice(), &LONG].concat();
        let reader = || Reader::new(around.as_slice(), 100, "test");
        let minimal = vec![0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x05];
        assert_eq!(reader().der("it"), Ok(minimal));
        let kept = [[0x30, 0x07].as_slice(), &LONG].concat();
        assert_eq!(reader().verbatim("it"), Ok(kept));
    }

    #[test]
    fn the_budget_counts_octets_and_can_be_renewed() {
        let two = [LONG, LONG].concat();
        let mut reader = Reader::new(two.as_slice(), 7, "test");
        assert!(reader.der("it").is_ok());
        assert_eq!(reader.der("it"), Err(CmsError::OverLimit("test")));
        let mut reader = Reader::new(two.as_slice(), 7, "test");
        assert!(reader.skip("it").is_ok());
        reader.allow(7, "more");
        assert!(reader.skip("it").is_ok());
        assert!(reader.end().is_ok());
    }

    #[test]
    fn a_primitive_cannot_be_entered_nor_a_constructed_one_taken() {
        let mut reader = Reader::new(LONG.as_slice(), 100, "test");
        assert!(reader.primitive(0x30, "it").is_err());
        assert!(reader.enter(0x31, "it").is_err());
        assert!(reader.enter(0x30, "it").is_ok());
        assert!(reader.enter(0x02, "it").is_err());
        assert!(reader.leave("it").is_err(), "something is left inside");
        assert_eq!(reader.primitive(0x02, "it"), Ok(vec![5]));
        assert!(reader.leave("it").is_ok());
        assert!(reader.leave("it").is_err(), "nothing was entered");
    }
}
