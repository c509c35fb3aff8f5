//! The profile: the interned model that everything else writes to or reads from.
//!
//! One [`Profile`] holds everything that the formats need, each thing once: strings, functions,
//! frames, stacks and executables in tables with typed indices, processes and threads, and the
//! samples that point at them. Its memory grows with the number of distinct things; only a profile
//! that keeps times also grows with each sample. Whoever fills it watches [`Profile::bytes`].
//!
//! Depends on no other room and does no I/O.

mod frame;
mod index;
mod merge;
mod origin;
mod sample;
mod table;
mod time;

use std::collections::HashMap;
use std::mem::size_of;
use std::ops;
use std::sync::Arc;

use agent_common::process::ProcessId;

pub use frame::{Executable, Frame, FrameKind, Function};
pub use index::{
    ContextId, EventId, ExecutableId, FrameId, FunctionId, Index, ProcessIndex, StackId, StringId,
    ThreadIndex,
};
pub use merge::{Copy, Merged};
pub use origin::{Attribute, Context, Event, Link, Period, Process, Thread, Value, ValueType};
pub use sample::{Measurement, Moment, SampleKey, Totals, UNKNOWN_CPU};
pub use table::Table;
pub use time::{Clock, Span};

#[derive(Clone, Debug)]
pub struct Profile {
    pub clock: Clock,
    pub span: Span,
    /// Whether each sample's time is kept ([`Totals::moments`]).
    keeps_times: bool,
    strings: Table<Arc<str>, StringId>,
    functions: Table<Function, FunctionId>,
    frames: Table<Frame, FrameId>,
    /// Innermost frame first.
    stacks: Table<Arc<[FrameId]>, StackId>,
    executables: Table<Executable, ExecutableId>,
    events: Table<Event, EventId>,
    contexts: Table<Context, ContextId>,
    processes: Vec<Process>,
    process_index: HashMap<ProcessId, ProcessIndex>,
    threads: Vec<Thread>,
    thread_index: HashMap<(ProcessIndex, u32), ThreadIndex>,
    samples: HashMap<SampleKey, Totals>,
    /// Moments of all samples.
    times: usize,
    /// Bytes behind the strings', stacks' and contexts' pointers.
    pointed_at: usize,
}

impl Default for Profile {
    fn default() -> Self {
        Self::new()
    }
}

impl Profile {
    /// A profile of sums.
    pub fn new() -> Self {
        let mut profile = Self {
            clock: Clock::default(),
            span: Span::default(),
            keeps_times: false,
            strings: Table::default(),
            functions: Table::default(),
            frames: Table::default(),
            stacks: Table::default(),
            executables: Table::default(),
            events: Table::default(),
            contexts: Table::default(),
            processes: Vec::new(),
            process_index: HashMap::new(),
            threads: Vec::new(),
            thread_index: HashMap::new(),
            samples: HashMap::new(),
            times: 0,
            pointed_at: 0,
        };
        // Entry 0 of these tables is the constant that their index type names.
        profile.string("");
        profile.stack(&[]);
        profile.context(Context::default());
        profile
    }

    /// A profile that also keeps when each sample was taken.
    pub fn with_times() -> Self {
        Self {
            keeps_times: true,
            ..Self::new()
        }
    }

    pub fn string(&mut self, text: &str) -> StringId {
        let bytes = &mut self.pointed_at;
        self.strings.intern(text, || {
            *bytes += text.len() + 2 * size_of::<usize>();
            text.into()
        })
    }

    pub fn function(&mut self, function: Function) -> FunctionId {
        self.functions.intern(&function, || function)
    }

    pub fn frame(&mut self, frame: Frame) -> FrameId {
        self.frames.intern(&frame, || frame)
    }

    /// A marker frame with this text.
    pub fn marker(&mut self, text: &str) -> FrameId {
        let name = self.string(text);
        let function = self.function(Function {
            name,
            system_name: name,
            file: StringId::EMPTY,
            first_line: None,
        });
        self.frame(Frame::marker(function))
    }

    /// A stack by its frames, the innermost first.
    pub fn stack(&mut self, frames: &[FrameId]) -> StackId {
        let bytes = &mut self.pointed_at;
        self.stacks.intern(frames, || {
            *bytes += size_of_val(frames) + 2 * size_of::<usize>();
            frames.into()
        })
    }

    pub fn executable(&mut self, executable: Executable) -> ExecutableId {
        self.executables.intern(&executable, || executable)
    }

    pub fn event(&mut self, event: Event) -> EventId {
        self.events.intern(&event, || event)
    }

    pub fn context(&mut self, context: Context) -> ContextId {
        let bytes = &mut self.pointed_at;
        self.contexts.intern(&context, || {
            *bytes += size_of_val(&*context.attributes);
            context.clone()
        })
    }

    /// The process with this identity, nameless at first.
    pub fn process(&mut self, id: ProcessId) -> ProcessIndex {
        *self.process_index.entry(id).or_insert_with(|| {
            self.processes.push(Process {
                id,
                name: StringId::EMPTY,
                executable: None,
                attributes: Vec::new(),
                is_spelt_out: false,
            });
            ProcessIndex::new(self.processes.len() as u32 - 1)
        })
    }

