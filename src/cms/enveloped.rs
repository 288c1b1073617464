//! Reading EnvelopedData (RFC 5652 §6) and AuthEnvelopedData (RFC 5083). In: a source of BER. Out: the
//! head as a value, the encrypted content as a stream, and at its end what authenticates it. Promised: the
//! head is at most `ENVELOPE_HEAD_MAX` octets, the content is never held. Never done here: decrypting.

use std::io::Read;

use super::algorithm::{AUTH_ENVELOPED_DATA, Algorithm, DATA, ENVELOPED_DATA};
use super::ber::Reader;
use super::der::{
    BIT_STRING, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, SET, Walker, constructed,
    context, dotted, element,
};
use super::{CmsError, Identifier};
use crate::crypto::{Agreement, ContentCipher, Kdf, KeyTransport, KeyWrap};
use crate::limits::{ENVELOPE_HEAD_MAX, RECIPIENT_INFOS_MAX};

/// GCM tag octets that are read (RFC 5084 §3.2; G-017).
const TAG_LEN: std::ops::RangeInclusive<usize> = 12..=16;

/// ECDH for one recipient (RFC 5753); one entry a recipientEncryptedKey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAgree {
    /// The originator's ephemeral point, uncompressed or compressed.
    pub point: Vec<u8>,
    /// ukm, if any.
    pub ukm: Option<Vec<u8>>,
    /// OID of the key agreement scheme, dotted.
    pub scheme: String,
    /// OID of the key wrap, dotted.
    pub wrap: String,
    /// DER of the key wrap's AlgorithmIdentifier, as it was sent: the key derivation takes it in.
    pub wrap_algorithm: Vec<u8>,
}

/// Key agreement schemes (RFC 5753 §7.1.4; SEC 1). The cofactor schemes agree on the same secret: P-256 and
/// P-384 have cofactor 1.
const SCHEMES: [(&str, Kdf); 10] = [
    ("1.3.133.16.840.63.0.2", Kdf::Sha1),
    ("1.3.132.1.11.0", Kdf::Sha224),
    ("1.3.132.1.11.1", Kdf::Sha256),
    ("1.3.132.1.11.2", Kdf::Sha384),
    ("1.3.132.1.11.3", Kdf::Sha512),
    ("1.3.133.16.840.63.0.3", Kdf::Sha1),
    ("1.3.132.1.14.0", Kdf::Sha224),
    ("1.3.132.1.14.1", Kdf::Sha256),
    ("1.3.132.1.14.2", Kdf::Sha384),
    ("1.3.132.1.14.3", Kdf::Sha512),
];

/// Key wraps (RFC 3565 §2.3.2).
const WRAPS: [(&str, KeyWrap); 3] = [
    ("2.16.840.1.101.3.4.1.5", KeyWrap::Aes128),
    ("2.16.840.1.101.3.4.1.25", KeyWrap::Aes192),
    ("2.16.840.1.101.3.4.1.45", KeyWrap::Aes256),
];

impl KeyAgree {
    /// As [`crate::crypto`] takes it; None if scheme or key wrap is not read.
    pub fn agreement(&self) -> Option<Agreement> {
        let (_, kdf) = SCHEMES.iter().find(|(oid, _)| *oid == self.scheme)?;
        let (_, wrap) = WRAPS.iter().find(|(oid, _)| *oid == self.wrap)?;
        Some(Agreement {
            point: self.point.clone(),
            kdf: *kdf,
            wrap: *wrap,
            shared_info: self.shared_info(*wrap),
        })
    }

    /// ECC-CMS-SharedInfo (RFC 5753 §7.2): keyInfo, entityUInfo, suppPubInfo (the wrap key's length in bits).
    fn shared_info(&self, wrap: KeyWrap) -> Vec<u8> {
        let user = self.ukm.as_ref().map_or_else(Vec::new, |ukm| {
            element(constructed(0), &[&element(OCTET_STRING, &[ukm])])
        });
        // At most 256.
        let bits = u32::try_from(wrap.key_len() * 8).unwrap_or_default();
        let length = element(OCTET_STRING, &[&bits.to_be_bytes()]);
        let length = element(constructed(2), &[&length]);
        element(SEQUENCE, &[&self.wrap_algorithm, &user, &length])
    }
}

