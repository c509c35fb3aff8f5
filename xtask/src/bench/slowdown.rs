//! What sampling costs a CPU-bound Python program, over what `perf record -e cpu-clock -g` costs it at the same rate.
//!
//! On a virtual machine the clock's interrupt alone costs the target about 13 µs, whoever asks for it. So strata and perf
//! are switched on and off by turns within one run of the target, both wholly: a paused strata has taken its clocks off,
//! a disabled perf its events. Each one's windows are compared with the windows without any that touch them, and the
//! difference of the two means is strata's own price.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::agent::{Agent, Of, Stats};
use super::figure::Figure;
use super::perf::Perf;
use super::statistics::Estimate;
use super::target::Target;
use super::toggle::{self, Switch};
use super::windows::{Clock, Window, slowdowns};

const SECONDS: u32 = 150;
const STRATA: usize = 0;
const PERF: usize = 1;
pub const CLOCKS: [(Clock, &str); 2] = [(Clock::Wall, "wall"), (Clock::Cpu, "its CPU time")];

impl Switch for Agent {
    fn on(&mut self) -> Result<()> {
        self.resume()
    }

    fn off(&mut self) -> Result<()> {
        self.pause()
    }
}

pub fn run_999(bench: &Bench) -> Result<Vec<Figure>> {
    run(bench, 999)
}

pub fn run_99(bench: &Bench) -> Result<Vec<Figure>> {
    run(bench, 99)
}

fn run(bench: &Bench, rate: u32) -> Result<Vec<Figure>> {
    let target = Target::python(bench.repository, &bench.python, bench.work())?;
    let of = Of::Process(target.pid());
    let mut agent = Agent::start(&bench.strata, of, rate, bench.work())?;
    agent.wait_until_sampling(Duration::from_secs(2))?;
    agent.off()?;
    let mut perf = Perf::start(target.pid(), rate, "fp", bench.work())?;
    // Waits until perf listens.
    perf.off()?;
    let windows = toggle::run(
        &target,
        &mut [&mut agent, &mut perf],
        bench.seconds(SECONDS),
    )?;
    let (_, captured) = perf.finish()?;
    let (stats, _) = agent.finish()?;
    target.end()?;
    check(&stats, captured, rate)?;
    figures_of(bench, rate, &windows)
}

/// Both have sampled while they were on: else the comparison says nothing.
fn check(stats: &Stats, captured: u64, rate: u32) -> Result<()> {
    let time = stats.number("ended_ns")? - stats.number("started_ns")?;
    let on = (time - stats.number("paused_ns")?) as f64 * 1e-9;
    let due = on * f64::from(rate);
    let got = stats.number("samples")? as f64;
    // Where other programs are busy too, the target does not have its CPU for itself.
    ensure!(
        got > 0.5 * due && got < 1.1 * due,
        "strata took {got} samples, {due:.0} were due in the time that it was on"
    );
    ensure!(
        captured as f64 > 0.3 * due,
        "perf took {captured} samples where strata took {got}"
    );
    Ok(())
}

fn figures_of(bench: &Bench, rate: u32, windows: &[Window]) -> Result<Vec<Figure>> {
    let few = "too few windows to say anything";
    let mut figures = Vec::new();
    for (clock, by) in CLOCKS {
        let pooled = |who, which| {
            let values = slowdowns(windows, which, clock);
            bench
                .pool
                .add(&format!("slowdown, {rate} Hz, {who}, by {by}"), &values)
        };
        let strata = pooled("strata", STRATA)?;
        let perf = pooled("perf -g", PERF)?;
        let note = format!("by {by}; {} and {} windows", strata.len(), perf.len());
        let over = Estimate::difference(&strata, &perf).context(few)?;
        figures.push(
            Figure::estimated(format!("slowdown over perf -g, {rate} Hz"), over, "%").note(note),
        );
        for (who, values) in [("strata", &strata), ("perf -g", &perf)] {
            let estimate = Estimate::mean(values).context(few)?;
            let figure = Figure::estimated(format!("slowdown, {rate} Hz"), estimate, "%");
            figures.push(figure.of(who).note(format!("by {by}")));
        }
    }
    Ok(figures)
}
