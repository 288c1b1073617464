//! Sealing a file for certificates at hand: the road's own [`seal`](crate::seal::seal).
//! In: a message, our identity, recipients with certificates. Out: the sealed octets, or a [`Verdict`].
//! The certificates that were given are their own anchors: they are checked as on the road, bound to
//! their addresses and fit for encryption, but nobody asks who issued them; the operator vouches.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::certs::Identity;
use crate::draft::{Draft, DraftKind};
use crate::envelope::{Address, MessageId, TrackingId};
use crate::journal::Reason;
use crate::mime::{Header, mailboxes};
use crate::open::Waivers;
use crate::seal::{SealError, Suite, seal as seal_draft};
use crate::store::{Bodies, Body};
use crate::trust::{
    AnchorSet, Anchors, Certificate, DomainTrust, Evidence, Profile, RecipientJudgment, Side,
    TrustedRecipient, binds, check_usable_for_signing, judge_recipient,
};
use crate::world::World;

use super::input::{self, InputError};
use super::{Algorithms, Answer, Outcome, Scratch, Signed, Verdict};

/// What to seal.
#[derive(Clone, Debug)]
pub struct Order {
    pub file: PathBuf,
    pub from: Address,
    pub identity: Arc<Identity>,
    pub to: Vec<Address>,
    /// Certificates of the recipients, in any order.
    pub certificates: Vec<Arc<Certificate>>,
    pub suite: Suite,
}

type Refusal = (Reason, String);

/// Seals. Blocks on disk and CPU.
pub fn seal(order: &Order, scratch: &Scratch, world: &World) -> Answer {
    let verdict = Verdict {
        sender: Some(order.from.written().to_owned()),
        recipients: order
            .to
            .iter()
            .map(|one| one.written().to_owned())
            .collect(),
        signer: Some(Signed::of(&order.identity.certificate)),
        algorithms: Algorithms {
            cipher: Some(order.suite.cipher.name()),
            key_transport: Some(order.suite.transport.name()),
            digest: Some(order.suite.digest.micalg()),
        },
        wrapped: Some(true),
        ..Verdict::of(Outcome::Accepted, "seal", Waivers::NONE)
    };
    let body = match input::read_mail(&order.file, scratch.bodies()) {
        Ok(body) => body,
        Err(InputError::Ours(error)) => return (super::ours(&error, Waivers::NONE), None),
        Err(InputError::Unreadable(why)) => {
            return (verdict.refused("input", (Reason::Malformed, why)), None);
        }
        Err(InputError::OverLimit) => {
            let why = "the file is larger than any message".to_owned();
            return (verdict.refused("input", (Reason::OverLimit, why)), None);
        }
    };
    match sealed(order, body, scratch.bodies(), world) {
        Ok(body) => (verdict, Some(body)),
        Err(why) => (verdict.refused("seal", why), None),
    }
}

fn sealed(order: &Order, body: Body, bodies: &Bodies, world: &World) -> Result<Body, Refusal> {
    check_signer(order, world)?;
    let draft = draft(order, body, world)?;
    let to = recipients(order, world)?;
    let sealed = seal_draft(&draft, &to, &order.identity, order.suite, bodies, world);
    match sealed {
        Ok(sealed) => Ok(sealed.body().clone()),
        Err(SealError::Unfit { reason, detail }) => Err((reason, detail)),
        Err(SealError::Body(detail)) => Err((Reason::Malformed, detail)),
    }
}

/// the other side would refuse what another signs, and so do we.
fn check_signer(order: &Order, world: &World) -> Result<(), Refusal> {
    let certificate = &order.identity.certificate;
    if !binds(certificate, &order.from, Profile::V1_3) {
        let subject = certificate.subject_text();
        let detail = format!(
            "the certificate of {subject} does not belong to {}",
            order.from
        );
        return Err((Reason::SignerNotSender, detail));
    }
    check_usable_for_signing(certificate, world.now()).map_err(|why| (why.reason, why.detail))
}

fn draft(order: &Order, body: Body, world: &World) -> Result<Draft, Refusal> {
    let bad = |detail: String| (Reason::BadHeaders, detail);
    let mut reader = body.reader().map_err(|error| bad(error.to_string()))?;
    let header = Header::read(&mut reader).map_err(|error| bad(error.to_string()))?;
    let value = |name: &str| {
        let field = header.exactly_one(name);
        field
            .map(|field| field.value())
            .map_err(|error| bad(error.to_string()))
    };
    let from = mailboxes(&value("From")?).map_err(|error| bad(error.to_string()))?;
    if from.only() != Some(&order.from) {
        return Err(bad(format!("From is not {}", order.from)));
    }
    let message_id = MessageId::parse(&value("Message-ID")?)
        .ok_or_else(|| bad("the Message-ID field holds no message id".to_owned()))?;
    Ok(Draft {
        id: TrackingId::new(world),
        kind: DraftKind::Message,
        from: order.from.clone(),
        to: order.to.clone(),
        message_id,
        asked: false,
        body,
    })
}

fn recipients(order: &Order, world: &World) -> Result<Vec<TrustedRecipient>, Refusal> {
    let trust = DomainTrust {
        tenant: String::new(),
        profile: Profile::V1_3,
        inbound: Arc::default(),
        outbound: Arc::new(AnchorSet::new(order.certificates.iter().cloned())),
        revocation: crate::trust::RevocationRules::default(),
    };
    let domain = order.from.domain().to_owned();
    let anchors = Anchors::new(HashMap::from([(domain, trust)]));
    let judged = |to: &Address| {
        let (found, evidence) = (&order.certificates, Evidence::default());
        match judge_recipient(
            to,
            found,
            &order.from,
            Side::Outbound,
            &anchors,
            &evidence,
            world.now(),
        ) {
            RecipientJudgment::Trusted(recipient) => Ok(recipient),
            RecipientJudgment::Refused(why) => Err((why.reason, why.detail)),
            RecipientJudgment::Undecided(needs) => Err((
                Reason::RevocationUnknown,
                format!("{to}: evidence is missing: {needs:?}"),
            )),
        }
    };
    order.to.iter().map(judged).collect()
}
