//! Does THIS recipient accept THIS signer NOW? And: may we seal for this certificate?
//! In: certificates, anchors, evidence, a time. Out: a [`Judgment`]; [`Grant`]s are made here and nowhere
//! else. Pure: no socket, no clock; of the database only `sql`, which brings a committed grant back. Key
//! identifiers order candidates and never prove anything.

mod algorithm;
mod anchors;
mod binding;
mod certificate;
mod chain;
mod constraints;
mod examine;
mod extensions;
mod judge;
mod name;
mod path;
mod policy;
mod sql;
#[cfg(test)]
pub(crate) mod testing;
mod tlv;
pub mod verdict;

pub use anchors::{AnchorId, AnchorSet, Anchors, Direction, DomainTrust, Profile};
pub use binding::{Binding, binding, binds, names_sender};
pub use certificate::{Certificate, CertificateError, KeyUsage};
pub use chain::{check_usable_for_opening, check_usable_for_signing};
pub use examine::{BoundTo, examine};
pub use judge::{
    Distrust, Evidence, Grant, GrantRow, Judgment, Need, RecipientJudgment, TrustedRecipient,
    judge, judge_recipient, judge_report,
};
pub use path::{Path, PathPurpose, Work, build_path, build_path_within};
pub use sql::grant_row;
