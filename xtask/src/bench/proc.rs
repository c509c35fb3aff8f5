//! What the kernel says of a process: CPU time, memory, the eBPF objects that it holds.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

/// Seconds of CPU that all threads of a process have used. By `schedstat`, which counts nanoseconds; `stat` counts hundredths
/// of a second. Threads that ended are missing: none of the measured programs ends one while it is measured.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let folder = format!("/proc/{pid}/task");
    let mut total = 0;
    for thread in fs::read_dir(&folder).with_context(|| format!("{folder} can't be read"))? {
        let path = thread?.path().join("schedstat");
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        total += first_number(&text).unwrap_or(0);
    }
    Ok(total as f64 * 1e-9)
}

/// Nanoseconds that a process's first thread could have run while others did.
pub fn waited(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/schedstat");
    let text = fs::read_to_string(&path).with_context(|| format!("{path} can't be read"))?;
    text.split_ascii_whitespace()
        .nth(1)
        .and_then(|number| number.parse().ok())
        .with_context(|| format!("{path} is not understood"))
}

/// A line of /proc/PID/status in KiB.
pub fn status_kib(pid: u32, name: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("{path} can't be read"))?;
    field(&text, name).with_context(|| format!("{path} has no {name}"))
}

/// The eBPF side of a process, by its descriptors.
#[derive(Clone, Debug, Default)]
pub struct Ebpf {
    pub run_ns: u64,
    pub runs: u64,
    /// Bytes of all maps.
    pub map_bytes: u64,
}

impl Ebpf {
    pub fn of(pid: u32) -> Result<Self> {
        let folder = format!("/proc/{pid}/fdinfo");
        let mut programs = BTreeMap::new();
        let mut maps = BTreeMap::new();
        for entry in fs::read_dir(&folder).with_context(|| format!("{folder} can't be read"))? {
            // Descriptors come and go.
            let Ok(text) = fs::read_to_string(entry?.path()) else {
                continue;
            };
            if let Some(id) = field(&text, "map_id") {
                maps.insert(id, field(&text, "memlock").unwrap_or(0));
            } else if let Some(id) = field(&text, "prog_id")
                && let Some(runs) = field(&text, "run_cnt")
            {
                programs.insert(id, (runs, field(&text, "run_time_ns").unwrap_or(0)));
            }
        }
        Ok(Self {
            run_ns: programs.values().map(|(_, ns)| ns).sum(),
            runs: programs.values().map(|(runs, _)| runs).sum(),
            map_bytes: maps.values().sum(),
        })
    }
}

/// The kernel's clock around each run of an eBPF program, until this is dropped.
pub struct RunTimes {
    before: String,
}

const RUN_TIMES: &str = "/proc/sys/kernel/bpf_stats_enabled";

impl RunTimes {
    pub fn enable() -> Result<Self> {
        let before =
            fs::read_to_string(RUN_TIMES).context("this kernel has no bpf_stats_enabled")?;
        fs::write(RUN_TIMES, "1").context("kernel.bpf_stats_enabled takes root to be set")?;
        Ok(Self { before })
    }
}

impl Drop for RunTimes {
    fn drop(&mut self) {
        let _ = fs::write(RUN_TIMES, self.before.trim());
    }
}

/// `name:` and a number, at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    first_number(rest)
}

fn first_number(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "pos:\t0\nprog_id:\t12\nprog_ids:\t13\nrun_time_ns:\t400\nRssAnon:\t  52 kB\n";
        assert_eq!(field(text, "prog_id"), Some(12));
        assert_eq!(field(text, "run_time_ns"), Some(400));
        assert_eq!(field(text, "RssAnon"), Some(52));
        assert_eq!(field(text, "run_time"), None);
        assert_eq!(field(text, "id"), None);
    }

    #[test]
    fn our_own_time_and_memory_are_known() {
        let pid = std::process::id();
        let before = cpu_seconds(pid).unwrap();
        let mut x = 1u64;
        while cpu_seconds(pid).unwrap() < before + 0.01 {
            x = std::hint::black_box(x.wrapping_mul(3));
        }
        assert!(status_kib(pid, "RssAnon").unwrap() > 0);
        assert!(status_kib(pid, "NoSuch").is_err());
    }
}
