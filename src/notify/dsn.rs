//! Notices to our own senders: failure in plain words (RFC 3464, B-033), and a peer's good news passed
//! on (B-019). In: what happened to whose message. Out: a [`Notice`] for a local edge. Never carries a
//! subject or a body.

use crate::envelope::{Address, AddressError, MessageId};
use crate::journal::Reason;
use crate::store::{Bodies, Body, BodyError};
use crate::world::World;

use super::mdn::{self, About, Said};
use super::write::{
    Fields, Head, Part, bounded, host_name, paragraphs, report, sentence, shown_address,
    typed_address,
};

/// Characters of a detail that are passed on; an SMTP reply line has 512 (RFC 5321 §4.5.3.1.5).
const DETAIL_MAX: usize = 512;

/// A clear message for a local edge; it never leaves the trust boundary.
#[derive(Clone, Debug)]
pub struct Notice {
    pub to: Address,
    pub message_id: MessageId,
    pub body: Body,
}

/// Says that `message_id` did not reach `recipient`, why, and what to do. Carries
/// `X-Original-Message-ID` (ETT MT 1-12), one RFC 3463 status (B-034), Date, and `Auto-Submitted:
/// auto-replied`. Null return path.
///
/// # Errors
/// [`BodyError`].
#[expect(
    clippy::too_many_arguments,
    reason = "each is a different fact of the report"
)]
pub fn failure_notice(
    sender: &Address,
    recipient: &Address,
    message_id: &MessageId,
    reason: Reason,
    detail: &str,
    host: &str,
    bodies: &Bodies,
    world: &World,
) -> Result<Notice, BodyError> {
    let failure = Failure {
        recipient,
        message_id,
        reason,
        detail: bounded(detail, DETAIL_MAX),
    };
    let own_id = MessageId::new(world, sender.domain());
    let octets = failure.octets(sender, &own_id, host, world);
    Ok(Notice {
        to: sender.clone(),
        message_id: own_id,
        body: bodies.of(&octets)?,
    })
}

/// Says that `recipient` got it: an MDN `dispatched` with `Original-Message-ID` (ETT MT 21, 29), in our
/// words, for the sender's edge.
///
/// # Errors
/// [`BodyError`].
pub fn forwarded_mdn(
    sender: &Address,
    recipient: &Address,
    message_id: &MessageId,
    host: &str,
    bodies: &Bodies,
    world: &World,
) -> Result<Notice, BodyError> {
    let own_id = MessageId::new(world, sender.domain());
    let octets = good_news(sender, recipient, message_id, &own_id, host, world);
    Ok(Notice {
        to: sender.clone(),
        message_id: own_id,
        body: bodies.of(&octets)?,
    })
}

fn good_news(
    sender: &Address,
    recipient: &Address,
    message_id: &MessageId,
    own_id: &MessageId,
    host: &str,
    world: &World,
) -> Vec<u8> {
    let about = About {
        sender: sender.clone(),
        message_id: message_id.clone(),
        // It is sent only when that was asked for and the peer confirmed it (B-019).
        asked: true,
        reporter: host.to_owned(),
    };
    let head = Head {
        from: &postmaster(sender),
        to: sender,
        message_id: own_id,
        about: message_id,
        subject: format!("Delivered: your message to {}", shown_address(recipient)),
        report_type: "disposition-notification",
    };
    report(
        &head,
        &mdn::parts(recipient, &Said::Dispatched, &about),
        world,
    )
}

/// Who writes to our own people: the postmaster of their domain, who can be answered (RFC 5321 §4.5.1).
fn postmaster(sender: &Address) -> Address {
    Address::parse(&format!("postmaster@{}", sender.domain()))
        .unwrap_or_else(|_: AddressError| sender.clone())
}

struct Failure<'a> {
    recipient: &'a Address,
    message_id: &'a MessageId,
    reason: Reason,
    /// Printable and bounded.
    detail: String,
}

