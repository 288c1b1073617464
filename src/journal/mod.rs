//! What happened to a message: one closed enum of events, from which audit row, trace,
//! metric and timeline are made.
//! In: an [`Entry`], recorded in the transaction that makes it true. Out: a row, a log line, a broadcast.
//! Never holds a subject, a body, a file name or a password.

mod event;
mod reason;
mod row;
mod seal;
pub mod sql;
mod state;

pub use event::{Actor, Entry, Event};
pub use reason::Reason;
pub use row::{Row, VERSION};
pub use seal::{FIRST_SEAL, seal};
pub use state::{Answer, Fault, LegState};

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../docs/reasons.md");

    /// First cells of the tables' rows under a heading, with what stands behind them.
    fn rows(heading: &str) -> Vec<(&'static str, &'static str)> {
        PAGE.lines()
            .skip_while(|line| *line != heading)
            .skip(1)
            .take_while(|line| !line.starts_with("## "))
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
            .collect()
    }

    #[test]
    fn the_published_list_of_states_and_answers_is_the_code() {
        let states: Vec<&str> = rows("## States of a leg")
            .into_iter()
            .map(|(word, _)| word)
            .collect();
        assert_eq!(states, LegState::ALL.map(LegState::word));
        let answers: Vec<&str> = rows("## Final answers")
            .into_iter()
            .map(|(word, _)| word)
            .collect();
        assert_eq!(
            answers,
            [Answer::Delivered, Answer::Failed].map(Answer::word)
        );
    }

    #[test]
    fn the_published_list_of_reasons_is_the_code() {
        let written: Vec<String> = rows("## Reasons")
            .into_iter()
            .map(|(code, texts)| format!("{code} | {texts}"))
            .collect();
        let known: Vec<String> = Reason::ALL
            .iter()
            .map(|reason| {
                format!(
                    "{} | {} | {} |",
                    reason.code(),
                    reason.happened(),
                    reason.remedy()
                )
            })
            .collect();
        assert_eq!(written, known);
    }

    #[test]
    fn the_published_list_of_events_is_the_code() {
        let written: Vec<&str> = rows("## Events")
            .into_iter()
            .map(|(word, _)| word)
            .collect();
        let known: Vec<String> = include_str!("event.rs")
            .lines()
            .skip_while(|line| *line != "pub enum Event {")
            .skip(1)
            .take_while(|line| *line != "}")
            .filter_map(|line| {
                line.strip_prefix("    ")
                    .filter(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
            })
            .map(|line| kebab(line.trim_end_matches([' ', '{', ',', '}'])))
            .collect();
        assert_eq!(written, known);
    }

    /// `DomainAdded { domain: String` -> `domain-added`, as serde writes it.
    fn kebab(line: &str) -> String {
        let name: String = line
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        name.char_indices()
            .flat_map(|(at, c)| {
                let hyphen = (at > 0 && c.is_ascii_uppercase()).then_some('-');
                hyphen.into_iter().chain([c.to_ascii_lowercase()])
            })
            .collect()
    }
}
