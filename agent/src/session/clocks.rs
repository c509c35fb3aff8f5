//! The clocks by which CPUs are sampled: begun, paused, ended; and for how long.

use std::collections::HashMap;

use super::machine::monotonic;
use crate::bpf::{Event, Link, LoadError, Loaded, cpus};

/// One clock a CPU. Times are nanoseconds of the monotonic clock.
pub struct Clocks {
    event: Event,
    rate: u64,
    /// CPUs that are sampled, and since when.
    attached: HashMap<u32, (Link, u64)>,
    /// For how long CPUs were sampled, all of them together.
    pub sampled: u64,
    /// Most CPUs that were sampled at once.
    pub cpus: u64,
    /// When sampling began; 0 before.
    pub started: u64,
    pub ended: u64,
    /// Nanoseconds in between in which it was paused.
    pub paused: u64,
    paused_since: Option<u64>,
}

impl Clocks {
    pub fn new(event: Event, rate: u64) -> Self {
        Self {
            event,
            rate,
            attached: HashMap::new(),
            sampled: 0,
            cpus: 0,
            started: 0,
            ended: 0,
            paused: 0,
            paused_since: None,
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
        let online = cpus::online();
        let gone: Vec<u32> = self
            .attached
            .keys()
            .filter(|cpu| !online.contains(cpu))
            .copied()
            .collect();
        for cpu in gone {
            if let Some((link, since)) = self.attached.remove(&cpu) {
                self.sampled += monotonic().saturating_sub(since);
                // Its event went with the CPU.
                let _ = loaded.detach(link);
            }
        }
        for cpu in online {
            if !self.attached.contains_key(&cpu) {
                let link = loaded.attach(cpu, self.event, self.rate)?;
                self.attached.insert(cpu, (link, monotonic()));
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
        for (_, (link, since)) in self.attached.drain() {
            self.sampled += monotonic().saturating_sub(since);
            loaded.detach(link)?;
        }
        Ok(())
    }
}
