//! Frames as the kernel side sends them, and the hash over them.

use crate::hash::Hasher;
use crate::process::ProcessId;

/// Most frames of each kind that the scratch memory holds.
pub const KERNEL_FRAMES: usize = 127;
pub const NATIVE_FRAMES: usize = 1024;
pub const PYTHON_ENTRIES: usize = 2048;

/// Native frame: executable and place in its file. Never an avma, which dlclose and dlopen use
/// again; only code without a file ([`crate::executable::EXECUTABLE_ANONYMOUS`]) has nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct NativeFrame {
    /// File offset (vDSO: offset in its image; anonymous: avma) of the executing instruction, or
    /// of the last byte of the calling instruction.
    pub offset: u64,
    pub executable: u32,
    /// Bits [`FRAME_BY_POINTER`], [`FRAME_INTERRUPTED`].
    pub flags: u32,
}

/// This frame was reached by its callee's frame pointer, not by a row.
pub const FRAME_BY_POINTER: u32 = 1;
/// `offset` is an interrupted instruction: the innermost frame, or one below a signal handler.
pub const FRAME_INTERRUPTED: u32 = 2;

/// Kinds of entries in the Python section.
pub mod entry {
    /// A Python frame.
    pub const FRAME: u32 = 1;
    /// The frames since the last anchor belong to the native frame number `instruction`
    /// ([`super::ANCHOR_NOWHERE`]: to none of the walked ones).
    pub const ANCHOR: u32 = 2;
}

/// Anchor outside the native frames that were walked.
pub const ANCHOR_NOWHERE: i32 = -1;

/// Entry of the Python section, innermost first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct PythonEntry {
    /// Address of the code object.
    pub code: u64,
    /// [`crate::code::signature`] of its content.
    pub signature: u64,
    /// Byte offset of the instruction in the code; negative: not started.
    pub instruction: i32,
    /// One of [`entry`].
    pub kind: u32,
}

/// Counts that close a stack's identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct StackShape {
    pub kernel: u16,
    pub native: u16,
    pub python: u16,
    /// [`crate::python::chain`] of the interpreter; 0: none.
    pub chain: u8,
    /// [`crate::cut::NativeEnd`].
    pub native_end: u8,
    /// [`crate::cut::PythonEnd`].
    pub python_end: u8,
    /// 1: an interpreter was met, so that the stack belongs to one process.
    pub python_walked: u8,
    pub padding: [u8; 6],
}

/// Hash over a stack, built while it is walked: one running hash a section, so that the sections
/// may be filled in any order.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct StackHash {
    kernel: Hasher,
    native: Hasher,
    python: Hasher,
}

impl StackHash {
    #[inline(always)]
    pub const fn new(seed: u64) -> Self {
        Self {
            kernel: Hasher::new(seed),
            native: Hasher::new(seed ^ 0x5851_F42D_4C95_7F2D),
            python: Hasher::new(seed ^ 0x1405_7B7E_F767_814F),
        }
    }

    #[inline(always)]
    pub const fn push_kernel(&mut self, address: u64) {
        self.kernel.push(address, 0);
    }

    #[inline(always)]
    pub const fn push_native(&mut self, frame: &NativeFrame) {
        let place = (frame.flags as u64) << 32 | frame.executable as u64;
        self.native.push(frame.offset, place);
    }

    /// Code addresses mean nothing outside their process, so that is part of a Python section.
    #[inline(always)]
    pub const fn push_process(&mut self, process: &ProcessId) {
        let ids = (process.exec as u64) << 32 | process.pid as u64;
        self.python.push(process.start, ids);
    }

    #[inline(always)]
    pub const fn push_python(&mut self, entry: &PythonEntry) {
        let place = (entry.kind as u64) << 32 | entry.instruction as u32 as u64;
        self.python.push(entry.code, place);
        self.python.push(entry.signature, 0);
    }

    /// The stack's id.
    #[inline(always)]
    pub const fn finish(&self, shape: &StackShape) -> u64 {
        let mut whole = self.kernel;
        let counts = (shape.kernel as u64) << 48
            | (shape.native as u64) << 32
            | (shape.python as u64) << 16
            | (shape.chain as u64) << 8
            | shape.native_end as u64;
        let python = (shape.python_walked as u64) << 8 | shape.python_end as u64;
        whole.push(counts, python);
        whole.push(self.native.finish(), self.python.finish());
        whole.finish()
    }
}
