//! S/MIME as a tool: an operator's file, opened or verified by the rules of the road, without a store.
//! In: a [`Request`]. Out: a [`Verdict`], which is a report and nothing else: no
//! [`Grant`](crate::trust::Grant), nothing that a road takes. The same functions as on the road decide;
//! waivers are possible here and only here, and each stands in the report.

mod input;
pub mod inspect;
pub mod seal;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::certs::{Identity, IdentityState};
use crate::crypto::issue::KeyFile;
use crate::envelope::{Address, ReturnPath};
use crate::journal::{Fault, Reason};
use crate::open::{
    self, Cover, Examined, Found, Given, Kind, Reads, Rules, Terms, Unopenable, Waiver, Waivers,
};
use crate::store::{Bodies, Body, BodyError};
use crate::trust::{self, AnchorSet, BoundTo, Certificate, PathPurpose};
use crate::world::{Timestamp, World};

pub use input::Scratch;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Decrypt and verify.
    Open,
    /// Verify what is only signed.
    Verify,
}

/// One question.
#[derive(Clone, Debug)]
pub struct Request {
    pub task: Task,
    /// A mail, or a bare CMS object in DER, BER or PEM.
    pub file: PathBuf,
    /// What a bare detached signature signs.
    pub content: Option<PathBuf>,
    /// Our keys: one, or several after renewals.
    pub identities: Vec<Arc<Identity>>,
    pub anchors: Arc<AnchorSet>,
    pub intermediates: Vec<Arc<Certificate>>,
    /// None: not known, and not checked.
    pub mail_from: Option<ReturnPath>,
    /// Empty: not known, see [`Given`].
    pub rcpt_to: Vec<Address>,
    pub at: Timestamp,
    pub rules: Rules,
    pub waivers: Waivers,
    /// By what the signer's path is judged; [`path_rules`] where nothing else is asked for.
    pub path_rules: trust::Rules,
    pub evidence: trust::Evidence,
    /// Somebody that the signer must belong to as well.
    pub address: Option<Address>,
    /// What of the question was passed over: files that cannot be read.
    pub notes: Vec<String>,
}

/// By what the roads judge a signer, or what plain S/MIME asks of one.
pub fn path_rules(rules: Rules) -> trust::Rules {
    match rules {
        Rules::Direct(_) => trust::Rules::direct(PathPurpose::Sign),
        Rules::Plain => trust::Rules::plain_mail(),
    }
}

/// The answer in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Accepted,
    Refused,
    /// It cannot be told now.
    Undetermined,
    /// A fault of ours.
    Fault,
}

/// A signer, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Signed {
    pub subject: String,
    pub issuer: String,
    /// SHA-256 of the certificate.
    pub fingerprint: String,
    /// What it is bound to: rfc822Names and dNSNames.
    pub names: Vec<String>,
}

impl Signed {
    fn of(certificate: &Certificate) -> Self {
        let names = certificate
            .san_mail()
            .iter()
            .chain(certificate.san_dns())
            .cloned();
        Self {
            subject: certificate.subject_text().to_owned(),
            issuer: certificate.issuer_text().to_owned(),
            fingerprint: certificate.fingerprint_hex(),
            names: names.collect(),
        }
    }
}

/// How it was protected, as far as was learnt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Algorithms {
    pub cipher: Option<&'static str>,
    pub key_transport: Option<&'static str>,
    pub digest: Option<&'static str>,
}

/// The answer. It has no way into the roads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub verdict: Outcome,
    /// Where it stopped: input, decrypt, verify, unwrap, bind, trust; for what is accepted the last stage
    /// that was asked for.
    pub stage: &'static str,
    pub reason: Option<Reason>,
    pub detail: Option<String>,
    pub sender: Option<String>,
    pub recipients: Vec<String>,
    pub message_id: Option<String>,
    pub signer: Option<Signed>,
    /// Subjects from the signer to the anchor.
    pub path: Vec<String>,
    pub algorithms: Algorithms,
    pub wrapped: Option<bool>,
    pub waivers: Vec<&'static str>,
    /// What was passed over: files that cannot be read, status unknown under `soft`.
    pub notes: Vec<String>,
}

impl Verdict {
    fn of(outcome: Outcome, stage: &'static str, waivers: Waivers) -> Self {
        Self {
            verdict: outcome,
            stage,
            reason: None,
            detail: None,
            sender: None,
            recipients: vec![],
            message_id: None,
            signer: None,
            path: vec![],
            algorithms: Algorithms::default(),
            wrapped: None,
            waivers: waivers.words(),
            notes: vec![],
        }
    }

