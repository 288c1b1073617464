//! The structure of any message or CMS object, without keys, for support calls.
//! In: a path. Out: a [`Report`]: the layers that can be seen, and the outline of the CMS object. Never
//! content: no text, no subject, no address of the mail.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::Serialize;

use crate::cms::{self, Identifier, Line, RecipientInfo, SignedData};
use crate::crypto::{SignatureAlgorithm, hex};
use crate::limits::{FRAME, SIGNATURE_OCTETS_MAX};
use crate::mime::{ContentType, Header, Multipart, TransferEncoding};
use crate::store::Body;
use crate::trust::Certificate;
use crate::world::{Timestamp, World};
use x509_parser::prelude::FromDer as _;

use super::Scratch;
use super::input::{self, InputError};

/// What was seen.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// A CMS object without a mail around it.
    pub bare: bool,
    /// From the outside in: a sentence each.
    pub layers: Vec<String>,
    pub recipients: Vec<String>,
    pub signers: Vec<String>,
    pub certificates: Vec<String>,
    /// What could not be read, and why.
    pub faults: Vec<String>,
    pub outline: Vec<Line>,
}

impl Report {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (what, lines) in [
            ("layer", &self.layers),
            ("recipient", &self.recipients),
            ("signer", &self.signers),
            ("certificate", &self.certificates),
            ("fault", &self.faults),
        ] {
            for line in lines {
                let tame = |c: char| if c.is_control() { '?' } else { c };
                let line: String = line.chars().map(tame).collect();
                text.push_str(&format!("{what}: {line}\n"));
            }
        }
        for line in &self.outline {
            let length = line
                .length
                .map_or("indefinite".to_owned(), |it| it.to_string());
            let indent = line.depth.saturating_mul(2);
            let value = line.value.as_deref().unwrap_or_default();
            let row = format!("{:indent$}{} ({length}) {value}", "", line.tag);
            text.push_str(row.trim_end());
            text.push('\n');
        }
        text
    }

    fn fault(&mut self, what: &str, why: impl std::fmt::Display) {
        self.faults.push(format!("{what}: {why}"));
    }
}

/// Looks at a file.
///
/// # Errors
/// A sentence: the file cannot be read.
pub fn inspect(path: &Path, scratch: &Scratch, world: &World) -> Result<Report, String> {
    let source = match input::read_raw(path, scratch.bodies(), world) {
        Ok(source) => source,
        Err(InputError::Unreadable(why)) => return Err(why),
        Err(InputError::OverLimit) => return Err("it is larger than any message".to_owned()),
        Err(InputError::Ours(error)) => return Err(error.to_string()),
    };
    let mut report = Report {
        bare: source.bare,
        ..Report::default()
    };
    if let Err(why) = look(&source.body, &mut report) {
        report.fault("message", why);
    }
    Ok(report)
}

fn look(body: &Body, report: &mut Report) -> Result<(), String> {
    let mut reader = body.reader().map_err(|error| error.to_string())?;
    let header = Header::read(&mut reader).map_err(|error| error.to_string())?;
    let kind = header.content_type().map_err(|error| error.to_string())?;
    let encoding = encoding(&header, &mut reader, &kind);
    if !report.bare {
        report.layers.push(named(&kind));
    }
    if kind.is("multipart", "signed") {
        return look_at_parts(&kind, reader, report);
    }
    if kind.kind() != "application" {
        return Ok(());
    }
    let octets = || -> Result<_, String> {
        let mut reader = body.reader().map_err(|error| error.to_string())?;
        Header::read(&mut reader).map_err(|error| error.to_string())?;
        Ok(encoding.decode(reader))
    };
    let (outline, fault) = cms::outline(octets()?);
    report.outline = outline;
    if let Some(fault) = fault {
        report.fault("outline", fault);
    }
    match cms::read_enveloped(octets()?) {
        Ok((head, _)) => look_at_envelope(&head, report),
        Err(cms::CmsError::ContentType(oid)) => {
            report.layers.push(format!("CMS content type {oid}"));
            if oid == SIGNED_DATA {
                look_at_opaque(octets()?, report)?;
            }
        }
        Err(why) => report.fault("envelope", why),
    }
    Ok(())
}

const SIGNED_DATA: &str = "1.2.840.113549.1.7.2";

fn named(kind: &ContentType) -> String {
    let mut text = format!("{}/{}", kind.kind(), kind.subtype());
    for name in ["smime-type", "protocol", "micalg", "report-type"] {
        if let Some(value) = kind.parameter(name) {
            text.push_str(&format!("; {name}={value}"));
        }
    }
    text
}

fn encoding(header: &Header, body: &mut impl BufRead, kind: &ContentType) -> TransferEncoding {
    let said = header.transfer_encoding().ok().flatten();
    let is_der = |body: &mut dyn BufRead| {
        body.fill_buf()
            .is_ok_and(|octets| octets.first() == Some(&0x30))
    };
    match said {
        Some(encoding) => encoding,
        None if kind.kind() == "multipart" || is_der(body) => TransferEncoding::Identity,
        None => TransferEncoding::Base64,
    }
}

