//! Take the envelope off: decrypt, verify signatures, unwrap, bind signer to sender.
//! In: an [`crate::spool::Accepted`] and the identities of its recipients. Out: an [`Opened`] whose body
//! is withheld until a [`Grant`] is shown, or one [`Unopenable`]. Pure: no network, no clock; large
//! bodies go through encrypted scratch blobs. From outside every failure looks the same: the
//! caller says nothing to the sender.

mod bind;
mod decrypt;
mod examine;
mod inner;
mod outer;
mod rules;
mod signed;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod verify;
mod withheld;

use std::sync::Arc;

use crate::certs::{Identity, KeyRing};
use crate::cms::CmsError;
use crate::envelope::{Address, MessageId, ReturnPath, TrackingId};
use crate::journal::{Fault, Reason};
use crate::mime::{Header, MimeError};
use crate::spool::Accepted;
use crate::store::{Bodies, Body, BodyError};
use crate::trust::{Anchors, Certificate};
use crate::world::World;

pub use examine::{Examined, Given, examine};
pub use rules::{Cover, Reads, Rules, Stage, Terms, Waiver, Waivers};
pub use withheld::Withheld;

/// A signer whose signature over this content is right. Says nothing about trust.
#[derive(Clone, Debug)]
pub struct Signer {
    pub certificate: Arc<Certificate>,
}

/// What kind of message it is, by its inner outermost content type (decision 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A referral, a result, a letter.
    Message,
    /// multipart/report: an MDN or a DSN.
    Report,
}

/// How it was protected, for the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    pub cipher: &'static str,
    pub key_transport: &'static str,
    pub digest: &'static str,
    pub wrapped: bool,
}

/// Decrypted, signature verified, signer bound to the sender (messages; reports are bound when judged).
#[must_use]
#[derive(Debug)]
pub struct Opened {
    pub(crate) message: TrackingId,
    pub(crate) kind: Kind,
    /// Inner From (or Sender, if that is who is bound). For a report without From: none.
    pub(crate) sender: Option<Address>,
    /// Envelope recipients that it was encrypted for with a key bound to them, and (messages) that the
    /// inner To or Cc names.
    pub(crate) recipients: Vec<Address>,
    /// The other envelope recipients, each with why.
    pub(crate) excluded: Vec<(Address, Reason, String)>,
    pub(crate) message_id: Option<MessageId>,
    /// Disposition-Notification-Options of the inner message asks validly for
    /// X-DIRECT-FINAL-DESTINATION-DELIVERY (B-001 to B-004).
    pub(crate) asked: bool,
    /// Signers with a right signature; for messages, bound to the sender.
    pub(crate) signers: Vec<Signer>,
    /// Every certificate that came along.
    pub(crate) bag: Vec<Arc<Certificate>>,
    pub(crate) protection: Protection,
    /// SHA-256 of the body below.
    pub(crate) digest: [u8; 32],
    /// SHA-256 of the decoded outer CMS octets (duplicates).
    pub(crate) cms_digest: [u8; 32],
    /// The inner message (RFC 5322), the wrapper removed, every line end made CRLF.
    pub(crate) body: Withheld<Body>,
}

impl Opened {
    pub fn message(&self) -> TrackingId {
        self.message
    }
    pub fn kind(&self) -> Kind {
        self.kind
    }
    pub fn sender(&self) -> Option<&Address> {
        self.sender.as_ref()
    }
    pub fn recipients(&self) -> &[Address] {
        &self.recipients
    }
    pub fn excluded(&self) -> &[(Address, Reason, String)] {
        &self.excluded
    }
    pub fn message_id(&self) -> Option<&MessageId> {
        self.message_id.as_ref()
    }
    /// Who is answered, and about which Message-ID. Nobody for a report: none ever gets a report (A-106;
    /// RFC 8098 §3), and its From is not proved.
    pub fn answers_to(&self) -> Option<(&Address, &MessageId)> {
        match self.kind {
            Kind::Message => self.sender.as_ref().zip(self.message_id.as_ref()),
            Kind::Report => None,
        }
    }
    pub fn asked(&self) -> bool {
        self.asked
    }
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }
    pub fn bag(&self) -> &[Arc<Certificate>] {
        &self.bag
    }
    pub fn protection(&self) -> &Protection {
        &self.protection
    }
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
    pub fn cms_digest(&self) -> [u8; 32] {
        self.cms_digest
    }
    pub fn body(&self) -> &Withheld<Body> {
        &self.body
    }
}

