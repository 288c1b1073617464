//! What is asked of a message, as a value. The roads ask for everything ([`Waivers::NONE`], inside
//! [`super::open`]); only [`super::examine`] takes another value, and what it gives can never become an
//! [`super::Opened`].

use std::sync::Arc;

use crate::trust::{Certificate, Profile};

/// One rule of Direct that a tool leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiver {
    /// A message that is only signed.
    Unencrypted,
    /// Signed content that is not message/rfc822.
    Unwrapped,
    /// The signer need not belong to the sender, nor the key to the recipient.
    Binding,
    /// Nothing but decrypting.
    DecryptOnly,
}

impl Waiver {
    const ALL: [Self; 4] = [
        Self::Unencrypted,
        Self::Unwrapped,
        Self::Binding,
        Self::DecryptOnly,
    ];

    /// The word in reports: the option that asks for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unencrypted => "allow-unencrypted",
            Self::Unwrapped => "allow-unwrapped",
            Self::Binding => "no-binding",
            Self::DecryptOnly => "decrypt-only",
        }
    }

    fn bit(self) -> u8 {
        match self {
            Self::Unencrypted => 1,
            Self::Unwrapped => 2,
            Self::Binding => 4,
            Self::DecryptOnly => 8,
        }
    }
}

/// The rules that are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waivers(u8);

impl Waivers {
    /// None: what the roads ask for.
    pub const NONE: Self = Self(0);

    /// One more.
    #[must_use]
    pub fn with(self, waiver: Waiver) -> Self {
        Self(self.0 | waiver.bit())
    }

    /// Whether this rule is left out.
    pub fn has(self, waiver: Waiver) -> bool {
        self.0 & waiver.bit() != 0
    }

    /// Their words.
    pub fn words(self) -> Vec<&'static str> {
        let given = Waiver::ALL.into_iter().filter(|one| self.has(*one));
        given.map(Waiver::word).collect()
    }
}

/// Whose rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// The Applicability Statement.
    Direct(Profile),
    /// Plain S/MIME (RFC 8550, RFC 8551, RFC 5280): none of Direct's own.
    Plain,
}

/// Whether a message must be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// It must be.
    Sealed,
    /// It may be.
    Any,
    /// It must not be: nothing is decrypted.
    Clear,
}

/// What the signed content is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// A MIME entity (RFC 8551 §3.1).
    Entity,
    /// Text that somebody signed as it was, without a MIME header: of plain S/MIME only.
    Text,
    /// Any octets (RFC 5652 §5.2): of a bare CMS object only.
    Octets,
}

/// All of it.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    pub rules: Rules,
    pub waivers: Waivers,
    pub cover: Cover,
    pub reads: Reads,
    /// Certificates beside those that came along.
    pub beside: &'a [Arc<Certificate>],
}

impl Terms<'_> {
    /// What the roads ask for.
    pub(super) fn of_the_road(profile: Profile) -> Self {
        Self {
            rules: Rules::Direct(profile),
            waivers: Waivers::NONE,
            cover: Cover::Sealed,
            reads: Reads::Entity,
            beside: &[],
        }
    }

    /// v1.3 alone wants the wrapper.
    pub(super) fn wants_wrapper(&self) -> bool {
        self.rules == Rules::Direct(Profile::V1_3) && !self.waivers.has(Waiver::Unwrapped)
    }

    /// By which rules names are compared.
    pub(super) fn profile(&self) -> Profile {
        match self.rules {
            Rules::Direct(profile) => profile,
            Rules::Plain => Profile::V1_3,
        }
    }

    pub(super) fn wants_binding(&self) -> bool {
        !self.waivers.has(Waiver::Binding)
    }
}

/// Where a message stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Decrypt,
    Verify,
    Unwrap,
    Bind,
}

impl Stage {
    /// The word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Decrypt => "decrypt",
            Self::Verify => "verify",
            Self::Unwrap => "unwrap",
            Self::Bind => "bind",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiver_waives_itself_alone() {
        for one in Waiver::ALL {
            let waivers = Waivers::NONE.with(one);
            assert_eq!(waivers.words(), [one.word()]);
            for other in Waiver::ALL {
                assert_eq!(waivers.has(other), other == one);
                assert!(!Waivers::NONE.has(other));
            }
        }
        assert_eq!(Waivers::default(), Waivers::NONE);
    }
}
