//! `strata record` as it is measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::child::{Place, Running, quiet};

/// What is recorded.
#[derive(Clone, Copy, Debug)]
pub enum Of {
    Machine,
    Process(u32),
}

/// A recording under way.
pub struct Agent {
    running: Running,
    stats: PathBuf,
}

impl Agent {
    /// Starts it; whether it samples yet is not known.
    pub fn start(strata: &Path, of: Of, rate: u32, work: &Path) -> Result<Self> {
        Self::start_at(strata, of, rate, &work.join("out.folded"), Place::Aside)
    }

    /// With another output, at another place.
    pub fn start_at(strata: &Path, of: Of, rate: u32, output: &Path, place: Place) -> Result<Self> {
        let stats = output.with_file_name("stats.json");
        let _ = fs::remove_file(&stats);
        let mut command = quiet(strata);
        command.args(["record", "--rate", &rate.to_string(), "--stats-json"]);
        command.arg(&stats).arg("-o").arg(output);
        if let Of::Process(pid) = of {
            command.args(["-p", &pid.to_string()]);
        }
        command.stderr(fs::File::create(output.with_file_name("strata.log"))?);
        Ok(Self {
            running: Running::start(&mut command, place)?,
            stats,
        })
    }

    /// Waits until it samples, as far as that can be seen from outside: it holds a perf event for each CPU. With
    /// `warm_up` on top.
    pub fn wait_until_sampling(&mut self, warm_up: Duration) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(60);
        while !self.holds_events() {
            ensure!(!self.running.has_ended()?, "strata ended: {}", self.said());
            ensure!(Instant::now() < until, "strata does not begin to sample");
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(warm_up);
        Ok(())
    }

    fn holds_events(&self) -> bool {
        let folder = format!("/proc/{}/fd", self.pid());
        let Ok(entries) = fs::read_dir(folder) else {
            return false;
        };
        entries
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            // A link since Linux 5.15, before that the event itself.
            .any(|target| {
                let target = target.to_string_lossy();
                target.contains("perf_event")
                    || target.contains("bpf_link")
                    || target.contains("bpf-link")
            })
    }

    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    pub fn pause(&self) -> Result<()> {
        self.running.signal(Signal::USR1)
    }

    pub fn resume(&self) -> Result<()> {
        self.running.signal(Signal::USR2)
    }

    /// Ends the recording; what it says of itself, and how long it took to write everything.
    pub fn finish(mut self) -> Result<(Stats, Duration)> {
        let begin = Instant::now();
        let status = self.running.end(Signal::INT, Duration::from_secs(60))?;
        let took = begin.elapsed();
        ensure!(status.success(), "strata failed: {}", self.said());
        let text = fs::read_to_string(&self.stats)
            .with_context(|| format!("{} can't be read", self.stats.display()))?;
        Ok((Stats(serde_json::from_str(&text)?), took))
    }

    fn said(&self) -> String {
        let log = self.stats.with_file_name("strata.log");
        fs::read_to_string(log)
            .unwrap_or_default()
            .trim()
            .to_owned()
    }
}

/// What `--stats-json` holds.
pub struct Stats(pub Value);

impl Stats {
    pub fn number(&self, name: &str) -> Result<u64> {
        self.0[name]
            .as_u64()
            .with_context(|| format!("the statistics have no number {name}"))
    }

    pub fn of_process(&self, pid: u32, name: &str) -> Result<u64> {
        self.0["processes"]
            .as_array()
            .and_then(|processes| processes.iter().find(|it| it["pid"] == u64::from(pid)))
            .and_then(|process| process[name].as_u64())
            .with_context(|| format!("the statistics have no {name} of process {pid}"))
    }

    /// How deep the stacks were.
    pub fn frames_note(&self) -> String {
        let count = |name: &str| self.number(name).unwrap_or(0) as f64;
        format!("{:.0} frames", count("frames") / count("samples").max(1.0))
    }
}
