//! Building and validating a path from a certificate to an anchor (RFC 5280 §6; A-083).
//! In: a leaf and a [`Question`]: the certificates that came along, anchors, rules, evidence, a time. Out: a
//! [`Path`], or the most telling reason why there is none, with the path that it was found on.
//!
//! The search goes down before it goes up: from the anchors it checks the signature of every edge that could
//! matter, once, and only below issuers that are fit; then it climbs from the leaf over checked edges, with
//! back-tracking, and validates each complete chain. So the costly work is bounded by edges and not by
//! paths, and a bag without an anchor costs nothing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::journal::Reason;
use crate::limits::{
    BAG_CERTIFICATES_MAX, NAME_COMPARISONS_MAX, NEEDS_MAX, PATH_DEPTH_MAX, PATH_STEPS_MAX,
    PATHS_MAX, POLICY_WORK_MAX, SIGNATURE_CHECKS_MAX, SIGNATURE_COST_MAX,
};
use crate::world::Timestamp;

use super::certificate::Seat;
use super::chain::{check_chain, check_issuer, check_leaf, check_signature_kind, distrust, over};
use super::name::Name;
use super::need::{Need, Tried, issuers_of};
use super::revocation;
use super::rules::{RevocationMode, Rules};
use super::{AnchorId, AnchorSet, Certificate, Distrust, Evidence};

/// What a leaf is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Certificates that may lie on the path; nothing about them is trusted.
    pub bag: &'a [Arc<Certificate>],
    pub anchors: &'a AnchorSet,
    pub rules: &'a Rules,
    pub evidence: &'a Evidence,
    pub now: Timestamp,
}

/// A validated path. Made only by [`build_path`].
#[derive(Clone, Debug)]
pub struct Path {
    anchor: AnchorId,
    /// Subjects, leaf first, anchor last.
    subjects: Arc<[String]>,
    certificates: Arc<[Arc<Certificate>]>,
    /// What was let pass: status that could not be learnt, under `RevocationMode::Soft`.
    notes: Arc<[String]>,
}

impl Path {
    pub fn anchor(&self) -> AnchorId {
        self.anchor
    }

    /// The same path, and what was let pass this time.
    pub(super) fn with_notes(&self, notes: Vec<String>) -> Self {
        Self {
            notes: notes.into(),
            ..self.clone()
        }
    }

    pub fn subjects(&self) -> &[String] {
        &self.subjects
    }

    /// Leaf first, anchor last.
    pub fn certificates(&self) -> &[Arc<Certificate>] {
        &self.certificates
    }

    /// What was let pass.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    fn of(certificates: Vec<Arc<Certificate>>, anchor: &Certificate, notes: Vec<String>) -> Self {
        Self {
            anchor: AnchorId(anchor.fingerprint()),
            subjects: certificates
                .iter()
                .map(|one| one.subject_text().to_owned())
                .collect(),
            certificates: certificates.into(),
            notes: notes.into(),
        }
    }
}

/// Why there is no path, and the path (leaf first) that came closest.
#[derive(Clone, Debug)]
pub struct Failure {
    pub why: Distrust,
    pub path: Vec<Arc<Certificate>>,
}

/// What one judgment has cost so far, and which signatures it has checked. Shared by all its paths.
#[derive(Debug, Default)]
pub struct Work {
    /// (certificate, issuer's key) -> whether the signature is right.
    checked: HashMap<([u8; 32], [u8; 32]), bool>,
    /// What these checks cost, in hundredths of one with P-256.
    cost: usize,
    comparisons: usize,
    steps: usize,
    paths: usize,
    policies: usize,
    needs: Vec<Need>,
}

impl Work {
    /// Public-key operations done.
    pub fn signature_checks(&self) -> usize {
        self.checked.len()
    }

    /// Names compared.
    pub fn comparisons(&self) -> usize {
        self.comparisons
    }

