//! What all ports of the node remember about clients: connections, unknown recipients, failed passwords,
//! the store's room. In: an address and the time. Out: whether it may go on. Every table is bounded;
//! nothing here is a secret.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::Limits;
use crate::limits::{
    AUTH_FAILURES_MAX, AUTH_FAILURES_PER_CLIENT_MAX, AUTH_WINDOW, CLIENTS_REMEMBERED_MAX,
    ROOM_CHECK_EVERY, UNKNOWN_RECIPIENTS_PER_HOUR_MAX, UNKNOWN_RECIPIENTS_WINDOW,
};
use crate::world::Monotonic;

/// One for all ports of a node.
#[derive(Debug)]
pub struct Guard {
    connections_max: usize,
    connections_per_client_max: usize,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    connections: HashMap<Client, usize>,
    connections_all: usize,
    unknown: Windows<Client>,
    failures: Windows<(Client, String)>,
    failures_of_client: Windows<Client>,
    room: Option<(Monotonic, Room)>,
}

/// Who counts as one client: an IPv4 address, or an IPv6 /64, the smallest network that is handed out
/// (RFC 6177 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Client(IpAddr);

impl Client {
    pub(super) fn new(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V6(ip) => {
                let network = ip.to_bits() & !u128::from(u64::MAX);
                Self(IpAddr::V6(Ipv6Addr::from_bits(network)))
            }
            v4 => Self(v4),
        }
    }
}

/// Whether the store can take a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Enough,
    Low,
}

/// Whether a password is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    Allowed,
    Blocked,
}

/// One of the node's connections; given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    guard: Arc<Guard>,
    client: Client,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut tables = self.guard.tables();
        tables.connections_all = tables.connections_all.saturating_sub(1);
        let left = match tables.connections.get_mut(&self.client) {
            Some(count) => {
                *count = count.saturating_sub(1);
                *count
            }
            None => 0,
        };
        if left == 0 {
            tables.connections.remove(&self.client);
        }
    }
}

impl Guard {
    /// For one node.
    pub fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            connections_max: limits.connections,
            connections_per_client_max: limits.connections_per_client,
            tables: Mutex::default(),
        })
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // Counters stay usable whatever panicked while they were held.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection of this client, if neither it nor all together have too many.
    pub(super) fn admit(self: &Arc<Self>, client: Client) -> Option<Permit> {
        let mut tables = self.tables();
        let mine = tables.connections.get(&client).copied().unwrap_or(0);
        if tables.connections_all >= self.connections_max || mine >= self.connections_per_client_max
        {
            return None;
        }
        tables.connections_all += 1;
        tables.connections.insert(client, mine + 1);
        Some(Permit {
            guard: Arc::clone(self),
            client,
        })
    }

    /// Notes that the client named an unknown recipient.
    pub(super) fn unknown_recipient(&self, client: Client, now: Monotonic) {
        self.tables()
            .unknown
            .count(client, now, UNKNOWN_RECIPIENTS_WINDOW);
    }

    /// Whether the client looks for names (E-056).
    pub(super) fn harvests(&self, client: Client, now: Monotonic) -> bool {
        let seen = self
            .tables()
            .unknown
            .seen(&client, now, UNKNOWN_RECIPIENTS_WINDOW);
        seen >= UNKNOWN_RECIPIENTS_PER_HOUR_MAX
    }

    /// Whether another password of this client for this login is looked at (G-067).
    pub(super) fn password_attempt(&self, client: Client, login: &str, now: Monotonic) -> Attempt {
        let tables = self.tables();
        let key = (client, login.to_lowercase());
        let pair = tables.failures.seen(&key, now, AUTH_WINDOW);
        let all = tables.failures_of_client.seen(&client, now, AUTH_WINDOW);
        if pair >= AUTH_FAILURES_MAX || all >= AUTH_FAILURES_PER_CLIENT_MAX {
            Attempt::Blocked
        } else {
            Attempt::Allowed
        }
    }

    /// Notes a wrong password.
    pub(super) fn password_failed(&self, client: Client, login: &str, now: Monotonic) {
        let mut tables = self.tables();
        let key = (client, login.to_lowercase());
        tables.failures.count(key, now, AUTH_WINDOW);
        tables.failures_of_client.count(client, now, AUTH_WINDOW);
    }

    /// The store's room as it was last asked for, unless that is too long ago.
    pub(super) fn room(&self, now: Monotonic) -> Option<Room> {
        let (asked, room) = self.tables().room?;
        (now.since(asked) < ROOM_CHECK_EVERY).then_some(room)
    }

    /// Notes the store's room.
    pub(super) fn note_room(&self, room: Room, now: Monotonic) {
        self.tables().room = Some((now, room));
    }
}

