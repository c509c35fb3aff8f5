//! Settings of the kernel that have a say in what may be sampled and read.

use std::fs;

use super::report::{Check, Finding, Group, State};
use super::rights::{self, Rights};
use crate::process::rights::{PARANOID, PARANOID_MOST};
use crate::symbols::{KernelSymbols, SymbolError};

/// The rate of `strata record` unless told otherwise, and one that is often asked for.
const USUAL_RATE: i64 = 99;
const HIGH_RATE: i64 = 999;

/// Checks of settings.
pub fn checks(rights: &Rights) -> Vec<Check> {
    let setting = |name| number(&format!("/proc/sys/kernel/{name}"));
    vec![
        paranoid(setting("perf_event_paranoid"), rights),
        highest_rate(setting("perf_event_max_sample_rate")),
        unprivileged(setting("unprivileged_bpf_disabled")),
        kernel_names(setting("kptr_restrict")),
        tracing_scope(setting("yama/ptrace_scope")),
        rights::lockdown(),
        rights::security_module_check(),
    ]
}

fn number(path: &str) -> Option<i64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn check(name: &'static str, value: Option<i64>, finding: Finding) -> Check {
    Check::new(Group::Settings, name, value, finding)
}

fn paranoid(value: Option<i64>, rights: &Rights) -> Check {
    let (may_sample, is_admin) = (rights.may_sample(), rights.status.is_admin());
    let name = "perf_event_paranoid";
    let label = "perf_event_paranoid";
    let finding = match value {
        None => Finding::new(
            State::Fail,
            label,
            "absent: this kernel has no perf events.",
        )
        .remedy("Use a kernel built with CONFIG_PERF_EVENTS=y, and mount /proc."),
        Some(value) if may_sample && !is_admin && value > PARANOID_MOST => Finding::new(
            State::Warn,
            label,
            format!(
                "{value}: Debian's and Ubuntu's kernels take CAP_SYS_ADMIN above {PARANOID_MOST}."
            ),
        )
        .remedy(format!(
            "If the CPU clock is refused below: sudo sysctl {PARANOID}={PARANOID_MOST}"
        )),
        Some(value) if may_sample => {
            let right = if is_admin {
                "CAP_SYS_ADMIN"
            } else {
                "CAP_PERFMON"
            };
            Finding::ok(label, format!("{value}: no matter with {right}"))
        }
        Some(value) => Finding::new(
            State::Warn,
            label,
            format!("{value}: whole CPUs are for processes with CAP_PERFMON."),
        )
        .remedy("Leave it as it is and get CAP_PERFMON; lowering it would not be enough."),
    };
    check(name, value, finding)
}

fn highest_rate(value: Option<i64>) -> Check {
    let name = "perf_event_max_sample_rate";
    let label = "highest rate";
    let raise = "sudo sysctl kernel.perf_event_max_sample_rate=100000 (the kernel lowers it by \
                 itself when interrupts take too long; kernel.perf_cpu_time_max_percent=0 stops \
                 that)";
    let finding = match value {
        None => Finding::ok(label, "not told"),
        Some(value) if value < USUAL_RATE => Finding::new(
            State::Fail,
            label,
            format!("{value} Hz, below the {USUAL_RATE} of strata record."),
        )
        .remedy(raise),
        Some(value) if value < HIGH_RATE => Finding::new(
            State::Warn,
            label,
            format!("{value} Hz: a higher --rate is refused."),
        )
        .remedy(raise),
        Some(value) => Finding::ok(label, format!("{value} Hz (perf_event_max_sample_rate)")),
    };
    check(name, value, finding)
}

fn unprivileged(value: Option<i64>) -> Check {
    let detail = match value {
        None => "not told".to_owned(),
        Some(0) => "0: anybody may load simple programs; Strata's need CAP_BPF".to_owned(),
        Some(value) => format!("{value}: no matter with CAP_BPF"),
    };
    let name = "unprivileged_bpf_disabled";
    check(name, value, Finding::ok(name, detail).more())
}

