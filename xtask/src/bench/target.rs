//! The programs that are profiled, with their counters.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::child::{Place, Running, wait_for_word};
use super::counter::{Counter, Mark};
use super::proc;
use crate::process;
use crate::repository::Repository;

/// More than any measurement takes; not much more, since it outlives a bench that is killed.
const SECONDS: &str = "600";

/// A workload in its steady state.
pub struct Target {
    running: Running,
    counter: Counter,
    _output: BufReader<ChildStdout>,
}

impl Target {
    /// The CPU-bound Python program, alone on its CPU.
    pub fn python(repository: &Repository, python: &Path, work: &Path) -> Result<Self> {
        Self::python_at(repository, python, work, Place::Target)
    }

    pub fn python_at(
        repository: &Repository,
        python: &Path,
        work: &Path,
        place: Place,
    ) -> Result<Self> {
        let mut command = Command::new(python);
        command.arg(repository.root().join("tests/workloads/python/cost.py"));
        command.args(["--counter", "--seconds", SECONDS]);
        Self::start(command, work, place)
    }

    /// The same program run by CPython 3.15 inside another root file system, where its counter is too.
    pub fn python_in(repository: &Repository, root: &Path, work: &Path) -> Result<Self> {
        for file in ["cost.py", "workload.py"] {
            let source = repository.root().join("tests/workloads/python").join(file);
            std::fs::copy(source, root.join("tmp").join(file))
                .with_context(|| format!("{} can't be written", root.display()))?;
        }
        let counter = root.join("tmp/counter");
        let _ = std::fs::remove_file(work.join("counter"));
        std::os::unix::fs::symlink(&counter, work.join("counter"))?;
        // In mounts of its own, which whoever wants to look at it from the same root can join.
        let script = "mount -t proc proc \"$0/proc\" && exec chroot \"$0\" /usr/bin/env \
                      COUNTER=/tmp/counter /usr/bin/python3.15 /tmp/cost.py --counter --seconds \"$1\"";
        let mut command = Command::new("unshare");
        command
            .args(["-m", "sh", "-c", script])
            .arg(root)
            .arg(SECONDS);
        Self::start(command, work, Place::Target)
    }

    /// A C program, alone on its CPU.
    pub fn c(repository: &Repository, name: &str, work: &Path) -> Result<Self> {
        Self::compiled(repository, name, work, Place::Target)
    }

    /// A C program on all CPUs.
    pub fn c_anywhere(repository: &Repository, name: &str, work: &Path) -> Result<Self> {
        Self::compiled(repository, name, work, Place::Anywhere)
    }

    fn compiled(repository: &Repository, name: &str, work: &Path, place: Place) -> Result<Self> {
        let program = work.join(name);
        let source = repository
            .root()
            .join(format!("tests/workloads/c/{name}.c"));
        let mut compiler = Command::new("cc");
        compiler
            .args(["-O2", "-Wall", "-o"])
            .arg(&program)
            .arg(&source);
        process::run(&mut compiler).context("tests/setup.sh installs gcc")?;
        let mut command = Command::new(&program);
        command.arg(SECONDS);
        Self::start(command, work, place)
    }

    fn start(mut command: Command, work: &Path, place: Place) -> Result<Self> {
        let file = work.join("counter");
        command
            .env("COUNTER", &file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut running = Running::start(&mut command, place)?;
        let mut output = running.stdout()?;
        wait_for_word(&mut output, "ready")?;
        Ok(Self {
            running,
            counter: Counter::open(&file)?,
            _output: output,
        })
    }

    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    pub fn mark(&self) -> Result<Mark> {
        Ok(Mark {
            waited: proc::waited(self.pid())?,
            ..self.counter.mark()?
        })
    }

    pub fn end(mut self) -> Result<()> {
        self.running.end(Signal::TERM, Duration::from_secs(10))?;
        Ok(())
    }
}

/// The interpreter that the figures are about: pyenv's newest 3.11, shared and with symbols.
pub fn python311() -> Result<PathBuf> {
    let root = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pyenv")))
        .context("neither PYENV_ROOT nor HOME is set")?;
    let versions = root.join("versions");
    let mut found: Vec<PathBuf> = std::fs::read_dir(&versions)
        .with_context(|| format!("{} can't be read", versions.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("3.11."))
        })
        .map(|path| path.join("bin/python3"))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found
        .pop()
        .with_context(|| format!("there is no CPython 3.11 in {}", versions.display()))
}
