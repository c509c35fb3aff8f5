//! Records in the ring buffer. Each begins with a [`Header`]; a reader skips kinds that it does
//! not know by their size, and bytes behind a record that it does know.

use crate::code::Text;
use crate::executable::FileId;
use crate::process::ProcessId;
use crate::stack::StackShape;

/// Version of the layouts below.
pub const VERSION: u16 = 1;

/// Kinds of records.
pub mod kind {
    pub const SAMPLE: u16 = 1;
    pub const STACK: u16 = 2;
    pub const CODE: u16 = 3;
    pub const LINES: u16 = 4;
    pub const THREAD: u16 = 5;
    pub const EXECUTABLE: u16 = 6;
    pub const DEFERRED: u16 = 7;
    /// Kernel section of the deferred sample that follows; laid out like `STACK`.
    pub const DEFERRED_KERNEL: u16 = 8;
}

/// Start of every record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Header {
    /// One of [`kind`].
    pub kind: u16,
    pub version: u16,
    /// Bytes of the record, header included.
    pub size: u32,
}

/// One sample. What is aggregated is its stack, context, process, thread, CPU and event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Sample {
    pub header: Header,
    /// `CLOCK_MONOTONIC`, ns.
    pub time: u64,
    /// Hash of the stack; its body comes as [`Stack`] records while it is new. 0: deferred.
    pub stack: u64,
    /// Id of the context record; 0: none.
    pub context: u64,
    pub process: ProcessId,
    pub thread: u32,
    pub cpu: u32,
    /// ns for clock and waiting events, else a count.
    pub value: u64,
    /// How many such samples this one stands for.
    pub weight: u32,
    /// Event id.
    pub event: u32,
    pub shape: StackShape,
}

/// Sections of a stack's body.
pub mod section {
    pub const KERNEL: u16 = 0;
    pub const NATIVE: u16 = 1;
    pub const PYTHON: u16 = 2;
}

/// A run of frames of one section of a stack; the frames follow it. A stack is complete when each
/// section has as many frames as `shape` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Stack {
    pub header: Header,
    pub stack: u64,
    pub process: ProcessId,
    pub shape: StackShape,
    /// One of [`section`].
    pub section: u16,
    /// Number of the first frame that follows.
    pub first: u16,
    /// How many follow.
    pub count: u16,
    pub padding: u16,
}

/// Names of a Python code object.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Code {
    pub header: Header,
    pub process: ProcessId,
    pub code: u64,
    pub signature: u64,
    /// Address of the line table object, for tables that did not fit.
    pub linetable: u64,
    /// Index in `PYTHONS`.
    pub python: u32,
    pub first_line: i32,
    pub name: Text,
    pub file: Text,
}

/// Line table of a Python code object; its bytes follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Lines {
    pub header: Header,
    pub process: ProcessId,
    pub code: u64,
    pub signature: u64,
    /// Size of the whole table.
    pub size: u64,
    /// Bytes that follow.
    pub stored: u32,
    pub padding: u32,
}

/// A thread seen for the first time, with its own name and its process's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Thread {
    pub header: Header,
    pub process: ProcessId,
    pub thread: u32,
    /// Levels from its process's cgroup to the root, both counted. 0: they are not known.
    pub cgroup_levels: u32,
    pub name: [u8; 16],
    pub process_name: [u8; 16],
    /// Its process's cgroup and those above it, the innermost first, in the one hierarchy that the
    /// kernel side looks at. They tell the container of a process that is gone.
    pub cgroups: [CgroupName; CGROUP_NAMES],
}

/// Levels of cgroups whose names are told: a container's, its pod's, the pod's class and that of all
/// pods.
pub const CGROUP_NAMES: usize = 4;

/// The last part of a cgroup's path, ended by a zero. The longest ones of containers have 84 bytes
/// (`cri-containerd-<64 digits>.scope`); a longer one is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct CgroupName {
    pub text: [u8; 96],
}

impl Default for CgroupName {
    fn default() -> Self {
        Self { text: [0; 96] }
    }
}

/// A mapped file that the kernel side has no rows for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Announcement {
    pub header: Header,
    pub process: ProcessId,
    pub file: FileId,
    /// The mapping's avma range and file offset.
    pub start: u64,
    pub end: u64,
    pub offset: u64,
    /// Last part of the file's path.
    pub name: [u8; 64],
}

/// Bytes of user stack that travel with a deferred sample.
pub const DEFERRED_BYTES: usize = 65_536;

/// A sample whose native stack the agent is to unwind: registers and a slice of the user stack
/// from the stack pointer up, which follow. Its kernel section, if it has one, came just before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Deferred {
    pub sample: Sample,
    pub pc: u64,
    pub sp: u64,
    pub fp: u64,
    /// Bytes of stack that follow.
    pub stored: u32,
    pub padding: u32,
    /// The kernel's `struct pt_regs` (21 words on x86_64, 34 on arm64).
    pub registers: [u64; 36],
}