    pub fn process_mut(&mut self, process: ProcessIndex) -> &mut Process {
        &mut self.processes[process.position()]
    }

    /// Says what a process belongs to.
    pub fn describe(&mut self, process: ProcessIndex, attributes: Vec<Attribute>) {
        self.pointed_at += size_of_val(&*attributes);
        self.processes[process.position()].attributes = attributes;
    }

    /// The thread with this id in a process, nameless at first.
    pub fn thread(&mut self, process: ProcessIndex, tid: u32) -> ThreadIndex {
        *self.thread_index.entry((process, tid)).or_insert_with(|| {
            self.threads.push(Thread {
                process,
                tid,
                name: StringId::EMPTY,
            });
            ThreadIndex::new(self.threads.len() as u32 - 1)
        })
    }

    pub fn thread_mut(&mut self, thread: ThreadIndex) -> &mut Thread {
        &mut self.threads[thread.position()]
    }

    /// Counts a sample.
    pub fn add(&mut self, key: SampleKey, measured: Measurement) {
        let totals = self.samples.entry(key).or_default();
        totals.add(measured, self.keeps_times);
        self.times += usize::from(self.keeps_times);
    }

    /// Counts samples of which only the sums are known: their number, and their values'.
    pub fn add_sum(&mut self, key: SampleKey, weight: u64, value: u64) {
        self.samples.entry(key).or_default().add_sum(weight, value);
    }

    /// Keeps these samples alone. What they refer to stays in the tables.
    pub fn retain(&mut self, mut stays: impl FnMut(&SampleKey) -> bool) {
        let times = &mut self.times;
        self.samples.retain(|key, totals| {
            let stays = stays(key);
            if !stays {
                *times = times.saturating_sub(totals.moments.len());
            }
            stays
        });
    }

    pub fn keeps_times(&self) -> bool {
        self.keeps_times
    }

    /// How many times are kept.
    pub fn times(&self) -> usize {
        self.times
    }

    /// From now on the profile is one of sums.
    pub fn forget_times(&mut self) {
        self.keeps_times = false;
        self.times = 0;
        for totals in self.samples.values_mut() {
            totals.moments = Vec::new();
        }
    }

    /// All samples, in no particular order.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = (&SampleKey, &Totals)> {
        self.samples.iter()
    }

    /// The frames of a stack, the innermost first.
    pub fn frames_of(&self, stack: StackId) -> &[FrameId] {
        self.stacks.get(stack)
    }

    pub fn strings(&self) -> &Table<Arc<str>, StringId> {
        &self.strings
    }

    pub fn functions(&self) -> &Table<Function, FunctionId> {
        &self.functions
    }

    pub fn frames(&self) -> &Table<Frame, FrameId> {
        &self.frames
    }

    pub fn stacks(&self) -> &Table<Arc<[FrameId]>, StackId> {
        &self.stacks
    }

    pub fn executables(&self) -> &Table<Executable, ExecutableId> {
        &self.executables
    }

    pub fn events(&self) -> &Table<Event, EventId> {
        &self.events
    }

    pub fn contexts(&self) -> &Table<Context, ContextId> {
        &self.contexts
    }

    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    pub fn threads(&self) -> &[Thread] {
        &self.threads
    }

    /// Estimate of the memory that the profile holds.
    pub fn bytes(&self) -> usize {
        let tables = self.strings.bytes()
            + self.functions.bytes()
            + self.frames.bytes()
            + self.stacks.bytes()
            + self.executables.bytes()
            + self.events.bytes()
            + self.contexts.bytes();
        let processes = self.processes.capacity() * 2 * size_of::<Process>();
        let threads = self.threads.capacity() * 3 * size_of::<Thread>();
        let samples = self.samples.capacity() * size_of::<(SampleKey, Totals)>();
        let times = self.times * size_of::<Moment>();
        tables + processes + threads + samples + times + self.pointed_at
    }
}

macro_rules! lookups {
    ($($id:ty => $output:ty, $profile:ident, $found:expr;)*) => {
        $(
            impl ops::Index<$id> for Profile {
                type Output = $output;

                fn index(&self, id: $id) -> &$output {
                    let $profile = self;
                    $found(id)
                }
            }
        )*
    };
}

lookups! {
    StringId => str, profile, |id| profile.strings.get(id);
    FunctionId => Function, profile, |id| profile.functions.get(id);
    FrameId => Frame, profile, |id| profile.frames.get(id);
    ExecutableId => Executable, profile, |id| profile.executables.get(id);
    EventId => Event, profile, |id| profile.events.get(id);
    ContextId => Context, profile, |id| profile.contexts.get(id);
    ProcessIndex => Process, profile, |id: ProcessIndex| &profile.processes[id.position()];
    ThreadIndex => Thread, profile, |id: ThreadIndex| &profile.threads[id.position()];
}

#[cfg(test)]
mod tests;