/// The one failure. The operator sees why; nobody outside does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unopenable {
    pub reason: Reason,
    pub detail: String,
    /// SHA-256 of the decoded outer CMS octets, if it came so far.
    pub cms_digest: Option<[u8; 32]>,
    /// [`Fault::Never`]: it will not open next time either. [`Fault::Later`]: our own disk failed,
    /// nothing is known yet.
    pub fault: Fault,
}

/// Opens a message, no rule waived. `anchors` only tells each recipient's profile (v1.2 or v1.3). Runs on a CPU thread;
/// may be called again for the same message after a restart and gives the same result.
///
/// # Errors
/// [`Unopenable`].
pub fn open(
    accepted: &Accepted,
    keys: &KeyRing,
    anchors: &Anchors,
    bodies: &Bodies,
    world: &World,
) -> Result<Opened, Unopenable> {
    let watch = outer::Watch::default();
    let tools = Tools {
        body: accepted.body(),
        watch: &watch,
        bodies,
        world,
    };
    let envelope = accepted.envelope();
    let holders = decrypt::holders(envelope, keys, anchors);
    let terms = Terms::of_the_road(bind::common_profile(&holders));
    let case = Case {
        mail_from: Some(&envelope.return_path),
        keys: Keys::Of(holders),
    };
    let taken = take_off(&case, &terms, &tools, &mut Found::default());
    match taken {
        Ok(taken) => Ok(taken.into_opened(envelope.id)),
        Err((_, failure)) => Err(Unopenable {
            reason: failure.reason,
            detail: failure.detail,
            cms_digest: outer::cms_digest(&tools).ok(),
            fault: if watch.failed() {
                Fault::Later
            } else {
                failure.fault
            },
        }),
    }
}

/// What every step works with.
struct Tools<'a> {
    body: &'a Body,
    watch: &'a outer::Watch,
    bodies: &'a Bodies,
    world: &'a World,
}

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    reason: Reason,
    detail: String,
    fault: Fault,
}

type Step<T> = Result<T, Failure>;

impl Failure {
    fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            fault: Fault::Never,
        }
    }
}

impl From<MimeError> for Failure {
    fn from(error: MimeError) -> Self {
        let reason = match error {
            MimeError::OverLimit(_) => Reason::OverLimit,
            MimeError::Missing(_) | MimeError::Doubled(_) => Reason::BadHeaders,
            MimeError::Malformed(_) | MimeError::Unfit(_) | MimeError::Source(_) => {
                Reason::Malformed
            }
        };
        Self::new(reason, error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        // Readers stand on readers: the first error keeps its kind on the way up.
        match error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<CmsError>())
        {
            Some(own) => own.clone().into(),
            None => MimeError::from(error).into(),
        }
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        Self {
            reason: Reason::Malformed,
            detail: error.to_string(),
            fault: Fault::Later,
        }
    }
}

impl From<CmsError> for Failure {
    fn from(error: CmsError) -> Self {
        let reason = match error {
            CmsError::OverLimit(_) => Reason::OverLimit,
            CmsError::Algorithm(_) => Reason::WeakAlgorithm,
            CmsError::Malformed(_) | CmsError::ContentType(_) | CmsError::Source(_) => {
                Reason::Malformed
            }
        };
        Self::new(reason, error.to_string())
    }
}

/// Whom it is opened for.
struct Case<'a> {
    /// MAIL FROM; None if nobody knows.
    mail_from: Option<&'a ReturnPath>,
    keys: Keys,
}

/// Who may open.
enum Keys {
    /// These recipients, each with keys of its own.
    Of(Vec<decrypt::Holder>),
    /// Whoever holds these keys.
    Own(Vec<Arc<Identity>>),
}

impl Keys {
    fn identities(&self) -> Vec<Arc<Identity>> {
        match self {
            Self::Of(holders) => {
                let own = holders.iter().flat_map(|holder| &holder.identities);
                own.cloned().collect()
            }
            Self::Own(identities) => identities.clone(),
        }
    }
}

/// What was learnt on the way, also if it came to nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub cipher: Option<&'static str>,
    pub key_transport: Option<&'static str>,
    pub digest: Option<&'static str>,
    pub wrapped: Option<bool>,
}

