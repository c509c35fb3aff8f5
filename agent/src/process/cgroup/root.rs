//! Where this process's cgroup namespace begins. The paths in `/proc/PID/cgroup` count from there,
//! with `..` for what is above it, so that the container around the reader itself is in none of
//! them: for its own processes they are `/`.
//!
//! Where that is can't be asked. But the machine's first process, or another outside, has the whole
//! hierarchies mounted, and in one of their directories is our own pid; our own path leads from there
//! back to the root.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use agent_common::kernel::CGROUP_DEFAULT;

use super::container::{MEMBERSHIP, lines};
use super::hierarchy::{Hierarchy, hierarchies, hierarchies_of};

/// Inode number of the first cgroup namespace (`PROC_CGROUP_INIT_INO` in Linux
/// `include/linux/proc_ns.h`).
const FIRST: &str = "cgroup:[4026531835]";
/// Most mount namespaces that are looked at, where the first process may not be.
const OUTSIDE: usize = 16;
/// Most bytes of `cgroup.procs` that are looked at.
const PROCESSES: u64 = 1 << 20;

/// The root of our namespace in each hierarchy, by its controllers as `/proc/PID/cgroup` has them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Roots(HashMap<Vec<u8>, PathBuf>);

impl Roots {
    /// A path of `/proc/PID/cgroup` as the machine's first namespace has it, if that is known.
    pub fn whole(&self, controllers: &[u8], path: &[u8]) -> Option<Vec<u8>> {
        let root = self.0.get(controllers)?;
        let mut whole: Vec<&[u8]> = root
            .iter()
            .map(OsStr::as_encoded_bytes)
            .filter(|part| *part != b"/")
            .collect();
        for part in path.split(|&byte| byte == b'/') {
            match part {
                b"" => {}
                b".." => drop(whole.pop()),
                part => whole.push(part),
            }
        }
        Some(whole.join(&b'/'))
    }

    #[cfg(test)]
    pub fn of(roots: &[(&str, &str)]) -> Self {
        let roots = roots.iter();
        Self(
            roots
                .map(|(controllers, path)| (controllers.as_bytes().to_vec(), path.into()))
                .collect(),
        )
    }
}

/// Those of this process, found once. None: nothing is hidden from it.
pub fn roots() -> Option<&'static Roots> {
    static ROOTS: OnceLock<Option<Roots>> = OnceLock::new();
    ROOTS.get_or_init(find).as_ref()
}

fn find() -> Option<Roots> {
    let namespace = fs::read_link("/proc/self/ns/cgroup").ok()?;
    if namespace == Path::new(FIRST) {
        return None;
    }
    let membership = File::open("/proc/self/cgroup").ok()?;
    let mut text = Vec::new();
    membership.take(MEMBERSHIP).read_to_end(&mut text).ok()?;
    let own: Vec<(&[u8], &[u8])> = lines(&text).collect();
    // Our own line's number stands for its hierarchy.
    let number = |option: &str| {
        let with = |controllers: &[u8]| {
            let mut all = controllers.split(|&byte| byte == b',');
            all.any(|name| name == option.as_bytes())
        };
        let found = own.iter().position(|(controllers, _)| with(controllers));
        found.map(|position| position as u32)
    };
    let mut roots = Roots::default();
    let mut take = |hierarchies: Vec<Hierarchy>| {
        for hierarchy in hierarchies {
            let line = match hierarchy.subsystem {
                CGROUP_DEFAULT => own.iter().find(|(controllers, _)| controllers.is_empty()),
                position => own.get(position as usize),
            };
            let Some((controllers, path)) = line else {
                continue;
            };
            let found = own_place(&hierarchy).and_then(|place| root(&place, path));
            let known = roots.0.entry(controllers.to_vec()).or_default();
            // Who sees more of it sees more above us.
            if let Some(found) = found
                && found.components().count() > known.components().count()
            {
                *known = found;
            }
        }
        roots.0.values().any(|root| *root != Path::new(""))
    };
    // What the first process has mounted is everything.
    if !take(hierarchies(&number)) {
        for pid in outside() {
            if take(hierarchies_of(&pid, &number)) {
                break;
            }
        }
    }
    tracing::debug!(?roots, "the roots of this cgroup namespace");
    Some(roots)
}

