//! Writing: DER, definite lengths, the one shape that every known peer reads. In: digests, signatures,
//! encrypted keys, lengths. Out: octets. Never done here: signing, encrypting, holding content.

use ::der::Encode;
use ::der::asn1::{GeneralizedTime, UtcTime};

use super::algorithm::{
    AUTH_ENVELOPED_DATA, CONTENT_TYPE, DATA, ENVELOPED_DATA, MESSAGE_DIGEST, SIGNED_DATA,
    SIGNING_TIME, SMIME_CAPABILITIES, TAG_LEN, cipher_identifier, object_identifier, write_cipher,
    write_digest, write_ecdsa_signature, write_key_transport, write_rsa_signature,
};
use super::der::{
    INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, SET, Walker, constructed, context, element,
    header, set_of,
};
use super::{CmsError, Identifier};
use crate::crypto::{ContentCipher, DigestAlgorithm, KeyTransport};
use crate::world::Timestamp;

/// What we say we read, best first (RFC 8551 §2.5.2).
const CAPABILITIES: [ContentCipher; 4] = [
    ContentCipher::Aes256Cbc,
    ContentCipher::Aes128Cbc,
    ContentCipher::Aes256Gcm,
    ContentCipher::Aes128Gcm,
];

/// The DER SET OF signed attributes: contentType id-data, messageDigest, signingTime, smimeCapabilities
/// (AES-256-CBC, AES-128-CBC, AES-256-GCM, AES-128-GCM). This is what gets digested and signed.
///
/// # Errors
/// [`CmsError`].
pub fn signed_attributes(digest: &[u8], signing_time: Timestamp) -> Result<Vec<u8>, CmsError> {
    let attribute = |kind, value: &[u8]| {
        element(
            SEQUENCE,
            &[&object_identifier(kind), &element(SET, &[value])],
        )
    };
    let mut capabilities = Vec::new();
    for cipher in CAPABILITIES {
        capabilities.extend(element(SEQUENCE, &[&cipher_identifier(cipher)?]));
    }
    Ok(set_of(
        SET,
        vec![
            attribute(CONTENT_TYPE, &object_identifier(DATA)),
            attribute(MESSAGE_DIGEST, &element(OCTET_STRING, &[digest])),
            attribute(SIGNING_TIME, &time(signing_time)?),
            attribute(SMIME_CAPABILITIES, &element(SEQUENCE, &[&capabilities])),
        ],
    ))
}

/// RFC 5652 §11.3: UTCTime through 2049, GeneralizedTime after.
fn time(at: Timestamp) -> Result<Vec<u8>, CmsError> {
    const WHAT: CmsError = CmsError::Malformed("a signing time before 1970 or after 9999");
    let seconds = u64::try_from(at.unix_s()).map_err(|_| WHAT)?;
    let since = std::time::Duration::from_secs(seconds);
    match UtcTime::from_unix_duration(since) {
        Ok(time) => time.to_der(),
        Err(_) => GeneralizedTime::from_unix_duration(since).and_then(|time| time.to_der()),
    }
    .map_err(|_| WHAT)
}

/// A detached SignedData with one SignerInfo. `rsa`: rsaEncryption as signature algorithm, else
/// ecdsa-with-SHA*. `certificates`: DER, the signer's first; in the structure they stand in the order of
/// DER.
///
/// # Errors
/// [`CmsError`]; SHA-1 among them, which is never made.
pub fn signed_data(
    certificates: &[Vec<u8>],
    signer: &Identifier,
    digest: DigestAlgorithm,
    rsa: bool,
    signed_attributes: &[u8],
    signature: &[u8],
) -> Result<Vec<u8>, CmsError> {
    if digest == DigestAlgorithm::Sha1 {
        return Err(CmsError::Algorithm(digest.micalg().to_owned()));
    }
    let digest_algorithm = write_digest(digest)?;
    let signature_algorithm = if rsa {
        write_rsa_signature()
    } else {
        write_ecdsa_signature(digest)?
    };
    let version = signed_version(signer);
    let signer_info = element(
        SEQUENCE,
        &[
            &version,
            &write_identifier(signer),
            &digest_algorithm,
            &retag(signed_attributes)?,
            &signature_algorithm,
            &element(OCTET_STRING, &[signature]),
        ],
    );
    let content = element(SEQUENCE, &[&object_identifier(DATA)]);
    let signed = element(
        SEQUENCE,
        &[
            &version,
            &element(SET, &[&digest_algorithm]),
            &content,
            &set_of(constructed(0), certificates.to_vec()),
            &element(SET, &[&signer_info]),
        ],
    );
    Ok(element(
        SEQUENCE,
        &[
            &object_identifier(SIGNED_DATA),
            &element(constructed(0), &[&signed]),
        ],
    ))
}

