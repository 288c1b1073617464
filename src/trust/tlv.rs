//! DER elements, one level at a time: what `x509-parser` reads over (trailing octets, inner order) is seen
//! here.
//! In: octets. Out: slices of them. Definite, shortest lengths and low tag numbers only (X.690 §10.1).

/// Tag octets that certificates use.
pub(super) mod tag {
    pub const BOOLEAN: u8 = 0x01;
    pub const INTEGER: u8 = 0x02;
    pub const BIT_STRING: u8 = 0x03;
    pub const NULL: u8 = 0x05;
    pub const OCTET_STRING: u8 = 0x04;
    pub const OID: u8 = 0x06;
    pub const ENUMERATED: u8 = 0x0a;
    pub const UTF8_STRING: u8 = 0x0c;
    pub const NUMERIC_STRING: u8 = 0x12;
    pub const PRINTABLE_STRING: u8 = 0x13;
    pub const TELETEX_STRING: u8 = 0x14;
    pub const IA5_STRING: u8 = 0x16;
    pub const UTC_TIME: u8 = 0x17;
    pub const GENERALIZED_TIME: u8 = 0x18;
    pub const VISIBLE_STRING: u8 = 0x1a;
    pub const UNIVERSAL_STRING: u8 = 0x1c;
    pub const BMP_STRING: u8 = 0x1e;
    pub const SEQUENCE: u8 = 0x30;
    pub const SET: u8 = 0x31;
    pub const CONTEXT_0: u8 = 0xa0;
    pub const CONTEXT_1: u8 = 0x81;
    pub const CONTEXT_2: u8 = 0x82;
    pub const CONTEXT_3: u8 = 0xa3;
}

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element<'a> {
    /// The identifier octet.
    pub tag: u8,
    /// Identifier, length and contents.
    pub whole: &'a [u8],
    /// Contents.
    pub value: &'a [u8],
}

/// The first element and what follows it.
pub(super) fn first(octets: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, rest) = octets.split_first()?;
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (length, rest) = read_length(rest)?;
    let (value, after) = rest.split_at_checked(length)?;
    let whole = octets.get(..octets.len().checked_sub(after.len())?)?;
    Some((Element { tag, whole, value }, after))
}

fn read_length(octets: &[u8]) -> Option<(usize, &[u8])> {
    let (&head, rest) = octets.split_first()?;
    if head < 0x80 {
        return Some((usize::from(head), rest));
    }
    // 0x80 is BER's indefinite length; four octets of length are more than any certificate needs.
    let count = usize::from(head & 0x7f);
    if !(1..=4).contains(&count) {
        return None;
    }
    let (digits, rest) = rest.split_at_checked(count)?;
    let length = digits
        .iter()
        .fold(0usize, |sum, &digit| (sum << 8) | usize::from(digit));
    let shortest = digits.first() != Some(&0) && length >= 0x80;
    shortest.then_some((length, rest))
}

/// All elements; `None` if the octets are not made of whole elements.
pub(super) fn all(mut octets: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut elements = Vec::new();
    while !octets.is_empty() {
        let (element, rest) = first(octets)?;
        elements.push(element);
        octets = rest;
    }
    Some(elements)
}

/// The one element that the octets are, if it has this tag.
pub(super) fn only(octets: &[u8], tag: u8) -> Option<Element<'_>> {
    match first(octets)? {
        (element, []) if element.tag == tag => Some(element),
        _ => None,
    }
}

/// The contents of an INTEGER of either sign; `None` if it is not encoded shortest (X.690 §8.3.2).
pub(super) fn integer(element: Element<'_>) -> Option<&[u8]> {
    match element.value {
        [] => None,
        [0, next, ..] if *next < 0x80 => None,
        [0xff, next, ..] if *next >= 0x80 => None,
        value => Some(value).filter(|_| element.tag == tag::INTEGER),
    }
}

/// The contents of an INTEGER that is not negative, without the leading zero; `None` if it is not encoded
/// shortest.
pub(super) fn unsigned(element: Element<'_>) -> Option<&[u8]> {
    if element.tag != tag::INTEGER {
        return None;
    }
    match element.value {
        [0] => Some(&[]),
        [0, next, ..] if *next >= 0x80 => element.value.get(1..),
        [0, ..] | [] => None,
        [head, ..] if *head >= 0x80 => None,
        value => Some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_elements_of_shortest_length_are_read() {
        assert_eq!(all(&[2, 1, 5, 5, 0]).map(|found| found.len()), Some(2));
        for bad in [
            &[2u8, 2, 5][..],
            &[2],
            &[0x30, 0x80, 0, 0],
            &[2, 0x81, 1, 5],
            &[2, 0x82, 0, 0x80],
            &[0x1f, 1, 0],
            &[4, 0x85, 0, 0, 0, 0, 1, 7],
        ] {
            assert_eq!(all(bad), None, "{bad:?}");
        }
        assert!(only(&[5, 0], tag::NULL).is_some());
        assert!(only(&[5, 0, 5, 0], tag::NULL).is_none());
    }

    #[test]
    fn unsigned_numbers_are_not_negative_and_shortest() {
        let read = |octets: &[u8]| {
            only(octets, tag::INTEGER).and_then(|element| unsigned(element).map(<[u8]>::to_vec))
        };
        assert_eq!(read(&[2, 1, 0]), Some(vec![]));
        assert_eq!(read(&[2, 2, 0, 0x80]), Some(vec![0x80]));
        assert_eq!(read(&[2, 2, 0, 0x7f]), None);
        assert_eq!(read(&[2, 1, 0x80]), None);
        assert_eq!(read(&[2, 0]), None);
    }
}
