//! What a recording needs of the machine that it runs on: clocks, randomness, the vDSO.

use std::io;

use super::space;
use crate::process::ProcessHandle;
use crate::profile::Clock;
use crate::python::Memory as _;
use crate::python::reader::ProcessMemory;

/// The vDSO's image, out of the agent's own memory: the kernel maps the same one everywhere.
pub fn vdso() -> Option<Vec<u8>> {
    let handle = ProcessHandle::open(std::process::id()).ok()?;
    let mut range = None;
    space::maps_of(&handle, |mapping| {
        if mapping.name() == b"[vdso]" {
            range = Some(mapping.avma.clone());
        }
        range.is_none()
    })
    .ok()?;
    let range = range?;
    let mut image = vec![0; usize::try_from(range.end - range.start).ok()?];
    let memory = ProcessMemory::new(std::process::id());
    memory.read(range.start, &mut image).ok()?;
    Some(image)
}

/// A seed that no target can guess.
pub fn seed() -> u64 {
    let mut bytes = [0; 8];
    let random = std::fs::File::open("/dev/urandom")
        .and_then(|mut file| io::Read::read_exact(&mut file, &mut bytes));
    match random {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => monotonic() ^ u64::from(std::process::id()).rotate_left(40),
    }
}

/// A name as the kernel keeps it.
pub fn name_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(until_zero(bytes)).into_owned()
}

/// What is before the first zero byte.
pub fn until_zero(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&byte| byte == 0);
    &bytes[..end.unwrap_or(bytes.len())]
}

fn now(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid pointer for the call.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

pub fn monotonic() -> u64 {
    now(libc::CLOCK_MONOTONIC)
}

pub fn clock() -> Clock {
    Clock {
        monotonic: monotonic(),
        wall: now(libc::CLOCK_REALTIME),
    }
}

/// Lets nothing large stay in the allocator's hands. By itself glibc takes the largest block that was
/// ever freed, up to 32 MiB, as the size from which on blocks are mapped apart and given back; so
/// after the first large file all buffers come from heaps that shrink only at their ends, one for each
/// thread that reads files.
pub fn bound_heaps() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets numbers, under glibc's own locks.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 << 10);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 20);
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// Gives memory that is free back to the kernel. Reading files takes much for a moment, on threads
/// whose arenas glibc would keep: 30 MiB each were seen.
pub fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes glibc's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}
