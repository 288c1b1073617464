//! Reports of others: parse, tolerantly and bounded.

use crate::envelope::{Address, MessageId};
use crate::store::Body;

/// What it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportKind {
    Processed,
    Dispatched,
    /// failed, error, denied (B-011); DSN action failed.
    Failed,
    /// displayed: a read receipt (B-018).
    Displayed,
    /// deleted.
    Deleted,
    /// DSN action delayed, relayed, expanded, delivered by a next hop: closes nothing (B-025).
    Other,
}

impl ReportKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Processed => "processed",
            Self::Dispatched => "dispatched",
            Self::Failed => "failed",
            Self::Displayed => "displayed",
            Self::Deleted => "deleted",
            Self::Other => "other",
        }
    }
}

/// One recipient that the report speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedRecipient {
    /// Final-Recipient or Original-Recipient, `rfc822;` and brackets removed; a hint (ETT sends wrong ones).
    pub address: Option<Address>,
    pub kind: ReportKind,
    /// X-DIRECT-FINAL-DESTINATION-DELIVERY was there.
    pub final_delivery: bool,
    /// Failure, Error, Diagnostic-Code or Status text, for people; bounded, control characters removed.
    pub text: String,
}

/// A report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// MDN (`disposition-notification`) or DSN (`delivery-status`).
    pub is_mdn: bool,
    /// Original-Message-ID, X-Original-Message-ID, or the Message-ID of returned headers.
    pub original: Option<MessageId>,
    /// Original-Envelope-Id (DSN).
    pub envelope_id: Option<String>,
    /// From of the report itself.
    pub from: Option<Address>,
    pub recipients: Vec<ReportedRecipient>,
}

/// Why it is no report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a report: {0}")]
pub struct ParseReportError(pub String);

/// Parses an RFC 5322 message whose content type is multipart/report.
///
/// # Errors
/// [`ParseReportError`]: no Disposition, for one.
pub fn parse_report(_body: &Body) -> Result<Report, ParseReportError> {
    todo!()
}
