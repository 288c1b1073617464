//! Pure: the chain of seals over the journal.
//! In: the seal before, and the rows of one commit. Out: the next seal, SHA-256(seal before || rows).
//! Whoever changes, drops or inserts a row has to change every later seal too.

use crate::crypto::sha256;

use super::Row;

/// What the first seal follows.
pub const FIRST_SEAL: [u8; 32] = [0; 32];

/// The seal of the rows of one commit.
pub fn seal<'a>(before: &[u8; 32], rows: impl IntoIterator<Item = &'a Row>) -> [u8; 32] {
    let mut all = before.to_vec();
    for row in rows {
        canonical(row, &mut all);
    }
    sha256(&all)
}

/// Every column in the order of the table: numbers as 8 octets, texts after their length in 8 octets, so
/// that no two rows have the same octets.
fn canonical(row: &Row, out: &mut Vec<u8>) {
    text(out, Some(&row.node));
    for number in [row.seq, row.version, row.at.0] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    text(out, Some(&row.tenant));
    text(out, Some(&row.actor));
    text(out, row.message.as_deref());
    text(out, row.recipient.as_deref());
    text(out, Some(&row.event));
    text(out, Some(&row.facts));
}

fn text(out: &mut Vec<u8>, text: Option<&str>) {
    // No text is as long as u64::MAX, which therefore means NULL.
    let length = text.map_or(u64::MAX, |text| text.len() as u64);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.unwrap_or_default().as_bytes());
}

#[cfg(test)]
mod tests {
    use crate::world::Timestamp;

    use super::*;

    fn row(recipient: Option<&str>, event: &str, facts: &str) -> Row {
        Row {
            node: "n".into(),
            seq: 1,
            version: super::super::VERSION,
            at: Timestamp(5),
            tenant: "default".into(),
            actor: "carepost".into(),
            message: None,
            recipient: recipient.map(str::to_owned),
            event: event.into(),
            facts: facts.into(),
        }
    }

    #[test]
    fn a_seal_depends_on_every_column_and_on_the_seal_before() {
        let of = |row: Row| seal(&FIRST_SEAL, [&row]);
        let first = of(row(Some("a"), "bc", "d"));
        assert_eq!(first, of(row(Some("a"), "bc", "d")));
        assert_ne!(first, of(row(Some("ab"), "c", "d")));
        assert_ne!(first, of(row(Some("a"), "b", "cd")));
        assert_ne!(of(row(None, "b", "c")), of(row(Some(""), "b", "c")));
        assert_ne!(first, seal(&first, [&row(Some("a"), "bc", "d")]));
        let (one, two) = (row(None, "1", ""), row(None, "2", ""));
        assert_ne!(
            seal(&FIRST_SEAL, [&one, &two]),
            seal(&FIRST_SEAL, [&two, &one])
        );
    }
}
