//! What the run loop publishes: plain data, as of the end of a batch.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::metadata::{kubernetes, select};
use crate::session::Statistics;
use crate::{export, store};

/// All that there is to say, as of some moment. Numbers count from the agent's start on.
#[derive(Clone, Debug, Default)]
pub struct Status {
    pub settings: Settings,
    pub sampling: Sampling,
    pub batches: Batches,
    pub labels: Labels,
    pub tables: Vec<Table>,
    /// Those that took longest to read, in any order.
    pub executables: Vec<Executable>,
    pub store: store::Status,
    /// Why the last batch could not be kept.
    pub store_error: Option<String>,
    pub exporters: Vec<export::Status>,
    /// None: pods are not asked for.
    pub kubernetes: Option<kubernetes::Status>,
    /// None: everything is sampled.
    pub choice: Option<select::Counts>,
}

/// What the agent was asked to do.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// Samples a second and CPU.
    pub rate: u64,
    /// From one batch to the next.
    pub interval: Duration,
    pub store: PathBuf,
    pub store_bytes: u64,
    pub store_age: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rate: 0,
            interval: Duration::from_secs(10),
            store: PathBuf::new(),
            store_bytes: 0,
            store_age: Duration::ZERO,
        }
    }
}

/// What came of the sampling events; see [`Statistics`] for what is counted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sampling {
    pub running: bool,
    pub cpus: u64,
    pub runs: u64,
    pub due: Option<u64>,
    pub samples: u64,
    /// By kind of event; those that no event is known of count as `cpu`.
    pub events: BTreeMap<String, u64>,
    pub whole: u64,
    pub cut: BTreeMap<String, u64>,
    pub lost: BTreeMap<String, u64>,
    pub left_out: BTreeMap<String, u64>,
    pub frames: u64,
    pub unnamed: u64,
    pub kernel: BTreeMap<String, u64>,
    pub interpreters: BTreeMap<String, u64>,
    pub files: BTreeMap<String, u64>,
}

impl From<&Statistics> for Sampling {
    /// Of a session that runs.
    fn from(statistics: &Statistics) -> Self {
        Self {
            running: true,
            cpus: statistics.cpus,
            runs: statistics.runs,
            due: statistics.due,
            samples: statistics.total.samples,
            events: BTreeMap::new(),
            whole: statistics.total.whole,
            cut: statistics.total.cut.clone(),
            lost: statistics.lost.clone(),
            left_out: statistics.left_out.clone(),
            frames: statistics.frames,
            unnamed: statistics.unnamed,
            kernel: statistics.kernel.clone(),
            interpreters: statistics.interpreters.clone(),
            files: statistics.files.clone(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Batches {
    /// Batches that were made.
    pub count: u64,
    /// How long the last one took: to name, to encode and to keep.
    pub last_duration: Duration,
    pub last_samples: u64,
}

/// What became of the labels of processes.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// Samples of processes that a relabel rule left out, by the rule's action.
    pub left_out: BTreeMap<String, u64>,
    /// Samples of pods that are left out, which were taken before that was known.
    pub unchosen: u64,
    /// Labels that rules would have made beyond the bounds, by cause.
    pub refused: BTreeMap<String, u64>,
    /// Most values of one label.
    pub most: u64,
    /// Values that each label has now, those with most first.
    pub values: Vec<(String, u64)>,
    /// Samples whose value of a label was over the budget.
    pub over: BTreeMap<String, u64>,
    /// Values of all labels, which is also one of the tables.
    pub all: Table,
}

/// Something that is bounded: a map of the kernel side, a cache.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Table {
    /// A word of ours, as `stacks`.
    pub name: &'static str,
    pub used: u64,
    pub most: u64,
    /// What had to leave for something newer.
    pub evicted: u64,
}

/// A file that was read for its unwind rows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Executable {
    /// As the target names it. Anything may be in it.
    pub path: String,
    pub rows: u64,
    pub duration: Duration,
}
