//! Pure: what a report changes about a leg of ours. In: the leg as it stands, a report that was
//! believed. Out: a [`Settlement`]. Whether to believe it is decided before, by `trust`.

use crate::envelope::Address;
use crate::journal::{Answer, LegState};

use super::{Report, ReportKind, ReportedRecipient};

/// A leg that was tracked, as far as settling needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegFacts {
    pub recipient: Address,
    pub state: LegState,
    pub asked: bool,
    /// The final answer, if it was given.
    pub answer: Option<Answer>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// `processed`, and nothing more was asked for: final, delivered.
    Processed { close: bool },
    /// `dispatched`: final, delivered, even without `processed` (B-026); the edge hears of it if it asked.
    Dispatched,
    /// Final, failed: the edge gets a notice.
    Failed { text: String },
    /// After the final answer: recorded, never shown (B-016).
    Late(ReportKind),
    /// A read receipt: passed on to the edge (B-018).
    PassOn,
    /// Changes nothing (B-025).
    Nothing,
}

/// Decides. The report's signer was found to be bound to `leg.recipient`, or the report brought our
/// token back.
pub fn settle(leg: &LegFacts, report: &Report) -> Settlement {
    let Some(said) = about(leg, report) else {
        return Settlement::Nothing;
    };
    match stage(leg) {
        Stage::NotTracked => Settlement::Nothing,
        Stage::Open => open_leg(leg, said),
        Stage::Final => final_leg(said.kind),
    }
}

/// Whether it is a read receipt that the edge may show (B-018): it speaks for a leg of ours, and its From is
/// that leg's recipient, for whom its signer was found to speak. Any other From would come into a mailbox
/// unproved, for reports are read without that check.
pub fn is_receipt_of(leg: &LegFacts, report: &Report, from: Option<&Address>) -> bool {
    from == Some(&leg.recipient) && settle(leg, report) == Settlement::PassOn
}

/// The entry for this leg: the one that names it (B-022), else the only one.
fn about<'r>(leg: &LegFacts, report: &'r Report) -> Option<&'r ReportedRecipient> {
    let named = report
        .recipients
        .iter()
        .find(|said| said.address.as_ref() == Some(&leg.recipient));
    match (named, report.recipients.as_slice()) {
        (Some(said), _) => Some(said),
        (None, [only]) => Some(only),
        (None, _) => None,
    }
}

enum Stage {
    /// Not a leg that waits for answers: it came in.
    NotTracked,
    /// Waiting.
    Open,
    /// Answered.
    Final,
}

fn stage(leg: &LegFacts) -> Stage {
    match leg.state {
        LegState::Accepted
        | LegState::Undecided
        | LegState::Refused
        | LegState::Duplicate
        | LegState::Delivering
        | LegState::Delivered
        | LegState::Undeliverable
        | LegState::Settled => Stage::NotTracked,
        LegState::Dispatched | LegState::Failed | LegState::Cancelled => Stage::Final,
        // B-024: a report may overtake the commit that says "relayed", or meet a leg that was held
        // meanwhile.
        LegState::Queued | LegState::Relayed | LegState::Processed | LegState::Held => {
            // B-017: one final answer, whatever state the leg shows.
            if leg.answer.is_some() {
                Stage::Final
            } else {
                Stage::Open
            }
        }
    }
}

fn open_leg(leg: &LegFacts, said: &ReportedRecipient) -> Settlement {
    match said.kind {
        // A second `processed` while `dispatched` is awaited tells nothing new; timers go on (B-015).
        ReportKind::Processed if leg.state == LegState::Processed && leg.asked => {
            Settlement::Nothing
        }
        ReportKind::Processed => Settlement::Processed { close: !leg.asked },
        ReportKind::Dispatched => Settlement::Dispatched,
        ReportKind::Failed => Settlement::Failed {
            text: said.text.clone(),
        },
        ReportKind::Displayed | ReportKind::Deleted => Settlement::PassOn,
        ReportKind::Other => Settlement::Nothing,
    }
}

