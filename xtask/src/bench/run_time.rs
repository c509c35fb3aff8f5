//! Time that the eBPF program takes for a sample, by the kernel's own clock around each run (kernel.bpf_stats_enabled).
//!
//! The kernel counts the entry program, and the stages behind it with it. It also counts the runs that find nothing to do
//! on the other CPUs; what such a run takes is measured first, with a target that sleeps, and taken off. The clock itself
//! is in the figure: about 0.15 µs a sample.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Bench;
use super::agent::{Agent, Of};
use super::child::{Place, Running, quiet};
use super::figure::Figure;
use super::proc::{Ebpf, RunTimes};
use super::target::Target;

const RATES: [u32; 2] = [997, 99];
/// Samples of which the figure is the mean.
const SAMPLES: u32 = 8000;
const WARM_UP: Duration = Duration::from_secs(2);

pub fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let _times = RunTimes::enable()?;
    let mut figures = Vec::new();
    for rate in RATES {
        let idle = left_out(bench, rate)?;
        let target = Target::python(bench.repository, &bench.python, bench.work())?;
        let seconds = bench.seconds((SAMPLES / rate).clamp(8, 40));
        let mut agent = Agent::start(&bench.strata, Of::Process(target.pid()), rate, bench.work())?;
        agent.wait_until_sampling(WARM_UP)?;
        let before = Ebpf::of(agent.pid())?;
        thread::sleep(seconds);
        let after = Ebpf::of(agent.pid())?;
        let (stats, _) = agent.finish()?;
        target.end()?;

        let (runs, entries) = (stats.number("runs")?, stats.number("entries")?);
        ensure!(entries > 0, "nothing was sampled at {rate} Hz");
        let runs_now = (after.runs - before.runs) as f64;
        let samples = runs_now * entries as f64 / runs as f64;
        let others = (runs_now - samples) * idle;
        let each = ((after.run_ns - before.run_ns) as f64 - others) / samples / 1000.0;
        figures.push(
            Figure::new(format!("eBPF time a sample, {rate} Hz"), each, "µs").note(format!(
                "{samples:.0} samples of {}; a run that is left out: {:.2} µs",
                stats.frames_note(),
                idle / 1000.0
            )),
        );
    }
    Ok(figures)
}

/// Nanoseconds of a run of somebody who was not meant.
fn left_out(bench: &Bench, rate: u32) -> Result<f64> {
    let sleeper = Running::start(quiet("sleep").arg("600"), Place::Aside)?;
    let mut agent = Agent::start(
        &bench.strata,
        Of::Process(sleeper.pid()),
        rate,
        bench.work(),
    )?;
    agent.wait_until_sampling(Duration::from_millis(300))?;
    let before = Ebpf::of(agent.pid())?;
    thread::sleep(bench.seconds(4));
    let after = Ebpf::of(agent.pid())?;
    agent.finish()?;
    let runs = after.runs.saturating_sub(before.runs).max(1);
    Ok((after.run_ns - before.run_ns) as f64 / runs as f64)
}
