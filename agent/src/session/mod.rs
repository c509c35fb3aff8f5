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
mod resolve;
pub mod space;
mod stacks;
#[cfg(test)]
mod stacks_tests;
mod statistics;

use std::collections::{HashMap, HashSet};
use std::mem;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use agent_common::cut::NativeEnd;
use agent_common::executable::EXECUTABLE_ANONYMOUS;
use agent_common::filter::PidFilter;
use agent_common::kernel::Settings;
use agent_common::process::ProcessId;
use agent_common::record::Sample;

use crate::bpf::counters::Counters;
use crate::bpf::decode::{Record, decode};
use crate::bpf::identify::Identifier;
use crate::bpf::ring::Ring;
use crate::bpf::table::Table;
use crate::bpf::{Loaded, Options, cpus};
use crate::profile::{Clock, Measurement};
use crate::symbols::Symbolizer;

use account::Account;
use clocks::Clocks;
use codes::Codes;
pub use config::{Bounds, Config, SessionError};
use deferred::{DeferredSamples, Unwound};
use executables::Executables;
use identities::Identities;
use interpreters::Interpreters;
use listing::Listing;
use loader::Loader;
use machine::{clock, give_memory_back, seed, vdso};
use moments::Moments;
use named::Named;
use names::Names;
pub use resolve::View;
use stacks::Stacks;
use statistics::Tallies;
pub use statistics::{ProcessTally, Statistics, Tally};

/// How long a stack's body may be missing before it is asked for again.
const BODY_WAIT: Duration = Duration::from_millis(1500);
/// Records taken in one go, before files and interpreters get their turn.
const BATCH: usize = 65_536;
/// Most distinct samples that are kept.
const SAMPLES: usize = 1 << 20;

/// Samples that are counted together.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    stack: u64,
    context: u64,
    process: ProcessId,
    thread: u32,
    cpu: u32,
    event: u32,
}

#[derive(Clone, Copy)]
struct Count {
    weight: u64,
    value: u64,
    /// Time of the earliest one.
    first: u64,
    /// Batches that were made without them.
    waited: u8,
}

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
    interpreters: Interpreters,
    stacks: Stacks,
    codes: Codes,
    names: Names,
    identities: Identities,
    deferred: DeferredSamples,
    samples: HashMap<Key, Count>,
    moments: Moments,
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
    looked: HashSet<ProcessId>,
    /// When the first sample without a body was seen.
    bodies_missing: Option<Instant>,
    clock: Clock,
    undecoded: u64,
    dropped: u64,
    failures: HashMap<&'static str, u64>,
}

impl Session {
    /// Loads the kernel side, and begins to read the files that run now: all of them, or those of
    /// `only` these processes. Nothing is sampled yet.
    pub fn new(config: Config, only: &[u32]) -> Result<Self, SessionError> {
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
            executables: Executables::new(),
            interpreters: Interpreters::default(),
            stacks: Stacks::new(seed),
            codes: Codes::default(),
            names: Names::default(),
            identities: Identities::default(),
            deferred: DeferredSamples::default(),
            samples: HashMap::new(),
            moments: Moments::new(config.times),
            tallies: Tallies::default(),
            began: 0,
            next_begins: None,
            later: Vec::new(),
            account: Account::default(),
            totals: Statistics::default(),
            symbolizer: Symbolizer::new(config.bounds.symbols.clone()),
            named: Named::new(config.bounds.names),
            clocks: Clocks::new(config.event, config.rate),
            looked: HashSet::new(),
            bodies_missing: None,
            clock: clock(),
            undecoded: 0,
            dropped: 0,
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
        self.interpreters
            .attempt(&mut self.loaded, &mut self.executables)?;
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
            let done = self
                .deferred
                .attempt(&self.executables, &mut self.loader, false);
            self.take_unwound(done);
        }
        self.interpreters
            .attempt(&mut self.loaded, &mut self.executables)?;
        if self
            .bodies_missing
            .is_some_and(|since| since.elapsed() > BODY_WAIT)
        {
            self.bodies_missing = None;
            if self
                .samples
                .keys()
                .any(|key| self.stacks.get(key.stack).is_none())
            {
                self.loaded.next_epoch()?;
            }
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
        [file, self.interpreters.due()].into_iter().flatten().min()
    }

