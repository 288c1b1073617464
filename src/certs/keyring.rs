//! The snapshot: certificates and keys, parsed and unwrapped once.

use std::collections::HashMap;
use std::sync::Arc;

use crate::crypto::PrivateKey;
use crate::envelope::Address;
use crate::store::{Store, StoreError};
use crate::trust::{Certificate, Profile};
use crate::world::Timestamp;

/// What an identity may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityState {
    /// Signs and decrypts.
    Active,
    /// Opens late mail only.
    DecryptOnly,
}

/// A certificate of ours with its key.
#[derive(Debug)]
pub struct Identity {
    pub certificate: Arc<Certificate>,
    /// Intermediates, the leaf's issuer first.
    pub chain: Vec<Arc<Certificate>>,
    pub key: PrivateKey,
    pub domain: String,
    pub state: IdentityState,
}

/// Something wrong with one domain's identities; the others work.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Alarm {
    pub domain: String,
    /// What happened, and what to do.
    pub text: String,
}

/// All identities, by domain.
#[derive(Debug, Default)]
pub struct KeyRing {
    pub(super) domains: HashMap<String, Vec<Arc<Identity>>>,
    pub(super) alarms: Vec<Alarm>,
}

impl KeyRing {
    /// Of identities at hand (tests).
    pub fn of(identities: impl IntoIterator<Item = Identity>) -> Self {
        let mut ring = Self::default();
        for identity in identities {
            ring.domains
                .entry(identity.domain.clone())
                .or_default()
                .push(Arc::new(identity));
        }
        ring
    }

    /// Identities bound to this address (address-bound and domain-bound), for opening; expired ones too (late mail).
    pub fn for_recipient(&self, _address: &Address, _profile: Profile) -> Vec<Arc<Identity>> {
        todo!()
    }

    /// The identity that signs for this address: active, bound, valid now, digitalSignature; address-bound before domain-bound,
    /// then the one that is valid longest (A-093: never an expired one).
    pub fn signer(
        &self,
        _address: &Address,
        _profile: Profile,
        _now: Timestamp,
    ) -> Option<Arc<Identity>> {
        todo!()
    }

    pub fn is_empty(&self) -> bool {
        self.domains.values().all(Vec::is_empty)
    }

    /// Key that cannot be unwrapped, certificate that does not match its key (found at load), expired or soon to expire.
    pub fn alarms(&self, _now: Timestamp) -> Vec<Alarm> {
        let _ = &self.alarms;
        todo!()
    }
}

/// Reads and unwraps all of them. A bad one becomes an alarm, never an error.
///
/// # Errors
/// [`StoreError`].
pub async fn load(_store: &Store) -> Result<KeyRing, StoreError> {
    todo!()
}
