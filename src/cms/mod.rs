//! The only code that knows the ASN.1 of messages: a bounded BER reader, the structures of RFC 5652, a DER writer, streams.
//! In: octets that anyone may have made. Out: structures, and content as a stream. Safe Rust only; nothing here decides trust.

mod read;
mod write;

pub use read::{
    CmsError, ContentReader, EnvelopedHead, Identifier, KeyAgree, OpaqueReader, RecipientInfo,
    SignedData, SignerInfo, read_certs_only, read_enveloped, read_opaque_signed, read_signed,
};
pub use write::{EnvelopedPlan, KeyTransRecipient, signed_attributes, signed_data};
