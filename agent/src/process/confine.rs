//! Giving up what an agent that runs for ever does not need: whoever takes it over gets no more.

use std::collections::HashSet;

use caps::{CapSet, Capability};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};

use super::rights::paranoid_of_perfmon;

/// What sampling takes for as long as it goes on: new tables (BPF), CPUs that come online (PERFMON),
/// other users' processes and files (SYS_PTRACE, DAC_READ_SEARCH, CHECKPOINT_RESTORE) and the
/// kernel's addresses (SYSLOG).
const KEPT: [Capability; 6] = [
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_CHECKPOINT_RESTORE,
    Capability::CAP_SYSLOG,
];

/// Why rights could not be given up.
#[derive(Debug, thiserror::Error)]
#[error(
    "Rights that are not needed could not be given up: {0}. Start the agent with no more than {1}, \
     e.g. by its systemd unit."
)]
pub struct ConfineError(String, String);

/// Gives up all capabilities but those of sampling, for good, and new ones through files that are
/// executed. Only threads that begin later are meant: call it before there are any.
pub fn confine() -> Result<(), ConfineError> {
    // Kernels before 5.11 count maps as locked memory, and raising that limit takes a right.
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    let failed = |error: &dyn std::fmt::Display| {
        let kept = KEPT.map(|capability| capability.to_string()).join(", ");
        ConfineError(error.to_string(), kept)
    };
    let has = caps::read(None, CapSet::Permitted).map_err(|error| failed(&error))?;
    let kept = kept(&has, paranoid_of_perfmon().is_some());
    // The bounding set first: it takes a right to give that up. Without it, nothing is executed
    // anyway, and no_new_privs sees to it.
    for capability in caps::all() {
        if !kept.contains(&capability) {
            let _ = caps::drop(None, CapSet::Bounding, capability);
        }
    }
    let ambient: HashSet<_> = caps::read(None, CapSet::Ambient).unwrap_or_default();
    for capability in ambient {
        let _ = caps::drop(None, CapSet::Ambient, capability);
    }
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, &kept).map_err(|error| failed(&error))?;
    }
    caps::clear(None, CapSet::Inheritable).map_err(|error| failed(&error))?;
    // SAFETY: this prctl takes no pointers.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(failed(&std::io::Error::last_os_error()));
    }
    Ok(())
}

/// What is kept of the rights that there are. Where CAP_SYS_ADMIN stands for others, or where the
/// kernel may take nothing else for CPUs that come online (`paranoid`), it stays.
fn kept(has: &HashSet<Capability>, paranoid: bool) -> HashSet<Capability> {
    let mut kept: HashSet<_> = KEPT.into_iter().filter(|it| has.contains(it)).collect();
    let admin = Capability::CAP_SYS_ADMIN;
    let replaced = [
        Capability::CAP_BPF,
        Capability::CAP_PERFMON,
        Capability::CAP_CHECKPOINT_RESTORE,
    ];
    let needed = paranoid || !replaced.iter().all(|it| has.contains(it));
    if has.contains(&admin) && needed {
        kept.insert(admin);
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::{fs, thread};

    use super::*;

    #[test]
    fn only_what_sampling_takes_is_kept() {
        let all = caps::all();
        let six: HashSet<_> = KEPT.into_iter().collect();
        assert_eq!(kept(&all, false), six);
        let admin = HashSet::from([Capability::CAP_SYS_ADMIN, Capability::CAP_NET_ADMIN]);
        assert_eq!(kept(&admin, false), [Capability::CAP_SYS_ADMIN].into());
        assert_eq!(kept(&HashSet::new(), false), HashSet::new());
        let seven = kept(&all, true);
        assert_eq!(&seven - &six, [Capability::CAP_SYS_ADMIN].into());
        assert_eq!(kept(&six, true), six);
    }

    /// On a thread of its own, whose rights are its own.
    #[test]
    fn a_confined_thread_has_no_more() {
        let status = thread::spawn(|| {
            confine().unwrap();
            fs::read_to_string("/proc/thread-self/status").unwrap()
        });
        let status = status.join().unwrap();
        let mut most: BTreeSet<u8> = [2, 19, 34, 38, 39, 40].into();
        if paranoid_of_perfmon().is_some() {
            most.insert(21);
        }
        for line in status.lines() {
            let Some((name @ ("CapInh" | "CapPrm" | "CapEff" | "CapBnd" | "CapAmb"), value)) =
                line.split_once(":\t")
            else {
                continue;
            };
            let bits = u64::from_str_radix(value, 16).unwrap();
            let has: BTreeSet<u8> = (0..64).filter(|bit| bits >> bit & 1 == 1).collect();
            // A user without rights can't empty the bounding set.
            if name != "CapBnd" || nix::unistd::geteuid().is_root() {
                assert!(has.is_subset(&most), "{name}: {has:?}");
            }
        }
        assert!(status.contains("NoNewPrivs:\t1"));
    }
}
