//! Why a stack ends where it ends.

/// End of the native walk. Only [`NativeEnd::Root`] and [`NativeEnd::KernelThread`] are whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum NativeEnd {
    /// Not walked.
    None = 0,
    /// Reached a return address that its rows call undefined, or a known start of a thread.
    Root = 1,
    /// No user stack: a kernel thread.
    KernelThread = 2,
    /// The code belongs to a file that the agent has not described yet.
    UnknownExecutable = 3,
    /// No row for the address and no valid frame pointer.
    NoRow = 4,
    /// A row that this walker cannot follow (a DWARF expression).
    UnsupportedRule = 5,
    /// A page of the stack was not readable in interrupt context.
    StackUnreadable = 6,
    /// The return address is not in executable memory.
    NotExecutable = 7,
    /// The frame pointer chain ended (zero frame pointer).
    FramePointerEnd = 8,
    /// The frame pointer did not point at a frame.
    FramePointerInvalid = 9,
    /// Depth limit reached.
    TooDeep = 10,
    /// The rows led below the current frame.
    Backwards = 11,
    /// A 32-bit process: its native stack is not walked.
    ThirtyTwoBit = 12,
    /// The agent could not unwind the deferred sample: the process was gone.
    ProcessGone = 13,
    /// The next stage could not be entered (limit of tail calls).
    StageLimit = 14,
}

impl NativeEnd {
    pub const ALL: [Self; 15] = [
        Self::None,
        Self::Root,
        Self::KernelThread,
        Self::UnknownExecutable,
        Self::NoRow,
        Self::UnsupportedRule,
        Self::StackUnreadable,
        Self::NotExecutable,
        Self::FramePointerEnd,
        Self::FramePointerInvalid,
        Self::TooDeep,
        Self::Backwards,
        Self::ThirtyTwoBit,
        Self::ProcessGone,
        Self::StageLimit,
    ];

    pub fn from_u8(value: u8) -> Option<Self> {
        Self::ALL.get(value as usize).copied()
    }

    /// Whether the stack is known to its root.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Root | Self::KernelThread)
    }

    /// Stable name in statistics.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "not_walked",
            Self::Root => "root",
            Self::KernelThread => "kernel_thread",
            Self::UnknownExecutable => "unknown_executable",
            Self::NoRow => "no_row",
            Self::UnsupportedRule => "unsupported_rule",
            Self::StackUnreadable => "stack_unreadable",
            Self::NotExecutable => "not_executable",
            Self::FramePointerEnd => "frame_pointer_end",
            Self::FramePointerInvalid => "frame_pointer_invalid",
            Self::TooDeep => "too_deep",
            Self::Backwards => "backwards",
            Self::ThirtyTwoBit => "thirty_two_bit",
            Self::ProcessGone => "process_gone",
            Self::StageLimit => "stage_limit",
        }
    }
}

/// End of the Python walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum PythonEnd {
    /// No interpreter known in this process.
    None = 0,
    /// The chain was followed to its end.
    Root = 1,
    /// The thread has no Python thread state.
    NoThreadState = 2,
    /// Memory of the interpreter was not readable in interrupt context.
    Unreadable = 3,
    /// Depth limit reached.
    TooDeep = 4,
    /// A pointer in the chain was not what it should be.
    BadChain = 5,
    /// The next stage could not be entered (limit of tail calls).
    StageLimit = 6,
    /// The process runs an interpreter whose offsets are not validated yet.
    NotReady = 7,
}

impl PythonEnd {
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::Root,
        Self::NoThreadState,
        Self::Unreadable,
        Self::TooDeep,
        Self::BadChain,
        Self::StageLimit,
        Self::NotReady,
    ];

    pub fn from_u8(value: u8) -> Option<Self> {
        Self::ALL.get(value as usize).copied()
    }

    /// Whether nothing of the Python stack is missing.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::None | Self::Root | Self::NoThreadState)
    }

    /// Stable name in statistics.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Root => "root",
            Self::NoThreadState => "no_thread_state",
            Self::Unreadable => "unreadable",
            Self::TooDeep => "too_deep",
            Self::BadChain => "bad_chain",
            Self::StageLimit => "stage_limit",
            Self::NotReady => "not_ready",
        }
    }
}
