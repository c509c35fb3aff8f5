//! A process that is alive, held so that its pid can't come to mean another one.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use agent_common::process::ProcessId;
use thiserror::Error;

use super::stat::Stat;
use super::sys;

/// Most bytes of a command line that are read; it may be megabytes.
const COMMAND_LINE: u64 = 64 << 10;
/// Most bytes of `stat` and `status`, which are a page or less.
const STATUS: u64 = 16 << 10;

/// Why a process can't be looked at.
#[derive(Debug, Error)]
pub enum ProcessError {
    #[error(
        "Process {pid} is not there (any more): check the pid, or start strata before it ends."
    )]
    Gone { pid: u32 },
    #[error(
        "Strata may not read {what} of process {pid}: run it as root, or with CAP_SYS_PTRACE and \
         CAP_DAC_READ_SEARCH."
    )]
    Denied { pid: u32, what: String },
    #[error("{what} of process {pid} can't be read: {source}; check that /proc is mounted.")]
    Unreadable {
        pid: u32,
        what: String,
        source: io::Error,
    },
    #[error(
        "{what} of process {pid} is not as this version of strata knows it; report it with the \
         kernel's name."
    )]
    Malformed { pid: u32, what: String },
}

impl ProcessError {
    /// Its name in statistics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Gone { .. } => "process_gone",
            Self::Denied { .. } => "denied",
            Self::Unreadable { .. } => "unreadable",
            Self::Malformed { .. } => "malformed",
        }
    }

    pub(super) fn new(pid: u32, what: &str, source: io::Error) -> Self {
        let what = format!("/proc/PID/{what}");
        match source.raw_os_error() {
            Some(libc::ENOENT | libc::ESRCH) => Self::Gone { pid },
            Some(libc::EACCES | libc::EPERM) => Self::Denied { pid, what },
            _ => Self::Unreadable { pid, what, source },
        }
    }
}

/// A process and its directory in `/proc`: what is read through it is that process's or fails,
/// even when the pid was given to another one.
#[derive(Debug)]
pub struct ProcessHandle {
    pid: u32,
    directory: OwnedFd,
    start_ticks: u64,
}

impl ProcessHandle {
    /// Takes hold of a process. `pid` may also be that of one of its threads.
    pub fn open(pid: u32) -> Result<Self, ProcessError> {
        let handle = Self::open_entry(pid)?;
        let status = handle.read("status", STATUS)?;
        match thread_group(&status) {
            Some(group) if group != pid => Self::open_entry(group),
            _ => Ok(handle),
        }
    }

    /// Takes hold of the process that the kernel side means, if it is still there.
    pub fn open_same(process: &ProcessId) -> Result<Self, ProcessError> {
        let handle = Self::open_entry(process.pid)?;
        if handle.is(process) {
            Ok(handle)
        } else {
            Err(ProcessError::Gone { pid: process.pid })
        }
    }

    fn open_entry(pid: u32) -> Result<Self, ProcessError> {
        let directory = File::open(Path::new("/proc").join(pid.to_string()));
        let directory = directory.map_err(|error| ProcessError::new(pid, "", error))?;
        let mut handle = Self {
            pid,
            directory: directory.into(),
            start_ticks: 0,
        };
        handle.start_ticks = handle.stat()?.start_ticks;
        Ok(handle)
    }

    /// Thread group id in the pid namespace of `/proc`.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Start in clock ticks since boot.
    pub fn start_ticks(&self) -> u64 {
        self.start_ticks
    }

    /// Whether the kernel side means this process. The count of execs is not visible from here.
    pub fn is(&self, process: &ProcessId) -> bool {
        self.pid == process.pid && same_start(process.start, self.start_ticks)
    }

    /// Whether it still runs.
    pub fn alive(&self) -> bool {
        self.stat().is_ok_and(|stat| !stat.ended())
    }

    /// What its `stat` says now.
    pub fn stat(&self) -> Result<Stat, ProcessError> {
        let text = self.read("stat", STATUS)?;
        Stat::parse(&text).ok_or_else(|| ProcessError::Malformed {
            pid: self.pid,
            what: "/proc/PID/stat".to_owned(),
        })
    }

    /// Its name, which it may change and which may be no UTF-8.
    pub fn comm(&self) -> Result<Vec<u8>, ProcessError> {
        Ok(self.stat()?.comm)
    }

    /// Its arguments, at most 64 KiB of them. They lie in the process's own memory: one that backs
    /// it by a file system of its own can make this wait, so it has no place on a hot path.
    pub fn command_line(&self) -> Result<Vec<Vec<u8>>, ProcessError> {
        let text = self.read("cmdline", COMMAND_LINE)?;
        let text = text.strip_suffix(b"\0").unwrap_or(&text);
        if text.is_empty() {
            return Ok(Vec::new());
        }
        Ok(text.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect())
    }

