//! Whether the agent lives, and whether it does what it is there for. By the monotonic clock, which
//! stands still while the machine is suspended: what did not run can't be late.

use std::time::{Duration, Instant};

use super::status::Status;

/// Batches that may be missed before something is wrong.
const MISSED: u32 = 3;
/// What loading, a slow disk or a machine under load may take besides.
const GRACE: Duration = Duration::from_secs(30);

/// When the run loop was last heard of.
#[derive(Clone, Copy, Debug)]
pub struct Pulse {
    /// The start, before the first word.
    heard: Instant,
    batches: u64,
    /// When the last batch was complete.
    pub batch: Option<Instant>,
}

impl Pulse {
    pub fn new(now: Instant) -> Self {
        Self {
            heard: now,
            batches: 0,
            batch: None,
        }
    }

    pub fn beat(&mut self, now: Instant, batches: u64) {
        self.heard = now;
        if batches > self.batches {
            self.batches = batches;
            self.batch = Some(now);
        }
    }

    /// Whether the run loop goes on; if not, only a restart helps.
    pub fn alive(&self, now: Instant, interval: Duration) -> Result<(), String> {
        let silent = now.saturating_duration_since(self.heard);
        if silent <= interval * MISSED + GRACE {
            return Ok(());
        }
        Err(format!(
            "The main loop has not been heard of for {} s, although it has something to say every {} s.",
            silent.as_secs(),
            interval.as_secs_f64()
        ))
    }

    /// Whether samples are taken and kept.
    pub fn ready(&self, now: Instant, status: &Status) -> Result<(), String> {
        let interval = status.settings.interval;
        self.alive(now, interval)?;
        let Some(batch) = self.batch else {
            return Err(format!(
                "No batch is complete yet: the agent starts, and the first one is due {} s after that.",
                interval.as_secs_f64()
            ));
        };
        if !status.sampling.running {
            return Err("Sampling does not run.".to_owned());
        }
        let age = now.saturating_duration_since(batch);
        if age > interval * MISSED {
            return Err(format!(
                "The last batch is {} s old, although one is due every {} s.",
                age.as_secs(),
                interval.as_secs_f64()
            ));
        }
        match &status.store_error {
            Some(error) => Err(format!("The store does not work: {error}")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Batches, Sampling};

    fn status(count: u64) -> Status {
        Status {
            sampling: Sampling {
                running: true,
                ..Sampling::default()
            },
            batches: Batches {
                count,
                ..Batches::default()
            },
            ..Status::default()
        }
    }

    #[track_caller]
    fn assert_unready(pulse: &Pulse, now: Instant, status: &Status, part: &str) {
        let why = pulse.ready(now, status).unwrap_err();
        assert!(why.contains(part), "{why}");
    }

    #[test]
    fn ready_once_a_batch_is_complete() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        assert_unready(&pulse, start, &status(0), "No batch is complete yet");
        let first = start + Duration::from_secs(10);
        pulse.beat(first, 1);
        assert_eq!(pulse.ready(first, &status(1)), Ok(()));
        let late = first + Duration::from_secs(30);
        assert_eq!(pulse.ready(late, &status(1)), Ok(()));
        let too_late = late + Duration::from_millis(1);
        assert_unready(&pulse, too_late, &status(1), "The last batch is 30 s old");
    }

    #[test]
    fn a_loop_that_goes_on_without_batches_lives_and_is_not_ready() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        pulse.beat(start, 1);
        let later = start + Duration::from_secs(100);
        pulse.beat(later, 1);
        assert_eq!(pulse.alive(later, Duration::from_secs(10)), Ok(()));
        assert_unready(&pulse, later, &status(1), "The last batch is 100 s old");
    }

    #[test]
    fn silence_is_death_after_three_intervals_and_some() {
        let start = Instant::now();
        let pulse = Pulse::new(start);
        let interval = Duration::from_secs(10);
        let latest = start + Duration::from_secs(60);
        assert_eq!(pulse.alive(latest, interval), Ok(()));
        let dead = latest + Duration::from_millis(1);
        assert!(pulse.alive(dead, interval).is_err());
        assert_unready(&pulse, dead, &status(0), "has not been heard of for 60 s");
    }

    #[test]
    fn not_ready_without_sampling_or_store() {
        let now = Instant::now();
        let mut pulse = Pulse::new(now);
        pulse.beat(now, 1);
        let mut stopped = status(1);
        stopped.sampling.running = false;
        assert_unready(&pulse, now, &stopped, "Sampling does not run");
        let mut full = status(1);
        full.store_error = Some("No space left on device".to_owned());
        assert_unready(&pulse, now, &full, "No space left on device");
    }
}
