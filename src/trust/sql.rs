//! A committed verdict, read back. In: a message and one of its recipients. Out: the row from which
//! [`super::Grant::restore`] makes the grant again. Nothing but a leg that is being delivered has one.

use sqlx::SqliteConnection;

use crate::envelope::{Address, TrackingId};
use crate::journal::LegState;
use crate::store::StoreError;

use super::{AnchorId, GrantRow};

const NAME: &str = "trust.grant_row";

/// The grant of this leg, if its verdict was committed and it is still being delivered.
///
/// # Errors
/// [`StoreError`]; `Row` if what is stored is no grant.
pub async fn grant_row(
    conn: &mut SqliteConnection,
    message: TrackingId,
    recipient_key: &str,
) -> Result<Option<GrantRow>, StoreError> {
    type Columns = (String, Option<String>, Option<String>, Option<String>);
    let found: Option<Columns> = sqlx::query_as(
        "SELECT leg.recipient, leg.anchor, leg.signer, message.digest
           FROM leg JOIN message ON message.id = leg.message_id
          WHERE leg.message_id = $1 AND leg.recipient_key = $2 AND leg.state = $3",
    )
    .bind(message.to_string())
    .bind(recipient_key)
    .bind(LegState::Delivering.word())
    .fetch_optional(conn)
    .await
    .map_err(|source| StoreError::Database { name: NAME, source })?;
    let Some((recipient, anchor, signer, digest)) = found else {
        return Ok(None);
    };
    let recipient = Address::parse(&recipient).map_err(|_| row("the recipient"))?;
    if recipient.key() != recipient_key {
        return Err(row("the recipient"));
    }
    Ok(Some(GrantRow {
        message,
        recipient,
        anchor: AnchorId(fingerprint(anchor.as_deref(), "the anchor")?),
        signer: fingerprint(signer.as_deref(), "the signer")?,
        digest: fingerprint(digest.as_deref(), "the digest")?,
    }))
}

fn row(what: &str) -> StoreError {
    StoreError::Row {
        name: NAME,
        what: what.to_owned(),
    }
}

fn fingerprint(text: Option<&str>, what: &str) -> Result<[u8; 32], StoreError> {
    text.and_then(unhex).ok_or_else(|| row(what))
}

/// 64 digits of lower-case hex, no more and no less.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let mut out = [0; 32];
    if pairs.len() != out.len() {
        return None;
    }
    for (slot, [high, low]) in out.iter_mut().zip(pairs) {
        *slot = (digit(*high)? << 4) | digit(*low)?;
    }
    Some(out)
}

fn digit(octet: u8) -> Option<u8> {
    match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'a'..=b'f' => Some(octet - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_64_digits_of_lower_case_hex_are_a_fingerprint() {
        let good = "00ff".repeat(16);
        assert_eq!(
            unhex(&good).map(|octets| octets[..2].to_vec()),
            Some(vec![0, 255])
        );
        for bad in [
            &good[1..],
            &good[2..],
            &format!("{good}00"),
            &good.to_uppercase(),
            &good.replace('0', "g"),
        ] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }
}
