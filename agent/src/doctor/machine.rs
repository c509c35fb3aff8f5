//! What kind of machine and kernel this is.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::report::{Check, Finding, Group, State};
use crate::bpf::cpus;
use crate::bpf::kernel::{BTF_PATH, KernelError, cgroup_subsystem, kernel_offsets, version};
use crate::bpf::limits::OLDEST;
use crate::process::cgroup::hierarchy::{Hierarchy, hierarchies};
use crate::process::mount;

/// The machine's checks.
pub fn checks(release: &str) -> Vec<Check> {
    let mut checks = vec![kernel(release), architecture()];
    checks.extend(btf());
    checks.extend([cpus(), cgroups(), tracefs()]);
    checks
}

fn kernel(release: &str) -> Check {
    let label = "kernel";
    let finding = match version(release) {
        Some(version) if version < OLDEST => {
            Finding::new(State::Fail, label, format!("{release}: too old."))
                .remedy("Use Linux 5.10 or newer.")
        }
        Some(_) => Finding::ok(label, format!("Linux {release} (5.10 or newer is needed)")),
        None => Finding::new(
            State::Warn,
            label,
            format!("{release}: no version that can be read."),
        )
        .remedy("Make sure that it is Linux 5.10 or newer, and that /proc is mounted."),
    };
    Check::new(Group::Machine, "kernel", release, finding)
}

fn architecture() -> Check {
    let (label, name) = ("architecture", std::env::consts::ARCH);
    let finding = match name {
        "x86_64" => Finding::ok(label, name),
        "aarch64" => Finding::new(
            State::Warn,
            label,
            format!("{name}: native stacks only, and not tried so far."),
        )
        .remedy("For Python frames use a machine with x86_64."),
        _ => Finding::new(State::Fail, label, format!("{name}: not supported."))
            .remedy("Use a machine with x86_64 or arm64."),
    };
    Check::new(Group::Machine, "architecture", name, finding)
}

/// The kernel's types, and what the kernel side needs of them.
fn btf() -> Vec<Check> {
    let label = "BTF";
    match kernel_offsets() {
        Ok(offsets) => {
            let yes = |it: u32| it != 0;
            let form = json!({
                "maple_tree": yes(offsets.has_maple_tree),
                "typed_tasks": yes(offsets.has_task_btf),
                "task_registers": yes(offsets.has_task_pt_regs),
            });
            let tree = if yes(offsets.has_maple_tree) {
                "a maple tree"
            } else {
                "a red-black tree"
            };
            let task = if yes(offsets.has_task_btf) {
                "loads"
            } else {
                "probe reads"
            };
            let form_detail = format!("mappings are in {tree}; tasks are read by {task}");
            vec![
                Check::new(
                    Group::Machine,
                    "btf",
                    true,
                    Finding::ok(
                        label,
                        format!("{BTF_PATH} has every struct that Strata reads"),
                    ),
                ),
                Check::new(
                    Group::Machine,
                    "kernel_structs",
                    form,
                    Finding::ok("kernel structs", form_detail).more(),
                ),
            ]
        }
        Err(error) => {
            let (detail, remedy) = explain(&error);
            let finding = Finding::new(State::Fail, label, detail).remedy(remedy);
            vec![Check::new(Group::Machine, "btf", false, finding)]
        }
    }
}

fn explain(error: &KernelError) -> (String, &'static str) {
    match error {
        KernelError::NoBtf { .. } => (
            format!("there is no {BTF_PATH}, so the layout of the kernel's structs is unknown."),
            "Mount sysfs at /sys (in a container: -v /sys:/sys:ro); if that is so, use a kernel \
             built with CONFIG_DEBUG_INFO_BTF=y, as the distributions' are.",
        ),
        KernelError::Unreadable { source, .. } => (
            format!("{BTF_PATH} can't be read: {source}."),
            "Run it as root, with sysfs mounted at /sys.",
        ),
        KernelError::Malformed { source, .. } => (
            format!("{BTF_PATH} can't be understood: {source}."),
            "Use a newer strata, or report it with the kernel's name.",
        ),
        KernelError::Missing { member, .. } => (
            format!("this kernel has no {member}, which Strata needs."),
            "Use Linux 5.10 or newer, or a newer strata.",
        ),
        KernelError::Changed { member, cause, .. } => (
            format!("this kernel keeps {member} in another way than Strata knows: {cause}."),
            "Use a newer strata, or report it with the kernel's name.",
        ),
    }
}

