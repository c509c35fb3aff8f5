//! What all trials share: a folder to write in, the compiler, the `strata` binary.

use std::path::{Path, PathBuf};

use strata_tests::folded::{self, Sample};
use strata_tests::machine::Problem;
use strata_tests::machine::compile::Compiler;
use strata_tests::machine::container::Engine;
use strata_tests::machine::interpreters;
use strata_tests::machine::strata::{Recording, Strata};
use strata_tests::stats::ProcessStats;

use crate::cell::Shared;

pub struct World {
    scratch: PathBuf,
    pub compiler: Compiler,
    strata: std::sync::Arc<Shared<Strata>>,
    engine: std::sync::Arc<Shared<Engine>>,
}

/// One process in a recording.
pub struct Recorded {
    pub samples: Vec<Sample>,
    pub process: ProcessStats,
    pub recording: Recording,
}

impl World {
    pub fn new() -> Self {
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e");
        // Left-overs of the run before; a folder that can't be made shows up with the first trial.
        let _ = std::fs::remove_dir_all(&scratch);
        let _ = std::fs::create_dir_all(&scratch);
        Self {
            compiler: Compiler::new(&scratch),
            strata: Shared::new(),
            engine: Shared::new(),
            scratch,
        }
    }

    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// The binary, built first if need be.
    pub fn strata(&self) -> Result<&Strata, Problem> {
        self.strata.get(|| Ok(Strata::find(&self.scratch)?))
    }

    /// A container engine, started if none runs.
    pub fn engine(&self) -> Result<&Engine, Problem> {
        self.engine.get(|| Engine::start(&self.scratch))
    }

    /// Records one process, by its process id.
    pub fn record(
        &self,
        pid: u32,
        rate: u32,
        seconds: u32,
        flags: &[&str],
    ) -> Result<Recorded, Problem> {
        let (pid_text, rate_text) = (pid.to_string(), rate.to_string());
        let arguments = [&["-p", &pid_text, "-r", &rate_text], flags].concat();
        let recording = self.strata()?.record(seconds, &arguments)?;
        Ok(Recorded::of(recording, pid)?)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // What was put where only a chroot sees it.
        let _ = std::fs::remove_dir_all(interpreters::chroot_folder());
    }
}

impl Recorded {
    /// One process of a recording.
    pub fn of(recording: Recording, pid: u32) -> Result<Self, String> {
        let process = recording
            .stats
            .process(pid)
            .map_err(|why| format!("{why}\n{}", recording.errors))?;
        let samples = folded::of_process(&recording.samples, pid);
        let written = folded::total(&samples);
        if written != process.samples {
            return Err(format!(
                "{written} samples of the process were written; {}",
                process.summary()
            ));
        }
        Ok(Self {
            samples,
            process,
            recording,
        })
    }

    /// The denominator.
    pub fn entries(&self) -> u64 {
        self.process.entries
    }

    /// Fails unless the given share of the samples asked for is whole, by the statistics.
    pub fn whole(&self, share: f64) -> Result<(), String> {
        self.whole_but_for(0, share)
    }

    /// Same, `accepted` samples being accounted for otherwise.
    pub fn whole_but_for(&self, accepted: u64, share: f64) -> Result<(), String> {
        let whole = (self.process.whole + accepted) as f64 / self.entries().max(1) as f64;
        if whole >= share {
            Ok(())
        } else {
            Err(format!("too few are whole: {}", self.process.summary()))
        }
    }
}
