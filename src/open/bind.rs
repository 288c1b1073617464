//! Bind: the signer to the sender, the envelope to the header (A-036 to; decision 9).
//! In: the inner header, the envelope, signers whose signature is right. Out: who sent it, and which
//! recipients may have it. Reports are bound by other rules: their signer is judged against the recipient
//! they speak for, later.

use crate::envelope::{Address, Envelope, MessageId, ReturnPath};
use crate::journal::Reason;
use crate::mime::{Field, Header, MimeError, asks_final_delivery, mailboxes};
use crate::trust::{Profile, binds};

use super::decrypt::{Decrypted, Holder};
use super::inner::Inner;
use super::{Failure, Kind, Signer, Step};

/// The result.
pub(super) struct Bound {
    pub sender: Option<Address>,
    pub recipients: Vec<Address>,
    pub excluded: Vec<(Address, Reason, String)>,
    pub message_id: Option<MessageId>,
    pub asked: bool,
    pub signers: Vec<Signer>,
}

/// The rules for what all recipients share: v1.2 only if it is everyone's.
pub(super) fn common_profile(holders: &[Holder]) -> Profile {
    if holders.iter().all(|holder| holder.profile == Profile::V1_2) {
        Profile::V1_2
    } else {
        Profile::V1_3
    }
}

/// Applies the rules of the message's kind.
pub(super) fn bind(
    inner: &Inner,
    envelope: &Envelope,
    decrypted: &Decrypted,
    signers: Vec<Signer>,
    profile: Profile,
) -> Step<Bound> {
    match inner.kind {
        Kind::Report => Ok(bind_report(&inner.header, decrypted, signers)),
        Kind::Message => bind_message(&inner.header, envelope, decrypted, signers, profile),
    }
}

/// Any MAIL FROM; From and Message-ID may be missing. All good signers stay, for the judge.
fn bind_report(header: &Header, decrypted: &Decrypted, signers: Vec<Signer>) -> Bound {
    let recipients = decrypted.recipients.iter();
    Bound {
        sender: lone_mailbox(header.at_most_one("From")).ok().flatten(),
        recipients: recipients.map(|(address, _)| address.clone()).collect(),
        excluded: decrypted.excluded.clone(),
        message_id: header
            .at_most_one("Message-ID")
            .ok()
            .flatten()
            .and_then(|field| MessageId::parse(&field.value())),
        asked: false,
        signers,
    }
}

fn bind_message(
    header: &Header,
    envelope: &Envelope,
    decrypted: &Decrypted,
    signers: Vec<Signer>,
    profile: Profile,
) -> Step<Bound> {
    let names = Names::read(header)?;
    let ReturnPath::To(mail_from) = &envelope.return_path else {
        // Decision 9: what cannot be answered is no message.
        let detail = "MAIL FROM is <>, and it is not a report";
        return Err(Failure::new(Reason::EnvelopeSender, detail));
    };
    let (sender, signers) = bound_signers(&names, signers, profile)?;
    let mut excluded = decrypted.excluded.clone();
    let mut recipients = Vec::new();
    for (address, profile) in &decrypted.recipients {
        match names.admit(mail_from, address, *profile) {
            Ok(()) => recipients.push(address.clone()),
            Err(why) => excluded.push((address.clone(), why.reason, why.detail)),
        }
    }
    if recipients.is_empty() {
        let why = excluded.pop();
        return Err(why.map_or_else(
            || Failure::new(Reason::NoKey, "nobody it was sent to is ours"),
            |(_, reason, detail)| Failure::new(reason, detail),
        ));
    }
    Ok(Bound {
        sender: Some(sender),
        recipients,
        excluded,
        message_id: Some(names.message_id),
        asked: asks_final_delivery(header),
        signers,
    })
}

/// Whom the inner header names.
struct Names {
    from: Address,
    sender: Option<Address>,
    /// To and Cc.
    to: Vec<Address>,
    message_id: MessageId,
}

impl Names {
    /// One From with one mailbox: of several, readers show different ones.
    fn read(header: &Header) -> Step<Self> {
        let bad = |detail: &str| Failure::new(Reason::BadHeaders, detail);
        let from = lone_mailbox(header.exactly_one("From").map(Some))?
            .ok_or_else(|| bad("there is no From field"))?;
        let sender = lone_mailbox(header.at_most_one("Sender"))?;
        let mut to = Vec::new();
        let mut named = false;
        for name in ["To", "Cc"] {
            if let Some(field) = header.at_most_one(name)? {
                named = true;
                to.extend(mailboxes(&field.value())?.addresses);
            }
        }
        if !named {
            return Err(bad("there is neither a To nor a Cc field"));
        }
        header.exactly_one("Date")?;
        let message_id = MessageId::parse(&header.exactly_one("Message-ID")?.value())
            .ok_or_else(|| bad("the Message-ID field holds no message id"))?;
        Ok(Self {
            from,
            sender,
            to,
            message_id,
        })
    }

    /// Whether the envelope agrees with the header, for one recipient (A-037, A-038; v1.3 only).
    fn admit(&self, mail_from: &Address, recipient: &Address, profile: Profile) -> Step<()> {
        if profile == Profile::V1_2 {
            return Ok(());
        }
        if *mail_from != self.from && self.sender.as_ref() != Some(mail_from) {
            let detail = format!(
                "MAIL FROM is {mail_from}, inner From is {} (A-037)",
                self.from
            );
            return Err(Failure::new(Reason::EnvelopeSender, detail));
        }
        if !self.to.contains(recipient) {
            let detail = format!("{recipient} is not in the inner To or Cc (A-038)");
            return Err(Failure::new(Reason::EnvelopeRecipient, detail));
        }
        Ok(())
    }
}

/// The signers bound to From; if there are none, those bound to Sender.
fn bound_signers(
    names: &Names,
    signers: Vec<Signer>,
    profile: Profile,
) -> Step<(Address, Vec<Signer>)> {
    for address in [Some(&names.from), names.sender.as_ref()]
        .into_iter()
        .flatten()
    {
        let bound = |signer: &&Signer| binds(&signer.certificate, address, profile);
        let own: Vec<Signer> = signers.iter().filter(bound).cloned().collect();
        if !own.is_empty() {
            return Ok((address.clone(), own));
        }
    }
    let subjects: Vec<&str> = signers
        .iter()
        .map(|signer| signer.certificate.subject_text())
        .collect();
    let detail = format!(
        "signed by {}, From is {} (A-088)",
        subjects.join("; "),
        names.from
    );
    Err(Failure::new(Reason::SignerNotSender, detail))
}

/// The one mailbox of a field, if the field is there.
fn lone_mailbox(field: Result<Option<Field<'_>>, MimeError>) -> Step<Option<Address>> {
    let Some(field) = field? else {
        return Ok(None);
    };
    match mailboxes(&field.value())?.only() {
        Some(address) => Ok(Some(address.clone())),
        None => Err(Failure::new(
            Reason::BadHeaders,
            format!(
                "the {} field does not hold exactly one address",
                field.name()
            ),
        )),
    }
}
