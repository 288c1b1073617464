//! Bind: the signer to the sender, the envelope to the header (A-036 to; decision 9).
//! In: the inner header, the envelope, signers whose signature is right. Out: who sent it, and which
//! recipients may have it. Reports are bound by other rules: their signer is judged against the recipient
//! they speak for, later.

use std::sync::Arc;

use crate::certs::Identity;
use crate::envelope::{Address, MessageId, ReturnPath};
use crate::journal::Reason;
use crate::mime::{Field, Header, MimeError, asks_final_delivery, decoy, mailboxes};
use crate::trust::{Profile, binds, names_sender};

use super::decrypt::{Holder, Reached};
use super::inner::Inner;
use super::{Failure, Kind, Rules, Signer, Step, Terms};

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

/// What stands outside the signature.
pub(super) struct Heard<'a> {
    /// None if nobody knows.
    pub mail_from: Option<&'a ReturnPath>,
    pub reached: Reached,
    pub outer: &'a Header,
}

/// Applies the rules of the message's kind.
pub(super) fn bind(
    inner: &Inner,
    heard: &Heard<'_>,
    signers: Vec<Signer>,
    terms: &Terms<'_>,
) -> Step<Bound> {
    match (terms.rules, inner.kind) {
        (Rules::Plain, _) => bind_plain(&inner.header, heard, signers, terms),
        (Rules::Direct(_), Kind::Report) => Ok(bind_report(&inner.header, heard, signers)),
        (Rules::Direct(_), Kind::Message) => bind_message(&inner.header, heard, signers, terms),
    }
}

/// Any MAIL FROM; From and Message-ID may be missing. All good signers stay, for the judge.
fn bind_report(header: &Header, heard: &Heard<'_>, signers: Vec<Signer>) -> Bound {
    let (recipients, excluded) = match &heard.reached {
        Reached::Named {
            recipients,
            excluded,
        } => (recipients.as_slice(), excluded.clone()),
        Reached::ByKey(_) => (&[][..], vec![]),
    };
    Bound {
        sender: lone_mailbox(header.at_most_one("From")).ok().flatten(),
        recipients: recipients
            .iter()
            .map(|(address, _)| address.clone())
            .collect(),
        excluded,
        message_id: lone_id(header),
        asked: false,
        signers,
    }
}

fn lone_id(header: &Header) -> Option<MessageId> {
    let field = header.at_most_one("Message-ID").ok().flatten()?;
    MessageId::parse(&field.value())
}

fn bind_message(
    header: &Header,
    heard: &Heard<'_>,
    signers: Vec<Signer>,
    terms: &Terms<'_>,
) -> Step<Bound> {
    let names = Names::read(header)?;
    let mail_from = match heard.mail_from {
        None => None,
        Some(ReturnPath::To(mail_from)) => Some(mail_from),
        Some(ReturnPath::Null) => {
            // Decision 9: what cannot be answered is no message.
            let detail = "MAIL FROM is <>, and it is not a report";
            return Err(Failure::new(Reason::EnvelopeSender, detail));
        }
    };
    let (sender, signers) = bound_signers(&names, signers, terms)?;
    let (recipients, excluded) = names.reached(&heard.reached, mail_from, terms)?;
    Ok(Bound {
        sender: Some(sender),
        recipients,
        excluded,
        message_id: Some(names.message_id),
        asked: asks_final_delivery(header),
        signers,
    })
}

