//! A trial: the kernel side loaded and started as for a recording, looked at, and dropped.

use std::fs::File;
use std::hint;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use agent_common::counter::Counter;
use agent_common::filter::FILTER_PIDS;
use agent_common::kernel::{CGROUP_DEFAULT, Settings};

use super::counters::Counters;
use super::cpus;
use super::identify::Identifier;
use super::load::{Event, Loaded, Options, Verified};
use super::load_error::LoadError;
use super::ring::Ring;
use super::table::Table;

/// As recordings have it.
const RING_BYTES: u32 = 8 << 20;
/// How often is looked whether a clock fired.
const LOOK: Duration = Duration::from_millis(2);

/// The loaded kernel side. It samples nobody: its filter is by process and holds none.
pub struct Trial {
    loaded: Loaded,
    counters: Counters,
    identifier: Identifier,
    _ring: Ring,
    _table: Table,
}

impl Trial {
    /// Loads what a recording loads.
    pub fn load() -> Result<Self, LoadError> {
        let options = Options {
            settings: Settings {
                own_pid: std::process::id(),
                filter: FILTER_PIDS,
                cgroup_subsystem: CGROUP_DEFAULT,
                native_depth: 512,
                python_depth: 1024,
                wakeup_bytes: RING_BYTES / 4,
                ..Settings::default()
            },
            ring_bytes: RING_BYTES,
            possible_cpus: cpus::possible(),
        };
        let mut loaded = Loaded::load(&options)?;
        Ok(Self {
            _ring: Ring::new(&mut loaded)?,
            counters: Counters::new(&mut loaded)?,
            _table: Table::new(&mut loaded, 1)?,
            identifier: Identifier::new(&mut loaded)?,
            loaded,
        })
    }

    /// What the verifier went through.
    pub fn verified(&self) -> Vec<Verified> {
        self.loaded.verified()
    }

    /// Samples all CPUs until the event has fired on each of them, or until it should have. Gives
    /// the CPUs on which it did not.
    pub fn fire(
        &mut self,
        event: Event,
        rate: u64,
        patience: Duration,
    ) -> Result<Vec<u32>, LoadError> {
        let before = self.counters.on_each_cpu(Counter::Entries);
        let mut links = Vec::new();
        let mut silent = cpus::online();
        let mut attached = Ok(());
        for &cpu in &silent {
            match self.loaded.attach(cpu, event, rate) {
                Ok(link) => links.push(link),
                Err(error) => {
                    attached = Err(error);
                    break;
                }
            }
        }
        if attached.is_ok() && !patience.is_zero() {
            // The clock of an idle CPU may stand still.
            let _busy = Busy::on(&silent);
            let begin = Instant::now();
            while !silent.is_empty() && begin.elapsed() < patience {
                sleep(LOOK);
                let now = self.counters.on_each_cpu(Counter::Entries);
                silent.retain(|&cpu| now.get(cpu as usize) <= before.get(cpu as usize));
            }
        }
        for link in links {
            self.loaded.detach(link)?;
        }
        attached.map(|()| silent)
    }

    /// Begins to follow forks, as `--children` and commands need it.
    pub fn follow_forks(&mut self) -> Result<(), LoadError> {
        self.loaded.follow_forks()
    }

    /// Whether the kernel side can be asked for the identity of a file.
    pub fn identifies(&self, file: &File) -> bool {
        self.identifier.identify(&self.loaded, file).is_some()
    }
}

/// A thread on each CPU that spins until this is dropped, and has ended then.
struct Busy {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Busy {
    fn on(cpus: &[u32]) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let spin = |&cpu: &u32| {
            let over = Arc::clone(&over);
            // One that can't be started leaves its CPU to whatever else runs there.
            thread::Builder::new()
                .name(format!("strata-busy-{cpu}"))
                .spawn(move || {
                    if stay_on(cpu) {
                        while !over.load(Ordering::Relaxed) {
                            hint::spin_loop();
                        }
                    }
                })
                .ok()
        };
        let threads = cpus.iter().filter_map(spin).collect();
        Self { over, threads }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // It does nothing that could fail.
            let _ = thread.join();
        }
    }
}

/// Binds this thread to a CPU.
fn stay_on(cpu: u32) -> bool {
    // SAFETY: plain integers, for which zero is a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    if cpu as usize >= libc::CPU_SETSIZE as usize {
        return false;
    }
    // SAFETY: the number is within the set, and the set lives as long as the call.
    unsafe {
        libc::CPU_SET(cpu as usize, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set) == 0
    }
}
