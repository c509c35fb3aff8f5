//! What of this machine is changed, and how it is put back. What was before is written down before anything is changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::config::{BRIDGE, NETWORK, NODE_IP, SERVICE_IP};
use super::daemon;
use super::place::{Place, make_folder, write};
use crate::process;

/// Settings that the kubelet and the bridge plugin change.
const SYSCTLS: &[&str] = &[
    "vm/overcommit_memory",
    "kernel/panic",
    "kernel/panic_on_oops",
    "net/ipv4/ip_forward",
];

/// Paths that come into being outside of our folders, whatever the programs are told.
const STRAYS: &[&str] = &[
    "/var/lib/kubelet",
    "/var/lib/cni",
    "/var/log/pods",
    "/var/log/containers",
    "/var/run/kubernetes",
    "/usr/libexec/kubernetes",
    "/run/netns",
    "/run/containerd",
    "/run/containerd/runc",
    "/run/runc",
    "/opt/cni",
    "/opt/containerd",
    "/etc/cni",
    "/etc/containerd",
];

/// For what goes by itself after its last process was killed.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Serialize, Deserialize)]
pub struct Before {
    sysctls: BTreeMap<String, String>,
    /// Of [`STRAYS`], those that were there.
    strays: Vec<PathBuf>,
    /// Files in containerd's folder of sockets.
    sockets: Vec<PathBuf>,
}

const SOCKETS: &str = "/run/containerd/s";

impl Before {
    /// What was written down, or what is now.
    pub fn look(place: &Place) -> Result<Self> {
        let file = place.state().join("before.json");
        if let Ok(text) = fs::read_to_string(&file) {
            return serde_json::from_str(&text)
                .with_context(|| format!("{} is damaged", file.display()));
        }
        if let Some(other) = cgroups().first() {
            bail!(
                "{} is there: this machine is a node of another cluster, or one of ours was not ended whole",
                other.display()
            );
        }
        let mut sysctls = BTreeMap::new();
        for name in SYSCTLS {
            let value = fs::read_to_string(Path::new("/proc/sys").join(name))?;
            sysctls.insert((*name).to_owned(), value);
        }
        let strays = STRAYS.iter().map(PathBuf::from);
        let before = Self {
            sysctls,
            strays: strays.filter(|path| path.exists()).collect(),
            sockets: entries(Path::new(SOCKETS)),
        };
        make_folder(place.state())?;
        write(&file, serde_json::to_vec_pretty(&before)?)?;
        Ok(before)
    }

    pub fn restore(&self) -> Result<()> {
        for (name, value) in &self.sysctls {
            write(&Path::new("/proc/sys").join(name), value)?;
        }
        for path in entries(Path::new(SOCKETS)) {
            if !self.sockets.contains(&path) {
                remove(&path)?;
            }
        }
        let strays = STRAYS.iter().map(PathBuf::from);
        for path in strays.filter(|path| !self.strays.contains(path)) {
            unmount_below(&path)?;
            remove(&path)?;
        }
        Ok(())
    }
}

/// Addresses that the cluster has on this machine.
pub fn add_addresses() -> Result<()> {
    let there = process::output(Command::new("ip").args(["-o", "addr", "show", "dev", "lo"]))?;
    for address in [NODE_IP, SERVICE_IP].map(|address| format!("{address}/32")) {
        if !there.contains(&address) {
            process::run(Command::new("ip").args(["addr", "add", &address, "dev", "lo"]))?;
        }
    }
    Ok(())
}

pub fn remove_network() -> Result<()> {
    let quietly = |arguments: &[&str]| {
        // What is not there need not go.
        let _ = Command::new("ip").args(arguments).output();
    };
    for address in [NODE_IP, SERVICE_IP].map(|address| format!("{address}/32")) {
        quietly(&["addr", "del", &address, "dev", "lo"]);
    }
    quietly(&["link", "del", BRIDGE]);
    for path in entries(Path::new("/run/netns")) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("cni-") {
            unmount_below(&path)?;
            remove(&path)?;
        }
    }
    for path in entries(Path::new("/var/lib/cni/results")) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(&format!("{NETWORK}-")) {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Shims outlive containerd, and containers outlive shims.
pub fn end_containers(place: &Place) -> Result<()> {
    let socket = place.socket().display().to_string();
    let shims = pids_where(|pid| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        command.contains("containerd-shim") && command.contains(&socket)
    });
    daemon::end(&shims, &[Signal::KILL])?;
    let until = Instant::now() + PATIENCE;
    loop {
        let inside: Vec<u32> = cgroups()
            .iter()
            .flat_map(|cgroup| tree(cgroup))
            .filter_map(|folder| fs::read_to_string(folder.join("cgroup.procs")).ok())
            .flat_map(|text| {
                let lines: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
                lines
            })
            .collect();
        if inside.is_empty() {
            return Ok(());
        }
        if Instant::now() > until {
            bail!("processes in pods' cgroups do not go: {inside:?}");
        }
        daemon::end(&inside, &[Signal::KILL])?;
        // One that was killed is there until its new parent was told of it.
        thread::sleep(Duration::from_millis(100));
    }
}

pub fn remove_cgroups() -> Result<()> {
    for cgroup in cgroups() {
        let mut folders = tree(&cgroup);
        folders.sort_by_key(|folder| std::cmp::Reverse(folder.components().count()));
        for folder in folders {
            let until = Instant::now() + PATIENCE;
            // Busy for a moment after its last process.
            while let Err(error) = fs::remove_dir(&folder) {
                if error.kind() == io::ErrorKind::NotFound {
                    break;
                }
                if Instant::now() > until {
                    return Err(error).with_context(|| {
                        format!("the cgroup {} can't be removed", folder.display())
                    });
                }
                thread::sleep(Duration::from_millis(50));
            }
        }
    }
    Ok(())
}

/// The root of all pods in each hierarchy.
fn cgroups() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = entries(Path::new("/sys/fs/cgroup"));
    found.push("/sys/fs/cgroup".into());
    let roots = found.into_iter().map(|root| root.join("kubepods"));
    let mut roots: Vec<PathBuf> = roots.filter(|root| root.is_dir()).collect();
    // Hierarchies may be linked under two names.
    roots.retain(|root| fs::canonicalize(root).is_ok_and(|real| real == *root));
    roots
}

/// A folder and all folders below it.
fn tree(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    let mut next = 0;
    while let Some(folder) = found.get(next) {
        let below = entries(folder);
        found.extend(below.into_iter().filter(|path| path.is_dir()));
        next += 1;
    }
    found
}

pub fn unmount_below(root: &Path) -> Result<()> {
    let Ok(root) = fs::canonicalize(root) else {
        return Ok(());
    };
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let mut points: Vec<&str> = points
        .filter(|point| Path::new(point).starts_with(&root))
        .collect();
    points.reverse();
    for point in points {
        process::run(Command::new("umount").args(["--lazy", point]))?;
    }
    Ok(())
}

/// Never goes into what is still mounted there.
pub fn remove(path: &Path) -> Result<()> {
    process::run(
        Command::new("rm")
            .args(["-rf", "--one-file-system"])
            .arg(path),
    )
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}

fn pids_where(wanted: impl Fn(u32) -> bool) -> Vec<u32> {
    let pids = entries(Path::new("/proc")).into_iter();
    pids.filter_map(|path| path.file_name()?.to_str()?.parse().ok())
        .filter(|pid| wanted(*pid))
        .collect()
}
