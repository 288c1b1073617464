//! Reading SignedData (RFC 5652 §5): detached, opaque, certs-only. In: BER. Out: certificates and
//! SignerInfos as values, eContent as a stream. Promised: counts and sizes are bounded; a SignerInfo that
//! cannot be read neither helps nor harms the others. Never done here: checking a signature.

use std::collections::HashSet;
use std::io::Read;

use ::der::Decode;
use ::der::asn1::{GeneralizedTime, UtcTime};

use super::algorithm::{Algorithm, CONTENT_TYPE, MESSAGE_DIGEST, SIGNED_DATA, SIGNING_TIME};
use super::ber::Reader;
use super::der::{
    Element, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, SET, Walker, constructed, dotted,
    element,
};
use super::enveloped::identifier;
use super::{CmsError, Identifier};
use crate::crypto::{DigestAlgorithm, SignatureAlgorithm, sha256};
use crate::limits::{
    BUNDLE_CERTIFICATES_MAX, BUNDLE_OCTETS_MAX, CERTIFICATES_MAX, SIGNATURE_OCTETS_MAX, SIGNERS_MAX,
};

/// Tags of UTCTime and GeneralizedTime.
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// One SignerInfo, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerInfo {
    pub sid: Identifier,
    pub digest: DigestAlgorithm,
    pub algorithm: SignatureAlgorithm,
    /// The SET OF (tag 0x31) of the signed attributes in DER lengths, whatever the peer sent, and in the
    /// order that it was sent (RFC 5652 §5.4); None if there are none.
    pub signed_attrs: Option<Vec<u8>>,
    /// Values of messageDigest attributes: exactly one is right (G-011).
    pub message_digests: Vec<Vec<u8>>,
    /// Values of contentType attributes, dotted OIDs: exactly one, id-data, is right.
    pub content_types: Vec<String>,
    /// signingTime, seconds since the epoch.
    pub signing_time: Option<i64>,
    pub signature: Vec<u8>,
}

/// A SignedData without its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignedData {
    /// OID of eContentType, dotted.
    pub content_type: String,
    /// Whether eContent was present.
    pub has_content: bool,
    /// DER of each certificate, in order, duplicates removed.
    pub certificates: Vec<Vec<u8>>,
    /// SignerInfos that could be read.
    pub signers: Vec<SignerInfo>,
    /// What could not be read among the SignerInfos (an unknown algorithm, say): a sentence each.
    pub unread: Vec<String>,
}

/// Reads a ContentInfo that holds SignedData, detached or with small content (the content is skipped).
///
/// # Errors
/// [`CmsError`].
pub fn read_signed(octets: &[u8]) -> Result<SignedData, CmsError> {
    read_whole(octets, SIGNATURE_OCTETS_MAX, CERTIFICATES_MAX)
}

/// The certificates of a certs-only SignedData (`.p7b`, `.p7c`), DER or BER.
///
/// # Errors
/// [`CmsError`].
pub fn read_certs_only(octets: &[u8]) -> Result<Vec<Vec<u8>>, CmsError> {
    read_whole(octets, BUNDLE_OCTETS_MAX, BUNDLE_CERTIFICATES_MAX).map(|read| read.certificates)
}

/// A bundle's SignedData with its SignerInfos; the content is skipped.
///
/// # Errors
/// [`CmsError`].
pub fn read_bundle(octets: &[u8]) -> Result<SignedData, CmsError> {
    read_whole(octets, BUNDLE_OCTETS_MAX, BUNDLE_CERTIFICATES_MAX)
}

fn read_whole(
    octets: &[u8],
    octets_max: usize,
    certificates_max: usize,
) -> Result<SignedData, CmsError> {
    if octets.len() > octets_max {
        return Err(CmsError::OverLimit("octets of SignedData"));
    }
    let mut reader = Reader::new(octets, octets_max, "octets of SignedData");
    let (content_type, has_content) = read_head(&mut reader)?;
    if has_content {
        reader.drain_string()?;
        reader.leave("eContent")?;
    }
    reader.allow(octets_max, "octets of SignedData");
    let mut signed = read_tail(&mut reader, certificates_max)?;
    signed.content_type = content_type;
    signed.has_content = has_content;
    Ok(signed)
}

/// eContent of an opaque SignedData as a stream.
pub struct OpaqueReader<R> {
    reader: Reader<R>,
    content_type: String,
}

/// Reads the head of a ContentInfo that holds SignedData with eContent (opaque signing); the content
/// follows as a stream.
///
/// # Errors
/// [`CmsError`]; `Malformed("no content")` for a detached one.
pub fn read_opaque_signed<R: Read>(source: R) -> Result<OpaqueReader<R>, CmsError> {
    let mut reader = Reader::new(source, SIGNATURE_OCTETS_MAX, "head of SignedData");
    match read_head(&mut reader)? {
        (content_type, true) => Ok(OpaqueReader {
            reader,
            content_type,
        }),
        (_, false) => Err(CmsError::Malformed("no content")),
    }
}

