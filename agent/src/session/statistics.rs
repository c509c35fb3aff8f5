//! What came of the sampling events: every one of them is in here once.

use std::collections::{BTreeMap, HashMap};

use agent_common::cut::{NativeEnd, PythonEnd};
use agent_common::process::ProcessId;
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
    #[serde(flatten)]
    pub tally: Tally,
}

/// All of it, as `--stats-json` writes it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Statistics {
    #[serde(flatten)]
    pub total: Tally,
    /// Runs of the eBPF program, whoever was running.
    pub runs: u64,
    /// Runs that were due: rate × time × CPUs. None for events that are not taken by time.
    pub due: Option<u64>,
    /// CPUs that were sampled at the end.
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

/// Tallies by process while samples come.
#[derive(Default)]
pub struct Tallies(pub HashMap<ProcessId, Tally>);

impl Tallies {
    pub fn add(&mut self, process: ProcessId, shape: &StackShape, weight: u64) {
        self.0.entry(process).or_default().add(shape, weight);
    }
}
