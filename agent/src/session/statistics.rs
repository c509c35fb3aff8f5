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

    pub fn absorb(&mut self, other: &Self) {
        self.entries += other.entries;
        self.samples += other.samples;
        self.whole += other.whole;
        add_up(&mut self.cut, &other.cut);
        add_up(&mut self.python, &other.python);
    }
}

fn add_up(sums: &mut BTreeMap<String, u64>, others: &BTreeMap<String, u64>) {
    for (name, count) in others {
        *sums.entry(name.clone()).or_default() += count;
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

/// How full something is that is bounded.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Occupancy {
    pub name: &'static str,
    pub used: u64,
    pub most: u64,
    /// What was not used for the longest time and left.
    pub evicted: u64,
}

/// All of a batch, as `--stats-json` writes it of a recording, which is one.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Statistics {
    #[serde(flatten)]
    pub total: Tally,
    /// Nanoseconds of the machine's monotonic clock: when the batch began and when it ended.
    pub started_ns: u64,
    pub ended_ns: u64,
    /// Nanoseconds in between in which sampling was paused.
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
    /// Samples, counted above already, that the next batch's profile will have: their stack or a
    /// file of theirs is on its way.
    pub waiting: u64,
    pub lost: BTreeMap<String, u64>,
    pub left_out: BTreeMap<String, u64>,
    /// Other counters of the kernel side.
    pub kernel: BTreeMap<String, u64>,
    /// Interpreters without Python frames, by reason.
    pub interpreters: BTreeMap<String, u64>,
    /// Files without rows, by reason.
    pub files: BTreeMap<String, u64>,
    /// What is bounded.
    pub tables: Vec<Occupancy>,
    pub processes: Vec<ProcessTally>,
}

impl Statistics {
    /// Adds the batch that follows. What is a state and no count is as of that one; the processes
    /// of all batches are too many to be kept.
    pub fn absorb(&mut self, next: &Self) {
        self.total.absorb(&next.total);
        if self.ended_ns == 0 {
            self.started_ns = next.started_ns;
        }
        self.ended_ns = next.ended_ns;
        self.paused_ns += next.paused_ns;
        self.runs += next.runs;
        self.due = next.due.map(|due| due + self.due.unwrap_or(0));
        self.cpus = self.cpus.max(next.cpus);
        self.frames += next.frames;
        self.unnamed += next.unnamed;
        self.waiting = next.waiting;
        add_up(&mut self.lost, &next.lost);
        add_up(&mut self.left_out, &next.left_out);
        add_up(&mut self.kernel, &next.kernel);
        self.interpreters.clone_from(&next.interpreters);
        add_up(&mut self.files, &next.files);
        let evicted = |name| self.tables.iter().find(|it| it.name == name);
        let evicted = |name| evicted(name).map_or(0, |it| it.evicted);
        let tables = next.tables.iter().map(|table| Occupancy {
            evicted: table.evicted + evicted(table.name),
            ..*table
        });
        self.tables = tables.collect();
    }
}

/// Most processes that are counted apart: of many that live for a moment each.
const PROCESSES: usize = 1 << 17;

/// Bytes of the causes in a process's tally, as they usually are.
const CAUSES: usize = 200;

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

    /// Estimate of the memory in use.
    pub fn bytes(&self) -> usize {
        self.processes.len() * (size_of::<(ProcessId, Counted)>() + CAUSES)
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
