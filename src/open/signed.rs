//! The signed layer: multipart/signed, or an opaque application/pkcs7-mime.
//! In: the decrypted entity. Out: the signature's structure, a digest of the exact signed octets, and the
//! message within, spooled. One pass; the content can be digested again if the signature turns out to use
//! another digest or canonical line ends.

use std::io::{BufRead, BufReader, Read};

use crate::cms::{
    CmsError, OpaqueReader, SignedData, is_signed_attributes, read_opaque_signed, read_signed,
};
use crate::crypto::{Digest, DigestAlgorithm};
use crate::journal::Reason;
use crate::limits::{PIECE, SIGNATURE_OCTETS_MAX};
use crate::mime::{Canonical, ContentType, Decoded, Header, LoneCr, Multipart, TransferEncoding};
use crate::store::Body;

use super::inner::{self, Inner};
use super::outer::{self, Digested, Watched, is_named, is_pkcs7};
use super::{Failure, Step, Terms, Tools};

/// What is read here: an entity that lies open, and the header that came around it.
#[derive(Clone, Debug)]
pub(super) struct Clear {
    pub outer: Header,
    pub plain: Body,
}

impl Clear {
    /// The whole message, which nobody encrypted.
    pub(super) fn whole(tools: &Tools<'_>) -> Step<Self> {
        let mut source = outer::read_body(tools.body, tools.watch)?;
        Ok(Self {
            outer: Header::read(&mut source)?,
            plain: tools.body.clone(),
        })
    }
}

/// What the signed layer held.
pub(super) struct Content {
    pub inner: Inner,
    pub signature: SignedData,
    pub form: Form,
    /// Digest of the exact signed octets.
    pub algorithm: DigestAlgorithm,
    pub digest: Vec<u8>,
}

/// How the signature comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// multipart/signed (RFC 8551 §3.5.3).
    Detached,
    /// application/pkcs7-mime; smime-type=signed-data.
    Opaque,
}

/// Which octets are digested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// As they came.
    Exact,
    /// With CRLF for every line end: some signers canonicalise for the digest only.
    Canonical,
}

/// The decrypted entity, after its header.
struct Entity<'w> {
    header: Header,
    content_type: ContentType,
    body: Watched<'w>,
}

fn entity<'w>(clear: &Clear, tools: &Tools<'w>) -> Step<Entity<'w>> {
    let mut body = outer::read_body(&clear.plain, tools.watch)?;
    // A CMS object without a MIME header around it, as CMS tools make them when one is piped into the next.
    if matches!(body.fill_buf()?, [0x30, 0x80..=0x84, ..]) {
        return Ok(Entity {
            header: Header::default(),
            content_type: ContentType::parse("application/pkcs7-mime")?,
            body,
        });
    }
    let unreadable = |_| {
        let detail = "what it decrypts to is not a MIME entity";
        Failure::new(Reason::DecryptFailed, detail)
    };
    let header = Header::read(&mut body).map_err(unreadable)?;
    let content_type = header.content_type()?;
    Ok(Entity {
        header,
        content_type,
        body,
    })
}

/// Reads the layer.
pub(super) fn read(clear: &Clear, terms: &Terms<'_>, tools: &Tools<'_>) -> Step<Content> {
    let entity = entity(clear, tools)?;
    let take = |content: &mut dyn BufRead| inner::spool(content, &clear.outer, terms, tools);
    if is_signed_multipart(&entity.content_type) {
        // RFC 2045 §6.4: a multipart is never encoded; readers that decode it would see another one.
        if !matches!(
            entity.header.transfer_encoding()?,
            None | Some(TransferEncoding::Identity)
        ) {
            let detail = "multipart/signed with a Content-Transfer-Encoding";
            return Err(Failure::new(Reason::Malformed, detail));
        }
        read_detached(entity, take)
    } else if is_pkcs7(&entity.content_type, "mime")
        || is_named(&entity.header, &entity.content_type, ".p7m")
    {
        read_opaque(entity, take)
    } else {
        // encrypted is not enough.
        let what = format!(
            "it is {}/{}",
            entity.content_type.kind(),
            entity.content_type.subtype()
        );
        let reason = match holds_signed_part(entity) {
            true => Reason::PartlySigned,
            false => Reason::NotSigned,
        };
        Err(Failure::new(reason, what))
    }
}

