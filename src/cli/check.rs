//! `carepost check`: the list that `init` ends with, again, with ticks. Exit 0 if nothing blocks.

use serde_json::{Value, json};

use crate::admin::{Failure, Request, exit};

use super::Desk;
use super::table::field;

pub async fn run(desk: &Desk) -> Result<u8, Failure> {
    let value = match desk.ask(Request::Check).await {
        Ok(value) => value,
        // Without configuration, key or store the list has one item, and it is the one that matters.
        Err(failure) if failure.code == exit::CONFIG => json!([{
            "done": false,
            "what": "the configuration, the key-encryption key and the store fit",
            "found": failure.happened,
            "do": failure.remedy,
        }]),
        Err(failure) => return Err(failure),
    };
    desk.show(&value, human);
    let blocked = open(&value).next().is_some();
    Ok(if blocked { exit::FAILED } else { 0 })
}

/// What still blocks.
pub fn open(items: &Value) -> impl Iterator<Item = &Value> {
    let items = items.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter(|item| item["done"] != true)
}

fn human(items: &Value) -> String {
    let list = items.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut text = String::new();
    for (number, item) in (1..).zip(list) {
        let tick = if item["done"] == true { "x" } else { " " };
        text.push_str(&format!("{number:>3}. [{tick}] {}", told(item)));
    }
    text.push_str(
        match open(items).count() {
            0 => "nothing blocks real mail\n".to_owned(),
            count => format!("{count} of {} still block real mail\n", list.len()),
        }
        .as_str(),
    );
    text
}

/// One item: what must be true, what was found, and what to do if it is not so.
pub fn told(item: &Value) -> String {
    let mut text = format!("{} ({})\n", field(item, "what"), field(item, "found"));
    if item["done"] != true {
        text.push_str(&format!("       do: {}\n", field(item, "do")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_ticks_and_says_how_much_blocks() {
        let items = json!([
            {"done": true, "what": "a", "found": "fine", "do": ""},
            {"done": false, "what": "b", "found": "none", "do": "make one"},
        ]);
        assert_eq!(
            human(&items),
            "  1. [x] a (fine)\n  2. [ ] b (none)\n       do: make one\n1 of 2 still block real mail\n"
        );
    }
}
