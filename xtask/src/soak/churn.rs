//! A machine on which everything comes and goes, under full load.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::bench::child::quiet;
use crate::process::find_program;

/// Python that does something and ends.
const SHORT: &str =
    "import json, re\nfor i in range(300):\n    json.loads(json.dumps({'a': [i] * 50}))\n";
/// Python that works in a library which nobody had before.
const LIBRARY: &str = "import ctypes, sys, time\nlib = ctypes.CDLL(sys.argv[1])\ndata = b'x' * 200000\n\
    end = time.time() + 0.3\nwhile time.time() < end:\n    lib.crc32(0, data, len(data))\n";
/// Shell that works for a moment.
const WORK: &str = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done";
/// Shell that does nothing but begin others.
const FORKS: &str = "i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i+1)); done";
/// Between two new files of a kind. Each has to be read and named, as nothing is known of it: that is what costs an agent
/// most, and 360 an hour are more than most machines ever execute for the first time.
const COPIES: Duration = Duration::from_secs(10);
const LOAD: &str = "while :; do :; done";

/// All that comes and goes. It ends with [`Self::stop`].
pub struct Churn {
    stop: Arc<AtomicBool>,
    turns: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Churn {
    pub fn start(work: &Path) -> Result<Self> {
        let python = find_program("python3").context("there is no python3 on the PATH")?;
        let python = fs::canonicalize(python)?;
        let shell = fs::canonicalize("/bin/sh").context("there is no /bin/sh")?;
        let mut churn = Self {
            stop: Arc::new(AtomicBool::new(false)),
            turns: Arc::new(AtomicU64::new(0)),
            threads: Vec::new(),
        };
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cpus {
            churn.load(&shell)?;
        }
        churn.repeat(1, {
            let python = python.clone();
            move |_| status(quiet(&python).args(["-c", SHORT]))
        });
        churn.repeat(200, {
            let shell = shell.clone();
            move |_| status(quiet(&shell).args(["-c", FORKS]))
        });
        churn.repeat(1, {
            let work = work.to_owned();
            move |turn| {
                thread::sleep(COPIES);
                with_copy(&shell, &work.join(format!("program-{turn}")), |copy| {
                    status(quiet(copy).args(["-c", WORK]))
                })
            }
        });
        if let Some(library) = library() {
            let (work, python) = (work.to_owned(), python.clone());
            churn.repeat(1, move |turn| {
                thread::sleep(COPIES);
                with_copy(&library, &work.join(format!("library-{turn}.so")), |copy| {
                    status(quiet(&python).args(["-c", LIBRARY]).arg(copy))
                })
            });
        }
        let work = work.to_owned();
        churn.repeat(1, move |turn| {
            thread::sleep(COPIES);
            with_copy(&python, &work.join(format!("python-{turn}")), |copy| {
                status(quiet(copy).args(["-c", SHORT]))
            })
        });
        Ok(churn)
    }

    /// Ends it all; how many processes there were.
    pub fn stop(mut self) -> u64 {
        self.end();
        self.turns.load(Ordering::Relaxed)
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }

    /// A process that needs a CPU all the time.
    fn load(&mut self, shell: &Path) -> Result<()> {
        let mut child = quiet(shell)
            .args(["-c", LOAD])
            .spawn()
            .context("the load can't be started")?;
        let stop = Arc::clone(&self.stop);
        self.threads.push(thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(100));
            }
            let _ = child.kill();
            let _ = child.wait();
        }));
        Ok(())
    }

    /// Does something again and again, each time with `processes` of its own.
    fn repeat(&mut self, processes: u64, turn: impl Fn(u64) + Send + 'static) {
        let (stop, turns) = (Arc::clone(&self.stop), Arc::clone(&self.turns));
        self.threads.push(thread::spawn(move || {
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                turn(number);
                turns.fetch_add(processes, Ordering::Relaxed);
            }
        }));
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether it succeeds does not matter.
fn status(command: &mut Command) {
    if command.status().is_err() {
        thread::sleep(Duration::from_millis(100));
    }
}

/// Makes a new file with the content of another, which is gone afterwards.
fn with_copy(original: &Path, copy: &Path, use_it: impl FnOnce(&Path)) {
    if fs::copy(original, copy).is_ok() {
        use_it(copy);
    }
    let _ = fs::remove_file(copy);
}

/// A library with a function that works as long as it is told to.
fn library() -> Option<PathBuf> {
    let folders = ["/lib", "/usr/lib"];
    let machines = ["x86_64-linux-gnu", "aarch64-linux-gnu", ""];
    folders
        .iter()
        .flat_map(|folder| machines.map(|machine| Path::new(folder).join(machine)))
        .map(|folder| folder.join("libz.so.1"))
        .find_map(|path| fs::canonicalize(path).ok())
}
