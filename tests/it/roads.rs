//! The roads stay short at a million messages: no statement of theirs walks through a whole table that grows with mail.

use std::path::Path;

use carepost::store::{KeyEncryptionKey, Paths, Store};
use carepost::world::World;

/// The stations whose SQL runs for each message.
const STATIONS: &[&str] = &[
    "src/deliver/sql.rs",
    "src/draft/mod.rs",
    "src/notify/sql.rs",
    "src/queue/legs.rs",
    "src/queue/sql.rs",
    "src/relay/sql.rs",
    "src/spool.rs",
    "src/trust/sql.rs",
    "src/trust/verdict.rs",
];
/// Tables that grow with mail.
const GROWING: &[&str] = &[
    "message",
    "leg",
    "job",
    "journal",
    "body",
    "seen",
    "submitted",
    "correspondent",
];
/// Once at each start, before any mail is taken.
const AT_START: &str = "WHERE lease_token IS NOT NULL";

/// The statements of a source file, as the compiler reads its string literals.
fn statements(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let tracked = code
        .split_once("const TRACKED: &str =")
        .and_then(|(_, rest)| rest.split('"').nth(1))
        .unwrap_or_default();
    let literals = code.split('"').skip(1).step_by(2);
    let read = literals.map(|text| {
        let joined: Vec<&str> = text
            .lines()
            .map(|line| line.trim_end_matches('\\'))
            .collect();
        joined.join(" ").replace("{TRACKED}", tracked)
    });
    let begins = |text: &String| {
        let verb = text.split_whitespace().next().unwrap_or_default();
        ["SELECT", "INSERT", "UPDATE", "DELETE"].contains(&verb)
    };
    read.filter(begins).collect()
}

#[tokio::test]
async fn no_statement_of_the_roads_walks_through_a_table_that_grows_with_mail() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = Paths {
        database: folder.path().join("carepost.db"),
        blobs: folder.path().join("blobs"),
    };
    let key = KeyEncryptionKey::new([1; 32]);
    let store = Store::open(&paths, "node", key, World::real())
        .await
        .expect("opens");
    let mut count = 0;
    for station in STATIONS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(station);
        let source = std::fs::read_to_string(path).expect("UTF-8");
        for statement in statements(&source) {
            count += 1;
            if statement.contains(AT_START) {
                continue;
            }
            for step in plan(&store, &statement).await {
                let walks = |table: &&&str| {
                    step == format!("SCAN {table}") || step.starts_with(&format!("SCAN {table} "))
                };
                let table = GROWING.iter().find(walks);
                assert_eq!(table, None, "{station}: {step}\n{statement}");
            }
        }
    }
    assert!(count > 30, "the statements are no longer found: {count}");
}

async fn plan(store: &Store, statement: &str) -> Vec<String> {
    let explain = format!("EXPLAIN QUERY PLAN {statement}");
    let read = store.read("test", move |conn| {
        Box::pin(async move {
            type Step = (i64, i64, i64, String);
            let steps: Vec<Step> = sqlx::query_as(sqlx::AssertSqlSafe(explain))
                .fetch_all(conn)
                .await?;
            Ok(steps)
        })
    });
    let steps = read
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
    steps.into_iter().map(|(_, _, _, step)| step).collect()
}
