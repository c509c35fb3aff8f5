//! A made-up profile for the tests of all formats.

use agent_common::process::ProcessId;

use crate::profile::{
    ContextId, Event, Executable, Frame, FrameKind, Function, Measurement, Period, ProcessIndex,
    Profile, SampleKey, Span, StringId, ThreadIndex, ValueType,
};

use FrameKind::{Jit, Kernel, Marker, Native, Python};

/// A frame: kind, name (`lib+svma` by an empty one), file, line.
type Made = (FrameKind, &'static str, &'static str, u32);

struct Maker {
    profile: Profile,
}

impl Maker {
    fn new() -> Self {
        let mut profile = Profile::new();
        profile.span = Span {
            start: 1_000_000_000,
            end: 31_000_000_000,
        };
        Self { profile }
    }

    fn frame(&mut self, (kind, name, file, line): Made) -> Frame {
        let profile = &mut self.profile;
        let function = Function {
            name: profile.string(name.trim_start_matches('~')),
            system_name: profile.string(name),
            file: profile.string(file),
            first_line: None,
        };
        let (path, svma) = match kind {
            Native => ("/usr/lib/x86_64-linux-gnu/libz.so.1.2.13", 0x4ad0),
            Kernel => ("[kernel]", 0xffff_ffff_8100_0010),
            Jit => ("[anon]", 0x7f12_3456_7000),
            Python | Marker => ("", 0),
        };
        let named = !path.is_empty();
        let path = profile.string(path);
        let executable = Executable {
            path,
            build_id: StringId::EMPTY,
            htlhash: StringId::EMPTY,
            file: Default::default(),
        };
        Frame {
            kind,
            function: (!name.is_empty()).then(|| profile.function(function)),
            line: (line != 0).then_some(line),
            executable: named.then(|| profile.executable(executable)),
            svma,
            inlined: name.starts_with('~'),
        }
    }

    fn process(&mut self, pid: u32, name: &str) -> ProcessIndex {
        let id = ProcessId {
            pid,
            exec: 1,
            start: 7,
        };
        let process = self.profile.process(id);
        self.profile.process_mut(process).name = self.profile.string(name);
        process
    }

    fn thread(&mut self, process: ProcessIndex, tid: u32, name: &str) -> ThreadIndex {
        let thread = self.profile.thread(process, tid);
        self.profile.thread_mut(thread).name = self.profile.string(name);
        thread
    }

    /// Counts a stack, given from its root on.
    fn add(&mut self, thread: ThreadIndex, stack: &[Made], weight: u32) {
        self.add_at(0, thread, stack, weight);
    }

    fn add_at(&mut self, time: u64, thread: ThreadIndex, stack: &[Made], weight: u32) {
        self.add_of(10_101_010, time, thread, stack, weight);
    }

    /// Each of which stands for so many ns.
    fn add_of(&mut self, period: u64, time: u64, thread: ThreadIndex, stack: &[Made], weight: u32) {
        let frames: Vec<Frame> = stack.iter().rev().map(|made| self.frame(*made)).collect();
        let profile = &mut self.profile;
        let frames: Vec<_> = frames
            .into_iter()
            .map(|frame| profile.frame(frame))
            .collect();
        let value = ValueType {
            name: profile.string("cpu"),
            unit: profile.string("nanoseconds"),
        };
        let event = Event {
            name: profile.string("cpu-clock"),
            value,
            period: Some(Period {
                of: value,
                amount: period,
            }),
        };
        let key = SampleKey {
            stack: profile.stack(&frames),
            context: ContextId::NONE,
            process: profile[thread].process,
            thread,
            cpu: 0,
            event: profile.event(event),
        };
        let measured = Measurement {
            time,
            value: period,
            weight,
        };
        profile.add(key, measured);
    }
}

