//! Counters of the kernel side.

use agent_common::counter::Counter;
use agent_common::process::ProcessId;
use aya::maps::{MapData, PerCpuArray, PerCpuHashMap};

use super::load::{Loaded, absent_is_fine, access};
use super::load_error::LoadError;
use super::plain::Plain;

/// Reader of all counters.
pub struct Counters {
    slots: PerCpuArray<MapData, u64>,
    processes: PerCpuHashMap<MapData, Plain<ProcessId>, u64>,
}

impl Counters {
    pub fn new(loaded: &mut Loaded) -> Result<Self, LoadError> {
        let slots = PerCpuArray::try_from(loaded.take("COUNTERS")?).map_err(access("COUNTERS"))?;
        let processes = PerCpuHashMap::try_from(loaded.take("PROCESS_ENTRIES")?)
            .map_err(access("PROCESS_ENTRIES"))?;
        Ok(Self { slots, processes })
    }

    /// A counter's sum over all CPUs.
    pub fn get(&self, counter: Counter) -> u64 {
        match self.slots.get(&(counter as u32), 0) {
            Ok(values) => values.iter().sum(),
            Err(_) => 0,
        }
    }

    /// A counter's value on each possible CPU.
    pub fn on_each_cpu(&self, counter: Counter) -> Vec<u64> {
        self.slots
            .get(&(counter as u32), 0)
            .map(|values| values.to_vec())
            .unwrap_or_default()
    }

    /// Takes a process out of those that [`Self::entries`] gives, unless it was sampled since it was
    /// counted there.
    pub fn forget(&mut self, process: &ProcessId, count: u64) -> Result<(), LoadError> {
        let key = Plain(*process);
        match self.processes.get(&key, 0) {
            Ok(values) if values.iter().sum::<u64>() == count => {
                absent_is_fine(self.processes.remove(&key), "PROCESS_ENTRIES")
            }
            _ => Ok(()),
        }
    }

    /// Accepted sampling events of each process.
    pub fn entries(&self) -> Vec<(ProcessId, u64)> {
        self.processes
            .iter()
            .filter_map(Result::ok)
            .map(|(process, values)| (process.0, values.iter().sum()))
            .collect()
    }
}