/// One way to the content key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipientInfo {
    /// RSA.
    KeyTrans {
        rid: Identifier,
        transport: KeyTransport,
        encrypted_key: Vec<u8>,
    },
    /// ECDH.
    KeyAgree {
        rid: Identifier,
        agree: KeyAgree,
        encrypted_key: Vec<u8>,
    },
    /// A kind or algorithm that is not read (kekri, pwri, ori, unknown transport); named for the operator.
    Other { what: String },
}

/// Everything in an EnvelopedData or AuthEnvelopedData before its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopedHead {
    pub recipients: Vec<RecipientInfo>,
    pub cipher: ContentCipher,
    /// CBC IV or GCM nonce.
    pub iv: Vec<u8>,
    /// AuthEnvelopedData (RFC 5083): a tag follows the content.
    pub authenticated: bool,
}

/// The encrypted content as a stream of octets, segment headers removed.
pub struct ContentReader<R> {
    reader: Reader<R>,
    authenticated: bool,
}

/// Reads the head of a ContentInfo that holds EnvelopedData or AuthEnvelopedData; the content follows as a
/// stream.
///
/// # Errors
/// [`CmsError`].
pub fn read_enveloped<R: Read>(source: R) -> Result<(EnvelopedHead, ContentReader<R>), CmsError> {
    let mut reader = Reader::new(source, ENVELOPE_HEAD_MAX, "head of the envelope");
    let authenticated = enter_content_info(&mut reader)?;
    reader.enter(SEQUENCE, "EnvelopedData")?;
    reader.primitive(INTEGER, "version of EnvelopedData")?;
    if reader.peek()? == Some(constructed(0)) {
        reader.skip("originatorInfo")?;
    }
    let recipients = recipient_infos(&mut reader)?;
    reader.enter(SEQUENCE, "EncryptedContentInfo")?;
    let content_type = reader.primitive(OBJECT_IDENTIFIER, "type of the encrypted content")?;
    // RFC 8551 §2.4.1: what S/MIME encrypts is a MIME entity, id-data.
    if content_type != DATA.as_bytes() {
        return Err(CmsError::ContentType(dotted(&content_type)));
    }
    let algorithm = reader.der("contentEncryptionAlgorithm")?;
    let algorithm = Algorithm::read(&mut Walker::new(&algorithm), "contentEncryptionAlgorithm")?;
    let (cipher, iv) = algorithm.cipher(authenticated)?;
    reader.open_string(context(0), "there is no encrypted content")?;
    let head = EnvelopedHead {
        recipients,
        cipher,
        iv,
        authenticated,
    };
    let content = ContentReader {
        reader,
        authenticated,
    };
    Ok((head, content))
}

/// Goes into ContentInfo; true for AuthEnvelopedData.
fn enter_content_info<R: Read>(reader: &mut Reader<R>) -> Result<bool, CmsError> {
    reader.enter(SEQUENCE, "ContentInfo")?;
    let content_type = reader.primitive(OBJECT_IDENTIFIER, "type of the content")?;
    let authenticated = content_type == AUTH_ENVELOPED_DATA.as_bytes();
    if !authenticated && content_type != ENVELOPED_DATA.as_bytes() {
        return Err(CmsError::ContentType(dotted(&content_type)));
    }
    reader.enter(constructed(0), "ContentInfo without content")?;
    Ok(authenticated)
}

fn recipient_infos<R: Read>(reader: &mut Reader<R>) -> Result<Vec<RecipientInfo>, CmsError> {
    let mut recipients = Vec::new();
    reader.enter(SET, "RecipientInfos")?;
    while reader.peek()?.is_some() {
        let der = reader.der("RecipientInfo")?;
        read_recipient(&der, &mut recipients)?;
        if recipients.len() > RECIPIENT_INFOS_MAX {
            return Err(CmsError::OverLimit("recipients of the envelope"));
        }
    }
    reader.leave("RecipientInfos")?;
    if recipients.is_empty() {
        return Err(CmsError::Malformed("an envelope without recipients"));
    }
    Ok(recipients)
}

