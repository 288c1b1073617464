//! Disposition notifications (RFC 8098; Delivery Notification IG): compose.
//! In: a proof and what is reported on. Out: a [`Draft`] in clear, which only `seal` can send (A-103, B-012). Carries no
//! subject and no body of the original (A-112).

use crate::deliver::Delivered;
use crate::draft::{Draft, DraftKind};
use crate::envelope::{Address, MessageId, TrackingId};
use crate::journal::Reason;
use crate::store::{Bodies, BodyError};
use crate::trust::Grant;
use crate::world::World;

use super::write::{
    Fields, Head, Part, host_name, paragraphs, report, sentence, shown_address, typed_address,
};

/// The message that is reported on.
#[derive(Clone, Debug)]
pub struct About {
    /// Who sent it: who the report goes to.
    pub sender: Address,
    pub message_id: MessageId,
    /// Whether delivery notification was validly asked for (B-004, B-009).
    pub asked: bool,
    /// Reporting-UA: our host name; letters, digits, dots, hyphens (ETT DTS 457).
    pub reporter: String,
}

/// `processed`: trusted (A-100 to A-105). From the recipient's address, to the sender.
///
/// ```no_run
/// use carepost::{notify, store::Bodies, trust::Grant, world::World};
/// fn acknowledge(held: &Grant, about: &notify::About, bodies: &Bodies, world: &World) {
///     let _ = notify::processed(held, about, bodies, world);
/// }
/// ```
///
/// An untrusted sender hears nothing (A-107):
///
/// ```compile_fail
/// use carepost::{notify, store::Bodies, trust::Distrust, world::World};
/// fn acknowledge(held: &Distrust, about: &notify::About, bodies: &Bodies, world: &World) {
///     let _ = notify::processed(held, about, bodies, world);
/// }
/// ```
///
/// # Errors
/// [`BodyError`].
pub fn processed(
    grant: &Grant,
    about: &About,
    bodies: &Bodies,
    world: &World,
) -> Result<Draft, BodyError> {
    compose(grant.recipient(), &Said::Processed, about, bodies, world)
}

/// `dispatched`: at its final destination (B-006); carries X-DIRECT-FINAL-DESTINATION-DELIVERY only if asked (B-007, B-009).
///
/// ```no_run
/// use carepost::{deliver::Delivered, notify, store::Bodies, world::World};
/// fn confirm(held: &Delivered, about: &notify::About, bodies: &Bodies, world: &World) {
///     let _ = notify::dispatched(held, about, bodies, world);
/// }
/// ```
///
/// Knowing the way is not having arrived (B-008):
///
/// ```compile_fail
/// use carepost::{notify, route::Routed, store::Bodies, world::World};
/// fn confirm(held: &Routed, about: &notify::About, bodies: &Bodies, world: &World) {
///     let _ = notify::dispatched(held, about, bodies, world);
/// }
/// ```
///
/// # Errors
/// [`BodyError`].
pub fn dispatched(
    delivered: &Delivered,
    about: &About,
    bodies: &Bodies,
    world: &World,
) -> Result<Draft, BodyError> {
    let recipient = delivered.grant().recipient();
    compose(recipient, &Said::Dispatched, about, bodies, world)
}

/// `failed` (B-010, B-011): trusted, but it cannot be delivered. `why` becomes a Failure field of plain words (ETT DTS 463).
///
/// # Errors
/// [`BodyError`].
pub fn failed(
    grant: &Grant,
    about: &About,
    why: Reason,
    bodies: &Bodies,
    world: &World,
) -> Result<Draft, BodyError> {
    compose(grant.recipient(), &Said::Failed(why), about, bodies, world)
}

/// What a notification of ours can say.
pub(super) enum Said {
    Processed,
    Dispatched,
    Failed(Reason),
}

