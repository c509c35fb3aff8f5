//! How long to wait between tries.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// After the first failure, doubled after each further one.
    pub first: Duration,
    pub most: Duration,
    /// While a setting is wrong.
    pub blocked: Duration,
    /// So many answers that leave it open whether the message is at fault, then it is given up: after
    /// more than ten minutes, since others' outages end.
    pub doubtful: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            most: Duration::from_secs(30),
            blocked: Duration::from_secs(60),
            doubtful: 40,
        }
    }
}

impl Pace {
    /// After so many failures one after the other.
    pub fn wait(&self, failures: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1));
        let wait = self.first.saturating_mul(doubled.unwrap_or(u32::MAX));
        jittered(wait.min(self.most))
    }

    pub fn blocked(&self) -> Duration {
        jittered(self.blocked)
    }
}

/// Between half of it and all: agents that lost one collector must not come back at one moment.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.5 + 0.5 * random())
}

/// From 0 to 1. Each `RandomState` has keys of its own.
fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 32;
    bits as f64 / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_doubtful_is_tried_for_more_than_ten_minutes() {
        let pace = Pace::default();
        let least: Duration = (1..pace.doubtful)
            .map(|tries| pace.wait(tries).min(pace.most / 2))
            .sum();
        assert!(least > Duration::from_secs(480), "{least:?}");
        let mean: Duration = (1..pace.doubtful).map(|tries| pace.wait(tries)).sum();
        assert!(mean > Duration::from_secs(600), "{mean:?}");
    }

    #[test]
    fn waits_grow_up_to_a_bound_and_differ() {
        let pace = Pace::default();
        for (failures, most) in [(0, 1), (1, 1), (2, 2), (3, 4), (5, 16), (6, 30), (400, 30)] {
            let most = Duration::from_secs(most);
            for _ in 0..100 {
                let wait = pace.wait(failures);
                assert!(wait >= most / 2 && wait <= most, "{failures}: {wait:?}");
            }
        }
        let waits: std::collections::BTreeSet<_> = (0..20).map(|_| pace.wait(9)).collect();
        assert!(waits.len() > 10, "{waits:?}");
    }
}
