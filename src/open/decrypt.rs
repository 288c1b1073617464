//! Decrypt: which of our keys is named, and the content under it.
//! In: the CMS octets and the identities of this message's recipients, nobody else's. Out: the plaintext
//! as a scratch body. Exactly the key that is named is used, never one after the other (A-066;
//! CVE-2019-1563). A wrong content key is not told apart from any other damage.

use std::io::Read;
use std::sync::Arc;

use crate::certs::{Identity, KeyRing};
use crate::cms::{
    CmsError, ContentReader, EnvelopedHead, Identifier, RecipientInfo, read_enveloped,
};
use crate::crypto::{Agreement, Decryptor, DigestAlgorithm, KeyTransport, PrivateKey, Secret};
use crate::envelope::{Address, Envelope};
use crate::journal::Reason;
use crate::limits::PIECE;
use crate::store::Body;
use crate::trust::{Anchors, Profile};

use super::outer::{self, CmsOctets, Digested};
use super::signed::Clear;
use super::{Failure, OuterKind, Step, Tools};

/// One envelope recipient with the identities bound to it.
pub(super) struct Holder {
    pub address: Address,
    pub profile: Profile,
    pub identities: Vec<Arc<Identity>>,
}

/// The identities of this message's recipients.
pub(super) fn holders(envelope: &Envelope, keys: &KeyRing, anchors: &Anchors) -> Vec<Holder> {
    let holder = |address: &Address| {
        let profile = anchors
            .of(address)
            .map_or(Profile::V1_3, |trust| trust.profile);
        Holder {
            address: address.clone(),
            profile,
            identities: keys.for_recipient(address, profile),
        }
    };
    let recipients = envelope.recipients.iter();
    recipients
        .map(|recipient| holder(&recipient.address))
        .collect()
}

/// What came out.
pub(super) struct Decrypted {
    /// The MIME entity that was encrypted.
    pub clear: Clear,
    pub cms_digest: [u8; 32],
    pub cipher: &'static str,
    pub key_transport: &'static str,
    /// The identities that were named, and opened it.
    pub used: Vec<Arc<Identity>>,
}

/// Whom it reached.
pub(super) enum Reached {
    /// Recipients that are known.
    Named {
        /// Those with a key of theirs among the named ones, and their profile.
        recipients: Vec<(Address, Profile)>,
        /// The others.
        excluded: Vec<(Address, Reason, String)>,
    },
    /// Whoever holds these keys; None if no key was needed.
    ByKey(Option<Vec<Arc<Identity>>>),
}

/// Decrypts with one of these.
pub(super) fn decrypt(identities: &[Arc<Identity>], tools: &Tools<'_>) -> Step<Decrypted> {
    let (outer, octets) = outer::read(tools)?;
    if outer::kind(&outer) != OuterKind::Sealed {
        let clear = "the outer content type is not application/pkcs7-mime";
        return Err(Failure::new(Reason::NotEncrypted, clear));
    }
    let mut source = Digested::new(octets, DigestAlgorithm::Sha256);
    let (head, content) = read_enveloped(&mut source).map_err(not_enveloped)?;
    // RFC 5083, RFC 5084 §2: an authenticating cipher belongs into AuthEnvelopedData, and no other does.
    if head.cipher.is_aead() != head.authenticated {
        let misplaced = format!("{} in the wrong kind of envelope", head.cipher.name());
        return Err(Failure::new(Reason::Malformed, misplaced));
    }
    let chosen = choose(&head.recipients, identities)?;
    let cek = content_key(&chosen, &head, tools)?;
    let plain = if head.authenticated {
        let (attributes, tag) = pass_over(content)?;
        decrypt_authenticated(&head, &cek, &attributes, &tag, tools)?
    } else {
        decrypt_plain(&head, &cek, content, tools)?
    };
    let cms_digest = source.finish()?.try_into().unwrap_or_default();
    Ok(Decrypted {
        clear: Clear { outer, plain },
        cms_digest,
        cipher: head.cipher.name(),
        key_transport: chosen.first().map_or("", |one| one.way.name()),
        used: chosen.into_iter().map(|one| one.identity).collect(),
    })
}

