//! Pure: when to try again.
//! In: how often it was tried, and until when it lives. Out: the next time, or none.

use std::time::Duration;

use crate::limits::{RETRY_FIRST, RETRY_MAX};
use crate::world::Timestamp;

/// When the attempt after `attempt` (1 = the first) is due, or None if the job's life is over by then.
/// `jitter`: 0 to 255, spreads peers that fail together.
///
/// Waits double: about 1, 2, 4, 8, 15, 15, ... minutes, so that a referral, whose sender gives up after 60
/// minutes (B-013), is tried six or seven times within its life.
pub fn next_attempt(
    attempt: u32,
    now: Timestamp,
    expires_at: Timestamp,
    jitter: u8,
) -> Option<Timestamp> {
    let due = now.plus(spread(wait_after(attempt), jitter));
    (due < expires_at).then_some(due)
}

/// [`RETRY_FIRST`], doubled for each further attempt, at most [`RETRY_MAX`].
fn wait_after(attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    RETRY_FIRST.saturating_mul(1 << doublings).min(RETRY_MAX)
}

/// Between 12 % sooner and 12 % later, evenly, so that what failed together does not come back together.
fn spread(wait: Duration, jitter: u8) -> Duration {
    let permille = 880 + u32::from(jitter) * 240 / 255;
    wait.saturating_mul(permille) / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_800_000_000_000_000);
    const NEVER: Timestamp = Timestamp(i64::MAX);

    fn wait_s(attempt: u32, jitter: u8) -> u64 {
        next_attempt(attempt, START, NEVER, jitter)
            .map_or(0, |due| due.since(START).as_millis())
            .div_ceil(1_000) as u64
    }

    #[test]
    fn waits_double_from_one_minute_to_a_quarter_of_an_hour() {
        let waits: Vec<u64> = [1, 2, 3, 4, 5, 6, 7, u32::MAX]
            .into_iter()
            .map(|attempt| (wait_s(attempt, 0) + wait_s(attempt, 255)) / 2)
            .collect();
        assert_eq!(waits, [60, 120, 240, 480, 900, 900, 900, 900]);
    }

    #[test]
    fn jitter_stays_within_twelve_percent() {
        for jitter in 0..=u8::MAX {
            let wait = wait_s(3, jitter);
            assert!((211..=269).contains(&wait), "{wait}");
        }
        assert_eq!(wait_s(1, 0), 53);
        assert_eq!(wait_s(1, 255), 68);
    }

    #[test]
    fn a_referral_is_tried_six_or_seven_times_in_its_hour_and_then_no_more() {
        for jitter in [0, 128, 255] {
            let expires = START.plus(crate::limits::REFERRAL_QUEUE_LIFE);
            let (mut now, mut attempts) = (START, 1);
            while let Some(due) = next_attempt(attempts, now, expires, jitter) {
                assert!(due < expires);
                (now, attempts) = (due, attempts + 1);
            }
            assert!((6..=8).contains(&attempts), "{attempts}");
        }
    }

    #[test]
    fn what_would_come_at_the_very_end_of_its_life_does_not_come() {
        let due = next_attempt(1, START, NEVER, 7).expect("lives for ever");
        assert_eq!(next_attempt(1, START, due, 7), None);
        assert_eq!(next_attempt(1, START, Timestamp(due.0 + 1), 7), Some(due));
    }
}