impl<R: Read> OpaqueReader<R> {
    /// After the content was read to its end: the rest of the structure.
    ///
    /// # Errors
    /// [`CmsError`].
    pub fn finish(mut self) -> Result<SignedData, CmsError> {
        self.reader.close_string()?;
        self.reader
            .allow(SIGNATURE_OCTETS_MAX, "octets of SignedData");
        self.reader.leave("eContent")?;
        let mut signed = read_tail(&mut self.reader, CERTIFICATES_MAX)?;
        signed.content_type = self.content_type;
        signed.has_content = true;
        Ok(signed)
    }
}

impl<R: Read> Read for OpaqueReader<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        self.reader.read_string(out).map_err(CmsError::into_io)
    }
}

/// Up to eContent, whose string is opened if it is there: (eContentType, whether it is there).
fn read_head<R: Read>(reader: &mut Reader<R>) -> Result<(String, bool), CmsError> {
    reader.enter(SEQUENCE, "ContentInfo")?;
    let content_type = reader.primitive(OBJECT_IDENTIFIER, "type of the content")?;
    if content_type != SIGNED_DATA.as_bytes() {
        return Err(CmsError::ContentType(dotted(&content_type)));
    }
    reader.enter(constructed(0), "ContentInfo without content")?;
    reader.enter(SEQUENCE, "SignedData")?;
    reader.primitive(INTEGER, "version of SignedData")?;
    if reader.peek()? != Some(SET) {
        return Err(CmsError::Malformed("digestAlgorithms"));
    }
    reader.skip("digestAlgorithms")?;
    reader.enter(SEQUENCE, "EncapsulatedContentInfo")?;
    let content_type = reader.primitive(OBJECT_IDENTIFIER, "eContentType")?;
    let has_content = reader.peek()?.is_some();
    if has_content {
        reader.enter(constructed(0), "eContent")?;
        reader.open_string(OCTET_STRING, "eContent is no OCTET STRING")?;
    }
    Ok((dotted(&content_type), has_content))
}

/// From the end of EncapsulatedContentInfo to the end of the source.
fn read_tail<R: Read>(
    reader: &mut Reader<R>,
    certificates_max: usize,
) -> Result<SignedData, CmsError> {
    reader.leave("EncapsulatedContentInfo")?;
    let mut signed = SignedData::default();
    if reader.peek()? == Some(constructed(0)) {
        signed.certificates = certificates(reader, certificates_max)?;
    }
    if reader.peek()? == Some(constructed(1)) {
        reader.skip("crls")?;
    }
    signer_infos(reader, &mut signed)?;
    reader.leave("SignedData")?;
    reader.leave("content of ContentInfo")?;
    reader.leave("ContentInfo")?;
    reader.end()?;
    Ok(signed)
}

/// CertificateSet (RFC 5652 §10.2.3): X.509 certificates; the other choices, obsolete or foreign, are
/// passed over.
fn certificates<R: Read>(reader: &mut Reader<R>, max: usize) -> Result<Vec<Vec<u8>>, CmsError> {
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    reader.enter(constructed(0), "certificates")?;
    while let Some(tag) = reader.peek()? {
        if tag != SEQUENCE {
            reader.skip("a certificate of another kind")?;
            continue;
        }
        let certificate = reader.verbatim("a certificate")?;
        if seen.insert(sha256(&certificate)) {
            found.push(certificate);
        }
        if found.len() > max {
            return Err(CmsError::OverLimit("certificates in SignedData"));
        }
    }
    reader.leave("certificates")?;
    Ok(found)
}

fn signer_infos<R: Read>(reader: &mut Reader<R>, signed: &mut SignedData) -> Result<(), CmsError> {
    reader.enter(SET, "SignerInfos")?;
    while reader.peek()?.is_some() {
        if signed.signers.len() + signed.unread.len() >= SIGNERS_MAX {
            return Err(CmsError::OverLimit("signers in SignedData"));
        }
        let der = reader.der("SignerInfo")?;
        match signer_info(&der) {
            Ok(signer) => signed.signers.push(signer),
            Err(why) => signed.unread.push(why),
        }
    }
    reader.leave("SignerInfos")
}

