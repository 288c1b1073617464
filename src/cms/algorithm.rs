//! Object identifiers and AlgorithmIdentifiers, read and written (RFC 3370, 4055, 5084, 5754). In: DER.
//! Out: the algorithms of [`crate::crypto`], or the name of what is not accepted. Never done here: whether
//! policy wants them.

use ::der::asn1::ObjectIdentifier;

use super::CmsError;
use super::der::{
    INTEGER, NULL, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, Walker, constructed, dotted, element,
};
use crate::crypto::{ContentCipher, DigestAlgorithm, KeyTransport, SignatureAlgorithm};

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

// Content types (RFC 5652 §4, §5.1, §6.1; RFC 5083 §2).
pub(super) const DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.1");
pub(super) const SIGNED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.2");
pub(super) const ENVELOPED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.3");
pub(super) const AUTH_ENVELOPED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.9.16.1.23");
// Attributes (RFC 5652 §11; RFC 8551 §2.5.2).
pub(super) const CONTENT_TYPE: ObjectIdentifier = oid("1.2.840.113549.1.9.3");
pub(super) const MESSAGE_DIGEST: ObjectIdentifier = oid("1.2.840.113549.1.9.4");
pub(super) const SIGNING_TIME: ObjectIdentifier = oid("1.2.840.113549.1.9.5");
pub(super) const SMIME_CAPABILITIES: ObjectIdentifier = oid("1.2.840.113549.1.9.15");
// RSA (RFC 8017 appendix C).
const RSA_ENCRYPTION: ObjectIdentifier = oid("1.2.840.113549.1.1.1");
const RSAES_OAEP: ObjectIdentifier = oid("1.2.840.113549.1.1.7");
const MGF1: ObjectIdentifier = oid("1.2.840.113549.1.1.8");
const P_SPECIFIED: ObjectIdentifier = oid("1.2.840.113549.1.1.9");
const RSASSA_PSS: ObjectIdentifier = oid("1.2.840.113549.1.1.10");
// ECDSA that leaves the digest to be said elsewhere (RFC 5480 §2.1.1; X9.62 §E.8, as Windows writes it).
const EC_PUBLIC_KEY: ObjectIdentifier = oid("1.2.840.10045.2.1");
const ECDSA_SPECIFIED: ObjectIdentifier = oid("1.2.840.10045.4.3");

/// Digest, its own identifier, with RSA, with ECDSA (RFC 5754 §2, §3).
const DIGESTS: [(DigestAlgorithm, [ObjectIdentifier; 3]); 4] = [
    (
        DigestAlgorithm::Sha1,
        [
            oid("1.3.14.3.2.26"),
            oid("1.2.840.113549.1.1.5"),
            oid("1.2.840.10045.4.1"),
        ],
    ),
    (
        DigestAlgorithm::Sha256,
        [
            oid("2.16.840.1.101.3.4.2.1"),
            oid("1.2.840.113549.1.1.11"),
            oid("1.2.840.10045.4.3.2"),
        ],
    ),
    (
        DigestAlgorithm::Sha384,
        [
            oid("2.16.840.1.101.3.4.2.2"),
            oid("1.2.840.113549.1.1.12"),
            oid("1.2.840.10045.4.3.3"),
        ],
    ),
    (
        DigestAlgorithm::Sha512,
        [
            oid("2.16.840.1.101.3.4.2.3"),
            oid("1.2.840.113549.1.1.13"),
            oid("1.2.840.10045.4.3.4"),
        ],
    ),
];

/// NIST's AES arc (RFC 3565 §4.1; RFC 5084 §3.2).
const CIPHERS: [(ContentCipher, ObjectIdentifier); 6] = [
    (ContentCipher::Aes128Cbc, oid("2.16.840.1.101.3.4.1.2")),
    (ContentCipher::Aes192Cbc, oid("2.16.840.1.101.3.4.1.22")),
    (ContentCipher::Aes256Cbc, oid("2.16.840.1.101.3.4.1.42")),
    (ContentCipher::Aes128Gcm, oid("2.16.840.1.101.3.4.1.6")),
    (ContentCipher::Aes192Gcm, oid("2.16.840.1.101.3.4.1.26")),
    (ContentCipher::Aes256Gcm, oid("2.16.840.1.101.3.4.1.46")),
];

/// Octets of the GCM tag that is made (the ICV length of RFC 5084 §3.2).
pub(super) const TAG_LEN: u8 = 16;

