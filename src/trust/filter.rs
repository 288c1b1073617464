//! Certificate policy filters: what an operator asks of certificates beyond a valid path. In: a
//! path and a [`Filter`]. Out: nothing, or the rule that is broken, by its name, with the values. Pure, and
//! an empty filter asks for nothing. Policies are those that the leaf asserts; for one that must hold along
//! the path there are [`super::PolicyRules`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::journal::Reason;

use super::chain::distrust;
use super::oid::Oid;
use super::{Certificate, Distrust, KeyUsage};

/// Which kinds of key there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyAlgorithm {
    Rsa,
    P256,
    P384,
}

/// Bits of keyUsage that a filter can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Usage {
    DigitalSignature,
    NonRepudiation,
    KeyEncipherment,
    KeyAgreement,
}

/// What is asked. Each field is a rule of its own, and asks for nothing if it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// `policy.required`: the leaf asserts one of these.
    pub required_policies: BTreeSet<Oid>,
    /// `policy.refused`: no certificate below the anchor asserts one of these.
    pub refused_policies: BTreeSet<Oid>,
    /// `key.algorithm`: every certificate below the anchor has a key of one of these kinds.
    pub key_algorithms: BTreeSet<KeyAlgorithm>,
    /// `key.size`: RSA moduli below the anchor have at least so many bits.
    pub rsa_bits_min: Option<u32>,
    /// `usage.required`: the leaf has keyUsage with all of these.
    pub required_usage: BTreeSet<Usage>,
    /// `usage.refused`: the leaf has keyUsage with none of these; one without keyUsage allows them all.
    pub refused_usage: BTreeSet<Usage>,
    /// `validity.max`: the leaf is valid for no longer than this, from first to last moment.
    pub validity_max: Option<Duration>,
}

impl Filter {
    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// `path`: leaf first, anchor last; a leaf that is an anchor stands alone.
    pub(super) fn check(&self, path: &[Arc<Certificate>]) -> Result<(), Distrust> {
        if self.is_empty() {
            return Ok(());
        }
        let Some(leaf) = path.first() else {
            return Ok(());
        };
        let below = path.len().saturating_sub(1).max(1);
        for one in path.iter().take(below) {
            self.check_refused(one)?;
            self.check_key(one)?;
        }
        self.check_required(leaf)?;
        self.check_usage(leaf)?;
        self.check_validity(leaf)
    }

    fn check_required(&self, leaf: &Certificate) -> Result<(), Distrust> {
        let wanted = &self.required_policies;
        let has = |oid: &Oid| wanted.contains(oid);
        if wanted.is_empty() || leaf.policies().unwrap_or_default().iter().any(has) {
            return Ok(());
        }
        let found = list(leaf.policies().unwrap_or_default());
        let what = format!("it asserts {found}, not one of {}", list(wanted));
        broken("policy.required", leaf, &what)
    }

    fn check_refused(&self, one: &Certificate) -> Result<(), Distrust> {
        let refused = |oid: &&Oid| self.refused_policies.contains(*oid);
        match one.policies().unwrap_or_default().iter().find(refused) {
            None => Ok(()),
            Some(oid) => broken("policy.refused", one, &format!("it asserts {oid}")),
        }
    }

    fn check_key(&self, one: &Certificate) -> Result<(), Distrust> {
        let kind = match one.public_key() {
            Ok(key) if key.is_rsa() => Some(KeyAlgorithm::Rsa),
            Ok(key) if key.bits() == 256 => Some(KeyAlgorithm::P256),
            Ok(_) => Some(KeyAlgorithm::P384),
            Err(_) => None,
        };
        let allowed = &self.key_algorithms;
        if !allowed.is_empty() && !kind.is_some_and(|kind| allowed.contains(&kind)) {
            let what = format!("its key is {}, not one of {allowed:?}", one.key_text());
            return broken("key.algorithm", one, &what);
        }
        let bits = one.public_key().map_or(0, |key| key.bits());
        match self.rsa_bits_min {
            Some(least) if kind == Some(KeyAlgorithm::Rsa) && bits < least => {
                let what = format!("its key has {bits} bits, fewer than {least}");
                broken("key.size", one, &what)
            }
            _ => Ok(()),
        }
    }

    fn check_usage(&self, leaf: &Certificate) -> Result<(), Distrust> {
        // RFC 5280 §4.2.1.3: without keyUsage a key is restricted to nothing, and is vouched for nothing.
        let usage = leaf.key_usage();
        let lacks = |bit: &&Usage| !usage.is_some_and(|usage| bit.is_in(usage));
        if let Some(bit) = self.required_usage.iter().find(lacks) {
            return broken("usage.required", leaf, &format!("keyUsage lacks {bit:?}"));
        }
        let allows = |bit: &&Usage| usage.is_none_or(|usage| bit.is_in(usage));
        match self.refused_usage.iter().find(allows) {
            Some(bit) => broken("usage.refused", leaf, &format!("keyUsage allows {bit:?}")),
            None => Ok(()),
        }
    }

    fn check_validity(&self, leaf: &Certificate) -> Result<(), Distrust> {
        let length = leaf.not_after().since(leaf.not_before());
        match self.validity_max {
            Some(most) if length > most => {
                let days = |span: Duration| span.as_secs() / 86_400;
                let what = format!(
                    "it is valid for {} days, more than {}",
                    days(length),
                    days(most)
                );
                broken("validity.max", leaf, &what)
            }
            _ => Ok(()),
        }
    }
}

impl Usage {
    fn is_in(self, usage: KeyUsage) -> bool {
        match self {
            Self::DigitalSignature => usage.digital_signature,
            Self::NonRepudiation => usage.non_repudiation,
            Self::KeyEncipherment => usage.key_encipherment,
            Self::KeyAgreement => usage.key_agreement,
        }
    }
}

