//! Programs that a profiler may slow down though it never samples them much: a loop of cheap system calls, a loop of fork and
//! exec. The whole machine is recorded at 99 Hz, on and off within one run.

use std::time::Duration;

use anyhow::{Context, Result};

use super::Bench;
use super::agent::{Agent, Of};
use super::figure::Figure;
use super::statistics::Estimate;
use super::target::Target;
use super::toggle::{self, Switch};
use super::windows::{Clock, slowdowns};

const RATE: u32 = 99;
const SECONDS: u32 = 60;
const LOOPS: [(&str, &str); 2] = [
    ("syscalls", "cheap system calls"),
    ("spawn", "fork and exec"),
];

pub fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (program, name) in LOOPS {
        let target = Target::c(bench.repository, program, bench.work())?;
        let mut agent = Agent::start(&bench.strata, Of::Machine, RATE, bench.work())?;
        agent.wait_until_sampling(Duration::from_secs(2))?;
        agent.off()?;
        let windows = toggle::run(&target, &mut [&mut agent], bench.seconds(SECONDS))?;
        agent.finish()?;
        target.end()?;
        let found = slowdowns(&windows, 0, Clock::Wall);
        let found = bench
            .pool
            .add(&format!("slowdown of {name}, {RATE} Hz"), &found)?;
        let estimate = Estimate::mean(&found).context("too few windows to say anything")?;
        figures.push(
            Figure::estimated(format!("slowdown of {name}, {RATE} Hz"), estimate, "%")
                .note(format!("by wall; {} windows", found.len())),
        );
    }
    Ok(figures)
}