/// Counts a window; it begins with the first event and is forgotten after its span.
#[derive(Debug)]
struct Windows<K>(HashMap<K, (Monotonic, u32)>);

impl<K> Default for Windows<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash + Clone> Windows<K> {
    fn seen(&self, key: &K, now: Monotonic, span: Duration) -> u32 {
        match self.0.get(key) {
            Some((begun, count)) if now.since(*begun) < span => *count,
            _ => 0,
        }
    }

    fn count(&mut self, key: K, now: Monotonic, span: Duration) {
        let seen = self.seen(&key, now, span);
        if seen > 0 {
            if let Some((_, count)) = self.0.get_mut(&key) {
                *count = count.saturating_add(1);
            }
            return;
        }
        if self.0.len() >= CLIENTS_REMEMBERED_MAX {
            self.forget(now, span);
        }
        self.0.insert(key, (now, 1));
    }

    /// Makes room: what is over goes; if nothing is, the oldest.
    fn forget(&mut self, now: Monotonic, span: Duration) {
        self.0.retain(|_, (begun, _)| now.since(*begun) < span);
        if self.0.len() >= CLIENTS_REMEMBERED_MAX {
            let oldest = self.0.iter().min_by_key(|(_, (begun, _))| *begun);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                self.0.remove(&key);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::world::{Timestamp, World};

    pub(in crate::listener) fn limits() -> Limits {
        Limits {
            message_size: 10_000,
            recipients: 3,
            command_timeout: Duration::from_secs(5),
            connections: 3,
            connections_per_client: 2,
            free_octets: 1,
            free_inodes: 1,
            processed_wait: Duration::from_secs(3_600),
            dispatched_wait: Duration::from_secs(3_600),
        }
    }

    fn client(text: &str) -> Client {
        Client::new(text.parse().expect("an IP address"))
    }

    #[test]
    fn connections_are_counted_by_client_and_together_and_given_back() {
        let guard = Guard::new(&limits());
        let (a, b, c) = (
            client("192.0.2.1"),
            client("192.0.2.2"),
            client("192.0.2.3"),
        );
        let first = guard.admit(a).expect("the first");
        let _second = guard.admit(a).expect("the second");
        assert!(guard.admit(a).is_none(), "two a client");
        let _third = guard.admit(b).expect("another client");
        assert!(guard.admit(c).is_none(), "three together");
        drop(first);
        assert!(guard.admit(c).is_some());
        assert!(guard.admit(a).is_some());
    }

    #[test]
    fn one_client_is_an_ipv4_address_or_an_ipv6_network() {
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:2"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
    }

    #[test]
    fn failures_block_the_pair_then_the_client_until_the_window_is_over() {
        let world = World::at(Timestamp::from_unix_s(1_000));
        let guard = Guard::new(&limits());
        let (a, b) = (client("192.0.2.1"), client("192.0.2.2"));
        let allowed = |client, login| {
            guard.password_attempt(client, login, world.monotonic()) == Attempt::Allowed
        };
        for _ in 0..AUTH_FAILURES_MAX {
            assert!(allowed(a, "desk"));
            guard.password_failed(a, "Desk", world.monotonic());
        }
        assert!(!allowed(a, "desk"));
        assert!(allowed(a, "front") && allowed(b, "desk"));
        for number in 0..AUTH_FAILURES_PER_CLIENT_MAX - AUTH_FAILURES_MAX {
            assert!(allowed(a, "front"));
            guard.password_failed(a, &number.to_string(), world.monotonic());
        }
        assert!(!allowed(a, "front"));
        world.advance(AUTH_WINDOW);
        assert!(allowed(a, "desk") && allowed(a, "front"));
    }

    #[test]
    fn the_tables_forget_the_oldest_when_full() {
        let world = World::at(Timestamp::from_unix_s(1_000));
        let mut windows = Windows::default();
        for number in 0..CLIENTS_REMEMBERED_MAX + 2 {
            world.advance(Duration::from_micros(1));
            windows.count(number, world.monotonic(), AUTH_WINDOW);
        }
        assert_eq!(windows.0.len(), CLIENTS_REMEMBERED_MAX);
        assert!(!windows.0.contains_key(&0) && !windows.0.contains_key(&1));
        assert!(windows.0.contains_key(&2));
    }
}
