//! Whether pids and start times mean here what they mean to the kernel side, which knows those of
//! the whole machine only.

use std::ffi::OsStr;
use std::io;

use thiserror::Error;

/// Inode numbers of the first namespaces (`PROC_PID_INIT_INO`, `PROC_TIME_INIT_INO` in Linux
/// `include/linux/proc_ns.h`).
const FIRST_PID: &str = "pid:[4026531836]";
const FIRST_TIME: &str = "time:[4026531834]";

/// Why `/proc` tells of other processes than the kernel side.
#[derive(Debug, Error)]
pub enum NamespaceError {
    #[error(
        "Strata runs in a pid namespace, where processes have other numbers than in the kernel: \
         give its container the host's (docker run --pid=host, hostPID: true)."
    )]
    Pid,
    #[error(
        "Strata runs in a time namespace, where processes started at other times than in the \
         kernel: run it outside."
    )]
    Time,
    #[error("/proc/self/ns can't be read: {0}; mount /proc of this pid namespace.")]
    NoProc(io::Error),
}

/// Makes sure that this process sees the machine's own pids and times.
pub fn check_namespaces() -> Result<(), NamespaceError> {
    let pid = std::fs::read_link("/proc/self/ns/pid").map_err(NamespaceError::NoProc)?;
    // A kernel without time namespaces has no such link.
    let time = std::fs::read_link("/proc/self/ns/time").ok();
    check(pid.as_os_str(), time.as_ref().map(|time| time.as_os_str()))
}

fn check(pid: &OsStr, time: Option<&OsStr>) -> Result<(), NamespaceError> {
    if pid != FIRST_PID {
        return Err(NamespaceError::Pid);
    }
    if time.is_some_and(|time| time != FIRST_TIME) {
        return Err(NamespaceError::Time);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces() {
        let here = |pid: &str, time: Option<&str>| check(pid.as_ref(), time.map(str::as_ref));
        assert!(here(FIRST_PID, Some(FIRST_TIME)).is_ok());
        assert!(here(FIRST_PID, None).is_ok());
        assert!(matches!(
            here("pid:[4026532000]", None),
            Err(NamespaceError::Pid)
        ));
        let other = here(FIRST_PID, Some("time:[4026532001]"));
        assert!(matches!(other, Err(NamespaceError::Time)));
        assert!(!matches!(
            check_namespaces(),
            Err(NamespaceError::NoProc(_))
        ));
    }
}
