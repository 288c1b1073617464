//! MIME, byte-exact and bounded: header fields as octets, content types, multipart splitting, transfer
//! encodings, mailboxes.
//! In: octets that anyone may have made, as streams. Out: slices, decoded streams, addresses.
//! Everything is read in one pass over chunks; what was signed is never re-serialised; nothing here
//! decides trust.

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
pub use mailbox::{Mailboxes, decoy, mailboxes};
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
    /// Content that cannot be made 7-bit safe without changing what it says (A-040).
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

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read};

    use proptest::prelude::*;

    use super::*;

    /// Octets that look enough like MIME to reach deep.
    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        const PIECES: [&[u8]; 14] = [
            b"\r\n",
            b"\n",
            b"\r",
            b"--b",
            b"--",
            b" ",
            b"=3D",
            b"=",
            b"QUJD",
            b"\xc3\xa4",
            b"Content-Type: multipart/mixed; boundary=b\r\n",
            b"Content-Transfer-Encoding: base64\r\n",
            b"From: \"a(\" <a@b.example>, (x\\) g: ;\r\n",
            b"\"a\\",
        ];
        let piece = proptest::sample::select(&PIECES[..]);
        proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    fn parts(octets: &[u8], chunk: usize) -> Result<Vec<Vec<u8>>, MimeError> {
        let mut multipart = Multipart::new(BufReader::with_capacity(chunk, octets), "b");
        let mut parts = Vec::new();
        while let Some(mut part) = multipart.next_part()? {
            let mut part_octets = Vec::new();
            part.read_to_end(&mut part_octets)?;
            parts.push(part_octets);
        }
        Ok(parts)
    }

    proptest! {
        #[test]
        fn no_octets_make_a_parser_panic_and_no_chunking_changes_what_is_read(
            octets in pieces(),
            chunk in 1usize..50,
        ) {
            prop_assert_eq!(parts(&octets, chunk), parts(&octets, 4_096));
            for encoding in [TransferEncoding::Base64, TransferEncoding::QuotedPrintable] {
                let read = |chunk| {
                    let mut out = Vec::new();
                    let source = BufReader::with_capacity(chunk, &octets[..]);
                    encoding.decode(source).read_to_end(&mut out).map(|_| out).map_err(MimeError::from)
                };
                prop_assert_eq!(read(chunk).ok(), read(4_096).ok());
            }
            if let Ok(header) = Header::read(&mut &octets[..]) {
                let _ = (header.content_type(), header.disposition(), asks_final_delivery(&header));
                for field in header.fields() {
                    let _ = (mailboxes(&field.value()), ContentType::parse(&field.value()));
                }
            }
        }
    }
}
