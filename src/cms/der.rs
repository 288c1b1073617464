//! The small tools of DER: a walker over octets at hand, and writing. In: DER that [`super::ber`] made (or
//! a certificate). Out: elements, octets. Never done here: anything about streams.

use super::CmsError;

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const NULL: u8 = 0x05;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// `[n]`, primitive.
pub(super) const fn context(number: u8) -> u8 {
    0x80 | number
}
/// `[n]`, constructed.
pub(super) const fn constructed(number: u8) -> u8 {
    0xa0 | number
}

/// Longest object identifier that is written out in dotted form, octets; none in use has more than 20.
const OID_OCTETS_MAX: usize = 64;

/// One element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    pub tag: u8,
    pub content: &'a [u8],
    /// Header and content.
    pub whole: &'a [u8],
}

/// Walks over elements in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walker<'a> {
    rest: &'a [u8],
}

impl<'a> Walker<'a> {
    pub fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The tag of the next element.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next element, whatever it is.
    pub fn any(&mut self, what: &'static str) -> Result<Element<'a>, CmsError> {
        let (element, rest) = split(self.rest).ok_or(CmsError::Malformed(what))?;
        self.rest = rest;
        Ok(element)
    }

    /// The content of the next element, which must have this tag.
    pub fn expect(&mut self, tag: u8, what: &'static str) -> Result<&'a [u8], CmsError> {
        let element = self.any(what)?;
        if element.tag == tag {
            Ok(element.content)
        } else {
            Err(CmsError::Malformed(what))
        }
    }

    /// The content of the next element if it has this tag.
    pub fn optional(&mut self, tag: u8, what: &'static str) -> Result<Option<&'a [u8]>, CmsError> {
        if self.peek() == Some(tag) {
            self.expect(tag, what).map(Some)
        } else {
            Ok(None)
        }
    }

    /// A walker over the content of the next element, which must have this tag.
    pub fn inside(&mut self, tag: u8, what: &'static str) -> Result<Walker<'a>, CmsError> {
        self.expect(tag, what).map(Walker::new)
    }

    /// Checks that nothing is left.
    pub fn end(&self, what: &'static str) -> Result<(), CmsError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(CmsError::Malformed(what))
        }
    }
}

/// Cuts the first element off. Definite lengths of at most 4 octets.
fn split(octets: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, rest) = octets.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let length = match first {
        0x00..=0x7f => usize::from(first),
        0x81..=0x84 => {
            let (octets, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
            rest = after;
            let value = octets
                .iter()
                .fold(0_u64, |value, octet| (value << 8) | u64::from(*octet));
            usize::try_from(value).ok()?
        }
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(length)?;
    let (whole, _) = octets.split_at_checked(octets.len() - after.len())?;
    Some((
        Element {
            tag,
            content,
            whole,
        },
        after,
    ))
}

/// Tag and minimal definite length (X.690 §10.1).
pub(super) fn header(tag: u8, length: u64) -> Vec<u8> {
    let octets = length.to_be_bytes();
    let significant: Vec<u8> = octets.into_iter().skip_while(|octet| *octet == 0).collect();
    let mut out = vec![tag];
    if length >= 0x80 {
        // At most 8 octets of length.
        out.push(0x80 | u8::try_from(significant.len()).unwrap_or(8));
        out.extend_from_slice(&significant);
    } else {
        out.push(significant.first().copied().unwrap_or(0));
    }
    out
}

/// Appends an element.
pub(super) fn put(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    let length = u64::try_from(content.len()).unwrap_or(u64::MAX);
    out.extend_from_slice(&header(tag, length));
    out.extend_from_slice(content);
}

/// An element around others.
pub(super) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, tag, &parts.concat());
    out
}

/// An element around others in the order that DER wants of a SET OF (X.690 §11.6).
pub(super) fn set_of(tag: u8, mut members: Vec<Vec<u8>>) -> Vec<u8> {
    members.sort();
    let mut out = Vec::new();
    put(&mut out, tag, &members.concat());
    out
}

/// An object identifier in dotted form; anything odd gets a description instead, never an error.
pub(super) fn dotted(content: &[u8]) -> String {
    arcs(content).map_or_else(
        || format!("(an odd object identifier of {} octets)", content.len()),
        |arcs| {
            arcs.iter()
                .map(u128::to_string)
                .collect::<Vec<_>>()
                .join(".")
        },
    )
}

fn arcs(content: &[u8]) -> Option<Vec<u128>> {
    if content.len() > OID_OCTETS_MAX || content.last().is_none_or(|last| last & 0x80 != 0) {
        return None;
    }
    let mut arcs = Vec::new();
    let mut value = 0_u128;
    for octet in content {
        value = value.checked_mul(128)? | u128::from(octet & 0x7f);
        if octet & 0x80 == 0 {
            if arcs.is_empty() {
                // X.690 §8.19.4: the first two arcs share a number.
                let first = (value / 40).min(2);
                arcs.extend([first, value - first * 40]);
            } else {
                arcs.push(value);
            }
            value = 0;
        }
    }
    Some(arcs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_minimal() {
        for (length, expected) in [
            (0, vec![4, 0]),
            (127, vec![4, 127]),
            (128, vec![4, 0x81, 128]),
            (255, vec![4, 0x81, 255]),
            (256, vec![4, 0x82, 1, 0]),
            (u64::from(u32::MAX) + 1, vec![4, 0x85, 1, 0, 0, 0, 0]),
        ] {
            assert_eq!(header(4, length), expected);
        }
    }

    #[test]
    fn the_walker_reads_what_was_put_and_nothing_longer() {
        let mut octets = Vec::new();
        put(&mut octets, SEQUENCE, &[7; 300]);
        put(&mut octets, NULL, b"");
        let mut walker = Walker::new(&octets);
        let first = walker.any("an element").expect("there");
        assert_eq!((first.tag, first.content.len()), (SEQUENCE, 300));
        assert_eq!(first.whole.len(), 304);
        assert_eq!(walker.expect(NULL, "null"), Ok([].as_slice()));
        assert!(walker.end("end").is_ok());
        for cut in 0..octets.len() - 2 {
            let cut = octets.get(..cut).expect("shorter");
            assert!(Walker::new(cut).any("an element").is_err());
        }
        for bad in [[0x04, 0x80, 0, 0, 0, 0], [0x04, 0x85, 0, 0, 0, 0]] {
            assert!(Walker::new(&bad).any("an element").is_err());
        }
    }

    #[test]
    fn object_identifiers_are_dotted_and_odd_ones_described() {
        let data = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
        assert_eq!(dotted(&data), "1.2.840.113549.1.7.1");
        assert_eq!(dotted(&[0x88, 0x37, 3]), "2.999.3");
        for odd in [[].as_slice(), &[0x80], &[0xff; 40], &[1; 65]] {
            assert!(dotted(odd).contains("odd"), "{odd:?}");
        }
    }
}