    /// A question that could not be read.
    pub fn unreadable(detail: impl Into<String>) -> Self {
        Self {
            reason: Some(Reason::Malformed),
            detail: Some(detail.into()),
            ..Self::of(Outcome::Refused, "input", Waivers::NONE)
        }
    }

    /// A fault of ours.
    pub fn fault(detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..Self::of(Outcome::Fault, "input", Waivers::NONE)
        }
    }

    /// Evidence that is missing (a [`Need`](trust::Need)) refuses nobody: it cannot be told now.
    fn refused(self, stage: &'static str, why: (Reason, String)) -> Self {
        let verdict = match why.0 {
            Reason::RevocationUnknown => Outcome::Undetermined,
            _ => Outcome::Refused,
        };
        Self {
            verdict,
            stage,
            reason: Some(why.0),
            detail: Some(why.1),
            ..self
        }
    }

    fn found(&mut self, found: &Found) {
        self.algorithms = Algorithms {
            cipher: found.cipher,
            key_transport: found.key_transport,
            digest: found.digest,
        };
        self.wrapped = found.wrapped;
    }
}

/// An identity out of a key file; the certificates beside the leaf are its chain.
///
/// # Errors
/// A sentence for the operator.
pub fn identity(file: &KeyFile) -> Result<Arc<Identity>, String> {
    let certificate = Certificate::parse(&file.certificate).map_err(|why| why.to_string())?;
    let fits = certificate
        .public_key()
        .is_ok_and(|public| public.same_as(&file.key.public()));
    if !fits {
        return Err("the key does not belong to the certificate".to_owned());
    }
    let chain = file.chain.iter();
    let chain = chain.filter_map(|der| Certificate::parse(der).ok());
    Ok(Arc::new(Identity {
        chain: chain.collect(),
        key: file.key.clone(),
        domain: String::new(),
        state: IdentityState::Active,
        certificate,
    }))
}

/// What an accepted message holds, beside its verdict; for `--out`.
pub type Answer = (Verdict, Option<Body>);

/// Answers. Blocks on disk and CPU.
pub fn answer(request: &Request, scratch: &Scratch, world: &World) -> Answer {
    let (mut verdict, content) = told(request, scratch, world);
    verdict.notes.splice(..0, request.notes.iter().cloned());
    (verdict, content)
}

fn told(request: &Request, scratch: &Scratch, world: &World) -> Answer {
    let (task, content) = (request.task, request.content.as_deref());
    match input::read(&request.file, content, task, scratch.bodies(), world) {
        Ok(source) => judged(request, &source, scratch.bodies(), world),
        Err(input::InputError::Unreadable(detail)) => {
            let base = Verdict::of(Outcome::Refused, "input", request.waivers);
            (base.refused("input", (Reason::Malformed, detail)), None)
        }
        Err(input::InputError::OverLimit) => {
            let detail = "the file is larger than any message".to_owned();
            let base = Verdict::of(Outcome::Refused, "input", request.waivers);
            (base.refused("input", (Reason::OverLimit, detail)), None)
        }
        Err(input::InputError::Ours(error)) => (ours(&error, request.waivers), None),
    }
}

/// Our own disk: nothing is known yet.
fn ours(error: &BodyError, waivers: Waivers) -> Verdict {
    Verdict {
        detail: Some(error.to_string()),
        ..Verdict::of(Outcome::Undetermined, "input", waivers)
    }
}

fn judged(request: &Request, source: &input::Input, bodies: &Bodies, world: &World) -> Answer {
    let mut found = Found::default();
    let mut verdict = Verdict::of(Outcome::Accepted, "trust", request.waivers);
    match examined(request, source, bodies, world, &mut found) {
        Ok(it) => {
            verdict.found(&found);
            (trusted(request, verdict, &it), Some(it.content))
        }
        Err((stage, why)) => {
            verdict.found(&found);
            let outcome = match why.fault {
                Fault::Never => Outcome::Refused,
                Fault::Later => Outcome::Undetermined,
                Fault::Ours => Outcome::Fault,
            };
            let verdict = verdict.refused(stage.word(), (why.reason, why.detail));
            let verdict = Verdict {
                verdict: outcome,
                ..verdict
            };
            (verdict, None)
        }
    }
}

