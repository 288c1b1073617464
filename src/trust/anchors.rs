//! Anchors: which certificates end a path, for whom, in which direction. A snapshot, swapped as a whole.

use std::collections::HashMap;
use std::sync::Arc;

use crate::envelope::Address;

use super::Certificate;
use super::name::Name;
use super::remembered::Remembered;
use super::rules::{RevocationMode, RevocationRules};

/// SHA-256 of an anchor's DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AnchorId(pub [u8; 32]);

impl std::fmt::Display for AnchorId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// Which way mail goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    In,
    Out,
}

/// Which edition of the Applicability Statement a domain follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// ANSI/DS 2019-01-100-2021.
    V1_3,
    /// 2015-08-03.
    V1_2,
}

impl Profile {
    pub fn word(self) -> &'static str {
        match self {
            Self::V1_3 => "v1.3",
            Self::V1_2 => "v1.2",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        [Self::V1_3, Self::V1_2]
            .into_iter()
            .find(|profile| profile.word() == word)
    }
}

/// The anchors of one name.
#[derive(Debug, Default)]
struct Named {
    anchors: Vec<Arc<Certificate>>,
    /// subjectKeyIdentifier -> places in `anchors`.
    by_key_id: HashMap<Vec<u8>, Vec<usize>>,
}

/// One set of anchors, indexed by subject name; as cheap with 10,000 as with one.
#[derive(Debug, Default)]
pub struct AnchorSet {
    by_subject: HashMap<Name, Named>,
    ids: HashMap<[u8; 32], Arc<Certificate>>,
    /// What is asked about revocation below an anchor, where it differs from the domain's rule.
    modes: HashMap<[u8; 32], RevocationMode>,
    pub(super) remembered: Remembered,
}

impl AnchorSet {
    /// From certificates; duplicates fall together.
    pub fn new(certificates: impl IntoIterator<Item = Arc<Certificate>>) -> Self {
        let mut set = Self::default();
        for certificate in certificates {
            if set
                .ids
                .insert(certificate.fingerprint(), Arc::clone(&certificate))
                .is_none()
            {
                let name = certificate.subject_name.clone();
                set.by_subject.entry(name).or_default().push(certificate);
            }
        }
        set
    }

    /// Below this anchor another mode holds than the domain's; of two the stricter.
    pub fn set_mode(&mut self, anchor: [u8; 32], mode: RevocationMode) {
        let known = self.modes.entry(anchor).or_insert(mode);
        *known = mode.max(*known);
    }

    /// The mode below this anchor, if it has one of its own.
    pub(super) fn mode_of(&self, anchor: &Certificate) -> Option<RevocationMode> {
        self.modes.get(&anchor.fingerprint()).copied()
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Anchors that bear the name of the certificate's issuer; those whose key identifier fits first. Only
    /// candidates.
    pub(super) fn issuers_of<'a>(
        &'a self,
        certificate: &'a Certificate,
    ) -> impl Iterator<Item = &'a Arc<Certificate>> {
        let named = self.by_subject.get(&certificate.issuer_name);
        named
            .into_iter()
            .flat_map(|named| named.for_child(certificate))
    }

    /// Full identity, never a name or key identifier alone.
    pub fn contains(&self, certificate: &Certificate) -> bool {
        self.ids.contains_key(&certificate.fingerprint())
    }
}

impl Named {
    fn push(&mut self, anchor: Arc<Certificate>) {
        if let Some(id) = anchor.subject_key_id() {
            let places = self.by_key_id.entry(id.to_vec()).or_default();
            places.push(self.anchors.len());
        }
        self.anchors.push(anchor);
    }

    /// Those that the child's key identifier points to, then the rest. Nothing is sorted: there may be
    /// thousands of one name.
    fn for_child<'a>(
        &'a self,
        child: &'a Certificate,
    ) -> impl Iterator<Item = &'a Arc<Certificate>> {
        let id = child.extensions.authority_key_id.as_deref();
        let places = id.and_then(|id| self.by_key_id.get(id));
        let first = places.into_iter().flatten();
        let first = first.filter_map(|place| self.anchors.get(*place));
        let rest = self.anchors.iter();
        first.chain(rest.filter(|anchor| !child.points_to(anchor)))
    }
}

/// What one of our domains trusts.
#[derive(Clone, Debug)]
pub struct DomainTrust {
    pub tenant: String,
    pub profile: Profile,
    pub inbound: Arc<AnchorSet>,
    pub outbound: Arc<AnchorSet>,
    pub revocation: RevocationRules,
}

/// The snapshot: domain -> what it trusts.
#[derive(Debug, Default)]
pub struct Anchors {
    domains: HashMap<String, DomainTrust>,
}

impl Anchors {
    pub fn new(domains: HashMap<String, DomainTrust>) -> Self {
        Self { domains }
    }

    /// What this address's domain trusts; None if the domain is not ours.
    pub fn of(&self, address: &Address) -> Option<&DomainTrust> {
        self.domains.get(address.domain())
    }

    /// Anchors of all domains and directions together, counted once each.
    pub fn count(&self) -> usize {
        let mut ids = std::collections::HashSet::<[u8; 32]>::new();
        for domain in self.domains.values() {
            ids.extend(domain.inbound.ids.keys().chain(domain.outbound.ids.keys()));
        }
        ids.len()
    }
}