impl Said {
    /// The disposition type (RFC 8098 §3.2.6.2; `failed` as the IG has it).
    fn word(&self) -> &'static str {
        match self {
            Self::Processed => "processed",
            Self::Dispatched => "dispatched",
            Self::Failed(_) => "failed",
        }
    }

    /// The subject; never the original's (A-112).
    fn subject(&self, recipient: &str) -> String {
        match self {
            Self::Processed => format!("Processed: your message to {recipient}"),
            Self::Dispatched => format!("Delivered: your message to {recipient}"),
            Self::Failed(_) => format!("Not delivered: your message to {recipient}"),
        }
    }

    fn texts(&self, recipient: &str) -> Vec<String> {
        match self {
            Self::Processed => vec![
                format!("Your message to {recipient} was received, decrypted and found trustworthy."),
                "It is now on its way to the recipient's mailbox. This says nothing about whether it was read."
                    .to_owned(),
            ],
            Self::Dispatched => vec![
                format!("Your message to {recipient} was delivered to the recipient's own system."),
                "This says nothing about whether it was read.".to_owned(),
            ],
            Self::Failed(why) => vec![
                format!("Your message to {recipient} was received and found trustworthy, but could not be delivered."),
                format!("What happened: {}", sentence(why.happened())),
                "What to do: reach the recipient in another way; the message will not be tried again.".to_owned(),
            ],
        }
    }
}

fn compose(
    recipient: &Address,
    said: &Said,
    about: &About,
    bodies: &Bodies,
    world: &World,
) -> Result<Draft, BodyError> {
    let message_id = MessageId::new(world, recipient.domain());
    let octets = octets(recipient, said, about, &message_id, world);
    Ok(Draft {
        id: TrackingId::new(world),
        kind: DraftKind::Mdn,
        from: recipient.clone(),
        to: vec![about.sender.clone()],
        message_id,
        asked: false,
        body: bodies.of(&octets)?,
    })
}

fn octets(
    recipient: &Address,
    said: &Said,
    about: &About,
    message_id: &MessageId,
    world: &World,
) -> Vec<u8> {
    let head = Head {
        from: recipient,
        to: &about.sender,
        message_id,
        about: &about.message_id,
        subject: said.subject(&shown_address(recipient)),
        report_type: "disposition-notification",
    };
    report(&head, &parts(recipient, said, about), world)
}

/// The words for people, and the fields for machines (RFC 8098 §3.1).
pub(super) fn parts(recipient: &Address, said: &Said, about: &About) -> [Part; 2] {
    let typed = typed_address(recipient);
    let mut fields = Fields::default();
    fields
        .piece("Reporting-UA", &host_name(&about.reporter))
        .piece("Original-Recipient", &typed)
        .piece("Final-Recipient", &typed)
        .line("Original-Message-ID", about.message_id.as_str())
        // Exactly these letters and no blank: peers compare it as a string (ETT isAnyMDN7).
        .line(
            "Disposition",
            &format!("automatic-action/MDN-sent-automatically;{}", said.word()),
        );
    match said {
        Said::Processed => {}
        // A field of the part with an empty value, not an option (B-007); not if it was not asked for (B-009).
        Said::Dispatched if about.asked => {
            fields.bare("X-DIRECT-FINAL-DESTINATION-DELIVERY");
        }
        Said::Dispatched => {}
        Said::Failed(why) => {
            fields.words("Failure", &plain(why.happened()));
        }
    }
    [
        paragraphs(&said.texts(&shown_address(recipient))),
        Part {
            content_type: "message/disposition-notification",
            text: fields.text(),
        },
    ]
}

