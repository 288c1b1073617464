//! Statements whose results nobody asks for. They wait and go to the database with the next statement that
//! somebody waits for,
//! or at the end of the submission: one round trip to SQLite's thread instead of one each.
//! In: statements with `$1` binds, in order. Out: one text with all of them. Nothing is reordered, nothing is dropped.

use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Encode, FromRow, Sqlite, SqliteConnection, Type};

use super::{Named, StoreError};

/// Statements in one text whose compiled form is kept: the most that one recipient's part of a transaction has.
const TOGETHER_MAX: usize = 12;

/// What waits.
#[derive(Default)]
pub(super) struct Waiting {
    text: String,
    arguments: SqliteArguments,
    /// Names of the statements, for an error; the database does not tell which of them failed.
    names: Vec<&'static str>,
    /// A value that could not be bound.
    unfit: Option<String>,
    /// The last statement returns rows.
    answers: bool,
}

/// A statement that waits: binds are added to it.
pub struct Later<'w>(&'w mut Waiting);

impl Later<'_> {
    /// The next bind, `$1` first.
    pub fn bind<'v, T: Encode<'v, Sqlite> + Type<Sqlite>>(self, value: T) -> Self {
        if let Err(error) = self.0.arguments.add(value) {
            self.0.unfit = Some(error.to_string());
        }
        self
    }
}

impl Waiting {
    pub(super) fn add(&mut self, name: &'static str, sql: &'static str) -> Later<'_> {
        // Whoever asks would be given that row.
        debug_assert!(
            !self.answers,
            "a statement that returns rows is the last before somebody asks"
        );
        self.answers = sql.contains("RETURNING");
        if !self.text.is_empty() {
            self.text.push_str("; ");
        }
        renumber(sql, self.arguments.len(), &mut self.text);
        self.names.push(name);
        Later(self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Runs what waits.
    ///
    /// # Errors
    /// [`StoreError`]: the submission must be undone.
    pub(super) async fn run(self, conn: &mut SqliteConnection) -> Result<(), StoreError> {
        let name = self.fit()?;
        // The text is made of the constants given to `add` alone.
        let query = sqlx::query_with(AssertSqlSafe(self.text), self.arguments);
        // A message to many has a text of its own, which is not worth keeping.
        let query = query.persistent(self.names.len() <= TOGETHER_MAX);
        query.execute(conn).await.named(name)?;
        Ok(())
    }

    /// Runs what waits; the first row that the last of it returns.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(super) async fn ask<O>(self, conn: &mut SqliteConnection) -> Result<Option<O>, StoreError>
    where
        O: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        let name = self.fit()?;
        let query = sqlx::query_as_with(AssertSqlSafe(self.text), self.arguments);
        let query = query.persistent(self.names.len() <= TOGETHER_MAX);
        query.fetch_optional(conn).await.named(name)
    }

    /// The last name, if all values could be bound.
    fn fit(&self) -> Result<&'static str, StoreError> {
        let name = self.names.last().copied().unwrap_or("later");
        match &self.unfit {
            Some(what) => Err(StoreError::Row {
                name,
                what: what.clone(),
            }),
            None => Ok(name),
        }
    }
}

/// Copies a statement, `$1` becoming the first bind after those before.
fn renumber(sql: &str, before: usize, out: &mut String) {
    let mut pieces = sql.split('$');
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = piece.split_at_checked(digits).unwrap_or((piece, ""));
        out.push('$');
        match number.parse::<usize>() {
            Ok(number) => out.push_str(&number.saturating_add(before).to_string()),
            Err(_) => out.push_str(number),
        }
        out.push_str(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_wait_become_one_with_their_binds_in_order() {
        let mut waiting = Waiting::default();
        assert!(waiting.is_empty());
        let first = "UPDATE a SET x = $2 WHERE y = $1";
        waiting.add("first", first).bind(1_i64).bind("two");
        waiting
            .add("second", "DELETE FROM b WHERE x = $1 AND y = $12")
            .bind(3_i64);
        let both = "UPDATE a SET x = $2 WHERE y = $1; DELETE FROM b WHERE x = $3 AND y = $14";
        assert_eq!(waiting.text, both);
        assert_eq!(waiting.arguments.len(), 3);
    }
}