/// SignerInfo (RFC 5652 §5.3), or why it cannot be read.
fn signer_info(der: &[u8]) -> Result<SignerInfo, String> {
    const WHAT: &str = "a SignerInfo that is not in order";
    let text = |cause: CmsError| cause.to_string();
    let mut inside = Walker::new(der).inside(SEQUENCE, WHAT).map_err(text)?;
    inside.expect(INTEGER, WHAT).map_err(text)?;
    let sid = identifier(&mut inside, WHAT).map_err(text)?;
    let digest = Algorithm::read(&mut inside, WHAT).map_err(text)?.digest()?;
    let attributes = inside.optional(constructed(0), WHAT).map_err(text)?;
    let algorithm = Algorithm::read(&mut inside, WHAT)
        .map_err(text)?
        .signature(digest)?;
    let signature = inside.expect(OCTET_STRING, WHAT).map_err(text)?.to_vec();
    inside.optional(constructed(1), WHAT).map_err(text)?;
    inside.end(WHAT).map_err(text)?;
    let mut signer = SignerInfo {
        sid,
        digest,
        algorithm,
        signed_attrs: None,
        message_digests: Vec::new(),
        content_types: Vec::new(),
        signing_time: None,
        signature,
    };
    if let Some(attributes) = attributes {
        signed_attributes(attributes, &mut signer).map_err(text)?;
    }
    Ok(signer)
}

fn signed_attributes(content: &[u8], signer: &mut SignerInfo) -> Result<(), CmsError> {
    const WHAT: &str = "signed attributes that are not in order";
    let mut walker = Walker::new(content);
    while !walker.is_empty() {
        let member = walker.any(WHAT)?;
        if member.tag != SEQUENCE {
            return Err(CmsError::Malformed(WHAT));
        }
        let mut attribute = Walker::new(member.content);
        let kind = attribute.expect(OBJECT_IDENTIFIER, WHAT)?;
        let mut values = attribute.inside(SET, WHAT)?;
        attribute.end(WHAT)?;
        while !values.is_empty() {
            signed_value(kind, values.any(WHAT)?, signer)?;
        }
    }
    // RFC 5652 §5.4: digested with the tag of SET OF, not with [0]. The order stays as it was sent: peers
    // that do not sort sign what they send, and every known implementation verifies it so.
    signer.signed_attrs = Some(element(SET, &[content]));
    Ok(())
}

/// Signed attributes in the order of DER (X.690 §11.6); None if they stand so already.
pub fn sorted_attributes(set: &[u8]) -> Option<Vec<u8>> {
    const WHAT: &str = "attributes";
    let content = Walker::new(set).expect(SET, WHAT).ok()?;
    let mut members = Vec::new();
    let mut walker = Walker::new(content);
    while !walker.is_empty() {
        members.push(walker.any(WHAT).ok()?.whole);
    }
    members.sort_unstable();
    let sorted = element(SET, &members);
    (sorted != set).then_some(sorted)
}

/// Whether these octets, all of them, are a SET OF Attribute with a contentType or messageDigest among them:
/// what is signed when there are signed attributes.
pub fn is_signed_attributes(octets: &[u8]) -> bool {
    const WHAT: &str = "attributes";
    let mut outer = Walker::new(octets);
    let Ok(mut members) = outer.inside(SET, WHAT) else {
        return false;
    };
    let mut telling = false;
    while !members.is_empty() {
        let Ok(mut attribute) = members.inside(SEQUENCE, WHAT) else {
            return false;
        };
        let Ok(kind) = attribute.expect(OBJECT_IDENTIFIER, WHAT) else {
            return false;
        };
        telling |= kind == CONTENT_TYPE.as_bytes() || kind == MESSAGE_DIGEST.as_bytes();
    }
    telling && outer.is_empty()
}

fn signed_value(kind: &[u8], value: Element<'_>, signer: &mut SignerInfo) -> Result<(), CmsError> {
    if kind == MESSAGE_DIGEST.as_bytes() {
        if value.tag != OCTET_STRING {
            return Err(CmsError::Malformed("a messageDigest of another type"));
        }
        signer.message_digests.push(value.content.to_vec());
    } else if kind == CONTENT_TYPE.as_bytes() {
        if value.tag != OBJECT_IDENTIFIER {
            return Err(CmsError::Malformed("a contentType of another type"));
        }
        signer.content_types.push(dotted(value.content));
    } else if kind == SIGNING_TIME.as_bytes() && signer.signing_time.is_none() {
        signer.signing_time = instant(value);
    }
    Ok(())
}

/// Time (RFC 5652 §11.3); an odd one is not read, as nothing depends on it.
fn instant(value: Element<'_>) -> Option<i64> {
    let since = match value.tag {
        UTC_TIME => UtcTime::from_der(value.whole).ok()?.to_unix_duration(),
        GENERALIZED_TIME => GeneralizedTime::from_der(value.whole)
            .ok()?
            .to_unix_duration(),
        _ => return None,
    };
    i64::try_from(since.as_secs()).ok()
}
