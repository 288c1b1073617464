//! The journal's SQL: rows and their seals in, timelines and a check of the chain out.

use std::sync::LazyLock;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use crate::envelope::TrackingId;
use crate::limits::{JOURNAL_ROWS_PER_INSERT, JOURNAL_ROWS_READ_MAX};
use crate::store::{Named, Store, StoreError};
use crate::world::Timestamp;

use super::{FIRST_SEAL, Row, VERSION, seal};

/// Where the chain of one node ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainEnd {
    /// The last row's number; 0 if there is none.
    pub seq: i64,
    /// The last seal.
    pub seal: [u8; 32],
}

const COLUMNS: &str =
    "node, seq, version, at, tenant_id, actor, message_id, recipient_key, event, facts";

/// An INSERT of so many rows. Binds: node, version, at, then seven a row.
fn insert_text(rows: usize) -> String {
    let values: Vec<String> = (0..rows)
        .map(|row| {
            let first = 4 + row * 7;
            let [seq, tenant, actor, message, recipient, event, facts] =
                [0, 1, 2, 3, 4, 5, 6].map(|column| first + column);
            format!(
                "($1, ${seq}, $2, $3, ${tenant}, ${actor}, ${message}, ${recipient}, ${event}, ${facts})"
            )
        })
        .collect();
    format!(
        "INSERT INTO journal ({COLUMNS}) VALUES {}",
        values.join(", ")
    )
}

/// The INSERT of a full chunk that others follow.
static INSERT_CHUNK: LazyLock<String> = LazyLock::new(|| insert_text(JOURNAL_ROWS_PER_INSERT));

/// The last rows of a group, its seal and the end of its transaction: one text, so that one round trip to
/// the database does it. By number of rows.
static INSERT_SEAL_COMMIT: LazyLock<Vec<String>> = LazyLock::new(|| {
    (0..=JOURNAL_ROWS_PER_INSERT)
        .map(|rows| {
            if rows == 0 {
                return "COMMIT".to_owned();
            }
            let next = 4 + rows * 7;
            let [first, last, hash] = [next, next + 1, next + 2];
            let insert = insert_text(rows);
            format!(
                "{insert}; INSERT INTO journal_seal (node, first_seq, last_seq, hash) \
                 VALUES ($1, ${first}, ${last}, ${hash}); COMMIT"
            )
        })
        .collect()
});

/// Writes the rows of one group and their seal, and commits its transaction. Returns where the chain ends
/// then.
///
/// # Errors
/// [`StoreError`]; the transaction is then not committed.
pub(crate) async fn seal_and_commit(
    conn: &mut SqliteConnection,
    end: &ChainEnd,
    rows: &[Row],
) -> Result<ChainEnd, StoreError> {
    let mut chunks = rows.chunks(JOURNAL_ROWS_PER_INSERT).peekable();
    let mut last_chunk: &[Row] = &[];
    while let Some(chunk) = chunks.next() {
        if chunks.peek().is_none() {
            last_chunk = chunk;
            break;
        }
        bind_rows(sqlx::query(INSERT_CHUNK.as_str()), chunk)
            .execute(&mut *conn)
            .await
            .named("journal-write")?;
    }
    let text = INSERT_SEAL_COMMIT
        .get(last_chunk.len())
        .map_or("COMMIT", String::as_str);
    let mut query = bind_rows(sqlx::query(text), last_chunk);
    let mut end = end.clone();
    if let (Some(first), Some(last)) = (rows.first(), rows.last()) {
        end = ChainEnd {
            seq: last.seq,
            seal: seal(&end.seal, rows),
        };
        query = query.bind(first.seq).bind(last.seq).bind(hex(&end.seal));
    }
    query.execute(conn).await.named("commit")?;
    Ok(end)
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

fn bind_rows<'q>(query: Query<'q>, rows: &'q [Row]) -> Query<'q> {
    let Some(first) = rows.first() else {
        return query;
    };
    let shared = query.bind(&first.node).bind(VERSION).bind(first.at.0);
    rows.iter().fold(shared, |query, row| {
        query
            .bind(row.seq)
            .bind(&row.tenant)
            .bind(&row.actor)
            .bind(&row.message)
            .bind(&row.recipient)
            .bind(&row.event)
            .bind(&row.facts)
    })
}

/// Where the chain of `node` ends.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn chain_end(
    conn: &mut SqliteConnection,
    node: &str,
) -> Result<ChainEnd, StoreError> {
    let row: Option<(i64, String)> = sqlx::query_as(
        "SELECT last_seq, hash FROM journal_seal WHERE node = $1 ORDER BY last_seq DESC LIMIT 1",
    )
    .bind(node)
    .fetch_optional(conn)
    .await
    .named("journal-end")?;
    let Some((seq, hash)) = row else {
        return Ok(ChainEnd {
            seq: 0,
            seal: FIRST_SEAL,
        });
    };
    let seal = unhex(&hash).ok_or_else(|| StoreError::Row {
        name: "journal-end",
        what: format!("seal of row {seq}"),
    })?;
    Ok(ChainEnd { seq, seal })
}