    /// Complete paths tried.
    pub fn paths(&self) -> usize {
        self.paths
    }

    /// Policies and mappings read, and policy nodes made.
    pub fn policy_nodes(&self) -> usize {
        self.policies
    }

    /// Steps of the search.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Something is missing that could be fetched.
    pub(super) fn need(&mut self, need: Need) {
        if self.needs.len() < NEEDS_MAX && !self.needs.contains(&need) {
            self.needs.push(need);
        }
    }

    /// What was missing since the last call.
    pub fn take_needs(&mut self) -> Vec<Need> {
        std::mem::take(&mut self.needs)
    }

    pub(super) fn note_policies(&mut self, made: usize) {
        self.policies = self.policies.saturating_add(made);
    }

    pub(super) fn policies_left(&self) -> usize {
        POLICY_WORK_MAX.saturating_sub(self.policies)
    }

    /// Books comparisons; false if that would be too many.
    pub(super) fn compare(&mut self, count: usize) -> bool {
        self.comparisons = self.comparisons.saturating_add(count);
        self.comparisons <= NAME_COMPARISONS_MAX
    }

    fn step(&mut self) -> Result<(), Distrust> {
        self.steps = self.steps.saturating_add(1);
        if self.steps > PATH_STEPS_MAX {
            return Err(over("steps in the search", PATH_STEPS_MAX));
        }
        Ok(())
    }

    /// Whether it is known that another key signed `certificate`.
    fn is_known_wrong(&self, certificate: &Certificate, issuer: &Certificate) -> bool {
        let pair = (certificate.fingerprint(), issuer.key_id);
        self.checked.get(&pair) == Some(&false)
    }

    /// Whether `issuer` signed `certificate`; each pair is checked once.
    pub(super) fn is_signed(
        &mut self,
        certificate: &Certificate,
        issuer: &Certificate,
    ) -> Result<bool, Distrust> {
        self.check_once(certificate.fingerprint(), issuer, || {
            certificate.is_signed_by(issuer)
        })
    }

    /// Whether `right` says so of the octets with this fingerprint and the issuer's key; asked once.
    pub(super) fn check_once(
        &mut self,
        fingerprint: [u8; 32],
        issuer: &Certificate,
        right: impl FnOnce() -> bool,
    ) -> Result<bool, Distrust> {
        let pair = (fingerprint, issuer.key_id);
        if let Some(known) = self.checked.get(&pair) {
            return Ok(*known);
        }
        if self.checked.len() >= SIGNATURE_CHECKS_MAX {
            return Err(over("signature checks", SIGNATURE_CHECKS_MAX));
        }
        let cost = usize::try_from(issuer.check_cost).unwrap_or(usize::MAX);
        self.cost = self.cost.saturating_add(cost);
        if self.cost > SIGNATURE_COST_MAX {
            let what = "hundredths of the work of a signature check with P-256";
            return Err(over(what, SIGNATURE_COST_MAX));
        }
        let right = right();
        self.checked.insert(pair, right);
        Ok(right)
    }
}

/// Finds a valid path from `leaf` through the bag to an anchor. Tries all candidate paths within the budgets
/// of `limits.rs`; each signature check is done once. On failure the most telling reason of all tried paths
/// is given.
///
/// # Errors
/// [`Distrust`].
pub fn build_path(leaf: &Arc<Certificate>, question: &Question<'_>) -> Result<Path, Distrust> {
    build_path_within(leaf, question, &mut Work::default())
}

/// As [`build_path`], within what `work` has left; a path that the anchors remember costs nothing.
///
/// # Errors
/// [`Distrust`].
pub fn build_path_within(
    leaf: &Arc<Certificate>,
    question: &Question<'_>,
    work: &mut Work,
) -> Result<Path, Distrust> {
    let remembered = &question.anchors.remembered;
    if let Some(path) = remembered.find(leaf, question) {
        // Status is asked for at each use; if it speaks against this path, another may do.
        let status = revocation::check(path.certificates(), question, work, &mut Vec::new());
        if let Ok(notes) = status {
            return Ok(path.with_notes(notes));
        }
    }
    let path = find_path(leaf, question, work).map_err(|failure| failure.why)?;
    remembered.keep(leaf, question, &path);
    Ok(path)
}

