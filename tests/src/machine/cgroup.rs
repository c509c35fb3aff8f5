//! Control groups made for one test.

use std::path::{Path, PathBuf};

use super::Problem;

/// A group below a mounted hierarchy. Removed when dropped.
pub struct Cgroup {
    pub path: PathBuf,
}

/// Which of the two kinds of hierarchies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    One,
    Two,
}

impl Cgroup {
    /// Makes a group where the machine has a hierarchy of this kind; hybrid machines have both.
    pub fn make(version: Version) -> Result<Self, Problem> {
        let mounts = std::fs::read_to_string("/proc/self/mounts")
            .map_err(|error| format!("/proc/self/mounts: {error}"))?;
        let Some(root) = mount_point(&mounts, version) else {
            return Err(Problem::Skipped(format!(
                "this machine has no cgroup hierarchy of version {version:?}"
            )));
        };
        let path = Path::new(root).join(format!("strata-tests-{}-{version:?}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| {
            Problem::Skipped(format!("{} can't be made: {error}", path.display()))
        })?;
        Ok(Self { path })
    }

    /// A group in this one.
    pub fn below(&self, name: &str) -> Result<Self, String> {
        let path = self.path.join(name);
        std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path })
    }

    /// Moves a process with all its threads into the group.
    pub fn add(&self, pid: u32) -> Result<(), String> {
        let file = self.path.join("cgroup.procs");
        std::fs::write(&file, pid.to_string())
            .map_err(|error| format!("{}: {error}", file.display()))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A group with a process in it that is just ending can't be removed yet.
        for _ in 0..50 {
            if std::fs::remove_dir(&self.path).is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// For version 1 any hierarchy with a controller that every group may use.
fn mount_point(mounts: &str, version: Version) -> Option<&str> {
    mounts.lines().find_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, point, kind, options, ..] = words[..] else {
            return None;
        };
        let fits = match version {
            Version::One => {
                kind == "cgroup"
                    && options
                        .split(',')
                        .any(|option| option == "cpu" || option == "cpuacct")
            }
            Version::Two => kind == "cgroup2",
        };
        fits.then_some(point)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hybrid_machines_have_both() {
        let mounts = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(
            mount_point(mounts, Version::One),
            Some("/sys/fs/cgroup/cpu")
        );
        assert_eq!(
            mount_point(mounts, Version::Two),
            Some("/sys/fs/cgroup/unified")
        );
        assert_eq!(mount_point("proc /proc proc rw 0 0\n", Version::Two), None);
    }
}
