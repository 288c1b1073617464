//! What is at hand in one judgment: CRLs, answers of OCSP responders, certificates of issuers, and what was
//! asked for already. In: parsed, untrusted things. Out: the few that may speak for a certificate.

use std::collections::HashMap;
use std::sync::Arc;

use super::name::Name;
use super::need::{Need, Tried, Waiting};
use super::ocsp::{Answers, CertId};
use super::{Certificate, Crl};

/// The evidence of one judgment. Nothing in it is trusted: each piece is proved when it is used.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    // Shared with the cache they come from, and copied when something is added.
    by_issuer: Arc<HashMap<Name, Vec<Arc<Crl>>>>,
    answers: Arc<HashMap<CertId, Vec<Arc<Answers>>>>,
    issuers: Vec<Arc<Certificate>>,
    tried: HashMap<Need, Tried>,
    waiting: Waiting,
}

impl Evidence {
    /// From lists.
    pub fn of(crls: impl IntoIterator<Item = Arc<Crl>>) -> Self {
        let mut evidence = Self::default();
        crls.into_iter().for_each(|crl| evidence.add_crl(crl));
        evidence
    }

    /// One more list; one that is there already is passed over.
    pub fn add_crl(&mut self, crl: Arc<Crl>) {
        let lists = Arc::make_mut(&mut self.by_issuer);
        let named = lists.entry(crl.issuer.clone()).or_default();
        let fingerprint = crl.fingerprint();
        if named.iter().all(|known| known.fingerprint() != fingerprint) {
            // The newest first: it replaces the others, once its signature is known to be right.
            let at = named.partition_point(|known| known.this_update() >= crl.this_update());
            named.insert(at, crl);
        }
    }

    /// What a responder said about this certificate.
    pub fn add_answers(&mut self, id: CertId, answers: Arc<Answers>) {
        let about = Arc::make_mut(&mut self.answers).entry(id).or_default();
        if about
            .iter()
            .all(|known| known.fingerprint() != answers.fingerprint())
        {
            about.push(answers);
        }
    }

    /// Certificates that may lie on a path.
    pub fn add_issuers(&mut self, certificates: impl IntoIterator<Item = Arc<Certificate>>) {
        for certificate in certificates {
            let id = certificate.fingerprint();
            if self.issuers.iter().all(|known| known.fingerprint() != id) {
                self.issuers.push(certificate);
            }
        }
    }

    /// Remembers what became of a need, so that it is not asked for twice in one judgment.
    pub fn note(&mut self, need: Need, tried: Tried) {
        self.tried.insert(need, tried);
    }

    /// What became of it, if it was asked for.
    pub fn tried(&self, need: &Need) -> Option<&Tried> {
        self.tried.get(need)
    }

    /// Whether more may still come.
    pub fn waiting(&self) -> Waiting {
        self.waiting
    }

    /// Says whether more may still come.
    pub fn set_waiting(&mut self, waiting: Waiting) {
        self.waiting = waiting;
    }

    /// The lists that this issuer made.
    pub(super) fn by(&self, issuer: &Name) -> &[Arc<Crl>] {
        self.by_issuer.get(issuer).map_or(&[], Vec::as_slice)
    }

    /// What responders said about this certificate.
    pub(super) fn answers(&self, id: &CertId) -> &[Arc<Answers>] {
        self.answers.get(id).map_or(&[], Vec::as_slice)
    }

    /// Whether nothing at all is at hand.
    pub(super) fn is_empty(&self) -> bool {
        self.by_issuer.is_empty() && self.answers.is_empty()
    }

    /// Whether any responder said anything.
    pub(super) fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// What was fetched for paths.
    pub(super) fn issuers(&self) -> &[Arc<Certificate>] {
        &self.issuers
    }
}
