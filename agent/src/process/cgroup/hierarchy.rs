//! Which cgroup hierarchies are mounted where, and what the kernel side compares in each.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use agent_common::kernel::CGROUP_DEFAULT;

use crate::process::mount::{MOUNTS, Mount};

/// v1 controllers that any container engine uses come first, the CPU's own before all.
const PREFERRED: [&str; 5] = ["cpu", "cpuacct", "memory", "pids", "devices"];

/// A mounted hierarchy that the kernel side can compare cgroups in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where its directories are.
    pub mount: PathBuf,
    /// Index in `css_set.subsys`, or [`CGROUP_DEFAULT`] for v2.
    pub subsystem: u32,
    /// For people: `cgroup v2`, or `cgroup v1 (cpu)`.
    pub name: String,
}

impl Hierarchy {
    pub fn is_v2(&self) -> bool {
        self.subsystem == CGROUP_DEFAULT
    }

    /// Whether any process is in a cgroup of it or below. The root always has some.
    pub fn is_populated(&self, directory: &Path) -> bool {
        if self.is_v2() {
            return fs::read(directory.join("cgroup.events")).map_or(
                directory == self.mount,
                |text| {
                    text.split(|&byte| byte == b'\n')
                        .any(|line| line == b"populated 1")
                },
            );
        }
        let mut found = false;
        super::walk(directory, &mut |directory| {
            found |= has_process(directory);
            !found
        });
        found
    }
}

fn has_process(directory: &Path) -> bool {
    let first =
        File::open(directory.join("cgroup.procs")).and_then(|mut file| file.read(&mut [0u8; 16]));
    first.is_ok_and(|length| length > 0)
}

/// All usable hierarchies, the one to prefer first: v2, then v1 by [`PREFERRED`]. `subsystem` gives
/// the running kernel's index of a controller.
///
/// The mounts are those of the machine's first process where it can be looked at: in a container
/// with a cgroup namespace, the agent's own show its own cgroups only.
pub fn hierarchies(subsystem: &dyn Fn(&str) -> Option<u32>) -> Vec<Hierarchy> {
    let link = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let first = link("1");
    let mut found = Vec::new();
    if first.is_some() && first != link("self") {
        found = hierarchies_of("1", subsystem);
    }
    if found.is_empty() {
        found = in_mounts_of("/proc/self/mountinfo", Path::new("/"), subsystem);
    }
    found
}

/// The same as another process has them mounted.
pub fn hierarchies_of(pid: &str, subsystem: &dyn Fn(&str) -> Option<u32>) -> Vec<Hierarchy> {
    hierarchies_below(Path::new(&format!("/proc/{pid}/root")), pid, subsystem)
}

/// The same where its root is seen at another place.
pub fn hierarchies_below(
    root: &Path,
    pid: &str,
    subsystem: &dyn Fn(&str) -> Option<u32>,
) -> Vec<Hierarchy> {
    let mountinfo = format!("/proc/{pid}/mountinfo");
    let mut found = in_mounts_of(&mountinfo, root, subsystem);
    found.retain(|hierarchy| hierarchy.mount.is_dir());
    found
}

fn in_mounts_of(
    path: &str,
    root: &Path,
    subsystem: &dyn Fn(&str) -> Option<u32>,
) -> Vec<Hierarchy> {
    match File::open(path) {
        Ok(file) => parse(BufReader::new(file.take(MOUNTS)), root, subsystem),
        Err(_) => Vec::new(),
    }
}

/// Reads a `mountinfo` file; `root` is put before its mount points.
fn parse(
    mountinfo: impl BufRead,
    root: &Path,
    subsystem: &dyn Fn(&str) -> Option<u32>,
) -> Vec<Hierarchy> {
    let mut found: Vec<(usize, Hierarchy)> = Vec::new();
    for line in mountinfo.split(b'\n').map_while(Result::ok) {
        let Some(mount) = Mount::parse(&line) else {
            continue;
        };
        let (rank, subsystem, name) = match mount.kind {
            b"cgroup2" => (0, CGROUP_DEFAULT, "cgroup v2".to_owned()),
            b"cgroup" => {
                let controllers = mount
                    .options
                    .split(|&byte| byte == b',')
                    .filter_map(|option| {
                        let name = std::str::from_utf8(option).ok()?;
                        let rank = PREFERRED.iter().position(|&preferred| preferred == name);
                        Some((rank.unwrap_or(PREFERRED.len()) + 1, subsystem(name)?, name))
                    });
                let Some((rank, index, name)) = controllers.min() else {
                    continue;
                };
                (rank, index, format!("cgroup v1 ({name})"))
            }
            _ => continue,
        };
        // One mounted twice is the same; the first is seldom part of it only.
        if found.iter().all(|(_, other)| other.subsystem != subsystem) {
            let inside = mount.point.strip_prefix("/").unwrap_or(&mount.point);
            found.push((
                rank,
                Hierarchy {
                    mount: root.join(inside),
                    subsystem,
                    name,
                },
            ));
        }
    }
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().map(|(_, hierarchy)| hierarchy).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &[u8] = b"31 23 0:28 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw,mode=755\n\
        35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:7 master:2 - cgroup cgroup rw,memory\n\
        32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        36 31 0:32 / /mnt/again rw - cgroup cgroup rw,memory\n\
        40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
        41 31 0:38 / /sys/fs/cgroup/my\\040unified rw - cgroup2 cgroup2 rw\n\
        42 31 0:39 / /broken rw\n\n\xFF\n";

    fn subsystem(name: &str) -> Option<u32> {
        let index = ["cpuset", "cpu", "cpuacct", "io", "memory"]
            .iter()
            .position(|&n| n == name)?;
        Some(index as u32)
    }

    #[test]
    fn hybrid() {
        let found = parse(HYBRID, Path::new("/proc/1/root"), &subsystem);
        let found: Vec<_> = found
            .iter()
            .map(|found| {
                (
                    found.mount.to_str().unwrap_or_default(),
                    found.subsystem,
                    &*found.name,
                )
            })
            .collect();
        let expected = [
            (
                "/proc/1/root/sys/fs/cgroup/my unified",
                CGROUP_DEFAULT,
                "cgroup v2",
            ),
            (
                "/proc/1/root/sys/fs/cgroup/cpu,cpuacct",
                1,
                "cgroup v1 (cpu)",
            ),
            ("/proc/1/root/sys/fs/cgroup/memory", 4, "cgroup v1 (memory)"),
        ];
        assert_eq!(found, expected);
    }
}