fn look_at_parts(
    kind: &ContentType,
    reader: impl BufRead,
    report: &mut Report,
) -> Result<(), String> {
    let boundary = kind.boundary().map_err(|error| error.to_string())?;
    let mut parts = Multipart::new(reader, boundary);
    while let Some(mut part) = parts.next_part().map_err(|error| error.to_string())? {
        let header = Header::read(&mut part).map_err(|error| error.to_string())?;
        let kind = header.content_type().map_err(|error| error.to_string())?;
        report.layers.push(format!("part {}", named(&kind)));
        if !kind.subtype().ends_with("pkcs7-signature") {
            continue;
        }
        let encoding = encoding(&header, &mut part, &kind);
        let mut octets = Vec::new();
        let limit = u64::try_from(SIGNATURE_OCTETS_MAX).unwrap_or(u64::MAX);
        let decoded = encoding.decode(part).take(limit);
        let mut decoded = BufReader::with_capacity(FRAME, decoded);
        decoded
            .read_to_end(&mut octets)
            .map_err(|error| error.to_string())?;
        let (outline, fault) = cms::outline(octets.as_slice());
        report.outline = outline;
        if let Some(fault) = fault {
            report.fault("outline", fault);
        }
        match cms::read_signed(&octets) {
            Ok(signed) => look_at_signature(&signed, report),
            Err(why) => report.fault("signature", why),
        }
    }
    Ok(())
}

fn look_at_envelope(head: &cms::EnvelopedHead, report: &mut Report) {
    let kind = if head.authenticated {
        "AuthEnvelopedData"
    } else {
        "EnvelopedData"
    };
    report
        .layers
        .push(format!("{kind}, {}", head.cipher.name()));
    for info in &head.recipients {
        report.recipients.push(match info {
            RecipientInfo::KeyTrans { rid, transport, .. } => {
                format!("{}, {}", identifier(rid), transport.name())
            }
            RecipientInfo::KeyAgree { rid, agree, .. } => format!(
                "{}, ECDH {} with key wrap {}",
                identifier(rid),
                agree.scheme,
                agree.wrap
            ),
            RecipientInfo::Other { what } => what.clone(),
        });
    }
}

fn identifier(rid: &Identifier) -> String {
    match rid {
        Identifier::IssuerAndSerial { issuer, serial } => {
            let issuer = x509_parser::x509::X509Name::from_der(issuer).map_or_else(
                |_| "an issuer that does not decode".to_owned(),
                |(_, name)| name.to_string(),
            );
            format!("serial number {} of {issuer}", hex(serial))
        }
        Identifier::KeyId(id) => format!("key id {}", hex(id)),
    }
}

fn look_at_opaque(octets: impl Read, report: &mut Report) -> Result<(), String> {
    let mut reader = match cms::read_opaque_signed(octets) {
        Ok(reader) => reader,
        Err(why) => {
            // A detached one without what it signs: the outline has it.
            report.fault("signature", why);
            return Ok(());
        }
    };
    let mut content = BufReader::with_capacity(FRAME, &mut reader);
    match Header::read(&mut content).and_then(|header| header.content_type()) {
        Ok(kind) => report.layers.push(format!("signed {}", named(&kind))),
        Err(_) => report.layers.push("signed octets".to_owned()),
    }
    std::io::copy(&mut content, &mut std::io::sink()).map_err(|error| error.to_string())?;
    drop(content);
    match reader.finish() {
        Ok(signed) => look_at_signature(&signed, report),
        Err(why) => report.fault("signature", why),
    }
    Ok(())
}

fn look_at_signature(signed: &SignedData, report: &mut Report) {
    let content = if signed.has_content {
        "opaque"
    } else {
        "detached"
    };
    report
        .layers
        .push(format!("SignedData, {content}, of {}", signed.content_type));
    for signer in &signed.signers {
        let at = signer.signing_time.map_or("no time".to_owned(), |at| {
            Timestamp::from_unix_s(at).rfc3339()
        });
        let (id, how) = (identifier(&signer.sid), algorithm(signer.algorithm));
        let attributes = if signer.signed_attrs.is_some() {
            "signed attributes"
        } else {
            "no signed attributes"
        };
        report
            .signers
            .push(format!("{id}, {how}, {at}, {attributes}"));
    }
    report.faults.extend(signed.unread.iter().cloned());
    for der in &signed.certificates {
        report.certificates.push(match Certificate::parse(der) {
            Ok(one) => format!(
                "{} by {}, {}, {} to {}, {}",
                one.subject_text(),
                one.issuer_text(),
                one.key_text(),
                one.not_before().rfc3339(),
                one.not_after().rfc3339(),
                one.fingerprint_hex()
            ),
            Err(why) => format!("unreadable: {why}"),
        });
    }
}

fn algorithm(algorithm: SignatureAlgorithm) -> String {
    let digest = algorithm.digest().micalg();
    match algorithm {
        SignatureAlgorithm::RsaPkcs1(_) => format!("RSA PKCS#1 v1.5 with {digest}"),
        SignatureAlgorithm::RsaPss { .. } => format!("RSA-PSS with {digest}"),
        SignatureAlgorithm::Ecdsa(_) => format!("ECDSA with {digest}"),
    }
}
