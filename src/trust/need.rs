//! What must be fetched before a verdict can be given. In: pointers in certificates. Out: [`Need`]s, few and
//! named. Nothing is fetched here (decision 4 of the architecture).

use std::sync::Arc;

use crate::limits::POINTERS_MAX;

use super::Certificate;
use super::ocsp::CertId;

/// One thing to fetch, and for what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// A CRL.
    Crl(String),
    /// A responder's answer about one certificate.
    Ocsp { url: String, id: CertId },
    /// Certificates of an issuer.
    Issuer(String),
}

impl Need {
    /// Where it is to be had.
    pub fn url(&self) -> &str {
        match self {
            Self::Crl(url) | Self::Ocsp { url, .. } | Self::Issuer(url) => url,
        }
    }
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self {
            Self::Crl(_) => "CRL",
            Self::Ocsp { .. } => "OCSP",
            Self::Issuer(_) => "issuer",
        };
        let plain = |c: char| if c.is_control() { '?' } else { c };
        let url: String = self.url().chars().take(300).map(plain).collect();
        write!(f, "{what} {url}")
    }
}

/// What became of a need in this judgment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// It was had, whether it helped or not.
    Got,
    /// It was not to be had now, and why.
    Failed(Arc<str>),
}

/// Whether evidence may still come: the sender has time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Waiting {
    /// What is not known now is not known.
    #[default]
    Over,
    /// A verdict that lacks evidence is put off.
    Possible,
}

/// Where the certificate says that its CRLs are.
pub(super) fn crls_of(certificate: &Certificate) -> Vec<Need> {
    let points = certificate.extensions.points.iter().flatten();
    let urls = points.flat_map(super::points::Point::urls);
    urls.filter(|url| is_web(url))
        .take(POINTERS_MAX)
        .map(Need::Crl)
        .collect()
}

/// Where the certificate says that its status is answered.
pub(super) fn responders_of(certificate: &Certificate, issuer: &Certificate) -> Vec<Need> {
    let urls = &certificate.extensions.responders;
    let id = || CertId::of(certificate, issuer);
    urls.iter()
        .filter(|url| is_web(url))
        .take(POINTERS_MAX)
        .map(|url| Need::Ocsp {
            url: url.clone(),
            id: id(),
        })
        .collect()
}

/// Where the certificate says that its issuer's certificates are.
pub(super) fn issuers_of(certificate: &Arc<Certificate>) -> impl Iterator<Item = Need> {
    let urls = certificate.extensions.issuers_at.iter();
    urls.filter(|url| is_web(url))
        .take(POINTERS_MAX)
        .cloned()
        .map(Need::Issuer)
}

/// Whether it says at all where its status is told; LDAP and the like count, though nobody asks there.
pub(super) fn has_pointer(certificate: &Certificate) -> bool {
    certificate.extensions.points.is_some() || !certificate.extensions.responders.is_empty()
}

fn is_web(url: &str) -> bool {
    let starts = |scheme: &str| {
        url.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    starts("http://") || starts("https://")
}
