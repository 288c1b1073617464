//! The entity to encrypt: multipart/signed around a wrapped message.
//! In: a 7-bit message. Out: its outer header, its signature, and the octets of the whole entity as a
//! stream. The message is read twice, once to digest and once to encrypt; both passes write the same
//! octets through one function.

use std::io::{BufRead, Write};
use std::sync::Arc;

use crate::certs::Identity;
use crate::cms::{self, CmsError, Identifier};
use crate::crypto::{Digest, DigestAlgorithm};
use crate::journal::Reason;
use crate::mime::{Base64Lines, Field, Header};
use crate::store::Body;
use crate::world::World;

use super::SealError;

/// Fields that may stand outside, in clear, in the order they are written. Subject is not among
/// them.
const OUTER_FIELDS: [&str; 7] = [
    "Date",
    "From",
    "To",
    "Cc",
    "Message-ID",
    "In-Reply-To",
    "References",
];

/// Around the message that is signed. RFC 2046 §5.2.1: message/rfc822 is not encoded.
const WRAPPER: &[u8] = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\n";

/// The message to wrap.
pub(super) struct Message<'b> {
    body: &'b Body,
    /// Its header without Bcc, blank line included.
    header: Vec<u8>,
    /// What stands outside.
    outer: Vec<u8>,
}

impl<'b> Message<'b> {
    pub(super) fn read(body: &'b Body) -> Result<Self, SealError> {
        let header = Header::read(&mut body.reader()?)?;
        // what the other side needs to believe us.
        for name in ["From", "Date", "Message-ID"] {
            header.exactly_one(name)?;
        }
        let (to, cc) = (header.at_most_one("To")?, header.at_most_one("Cc")?);
        if to.or(cc).is_none() {
            let detail = "there is neither a To nor a Cc field";
            return Err(SealError::unfit(Reason::BadHeaders, detail));
        }
        let mut inner = Vec::with_capacity(header.octets().len());
        for field in header.fields().filter(|field| !field.is("Bcc")) {
            push_field(field, &mut inner);
        }
        inner.extend(b"\r\n");
        let mut outer = Vec::new();
        for field in OUTER_FIELDS.iter().flat_map(|name| header.all(name)) {
            push_field(field, &mut outer);
        }
        Ok(Self {
            body,
            header: inner,
            outer,
        })
    }

    /// Writes the entity that is signed, in chunks.
    fn write(
        &self,
        sink: &mut impl FnMut(&[u8]) -> Result<(), SealError>,
    ) -> Result<(), SealError> {
        sink(WRAPPER)?;
        sink(&self.header)?;
        let mut rest = self.body.reader()?;
        Header::read(&mut rest)?;
        loop {
            let chunk = rest.fill_buf()?;
            if chunk.is_empty() {
                return Ok(());
            }
            sink(chunk)?;
            let taken = chunk.len();
            rest.consume(taken);
        }
    }
}

/// A header that ends with the stream may lack its last line end.
fn push_field(field: Field<'_>, out: &mut Vec<u8>) {
    out.extend(field.raw());
    if !field.raw().ends_with(b"\n") {
        out.extend(b"\r\n");
    }
}

/// The whole entity, ready to be encrypted.
pub(super) struct Signed<'b> {
    message: Message<'b>,
    head: Vec<u8>,
    tail: Vec<u8>,
    /// Octets of the entity that is signed.
    content_len: u64,
}

impl Signed<'_> {
    /// The fields that stand outside.
    pub(super) fn outer(&self) -> &[u8] {
        &self.message.outer
    }

    /// Octets of the whole entity.
    pub(super) fn len(&self) -> Option<u64> {
        let around = self.head.len().checked_add(self.tail.len())?;
        self.content_len.checked_add(u64::try_from(around).ok()?)
    }

    /// Writes the whole entity, in chunks.
    pub(super) fn write(
        &self,
        sink: &mut impl FnMut(&[u8]) -> Result<(), SealError>,
    ) -> Result<(), SealError> {
        sink(&self.head)?;
        self.message.write(sink)?;
        sink(&self.tail)
    }
}

/// Signs the message.
pub(super) fn sign<'b>(
    message: Message<'b>,
    identity: &Arc<Identity>,
    algorithm: DigestAlgorithm,
    world: &World,
) -> Result<Signed<'b>, SealError> {
    // never made.
    if algorithm == DigestAlgorithm::Sha1 {
        let detail = "SHA-1 signatures are not made";
        return Err(SealError::unfit(Reason::WeakAlgorithm, detail));
    }
    let mut digest = Digest::new(algorithm);
    let mut content_len = 0u64;
    message.write(&mut |chunk| {
        digest.update(chunk);
        content_len += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        Ok(())
    })?;
    let signature = signature(&digest.finish(), identity, algorithm, world)?;
    let boundary = boundary(world);
    let head = format!(
        "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg={};\r\n\
         \tboundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n",
        algorithm.micalg()
    );
    Ok(Signed {
        message,
        head: head.into_bytes(),
        tail: tail(&boundary, &signature)?,
        content_len,
    })
}

/// 192 random bits in the characters of RFC 2046 §5.1.1, so that no content holds it. `=_` occurs in no
/// transfer encoding.
fn boundary(world: &World) -> String {
    let random: [u8; 24] = world.random();
    let digits: String = random.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("=_{digits}")
}

fn signature(
    digest: &[u8],
    identity: &Identity,
    algorithm: DigestAlgorithm,
    world: &World,
) -> Result<Vec<u8>, SealError> {
    let attributes = cms::signed_attributes(digest, world.now()).map_err(unwritable)?;
    let mut over = Digest::new(algorithm);
    over.update(&attributes);
    let value = identity.key.sign(algorithm, &over.finish()).map_err(|_| {
        let detail = "our key does not sign";
        SealError::unfit(Reason::NoIdentity, detail)
    })?;
    let certificate = &identity.certificate;
    let signer = Identifier::IssuerAndSerial {
        issuer: certificate.issuer().to_vec(),
        serial: certificate.serial().to_vec(),
    };
    // our certificate and the intermediates go along, so that nobody must fetch them.
    let certificates: Vec<Vec<u8>> = std::iter::once(certificate)
        .chain(&identity.chain)
        .map(|one| one.der().to_vec())
        .collect();
    cms::signed_data(
        &certificates,
        &signer,
        algorithm,
        identity.key.is_rsa(),
        &attributes,
        &value,
    )
    .map_err(unwritable)
}

pub(super) fn unwritable(error: CmsError) -> SealError {
    SealError::unfit(Reason::Malformed, error.to_string())
}

/// From the line end before the second boundary to the end.
fn tail(boundary: &str, signature: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut tail = Vec::new();
    write!(
        tail,
        "\r\n--{boundary}\r\n\
         Content-Type: application/pkcs7-signature; name=\"smime.p7s\"\r\n\
         Content-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"smime.p7s\"\r\n\r\n"
    )?;
    let mut lines = Base64Lines::new(tail);
    lines.write_all(signature)?;
    let mut tail = lines.finish()?;
    write!(tail, "\r\n--{boundary}--\r\n")?;
    Ok(tail)
}
