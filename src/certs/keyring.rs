//! The snapshot: certificates and keys, parsed and unwrapped once.
//! In: the rows of the store, or identities at hand. Out: who opens for an address, who signs for it, and
//! what is wrong.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::crypto::PrivateKey;
use crate::envelope::Address;
use crate::limits::IDENTITY_WARNING;
use crate::store::{KeyEncryptionKey, Store, StoreError};
use crate::trust::{Binding, Certificate, Profile, binding, binds, check_usable_for_signing};
use crate::world::Timestamp;

use super::sql::{self, StoredIdentity};

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
    domains: HashMap<String, Vec<Arc<Identity>>>,
    /// Found when they were loaded.
    broken: Vec<Alarm>,
}

impl KeyRing {
    /// Of identities at hand (tests).
    pub fn of(identities: impl IntoIterator<Item = Identity>) -> Self {
        let mut ring = Self::default();
        identities
            .into_iter()
            .for_each(|identity| ring.add(identity));
        ring
    }

    /// An identity serves every domain that its certificate names, not only the one it was imported for.
    fn add(&mut self, identity: Identity) {
        let identity = Arc::new(identity);
        let mut domains = named_domains(&identity.certificate);
        domains.insert(identity.domain.clone());
        for domain in domains {
            self.domains
                .entry(domain)
                .or_default()
                .push(Arc::clone(&identity));
        }
    }

    /// Identities bound to this address (address-bound and domain-bound), for opening; expired ones too
    /// (late mail).
    pub fn for_recipient(&self, address: &Address, profile: Profile) -> Vec<Arc<Identity>> {
        let bound = |identity: &&Arc<Identity>| binds(&identity.certificate, address, profile);
        self.in_domain(address.domain())
            .iter()
            .filter(bound)
            .cloned()
            .collect()
    }

    /// The identity that signs for this address: active, bound, valid now, digitalSignature; address-bound
    /// before domain-bound, then the one that is valid longest (A-093: never an expired one).
    pub fn signer(
        &self,
        address: &Address,
        profile: Profile,
        now: Timestamp,
    ) -> Option<Arc<Identity>> {
        let ranked = self
            .in_domain(address.domain())
            .iter()
            .filter_map(|identity| {
                let certificate = &identity.certificate;
                let bound = binding(certificate, address, profile)?;
                let fit = identity.state == IdentityState::Active
                    && check_usable_for_signing(certificate, now).is_ok();
                fit.then_some((
                    (bound == Binding::Address, certificate.not_after()),
                    identity,
                ))
            });
        ranked
            .max_by_key(|(rank, _)| *rank)
            .map(|(_, identity)| Arc::clone(identity))
    }

    fn in_domain(&self, domain: &str) -> &[Arc<Identity>] {
        self.domains.get(domain).map_or(&[], Vec::as_slice)
    }

    pub fn is_empty(&self) -> bool {
        self.domains.values().all(Vec::is_empty)
    }

    /// Key that cannot be unwrapped, certificate that does not match its key (found at load), expired or
    /// soon to expire.
    pub fn alarms(&self, now: Timestamp) -> Vec<Alarm> {
        let mut alarms = self.broken.clone();
        let mut domains: Vec<_> = self.domains.iter().collect();
        domains.sort_by_key(|(domain, _)| *domain);
        for (domain, identities) in domains {
            // A successor that is already there silences the warning about the old one.
            let active = |identity: &&Arc<Identity>| identity.state == IdentityState::Active;
            let last = identities
                .iter()
                .filter(active)
                .map(|one| one.certificate.not_after())
                .max();
            let text = match last {
                None => Some(format!(
                    "{domain} has no certificate that can sign\n  do: import one: `carepost cert import FILE`"
                )),
                Some(last) => expiry_alarm(domain, last, now),
            };
            alarms.extend(text.map(|text| Alarm {
                domain: domain.clone(),
                text,
            }));
        }
        alarms
    }
}

fn expiry_alarm(domain: &str, last: Timestamp, now: Timestamp) -> Option<String> {
    let when = last.rfc3339();
    let remedy = "do: renew it and import its successor: `carepost cert import FILE`";
    if now > last {
        let what = format!("the certificate of {domain} expired {when}; nothing can be signed");
        Some(format!("{what}\n  {remedy}"))
    } else if now.plus(IDENTITY_WARNING) > last {
        Some(format!(
            "the certificate of {domain} expires {when}\n  {remedy}"
        ))
    } else {
        None
    }
}

/// The domains that a certificate's subjectAltName names, in lower case.
pub(super) fn named_domains(certificate: &Certificate) -> BTreeSet<String> {
    let dns = certificate
        .san_dns()
        .iter()
        .map(|name| name.to_ascii_lowercase());
    let mail = certificate
        .san_mail()
        .iter()
        .filter_map(|name| Address::parse(name).ok());
    dns.chain(mail.map(|address| address.domain().to_owned()))
        .collect()
}

