//! Where the kubelet puts pods: a cgroup for all of them, in it one for each class of service but the
//! best, in these one for each pod.
//!
//! | driver | all of them | a pod |
//! |---|---|---|
//! | cgroupfs | `kubepods` | `[burstable/ or besteffort/]pod<uid>` |
//! | systemd | `kubepods.slice` | `[kubepods-burstable.slice/]kubepods-burstable-pod<uid, _ for ->.slice` |
//!
//! (`pkg/kubelet/cm/pod_container_manager_linux.go` in Kubernetes.) With `--cgroup-root` all that is
//! below another cgroup; systemd's names then begin with that one's: `kubelet-kubepods.slice`.

use std::fs::{self, File};
use std::os::fd::{AsRawFd as _, IntoRawFd as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::hierarchy::{Hierarchy, hierarchies, hierarchies_below};
use super::root::outside;
use super::walk;

const CGROUPFS: &str = "kubepods";
/// Without a class: guaranteed.
const CLASSES: [&str; 2] = ["burstable", "besteffort"];
/// How deep the cgroup of all pods may be: in a container that plays a node it is four levels down.
const DEEPEST: usize = 6;
/// Longest uid.
const UID: usize = 64;

/// A cgroup's directory, and its kernfs id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub directory: PathBuf,
    pub id: u64,
}

impl Place {
    pub fn of(directory: PathBuf) -> Option<Self> {
        let metadata = fs::metadata(&directory).ok()?;
        let id = metadata.ino();
        metadata.is_dir().then_some(Self { directory, id })
    }

    /// Whether it is still the same cgroup.
    pub fn is_there(&self) -> bool {
        fs::metadata(&self.directory).is_ok_and(|metadata| metadata.ino() == self.id)
    }
}

/// The hierarchy to compare pods' cgroups in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    pub hierarchy: Hierarchy,
    /// Whether the kubelet's cgroups are in it; else it is where they will probably be.
    pub has_pods: bool,
}

/// [`compared`] with what this process has mounted, or the machine's first one; where pods are in none
/// of that, with what other processes outside of cgroup namespaces have. A pod sees its own cgroups
/// only, and the first process may let nobody look.
pub fn find(subsystem: &dyn Fn(&str) -> Option<u32>) -> Option<Compared> {
    let own = compared(hierarchies(subsystem));
    if own.as_ref().is_some_and(|own| own.has_pods) {
        return own;
    }
    for pid in outside() {
        let Ok(root) = File::open(format!("/proc/{pid}/root")) else {
            continue;
        };
        // By the open folder, which stays when the process ends.
        let path = format!("/proc/self/fd/{}", root.as_raw_fd());
        let other = compared(hierarchies_below(Path::new(&path), &pid, subsystem));
        if other.as_ref().is_some_and(|other| other.has_pods) {
            // Open for as long as the agent runs.
            let _ = root.into_raw_fd();
            return other;
        }
    }
    own
}

/// Chooses among all: the first with processes of pods in it, then the first with pods' cgroups, then
/// the one whose controllers the kubelet takes: v2 if it has them, else v1.
pub fn compared(hierarchies: Vec<Hierarchy>) -> Option<Compared> {
    let found: Vec<Vec<Place>> = hierarchies
        .iter()
        .map(|it| tops(&it.mount, DEEPEST))
        .collect();
    let all = || hierarchies.iter().zip(&found);
    let is_populated = |hierarchy: &Hierarchy, tops: &[Place]| {
        tops.iter()
            .any(|top| hierarchy.is_populated(&top.directory))
    };
    let with_pods = all()
        .find(|(hierarchy, tops)| is_populated(hierarchy, tops))
        .or_else(|| all().find(|(_, tops)| !tops.is_empty()));
    let has_pods = with_pods.is_some();
    let chosen = with_pods
        .map(|(hierarchy, _)| hierarchy)
        .or_else(|| {
            hierarchies
                .iter()
                .find(|it| !it.is_v2() || has_controllers(it))
        })
        .or(hierarchies.first())?;
    Some(Compared {
        hierarchy: chosen.clone(),
        has_pods,
    })
}

fn has_controllers(v2: &Hierarchy) -> bool {
    let controllers = fs::read_to_string(v2.mount.join("cgroup.controllers")).unwrap_or_default();
    controllers
        .split_whitespace()
        .any(|name| matches!(name, "cpu" | "memory"))
}

/// The cgroups of all pods below a mount: usually one.
pub fn all_pods(mount: &Path) -> Vec<Place> {
    tops(mount, DEEPEST)
}

/// The same where it usually is, right below the mount.
pub fn all_pods_at_hand(mount: &Path) -> Vec<Place> {
    tops(mount, 1)
}

fn tops(mount: &Path, deepest: usize) -> Vec<Place> {
    let mut found = Vec::new();
    let levels = mount.components().count();
    walk(mount, &mut |directory| {
        let name = directory.file_name().unwrap_or_default().to_string_lossy();
        // What is there, its user made.
        if name == "user.slice" {
            return false;
        }
        if is_top(&name) {
            found.extend(Place::of(directory.to_owned()));
            return false;
        }
        directory.components().count() < levels + deepest
    });
    found
}

