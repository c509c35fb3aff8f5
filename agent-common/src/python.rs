//! Where CPython keeps what the walk reads: one table per interpreter file, filled by the agent
//! and validated on a live process before its first use.

/// How the frames of a thread hang together.
pub mod chain {
    /// 3.8, 3.9: `PyThreadState.frame` and `f_back`. Every frame is one activation of the
    /// evaluation loop; the agent places it by the loop's address range.
    pub const FRAME: u8 = 1;
    /// 3.10: the same, and each activation keeps a `CFrame` in its own native frame.
    pub const FRAME_CFRAME: u8 = 2;
    /// 3.11: `cframe.current_frame`; `is_entry` ends an activation, whose `cframe` is the anchor.
    pub const CFRAME_ENTRY: u8 = 3;
    /// 3.12: `cframe.current_frame`; a frame owned by the C stack ends an activation and is its
    /// anchor.
    pub const CFRAME_SHIM: u8 = 4;
    /// 3.13 and later: `PyThreadState.current_frame`, the rest as in 3.12.
    pub const SHIM: u8 = 5;
}

/// How a thread's `PyThreadState` is found from its thread pointer (fs base on x86_64).
pub mod thread {
    /// `pthread_setspecific` block of glibc: *(tp + `thread_base` + 16 * key + 8), with
    /// `key` = the int at `runtime` + `key_offset`.
    pub const GLIBC_KEY: u8 = 1;
    /// Static TLS: *(tp + `thread_base`).
    pub const STATIC_TLS: u8 = 2;
    /// musl: *(*(tp + `thread_base`) + 8 * key), `key` as above.
    pub const MUSL_KEY: u8 = 3;
}

/// Frame owners from 3.12 on at or above this value are not Python frames but the C stack's entry
/// frames (`FRAME_OWNED_BY_CSTACK`, `FRAME_OWNED_BY_INTERPRETER`).
pub const OWNER_C: u8 = 3;

/// Value of the `PYTHONS` array. Offsets in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PythonOffsets {
    /// `_PyRuntime`, relative to where file offset 0 would be mapped by the text segment's rule:
    /// avma = vm_start - vm_pgoff + `runtime`.
    pub runtime: u64,
    /// Bits of an object reference that are the pointer (3.14 tags the low two).
    pub pointer_mask: u64,
    /// `PY_VERSION_HEX`.
    pub version: u32,
    /// One of [`chain`].
    pub chain: u8,
    /// One of [`thread`].
    pub thread: u8,
    /// Scale of the stored instruction index to bytes: 1, or 2 in 3.10 (`f_lasti` in units).
    pub instruction_scale: u8,
    /// 1: validated on a live process.
    pub ready: u8,
    pub thread_base: i32,
    /// `autoTSSkey._key` in `_PyRuntime`; `_is_initialized` stands 4 bytes before it.
    pub key_offset: u32,

    // PyThreadState
    pub tstate_interp: u16,
    /// `frame` (3.8–3.10), `cframe` (3.11, 3.12) or `current_frame`.
    pub tstate_frame: u16,
    /// `cframe` of 3.10, whose `frame` is the chain.
    pub tstate_cframe: u16,
    pub tstate_thread_id: u16,

    // CFrame / _PyCFrame
    pub cframe_current: u16,
    pub cframe_previous: u16,

    // PyFrameObject / _PyInterpreterFrame
    pub frame_code: u16,
    pub frame_previous: u16,
    /// `f_lasti` (int), `prev_instr` or `instr_ptr` (pointers)
    pub frame_instruction: u16,
    pub frame_owner: u16,
    pub frame_is_entry: u16,

    // PyCodeObject
    pub code_first_line: u16,
    pub code_filename: u16,
    pub code_name: u16,
    /// `co_qualname`; equals `code_name` before 3.11.
    pub code_qualname: u16,
    /// `co_linetable`, `co_lnotab`
    pub code_linetable: u16,
    /// First instruction (`co_code_adaptive`); 0 before 3.11, where `f_lasti` is relative already.
    pub code_instructions: u16,

    // PyUnicodeObject, PyBytesObject
    pub unicode_length: u16,
    pub unicode_state: u16,
    /// Text of an ASCII string.
    pub unicode_ascii: u16,
    /// Text of another compact string.
    pub unicode_compact: u16,
    pub bytes_size: u16,
    pub bytes_data: u16,
    pub padding: u16,
}

/// Bytes read of a thread state, a frame and a code object: cover every member above.
pub const TSTATE_BYTES: usize = 256;
pub const FRAME_BYTES: usize = 128;
pub const CODE_BYTES: usize = 216;
/// Most interpreter files known at a time.
pub const PYTHONS: u32 = 256;

/// Value of the `PROCESS_PYTHON` map: the interpreter of a process, for stacks whose native walk
/// breaks before it meets the interpreter's code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ProcessPython {
    /// avma of `_PyRuntime`.
    pub runtime: u64,
    /// Index + 1 in `PYTHONS`.
    pub python: u32,
    pub padding: u32,
}
