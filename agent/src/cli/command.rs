//! A command that is sampled from its first instruction: it waits, before its exec, until sampling
//! has begun.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// A started command that waits.
pub struct Waiting {
    /// Its pid.
    pub pid: u32,
    go: File,
    spawned: Receiver<io::Result<Child>>,
}

/// Starts a command and holds it before its exec.
pub fn hold(command: &[OsString]) -> io::Result<Waiting> {
    let (mut pid_read, pid_write) = pipe()?;
    let (go_read, go_write) = pipe()?;
    let Some((program, arguments)) = command.split_first() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no command"));
    };
    let mut child = Command::new(program);
    child.args(arguments);
    let (report, wait) = (pid_write.as_raw_fd(), go_read.as_raw_fd());
    // SAFETY: between fork and exec only async-signal-safe calls are made: getpid, write, read.
    unsafe {
        child.pre_exec(move || {
            let pid = libc::getpid().to_ne_bytes();
            if libc::write(report, pid.as_ptr().cast(), pid.len()) != pid.len() as isize {
                return Err(io::Error::last_os_error());
            }
            let mut byte = 0u8;
            if libc::read(wait, (&raw mut byte).cast(), 1) != 1 {
                // The agent gave up.
                return Err(io::Error::from_raw_os_error(libc::ECANCELED));
            }
            Ok(())
        });
    }
    let (sender, spawned) = channel();
    // Spawning returns only after the exec.
    thread::Builder::new()
        .name("strata-command".to_owned())
        .spawn(move || {
            let result = child.spawn();
            drop((pid_write, go_read));
            let _ = sender.send(result);
        })?;
    let mut pid = [0; 4];
    pid_read.read_exact(&mut pid)?;
    Ok(Waiting {
        pid: u32::from_ne_bytes(pid),
        go: go_write,
        spawned,
    })
}

impl Waiting {
    /// Lets it go.
    pub fn release(mut self) -> io::Result<Child> {
        self.go.write_all(&[1])?;
        match self.spawned.recv() {
            Ok(child) => child,
            Err(_) => Err(io::Error::other("the thread that starts the command ended")),
        }
    }
}

/// The file that a command's name means, as `execvp` finds it.
pub fn file_of(program: &OsStr) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return Some(program.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// The exit code that says the same as a command's end: its own, or 128 + the signal's number.
pub fn exit_code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

fn pipe() -> io::Result<(File, File)> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both descriptors are new and ours alone.
    let [read, write] = ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    Ok((read.into(), write.into()))
}
