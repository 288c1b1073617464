//! What would change if a bundle's new content were applied. In: fingerprints before and after. Out: what
//! comes and goes, an id by which it can be approved, and whether it is a loss that an operator must see
//! first (D-014). Pure.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::crypto::{hex, sha256};

/// The difference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Fingerprints.
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub kept: usize,
}

impl Change {
    /// From one set to another.
    pub fn between<'f>(
        before: impl IntoIterator<Item = &'f String>,
        after: impl IntoIterator<Item = &'f String>,
    ) -> Self {
        let (before, after): (BTreeSet<_>, BTreeSet<_>) =
            (before.into_iter().collect(), after.into_iter().collect());
        let only = |one: &BTreeSet<&String>, other: &BTreeSet<&String>| {
            one.difference(other)
                .map(|print| (*print).clone())
                .collect()
        };
        Self {
            added: only(&after, &before),
            removed: only(&before, &after),
            kept: before.intersection(&after).count(),
        }
    }

    /// Nothing comes or goes.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    /// SHA-256 over the bundle's name and every line of the difference: what is approved is what was shown.
    pub fn id(&self, bundle: &str) -> String {
        let mut text = format!("{bundle}\n");
        for (sign, prints) in [('+', &self.added), ('-', &self.removed)] {
            for print in prints {
                text.push_str(&format!("{sign}{print}\n"));
            }
        }
        hex(&sha256(text.as_bytes()))
    }

    /// Why it must not be applied by itself; None: it may.
    pub fn doubt(&self, drop_percent: u32) -> Option<String> {
        let (removed, before) = (
            self.removed.len(),
            self.removed.len().saturating_add(self.kept),
        );
        if self.kept == 0 && self.added.is_empty() {
            return Some("it would leave no anchor at all".to_owned());
        }
        let percent = usize::try_from(drop_percent).unwrap_or(usize::MAX);
        let over = removed.saturating_mul(100) > before.saturating_mul(percent);
        (removed > 0 && over).then(|| {
            format!("{removed} of {before} anchors would go, more than {drop_percent} % at once")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prints(names: &str) -> Vec<String> {
        names.chars().map(String::from).collect()
    }

    #[test]
    fn a_loss_over_the_threshold_or_an_empty_set_waits_and_the_rest_does_not() {
        for (before, after, percent, doubt) in [
            ("", "a", 20, false),
            ("abcde", "abcd", 20, false),
            ("abcde", "abc", 20, true),
            ("abcde", "abcdefgh", 0, false),
            ("abcde", "abcdfgh", 0, true),
            ("abcde", "fghij", 20, true),
            ("a", "", 100, true),
            ("ab", "a", 100, false),
            ("", "", 100, true),
        ] {
            let change = Change::between(&prints(before), &prints(after));
            assert_eq!(
                change.doubt(percent).is_some(),
                doubt,
                "{before} {after} {percent}"
            );
        }
    }

    #[test]
    fn the_id_changes_with_every_line_and_the_name() {
        let (old, new) = (prints("ab"), prints("bc"));
        let id = Change::between(&old, &new).id("x");
        assert_eq!(id, Change::between(&old, &new).id("x"));
        assert_ne!(id, Change::between(&old, &new).id("y"));
        assert_ne!(id, Change::between(&new, &old).id("x"));
        assert_ne!(id, Change::between(&old, &prints("bcd")).id("x"));
    }
}
