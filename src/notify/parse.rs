//! Reports of others: parse, tolerantly and bounded. In: a message whose content type is multipart/report. Out: a
//! [`Report`]. Says what stands there; whether to believe it is for `trust` and [`super::settle`].

use std::io::Read;

use crate::envelope::{Address, MessageId};
use crate::limits::{RECIPIENTS_MAX, REPORT_OCTETS_MAX};
use crate::store::Body;

use super::fields::{Field, first, groups};
use super::write::bounded;

/// Characters of a report's text that are kept; an SMTP reply line has 512 (RFC 5321 §4.5.3.1.5).
const TEXT_MAX: usize = 512;

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

fn no_report<T>(why: &str) -> Result<T, ParseReportError> {
    Err(ParseReportError(why.to_owned()))
}

/// Parses an RFC 5322 message whose content type is multipart/report. Reads its first MiB; what is behind (a returned
/// message) is not looked at. May read a blob: not for a reactor thread.
///
/// # Errors
/// [`ParseReportError`]: no Disposition, for one.
pub fn parse_report(body: &Body) -> Result<Report, ParseReportError> {
    let mut octets = Vec::new();
    let most = u64::try_from(REPORT_OCTETS_MAX).unwrap_or(u64::MAX);
    body.reader()
        .map_err(|error| ParseReportError(error.to_string()))?
        .take(most)
        .read_to_end(&mut octets)
        .map_err(|error| ParseReportError(error.to_string()))?;
    parse_octets(&octets)
}

fn parse_octets(octets: &[u8]) -> Result<Report, ParseReportError> {
    let outer = outer(octets)?;
    let from = first(&outer.header, "from").and_then(mailbox);
    for part in &outer.parts {
        match part.kind.as_str() {
            "message/disposition-notification" | "message/global-disposition-notification" => {
                return mdn(&part.octets, from);
            }
            "message/delivery-status" | "message/global-delivery-status" => {
                return dsn(&part.octets, returned_id(&outer.parts), from);
            }
            _ => {}
        }
    }
    no_report("no disposition-notification and no delivery-status part")
}

fn mdn(part: &[u8], from: Option<Address>) -> Result<Report, ParseReportError> {
    // An MDN speaks for one recipient (RFC 8098 §2.1); empty lines between its fields are read over.
    let fields = groups(part).concat();
    let mut kinds = fields
        .iter()
        .filter(|field| field.name == "disposition")
        .map(|field| disposition(&field.value));
    let kind = match (kinds.next(), kinds.next()) {
        (Some(Some(kind)), None) => kind,
        // Which one was meant is not ours to guess.
        (Some(_), Some(_)) => return no_report("more than one Disposition"),
        _ => return no_report("no Disposition"),
    };
    let text = ["failure", "error", "warning"]
        .into_iter()
        .find_map(|name| first(&fields, name))
        .unwrap_or_default();
    Ok(Report {
        is_mdn: true,
        original: original(&fields),
        envelope_id: None,
        from,
        recipients: vec![ReportedRecipient {
            address: recipient(&fields),
            kind,
            final_delivery: first(&fields, "x-direct-final-destination-delivery").is_some(),
            text: bounded(text, TEXT_MAX),
        }],
    })
}

fn dsn(
    part: &[u8],
    returned: Option<MessageId>,
    from: Option<Address>,
) -> Result<Report, ParseReportError> {
    let groups = groups(part);
    let recipients: Vec<ReportedRecipient> = groups
        .iter()
        .filter(|group| first(group, "final-recipient").is_some() || first(group, "action").is_some())
        .take(RECIPIENTS_MAX)
        .map(|group| delivery(group))
        .collect();
    if recipients.is_empty() {
        return no_report("no recipient in the delivery status");
    }
    Ok(Report {
        is_mdn: false,
        // B-023. A field that the peer wrote for us beats the returned header.
        original: groups.iter().find_map(|group| original(group)).or(returned),
        envelope_id: groups
            .iter()
            .find_map(|group| first(group, "original-envelope-id"))
            .map(|id| bounded(id, TEXT_MAX))
            .filter(|id| !id.is_empty()),
        from,
        recipients,
    })
}

