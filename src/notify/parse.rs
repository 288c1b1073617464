//! Reports of others: parse, tolerantly and bounded. In: a message whose content type is multipart/report. Out: a
//! [`Report`]. Says what stands there; whether to believe it is for `trust` and [`super::settle`].

use std::io::{BufRead, Read};

use crate::envelope::{Address, MessageId};
use crate::limits::{HEADER_OCTETS_MAX, RECIPIENTS_MAX, REPORT_OCTETS_MAX};
use crate::mime::{Header, MimeError, Multipart, TransferEncoding, mailboxes};
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

impl From<MimeError> for ParseReportError {
    fn from(error: MimeError) -> Self {
        Self(error.to_string())
    }
}

/// Parses an RFC 5322 message whose content type is multipart/report. Reads its first MiB; what is behind (a returned
/// message) is not looked at. May read a blob: not for a reactor thread.
///
/// # Errors
/// [`ParseReportError`]: no Disposition, for one.
pub fn parse_report(body: &Body) -> Result<Report, ParseReportError> {
    let most = u64::try_from(REPORT_OCTETS_MAX).unwrap_or(u64::MAX);
    let source = body
        .reader()
        .map_err(|error| ParseReportError(error.to_string()))?;
    parse_stream(source.take(most))
}

fn parse_stream(mut source: impl BufRead) -> Result<Report, ParseReportError> {
    let header = Header::read(&mut source)?;
    let content_type = header.content_type()?;
    if !content_type.is("multipart", "report") {
        return no_report("the content type is not multipart/report");
    }
    let author = header.at_most_one("From").ok().flatten();
    let from = author.and_then(|field| mailbox(&field.value()));
    let parts = parts(source, content_type.boundary()?);
    for (kind, octets) in &parts {
        match kind.as_str() {
            "message/disposition-notification" | "message/global-disposition-notification" => {
                return mdn(octets, from);
            }
            "message/delivery-status" | "message/global-delivery-status" => {
                return dsn(octets, returned_id(&parts), from);
            }
            _ => {}
        }
    }
    no_report("no disposition-notification and no delivery-status part")
}

/// The parts that matter, decoded, each with its type. A report that breaks off (or was cut) is read as far as it goes.
fn parts(source: impl BufRead, boundary: &str) -> Vec<(String, Vec<u8>)> {
    let mut multipart = Multipart::new(source, boundary);
    let mut parts = Vec::new();
    while let Ok(Some(mut part)) = multipart.next_part() {
        let Ok(header) = Header::read(&mut part) else {
            continue;
        };
        let Ok(content_type) = header.content_type() else {
            continue;
        };
        let kind = format!("{}/{}", content_type.kind(), content_type.subtype());
        if !kind.starts_with("message/") && kind != RETURNED_HEADERS {
            continue;
        }
        let encoding = header.transfer_encoding().ok().flatten();
        let decoded = encoding.unwrap_or(TransferEncoding::Identity).decode(part);
        let most = u64::try_from(HEADER_OCTETS_MAX).unwrap_or(u64::MAX);
        let mut octets = Vec::new();
        // What was read before an error stays.
        let _ = decoded.take(most).read_to_end(&mut octets);
        parts.push((kind, octets));
    }
    parts
}

const RETURNED_HEADERS: &str = "text/rfc822-headers";

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
        .filter(|group| {
            first(group, "final-recipient").is_some() || first(group, "action").is_some()
        })
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
    mailboxes(value).ok()?.addresses.into_iter().next()
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
        bare.then(|| MessageId::parse(&format!("<{dense}>")))
            .flatten()
    })
}