/// As [`build_path_within`], with the path that the failure was found on.
///
/// # Errors
/// [`Failure`].
pub fn find_path(
    leaf: &Arc<Certificate>,
    question: &Question<'_>,
    work: &mut Work,
) -> Result<Path, Failure> {
    find_path_below(leaf, question, work, &mut Vec::new())
}

/// As [`find_path`]; `under_way` holds the certificates whose status is being asked for.
pub(super) fn find_path_below(
    leaf: &Arc<Certificate>,
    question: &Question<'_>,
    work: &mut Work,
    under_way: &mut Vec<[u8; 32]>,
) -> Result<Path, Failure> {
    let alone = |why: Distrust| Failure {
        why,
        path: vec![Arc::clone(leaf)],
    };
    check_leaf(leaf, question.rules, question.now).map_err(alone)?;
    // a leaf among the anchors vouches for itself, but only after the checks above and its status.
    if question.anchors.contains(leaf) {
        question
            .rules
            .filter
            .check(std::slice::from_ref(leaf))
            .map_err(alone)?;
        let notes = check_anchored_leaf(leaf, question, work, under_way).map_err(alone)?;
        return Ok(Path::of(vec![Arc::clone(leaf)], leaf, notes));
    }
    check_signature_kind(leaf).map_err(alone)?;
    let mut search = Search {
        question: *question,
        work,
        under_way,
        worst: None,
        paths: 0,
        nodes: Vec::new(),
        by_issuer: HashMap::new(),
    };
    search.gather(leaf);
    search.descend();
    let found = search.climb(&mut vec![0]);
    found.ok_or_else(|| {
        search.ask_for_issuers();
        let nothing = || alone(no_path(leaf, question.anchors));
        search.worst.unwrap_or_else(nothing)
    })
}

/// The status of a leaf that is an anchor: told by whoever signed it. Who signed it is looked for in the bag,
/// and need be no anchor: it only may speak against. One that signed itself has nobody who could.
fn check_anchored_leaf(
    leaf: &Arc<Certificate>,
    question: &Question<'_>,
    work: &mut Work,
    under_way: &mut Vec<[u8; 32]>,
) -> Result<Vec<String>, Distrust> {
    let own = question.anchors.mode_of(leaf);
    let mode = own.unwrap_or(question.rules.revocation);
    if mode == RevocationMode::Off || leaf.is_self_issued() {
        return Ok(Vec::new());
    }
    let rules = Rules {
        revocation: mode,
        ..question.rules.clone()
    };
    let question = &Question {
        rules: &rules,
        ..*question
    };
    let mut outcome = None;
    let beside = question.bag.iter().take(BAG_CERTIFICATES_MAX);
    for issuer in beside.chain(question.evidence.issuers()) {
        if issuer.subject_name != leaf.issuer_name || !work.is_signed(leaf, issuer)? {
            continue;
        }
        let path = [Arc::clone(leaf), Arc::clone(issuer)];
        let found = revocation::check(&path, question, work, under_way);
        match &found {
            Err(why) if why.reason != Reason::RevocationUnknown => return found,
            Ok(notes) if notes.is_empty() => outcome = Some(found),
            _ => outcome = outcome.or(Some(found)),
        }
    }
    outcome.unwrap_or_else(|| {
        let path = [Arc::clone(leaf), Arc::clone(leaf)];
        revocation::check(&path, question, work, under_way)
    })
}

