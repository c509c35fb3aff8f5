//! Reads a live process. The only file of this room that does I/O.

use super::memory::{Memory, ReadError};
use crate::process::memory::read_memory;

/// Memory of a live process, as `process` reads it.
///
/// A pid may be given to another process once its owner is gone: who keeps a reader compares the
/// process's identity before and after a series of reads.
#[derive(Clone, Copy, Debug)]
pub struct ProcessMemory {
    pid: u32,
}

impl ProcessMemory {
    pub fn new(pid: u32) -> Self {
        Self { pid }
    }
}

impl Memory for ProcessMemory {
    fn read(&self, avma: u64, into: &mut [u8]) -> Result<(), ReadError> {
        let length = into.len();
        read_memory(self.pid, avma, into).map_err(|error| ReadError {
            avma,
            length,
            cause: format!("process {}: {error}", self.pid),
        })
    }
}
