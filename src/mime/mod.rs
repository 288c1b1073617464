//! MIME, byte-exact and bounded: header fields as octets, content types, multipart splitting, transfer encodings, mailboxes.
//! In: octets that anyone may have made, as streams. Out: slices, decoded streams, addresses.
//! Everything is read in one pass over chunks; what was signed is never re-serialised; nothing here decides trust.

mod header;
mod line_ends;
mod mailbox;
mod multipart;
mod options;
mod parameters;
mod seven_bit;
mod transfer;

pub use header::{Field, Header};
pub use line_ends::{Canonical, LoneCr};
pub use mailbox::{Mailboxes, mailboxes};
pub use multipart::{Multipart, Part};
pub use options::asks_final_delivery;
pub use parameters::{ContentType, Disposition};
pub use seven_bit::{Fitness, inspect, seven_bit};
pub use transfer::{Base64Lines, Decoded, TransferEncoding};

/// Why octets are not the MIME they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MimeError {
    /// It breaks the grammar.
    #[error("{0}")]
    Malformed(&'static str),
    /// A field that must be there is not.
    #[error("there is no {0} field")]
    Missing(String),
    /// A field that may occur once occurs again (RFC 5322 §3.6).
    #[error("there is more than one {0} field")]
    Doubled(String),
    /// A limit of `limits.rs`.
    #[error("over a limit: {0}")]
    OverLimit(&'static str),
    /// Content that cannot be made 7-bit safe without changing what it says.
    #[error("cannot be sent in 7-bit form: {0}")]
    Unfit(&'static str),
    /// The source failed.
    #[error("reading: {0}")]
    Source(String),
}

impl From<std::io::Error> for MimeError {
    fn from(error: std::io::Error) -> Self {
        match error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Self>())
        {
            Some(own) => own.clone(),
            None => Self::Source(error.to_string()),
        }
    }
}

impl From<MimeError> for std::io::Error {
    fn from(error: MimeError) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}
