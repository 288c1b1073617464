//! Pure: when to try again.

use crate::world::Timestamp;

/// When the attempt after `attempt` (1 = the first) is due, or None if the job's life is over by then. `jitter`: 0 to 255,
/// spreads peers that fail together.
pub fn next_attempt(
    _attempt: u32,
    _now: Timestamp,
    _expires_at: Timestamp,
    _jitter: u8,
) -> Option<Timestamp> {
    todo!()
}
