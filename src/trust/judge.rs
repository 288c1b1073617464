//! The verdicts: per recipient, in both directions.
//! In: what was opened or found, anchors, evidence, a time. Out: a [`Judgment`]; the only place where a
//! [`Grant`] is made.

use std::collections::HashMap;
use std::sync::Arc;

use crate::envelope::{Address, TrackingId};
use crate::journal::Reason;
use crate::open::Opened;
use crate::world::Timestamp;

use super::chain::distrust;
use super::path::{Question, Work, build_path_within, telling};
use super::{
    AnchorId, AnchorSet, Anchors, Certificate, DomainTrust, Evidence, Need, Path, PathPurpose,
    RevocationRules, Rules, Waiting, binds,
};

/// Proof that this recipient accepts this message. Made by [`judge`] alone; comes back from a committed
/// verdict through [`Grant::restore`]. No Clone, no Default, no Deserialize.
///
/// Nobody else can make one:
/// ```compile_fail,E0451
/// use carepost::envelope::{Address, TrackingId};
/// use carepost::trust::{AnchorId, GrantRow};
/// fn row(message: TrackingId, recipient: Address, anchor: AnchorId) {
///     let _ = GrantRow { message, recipient, anchor, signer: [0; 32], digest: [0; 32] };
/// }
/// ```
/// ```
/// use carepost::envelope::{Address, TrackingId};
/// use carepost::trust::{AnchorId, GrantRow};
/// fn row(message: TrackingId, recipient: Address, anchor: AnchorId) {
///     let _ = (message, recipient, anchor, [0; 32], [0; 32]);
/// }
/// ```
/// And nobody can make two of one:
/// ```compile_fail,E0599
/// use carepost::trust::Grant;
/// fn again(grant: &Grant) {
///     let _ = (grant.anchor(), Grant::clone(grant));
/// }
/// ```
/// ```
/// use carepost::trust::Grant;
/// fn again(grant: &Grant) {
///     let _ = (grant.anchor(), Grant::signer(grant));
/// }
/// ```
#[must_use]
#[derive(Debug)]
pub struct Grant {
    message: TrackingId,
    recipient: Address,
    anchor: AnchorId,
    signer: [u8; 32],
    digest: [u8; 32],
    path: Vec<String>,
    notes: Vec<String>,
}

/// A committed verdict's row. Only this station's store code builds one.
#[derive(Debug)]
pub struct GrantRow {
    pub(in crate::trust) message: TrackingId,
    pub(in crate::trust) recipient: Address,
    pub(in crate::trust) anchor: AnchorId,
    pub(in crate::trust) signer: [u8; 32],
    pub(in crate::trust) digest: [u8; 32],
}