/// What happened to a message, in order.
///
/// # Errors
/// [`StoreError`].
pub async fn of_message(store: &Store, message: TrackingId) -> Result<Vec<Row>, StoreError> {
    let rows = store.read("journal-of-message", move |conn| {
        Box::pin(async move {
            sqlx::query(
                "SELECT node, seq, version, at, tenant_id, actor, message_id, recipient_key, event, facts \
                 FROM journal WHERE message_id = $1 ORDER BY at, node, seq LIMIT $2",
            )
            .bind(message.to_string())
            .bind(JOURNAL_ROWS_READ_MAX)
            .fetch_all(conn)
            .await
            .named("journal-of-message")
        })
    });
    rows.await?.iter().map(read_row).collect()
}

/// One seal and the rows that it covers.
struct Sealed {
    first: i64,
    last: i64,
    hash: String,
    rows: Vec<Row>,
}

/// Checks the chain of this node from its first seal. Returns the first row number that is not what was
/// sealed; None: all is as it was written. Rows that were purged (whole commits, oldest first) are not
/// missed; a cut-off end is seen only by whoever kept an earlier [`ChainEnd`].
///
/// # Errors
/// [`StoreError`].
pub async fn verify(store: &Store) -> Result<Option<i64>, StoreError> {
    let mut end = ChainEnd {
        seq: 0,
        seal: FIRST_SEAL,
    };
    let mut purging = true;
    while let Some(sealed) = next_sealed(store, end.seq).await? {
        let Some(hash) = unhex(&sealed.hash).filter(|_| sealed.first == end.seq + 1) else {
            return Ok(Some(end.seq + 1));
        };
        purging = purging && sealed.rows.is_empty();
        let as_sealed = is_whole(&sealed) && seal(&end.seal, &sealed.rows) == hash;
        if !purging && !as_sealed {
            return Ok(Some(sealed.first));
        }
        end = ChainEnd {
            seq: sealed.last,
            seal: hash,
        };
    }
    unsealed(store).await
}

fn is_whole(sealed: &Sealed) -> bool {
    let seqs = sealed.rows.iter().map(|row| row.seq);
    seqs.eq(sealed.first..=sealed.last)
}

/// The seal that follows row `after`, and all its rows: as many as one commit wrote, since the seal is over
/// all of them.
async fn next_sealed(store: &Store, after: i64) -> Result<Option<Sealed>, StoreError> {
    let node = store.node().to_owned();
    let read = store.read("journal-sealed", move |conn| {
        Box::pin(async move {
            let seal: Option<(i64, i64, String)> = sqlx::query_as(
                "SELECT first_seq, last_seq, hash FROM journal_seal \
                 WHERE node = $1 AND last_seq > $2 ORDER BY last_seq LIMIT 1",
            )
            .bind(&node)
            .bind(after)
            .fetch_optional(&mut *conn)
            .await
            .named("journal-seal")?;
            let Some((first, last, hash)) = seal else {
                return Ok(None);
            };
            let rows = sqlx::query(
                "SELECT node, seq, version, at, tenant_id, actor, message_id, recipient_key, event, facts \
                 FROM journal WHERE node = $1 AND seq > $2 AND seq <= $3 ORDER BY seq",
            )
            .bind(&node)
            .bind(after)
            .bind(last)
            .fetch_all(conn)
            .await
            .named("journal-sealed")?;
            Ok(Some((first, last, hash, rows)))
        })
    });
    let Some((first, last, hash, rows)) = read.await? else {
        return Ok(None);
    };
    let rows: Result<Vec<Row>, StoreError> = rows.iter().map(read_row).collect();
    Ok(Some(Sealed {
        first,
        last,
        hash,
        rows: rows?,
    }))
}

/// The first row that no seal covers. One statement, because the writer goes on meanwhile.
async fn unsealed(store: &Store) -> Result<Option<i64>, StoreError> {
    let node = store.node().to_owned();
    let read = store.read("journal-unsealed", move |conn| {
        Box::pin(async move {
            sqlx::query_scalar(
                "SELECT MIN(seq) FROM journal WHERE node = $1 AND seq > \
                 (SELECT COALESCE(MAX(last_seq), 0) FROM journal_seal WHERE node = $1)",
            )
            .bind(node)
            .fetch_one(conn)
            .await
            .named("journal-unsealed")
        })
    });
    read.await
}

fn read_row(row: &SqliteRow) -> Result<Row, StoreError> {
    let read = || -> Result<Row, sqlx::Error> {
        Ok(Row {
            node: row.try_get(0)?,
            seq: row.try_get(1)?,
            version: row.try_get(2)?,
            at: Timestamp(row.try_get(3)?),
            tenant: row.try_get(4)?,
            actor: row.try_get(5)?,
            message: row.try_get(6)?,
            recipient: row.try_get(7)?,
            event: row.try_get(8)?,
            facts: row.try_get(9)?,
        })
    };
    read().map_err(|error| StoreError::Row {
        name: "journal-read",
        what: error.to_string(),
    })
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, octet) in out.iter_mut().enumerate() {
        *octet = u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    Some(out)
}
