//! Distinguished names in the form in which they are compared (RFC 5280 §7.1): letter case, runs of blanks
//! and the form of Unicode do not matter, string types do not matter, the order of RDNs does. A string that
//! cannot be read is compared octet for octet, and makes the name opaque: no constraint can be applied to it.

use unicode_normalization::UnicodeNormalization;

use super::tlv::{self, Element, tag};

/// A Name, normalised. Cheap to compare and to hash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Name {
    rdns: Vec<Vec<u8>>,
    /// Some string in it cannot be read.
    opaque: bool,
}

/// What a Name holds.
#[derive(Debug)]
pub(super) struct ReadName {
    pub name: Name,
    /// Its emailAddress values.
    pub mails: Vec<String>,
    /// Some string has characters that its type does not have (X.680 §41).
    pub odd: bool,
}

/// emailAddress, 1.2.840.113549.1.9.1 (RFC 2985 §5.2.1).
const EMAIL_ADDRESS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01];

/// Attribute types of X.520: 2.5.4.
const X520: &[u8] = &[0x55, 0x04];
/// x500UniqueIdentifier, a BIT STRING: 2.5.4.45.
const UNIQUE_IDENTIFIER: &[u8] = &[0x55, 0x04, 0x2d];

impl Name {
    /// Reads the DER of a Name.
    pub fn parse(der: &[u8]) -> Option<ReadName> {
        let mut out = ReadName {
            name: Self::default(),
            mails: Vec::new(),
            odd: false,
        };
        for set in tlv::all(tlv::only(der, tag::SEQUENCE)?.value)? {
            if set.tag != tag::SET {
                return None;
            }
            let rdn = read_set(set.value, &mut out)?;
            out.name.rdns.push(rdn);
        }
        Some(out)
    }

    /// Reads the contents of one RDN, for [`Name::below`].
    pub fn read_rdn(attributes: &[u8]) -> Option<Vec<u8>> {
        let mut rest = ReadName {
            name: Self::default(),
            mails: Vec::new(),
            odd: false,
        };
        read_set(attributes, &mut rest)
    }

    /// The name that has one RDN more.
    pub fn below(&self, rdn: &[u8]) -> Self {
        let mut longer = self.clone();
        longer.rdns.push(rdn.to_vec());
        longer
    }

    /// Whether constraints cannot be applied to it.
    pub fn is_opaque(&self) -> bool {
        self.opaque
    }

    pub fn is_empty(&self) -> bool {
        self.rdns.is_empty()
    }

    /// Whether this name lies in the subtree that `base` opens (RFC 5280 §4.2.1.10): its first RDNs are
    /// those of `base`.
    pub fn is_within(&self, base: &Self) -> bool {
        self.rdns.starts_with(&base.rdns)
    }
}

fn read_set(attributes: &[u8], out: &mut ReadName) -> Option<Vec<u8>> {
    let attributes = tlv::all(attributes)?;
    // RFC 5280 §4.1.2.4: RelativeDistinguishedName ::= SET SIZE (1..MAX).
    if attributes.is_empty() {
        return None;
    }
    let mut normal = Vec::with_capacity(attributes.len());
    for attribute in attributes {
        normal.push(read_attribute(attribute, out)?);
    }
    normal.sort();
    Some(normal.concat())
}

/// One AttributeTypeAndValue: type, kind and value, each with its length, so that no two of them run
/// together.
fn read_attribute(attribute: Element<'_>, read: &mut ReadName) -> Option<Vec<u8>> {
    let parts = tlv::all(attribute.value)?;
    let [kind, value] = parts.as_slice() else {
        return None;
    };
    if attribute.tag != tag::SEQUENCE || kind.tag != tag::OID {
        return None;
    }
    let text = text(*value);
    let unread = text.is_none() && is_string(value.tag);
    read.name.opaque |= unread;
    read.odd |= (unread && value.tag != tag::TELETEX_STRING) || !has_its_alphabet(*value);
    // RFC 5280 appendix A.1: those of X.520 are strings, but for x500UniqueIdentifier.
    let of_x520 = kind.value.starts_with(X520) && kind.value != UNIQUE_IDENTIFIER;
    read.odd |= of_x520 && !is_string(value.tag);
    if kind.value == EMAIL_ADDRESS {
        read.mails.push(text.clone().unwrap_or_default());
    }
    let mut out = kind.whole.to_vec();
    let (form, octets) = match text {
        Some(text) => (0, folded(&text).into_bytes()),
        None => (value.tag, value.value.to_vec()),
    };
    out.push(form);
    out.extend(u32::try_from(octets.len()).ok()?.to_be_bytes());
    out.extend(octets);
    Some(out)
}

fn is_string(tag: u8) -> bool {
    matches!(
        tag,
        tag::UTF8_STRING
            | tag::NUMERIC_STRING
            | tag::PRINTABLE_STRING
            | tag::TELETEX_STRING
            | tag::IA5_STRING
            | tag::VISIBLE_STRING
            | tag::UNIVERSAL_STRING
            | tag::BMP_STRING
    )
}