/// Whether something signed lies among the parts: for the reason only, what is refused stays refused.
fn holds_signed_part(entity: Entity<'_>) -> bool {
    let Ok(boundary) = entity.content_type.boundary().map(str::to_owned) else {
        return false;
    };
    // A multipart/signed by another protocol is whole, and not for us.
    if entity.content_type.kind() != "multipart" || entity.content_type.subtype() == "signed" {
        return false;
    }
    let mut parts = Multipart::new(entity.body, &boundary);
    while let Ok(Some(mut part)) = parts.next_part() {
        let Ok(header) = Header::read(&mut part) else {
            continue;
        };
        let signed = header.content_type().is_ok_and(|content_type| {
            is_signed_multipart(&content_type)
                || is_pkcs7(&content_type, "mime")
                || is_pkcs7(&content_type, "signature")
        });
        if signed {
            return true;
        }
    }
    false
}

/// multipart/signed by S/MIME; the protocol parameter may be missing, or in its old spelling.
fn is_signed_multipart(content_type: &ContentType) -> bool {
    content_type.is("multipart", "signed")
        && content_type.parameter("protocol").is_none_or(|protocol| {
            ContentType::parse(protocol).is_ok_and(|kind| is_pkcs7(&kind, "signature"))
        })
}

fn read_detached(
    entity: Entity<'_>,
    take: impl Fn(&mut dyn BufRead) -> Step<Inner>,
) -> Step<Content> {
    let algorithm = micalg(&entity.content_type);
    let mut parts = Multipart::new(entity.body, entity.content_type.boundary()?);
    let two = || {
        Failure::new(
            Reason::Malformed,
            "multipart/signed has not exactly two parts",
        )
    };
    let first = parts.next_part()?.ok_or_else(two)?;
    let mut content = Digested::new(first, algorithm);
    let inner = take(&mut content)?;
    let digest = content.finish()?;
    let mut second = parts.next_part()?.ok_or_else(two)?;
    let octets = signature_part(&mut second)?;
    // RFC 1847 §2.1: exactly two.
    if parts.next_part()?.is_some() {
        return Err(two());
    }
    let signature = read_signed(&octets)?;
    // A signature with content of its own speaks about that, not about what stands beside it.
    if signature.has_content {
        let detail = "the detached signature carries content of its own";
        return Err(Failure::new(Reason::TwoContents, detail));
    }
    Ok(Content {
        inner,
        signature,
        form: Form::Detached,
        algorithm,
        digest,
    })
}

/// The digest that `micalg` promises; only a guess that saves a second pass.
fn micalg(content_type: &ContentType) -> DigestAlgorithm {
    let named = content_type.parameter("micalg").unwrap_or_default();
    let named = named.to_ascii_lowercase().replace('-', "");
    named
        .split(',')
        .find_map(|word| match word.trim() {
            "sha256" => Some(DigestAlgorithm::Sha256),
            "sha384" => Some(DigestAlgorithm::Sha384),
            "sha512" => Some(DigestAlgorithm::Sha512),
            _ => None,
        })
        .unwrap_or(DigestAlgorithm::Sha256)
}

/// The decoded signature part, within [`SIGNATURE_OCTETS_MAX`].
fn signature_part(mut part: impl BufRead) -> Step<Vec<u8>> {
    let header = Header::read(&mut part)?;
    let content_type = header.content_type()?;
    let known = is_pkcs7(&content_type, "signature")
        || is_pkcs7(&content_type, "mime")
        || is_named(&header, &content_type, ".p7s");
    if !known {
        let detail = "the second part of multipart/signed is not application/pkcs7-signature";
        return Err(Failure::new(Reason::NotSigned, detail));
    }
    let encoding = header
        .transfer_encoding()?
        .unwrap_or(TransferEncoding::Identity);
    let limit = u64::try_from(SIGNATURE_OCTETS_MAX).unwrap_or(u64::MAX);
    let mut octets = Vec::new();
    let mut decoded = encoding.decode(part);
    let mut limited = (&mut decoded).take(limit + 1);
    limited.read_to_end(&mut octets)?;
    if octets.len() > SIGNATURE_OCTETS_MAX {
        return Err(Failure::new(
            Reason::OverLimit,
            "over a limit: signature octets",
        ));
    }
    Ok(octets)
}

