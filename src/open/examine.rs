//! The same opening for a tool: an operator's file, an operator's key, rules that may be left out.
//! In: a body, keys, [`Terms`]. Out: an [`Examined`], which nothing turns into an
//! [`Opened`](super::Opened): no [`Grant`](crate::trust::Grant) can come of it. The roads never call this.

use std::sync::Arc;

use crate::certs::Identity;
use crate::envelope::{Address, MessageId, ReturnPath};
use crate::store::{Bodies, Body};
use crate::trust::{Certificate, binds};
use crate::world::World;

use super::decrypt::{self, Holder};
use super::rules::{Reads, Rules, Stage, Terms, Waiver};
use super::{Case, Found, Keys, Kind, Signer, Tools, Unopenable, outer, take_off};

/// What a tool has to open with. What SMTP said may not be known: then it is taken to be what suits the
/// message best, for no envelope at all could make a road accept what is refused so.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    pub body: &'a Body,
    /// Keys that may open it.
    pub identities: &'a [Arc<Identity>],
    pub mail_from: Option<&'a ReturnPath>,
    /// Empty: not known.
    pub rcpt_to: &'a [Address],
}

/// Signature right, signer bound to the sender as far as was asked. Not proof of anything for the roads:
/// ```compile_fail,E0308
/// use carepost::{open::Examined, trust::{Anchors, Evidence, judge}, world::Timestamp};
/// fn smuggle(it: &Examined, anchors: &Anchors, evidence: &Evidence, now: Timestamp) {
///     let _judgment = judge(it, anchors, evidence, now);
/// }
/// ```
/// ```
/// use carepost::{open::Opened, trust::{Anchors, Evidence, judge}, world::Timestamp};
/// fn smuggle(it: &Opened, anchors: &Anchors, evidence: &Evidence, now: Timestamp) {
///     let _judgment = judge(it, anchors, evidence, now);
/// }
/// ```
#[must_use]
#[derive(Debug)]
pub struct Examined {
    pub kind: Kind,
    /// Who sent it, if a signer is bound to that address (or nobody asked).
    pub sender: Option<Address>,
    pub recipients: Vec<Address>,
    /// The other recipients that were given, each with why.
    pub excluded: Vec<(Address, crate::journal::Reason, String)>,
    pub message_id: Option<MessageId>,
    pub signers: Vec<Signer>,
    pub bag: Vec<Arc<Certificate>>,
    /// The inner message; for [`Waiver::DecryptOnly`] what came out of decrypting.
    pub content: Body,
}

/// Opens for a tool. `found` holds what was learnt, however far it came.
///
/// # Errors
/// Where it stopped, and why.
pub fn examine(
    given: &Given<'_>,
    terms: &Terms<'_>,
    bodies: &Bodies,
    world: &World,
    found: &mut Found,
) -> Result<Examined, (Stage, Unopenable)> {
    let watch = outer::Watch::default();
    let tools = Tools {
        body: given.body,
        watch: &watch,
        bodies,
        world,
    };
    let failed = |stage, failure: super::Failure| {
        let why = Unopenable {
            reason: failure.reason,
            detail: failure.detail,
            cms_digest: None,
            fault: if watch.failed() {
                super::Fault::Later
            } else {
                failure.fault
            },
        };
        (stage, why)
    };
    let case = Case {
        mail_from: given.mail_from,
        keys: keys(given, terms),
    };
    if terms.waivers.has(Waiver::DecryptOnly) {
        let decrypted = decrypt::decrypt(&case.keys.identities(), &tools)
            .map_err(|why| failed(Stage::Decrypt, why))?;
        found.decrypted(&decrypted);
        return Ok(Examined::of_clear(decrypted.clear.plain));
    }
    let taken = take_off(&case, terms, &tools, found).map_err(|(stage, why)| failed(stage, why))?;
    Ok(Examined {
        kind: taken.inner.kind,
        sender: taken.bound.sender,
        recipients: taken.bound.recipients,
        excluded: taken.bound.excluded,
        message_id: taken.bound.message_id,
        signers: taken.bound.signers,
        bag: taken.bag,
        content: taken.inner.body,
    })
}

impl Examined {
    fn of_clear(content: Body) -> Self {
        Self {
            kind: Kind::Message,
            sender: None,
            recipients: vec![],
            excluded: vec![],
            message_id: None,
            signers: vec![],
            bag: vec![],
            content,
        }
    }
}

/// Who may open. Recipients that were given hold the key only if it is bound to them, as on the road.
fn keys(given: &Given<'_>, terms: &Terms<'_>) -> Keys {
    let own = given.identities.to_vec();
    if given.rcpt_to.is_empty() || terms.rules == Rules::Plain || terms.reads == Reads::Octets {
        return Keys::Own(own);
    }
    let profile = terms.profile();
    let holder = |address: &Address| {
        let bound = |one: &&Arc<Identity>| {
            !terms.wants_binding() || binds(&one.certificate, address, profile)
        };
        Holder {
            address: address.clone(),
            profile,
            identities: own.iter().filter(bound).cloned().collect(),
        }
    };
    Keys::Of(given.rcpt_to.iter().map(holder).collect())
}
