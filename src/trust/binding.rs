//! Binding: whose certificate is it? (A-010 to A-014.)

use crate::envelope::Address;

use super::{Certificate, Profile};

/// Whether the certificate belongs to this address: some rfc822Name equals the address, or some dNSName equals its domain.
/// Every value is compared; no wildcard; no parent or child domain; the subject's emailAddress never
/// binds under v1.3; a non-ASCII local part never binds.
pub fn binds(_certificate: &Certificate, _address: &Address, _profile: Profile) -> bool {
    todo!()
}
