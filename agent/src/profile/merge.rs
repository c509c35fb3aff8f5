//! Samples of many profiles in one. Each thing is there once, however many profiles have it, so that
//! the memory grows with what is different alone.

use std::collections::HashMap;
use std::ops::Range;

use agent_common::process::ProcessId;

use super::{
    Attribute, Context, ContextId, Event, EventId, Executable, ExecutableId, Frame, FrameId,
    Function, FunctionId, Index as _, Measurement, Period, ProcessIndex, Profile, SampleKey,
    StackId, StringId, ThreadIndex, Totals, Value, ValueType,
};

/// A process by what is said of it: pids come again, and nobody says which process it was.
type Identity = (u32, u32, StringId, Option<ExecutableId>, Vec<Attribute>);

/// The profile that others are copied into.
#[derive(Debug)]
pub struct Merged {
    pub profile: Profile,
    processes: HashMap<Identity, ProcessIndex>,
    /// Most times that are kept; with more it is a profile of sums.
    times: usize,
}

impl Merged {
    pub fn new(keeps_times: bool, times: usize) -> Self {
        let profile = match keeps_times {
            true => Profile::with_times(),
            false => Profile::new(),
        };
        Self {
            profile,
            processes: HashMap::new(),
            times,
        }
    }

    /// Begins to copy from a profile whose times are on the wall clock. Processes of different
    /// origins are different, whatever is said of them.
    pub fn from<'a>(&'a mut self, from: &'a Profile, origin: u32) -> Copy<'a> {
        Copy {
            strings: vec![None; from.strings().len()],
            functions: vec![None; from.functions().len()],
            frames: vec![None; from.frames().len()],
            stacks: vec![None; from.stacks().len()],
            executables: vec![None; from.executables().len()],
            contexts: vec![None; from.contexts().len()],
            processes: vec![None; from.processes().len()],
            threads: vec![None; from.threads().len()],
            from,
            to: self,
            origin,
        }
    }

    /// Memory that is held.
    pub fn bytes(&self) -> usize {
        let identities = self.processes.capacity() * (size_of::<Identity>() + size_of::<u64>());
        self.profile.bytes() + identities
    }
}

/// Copies samples of one profile; remembers what each of its entries is in the other.
pub struct Copy<'a> {
    from: &'a Profile,
    to: &'a mut Merged,
    origin: u32,
    strings: Vec<Option<StringId>>,
    functions: Vec<Option<FunctionId>>,
    frames: Vec<Option<FrameId>>,
    stacks: Vec<Option<StackId>>,
    executables: Vec<Option<ExecutableId>>,
    contexts: Vec<Option<ContextId>>,
    processes: Vec<Option<ProcessIndex>>,
    threads: Vec<Option<ThreadIndex>>,
}

/// What an entry is in the other profile, found once.
macro_rules! once {
    ($self:ident, $table:ident, $id:expr, $make:expr) => {{
        let id = $id;
        match $self.$table[id.position()] {
            Some(known) => known,
            None => {
                let made = $make;
                $self.$table[id.position()] = Some(made);
                made
            }
        }
    }};
}