type Opaque<'w> = OpaqueReader<Decoded<Watched<'w>>>;

fn open_opaque(entity: Entity<'_>) -> Step<Opaque<'_>> {
    let mut body = entity.body;
    let encoding = match entity.header.transfer_encoding()? {
        Some(encoding) => encoding,
        None if body.fill_buf()?.first() == Some(&0x30) => TransferEncoding::Identity,
        None => TransferEncoding::Base64,
    };
    read_opaque_signed(encoding.decode(body)).map_err(|error| match error {
        // A second envelope is content of nobody we could name.
        CmsError::ContentType(oid) => Failure::new(
            Reason::NotSigned,
            format!("the inner CMS content type is {oid}"),
        ),
        other => other.into(),
    })
}

fn read_opaque(
    entity: Entity<'_>,
    take: impl Fn(&mut dyn BufRead) -> Step<Inner>,
) -> Step<Content> {
    let algorithm = DigestAlgorithm::Sha256;
    let mut reader = open_opaque(entity)?;
    let buffered = BufReader::with_capacity(PIECE, &mut reader);
    let mut content = Digested::new(buffered, algorithm);
    let inner = take(&mut content)?;
    let digest = content.finish()?;
    Ok(Content {
        inner,
        signature: reader.finish()?,
        form: Form::Opaque,
        algorithm,
        digest,
    })
}

/// Digests the signed content once more.
pub(super) fn digest_again(
    form: Form,
    algorithm: DigestAlgorithm,
    reading: Reading,
    clear: &Clear,
    tools: &Tools<'_>,
) -> Step<Vec<u8>> {
    let entity = entity(clear, tools)?;
    match form {
        Form::Opaque => {
            let reader = open_opaque(entity)?;
            digest_of(BufReader::with_capacity(PIECE, reader), algorithm, reading)
        }
        Form::Detached => {
            let mut parts = Multipart::new(entity.body, entity.content_type.boundary()?);
            match parts.next_part()? {
                Some(part) => digest_of(part, algorithm, reading),
                None => Err(Failure::new(
                    Reason::Malformed,
                    "multipart/signed without parts",
                )),
            }
        }
    }
}

/// Whether the signed content is itself a SET of signed attributes. A signature over attributes is also one
/// over content without attributes that has the same octets: nobody may turn the one into the other
/// (draft-ietf-lamps-cms-euf-cma-signeddata).
pub(super) fn content_is_attributes(form: Form, clear: &Clear, tools: &Tools<'_>) -> Step<bool> {
    let entity = entity(clear, tools)?;
    match form {
        Form::Opaque => is_attributes(open_opaque(entity)?),
        Form::Detached => {
            let mut parts = Multipart::new(entity.body, entity.content_type.boundary()?);
            parts.next_part()?.map_or(Ok(false), is_attributes)
        }
    }
}

fn is_attributes(content: impl Read) -> Step<bool> {
    let limit = u64::try_from(SIGNATURE_OCTETS_MAX).unwrap_or(u64::MAX);
    let mut octets = Vec::new();
    content.take(limit).read_to_end(&mut octets)?;
    Ok(is_signed_attributes(&octets))
}

fn digest_of(content: impl BufRead, algorithm: DigestAlgorithm, reading: Reading) -> Step<Vec<u8>> {
    match reading {
        Reading::Exact => Digested::new(content, algorithm).finish(),
        Reading::Canonical => {
            let mut canonical = Canonical::new(content, LoneCr::Keep);
            let mut digest = Digest::new(algorithm);
            loop {
                let chunk = canonical.fill_buf()?;
                if chunk.is_empty() {
                    return Ok(digest.finish());
                }
                digest.update(chunk);
                let taken = chunk.len();
                canonical.consume(taken);
            }
        }
    }
}