fn read_recipient(der: &[u8], recipients: &mut Vec<RecipientInfo>) -> Result<(), CmsError> {
    let info = Walker::new(der).any("RecipientInfo")?;
    let inside = Walker::new(info.content);
    let other = |what: &str| RecipientInfo::Other {
        what: what.to_owned(),
    };
    match info.tag {
        SEQUENCE => recipients.push(key_trans(inside)?),
        tag if tag == constructed(1) => key_agree(inside, recipients)?,
        tag if tag == constructed(2) => recipients.push(other("a shared key (kekri)")),
        tag if tag == constructed(3) => recipients.push(other("a password (pwri)")),
        tag if tag == constructed(4) => recipients.push(other("a kind of its own (ori)")),
        _ => return Err(CmsError::Malformed("an unknown kind of RecipientInfo")),
    }
    Ok(())
}

/// KeyTransRecipientInfo (RFC 5652 §6.2.1).
fn key_trans(mut inside: Walker<'_>) -> Result<RecipientInfo, CmsError> {
    const WHAT: &str = "KeyTransRecipientInfo";
    inside.expect(INTEGER, WHAT)?;
    let rid = identifier(&mut inside, WHAT)?;
    let algorithm = Algorithm::read(&mut inside, WHAT)?;
    let encrypted_key = inside.expect(OCTET_STRING, WHAT)?.to_vec();
    inside.end(WHAT)?;
    Ok(match algorithm.key_transport() {
        Ok(transport) => RecipientInfo::KeyTrans {
            rid,
            transport,
            encrypted_key,
        },
        Err(what) => RecipientInfo::Other { what },
    })
}

/// KeyAgreeRecipientInfo (RFC 5652 §6.2.2; RFC 5753 §3.1).
fn key_agree(mut inside: Walker<'_>, recipients: &mut Vec<RecipientInfo>) -> Result<(), CmsError> {
    const WHAT: &str = "KeyAgreeRecipientInfo";
    inside.expect(INTEGER, WHAT)?;
    let mut originator = inside.inside(constructed(0), WHAT)?;
    let ukm = match inside.optional(constructed(1), WHAT)? {
        Some(content) => Some(Walker::new(content).expect(OCTET_STRING, WHAT)?.to_vec()),
        None => None,
    };
    let algorithm = Algorithm::read(&mut inside, WHAT)?;
    let mut keys = inside.inside(SEQUENCE, WHAT)?;
    inside.end(WHAT)?;
    let Some(point) = ephemeral_point(&mut originator)? else {
        recipients.push(RecipientInfo::Other {
            what: "key agreement with a key that is not ephemeral".to_owned(),
        });
        return Ok(());
    };
    let agree = KeyAgree {
        point,
        ukm,
        scheme: algorithm.dotted(),
        wrap: algorithm.wrapped(WHAT)?,
        wrap_algorithm: algorithm.parameter(WHAT)?,
    };
    while !keys.is_empty() && recipients.len() <= RECIPIENT_INFOS_MAX {
        let mut key = keys.inside(SEQUENCE, WHAT)?;
        let rid = agreed_identifier(&mut key)?;
        let encrypted_key = key.expect(OCTET_STRING, WHAT)?.to_vec();
        key.end(WHAT)?;
        recipients.push(RecipientInfo::KeyAgree {
            rid,
            agree: agree.clone(),
            encrypted_key,
        });
    }
    Ok(())
}

/// The point of OriginatorPublicKey; None if the originator is named by a certificate.
fn ephemeral_point(originator: &mut Walker<'_>) -> Result<Option<Vec<u8>>, CmsError> {
    const WHAT: &str = "originator of KeyAgreeRecipientInfo";
    let Some(content) = originator.optional(constructed(1), WHAT)? else {
        return Ok(None);
    };
    let mut inside = Walker::new(content);
    Algorithm::read(&mut inside, WHAT)?;
    // X.690 §8.6.2: the first octet counts unused bits; a point has none.
    match inside.expect(BIT_STRING, WHAT)?.split_first() {
        Some((0, point)) => Ok(Some(point.to_vec())),
        _ => Err(CmsError::Malformed(WHAT)),
    }
}

