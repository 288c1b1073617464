//! Disposition-Notification-Options (RFC 8098 §2.2; Delivery Notification IG §1.3).
//! In: a header. Out: whether it validly asks for notice of final delivery. What is malformed asks for
//! nothing (B-004).

use super::Header;
use super::parameters::{split_unquoted, without_comments};

const FINAL_DELIVERY: &str = "x-direct-final-destination-delivery";

/// Whether the header asks `X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true` (B-001, B-003), in any
/// letter case, among other options or alone. A doubled field or option asks for nothing.
pub fn asks_final_delivery(header: &Header) -> bool {
    let Ok(Some(field)) = header.at_most_one("Disposition-Notification-Options") else {
        return false;
    };
    let Ok(options) = split_unquoted(&without_comments(&field.value()), ';') else {
        return false;
    };
    let mut ours = options.iter().filter_map(|option| {
        let (name, value) = option.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case(FINAL_DELIVERY)
            .then_some(value)
    });
    match (ours.next(), ours.next()) {
        (Some(value), None) => is_true(value),
        _ => false,
    }
}

/// `importance,true`.
fn is_true(value: &str) -> bool {
    let words: Vec<&str> = value
        .split(',')
        .map(|word| word.trim().trim_matches('"'))
        .collect();
    match words.as_slice() {
        [importance, answer] => {
            ["optional", "required"]
                .iter()
                .any(|known| importance.eq_ignore_ascii_case(known))
                && answer.eq_ignore_ascii_case("true")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_request_is_seen_and_a_broken_one_is_not() {
        for (value, expected) in [
            ("X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true", true),
            (
                "x-direct-final-destination-delivery = Optional , TRUE",
                true,
            ),
            (
                "X-DIRECT-FINAL-DESTINATION-DELIVERY=required,\"true\"",
                true,
            ),
            (
                "x=optional,1; X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true;",
                true,
            ),
            (
                "x=optional,1;\r\n X-DIRECT-FINAL-DESTINATION-DELIVERY=\r\n optional,true",
                true,
            ),
            ("X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,false", false),
            ("X-DIRECT-FINAL-DESTINATION-DELIVERY=true", false),
            ("X-DIRECT-FINAL-DESTINATION-DELIVERY=optional", false),
            ("X-DIRECT-FINAL-DESTINATION-DELIVERY=maybe,true", false),
            ("X-DIRECT-FINAL-DESTINATION-DELIVERY", false),
            ("X-DIRECT-FINAL-DESTINATION-DELIVERED=optional,true", false),
            (
                "X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true,false",
                false,
            ),
            (
                "X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true;x-direct-final-destination-delivery=optional,false",
                false,
            ),
        ] {
            let text = format!("Disposition-Notification-Options: {value}\r\n\r\n");
            let header = Header::read(&mut text.as_bytes()).expect("reads");
            assert_eq!(asks_final_delivery(&header), expected, "{value}");
        }
        let twice = "Disposition-Notification-Options: X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true\r\n".repeat(2);
        let header = Header::read(&mut format!("{twice}\r\n").as_bytes()).expect("reads");
        assert!(!asks_final_delivery(&header));
    }
}
