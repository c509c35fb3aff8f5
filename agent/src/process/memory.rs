//! Memory of a live process. Reading stops nothing and needs the permission that ptrace needs.

use std::io;

use super::identity::ProcessHandle;
use super::sys;

/// Fills `into` from `avma` on in the memory of the process that has this pid now, or fails.
///
/// A pid may be given to another process once its owner is gone: who reads several things compares
/// the process's identity before and after.
pub fn read_memory(pid: u32, avma: u64, into: &mut [u8]) -> io::Result<()> {
    // A number that is no pid_t names no process; 0 makes the read fail.
    let done = sys::read_memory(pid.try_into().unwrap_or(0), avma, into)?;
    if done == into.len() {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("only {done} bytes of process {pid} are readable there"),
    ))
}

impl ProcessHandle {
    /// Fills `into` from `avma` on in its memory, or fails.
    pub fn read_memory(&self, avma: u64, into: &mut [u8]) -> io::Result<()> {
        read_memory(self.pid(), avma, into)?;
        // While it is there its pid can't be another's, so that it was what was read.
        self.stat()
            .map(drop)
            .map_err(|error| io::Error::other(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own() {
        let own = ProcessHandle::open(std::process::id()).expect("our own process");
        let truth = *b"some bytes";
        let mut found = [0; 10];
        own.read_memory(truth.as_ptr() as u64, &mut found)
            .expect("readable");
        assert_eq!(found, truth);
        for avma in [0, 8, u64::MAX - 3, 1 << 63] {
            assert!(own.read_memory(avma, &mut found).is_err(), "{avma:#x}");
        }
        assert!(read_memory(u32::MAX, truth.as_ptr() as u64, &mut found).is_err());
    }
}
