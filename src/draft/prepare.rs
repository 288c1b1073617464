//! What a clinic submits becomes a draft: rules checked, missing fields added, Bcc removed.
//! In: envelope and body as the listener took them, and who may send as whom. Out: a [`Prepared`], or a
//! rule that was broken, in words for the person at the mail client. The content is copied as it is;
//! nothing is signed here.

use std::io::{BufRead, Write};

use crate::crypto::{Digest, DigestAlgorithm};
use crate::directory::Directory;
use crate::envelope::{Address, Envelope, MessageId};
use crate::limits;
use crate::mime::{self, Header, MimeError};
use crate::store::{Bodies, Body, BodyError};
use crate::world::World;

use super::{Draft, DraftKind};

/// Ready to be stored.
#[derive(Debug)]
pub struct Prepared {
    pub draft: Draft,
    /// SHA-256 of what was submitted and for whom: tells a repetition from another message under the same id (E-012).
    pub digest: [u8; 32],
}

/// Why not.
#[derive(Debug)]
pub enum Refusal {
    /// A rule: 550 with this enhanced code (RFC 3463) and sentence.
    Rule {
        enhanced: &'static str,
        text: String,
    },
    /// The disk.
    Body(BodyError),
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl From<MimeError> for Refusal {
    fn from(error: MimeError) -> Self {
        rule(
            "5.6.0",
            &format!("the message's header cannot be used: {error}"),
        )
    }
}

fn rule(enhanced: &'static str, text: &str) -> Refusal {
    Refusal::Rule {
        enhanced,
        text: text.to_owned(),
    }
}

/// Checks and prepares. Reads and writes bodies: runs off the reactor.
///
/// # Errors
/// [`Refusal`].
pub fn prepare(
    envelope: &Envelope,
    body: &Body,
    directory: &Directory,
    bodies: &Bodies,
    world: &World,
) -> Result<Prepared, Refusal> {
    let mut reader = body.reader()?;
    let header = Header::read(&mut reader)?;
    let from = sender(&header, envelope, directory)?;
    check_recipients(&header, envelope)?;
    let message_id = match header.at_most_one("Message-ID")? {
        Some(field) => MessageId::parse(&field.value())
            .ok_or_else(|| rule("5.6.0", "the Message-ID is not of the form <id@domain>"))?,
        None => MessageId::new(world, from.domain()),
    };
    let kind = match header.content_type() {
        Ok(content_type) if content_type.is("multipart", "report") => DraftKind::Mdn,
        _ => DraftKind::Message,
    };
    let mut digest = Digest::new(DigestAlgorithm::Sha256);
    let body = rewrite(&header, reader, &message_id, bodies, world, &mut digest)?;
    let to: Vec<Address> = envelope
        .recipients
        .iter()
        .map(|to| to.address.clone())
        .collect();
    let mut keys: Vec<&str> = to.iter().map(Address::key).collect();
    keys.sort_unstable();
    digest.update(keys.join(",").as_bytes());
    let draft = Draft {
        id: envelope.id,
        kind,
        asked: kind == DraftKind::Message && mime::asks_final_delivery(&header),
        from,
        to,
        message_id,
        body,
    };
    let digest = digest.finish().try_into().unwrap_or([0; 32]);
    Ok(Prepared { draft, digest })
}

/// Exactly one From; it, and MAIL FROM, belong to the login (E-011); MAIL FROM is From or Sender.
fn sender(header: &Header, envelope: &Envelope, directory: &Directory) -> Result<Address, Refusal> {
    let account = envelope.account.as_deref().unwrap_or_default();
    let from = one_address(header, "From")?.ok_or_else(|| rule("5.6.0", "there is no From"))?;
    let acting = one_address(header, "Sender")?;
    for address in [Some(&from), acting.as_ref()].into_iter().flatten() {
        if !directory.may_send_as(account, address) {
            return Err(rule(
                "5.7.1",
                &format!("this login may not send as {address}"),
            ));
        }
    }
    let fits = envelope
        .return_path
        .address()
        .is_none_or(|path| *path == from || acting.as_ref() == Some(path));
    if !fits {
        return Err(rule(
            "5.7.1",
            "the SMTP sender is neither From nor Sender of the message",
        ));
    }
    Ok(from)
}

fn one_address(header: &Header, name: &str) -> Result<Option<Address>, Refusal> {
    let Some(field) = header.at_most_one(name)? else {
        return Ok(None);
    };
    match mime::mailboxes(&field.value())?.only() {
        Some(address) => Ok(Some(address.clone())),
        None => Err(rule(
            "5.6.0",
            &format!("{name} must hold exactly one address"),
        )),
    }
}

/// whoever is written to is named in To or Cc; a receiver refuses the message otherwise.
fn check_recipients(header: &Header, envelope: &Envelope) -> Result<(), Refusal> {
    let mut named = Vec::new();
    for field in header.all("To").chain(header.all("Cc")) {
        named.extend(mime::mailboxes(&field.value())?.addresses);
    }
    match envelope
        .recipients
        .iter()
        .find(|to| !named.contains(&to.address))
    {
        None => Ok(()),
        Some(blind) => Err(rule(
            "5.7.1",
            &format!(
                "{} is not named in To or Cc; Direct knows no blind copies: send it to them separately",
                blind.address
            ),
        )),
    }
}

/// Copies the message: our own Received and every Bcc left out, what is missing put in front.
/// `digest` takes what was submitted.
fn rewrite(
    header: &Header,
    mut rest: impl BufRead,
    message_id: &MessageId,
    bodies: &Bodies,
    world: &World,
    digest: &mut Digest,
) -> Result<Body, Refusal> {
    let mut out = bodies.writer();
    let missing = |name| header.at_most_one(name).map(|field| field.is_none());
    if missing("Date")? {
        out.append(format!("Date: {}\r\n", world.now().rfc5322()).as_bytes())?;
    }
    if missing("Message-ID")? {
        out.append(format!("Message-ID: {message_id}\r\n").as_bytes())?;
    }
    if missing("MIME-Version")? {
        out.append(b"MIME-Version: 1.0\r\n")?;
    }
    for (index, field) in header.fields().enumerate() {
        // The listener puts one Received in front: trace of the edge stays inside (G-086).
        if index == 0 && field.is("Received") {
            continue;
        }
        digest.update(field.raw());
        if !field.is("Bcc") {
            out.append(field.raw())?;
        }
    }
    out.append(b"\r\n")?;
    let mut chunk = vec![0; limits::PIECE];
    loop {
        let got = rest.read(&mut chunk).map_err(MimeError::from)?;
        if got == 0 {
            break;
        }
        digest.update(&chunk[..got]);
        out.write_all(&chunk[..got]).map_err(MimeError::from)?;
    }
    Ok(out.finish()?)
}