/// Certificates alone (RFC 5652 §10.2.3, .p7b): no signer, and for content what the publisher says about it.
pub fn bundle(certificates: &[Vec<u8>], content: Option<&[u8]>) -> Vec<u8> {
    let data = object_identifier(DATA);
    let content = match content {
        None => element(SEQUENCE, &[&data]),
        Some(octets) => {
            let string = element(OCTET_STRING, &[octets]);
            element(SEQUENCE, &[&data, &element(constructed(0), &[&string])])
        }
    };
    let signed = element(
        SEQUENCE,
        &[
            &element(INTEGER, &[&[1]]),
            &element(SET, &[]),
            &content,
            &set_of(constructed(0), certificates.to_vec()),
            &element(SET, &[]),
        ],
    );
    element(
        SEQUENCE,
        &[
            &object_identifier(SIGNED_DATA),
            &element(constructed(0), &[&signed]),
        ],
    )
}

/// What [`signed_data`] made, with the content that it signs inside (opaque).
///
/// # Errors
/// [`CmsError`] if it is not what [`signed_data`] made.
pub fn signed_over(detached: &[u8], content: &[u8]) -> Result<Vec<u8>, CmsError> {
    const WHAT: &str = "no SignedData of ours";
    let mut outer = Walker::new(detached).inside(SEQUENCE, WHAT)?;
    outer.expect(OBJECT_IDENTIFIER, WHAT)?;
    let mut inner = outer.inside(constructed(0), WHAT)?.inside(SEQUENCE, WHAT)?;
    let (version, digests) = (inner.any(WHAT)?, inner.any(WHAT)?);
    inner.expect(SEQUENCE, WHAT)?;
    let (certificates, signers) = (inner.any(WHAT)?, inner.any(WHAT)?);
    let string = element(OCTET_STRING, &[content]);
    let data = object_identifier(DATA);
    let encapsulated = element(SEQUENCE, &[&data, &element(constructed(0), &[&string])]);
    let parts = [
        version.whole,
        digests.whole,
        &encapsulated,
        certificates.whole,
        signers.whole,
    ];
    let signed = element(SEQUENCE, &parts);
    Ok(element(
        SEQUENCE,
        &[
            &object_identifier(SIGNED_DATA),
            &element(constructed(0), &[&signed]),
        ],
    ))
}

/// RFC 5652 §5.1 and §5.3: 1 with issuerAndSerialNumber, 3 with a key identifier; both structures alike.
fn signed_version(signer: &Identifier) -> Vec<u8> {
    let version = match signer {
        Identifier::IssuerAndSerial { .. } => 1,
        Identifier::KeyId(_) => 3,
    };
    element(INTEGER, &[&[version]])
}

/// The signed attributes as they stand in SignerInfo: `[0] IMPLICIT` instead of SET (RFC 5652 §5.4).
fn retag(attributes: &[u8]) -> Result<Vec<u8>, CmsError> {
    match attributes.split_first() {
        Some((&SET, rest)) => Ok([&[constructed(0)], rest].concat()),
        _ => Err(CmsError::Malformed("signed attributes that are no SET")),
    }
}

fn write_identifier(identifier: &Identifier) -> Vec<u8> {
    match identifier {
        Identifier::IssuerAndSerial { issuer, serial } => {
            element(SEQUENCE, &[issuer, &element(INTEGER, &[serial])])
        }
        Identifier::KeyId(id) => element(context(0), &[id]),
    }
}

/// One RSA recipient of an envelope to be written.
#[derive(Clone, Debug)]
pub struct KeyTransRecipient {
    pub rid: Identifier,
    pub transport: KeyTransport,
    pub encrypted_key: Vec<u8>,
}

impl KeyTransRecipient {
    /// RFC 5652 §6.2.1: version 0 with issuerAndSerialNumber, 2 with a key identifier.
    fn version(&self) -> u8 {
        match self.rid {
            Identifier::IssuerAndSerial { .. } => 0,
            Identifier::KeyId(_) => 2,
        }
    }