/// Stacks of native functions by name, from the root on.
pub fn stacks(stacks: &[(&[&'static str], u32)]) -> Profile {
    let mut maker = Maker::new();
    let process = maker.process(1, "test");
    let thread = maker.thread(process, 1, "test");
    for (names, weight) in stacks {
        let stack: Vec<Made> = names.iter().map(|name| (Native, *name, "", 0)).collect();
        maker.add(thread, &stack, *weight);
    }
    maker.profile
}

/// Functions by number, each with the period and number of its samples.
pub fn at_rates(samples: &[(u64, u32)]) -> Profile {
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    let mut maker = Maker::new();
    for (number, (period, weight)) in (0..).zip(samples) {
        let process = maker.process(number, "test");
        let thread = maker.thread(process, number, "test");
        let name = NAMES[number as usize % NAMES.len()];
        maker.add_of(*period, 0, thread, &[(Native, name, "", 0)], *weight);
    }
    maker.profile
}

/// Two functions that took turns, with the times of their samples.
pub fn timed() -> Profile {
    let mut maker = Maker::new();
    let span = maker.profile.span;
    maker.profile = Profile::with_times();
    maker.profile.span = span;
    let process = maker.process(1, "test");
    let thread = maker.thread(process, 1, "test");
    for (time, name) in [(3, "b"), (1, "b"), (2, "a"), (4, "b")] {
        maker.add_at(time * 1_000_000_000, thread, &[(Native, name, "", 0)], 1);
    }
    maker.profile
}

/// Copies the samples of a profile into another one, whose files may differ: one record a sample,
/// spread over the time that it covers.
pub fn copy(from: &Profile, to: &mut Profile, identify: impl Fn(&mut Profile, &mut Executable)) {
    let mut samples: Vec<_> = from.samples().collect();
    samples.sort_by_key(|(key, _)| **key);
    for (key, totals) in samples {
        let frames: Vec<_> = from.frames_of(key.stack).to_vec();
        let frames: Vec<_> = frames
            .iter()
            .map(|id| {
                let frame = from[*id];
                let function = frame.function.map(|function| {
                    let function = from[function];
                    let function = Function {
                        name: to.string(&from[function.name]),
                        system_name: to.string(&from[function.system_name]),
                        file: to.string(&from[function.file]),
                        ..function
                    };
                    to.function(function)
                });
                let executable = frame.executable.map(|executable| {
                    let mut executable = from[executable];
                    executable.path = to.string(&from[executable.path]);
                    identify(to, &mut executable);
                    to.executable(executable)
                });
                to.frame(Frame {
                    function,
                    executable,
                    ..frame
                })
            })
            .collect();
        let (process, thread, event) = (&from[key.process], &from[key.thread], &from[key.event]);
        let name = to.string(&from[process.name]);
        let process = to.process(process.id);
        to.process_mut(process).name = name;
        let name = to.string(&from[thread.name]);
        let thread = to.thread(process, thread.tid);
        to.thread_mut(thread).name = name;
        let value = ValueType {
            name: to.string(&from[event.value.name]),
            unit: to.string(&from[event.value.unit]),
        };
        let event = Event {
            name: to.string(&from[event.name]),
            value,
            period: event.period.map(|period| Period {
                of: value,
                ..period
            }),
        };
        let key = SampleKey {
            stack: to.stack(&frames),
            process,
            thread,
            event: to.event(event),
            ..*key
        };
        for sample in 0..totals.weight {
            let measured = Measurement {
                time: to.span.start + sample,
                value: totals.value / totals.weight,
                weight: 1,
            };
            to.add(key, measured);
        }
    }
}

/// A Python server with native and kernel work, and a C++ program.
pub fn profile() -> Profile {
    let mut maker = Maker::new();
    let server = maker.process(4211, "python3");
    let main = maker.thread(server, 4211, "python3");
    let worker = maker.thread(server, 4217, "worker-1");
    let root = [(Native, "_start", "", 0), (Native, "main", "", 0)];
    let app: [Made; 3] = [
        (Python, "<module>", "/srv/app/server.py", 140),
        (Python, "serve", "/srv/app/server.py", 120),
        (Python, "handle", "/srv/app/server.py", 88),
    ];
    let encode: [Made; 2] = [
        (
            Python,
            "Encoder.encode",
            "/usr/lib/python3.11/json/encoder.py",
            200,
        ),
        (Native, "PyObject_Call", "", 0),
    ];
    let syscall = [
        (Kernel, "entry_SYSCALL_64_after_hwframe", "", 0),
        (Kernel, "do_syscall_64", "", 0),
    ];
    let at = |stacks: &[&[Made]]| stacks.concat();
    let escape = [(Native, "py_encode_basestring_ascii", "Modules/_json.c", 140)];
    let inlined = [
        (Native, "ascii_escape_unicode", "Modules/_json.c", 160),
        (Native, "~inlined_helper", "Modules/_json.c", 66),
    ];
    maker.add(main, &at(&[&root, &app, &encode, &escape]), 300);
    maker.add(main, &at(&[&root, &app, &encode, &inlined]), 420);
    let query: [Made; 3] = [
        (Python, "handle", "/srv/app/server.py", 91),
        (Python, "Store.query.<locals>.rows", "/srv/app/store.py", 33),
        (Native, "sqlite3_step", "", 0),
    ];
    maker.add(main, &at(&[&root, &app[..2], &query]), 350);
    let read = [(Native, "__libc_pread64", "", 0)];
    let kernel = [
        (Kernel, "ksys_pread64", "", 0),
        (Kernel, "ext4_file_read_iter", "", 0),
    ];
    let copy = [
        (Kernel, "copy_page_to_iter", "", 0),
        (Kernel, "rep_movs_alternative", "", 0),
    ];
    maker.add(
        main,
        &at(&[&root, &app[..2], &query, &read, &syscall, &kernel]),
        60,
    );
    maker.add(
        main,
        &at(&[&root, &app[..2], &query, &read, &syscall, &kernel, &copy]),
        240,
    );
    maker.add(
        main,
        &at(&[&root, &app[..2], &[(Python, "log", "/srv/app/log.py", 9)]]),
        45,
    );
    maker.add(
        main,
        &at(&[&root, &app, &[(Jit, "py::trampoline", "", 0)]]),
        90,
    );

    let start = [(Native, "clone3", "", 0), (Native, "start_thread", "", 0)];
    let run: [Made; 2] = [
        (
            Python,
            "Thread._bootstrap",
            "/usr/lib/python3.11/threading.py",
            995,
        ),
        (Python, "compress", "/srv/app/jobs.py", 51),
    ];
    let deflate = [(Native, "deflate", "", 0), (Native, "deflate_slow", "", 0)];
    maker.add(worker, &at(&[&start, &run, &deflate]), 150);
    let longest = [(Native, "longest_match", "", 0)];
    maker.add(worker, &at(&[&start, &run, &deflate, &longest]), 370);
    let cut = [(Marker, "[cut: no_row]", "", 0), (Native, "", "", 0)];
    maker.add(worker, &cut, 40);

    let other = maker.process(977, "indexer");
    let thread = maker.thread(other, 977, "indexer");
    let index = [(
        Native,
        "search::Index::build(std::vector<Document> const&)",
        "",
        0,
    )];
    let sort = [(
        Native,
        "void std::__introsort_loop<__gnu_cxx::__normal_iterator<Posting*, std::vector<Posting> > >",
        "",
        0,
    )];
    let less = [(Native, "Posting::operator<(Posting const&) const", "", 0)];
    maker.add(thread, &at(&[&root, &index, &sort]), 310);
    maker.add(thread, &at(&[&root, &index, &sort, &less]), 220);
    let fault = [
        (Kernel, "asm_exc_page_fault", "", 0),
        (Kernel, "handle_mm_fault", "", 0),
        (Kernel, "clear_page_erms", "", 0),
    ];
    maker.add(thread, &at(&[&root, &index, &fault]), 310);
    maker.profile
}
