//! Working memory of one sample on one CPU: what the stages hand on to each other, and the
//! records under construction. Nothing here outlives a sample but the caches that say so.

use agent_common::code::LINETABLE_BYTES;
use agent_common::executable::{Executable, FileId};
use agent_common::process::ProcessId;
use agent_common::record::{Code, DEFERRED_BYTES, Deferred, Lines, Sample, Stack};
use agent_common::stack::{
    KERNEL_FRAMES, NATIVE_FRAMES, NativeFrame, PYTHON_ENTRIES, PythonEntry, StackHash,
};
use agent_common::step::Frame;

use aya_ebpf::helpers::bpf_get_smp_processor_id;

use crate::maps::SCRATCH;

/// Bytes of target memory read ahead at a time: one page.
pub const WINDOW: usize = 4096;

/// Mappings that a walk keeps at hand; stacks go to and fro between few files.
pub const MAPPINGS: usize = 8;

/// A mapping of the current process, found in its address space.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Mapping {
    pub start: u64,
    pub end: u64,
    /// file offset = avma + `delta` (wrapping)
    pub delta: u64,
    pub executable: Executable,
    /// Its file's inode, and that one's change time; 0: no file.
    pub inode: u64,
    pub change_seconds: u64,
    pub change_nanoseconds: u32,
    /// Sample in which it was read or found unchanged.
    pub checked: u32,
}

/// Of which state of which address space the mappings at hand are. They outlive a sample: reading
/// one costs half a microsecond.
#[repr(C)]
pub struct SpaceKey {
    /// 0: they are of this sample only.
    pub mm: u64,
    pub process: ProcessId,
    pub sequence: u32,
    pub generation: u32,
}

/// A rule that was found: rows are searched once a place and table, not once a frame.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct KnownRule {
    pub offset: u32,
    pub executable: u32,
    pub generation: u32,
    pub rule: u32,
}

/// A code object that was read in this sample. It stays the same while its frame is on the stack.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct KnownCode {
    pub code: u64,
    pub signature: u64,
    /// The sample; another one's is worth nothing.
    pub serial: u32,
    pub padding: u32,
}

/// Slots for code objects: recursion, and decorators that are used again and again.
pub const KNOWN_CODES: usize = 64;

/// Slots for rules: 64 KiB a CPU.
pub const KNOWN_RULES: usize = 4096;

/// A piece of the target's memory.
#[repr(C)]
pub struct Window {
    pub base: u64,
    pub len: u64,
    pub words: [u64; WINDOW / 8],
}

/// A piece of the interpreter's chunk of frames, and behind it one frame from elsewhere (entry
/// frames lie on the C stack, generators' frames in their objects).
#[repr(C)]
pub struct FrameWindow {
    pub base: u64,
    pub len: u64,
    /// Address of the last frame that was read alone.
    pub alone: u64,
    pub words: [u64; FRAME_WORDS],
}

pub const FRAME_WORDS: usize = 1024;

/// State of the Python walk.
#[repr(C)]
pub struct Python {
    /// avma where the interpreter's file offset 0 would be; `runtime` counts from it.
    pub base: u64,
    /// avma of `_PyRuntime`, if known otherwise; else 0.
    pub runtime: u64,
    /// Index + 1 in `PYTHONS`; 0: no interpreter met.
    pub index: u32,
    pub started: u32,
    /// avma of the thread state.
    pub state: u64,
    /// Next frame, next `CFrame`, anchor that waits for its native frame.
    pub frame: u64,
    pub cframe: u64,
    pub anchor: u64,
    /// Native frame of the last anchor, and the one that is looked at for the next.
    pub cursor: u32,
    pub probe: u32,
    /// 1: an anchor lay beyond the native frames that were walked.
    pub beyond: u32,
    pub count: u32,
    /// Mix of all code objects met.
    pub codes: u64,
}

#[repr(C)]
pub struct KernelSection {
    pub header: Stack,
    pub frames: [u64; KERNEL_FRAMES + 1],
}

#[repr(C)]
pub struct NativeSection {
    pub header: Stack,
    pub frames: [NativeFrame; NATIVE_FRAMES],
}

#[repr(C)]
pub struct PythonSection {
    pub header: Stack,
    pub frames: [PythonEntry; PYTHON_ENTRIES],
}

#[repr(C)]
pub struct DeferredRecord {
    pub head: Deferred,
    pub stack: [u8; DEFERRED_BYTES],
}

#[repr(C)]
pub struct LinesRecord {
    pub head: Lines,
    pub bytes: [u8; LINETABLE_BYTES],
}

/// 256 bytes of the kernel's memory and two words of working room.
pub type Node = [u64; 34];

/// A mapping of a file.
#[repr(C)]
pub struct Unknown {
    /// Where the identity of a mapping's file is read to.
    pub id: FileId,
    /// The one to be announced.
    pub announced: FileId,
    pub start: u64,
    pub end: u64,
    pub offset: u64,
    /// Address of the `struct file`.
    pub file: u64,
}

#[repr(C)]
pub struct Scratch {
    pub sample: Sample,
    pub hash: StackHash,
    pub mm: u64,
    pub thread_pointer: u64,
    pub frame: Frame,
    /// User registers as the kernel saved them (`struct pt_regs`).
    pub registers: [u64; 36],
    /// Counts samples.
    pub serial: u32,
    /// Generation of what executables' entries say.
    pub generation: u32,
    /// Mappings at hand, the next place for one, and the one in use.
    pub space: SpaceKey,
    pub mappings: [Mapping; MAPPINGS],
    pub next_mapping: u32,
    pub mapping: u32,
    pub python: Python,
    pub stack: Window,
    pub frames: FrameWindow,
    /// A node of the address space's tree, then a `vm_area_struct`.
    pub node: Node,
    /// A thread state, a code object, a string's head.
    pub object: [u64; 36],
    /// Stack pointer of each native frame's caller.
    pub cfa: [u64; NATIVE_FRAMES],
    /// The file of the last mapping that was read, and whether the agent is to hear of it: it is
    /// not described yet, or its interpreter is not.
    pub unknown: Unknown,
    pub announce: u32,
    /// Stages entered for this sample.
    pub stages: u32,
    /// 1: an interpreter without offsets was met.
    pub python_pending: u32,
    /// 1: the current frame was reached by its callee's frame pointer.
    pub by_pointer: u32,
    /// Where the stage of code objects begins among the entries, how many it has looked at, and
    /// whether one failed so far.
    pub code_first: u32,
    pub code_next: u32,
    pub code_failed: u32,
    pub rules: [KnownRule; KNOWN_RULES],
    pub codes: [KnownCode; KNOWN_CODES],
    pub kernel_section: KernelSection,
    pub native_section: NativeSection,
    pub python_section: PythonSection,
    pub code: Code,
    pub lines: LinesRecord,
    pub deferred: DeferredRecord,
}

/// This CPU's working memory.
#[inline(always)]
pub fn scratch() -> Option<&'static mut Scratch> {
    // SAFETY: the helper has no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let pointer = SCRATCH.get_ptr_mut(cpu)?;
    // SAFETY: one entry a CPU, and the programs that use it don't nest on a CPU.
    Some(unsafe { &mut *pointer })
}
