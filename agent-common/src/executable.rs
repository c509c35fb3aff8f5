//! Identity of an executable file and what the kernel side knows of it.

/// The file behind a mapping as the kernel's inode describes it. Inode numbers come back after a
/// replacement and differ between views of an overlay file system, hence the change time, the
/// size and the generation beside them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct FileId {
    /// `super_block.s_dev`: major << 20 | minor. Not the encoding of `stat`.
    pub device: u64,
    pub inode: u64,
    pub change_seconds: i64,
    /// Nanoseconds of the change time, without the kernel's flag bit (multigrain time stamps,
    /// Linux 6.13).
    pub change_nanoseconds: u32,
    /// `inode.i_generation`; 0 on file systems without one.
    pub generation: u32,
    pub size: u64,
}

/// Answer of the `identify` program: the identity of the file mapped at an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Identified {
    pub file: FileId,
    /// The address that was asked for; another one: nothing was found.
    pub avma: u64,
}

/// Executable id of code with no file: JIT output, anonymous executable memory.
pub const EXECUTABLE_ANONYMOUS: u32 = 0;
/// Executable id of the vDSO, which has no file either but is the same in every process.
pub const EXECUTABLE_VDSO: u32 = 1;
/// Executable id of a mapped file that the agent has not described yet.
pub const EXECUTABLE_UNKNOWN: u32 = u32::MAX;
/// First id that is given to a file.
pub const EXECUTABLE_FIRST: u32 = 2;

/// [`Executable::python`] of a file that holds an interpreter whose offsets are not known yet: each
/// process that runs it is announced, so that they can be validated on it.
pub const PYTHON_PENDING: u32 = u32::MAX;

/// What the kernel side needs of an executable: value of the `EXECUTABLES` map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Executable {
    /// Id in frames; never given twice in one run.
    pub id: u32,
    /// Index + 1 of its interpreter's [`crate::python::PythonOffsets`]; 0: no interpreter;
    /// [`PYTHON_PENDING`].
    pub python: u32,
    /// Cell number of the page index (see [`crate::row`]).
    pub index: u32,
    /// Number of index entries less one, i.e. 1 KiB pages that the table covers. 0: no rows.
    pub pages: u32,
    /// Page number (file offset >> 10) of the first index entry.
    pub first_page: u32,
    /// Cell number of the first row.
    pub rows: u32,
}
