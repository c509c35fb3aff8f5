//! Container ids as engines put them into the names of cgroups:
//!
//! | engine | last part of the path |
//! |---|---|
//! | docker, containerd, podman with cgroupfs | `<id>`, `libpod-<id>` |
//! | the same under systemd | `docker-<id>.scope`, `cri-containerd-<id>.scope`, `libpod-<id>.scope` |
//! | CRI-O | `crio-<id>.scope`, `crio-<id>` |
//! | containerd told a systemd path without using systemd | `….slice:cri-containerd:<id>` |
//! | ECS | `<32 digits>-<number>` |
//!
//! with the container's own cgroups below them.

use super::super::identity::ProcessHandle;

/// Hexadecimal digits of an id.
const ID: usize = 64;
/// The same of an ECS task.
const TASK: usize = 32;
/// Fewest digits that may stand for an id.
pub const PREFIX: usize = 12;
/// Most bytes of a `cgroup` file: a line for each of some 14 hierarchies.
const MEMBERSHIP: u64 = 256 << 10;

/// The container that a process is in, by its cgroups.
pub fn container_id(process: &ProcessHandle) -> Option<String> {
    id_in_membership(&process.read("cgroup", MEMBERSHIP).ok()?).map(str::to_owned)
}

/// The container of a `/proc/PID/cgroup` file. Of containers in each other the innermost one.
pub fn id_in_membership(text: &[u8]) -> Option<&str> {
    text.split(|&byte| byte == b'\n').find_map(|line| {
        // Number, controllers, path; the path may have colons.
        let path = line.splitn(3, |&byte| byte == b':').nth(2)?;
        path.rsplit(|&byte| byte == b'/')
            .find_map(|name| id_in_name(name))
    })
}

/// The id in the name of one cgroup, if it is a container's.
pub fn id_in_name(name: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(name).ok()?;
    let name = name.strip_suffix(".scope").unwrap_or(name);
    // The engine's own helper beside the container.
    if name.contains("conmon") {
        return None;
    }
    if let Some(start) = name.len().checked_sub(ID)
        && let Some(id) = name.get(start..).filter(|id| is_hexadecimal(id))
        && name[..start]
            .chars()
            .last()
            .is_none_or(|before| matches!(before, '-' | ':'))
    {
        return Some(id);
    }
    let (task, number) = name.split_once('-')?;
    let is_task = task.len() == TASK
        && is_hexadecimal(task)
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit());
    is_task.then_some(name)
}

/// Whether a text can stand for an id: the first 12 digits or more of one.
pub fn is_id_prefix(text: &str) -> bool {
    let digits = text.split_once('-').map_or(text, |(task, _)| task);
    (PREFIX..=ID).contains(&digits.len()) && is_hexadecimal(digits)
}

/// Engines write lower-case digits only.
fn is_hexadecimal(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn id(name: &str) -> Option<&str> {
        id_in_name(name.as_bytes())
    }

    #[test]
    fn names() {
        for name in [
            A.to_owned(),
            format!("docker-{A}.scope"),
            format!("cri-containerd-{A}.scope"),
            format!("crio-{A}"),
            format!("libpod-{A}.scope"),
            format!("kubepods-besteffort-pod1234.slice:cri-containerd:{A}"),
        ] {
            assert_eq!(id(&name), Some(A), "{name}");
        }
        let task = format!("{}-3456789", &A[..32]);
        assert_eq!(id(&task), Some(&*task));
        for name in [
            format!("crio-conmon-{A}.scope"),
            format!("0{A}"),
            A[1..].to_owned(),
            A.to_uppercase(),
            "system.slice".to_owned(),
            format!("{}-", &A[..32]),
            format!("{}é{}", &A[..31], &A[..32]),
        ] {
            assert_eq!(id(&name), None, "{name}");
        }
        assert_eq!(id_in_name(b"\xFF"), None);
    }

    #[test]
    fn memberships() {
        let b = A.replace('0', "f");
        let text = format!("12:pids:/\n1:name=systemd:/docker/{A}/docker/{b}/init.scope\n0::/\n");
        assert_eq!(id_in_membership(text.as_bytes()), Some(&*b));
        let text = format!("0::/../kubepods-burstable.slice/cri-containerd-{A}.scope\n");
        assert_eq!(id_in_membership(text.as_bytes()), Some(A));
        assert_eq!(id_in_membership(b"0::/user.slice\nnonsense\n:\n"), None);
    }

    #[test]
    fn prefixes() {
        assert!(is_id_prefix(&A[..12]) && is_id_prefix(A));
        assert!(!is_id_prefix(&A[..11]) && !is_id_prefix("my-container"));
        assert!(is_id_prefix(&format!("{}-77", &A[..32])));
    }
}