/// AlgorithmIdentifier (RFC 5280 §4.1.1.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Algorithm<'a> {
    /// Content octets of the OBJECT IDENTIFIER.
    oid: &'a [u8],
    /// Whatever follows it.
    parameters: Walker<'a>,
}

impl<'a> Algorithm<'a> {
    /// Reads the next element.
    pub fn read(from: &mut Walker<'a>, what: &'static str) -> Result<Self, CmsError> {
        let mut inside = from.inside(SEQUENCE, what)?;
        Ok(Self {
            oid: inside.expect(OBJECT_IDENTIFIER, what)?,
            parameters: inside,
        })
    }

    pub fn is(&self, oid: ObjectIdentifier) -> bool {
        self.oid == oid.as_bytes()
    }

    pub fn dotted(&self) -> String {
        dotted(self.oid)
    }

    /// The AlgorithmIdentifier that is its parameter, as dotted text (the key wrap of an ECDH recipient).
    pub fn wrapped(&self, what: &'static str) -> Result<String, CmsError> {
        Ok(Self::read(&mut self.parameters.clone(), what)?.dotted())
    }

    /// Its parameter, as DER.
    pub fn parameter(&self, what: &'static str) -> Result<Vec<u8>, CmsError> {
        Ok(self.parameters.clone().any(what)?.whole.to_vec())
    }

    /// Parameters NULL or absent: both are read everywhere (RFC 5754 §2; G-012, G-014).
    fn plain(&self) -> bool {
        let mut parameters = self.parameters;
        parameters.is_empty()
            || (parameters.expect(NULL, "NULL") == Ok([].as_slice()) && parameters.is_empty())
    }

    pub fn digest(&self) -> Result<DigestAlgorithm, String> {
        DIGESTS
            .iter()
            .find(|(_, [own, ..])| self.is(*own) && self.plain())
            .map(|(digest, _)| *digest)
            .ok_or_else(|| format!("digest algorithm {} is not accepted", self.dotted()))
    }

    /// How the content key was encrypted, or a name for what is not read.
    pub fn key_transport(&self) -> Result<KeyTransport, String> {
        if self.is(RSA_ENCRYPTION) && self.plain() {
            return Ok(KeyTransport::Pkcs1);
        }
        if !self.is(RSAES_OAEP) {
            return Err(format!("key transport {}", self.dotted()));
        }
        // RFC 4055 §4.1 wants parameters; those who leave them out mean the defaults. A wrong guess decrypts
        // nothing.
        if self.plain() {
            let (digest, mgf) = (DigestAlgorithm::Sha1, DigestAlgorithm::Sha1);
            return Ok(KeyTransport::Oaep { digest, mgf });
        }
        let (digest, mgf, mut rest) = self.hashes("RSAES-OAEP")?;
        // RFC 8017 appendix A.2.1: pSourceAlgorithm, whose default and only accepted value is the empty
        // label.
        if let Some(source) = explicit(&mut rest, 2)? {
            let mut label = source.parameters;
            let empty = source.is(P_SPECIFIED)
                && label.expect(OCTET_STRING, "label") == Ok([].as_slice())
                && label.is_empty();
            if !empty {
                return Err("RSAES-OAEP with a label".to_owned());
            }
        }
        rest.end("parameters").map_err(unreadable)?;
        Ok(KeyTransport::Oaep { digest, mgf })
    }

    /// How a SignerInfo was signed; `digest` is its digestAlgorithm.
    pub fn signature(&self, digest: DigestAlgorithm) -> Result<SignatureAlgorithm, String> {
        // RFC 3370 §3.2: rsaEncryption takes the digest from digestAlgorithm.
        if self.is(RSA_ENCRYPTION) && self.plain() {
            return Ok(SignatureAlgorithm::RsaPkcs1(digest));
        }
        // The key on its own says no more than rsaEncryption does, whatever curve stands beside it.
        if self.is(EC_PUBLIC_KEY) {
            return Ok(SignatureAlgorithm::Ecdsa(digest));
        }
        let algorithm = if self.is(RSASSA_PSS) {
            self.pss()?
        } else if self.is(ECDSA_SPECIFIED) {
            let hash = Self::read(&mut self.parameters.clone(), "ecdsa").map_err(unreadable)?;
            SignatureAlgorithm::Ecdsa(hash.digest()?)
        } else {
            self.named_signature()
                .ok_or_else(|| format!("signature algorithm {} is not accepted", self.dotted()))?
        };
        if algorithm.digest() != digest {
            return Err("digest and signature algorithm disagree".to_owned());
        }
        Ok(algorithm)
    }

