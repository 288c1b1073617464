//! Verify: which SignerInfos fit the content.
//! In: the signature's structure and digests of the content. Out: the signers whose signature is right,
//! and every certificate that came along. Says nothing about trust. SHA-1 and MD5 are refused.

use std::sync::Arc;

use crate::cms::SignerInfo;
use crate::crypto::{Digest, DigestAlgorithm, PublicKey};
use crate::journal::Reason;
use crate::limits::{RSA_BITS_MAX, RSA_BITS_MIN};
use crate::trust::Certificate;

use super::signed::{Clear, Content, Form, Reading, content_is_attributes, digest_again};
use super::{Failure, Signer, Step, Tools};

/// id-data (RFC 5652 §4).
const ID_DATA: &str = "1.2.840.113549.1.7.1";

/// What was found.
pub(super) struct Verified {
    pub signers: Vec<Signer>,
    pub bag: Vec<Arc<Certificate>>,
    /// The first good signature's digest.
    pub digest: &'static str,
}

/// Checks every SignerInfo whose certificate is in the bag. Bad ones neither help nor harm.
pub(super) fn verify(
    content: &Content,
    clear: &Clear,
    beside: &[Arc<Certificate>],
    tools: &Tools<'_>,
) -> Step<Verified> {
    let signature = &content.signature;
    // RFC 8551 §3.5: a signed entity is id-data, whatever else a SignedData might hold.
    if signature.content_type != ID_DATA {
        let detail = format!("the signed content type is {}", signature.content_type);
        return Err(Failure::new(Reason::BadAttributes, detail));
    }
    let certificates = signature.certificates.iter();
    let bag: Vec<_> = certificates
        .filter_map(|der| Certificate::parse(der).ok())
        .chain(beside.iter().cloned())
        .collect();
    let mut digests = Digests {
        known: vec![(content.algorithm, Reading::Exact, content.digest.clone())],
        is_attributes: None,
        content,
        clear,
        tools,
    };
    let mut signers: Vec<Signer> = Vec::new();
    let mut digest = None;
    let mut failure = None;
    for info in &signature.signers {
        match check(info, &bag, &mut digests)? {
            Ok(certificate) => {
                digest = digest.or(Some(info.digest.micalg()));
                let print = certificate.fingerprint();
                if signers
                    .iter()
                    .all(|other| other.certificate.fingerprint() != print)
                {
                    signers.push(Signer { certificate });
                }
            }
            Err(why) => failure = failure.or(Some(why)),
        }
    }
    match digest {
        Some(digest) => Ok(Verified {
            signers,
            bag,
            digest,
        }),
        None => Err(failure.unwrap_or_else(|| none_read(&signature.unread))),
    }
}

fn none_read(unread: &[String]) -> Failure {
    if unread.is_empty() {
        Failure::new(Reason::NotSigned, "the signature names no signer")
    } else {
        Failure::new(Reason::WeakAlgorithm, unread.join("; "))
    }
}

/// Digests of the content, computed when asked for and once only.
struct Digests<'a> {
    known: Vec<(DigestAlgorithm, Reading, Vec<u8>)>,
    /// Whether the content could be the attributes of another signature.
    is_attributes: Option<bool>,
    content: &'a Content,
    clear: &'a Clear,
    tools: &'a Tools<'a>,
}

impl Digests<'_> {
    fn of(&mut self, algorithm: DigestAlgorithm, reading: Reading) -> Step<Vec<u8>> {
        let known = self
            .known
            .iter()
            .find(|(a, r, _)| (*a, *r) == (algorithm, reading));
        if let Some((_, _, value)) = known {
            return Ok(value.clone());
        }
        let form = self.content.form;
        let value = digest_again(form, algorithm, reading, self.clear, self.tools)?;
        self.known.push((algorithm, reading, value.clone()));
        Ok(value)
    }

    fn content_is_attributes(&mut self) -> Step<bool> {
        if let Some(known) = self.is_attributes {
            return Ok(known);
        }
        let found = content_is_attributes(self.content.form, self.clear, self.tools)?;
        self.is_attributes = Some(found);
        Ok(found)
    }
}