/// RFC 8550 §3: the signer belongs to From, the one inside and the one that stands outside, for either may
/// be shown. Sender is no substitute: few readers show it.
fn bind_plain(
    header: &Header,
    heard: &Heard<'_>,
    mut signers: Vec<Signer>,
    terms: &Terms<'_>,
) -> Step<Bound> {
    let from = lone_mailbox(header.at_most_one("From"))?;
    let shown = lone_mailbox(heard.outer.at_most_one("From"))?;
    if terms.wants_binding() {
        for address in from.iter().chain(&shown) {
            let subjects = subjects(&signers);
            signers.retain(|signer| names_sender(&signer.certificate, address));
            if signers.is_empty() {
                let detail = format!("signed by {subjects}, From is {address} (RFC 8550 §3)");
                return Err(Failure::new(Reason::SignerNotSender, detail));
            }
        }
    }
    Ok(Bound {
        sender: from.or(shown),
        recipients: vec![],
        excluded: vec![],
        message_id: lone_id(header),
        asked: false,
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

    /// Who of those it reached may have it, and who not, each with why; somebody must.
    #[expect(clippy::type_complexity, reason = "the two lists that Opened keeps")]
    fn reached(
        &self,
        reached: &Reached,
        mail_from: Option<&Address>,
        terms: &Terms<'_>,
    ) -> Step<(Vec<Address>, Vec<(Address, Reason, String)>)> {
        let (candidates, mut excluded) = match reached {
            Reached::Named {
                recipients,
                excluded,
            } => (recipients.clone(), excluded.clone()),
            Reached::ByKey(keys) => (self.holders(keys.as_deref(), terms)?, vec![]),
        };
        // v1.2 lets a message name nobody.
        if candidates.is_empty() && matches!(reached, Reached::ByKey(_)) {
            return Ok((vec![], vec![]));
        }
        let mut recipients = Vec::new();
        for (address, profile) in candidates {
            match self.admit(mail_from, &address, profile) {
                Ok(()) => recipients.push(address),
                Err(why) => excluded.push((address, why.reason, why.detail)),
            }
        }
        if !recipients.is_empty() {
            return Ok((recipients, excluded));
        }
        Err(excluded.pop().map_or_else(
            || Failure::new(Reason::NoKey, "nobody it was sent to is ours"),
            |(_, reason, detail)| Failure::new(reason, detail),
        ))
    }

    /// Who of To and Cc holds one of these keys. If v1.3 finds nobody, no RCPT TO could be right:
    /// someone it was sent to has sealed it anew for another.
    fn holders(
        &self,
        keys: Option<&[Arc<Identity>]>,
        terms: &Terms<'_>,
    ) -> Step<Vec<(Address, Profile)>> {
        let profile = terms.profile();
        let strict = terms.wants_binding() && profile == Profile::V1_3;
        let keys = keys.filter(|_| strict);
        let holds = |address: &&Address| {
            keys.is_none_or(|keys| {
                let mut keys = keys.iter();
                keys.any(|key| binds(&key.certificate, address, profile))
            })
        };
        let holders: Vec<_> = self.to.iter().filter(holds).cloned().collect();
        if holders.is_empty() && strict {
            let detail = "nobody in the inner To or Cc holds the key that opens it (A-038)";
            return Err(Failure::new(Reason::EnvelopeRecipient, detail));
        }
        Ok(holders.into_iter().map(|one| (one, profile)).collect())
    }

    /// Whether the envelope agrees with the header, for one recipient (A-037, A-038; v1.3 only).
    fn admit(
        &self,
        mail_from: Option<&Address>,
        recipient: &Address,
        profile: Profile,
    ) -> Step<()> {
        if profile == Profile::V1_2 {
            return Ok(());
        }
        if let Some(mail_from) = mail_from
            && *mail_from != self.from
            && self.sender.as_ref() != Some(mail_from)
        {
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
    terms: &Terms<'_>,
) -> Step<(Address, Vec<Signer>)> {
    if !terms.wants_binding() {
        return Ok((names.from.clone(), signers));
    }
    let profile = terms.profile();
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
    let subjects = subjects(&signers);
    let detail = format!("signed by {subjects}, From is {} (A-088)", names.from);
    Err(Failure::new(Reason::SignerNotSender, detail))
}

fn subjects(signers: &[Signer]) -> String {
    let subjects = signers
        .iter()
        .map(|signer| signer.certificate.subject_text());
    subjects.collect::<Vec<_>>().join("; ")
}

/// The one mailbox of a field, if the field is there.
fn lone_mailbox(field: Result<Option<Field<'_>>, MimeError>) -> Step<Option<Address>> {
    let Some(field) = field? else {
        return Ok(None);
    };
    let value = field.value();
    match mailboxes(&value)?.only() {
        Some(address) => match decoy(&value, address) {
            Some(other) => Err(Failure::new(
                Reason::MisleadingSender,
                format!("the {} field shows {other}, and is {address}", field.name()),
            )),
            None => Ok(Some(address.clone())),
        },
        None => Err(Failure::new(
            Reason::BadHeaders,
            format!(
                "the {} field does not hold exactly one address",
                field.name()
            ),
        )),
    }
}
