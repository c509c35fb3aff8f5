//! What came of the sampling events: every one of them is in here once.

use std::collections::{BTreeMap, HashMap};

use agent_common::cut::{NativeEnd, PythonEnd};
use agent_common::process::ProcessId;
use agent_common::record::Sample;
use agent_common::stack::StackShape;
use serde::Serialize;

/// Samples of one process, or of all.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Sampling events that the kernel side accepted.
    pub entries: u64,
    pub samples: u64,
    /// Samples whose native and Python stacks are known to their roots.
    pub whole: u64,
    /// Others, by cause.
    pub cut: BTreeMap<String, u64>,
    /// How the Python walk of the samples ended.
    pub python: BTreeMap<String, u64>,
}

impl Tally {
    pub fn add(&mut self, shape: &StackShape, weight: u64) {
        self.samples += weight;
        let native = NativeEnd::from_u8(shape.native_end).unwrap_or(NativeEnd::None);
        let python = PythonEnd::from_u8(shape.python_end).unwrap_or(PythonEnd::None);
        if native.is_whole() && python.is_whole() {
            self.whole += weight;
        } else if native.is_whole() {
            *self
                .cut
                .entry(format!("python_{}", python.name()))
                .or_default() += weight;
        } else {
            *self.cut.entry(native.name().to_owned()).or_default() += weight;
        }
        if python != PythonEnd::None {
            *self.python.entry(python.name().to_owned()).or_default() += weight;
        }
    }
}

/// One process in the statistics.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ProcessTally {
    pub pid: u32,
    pub name: String,
    /// Time of the first sample, as the fields of [`Statistics`] count it.
    pub first_sample_ns: Option<u64>,
    #[serde(flatten)]
    pub tally: Tally,
}

/// All of it, as `--stats-json` writes it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Statistics {
    #[serde(flatten)]
    pub total: Tally,
    /// Nanoseconds of the machine's monotonic clock: when sampling began and when it ended.
    pub started_ns: u64,
    pub ended_ns: u64,
    /// Nanoseconds in between in which the recording was paused.
    pub paused_ns: u64,
    /// Runs of the eBPF program, whoever was running.
    pub runs: u64,
    /// Runs that were due while CPUs had something to do: rate × busy time. None for events that
    /// are not taken by time.
    pub due: Option<u64>,
    /// Most CPUs that were sampled at once.
    pub cpus: u64,
    /// Frames of all samples, and those without a name.
    pub frames: u64,
    pub unnamed: u64,
    pub lost: BTreeMap<String, u64>,
    pub left_out: BTreeMap<String, u64>,
    /// Other counters of the kernel side.
    pub kernel: BTreeMap<String, u64>,
    /// Interpreters without Python frames, by reason.
    pub interpreters: BTreeMap<String, u64>,
    /// Files without rows, by reason.
    pub files: BTreeMap<String, u64>,
    pub processes: Vec<ProcessTally>,
}

/// Most processes that are counted apart: of many that live for a moment each.
const PROCESSES: usize = 1 << 17;

/// Tallies by process while samples come.
#[derive(Default)]
pub struct Tallies {
    processes: HashMap<ProcessId, Counted>,
    /// Of all processes that found no room.
    others: Tally,
}

/// What came of one process so far.
#[derive(Clone, Default)]
pub struct Counted {
    pub tally: Tally,
    /// Time of its first sample; those that were unwound later come late.
    pub first: Option<u64>,
}

impl Tallies {
    pub fn add(&mut self, sample: &Sample, weight: u64) {
        if self.processes.len() >= PROCESSES && !self.processes.contains_key(&sample.process) {
            self.others.add(&sample.shape, weight);
            return;
        }
        let counted = self.processes.entry(sample.process).or_default();
        counted.tally.add(&sample.shape, weight);
        let first = counted.first.get_or_insert(sample.time);
        *first = sample.time.min(*first);
    }

    pub fn get(&self, process: &ProcessId) -> Counted {
        self.processes.get(process).cloned().unwrap_or_default()
    }

    pub fn all(&self) -> impl Iterator<Item = &Tally> {
        let apart = self.processes.values().map(|counted| &counted.tally);
        apart.chain([&self.others])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_without_room_count_in_the_total() {
        let mut tallies = Tallies::default();
        let most = PROCESSES as u32;
        for pid in (0..most + 7).chain([0]) {
            let process = ProcessId {
                pid,
                ..ProcessId::default()
            };
            let sample = Sample {
                process,
                ..Sample::default()
            };
            tallies.add(&sample, 2);
        }
        let total: u64 = tallies.all().map(|tally| tally.samples).sum();
        assert_eq!(total, u64::from(most + 8) * 2);
        assert_eq!(tallies.all().count(), PROCESSES + 1);
        assert_eq!(tallies.get(&ProcessId::default()).tally.samples, 4);
    }
}
