//! A command that is sampled from its first instruction: it waits, before its exec, until sampling
//! has begun.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::user;

/// Why a command does not run.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error(
        "There is no command {0}: no folder in PATH has it. Check its name, or give its path; sudo \
         may have changed PATH (sudo env \"PATH=$PATH\" strata …)."
    )]
    Unknown(String),
    #[error("There is no file {0}, which was to be run. Check its path.")]
    Absent(String),
    #[error("{0} is there and can't be run: {1}.")]
    Unfit(String, String),
    #[error("The command could not be started: {0}. Try again with fewer processes running.")]
    Start(#[source] io::Error),
}

impl CommandError {
    /// What shells answer in such a case.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unknown(_) | Self::Absent(_) => 127,
            Self::Unfit(..) => 126,
            Self::Start(_) => 1,
        }
    }

    fn of(program: &OsStr, error: &io::Error) -> Self {
        let name = program.to_string_lossy().into_owned();
        let there = file_of(program).is_some();
        match error.kind() {
            io::ErrorKind::NotFound if there => {
                let why = "the interpreter that its first line or its header names is not there";
                Self::Unfit(name, why.to_owned())
            }
            io::ErrorKind::NotFound if program.as_bytes().contains(&b'/') => Self::Absent(name),
            io::ErrorKind::NotFound => Self::Unknown(name),
            io::ErrorKind::PermissionDenied => {
                let why = match user::behind_sudo() {
                    Some(user) => format!("the user who called sudo (uid {}) may not", user.uid),
                    None => format!("it is not executable (chmod +x {name})"),
                };
                Self::Unfit(name, why)
            }
            _ => Self::Unfit(name, error.to_string()),
        }
    }
}

/// A started command that waits.
pub struct Waiting {
    /// Its pid.
    pub pid: u32,
    program: OsString,
    go: File,
    spawned: Receiver<io::Result<Child>>,
}

/// Finds out before anything is loaded that a command can't be run.
pub fn check(program: &OsStr) -> Result<(), CommandError> {
    let name = || program.to_string_lossy().into_owned();
    let Some(file) = file_of(program) else {
        return Err(CommandError::of(program, &io::ErrorKind::NotFound.into()));
    };
    match file.metadata() {
        Ok(metadata) if metadata.is_dir() => {
            Err(CommandError::Unfit(name(), "it is a folder".to_owned()))
        }
        // To open a pipe without a writer, so as to read it ahead, would wait for ever.
        Ok(metadata) if !metadata.is_file() => Err(CommandError::Unfit(
            name(),
            "it is a device or the like and no program".to_owned(),
        )),
        Ok(metadata) if metadata.permissions().mode() & 0o111 == 0 => {
            let why = format!("it is not executable (chmod +x {})", file.display());
            Err(CommandError::Unfit(name(), why))
        }
        // What else there may be, the exec will tell.
        _ => Ok(()),
    }
}

/// Limits as they were for us and stay for the command.
#[derive(Clone, Copy)]
pub struct Limits([(Resource, Option<(u64, u64)>); 2]);

impl Limits {
    /// As they are now. Loading the kernel side raises that of locked memory. That of open files is
    /// raised here: each executable stays open from its first sight, and shells have 1,024 often.
    pub fn raise() -> Self {
        let now = [Resource::RLIMIT_MEMLOCK, Resource::RLIMIT_NOFILE]
            .map(|resource| (resource, getrlimit(resource).ok()));
        if let (files, Some((_, most))) = now[1] {
            // Refused or not: what can't be opened is counted.
            let _ = setrlimit(files, most, most);
        }
        Self(now)
    }
}

/// Starts a command and holds it before its exec. It has our terminal, streams and process group,
/// and is the user's who called sudo.
pub fn hold(command: &[OsString], limits: Limits) -> Result<Waiting, CommandError> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(CommandError::Unknown(String::new()));
    };
    spawn(program, arguments, limits).map_err(CommandError::Start)
}

