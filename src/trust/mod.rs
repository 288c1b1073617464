//! Does THIS recipient accept THIS signer NOW? And: may we seal for this certificate?
//! In: certificates, anchors, evidence, a time. Out: a [`Judgment`]; [`Grant`]s are made here and nowhere
//! else. Pure: no socket, no clock; of the database only `sql`, which brings a committed grant back. Key
//! identifiers order candidates and never prove anything.

mod algorithm;
mod anchors;
mod binding;
mod certificate;
mod chain;
pub mod check;
mod constraints;
mod crl;
mod evidence;
mod examine;
mod extensions;
mod filter;
mod general;
mod judge;
mod name;
mod need;
mod ocsp;
mod oid;
mod path;
mod points;
mod policy;
mod remembered;
mod revocation;
mod rules;
mod sql;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod testing;
mod tlv;
pub mod verdict;

pub use anchors::{AnchorId, AnchorSet, Anchors, Direction, DomainTrust, Profile};
pub use binding::{Binding, Bindings, binding, binds, names_sender};
pub use certificate::{Certificate, CertificateError, KeyUsage};
pub use chain::{check_usable_for_opening, check_usable_for_signing};
pub use check::{read_crl, read_issuers};
pub use crl::{Crl, CrlError};
pub use evidence::Evidence;
pub use examine::{BoundTo, Measure, examine};
pub use filter::{Filter, KeyAlgorithm, Usage};
pub use judge::{
    Distrust, Grant, GrantRow, Judgment, RecipientJudgment, Side, TrustedRecipient, judge,
    judge_recipient, judge_report,
};
pub use need::{Need, Tried, Waiting};
pub use ocsp::{Answers, CertId, OcspError};
pub use oid::Oid;
pub use path::{Failure, Path, Question, Work, build_path, build_path_within, find_path};
pub use rules::{
    ExtendedUsage, NoPointer, PathPurpose, PolicyRules, RevocationMode, RevocationRules,
    RevocationScope, Rules, Standard, Switch,
};
pub use sql::grant_row;