    fn named_signature(&self) -> Option<SignatureAlgorithm> {
        DIGESTS.iter().find_map(|(digest, [_, rsa, ecdsa])| {
            if self.is(*rsa) && self.plain() {
                Some(SignatureAlgorithm::RsaPkcs1(*digest))
            } else if self.is(*ecdsa) && self.plain() {
                Some(SignatureAlgorithm::Ecdsa(*digest))
            } else {
                None
            }
        })
    }

    /// RFC 4055 §3.1.
    fn pss(&self) -> Result<SignatureAlgorithm, String> {
        let (digest, mgf, mut rest) = self.hashes("RSASSA-PSS")?;
        let salt = number(&mut rest, 2)?.unwrap_or(20);
        let trailer = number(&mut rest, 3)?.unwrap_or(1);
        rest.end("parameters").map_err(unreadable)?;
        if trailer != 1 {
            return Err("RSASSA-PSS with an unknown trailer".to_owned());
        }
        Ok(SignatureAlgorithm::RsaPss { digest, mgf, salt })
    }

    /// `[0] hash DEFAULT sha1, [1] MGF1 DEFAULT mgf1SHA1` of OAEP and PSS, and what follows. The
    /// parameters must be there (RFC 4055 §3.1, §4.1): absent ones would mean SHA-1 unsaid.
    fn hashes(&self, name: &str) -> Result<(DigestAlgorithm, DigestAlgorithm, Walker<'a>), String> {
        let mut outer = self.parameters;
        let mut inside = outer.inside(SEQUENCE, "parameters").map_err(unreadable)?;
        outer.end("parameters").map_err(unreadable)?;
        let digest = match explicit(&mut inside, 0)? {
            Some(hash) => hash.digest()?,
            None => DigestAlgorithm::Sha1,
        };
        let mgf = match explicit(&mut inside, 1)? {
            Some(mgf) => {
                if !mgf.is(MGF1) {
                    return Err(format!("{name} with mask function {}", mgf.dotted()));
                }
                let mut hash = mgf.parameters;
                Self::read(&mut hash, "MGF1")
                    .map_err(unreadable)?
                    .digest()?
            }
            None => DigestAlgorithm::Sha1,
        };
        Ok((digest, mgf, inside))
    }

    /// The content cipher with its IV or nonce. `authenticated`: GCM belongs in AuthEnvelopedData and CBC
    /// in EnvelopedData, nowhere else (RFC 5084 §1: GCM in EnvelopedData has no tag to check).
    pub fn cipher(&self, authenticated: bool) -> Result<(ContentCipher, Vec<u8>), CmsError> {
        let cipher = CIPHERS
            .iter()
            .find(|(cipher, oid)| self.is(*oid) && cipher.is_aead() == authenticated)
            .map(|(cipher, _)| *cipher)
            .ok_or_else(|| CmsError::Algorithm(self.dotted()))?;
        const WHAT: &str = "parameters of the content cipher";
        let mut parameters = self.parameters;
        let iv = if authenticated {
            let mut gcm = parameters.inside(SEQUENCE, WHAT)?;
            let nonce = gcm.expect(OCTET_STRING, WHAT)?;
            // aes-ICVlen: the tag's own length is what counts, and is checked when it comes.
            gcm.optional(INTEGER, WHAT)?;
            gcm.end(WHAT)?;
            nonce
        } else {
            parameters.expect(OCTET_STRING, WHAT)?
        };
        parameters.end(WHAT)?;
        if iv.len() != cipher.iv_len() {
            return Err(CmsError::Malformed("length of the IV"));
        }
        Ok((cipher, iv.to_vec()))
    }
}

/// The AlgorithmIdentifier in `[number] EXPLICIT`, if that is next.
fn explicit<'a>(from: &mut Walker<'a>, number: u8) -> Result<Option<Algorithm<'a>>, String> {
    from.optional(constructed(number), "parameters")
        .and_then(|tagged| {
            tagged
                .map(|content| Algorithm::read(&mut Walker::new(content), "parameters"))
                .transpose()
        })
        .map_err(unreadable)
}

