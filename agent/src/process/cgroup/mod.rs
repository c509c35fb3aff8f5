//! What `--cgroup` and `--container` mean to the kernel side: one hierarchy to compare in, and the
//! kernfs ids of cgroups there, with all below them. On 64-bit kernels that id is the inode number of
//! the cgroup's directory (`kernfs_id_ino`, 5.5).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use thiserror::Error;

pub mod container;
pub mod engine;
pub mod hierarchy;
pub mod pods;
mod root;

pub use container::{Place, container_id, own_pod_uid, pod_uid};
use hierarchy::{Hierarchy, hierarchies};

/// Most levels of cgroups that are gone into.
const LEVELS: usize = 16;
/// Most cgroups of one hierarchy that are looked at.
const CGROUPS: usize = 100_000;

/// What the user asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A directory under a cgroup mount, or its path below that.
    Cgroup(PathBuf),
    /// A container's id, the first 12 digits of it or more, or its name in docker or podman.
    Container(String),
}

/// What the kernel side is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupFilter {
    /// Index in `css_set.subsys`, or [`agent_common::kernel::CGROUP_DEFAULT`].
    pub subsystem: u32,
    /// Kernfs ids.
    pub cgroups: Vec<u64>,
    /// Their directories, to show.
    pub directories: Vec<PathBuf>,
    /// For people: which hierarchy that is.
    pub hierarchy: String,
}

/// Why there is no such cgroup.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CgroupError {
    #[error(
        "No cgroup file system that strata can use is mounted: mount one at /sys/fs/cgroup; in a \
         container give it the host's (-v /sys/fs/cgroup:/sys/fs/cgroup:ro --cgroupns=host)."
    )]
    NoHierarchy,
    #[error(
        "There is no cgroup {path} in {hierarchies}: give its directory, or its path as it stands \
         in /proc/PID/cgroup. (Named v1 hierarchies, such as systemd's, can't be used.)"
    )]
    NoCgroup { path: String, hierarchies: String },
    #[error(
        "There is no running container {name}: give its id, at least 12 digits of it, or its name \
         in docker or podman; `docker ps` and `crictl ps` list them. Other engines' containers can \
         be given by their cgroup (--cgroup)."
    )]
    NoContainer { name: String },
    #[error("{name} may be each of the containers {ids}: give more digits of the one you mean.")]
    Ambiguous { name: String, ids: String },
    #[error(
        "The cgroups that were asked for are not all in one hierarchy, and the kernel side compares \
         in one only: ask for them one at a time."
    )]
    Apart,
}

/// Finds what the targets mean. `subsystem` gives the running kernel's index of a v1 controller.
pub fn resolve(
    targets: &[Target],
    subsystem: &dyn Fn(&str) -> Option<u32>,
) -> Result<CgroupFilter, CgroupError> {
    resolve_in(targets, &hierarchies(subsystem))
}

/// Directories of a target, for each hierarchy.
type Places = Vec<Vec<PathBuf>>;

fn resolve_in(targets: &[Target], hierarchies: &[Hierarchy]) -> Result<CgroupFilter, CgroupError> {
    if hierarchies.is_empty() {
        return Err(CgroupError::NoHierarchy);
    }
    let places = targets
        .iter()
        .map(|target| match target {
            Target::Cgroup(path) => cgroup_places(path, hierarchies),
            Target::Container(name) => container_places(name, hierarchies),
        })
        .collect::<Result<Vec<Places>, _>>()?;

    let common: Vec<usize> = (0..hierarchies.len())
        .filter(|&index| places.iter().all(|target| !target[index].is_empty()))
        .collect();
    // An engine may make a cgroup in each hierarchy and put its processes into some only.
    let populated = common.iter().find(|&&index| {
        let mut directories = places.iter().flat_map(|target| &target[index]);
        directories.all(|directory| hierarchies[index].is_populated(directory))
    });
    let &index = populated.or(common.first()).ok_or(CgroupError::Apart)?;

    let mut filter = CgroupFilter {
        subsystem: hierarchies[index].subsystem,
        cgroups: Vec::new(),
        directories: Vec::new(),
        hierarchy: hierarchies[index].name.clone(),
    };
    for directory in places.iter().flat_map(|target| &target[index]) {
        // One that was removed meanwhile is not there to be sampled.
        if let Ok(metadata) = fs::metadata(directory)
            && !filter.cgroups.contains(&metadata.ino())
        {
            filter.cgroups.push(metadata.ino());
            filter.directories.push(directory.clone());
        }
    }
    Ok(filter)
}