fn no_path(leaf: &Certificate, anchors: &AnchorSet) -> Distrust {
    let what = if anchors.is_empty() {
        "there is no anchor to lead to".to_owned()
    } else {
        let issuer = leaf.issuer_text();
        format!(
            "issued by {issuer}, from where no path leads to one of {} anchors",
            anchors.len()
        )
    };
    distrust(Reason::NoPath, leaf, &what)
}

/// How much a reason tells: of several failures the one that came closest to a valid path.
pub(super) fn telling(reason: Reason) -> u8 {
    match reason {
        Reason::Revoked => 12,
        // Another path may be wrong for good; this one may yet turn out right.
        Reason::RevocationUnknown => 11,
        Reason::OutOfBudget => 9,
        Reason::Filtered => 10,
        Reason::CertificatePolicy
        | Reason::PathTooLong
        | Reason::NameConstraint
        | Reason::WrongUsage
        | Reason::LeafIsCa => 8,
        Reason::Expired | Reason::NotYetValid => 7,
        Reason::WeakCertificateSignature | Reason::WeakKey => 6,
        Reason::BadExtension => 5,
        Reason::NotCa => 4,
        Reason::BadIssuerSignature => 3,
        Reason::NoPath => 2,
        _ => 1,
    }
}

/// A certificate that may lie on a path, with the issuers whose signature on it is right.
struct Node<'a> {
    certificate: &'a Arc<Certificate>,
    anchors: Vec<&'a Arc<Certificate>>,
    issuers: Vec<usize>,
    /// The node that led to this one when the bag was gone through.
    below: Option<usize>,
}

struct Search<'a, 'w> {
    question: Question<'a>,
    work: &'w mut Work,
    under_way: &'w mut Vec<[u8; 32]>,
    /// The most telling failure so far.
    worst: Option<Failure>,
    /// Complete chains validated.
    paths: usize,
    /// The leaf first.
    nodes: Vec<Node<'a>>,
    /// Issuer's name -> nodes.
    by_issuer: HashMap<&'a Name, Vec<usize>>,
}

