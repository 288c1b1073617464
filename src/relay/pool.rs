//! Open conversations kept for the next message to the same hop. In: tidy sessions. Out: the same, while they are young and
//! silent. Bounded per hop and in all; nothing stays longer than [`KEPT_IDLE_MAX`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::limits::{KEPT_IDLE_MAX, KEPT_MAX, KEPT_PER_HOP_MAX};
use crate::world::{Monotonic, World};

use super::session::{Caller, Failure, Hop, Mailing, Said, Session};

/// How often idle connections are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Kept sessions, by hop.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_hop: HashMap<String, Vec<(Session, Monotonic)>>,
    count: usize,
    /// A task is watching.
    watched: bool,
}

/// What one transaction came to, and under which protection.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) said: Vec<Said>,
    pub(crate) tls: Option<String>,
}

impl Pool {
    /// One transaction with `hop`: on a kept connection if there is one, else, or if that one turns out to be spent, on a new
    /// one. `key` names the hop and all that makes its connections differ.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn send(
        self: &Arc<Self>,
        caller: Caller<'_>,
        hop: &Hop<'_>,
        key: &str,
        mailing: &Mailing<'_>,
    ) -> Result<Sent, Failure> {
        if let Some(mut session) = self.take(key, caller.world.monotonic()) {
            match session.send(mailing).await {
                Err(Failure::Lost(_)) => {}
                other => return other.map(|said| self.conclude(caller.world, key, session, said)),
            }
        }
        let mut session = Session::open(caller, hop).await?;
        let said = session.send(mailing).await?;
        Ok(self.conclude(caller.world, key, session, said))
    }

    fn conclude(
        self: &Arc<Self>,
        world: &World,
        key: &str,
        session: Session,
        said: Vec<Said>,
    ) -> Sent {
        let tls = session.tls().map(str::to_owned);
        if session.is_tidy() {
            self.keep(world, key, session);
        }
        Sent { said, tls }
    }

    fn take(&self, key: &str, now: Monotonic) -> Option<Session> {
        let mut kept = self.lock();
        while let Some((session, since)) = kept.by_hop.get_mut(key).and_then(Vec::pop) {
            kept.count = kept.count.saturating_sub(1);
            if now.since(since) < KEPT_IDLE_MAX && session.is_tidy() {
                return Some(session);
            }
        }
        kept.by_hop.remove(key);
        None
    }

    fn keep(self: &Arc<Self>, world: &World, key: &str, session: Session) {
        let mut kept = self.lock();
        if kept.count >= KEPT_MAX {
            return;
        }
        let sessions = kept.by_hop.entry(key.to_owned()).or_default();
        if sessions.len() >= KEPT_PER_HOP_MAX {
            return;
        }
        sessions.push((session, world.monotonic()));
        kept.count = kept.count.saturating_add(1);
        if !std::mem::replace(&mut kept.watched, true) {
            tokio::spawn(watch(Arc::downgrade(self), world.clone()));
        }
    }

    /// Takes out what is too old; `None` when nothing is left to watch.
    fn sweep(&self, now: Monotonic) -> Option<Vec<Session>> {
        let mut kept = self.lock();
        if kept.count == 0 {
            kept.watched = false;
            return None;
        }
        let mut old = Vec::new();
        for sessions in kept.by_hop.values_mut() {
            let is_old = |entry: &mut (Session, Monotonic)| now.since(entry.1) >= KEPT_IDLE_MAX;
            old.extend(sessions.extract_if(.., is_old).map(|(session, _)| session));
        }
        kept.by_hop.retain(|_, sessions| !sessions.is_empty());
        kept.count = kept.by_hop.values().map(Vec::len).sum();
        Some(old)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // The map is consistent between statements; at worst the count is off by one and corrected by the next sweep.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends when nothing is kept or the pool is gone.
async fn watch(pool: std::sync::Weak<Pool>, world: World) {
    loop {
        world.sleep(SWEEP_EVERY).await;
        let Some(pool) = pool.upgrade() else { return };
        let Some(old) = pool.sweep(world.monotonic()) else {
            return;
        };
        for session in old {
            session.quit().await;
        }
    }
}
