//! Why an interpreter cannot be walked.

use super::memory::ReadError;
use super::version::Version;

/// Why no offsets could be derived, or why those derived were not confirmed by the live process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("The interpreter has not made its first thread state yet, or is gone already.")]
    NotInitialised,
    #[error("No thread of the interpreter runs Python code now, so nothing can be checked on it.")]
    NoFrames,
    #[error("This is a free-threaded build of Python {0}, whose objects are laid out differently.")]
    FreeThreaded(Version),
    #[error("The file holds a CPython runtime, but nothing in it says of which version.")]
    UnknownVersion,
    #[error("Python {0} is not supported; Strata knows 3.8 to 3.15.")]
    UnsupportedVersion(Version),
    #[error("Python is walked on x86_64 only; this file is built for another machine.")]
    Architecture,
    #[error(
        "The file's executable segments are not mapped by one rule, so its runtime has no place relative to them."
    )]
    TextSegments,
    #[error("The interpreter's _Py_DebugOffsets are cut off or carry another version.")]
    DebugOffsets,
    #[error(
        "The interpreter says that {name} stands at byte {offset}, out of the reach of the walk."
    )]
    FieldOutOfReach { name: &'static str, offset: u64 },
    #[error("The interpreter's memory is not readable. {0}")]
    Unreadable(#[from] ReadError),
    #[error("A thread state in the interpreter's list does not point back at its interpreter.")]
    BackPointer,
    #[error("No thread state names the thread pointer of its thread.")]
    ThreadPointer,
    #[error("The chain of frames does not end, or holds what is no frame.")]
    FrameChain,
    #[error("A frame's code is not a code object.")]
    CodeType,
    #[error("A code object's name or file name is not a compact str object.")]
    TextType,
    #[error("A code object's line table or bytecode is not a bytes object.")]
    BytesType,
    #[error("A code object's first line is negative or absurdly high.")]
    FirstLine,
    #[error("A frame's instruction does not lie within its code.")]
    Instruction,
    #[error(
        "Threads keep their thread state neither under the key of autoTSSkey nor in static TLS."
    )]
    NoThreadStateRule,
    #[error(
        "Several places in thread-local storage hold the thread state; which one lasts cannot be told yet."
    )]
    AmbiguousThreadState,
}

impl Unfit {
    /// Stable name in statistics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotInitialised => "not_initialised",
            Self::NoFrames => "no_frames",
            Self::FreeThreaded(_) => "free_threaded",
            Self::UnknownVersion => "unknown_version",
            Self::UnsupportedVersion(_) => "unsupported_version",
            Self::Architecture => "architecture",
            Self::TextSegments => "text_segments",
            Self::DebugOffsets => "debug_offsets",
            Self::FieldOutOfReach { .. } => "field_out_of_reach",
            Self::Unreadable(_) => "unreadable",
            Self::BackPointer => "back_pointer",
            Self::ThreadPointer => "thread_pointer",
            Self::FrameChain => "frame_chain",
            Self::CodeType => "code_type",
            Self::TextType => "text_type",
            Self::BytesType => "bytes_type",
            Self::FirstLine => "first_line",
            Self::Instruction => "instruction",
            Self::NoThreadStateRule => "no_thread_state_rule",
            Self::AmbiguousThreadState => "ambiguous_thread_state",
        }
    }

    /// Whether it follows from the file alone: no other process of the same file will do better.
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::FreeThreaded(_)
                | Self::UnknownVersion
                | Self::UnsupportedVersion(_)
                | Self::Architecture
                | Self::TextSegments
                | Self::DebugOffsets
                | Self::FieldOutOfReach { .. }
        )
    }
}
