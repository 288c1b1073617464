//! Building and validating a path from a certificate to an anchor (RFC 5280 §6; A-083).
//! In: a leaf, the certificates that came along, anchors, a time. Out: a [`Path`], or the most telling
//! reason why there is none.
//!
//! The search goes down before it goes up: from the anchors it checks the signature of every edge that could
//! matter, once, and only below issuers that are fit; then it climbs from the leaf over checked edges, with
//! back-tracking, and validates each complete chain. So the costly work is bounded by edges and not by
//! paths, and a bag without an anchor costs nothing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::journal::Reason;
use crate::limits::{
    NAME_COMPARISONS_MAX, PATH_DEPTH_MAX, PATH_STEPS_MAX, PATHS_MAX, SIGNATURE_CHECKS_MAX,
};
use crate::world::Timestamp;

use super::chain::{check_chain, check_issuer, check_leaf, check_signature_kind, distrust, over};
use super::{AnchorId, AnchorSet, Certificate, Distrust};

/// What the leaf is to be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathPurpose {
    /// It signed a message.
    Sign,
    /// We encrypt for it.
    Encrypt,
}

/// A validated path. Made only by [`build_path`].
#[derive(Clone, Debug)]
pub struct Path {
    anchor: AnchorId,
    /// Subjects, leaf first, anchor last.
    subjects: Vec<String>,
}

impl Path {
    pub fn anchor(&self) -> AnchorId {
        self.anchor
    }

    pub fn subjects(&self) -> &[String] {
        &self.subjects
    }
}

/// What one judgment has cost so far, and which signatures it has checked. Shared by all its paths.
#[derive(Debug, Default)]
pub struct Work {
    /// (certificate, issuer's key) -> whether the signature is right.
    checked: HashMap<([u8; 32], [u8; 32]), bool>,
    comparisons: usize,
    steps: usize,
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

    /// Whether `issuer` signed `certificate`; each pair is checked once.
    fn is_signed(
        &mut self,
        certificate: &Certificate,
        issuer: &Certificate,
    ) -> Result<bool, Distrust> {
        let pair = (certificate.fingerprint(), issuer.key_id);
        if let Some(known) = self.checked.get(&pair) {
            return Ok(*known);
        }
        if self.checked.len() >= SIGNATURE_CHECKS_MAX {
            return Err(over("signature checks", SIGNATURE_CHECKS_MAX));
        }
        let right = certificate.is_signed_by(issuer);
        self.checked.insert(pair, right);
        Ok(right)
    }
}

/// Finds a valid path from `leaf` through `bag` to an anchor. Tries all candidate paths within the budgets
/// of `limits.rs`; each signature check is done once. On failure the most telling reason of all tried paths
/// is given.
///
/// # Errors
/// [`Distrust`].
pub fn build_path(
    leaf: &Arc<Certificate>,
    bag: &[Arc<Certificate>],
    anchors: &AnchorSet,
    purpose: PathPurpose,
    now: Timestamp,
) -> Result<Path, Distrust> {
    build_path_within(leaf, bag, anchors, purpose, now, &mut Work::default())
}

/// As [`build_path`], within what `work` has left.
///
/// # Errors
/// [`Distrust`].
pub fn build_path_within(
    leaf: &Arc<Certificate>,
    bag: &[Arc<Certificate>],
    anchors: &AnchorSet,
    purpose: PathPurpose,
    now: Timestamp,
    work: &mut Work,
) -> Result<Path, Distrust> {
    check_leaf(leaf, purpose, now)?;
    // a leaf among the anchors vouches for itself, but only after the checks above.
    if anchors.contains(leaf) {
        return Ok(Path {
            anchor: AnchorId(leaf.fingerprint()),
            subjects: vec![leaf.subject_text().to_owned()],
        });
    }
    check_signature_kind(leaf)?;
    let mut search = Search {
        now,
        work,
        worst: None,
        paths: 0,
        nodes: Vec::new(),
    };
    search.gather(leaf, bag, anchors);
    search.descend(anchors);
    let found = search.climb(&mut vec![0]);
    found.ok_or_else(|| search.worst.unwrap_or_else(|| no_path(leaf, anchors)))
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
        Reason::OutOfBudget => 9,
        Reason::PathTooLong | Reason::NameConstraint | Reason::WrongUsage | Reason::LeafIsCa => 8,
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
}

