//! Another process's memory, as the room's parsers see it.

/// A stretch of memory that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Reading {length} bytes at {avma:#x} failed: {cause}.")]
pub struct ReadError {
    pub avma: u64,
    pub length: usize,
    pub cause: String,
}

/// Memory of one process. The room reads another process through nothing else.
pub trait Memory {
    /// Fills `into` from `avma` on, or fails as a whole.
    fn read(&self, avma: u64, into: &mut [u8]) -> Result<(), ReadError>;
}

/// Little-endian values, as x86_64 and arm64 store them.
pub(super) trait MemoryExt: Memory {
    fn array<const N: usize>(&self, avma: u64) -> Result<[u8; N], ReadError> {
        let mut bytes = [0; N];
        self.read(avma, &mut bytes)?;
        Ok(bytes)
    }

    fn u64(&self, avma: u64) -> Result<u64, ReadError> {
        Ok(u64::from_le_bytes(self.array(avma)?))
    }
}

impl<M: Memory + ?Sized> MemoryExt for M {}

/// The `N` bytes at `at` of a buffer; none past its end.
pub(super) fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The u64 at `at` of a buffer.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    field(bytes, at).map(u64::from_le_bytes)
}

/// The i32 at `at` of a buffer.
pub(super) fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    field(bytes, at).map(i32::from_le_bytes)
}
