//! The verdict as a tool: one certificate, files beside it, rules; the same functions as on the roads.
//! In: a [`Case`] with the octets of files (or why they could not be read). Out: an [`Answer`]. Whatever the
//! files hold, there is an answer. Touches no file, no clock, no network.

use std::sync::Arc;

use serde::Serialize;

use crate::cms;
use crate::envelope::Address;
use crate::journal::Reason;
use crate::limits::{AIA_CERTIFICATES_MAX, BAG_CERTIFICATES_MAX};
use crate::world::Timestamp;

use super::chain::distrust;
use super::path::{Question, Work, find_path};
use super::{AnchorSet, Certificate, Crl, Distrust, Evidence, Need, Profile, Rules, binds};

/// A file that the operator named.
#[derive(Clone, Debug)]
pub struct File {
    /// As it was named.
    pub name: String,
    /// DER or PEM, or why it cannot be read.
    pub octets: Result<Vec<u8>, String>,
}

/// What to judge.
#[derive(Clone, Debug)]
pub struct Case {
    /// The first certificate in it is the leaf; others count as intermediates.
    pub leaf: File,
    pub intermediates: Vec<File>,
    pub anchors: Vec<File>,
    pub crls: Vec<File>,
    /// Whom the leaf must belong to, and by which edition's rules.
    pub address: Option<(Address, Profile)>,
    pub rules: Rules,
    pub at: Timestamp,
    /// What was fetched.
    pub evidence: Evidence,
}

/// The verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Trusted,
    Untrusted,
    /// Status was asked for and could not be learnt.
    Undetermined,
}

/// One certificate of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    pub subject: String,
    /// SHA-256 of the DER, hex.
    pub fingerprint: String,
}

/// What the verdict cost (limits.rs has the caps).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Budget {
    pub signature_checks: usize,
    pub paths: usize,
    pub names: usize,
    pub policy_nodes: usize,
    pub steps: usize,
}

/// The answer, in the order in which it is printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    pub verdict: Verdict,
    /// docs/reasons.md; None if trusted.
    pub reason: Option<Reason>,
    pub detail: String,
    /// Leaf to anchor; of a refusal the path that came closest.
    pub path: Vec<Step>,
    /// What was passed over: unreadable files, status unknown under `soft`.
    pub notes: Vec<String>,
    pub budget: Budget,
    /// What could be fetched to say more.
    #[serde(skip)]
    pub needs: Vec<Need>,
}

/// Judges.
pub fn check(case: &Case) -> Answer {
    let mut notes = Vec::new();
    let mut work = Work::default();
    let outcome = judge(case, &mut notes, &mut work);
    let needs = match outcome {
        Ok(_) => Vec::new(),
        Err(_) => work.take_needs(),
    };
    let budget = Budget {
        signature_checks: work.signature_checks(),
        paths: work.paths(),
        names: work.comparisons(),
        policy_nodes: work.policy_nodes(),
        steps: work.steps(),
    };
    match outcome {
        Ok(path) => Answer {
            verdict: Verdict::Trusted,
            reason: None,
            detail: String::new(),
            path,
            notes,
            budget,
            needs,
        },
        Err((why, path)) => Answer {
            verdict: match why.reason {
                Reason::RevocationUnknown => Verdict::Undetermined,
                _ => Verdict::Untrusted,
            },
            reason: Some(why.reason),
            detail: why.detail,
            path,
            notes,
            budget,
            needs,
        },
    }
}

fn judge(
    case: &Case,
    notes: &mut Vec<String>,
    work: &mut Work,
) -> Result<Vec<Step>, (Distrust, Vec<Step>)> {
    let (leaf, mut bag) = read_leaf(&case.leaf, notes).map_err(|why| (why, Vec::new()))?;
    // One more than is looked at: the search says so then.
    let room = (BAG_CERTIFICATES_MAX + 1).saturating_sub(bag.len());
    bag.extend(read_certificates(&case.intermediates, room, notes));
    let anchors = AnchorSet::new(read_certificates(&case.anchors, usize::MAX, notes));
    let mut evidence = case.evidence.clone();
    let crls = read_crls(&case.crls, notes);
    crls.into_iter().for_each(|crl| evidence.add_crl(crl));
    if let Some((address, profile)) = &case.address
        && !binds(&leaf, address, *profile)
    {
        let what = format!("it does not belong to {address} (A-010, A-011)");
        let why = distrust(Reason::NotBound, &leaf, &what);
        return Err((why, steps(&[leaf])));
    }
    let question = Question {
        bag: &bag,
        anchors: &anchors,
        rules: &case.rules,
        evidence: &evidence,
        now: case.at,
    };
    match find_path(&leaf, &question, work) {
        Ok(path) => {
            notes.extend_from_slice(path.notes());
            Ok(steps(path.certificates()))
        }
        Err(failure) => Err((failure.why, steps(&failure.path))),
    }
}

fn steps(path: &[Arc<Certificate>]) -> Vec<Step> {
    let step = |certificate: &Arc<Certificate>| Step {
        subject: certificate.subject_text().to_owned(),
        fingerprint: certificate.fingerprint_hex(),
    };
    path.iter().map(step).collect()
}

