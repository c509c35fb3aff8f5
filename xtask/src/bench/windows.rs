//! Stretches of one run with a profiler on or off, and what the target got done in each.
//!
//! A machine's speed drifts by more than a profiler costs. So each window with a profiler on is compared with the two
//! windows without one that touch it, and only ratios of neighbours are averaged.

use super::counter::Mark;

/// A stretch between two marks of the target's counter.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Which profiler was on; None: none.
    pub on: Option<usize>,
    pub from: Mark,
    pub to: Mark,
}

/// By which clock work is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// What anyone sees, less the time for which other programs had the CPU. A profiler that stops the target shows.
    Wall,
    /// The target thread's own time: interrupts while it runs are part of it, stops are not.
    Cpu,
}

impl Window {
    /// Nanoseconds that one unit took; None where too little was done to say.
    fn pace(&self, clock: Clock) -> Option<f64> {
        const FEWEST: u64 = 20;
        let units = self.to.units.checked_sub(self.from.units)?;
        let time = match clock {
            Clock::Wall => {
                let waited = self.to.waited.checked_sub(self.from.waited)?;
                let passed = self.to.monotonic.checked_sub(self.from.monotonic)?;
                passed.checked_sub(waited)?
            }
            Clock::Cpu => self.to.cpu.checked_sub(self.from.cpu)?,
        };
        (units >= FEWEST).then(|| time as f64 / units as f64)
    }
}

/// By how many per cent each window with profiler `which` on was slower than its two neighbours.
pub fn slowdowns(windows: &[Window], which: usize, clock: Clock) -> Vec<f64> {
    windows
        .windows(3)
        .filter_map(|three| {
            let [before, with, after] = three else {
                return None;
            };
            if with.on != Some(which) || before.on.is_some() || after.on.is_some() {
                return None;
            }
            let without = (before.pace(clock)? + after.pace(clock)?) / 2.0;
            Some((with.pace(clock)? / without - 1.0) * 100.0)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows of 1000 units each, with the pace given for each.
    fn made(paces: &[(Option<usize>, u64)]) -> Vec<Window> {
        let mut mark = Mark {
            units: 5,
            monotonic: 1_000,
            cpu: 500,
            waited: 0,
        };
        paces
            .iter()
            .map(|&(on, pace)| {
                let from = mark;
                mark.units += 1000;
                mark.monotonic += 1000 * pace * 2 + 77;
                mark.waited += 77;
                mark.cpu += 1000 * pace;
                Window { on, from, to: mark }
            })
            .collect()
    }

    #[test]
    fn a_drift_of_the_machine_cancels() {
        let windows = made(&[
            (None, 100),
            (Some(0), 121),
            (None, 120),
            (Some(1), 143),
            (None, 140),
        ]);
        let close = |found: Vec<f64>, wanted: f64| {
            assert_eq!(found.len(), 1);
            assert!((found[0] - wanted).abs() < 1e-9, "{found:?}");
        };
        close(slowdowns(&windows, 0, Clock::Cpu), 10.0);
        close(slowdowns(&windows, 1, Clock::Cpu), 10.0);
        close(slowdowns(&windows, 1, Clock::Wall), 10.0);
    }

    #[test]
    fn only_windows_between_two_without_a_profiler_count() {
        let windows = made(&[
            (Some(0), 100),
            (None, 100),
            (Some(0), 110),
            (Some(1), 110),
            (None, 100),
        ]);
        assert!(slowdowns(&windows, 0, Clock::Cpu).is_empty());
        assert!(slowdowns(&windows, 1, Clock::Cpu).is_empty());
    }

    #[test]
    fn windows_in_which_the_target_hardly_ran_do_not_count() {
        let mut windows = made(&[(None, 100), (Some(0), 110), (None, 100)]);
        windows[2].to = windows[2].from;
        assert!(slowdowns(&windows, 0, Clock::Cpu).is_empty());
        let backwards = std::mem::replace(&mut windows[1].to.units, 0);
        assert!(backwards > 0);
        assert!(slowdowns(&windows, 0, Clock::Cpu).is_empty());
    }
}
