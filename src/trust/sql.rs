//! A committed verdict, read back. In: a message and one of its recipients. Out: the row from which
//! [`super::Grant::restore`] makes the grant again. Nothing but a leg that is being delivered has one.

use sqlx::SqliteConnection;

use crate::envelope::{Address, TrackingId};
use crate::journal::LegState;
use crate::store::{Named, StoreError};

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
    .named(NAME)?;
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

    #[tokio::test]
    async fn a_grant_comes_back_from_a_leg_that_is_being_delivered_and_from_no_other() {
        use crate::trust::Grant;
        use crate::trust::testing::open_store;
        let dir = tempfile::tempdir().expect("a directory");
        let store = open_store(dir.path()).await;
        let message = TrackingId::new(store.world());
        for (local, state, anchor) in [
            ("a", "delivering", "0a".repeat(32)),
            ("b", "refused", "0a".repeat(32)),
            ("c", "delivering", "0A".repeat(32)),
        ] {
            insert_leg(&store, message, local, state, anchor).await;
        }
        let read = async |local: &str| {
            let key = format!("{local}@d.example");
            store
                .read("test", move |conn| {
                    Box::pin(async move { grant_row(conn, message, &key).await })
                })
                .await
        };
        let grant = read("a")
            .await
            .expect("reads")
            .map(Grant::restore)
            .expect("a grant");
        assert_eq!(grant.message(), message);
        assert_eq!(grant.recipient().written(), "A@d.example");
        assert_eq!(grant.anchor(), AnchorId([10; 32]));
        assert_eq!(grant.signer(), [11; 32]);
        assert_eq!(grant.digest(), [12; 32]);
        assert!(read("b").await.expect("reads").is_none());
        assert!(read("else").await.expect("reads").is_none());
        assert!(matches!(read("c").await, Err(StoreError::Row { .. })));
    }

    async fn insert_leg(
        store: &crate::store::Store,
        message: TrackingId,
        local: &'static str,
        state: &'static str,
        anchor: String,
    ) {
        let insert = async move |conn: &mut SqliteConnection| -> Result<(), StoreError> {
            sqlx::query(
                "INSERT INTO message (id, tenant_id, direction, kind, size, digest, received_at)
                 VALUES ($1, 'default', 'in', 'message', 1, $2, 0) ON CONFLICT (id) DO NOTHING",
            )
            .bind(message.to_string())
            .bind("0c".repeat(32))
            .execute(&mut *conn)
            .await?;
            sqlx::query(
                "INSERT INTO leg (message_id, recipient_key, recipient, tenant_id, state, anchor, signer, updated_at)
                 VALUES ($1, $2, $3, 'default', $4, $5, $6, 0)",
            )
            .bind(message.to_string())
            .bind(format!("{local}@d.example"))
            .bind(format!("{}@d.example", local.to_uppercase()))
            .bind(state)
            .bind(anchor)
            .bind("0b".repeat(32))
            .execute(conn)
            .await?;
            Ok(())
        };
        store
            .write("test", move |tx| {
                Box::pin(async move { insert(tx.conn().await?).await })
            })
            .await
            .expect("inserts");
    }

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