/// Whether the kernel shows the addresses of its functions.
fn kernel_names(restrict: Option<i64>) -> Check {
    let label = "kernel names";
    let shown = restrict.map_or_else(|| "not told".to_owned(), |value| value.to_string());
    let (count, finding) = match KernelSymbols::load() {
        Ok(symbols) => {
            let count = symbols.count();
            let detail = format!(
                "{count} functions in /proc/kallsyms, with addresses (kptr_restrict {shown})"
            );
            (Some(count), Finding::ok(label, detail))
        }
        Err(SymbolError::KernelRestricted) => {
            let detail =
                format!("hidden (kptr_restrict {shown}): kernel frames read [kernel]+0x….",);
            let remedy = if restrict == Some(2) {
                "sudo sysctl kernel.kptr_restrict=1 (2 hides them from everybody)"
            } else {
                "Get CAP_SYSLOG: run it with sudo."
            };
            (
                None,
                Finding::new(State::Warn, label, detail).remedy(remedy),
            )
        }
        Err(error) => (
            None,
            Finding::new(State::Warn, label, error.to_string())
                .remedy("Mount /proc, and use a kernel built with CONFIG_KALLSYMS=y."),
        ),
    };
    let value = serde_json::json!({"kptr_restrict": restrict, "functions": count});
    Check::new(Group::Settings, "kernel_names", value, finding)
}

/// Yama's say in who may read whose memory.
fn tracing_scope(value: Option<i64>) -> Check {
    let (name, label) = ("ptrace_scope", "ptrace_scope");
    let finding = match value {
        None => Finding::ok(label, "this kernel has none").more(),
        Some(3) => Finding::new(
            State::Warn,
            label,
            "3: nobody may read another process's memory, so that Python's offsets can't be \
             checked: no Python frames.",
        )
        .remedy("Set kernel.yama.ptrace_scope to 2 or less and start the machine anew."),
        Some(0) => Finding::ok(label, "0: processes of one user may read each other").more(),
        Some(value) => Finding::ok(label, format!("{value}: no matter with CAP_SYS_PTRACE")).more(),
    };
    check(name, value, finding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::rights::Status;

    fn state(check: &Check) -> State {
        assert_eq!(
            check.finding.remedy.is_some(),
            matches!(check.finding.state, State::Warn | State::Fail),
            "{check:?}"
        );
        check.finding.state
    }

    #[test]
    fn paranoia() {
        let rights = |capabilities| Rights {
            status: Status {
                capabilities,
                ..Status::default()
            },
            suspects: rights::Suspects::default(),
        };
        let [none, perfmon, admin] = [0, 1 << 38, 1 << 21].map(rights);
        assert_eq!(state(&paranoid(Some(2), &perfmon)), State::Ok);
        assert_eq!(state(&paranoid(Some(3), &perfmon)), State::Warn);
        assert_eq!(state(&paranoid(Some(4), &admin)), State::Ok);
        assert_eq!(state(&paranoid(Some(-1), &none)), State::Warn);
        assert_eq!(state(&paranoid(None, &perfmon)), State::Fail);
    }

    #[test]
    fn rates() {
        assert_eq!(state(&highest_rate(Some(100_000))), State::Ok);
        assert_eq!(state(&highest_rate(Some(500))), State::Warn);
        assert_eq!(state(&highest_rate(Some(25))), State::Fail);
        assert_eq!(state(&highest_rate(None)), State::Ok);
    }

    #[test]
    fn scopes() {
        for (value, expected) in [
            (None, State::Ok),
            (Some(0), State::Ok),
            (Some(2), State::Ok),
            (Some(3), State::Warn),
        ] {
            assert_eq!(state(&tracing_scope(value)), expected, "{value:?}");
        }
    }
}
