//! The clocks by which CPUs are sampled: begun, paused, ended; and for how long.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use super::machine::monotonic;
use crate::bpf::{Event, Link, LoadError, Loaded, cpus};
use crate::process::identity::ns_per_tick;

/// One clock a CPU. Times are nanoseconds of the monotonic clock.
pub struct Clocks {
    event: Event,
    rate: u64,
    /// CPUs that are sampled, since when, and for how long they had been idle by then.
    attached: HashMap<u32, (Link, u64, u64)>,
    /// For how long CPUs were sampled while they had something to do, all of them together. The
    /// clock of an idle CPU may stand still.
    pub busy: u64,
    /// Most CPUs that were sampled at once.
    pub cpus: u64,
    /// When sampling began; 0 before.
    pub started: u64,
    pub ended: u64,
    /// Nanoseconds in between in which it was paused.
    pub paused: u64,
    paused_since: Option<u64>,
    settled: Option<Instant>,
}

/// How often is looked for how long CPUs were idle. What a CPU did between that and its going
/// offline is missing in [`Clocks::busy`].
const SETTLE: Duration = Duration::from_secs(5);

impl Clocks {
    pub fn new(event: Event, rate: u64) -> Self {
        Self {
            event,
            rate,
            attached: HashMap::new(),
            busy: 0,
            cpus: 0,
            started: 0,
            ended: 0,
            paused: 0,
            paused_since: None,
            settled: None,
        }
    }

    pub fn start(&mut self, loaded: &mut Loaded) -> Result<(), LoadError> {
        self.started = monotonic();
        self.paused_since = self.paused_since.map(|_| self.started);
        self.follow_cpus(loaded)
    }

    /// Samples CPUs that came online, and forgets those that went.
    pub fn follow_cpus(&mut self, loaded: &mut Loaded) -> Result<(), LoadError> {
        if self.paused_since.is_some() {
            return Ok(());
        }
        // A CPU that goes offline takes with it for how long it was idle, which is known up to here.
        if self.settled.is_none_or(|last| last.elapsed() >= SETTLE) {
            self.settle();
        }
        let online = cpus::online();
        let gone: Vec<u32> = self
            .attached
            .keys()
            .filter(|cpu| !online.contains(cpu))
            .copied()
            .collect();
        for cpu in gone {
            if let Some((link, ..)) = self.attached.remove(&cpu) {
                // Its event went with the CPU.
                let _ = loaded.detach(link);
            }
        }
        let new: Vec<u32> = online
            .into_iter()
            .filter(|cpu| !self.attached.contains_key(cpu))
            .collect();
        if !new.is_empty() {
            let idle = idle_times();
            for cpu in new {
                let link = match loaded.attach(cpu, self.event, self.rate) {
                    Ok(link) => link,
                    // It went since it was listed, which is no reason to end a recording.
                    Err(_) if !cpus::online().contains(&cpu) => continue,
                    Err(error) => return Err(error),
                };
                let idle = idle.get(&cpu).copied().unwrap_or(0);
                self.attached.insert(cpu, (link, monotonic(), idle));
            }
        }
        self.cpus = self.cpus.max(self.attached.len() as u64);
        Ok(())
    }

    /// Takes the clocks off the CPUs: a paused recording costs nothing.
    pub fn pause(&mut self, loaded: &mut Loaded) -> Result<(), LoadError> {
        if self.paused_since.is_none() {
            self.paused_since = Some(monotonic());
            self.detach(loaded)?;
        }
        Ok(())
    }

    pub fn resume(&mut self, loaded: &mut Loaded) -> Result<(), LoadError> {
        self.count_pause();
        if self.started == 0 {
            return Ok(());
        }
        self.follow_cpus(loaded)
    }

    /// Brings [`Self::busy`] and [`Self::paused`] up to now.
    pub fn settle(&mut self) {
        if self.paused_since.is_some() {
            self.count_pause();
            self.paused_since = Some(monotonic());
        }
        let idle = idle_times();
        for (cpu, (_, since, idle_before)) in &mut self.attached {
            // Of one that just went it is not known, and is asked again.
            let Some(&idle) = idle.get(cpu) else { continue };
            let now = monotonic();
            let all = now.saturating_sub(*since);
            self.busy += all.saturating_sub(idle.saturating_sub(*idle_before));
            (*since, *idle_before) = (now, idle);
        }
        self.settled = Some(Instant::now());
    }

    pub fn stop(&mut self, loaded: &mut Loaded) -> Result<(), LoadError> {
        self.count_pause();
        self.detach(loaded)?;
        self.ended = monotonic();
        Ok(())
    }

    fn count_pause(&mut self) {
        if let Some(since) = self.paused_since.take()
            && self.started != 0
        {
            self.paused += monotonic() - since;
        }
    }

    fn detach(&mut self, loaded: &mut Loaded) -> Result<(), LoadError> {
        self.settle();
        for (_, (link, ..)) in self.attached.drain() {
            loaded.detach(link)?;
        }
        Ok(())
    }
}

/// For how long each CPU has had nothing to do since boot, in ns (`/proc/stat`: idle and iowait).
fn idle_times() -> HashMap<u32, u64> {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    text.lines().filter_map(idle_time).collect()
}

fn idle_time(line: &str) -> Option<(u32, u64)> {
    let mut words = line.strip_prefix("cpu")?.split(' ');
    let cpu = words.next()?.parse().ok()?;
    // user nice system idle iowait …
    let ticks: u64 = words
        .skip(3)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .fold(0, u64::saturating_add);
    Some((cpu, ticks.saturating_mul(ns_per_tick())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_of_a_cpu() {
        let tick = ns_per_tick();
        let line = "cpu1 10 0 20 300 4 0 5 0 0 0";
        assert_eq!(idle_time(line), Some((1, 304 * tick)));
        assert_eq!(idle_time("cpu  10 0 20 300 4 0 5 0 0 0"), None);
        assert_eq!(idle_time("ctxt 7"), None);
        assert!(idle_times().len() >= cpus::online().len());
    }
}