/// X.680 §41: the characters of the narrow string types.
fn has_its_alphabet(value: Element<'_>) -> bool {
    let all = |fits: fn(&u8) -> bool| value.value.iter().all(fits);
    match value.tag {
        tag::NUMERIC_STRING => all(|octet| octet.is_ascii_digit() || *octet == b' '),
        tag::PRINTABLE_STRING => {
            all(|octet| octet.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(octet))
        }
        tag::VISIBLE_STRING => all(|octet| octet.is_ascii_graphic() || *octet == b' '),
        _ => true,
    }
}

/// RFC 4518 §2, as RFC 5280 §7.1 asks: what does not show is dropped, compatibility forms and letter case
/// fall together, insignificant blanks go.
fn folded(text: &str) -> String {
    if text.is_ascii() {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        return words.join(" ").to_ascii_lowercase();
    }
    let shown = text.chars().filter(|c| !is_mapped_to_nothing(*c));
    let lower: String = shown.nfkc().flat_map(char::to_lowercase).nfkc().collect();
    let words: Vec<&str> = lower.split_whitespace().collect();
    words.join(" ")
}

/// RFC 4518 §2.2.
fn is_mapped_to_nothing(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{1806}' | '\u{180b}'..='\u{180d}' | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2063}' | '\u{206a}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fffc}'
    )
}

fn text(value: Element<'_>) -> Option<String> {
    match value.tag {
        tag::UTF8_STRING => std::str::from_utf8(value.value).ok().map(str::to_owned),
        tag::NUMERIC_STRING
        | tag::PRINTABLE_STRING
        | tag::TELETEX_STRING
        | tag::IA5_STRING
        | tag::VISIBLE_STRING
            if value.value.is_ascii() =>
        {
            std::str::from_utf8(value.value).ok().map(str::to_owned)
        }
        tag::BMP_STRING => {
            let (pairs, []) = value.value.as_chunks::<2>() else {
                return None;
            };
            let units = pairs.iter().map(|pair| u16::from_be_bytes(*pair));
            char::decode_utf16(units).collect::<Result<_, _>>().ok()
        }
        tag::UNIVERSAL_STRING => {
            let (quads, []) = value.value.as_chunks::<4>() else {
                return None;
            };
            quads
                .iter()
                .map(|quad| char::from_u32(u32::from_be_bytes(*quad)))
                .collect()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(oid: &[u8], form: u8, value: &[u8]) -> Vec<u8> {
        let wrap = |tag: u8, inner: Vec<u8>| {
            let mut out = vec![tag, u8::try_from(inner.len()).expect("short")];
            out.extend(inner);
            out
        };
        let pair = [wrap(tag::OID, oid.to_vec()), wrap(form, value.to_vec())].concat();
        wrap(tag::SET, wrap(tag::SEQUENCE, pair))
    }

    fn name(rdns: &[Vec<u8>]) -> Name {
        let inner = rdns.concat();
        let mut der = vec![tag::SEQUENCE, u8::try_from(inner.len()).expect("short")];
        der.extend(inner);
        Name::parse(&der).expect("a name").name
    }

    const CN: &[u8] = &[0x55, 4, 3];
    const O: &[u8] = &[0x55, 4, 10];

    #[test]
    fn names_are_compared_without_case_blanks_and_string_types() {
        let plain = name(&[attribute(CN, tag::PRINTABLE_STRING, b"Example CA")]);
        for (form, value) in [
            (tag::UTF8_STRING, &b"example  ca "[..]),
            (tag::BMP_STRING, b"\0E\0x\0a\0m\0p\0l\0e\0 \0C\0A"),
        ] {
            assert_eq!(plain, name(&[attribute(CN, form, value)]), "{form:#x}");
        }
        let (composed, apart) = ("\u{c9}cole", "e\u{301}COLE");
        assert_eq!(
            name(&[attribute(CN, tag::UTF8_STRING, composed.as_bytes())]),
            name(&[attribute(CN, tag::UTF8_STRING, apart.as_bytes())])
        );
        assert_ne!(
            plain,
            name(&[attribute(CN, tag::PRINTABLE_STRING, b"ExampleCA")])
        );
        assert_ne!(
            plain,
            name(&[attribute(O, tag::PRINTABLE_STRING, b"Example CA")])
        );
    }

    #[test]
    fn a_subtree_is_opened_by_the_first_rdns_alone() {
        let org = attribute(O, tag::UTF8_STRING, b"Org");
        let unit = attribute(CN, tag::UTF8_STRING, b"A");
        let base = name(std::slice::from_ref(&org));
        assert!(name(&[org.clone(), unit.clone()]).is_within(&base));
        assert!(base.is_within(&base));
        assert!(!name(&[unit, org]).is_within(&base));
        assert!(!name(&[]).is_within(&base));
    }
}
