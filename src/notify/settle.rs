//! Pure: what a report changes about a leg of ours.

use crate::envelope::Address;
use crate::journal::{Answer, LegState};

use super::{Report, ReportKind};

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

/// Decides. `signer_speaks_for`: the address that the report's signer is bound to (the tracked recipient).
pub fn settle(_leg: &LegFacts, _report: &Report) -> Settlement {
    todo!()
}