/// The Message-ID of the returned message or header (RFC 6522 §3, third part).
fn returned_id(parts: &[(String, Vec<u8>)]) -> Option<MessageId> {
    let returned = |kind: &str| {
        matches!(
            kind,
            RETURNED_HEADERS | "message/rfc822" | "message/global" | "message/global-headers"
        )
    };
    let (_, octets) = parts.iter().find(|(kind, _)| returned(kind))?;
    let header = Header::read(&mut octets.as_slice()).ok()?;
    let field = header.at_most_one("Message-ID").ok().flatten()?;
    id(&field.value())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "From: Bob <bob@b.example>\nTo: alice@a.example\nMessage-ID: <9@b.example>\n";
    const FIELDS: &str = "Reporting-UA: x\nFinal-Recipient: rfc822;bob@b.example\n\
        Original-Message-ID: <1.2@a.example>\n";

    fn report(header: &str, kind: &str, fields: &str) -> String {
        format!(
            "{header}Content-Type: multipart/report; report-type=x; boundary=\"b\"\n\n\
             --b\n\nwords\n--b\nContent-Type: {kind}\n\n{fields}\n--b--\n"
        )
        .replace('\n', "\r\n")
    }

    fn read(text: &str) -> Result<Report, ParseReportError> {
        parse_stream(text.as_bytes())
    }

    fn read_mdn(header: &str, fields: &str) -> Result<Report, ParseReportError> {
        read(&report(header, "message/disposition-notification", fields))
    }

    fn address(text: &str) -> Option<Address> {
        Some(Address::parse(text).expect("parses"))
    }

    /// Whom, about what, what.
    fn gist(report: &Report) -> (Option<Address>, Option<&str>, ReportKind) {
        let [said] = report.recipients.as_slice() else {
            panic!("one recipient: {report:?}");
        };
        let original = report.original.as_ref().map(MessageId::as_str);
        (said.address.clone(), original, said.kind)
    }

    #[test]
    fn the_variants_that_peers_send_all_read_the_same() {
        let good = "Disposition: automatic-action/MDN-sent-automatically;processed\n";
        let fields = |disposition: &str| format!("{FIELDS}{disposition}");
        let cases = [
            ("good", HEADER, fields(good)),
            ("white_space_mdn", HEADER, fields(&good.replace(':', " :"))),
            ("white_space_822", HEADER, fields(&format!(" {good}"))),
            (
                "extra_line_break_mdn",
                HEADER,
                fields(good).replace(": ", ":\n ").replace(';', ";\n\t"),
            ),
            (
                "value on a line of its own",
                HEADER,
                fields(good).replace(": ", ":\n\n"),
            ),
            (
                "extra_space_disposition",
                HEADER,
                fields(&good.replace(';', " ;   ")),
            ),
            (
                "empty lines between fields",
                HEADER,
                fields(good).replace('\n', "\n\n"),
            ),
            (
                "different_cases_822",
                HEADER,
                fields(good).to_ascii_uppercase(),
            ),
            (
                "different_cases_822, header",
                "fRoM: BOB@B.EXAMPLE\n",
                fields(good).to_ascii_lowercase(),
            ),
            ("null_sender", "To: alice@a.example\n", fields(good)),
            (
                "different_sender",
                "From: bob@b.example\nSender: other@x.example\n",
                fields(good),
            ),
            (
                "different_msgid",
                "From: bob@b.example\nMessage-ID: <other@x.example>\n",
                fields(good),
            ),
            (
                "modifier",
                HEADER,
                fields(&good.replace("processed", "processed/warning")),
            ),
            (
                "no type, brackets",
                HEADER,
                fields(good).replace("rfc822;bob@b.example", "<Bob@B.example>"),
            ),
            (
                "name",
                HEADER,
                fields(good)
                    .replace("rfc822;bob@", "RFC822 ; \"B; <ob\" <bob@")
                    .replace("b.example\nOrig", "b.example>\nOrig"),
            ),
            (
                "original only",
                HEADER,
                fields(good).replace("Final-", "Original-"),
            ),
            (
                "id without brackets",
                HEADER,
                fields(good).replace(['<', '>'], ""),
            ),
            (
                "id folded inside",
                HEADER,
                fields(good).replace("1.2@a", "1.2@\n a"),
            ),
            (
                "missing optionals",
                HEADER,
                fields(good).replace("Reporting-UA: x\n", ""),
            ),
        ];
        for (name, header, fields) in cases {
            let report =
                read_mdn(header, &fields).unwrap_or_else(|error| panic!("{name}: {error}"));
            let (whom, what, kind) = gist(&report);
            assert_eq!(whom, address("bob@b.example"), "{name}");
            assert_eq!(
                what.map(str::to_ascii_lowercase).as_deref(),
                Some("<1.2@a.example>"),
                "{name}"
            );
            assert_eq!(kind, ReportKind::Processed, "{name}");
            let has_from = header.to_ascii_lowercase().contains("from");
            assert_eq!(report.from.is_some(), has_from, "{name}");
        }
    }

    #[test]
    fn what_is_no_report_is_refused() {
        let disposition = "Disposition: automatic-action/MDN-sent-automatically;";
        for (name, text) in [
            (
                "missing_disposition",
                report(HEADER, "message/disposition-notification", FIELDS),
            ),
            (
                "empty",
                report(
                    HEADER,
                    "message/disposition-notification",
                    &format!("{FIELDS}{disposition}\n"),
                ),
            ),
            (
                "two that differ",
                report(
                    HEADER,
                    "message/disposition-notification",
                    &format!("{FIELDS}{disposition}processed\n{disposition}failed\n"),
                ),
            ),
            ("other part", report(HEADER, "text/plain", FIELDS)),
            (
                "no recipient",
                report(HEADER, "message/delivery-status", "Reporting-MTA: dns;x\n"),
            ),
            (
                "not multipart",
                "Content-Type: message/delivery-status\r\n\r\nAction: failed\r\n".to_owned(),
            ),
            ("nothing", String::new()),
            (
                "no boundary",
                "Content-Type: multipart/report\r\n\r\n".to_owned(),
            ),
        ] {
            assert!(read(&text).is_err(), "{name}");
        }
    }

    #[test]
    fn every_disposition_has_its_kind() {
        use ReportKind as K;
        for (word, kind) in [
            ("processed", K::Processed),
            ("Dispatched", K::Dispatched),
            ("failed", K::Failed),
            ("failure", K::Failed),
            ("error", K::Failed),
            ("denied", K::Failed),
            ("processed/error", K::Failed),
            ("dispatched/warning,Error", K::Failed),
            ("displayed", K::Displayed),
            ("displayed/error", K::Displayed),
            ("deleted", K::Deleted),
            ("processedish", K::Other),
        ] {
            let fields = format!("{FIELDS}Disposition: manual-action/MDN-sent-manually; {word}\n");
            assert_eq!(
                gist(&read_mdn(HEADER, &fields).expect(word)).2,
                kind,
                "{word}"
            );
        }
        assert_eq!(disposition("processed"), Some(K::Processed));
        assert_eq!(
            disposition("automatic-action/MDN-sent-automatically"),
            Some(K::Other)
        );
        assert_eq!(disposition(" ; "), None);
    }

    #[test]
    fn the_extension_and_the_words_of_failure_are_kept() {
        let fields = format!(
            "{FIELDS}Disposition: a/b;failed\nX-Direct-Final-Destination-Delivery:\nFailure: no\n such\tbox\x07 {}\n",
            "x".repeat(2_000)
        );
        let report = read_mdn(HEADER, &fields).expect("reads");
        let [said] = report.recipients.as_slice() else {
            panic!("one recipient")
        };
        assert!(said.final_delivery);
        assert!(said.text.starts_with("no such box"), "{}", said.text);
        assert_eq!(said.text.len(), TEXT_MAX);
    }

    const DSN: &str = "Reporting-MTA: dns;mx.b.example\nOriginal-Envelope-Id: token-1\n\n\
        Final-Recipient: rfc822; bob@b.example\nAction: failed\nStatus: 5.1.1\n\
        Diagnostic-Code: smtp; 550 no such user\n\n\
        Final-Recipient: rfc822; carl@b.example\nACTION: Delayed (soon)\nStatus: 4.4.1\n\n\
        Final-Recipient: rfc822; dora@b.example\nStatus: 5.2.2\n\n\
        Final-Recipient: rfc822; emil@b.example\nAction: relayed\nStatus: 2.0.0\n";

    #[test]
    fn a_dsn_speaks_for_each_of_its_recipients() {
        let text = report(HEADER, "message/delivery-status", DSN).replace(
            "--b--",
            "--b\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: x\r\nMESSAGE-ID:\r\n <1.2@a.example>\r\n\r\n--b--",
        );
        let report = read(&text).expect("reads");
        assert!(!report.is_mdn);
        assert_eq!(report.envelope_id.as_deref(), Some("token-1"));
        assert_eq!(
            report.original.as_ref().map(MessageId::as_str),
            Some("<1.2@a.example>")
        );
        let said: Vec<_> = report
            .recipients
            .iter()
            .map(|said| {
                (
                    said.address.as_ref().map(Address::written),
                    said.kind,
                    said.text.as_str(),
                )
            })
            .collect();
        assert_eq!(
            said,
            [
                (
                    Some("bob@b.example"),
                    ReportKind::Failed,
                    "smtp; 550 no such user"
                ),
                (Some("carl@b.example"), ReportKind::Other, "4.4.1"),
                (Some("dora@b.example"), ReportKind::Failed, "5.2.2"),
                (Some("emil@b.example"), ReportKind::Other, "2.0.0"),
            ]
        );
        let own = read(&text.replace(
            "Original-Envelope-Id: token-1",
            "X-Original-Message-ID: <7@a.example>",
        ));
        assert_eq!(
            own.expect("reads").original.as_ref().map(MessageId::as_str),
            Some("<7@a.example>")
        );
    }

    #[test]
    fn a_report_that_breaks_off_is_read_as_far_as_it_goes() {
        let whole = report(HEADER, "message/delivery-status", DSN).replace(
            "--b--",
            "--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <1.2@a.example>\r\n\r\nlong",
        );
        let report = read(&whole).expect("reads");
        assert_eq!(report.recipients.len(), 4);
        assert_eq!(
            report.original.as_ref().map(MessageId::as_str),
            Some("<1.2@a.example>")
        );
    }

    #[test]
    fn encoded_parts_are_decoded() {
        let text = report(
            HEADER,
            "message/disposition-notification\nContent-Transfer-Encoding: quoted-printable",
            &format!("{FIELDS}Disposition: a/b=3Bpro=\ncessed\n"),
        );
        assert_eq!(gist(&read(&text).expect("reads")).2, ReportKind::Processed);
    }

    #[test]
    fn no_prefix_of_a_report_panics() {
        let text = report(HEADER, "message/delivery-status", DSN);
        for end in 0..text.len() {
            let _ = parse_stream(text.as_bytes().get(..end).unwrap_or_default());
        }
    }
}
