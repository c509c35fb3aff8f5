//! How it went lately: a moment a batch, for as long as the page looks back.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::own::Own;
use super::status::Status;

/// An hour of batches of ten seconds.
const MOMENTS: usize = 360;
const CLOSEST: Duration = Duration::from_secs(5);

/// Totals as of a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    pub at: Instant,
    pub samples: u64,
    pub lost: u64,
    pub cpu: Duration,
    pub anonymous: u64,
}

/// What came between two moments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    pub over: Duration,
    pub samples: f64,
    pub lost: f64,
    /// Cores.
    pub cpu: f64,
}

impl Moment {
    pub fn of(at: Instant, status: &Status, own: &Own) -> Self {
        Self {
            at,
            samples: status.sampling.samples,
            lost: status.sampling.lost.values().sum(),
            cpu: own.cpu,
            anonymous: own.anonymous,
        }
    }

    pub fn since(&self, earlier: &Self) -> Option<Rates> {
        let over = self.at.saturating_duration_since(earlier.at);
        let seconds = over.as_secs_f64();
        // Totals of sessions may begin again; less than nothing did not happen.
        let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        (seconds > 0.0).then(|| Rates {
            over,
            samples: rate(self.samples, earlier.samples),
            lost: rate(self.lost, earlier.lost),
            cpu: self.cpu.saturating_sub(earlier.cpu).as_secs_f64() / seconds,
        })
    }
}

#[derive(Default)]
pub struct History(VecDeque<Moment>);

impl History {
    pub fn add(&mut self, moment: Moment) {
        // Whoever publishes more often shall not shorten the hour.
        let last = self.0.back();
        if last.is_some_and(|last| moment.at.saturating_duration_since(last.at) < CLOSEST) {
            return;
        }
        if self.0.len() >= MOMENTS {
            self.0.pop_front();
        }
        self.0.push_back(moment);
    }

    pub fn moments(&self) -> Vec<Moment> {
        self.0.iter().copied().collect()
    }
}

/// Rates of the last minute, or of as much of it as there is.
pub fn lately(moments: &[Moment]) -> Option<Rates> {
    let last = moments.last()?;
    let minute = Duration::from_secs(60);
    // The first that is no older: a minute of batches ten seconds apart has seven moments.
    let first = moments
        .iter()
        .find(|moment| last.at.saturating_duration_since(moment.at) <= minute)?;
    last.since(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(start: Instant, seconds: u64, samples: u64) -> Moment {
        Moment {
            at: start + Duration::from_secs(seconds),
            samples,
            lost: seconds,
            cpu: Duration::from_millis(5 * seconds),
            anonymous: 0,
        }
    }

    #[test]
    fn the_last_minute_counts() {
        let start = Instant::now();
        let moments: Vec<Moment> = (0..20).map(|n| moment(start, n * 10, n * n)).collect();
        let rates = lately(&moments).unwrap();
        assert_eq!(rates.over, Duration::from_secs(60));
        assert_eq!(rates.samples, (19.0 * 19.0 - 13.0 * 13.0) / 60.0);
        assert_eq!(rates.lost, 1.0);
        assert!((rates.cpu - 0.005).abs() < 1e-9);
        assert_eq!(lately(&moments[..1]), None);
        assert_eq!(lately(&[]), None);
    }

    #[test]
    fn totals_that_begin_again_are_no_negative_rate() {
        let start = Instant::now();
        let rates = moment(start, 10, 5).since(&moment(start, 0, 100)).unwrap();
        assert_eq!(rates.samples, 0.0);
    }

    #[test]
    fn an_hour_is_kept() {
        let start = Instant::now();
        let mut history = History::default();
        for n in 0..1000 {
            history.add(moment(start, 10 * n, n));
            history.add(moment(start, 10 * n + 4, n + 1000));
        }
        let moments = history.moments();
        assert_eq!(moments.len(), MOMENTS);
        assert_eq!(moments[MOMENTS - 1].samples, 999);
    }
}
