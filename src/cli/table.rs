//! Tables for people. In: rows of JSON. Out: text in columns. What a stranger wrote (a HELO, a reply)
//! cannot move the cursor.

use serde_json::Value;

/// A column: its head, and the key of its cells.
pub type Column = (&'static str, &'static str);

/// Columns as wide as their widest cell, two blanks between; `none` if there is no row.
pub fn table(rows: &Value, columns: &[Column], none: &str) -> String {
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return format!("{none}\n");
    }
    let cells = |row: &Value| -> Vec<String> {
        columns
            .iter()
            .map(|(_, key)| cell(row.get(key).unwrap_or(&Value::Null)))
            .collect()
    };
    let mut lines = vec![
        columns
            .iter()
            .map(|(head, _)| (*head).to_owned())
            .collect::<Vec<_>>(),
    ];
    lines.extend(rows.iter().map(cells));
    aligned(&lines)
}

/// Lines of cells, aligned.
pub fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    for line in lines {
        let mut text = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            text.push_str(&format!("{cell:<width$}  "));
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

/// One value as a cell.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => tame(text),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => tame(&other.to_string()),
    }
}

/// Without control characters.
pub fn tame(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// The text of a field, or `-`.
pub fn field(value: &Value, key: &str) -> String {
    cell(value.get(key).unwrap_or(&Value::Null))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = json!([
            {"name": "a", "count": 12, "on": true, "list": ["x", "y"]},
            {"name": "longer", "count": null, "on": false, "list": []},
        ]);
        let columns = [
            ("NAME", "name"),
            ("N", "count"),
            ("ON", "on"),
            ("LIST", "list"),
        ];
        assert_eq!(
            table(&rows, &columns, "none"),
            "NAME    N   ON   LIST\n\
             a       12  yes  x, y\n\
             longer  -   no   -\n"
        );
        assert_eq!(table(&json!([]), &columns, "nothing yet"), "nothing yet\n");
    }

    #[test]
    fn a_stranger_cannot_move_the_cursor() {
        assert_eq!(cell(&json!("a\u{1b}[2Jb\n")), "a\u{fffd}[2Jb\u{fffd}");
    }
}
