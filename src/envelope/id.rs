//! Names of messages: our own [`TrackingId`], and the RFC 5322 [`MessageId`]. Never confused.

use std::fmt;
use std::str::FromStr;

use crate::world::{Timestamp, World};

/// Crockford's base 32: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Our id for a message: a UUIDv7 (RFC 9562 §5.7), written as 26 Crockford characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackingId(u128);

impl TrackingId {
    /// A new one: sorts by time, cannot be guessed.
    pub fn new(world: &World) -> Self {
        let millis = u64::try_from(world.now().0 / 1_000).unwrap_or(0);
        let uuid = uuid::Builder::from_unix_timestamp_millis(millis, &world.random()).into_uuid();
        Self(uuid.as_u128())
    }

    /// When it was made: a UUIDv7 begins with milliseconds since the epoch (RFC 9562 §5.7).
    pub fn created_at(self) -> Timestamp {
        let millis = i64::try_from(self.0 >> 80).unwrap_or(0);
        Timestamp(millis.saturating_mul(1_000))
    }
}

impl fmt::Display for TrackingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; 26];
        let mut rest = self.0;
        for slot in text.iter_mut().rev() {
            *slot = ALPHABET[usize::try_from(rest & 31).unwrap_or(0)];
            rest >>= 5;
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for TrackingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not a tracking id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a tracking id: 26 characters of 0-9 A-Z without I, L, O, U")]
pub struct ParseIdError;

impl FromStr for TrackingId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        if text.len() != 26 {
            return Err(ParseIdError);
        }
        text.bytes()
            .try_fold(0u128, |sum, octet| {
                let upper = octet.to_ascii_uppercase();
                let digit = ALPHABET
                    .iter()
                    .position(|&known| known == upper)
                    .ok_or(ParseIdError)?;
                let shifted = sum.checked_mul(32).ok_or(ParseIdError)?;
                Ok(shifted | u128::try_from(digit).unwrap_or(0))
            })
            .map(Self)
    }
}

/// A Message-ID with its angle brackets, exactly as the field held it (RFC 5322 §3.6.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(String);

impl MessageId {
    /// Takes a field's value: the first `<...>` in it, no blank or control character within.
    pub fn parse(value: &str) -> Option<Self> {
        let start = value.find('<')?;
        let end = start + value[start..].find('>')?;
        let id = &value[start..=end];
        let fine =
            id.len() > 2 && id.len() <= 998 && id.bytes().all(|octet| octet.is_ascii_graphic());
        fine.then(|| Self(id.to_owned()))
    }

    /// A new one in `domain`.
    pub fn new(world: &World, domain: &str) -> Self {
        Self(format!(
            "<{}@{domain}>",
            TrackingId::new(world).to_string().to_ascii_lowercase()
        ))
    }

    /// With its brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracking_id_is_26_characters_and_reads_back() {
        let id = TrackingId::new(&World::real());
        let text = id.to_string();
        assert_eq!(text.len(), 26);
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.to_lowercase().parse(), Ok(id));
        assert_eq!("01J".parse::<TrackingId>(), Err(ParseIdError));
        assert_eq!(
            "ZZZZZZZZZZZZZZZZZZZZZZZZZZ".parse::<TrackingId>(),
            Err(ParseIdError)
        );
        assert_eq!(
            "UUUUUUUUUUUUUUUUUUUUUUUUUU".parse::<TrackingId>(),
            Err(ParseIdError)
        );
    }

    #[test]
    fn a_message_id_keeps_its_octets() {
        assert_eq!(
            MessageId::parse(" <a.b@c> ").map(|id| id.to_string()),
            Some("<a.b@c>".into())
        );
        assert_eq!(MessageId::parse("<a b@c>"), None);
        assert_eq!(MessageId::parse("a@c"), None);
        assert_eq!(MessageId::parse("<>"), None);
    }
}
