//! The pauses between tries.

use std::time::{Duration, Instant};

/// A failure so long after the one before has nothing to do with it.
const FORGET: Duration = Duration::from_secs(120);

/// Doubles the pause from failure to failure. An answer alone does not end that: a server that gives
/// lists and refuses watches would be asked for lists at the shortest pause.
pub struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
    last: Option<Instant>,
}

impl Backoff {
    pub fn new(first: Duration, most: Duration) -> Self {
        Self {
            first,
            most,
            next: first,
            last: None,
        }
    }

    /// The pause after a failure.
    pub fn pause(&mut self, now: Instant) -> Duration {
        let quiet = self.last.map(|last| now.saturating_duration_since(last));
        if quiet.is_some_and(|quiet| quiet > FORGET) {
            self.reset();
        }
        self.last = Some(now);
        let pause = self.next;
        self.next = self.most.min(pause * 2);
        spread(pause)
    }

    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Once to twice as long, by chance: what goes wrong for all agents of a cluster at the same time is
/// not tried again by all at the same time.
pub fn spread(pause: Duration) -> Duration {
    pause.mul_f64(1.0 + fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(1);
    const MOST: Duration = Duration::from_secs(30);

    /// Whether it is a pause of so many seconds, spread.
    fn is_about(pause: Duration, seconds: u64) -> bool {
        let least = Duration::from_secs(seconds);
        (least..=2 * least).contains(&pause)
    }

    #[test]
    fn pauses_grow_up_to_the_maximum() {
        let mut backoff = Backoff::new(FIRST, MOST);
        let now = Instant::now();
        for seconds in [1, 2, 4, 8, 16, 30, 30, 30] {
            let pause = backoff.pause(now);
            assert!(is_about(pause, seconds), "{pause:?} and not {seconds} s");
        }
        backoff.reset();
        assert!(is_about(backoff.pause(now), 1));
    }

    #[test]
    fn failures_long_ago_do_not_count() {
        let mut backoff = Backoff::new(FIRST, MOST);
        let begin = Instant::now();
        backoff.pause(begin);
        backoff.pause(begin);
        assert!(is_about(backoff.pause(begin + FORGET), 4));
        assert!(is_about(backoff.pause(begin + 3 * FORGET), 1));
    }
}