impl Grant {
    /// The one way back from the store.
    pub fn restore(row: GrantRow) -> Self {
        let GrantRow {
            message,
            recipient,
            anchor,
            signer,
            digest,
        } = row;
        Self {
            message,
            recipient,
            anchor,
            signer,
            digest,
            path: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub fn message(&self) -> TrackingId {
        self.message
    }

    pub fn recipient(&self) -> &Address {
        &self.recipient
    }

    /// Which anchor vouched.
    pub fn anchor(&self) -> AnchorId {
        self.anchor
    }

    /// SHA-256 of the signer's certificate.
    pub fn signer(&self) -> [u8; 32] {
        self.signer
    }

    /// SHA-256 of the content that was judged; what is revealed must have it.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Subjects from leaf to anchor; empty for a restored grant.
    pub fn path(&self) -> &[String] {
        &self.path
    }

    /// What was let pass: status that could not be learnt, or that is told nowhere.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// Why not, with the evidence in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distrust {
    pub reason: Reason,
    /// Which certificate, which rule (RFC section or requirement id), which values.
    pub detail: String,
}

/// One answer per recipient.
///
/// It cannot be dropped by mistake:
/// ```compile_fail
/// #![deny(unused_must_use)]
/// use carepost::{open::Opened, trust::{Anchors, Evidence, judge}, world::Timestamp};
/// fn ignore(opened: &Opened, anchors: &Anchors, evidence: &Evidence, now: Timestamp) {
///     judge(opened, anchors, evidence, now);
/// }
/// ```
/// ```
/// #![deny(unused_must_use)]
/// use carepost::{open::Opened, trust::{Anchors, Evidence, judge}, world::Timestamp};
/// fn ignore(opened: &Opened, anchors: &Anchors, evidence: &Evidence, now: Timestamp) {
///     let _judgment = judge(opened, anchors, evidence, now);
/// }
/// ```
#[must_use]
#[derive(Debug, Default)]
pub struct Judgment {
    pub granted: Vec<Grant>,
    pub refused: Vec<(Address, Distrust)>,
    pub undecided: Vec<(Address, Vec<Need>)>,
}

/// Inbound: for each recipient that `opened` could be opened for, whether some signer bound to the sender
/// has a path to one of the recipient's inbound anchors (A-068, A-080).
pub fn judge(opened: &Opened, anchors: &Anchors, evidence: &Evidence, now: Timestamp) -> Judgment {
    let case = Case::of(opened);
    let Some(sender) = opened.sender() else {
        return case.refuse_all(Reason::BadHeaders, "no From or Sender to be bound to");
    };
    let facts = Facts {
        anchors,
        evidence,
        now,
    };
    case.judge_each(sender, facts, |trust| vec![&trust.inbound])
}

/// A report: each recipient of `opened` (a local address that sent something) is granted if some signer is
/// bound to `reported_on` (the tracked recipient that the report speaks for) and has a path to the outbound
/// OR inbound anchors of that local address (B-027, decision 9).
pub fn judge_report(
    opened: &Opened,
    reported_on: &Address,
    anchors: &Anchors,
    evidence: &Evidence,
    now: Timestamp,
) -> Judgment {
    let facts = Facts {
        anchors,
        evidence,
        now,
    };
    Case::of(opened).judge_each(reported_on, facts, |trust| {
        vec![&trust.outbound, &trust.inbound]
    })
}

/// What everybody is judged by.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) anchors: &'a Anchors,
    pub(super) evidence: &'a Evidence,
    pub(super) now: Timestamp,
}

/// What of an opened message matters here.
struct Case<'a> {
    message: TrackingId,
    digest: [u8; 32],
    recipients: &'a [Address],
    signers: Vec<&'a Arc<Certificate>>,
    bag: &'a [Arc<Certificate>],
}

impl<'a> Case<'a> {
    fn of(opened: &'a Opened) -> Self {
        Self {
            message: opened.message(),
            digest: opened.digest(),
            recipients: opened.recipients(),
            signers: opened
                .signers()
                .iter()
                .map(|signer| &signer.certificate)
                .collect(),
            bag: opened.bag(),
        }
    }

    fn refuse_all(&self, reason: Reason, detail: &str) -> Judgment {
        let why = Distrust {
            reason,
            detail: detail.to_owned(),
        };
        let refused = self
            .recipients
            .iter()
            .map(|recipient| (recipient.clone(), why.clone()));
        Judgment {
            refused: refused.collect(),
            ..Judgment::default()
        }
    }

    /// `bound_to`: whom a signer must belong to. `sets`: which of a domain's anchors count.
    fn judge_each(
        &self,
        bound_to: &Address,
        facts: Facts<'_>,
        sets: impl Fn(&DomainTrust) -> Vec<&Arc<AnchorSet>>,
    ) -> Judgment {
        let mut judgment = Judgment::default();
        let mut paths = Paths::new(self.bag, Rules::direct(PathPurpose::Sign), facts);
        for recipient in self.recipients {
            let verdict = match facts.anchors.of(recipient) {
                None => Err(foreign(recipient).into()),
                Some(trust) => paths.first(&self.signers, bound_to, trust, &sets(trust)),
            };
            match verdict {
                Ok((signer, path)) => judgment.granted.push(self.grant(recipient, signer, &path)),
                Err(no) => match no.needs_of(facts) {
                    Some(needs) => judgment.undecided.push((recipient.clone(), needs)),
                    None => judgment.refused.push((recipient.clone(), no.why)),
                },
            }
        }
        judgment
    }

