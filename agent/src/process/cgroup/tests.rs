//! Live tests: real cgroups with a real process in them. They take root, and are skipped by name
//! where cgroups can't be made.

use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::bpf::kernel::cgroup_subsystem;
use crate::process::ProcessHandle;

/// A cgroup with those above it that were made for it, and a process in it.
struct Inhabited {
    top: PathBuf,
    directory: PathBuf,
    child: Child,
}

impl Inhabited {
    /// Makes `top/below` in a hierarchy and moves a process there.
    fn new(hierarchy: &Hierarchy, top: &str, below: &str) -> Option<Self> {
        let top = hierarchy.mount.join(top);
        let directory = top.join(below);
        if let Err(error) = fs::create_dir_all(&directory) {
            eprintln!(
                "skipped: no cgroup can be made in {}: {error}",
                hierarchy.name
            );
            return None;
        }
        let child = Command::new("sleep").arg("100").spawn().expect("sleep");
        let inhabited = Self {
            top,
            directory,
            child,
        };
        let procs = inhabited.directory.join("cgroup.procs");
        if let Err(error) = fs::write(procs, inhabited.child.id().to_string()) {
            eprintln!(
                "skipped: no process can be moved in {}: {error}",
                hierarchy.name
            );
            return None;
        }
        Some(inhabited)
    }
}

impl Drop for Inhabited {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let mut directory = &*self.directory;
        while directory.starts_with(&self.top) {
            // Busy until the last of the process is gone.
            for _ in 0..100 {
                match fs::remove_dir(directory) {
                    Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                        std::thread::sleep(std::time::Duration::from_millis(10));
                    }
                    _ => break,
                }
            }
            directory = directory.parent().unwrap_or(Path::new("/"));
        }
    }
}

fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("strata-test-{name}-{}-{count}", std::process::id())
}

/// An id that no other container has.
fn fresh_id() -> String {
    let now = std::time::UNIX_EPOCH.elapsed().expect("time").as_nanos();
    let pid = std::process::id();
    format!(
        "{:032x}{:016x}{:016x}",
        now,
        pid,
        unique("").len() as u64 ^ 0xABCD_EF01 ^ now as u64
    )
}

/// The kernfs id by the kernel's own account (`FILEID_KERNFS`, 5.5).
fn kernfs_id(directory: &Path) -> Option<u64> {
    #[repr(C)]
    struct Handle {
        bytes: u32,
        kind: i32,
        handle: [u8; 128],
    }
    let name = std::ffi::CString::new(directory.as_os_str().as_encoded_bytes()).ok()?;
    let mut handle = Handle {
        bytes: 128,
        kind: 0,
        handle: [0; 128],
    };
    let mut mount: libc::c_int = 0;
    // SAFETY: `handle` has the layout of the kernel's `file_handle` with room for as many bytes as
    // it says; all pointers live through the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            libc::AT_FDCWD,
            name.as_ptr(),
            &raw mut handle,
            &raw mut mount,
            0,
        )
    };
    (result == 0).then(|| u64::from_ne_bytes(handle.handle[..8].try_into().unwrap_or_default()))
}

#[test]
fn cgroup_of_each_hierarchy() {
    let all = hierarchies(&cgroup_subsystem);
    for hierarchy in &all {
        println!(
            "{} at {}: {}",
            hierarchy.name,
            hierarchy.mount.display(),
            hierarchy.subsystem
        );
        let top = unique("path");
        // cpuset takes no process before it has CPUs.
        if hierarchy.name.contains("cpuset") {
            continue;
        }
        let Some(inhabited) = Inhabited::new(hierarchy, &top, "below") else {
            continue;
        };
        let expected = CgroupFilter {
            subsystem: hierarchy.subsystem,
            cgroups: vec![fs::metadata(&inhabited.top).expect("stat").ino()],
            directories: vec![inhabited.top.clone()],
            hierarchy: hierarchy.name.clone(),
        };
        if let Some(id) = kernfs_id(&inhabited.top) {
            assert_eq!(expected.cgroups, [id]);
        }
        assert!(hierarchy.is_populated(&inhabited.top));
        for path in [
            inhabited.top.clone(),
            top.clone().into(),
            format!("/{top}").into(),
        ] {
            let found = resolve(&[Target::Cgroup(path)], &cgroup_subsystem);
            assert_eq!(found.as_ref(), Ok(&expected));
        }
        // The process says the same of itself.
        let process = ProcessHandle::open(inhabited.child.id()).expect("the child");
        let membership = process.read("cgroup", 1 << 16).expect("cgroup");
        let membership = String::from_utf8_lossy(&membership).into_owned();
        assert!(
            membership
                .lines()
                .any(|line| line.ends_with(&format!(":/{top}/below")))
        );
    }
}