    fn write(&self) -> Result<Vec<u8>, CmsError> {
        Ok(element(
            SEQUENCE,
            &[
                &element(INTEGER, &[&[self.version()]]),
                &write_identifier(&self.rid),
                &write_key_transport(self.transport)?,
                &element(OCTET_STRING, &[&self.encrypted_key]),
            ],
        ))
    }
}

/// Head and tail of an EnvelopedData whose encrypted content of known length is streamed between them.
#[derive(Clone, Debug)]
pub struct EnvelopedPlan {
    /// What goes before the encrypted octets.
    pub head: Vec<u8>,
    /// What goes after them (for AuthEnvelopedData: the tag must be appended by [`EnvelopedPlan::tail`]).
    pub(super) authenticated: bool,
}

impl EnvelopedPlan {
    /// Plans EnvelopedData (CBC) or AuthEnvelopedData (GCM) for `content_len` encrypted octets (CBC
    /// padding included; see [`ContentCipher::encrypted_len`]).
    ///
    /// # Errors
    /// [`CmsError`].
    pub fn new(
        recipients: &[KeyTransRecipient],
        cipher: ContentCipher,
        iv: &[u8],
        content_len: u64,
    ) -> Result<Self, CmsError> {
        if recipients.is_empty() {
            return Err(CmsError::Malformed("an envelope without recipients"));
        }
        let authenticated = cipher.is_aead();
        // RFC 5652 §6.1: 0 if all recipients have version 0, else 2. RFC 5083 §2.1: always 0.
        let plain = recipients.iter().all(|recipient| recipient.version() == 0);
        let version = if authenticated || plain { 0 } else { 2 };
        let infos = recipients
            .iter()
            .map(KeyTransRecipient::write)
            .collect::<Result<Vec<_>, _>>()?;
        let tag_len = if authenticated {
            2 + u64::from(TAG_LEN)
        } else {
            0
        };

        // From the inside out: each head makes the element around the one before.
        let mut around = Around::new(context(0), content_len)?;
        around.prepend(&write_cipher(cipher, iv)?)?;
        around.prepend(&object_identifier(DATA))?;
        around.wrap(SEQUENCE, tag_len)?;
        around.prepend(&set_of(SET, infos))?;
        around.prepend(&element(INTEGER, &[&[version]]))?;
        around.wrap(SEQUENCE, 0)?;
        around.wrap(constructed(0), 0)?;
        let content_type = if authenticated {
            AUTH_ENVELOPED_DATA
        } else {
            ENVELOPED_DATA
        };
        around.prepend(&object_identifier(content_type))?;
        around.wrap(SEQUENCE, 0)?;
        Ok(Self {
            head: around.head,
            authenticated,
        })
    }

    /// What follows the encrypted octets: nothing, or the tag of AuthEnvelopedData (the 16 octets that
    /// [`crate::crypto::Encryptor::finish`] gave).
    pub fn tail(&self, tag: Option<&[u8]>) -> Vec<u8> {
        match tag {
            Some(tag) if self.authenticated => element(OCTET_STRING, &[tag]),
            _ => Vec::new(),
        }
    }
}

/// An element in the making whose innermost content is not at hand: its head, and its length with that
/// content.
struct Around {
    head: Vec<u8>,
    len: u64,
}

const TOO_LONG: CmsError = CmsError::OverLimit("length of the content");

impl Around {
    /// Starts with the header of the element whose content will be streamed.
    fn new(tag: u8, content_len: u64) -> Result<Self, CmsError> {
        let mut around = Self {
            head: Vec::new(),
            len: content_len,
        };
        around.wrap(tag, 0)?;
        Ok(around)
    }

    /// Puts a sibling before what there is.
    fn prepend(&mut self, octets: &[u8]) -> Result<(), CmsError> {
        let added = u64::try_from(octets.len()).map_err(|_| TOO_LONG)?;
        self.len = self.len.checked_add(added).ok_or(TOO_LONG)?;
        self.head = [octets, &self.head].concat();
        Ok(())
    }

    /// Makes what there is the content of an element; then `after` octets follow that element, before the
    /// one around it ends.
    fn wrap(&mut self, tag: u8, after: u64) -> Result<(), CmsError> {
        let header = header(tag, self.len);
        self.prepend(&header)?;
        self.len = self.len.checked_add(after).ok_or(TOO_LONG)?;
        Ok(())
    }
}
