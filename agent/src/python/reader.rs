//! Reads a live process. The only file of this room that does I/O.

use std::io;

use super::memory::{Memory, ReadError};

/// Memory of a live process, through `process_vm_readv` (needs ptrace permission, stops nothing).
///
/// A pid may be given to another process once its owner is gone: who keeps a reader compares the
/// process's identity before and after a series of reads.
#[derive(Clone, Copy, Debug)]
pub struct ProcessMemory {
    pid: libc::pid_t,
}

impl ProcessMemory {
    pub fn new(pid: u32) -> Self {
        // A number that is no pid_t names no process; 0 makes every read fail.
        Self {
            pid: pid.try_into().unwrap_or(0),
        }
    }
}

impl Memory for ProcessMemory {
    fn read(&self, avma: u64, into: &mut [u8]) -> Result<(), ReadError> {
        let length = into.len();
        let local = libc::iovec {
            iov_base: into.as_mut_ptr().cast(),
            iov_len: length,
        };
        let remote = libc::iovec {
            iov_base: avma as usize as *mut libc::c_void,
            iov_len: length,
        };
        // SAFETY: `local` is a live, writable buffer of `length` bytes; the kernel checks `remote`
        // against the other process's address space and never writes through it.
        let done = unsafe { libc::process_vm_readv(self.pid, &local, 1, &remote, 1, 0) };
        let cause = match usize::try_from(done) {
            Ok(done) if done == length => return Ok(()),
            Ok(done) => format!(
                "only {done} bytes of process {} are readable there",
                self.pid
            ),
            Err(_) => format!("process {}: {}", self.pid, io::Error::last_os_error()),
        };
        Err(ReadError {
            avma,
            length,
            cause,
        })
    }
}