fn is_top(name: &str) -> bool {
    name == CGROUPFS
        || name
            .strip_suffix(".slice")
            .is_some_and(|slice| slice == CGROUPFS || slice.ends_with("-kubepods"))
}

/// The cgroup of a pod, in the cgroup of all.
pub fn pod(top: &Path, uid: &str) -> Option<Place> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if uid.is_empty() || uid.len() > UID || !uid.bytes().all(fits) {
        return None;
    }
    let name = top.file_name()?.to_str()?;
    let directories: Vec<PathBuf> = match name.strip_suffix(".slice") {
        None => {
            let pod = format!("pod{uid}");
            let classes = CLASSES.iter().map(|class| Path::new(class).join(&pod));
            [PathBuf::from(&pod)].into_iter().chain(classes).collect()
        }
        Some(slice) => {
            let uid = uid.replace('-', "_");
            let classes = CLASSES.iter().map(|class| {
                let class = format!("{slice}-{class}");
                Path::new(&format!("{class}.slice")).join(format!("{class}-pod{uid}.slice"))
            });
            let guaranteed = PathBuf::from(format!("{slice}-pod{uid}.slice"));
            [guaranteed].into_iter().chain(classes).collect()
        }
    };
    directories
        .into_iter()
        .find_map(|directory| Place::of(top.join(directory)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "5f3c2a10-9d1e-4b6a-8c55-0a1b2c3d4e5f";
    const UNDER: &str = "5f3c2a10_9d1e_4b6a_8c55_0a1b2c3d4e5f";

    fn hierarchy(mount: &Path, subsystem: u32) -> Hierarchy {
        Hierarchy {
            mount: mount.to_owned(),
            subsystem,
            name: subsystem.to_string(),
        }
    }

    fn make(mount: &Path, path: &str) {
        fs::create_dir_all(mount.join(path)).expect("a directory");
    }

    /// The shapes that both drivers make.
    #[test]
    fn a_pod_is_found_wherever_the_kubelet_puts_it() {
        let k = "kubelet-kubepods";
        for path in [
            format!("kubepods/pod{UID}"),
            format!("kubepods/burstable/pod{UID}"),
            format!("kubelet/kubepods/besteffort/pod{UID}"),
            format!("kubepods.slice/kubepods-pod{UNDER}.slice"),
            format!("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UNDER}.slice"),
            format!(
                "system.slice/docker-0.scope/kubelet.slice/{k}.slice/{k}-besteffort.slice/{k}-besteffort-pod{UNDER}.slice"
            ),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            make(folder.path(), &path);
            make(folder.path(), "kubepods-not/pods");
            make(folder.path(), &format!("user.slice/kubepods/pod{UID}"));
            let tops = all_pods(folder.path());
            let [top] = &tops[..] else {
                panic!("{path}: {tops:?}");
            };
            assert_eq!(pod(&top.directory, &UID.replace('5', "6")), None);
            let found = pod(&top.directory, UID).expect(&path);
            assert_eq!(found.directory, folder.path().join(&path));
            assert!(found.is_there());
            fs::remove_dir(&found.directory).expect("an empty folder");
            assert!(!found.is_there());
            let at_hand = all_pods_at_hand(folder.path());
            assert_eq!(at_hand.is_empty(), !path.starts_with("kubepods"), "{path}");
        }
    }

    #[test]
    fn a_uid_leads_nowhere_else() {
        let folder = tempfile::tempdir().expect("a folder");
        make(folder.path(), "kubepods/pod");
        make(folder.path(), "other");
        let top = folder.path().join("kubepods");
        for uid in ["", "/../../other", "..", "a/b", "a.b", &"a".repeat(65)] {
            assert_eq!(pod(&top, uid), None, "{uid}");
        }
    }

    #[test]
    fn the_hierarchy_is_the_one_with_pods() {
        use agent_common::kernel::CGROUP_DEFAULT;
        let folder = tempfile::tempdir().expect("a folder");
        let [v2, cpu, memory] = ["v2", "cpu", "memory"].map(|name| {
            make(folder.path(), name);
            folder.path().join(name)
        });
        let all = || {
            let v2 = hierarchy(&v2, CGROUP_DEFAULT);
            vec![v2, hierarchy(&cpu, 1), hierarchy(&memory, 4)]
        };
        let chosen = || {
            let compared = compared(all()).expect("a hierarchy");
            (compared.hierarchy.subsystem, compared.has_pods)
        };
        assert_eq!(compared(Vec::new()), None);
        // An empty v2 beside v1 is not where pods go.
        assert_eq!(chosen(), (1, false));
        fs::write(v2.join("cgroup.controllers"), "cpuset cpu memory\n").expect("a file");
        assert_eq!(chosen(), (CGROUP_DEFAULT, false));
        make(&memory, &format!("kubepods/pod{UID}"));
        assert_eq!(chosen(), (4, true));
        make(&cpu, &format!("kubepods/pod{UID}"));
        assert_eq!(chosen(), (1, true));
        // One with a process in it, which only v2 is told of by a file of its own.
        make(&v2, "kubepods.slice");
        fs::write(v2.join("kubepods.slice/cgroup.events"), "populated 1\n").expect("a file");
        assert_eq!(chosen(), (CGROUP_DEFAULT, true));
    }
}