fn spawn(program: &OsStr, arguments: &[OsString], limits: Limits) -> io::Result<Waiting> {
    let (mut pid_read, pid_write) = pipe()?;
    let (go_read, go_write) = pipe()?;
    let mut child = Command::new(program);
    child.args(arguments);
    let user = user::behind_sudo();
    for (name, value) in user.iter().flat_map(|user| user.environment()) {
        match value {
            Some(value) => child.env(name, value),
            None => child.env_remove(name),
        };
    }
    let (report, wait) = (pid_write.as_raw_fd(), go_read.as_raw_fd());
    // SAFETY: between fork and exec only async-signal-safe calls are made: getpid, write, read, and
    // those that set limits and user.
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
            for (resource, limit) in limits.0 {
                if let Some((soft, hard)) = limit {
                    // Lowering it is never refused.
                    let _ = setrlimit(resource, soft, hard);
                }
            }
            match user {
                Some(user) => user.become_it().map_err(io::Error::from),
                None => Ok(()),
            }
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
    if let Err(error) = pid_read.read_exact(&mut pid) {
        // It ended before it could say its pid; why, the other thread knows.
        return Err(match spawned.recv() {
            Ok(Err(cause)) => cause,
            _ => error,
        });
    }
    Ok(Waiting {
        pid: u32::from_ne_bytes(pid),
        program: program.to_owned(),
        go: go_write,
        spawned,
    })
}

impl Waiting {
    /// Lets it go.
    pub fn release(mut self) -> Result<Child, CommandError> {
        self.go.write_all(&[1]).map_err(CommandError::Start)?;
        match self.spawned.recv() {
            Ok(child) => child.map_err(|error| CommandError::of(&self.program, &error)),
            Err(_) => Err(CommandError::Start(io::Error::other(
                "the thread that starts it ended",
            ))),
        }
    }
}

/// The file that a command's name means, as `execvp` finds it.
pub fn file_of(program: &OsStr) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        let file = PathBuf::from(program);
        return file.exists().then_some(file);
    }
    let path = std::env::var_os("PATH")?;
    let files = || std::env::split_paths(&path).map(|folder| folder.join(program));
    let runnable = |file: &PathBuf| {
        file.metadata()
            .is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    };
    // One that can't be run is passed over as long as there may be another.
    files()
        .find(runnable)
        .or_else(|| files().find(|file| file.is_file()))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn code(program: &str) -> Option<u8> {
        check(program.as_ref()).err().map(|error| error.exit_code())
    }

    #[test]
    fn commands_that_can_not_be_run() {
        assert_eq!(code("sh"), None);
        assert_eq!(code("/bin/sh"), None);
        assert_eq!(code("no-such-command-at-all"), Some(127));
        assert_eq!(code("/no/such/file"), Some(127));
        assert_eq!(code("/etc"), Some(126));
        assert_eq!(code("/etc/passwd"), Some(126));
        assert_eq!(code("/dev/null"), Some(126));
        assert_eq!(code(""), Some(127));
    }

    #[test]
    fn a_missing_interpreter_is_told_from_a_missing_file() {
        let missing = io::ErrorKind::NotFound.into();
        let error = CommandError::of("/bin/sh".as_ref(), &missing);
        assert!(error.to_string().contains("interpreter"), "{error}");
        assert_eq!(error.exit_code(), 126);
        let error = CommandError::of("/no/such/file".as_ref(), &missing);
        assert_eq!(error.exit_code(), 127);
    }

    #[test]
    fn ends_as_shells_tell_them() {
        let run = |script: &str| {
            let status = Command::new("sh").args(["-c", script]).status().unwrap();
            exit_code(status)
        };
        assert_eq!(run("exit 7"), 7);
        assert_eq!(run("kill -TERM $$"), 128 + 15);
    }
}
