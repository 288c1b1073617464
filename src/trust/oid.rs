//! Object identifiers of any length: those of libraries end at some size of an arc, and what they cannot hold
//! would refuse certificates that are right.
//! In: content octets, or dotted text. Out: an [`Oid`], which is compared octet for octet.

use super::tlv::{Element, tag};

/// An object identifier; content octets as of X.690 §8.19.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(Vec<u8>);

impl Oid {
    /// anyPolicy (RFC 5280 §4.2.1.4), content octets.
    pub(super) const ANY_POLICY: &[u8] = &[0x55, 0x1d, 0x20, 0x00];

    /// From `1.2.840.113549`; arcs of up to 128 bits, which is what UUIDs take.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |arc: &str| arc == "0" || !arc.starts_with('0');
        let digits = |arc: &str| arc.bytes().all(|octet| octet.is_ascii_digit());
        let number = |arc: &str| {
            arc.parse::<u128>()
                .ok()
                .filter(|_| plain(arc) && digits(arc))
        };
        let mut arcs = text.split('.').map(number);
        let (first, second) = (arcs.next()??, arcs.next()??);
        if first > 2 || (first < 2 && second > 39) {
            return None;
        }
        let mut octets = Vec::new();
        push_arc(&mut octets, second.checked_add(first * 40)?);
        for arc in arcs {
            push_arc(&mut octets, arc?);
        }
        Some(Self(octets))
    }

    /// From an element; None if it is no OBJECT IDENTIFIER, or is not written shortest and to its end.
    pub(super) fn of(element: Element<'_>) -> Option<Self> {
        is_oid(element.tag, element.value).then(|| Self(element.value.to_vec()))
    }

    pub(super) fn is_any_policy(&self) -> bool {
        self.0 == Self::ANY_POLICY
    }
}

fn push_arc(octets: &mut Vec<u8>, arc: u128) {
    // 19 groups of seven bits hold 128.
    let groups = (0..19).rev().map(|group| (arc >> (group * 7)) & 0x7f);
    let mut started = false;
    for (left, group) in (0..19).rev().zip(groups) {
        started = started || group != 0 || left == 0;
        if started {
            let more = if left == 0 { 0 } else { 0x80 };
            octets.push(u8::try_from(group).unwrap_or(0) | more);
        }
    }
}

/// X.690 §8.19: at least one arc, each written shortest and to its end.
pub(super) fn is_oid(kind: u8, content: &[u8]) -> bool {
    let ends = content.last().is_some_and(|last| *last < 0x80);
    let begins = |pair: &[u8]| matches!(pair, [before, 0x80] if *before < 0x80);
    let shortest = content.first() != Some(&0x80) && !content.windows(2).any(begins);
    kind == tag::OID && ends && shortest
}

/// The dotted form; hex if an arc is longer than 128 bits, or if it is no OID.
pub(super) fn dotted(content: &[u8]) -> String {
    let hex = || content.iter().map(|octet| format!("{octet:02x}")).collect();
    if !is_oid(tag::OID, content) {
        return hex();
    }
    let (mut arcs, mut arc) = (Vec::new(), 0_u128);
    for octet in content {
        if arc >> 121 != 0 {
            return hex();
        }
        arc = (arc << 7) | u128::from(octet & 0x7f);
        if octet & 0x80 == 0 {
            arcs.push(arc);
            arc = 0;
        }
    }
    let head = arcs.first().copied().unwrap_or(0);
    let first = (head / 40).min(2);
    let mut text = format!("{first}.{}", head.saturating_sub(first * 40));
    for arc in arcs.iter().skip(1) {
        text.push_str(&format!(".{arc}"));
    }
    text
}

impl std::fmt::Display for Oid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&dotted(&self.0))
    }
}

impl std::fmt::Debug for Oid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_octets_say_the_same_and_odd_ones_are_none() {
        let long = format!("2.25.{}", u128::MAX);
        for text in [
            "1.2",
            "1.2.3",
            "2.5.29.32.0",
            "2.999.3",
            "0.9.2342",
            "1.3.6.1.4.1.4294967296",
            &long,
        ] {
            let oid = Oid::parse(text).expect("an OID");
            assert_eq!(oid.to_string(), text);
            assert!(is_oid(tag::OID, &oid.0), "{text}");
        }
        assert!(Oid::parse("2.5.29.32.0").is_some_and(|oid| oid.is_any_policy()));
        for text in [
            "", "1", "1.", ".1", "3.1", "1.40", "1.2.", "1.02", "1.2.x", "1.+2", "1.2 ",
        ] {
            assert_eq!(Oid::parse(text), None, "{text:?}");
        }
        for octets in [&[][..], &[0x80], &[0x2a, 0x83], &[0x2a, 0x80, 0x01]] {
            assert!(!is_oid(tag::OID, octets), "{octets:?}");
        }
        let huge = [&[0x2a][..], &[0xff; 30], &[0x01]].concat();
        assert!(is_oid(tag::OID, &huge) && dotted(&huge).starts_with("2aff"));
    }
}