/// One recipient's group (RFC 3464 §2.3).
fn delivery(group: &[Field]) -> ReportedRecipient {
    let status = first(group, "status").unwrap_or_default();
    let kind = match first(group, "action").map(first_word).as_deref() {
        Some("failed") => ReportKind::Failed,
        // delayed, relayed, expanded, delivered: a mail host's word, not the recipient's (B-025).
        Some(action) if !action.is_empty() => ReportKind::Other,
        // Action is required; without it only a permanent status is a failure.
        _ if status.starts_with('5') => ReportKind::Failed,
        _ => ReportKind::Other,
    };
    let text = first(group, "diagnostic-code").filter(|text| !text.is_empty());
    ReportedRecipient {
        address: recipient(group),
        kind,
        final_delivery: false,
        text: bounded(text.unwrap_or(status), TEXT_MAX),
    }
}

/// `automatic-action/MDN-sent-automatically; processed/error` (RFC 8098 §3.2.6), in any case and spacing. None if it says
/// nothing.
fn disposition(value: &str) -> Option<ReportKind> {
    let kind = value.rsplit_once(';').map_or(value, |(_, kind)| kind);
    let (kind, modifiers) = kind.split_once('/').unwrap_or((kind, ""));
    let kind = first_word(kind);
    let erred = modifiers
        .split(',')
        .any(|modifier| first_word(modifier) == "error");
    match kind.as_str() {
        "" => None,
        // RFC 8098 §3.2.6.3: an error that prevented successful processing.
        "processed" | "dispatched" if erred => Some(ReportKind::Failed),
        "processed" => Some(ReportKind::Processed),
        "dispatched" => Some(ReportKind::Dispatched),
        // B-011; `failure` is what ETT sends too.
        "failed" | "failure" | "error" | "denied" => Some(ReportKind::Failed),
        "displayed" => Some(ReportKind::Displayed),
        "deleted" => Some(ReportKind::Deleted),
        _ => Some(ReportKind::Other),
    }
}

/// The first word of letters, digits and hyphens, in lower case.
fn first_word(text: &str) -> String {
    text.trim_start()
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// Whom a group speaks for (B-022).
fn recipient(fields: &[Field]) -> Option<Address> {
    ["final-recipient", "original-recipient"]
        .into_iter()
        .filter_map(|name| first(fields, name))
        .find_map(|value| mailbox(untyped(value)))
}

/// `rfc822; a@b` -> `a@b`; the type may be missing.
fn untyped(value: &str) -> &str {
    match value.split_once(';') {
        Some((kind, rest)) if !kind.contains(['@', '<', '"']) => rest,
        _ => value,
    }
}

/// The address of `Name <a@b>`, `<a@b>`, `a@b` or `a@b (comment)`; of a list the first.
fn mailbox(value: &str) -> Option<Address> {
    let bracketed = value
        .rfind('<')
        .and_then(|start| value.get(start + 1..))
        .and_then(|rest| rest.split_once('>'))
        .map(|(inner, _)| inner);
    let bare = bracketed.unwrap_or_else(|| {
        let end = value.find([',', '(']).unwrap_or(value.len());
        value.get(..end).unwrap_or_default()
    });
    Address::parse(bare.trim()).ok()
}

/// Original-Message-ID, or the name that gateways put into a DSN.
fn original(fields: &[Field]) -> Option<MessageId> {
    ["original-message-id", "x-original-message-id"]
        .into_iter()
        .filter_map(|name| first(fields, name))
        .find_map(id)
}

/// An id that may have been folded or have lost its brackets.
fn id(value: &str) -> Option<MessageId> {
    let dense: String = value.split_whitespace().collect();
    MessageId::parse(&dense).or_else(|| {
        let bare = !dense.is_empty() && !dense.contains(['<', '>']);
        bare.then(|| MessageId::parse(&format!("<{dense}>"))).flatten()
    })
}

/// The Message-ID of the returned message or header (RFC 6522 §3, third part).
fn returned_id(parts: &[OuterPart]) -> Option<MessageId> {
    parts
        .iter()
        .filter(|part| {
            matches!(
                part.kind.as_str(),
                "text/rfc822-headers" | "message/rfc822" | "message/global" | "message/global-headers"
            )
        })
        .find_map(|part| first(&groups(&part.octets).into_iter().next()?, "message-id").and_then(id))
}
