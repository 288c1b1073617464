//! Certificate policies along a path (RFC 5280 §6.1, with the graph of RFC 9618 instead of a tree; G-034).
//! In: the certificates below the anchor, in order, and the policies that are asked for. Out: whether an
//! acceptable policy holds where one is demanded. Of the graph only the last level is kept: each node knows
//! which of the acceptable policies it descends from, so that no way back is needed. Its size is bounded.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits::{POLICY_NODES_MAX, POLICY_WORK_MAX};

use super::Certificate;
use super::oid::Oid;
use super::rules::{PolicyRules, Switch};

/// Why a path fails here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PolicyFault {
    /// A rule is broken, in words.
    Broken(String),
    /// A certificate maps what must not be mapped, in words.
    Form(String),
    /// More than this many of these.
    OverLimit(&'static str, usize),
}

/// One node of the last level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    /// expected_policy_set.
    expected: BTreeSet<Oid>,
    /// Which acceptable policies it descends from: those whose parent is anyPolicy (RFC 9618 §5.4).
    roots: BTreeSet<Oid>,
}

/// The valid policies of one level; `any` is the node of anyPolicy.
#[derive(Debug, Default)]
struct Level {
    any: bool,
    nodes: BTreeMap<Oid, Node>,
}

/// The state variables of RFC 5280 §6.1.2.
#[derive(Debug)]
pub(super) struct Policies<'r> {
    explicit: u32,
    mapping: u32,
    inhibit_any: u32,
    rules: &'r PolicyRules,
    /// None: the valid_policy_graph is NULL.
    level: Option<Level>,
    /// Policies and mappings read and nodes made so far, all levels.
    made: usize,
    /// How many of them there may be.
    left: usize,
}

impl<'r> Policies<'r> {
    /// For a path of `length` certificates below the anchor. What the anchor's certificate demands holds,
    /// too (RFC 5937 §3.2).
    pub fn begin(length: usize, anchor: &Certificate, rules: &'r PolicyRules, left: usize) -> Self {
        let counter = u32::try_from(length).unwrap_or(u32::MAX).saturating_add(1);
        // RFC 5280 §6.1.2 (d) to (f).
        let begin = |switch: Switch| match switch {
            Switch::On => 0,
            Switch::Off => counter,
        };
        let any = Level {
            any: true,
            nodes: BTreeMap::new(),
        };
        let mut state = Self {
            explicit: begin(rules.explicit),
            mapping: begin(rules.inhibit_mapping),
            inhibit_any: begin(rules.inhibit_any),
            rules,
            level: Some(any),
            made: 1,
            left,
        };
        state.tighten(anchor);
        state
    }

    /// What was read and made so far.
    pub fn made(&self) -> usize {
        self.made
    }

    /// Books work. Before it is done: a certificate can hold thousands of mappings, and lie on many paths.
    fn spend(&mut self, count: usize) -> Result<(), PolicyFault> {
        self.made = self.made.saturating_add(count);
        if self.made > self.left {
            let what = "certificate policies and mappings in all paths";
            return Err(PolicyFault::OverLimit(what, POLICY_WORK_MAX));
        }
        Ok(())
    }

    /// RFC 5280 §6.1.3 (d) to (f).
    pub fn check(&mut self, certificate: &Certificate, last: bool) -> Result<(), PolicyFault> {
        self.level = match (certificate.policies(), self.level.take()) {
            (Some(policies), Some(level)) => {
                self.spend(policies.len().max(level.width()))?;
                let any = self.inhibit_any > 0 || (!last && certificate.is_self_issued());
                level.next(policies, any, self.rules)?
            }
            _ => None,
        };
        self.demand()
    }

    /// RFC 5280 §6.1.4 (a), (b), (h) to (j): the certificate is an issuer.
    pub fn descend(&mut self, certificate: &Certificate) -> Result<(), PolicyFault> {
        let mappings = &certificate.extensions.policy_mappings;
        if mappings
            .iter()
            .any(|(from, to)| from.is_any_policy() || to.is_any_policy())
        {
            return Err(PolicyFault::Form(
                "it maps anyPolicy (RFC 5280 §6.1.4 (a))".to_owned(),
            ));
        }
        self.map(mappings)?;
        if !certificate.is_self_issued() {
            self.explicit = self.explicit.saturating_sub(1);
            self.mapping = self.mapping.saturating_sub(1);
            self.inhibit_any = self.inhibit_any.saturating_sub(1);
        }
        self.tighten(certificate);
        Ok(())
    }

