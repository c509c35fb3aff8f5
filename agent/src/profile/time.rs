//! When: a profile's time is `CLOCK_MONOTONIC` in ns; a clock ties it to the wall.

use std::time::Duration;

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// ns of `CLOCK_MONOTONIC`.
    pub monotonic: u64,
    /// ns since 1970.
    pub wall: u64,
}

impl Clock {
    /// ns since 1970 of a monotonic time.
    pub fn wall(&self, monotonic: u64) -> u64 {
        if monotonic >= self.monotonic {
            self.wall.saturating_add(monotonic - self.monotonic)
        } else {
            self.wall.saturating_sub(self.monotonic - monotonic)
        }
    }
}

/// The time that a profile covers, on the monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub start: u64,
    pub end: u64,
}

impl Span {
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.end.saturating_sub(self.start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_runs_both_ways() {
        let clock = Clock {
            monotonic: 1_000,
            wall: 50_000,
        };
        assert_eq!(clock.wall(1_500), 50_500);
        assert_eq!(clock.wall(400), 49_400);
        assert_eq!(clock.wall(u64::MAX), u64::MAX);
        assert_eq!(Clock { wall: 10, ..clock }.wall(0), 0);
    }

    #[test]
    fn a_span_that_ends_before_its_start_is_empty() {
        let span = Span { start: 5, end: 3 };
        assert_eq!(span.duration(), Duration::ZERO);
    }
}
