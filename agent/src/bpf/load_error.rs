//! Why the kernel side did not start, and what helps.

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;

use super::kernel::KernelError;
use super::load::Event;
use crate::process::rights::{PARANOID, PARANOID_MOST};

/// Why the kernel side did not start.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error(
        "the kernel refused to make a map: {0}. It takes the capabilities CAP_BPF and CAP_PERFMON \
         (Linux 5.8 and later), or root: run it with sudo"
    )]
    Map(#[source] EbpfError),
    #[error(
        "the kernel refused the program {program}: {source}. Without the capabilities CAP_BPF and \
         CAP_PERFMON run it with sudo; with them this is a defect, please report it with the \
         output of `uname -r`"
    )]
    Program {
        program: String,
        #[source]
        source: ProgramError,
    },
    #[error(
        "sampling by {event:?} can't begin on CPU {cpu}: {source}. Cycles take a hardware counter, \
         which most virtual machines lack: leave --event out; a rate above \
         /proc/sys/kernel/perf_event_max_sample_rate is refused too"
    )]
    Attach {
        cpu: u32,
        event: Event,
        #[source]
        source: ProgramError,
    },
    #[error(
        "sampling can't begin on CPU {cpu}: {PARANOID} is {level}. At levels above \
         {PARANOID_MOST}, which Debian and Ubuntu added to their kernels, these take CAP_SYS_ADMIN \
         for it, and CAP_PERFMON is not enough. Lower it: sudo sysctl {PARANOID}={PARANOID_MOST} \
         (and in /etc/sysctl.d, so that it stays)"
    )]
    Paranoid { cpu: u32, level: i64 },
    #[error(
        "sampling can't begin on CPU {cpu}: {source}. It takes CAP_PERFMON; with it, a container's \
         seccomp profile or a security module (SELinux, AppArmor, lockdown) refuses \
         perf_event_open: `strata doctor` tells which there are"
    )]
    Refused {
        cpu: u32,
        #[source]
        source: ProgramError,
    },
    #[error("the committed object has no map or program {0}: it was built from other sources")]
    Missing(&'static str),
    #[error("map {map}: {source}")]
    Access {
        map: &'static str,
        #[source]
        source: MapError,
    },
}

/// Why a CPU can't be sampled. `paranoid` is the level of the kernel's setting, if it is one that may be the cause.
pub fn attach_error(
    cpu: u32,
    event: Event,
    source: ProgramError,
    paranoid: Option<i64>,
) -> LoadError {
    let errno = match &source {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        _ => None,
    };
    match (errno, paranoid) {
        (Some(libc::EACCES), Some(level)) => LoadError::Paranoid { cpu, level },
        (Some(libc::EACCES | libc::EPERM), _) => LoadError::Refused { cpu, source },
        _ => LoadError::Attach { cpu, event, source },
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use aya::sys::SyscallError;

    use super::*;

    #[test]
    fn a_kernel_that_takes_the_right_for_nothing_is_told_from_others() {
        let refused = |errno| {
            let source = SyscallError {
                call: "perf_event_open",
                io_error: io::Error::from_raw_os_error(errno),
            };
            move |paranoid| attach_error(1, Event::CpuClock, source.into(), paranoid).to_string()
        };
        let text = refused(libc::EACCES)(Some(3));
        assert!(text.contains("kernel.perf_event_paranoid is 3."), "{text}");
        assert!(
            text.contains("sysctl kernel.perf_event_paranoid=2 "),
            "{text}"
        );
        for text in [refused(libc::EACCES)(None), refused(libc::EPERM)(Some(3))] {
            assert!(text.contains("seccomp"), "{text}");
        }
        let text = refused(libc::ENOENT)(Some(3));
        assert!(text.contains("hardware counter"), "{text}");
    }
}