impl Found {
    fn decrypted(&mut self, decrypted: &decrypt::Decrypted) {
        self.cipher = Some(decrypted.cipher);
        self.key_transport = Some(decrypted.key_transport);
    }
}

/// Every layer is off.
struct Taken {
    inner: inner::Inner,
    bound: bind::Bound,
    bag: Vec<Arc<Certificate>>,
    cipher: &'static str,
    key_transport: &'static str,
    digest: &'static str,
    cms_digest: [u8; 32],
}

impl Taken {
    fn into_opened(self, message: TrackingId) -> Opened {
        let Self { inner, bound, .. } = self;
        Opened {
            message,
            kind: inner.kind,
            sender: bound.sender,
            recipients: bound.recipients,
            excluded: bound.excluded,
            message_id: bound.message_id,
            asked: bound.asked,
            signers: bound.signers,
            bag: self.bag,
            protection: Protection {
                cipher: self.cipher,
                key_transport: self.key_transport,
                digest: self.digest,
                wrapped: inner.wrapped,
            },
            digest: inner.digest,
            cms_digest: self.cms_digest,
            body: Withheld::new(message, inner.digest, inner.body),
        }
    }
}

/// Layer after layer.
fn take_off(
    case: &Case<'_>,
    terms: &Terms<'_>,
    tools: &Tools<'_>,
    found: &mut Found,
) -> Result<Taken, (Stage, Failure)> {
    let at = |stage| move |failure| (stage, failure);
    let (clear, decrypted) = uncover(case, terms, tools).map_err(at(Stage::Decrypt))?;
    if let Some(decrypted) = &decrypted {
        found.cipher = Some(decrypted.cipher);
        found.key_transport = Some(decrypted.key_transport);
    }
    let content = signed::read(&clear, terms, tools).map_err(|failure| match failure.reason {
        Reason::NotWrapped | Reason::BadHeaders => (Stage::Unwrap, failure),
        _ => (Stage::Verify, failure),
    })?;
    found.wrapped = Some(content.inner.wrapped);
    let verified =
        verify::verify(&content, &clear, terms.beside, tools).map_err(at(Stage::Verify))?;
    found.digest = Some(verified.digest);
    let heard = bind::Heard {
        mail_from: case.mail_from,
        reached: match &case.keys {
            Keys::Of(holders) => decrypt::split(holders, decrypted.as_ref()),
            Keys::Own(_) => decrypt::Reached::ByKey(decrypted.as_ref().map(|one| one.used.clone())),
        },
        outer: &clear.outer,
    };
    let bound =
        bind::bind(&content.inner, &heard, verified.signers, terms).map_err(at(Stage::Bind))?;
    let cover = decrypted.as_ref();
    Ok(Taken {
        inner: content.inner,
        bound,
        bag: verified.bag,
        cipher: cover.map_or("", |one| one.cipher),
        key_transport: cover.map_or("", |one| one.key_transport),
        digest: verified.digest,
        cms_digest: cover.map_or([0; 32], |one| one.cms_digest),
    })
}

/// The entity under the encryption, and how that was taken off, if there was one.
fn uncover(
    case: &Case<'_>,
    terms: &Terms<'_>,
    tools: &Tools<'_>,
) -> Step<(signed::Clear, Option<decrypt::Decrypted>)> {
    match terms.cover {
        Cover::Sealed => {}
        Cover::Any if outer::is_enveloped(tools)? => {}
        Cover::Any | Cover::Clear => return Ok((signed::Clear::whole(tools)?, None)),
    }
    let decrypted = decrypt::decrypt(&case.keys.identities(), tools)?;
    Ok((decrypted.clear.clone(), Some(decrypted)))
}

/// What kind of mail this is by its outer header alone, before any key is used: the listener refuses
/// clear mail at end of DATA with it (decision 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OuterKind {
    /// application/(x-)pkcs7-mime, or an octet-stream named *.p7m.
    Sealed,
    /// multipart/report; report-type=delivery-status.
    ClearDsn,
    /// Anything else.
    Clear,
}

/// Looks at the outer header. One that cannot be read is clear mail: nothing in it can be opened.
pub fn outer_kind(body: &Body) -> OuterKind {
    let Ok(mut reader) = body.reader() else {
        return OuterKind::Clear;
    };
    Header::read(&mut reader).map_or(OuterKind::Clear, |header| outer::kind(&header))
}