    fn grant(&self, recipient: &Address, signer: &Certificate, path: &Path) -> Grant {
        Grant {
            message: self.message,
            recipient: recipient.clone(),
            anchor: path.anchor(),
            signer: signer.fingerprint(),
            digest: self.digest,
            path: path.subjects().to_vec(),
            notes: path.notes().to_vec(),
        }
    }
}

fn foreign(address: &Address) -> Distrust {
    let detail = format!(
        "{} is not a domain of ours, so nothing is trusted for it",
        address.domain()
    );
    Distrust {
        reason: Reason::NoPath,
        detail,
    }
}

/// No path, and what could be fetched to find one.
pub(super) struct No {
    pub(super) why: Distrust,
    needs: Vec<Need>,
}

impl From<Distrust> for No {
    fn from(why: Distrust) -> Self {
        let needs = Vec::new();
        Self { why, needs }
    }
}

impl No {
    /// What to wait for; None: it is decided.
    fn needs_of(&self, facts: Facts<'_>) -> Option<Vec<Need>> {
        let may_come = facts.evidence.waiting() == Waiting::Possible && !self.needs.is_empty();
        may_come.then(|| self.needs.clone())
    }
}

/// What was found for a leaf, and what could be fetched to find more.
type Known = (Result<Path, Distrust>, Vec<Need>);

/// Paths of one judgment: recipients that share anchors share them, and all share one budget.
pub(super) struct Paths<'a> {
    bag: &'a [Arc<Certificate>],
    rules: Rules,
    facts: Facts<'a>,
    work: Work,
    /// (leaf, which anchor set) -> path.
    known: HashMap<([u8; 32], usize, RevocationRules), Known>,
}

impl<'a> Paths<'a> {
    pub(super) fn new(bag: &'a [Arc<Certificate>], rules: Rules, facts: Facts<'a>) -> Self {
        Self {
            bag,
            rules,
            facts,
            work: Work::default(),
            known: HashMap::new(),
        }
    }

    /// The first candidate that is bound to `address` and leads to one of `sets`; otherwise the most telling
    /// reason of all.
    pub(super) fn first<'c>(
        &mut self,
        candidates: &[&'c Arc<Certificate>],
        address: &Address,
        trust: &DomainTrust,
        sets: &[&Arc<AnchorSet>],
    ) -> Result<(&'c Arc<Certificate>, Path), No> {
        let mut needs = Vec::new();
        let mut worst = Distrust {
            reason: Reason::NotBound,
            detail: format!("there is no certificate that could be bound to {address}"),
        };
        for candidate in candidates {
            if !binds(candidate, address, trust.profile) {
                note(&mut worst, unbound(candidate, address));
                continue;
            }
            if let Err(why) = self.check_kind(candidate) {
                note(&mut worst, why);
                continue;
            }
            for set in sets {
                let (found, missing) = self.path(candidate, set, trust.revocation);
                match found {
                    Ok(path) => return Ok((candidate, path)),
                    Err(why) => note(&mut worst, why),
                }
                needs.extend(missing);
            }
        }
        let why = worst;
        Err(No { why, needs })
    }

    /// Content keys are wrapped for RSA alone so far; key agreement (A-061) is read, not written.
    fn check_kind(&self, candidate: &Certificate) -> Result<(), Distrust> {
        let is_rsa = candidate.public_key().is_ok_and(|key| key.is_rsa());
        if self.rules.purpose == PathPurpose::Sign || is_rsa {
            return Ok(());
        }
        let what = format!(
            "{}: messages are encrypted for RSA keys only",
            candidate.key_text()
        );
        Err(distrust(Reason::WeakKey, candidate, &what))
    }

