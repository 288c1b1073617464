//! Fields inside a report part (RFC 8098 §3.1, RFC 3464 §2.1.1), read as foreign systems write them. In: the part's
//! octets. Out: groups of fields. Header fields of messages are read by `mime`; these are not header fields.

use crate::limits::HEADER_FIELDS_MAX;

/// Names that begin a field even on a line that looks like the continuation of the one before.
const KNOWN: [&str; 15] = [
    "action",
    "diagnostic-code",
    "disposition",
    "error",
    "failure",
    "final-recipient",
    "mdn-gateway",
    "original-envelope-id",
    "original-message-id",
    "original-recipient",
    "reporting-ua",
    "reporting-mta",
    "status",
    "x-direct-final-destination-delivery",
    "x-original-message-id",
];

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// In lower case.
    pub(super) name: String,
    /// Unfolded and trimmed.
    pub(super) value: String,
}

/// Fields between empty lines.
pub(super) type Group = Vec<Field>;

/// Reads all groups; at most [`HEADER_FIELDS_MAX`] fields together.
pub(super) fn groups(octets: &[u8]) -> Vec<Group> {
    let text = String::from_utf8_lossy(octets);
    let mut groups: Vec<Group> = vec![Vec::new()];
    let mut count = 0;
    let mut gap = false;
    for line in text.split('\n').map(|line| line.trim_end()) {
        if line.is_empty() {
            gap = true;
            continue;
        }
        match begins_field(line) {
            Some(_) if count == HEADER_FIELDS_MAX => break,
            Some(field) => {
                count += 1;
                if gap && groups.last().is_some_and(|group| !group.is_empty()) {
                    groups.push(Vec::new());
                }
                groups
                    .last_mut()
                    .into_iter()
                    .for_each(|group| group.push(field.clone()));
            }
            None => continue_last(&mut groups, line, gap),
        }
        gap = false;
    }
    groups.retain(|group| !group.is_empty());
    groups
}

/// The field that begins on this line, if one does. Blanks before the colon are read over (ETT `white_space_mdn`), and before
/// the name too if the name is a known one (ETT `white_space_822`).
fn begins_field(line: &str) -> Option<Field> {
    let (name, value) = line.split_once(':')?;
    let trimmed = name.trim().to_ascii_lowercase();
    let word = !trimmed.is_empty()
        && trimmed
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_');
    let folded = line.starts_with([' ', '\t']);
    (word && (!folded || KNOWN.contains(&trimmed.as_str()))).then(|| Field {
        name: trimmed,
        value: value.trim().to_owned(),
    })
}

/// A folded line; also a value that slipped onto a line of its own (ETT `extra_line_break_mdn`), but not the text after a gap
/// when there is a value already.
fn continue_last(groups: &mut [Group], line: &str, gap: bool) {
    let last = groups.last_mut().and_then(|group| group.last_mut());
    if let Some(field) = last.filter(|field| !gap || field.value.is_empty()) {
        if !field.value.is_empty() {
            field.value.push(' ');
        }
        field.value.push_str(line.trim());
    }
}

/// The first value under that name.
pub(super) fn first<'f>(fields: &'f [Field], name: &str) -> Option<&'f str> {
    fields
        .iter()
        .find(|field| field.name == name)
        .map(|field| field.value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Vec<(String, String)>> {
        groups(text.as_bytes())
            .into_iter()
            .map(|group| {
                group
                    .into_iter()
                    .map(|field| (field.name, field.value))
                    .collect()
            })
            .collect()
    }

    #[test]
    fn fields_are_read_however_they_are_spaced() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        for text in [
            "Disposition: a;b\r\nStatus: 5\r\n",
            "Disposition : a;b\r\nSTATUS:5",
            "  disposition:a;b\n\tStatus:   5  ",
            "Disposition:\r\n a;b\r\nStatus:\r\n5\r\n",
            "Disposition:\r\n\r\n a;b\r\nStatus: 5\r\n\r\nkeep this confidential\r\n",
        ] {
            assert_eq!(
                read(text).concat(),
                [pair("disposition", "a;b"), pair("status", "5")],
                "{text:?}"
            );
        }
    }

    #[test]
    fn an_unknown_name_on_a_folded_line_is_a_continuation() {
        assert_eq!(
            read("Error: see\r\n Note: x"),
            [[("error".to_owned(), "see Note: x".to_owned())]]
        );
    }

    #[test]
    fn groups_end_at_empty_lines_and_fields_are_bounded() {
        assert_eq!(read("\r\nA: 1\r\n\r\n\r\nB: 2\r\nC: 3").len(), 2);
        assert_eq!(
            read(&"a: b\r\n".repeat(5_000)).concat().len(),
            HEADER_FIELDS_MAX
        );
        assert_eq!(read("\0\u{ff}\r\n:\r\n: :"), Vec::<Vec<_>>::new());
    }
}
