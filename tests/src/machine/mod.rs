//! The machine: programs started, compiled, recorded and asked. Everything else in this crate works on what comes from here.

pub mod agent;
pub mod cgroup;
pub mod compile;
pub mod container;
pub mod http;
pub mod interpreters;
pub mod prometheus;
pub mod pyspy;
pub mod readers;
pub mod receiver;
pub mod rights;
pub mod strata;
pub mod systemd;
pub mod target;
pub mod tools;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Why a test has no result.
#[derive(Clone, Debug)]
pub enum Problem {
    /// Something that it needs is not on this machine. Says what and how to get it.
    Skipped(String),
    /// It failed, or what should work on any machine did not.
    Failed(String),
}

impl From<String> for Problem {
    fn from(text: String) -> Self {
        Self::Failed(text)
    }
}

impl From<&str> for Problem {
    fn from(text: &str) -> Self {
        Self::Failed(text.to_owned())
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Skipped(text) | Self::Failed(text) => f.write_str(text),
        }
    }
}

/// The programs that the tests record.
pub fn workloads() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads")
}

/// What `tests/setup.sh` brought.
pub fn cache() -> PathBuf {
    std::env::var_os("STRATA_TEST_DIR")
        .map_or_else(|| PathBuf::from("/var/cache/strata-test"), PathBuf::from)
}

/// Runs a command to its end; its output, or a message with what it said.
pub fn run(command: &mut Command) -> Result<String, String> {
    let output = output(command)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{} failed ({}): {}",
        shown(command),
        output.status,
        said.trim()
    ))
}

/// Runs a command to its end, whatever that is.
pub fn output(command: &mut Command) -> Result<Output, String> {
    command
        .output()
        .map_err(|error| format!("{} can't be started: {error}", shown(command)))
}

/// A command as one would type it.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Whether a program of this name is to be found.
pub fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .any(|folder| folder.join(program).is_file())
}
