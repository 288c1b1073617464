//! Answers kept for a while: by key, with a life each, bounded in number and octets. In: answers. Out: the same, while fresh.
//! Never keeps a failure to answer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::limits::{DNS_CACHE_NAMES_MAX, DNS_CACHE_OCTETS_MAX};
use crate::world::Monotonic;

/// One kind of answer, by name.
#[derive(Debug)]
pub(crate) struct Cache<V> {
    kept: Mutex<Kept<V>>,
}

#[derive(Debug)]
struct Kept<V> {
    entries: HashMap<String, Entry<V>>,
    octets: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    since: Monotonic,
    life: Duration,
    octets: usize,
}

impl<V> Entry<V> {
    fn fresh(&self, now: Monotonic) -> bool {
        now.since(self.since) < self.life
    }
}

impl<V> Default for Cache<V> {
    fn default() -> Self {
        Self {
            kept: Mutex::new(Kept {
                entries: HashMap::new(),
                octets: 0,
            }),
        }
    }
}

impl<V: Clone> Cache<V> {
    /// What is kept under `key`, if its life is not over.
    pub(crate) fn find(&self, key: &str, now: Monotonic) -> Option<V> {
        let kept = self.lock();
        let entry = kept.entries.get(key)?;
        entry.fresh(now).then(|| entry.value.clone())
    }

    /// Keeps `value`, which weighs about `octets`, for `life`.
    pub(crate) fn keep(&self, key: &str, value: V, octets: usize, life: Duration, now: Monotonic) {
        let mut kept = self.lock();
        kept.remove(key);
        if life.is_zero() || octets > DNS_CACHE_OCTETS_MAX {
            return;
        }
        if !kept.has_room(octets) {
            kept.drop_stale(now);
        }
        if !kept.has_room(octets) {
            // Everything fresh and yet full: an attack or a very large node. Starting over is cheap and bounded.
            kept.clear();
        }
        kept.octets = kept.octets.saturating_add(octets);
        let entry = Entry {
            value,
            since: now,
            life,
            octets,
        };
        kept.entries.insert(key.to_owned(), entry);
    }

    /// Forgets one key.
    pub(crate) fn forget(&self, key: &str) {
        self.lock().remove(key);
    }

    /// Forgets everything.
    pub(crate) fn flush(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Kept<V>> {
        // No code that holds the lock can leave it half changed in a way that matters: at worst the octet count is off.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Kept<V> {
    fn has_room(&self, octets: usize) -> bool {
        self.entries.len() < DNS_CACHE_NAMES_MAX
            && self.octets.saturating_add(octets) <= DNS_CACHE_OCTETS_MAX
    }

    fn remove(&mut self, key: &str) {
        if let Some(entry) = self.entries.remove(key) {
            self.octets = self.octets.saturating_sub(entry.octets);
        }
    }

    fn drop_stale(&mut self, now: Monotonic) {
        self.entries.retain(|_, entry| entry.fresh(now));
        self.octets = self.entries.values().map(|entry| entry.octets).sum();
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.octets = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{Timestamp, World};

    #[test]
    fn an_answer_is_kept_for_its_life_and_not_a_second_longer() {
        let world = World::at(Timestamp::from_unix_s(1_000));
        let cache = Cache::default();
        cache.keep("a", 1, 10, Duration::from_secs(60), world.monotonic());
        cache.keep("b", 2, 10, Duration::ZERO, world.monotonic());
        assert_eq!(cache.find("b", world.monotonic()), None);
        world.advance(Duration::from_secs(59));
        assert_eq!(cache.find("a", world.monotonic()), Some(1));
        world.advance(Duration::from_secs(1));
        assert_eq!(cache.find("a", world.monotonic()), None);
    }

    #[test]
    fn the_cache_stays_within_its_bounds() {
        let world = World::at(Timestamp::from_unix_s(1_000));
        let cache = Cache::default();
        for n in 0..DNS_CACHE_NAMES_MAX + 10 {
            let life = Duration::from_secs(60);
            cache.keep(
                &n.to_string(),
                n,
                DNS_CACHE_OCTETS_MAX / 100,
                life,
                world.monotonic(),
            );
            let kept = cache.lock();
            assert!(kept.entries.len() <= DNS_CACHE_NAMES_MAX);
            assert!(kept.octets <= DNS_CACHE_OCTETS_MAX);
        }
    }
}
