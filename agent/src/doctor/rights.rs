//! What this process may do: its capabilities, and what else can refuse it something.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::report::{Check, Finding, Group, State};
use super::status::{is_first_user_namespace, lockdown_mode};
use crate::bpf::kernel::version;
use crate::process::namespace::{NamespaceError, check_namespaces};
use crate::process::rights::{self, Capability, Status};

/// What Strata makes of a capability.
struct Use {
    /// Name of the check.
    check: &'static str,
    capability: Capability,
    purpose: &'static str,
    /// What is missing without it.
    without: &'static str,
}

const USES: [Use; 6] = [
    Use {
        check: "cap_bpf",
        capability: rights::BPF,
        purpose: "maps and programs",
        without: "the kernel takes no eBPF program",
    },
    Use {
        check: "cap_perfmon",
        capability: rights::PERFMON,
        purpose: "programs that read memory, events of whole CPUs",
        without: "nothing can be sampled",
    },
    Use {
        check: "cap_sys_ptrace",
        capability: rights::SYS_PTRACE,
        purpose: "mappings and memory of other users' processes",
        without: "their stacks are cut, and have no Python frames",
    },
    Use {
        check: "cap_dac_read_search",
        capability: rights::DAC_READ_SEARCH,
        purpose: "executed files that others may not read",
        without: "stacks are cut at such files",
    },
    Use {
        check: "cap_checkpoint_restore",
        capability: rights::CHECKPOINT_RESTORE,
        purpose: "mapped files that were deleted or replaced since",
        without: "such files have no rows and no names",
    },
    Use {
        check: "cap_syslog",
        capability: rights::SYSLOG,
        purpose: "addresses of kernel functions",
        without: "kernel frames may have no names",
    },
];
/// Since this kernel, maps are counted by cgroup and not against the limit of locked memory.
const NO_MEMLOCK: (u32, u32) = (5, 11);

/// What else of the kernel or the container's engine may stand in the way, for what is said when
/// the kernel refuses something for no other reason.
#[derive(Clone, Debug, Default)]
pub struct Suspects(Vec<String>);

impl Suspects {
    /// Words for a remedy.
    pub fn remedy(&self) -> String {
        if self.0.is_empty() {
            return "Report it, with the output of strata doctor -v --json.".to_owned();
        }
        format!(
            "The rights are there, so something else refuses: {}.",
            self.0.join("; or ")
        )
    }
}

/// What this process may do.
pub struct Rights {
    pub status: Status,
    pub suspects: Suspects,
}

impl Rights {
    pub fn read() -> Self {
        let status = Status::read().unwrap_or_default();
        let mut suspects = Vec::new();
        if status.seccomp {
            suspects.push(
                "the seccomp filter (docker run --security-opt seccomp=unconfined)".to_owned(),
            );
        }
        if !in_first_user_namespace() {
            suspects.push("the user namespace, in which rights are not the machine's".to_owned());
        }
        if let Some(modules) = security_modules() {
            suspects.push(format!(
                "a security module ({}; the kernel's log says so)",
                modules.trim()
            ));
        }
        Self {
            status,
            suspects: Suspects(suspects),
        }
    }

    /// Whether programs may be loaded and CPUs sampled, as far as capabilities count.
    pub fn suffice(&self) -> bool {
        rights::NEEDED.iter().all(|needed| self.status.may(needed))
    }

    /// May sample whole CPUs.
    pub fn may_sample(&self) -> bool {
        self.status.may(&rights::PERFMON)
    }

    pub fn checks(&self, release: &str) -> Vec<Check> {
        let remedy = self.remedy();
        let uses = USES.iter().map(|it| self.capability(it, &remedy));
        let mut checks: Vec<Check> = uses.collect();
        checks.push(self.locked_memory(release, &remedy));
        checks.push(namespaces());
        checks.push(self.user_namespace());
        checks.push(self.seccomp());
        checks
    }

    /// How to get the rights that are missing.
    fn remedy(&self) -> String {
        if self.status.no_new_privileges {
            return "Start strata outside of this sandbox: no_new_privs is set, so that neither \
                    sudo nor a file's capabilities give rights."
                .to_owned();
        }
        if self.status.root {
            return format!(
                "This is root without them; give them to its container:\ndocker run --pid=host {}",
                rights::container_flags()
            );
        }
        format!(
            "Run it with sudo, or give the program the rights:\nsudo setcap {} {}",
            rights::setcap_list(),
            rights::own_path()
        )
    }

    fn capability(&self, of: &Use, remedy: &str) -> Check {
        let Use {
            check,
            capability,
            purpose,
            without,
        } = of;
        let name = capability.name;
        let own = self.status.has(capability.bit);
        let finding = if own {
            Finding::ok(name, format!("for {purpose}"))
        } else if self.status.may(capability) {
            Finding::ok(
                name,
                format!("CAP_SYS_ADMIN stands in for it; for {purpose}"),
            )
        } else {
            let needed = rights::NEEDED.contains(capability);
            let state = if needed { State::Fail } else { State::Warn };
            Finding::new(
                state,
                name,
                format!("missing: for {purpose}. Without it {without}."),
            )
            .remedy(remedy)
        };
        Check::new(Group::Rights, check, own, finding)
    }