/// KeyAgreeRecipientIdentifier: issuerAndSerialNumber, or rKeyId [0] SEQUENCE { subjectKeyIdentifier, .. }.
fn agreed_identifier(from: &mut Walker<'_>) -> Result<Identifier, CmsError> {
    const WHAT: &str = "KeyAgreeRecipientIdentifier";
    match from.optional(constructed(0), WHAT)? {
        Some(content) => {
            let id = Walker::new(content).expect(OCTET_STRING, WHAT)?;
            Ok(Identifier::KeyId(id.to_vec()))
        }
        None => identifier(from, WHAT),
    }
}

/// IssuerAndSerialNumber, or subjectKeyIdentifier [0] (in one piece, or in BER's segments).
pub(super) fn identifier(
    from: &mut Walker<'_>,
    what: &'static str,
) -> Result<Identifier, CmsError> {
    let element = from.any(what)?;
    let mut inside = Walker::new(element.content);
    match element.tag {
        SEQUENCE => {
            let name = inside.any(what)?;
            if name.tag != SEQUENCE {
                return Err(CmsError::Malformed(what));
            }
            let serial = inside.expect(INTEGER, what)?.to_vec();
            inside.end(what)?;
            Ok(Identifier::IssuerAndSerial {
                issuer: name.whole.to_vec(),
                serial,
            })
        }
        tag if tag == context(0) => Ok(Identifier::KeyId(element.content.to_vec())),
        tag if tag == constructed(0) => {
            let mut id = Vec::new();
            while !inside.is_empty() {
                id.extend_from_slice(inside.expect(OCTET_STRING, what)?);
            }
            Ok(Identifier::KeyId(id))
        }
        _ => Err(CmsError::Malformed(what)),
    }
}

impl<R: Read> ContentReader<R> {
    /// After the content was read to its end: the DER of authAttrs as SET (AAD of AuthEnvelopedData; empty
    /// if none) and the tag. For plain EnvelopedData both are empty. Also checks that the structure ends
    /// properly.
    ///
    /// # Errors
    /// [`CmsError`].
    pub fn finish(mut self) -> Result<(Vec<u8>, Vec<u8>), CmsError> {
        let reader = &mut self.reader;
        reader.close_string()?;
        reader.allow(ENVELOPE_HEAD_MAX, "tail of the envelope");
        reader.leave("EncryptedContentInfo")?;
        let authentication = if self.authenticated {
            authentication(reader)?
        } else {
            if reader.peek()? == Some(constructed(1)) {
                reader.skip("unprotectedAttrs")?;
            }
            (Vec::new(), Vec::new())
        };
        reader.leave("EnvelopedData")?;
        reader.leave("content of ContentInfo")?;
        reader.leave("ContentInfo")?;
        reader.end()?;
        Ok(authentication)
    }
}

/// authAttrs, mac, unauthAttrs (RFC 5083 §2.1).
fn authentication<R: Read>(reader: &mut Reader<R>) -> Result<(Vec<u8>, Vec<u8>), CmsError> {
    let mut attributes = Vec::new();
    if reader.peek()? == Some(constructed(1)) {
        attributes = reader.der("authAttrs")?;
        // RFC 5083 §2.2: authenticated with the tag of SET OF, not with [1].
        if let Some(tag) = attributes.first_mut() {
            *tag = SET;
        }
    }
    let mac = reader.der("the tag of AuthEnvelopedData")?;
    let tag = Walker::new(&mac).expect(OCTET_STRING, "the tag of AuthEnvelopedData")?;
    if !TAG_LEN.contains(&tag.len()) {
        return Err(CmsError::Malformed("length of the tag"));
    }
    if reader.peek()? == Some(constructed(2)) {
        reader.skip("unauthAttrs")?;
    }
    Ok((attributes, tag.to_vec()))
}

impl<R: Read> Read for ContentReader<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        self.reader.read_string(out).map_err(CmsError::into_io)
    }
}
