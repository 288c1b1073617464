//! argon2id: hash, verify, and remember for a while what was right.
//! In: a password. Out: a tagged hash, or yes or no. Runs on blocking threads, a few at once; never on the reactor.

use std::collections::HashSet;
use std::sync::{Mutex, OnceLock, PoisonError};

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::crypto::sha256;
use crate::limits::{PASSWORD_CHECKS_AT_ONCE, PASSWORDS_REMEMBERED_MAX};
use crate::store::Store;
use crate::world::World;

/// OWASP Password Storage Cheat Sheet, argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// What a password of nobody is compared with: no password has this hash, and it costs what a real one costs.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5Lm5vYm9keS4$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// 19 MiB each: a flood of logins must not eat the machine.
static TURNS: Semaphore = Semaphore::const_new(PASSWORD_CHECKS_AT_ONCE);

fn argon2id() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .expect("the parameters are constants within argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// The tagged hash of a new password (`$argon2id$v=19$m=19456,t=2,p=1$salt$hash`).
pub(super) async fn hash(world: &World, password: &str) -> String {
    let salt: [u8; 16] = world.random();
    let password = Zeroizing::new(password.to_owned());
    in_turn(move || {
        let salt = SaltString::encode_b64(&salt).expect("16 octets are a salt");
        argon2id()
            .hash_password(password.as_bytes(), &salt)
            .expect("argon2id hashes any password shorter than 4 GiB")
            .to_string()
    })
    .await
}

/// Whether the password fits one of the hashes. Without any, as much work is done for nobody.
pub(super) async fn matches_any(hashes: Vec<String>, password: &str) -> bool {
    let password = Zeroizing::new(password.to_owned());
    in_turn(move || {
        if hashes.is_empty() {
            let _ = fits(NOBODY, &password);
            return false;
        }
        hashes.iter().any(|hash| fits(hash, &password))
    })
    .await
}

fn fits(hash: &str, password: &str) -> bool {
    // The parameters are the hash's own, so that stronger ones can come later. Other tags fit nothing.
    PasswordHash::new(hash).is_ok_and(|parsed| {
        argon2id()
            .verify_password(password.as_bytes(), &parsed)
            .is_ok()
    })
}

async fn in_turn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let _turn = TURNS
        .acquire()
        .await
        .expect("this semaphore is never closed");
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(stopped) => match stopped.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down: nobody waits for an answer any more.
            Err(_) => std::future::pending().await,
        },
    }
}

/// What was right in one epoch, so that a client that sends many messages does not pay argon2id for each session.
#[derive(Default)]
struct Remembered {
    /// The store's lease token and epoch.
    of: (String, u64),
    right: HashSet<[u8; 32]>,
}

static REMEMBERED: Mutex<Option<Remembered>> = Mutex::new(None);
/// Keys the digests of this process: they are worth nothing in a memory dump without it, and nothing in another process.
static PEPPER: OnceLock<Zeroizing<[u8; 32]>> = OnceLock::new();

/// One login and password as the cache knows them.
pub(super) struct Pass {
    of: (String, u64),
    digest: [u8; 32],
}

impl Pass {
    /// Fixes the epoch.
    pub(super) fn new(store: &Store, account: &str, password: &str) -> Self {
        let pepper = PEPPER.get_or_init(|| Zeroizing::new(store.world().random()));
        let mut octets = Zeroizing::new(pepper.to_vec());
        // Fixed-length digests inside: no account and password run into one another.
        octets.extend(sha256(account.as_bytes()));
        octets.extend(sha256(password.as_bytes()));
        Self {
            of: (store.lease_token().to_owned(), store.epoch()),
            digest: sha256(&octets),
        }
    }

    /// Whether this was right before, in this epoch.
    pub(super) fn is_known(&self) -> bool {
        REMEMBERED
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .is_some_and(|known| known.of == self.of && known.right.contains(&self.digest))
    }

    /// It was right. What belongs to another epoch is forgotten.
    pub(super) fn remember(self) {
        let mut slot = REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
        let known = slot.get_or_insert_default();
        if known.of != self.of || known.right.len() >= PASSWORDS_REMEMBERED_MAX {
            known.right.clear();
        }
        known.of = self.of;
        known.right.insert(self.digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_hash_and_no_other() {
        let hash = hash(&World::real(), "right").await;
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        let all = || vec!["$unknown$x".to_owned(), hash.clone()];
        assert!(matches_any(all(), "right").await);
        assert!(!matches_any(all(), "right ").await);
        assert!(!matches_any(Vec::new(), "right").await);
    }

    #[test]
    fn nobody_costs_what_anybody_costs() {
        let parsed = PasswordHash::new(NOBODY).expect("parses");
        let params = Params::try_from(&parsed).expect("reads");
        assert_eq!(
            (params.m_cost(), params.t_cost(), params.p_cost()),
            (MEMORY_KIB, PASSES, LANES)
        );
        assert_eq!(parsed.hash.map(|output| output.len()), Some(32));
    }
}
