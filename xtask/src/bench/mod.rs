//! `cargo xtask bench`: what Strata costs, and what others cost.
//!
//! Every figure is a mean of many, or a ratio of neighbours within one run of one target, since such a machine's speed
//! drifts by more than a profiler costs. docs/cost.md says what is measured, how, and what came of it.

mod agent;
pub mod child;
mod completeness;
mod counter;
mod figure;
mod loops;
mod machine;
mod perf;
mod pool;
mod priority;
pub mod proc;
mod rivals;
mod rows;
mod run_time;
mod slowdown;
mod start;
mod statistics;
mod steady;
mod target;
mod toggle;
mod windows;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::repository::Repository;
use crate::scratch::Scratch;
use figure::Figure;
use machine::Machine;
use pool::Pool;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to measure [default: everything]; --list names it all
    names: Vec<String>,
    /// Say what can be measured
    #[arg(long)]
    list: bool,
    /// A tenth of the time: whether it works, not how much it is
    #[arg(long)]
    quick: bool,
    /// Also write the figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep the windows of each sitting in this file, and take the earlier ones into account
    #[arg(long, value_name = "FILE")]
    pool: Option<PathBuf>,
    /// Of the rivals, only this one
    #[arg(long, value_name = "NAME")]
    rival: Option<String>,
    /// Use this `strata` instead of building one
    #[arg(long, value_name = "PATH")]
    strata: Option<PathBuf>,
}

/// One thing that can be measured.
struct Kind {
    name: &'static str,
    about: &'static str,
    run: fn(&Bench) -> Result<Vec<Figure>>,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "slowdown",
        about: "slowdown of a CPU-bound CPython 3.11 over perf record -g, at 999 Hz",
        run: slowdown::run_999,
    },
    Kind {
        name: "slowdown-99",
        about: "the same at 99 Hz",
        run: slowdown::run_99,
    },
    Kind {
        name: "run-time",
        about: "time that the eBPF program takes for a sample",
        run: run_time::run,
    },
    Kind {
        name: "steady",
        about: "the agent's own CPU and memory once it has settled",
        run: steady::run,
    },
    Kind {
        name: "start",
        about: "start to first sample, end to file written",
        run: start::run,
    },
    Kind {
        name: "completeness",
        about: "samples got of those due",
        run: completeness::run,
    },
    Kind {
        name: "loops",
        about: "slowdown of loops of system calls and of fork and exec",
        run: loops::run,
    },
    Kind {
        name: "rows",
        about: "unwind rows made of .eh_frame in a second",
        run: rows::run,
    },
    Kind {
        name: "rivals",
        about: "others on the same program: slowdown, samples, own CPU, memory",
        run: rivals::run,
    },
];

/// What all of them need.
struct Bench<'a> {
    repository: &'a Repository,
    strata: PathBuf,
    python: PathBuf,
    scratch: Scratch,
    pool: Pool,
    rival: Option<String>,
    quick: bool,
}

impl Bench<'_> {
    fn work(&self) -> &Path {
        self.scratch.path()
    }

    /// Time for a measurement.
    fn seconds(&self, seconds: u32) -> Duration {
        let whole = Duration::from_secs(u64::from(seconds));
        if self.quick { whole / 10 } else { whole }
    }
}

pub fn run(repository: &Repository, args: &Args) -> Result<()> {
    if args.list {
        for kind in KINDS {
            println!("{:<12} {}", kind.name, kind.about);
        }
        return Ok(());
    }
    let unknown = |name: &&String| !KINDS.iter().any(|kind| kind.name == **name);
    if let Some(name) = args.names.iter().find(unknown) {
        bail!("nothing is called {name}; `cargo xtask bench --list` says what there is");
    }
    let strata = match &args.strata {
        Some(path) => path
            .canonicalize()
            .with_context(|| format!("{} is not there", path.display()))?,
        None => crate::vm::build_strata(repository)?,
    };
    let bench = Bench {
        repository,
        strata,
        python: target::python311()?,
        // In memory: what is measured writes there.
        scratch: Scratch::inside(Path::new("/dev/shm"))?,
        pool: Pool::open(args.pool.as_deref())?,
        rival: args.rival.clone(),
        quick: args.quick,
    };
    let machine = Machine::here();
    let _priority = priority::Priority::raise();
    let mut figures = Vec::new();
    for kind in KINDS {
        if args.names.is_empty() || args.names.iter().any(|name| name == kind.name) {
            eprintln!("bench: {}: {} …", kind.name, kind.about);
            figures.extend((kind.run)(&bench).with_context(|| format!("{} failed", kind.name))?);
        }
    }
    print!("{}", figure::table(&machine, &figures));
    if let Some(path) = &args.json {
        fs::write(path, figure::json(&machine, &figures)?)
            .with_context(|| format!("{} can't be written", path.display()))?;
    }
    Ok(())
}
