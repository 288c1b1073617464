//! The demo's two impostors. Each seals a message for beta with a certificate of its own and submits it to
//! beta's public port. In: a certificate of any kind. Out: a message on the wire, and whether beta said
//! 250.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use lettre::address::Envelope as SmtpEnvelope;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use crate::certs::{Identity, IdentityState};
use crate::crypto::issue::Issued;
use crate::draft::{Draft, DraftKind};
use crate::envelope::{Address, MessageId, TrackingId};
use crate::seal::{self, Suite};
use crate::store::Bodies;
use crate::trust::{
    AnchorSet, Anchors, Certificate, DomainTrust, Evidence, Profile, RecipientJudgment,
    judge_recipient,
};
use crate::world::World;

/// Who forges, with what, against whom.
pub struct Forgery<'a> {
    pub from: &'a str,
    pub to: &'a str,
    pub signer: &'a Issued,
    /// The victim's certificate and its CA: both are public.
    pub victim: &'a Issued,
    pub victim_ca: &'a Issued,
}

/// Seals and sends. Returns the Message-ID.
///
/// # Errors
/// A sentence: the demo itself is broken, or the gateway did not say 250.
pub async fn send(
    forgery: &Forgery<'_>,
    bodies: &Bodies,
    world: &World,
    port: SocketAddr,
) -> Result<String, String> {
    let (from, to) = (address(forgery.from)?, address(forgery.to)?);
    let message_id = MessageId::new(world, from.domain());
    let text = format!(
        "From: {from}\r\nTo: {to}\r\nSubject: Urgent\r\nDate: {}\r\nMessage-ID: {message_id}\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nPlease change the medication.\r\n",
        world.now().rfc5322()
    );
    let draft = Draft {
        id: TrackingId::new(world),
        kind: DraftKind::Message,
        from: from.clone(),
        to: vec![to.clone()],
        message_id: message_id.clone(),
        asked: false,
        body: bodies
            .of(text.as_bytes())
            .map_err(|error| error.to_string())?,
    };
    let identity = Arc::new(Identity {
        certificate: parse(&forgery.signer.certificate)?,
        chain: Vec::new(),
        key: forgery.signer.key.clone(),
        domain: from.domain().to_owned(),
        state: IdentityState::Active,
    });
    let recipient = judged(forgery, &from, &to, world)?;
    let sealed = seal::seal(
        &draft,
        &[recipient],
        &identity,
        Suite::default(),
        bodies,
        world,
    )
    .map_err(|error| error.to_string())?;
    let mut octets = Vec::new();
    let mut reader = sealed.body().reader().map_err(|error| error.to_string())?;
    std::io::Read::read_to_end(&mut reader, &mut octets).map_err(|error| error.to_string())?;
    submit(&from, &to, &octets, port).await?;
    Ok(message_id.to_string())
}

/// The forger trusts its victim: that is enough to encrypt for it.
fn judged(
    forgery: &Forgery<'_>,
    from: &Address,
    to: &Address,
    world: &World,
) -> Result<crate::trust::TrustedRecipient, String> {
    let set = Arc::new(AnchorSet::new([parse(&forgery.victim_ca.certificate)?]));
    let trust = DomainTrust {
        tenant: "forger".to_owned(),
        profile: Profile::V1_3,
        inbound: Arc::clone(&set),
        outbound: set,
        revocation: crate::trust::RevocationRules::default(),
    };
    let anchors = Anchors::new(HashMap::from([(from.domain().to_owned(), trust)]));
    let found = [parse(&forgery.victim.certificate)?];
    let evidence = Evidence::default();
    match judge_recipient(
        to,
        &found,
        from,
        crate::trust::Side::Outbound,
        &anchors,
        &evidence,
        world.now(),
    ) {
        RecipientJudgment::Trusted(recipient) => Ok(recipient),
        other => Err(format!(
            "the demo's forger cannot encrypt for its victim: {other:?}"
        )),
    }
}

async fn submit(
    from: &Address,
    to: &Address,
    octets: &[u8],
    port: SocketAddr,
) -> Result<(), String> {
    let mailbox = |address: &Address| {
        address
            .written()
            .parse()
            .map_err(|error| format!("{address}: {error}"))
    };
    let envelope = SmtpEnvelope::new(Some(mailbox(from)?), vec![mailbox(to)?])
        .map_err(|error| error.to_string())?;
    AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(port.ip().to_string())
        .port(port.port())
        .build()
        .send_raw(&envelope, octets)
        .await
        .map(|_| ())
        .map_err(|error| format!("beta did not take the message: {error}"))
}

fn address(text: &str) -> Result<Address, String> {
    Address::parse(text).map_err(|error| format!("{text}: {error}"))
}

fn parse(der: &[u8]) -> Result<Arc<Certificate>, String> {
    Certificate::parse(der).map_err(|error| error.to_string())
}
