//! On which machine the figures were taken: without that they mean nothing.

use std::fs;
use std::process::Command;

use serde::Serialize;

#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub virtual_machine: bool,
    pub memory_gib: u64,
    pub kernel: String,
    pub date: String,
    /// Runnable tasks, averaged over a minute, before the first figure.
    pub load: String,
}

impl Machine {
    pub fn here() -> Self {
        let cpus = read("/proc/cpuinfo");
        let value = |name: &str| {
            cpus.lines()
                .find(|line| line.starts_with(name))
                .and_then(|line| line.split_once(':'))
                .map_or_else(String::new, |(_, value)| value.trim().to_owned())
        };
        let memory = read("/proc/meminfo");
        let kib: u64 = memory
            .split_ascii_whitespace()
            .nth(1)
            .and_then(|number| number.parse().ok())
            .unwrap_or(0);
        let date = Command::new("date")
            .args(["-u", "+%Y-%m-%d %H:%M UTC"])
            .output()
            .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        Self {
            cpu: value("model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            virtual_machine: value("flags").split(' ').any(|flag| flag == "hypervisor"),
            memory_gib: kib.div_ceil(1 << 20),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            date: date.unwrap_or_default(),
            load: read("/proc/loadavg")
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_owned(),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.virtual_machine {
            "virtual"
        } else {
            "real"
        };
        write!(
            f,
            "{}, {} cores ({kind} machine), {} GiB, Linux {}, {}, load {}",
            self.cpu, self.cores, self.memory_gib, self.kernel, self.date, self.load
        )
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