#[test]
fn the_populated_one_is_meant() {
    let all = hierarchies(&cgroup_subsystem);
    let (Some(first), Some(last)) = (all.first(), all.iter().rfind(|h| h.name.contains("pids")))
    else {
        eprintln!("skipped: no v1 controller pids is mounted");
        return;
    };
    if first == last {
        eprintln!("skipped: one hierarchy only");
        return;
    }
    let top = unique("populated");
    let Some(inhabited) = Inhabited::new(last, &top, "") else {
        return;
    };
    let empty = first.mount.join(&top);
    fs::create_dir(&empty).expect("cgroup");
    let found = resolve(&[Target::Cgroup(top.into())], &cgroup_subsystem);
    fs::remove_dir(&empty).expect("clean");
    assert_eq!(
        found.expect("found").directories,
        std::slice::from_ref(&inhabited.top)
    );
}

#[test]
fn container_by_its_id() {
    let all = hierarchies(&cgroup_subsystem);
    for hierarchy in all
        .iter()
        .filter(|h| h.is_v2() || h.name.contains("memory"))
    {
        let id = fresh_id();
        let top = unique("container");
        let Some(inhabited) = Inhabited::new(hierarchy, &top, &format!("docker-{id}.scope/init"))
        else {
            continue;
        };
        let process = ProcessHandle::open(inhabited.child.id()).expect("the child");
        assert_eq!(container_id(&process).as_deref(), Some(&*id));
        let scope = inhabited.top.join(format!("docker-{id}.scope"));
        for length in [40, 64] {
            let target = Target::Container(id[..length].to_owned());
            let found = resolve(&[target], &cgroup_subsystem).expect("the container");
            assert_eq!(found.subsystem, hierarchy.subsystem);
            assert_eq!(found.directories, std::slice::from_ref(&scope));
        }
    }
}

#[test]
fn two_containers_of_one_prefix() {
    let all = hierarchies(&cgroup_subsystem);
    let Some(hierarchy) = all.first() else { return };
    let id = fresh_id();
    let other = format!("{}{}", &id[..60], "ffff");
    let top = unique("ambiguous");
    let Some(_one) = Inhabited::new(hierarchy, &top, &id) else {
        return;
    };
    let Some(_two) = Inhabited::new(hierarchy, &unique("ambiguous"), &other) else {
        return;
    };
    let found = resolve(&[Target::Container(id[..40].to_owned())], &cgroup_subsystem);
    assert!(
        matches!(found, Err(CgroupError::Ambiguous { .. })),
        "{found:?}"
    );
    // Both at once, by their whole ids.
    let targets = [Target::Container(id), Target::Container(other)];
    assert_eq!(
        resolve(&targets, &cgroup_subsystem)
            .expect("both")
            .cgroups
            .len(),
        2
    );
}

#[test]
fn what_is_not_there() {
    let resolve = |target| resolve(&[target], &cgroup_subsystem);
    for path in ["/no/such", "no-such", "../../etc", "/etc", "/sys/fs"] {
        let found = resolve(Target::Cgroup(path.into()));
        assert!(
            matches!(
                found,
                Err(CgroupError::NoCgroup { .. } | CgroupError::NoHierarchy)
            ),
            "{path}: {found:?}"
        );
    }
    for name in ["no such container", "ffffffffffffffff", ""] {
        let found = resolve(Target::Container(name.into()));
        assert!(
            matches!(
                found,
                Err(CgroupError::NoContainer { .. } | CgroupError::NoHierarchy)
            ),
            "{name}: {found:?}"
        );
    }
    assert_eq!(resolve_in(&[], &[]), Err(CgroupError::NoHierarchy));
}