struct Search<'a, 'w> {
    now: Timestamp,
    work: &'w mut Work,
    /// The most telling failure so far.
    worst: Option<Distrust>,
    /// Complete chains validated.
    paths: usize,
    /// The leaf first.
    nodes: Vec<Node<'a>>,
}

impl<'a> Search<'a, '_> {
    fn note(&mut self, failure: Distrust) {
        let known = self.worst.as_ref().map_or(0, |known| telling(known.reason));
        if telling(failure.reason) > known {
            self.worst = Some(failure);
        }
    }

    /// Collects the certificates of the bag that names connect with the leaf.
    fn gather(
        &mut self,
        leaf: &'a Arc<Certificate>,
        bag: &'a [Arc<Certificate>],
        anchors: &AnchorSet,
    ) {
        let mut seen = HashSet::from([leaf.fingerprint()]);
        self.nodes.push(Node {
            certificate: leaf,
            anchors: Vec::new(),
            issuers: Vec::new(),
        });
        let mut next = 0;
        while let Some(node) = self.nodes.get(next) {
            let below = node.certificate;
            if !self.work.compare(bag.len()) {
                return self.note(over("name comparisons", NAME_COMPARISONS_MAX));
            }
            let fits = |other: &&Arc<Certificate>| {
                other.subject_name == below.issuer_name && !anchors.contains(other)
            };
            for certificate in bag.iter().filter(fits) {
                if seen.insert(certificate.fingerprint()) {
                    self.nodes.push(Node {
                        certificate,
                        anchors: vec![],
                        issuers: vec![],
                    });
                }
            }
            next += 1;
        }
    }

    /// Checks edges from the anchors down, each once; stops at the first limit.
    fn descend(&mut self, anchors: &'a AnchorSet) {
        if let Err(limit) = self.try_descend(anchors) {
            self.note(limit);
        }
    }

    fn try_descend(&mut self, anchors: &'a AnchorSet) -> Result<(), Distrust> {
        let mut reached = HashSet::new();
        let mut queue = VecDeque::new();
        for child in 0..self.nodes.len() {
            for anchor in anchors.issuers_of(self.certificate(child)) {
                if self.join(anchor, child)? {
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
                if child != issuer && self.join(certificate, child)? {
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
        let named = |index: &usize| self.certificate(*index).issuer_name == issuer.subject_name;
        let mut children: Vec<usize> = (0..self.nodes.len()).filter(named).collect();
        children.sort_by_key(|index| !self.certificate(*index).points_to(issuer));
        children
    }

    /// Whether `issuer` may have issued `child` and did, and `child` (if not the leaf) may issue in turn.
    fn join(&mut self, issuer: &'a Arc<Certificate>, child: usize) -> Result<bool, Distrust> {
        self.work.step()?;
        let certificate = self.certificate(child);
        match self.check_edge(issuer, certificate, child == 0) {
            Ok(()) => Ok(true),
            Err(failure) if failure.reason == Reason::OutOfBudget => Err(failure),
            Err(failure) => {
                self.note(failure);
                Ok(false)
            }
        }
    }

    fn check_edge(
        &mut self,
        issuer: &Certificate,
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
        // Of an issuer below an anchor this was checked when it was itself the child.
        check_issuer(issuer, self.now)?;
        if is_leaf {
            Ok(())
        } else {
            check_issuer(certificate, self.now)
        }
    }

    /// Climbs over checked edges; `trail` holds the way from the leaf, which is first.
    fn climb(&mut self, trail: &mut Vec<usize>) -> Option<Path> {
        let top = *trail.last()?;
        for anchor in self.node(top).anchors.clone() {
            match self.validate(trail, anchor) {
                Ok(path) => return Some(path),
                Err(failure) => self.note(failure),
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
                self.note(limit);
                return None;
            }
            trail.push(issuer);
            let found = self.climb(trail);
            trail.pop();
            if found.is_some() || self.paths > PATHS_MAX {
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

    fn validate(
        &mut self,
        trail: &[usize],
        anchor: &'a Arc<Certificate>,
    ) -> Result<Path, Distrust> {
        self.paths += 1;
        if self.paths > PATHS_MAX {
            return Err(over("complete paths", PATHS_MAX));
        }
        let below = trail.iter().rev().map(|index| &**self.certificate(*index));
        let chain: Vec<&Certificate> = std::iter::once(&**anchor).chain(below).collect();
        check_chain(&chain, self.work)?;
        Ok(Path {
            anchor: AnchorId(anchor.fingerprint()),
            subjects: chain
                .iter()
                .rev()
                .map(|one| one.subject_text().to_owned())
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests;