/// The leaf, and the certificates that follow it in its file.
fn read_leaf(
    file: &File,
    notes: &mut Vec<String>,
) -> Result<(Arc<Certificate>, Vec<Arc<Certificate>>), Distrust> {
    let bad = |what: String| Distrust {
        reason: Reason::BadCertificate,
        detail: format!("{}: {what}", file.name),
    };
    let octets = file.octets.as_ref().map_err(|why| bad(why.clone()))?;
    let mut blocks = blocks(octets, Kind::Certificate).into_iter();
    let first = blocks
        .next()
        .ok_or_else(|| bad("there is no certificate in it".to_owned()))?;
    let leaf = first.and_then(|der| parse(&der)).map_err(bad)?;
    let rest = blocks.filter_map(|block| {
        let read = block.and_then(|der| parse(&der));
        noted(read, &file.name, notes)
    });
    Ok((leaf, rest.collect()))
}

/// The certificates of these files, `room` of them. What cannot be read counts for nothing, and is told.
pub fn read_certificates(
    files: &[File],
    room: usize,
    notes: &mut Vec<String>,
) -> Vec<Arc<Certificate>> {
    read_all(files, Kind::Certificate, parse, room, notes)
}

/// The CRLs of these files, in the same way.
pub fn read_crls(files: &[File], notes: &mut Vec<String>) -> Vec<Arc<Crl>> {
    let parse = |der: &[u8]| Crl::parse(der).map_err(|error| error.to_string());
    read_all(files, Kind::Crl, parse, usize::MAX, notes)
}

fn read_all<T>(
    files: &[File],
    kind: Kind,
    parse: impl Fn(&[u8]) -> Result<T, String>,
    room: usize,
    notes: &mut Vec<String>,
) -> Vec<T> {
    let mut read = Vec::new();
    for file in files {
        let found = match &file.octets {
            Ok(octets) => blocks(octets, kind),
            Err(why) => vec![Err(why.clone())],
        };
        if found.is_empty() {
            notes.push(format!("{}: there is no {} in it", file.name, kind.word()));
        }
        for block in found {
            if read.len() >= room {
                return read;
            }
            let one = block.and_then(|der| parse(&der));
            read.extend(noted(one, &file.name, notes));
        }
    }
    read
}

fn parse(der: &[u8]) -> Result<Arc<Certificate>, String> {
    Certificate::parse(der).map_err(|error| error.to_string())
}

/// A CRL off the network: DER; PEM, which RFC 5280 §4.2.1.13 does not have, is met as well.
///
/// # Errors
/// A sentence.
pub fn read_crl(octets: &[u8]) -> Result<Arc<Crl>, String> {
    let block = blocks(octets, Kind::Crl).into_iter().next();
    let der = block.ok_or("there is no CRL in it")??;
    Crl::parse(&der).map_err(|error| error.to_string())
}

/// Certificates off the network (RFC 5280 §4.2.2.1): one in DER, a certs-only CMS message, or PEM of either.
/// What does not decode is passed over.
pub fn read_issuers(octets: &[u8]) -> Vec<Arc<Certificate>> {
    if let Ok(one) = Certificate::parse(octets) {
        return vec![one];
    }
    let messages = match cms::read_certs_only(octets) {
        Ok(found) => found,
        Err(_) => {
            let messages = blocks(octets, Kind::Message).into_iter().flatten();
            let read = messages.filter_map(|der| cms::read_certs_only(&der).ok());
            read.flatten().collect()
        }
    };
    let pem = blocks(octets, Kind::Certificate).into_iter().flatten();
    let found = messages.into_iter().chain(pem);
    found
        .take(AIA_CERTIFICATES_MAX)
        .filter_map(|der| Certificate::parse(&der).ok())
        .collect()
}

/// Notes in one answer; a hostile file can have thousands of bad blocks.
const NOTES_MAX: usize = 32;

fn noted<T>(read: Result<T, String>, name: &str, notes: &mut Vec<String>) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(why) => {
            if notes.len() < NOTES_MAX {
                notes.push(format!("{name}: passed over: {why}"));
            }
            None
        }
    }
}

/// What is looked for in a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Certificate,
    Crl,
    /// CMS.
    Message,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Crl => "CRL",
            Self::Message => "CMS message",
        }
    }

    fn is_label(self, label: &str) -> bool {
        match self {
            Self::Certificate => matches!(label, "CERTIFICATE" | "X509 CERTIFICATE"),
            Self::Crl => matches!(label, "X509 CRL" | "CRL"),
            Self::Message => matches!(label, "PKCS7" | "CMS"),
        }
    }
}

/// The DER in a file: all PEM blocks of the kind, or the file itself.
fn blocks(octets: &[u8], kind: Kind) -> Vec<Result<Vec<u8>, String>> {
    let is_der = super::tlv::only(octets, super::tlv::tag::SEQUENCE).is_some();
    if is_der || memchr::memmem::find(octets, b"-----BEGIN ").is_none() {
        return vec![Ok(octets.to_vec())];
    }
    let mut found = Vec::new();
    for block in x509_parser::pem::Pem::iter_from_buffer(octets) {
        match block {
            Ok(block) if kind.is_label(&block.label) => found.push(Ok(block.contents)),
            Ok(_) => {}
            Err(cause) => {
                found.push(Err(format!("a PEM block cannot be read: {cause}")));
                // The reader does not say where the next block would begin.
                break;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
