//! Samples that came before the rows of their code, unwound here as soon as those are there.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use agent_common::cut::{NativeEnd, PythonEnd};
use agent_common::executable::FileId;
use agent_common::process::ProcessId;
use agent_common::record::{Deferred, Sample};
use agent_common::stack::{NativeFrame, StackShape};
use agent_common::step::Frame;

use super::executables::Executables;
use super::loader::Loader;
use super::space::{Mapped, Snapshot};
use super::stacks::Body;
use crate::bpf::table::Table;
use crate::process::ProcessHandle;
use crate::process::file_id::Wanted;
use crate::unwind::{Machine, StackSlice, walk};

/// Most samples that wait.
const WAITING: usize = 512;
/// Most mappings of their processes that are kept.
const MAPPINGS: usize = 1 << 16;
/// Most identities of mappings that are kept for samples to come.
const ANNOUNCED: usize = 1 << 16;
/// Most kernel stacks whose samples have not come. Each CPU has one on its way; others were lost.
const KERNEL: usize = 1024;
/// Time to read files after which a sample is given up.
const PATIENCE: Duration = Duration::from_secs(10);
const NATIVE_LIMIT: usize = agent_common::stack::NATIVE_FRAMES;

struct Waiting {
    record: Box<Deferred>,
    stack: Vec<u8>,
    kernel: Vec<u64>,
    since: Instant,
}

/// A sample that is done, with its stack.
pub struct Unwound {
    pub sample: Sample,
    pub body: Body,
}

/// The queue.
pub struct DeferredSamples {
    waiting: VecDeque<Waiting>,
    /// Of their stacks (up to 64 KiB each), and most of these.
    bytes: usize,
    most: usize,
    kernel: HashMap<u64, Vec<u64>>,
    snapshots: HashMap<ProcessId, Option<Snapshot>>,
    announced: HashMap<(ProcessId, u64), FileId>,
}