/// Opens it. A bare CMS object of plain S/MIME need not hold a MIME entity: what is none is octets, for
/// which nobody is named as sender.
fn examined(
    request: &Request,
    source: &input::Input,
    bodies: &Bodies,
    world: &World,
    found: &mut Found,
) -> Result<Examined, (open::Stage, Unopenable)> {
    let given = Given {
        body: &source.body,
        identities: &request.identities,
        mail_from: request.mail_from.as_ref(),
        rcpt_to: &request.rcpt_to,
    };
    let cover = match request.task {
        Task::Verify => Cover::Clear,
        Task::Open if request.waivers.has(Waiver::Unencrypted) => Cover::Any,
        Task::Open => Cover::Sealed,
    };
    let terms = Terms {
        rules: request.rules,
        waivers: request.waivers,
        cover,
        reads: Reads::Entity,
        beside: &request.intermediates,
    };
    let first = open::examine(&given, &terms, bodies, world, found);
    let octets = source.bare && request.rules == Rules::Plain;
    match first {
        Err((stage, why)) if octets && why.reason == Reason::Malformed => {
            let terms = Terms {
                reads: Reads::Octets,
                ..terms
            };
            let mut again = Found::default();
            let second = open::examine(&given, &terms, bodies, world, &mut again);
            second.inspect(|_| *found = again).map_err(|other| {
                // As octets it came further, or nowhere at all.
                let further = other.1.reason != Reason::Malformed;
                if further { other } else { (stage, why) }
            })
        }
        other => other,
    }
}

/// The verdict on what was opened.
fn trusted(request: &Request, verdict: Verdict, it: &Examined) -> Verdict {
    if request.waivers.has(Waiver::DecryptOnly) {
        return Verdict {
            stage: "decrypt",
            ..verdict
        };
    }
    let signers: Vec<_> = it.signers.iter().map(|one| &one.certificate).collect();
    let (signers, others) = belonging(request, signers);
    let verdict = Verdict {
        sender: it.sender.as_ref().map(|one| one.written().to_owned()),
        recipients: it
            .recipients
            .iter()
            .map(|one| one.written().to_owned())
            .collect(),
        message_id: it.message_id.as_ref().map(|id| id.as_str().to_owned()),
        signer: signers
            .first()
            .or(others.first())
            .map(|one| Signed::of(one)),
        ..verdict
    };
    if signers.is_empty() {
        let whom = request.address.as_ref().map(Address::written);
        let detail = format!("no signer belongs to {}", whom.unwrap_or_default());
        return verdict.refused("trust", (Reason::NotBound, detail));
    }
    let bound_to = match bound_to(request, it) {
        Ok(bound_to) => bound_to,
        Err(why) => return verdict.refused("bind", why),
    };
    let measure = trust::Measure {
        rules: &request.path_rules,
        evidence: &request.evidence,
    };
    let (bag, anchors) = (&it.bag, &request.anchors);
    match trust::examine(&signers, bag, bound_to, anchors, &measure, request.at) {
        Ok((signer, path)) => Verdict {
            signer: Some(Signed::of(signer)),
            path: path.subjects().to_vec(),
            notes: path.notes().to_vec(),
            ..verdict
        },
        Err(why) => verdict.refused("trust", (why.reason, why.detail)),
    }
}

/// The signers that belong to the address that was asked for, by the rules that bind senders; and the others.
fn belonging<'a>(
    request: &Request,
    signers: Vec<&'a Arc<Certificate>>,
) -> (Vec<&'a Arc<Certificate>>, Vec<&'a Arc<Certificate>>) {
    let Some(address) = &request.address else {
        return (signers, vec![]);
    };
    signers.into_iter().partition(|one| match request.rules {
        Rules::Direct(profile) => trust::binds(one, address, profile),
        Rules::Plain => trust::names_sender(one, address),
    })
}

/// Whom the judge asks for: as on the road, the sender once more; for a report without From, MAIL FROM, for
/// here nobody knows whom it reports on (decision 9).
fn bound_to<'a>(request: &'a Request, it: &'a Examined) -> Result<BoundTo<'a>, (Reason, String)> {
    let Rules::Direct(profile) = request.rules else {
        return Ok(BoundTo::Anyone);
    };
    if request.waivers.has(Waiver::Binding) {
        return Ok(BoundTo::Anyone);
    }
    let envelope = request.mail_from.as_ref().and_then(ReturnPath::address);
    let instead = envelope.filter(|_| it.kind == Kind::Report);
    match it.sender.as_ref().or(instead) {
        Some(address) => Ok(BoundTo::Address(address, profile)),
        None => Err((
            Reason::BadHeaders,
            "no From or Sender to be bound to".to_owned(),
        )),
    }
}
