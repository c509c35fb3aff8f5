//! Identity and text of Python code objects.

use crate::hash::Hasher;
use crate::process::ProcessId;

/// Signature of a code object's content: beside its address, what tells it from another one that
/// took the freed memory over. The pointers are those of immutable objects that the code owns.
/// Not seeded: it is only compared within one process.
#[inline(always)]
pub const fn signature(
    first_line: i32,
    filename: u64,
    name: u64,
    qualname: u64,
    linetable: u64,
    size: u64,
) -> u64 {
    let mut hash = Hasher::new(0);
    hash.push(filename, name);
    hash.push(qualname, linetable);
    hash.push(first_line as u32 as u64, size);
    hash.finish()
}

/// Key under which a code object's texts travel once.
#[inline(always)]
pub const fn key(seed: u64, process: &ProcessId, code: u64, signature: u64) -> u64 {
    let mut hash = Hasher::new(seed);
    hash.push(
        process.start,
        (process.exec as u64) << 32 | process.pid as u64,
    );
    hash.push(code, signature);
    hash.finish()
}

/// Bytes of a name or file name that travel with a code record.
pub const TEXT_BYTES: usize = 240;
/// Bytes of a line table that travel.
pub const LINETABLE_BYTES: usize = 8192;

/// A `str` object as it lies in memory.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Text {
    /// Length in characters, as the object says.
    pub length: u64,
    /// The object's state word: kind (bytes a character) and whether it is ASCII.
    pub state: u32,
    /// Bytes of `data` that were read.
    pub stored: u32,
    pub data: [u8; TEXT_BYTES],
}
