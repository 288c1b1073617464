//! Certificate policies along a path (RFC 5280 §6.1, with the graph of RFC 9618 instead of a tree; G-034).
//! In: the certificates below the anchor, in order. Out: whether an acceptable policy holds where a CA
//! demands one. Every policy is acceptable to us (user-initial-policy-set is anyPolicy), so that only the
//! last level of the graph matters: it is kept as a set, and its size is bounded.

use std::collections::{BTreeMap, BTreeSet};

use der::asn1::ObjectIdentifier;

use crate::limits::POLICY_NODES_MAX;

use super::Certificate;

/// RFC 5280 §4.2.1.4.
const ANY_POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.32.0");

/// Why a path fails here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PolicyFault {
    /// A rule is broken, in words.
    Broken(String),
    /// More policies than [`POLICY_NODES_MAX`].
    OverLimit,
}

/// The valid policies of one level, each with the policies that are expected to follow it.
#[derive(Debug, Default)]
struct Level {
    any: bool,
    nodes: BTreeMap<ObjectIdentifier, BTreeSet<ObjectIdentifier>>,
}

/// The state variables of RFC 5280 §6.1.2.
#[derive(Debug)]
pub(super) struct Policies {
    explicit: u32,
    mapping: u32,
    inhibit_any: u32,
    /// None: the valid_policy_graph is NULL.
    level: Option<Level>,
}

impl Policies {
    /// For a path of `length` certificates below the anchor. What the anchor's certificate demands holds,
    /// too (RFC 5937 §3.2).
    pub fn begin(length: usize, anchor: &Certificate) -> Self {
        let counter = u32::try_from(length).unwrap_or(u32::MAX).saturating_add(1);
        let any = Level {
            any: true,
            nodes: BTreeMap::new(),
        };
        let mut state = Self {
            explicit: counter,
            mapping: counter,
            inhibit_any: counter,
            level: Some(any),
        };
        state.tighten(anchor);
        state
    }

    /// RFC 5280 §6.1.3 (d) to (f).
    pub fn check(&mut self, certificate: &Certificate, last: bool) -> Result<(), PolicyFault> {
        self.level = match (certificate.policies(), self.level.take()) {
            (Some(policies), Some(level)) => {
                let any = self.inhibit_any > 0 || (!last && certificate.is_self_issued());
                level.next(policies, any)?
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
            .any(|(from, to)| *from == ANY_POLICY || *to == ANY_POLICY)
        {
            return Err(PolicyFault::Broken(
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
        let rule = "a CA demands a certificate policy and none holds (RFC 5280 §6.1.3 (f))";
        Err(PolicyFault::Broken(rule.to_owned()))
    }

    /// RFC 5280 §6.1.4 (b).
    fn map(
        &mut self,
        mappings: &[(ObjectIdentifier, ObjectIdentifier)],
    ) -> Result<(), PolicyFault> {
        let Some(level) = self.level.as_mut() else {
            return Ok(());
        };
        let mut mapped: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (from, to) in mappings {
            mapped.entry(*from).or_default().insert(*to);
        }
        for (from, to) in mapped {
            if self.mapping == 0 {
                level.nodes.remove(&from);
            } else if level.any || level.nodes.contains_key(&from) {
                level.nodes.insert(from, to);
            }
        }
        let width = level.nodes.values().map(BTreeSet::len).sum::<usize>();
        if width > POLICY_NODES_MAX {
            return Err(PolicyFault::OverLimit);
        }
        if level.is_empty() {
            self.level = None;
        }
        Ok(())
    }
}

impl Level {
    fn is_empty(&self) -> bool {
        !self.any && self.nodes.is_empty()
    }

    /// RFC 5280 §6.1.3 (d): the level below, given a certificate's policies.
    fn next(
        self,
        policies: &[ObjectIdentifier],
        any_allowed: bool,
    ) -> Result<Option<Self>, PolicyFault> {
        let expected: BTreeSet<ObjectIdentifier> = self.nodes.into_values().flatten().collect();
        let mut next = Self::default();
        let mut add = |policy: ObjectIdentifier| {
            next.nodes.insert(policy, BTreeSet::from([policy]));
        };
        policies
            .iter()
            .filter(|policy| **policy != ANY_POLICY && (self.any || expected.contains(policy)))
            .for_each(|policy| add(*policy));
        if any_allowed && policies.contains(&ANY_POLICY) {
            expected.into_iter().for_each(add);
            next.any = self.any;
        }
        if next.nodes.len() > POLICY_NODES_MAX {
            return Err(PolicyFault::OverLimit);
        }
        Ok(Some(next).filter(|level| !level.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.3.1");
    const B: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.3.2");

    fn top() -> Level {
        Level {
            any: true,
            nodes: BTreeMap::new(),
        }
    }

    #[test]
    fn a_policy_holds_only_if_every_level_names_it_or_any_policy() {
        let first = top().next(&[A], true).expect("small").expect("not empty");
        let both = first
            .next(&[A, B], true)
            .expect("small")
            .expect("not empty");
        assert_eq!(both.nodes.keys().collect::<Vec<_>>(), [&A]);
        assert!(both.next(&[B], true).expect("small").is_none());
        let any = top()
            .next(&[ANY_POLICY], true)
            .expect("small")
            .expect("not empty");
        assert!(any.next(&[B], true).expect("small").is_some());
        assert!(top().next(&[ANY_POLICY], false).expect("small").is_none());
    }

    #[test]
    fn mapping_replaces_what_is_expected_below_or_removes_it_where_inhibited() {
        let at = |mapping| Policies {
            explicit: 0,
            mapping,
            inhibit_any: 1,
            level: top().next(&[A], true).expect("small"),
        };
        let mut mapped = at(1);
        assert_eq!(mapped.map(&[(A, B)]), Ok(()));
        let level = mapped.level.take().expect("not empty");
        assert!(level.next(&[B], true).expect("small").is_some());
        let mut inhibited = at(0);
        assert_eq!(inhibited.map(&[(A, B)]), Ok(()));
        assert!(inhibited.level.is_none());
        assert!(inhibited.demand().is_err());
    }

    #[test]
    fn more_policies_than_the_limit_are_no_verdict() {
        let oid = |n: usize| ObjectIdentifier::new(&format!("1.2.3.{n}")).expect("an OID");
        let many: Vec<_> = (0..=POLICY_NODES_MAX).map(oid).collect();
        assert_eq!(top().next(&many, true).err(), Some(PolicyFault::OverLimit));
    }
}