impl<'a> Search<'a, '_> {
    fn note(&mut self, why: Distrust, path: Vec<Arc<Certificate>>) {
        let known = self.worst.as_ref();
        if telling(why.reason) > known.map_or(0, |known| telling(known.why.reason)) {
            self.worst = Some(Failure { why, path });
        }
    }

    /// The way from the leaf up to this node, as names led there.
    fn way(&self, index: usize) -> Vec<Arc<Certificate>> {
        let mut way = Vec::new();
        let mut next = Some(index);
        while let Some(index) = next {
            way.push(Arc::clone(self.certificate(index)));
            next = self.node(index).below;
        }
        way.reverse();
        way
    }

    /// Collects the certificates of the bag that names connect with the leaf.
    fn gather(&mut self, leaf: &'a Arc<Certificate>) {
        let Question {
            bag,
            anchors,
            evidence,
            ..
        } = self.question;
        if bag.len() > BAG_CERTIFICATES_MAX {
            let limit = over("certificates beside the leaf", BAG_CERTIFICATES_MAX);
            self.note(limit, vec![Arc::clone(leaf)]);
        }
        let mut by_subject: HashMap<&Name, Vec<&'a Arc<Certificate>>> = HashMap::new();
        let beside = bag.iter().take(BAG_CERTIFICATES_MAX);
        for certificate in beside.chain(evidence.issuers()) {
            let named = by_subject.entry(&certificate.subject_name).or_default();
            named.push(certificate);
        }
        let mut seen = HashSet::from([leaf.fingerprint()]);
        self.nodes.push(Node {
            certificate: leaf,
            anchors: Vec::new(),
            issuers: Vec::new(),
            below: None,
        });
        let mut next = 0;
        while let Some(node) = self.nodes.get(next) {
            let below = node.certificate;
            let named = by_subject.get(&below.issuer_name);
            let named = named.map_or(&[][..], Vec::as_slice);
            if !self.work.compare(named.len().saturating_add(1)) {
                let limit = over("name comparisons", NAME_COMPARISONS_MAX);
                return self.note(limit, self.way(next));
            }
            for certificate in named {
                if !anchors.contains(certificate) && seen.insert(certificate.fingerprint()) {
                    self.nodes.push(Node {
                        certificate,
                        anchors: vec![],
                        issuers: vec![],
                        below: Some(next),
                    });
                }
            }
            next += 1;
        }
        for (index, node) in self.nodes.iter().enumerate() {
            let named = self.by_issuer.entry(&node.certificate.issuer_name);
            named.or_default().push(index);
        }
    }

    /// what authorityInfoAccess points at may close the gap, unless it was looked at already. Nothing
    /// is asked where the verdict would stay what it is.
    fn ask_for_issuers(&mut self) {
        let reason = self.worst.as_ref().map(|worst| worst.why.reason);
        if matches!(
            reason,
            Some(Reason::Revoked | Reason::RevocationUnknown | Reason::OutOfBudget)
        ) {
            return;
        }
        let evidence = self.question.evidence;
        let open = |node: &&Node<'_>| node.anchors.is_empty() && node.issuers.is_empty();
        let needs = self.nodes.iter().filter(open);
        for need in needs.flat_map(|node| issuers_of(node.certificate)) {
            if evidence.tried(&need) != Some(&Tried::Got) {
                self.work.need(need);
            }
        }
    }

    /// Checks edges from the anchors down, each once; stops at the first limit.
    fn descend(&mut self) {
        if let Err(limit) = self.try_descend() {
            self.note(limit, self.way(0));
        }
    }

    fn try_descend(&mut self) -> Result<(), Distrust> {
        let anchors = self.question.anchors;
        let mut reached = HashSet::new();
        let mut queue = VecDeque::new();
        for child in 0..self.nodes.len() {
            for anchor in anchors.issuers_of(self.certificate(child)) {
                if self.join(anchor, Seat::Anchor, child)? {
                    self.node_mut(child).anchors.push(anchor);
                    if reached.insert(child) {
                        queue.push_back(child);
                    }
                }
            }
        }
        while let Some(issuer) = queue.pop_front() {
            let certificate = self.certificate(issuer);
            if issuer == 0 {
                continue;
            }
            for child in self.children(certificate) {
                if child != issuer && self.join(certificate, Seat::BelowAnchor, child)? {
                    self.node_mut(child).issuers.push(issuer);
                    if reached.insert(child) {
                        queue.push_back(child);
                    }
                }
            }
        }
        Ok(())
    }

    fn certificate(&self, index: usize) -> &'a Arc<Certificate> {
        self.node(index).certificate
    }

    fn node(&self, index: usize) -> &Node<'a> {
        self.nodes
            .get(index)
            .expect("indices are those of `gather`")
    }

    fn node_mut(&mut self, index: usize) -> &mut Node<'a> {
        self.nodes
            .get_mut(index)
            .expect("indices are those of `gather`")
    }

    /// The nodes that name `issuer` as theirs; those whose key identifier points at it first.
    fn children(&self, issuer: &Certificate) -> Vec<usize> {
        let named = self.by_issuer.get(&issuer.subject_name);
        let mut children = named.cloned().unwrap_or_default();
        children.sort_by_key(|index| !self.certificate(*index).points_to(issuer));
        children
    }

    /// Whether `issuer` may have issued `child` and did, and `child` (if not the leaf) may issue in turn.
    fn join(
        &mut self,
        issuer: &'a Arc<Certificate>,
        seat: Seat,
        child: usize,
    ) -> Result<bool, Distrust> {
        self.work.step()?;
        let certificate = self.certificate(child);
        // Of many anchors of one name and key the first has told the reason.
        if self.work.is_known_wrong(certificate, issuer) {
            return Ok(false);
        }
        match self.check_edge(issuer, seat, certificate, child == 0) {
            Ok(()) => Ok(true),
            Err(failure) if failure.reason == Reason::OutOfBudget => Err(failure),
            Err(failure) => {
                let mut path = self.way(child);
                path.push(Arc::clone(issuer));
                self.note(failure, path);
                Ok(false)
            }
        }
    }

    fn check_edge(
        &mut self,
        issuer: &Certificate,
        seat: Seat,
        certificate: &Certificate,
        is_leaf: bool,
    ) -> Result<(), Distrust> {
        check_signature_kind(certificate)?;
        if !self.work.is_signed(certificate, issuer)? {
            let what = format!(
                "not signed by the key of {} (RFC 5280 §6.1.3)",
                issuer.subject_text()
            );
            return Err(distrust(Reason::BadIssuerSignature, certificate, &what));
        }
        let Question { rules, now, .. } = self.question;
        // Of an issuer below an anchor this was checked when it was itself the child.
        if seat == Seat::Anchor {
            check_issuer(issuer, seat, rules, now)?;
        }
        if is_leaf {
            Ok(())
        } else {
            check_issuer(certificate, Seat::BelowAnchor, rules, now)
        }
    }

    /// Climbs over checked edges; `trail` holds the way from the leaf, which is first.
    fn climb(&mut self, trail: &mut Vec<usize>) -> Option<Path> {
        let top = *trail.last()?;
        for anchor in self.node(top).anchors.clone() {
            match self.validate(trail, anchor) {
                Ok(path) => return Some(path),
                Err(failure) => self.note(failure.why, failure.path),
            }
        }
        for issuer in self.node(top).issuers.clone() {
            if self.is_on(trail, issuer) {
                continue;
            }
            // `trail` counts the leaf and the issuer takes one more place.
            let limit = match self.work.step() {
                Ok(()) if trail.len() <= PATH_DEPTH_MAX => None,
                Ok(()) => Some(over("certificates between leaf and anchor", PATH_DEPTH_MAX)),
                Err(limit) => Some(limit),
            };
            if let Some(limit) = limit {
                self.note(limit, self.trail(trail));
                return None;
            }
            trail.push(issuer);
            let found = self.climb(trail);
            trail.pop();
            let spent = self.paths > PATHS_MAX || self.work.steps > PATH_STEPS_MAX;
            if found.is_some() || spent {
                return found;
            }
        }
        None
    }

    /// RFC 4158 §2.4.2: the same name with the same key twice in one path is a loop (G-036).
    fn is_on(&self, trail: &[usize], issuer: usize) -> bool {
        let new = self.certificate(issuer);
        trail.iter().any(|index| {
            let old = self.certificate(*index);
            *index == issuer || (old.key_id == new.key_id && old.subject_name == new.subject_name)
        })
    }

    fn trail(&self, trail: &[usize]) -> Vec<Arc<Certificate>> {
        let certificate = |index: &usize| Arc::clone(self.certificate(*index));
        trail.iter().map(certificate).collect()
    }

    fn validate(&mut self, trail: &[usize], anchor: &'a Arc<Certificate>) -> Result<Path, Failure> {
        let mut path = self.trail(trail);
        path.push(Arc::clone(anchor));
        match self.check_path(&path) {
            Ok(notes) => Ok(Path::of(path, anchor, notes)),
            Err(why) => Err(Failure { why, path }),
        }
    }

    /// `path`: leaf first. Gives what was let pass.
    fn check_path(&mut self, path: &[Arc<Certificate>]) -> Result<Vec<String>, Distrust> {
        self.paths += 1;
        self.work.paths = self.work.paths.saturating_add(1);
        if self.paths > PATHS_MAX {
            return Err(over("complete paths", PATHS_MAX));
        }
        let chain: Vec<&Certificate> = path.iter().rev().map(|one| &**one).collect();
        check_chain(&chain, self.question.rules, self.work)?;
        self.question.rules.filter.check(path)?;
        revocation::check(path, &self.question, self.work, self.under_way)
    }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
