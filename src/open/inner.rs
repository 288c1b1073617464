//! The message within the signature: unwrapped, its header read, its octets spooled.
//! In: the signed content as a stream. Out: an [`Inner`] with a body that stays withheld.
//! Line ends become CRLF, as every mail system behind us expects; what is judged is what is handed on.

use std::io::{BufRead, Read};

use crate::crypto::{Digest, DigestAlgorithm};
use crate::journal::Reason;
use crate::mime::{Canonical, Header, LoneCr, MimeError, TransferEncoding};
use crate::store::Body;

use super::{Failure, Kind, Reads, Step, Terms, Tools};

/// The message.
pub(super) struct Inner {
    pub header: Header,
    pub kind: Kind,
    pub wrapped: bool,
    pub body: Body,
    /// SHA-256 of the body.
    pub digest: [u8; 32],
}

/// Fields that belong to one hop or to the sealed form, not to the message (unwrapped mail only).
const HOP_FIELDS: [&str; 8] = [
    "MIME-Version",
    "Received",
    "Return-Path",
    "Delivered-To",
    "Authentication-Results",
    "DKIM-Signature",
    "Bcc",
    "X-Originating-IP",
];

/// Reads the signed entity; `outer` is the clear header, whose fields an unwrapped message still needs.
pub(super) fn spool(
    content: &mut dyn BufRead,
    outer: &Header,
    terms: &Terms<'_>,
    tools: &Tools<'_>,
) -> Step<Inner> {
    match terms.reads {
        Reads::Entity => {}
        Reads::Text if begins_header(content.fill_buf()?) => {
            let detail = "the header of the signed content is broken";
            return Err(Failure::new(Reason::Malformed, detail));
        }
        Reads::Text | Reads::Octets => return keep(Header::default(), content, false, tools),
    }
    let entity = Header::read(&mut &mut *content)?;
    let content_type = entity.content_type()?;
    // any letter case, parameters, an encoding of its own.
    if content_type.is("message", "rfc822") {
        let encoding = entity
            .transfer_encoding()?
            .unwrap_or(TransferEncoding::Identity);
        let mut message = encoding.decode(content);
        let header = Header::read(&mut message).map_err(bad_header)?;
        return pour(header, message, true, tools);
    }
    if terms.wants_wrapper() {
        let (kind, subtype) = (content_type.kind(), content_type.subtype());
        return Err(Failure::new(
            Reason::NotWrapped,
            format!("the signed content is {kind}/{subtype}"),
        ));
    }
    // the signed entity may be a whole message, or a body whose header stayed outside.
    let header = if entity.all("From").next().is_some() {
        entity
    } else {
        merged(outer, &entity)?
    };
    pour(header, content, false, tools)
}

/// Whether the first line is one of a header: then some reader will see a header, however it goes on.
fn begins_header(start: &[u8]) -> bool {
    let line = start.split(|octet| *octet == b'\n').next();
    let line = line.unwrap_or_default();
    let name = line.split(|octet| *octet == b':').next();
    let name = name.unwrap_or_default().trim_ascii_end();
    name.len() < line.len() && !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
}

fn bad_header(error: MimeError) -> Failure {
    match error {
        MimeError::Malformed(what) => Failure::new(Reason::BadHeaders, what),
        other => other.into(),
    }
}

/// The clear header's message fields above the signed entity's own.
fn merged(outer: &Header, entity: &Header) -> Step<Header> {
    let mut octets = Vec::new();
    for field in outer.fields() {
        let is_content = field.name().to_ascii_lowercase().starts_with("content-");
        if !is_content && !HOP_FIELDS.iter().any(|name| field.is(name)) {
            octets.extend(field.raw());
        }
    }
    octets.extend(b"MIME-Version: 1.0\r\n");
    for field in entity.fields().filter(|field| !field.is("MIME-Version")) {
        octets.extend(field.raw());
    }
    octets.extend(b"\r\n");
    Ok(Header::read(&mut &*octets)?)
}

/// Spools header and rest with CRLF for every line end.
fn pour(header: Header, rest: impl BufRead, wrapped: bool, tools: &Tools<'_>) -> Step<Inner> {
    let octets = header.octets().to_vec();
    let message = Canonical::new(octets.chain(rest), LoneCr::Break);
    keep(header, message, wrapped, tools)
}

/// Spools a message, digesting what is written.
fn keep(
    header: Header,
    mut message: impl BufRead,
    wrapped: bool,
    tools: &Tools<'_>,
) -> Step<Inner> {
    let is_report = header.content_type()?.is("multipart", "report");
    let mut writer = tools.bodies.writer();
    let mut digest = Digest::new(DigestAlgorithm::Sha256);
    loop {
        let chunk = message.fill_buf()?;
        if chunk.is_empty() {
            break;
        }
        digest.update(chunk);
        writer.append(chunk)?;
        let taken = chunk.len();
        message.consume(taken);
    }
    drop(message);
    Ok(Inner {
        header,
        kind: if is_report {
            Kind::Report
        } else {
            Kind::Message
        },
        wrapped,
        body: writer.finish()?,
        digest: digest.finish().try_into().unwrap_or_default(),
    })
}
