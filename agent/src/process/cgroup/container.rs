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

use std::borrow::Cow;
use std::fs::File;
use std::io::Read as _;
use std::sync::OnceLock;

use super::super::identity::ProcessHandle;
use super::root::{Roots, roots};

/// Hexadecimal digits of an id.
const ID: usize = 64;
/// The same of an ECS task.
const TASK: usize = 32;
/// In the names of the kubelet's cgroups.
const KUBEPODS: &[u8] = b"kubepods";
/// Levels of a container's cgroup: `/`, `kubepods`, `burstable`, a pod, it.
const USUAL_LEVELS: usize = 5;
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
    /// `names`: of its cgroup and those above it, the innermost first. `levels`: how many there are up
    /// to the root, 0 if that is not known.
    pub fn of<'a>(names: impl DoubleEndedIterator<Item = &'a [u8]>, levels: u32) -> Self {
        let path: Vec<&[u8]> = names.rev().collect();
        let path = path.join(&b'/');
        // Whoever may make cgroups below its container's can name them like another pod's. Those are
        // deeper than containers are.
        let is_whole = levels != 0 && levels as usize <= container_levels();
        Self {
            container_id: id_in_path(&path).map(|(_, id)| id.to_owned()),
            pod_uid: pod_in_path(&path).filter(|_| is_whole),
        }
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        let texts = [&self.container_id, &self.pod_uid].into_iter().flatten();
        texts.map(String::capacity).sum()
    }
}

/// Levels of a container's cgroup and those above it, the root counted: those of the container that
/// we are in, if it is in a pod.
fn container_levels() -> usize {
    static LEVELS: OnceLock<usize> = OnceLock::new();
    *LEVELS.get_or_init(|| {
        let text = own_membership();
        let paths = lines(&text).filter_map(|line| whole(line, roots()));
        let in_pods = paths.filter(|path| pod_in_path(path).is_some());
        let levels = in_pods.map(|path| 1 + parts(&path).count());
        levels.max().unwrap_or(0).max(USUAL_LEVELS)
    })
}

fn own_membership() -> Vec<u8> {
    let mut text = Vec::new();
    if let Ok(file) = File::open("/proc/self/cgroup") {
        // What can't be read is not known.
        let _ = file.take(MEMBERSHIP).read_to_end(&mut text);
    }
    text
}

/// The pod that a process is in, by its cgroups: the uid that the kubelet put there.
pub fn pod_uid(process: &ProcessHandle) -> Option<String> {
    let text = process.read("cgroup", MEMBERSHIP).ok()?;
    pod_in_membership(&text, roots())
}

/// The pod that we ourselves are in.
pub fn own_pod_uid() -> Option<String> {
    pod_in_membership(&own_membership(), roots())
}

/// `roots`: of our cgroup namespace, if we are in one.
fn pod_in_membership(text: &[u8], roots: Option<&Roots>) -> Option<String> {
    lines(text).find_map(|line| pod_in_path(&whole(line, roots)?))
}

/// A path from the root on; or, where what is hidden from us is not known, one that begins with a
/// cgroup of the kubelet's, above which there is no other pod.
fn whole<'a>(
    (controllers, path): (&[u8], &'a [u8]),
    roots: Option<&Roots>,
) -> Option<Cow<'a, [u8]>> {
    let Some(roots) = roots else {
        return Some(path.into());
    };
    let whole = roots.whole(controllers, path).map(Cow::from);
    let is_first = |part: &[u8]| part.windows(KUBEPODS.len()).any(|it| it == KUBEPODS);
    whole.or_else(|| {
        let first = parts(path).find(|part| *part != b"..")?;
        is_first(first).then_some(path.into())
    })
}

fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/')
        .filter(|part| !part.is_empty())
}

/// The outermost pod of a path: who is in one may make cgroups below its own, with any names. With the
/// cgroupfs driver its cgroup is `pod<uid>`, with systemd's `kubepods[-<class>]-pod<uid>.slice` with
/// underscores; both below one whose name has `kubepods`. A static pod has 32 digits instead of a uid.
/// None is in `user.slice`, where users may make any.
fn pod_in_path(path: &[u8]) -> Option<String> {
    let names = path.split(|&byte| byte == b'/').map(std::str::from_utf8);
    let mut is_below = false;
    for name in names.filter_map(Result::ok) {
        if name == "user.slice" {
            return None;
        }
        is_below |= name.contains("kubepods");
        // What is told a systemd path and does not use systemd: `<slice>:cri-containerd:<id>`.
        let name = name.split(':').next().unwrap_or(name);
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
