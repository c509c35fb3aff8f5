//! A recording: takes the kernel side's records, reads the files that they speak of, and makes a
//! profile of them at the end. Where the rooms below meet.

mod codes;
mod deferred;
mod executables;
mod image;
mod interpreters;
mod loader;
mod names;
mod resolve;
mod space;
mod stacks;
#[cfg(test)]
mod stacks_tests;
mod statistics;

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::time::{Duration, Instant};

use agent_common::counter::Counter;
use agent_common::cut::NativeEnd;
use agent_common::executable::{EXECUTABLE_ANONYMOUS, FileId};
use agent_common::filter::PidFilter;
use agent_common::kernel::Settings;
use agent_common::process::ProcessId;
use agent_common::record::{Announcement, Sample};

use crate::bpf::counters::Counters;
use crate::bpf::decode::{Record, decode};
use crate::bpf::ring::Ring;
use crate::bpf::table::Table;
use crate::bpf::{Event, Link, LoadError, Loaded, Options, cpus};
use crate::process::file_id::Wanted;
use crate::process::{ProcessHandle, list};
use crate::profile::{self, Clock, Measurement, Profile, SampleKey, Span, ValueType};
use crate::symbols::{self, Symbolizer};

use codes::Codes;
use deferred::{DeferredSamples, Unwound};
use executables::Executables;
use interpreters::Interpreters;
use loader::{Described, Loader};
use names::Names;
use resolve::Resolver;
pub use resolve::View;
use stacks::Stacks;
use statistics::Tallies;
pub use statistics::{ProcessTally, Statistics, Tally};

/// How long a stack's body may be missing before it is asked for again.
const BODY_WAIT: Duration = Duration::from_millis(1500);
/// Records taken in one go, before files and interpreters get their turn.
const BATCH: usize = 65_536;
/// Most reasons for files not read that are told apart.
const FAILURES: usize = 256;
/// Most distinct samples that are kept.
const SAMPLES: usize = 1 << 20;

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
}

/// Why a recording can't go on.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("Threads to read files could not be started: {0}.")]
    Threads(#[source] io::Error),
}

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

#[derive(Default)]
struct Count {
    weight: u64,
    value: u64,
    last_time: u64,
}

/// A recording under way.
pub struct Session {
    config: Config,
    loaded: Loaded,
    ring: Ring,
    counters: Counters,
    table: Table,
    loader: Loader,
    executables: Executables,
    interpreters: Interpreters,
    stacks: Stacks,
    codes: Codes,
    names: Names,
    deferred: DeferredSamples,
    samples: HashMap<Key, Count>,
    tallies: Tallies,
    /// CPUs that are sampled.
    attached: HashMap<u32, Link>,
    /// Processes that were asked for their interpreter.
    looked: HashSet<ProcessId>,
    /// When the first sample without a body was seen.
    bodies_missing: Option<Instant>,
    clock: Clock,
    started: u64,
    ended: u64,
    undecoded: u64,
    dropped: u64,
    failures: HashMap<String, u64>,
}