impl DeferredSamples {
    /// `most`: bytes of stacks that may wait.
    pub fn new(most: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            bytes: 0,
            most,
            kernel: HashMap::new(),
            snapshots: HashMap::new(),
            announced: HashMap::new(),
        }
    }

    /// The kernel frames of the sample that comes next.
    pub fn add_kernel(&mut self, stack: u64, frames: Vec<u64>) {
        if self.kernel.len() >= KERNEL {
            self.kernel.clear();
        }
        self.kernel.insert(stack, frames);
    }

    /// Under which the kernel side knows the file of a mapping.
    pub fn announced(&mut self, process: ProcessId, start: u64, key: FileId) {
        // Samples need not follow; then nothing else empties it.
        if self.announced.len() >= ANNOUNCED {
            self.announced.clear();
        }
        self.announced.insert((process, start), key);
    }

    /// Takes a sample in. Its process's mappings are looked at and their files opened now, while
    /// it is there.
    pub fn add(
        &mut self,
        record: Box<Deferred>,
        stack: &[u8],
        executables: &Executables,
        loader: &mut Loader,
        done: &mut Vec<Unwound>,
    ) {
        self.look(record.sample.process, executables, loader);
        let kernel = self.kernel.remove(&record.sample.stack).unwrap_or_default();
        self.bytes += stack.len();
        while (self.waiting.len() >= WAITING || self.bytes > self.most)
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.bytes -= oldest.stack.len();
            done.push(give_up(oldest, NativeEnd::UnknownExecutable));
        }
        self.waiting.push_back(Waiting {
            record,
            stack: stack.to_vec(),
            kernel,
            since: Instant::now(),
        });
    }

    /// Looks at a process's mappings, unless that was done.
    fn look(&mut self, process: ProcessId, executables: &Executables, loader: &mut Loader) {
        if self.snapshots.contains_key(&process) {
            return;
        }
        let mappings = self.snapshots.values().flatten().map(Snapshot::mappings);
        if mappings.sum::<usize>() > MAPPINGS {
            // Their samples wait in vain, which is counted as any other.
            self.snapshots.clear();
        }
        let snapshot = ProcessHandle::open_same(&process).ok().and_then(|handle| {
            let snapshot = Snapshot::take(&handle)?;
            for file in snapshot.files() {
                let wanted = Wanted::Listed {
                    device: file.device,
                    inode: file.inode,
                };
                let known = |key: &FileId| executables.has(key);
                if !executables.has_inode(file.device, file.inode)
                    && let Err(error) = loader.ask(
                        &handle,
                        file.avma,
                        &wanted,
                        Some(file.path.to_owned()),
                        known,
                    )
                {
                    tracing::debug!(%error, "file not opened");
                }
            }
            Some(snapshot)
        });
        self.snapshots.insert(process, snapshot);
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Tries all that wait; with `last` what still can't be unwound is given up.
    pub fn attempt(
        &mut self,
        executables: &Executables,
        table: &Table,
        loader: &mut Loader,
        last: bool,
    ) -> Vec<Unwound> {
        let mut done = Vec::new();
        for waiting in std::mem::take(&mut self.waiting) {
            match self.try_one(&waiting, executables, table, loader) {
                Some((native, end)) => {
                    let mut shape = shape_of(&waiting, end);
                    shape.native = native.len() as u16;
                    let holds_python = |frame: &NativeFrame| {
                        executables
                            .get(frame.executable)
                            .is_some_and(|known| known.python.is_some())
                    };
                    if native.iter().any(holds_python) {
                        // Whose frames nobody read while they were there.
                        shape.python_end = PythonEnd::NotReady as u8;
                    }
                    let body = Body {
                        shape,
                        kernel: waiting.kernel,
                        native,
                        python: Vec::new(),
                    };
                    done.push(Unwound {
                        sample: waiting.record.sample,
                        body,
                    });
                }
                None if last || waiting.since.elapsed() > PATIENCE => {
                    let gone = matches!(
                        self.snapshots.get(&waiting.record.sample.process),
                        Some(None) | None
                    );
                    let end = if gone {
                        NativeEnd::ProcessGone
                    } else {
                        NativeEnd::UnknownExecutable
                    };
                    done.push(give_up(waiting, end));
                }
                None => self.waiting.push_back(waiting),
            }
        }
        self.bytes = self.waiting.iter().map(|it| it.stack.len()).sum();
        if self.waiting.is_empty() {
            self.snapshots.clear();
            self.announced.clear();
            self.kernel.clear();
        } else if self.snapshots.len() > WAITING {
            // Where new samples always come before the last one is done.
            let processes = self.waiting.iter();
            let needed: HashSet<_> = processes.map(|it| it.record.sample.process).collect();
            self.snapshots.retain(|process, _| needed.contains(process));
        }
        done
    }

    fn try_one(
        &mut self,
        waiting: &Waiting,
        executables: &Executables,
        table: &Table,
        loader: &mut Loader,
    ) -> Option<(Vec<NativeFrame>, NativeEnd)> {
        let record = &waiting.record;
        let process = record.sample.process;
        for retry in 0..2 {
            let snapshot = self.snapshots.get(&process)?.as_ref()?;
            let mut space = Mapped {
                process,
                snapshot,
                executables,
                table,
                announced: &self.announced,
                wanted: false,
            };
            let frame = Frame {
                pc: record.pc,
                sp: record.sp,
                fp: record.fp,
                called: 0,
                fp_known: 1,
            };
            let slice = StackSlice {
                base: record.sp,
                bytes: &waiting.stack,
            };
            let machine = if cfg!(target_arch = "aarch64") {
                Machine::Aarch64
            } else {
                Machine::X86_64
            };
            let walked = walk(
                machine,
                frame,
                |number| register(&record.registers, number),
                slice,
                &mut space,
                NATIVE_LIMIT,
            );
            let wanted = space.wanted;
            if wanted {
                return None;
            }
            if walked.end == NativeEnd::NotExecutable && retry == 0 {
                // Mapped since the snapshot was taken?
                let before = self.snapshots.remove(&process);
                self.look(process, executables, loader);
                if let Some(Some(_)) = self.snapshots.get(&process) {
                    continue;
                }
                if let Some(before) = before {
                    self.snapshots.insert(process, before);
                }
            }
            return Some((walked.frames, walked.end));
        }
        None
    }
}

fn shape_of(waiting: &Waiting, end: NativeEnd) -> StackShape {
    StackShape {
        kernel: waiting.kernel.len() as u16,
        native_end: end as u8,
        ..StackShape::default()
    }
}

fn give_up(waiting: Waiting, end: NativeEnd) -> Unwound {
    let shape = shape_of(&waiting, end);
    let body = Body {
        shape,
        kernel: waiting.kernel,
        native: Vec::new(),
        python: Vec::new(),
    };
    Unwound {
        sample: waiting.record.sample,
        body,
    }
}

/// A register by its DWARF number out of the kernel's `struct pt_regs`.
fn register(registers: &[u64; 36], number: u8) -> Option<u64> {
    if cfg!(target_arch = "aarch64") {
        return registers
            .get(usize::from(number))
            .copied()
            .filter(|_| number <= 31);
    }
    const PLACES: [usize; 16] = [10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0];
    registers.get(*PLACES.get(usize::from(number))?).copied()
}