fn not_enveloped(error: CmsError) -> Failure {
    match error {
        // Signed-only or compressed mail (A-063, G-003: the type counts, not its label).
        CmsError::ContentType(oid) => Failure::new(
            Reason::NotEncrypted,
            format!("the CMS content type is {oid}"),
        ),
        other => other.into(),
    }
}

/// A RecipientInfo that names one of our keys.
struct Chosen<'i> {
    identity: Arc<Identity>,
    way: Way,
    encrypted_key: &'i [u8],
}

/// How the content key comes.
enum Way {
    /// RSA.
    Transport(KeyTransport),
    /// ECDH (RFC 5753).
    Agreement(Agreement),
}

impl Way {
    fn name(&self) -> &'static str {
        match self {
            Self::Transport(transport) => transport.name(),
            Self::Agreement(_) => "ECDH",
        }
    }

    fn suits(&self, key: &PrivateKey) -> bool {
        key.is_rsa() == matches!(self, Self::Transport(_))
    }
}

/// Finds the RecipientInfos that name one of these keys.
fn choose<'i>(infos: &'i [RecipientInfo], identities: &[Arc<Identity>]) -> Step<Vec<Chosen<'i>>> {
    let mut named: Vec<Arc<Identity>> = Vec::new();
    let mut chosen = Vec::new();
    let mut others = Vec::new();
    for info in infos {
        let (rid, way, encrypted_key) = match info {
            RecipientInfo::KeyTrans {
                rid,
                transport,
                encrypted_key,
            } => (rid, Way::Transport(*transport), encrypted_key),
            RecipientInfo::KeyAgree {
                rid,
                agree,
                encrypted_key,
            } => match agree.agreement() {
                Some(agreement) => (rid, Way::Agreement(agreement), encrypted_key),
                None => {
                    others.push(format!(
                        "key agreement {} with key wrap {}",
                        agree.scheme, agree.wrap
                    ));
                    continue;
                }
            },
            RecipientInfo::Other { what } => {
                others.push(what.clone());
                continue;
            }
        };
        let mut own = identities.iter();
        let Some(identity) = own.find(|one| one.certificate.is_named_by(rid)).cloned() else {
            others.push(described(rid));
            continue;
        };
        // CVE-2019-1563: of two entries for one key, one could be a question about the other.
        let key = identity.key.public();
        if named.iter().any(|other| other.key.public().same_as(&key)) {
            let doubled = format!("two entries for {}", identity.certificate.fingerprint_hex());
            return Err(Failure::new(Reason::DoubledRecipient, doubled));
        }
        named.push(Arc::clone(&identity));
        if way.suits(&identity.key) {
            chosen.push(Chosen {
                identity,
                way,
                encrypted_key,
            });
        } else {
            others.push(format!("{} with a key of another kind", way.name()));
        }
    }
    if chosen.is_empty() {
        let named = format!("it names {}", others.join("; "));
        return Err(Failure::new(Reason::NoKey, named));
    }
    Ok(chosen)
}

fn described(rid: &Identifier) -> String {
    let hex = |octets: &[u8]| -> String {
        let shown = octets.iter().take(20);
        shown.map(|octet| format!("{octet:02x}")).collect()
    };
    match rid {
        Identifier::IssuerAndSerial { serial, .. } => format!("serial number {}", hex(serial)),
        Identifier::KeyId(id) => format!("key id {}", hex(id)),
    }
}