    /// Path of its executable in its own root, ` (deleted)` behind it where that is so.
    pub fn executable(&self) -> Result<Vec<u8>, ProcessError> {
        sys::read_link_at(self.directory(), c"exe")
            .map_err(|error| ProcessError::new(self.pid, "exe", error))
    }

    /// Reads at most `cap` bytes of a file in its directory.
    pub fn read(&self, name: &str, cap: u64) -> Result<Vec<u8>, ProcessError> {
        self.open_file(name)
            .and_then(|file| sys::read_capped(file, cap))
            .map_err(|error| ProcessError::new(self.pid, name, error))
    }

    /// Opens a file in its directory for reading.
    pub fn open_file(&self, name: &str) -> io::Result<File> {
        sys::open_at(self.directory(), &CString::new(name)?)
    }

    /// Where in its directory the files are that tell of its memory and root: in the directory
    /// itself, or in that of another thread once the first one has ended.
    pub fn living(&self) -> Result<String, ProcessError> {
        if self.stat()?.state != b'Z' {
            return Ok(String::new());
        }
        let path = format!("/proc/self/fd/{}/task", self.directory.as_raw_fd());
        let threads =
            std::fs::read_dir(path).map_err(|e| ProcessError::new(self.pid, "task", e))?;
        for thread in threads.flatten() {
            let place = format!("task/{}/", thread.file_name().to_string_lossy());
            let stat = self.read(&format!("{place}stat"), STATUS).ok();
            if stat
                .and_then(|text| Stat::parse(&text))
                .is_some_and(|stat| stat.state != b'Z')
            {
                return Ok(place);
            }
        }
        Err(ProcessError::Gone { pid: self.pid })
    }

    /// Its directory in `/proc`.
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// Whether a start in ns, as the kernel side has it, and one in clock ticks, as `/proc` has it, are
/// the same moment: the kernel divides and drops the rest (`nsec_to_clock_t`).
pub fn same_start(kernel_ns: u64, ticks: u64) -> bool {
    kernel_ns / ns_per_tick() == ticks
}

/// Nanoseconds in a clock tick of `/proc`: 10,000,000 on x86_64 and arm64.
pub fn ns_per_tick() -> u64 {
    (1_000_000_000 / sys::ticks_per_second()).max(1)
}

fn thread_group(status: &[u8]) -> Option<u32> {
    let line = status
        .split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(b"Tgid:"))?;
    std::str::from_utf8(line).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::{Command, Stdio};
    use std::thread;

    use super::*;

    #[test]
    fn moments() {
        let tick = ns_per_tick();
        assert!(same_start(0, 0) && same_start(tick - 1, 0) && same_start(tick, 1));
        assert!(!same_start(tick, 0) && !same_start(tick - 1, 1));
        assert!(!same_start(u64::MAX, 0));
    }

    #[test]
    fn own_process_by_a_thread() {
        let thread = thread::spawn(|| {
            // SAFETY: no preconditions.
            let thread = unsafe { libc::syscall(libc::SYS_gettid) } as u32;
            ProcessHandle::open(thread).expect("the process of a thread")
        });
        let handle = thread.join().expect("thread");
        assert_eq!(handle.pid(), std::process::id());
        assert!(handle.alive());
        let start = handle.start_ticks() * ns_per_tick() + 1;
        let mut process = ProcessId {
            pid: handle.pid(),
            exec: 9,
            start,
        };
        assert!(handle.is(&process));
        assert!(ProcessHandle::open_same(&process).is_ok());
        process.start += ns_per_tick();
        assert!(matches!(
            ProcessHandle::open_same(&process),
            Err(ProcessError::Gone { .. })
        ));
        let executable = std::env::current_exe().expect("our own path");
        assert_eq!(
            handle.executable().expect("exe"),
            executable.as_os_str().as_encoded_bytes()
        );
    }

    #[test]
    fn a_process_that_ends() {
        let mut child = Command::new("sh")
            .args(["-c", "echo; read line", ""])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh");
        // `spawn` returns while the kernel is still in exec, before the arguments are in place.
        let output = child.stdout.as_mut().expect("a pipe");
        output.read_exact(&mut [0]).expect("a line");
        let handle = ProcessHandle::open(child.id()).expect("the child");
        assert_eq!(handle.comm().expect("comm"), b"sh");
        let arguments: [&[u8]; 4] = [b"sh", b"-c", b"echo; read line", b""];
        assert_eq!(handle.command_line().expect("arguments"), arguments);
        child.kill().expect("kill");
        // A zombie until it is waited for.
        while handle.alive() {
            thread::yield_now();
        }
        child.wait().expect("wait");
        assert!(!handle.alive());
        assert!(matches!(handle.comm(), Err(ProcessError::Gone { .. })));
        let error = ProcessHandle::open(0)
            .expect_err("no process 0")
            .to_string();
        assert!(error.starts_with("Process 0 is not there"), "{error}");
    }
}
