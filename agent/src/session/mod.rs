//! A recording: takes the kernel side's records, reads the files that they speak of, and makes a
//! profile of them at the end. Where the rooms below meet.

mod account;
mod batch;
mod bounded;
mod clocks;
mod codes;
mod config;
mod deferred;
mod executables;
mod files;
mod identities;
mod image;
mod interpreters;
mod listing;
pub mod loader;
mod machine;
mod moments;
mod named;
pub mod names;
mod queue;
mod records;
mod resolve;
mod samples;
mod slowest;
pub mod space;
mod stacks;
#[cfg(test)]
mod stacks_tests;
mod statistics;

use std::collections::HashMap;
use std::mem;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use agent_common::filter::PidFilter;
use agent_common::kernel::Settings;
use agent_common::process::ProcessId;
use agent_common::record::Sample;

use crate::bpf::counters::Counters;
use crate::bpf::identify::Identifier;
use crate::bpf::policies::Policies;
use crate::bpf::ring::Ring;
use crate::bpf::table::{REST, Table};
use crate::bpf::{Loaded, Options, cpus};
use crate::profile::Clock;
use crate::symbols::Symbolizer;

use account::Account;
use bounded::Bounded;
use clocks::Clocks;
use codes::Codes;
pub use config::{Bounds, Config, SessionError};
use deferred::DeferredSamples;
use executables::Executables;
use identities::Identities;
use interpreters::Interpreters;
use listing::Listing;
use loader::Loader;
use machine::{bound_heaps, clock, give_memory_back, seed, vdso};
use named::Named;
use names::Names;
pub use resolve::View;
use samples::{Key, Samples};
pub use slowest::Slow;
use slowest::Slowest;
use stacks::Stacks;
use statistics::Tallies;
pub use statistics::{Occupancy, ProcessTally, Statistics, Tally};

/// How long a stack's body may be missing before it is asked for again.
const BODY_WAIT: Duration = Duration::from_millis(1500);
/// How often is looked whether there is room for files that wait for it.
const PUMP: Duration = Duration::from_millis(100);
/// Records taken in one go, before files and interpreters get their turn.
const BATCH: usize = 65_536;

/// Most processes that are known to have been asked for their interpreter: the kernel side's table
/// has room for twice as many.
const LOOKED: usize = 4096;

/// A recording under way.
pub struct Session {
    config: Config,
    loaded: Loaded,
    ring: Ring,
    counters: Counters,
    table: Table,
    identifier: Identifier,
    loader: Loader,
    listing: Option<Listing>,
    /// Since memory was given back.
    files_were_read: bool,
    executables: Executables,
    slowest: Slowest,
    interpreters: Interpreters,
    stacks: Stacks,
    codes: Codes,
    names: Names,
    identities: Identities,
    deferred: DeferredSamples,
    samples: Samples,
    tallies: Tallies,
    /// When the batch that is under way began.
    began: u64,
    /// While a batch is made: when the next one begins, and samples that belong to that.
    next_begins: Option<u64>,
    later: Vec<Sample>,
    account: Account,
    totals: Statistics,
    symbolizer: Symbolizer,
    named: Named,
    clocks: Clocks,
    /// Processes that were asked for their interpreter.
    looked: Bounded<ProcessId, ()>,
    /// When the first sample without a body was seen.
    bodies_missing: Option<Instant>,
    clock: Clock,
    undecoded: u64,
    failures: HashMap<&'static str, u64>,
}

