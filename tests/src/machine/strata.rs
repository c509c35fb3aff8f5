//! The `strata` binary and its recordings.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::{run, shown};
use crate::folded::{self, Sample};
use crate::stats::Stats;

/// How long a recording may take beyond its duration.
const PATIENCE: Duration = Duration::from_secs(60);

/// The binary, and a folder for what it writes.
pub struct Strata {
    pub binary: PathBuf,
    scratch: PathBuf,
    number: AtomicU32,
}

/// All that a recording left behind.
pub struct Recording {
    pub samples: Vec<Sample>,
    pub stats: Stats,
    /// What it said, and what a program that it started printed.
    pub errors: String,
    pub output: String,
    pub code: Option<i32>,
    pub command: String,
}

/// A recording that goes on.
pub struct Running {
    child: Child,
    files: Files,
    command: String,
    until: Instant,
}

struct Files {
    folded: PathBuf,
    stats: PathBuf,
    errors: PathBuf,
    output: PathBuf,
}

impl Strata {
    /// Takes $STRATA_BIN, or builds the release binary in the target folder that this test was built in.
    pub fn find(scratch: &Path) -> Result<Self, String> {
        let binary = match std::env::var_os("STRATA_BIN") {
            Some(path) => PathBuf::from(path),
            None => build()?,
        };
        if !binary.is_file() {
            return Err(format!("there is no strata binary at {}", binary.display()));
        }
        Ok(Self {
            binary,
            scratch: scratch.to_owned(),
            number: AtomicU32::new(0),
        })
    }

    /// The binary with arguments of any kind.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).stdin(Stdio::null());
        // Those of the tests are none of the agent's, which refuses what it does not know.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("STRATA_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Records to the end. `arguments` are those of `strata record` but for the output.
    pub fn record(&self, seconds: u32, arguments: &[&str]) -> Result<Recording, String> {
        self.start(seconds, arguments)?.finish()
    }

    /// Starts a recording and returns once it samples.
    pub fn start(&self, seconds: u32, arguments: &[&str]) -> Result<Running, String> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let file = |kind: &str| self.scratch.join(format!("recording-{number}.{kind}"));
        let files = Files {
            folded: file("folded"),
            stats: file("json"),
            errors: file("stderr"),
            output: file("stdout"),
        };
        let mut command = Command::new(&self.binary);
        command
            .args(["record", "-d", &seconds.to_string(), "-f", "folded", "-o"])
            .arg(&files.folded);
        command
            .arg("--stats-json")
            .arg(&files.stats)
            .args(arguments);
        let to = |path: &Path| {
            std::fs::File::create(path).map_err(|error| format!("{}: {error}", path.display()))
        };
        command
            .stdin(Stdio::null())
            .stdout(to(&files.output)?)
            .stderr(to(&files.errors)?);
        let shown = shown(&command);
        let child = command
            .spawn()
            .map_err(|error| format!("`{shown}` can't be started: {error}"))?;
        let until = Instant::now() + Duration::from_secs(seconds.into()) + PATIENCE;
        let mut running = Running {
            child,
            files,
            command: shown,
            until,
        };
        let events = wait_for_events(&mut running.child, until);
        events.map_err(|why| format!("`{}` {why}", running.command))?;
        Ok(running)
    }
}

/// It samples once it holds an event for each CPU. How it says so to people is its own business.
pub fn wait_for_events(child: &mut Child, until: Instant) -> Result<(), String> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    while Instant::now() < until {
        // One that has ended already is judged by who waits for its end.
        if events_of(child.id()) >= cpus || matches!(child.try_wait(), Ok(Some(_))) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err("opened no events in time".to_owned())
}