/// One SignerInfo: its certificate if the signature is right, else why not. The outer error is ours or
/// the stream's.
fn check(
    info: &SignerInfo,
    bag: &[Arc<Certificate>],
    digests: &mut Digests<'_>,
) -> Step<Step<Arc<Certificate>>> {
    let weak = [info.digest, info.algorithm.digest()].contains(&DigestAlgorithm::Sha1);
    if weak {
        let detail = "the signature uses SHA-1 (A-057)";
        return Ok(Err(Failure::new(Reason::WeakAlgorithm, detail)));
    }
    // Exact octets first, then canonical line ends, never more. Opaque content has one reading only.
    let readings: &[Reading] = match digests.content.form {
        Form::Detached => &[Reading::Exact, Reading::Canonical],
        Form::Opaque => &[Reading::Exact],
    };
    let detail = "the signer's certificate did not come along (A-055)";
    let mut failure = Failure::new(Reason::BadSignature, detail);
    for certificate in bag.iter().filter(|one| one.is_named_by(&info.sid)) {
        let key = match usable_key(certificate) {
            Ok(key) => key,
            Err(why) => {
                failure = why;
                continue;
            }
        };
        for reading in readings {
            match fits(info, key, *reading, digests)? {
                Ok(()) => return Ok(Ok(Arc::clone(certificate))),
                Err(why) => failure = why,
            }
        }
    }
    Ok(Err(failure))
}

/// Bounded before it is used: verifying costs the square of the modulus.
fn usable_key(certificate: &Certificate) -> Step<&PublicKey> {
    let unusable = |detail: String| Failure::new(Reason::WeakKey, detail);
    let key = certificate
        .public_key()
        .map_err(|_| unusable("the signer's key is of an unknown kind".to_owned()))?;
    if key.is_rsa() && !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&key.bits()) {
        return Err(unusable(format!(
            "the signer's RSA key has {} bits",
            key.bits()
        )));
    }
    Ok(key)
}

/// Whether this SignerInfo signs this reading of the content.
fn fits(
    info: &SignerInfo,
    key: &PublicKey,
    reading: Reading,
    digests: &mut Digests<'_>,
) -> Step<Step<()>> {
    let signed = match &info.signed_attrs {
        Some(attributes) => {
            let content = digests.of(info.digest, reading)?;
            if let Err(why) = attributes_fit(info, &content) {
                return Ok(Err(why));
            }
            let mut digest = Digest::new(info.algorithm.digest());
            digest.update(attributes);
            digest.finish()
        }
        // RFC 5652 §5.4: without attributes the signature is over the content itself.
        None if digests.content_is_attributes()? => {
            let detail = "the content is a set of signed attributes, taken from another signature";
            return Ok(Err(Failure::new(Reason::BadAttributes, detail)));
        }
        None => digests.of(info.algorithm.digest(), reading)?,
    };
    Ok(if key.verify(info.algorithm, &signed, &info.signature) {
        Ok(())
    } else {
        let detail = "the signature does not verify under the signer's key";
        Err(Failure::new(Reason::BadSignature, detail))
    })
}

/// RFC 5652 §11.1, §11.2; G-011: exactly one contentType, id-data; exactly one messageDigest, that of the
/// content.
fn attributes_fit(info: &SignerInfo, content: &[u8]) -> Step<()> {
    let bad = |detail: &str| Err(Failure::new(Reason::BadAttributes, detail));
    match info.content_types.as_slice() {
        [only] if only == ID_DATA => {}
        [_] => return bad("the contentType attribute is not id-data"),
        [] => return bad("there is no contentType attribute"),
        _ => return bad("there is more than one contentType attribute"),
    }
    match info.message_digests.as_slice() {
        [only] if only == content => Ok(()),
        [_] => Err(Failure::new(
            Reason::BadSignature,
            "the messageDigest attribute is not the content's digest",
        )),
        [] => bad("there is no messageDigest attribute"),
        _ => bad("there is more than one messageDigest attribute"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cms::Identifier;
    use crate::crypto::SignatureAlgorithm;

    #[test]
    fn each_attribute_is_there_once_and_right() {
        let digest = vec![7; 32];
        let other = vec![8; 32];
        let data = ID_DATA.to_owned();
        let enveloped = "1.2.840.113549.1.7.3".to_owned();
        let (bad, differs) = (Err(Reason::BadAttributes), Err(Reason::BadSignature));
        for (types, digests, expected) in [
            (vec![data.clone()], vec![digest.clone()], Ok(())),
            (vec![], vec![digest.clone()], bad),
            (vec![data.clone(), data.clone()], vec![digest.clone()], bad),
            (vec![enveloped], vec![digest.clone()], bad),
            (vec![data.clone()], vec![], bad),
            (
                vec![data.clone()],
                vec![digest.clone(), digest.clone()],
                bad,
            ),
            (vec![data.clone()], vec![other], differs),
        ] {
            let info = SignerInfo {
                sid: Identifier::KeyId(vec![1]),
                digest: DigestAlgorithm::Sha256,
                algorithm: SignatureAlgorithm::RsaPkcs1(DigestAlgorithm::Sha256),
                signed_attrs: Some(vec![]),
                message_digests: digests.clone(),
                content_types: types.clone(),
                signing_time: None,
                signature: vec![],
            };
            let found = attributes_fit(&info, &digest).map_err(|why| why.reason);
            assert_eq!(found, expected, "{types:?} {digests:?}");
        }
    }
}
