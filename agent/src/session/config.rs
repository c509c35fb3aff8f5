//! What a recording is asked for, and why it can't go on.

use std::io;
use std::time::Duration;

use crate::bpf::{Event, LoadError};
use crate::symbols;

/// What is recorded.
#[derive(Clone, Debug)]
pub struct Config {
    pub event: Event,
    /// Samples a second and CPU.
    pub rate: u64,
    /// Bits of [`agent_common::filter`].
    pub filter: u32,
    pub cgroup_subsystem: u32,
    pub native_depth: u32,
    pub python_depth: u32,
    /// Ring buffer in bytes, a power of two.
    pub ring_bytes: u32,
    /// Budget of the unwind tables in MiB.
    pub table_mib: u32,
    /// Whether the profile is to say when each sample was taken.
    pub times: bool,
    /// Whether it is to say which file each process executes.
    pub executables: bool,
    pub bounds: Bounds,
}

/// Memory that a recording may take, in bytes where it does not say otherwise.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Number of files that are kept open.
    pub files: usize,
    /// Bodies of stacks, from one batch to the next.
    pub stacks: usize,
    /// Samples of one batch with what belongs to them alone. [`super::Session::is_full`] says
    /// when it is time for the next; of twice as much some are dropped.
    pub batch: usize,
    /// Python's code objects.
    pub codes: usize,
    /// Names of processes and threads.
    pub threads: usize,
    /// Stacks that wait to be unwound by the agent.
    pub deferred: usize,
    /// Names of code that were found.
    pub names: usize,
    pub symbols: symbols::Options,
}

impl Bounds {
    /// A recording with an end, all of which is kept until then.
    pub fn recording() -> Self {
        Self {
            files: 8192,
            stacks: usize::MAX / 4,
            batch: usize::MAX / 4,
            codes: 512 << 20,
            threads: 64 << 20,
            deferred: 32 << 20,
            names: 256 << 20,
            symbols: symbols::Options::default(),
        }
    }

    /// A recording without end, beside which others want to work.
    pub fn always_on() -> Self {
        Self {
            files: 2048,
            stacks: 4 << 20,
            batch: 6 << 20,
            codes: 3 << 20,
            threads: 1 << 20,
            deferred: 3 << 20,
            names: 3 << 20,
            symbols: symbols::Options {
                debug_information_bytes: 4 << 20,
                debug_information_time: Duration::from_secs(1),
                whole_table_bytes: 1 << 20,
                cache_bytes: 4 << 20,
                ..symbols::Options::default()
            },
        }
    }
}

/// Why a recording can't go on.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("Threads to read files could not be started: {0}.")]
    Threads(#[source] io::Error),
}
