//! Turns profilers on and off within one run of a target.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::statistics::Random;
use super::target::Target;
use super::windows::Window;

/// A profiler that is there all the time and costs nothing while it is off.
pub trait Switch {
    fn on(&mut self) -> Result<()>;
    fn off(&mut self) -> Result<()>;
}

/// A window's length. The jitter keeps it out of step with whatever else happens regularly.
const SHORTEST: Duration = Duration::from_millis(200);
const JITTER: Duration = Duration::from_millis(100);
/// After a switch, before the window begins.
const SETTLE: Duration = Duration::from_millis(15);

/// For so long, windows without any profiler and windows with one of them by turns. Which one is drawn by lot.
pub fn run(
    target: &Target,
    switches: &mut [&mut dyn Switch],
    time: Duration,
) -> Result<Vec<Window>> {
    let mut random = Random(u64::from(target.pid()));
    let mut windows = Vec::new();
    let mut turns: Vec<usize> = Vec::new();
    let until = Instant::now() + time;
    windows.push(window(target, None, &mut random)?);
    while Instant::now() < until {
        if turns.is_empty() {
            turns = shuffled(switches.len(), &mut random);
        }
        let Some(turn) = turns.pop() else { break };
        if let Some(switch) = switches.get_mut(turn) {
            switch.on()?;
            windows.push(window(target, Some(turn), &mut random)?);
            switch.off()?;
            windows.push(window(target, None, &mut random)?);
        }
    }
    Ok(windows)
}

fn window(target: &Target, on: Option<usize>, random: &mut Random) -> Result<Window> {
    thread::sleep(SETTLE);
    let from = target.mark()?;
    thread::sleep(SHORTEST + JITTER.mul_f64(random.unit()));
    let to = target.mark()?;
    Ok(Window { on, from, to })
}

fn shuffled(count: usize, random: &mut Random) -> Vec<usize> {
    let mut turns: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        turns.swap(last, random.below(last + 1));
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profiler_has_its_turn_and_every_order_comes() {
        let mut random = Random(3);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let turns = shuffled(3, &mut random);
            let mut sorted = turns.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2]);
            seen.insert(turns);
        }
        assert_eq!(seen.len(), 6);
    }
}