/// The small INTEGER in `[number] EXPLICIT`, if that is next.
fn number(from: &mut Walker<'_>, number: u8) -> Result<Option<usize>, String> {
    let Some(content) = from
        .optional(constructed(number), "parameters")
        .map_err(unreadable)?
    else {
        return Ok(None);
    };
    let octets = Walker::new(content)
        .expect(INTEGER, "parameters")
        .map_err(unreadable)?;
    match octets {
        [high @ 0..=0x7f] => Ok(Some(usize::from(*high))),
        [high @ 0..=0x7f, low] => Ok(Some(usize::from(*high) * 256 + usize::from(*low))),
        _ => Err("RSASSA-PSS with odd numbers".to_owned()),
    }
}

fn unreadable(_: CmsError) -> String {
    "an algorithm with unreadable parameters".to_owned()
}

fn null() -> Vec<u8> {
    element(NULL, &[])
}

pub(super) fn object_identifier(oid: ObjectIdentifier) -> Vec<u8> {
    element(OBJECT_IDENTIFIER, &[oid.as_bytes()])
}

fn identifiers(digest: DigestAlgorithm) -> Result<[ObjectIdentifier; 3], CmsError> {
    DIGESTS
        .iter()
        .find(|(known, _)| *known == digest)
        .map(|(_, identifiers)| *identifiers)
        .ok_or_else(|| CmsError::Algorithm(digest.micalg().to_owned()))
}

/// digestAlgorithm, parameters absent (RFC 5754 §2).
pub(super) fn write_digest(digest: DigestAlgorithm) -> Result<Vec<u8>, CmsError> {
    let [own, ..] = identifiers(digest)?;
    Ok(element(SEQUENCE, &[&object_identifier(own)]))
}

/// signatureAlgorithm of RSASSA-PKCS1-v1_5: rsaEncryption, which every peer reads (RFC 3370 §3.2).
pub(super) fn write_rsa_signature() -> Vec<u8> {
    element(SEQUENCE, &[&object_identifier(RSA_ENCRYPTION), &null()])
}

/// signatureAlgorithm of ECDSA, parameters absent (RFC 5754 §3.3).
pub(super) fn write_ecdsa_signature(digest: DigestAlgorithm) -> Result<Vec<u8>, CmsError> {
    let [_, _, ecdsa] = identifiers(digest)?;
    Ok(element(SEQUENCE, &[&object_identifier(ecdsa)]))
}

/// keyEncryptionAlgorithm (RFC 3370 §4.2.1; RFC 3560 §3; defaults are left out, as DER wants).
pub(super) fn write_key_transport(transport: KeyTransport) -> Result<Vec<u8>, CmsError> {
    let KeyTransport::Oaep { digest, mgf } = transport else {
        return Ok(element(
            SEQUENCE,
            &[&object_identifier(RSA_ENCRYPTION), &null()],
        ));
    };
    // RFC 4055 §2.1: in these places the parameters are NULL.
    let hash = |digest| -> Result<Vec<u8>, CmsError> {
        let [own, ..] = identifiers(digest)?;
        Ok(element(SEQUENCE, &[&object_identifier(own), &null()]))
    };
    let mut parameters = Vec::new();
    if digest != DigestAlgorithm::Sha1 {
        parameters.extend(element(constructed(0), &[&hash(digest)?]));
    }
    if mgf != DigestAlgorithm::Sha1 {
        let mask = element(SEQUENCE, &[&object_identifier(MGF1), &hash(mgf)?]);
        parameters.extend(element(constructed(1), &[&mask]));
    }
    let parameters = element(SEQUENCE, &[&parameters]);
    Ok(element(
        SEQUENCE,
        &[&object_identifier(RSAES_OAEP), &parameters],
    ))
}

/// The identifier of a content cipher.
pub(super) fn cipher_identifier(cipher: ContentCipher) -> Result<Vec<u8>, CmsError> {
    CIPHERS
        .iter()
        .find(|(known, _)| *known == cipher)
        .map(|(_, oid)| object_identifier(*oid))
        .ok_or_else(|| CmsError::Algorithm(cipher.name().to_owned()))
}

/// contentEncryptionAlgorithm.
pub(super) fn write_cipher(cipher: ContentCipher, iv: &[u8]) -> Result<Vec<u8>, CmsError> {
    if iv.len() != cipher.iv_len() {
        return Err(CmsError::Malformed("length of the IV"));
    }
    let iv = element(OCTET_STRING, &[iv]);
    let parameters = if cipher.is_aead() {
        element(SEQUENCE, &[&iv, &element(INTEGER, &[&[TAG_LEN]])])
    } else {
        iv
    };
    Ok(element(
        SEQUENCE,
        &[&cipher_identifier(cipher)?, &parameters],
    ))
}