/// Processes outside of all cgroup namespaces, one of each mount namespace.
pub(super) fn outside() -> Vec<String> {
    let link = |pid: &str, name: &str| fs::read_link(format!("/proc/{pid}/ns/{name}")).ok();
    let mut mounts = vec![link("self", "mnt")];
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let namespace = link(&name, "cgroup");
        if namespace.is_none_or(|namespace| namespace != Path::new(FIRST)) {
            continue;
        }
        let mount = link(&name, "mnt");
        if !mounts.contains(&mount) {
            mounts.push(mount);
            found.push(name);
        }
        if found.len() == OUTSIDE {
            break;
        }
    }
    found
}

/// Our own cgroup below a hierarchy's mount.
fn own_place(hierarchy: &Hierarchy) -> Option<PathBuf> {
    let own = std::process::id().to_string();
    let mut found = None;
    super::walk(&hierarchy.mount, &mut |directory| {
        if found.is_none() && has_process(directory, &own) {
            found = Some(directory.to_owned());
        }
        found.is_none()
    });
    let found = found?;
    found.strip_prefix(&hierarchy.mount).ok().map(PathBuf::from)
}

fn has_process(directory: &Path, pid: &str) -> bool {
    let Ok(file) = File::open(directory.join("cgroup.procs")) else {
        return false;
    };
    let lines = BufReader::new(file.take(PROCESSES)).split(b'\n');
    lines
        .map_while(Result::ok)
        .any(|line| line == pid.as_bytes())
}

/// What is left of our place without the path that leads to it from the root.
fn root(place: &Path, path: &[u8]) -> Option<PathBuf> {
    let path = Path::new(std::str::from_utf8(path).ok()?);
    let inside: PathBuf = path
        .components()
        .filter(|part| *part != Component::RootDir)
        .collect();
    // We may have been moved out of our namespace.
    let normal = |part| matches!(part, Component::Normal(_));
    if !inside.components().all(normal) || !place.ends_with(&inside) {
        return None;
    }
    let depth = place.components().count() - inside.components().count();
    Some(place.components().take(depth).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_path_leads_back_to_the_root() {
        let root = |place: &str, path: &str| root(Path::new(place), path.as_bytes());
        assert_eq!(root("docker/a", "/"), Some("docker/a".into()));
        assert_eq!(root("docker/a/init", "/init"), Some("docker/a".into()));
        assert_eq!(root("docker/a", "/docker/a"), Some("".into()));
        assert_eq!(root("", "/"), Some("".into()));
        assert_eq!(root("docker", "/.."), None);
        assert_eq!(root("docker/a", "/b"), None);
        assert_eq!(root("a", "/a/a"), None);
    }

    #[test]
    fn paths_from_the_first_namespace() {
        let roots = Roots::of(&[("", "kubepods/pod/own"), ("cpu,cpuacct", "own")]);
        let whole = |controllers: &str, path: &str| {
            let whole = roots.whole(controllers.as_bytes(), path.as_bytes())?;
            String::from_utf8(whole).ok()
        };
        let is = |path: &str| Some(path.to_owned());
        assert_eq!(whole("", "/"), is("kubepods/pod/own"));
        assert_eq!(whole("", "/init"), is("kubepods/pod/own/init"));
        assert_eq!(whole("", "/../other"), is("kubepods/pod/other"));
        assert_eq!(whole("", "/../../../../../x"), is("x"));
        assert_eq!(whole("cpu,cpuacct", "/"), is("own"));
        assert_eq!(whole("memory", "/"), None);
    }

    #[test]
    fn our_own_place() {
        // Nothing is hidden from the tests, or something is: both are right, and neither panics.
        if let Some(Roots(roots)) = roots() {
            assert!(roots.values().all(|root| root.is_relative()));
        }
    }
}