impl Copy<'_> {
    /// Copies the samples of one key; of those whose times are known, the ones in the window.
    /// Gives how many they are.
    pub fn add(&mut self, key: &SampleKey, totals: &Totals, window: &Range<u64>) -> u64 {
        let timed = !totals.moments.is_empty();
        let moments = totals.moments.iter();
        let moments = moments.filter(|moment| window.contains(&moment.time));
        let (count, weight) = moments.clone().fold((0, 0_u64), |(count, weight), moment| {
            (count + 1, weight.saturating_add(moment.weight.into()))
        });
        if timed && count == 0 {
            return 0;
        }
        let key = self.key(key);
        let (most, to) = (self.to.times, &mut self.to.profile);
        if !timed {
            to.add_sum(key, totals.weight, totals.value);
            return totals.weight;
        }
        if to.keeps_times() && to.times() + count > most {
            to.forget_times();
        }
        for moment in moments {
            let measured = Measurement {
                time: moment.time,
                value: moment.value / u64::from(moment.weight.max(1)),
                weight: moment.weight,
            };
            to.add(key, measured);
        }
        weight
    }

    fn key(&mut self, key: &SampleKey) -> SampleKey {
        SampleKey {
            stack: self.stack(key.stack),
            context: self.context(key.context),
            process: self.process(key.process),
            thread: self.thread(key.thread),
            cpu: key.cpu,
            event: self.event(key.event),
        }
    }

    fn string(&mut self, id: StringId) -> StringId {
        once!(self, strings, id, self.to.profile.string(&self.from[id]))
    }

    fn stack(&mut self, id: StackId) -> StackId {
        once!(self, stacks, id, {
            let frames = self.from.frames_of(id).iter();
            let frames: Vec<FrameId> = frames.map(|frame| self.frame(*frame)).collect();
            self.to.profile.stack(&frames)
        })
    }

    fn frame(&mut self, id: FrameId) -> FrameId {
        once!(self, frames, id, {
            let frame = self.from[id];
            let frame = Frame {
                function: frame.function.map(|function| self.function(function)),
                executable: frame.executable.map(|file| self.executable(file)),
                ..frame
            };
            self.to.profile.frame(frame)
        })
    }

    fn function(&mut self, id: FunctionId) -> FunctionId {
        once!(self, functions, id, {
            let function = self.from[id];
            let function = Function {
                name: self.string(function.name),
                system_name: self.string(function.system_name),
                file: self.string(function.file),
                ..function
            };
            self.to.profile.function(function)
        })
    }

    fn executable(&mut self, id: ExecutableId) -> ExecutableId {
        once!(self, executables, id, {
            let executable = self.from[id];
            let executable = Executable {
                path: self.string(executable.path),
                build_id: self.string(executable.build_id),
                htlhash: self.string(executable.htlhash),
                ..executable
            };
            self.to.profile.executable(executable)
        })
    }

    fn context(&mut self, id: ContextId) -> ContextId {
        once!(self, contexts, id, {
            let from = self.from;
            let attributes = from[id].attributes.iter();
            let attributes: Vec<Attribute> = attributes.map(|it| self.attribute(*it)).collect();
            let context = Context {
                link: from[id].link,
                attributes: attributes.into(),
            };
            self.to.profile.context(context)
        })
    }

    fn attribute(&mut self, attribute: Attribute) -> Attribute {
        Attribute {
            key: self.string(attribute.key),
            value: match attribute.value {
                Value::Text(text) => Value::Text(self.string(text)),
                number @ Value::Integer(_) => number,
            },
        }
    }

    fn process(&mut self, id: ProcessIndex) -> ProcessIndex {
        once!(self, processes, id, {
            let from = &self.from[id];
            let pid = from.id.pid;
            let name = self.string(from.name);
            let executable = from.executable.map(|file| self.executable(file));
            let attributes = from.attributes.iter();
            let attributes: Vec<Attribute> = attributes.map(|it| self.attribute(*it)).collect();
            let identity = (self.origin, pid, name, executable, attributes);
            match self.to.processes.get(&identity) {
                Some(known) => *known,
                None => {
                    let profile = &mut self.to.profile;
                    let process = profile.process(ProcessId {
                        pid,
                        exec: profile.processes().len() as u32,
                        start: 0,
                    });
                    let made = profile.process_mut(process);
                    (made.name, made.executable) = (name, executable);
                    profile.describe(process, identity.4.clone());
                    self.to.processes.insert(identity, process);
                    process
                }
            }
        })
    }

    fn thread(&mut self, id: ThreadIndex) -> ThreadIndex {
        once!(self, threads, id, {
            let from = &self.from[id];
            let process = self.process(from.process);
            let name = self.string(from.name);
            let thread = self.to.profile.thread(process, from.tid);
            if name != StringId::EMPTY {
                self.to.profile.thread_mut(thread).name = name;
            }
            thread
        })
    }

    fn event(&mut self, id: EventId) -> EventId {
        let event = self.from[id];
        let event = Event {
            name: self.string(event.name),
            value: self.value_type(event.value),
            period: event.period.map(|period| Period {
                of: self.value_type(period.of),
                ..period
            }),
        };
        self.to.profile.event(event)
    }

    fn value_type(&mut self, value: ValueType) -> ValueType {
        ValueType {
            name: self.string(value.name),
            unit: self.string(value.unit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Range<u64> = 0..u64::MAX;

    /// One sample of `f` in a process with this name and attribute, at each of these times.
    fn profile(name: &str, version: i64, times: &[u64]) -> Profile {
        let mut profile = Profile::with_times();
        let process = profile.process(ProcessId {
            pid: 7,
            exec: 0,
            start: 0,
        });
        profile.string("only to shift the numbers of strings");
        let name = profile.string(name);
        profile.process_mut(process).name = name;
        let key = profile.string("version");
        let value = Value::Integer(version);
        profile.describe(process, vec![Attribute { key, value }]);
        let thread = profile.thread(process, 8);
        let frame = profile.marker("f");
        let value = ValueType {
            name,
            unit: StringId::EMPTY,
        };
        let event = Event {
            name,
            value,
            period: None,
        };
        let key = SampleKey {
            stack: profile.stack(&[frame]),
            context: ContextId::NONE,
            process,
            thread,
            cpu: 0,
            event: profile.event(event),
        };
        for time in times {
            let measured = Measurement {
                time: *time,
                value: 10,
                weight: 2,
            };
            profile.add(key, measured);
        }
        profile
    }

    fn merge(merged: &mut Merged, from: &Profile, origin: u32, window: &Range<u64>) -> u64 {
        let mut copy = merged.from(from, origin);
        from.samples()
            .map(|(key, totals)| copy.add(key, totals, window))
            .sum()
    }

    #[test]
    fn what_is_the_same_is_there_once() {
        let mut merged = Merged::new(false, 0);
        let part = profile("web", 1, &[1, 2, 3]);
        merge(&mut merged, &part, 0, &ALL);
        let bytes = merged.bytes();
        for _ in 0..1000 {
            assert_eq!(merge(&mut merged, &part, 0, &ALL), 6);
        }
        assert_eq!(merged.bytes(), bytes);
        let mut samples = merged.profile.samples();
        let (key, totals) = samples.next().unwrap();
        assert!(samples.next().is_none());
        assert_eq!((totals.weight, totals.value), (6 * 1001, 60 * 1001));
        let process = &merged.profile[key.process];
        assert_eq!(&merged.profile[process.name], "web");
        assert_eq!(process.attributes.len(), 1);
    }

    #[test]
    fn other_names_attributes_and_origins_are_other_processes() {
        let mut merged = Merged::new(false, 0);
        for (name, version, origin) in [("web", 1, 0), ("web", 2, 0), ("db", 1, 0), ("web", 1, 1)] {
            for _ in 0..2 {
                merge(&mut merged, &profile(name, version, &[1]), origin, &ALL);
            }
        }
        assert_eq!(merged.profile.processes().len(), 4);
        assert_eq!(merged.profile.samples().len(), 4);
    }

    #[test]
    fn the_window_cuts_between_samples() {
        let mut merged = Merged::new(true, 100);
        let part = profile("web", 1, &[10, 19, 20, 29, 30]);
        assert_eq!(merge(&mut merged, &part, 0, &(19..30)), 6);
        assert_eq!(merge(&mut merged, &part, 0, &(31..90)), 0);
        let (_, totals) = merged.profile.samples().next().unwrap();
        let times: Vec<u64> = totals.moments.iter().map(|moment| moment.time).collect();
        assert_eq!(times, [19, 20, 29]);
        assert_eq!((totals.weight, totals.value), (6, 60));
    }

    #[test]
    fn too_many_times_become_sums() {
        let mut merged = Merged::new(true, 4);
        let part = profile("web", 1, &[1, 2, 3]);
        merge(&mut merged, &part, 0, &ALL);
        assert!(merged.profile.keeps_times());
        merge(&mut merged, &part, 0, &ALL);
        assert!(!merged.profile.keeps_times());
        let (_, totals) = merged.profile.samples().next().unwrap();
        assert_eq!(totals.weight, 12);
    }
}
