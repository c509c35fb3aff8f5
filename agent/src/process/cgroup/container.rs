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
use super::root::{Roots, roots};

/// Hexadecimal digits of an id.
const ID: usize = 64;
/// The same of an ECS task.
const TASK: usize = 32;
/// Fewest digits that may stand for an id.
pub const PREFIX: usize = 12;
/// Most bytes of a `cgroup` file: a line for each of some 14 hierarchies.
pub(super) const MEMBERSHIP: u64 = 256 << 10;

/// The container that a process is in, by its cgroups.
pub fn container_id(process: &ProcessHandle) -> Option<String> {
    let text = process.read("cgroup", MEMBERSHIP).ok()?;
    if let Some(id) = id_in_membership(&text) {
        return Some(id.to_owned());
    }
    // It may be in the part of the path that a cgroup namespace hides: the container that we
    // ourselves are in.
    id_with_roots(&text, roots()?)
}

/// Where a process is, by the names of its cgroups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub container_id: Option<String>,
    pub pod_uid: Option<String>,
}

impl Place {
    /// `names`: of its cgroup and those above it, the innermost first.
    pub fn of<'a>(names: impl DoubleEndedIterator<Item = &'a [u8]>) -> Self {
        let path: Vec<&[u8]> = names.rev().collect();
        let path = path.join(&b'/');
        Self {
            container_id: id_in_path(&path).map(|(_, id)| id.to_owned()),
            pod_uid: pod_in_path(&path),
        }
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        let texts = [&self.container_id, &self.pod_uid].into_iter().flatten();
        texts.map(String::capacity).sum()
    }
}

/// The pod that a process is in, by its cgroups: the uid that the kubelet put there.
pub fn pod_uid(process: &ProcessHandle) -> Option<String> {
    let text = process.read("cgroup", MEMBERSHIP).ok()?;
    if let Some(uid) = lines(&text).find_map(|(_, path)| pod_in_path(path)) {
        return Some(uid);
    }
    let roots = roots()?;
    lines(&text).find_map(|(controllers, path)| pod_in_path(&roots.whole(controllers, path)?))
}

/// The outermost pod of a path: who is in one may make cgroups below its own, with any names. With the cgroupfs driver its cgroup is `pod<uid>`, with systemd's
/// `kubepods[-<class>]-pod<uid>.slice` with underscores; both below one whose name has `kubepods`.
/// A static pod has 32 digits instead of a uid.
fn pod_in_path(path: &[u8]) -> Option<String> {
    let names = path.split(|&byte| byte == b'/').map(std::str::from_utf8);
    let mut is_below = false;
    for name in names.filter_map(Result::ok) {
        is_below |= name.contains("kubepods");
        let uid = match name.strip_suffix(".slice") {
            Some(slice) => slice.rsplit_once("-pod").map(|(_, uid)| uid),
            None => name.strip_prefix("pod"),
        };
        if let Some(uid) = uid.filter(|uid| is_below && is_uid(uid)) {
            return Some(uid.replace('_', "-"));
        }
    }
    None
}

fn is_uid(text: &str) -> bool {
    match text.len() {
        TASK => is_hexadecimal(text),
        36 => text.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => matches!(byte, b'-' | b'_'),
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        }),
        _ => false,
    }
}

/// The container of a `/proc/PID/cgroup` file. Of containers in each other the innermost one, which
/// may have a cgroup in some hierarchies only.
pub fn id_in_membership(text: &[u8]) -> Option<&str> {
    let mut innermost = None;
    for (depth, id) in lines(text).filter_map(|(_, path)| id_in_path(path)) {
        if innermost.is_none_or(|(other, _)| depth > other) {
            innermost = Some((depth, id));
        }
    }
    innermost.map(|(_, id)| id)
}

/// The same by whole paths.
fn id_with_roots(text: &[u8], roots: &Roots) -> Option<String> {
    lines(text).find_map(|(controllers, path)| {
        let whole = roots.whole(controllers, path)?;
        id_in_path(&whole).map(|(_, id)| id.to_owned())
    })
}

/// Controllers and path of each hierarchy.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let lines = text.split(|&byte| byte == b'\n');
    lines.filter_map(|line| {
        // Number, controllers, path; the path may have colons.
        let mut fields = line.splitn(3, |&byte| byte == b':');
        let _number = fields.next()?;
        let controllers = fields.next()?;
        let path = fields.next()?;
        // The process is ending, and its cgroup is gone.
        Some((
            controllers,
            path.strip_suffix(b" (deleted)").unwrap_or(path),
        ))
    })
}

/// The innermost container of a path, and how deep it is.
fn id_in_path(path: &[u8]) -> Option<(usize, &str)> {
    let names = path.split(|&byte| byte == b'/').enumerate();
    let ids = names.filter_map(|(depth, name)| Some((depth, id_in_name(name)?)));
    ids.last()
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
mod tests;