    /// RFC 5280 §6.1.5 (a), (b), (g): the certificate is the leaf.
    pub fn finish(mut self, leaf: &Certificate) -> Result<(), PolicyFault> {
        self.explicit = self.explicit.saturating_sub(1);
        if leaf.extensions.require_explicit_policy == Some(0) {
            self.explicit = 0;
        }
        // RFC 9618 §5.4: the user-constrained-policy-set is empty.
        let acceptable = &self.rules.acceptable;
        let fits = |level: &Level| {
            acceptable.is_empty()
                || acceptable.iter().any(Oid::is_any_policy)
                || level.any
                || level.nodes.values().any(|node| !node.roots.is_empty())
        };
        self.level = self.level.take().filter(fits);
        self.demand()
    }

    fn tighten(&mut self, certificate: &Certificate) {
        let found = &certificate.extensions;
        self.explicit = self
            .explicit
            .min(found.require_explicit_policy.unwrap_or(u32::MAX));
        self.mapping = self
            .mapping
            .min(found.inhibit_policy_mapping.unwrap_or(u32::MAX));
        self.inhibit_any = self
            .inhibit_any
            .min(found.inhibit_any_policy.unwrap_or(u32::MAX));
    }

    fn demand(&self) -> Result<(), PolicyFault> {
        if self.explicit > 0 || self.level.is_some() {
            return Ok(());
        }
        let rule = "a certificate policy is demanded and none that is acceptable holds \
                    (RFC 5280 §6.1.3 (f), §6.1.5 (g))";
        Err(PolicyFault::Broken(rule.to_owned()))
    }

    /// RFC 5280 §6.1.4 (b).
    fn map(&mut self, mappings: &[(Oid, Oid)]) -> Result<(), PolicyFault> {
        self.spend(mappings.len())?;
        let Some(level) = self.level.as_mut() else {
            return Ok(());
        };
        let mut mapped: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (from, to) in mappings {
            mapped.entry(from).or_default().insert(to.clone());
        }
        for (from, to) in mapped {
            if self.mapping == 0 {
                level.nodes.remove(from);
            } else if let Some(node) = level.nodes.get_mut(from) {
                node.expected = to;
            } else if level.any {
                let roots = root(from, self.rules);
                let expected = to;
                level.nodes.insert(from.clone(), Node { expected, roots });
            }
        }
        level.check_size()?;
        if level.is_empty() {
            self.level = None;
        }
        Ok(())
    }
}

/// A policy whose parent is anyPolicy descends from itself, if it is one that is asked for.
fn root(policy: &Oid, rules: &PolicyRules) -> BTreeSet<Oid> {
    Some(policy)
        .filter(|policy| rules.acceptable.contains(*policy))
        .into_iter()
        .cloned()
        .collect()
}

impl Level {
    fn is_empty(&self) -> bool {
        !self.any && self.nodes.is_empty()
    }

    fn check_size(&self) -> Result<(), PolicyFault> {
        if self.width() > POLICY_NODES_MAX {
            let what = "certificate policies at one level";
            return Err(PolicyFault::OverLimit(what, POLICY_NODES_MAX));
        }
        Ok(())
    }

    /// How many policies its nodes hold.
    fn width(&self) -> usize {
        let width = |node: &Node| node.expected.len().max(node.roots.len());
        self.nodes.values().map(width).sum()
    }