/// Reads and unwraps all of them. A bad one becomes an alarm, never an error.
///
/// # Errors
/// [`StoreError`].
pub async fn load(store: &Store) -> Result<KeyRing, StoreError> {
    let rows = store
        .read("certs.load", |conn| Box::pin(sql::all(conn)))
        .await?;
    let mut ring = KeyRing::default();
    // The newest expiry first, so that what is tried first is what peers use.
    let mut identities = Vec::new();
    for row in rows {
        match restore(store.key(), &row) {
            Ok(Some(identity)) => identities.push(identity),
            Ok(None) => {}
            Err(text) => ring.broken.push(Alarm {
                domain: row.domain,
                text,
            }),
        }
    }
    identities.sort_by_key(|identity| Reverse(identity.certificate.not_after()));
    identities
        .into_iter()
        .for_each(|identity| ring.add(identity));
    Ok(ring)
}

/// The identity of a row; None if it is retired; otherwise what is wrong, in words.
fn restore(kek: &KeyEncryptionKey, row: &StoredIdentity) -> Result<Option<Identity>, String> {
    let state = match row.state.as_str() {
        "active" => IdentityState::Active,
        "decrypt-only" => IdentityState::DecryptOnly,
        _ => return Ok(None),
    };
    let again = |what: &str| {
        let short = row.id.get(..16).unwrap_or(&row.id);
        format!(
            "identity {short} of {}: {what}\n  do: import it again: `carepost cert import FILE`",
            row.domain
        )
    };
    let certificate =
        Certificate::parse(&row.certificate).map_err(|why| again(&why.to_string()))?;
    if certificate.fingerprint_hex() != row.id {
        return Err(again("the stored certificate is another one"));
    }
    let octets = kek.unwrap(&row.id, &row.wrapped_key).ok_or_else(|| {
        again("its key cannot be unwrapped; the key-encryption key is another one, or the row was changed")
    })?;
    let key = PrivateKey::from_pkcs8(&octets).map_err(|_| again("its key cannot be read"))?;
    if !certificate
        .public_key()
        .is_ok_and(|public| public.same_as(&key.public()))
    {
        return Err(again("its key does not belong to its certificate"));
    }
    let chain = sql::split(&row.chain).ok_or_else(|| again("its chain cannot be read"))?;
    let chain = chain
        .into_iter()
        .map(Certificate::parse)
        .collect::<Result<_, _>>();
    let chain = chain.map_err(|_| again("its chain cannot be read"))?;
    Ok(Some(Identity {
        certificate,
        chain,
        key,
        domain: row.domain.clone(),
        state,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::testing::*;

    fn identity(make: Make, state: IdentityState) -> Identity {
        let made = make.by_itself();
        Identity {
            certificate: made.certificate,
            chain: Vec::new(),
            key: made.key,
            domain: "d.example".into(),
            state,
        }
    }

    #[test]
    fn the_closest_then_longest_valid_identity_signs_and_never_an_unfit_one() {
        let mail = || Make::leaf(&[(1, "ann@d.example")]);
        let domain = || Make::leaf(&[(2, "d.example")]);
        let active = IdentityState::Active;
        let long = NOW.plus(DAY * 9);
        let ring = KeyRing::of([
            identity(
                Make {
                    not_after: NOW.plus(DAY * 99),
                    ..domain()
                },
                active,
            ),
            identity(
                Make {
                    not_after: NOW.plus(DAY),
                    ..mail()
                },
                active,
            ),
            identity(
                Make {
                    not_after: long,
                    ..mail()
                },
                active,
            ),
            identity(
                Make {
                    not_after: NOW.minus(DAY),
                    ..mail()
                },
                active,
            ),
            identity(
                Make {
                    not_after: NOW.plus(DAY * 50),
                    ..mail()
                },
                IdentityState::DecryptOnly,
            ),
            identity(
                mail().extensions(vec![san(&[(1, "ann@d.example")]), key_usage(0x20)]),
                active,
            ),
        ]);
        let signer = |who: &str, now| {
            let address = Address::parse(who).expect("an address");
            ring.signer(&address, Profile::V1_3, now)
                .map(|found| found.certificate.not_after())
        };
        assert_eq!(signer("ann@d.example", NOW), Some(long));
        assert_eq!(
            signer("ann@d.example", NOW.plus(DAY * 20)),
            Some(NOW.plus(DAY * 99))
        );
        assert_eq!(signer("bob@d.example", NOW), Some(NOW.plus(DAY * 99)));
        assert_eq!(signer("bob@d.example", NOW.plus(DAY * 100)), None);
        assert_eq!(signer("ann@else.example", NOW), None);
        let ann = Address::parse("ann@d.example").expect("an address");
        assert_eq!(ring.for_recipient(&ann, Profile::V1_3).len(), 6);
    }

    #[test]
    fn expiry_is_told_ahead_unless_a_successor_is_there() {
        let leaf = |days| Make {
            not_after: NOW.plus(DAY * days),
            ..Make::leaf(&[(2, "d.example")])
        };
        let ring = |days: &[u32]| {
            KeyRing::of(
                days.iter()
                    .map(|days| identity(leaf(*days), IdentityState::Active)),
            )
        };
        assert_eq!(ring(&[40]).alarms(NOW), []);
        assert!(ring(&[20]).alarms(NOW)[0].text.contains("expires"));
        assert!(
            ring(&[20]).alarms(NOW.plus(DAY * 21))[0]
                .text
                .contains("expired")
        );
        assert_eq!(ring(&[20, 400]).alarms(NOW), []);
        let late = KeyRing::of([identity(leaf(400), IdentityState::DecryptOnly)]);
        assert!(
            late.alarms(NOW)[0]
                .text
                .contains("no certificate that can sign")
        );
    }
}
