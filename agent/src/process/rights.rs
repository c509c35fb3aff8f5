//! What this process may do: whether it may sample at all, found out before anything is loaded.

use std::fs;

use thiserror::Error;

use super::stat::status_field;

/// A right (Linux `include/uapi/linux/capability.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    pub name: &'static str,
    pub bit: u32,
    /// Whether CAP_SYS_ADMIN does as well.
    pub admin: bool,
}

impl Capability {
    const fn new(name: &'static str, bit: u32) -> Self {
        let admin = false;
        Self { name, bit, admin }
    }

    const fn or_admin(name: &'static str, bit: u32) -> Self {
        let admin = true;
        Self { name, bit, admin }
    }
}

pub const BPF: Capability = Capability::or_admin("CAP_BPF", 39);
pub const PERFMON: Capability = Capability::or_admin("CAP_PERFMON", 38);
pub const SYS_PTRACE: Capability = Capability::new("CAP_SYS_PTRACE", 19);
pub const DAC_READ_SEARCH: Capability = Capability::new("CAP_DAC_READ_SEARCH", 2);
pub const CHECKPOINT_RESTORE: Capability = Capability::or_admin("CAP_CHECKPOINT_RESTORE", 40);
pub const SYSLOG: Capability = Capability::new("CAP_SYSLOG", 34);
pub const SYS_RESOURCE: Capability = Capability::new("CAP_SYS_RESOURCE", 24);
const SYS_ADMIN: u32 = 21;
/// The setting of who may open perf events.
pub const PARANOID: &str = "kernel.perf_event_paranoid";
/// Its highest level in Linux itself. Debian's and Ubuntu's kernels know more, at which CAP_PERFMON
/// does not do (`security,perf: Allow further restriction of perf_event_open`, and
/// <https://bugs.launchpad.net/ubuntu/+source/linux/+bug/2131046>).
pub const PARANOID_MOST: i64 = 2;

/// Without these nothing is sampled.
pub const NEEDED: [Capability; 2] = [BPF, PERFMON];
/// These and those that recordings of other users' processes take.
const ALL: [Capability; 6] = [
    BPF,
    PERFMON,
    SYS_PTRACE,
    DAC_READ_SEARCH,
    CHECKPOINT_RESTORE,
    SYSLOG,
];

/// Rights that are missing.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("Strata lacks {missing}, which eBPF takes. {remedy}")]
pub struct RightsError {
    missing: String,
    remedy: String,
}

/// What `/proc/PID/status` says of rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Effective capabilities, a bit each.
    pub capabilities: u64,
    /// A filter looks at this process's system calls.
    pub seccomp: bool,
    /// Neither sudo nor a file's capabilities can add rights.
    pub no_new_privileges: bool,
    /// Its effective user.
    pub root: bool,
}

/// Makes sure that programs may be loaded and CPUs be sampled.
pub fn check_rights() -> Result<(), RightsError> {
    // Without /proc the kernel has to tell.
    let Some(status) = Status::read() else {
        return Ok(());
    };
    status.check(&own_path(), &mut std::env::args().skip(1))
}

/// The level of the setting if it is one at which some kernels take CAP_SYS_ADMIN alone for enough.
pub fn paranoid_of_perfmon() -> Option<i64> {
    let text = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").ok()?;
    let level = text.trim().parse().ok()?;
    (level > PARANOID_MOST).then_some(level)
}

/// All capabilities that Strata makes use of, as `docker run` takes them.
pub fn container_flags() -> String {
    ALL.map(|it| format!("--cap-add {}", short(&it))).join(" ")
}

/// All capabilities that Strata makes use of, as `setcap` takes them.
pub fn setcap_list() -> String {
    ALL.map(|it| it.name.to_lowercase()).join(",") + "+ep"
}

/// This program, as one types it.
pub fn own_path() -> String {
    std::env::current_exe().map_or_else(|_| "strata".to_owned(), |path| path.display().to_string())
}

fn short(capability: &Capability) -> &'static str {
    capability.name.trim_start_matches("CAP_")
}