impl Session {
    /// Loads the kernel side. Nothing is sampled yet.
    pub fn new(config: Config) -> Result<Self, SessionError> {
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
            padding: 0,
        };
        let options = Options {
            settings,
            ring_bytes: config.ring_bytes,
            possible_cpus: cpus::possible(),
        };
        let mut loaded = Loaded::load(&options)?;
        let ring = Ring::new(&mut loaded)?;
        let counters = Counters::new(&mut loaded)?;
        let table = Table::new(&mut loaded, config.table_mib)?;
        Ok(Self {
            loader: Loader::start().map_err(SessionError::Threads)?,
            executables: Executables::new(),
            interpreters: Interpreters::default(),
            stacks: Stacks::new(seed),
            codes: Codes::default(),
            names: Names::default(),
            deferred: DeferredSamples::default(),
            samples: HashMap::new(),
            tallies: Tallies::default(),
            attached: HashMap::new(),
            looked: HashSet::new(),
            bodies_missing: None,
            clock: clock(),
            started: monotonic(),
            ended: 0,
            undecoded: 0,
            dropped: 0,
            failures: HashMap::new(),
            config,
            loaded,
            ring,
            counters,
            table,
        })
    }

    /// Reads the files that run now, `only` those of these processes where some are given.
    pub fn scan(&mut self, only: &[u32]) -> Result<(), SessionError> {
        if let Some(image) = vdso() {
            self.executables
                .add_vdso(&mut self.loaded, &mut self.table, image)?;
        }
        let mut list = list::list();
        let own = std::process::id();
        for file in &mut list.files {
            // The agent itself is never sampled.
            file.uses.retain(|place| {
                list.processes
                    .get(place.process as usize)
                    .is_some_and(|process| process.pid != own)
            });
        }
        for file in &list.files {
            let wanted = |place: &&list::Use| {
                let process = list.processes.get(place.process as usize);
                only.is_empty() || process.is_some_and(|process| only.contains(&process.pid))
            };
            let Some(place) = file.uses.iter().find(wanted) else {
                continue;
            };
            let Some(process) = list.processes.get(place.process as usize) else {
                continue;
            };
            let wanted = Wanted::Listed {
                device: file.device,
                inode: file.inode,
            };
            let path = String::from_utf8_lossy(&file.path).into_owned();
            let asked = ProcessHandle::open(process.pid)
                .map_err(|error| error.to_string())
                .and_then(|handle| {
                    self.loader
                        .ask(&handle, &place.avma, &wanted, Some(path), |_| false)
                });
            self.note_failure(asked);
        }
        while let Some(described) = self.loader.wait() {
            self.take(described)?;
        }
        self.interpreters.scan(&self.executables, &list);
        self.interpreters
            .attempt(&mut self.loaded, &mut self.executables)?;
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

    /// Begins to sample.
    pub fn start(&mut self) -> Result<(), SessionError> {
        self.started = monotonic();
        self.clock = clock();
        self.follow_cpus()
    }

    /// Samples CPUs that came online, and forgets those that went.
    pub fn follow_cpus(&mut self) -> Result<(), SessionError> {
        let online = cpus::online();
        let gone: Vec<u32> = self
            .attached
            .keys()
            .filter(|cpu| !online.contains(cpu))
            .copied()
            .collect();
        for cpu in gone {
            if let Some(link) = self.attached.remove(&cpu) {
                // Its event went with the CPU.
                let _ = self.loaded.detach(link);
            }
        }
        for cpu in online {
            if !self.attached.contains_key(&cpu) {
                let link = self
                    .loaded
                    .attach(cpu, self.config.event, self.config.rate)?;
                self.attached.insert(cpu, link);
            }
        }
        Ok(())
    }

    /// Takes what waits in the ring buffer, and does what became due.
    pub fn pump(&mut self) -> Result<(), SessionError> {
        self.drain()?;
        while let Some(described) = self.loader.poll() {
            self.take(described)?;
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

    /// When something is due that no record tells of.
    pub fn due(&self) -> Option<Instant> {
        let file = (!self.loader.is_idle()).then(|| Instant::now() + Duration::from_millis(2));
        [file, self.interpreters.due()].into_iter().flatten().min()
    }

    /// Stops sampling and takes what is left.
    pub fn stop(&mut self) -> Result<(), SessionError> {
        for (_, link) in self.attached.drain() {
            self.loaded.detach(link)?;
        }
        self.ended = monotonic();
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
            Record::Thread(thread) => self.names.add(&thread),
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
        let weight = u64::from(sample.weight);
        self.tallies.add(sample.process, &sample.shape, weight);
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
        let count = self.samples.entry(key).or_default();
        count.weight += weight;
        count.value += sample.value * weight;
        count.last_time = sample.time;
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

    fn take(&mut self, described: Described) -> Result<(), SessionError> {
        let keep = described.announced;
        self.executables
            .add(&mut self.loaded, &mut self.table, described, keep)?;
        Ok(())
    }

    /// The kernel side met a file that is not described, or a process whose interpreter is not.
    fn take_announcement(&mut self, announced: &Announcement) -> Result<(), SessionError> {
        let (process, start) = (announced.process, announced.start);
        if let Some(known) = self.executables.by_key(&announced.file) {
            let (id, pid) = (known.file.id, process.pid);
            self.interpreters
                .seen(&self.executables, id, pid, start, announced.offset);
            return Ok(());
        }
        self.deferred.announced(process, start, announced.file);
        let asked = ProcessHandle::open_same(&process)
            .map_err(|error| error.to_string())
            .and_then(|handle| {
                let wanted = Wanted::Announced(&announced.file);
                let known = |key: &FileId| self.executables.by_key(key).is_some();
                self.loader
                    .ask(&handle, &(start..announced.end), &wanted, None, known)
            });
        if asked.is_err() {
            tracing::debug!(name = name_of(&announced.name), "file not opened");
        }
        self.note_failure(asked);
        Ok(())
    }

    fn note_failure(&mut self, result: Result<(), String>) {
        if let Err(reason) = result
            && (self.failures.len() < FAILURES || self.failures.contains_key(&reason))
        {
            *self.failures.entry(reason).or_default() += 1;
        }
    }

    /// Stops and makes a profile of what was recorded.
    pub fn finish(mut self, view: View) -> Result<(Profile, Statistics), SessionError> {
        self.stop()?;
        let mut profile = Profile::new();
        profile.clock = self.clock;
        profile.span = Span {
            start: self.started,
            end: self.ended,
        };
        let mut statistics = self.statistics();

        let mut symbolizer = Symbolizer::new(symbols::Options::default());
        let mut wanted: Vec<u64> = self.samples.keys().map(|key| key.stack).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut resolver = Resolver::new(
            &self.executables,
            &mut self.codes,
            &self.interpreters,
            &self.names,
            &mut symbolizer,
            view,
        );
        resolver.prepare(&mut profile, &self.stacks, &wanted);

        let event = event(&mut profile, self.config.event, self.config.rate);
        let mut known = HashMap::new();
        for (key, count) in &self.samples {
            let stack = *known.entry((key.stack, key.process)).or_insert_with(|| {
                let frames = match self.stacks.get(key.stack) {
                    Some(body) => resolver.stack(&mut profile, body, &key.process),
                    None => vec![profile.marker("[stack lost]")],
                };
                profile.stack(&frames)
            });
            let process = profile.process(key.process);
            let name = profile.string(self.names.process(&key.process));
            profile.process_mut(process).name = name;
            let thread = profile.thread(process, key.thread);
            let name = profile.string(self.names.thread(&key.process, key.thread));
            profile.thread_mut(thread).name = name;
            let key = SampleKey {
                stack,
                context: profile::ContextId::NONE,
                process,
                thread,
                cpu: key.cpu,
                event,
            };
            let weight = u32::try_from(count.weight).unwrap_or(u32::MAX);
            let value = count.value / count.weight.max(1);
            profile.add(
                key,
                Measurement {
                    time: count.last_time,
                    value,
                    weight,
                },
            );
            let frames = profile.frames_of(stack).to_vec();
            statistics.frames += frames.len() as u64 * count.weight;
            let unnamed = frames
                .iter()
                .filter(|id| profile[**id].function.is_none())
                .count();
            statistics.unnamed += unnamed as u64 * count.weight;
        }
        Ok((profile, statistics))
    }

    fn statistics(&self) -> Statistics {
        let get = |counter| self.counters.get(counter);
        let mut statistics = Statistics {
            runs: get(Counter::Entries),
            ..Statistics::default()
        };
        for (process, entries) in self.counters.entries() {
            let tally = self.tallies.0.get(&process).cloned().unwrap_or_default();
            statistics.processes.push(ProcessTally {
                pid: process.pid,
                name: self.names.process(&process).to_owned(),
                tally: Tally { entries, ..tally },
            });
        }
        statistics.processes.sort_by(|a, b| {
            b.tally
                .entries
                .cmp(&a.tally.entries)
                .then(a.pid.cmp(&b.pid))
        });
        let total = &mut statistics.total;
        total.entries = get(Counter::Accepted);
        for tally in self.tallies.0.values() {
            total.samples += tally.samples;
            total.whole += tally.whole;
            for (name, count) in &tally.cut {
                *total.cut.entry(name.clone()).or_default() += count;
            }
            for (name, count) in &tally.python {
                *total.python.entry(name.clone()).or_default() += count;
            }
        }
        for counter in [Counter::LostSample, Counter::LostStage] {
            statistics
                .lost
                .insert(counter.name().to_owned(), get(counter));
        }
        let bodies = self
            .samples
            .iter()
            .filter(|(key, _)| self.stacks.get(key.stack).is_none());
        let bodies: u64 = bodies.map(|(_, count)| count.weight).sum();
        let own = [
            ("stack_body", bodies),
            ("record_not_understood", self.undecoded),
            ("stack_hash_mismatch", self.stacks.mismatched),
            ("agent_tables_full", self.dropped + self.stacks.dropped),
        ];
        for (name, count) in own {
            statistics.lost.insert(name.to_owned(), count);
        }
        for counter in [
            Counter::Idle,
            Counter::Own,
            Counter::OtherProcess,
            Counter::OtherCgroup,
            Counter::Paused,
        ] {
            statistics
                .left_out
                .insert(counter.name().to_owned(), get(counter));
        }
        for counter in [
            Counter::Samples,
            Counter::Deferred,
            Counter::Stacks,
            Counter::StackRetry,
            Counter::Codes,
            Counter::CodeRetry,
            Counter::Announced,
            Counter::Processes,
            Counter::ProcessTableFull,
        ] {
            statistics
                .kernel
                .insert(counter.name().to_owned(), get(counter));
        }
        for (reason, count) in &self.interpreters.unfit {
            *statistics
                .interpreters
                .entry((*reason).to_owned())
                .or_default() += count;
        }
        for reason in self.interpreters.pending() {
            *statistics
                .interpreters
                .entry(reason.to_owned())
                .or_default() += 1;
        }
        for (reason, count) in self.executables.problems.iter().chain(&self.failures) {
            *statistics.files.entry(reason.clone()).or_default() += count;
        }
        statistics
    }

    /// What the verifier went through, program by program.
    pub fn verified(&self) -> Vec<crate::bpf::load::Verified> {
        self.loaded.verified()
    }
}

impl AsRawFd for Session {
    /// Readable when the kernel side wants the ring buffer read before its time.
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}

fn event(profile: &mut Profile, event: Event, rate: u64) -> profile::EventId {
    let (name, unit, amount) = match event {
        Event::CpuClock => ("cpu-clock", "nanoseconds", 1_000_000_000 / rate.max(1)),
        Event::Cycles => ("cycles", "count", 1),
    };
    let value = ValueType {
        name: profile.string(if event == Event::CpuClock {
            "cpu"
        } else {
            "cycles"
        }),
        unit: profile.string(unit),
    };
    let name = profile.string(name);
    profile.event(profile::Event {
        name,
        value,
        period: Some(profile::Period { of: value, amount }),
    })
}

/// The vDSO's image, out of the agent's own memory: the kernel maps the same one everywhere.
fn vdso() -> Option<Vec<u8>> {
    let handle = crate::process::ProcessHandle::open(std::process::id()).ok()?;
    let mut range = None;
    space::maps_of(&handle, |mapping| {
        if mapping.name() == b"[vdso]" {
            range = Some(mapping.avma.clone());
        }
        range.is_none()
    })
    .ok()?;
    let range = range?;
    let mut image = vec![0; usize::try_from(range.end - range.start).ok()?];
    let memory = crate::python::reader::ProcessMemory::new(std::process::id());
    crate::python::Memory::read(&memory, range.start, &mut image).ok()?;
    Some(image)
}

/// A seed that no target can guess.
fn seed() -> u64 {
    let mut bytes = [0; 8];
    let random = std::fs::File::open("/dev/urandom")
        .and_then(|mut file| io::Read::read_exact(&mut file, &mut bytes));
    match random {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => monotonic() ^ u64::from(std::process::id()).rotate_left(40),
    }
}

fn name_of(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn now(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid pointer for the call.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn monotonic() -> u64 {
    now(libc::CLOCK_MONOTONIC)
}

fn clock() -> Clock {
    Clock {
        monotonic: monotonic(),
        wall: now(libc::CLOCK_REALTIME),
    }
}
