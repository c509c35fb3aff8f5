//! Descendants of a process at this moment, for `--children`; those that come later the kernel side
//! adds itself.

use std::collections::{HashMap, HashSet};

use super::list::pids;
use super::stat::Stat;

/// A process and when it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Started {
    pub pid: u32,
    /// In clock ticks since boot.
    pub start_ticks: u64,
}

/// The living descendants of `ancestor`, without itself. One that is born while this looks may be
/// missed: arm the kernel side first, which follows forks.
pub fn descendants(ancestor: u32) -> Vec<Started> {
    let stats = pids().filter_map(|pid| {
        let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        Stat::parse(&text).filter(|stat| !stat.ended())
    });
    descendants_in(ancestor, stats)
}

fn descendants_in(ancestor: u32, stats: impl Iterator<Item = Stat>) -> Vec<Started> {
    let mut children: HashMap<u32, Vec<Started>> = HashMap::new();
    for stat in stats {
        let child = Started {
            pid: stat.pid,
            start_ticks: stat.start_ticks,
        };
        children.entry(stat.parent).or_default().push(child);
    }
    let mut found = Vec::new();
    // Pids that were used again while this looked can make rings.
    let mut seen = HashSet::from([ancestor]);
    let mut parents = vec![ancestor];
    while let Some(parent) = parents.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            if seen.insert(child.pid) {
                parents.push(child.pid);
                found.push(child);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::{thread, time};

    use super::*;

    fn stat(pid: u32, parent: u32) -> Stat {
        Stat {
            pid,
            comm: Vec::new(),
            state: b'S',
            parent,
            kernel_thread: false,
            threads: 1,
            start_ticks: pid.into(),
        }
    }

    fn family(ancestor: u32, pairs: &[(u32, u32)]) -> Vec<u32> {
        let stats = pairs.iter().map(|&(pid, parent)| stat(pid, parent));
        let mut pids: Vec<u32> = descendants_in(ancestor, stats)
            .iter()
            .map(|child| child.pid)
            .collect();
        pids.sort_unstable();
        pids
    }

    #[test]
    fn families() {
        let pairs = [(1, 0), (2, 1), (3, 2), (4, 2), (5, 4), (6, 1)];
        assert_eq!(family(2, &pairs), [3, 4, 5]);
        assert!(family(5, &pairs).is_empty());
        assert!(family(77, &pairs).is_empty());
    }

    #[test]
    fn rings_end() {
        assert_eq!(family(1, &[(1, 2), (2, 1), (3, 3)]), [2]);
    }

    #[test]
    fn grandchildren() {
        // The shell waits for its two children, so that they stay its own.
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 100 & sleep 100 & echo; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh");
        let started = time::Instant::now();
        let mut found = Vec::new();
        while found.len() < 2 && started.elapsed() < time::Duration::from_secs(10) {
            thread::sleep(time::Duration::from_millis(10));
            found = descendants(shell.id());
        }
        assert!(
            descendants(std::process::id())
                .iter()
                .any(|child| child.pid == shell.id())
        );
        for child in &found {
            // SAFETY: no preconditions; they are ours.
            unsafe { libc::kill(child.pid as i32, libc::SIGKILL) };
        }
        shell.kill().expect("kill");
        shell.wait().expect("wait");
        assert_eq!(found.len(), 2);
    }
}
