//! What a stack is made of: frames, their functions, and the files that hold the code.

use agent_common::executable::FileId;

use super::index::{ExecutableId, FunctionId, StringId};

/// What kind of code a frame executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrameKind {
    Kernel,
    /// Compiled code of a file or the vDSO: C, C++, Rust, …
    Native,
    Python,
    /// Code that the process itself made, named by its perf map if at all.
    Jit,
    /// No code: says something about the stack, e.g. why it was cut there.
    Marker,
}

/// One activation of a function. Two frames are the same if all of this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    pub kind: FrameKind,
    /// None: nobody knows a name for it.
    pub function: Option<FunctionId>,
    /// The line that was executing, or that called the next inner frame.
    pub line: Option<u32>,
    pub executable: Option<ExecutableId>,
    /// Place in the executable's own view; kernel and JIT code: the address; Python: 0.
    pub svma: u64,
    /// Has no activation of its own: the compiler put it into the next outer frame, which has the
    /// same executable and svma.
    pub inlined: bool,
}

impl Frame {
    /// A marker with this text.
    pub fn marker(text: FunctionId) -> Self {
        Self {
            kind: FrameKind::Marker,
            function: Some(text),
            line: None,
            executable: None,
            svma: 0,
            inlined: false,
        }
    }
}

/// A function by its names and where it is written. Unknown texts are [`StringId::EMPTY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Function {
    /// As people write it: demangled, or Python's qualified name.
    pub name: StringId,
    /// As the symbol table has it; equal to `name` where there is no difference.
    pub system_name: StringId,
    pub file: StringId,
    pub first_line: Option<u32>,
}

/// A file, or something that stands for one such as `[vdso]` or a kernel module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Executable {
    /// As the process sees it.
    pub path: StringId,
    /// Hex digits of the GNU build id.
    pub build_id: StringId,
    /// Hex digits of the hash of its head, tail and length, by which OpenTelemetry knows files.
    pub htlhash: StringId,
    /// Zero for what is not a file.
    pub file: FileId,
}
