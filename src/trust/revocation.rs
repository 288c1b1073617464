//! Whether a certificate of a path is revoked, by the CRLs (RFC 5280 §6.3) and OCSP answers (RFC 6960) at
//! hand.
//! In: a path that is valid otherwise, and the [`Question`] it was found for. Out: notes on what was let pass,
//! or the reason. Unknown is never taken for good: what follows from it is for the rules to say. Delta CRLs
//! never count in a certificate's favour (docs/deviations.md).

use std::sync::Arc;

use crate::journal::Reason;
use crate::limits::{CLOCK_SKEW_MAX, CRL_SIGNER_DEPTH_MAX, NAME_COMPARISONS_MAX, OCSP_FRESH_MAX};

use super::chain::{check_responder, check_signer_key, distrust, over};
use super::crl::{Crl, EntryReason};
use super::name::Name;
use super::need::{Need, Tried, Waiting, crls_of, has_pointer, responders_of};
use super::ocsp::{Answers, CertId, CertStatus, Single};
use super::path::{Question, Work, find_path_below};
use super::points::{ALL_REASONS, Only, Point, PointName, PointNames, Scope};
use super::rules::{NoPointer, RevocationMode, RevocationScope, Rules, Standard};
use super::{AnchorSet, Certificate, Distrust};

/// What is known of one certificate.
enum Status {
    Good,
    Revoked(String),
    /// Why not.
    Unknown(String),
}

/// Asks for the status of a path's certificates, from the anchor down. `path`: leaf first, anchor last. What
/// could be fetched where status is unknown is left in `work`.
pub(super) fn check(
    path: &[Arc<Certificate>],
    question: &Question<'_>,
    work: &mut Work,
    under_way: &mut Vec<[u8; 32]>,
) -> Result<Vec<String>, Distrust> {
    let rules = question.rules;
    let own = path
        .last()
        .and_then(|anchor| question.anchors.mode_of(anchor));
    let mode = own.unwrap_or(rules.revocation);
    let asked = match (mode, rules.revocation_scope) {
        (RevocationMode::Off, _) => 0,
        (_, RevocationScope::Leaf) => 1,
        (_, RevocationScope::All) => path.len(),
    };
    let mut found = Found::default();
    let below_anchor = asked.min(path.len().saturating_sub(1));
    for index in (0..below_anchor).rev() {
        let (Some(certificate), Some(above)) = (path.get(index), path.get(index + 1..)) else {
            continue;
        };
        if question.evidence.is_empty() && found.accepts(certificate, rules) {
            continue;
        }
        under_way.push(certificate.fingerprint());
        let case = Case {
            certificate,
            above,
            question,
            mode,
        };
        let status = case.status(work, under_way);
        under_way.pop();
        match status? {
            Status::Good => {}
            Status::Revoked(what) => return Err(distrust(Reason::Revoked, certificate, &what)),
            Status::Unknown(what) => found.unknown(&case, what),
        }
    }
    found.end(mode, question, work)
}

/// What was not good and not revoked.
#[derive(Default)]
struct Found {
    unknown: Vec<Distrust>,
    notes: Vec<String>,
    needs: Vec<Need>,
}

impl Found {
    /// Whether it may pass because it says nowhere where its status is told; noted then.
    fn accepts(&mut self, certificate: &Certificate, rules: &Rules) -> bool {
        if rules.no_pointer != NoPointer::Accept || has_pointer(certificate) {
            return false;
        }
        let what = "it does not say where its status is told: accepted (revocation.no_pointer)";
        let note = distrust(Reason::RevocationUnknown, certificate, what);
        self.notes.push(note.detail);
        true
    }

    fn unknown(&mut self, case: &Case<'_>, mut what: String) {
        let (certificate, evidence) = (case.certificate, case.question.evidence);
        if self.accepts(certificate, case.question.rules) {
            return;
        }
        for need in case.needs() {
            if let Some(Tried::Failed(why)) = evidence.tried(&need) {
                what.push_str(&format!("; {need}: {why}"));
            }
            self.needs.push(need);
        }
        self.unknown
            .push(distrust(Reason::RevocationUnknown, certificate, &what));
    }