impl Failure<'_> {
    fn octets(&self, sender: &Address, own_id: &MessageId, host: &str, world: &World) -> Vec<u8> {
        let head = Head {
            from: &postmaster(sender),
            to: sender,
            message_id: own_id,
            about: self.message_id,
            subject: format!(
                "Not delivered: your message to {}",
                shown_address(self.recipient)
            ),
            report_type: "delivery-status",
        };
        let parts = [self.words(), self.status(host), self.original()];
        report(&head, &parts, world)
    }

    /// For people: what happened, what to do.
    fn words(&self) -> Part {
        let recipient = shown_address(self.recipient);
        let detail = if self.detail.is_empty() {
            String::new()
        } else {
            format!("Detail: {}", self.detail)
        };
        paragraphs(&[
            format!("Your message did not reach {recipient}."),
            format!("What happened: {}", sentence(self.reason.happened())),
            format!("What to do: {}", sentence(self.reason.remedy())),
            detail,
            format!(
                "This is the only notice about this recipient. The message was {}.",
                self.message_id
            ),
        ])
    }

    /// For machines: one group for the message, one for the recipient (RFC 3464 §2.1).
    fn status(&self, host: &str) -> Part {
        let why = [self.reason.happened(), self.detail.as_str()]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join("; ");
        let mut fields = Fields::default();
        fields
            .piece("Reporting-MTA", &format!("dns;{}", host_name(host)))
            // ETT finds the failed message by this name and the id in one part (MT 1-12).
            .line("X-Original-Message-ID", self.message_id.as_str())
            .next_group()
            .piece("Original-Recipient", &typed_address(self.recipient))
            .piece("Final-Recipient", &typed_address(self.recipient))
            .piece("Action", "failed")
            .piece("Status", &status_code(self.reason, &self.detail))
            .words(
                "Diagnostic-Code",
                &format!("x-carepost; {}: {why}", self.reason.code()),
            );
        Part {
            content_type: "message/delivery-status",
            text: fields.text(),
        }
    }

    /// The third part (RFC 6522 §3): the Message-ID and nothing else, so that no subject travels.
    fn original(&self) -> Part {
        let mut fields = Fields::default();
        fields.line("Message-ID", self.message_id.as_str());
        Part {
            content_type: "text/rfc822-headers",
            text: fields.text(),
        }
    }
}

/// The RFC 3463 code (B-034). If the other side refused, its own code is the better one.
fn status_code(reason: Reason, detail: &str) -> String {
    use Reason as R;
    let code = match reason {
        R::HopRefused | R::EdgeRefused | R::ReportedFailed => {
            return foreign_status(detail).unwrap_or_else(|| "5.5.0".to_owned());
        }
        // Addresses: RFC 3463 §3.2.
        R::UnknownRecipient => "5.1.1",
        R::NoMailHost => "5.1.2",
        R::AddressInactive => "5.2.1",
        // Size, and our own system: §3.4.
        R::OverLimit => "5.3.4",
        R::BadQuestion | R::OwnFault | R::Poison => "5.3.0",
        R::HeldByOperator | R::CancelledByOperator => "5.3.0",
        // Network and time: §3.5. Expiry counts as persistent transient (RFC 3463 §2: class 4 may
        // come with a failure).
        R::EdgeUnavailable | R::HopUnavailable => "4.4.1",
        R::DiscoveryUnavailable => "4.4.3",
        R::QueueExpired => "4.4.7",
        R::NoProcessed | R::NoDispatched => "5.4.7",
        // Content: §3.7.
        R::Malformed | R::NotWrapped | R::BadHeaders | R::TwoContents => "5.6.0",
        // Security: §3.8. Untrusted; unsecured; key or certificate unusable; algorithm; integrity.
        R::NoPath | R::SignerNotSender | R::EnvelopeSender | R::EnvelopeRecipient => "5.7.1",
        R::SenderNotYours | R::MisleadingSender => "5.7.1",
        R::NotEncrypted | R::NotSigned | R::PartlySigned | R::NoCertificate => "5.7.4",
        R::NoKey | R::DoubledRecipient | R::DecryptFailed | R::BadAttributes => "5.7.5",
        R::Expired | R::NotYetValid | R::BadIssuerSignature | R::NotCa => "5.7.5",
        R::PathTooLong | R::LeafIsCa | R::WrongUsage | R::NotBound => "5.7.5",
        R::BadExtension
        | R::BadCertificate
        | R::CertificatePolicy
        | R::Filtered
        | R::NameConstraint
        | R::Revoked
        | R::RevocationUnknown => "5.7.5",
        R::OutOfBudget | R::NoIdentity => "5.7.5",
        R::WeakAlgorithm | R::WeakKey | R::WeakCertificateSignature => "5.7.6",
        R::BadSignature => "5.7.7",
        R::UnmatchedReport => "5.0.0",
    };
    code.to_owned()
}