/// Only `[0-9a-zA-Z_.,\- ]` (ETT DTS 463-466): apostrophes go, other signs become blanks.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| *c != '\'')
        .map(|c| match c {
            '0'..='9' | 'a'..='z' | 'A'..='Z' | '_' | '.' | ',' | '-' => c,
            _ => ' ',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Timestamp;

    fn about(asked: bool) -> About {
        About {
            sender: Address::parse("Alice@a.example").expect("parses"),
            message_id: MessageId::parse("<1.2@a.example>").expect("parses"),
            asked,
            reporter: "hisp.b.example".to_owned(),
        }
    }

    fn written(said: &Said, about: &About) -> String {
        let recipient = Address::parse("Bob@b.example").expect("parses");
        let world = World::at(Timestamp::from_unix_s(1_795_309_323));
        let id = MessageId::parse("<9@b.example>").expect("parses");
        String::from_utf8(octets(&recipient, said, about, &id, &world)).expect("ASCII")
    }

    /// The random boundary replaced.
    fn settled(text: &str) -> String {
        let boundary = text
            .split("boundary=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .expect("there is a boundary");
        text.replace(boundary, "BOUNDARY")
    }

    #[test]
    fn a_processed_mdn_has_exactly_the_form_that_peers_compare() {
        let text = settled(&written(&Said::Processed, &about(true)));
        let expected = "From: Bob@b.example\n\
            To: Alice@a.example\n\
            Date: Sun, 22 Nov 2026 01:02:03 +0000\n\
            Message-ID: <9@b.example>\n\
            Subject: Processed: your message to Bob@b.example\n\
            In-Reply-To: <1.2@a.example>\n\
            References: <1.2@a.example>\n\
            Auto-Submitted: auto-replied\n\
            MIME-Version: 1.0\n\
            Content-Type: multipart/report;\n \
            report-type=disposition-notification;\n \
            boundary=\"BOUNDARY\"\n\
            Content-Transfer-Encoding: 7bit\n\
            \n\
            --BOUNDARY\n\
            Content-Type: text/plain; charset=us-ascii\n\
            Content-Transfer-Encoding: 7bit\n\
            \n\
            Your message to Bob@b.example was received, decrypted and found trustworthy.\n\
            \n\
            It is now on its way to the recipient's mailbox. This says nothing about\n\
            whether it was read.\n\
            \n\
            --BOUNDARY\n\
            Content-Type: message/disposition-notification\n\
            Content-Transfer-Encoding: 7bit\n\
            \n\
            Reporting-UA: hisp.b.example\n\
            Original-Recipient: rfc822;Bob@b.example\n\
            Final-Recipient: rfc822;Bob@b.example\n\
            Original-Message-ID: <1.2@a.example>\n\
            Disposition: automatic-action/MDN-sent-automatically;processed\n\
            \n\
            --BOUNDARY--\n";
        assert_eq!(text, expected.replace('\n', "\r\n"));
    }

    #[test]
    fn the_extension_is_there_only_if_asked_for_and_only_on_dispatched() {
        let field = "\r\nX-DIRECT-FINAL-DESTINATION-DELIVERY:\r\n";
        assert!(written(&Said::Dispatched, &about(true)).contains(field));
        for (said, asked) in [
            (Said::Dispatched, false),
            (Said::Processed, true),
            (Said::Failed(Reason::EdgeRefused), true),
        ] {
            let text = written(&said, &about(asked)).to_ascii_uppercase();
            assert!(!text.contains("X-DIRECT"), "{text}");
        }
        assert!(written(&Said::Dispatched, &about(true)).contains("automatically;dispatched\r\n"));
    }

    #[test]
    fn a_failure_is_said_in_plain_words_for_every_reason() {
        for reason in Reason::ALL {
            let text = written(&Said::Failed(*reason), &about(false));
            assert!(text.contains("automatically;failed\r\n"));
            let field = text
                .replace("\r\n ", " ")
                .split("\r\n")
                .find_map(|line| line.strip_prefix("Failure: ").map(str::to_owned))
                .expect("there is a Failure field");
            let fine = |c: char| c.is_ascii_alphanumeric() || " _.,-".contains(c);
            assert!(field.chars().all(fine), "{field}");
        }
    }

    #[test]
    fn every_notification_is_ascii_with_short_crlf_lines_and_asks_for_nothing() {
        let mut about = about(true);
        about.message_id =
            MessageId::parse(&format!("<{}@a.example>", "x".repeat(300))).expect("parses");
        about.reporter = "h\u{e4}sp/1 (x)\r\nInjected: y".to_owned();
        for said in [
            Said::Processed,
            Said::Dispatched,
            Said::Failed(Reason::Poison),
        ] {
            let text = written(&said, &about);
            assert!(text.is_ascii());
            assert!(!text.contains("Disposition-Notification-To"));
            assert!(!text.contains("\r\nInjected"));
            assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
            assert!(text.split("\r\n").all(|line| line.len() <= 998));
            let unfolded = format!("\r\nOriginal-Message-ID: {}\r\n", about.message_id);
            assert!(text.contains(&unfolded));
        }
    }
}