    /// RFC 5280 §6.1.3 (d): the level below, given a certificate's policies.
    fn next(
        self,
        policies: &[Oid],
        any_allowed: bool,
        rules: &PolicyRules,
    ) -> Result<Option<Self>, PolicyFault> {
        // What is expected, with what it would descend from.
        let mut expected: BTreeMap<Oid, BTreeSet<Oid>> = BTreeMap::new();
        for node in self.nodes.into_values() {
            for policy in node.expected {
                expected
                    .entry(policy)
                    .or_default()
                    .extend(node.roots.iter().cloned());
            }
        }
        let mut next = Self::default();
        let mut add = |policy: Oid, roots: BTreeSet<Oid>| {
            let expected = BTreeSet::from([policy.clone()]);
            next.nodes.insert(policy, Node { expected, roots });
        };
        for policy in policies.iter().filter(|policy| !policy.is_any_policy()) {
            match expected.remove(policy) {
                Some(roots) => add(policy.clone(), roots),
                None if self.any => add(policy.clone(), root(policy, rules)),
                None => {}
            }
        }
        if any_allowed && policies.iter().any(Oid::is_any_policy) {
            expected
                .into_iter()
                .for_each(|(policy, roots)| add(policy, roots));
            next.any = self.any;
        }
        next.check_size()?;
        Ok(Some(next).filter(|level| !level.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "1.2.3.1";
    const B: &str = "1.2.3.2";
    const ANY_POLICY: &str = "2.5.29.32.0";

    fn oids(dotted: &[&str]) -> Vec<Oid> {
        let oid = |text: &&str| Oid::parse(text).expect("an OID");
        dotted.iter().map(oid).collect()
    }

    fn pairs() -> Vec<(Oid, Oid)> {
        oids(&[A]).into_iter().zip(oids(&[B])).collect()
    }

    static ANY: PolicyRules = PolicyRules {
        acceptable: BTreeSet::new(),
        explicit: Switch::Off,
        inhibit_mapping: Switch::Off,
        inhibit_any: Switch::Off,
    };

    fn top() -> Level {
        Level {
            any: true,
            nodes: BTreeMap::new(),
        }
    }

    #[test]
    fn a_policy_holds_only_if_every_level_names_it_or_any_policy() {
        let first = top()
            .next(&oids(&[A]), true, &ANY)
            .expect("small")
            .expect("not empty");
        let both = first
            .next(&oids(&[A, B]), true, &ANY)
            .expect("small")
            .expect("not empty");
        assert_eq!(
            both.nodes.keys().collect::<Vec<_>>(),
            oids(&[A]).iter().collect::<Vec<_>>()
        );
        assert!(both.next(&oids(&[B]), true, &ANY).expect("small").is_none());
        let any = top()
            .next(&oids(&[ANY_POLICY]), true, &ANY)
            .expect("small")
            .expect("not empty");
        assert!(any.next(&oids(&[B]), true, &ANY).expect("small").is_some());
        assert!(
            top()
                .next(&oids(&[ANY_POLICY]), false, &ANY)
                .expect("small")
                .is_none()
        );
    }

    #[test]
    fn mapping_replaces_what_is_expected_below_or_removes_it_where_inhibited() {
        let at = |mapping| Policies {
            explicit: 0,
            mapping,
            inhibit_any: 1,
            rules: &ANY,
            made: 0,
            left: 100,
            level: top().next(&oids(&[A]), true, &ANY).expect("small"),
        };
        let mut mapped = at(1);
        assert_eq!(mapped.map(&pairs()), Ok(()));
        let level = mapped.level.take().expect("not empty");
        assert!(
            level
                .next(&oids(&[B]), true, &ANY)
                .expect("small")
                .is_some()
        );
        let mut inhibited = at(0);
        assert_eq!(inhibited.map(&pairs()), Ok(()));
        assert!(inhibited.level.is_none());
        assert!(inhibited.demand().is_err());
    }

    #[test]
    fn more_policies_than_the_limit_are_no_verdict() {
        let oid = |n: usize| Oid::parse(&format!("1.2.3.{n}")).expect("an OID");
        let many: Vec<_> = (0..=POLICY_NODES_MAX).map(oid).collect();
        assert_eq!(
            top().next(&many, true, &ANY).err(),
            Some(PolicyFault::OverLimit(
                "certificate policies at one level",
                POLICY_NODES_MAX
            ))
        );
    }

    #[test]
    fn what_is_mapped_descends_from_the_policy_above_and_only_that_is_asked_for() {
        for (acceptable, fine) in [(A, true), (B, false), (ANY_POLICY, true)] {
            let rules = PolicyRules {
                acceptable: oids(&[acceptable]).into_iter().collect(),
                ..PolicyRules::default()
            };
            let level = top().next(&oids(&[A]), true, &rules).expect("small");
            let mut state = Policies {
                explicit: 0,
                mapping: 1,
                inhibit_any: 1,
                rules: &rules,
                level,
                made: 0,
                left: 100,
            };
            state.map(&pairs()).expect("small");
            let level = state.level.take().expect("not empty");
            let last = level.next(&oids(&[B]), true, &rules).expect("small");
            let last = last.expect("not empty");
            let rooted = last.nodes.values().any(|node| !node.roots.is_empty());
            assert_eq!(rooted || acceptable == ANY_POLICY, fine, "{acceptable}");
        }
    }
}
