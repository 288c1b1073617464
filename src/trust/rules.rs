//! What a path is judged by. In: nothing. Out: a [`Rules`] value, made once and handed to every function that
//! judges, so that the roads and `carepost trust check` ask the same function under different rules.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::limits::RSA_BITS_MIN;

use super::filter::Filter;
use super::oid::Oid;

/// RFC 5280 §4.2.1.12, id-kp-emailProtection.
pub const EMAIL_PROTECTION: &str = "1.3.6.1.5.5.7.3.4";

/// Whose rules hold for a certificate on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standard {
    /// Direct: forms as the field writes them.
    Direct,
    /// RFC 5280 alone, with what its §4 demands of the form of a certificate (docs/deviations.md).
    Rfc5280,
}

/// What the leaf is to be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathPurpose {
    /// It signed a message.
    Sign,
    /// We encrypt for it.
    Encrypt,
    /// Nothing is asked of keyUsage of the leaf. Never used by the roads.
    Any,
}

/// What extendedKeyUsage must allow, in the leaf and in every issuer, where it is present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExtendedUsage {
    Any,
    /// This one, dotted, or anyExtendedKeyUsage.
    Only(String),
}

/// The inputs (c) to (g) of RFC 5280 §6.1.1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyRules {
    /// user-initial-policy-set; empty is anyPolicy.
    pub acceptable: BTreeSet<Oid>,
    /// initial-explicit-policy.
    pub explicit: Switch,
    /// initial-policy-mapping-inhibit.
    pub inhibit_mapping: Switch,
    /// initial-any-policy-inhibit.
    pub inhibit_any: Switch,
}

/// On or off, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Switch {
    #[default]
    Off,
    On,
}

impl Switch {
    /// From a flag of a command line or of JSON.
    pub fn of(flag: bool) -> Self {
        if flag { Self::On } else { Self::Off }
    }
}

/// What follows if the status of a certificate cannot be learnt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RevocationMode {
    /// Status is not asked for.
    #[default]
    Off,
    /// Revoked refuses; unknown passes, with a note.
    Soft,
    /// Revoked refuses; unknown is no verdict (`revocation-unknown`).
    Hard,
}

impl RevocationMode {
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Soft => "soft",
            Self::Hard => "hard",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Off, Self::Soft, Self::Hard]
            .into_iter()
            .find(|mode| mode.word() == word)
    }
}

/// Of which certificates the status is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RevocationScope {
    Leaf,
    /// Every certificate below the anchor (RFC 5280 §6.1.3 (a) (3)).
    #[default]
    All,
}

/// What follows if a certificate does not say where its status is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NoPointer {
    /// It passes, with a note: whoever issued it revokes nothing.
    Accept,
    /// Its status is unknown.
    #[default]
    Unknown,
}

/// What is asked about revocation, on the roads for a domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RevocationRules {
    pub mode: RevocationMode,
    pub scope: RevocationScope,
    pub no_pointer: NoPointer,
}

/// All that a path is judged by, except names, anchors, evidence and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    pub standard: Standard,
    /// Whether what a PKI may leave out as a whole must be there throughout: key identifiers, and keyUsage of
    /// CAs (RFC 5280 §4.2.1.1 to §4.2.1.3).
    pub throughout: Switch,
    pub purpose: PathPurpose,
    /// Whether a CA may stand at the leaf's place (A-018 says no).
    pub ca_as_leaf: Switch,
    pub extended_usage: ExtendedUsage,
    pub policies: PolicyRules,
    pub rsa_bits_min: u32,
    /// What the operator asks beyond a valid path.
    pub filter: Arc<Filter>,
    pub revocation: RevocationMode,
    pub revocation_scope: RevocationScope,
    pub no_pointer: NoPointer,
}

impl Rules {
    /// Those of the roads: Direct, mail, any policy; a domain's [`RevocationRules`] come on top.
    pub fn direct(purpose: PathPurpose) -> Self {
        Self {
            standard: Standard::Direct,
            throughout: Switch::Off,
            purpose,
            ca_as_leaf: Switch::Off,
            extended_usage: ExtendedUsage::Only(EMAIL_PROTECTION.to_owned()),
            policies: PolicyRules::default(),
            rsa_bits_min: RSA_BITS_MIN,
            filter: Arc::default(),
            revocation: RevocationMode::Off,
            revocation_scope: RevocationScope::All,
            no_pointer: NoPointer::Unknown,
        }
    }

    /// What they ask about revocation.
    pub fn asked(&self) -> RevocationRules {
        RevocationRules {
            mode: self.revocation,
            scope: self.revocation_scope,
            no_pointer: self.no_pointer,
        }
    }

    /// The same, asking this about revocation.
    pub fn asking(&self, asked: RevocationRules) -> Self {
        Self {
            revocation: asked.mode,
            revocation_scope: asked.scope,
            no_pointer: asked.no_pointer,
            ..self.clone()
        }
    }

    /// Path validation alone: any use, any policy, sound algorithms.
    pub fn rfc5280() -> Self {
        Self {
            standard: Standard::Rfc5280,
            throughout: Switch::On,
            ca_as_leaf: Switch::On,
            extended_usage: ExtendedUsage::Any,
            ..Self::direct(PathPurpose::Any)
        }
    }

    /// Those for the signer of plain S/MIME: path validation, and what RFC 8550 §4.4 asks of the signer:
    /// keyUsage that allows to sign, and emailProtection where uses are named.
    pub fn plain_mail() -> Self {
        let mail = Self::direct(PathPurpose::Sign);
        Self {
            throughout: mail.throughout,
            purpose: mail.purpose,
            extended_usage: mail.extended_usage,
            ..Self::rfc5280()
        }
    }

    /// Those for a CRL's signer whose certificate stands beside the path: the same, of no use but that.
    pub(super) fn of_crl_signer(&self) -> Self {
        Self {
            purpose: PathPurpose::Any,
            ca_as_leaf: Switch::On,
            extended_usage: ExtendedUsage::Any,
            policies: PolicyRules::default(),
            filter: Arc::default(),
            ..self.clone()
        }
    }
}