    /// Stops sampling and takes what is left.
    pub fn stop(&mut self) -> Result<(), SessionError> {
        self.clocks.stop(&mut self.loaded)?;
        self.drain()?;
        for _ in 0..100 {
            while let Some(described) = self.loader.wait() {
                self.take(described)?;
            }
            if self.deferred.is_empty() {
                break;
            }
            let done = self
                .deferred
                .attempt(&self.executables, &mut self.loader, false);
            self.take_unwound(done);
            if self.loader.is_idle() {
                break;
            }
        }
        let done = self
            .deferred
            .attempt(&self.executables, &mut self.loader, true);
        self.take_unwound(done);
        Ok(())
    }

    fn drain(&mut self) -> Result<(), SessionError> {
        let mut records: Vec<Vec<u8>> = Vec::new();
        loop {
            let count = self
                .ring
                .drain(BATCH, |record| records.push(record.to_vec()));
            for record in records.drain(..) {
                self.take_record(&record)?;
            }
            if count < BATCH {
                return Ok(());
            }
        }
    }

    fn take_record(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        let record = match decode(bytes) {
            Ok(record) => record,
            Err(error) => {
                tracing::debug!(%error, "record not taken");
                self.undecoded += 1;
                return Ok(());
            }
        };
        match record {
            Record::Sample(sample) => self.take_sample(&sample),
            Record::Stack(head, frames) => {
                if let Some(body) = self.stacks.add(&head, frames) {
                    let jit = |frame: &agent_common::stack::NativeFrame| {
                        frame.executable == EXECUTABLE_ANONYMOUS
                    };
                    if body.native.iter().any(jit) {
                        self.names.open_perf_map(&head.process);
                    }
                }
            }
            Record::Code(code) => self.codes.add(&code),
            Record::Lines(head, bytes) => self.codes.add_lines(&head, bytes),
            Record::Thread(thread) => {
                self.names.add(&thread);
                if self.config.executables {
                    self.names.read_executable(&thread.process);
                    self.identities.see(&thread.process);
                }
            }
            Record::Executable(announced) => {
                self.take_announcement(&announced)?;
            }
            Record::DeferredKernel(head, frames) => self.deferred.add_kernel(head.stack, frames),
            Record::Deferred(record, stack) => {
                let mut given_up = Vec::new();
                let (executables, loader) = (&self.executables, &mut self.loader);
                self.deferred
                    .add(record, stack, executables, loader, &mut given_up);
                self.take_unwound(given_up);
            }
        }
        Ok(())
    }

    fn take_sample(&mut self, sample: &Sample) {
        if self.next_begins.is_some_and(|next| sample.time >= next) {
            self.later.push(*sample);
            return;
        }
        let weight = u64::from(sample.weight);
        self.tallies.add(sample, weight);
        let key = Key {
            stack: sample.stack,
            context: sample.context,
            process: sample.process,
            thread: sample.thread,
            cpu: sample.cpu,
            event: sample.event,
        };
        if self.samples.len() >= SAMPLES && !self.samples.contains_key(&key) {
            self.dropped += weight;
            return;
        }
        let shape = &sample.shape;
        if shape.kernel == 0 && shape.native == 0 && shape.python == 0 {
            // Nothing to send: such a stack has no body of its own.
            let body = stacks::Body {
                shape: *shape,
                ..stacks::Body::default()
            };
            self.stacks.insert(body, &sample.process);
        }
        let count = self.samples.entry(key).or_insert(Count {
            weight: 0,
            value: 0,
            first: sample.time,
            waited: 0,
        });
        count.first = count.first.min(sample.time);
        count.weight += weight;
        count.value += sample.value * weight;
        let measured = Measurement {
            time: sample.time,
            value: sample.value,
            weight: sample.weight,
        };
        self.moments.add(key, measured);
        if self.bodies_missing.is_none() && self.stacks.get(sample.stack).is_none() {
            self.bodies_missing = Some(Instant::now());
        }
        let end = NativeEnd::from_u8(sample.shape.native_end).unwrap_or(NativeEnd::None);
        let broken = !end.is_whole() && sample.shape.python_walked == 0;
        if broken && self.looked.len() < SAMPLES && self.looked.insert(sample.process) {
            let result =
                self.interpreters
                    .look(&mut self.loaded, &self.executables, &sample.process);
            if let Err(error) = result {
                tracing::debug!(%error, "no interpreter noted");
            }
        }
    }

    fn take_unwound(&mut self, done: Vec<Unwound>) {
        for Unwound { mut sample, body } in done {
            sample.shape = body.shape;
            sample.stack = self.stacks.insert(body, &sample.process);
            self.take_sample(&sample);
        }
    }
}

impl AsRawFd for Session {
    /// Readable when the kernel side wants the ring buffer read before its time.
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}