/// The content key. Every named key of ours must give the same one: a recipient is granted only through
/// its own.
fn content_key(chosen: &[Chosen<'_>], head: &EnvelopedHead, tools: &Tools<'_>) -> Step<Secret> {
    let len = head.cipher.key_len();
    let mut keys = chosen.iter().map(|one| {
        let key = &one.identity.key;
        match &one.way {
            Way::Transport(transport) => {
                key.unwrap_cek(tools.world, *transport, one.encrypted_key, len)
            }
            Way::Agreement(agreement) => {
                key.agree_cek(tools.world, agreement, one.encrypted_key, len)
            }
        }
    });
    let first = keys.next().ok_or_else(failed)?;
    // All are unwrapped before any is compared, so that no entry answers sooner than another.
    let rest: Vec<Secret> = keys.collect();
    if rest.iter().all(|other| **other == *first) {
        Ok(first)
    } else {
        Err(failed())
    }
}

fn failed() -> Failure {
    Failure::new(
        Reason::DecryptFailed,
        "the content does not decrypt under the named key",
    )
}

/// Reads the content without using it, for what stands after it.
fn pass_over<R: Read>(mut content: ContentReader<R>) -> Step<(Vec<u8>, Vec<u8>)> {
    let mut chunk = vec![0; PIECE];
    while content.read(&mut chunk)? > 0 {}
    Ok(content.finish()?)
}

/// GCM. The attributes that are authenticated stand after the content, so the content is read a second
/// time; nothing is used before the tag was checked (G-016): the scratch body is dropped unread if it is
/// wrong.
fn decrypt_authenticated(
    head: &EnvelopedHead,
    cek: &Secret,
    attributes: &[u8],
    tag: &[u8],
    tools: &Tools<'_>,
) -> Step<Body> {
    let (_, octets): (_, CmsOctets<'_>) = outer::read(tools)?;
    let (_, mut content) = read_enveloped(octets)?;
    let decryptor = Decryptor::new(head.cipher, cek, &head.iv, attributes).map_err(|_| failed())?;
    pour(&mut content, decryptor, Some(tag), tools)
}

fn decrypt_plain<R: Read>(
    head: &EnvelopedHead,
    cek: &Secret,
    mut content: ContentReader<R>,
    tools: &Tools<'_>,
) -> Step<Body> {
    let decryptor = Decryptor::new(head.cipher, cek, &head.iv, &[]).map_err(|_| failed())?;
    let plain = pour(&mut content, decryptor, None, tools)?;
    content.finish()?;
    Ok(plain)
}

/// Decrypts in chunks into a scratch body, which is encrypted at rest when it is large.
fn pour(
    content: &mut impl Read,
    mut decryptor: Decryptor,
    tag: Option<&[u8]>,
    tools: &Tools<'_>,
) -> Step<Body> {
    let mut writer = tools.bodies.writer();
    let mut chunk = vec![0; PIECE];
    let mut plain = Secret::new(Vec::with_capacity(PIECE + 64));
    loop {
        let octets = content.read(&mut chunk)?;
        if octets == 0 {
            break;
        }
        plain.clear();
        let encrypted = chunk.get(..octets).unwrap_or_default();
        decryptor
            .update(encrypted, &mut plain)
            .map_err(|_| failed())?;
        writer.append(&plain)?;
    }
    plain.clear();
    decryptor.finish(tag, &mut plain).map_err(|_| failed())?;
    writer.append(&plain)?;
    Ok(writer.finish()?)
}

/// Who it was encrypted for with a key bound to them, and who not. What nobody encrypted reached all.
pub(super) fn split(holders: &[Holder], decrypted: Option<&Decrypted>) -> Reached {
    let (mut recipients, mut excluded) = (Vec::new(), Vec::new());
    for holder in holders {
        let holds = |one: &Arc<Identity>| {
            let print = one.certificate.fingerprint();
            let mut own = holder.identities.iter();
            own.any(|identity| identity.certificate.fingerprint() == print)
        };
        if decrypted.is_none_or(|it| it.used.iter().any(holds)) {
            recipients.push((holder.address.clone(), holder.profile));
        } else {
            let detail = "it was not encrypted for a key bound to this recipient".to_owned();
            excluded.push((holder.address.clone(), Reason::NoKey, detail));
        }
    }
    Reached::Named {
        recipients,
        excluded,
    }
}
