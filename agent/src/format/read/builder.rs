//! What all readers do: processes, files, functions and stacks of a file become a profile's.

use std::collections::HashMap;

use agent_common::process::ProcessId;

use crate::profile::{
    Attribute, Event, EventId, Executable, ExecutableId, Frame, FrameId, FrameKind, Function,
    FunctionId, Measurement, Period, ProcessIndex, Profile, SampleKey, StackId, ThreadIndex, Value,
    ValueType,
};

use super::ReadError;

/// Most frames of a file, counted for each sample, and of one stack.
const FRAMES: usize = 1 << 26;
pub const DEPTH: usize = 1 << 16;
/// Most kinds of values: some formats have a number of each kind for each sample.
const EVENTS: usize = 64;
/// Most bytes of all files' profile. Each entry of each of its tables takes more than 32, so that
/// no table comes near 2^32 entries.
pub const MOST_BYTES: usize = 2 << 30;
/// Most sample times, as many as a recording keeps: formats that have them say each by itself.
pub const TIMES: usize = 1 << 22;

pub use super::super::pprof::tables::{ANONYMOUS, PYTHON};

pub struct Builder<'a> {
    pub profile: &'a mut Profile,
    processes: HashMap<(u32, String, Vec<Attribute>), ProcessIndex>,
    frames: usize,
}

/// What an attribute says.
pub enum Content<'a> {
    Text(&'a str),
    Integer(i64),
}

/// A function as a file has it.
pub struct Named<'a> {
    pub name: &'a str,
    pub system_name: &'a str,
    pub file: &'a str,
    pub first_line: i64,
}

impl<'a> Builder<'a> {
    pub fn new(profile: &'a mut Profile) -> Self {
        Self {
            profile,
            processes: HashMap::new(),
            frames: 0,
        }
    }

    /// A process of this file: another than those of other files, whatever its pid.
    pub fn process(&mut self, pid: u32, name: &str, attributes: Vec<Attribute>) -> ProcessIndex {
        let identity = (pid, name.to_owned(), attributes);
        if let Some(known) = self.processes.get(&identity) {
            return *known;
        }
        let id = ProcessId {
            pid,
            exec: self.profile.processes().len() as u32,
            start: 0,
        };
        let process = self.profile.process(id);
        let text = self.profile.string(name);
        self.profile.process_mut(process).name = text;
        self.profile.describe(process, identity.2.clone());
        self.processes.insert(identity, process);
        process
    }

    pub fn attribute(&mut self, key: &str, value: Content) -> Attribute {
        Attribute {
            key: self.profile.string(key),
            value: match value {
                Content::Text(text) => Value::Text(self.profile.string(text)),
                Content::Integer(number) => Value::Integer(number),
            },
        }
    }

    pub fn thread(&mut self, process: ProcessIndex, tid: u32, name: &str) -> ThreadIndex {
        let thread = self.profile.thread(process, tid);
        if !name.is_empty() {
            let name = self.profile.string(name);
            self.profile.thread_mut(thread).name = name;
        }
        thread
    }

    pub fn executable(&mut self, path: &str, build_id: &str, htlhash: &str) -> ExecutableId {
        let executable = Executable {
            path: self.profile.string(path),
            build_id: self.profile.string(build_id),
            htlhash: self.profile.string(htlhash),
            file: Default::default(),
        };
        self.profile.executable(executable)
    }

    pub fn function(&mut self, named: &Named) -> FunctionId {
        let system_name = if named.system_name.is_empty() {
            named.name
        } else {
            named.system_name
        };
        let function = Function {
            name: self.profile.string(named.name),
            system_name: self.profile.string(system_name),
            file: self.profile.string(named.file),
            first_line: number(named.first_line),
        };
        self.profile.function(function)
    }

    /// The frames of one place: of functions with lines, the innermost first; of one without a
    /// name where there are none.
    pub fn place(
        &mut self,
        frame: Frame,
        lines: &[(FunctionId, i64)],
        frames: &mut Vec<FrameId>,
    ) -> Result<(), ReadError> {
        if frames.len() + lines.len().max(1) > DEPTH {
            return Err(ReadError::TooManyFrames(FRAMES, DEPTH));
        }
        for (place, (function, line)) in lines.iter().enumerate() {
            frames.push(self.profile.frame(Frame {
                function: Some(*function),
                line: number(*line),
                inlined: place + 1 < lines.len(),
                ..frame
            }));
        }
        if lines.is_empty() {
            frames.push(self.profile.frame(frame));
        }
        Ok(())
    }

    pub fn stack(&mut self, frames: &[FrameId]) -> StackId {
        self.profile.stack(frames)
    }

    /// Counts a sample of which only the sums are known.
    pub fn add_sum(&mut self, key: SampleKey, weight: u64, value: u64) -> Result<(), ReadError> {
        self.room(key.stack)?;
        self.profile.add_sum(key, weight, value);
        Ok(())
    }

    /// Counts samples of one key, each with its time. With too many of them the profile is one of
    /// sums: one in which some are missing would show a program that stopped.
    pub fn add(&mut self, key: SampleKey, all: &[Measurement]) -> Result<(), ReadError> {
        self.room(key.stack)?;
        if self.profile.times() + all.len() > TIMES {
            self.profile.forget_times();
        }
        for measured in all {
            self.profile.add(key, *measured);
        }
        Ok(())
    }

    /// Whether one more sample may come.
    fn room(&mut self, stack: StackId) -> Result<(), ReadError> {
        self.frames += self.profile.frames_of(stack).len();
        if self.frames > FRAMES {
            return Err(ReadError::TooManyFrames(FRAMES, DEPTH));
        }
        if self.profile.bytes() > MOST_BYTES {
            return Err(ReadError::TooMuchMemory(MOST_BYTES));
        }
        Ok(())
    }

    pub fn value_type(&mut self, name: &str, unit: &str) -> ValueType {
        ValueType {
            name: self.profile.string(name),
            unit: self.profile.string(unit),
        }
    }

    /// An event that is named by what it measures.
    pub fn event(
        &mut self,
        value: ValueType,
        period: Option<Period>,
    ) -> Result<EventId, ReadError> {
        let event = self.profile.event(Event {
            name: value.name,
            value,
            period,
        });
        if self.profile.events().len() > EVENTS {
            return Err(ReadError::TooManyEvents(EVENTS));
        }
        Ok(event)
    }

    /// The time that a file covers, on the wall clock.
    pub fn covers(&mut self, start: u64, duration: u64) {
        if start == 0 {
            return;
        }
        let span = &mut self.profile.span;
        let end = start.saturating_add(duration);
        if span.end == 0 {
            (span.start, span.end) = (start, end);
        } else {
            (span.start, span.end) = (span.start.min(start), span.end.max(end));
        }
    }
}

/// A frame without a name.
pub fn frame(kind: FrameKind, executable: Option<ExecutableId>, svma: u64) -> Frame {
    Frame {
        kind,
        function: None,
        line: None,
        executable,
        svma,
        inlined: false,
    }
}

/// A line, where there is one.
fn number(line: i64) -> Option<u32> {
    u32::try_from(line).ok().filter(|line| *line != 0)
}

/// What a function is that has no file with code: notes are in brackets, Python's sources end so or
/// stand for something.
pub fn kind_of(name: &str, file: &str) -> FrameKind {
    if file.is_empty() && name.starts_with('[') && name.ends_with(']') {
        FrameKind::Marker
    } else if file.ends_with(".py") || file.starts_with('<') {
        FrameKind::Python
    } else {
        FrameKind::Native
    }
}
