//! `strata agent` while it runs.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::strata::{Strata, wait_for_events};
use super::{shown, target};

const PATIENCE: Duration = Duration::from_secs(60);

/// An agent. Killed when dropped.
pub struct Agent {
    child: Child,
    log: PathBuf,
    what: String,
}

impl Agent {
    /// Starts one whose store is in this folder, and returns once it samples.
    pub fn start(strata: &Strata, folder: &Path, arguments: &[&str]) -> Result<Self, String> {
        let why = |error: std::io::Error| format!("{}: {error}", folder.display());
        std::fs::create_dir_all(folder).map_err(why)?;
        let log = folder.join("agent.log");
        let mut command = strata.command(&["agent", "--store"]);
        command.arg(folder.join("store")).args(arguments);
        // The tests' own variables are no settings of the agent, and it says so.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("STRATA_") || name.starts_with("OTEL_") {
                command.env_remove(name);
            }
        }
        command
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).map_err(why)?);
        let what = shown(&command);
        let child = command
            .spawn()
            .map_err(|error| format!("`{what}` can't be started: {error}"))?;
        let mut agent = Self { child, log, what };
        let events = wait_for_events(&mut agent.child, Instant::now() + PATIENCE);
        events.map_err(|why| agent.explain(&why))?;
        match agent.child.try_wait() {
            Ok(None) => Ok(agent),
            _ => Err(agent.explain("ended at once")),
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it as an operator does. It has to end with 0; what it said.
    pub fn stop(mut self) -> Result<String, String> {
        target::signal(self.child.id(), libc::SIGTERM);
        let until = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(self.log()),
                Ok(Some(status)) => return Err(self.explain(&format!("ended with {status}"))),
                Ok(None) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                _ => return Err(self.explain("did not end")),
            }
        }
    }

    /// Ends it as a crash does.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn explain(&self, what: &str) -> String {
        format!("`{}` {what}:\n{}", self.what, self.log())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