fn final_leg(kind: ReportKind) -> Settlement {
    match kind {
        ReportKind::Processed | ReportKind::Dispatched | ReportKind::Failed => {
            Settlement::Late(kind)
        }
        // B-018: no delivery notice; a person reads later than any timer.
        ReportKind::Displayed | ReportKind::Deleted => Settlement::PassOn,
        ReportKind::Other => Settlement::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [ReportKind; 6] = [
        ReportKind::Processed,
        ReportKind::Dispatched,
        ReportKind::Failed,
        ReportKind::Displayed,
        ReportKind::Deleted,
        ReportKind::Other,
    ];

    fn address(text: &str) -> Address {
        Address::parse(text).expect("parses")
    }

    fn report(entries: &[(Option<&str>, ReportKind)]) -> Report {
        Report {
            is_mdn: true,
            original: None,
            envelope_id: None,
            from: Some(address("bob@b.example")),
            recipients: entries
                .iter()
                .map(|(name, kind)| ReportedRecipient {
                    address: name.map(address),
                    kind: *kind,
                    final_delivery: false,
                    text: "why".to_owned(),
                })
                .collect(),
        }
    }

    /// One letter a settlement: `p` processed, `P` processed and closed, `d` dispatched, `f` failed,
    /// `l` late, `>` passed on, `-` nothing.
    fn letter(settlement: &Settlement, kind: ReportKind) -> char {
        match settlement {
            Settlement::Processed { close: false } => 'p',
            Settlement::Processed { close: true } => 'P',
            Settlement::Dispatched => 'd',
            Settlement::Failed { text } if text == "why" => 'f',
            Settlement::Late(late) if *late == kind => 'l',
            Settlement::PassOn => '>',
            Settlement::Nothing => '-',
            _ => '!',
        }
    }

    fn row(state: LegState, asked: bool, answer: Option<Answer>) -> String {
        let leg = LegFacts {
            recipient: address("bob@b.example"),
            state,
            asked,
            answer,
        };
        KINDS
            .into_iter()
            .map(|kind| {
                letter(
                    &settle(&leg, &report(&[(Some("Bob@B.example"), kind)])),
                    kind,
                )
            })
            .collect()
    }

    #[test]
    fn the_whole_table_state_by_report() {
        use LegState as S;
        // Columns: processed, dispatched, failed, displayed, deleted, other.
        let answered = [Some(Answer::Delivered), Some(Answer::Failed)];
        for state in LegState::ALL {
            let (asked, unasked, closed) = match state {
                S::Queued | S::Relayed | S::Held => ("pdf>>-", "Pdf>>-", "lll>>-"),
                S::Processed => ("-df>>-", "Pdf>>-", "lll>>-"),
                S::Dispatched | S::Failed | S::Cancelled => ("lll>>-", "lll>>-", "lll>>-"),
                S::Accepted | S::Undecided | S::Refused | S::Duplicate => {
                    ("------", "------", "------")
                }
                S::Delivering | S::Delivered | S::Undeliverable | S::Settled => {
                    ("------", "------", "------")
                }
            };
            assert_eq!(row(state, true, None), asked, "{state:?} asked");
            assert_eq!(row(state, false, None), unasked, "{state:?} not asked");
            for answer in answered {
                assert_eq!(row(state, true, answer), closed, "{state:?} {answer:?}");
                assert_eq!(row(state, false, answer), closed, "{state:?} {answer:?}");
            }
        }
    }

    #[test]
    fn a_read_receipt_is_shown_only_under_the_name_of_who_read() {
        let leg = LegFacts {
            recipient: address("bob@b.example"),
            state: LegState::Dispatched,
            asked: false,
            answer: Some(Answer::Delivered),
        };
        let read = report(&[(Some("bob@b.example"), ReportKind::Displayed)]);
        let processed = report(&[(Some("bob@b.example"), ReportKind::Processed)]);
        for (from, report, shown) in [
            (Some("Bob@B.example"), &read, true),
            (Some("ceo@b.example"), &read, false),
            (None, &read, false),
            (Some("bob@b.example"), &processed, false),
        ] {
            let from = from.map(address);
            assert_eq!(
                is_receipt_of(&leg, report, from.as_ref()),
                shown,
                "{from:?}"
            );
        }
    }

    #[test]
    fn a_dsn_about_several_speaks_for_each_by_name_only() {
        let bob = LegFacts {
            recipient: address("bob@b.example"),
            state: LegState::Relayed,
            asked: false,
            answer: None,
        };
        let eve = LegFacts {
            recipient: address("eve@b.example"),
            ..bob.clone()
        };
        let both = report(&[
            (Some("carl@b.example"), ReportKind::Other),
            (Some("bob@b.example"), ReportKind::Failed),
        ]);
        assert_eq!(
            settle(&bob, &both),
            Settlement::Failed {
                text: "why".to_owned()
            }
        );
        assert_eq!(settle(&eve, &both), Settlement::Nothing);
    }
}
