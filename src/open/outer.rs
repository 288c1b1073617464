//! The outermost layer: the clear header, and the CMS octets under it as a stream.
//! In: the accepted body. Out: what kind of mail it is; decoded CMS octets, as often as they are asked for.
//! Also the small readers that watch, digest and tap what passes through.

use std::cell::Cell;
use std::io::{BufRead, Read};

use crate::cms::{CmsError, read_enveloped};
use crate::crypto::{Digest, DigestAlgorithm};
use crate::mime::{ContentType, Decoded, Header, TransferEncoding};
use crate::store::{Body, BodyReader};

use super::{OuterKind, Step, Tools};

/// Remembers whether one of our own bodies could not be read: that is never the sender's fault.
#[derive(Debug, Default)]
pub(super) struct Watch(Cell<bool>);

impl Watch {
    pub(super) fn failed(&self) -> bool {
        self.0.get()
    }
}

/// A body reader whose errors are remembered.
pub(super) struct Watched<'w> {
    reader: BodyReader,
    watch: &'w Watch,
}

impl Read for Watched<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let watch = self.watch;
        self.reader.read(out).inspect_err(|_| watch.0.set(true))
    }
}

impl BufRead for Watched<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        let watch = self.watch;
        self.reader.fill_buf().inspect_err(|_| watch.0.set(true))
    }

    fn consume(&mut self, amount: usize) {
        self.reader.consume(amount);
    }
}

/// Reads one of our bodies from its start.
pub(super) fn read_body<'w>(body: &Body, watch: &'w Watch) -> Step<Watched<'w>> {
    let reader = body.reader().inspect_err(|_| watch.0.set(true))?;
    Ok(Watched { reader, watch })
}

/// Digests what is consumed of a stream.
pub(super) struct Digested<R> {
    source: R,
    digest: Digest,
}

impl<R: BufRead> Digested<R> {
    pub(super) fn new(source: R, algorithm: DigestAlgorithm) -> Self {
        Self {
            source,
            digest: Digest::new(algorithm),
        }
    }

    /// Reads what is left, and ends.
    pub(super) fn finish(mut self) -> Step<Vec<u8>> {
        drain(&mut self)?;
        Ok(self.digest.finish())
    }
}

impl<R: BufRead> BufRead for Digested<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.source.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // What is consumed was filled before, so that this fills nothing and cannot fail.
        if let Ok(chunk) = self.source.fill_buf() {
            self.digest.update(chunk.get(..amount).unwrap_or(chunk));
        }
        self.source.consume(amount);
    }
}

impl<R: BufRead> Read for Digested<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let mut chunk = self.fill_buf()?;
        let octets = chunk.read(out)?;
        self.consume(octets);
        Ok(octets)
    }
}

/// Reads to the end.
pub(super) fn drain(source: &mut impl BufRead) -> Step<()> {
    loop {
        let octets = source.fill_buf()?.len();
        if octets == 0 {
            return Ok(());
        }
        source.consume(octets);
    }
}

/// The decoded CMS octets.
pub(super) type CmsOctets<'w> = Decoded<Watched<'w>>;

/// The outer header, and the CMS octets from their start.
pub(super) fn read<'w>(tools: &Tools<'w>) -> Step<(Header, CmsOctets<'w>)> {
    let mut source = read_body(tools.body, tools.watch)?;
    let header = Header::read(&mut source)?;
    let encoding = match header.transfer_encoding()? {
        Some(encoding) => encoding,
        // Nobody said; an ASN.1 SEQUENCE begins with 0x30, and base64 of one with `M`.
        None if source.fill_buf()?.first() == Some(&0x30) => TransferEncoding::Identity,
        None => TransferEncoding::Base64,
    };
    Ok((header, encoding.decode(source)))
}

/// SHA-256 of the CMS octets.
pub(super) fn cms_digest(tools: &Tools<'_>) -> Step<[u8; 32]> {
    let (header, octets) = read(tools)?;
    if kind(&header) != OuterKind::Sealed {
        let clear = "the outer content type is not application/pkcs7-mime";
        return Err(super::Failure::new(super::Reason::NotEncrypted, clear));
    }
    let digest = Digested::new(octets, DigestAlgorithm::Sha256).finish()?;
    Ok(digest.try_into().unwrap_or_default())
}

/// Whether it is encrypted, by its CMS content type (G-003: the type counts, not its label).
pub(super) fn is_enveloped(tools: &Tools<'_>) -> Step<bool> {
    let (header, octets) = read(tools)?;
    let signed = |error: &CmsError| matches!(error, CmsError::ContentType(_));
    Ok(kind(&header) == OuterKind::Sealed
        && !read_enveloped(octets).is_err_and(|error| signed(&error)))
}

/// By the header alone.
pub(super) fn kind(header: &Header) -> OuterKind {
    let Ok(content_type) = header.content_type() else {
        return OuterKind::Clear;
    };
    if is_pkcs7(&content_type, "mime") || is_named(header, &content_type, ".p7m") {
        OuterKind::Sealed
    } else if content_type.is("multipart", "report") && reports_delivery(&content_type) {
        OuterKind::ClearDsn
    } else {
        OuterKind::Clear
    }
}

fn reports_delivery(content_type: &ContentType) -> bool {
    content_type
        .parameter("report-type")
        .is_some_and(|kind| kind.eq_ignore_ascii_case("delivery-status"))
}

/// application/pkcs7-`what` or its old spelling with `x-` (A-054; RFC 8551 §3.2).
pub(super) fn is_pkcs7(content_type: &ContentType, what: &str) -> bool {
    let subtype = content_type.subtype();
    let plain = subtype.strip_prefix("x-").unwrap_or(subtype);
    content_type.kind() == "application" && plain.strip_prefix("pkcs7-") == Some(what)
}

/// An octet-stream with a telling file name (RFC 8551 §3.2.1).
pub(super) fn is_named(header: &Header, content_type: &ContentType, extension: &str) -> bool {
    if !content_type.is("application", "octet-stream") {
        return false;
    }
    let disposition = header.disposition().ok().flatten();
    let filename = disposition.as_ref().and_then(|place| place.filename());
    [content_type.parameter("name"), filename]
        .into_iter()
        .flatten()
        .any(|name| name.to_ascii_lowercase().ends_with(extension))
}