fn cgroup_places(path: &Path, hierarchies: &[Hierarchy]) -> Result<Places, CgroupError> {
    let real = fs::canonicalize(path).ok().filter(|real| real.is_dir());
    // By device: the agent may see the same hierarchy at another place than we found it.
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    let inside = real.as_ref().and_then(|real| {
        let wanted = device(real);
        hierarchies
            .iter()
            .position(|hierarchy| wanted.is_some() && device(&hierarchy.mount) == wanted)
    });
    let mut places = vec![Vec::new(); hierarchies.len()];
    match (inside, real) {
        (Some(index), Some(real)) => places[index].push(real),
        // A name below the mounts; it must not lead out of them.
        _ => {
            let relative = path.strip_prefix("/").unwrap_or(path);
            if relative
                .components()
                .all(|part| matches!(part, Component::Normal(_)))
            {
                for (places, hierarchy) in places.iter_mut().zip(hierarchies) {
                    let directory = hierarchy.mount.join(relative);
                    if directory.is_dir() {
                        places.push(directory);
                    }
                }
            }
        }
    }
    if places.iter().all(Vec::is_empty) {
        let names: Vec<&str> = hierarchies
            .iter()
            .map(|hierarchy| &*hierarchy.name)
            .collect();
        return Err(CgroupError::NoCgroup {
            path: path.display().to_string(),
            hierarchies: names.join(", "),
        });
    }
    Ok(places)
}

fn container_places(name: &str, hierarchies: &[Hierarchy]) -> Result<Places, CgroupError> {
    let mut found = None;
    if container::is_id_prefix(name) {
        found = places_by_id(name, name, hierarchies)?;
    }
    // A name may look like an id.
    if found.is_none() {
        match &*engine::ids_by_name(name) {
            [] => {}
            [id] => found = places_by_id(name, id, hierarchies)?,
            ids => {
                return Err(CgroupError::Ambiguous {
                    name: name.to_owned(),
                    ids: ids.join(", "),
                });
            }
        }
    }
    found.ok_or_else(|| CgroupError::NoContainer {
        name: name.to_owned(),
    })
}

/// Cgroups of the one container whose id begins so.
fn places_by_id(
    name: &str,
    prefix: &str,
    hierarchies: &[Hierarchy],
) -> Result<Option<Places>, CgroupError> {
    let mut ids: Vec<String> = Vec::new();
    let mut places = vec![Vec::new(); hierarchies.len()];
    for (places, hierarchy) in places.iter_mut().zip(hierarchies) {
        walk(&hierarchy.mount, &mut |directory| {
            let file_name = directory.file_name().unwrap_or_default().as_encoded_bytes();
            let id = container::id_in_name(file_name).filter(|id| id.starts_with(prefix));
            let Some(id) = id else { return true };
            if !ids.iter().any(|other| other == id) {
                ids.push(id.to_owned());
            }
            places.push(directory.to_owned());
            // What is below is part of it.
            false
        });
    }
    match &*ids {
        [] => Ok(None),
        [_] => Ok(Some(places)),
        _ => Err(CgroupError::Ambiguous {
            name: name.to_owned(),
            ids: ids.join(", "),
        }),
    }
}

/// Gives a cgroup and those below it to `each`, which says whether to go further down.
fn walk(top: &Path, each: &mut dyn FnMut(&Path) -> bool) {
    let mut left = vec![(top.to_owned(), 0)];
    let mut looked_at = 0;
    while let Some((directory, level)) = left.pop() {
        looked_at += 1;
        if looked_at > CGROUPS {
            return;
        }
        if !each(&directory) || level == LEVELS {
            continue;
        }
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            // Never a link: there are none in a cgroup file system.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                left.push((entry.path(), level + 1));
            }
        }
    }
}

#[cfg(test)]
mod tests;