impl Status {
    /// This process's. None: it can't be read.
    pub fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/status").ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let field = |name| status_field(text, name);
        // Real, effective, saved, file system.
        let user = field("Uid").and_then(|ids| ids.split_whitespace().nth(1));
        Some(Self {
            capabilities: u64::from_str_radix(field("CapEff")?, 16).ok()?,
            seccomp: field("Seccomp").is_some_and(|mode| mode != "0"),
            no_new_privileges: field("NoNewPrivs") == Some("1"),
            root: user == Some("0"),
        })
    }

    pub fn has(&self, bit: u32) -> bool {
        self.capabilities >> bit & 1 == 1
    }

    /// Has the right that stands for many.
    pub fn is_admin(&self) -> bool {
        self.has(SYS_ADMIN)
    }

    /// Whether a capability's purpose is allowed, by itself or by CAP_SYS_ADMIN.
    pub fn may(&self, capability: &Capability) -> bool {
        self.has(capability.bit) || capability.admin && self.is_admin()
    }

    fn check(
        self,
        program: &str,
        arguments: &mut dyn Iterator<Item = String>,
    ) -> Result<(), RightsError> {
        let missing = NEEDED.iter().filter(|capability| !self.may(capability));
        let missing: Vec<&str> = missing.map(|capability| capability.name).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let remedy = if self.no_new_privileges {
            "Start it outside of this sandbox: no_new_privs is set, so neither sudo nor a file's \
             capabilities give rights here."
                .to_owned()
        } else if self.root {
            format!(
                "This root does not have them; give them to its container: docker run --pid=host \
                 {}, or in Kubernetes hostPID: true and securityContext.capabilities.add: [{}].",
                container_flags(),
                ALL.map(|it| short(&it)).join(", ")
            )
        } else {
            let typed: Vec<String> = arguments.map(|argument| quoted(&argument)).collect();
            format!(
                "Type: sudo {} {} — or give the program the rights once: sudo setcap {} {}",
                quoted(program),
                typed.join(" "),
                setcap_list(),
                quoted(program)
            )
        };
        Err(RightsError {
            missing: missing.join(" and "),
            remedy,
        })
    }
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,+@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: Status) -> String {
        let mut typed = ["record", "-o", "my file.svg"]
            .map(str::to_owned)
            .into_iter();
        let checked = status.check("/opt/strata", &mut typed);
        checked.map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn what_is_missing_and_what_to_type() {
        let none = Status::default();
        let text = told(none);
        assert!(
            text.starts_with("Strata lacks CAP_BPF and CAP_PERFMON,"),
            "{text}"
        );
        assert!(
            text.contains("Type: sudo /opt/strata record -o 'my file.svg' —"),
            "{text}"
        );
        assert!(text.ends_with("+ep /opt/strata"), "{text}");
        let text = told(Status {
            capabilities: 1 << 39,
            root: true,
            ..none
        });
        assert!(text.starts_with("Strata lacks CAP_PERFMON,"), "{text}");
        assert!(text.contains("--cap-add BPF --cap-add PERFMON"), "{text}");
        let text = told(Status {
            no_new_privileges: true,
            ..none
        });
        assert!(
            text.contains("no_new_privs") && !text.contains("Type"),
            "{text}"
        );
    }

    #[test]
    fn enough_rights() {
        for capabilities in [1 << 38 | 1 << 39, 1 << 21, u64::MAX] {
            let status = Status {
                capabilities,
                ..Status::default()
            };
            assert_eq!(told(status), "");
        }
    }

    #[test]
    fn what_is_typed_names_all() {
        let flags = container_flags();
        assert!(flags.starts_with("--cap-add BPF --cap-add PERFMON --cap-add SYS_PTRACE"));
        assert!(setcap_list().ends_with(",cap_checkpoint_restore,cap_syslog+ep"));
    }

    #[test]
    fn status_files() {
        let text = "Name:\tx\nUid:\t0\t1000\t0\t0\nNoNewPrivs:\t1\nCapEff:\t000001ffffffffff\n";
        let expected = Status {
            capabilities: 0x1ff_ffff_ffff,
            seccomp: false,
            no_new_privileges: true,
            root: false,
        };
        assert_eq!(Status::parse(text), Some(expected));
        let root = Status::parse("Uid:\t1000\t0\t0\t0\nCapEff:\t0\n");
        assert!(root.expect("a status").root);
        let text = "Name:\tstrata\nCapPrm:\t000001ffffffffff\nCapEff:\t000000c000000004\n\
                    NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        let status = Status::parse(text).expect("a status");
        assert!(status.has(2) && status.has(38) && status.has(39));
        assert!(!status.has(21) && !status.has(40));
        assert!(status.seccomp && status.no_new_privileges);
        // A kernel without seccomp has no such line.
        let status = Status::parse("CapEff:\t0000000000000000\n").expect("a status");
        assert_eq!(status, Status::default());
        assert_eq!(Status::parse("CapEff:\tx\n"), None);
        assert_eq!(Status::parse(""), None);
        assert!(Status::read().is_some(), "our own status");
    }
}