    pub(super) fn path(
        &mut self,
        leaf: &Arc<Certificate>,
        set: &Arc<AnchorSet>,
        revocation: RevocationRules,
    ) -> Known {
        let key = (leaf.fingerprint(), Arc::as_ptr(set).addr(), revocation);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let question = Question {
            bag: self.bag,
            anchors: set,
            rules: &self.rules.asking(revocation),
            evidence: self.facts.evidence,
            now: self.facts.now,
        };
        let found = build_path_within(leaf, &question, &mut self.work);
        let known = (found, self.work.take_needs());
        self.known.insert(key, known.clone());
        known
    }
}

/// Of equally telling reasons the later stays: the first one is only a stand-in.
pub(super) fn note(worst: &mut Distrust, why: Distrust) {
    if telling(why.reason) >= telling(worst.reason) {
        *worst = why;
    }
}

fn unbound(certificate: &Certificate, address: &Address) -> Distrust {
    let names: Vec<&str> = certificate
        .san_mail()
        .iter()
        .chain(certificate.san_dns())
        .map(String::as_str)
        .collect();
    let names = if names.is_empty() {
        "nobody".to_owned()
    } else {
        names.join(", ")
    };
    let what = format!("it belongs to {names}, not to {address} (A-010, A-011, A-088)");
    distrust(Reason::NotBound, certificate, &what)
}

/// Outbound: an address with a certificate that was checked against the sender's anchors. Made by
/// [`judge_recipient`] alone.
#[derive(Debug)]
pub struct TrustedRecipient {
    address: Address,
    certificate: Arc<Certificate>,
    path: Path,
}

impl TrustedRecipient {
    pub fn address(&self) -> &Address {
        &self.address
    }

    pub fn certificate(&self) -> &Arc<Certificate> {
        &self.certificate
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Which of the sender's anchors a recipient's certificate may lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A message: whom the sender trusts to read what it sends.
    Outbound,
    /// A report: whoever was trusted to send is told what became of it.
    Either,
}

/// The outbound verdict.
#[derive(Debug)]
pub enum RecipientJudgment {
    Trusted(TrustedRecipient),
    Refused(Distrust),
    Undecided(Vec<Need>),
}

/// Outbound: the first certificate of `found` that is bound to `recipient`, fit for encryption, and has a
/// path to anchors of the sender (A-081, C-012, C-040); `side` says to which.
pub fn judge_recipient(
    recipient: &Address,
    found: &[Arc<Certificate>],
    sender: &Address,
    side: Side,
    anchors: &Anchors,
    evidence: &Evidence,
    now: Timestamp,
) -> RecipientJudgment {
    let Some(trust) = anchors.of(sender) else {
        return RecipientJudgment::Refused(foreign(sender));
    };
    if found.is_empty() {
        let detail = format!("nothing was found for {recipient}");
        return RecipientJudgment::Refused(Distrust {
            reason: Reason::NoCertificate,
            detail,
        });
    }
    let sets: &[_] = match side {
        Side::Outbound => &[&trust.outbound],
        Side::Either => &[&trust.outbound, &trust.inbound],
    };
    let facts = Facts {
        anchors,
        evidence,
        now,
    };
    let mut paths = Paths::new(found, Rules::direct(PathPurpose::Encrypt), facts);
    let candidates: Vec<_> = found.iter().collect();
    match paths.first(&candidates, recipient, trust, sets) {
        Ok((certificate, path)) => RecipientJudgment::Trusted(TrustedRecipient {
            address: recipient.clone(),
            certificate: Arc::clone(certificate),
            path,
        }),
        Err(no) => match no.needs_of(facts) {
            Some(needs) => RecipientJudgment::Undecided(needs),
            None => RecipientJudgment::Refused(no.why),
        },
    }
}

#[cfg(test)]
mod tests;
