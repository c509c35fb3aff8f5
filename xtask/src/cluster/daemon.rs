//! Programs that outlive this one. Who runs is kept as pid and start time, so that a reused pid is never signalled.

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::place::{Place, make_folder, write};

pub struct Daemon {
    name: &'static str,
    pid_file: PathBuf,
    log: PathBuf,
}

impl Daemon {
    pub fn new(place: &Place, name: &'static str) -> Self {
        Self {
            name,
            pid_file: place.state().join("pids").join(name),
            log: place.state().join("log").join(format!("{name}.log")),
        }
    }

    /// Starts it unless it runs.
    pub fn start(&self, program: &Path, arguments: &[String], path: &str) -> Result<()> {
        if self.running().is_some() {
            return Ok(());
        }
        for file in [&self.pid_file, &self.log] {
            make_folder(file.parent().unwrap_or(file))?;
        }
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("{} can't be opened", self.log.display()))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", path)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C at our terminal is not meant for it.
            .process_group(0);
        let child = command
            .spawn()
            .with_context(|| format!("{} can't be started", program.display()))?;
        let pid = child.id();
        let start = start_time(pid).with_context(|| format!("{} ended at once", self.name))?;
        write(&self.pid_file, format!("{pid} {start}\n"))
    }

    /// Its pid, if it is the process that was started.
    pub fn running(&self) -> Option<u32> {
        let text = fs::read_to_string(&self.pid_file).ok()?;
        let (pid, start) = text.trim().split_once(' ')?;
        let pid = pid.parse().ok()?;
        (start_time(pid)?.to_string() == start).then_some(pid)
    }

    pub fn stop(&self) -> Result<()> {
        if let Some(pid) = self.running() {
            end(&[pid], &[Signal::TERM, Signal::KILL])?;
        }
        Ok(())
    }

    pub fn status(&self) -> String {
        match self.running() {
            Some(pid) => format!("{:<24} pid {pid}", self.name),
            None => format!("{:<24} does not run", self.name),
        }
    }

    /// Waits until something is true; says what the program said last if that never happens.
    pub fn wait(&self, what: &str, patience: Duration, is_true: impl Fn() -> bool) -> Result<()> {
        let until = Instant::now() + patience;
        while !is_true() {
            if self.running().is_none() || Instant::now() > until {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let last = lines[lines.len().saturating_sub(10)..].join("\n");
                bail!(
                    "{}: {what} does not come true; it said last:\n{last}",
                    self.name
                );
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

/// Sends each signal to those that the one before did not end.
pub fn end(pids: &[u32], signals: &[Signal]) -> Result<()> {
    let started: Vec<(u32, u64)> = pids
        .iter()
        .filter_map(|pid| Some((*pid, start_time(*pid)?)))
        .collect();
    for signal in signals {
        let until = Instant::now() + Duration::from_secs(10);
        let alive = || {
            let started = started.iter();
            started.filter(|(pid, start)| start_time(*pid) == Some(*start))
        };
        for (pid, _) in alive() {
            if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
                // It may be gone by now.
                let _ = kill_process(pid, *signal);
            }
        }
        while alive().next().is_some() && Instant::now() < until {
            thread::sleep(Duration::from_millis(20));
        }
        if alive().next().is_none() {
            return Ok(());
        }
    }
    bail!("processes {pids:?} do not end, not even when they are killed")
}

/// In ticks since the machine's start; none for one that is gone or that only waits to be told of.
pub fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_what_it_started_and_nothing_that_has_the_pid_later() {
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let start = start_time(child.id()).unwrap();
        assert!(start > 0);
        end(&[child.id()], &[Signal::TERM]).unwrap();
        assert_eq!(start_time(child.id()), None, "it waits to be told of");
        child.wait().unwrap();
        end(&[child.id()], &[Signal::TERM]).unwrap();
    }
}