    fn end(
        self,
        mode: RevocationMode,
        question: &Question<'_>,
        work: &mut Work,
    ) -> Result<Vec<String>, Distrust> {
        let may_come = question.evidence.waiting() == Waiting::Possible && !self.needs.is_empty();
        self.needs.into_iter().for_each(|need| work.need(need));
        let mut notes = self.notes;
        match self.unknown.first() {
            Some(first) if mode == RevocationMode::Hard || may_come => Err(first.clone()),
            _ => {
                notes.extend(self.unknown.into_iter().map(|why| why.detail));
                Ok(notes)
            }
        }
    }
}

/// One certificate with the path above it, its issuer first.
struct Case<'a> {
    certificate: &'a Arc<Certificate>,
    above: &'a [Arc<Certificate>],
    question: &'a Question<'a>,
    /// Below this anchor.
    mode: RevocationMode,
}

impl Case<'_> {
    /// Either kind of evidence may speak against; for the certificate speaks a CRL, or else an answer.
    fn status(&self, work: &mut Work, under_way: &mut Vec<[u8; 32]>) -> Result<Status, Distrust> {
        let answered = self.answered(work, under_way)?;
        if let Some(Status::Revoked(what)) = answered {
            return Ok(Status::Revoked(what));
        }
        let listed = self.listed(work, under_way)?;
        Ok(match (listed, answered) {
            (Status::Unknown(_), Some(Status::Good)) => Status::Good,
            (Status::Unknown(by_list), Some(Status::Unknown(by_answer))) => {
                Status::Unknown(format!("{by_list}; {by_answer}"))
            }
            (listed, _) => listed,
        })
    }

    /// What could tell: its CRLs, and its responders once the CRLs did not help.
    fn needs(&self) -> Vec<Need> {
        let mut needs = crls_of(self.certificate);
        let evidence = self.question.evidence;
        if needs.iter().all(|need| evidence.tried(need).is_some())
            && let Some(issuer) = self.above.first()
        {
            needs.extend(responders_of(self.certificate, issuer));
        }
        needs
    }

    /// By OCSP; None: nobody answered.
    fn answered(
        &self,
        work: &mut Work,
        under_way: &mut Vec<[u8; 32]>,
    ) -> Result<Option<Status>, Distrust> {
        let evidence = self.question.evidence;
        // A leaf that is an anchor may stand above itself: nobody answers for themselves.
        let own = self.certificate.fingerprint();
        let issuer = self.above.first().filter(|_| evidence.has_answers());
        let Some(issuer) = issuer.filter(|issuer| issuer.fingerprint() != own) else {
            return Ok(None);
        };
        let id = CertId::of(self.certificate, issuer);
        let mut last = None;
        for answers in evidence.answers(&id) {
            match self.by_answers(answers, &id, issuer, work, under_way)? {
                Status::Unknown(what) => last = last.or(Some(Status::Unknown(what))),
                known => return Ok(Some(known)),
            }
        }
        Ok(last)
    }

    /// RFC 6960 §3.2.
    fn by_answers(
        &self,
        answers: &Arc<Answers>,
        id: &CertId,
        issuer: &Arc<Certificate>,
        work: &mut Work,
        under_way: &mut Vec<[u8; 32]>,
    ) -> Result<Status, Distrust> {
        let unknown = |what: &str| Ok(Status::Unknown(format!("an OCSP answer {what}")));
        if let Some(defect) = answers.defects.first() {
            return unknown(&format!("is unusable: {defect}"));
        }
        if let Err(what) = answers.signature_kind() {
            return unknown(&format!("is signed with {what} (A-021)"));
        }
        let Some(single) = answers.single(id) else {
            return unknown("is about another certificate");
        };
        let against = single.status == CertStatus::Revoked(EntryReason::ForGood);
        match self.is_of_now(single) {
            Err(what) if !against => return unknown(&what),
            _ => {}
        }
        if !self.is_answered_by_right(answers, issuer, work, under_way)? {
            return unknown("has no signer who may answer for this CA (RFC 6960 §4.2.2.2)");
        }
        Ok(match single.status {
            CertStatus::Good => Status::Good,
            CertStatus::Revoked(_) => {
                Status::Revoked("revoked by an OCSP answer (RFC 6960 §2.2)".to_owned())
            }
            CertStatus::Unknown => {
                Status::Unknown("the OCSP responder does not know it".to_owned())
            }
        })
    }

    /// Who was revoked for good stays so; all else is said for a time (RFC 6960 §3.2 (5), (6); G-044).
    fn is_of_now(&self, single: &Single) -> Result<(), String> {
        let now = self.question.now;
        if single.this_update > now.plus(CLOCK_SKEW_MAX) {
            return Err(format!(
                "is of {}, which is yet to come",
                single.this_update.rfc3339()
            ));
        }
        match single.next_update {
            Some(until) if until < now => Err(format!("was to be replaced by {}", until.rfc3339())),
            // RFC 6960 §2.4: without nextUpdate newer information is to be had at any time.
            None if now.since(single.this_update) > OCSP_FRESH_MAX => Err(format!(
                "without an end is of {}",
                single.this_update.rfc3339()
            )),
            _ => Ok(()),
        }
    }

    /// RFC 6960 §4.2.2.2: the issuer itself, or one whom it has certified for this.
    fn is_answered_by_right(
        &self,
        answers: &Arc<Answers>,
        issuer: &Arc<Certificate>,
        work: &mut Work,
        under_way: &mut Vec<[u8; 32]>,
    ) -> Result<bool, Distrust> {
        let rules = self.question.rules;
        let signed = |signer: &Certificate, work: &mut Work| {
            work.check_once(answers.fingerprint(), signer, || {
                answers.is_signed_by(signer)
            })
        };
        if answers.names(issuer) && check_signer_key(issuer, rules).is_ok() && signed(issuer, work)?
        {
            return Ok(true);
        }
        for delegate in &answers.certificates {
            if !answers.names(delegate)
                || delegate.issuer_name != issuer.subject_name
                || check_responder(delegate, rules, self.question.now).is_err()
                || !work.is_signed(delegate, issuer)?
                || !signed(delegate, work)?
            {
                continue;
            }
            if delegate.extensions.no_check || !self.is_revoked(delegate, work, under_way)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a list at hand speaks against a responder; none is fetched for it (docs/deviations.md).
    fn is_revoked(
        &self,
        responder: &Arc<Certificate>,
        work: &mut Work,
        under_way: &mut Vec<[u8; 32]>,
    ) -> Result<bool, Distrust> {
        let case = Case {
            certificate: responder,
            ..*self
        };
        let status = case.listed(work, under_way)?;
        Ok(matches!(status, Status::Revoked(_)))
    }

    /// By CRLs.
    fn listed(&self, work: &mut Work, under_way: &mut Vec<[u8; 32]>) -> Result<Status, Distrust> {
        let points = points_of(self.certificate);
        let mut tally = Tally::default();
        let mut believed: Vec<&Arc<Crl>> = Vec::new();
        for issuer in issuers(self.certificate, &points) {
            for crl in self.question.evidence.by(&issuer) {
                if !work.compare(points.len()) {
                    return Err(over("name comparisons", NAME_COMPARISONS_MAX));
                }
                let covered = covered(self.certificate, &points, crl);
                if believed.iter().any(|newer| crl.is_replaced_by(newer)) {
                    continue;
                }
                let entry = crl.entry(self.certificate).map(|entry| entry.reason);
                if covered == 0 {
                    tally.why("the CRLs at hand are not for it: scope, point or issuer differ");
                    continue;
                }
                if let Err(why) = self.usable(crl, entry, work, under_way)? {
                    tally.why(&why);
                    continue;
                }
                believed.push(crl);
                tally.count(crl, entry, covered);
            }
        }
        Ok(tally.status())
    }

    /// Whether the CRL may be believed now.
    fn usable(
        &self,
        crl: &Arc<Crl>,
        entry: Option<EntryReason>,
        work: &mut Work,
        under_way: &mut Vec<[u8; 32]>,
    ) -> Result<Result<(), String>, Distrust> {
        if !crl.defects.is_empty() {
            return Ok(Err(format!(
                "a CRL is unusable: {}",
                crl.defects.join("; ")
            )));
        }
        if crl.lists_twice && self.question.rules.standard == Standard::Rfc5280 {
            return Ok(Err("a CRL lists a certificate twice".to_owned()));
        }
        if let Err(what) = crl.signature_kind() {
            return Ok(Err(format!("a CRL is signed with {what} (A-021)")));
        }
        let now = self.question.now;
        if crl.this_update > now.plus(CLOCK_SKEW_MAX) {
            let from = crl.this_update.rfc3339();
            return Ok(Err(format!("a CRL is of {from}, which is yet to come")));
        }
        // Who was revoked for good stays so: an old list still speaks against, never for.
        let against = entry == Some(EntryReason::ForGood);
        match crl.next_update {
            _ if against => {}
            Some(until) if until >= now => {}
            Some(until) => {
                let until = until.rfc3339();
                return Ok(Err(format!("a CRL was to be replaced by {until}")));
            }
            None => {
                return Ok(Err("a CRL has no nextUpdate (RFC 5280 §5.1.2.5)".to_owned()));
            }
        }
        if self.is_signed_well(crl, work, under_way)? {
            Ok(Ok(()))
        } else {
            let what = "a CRL has no signer who may sign it and leads to the same anchor";
            Ok(Err(format!("{what} (RFC 5280 §6.3.3 (f), (g))")))
        }
    }

    /// RFC 5280 §6.3.3 (f), (g): the signer's path is valid and ends in the same anchor, its keyUsage has
    /// cRLSign, the signature is right.
    fn is_signed_well(
        &self,
        crl: &Arc<Crl>,
        work: &mut Work,
        under_way: &mut Vec<[u8; 32]>,
    ) -> Result<bool, Distrust> {
        for signer in self.above {
            if self.signed(crl, signer, work)? {
                return Ok(true);
            }
        }
        let Some(anchor) = self.above.last() else {
            return Ok(false);
        };
        if under_way.len() > CRL_SIGNER_DEPTH_MAX {
            return Ok(false);
        }
        let anchors = AnchorSet::new([Arc::clone(anchor)]);
        let rules = Rules {
            revocation: self.mode,
            ..self.question.rules.of_crl_signer()
        };
        let question = Question {
            anchors: &anchors,
            rules: &rules,
            ..*self.question
        };
        let beside = self.question.evidence.issuers();
        for signer in self.question.bag.iter().chain(beside) {
            // A list does not vouch for the one who signed it.
            let asked_for = under_way.contains(&signer.fingerprint());
            if asked_for || !self.signed(crl, signer, work)? {
                continue;
            }
            match find_path_below(signer, &question, work, under_way) {
                Ok(_) => return Ok(true),
                Err(failure) if failure.why.reason == Reason::OutOfBudget => {
                    return Err(failure.why);
                }
                Err(_) => {}
            }
        }
        Ok(false)
    }

    fn signed(
        &self,
        crl: &Arc<Crl>,
        signer: &Certificate,
        work: &mut Work,
    ) -> Result<bool, Distrust> {
        if signer.subject_name != crl.issuer
            || signer.key_usage().is_some_and(|usage| !usage.crl_sign)
            || check_signer_key(signer, self.question.rules).is_err()
        {
            return Ok(false);
        }
        work.check_once(crl.fingerprint(), signer, || crl.is_signed_by(signer))
    }
}

/// What the CRLs say together.
#[derive(Default)]
struct Tally {
    /// Reasons that some complete CRL covers without listing the certificate.
    covered: u16,
    revoked: bool,
    held: bool,
    delta: bool,
    whys: Vec<String>,
}

impl Tally {
    fn why(&mut self, what: &str) {
        if self.whys.len() < 4 && !self.whys.iter().any(|known| known == what) {
            self.whys.push(what.to_owned());
        }
    }

    fn count(&mut self, crl: &Crl, entry: Option<EntryReason>, covered: u16) {
        self.delta |= crl.is_delta;
        match entry {
            Some(EntryReason::ForGood) => self.revoked = true,
            Some(EntryReason::Hold) => self.held = true,
            Some(EntryReason::Removed) | None if crl.is_delta => {}
            // RFC 5280 §5.3.1: removeFromCRL belongs into deltas; elsewhere it says nothing good.
            Some(EntryReason::Removed) => self.held = true,
            None => self.covered |= covered,
        }
    }

    fn status(mut self) -> Status {
        if self.revoked || (self.held && !self.delta) {
            let how = if self.revoked { "revoked" } else { "on hold" };
            return Status::Revoked(format!("{how} by a CRL of its issuer (RFC 5280 §6.3.3)"));
        }
        if self.delta {
            return Status::Unknown("a delta CRL is at hand, and none is applied".to_owned());
        }
        if self.covered == ALL_REASONS {
            return Status::Good;
        }
        if self.covered != 0 {
            self.why("the CRLs at hand cover only some reasons (onlySomeReasons)");
        }
        if self.whys.is_empty() {
            self.why("no CRL for it is at hand");
        }
        Status::Unknown(self.whys.join("; "))
    }
}

/// The certificate's points; and the one that RFC 5280 §6.3.3 adds, for CRLs that its issuer makes for all.
fn points_of(certificate: &Certificate) -> Vec<Point> {
    let issuer = PointName::Directory(certificate.issuer_name.clone());
    let implied = Point {
        names: Some(PointNames::Full(vec![issuer])),
        reasons: ALL_REASONS,
        crl_issuers: None,
    };
    let own = certificate.extensions.points.iter().flatten().cloned();
    own.chain([implied]).collect()
}

/// Whose CRLs may speak for the certificate.
fn issuers(certificate: &Certificate, points: &[Point]) -> Vec<Name> {
    let mut names = vec![certificate.issuer_name.clone()];
    for name in points
        .iter()
        .filter_map(|point| point.crl_issuers.as_ref())
        .flatten()
    {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// For which reasons this CRL tells of this certificate (RFC 5280 §6.3.3 (b), (d)).
fn covered(certificate: &Certificate, points: &[Point], crl: &Crl) -> u16 {
    let fits = |point: &&Point| {
        is_by_right_issuer(certificate, point, crl)
            && crl.scope.as_ref().is_none_or(|scope| {
                is_of_point(point, scope, &crl.issuer) && is_of_kind(certificate, scope)
            })
    };
    let by_point = points.iter().filter(fits);
    let reasons = by_point.fold(0, |mask, point| mask | point.reasons);
    reasons
        & crl
            .scope
            .as_ref()
            .map_or(ALL_REASONS, |scope| scope.reasons)
}

/// RFC 5280 §6.3.3 (b) (1).
fn is_by_right_issuer(certificate: &Certificate, point: &Point, crl: &Crl) -> bool {
    match &point.crl_issuers {
        None => crl.issuer == certificate.issuer_name,
        Some(issuers) => {
            let indirect = crl.scope.as_ref().is_some_and(|scope| scope.indirect);
            indirect && issuers.contains(&crl.issuer)
        }
    }
}

/// RFC 5280 §6.3.3 (b) (2) (i).
fn is_of_point(point: &Point, scope: &Scope, issuer: &Name) -> bool {
    let Some(of_scope) = &scope.names else {
        return true;
    };
    let of_scope = of_scope.below(issuer);
    let of_point = match (&point.names, &point.crl_issuers) {
        (Some(names), _) => names.below(issuer),
        (None, Some(issuers)) => issuers.iter().cloned().map(PointName::Directory).collect(),
        (None, None) => Vec::new(),
    };
    of_point.iter().any(|name| of_scope.contains(name))
}

/// RFC 5280 §6.3.3 (b) (2) (ii) to (iv).
fn is_of_kind(certificate: &Certificate, scope: &Scope) -> bool {
    match scope.only {
        None => true,
        Some(Only::Users) => !certificate.is_ca(),
        Some(Only::Cas) => certificate.is_ca(),
        Some(Only::Attributes) => false,
    }
}

#[cfg(test)]
mod tests;