    fn locked_memory(&self, release: &str, remedy: &str) -> Check {
        let label = "locked memory";
        let limit = memory_lock_limit();
        let value = limit.map_or(Value::from("unlimited"), Value::from);
        let new = version(release).is_none_or(|version| version >= NO_MEMLOCK);
        let finding = if new {
            Finding::ok(label, "not limited for eBPF maps on this kernel (5.11+)").more()
        } else if limit.is_none() {
            Finding::ok(label, "unlimited, as eBPF maps need it below Linux 5.11")
        } else if self.status.may(&rights::SYS_RESOURCE) {
            Finding::ok(label, "CAP_SYS_RESOURCE is there to raise the limit")
        } else {
            let detail = "limited, and CAP_SYS_RESOURCE is missing to raise it: below Linux 5.11 \
                          eBPF maps count against it.";
            Finding::new(State::Warn, label, detail)
                .remedy(format!("Type `ulimit -l unlimited` as root. {remedy}"))
        };
        Check::new(Group::Rights, "locked_memory", value, finding)
    }

    fn user_namespace(&self) -> Check {
        let label = "user namespace";
        let first = in_first_user_namespace();
        let finding = if first {
            Finding::ok(label, "the machine's own").more()
        } else {
            let detail = "not the machine's own: the rights above count inside of it only.";
            Finding::new(State::Fail, label, detail).remedy(
                "Run strata outside: not in a rootless container, nor under unshare --user.",
            )
        };
        Check::new(Group::Rights, "user_namespace", first, finding)
    }

    fn seccomp(&self) -> Check {
        let label = "seccomp";
        let value = self.status.seccomp;
        let finding = if value {
            Finding::ok(
                label,
                "a filter looks at this process's system calls; the trial below says whether it \
                 lets them pass",
            )
        } else {
            Finding::ok(label, "no filter").more()
        };
        Check::new(Group::Rights, "seccomp", value, finding)
    }
}

/// Whether pids here are the kernel's own.
fn namespaces() -> Check {
    let label = "namespaces";
    let (value, finding) = match check_namespaces() {
        Ok(()) => (
            json!(true),
            Finding::ok(label, "the machine's own pids and times"),
        ),
        Err(error) => {
            let (detail, remedy) = match &error {
                NamespaceError::Pid => (
                    "a pid namespace of its own: processes have other numbers here than in the \
                     kernel."
                        .to_owned(),
                    "Give the container the host's pids: docker run --pid=host, or hostPID: true.",
                ),
                NamespaceError::Time => (
                    "a time namespace of its own: processes started at other times here than in \
                     the kernel."
                        .to_owned(),
                    "Run strata outside of it.",
                ),
                NamespaceError::NoProc(cause) => (
                    format!("/proc/self/ns can't be read: {cause}."),
                    "Mount /proc of this pid namespace: mount -t proc proc /proc",
                ),
            };
            let finding = Finding::new(State::Fail, label, detail).remedy(remedy);
            (json!(false), finding)
        }
    };
    Check::new(Group::Rights, "namespaces", value, finding)
}

/// How far the kernel keeps even root out.
pub fn lockdown() -> Check {
    let label = "lockdown";
    let text = fs::read_to_string("/sys/kernel/security/lockdown").ok();
    let mode = text.as_deref().and_then(lockdown_mode);
    let finding = match mode {
        Some("confidentiality") => Finding::new(
            State::Fail,
            label,
            "confidentiality: eBPF programs may not read the kernel's memory.",
        )
        .remedy("Start the kernel with lockdown=integrity, or without it."),
        Some(mode) => Finding::ok(
            label,
            format!("{mode}: nothing that Strata needs is locked"),
        ),
        None if Path::new("/sys/kernel/security").join("lsm").exists() => {
            Finding::ok(label, "this kernel has none")
        }
        None => Finding::ok(label, "not told here (no securityfs)"),
    };
    Check::new(Group::Settings, "lockdown", mode, finding)
}

/// Which security modules are at work.
pub fn security_module_check() -> Check {
    let modules = security_modules();
    let detail = modules.clone().map_or_else(
        || "none told (no securityfs)".to_owned(),
        |modules| modules.trim().replace(',', ", "),
    );
    let value: Option<Vec<String>> =
        modules.map(|modules| modules.trim().split(',').map(str::to_owned).collect());
    let finding = Finding::ok("security modules", detail).more();
    Check::new(Group::Settings, "security_modules", value, finding)
}

fn security_modules() -> Option<String> {
    fs::read_to_string("/sys/kernel/security/lsm").ok()
}

fn in_first_user_namespace() -> bool {
    // Where it can't be read there is no reason to believe in another one.
    fs::read_to_string("/proc/self/uid_map").map_or(true, |map| is_first_user_namespace(&map))
}

/// Bytes; none: unlimited.
fn memory_lock_limit() -> Option<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid pointer for the call.
    unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) };
    (limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}