/// The first `5.n.n` in the other side's words (RFC 3463 §2: subject and detail have up to three digits).
fn foreign_status(detail: &str) -> Option<String> {
    let digits = |part: &str| {
        (1..=3).contains(&part.len()) && part.bytes().all(|octet| octet.is_ascii_digit())
    };
    detail
        .split(|c: char| !c.is_ascii_digit() && c != '.')
        .find(|word| {
            let mut parts = word.split('.');
            parts.next() == Some("5")
                && parts.next().is_some_and(digits)
                && parts.next().is_some_and(digits)
                && parts.next().is_none()
        })
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Timestamp;

    fn notice(reason: Reason, detail: &str) -> String {
        let failure = Failure {
            recipient: &Address::parse("Bob@b.example").expect("parses"),
            message_id: &MessageId::parse("<1.2@a.example>").expect("parses"),
            reason,
            detail: bounded(detail, DETAIL_MAX),
        };
        let sender = Address::parse("alice@a.example").expect("parses");
        let own_id = MessageId::parse("<9@a.example>").expect("parses");
        let world = World::at(Timestamp::from_unix_s(1_795_309_323));
        String::from_utf8(failure.octets(&sender, &own_id, "hisp.a.example", &world))
            .expect("ASCII")
    }

    #[test]
    fn a_failure_notice_says_who_why_and_what_to_do() {
        let text = notice(Reason::NoPath, "issuer \"X CA\" is unknown");
        for piece in [
            "From: postmaster@a.example\r\nTo: alice@a.example\r\n",
            "Date: Sun, 22 Nov 2026 01:02:03 +0000\r\n",
            "Subject: Not delivered: your message to Bob@b.example\r\n",
            "Auto-Submitted: auto-replied\r\n",
            "report-type=delivery-status;\r\n",
            "Your message did not reach Bob@b.example.\r\n",
            "What happened: No path leads",
            "What to do: Import the partner's anchor",
            "Reporting-MTA: dns;hisp.a.example\r\nX-Original-Message-ID: <1.2@a.example>\r\n\r\n",
            "Final-Recipient: rfc822;Bob@b.example\r\nAction: failed\r\nStatus: 5.7.1\r\n",
            "Diagnostic-Code: x-carepost; no-path:",
            "Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: 7bit\r\n\r\nMessage-ID: <1.2@a.example>\r\n",
        ] {
            assert!(text.contains(piece), "{piece}\n{text}");
        }
        assert!(!text.contains("Disposition-Notification"));
    }

    #[test]
    fn every_reason_has_a_valid_status_and_an_ascii_notice() {
        for reason in Reason::ALL {
            let text = notice(*reason, "caf\u{e9}\r\n\r\n--x\r\nBcc: y");
            assert!(text.is_ascii());
            assert!(!text.contains("\r\nBcc"));
            let code = status_code(*reason, "");
            let parts: Vec<&str> = code.split('.').collect();
            assert!(matches!(parts.as_slice(), ["4" | "5", _, _]), "{code}");
        }
    }

    #[test]
    fn the_classes_of_failure_have_distinct_codes() {
        for (reason, detail, code) in [
            (Reason::NoCertificate, "", "5.7.4"),
            (Reason::NoPath, "", "5.7.1"),
            (Reason::Expired, "", "5.7.5"),
            (Reason::QueueExpired, "", "4.4.7"),
            (Reason::NoProcessed, "", "5.4.7"),
            (Reason::UnknownRecipient, "", "5.1.1"),
            (
                Reason::HopRefused,
                "mx.b.example said: 552 5.2.2 mailbox full",
                "5.2.2",
            ),
            (Reason::HopRefused, "550 no", "5.5.0"),
            // Version numbers and addresses are no status.
            (Reason::HopRefused, "550 from 5.1.2.3 by x5.1.1234", "5.5.0"),
            (Reason::HopRefused, "451 4.2.2 later", "5.5.0"),
        ] {
            assert_eq!(status_code(reason, detail), code, "{reason} {detail}");
        }
    }

    #[test]
    fn good_news_is_a_dispatched_mdn_for_the_edge() {
        let address = |text| Address::parse(text).expect("parses");
        let id = |text| MessageId::parse(text).expect("parses");
        let octets = good_news(
            &address("alice@a.example"),
            &address("Bob@b.example"),
            &id("<1.2@a.example>"),
            &id("<9@a.example>"),
            "hisp.a.example",
            &World::at(Timestamp::from_unix_s(0)),
        );
        let text = String::from_utf8(octets).expect("ASCII");
        for piece in [
            "\r\nOriginal-Message-ID: <1.2@a.example>\r\n",
            "\r\nDisposition: automatic-action/MDN-sent-automatically;dispatched\r\n",
            "\r\nFinal-Recipient: rfc822;Bob@b.example\r\n",
            "To: alice@a.example\r\n",
        ] {
            assert!(text.contains(piece), "{piece}\n{text}");
        }
    }
}
