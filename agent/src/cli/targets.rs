//! What a recording is of, and whether it is still there.

use std::path::PathBuf;

use crate::process::cgroup::CgroupFilter;
use crate::process::{ProcessError, ProcessHandle, children};
use crate::session::{Session, SessionError};

/// Processes and cgroups that were asked for.
pub struct Targets {
    processes: Vec<ProcessHandle>,
    /// Whether their children are recorded too, of which nobody here knows when they end.
    children: bool,
    cgroups: Vec<u64>,
    /// Those of the cgroups that are there.
    directories: Vec<PathBuf>,
    asked: bool,
}

impl Targets {
    /// Takes hold of processes, so that their pids can't come to mean others.
    pub fn open(pids: &[u32], children: bool) -> Result<Self, ProcessError> {
        let open = |pid: &u32| ProcessHandle::open(*pid);
        Ok(Self {
            processes: pids.iter().map(open).collect::<Result<_, _>>()?,
            children,
            cgroups: Vec::new(),
            directories: Vec::new(),
            asked: !pids.is_empty(),
        })
    }

    pub fn add_cgroups(&mut self, filter: CgroupFilter) {
        self.asked = true;
        self.cgroups = filter.cgroups;
        self.directories = filter.directories;
    }

    /// Tells the kernel side.
    pub fn put_into(&self, session: &mut Session) -> Result<(), SessionError> {
        for id in &self.cgroups {
            session.add_cgroup(*id)?;
        }
        for process in &self.processes {
            session.add_pid(process.pid(), process.start_ticks())?;
            if self.children {
                for child in children::descendants(process.pid()) {
                    session.add_pid(child.pid, child.start_ticks)?;
                }
            }
        }
        Ok(())
    }

    /// What has ended since the last time, in words.
    pub fn ended(&mut self) -> Vec<String> {
        let mut words = Vec::new();
        let more = self.children;
        self.processes.retain(|process| {
            let alive = process.alive();
            if !alive {
                let children = if more {
                    "; its children are recorded on"
                } else {
                    ""
                };
                words.push(format!(
                    "Process {} has ended. Its samples are kept{children}.",
                    process.pid()
                ));
            }
            alive
        });
        self.directories.retain(|directory| {
            // A new cgroup in its place would be another one.
            let there = directory.exists();
            if !there {
                let shown = directory.display();
                words.push(format!("Cgroup {shown} is gone. Its samples are kept."));
            }
            there
        });
        words
    }

    /// Whether nothing of what was asked for is left. That can't be said of children.
    pub fn are_gone(&self) -> bool {
        self.asked && !self.children && self.processes.is_empty() && self.directories.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn processes_that_end() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let own = std::process::id();
        let mut both = Targets::open(&[own, child.id()], false).unwrap();
        let mut one = Targets::open(&[child.id()], false).unwrap();
        let mut family = Targets::open(&[child.id()], true).unwrap();
        assert!(one.ended().is_empty() && !one.are_gone());
        child.kill().unwrap();
        child.wait().unwrap();
        for targets in [&mut both, &mut one, &mut family] {
            let words = targets.ended();
            assert_eq!(words.len(), 1, "{words:?}");
            assert!(words[0].contains(&child.id().to_string()), "{words:?}");
            assert!(targets.ended().is_empty());
        }
        assert!(!both.are_gone() && one.are_gone() && !family.are_gone());
    }

    #[test]
    fn the_whole_machine_never_ends() {
        let mut targets = Targets::open(&[], false).unwrap();
        assert!(targets.ended().is_empty() && !targets.are_gone());
    }

    #[test]
    fn cgroups_that_go() {
        let folder = tempfile::tempdir().unwrap();
        let mut targets = Targets::open(&[], false).unwrap();
        targets.add_cgroups(CgroupFilter {
            subsystem: 0,
            cgroups: vec![1],
            directories: vec![folder.path().to_owned()],
            hierarchy: String::new(),
        });
        assert!(targets.ended().is_empty() && !targets.are_gone());
        folder.close().unwrap();
        assert_eq!(targets.ended().len(), 1);
        assert!(targets.are_gone());
    }
}