fn broken(rule: &str, certificate: &Certificate, what: &str) -> Result<(), Distrust> {
    let what = format!("filter rule {rule}: {what} (A-092)");
    Err(distrust(Reason::Filtered, certificate, &what))
}

fn list<'a>(oids: impl IntoIterator<Item = &'a Oid>) -> String {
    let texts: Vec<String> = oids.into_iter().map(Oid::to_string).collect();
    match texts.as_slice() {
        [] => "no policy".to_owned(),
        texts => texts.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::issue::KeyKind;
    use crate::trust::testing::*;

    fn oids(dotted: &[&str]) -> BTreeSet<Oid> {
        dotted.iter().filter_map(|text| Oid::parse(text)).collect()
    }

    /// The rule that refuses a leaf under this filter; a CA with P-384 and policy 1.2.9 stands above it.
    fn rule(filter: &Filter) -> Option<String> {
        let root = Make::ca("Root").by_itself();
        let ca = Make::ca("CA")
            .key(&key(KeyKind::P384))
            .with(policies(&["1.2.9"]));
        let ca = ca.by(&root);
        let leaf = Make::leaf(&[(1, "ann@d.example")])
            .key(&key(KeyKind::Rsa(2_048)))
            .with(policies(&["1.2.3", "1.2.4"]))
            .by(&ca);
        let path = [&leaf, &ca, &root].map(|made| Arc::clone(&made.certificate));
        let why = filter.check(&path).err()?;
        assert_eq!(why.reason, Reason::Filtered);
        let (_, rest) = why
            .detail
            .split_once("filter rule ")
            .expect("the rule's name");
        rest.split_once(':').map(|(name, _)| name.to_owned())
    }

    #[test]
    fn each_rule_of_a_filter_refuses_by_its_name_and_an_empty_filter_refuses_nothing() {
        let none = Filter::default;
        let days = |count: u64| Some(Duration::from_secs(count * 86_400));
        let kinds = |some: &[KeyAlgorithm]| some.iter().copied().collect();
        let bits = |some: &[Usage]| some.iter().copied().collect();
        for (filter, expected) in [
            (none(), None),
            (
                Filter {
                    required_policies: oids(&["1.2.4", "1.2.8"]),
                    ..none()
                },
                None,
            ),
            (
                Filter {
                    required_policies: oids(&["1.2.8"]),
                    ..none()
                },
                Some("policy.required"),
            ),
            (
                Filter {
                    refused_policies: oids(&["1.2.8"]),
                    ..none()
                },
                None,
            ),
            (
                Filter {
                    refused_policies: oids(&["1.2.4"]),
                    ..none()
                },
                Some("policy.refused"),
            ),
            (
                Filter {
                    refused_policies: oids(&["1.2.9"]),
                    ..none()
                },
                Some("policy.refused"),
            ),
            (
                Filter {
                    key_algorithms: kinds(&[KeyAlgorithm::Rsa, KeyAlgorithm::P384]),
                    ..none()
                },
                None,
            ),
            (
                Filter {
                    key_algorithms: kinds(&[KeyAlgorithm::Rsa]),
                    ..none()
                },
                Some("key.algorithm"),
            ),
            (
                Filter {
                    rsa_bits_min: Some(2_048),
                    ..none()
                },
                None,
            ),
            (
                Filter {
                    rsa_bits_min: Some(3_072),
                    ..none()
                },
                Some("key.size"),
            ),
            (
                Filter {
                    required_usage: bits(&[Usage::KeyEncipherment]),
                    ..none()
                },
                None,
            ),
            (
                Filter {
                    required_usage: bits(&[Usage::NonRepudiation]),
                    ..none()
                },
                Some("usage.required"),
            ),
            (
                Filter {
                    refused_usage: bits(&[Usage::NonRepudiation]),
                    ..none()
                },
                None,
            ),
            (
                Filter {
                    refused_usage: bits(&[Usage::KeyAgreement]),
                    ..none()
                },
                Some("usage.refused"),
            ),
            (
                Filter {
                    validity_max: days(2),
                    ..none()
                },
                None,
            ),
            (
                Filter {
                    validity_max: days(1),
                    ..none()
                },
                Some("validity.max"),
            ),
        ] {
            assert_eq!(rule(&filter).as_deref(), expected, "{filter:?}");
        }
    }

    #[test]
    fn a_filter_leads_to_another_path_where_there_is_one() {
        let root = Make::ca("Root").by_itself();
        let bad = Make::ca("CA").with(policies(&["1.2.9"])).by(&root);
        let good = Make::ca("CA").key(&bad.key).by(&root);
        let leaf = Make::leaf(&[(1, "ann@d.example")]).by(&bad);
        let filter = Filter {
            refused_policies: oids(&["1.2.9"]),
            ..Filter::default()
        };
        let rules = crate::trust::Rules {
            filter: Arc::new(filter),
            ..crate::trust::Rules::rfc5280()
        };
        let judge = |bag: &[&Made]| {
            let bag: Vec<_> = bag
                .iter()
                .map(|made| Arc::clone(&made.certificate))
                .collect();
            let question = crate::trust::Question {
                bag: &bag,
                anchors: &crate::trust::AnchorSet::new([Arc::clone(&root.certificate)]),
                rules: &rules,
                evidence: &crate::trust::Evidence::default(),
                now: NOW,
            };
            let found = crate::trust::build_path(&leaf.certificate, &question);
            found.err().map(|why| why.reason)
        };
        assert_eq!(judge(&[&bad, &good]), None);
        assert_eq!(judge(&[&bad]), Some(Reason::Filtered));
    }
}
