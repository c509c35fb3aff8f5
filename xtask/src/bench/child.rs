//! A program that ends with the value that holds it, and the CPU that it runs on.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};

/// The one that is measured runs alone here; everything else runs on the other CPUs, where there are any.
pub const TARGET_CPU: usize = 1;

/// A started program. Dropping it kills it.
pub struct Running {
    child: Child,
    pid: Pid,
}

impl Running {
    /// Starts it on the CPU of the target, or on those that are not the target's.
    pub fn start(command: &mut Command, on: Place) -> Result<Self> {
        let child = command
            .spawn()
            .with_context(|| format!("{} can't be started", command.get_program().display()))?;
        let pid = Pid::from_child(&child);
        let running = Self { child, pid };
        on.put(pid)?;
        if on == Place::Target {
            // Nobody else gets more than the twentieth that the kernel keeps for them. Without the right to it the figures
            // are noisier.
            let priority = ["-f", "-p", "1", &pid.as_raw_nonzero().to_string()].map(str::to_owned);
            let _ = quiet("chrt").args(priority).status();
        }
        Ok(running)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid, signal)
            .with_context(|| format!("process {} can't be signalled", self.pid()))
    }

    /// Its stdout, where that is piped.
    pub fn stdout(&mut self) -> Result<BufReader<ChildStdout>> {
        let stdout = self.child.stdout.take().context("stdout is not piped")?;
        Ok(BufReader::new(stdout))
    }

    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Asks it to end and waits for it.
    pub fn end(&mut self, signal: Signal, patience: Duration) -> Result<ExitStatus> {
        if self.child.try_wait()?.is_none() {
            self.signal(signal)?;
        }
        self.wait(patience)
    }

    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let until = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > until {
                bail!("process {} does not end", self.pid());
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Where a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The target's CPU, before all others there.
    Target,
    /// The target's CPU, among others.
    Shared,
    /// All others.
    Aside,
    Anywhere,
}

impl Place {
    fn put(self, pid: Pid) -> Result<()> {
        let cpus = thread::available_parallelism()?.get();
        let mut set = CpuSet::new();
        for cpu in 0..cpus {
            let wanted = match self {
                Self::Target | Self::Shared => cpu == TARGET_CPU,
                Self::Aside => cpu != TARGET_CPU,
                Self::Anywhere => true,
            };
            if wanted || cpus <= TARGET_CPU {
                set.set(cpu);
            }
        }
        sched_setaffinity(Some(pid), &set)
            .with_context(|| format!("process {} can't be tied to its CPU", pid.as_raw_nonzero()))
    }
}

/// Reads lines up to the one that begins with `word`.
pub fn wait_for_word(output: &mut impl BufRead, word: &str) -> Result<String> {
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        if output.read_line(&mut line)? == 0 {
            bail!("the program ended before it said {word:?}; it said {seen:?}");
        }
        if line.starts_with(word) {
            return Ok(line);
        }
        seen.push_str(&line);
    }
}

/// A command whose output nobody reads.
pub fn quiet(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}