impl Session {
    /// Loads the kernel side, and begins to read the files that run now: all of them, or those of
    /// `only` these processes. Nothing is sampled yet.
    pub fn new(config: Config, only: &[u32]) -> Result<Self, SessionError> {
        bound_heaps();
        let seed = seed();
        let settings = Settings {
            seed,
            value: 1_000_000_000 / config.rate.max(1),
            own_pid: std::process::id(),
            filter: config.filter,
            cgroup_subsystem: config.cgroup_subsystem,
            native_depth: config.native_depth,
            python_depth: config.python_depth,
            event: 0,
            wakeup_bytes: config.ring_bytes / 4,
            identify_slot: 0,
        };
        let options = Options {
            settings,
            ring_bytes: config.ring_bytes,
            possible_cpus: cpus::possible(),
        };
        let mut loader = Loader::start().map_err(SessionError::Threads)?;
        let (loaded, listing) = thread::scope(|scope| {
            let loading = scope.spawn(|| Loaded::load(&options));
            let listing = Listing::ask(&mut loader, only);
            (loading.join(), listing)
        });
        let mut loaded = loaded.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let ring = Ring::new(&mut loaded)?;
        let counters = Counters::new(&mut loaded)?;
        let table = Table::new(&mut loaded, config.table_mib)?;
        let identifier = Identifier::new(&mut loaded)?;
        Ok(Self {
            loader,
            listing: Some(listing),
            files_were_read: false,
            executables: Executables::new(config.bounds.files),
            slowest: Slowest::default(),
            interpreters: Interpreters::default(),
            stacks: Stacks::new(
                seed,
                config.bounds.stacks,
                config.bounds.stacks + 2 * config.bounds.batch,
            ),
            codes: Codes::new(config.bounds.codes),
            names: Names::new(config.bounds.threads),
            identities: Identities::default(),
            deferred: DeferredSamples::new(config.bounds.deferred),
            samples: Samples::new(config.times, config.bounds.batch),
            tallies: Tallies::default(),
            began: 0,
            next_begins: None,
            later: Vec::new(),
            account: Account::default(),
            totals: Statistics::default(),
            symbolizer: Symbolizer::new(config.bounds.symbols.clone()),
            named: Named::new(config.bounds.names),
            clocks: Clocks::new(config.event, config.rate),
            looked: Bounded::of_count(LOOKED),
            bodies_missing: None,
            clock: clock(),
            undecoded: 0,
            failures: HashMap::new(),
            config,
            loaded,
            ring,
            counters,
            table,
            identifier,
        })
    }

    /// Waits for the files that ran when the session was made.
    pub fn scan(&mut self) -> Result<(), SessionError> {
        if let Some(image) = vdso() {
            self.executables
                .add_vdso(&mut self.loaded, &mut self.table, image)?;
        }
        let Some(listing) = self.listing.take() else {
            return Ok(());
        };
        for error in &listing.failures {
            self.note_failure(error);
        }
        while let Some(described) = self.loader.wait() {
            self.take(described)?;
        }
        self.interpreters.scan(&self.executables, &listing.list);
        self.attempt_interpreters()?;
        give_memory_back();
        Ok(())
    }

    /// Reads a file that is about to be executed.
    pub fn read_ahead(&mut self, path: &Path) {
        self.loader.ask_ahead(path);
    }

    /// Takes a process into the filter.
    pub fn add_pid(&mut self, pid: u32, start_ticks: u64) -> Result<(), SessionError> {
        let filter = PidFilter {
            start: start_ticks,
            exec: 0,
            padding: 0,
        };
        Ok(self.loaded.add_pid(pid, &filter)?)
    }

    /// Takes a cgroup into the filter.
    pub fn add_cgroup(&mut self, id: u64) -> Result<(), SessionError> {
        Ok(self.loaded.add_cgroup(id)?)
    }

    /// By which is said, while it goes on, which cgroups are sampled. To be taken once, before
    /// anything is sampled, by who asked for [`agent_common::filter::FILTER_POLICY`].
    pub fn policies(&mut self) -> Result<Policies, SessionError> {
        Ok(Policies::new(&mut self.loaded)?)
    }

    /// Follows forks of the processes in the filter.
    pub fn follow_forks(&mut self) -> Result<(), SessionError> {
        Ok(self.loaded.follow_forks()?)
    }