fn cpus() -> Check {
    let (online, possible) = (cpus::online().len(), cpus::possible());
    let detail = format!("{online} online, {possible} possible");
    let value = json!({"online": online, "possible": possible});
    Check::new(Group::Machine, "cpus", value, Finding::ok("CPUs", detail))
}

fn cgroups() -> Check {
    let label = "cgroups";
    let found = hierarchies(&cgroup_subsystem);
    // Without BTF those of v1 can't be used, and are there all the same.
    let layout = layout(&hierarchies(&|_| Some(0)));
    let value = json!({
        "layout": layout,
        "hierarchies": found
            .iter()
            .map(|it| json!({"name": it.name, "mount": it.mount}))
            .collect::<Vec<Value>>(),
    });
    let finding = match found.first() {
        Some(first) => {
            let others = match found.len() {
                1 => String::new(),
                2 => ", then in 1 other".to_owned(),
                number => format!(", then in {} others", number - 1),
            };
            let detail = format!(
                "{layout}: --container and --cgroup look in {} at {} first{others}",
                first.name,
                first.mount.display(),
            );
            Finding::ok(label, detail)
        }
        None => Finding::new(
            State::Warn,
            label,
            "no hierarchy that can be used: --container and --cgroup do not work.",
        )
        .remedy(
            "Mount one at /sys/fs/cgroup; in a container give it the host's: \
             -v /sys/fs/cgroup:/sys/fs/cgroup:ro --cgroupns=host. (Those of v1 need BTF.)",
        ),
    };
    Check::new(Group::Machine, "cgroups", value, finding)
}

fn layout(found: &[Hierarchy]) -> &'static str {
    let v2 = found.iter().any(Hierarchy::is_v2);
    let v1 = found.iter().any(|it| !it.is_v2());
    match (v1, v2) {
        (true, true) => "hybrid",
        (true, false) => "v1",
        (false, true) => "v2",
        (false, false) => "none",
    }
}

fn tracefs() -> Check {
    let label = "tracefs";
    let place = mount::mounted("tracefs");
    let detail = match &place {
        Some(place) => format!("mounted at {}; Strata does not need it", place.display()),
        None => "not mounted; Strata does not need it".to_owned(),
    };
    let value = place.map(|place| place.display().to_string());
    Check::new(
        Group::Machine,
        "tracefs",
        value,
        Finding::ok(label, detail).more(),
    )
}

/// Hardware counters by the names of their devices.
pub fn counters() -> Vec<String> {
    let devices = Path::new("/sys/bus/event_source/devices");
    let mut found: Vec<String> = fs::read_dir(devices)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| is_counter(name))
        .collect();
    found.sort();
    found
}

/// Whether a device of perf counts what a CPU does: `cpu`, `cpu_core` and `cpu_atom` where there
/// are two kinds, `armv8_pmuv3_0` and the like.
fn is_counter(name: &str) -> bool {
    matches!(name, "cpu" | "cpu_core" | "cpu_atom") || name.starts_with("armv8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hierarchy(subsystem: u32) -> Hierarchy {
        Hierarchy {
            mount: "/sys/fs/cgroup".into(),
            subsystem,
            name: String::new(),
        }
    }

    #[test]
    fn layouts() {
        let v2 = || hierarchy(agent_common::kernel::CGROUP_DEFAULT);
        let v1 = || hierarchy(1);
        assert_eq!(layout(&[v2(), v1(), v1()]), "hybrid");
        assert_eq!(layout(&[v2()]), "v2");
        assert_eq!(layout(&[v1()]), "v1");
        assert_eq!(layout(&[]), "none");
    }

    #[test]
    fn releases() {
        let state = |release| kernel(release).finding.state;
        assert_eq!(state("5.10.0-32-cloud-amd64"), State::Ok);
        assert_eq!(state("5.9.16"), State::Fail);
        assert_eq!(state("4.19.0"), State::Fail);
        assert_eq!(state("6.12.95+deb12-cloud-amd64"), State::Ok);
        assert_eq!(state("(of unknown release)"), State::Warn);
    }

    #[test]
    fn devices() {
        assert!(is_counter("cpu") && is_counter("cpu_atom") && is_counter("armv8_pmuv3_0"));
        assert!(!is_counter("software") && !is_counter("msr") && !is_counter("cpum_cf"));
    }
}
