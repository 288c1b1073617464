//! Paths that were found valid, for as long as nothing that they rest on changes. In: a question. Out: the
//! path that an earlier, equal question was answered with. Lives inside an [`super::AnchorSet`], which is
//! replaced as a whole when anchors, profiles or filters change: what is taken out is forgotten at once.
//! Refusals are never remembered, and no status is: whoever finds a path here asks for its status anew, for
//! what speaks against a certificate must count at once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::limits::VERDICTS_REMEMBERED_MAX;
use crate::world::Timestamp;

use super::Certificate;
use super::path::{Path, Question};
use super::rules::{RevocationMode, Rules};

/// The paths that were found below one set of anchors.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    by_leaf: HashMap<[u8; 32], Vec<Known>>,
    /// The leafs in the order in which they came; the first is forgotten first.
    order: VecDeque<[u8; 32]>,
}

/// One answer.
#[derive(Debug)]
struct Known {
    rules: Rules,
    /// Every certificate of the path is valid between these.
    from: Timestamp,
    until: Timestamp,
    path: Path,
}

impl Remembered {
    /// The path of an equal question that holds now.
    pub fn find(&self, leaf: &Certificate, question: &Question<'_>) -> Option<Path> {
        let now = question.now;
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = inner.by_leaf.get(&leaf.fingerprint())?;
        let fits = |known: &&Known| {
            known.from <= now && now <= known.until && known.rules == *question.rules
        };
        let found = known.iter().find(fits).map(|known| &known.path)?;
        has_its_status_above(found, question).then(|| found.clone())
    }

    /// Remembers a path that was found. Of one leaf as many as there are rules to ask by.
    pub fn keep(&self, leaf: &Certificate, question: &Question<'_>, path: &Path) {
        if !has_its_status_above(path, question) {
            return;
        }
        let certificates = path.certificates();
        let from = certificates.iter().map(|one| one.not_before()).max();
        let until = certificates.iter().map(|one| one.not_after()).min();
        let (Some(from), Some(until)) = (from, until) else {
            return;
        };
        let known = Known {
            rules: question.rules.clone(),
            from,
            until,
            path: path.with_notes(Vec::new()),
        };
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = leaf.fingerprint();
        if !inner.by_leaf.contains_key(&id) {
            if inner.order.len() >= VERDICTS_REMEMBERED_MAX
                && let Some(oldest) = inner.order.pop_front()
            {
                inner.by_leaf.remove(&oldest);
            }
            inner.order.push_back(id);
        }
        let beside = inner.by_leaf.entry(id).or_default();
        beside.retain(|other| other.rules != known.rules);
        beside.push(known);
    }
}

/// The status of a leaf that is itself the anchor is told by certificates beside the path.
fn has_its_status_above(path: &Path, question: &Question<'_>) -> bool {
    path.certificates().len() > 1 || question.rules.revocation == RevocationMode::Off
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::trust::testing::*;
    use crate::trust::{AnchorSet, Evidence, PathPurpose, Work, build_path_within};

    #[test]
    fn a_remembered_path_costs_nothing_and_ends_with_the_first_of_its_certificates() {
        let root = Make::ca("Root").by_itself();
        let short = Make {
            not_after: NOW.plus(DAY / 2),
            ..Make::ca("CA")
        };
        let ca = short.by(&root);
        let leaf = Make::leaf(&[(1, "ann@d.example")]).by(&ca).certificate;
        let anchors = AnchorSet::new([Arc::clone(&root.certificate)]);
        let bag = [Arc::clone(&ca.certificate)];
        let ask = |anchors: &AnchorSet, rules: &Rules, now: Timestamp, bag: &[Arc<Certificate>]| {
            let question = Question {
                bag,
                anchors,
                rules,
                evidence: &Evidence::default(),
                now,
            };
            let mut work = Work::default();
            let found = build_path_within(&leaf, &question, &mut work);
            (found.is_ok(), work.signature_checks())
        };
        let sign = Rules::direct(PathPurpose::Sign);
        assert_eq!(ask(&anchors, &sign, NOW, &bag), (true, 2));
        assert_eq!(ask(&anchors, &sign, NOW, &bag), (true, 0));
        // What is known of a path is known without the certificates that came along, too.
        assert_eq!(ask(&anchors, &sign, NOW, &[]), (true, 0));
        // Other rules, another time, another set of anchors: asked anew.
        let encrypt = Rules::direct(PathPurpose::Encrypt);
        assert_eq!(ask(&anchors, &encrypt, NOW, &bag), (true, 2));
        assert!(!ask(&anchors, &sign, NOW.plus(DAY), &bag).0);
        assert!(!ask(&anchors, &sign, NOW.minus(DAY * 2), &bag).0);
        let without = AnchorSet::new([]);
        assert!(!ask(&without, &sign, NOW, &bag).0);
        let hard = Rules {
            revocation: RevocationMode::Hard,
            ..sign.clone()
        };
        assert!(!ask(&anchors, &hard, NOW, &bag).0);
        assert_eq!(ask(&anchors, &sign, NOW, &bag), (true, 0));
    }

    #[test]
    fn the_oldest_leaf_is_forgotten_first() {
        let root = Make::ca("Root").by_itself();
        let anchors = AnchorSet::new([Arc::clone(&root.certificate)]);
        let rules = Rules::direct(PathPurpose::Sign);
        let question = Question {
            bag: &[],
            anchors: &anchors,
            rules: &rules,
            evidence: &Evidence::default(),
            now: NOW,
        };
        let made = Make::leaf(&[(1, "ann@d.example")]).by(&root).certificate;
        let mut work = Work::default();
        let path = build_path_within(&made, &question, &mut work).expect("trusted");
        let remembered = Remembered::default();
        let leafs = (0..=VERDICTS_REMEMBERED_MAX).map(|n| u32::try_from(n).expect("small"));
        let leafs: Vec<_> = leafs.map(|n| made.renamed(n)).collect();
        for leaf in &leafs {
            remembered.keep(leaf, &question, &path);
            remembered.keep(leaf, &question, &path);
        }
        let found = |at: usize| remembered.find(&leafs[at], &question).is_some();
        assert_eq!(
            (found(0), found(1), found(VERDICTS_REMEMBERED_MAX)),
            (false, true, true)
        );
    }
}
