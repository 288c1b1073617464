//! Watches one gateway's journal as it is written: lines for the screen, and counts for the checks.

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::admin::timeline;
use crate::journal::Entry;
use crate::store::Store;
use crate::world::Timestamp;

/// One line of a timeline.
#[derive(Clone, Debug)]
pub struct Line {
    pub at: Timestamp,
    pub side: &'static str,
    pub text: String,
}

/// Follows the journal of one gateway.
pub struct Watcher {
    side: &'static str,
    events: broadcast::Receiver<Arc<(Timestamp, Entry)>>,
    /// Name and facts of every event so far.
    seen: Vec<(String, String)>,
}

impl Watcher {
    /// Starts with what happens from now on.
    pub fn new(side: &'static str, store: &Store) -> Self {
        Self {
            side,
            events: store.events(),
            seen: Vec::new(),
        }
    }

    /// What happened since the last call.
    pub fn drain(&mut self) -> Vec<Line> {
        let mut lines = Vec::new();
        while let Ok(happened) = self.events.try_recv() {
            let (at, entry) = &*happened;
            let (name, facts) = entry.event.row();
            let value = serde_json::from_str(&facts).unwrap_or_default();
            let sentence = timeline::sentence(&name, &value);
            lines.push(Line {
                at: *at,
                side: self.side,
                text: format!("{name:<18} {sentence}"),
            });
            self.seen.push((name, facts));
        }
        lines
    }

    /// Whether such an event was seen, with `word` among its facts.
    pub fn saw(&self, event: &str, word: &str) -> bool {
        self.count(event, word) > 0
    }

    /// How many such events were seen.
    pub fn count(&self, event: &str, word: &str) -> usize {
        self.seen
            .iter()
            .filter(|(name, facts)| name == event && facts.contains(word))
            .count()
    }

    /// How many reports were queued: words to a sender.
    pub fn reports(&self) -> usize {
        self.count("report-queued", "") + self.count("notice-queued", "")
    }
}