    /// A paused recording costs nothing.
    pub fn pause(&mut self, paused: bool) -> Result<(), SessionError> {
        Ok(if paused {
            self.clocks.pause(&mut self.loaded)
        } else {
            self.clocks.resume(&mut self.loaded)
        }?)
    }

    /// Begins to sample.
    pub fn start(&mut self) -> Result<(), SessionError> {
        self.clock = clock();
        self.clocks.start(&mut self.loaded)?;
        self.began = self.clocks.started;
        Ok(())
    }

    /// Once a second: samples CPUs that came online, forgets those that went, gives memory back,
    /// looks whether processes have become known by other names.
    pub fn follow_cpus(&mut self) -> Result<(), SessionError> {
        if mem::take(&mut self.files_were_read) {
            give_memory_back();
        }
        self.identities.look_again();
        Ok(self.clocks.follow_cpus(&mut self.loaded)?)
    }

    /// Takes what waits in the ring buffer, and does what became due.
    pub fn pump(&mut self) -> Result<(), SessionError> {
        self.drain()?;
        while let Some(described) = self.loader.poll() {
            self.take(described)?;
            self.files_were_read = true;
        }
        if !self.deferred.is_empty() {
            let done =
                self.deferred
                    .attempt(&self.executables, &self.table, &mut self.loader, false);
            self.take_unwound(done);
        }
        self.executables
            .place_late(&mut self.loaded, &mut self.table)?;
        self.attempt_interpreters()?;
        if self
            .bodies_missing
            .is_some_and(|since| since.elapsed() > BODY_WAIT)
        {
            self.bodies_missing = None;
            let missing = |key: &Key| self.stacks.get(key.stack).is_none();
            if mem::take(&mut self.codes.missing) || self.samples.keys().any(missing) {
                self.loaded.next_epoch()?;
            }
        }
        Ok(())
    }

    /// Whether it is time for a batch, since what came fills the room for it.
    pub fn is_full(&self) -> bool {
        let samples = self.samples.bytes() + self.tallies.bytes();
        let stacks = self
            .stacks
            .bytes()
            .saturating_sub(self.config.bounds.stacks);
        samples + stacks > self.config.bounds.batch || self.codes.is_full()
    }

    fn attempt_interpreters(&mut self) -> Result<(), SessionError> {
        self.interpreters
            .attempt(&mut self.loaded, &mut self.executables, &mut self.table)?;
        for gone in self.executables.take_gone() {
            self.interpreters.forget(&mut self.loaded, &gone)?;
        }
        Ok(())
    }

    /// Samples that came so far.
    pub fn samples(&self) -> u64 {
        let now: u64 = self.tallies.all().map(|tally| tally.samples).sum();
        self.totals.total.samples + now
    }

    /// When something is due that no record tells of.
    pub fn due(&self) -> Option<Instant> {
        let file = (!self.loader.is_idle()).then(|| Instant::now() + Duration::from_millis(2));
        let room = (self.executables.wait_for_room()).then(|| Instant::now() + PUMP);
        [file, room, self.interpreters.due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Stops sampling and takes what is left.
    pub fn stop(&mut self) -> Result<(), SessionError> {
        self.clocks.stop(&mut self.loaded)?;
        self.drain()?;
        for _ in 0..100 {
            while let Some(described) = self.loader.wait() {
                self.take(described)?;
            }
            if self.executables.wait_for_room() {
                thread::sleep(3 * REST);
                self.executables
                    .place_late(&mut self.loaded, &mut self.table)?;
            }
            if self.deferred.is_empty() {
                break;
            }
            let done =
                self.deferred
                    .attempt(&self.executables, &self.table, &mut self.loader, false);
            self.take_unwound(done);
            if self.loader.is_idle() && !self.executables.wait_for_room() {
                break;
            }
        }
        let done = self
            .deferred
            .attempt(&self.executables, &self.table, &mut self.loader, true);
        self.take_unwound(done);
        Ok(())
    }
}

impl AsRawFd for Session {
    /// Readable when the kernel side wants the ring buffer read before its time.
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}
