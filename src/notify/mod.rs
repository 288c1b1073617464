//! Acknowledge. What may be said depends on what is held: `processed` needs a [`Grant`], `dispatched` a
//! [`Delivered`]. In: proofs, or a report that arrived. Out: [`Draft`]s, notices, [`Settlement`]s. No
//! function takes a distrust: an untrusted sender hears nothing. Pure but for writing bodies.
//!
//! [`Grant`]: crate::trust::Grant
//! [`Delivered`]: crate::deliver::Delivered
//! [`Draft`]: crate::draft::Draft

mod dsn;
mod fields;
mod mdn;
mod parse;
mod settle;
pub mod sql;
mod write;

pub use dsn::{Notice, failure_notice, forwarded_mdn};
pub use mdn::{About, dispatched, failed, processed};
pub use parse::{ParseReportError, Report, ReportKind, ReportedRecipient, parse_report};
pub use settle::{LegFacts, Settlement, is_receipt_of, settle};