impl Running {
    /// Does what Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal(libc::SIGINT);
    }

    /// Sends a signal to it alone.
    pub fn signal(&self, number: i32) {
        super::target::signal(self.child.id(), number);
    }

    /// Whether it has not ended by itself.
    pub fn is_there(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the end, and reads what was written.
    pub fn finish(self) -> Result<Recording, String> {
        let recording = self.finish_unchecked()?;
        if recording.code != Some(0) {
            return Err(format!(
                "`{}` ended with {:?}:\n{}",
                recording.command, recording.code, recording.errors
            ));
        }
        recording.adds_up()?;
        Ok(recording)
    }

    /// The same for a recording whose exit code is to be judged.
    pub fn finish_unchecked(mut self) -> Result<Recording, String> {
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() > self.until => {
                    let _ = self.child.kill();
                    let _ = self.child.wait();
                    return Err(format!(
                        "`{}` did not end in time:\n{}",
                        self.command,
                        read(&self.files.errors)
                    ));
                }
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                Err(error) => {
                    return Err(format!("`{}` can't be waited for: {error}", self.command));
                }
            }
        };
        let errors = read(&self.files.errors);
        let written = |path: &Path| {
            let why = |error| {
                format!(
                    "`{}` ({status}) left no {}: {error}\n{errors}",
                    self.command,
                    path.display()
                )
            };
            std::fs::read_to_string(path).map_err(why)
        };
        let samples = folded::parse(&written(&self.files.folded)?)?;
        let stats = Stats::parse(&written(&self.files.stats)?)?;
        Ok(Recording {
            samples,
            stats,
            errors,
            output: read(&self.files.output),
            code: status.code(),
            command: self.command.clone(),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only one that failed half-way still runs.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Recording {
    /// The output and the statistics have to tell the same story.
    fn adds_up(&self) -> Result<(), String> {
        let Self {
            stats,
            samples,
            command,
            ..
        } = self;
        let wrong = |what: String| Err(format!("`{command}`: {what}"));
        let written = folded::total(samples);
        if written != stats.samples {
            return wrong(format!(
                "{written} samples were written, but {} counted",
                stats.samples
            ));
        }
        let lost: u64 = stats.lost.values().sum();
        for process in &stats.processes {
            if process.samples > process.entries || process.whole > process.samples {
                return wrong(format!("more came out than went in: {}", process.summary()));
            }
        }
        let entries: u64 = stats.processes.iter().map(|process| process.entries).sum();
        let left_out: u64 = stats.left_out.values().sum();
        if stats.samples + lost != stats.entries {
            return wrong(format!(
                "{} samples and {lost} lost are not the {} asked for",
                stats.samples, stats.entries
            ));
        }
        if entries != stats.entries {
            return wrong(format!(
                "the processes' {entries} entries are not the {} of all",
                stats.entries
            ));
        }
        if stats.entries + left_out != stats.runs {
            return wrong(format!(
                "{} entries and {left_out} left out are not the {} of all",
                stats.entries, stats.runs
            ));
        }
        Ok(())
    }
}

/// How many perf events a process holds, as such or as links of eBPF programs to them.
fn events_of(pid: u32) -> usize {
    let entries = |folder: &str| {
        let folder = std::fs::read_dir(format!("/proc/{pid}/{folder}"));
        folder
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
    };
    let open = entries("fd").filter_map(|path| std::fs::read_link(path).ok());
    let events = open
        .filter(|link| link.to_string_lossy().contains("[perf_event]"))
        .count();
    let infos = entries("fdinfo").filter_map(|path| std::fs::read_to_string(path).ok());
    events.max(
        infos
            .filter(|info| info.contains("link_type:\tperf"))
            .count(),
    )
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// `cargo build --release` in the target folder from which this test runs.
fn build() -> Result<PathBuf, String> {
    let here = std::env::current_exe().map_err(|error| format!("this program's path: {error}"))?;
    // TARGET/debug/deps/e2e-HASH
    let target = here
        .ancestors()
        .nth(3)
        .ok_or("this test does not lie in a target folder")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    eprintln!("building strata (release) in {} …", target.display());
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    run(Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--release",
            "--package",
            "strata",
            "--manifest-path",
        ])
        .arg(manifest)
        .arg("--target-dir")
        .arg(target))?;
    Ok(target.join("release/strata"))
}
