//! What sampling costs a CPU-bound Python program, over what `perf record -e cpu-clock -g` costs it at the same rate.
//!
//! On a virtual machine the clock's interrupt alone costs the target about 13 µs, whoever asks for it. So strata and perf
//! are switched on and off by turns within one run of the target, both wholly: a paused strata has taken its clocks off,
//! a disabled perf its events. Each one's windows are compared with the windows without any that touch them, and the
//! difference of the two means is strata's own price.

use anyhow::{Context, Result};

use super::Bench;
use super::agent::{Agent, Of};
use super::figure::Figure;
use super::perf::Perf;
use super::statistics::Estimate;
use super::target::Target;
use super::toggle::{self, Switch};
use super::windows::{Clock, Window, slowdowns};

const RATES: [u32; 2] = [999, 99];
const SECONDS: u32 = 150;
const STRATA: usize = 0;
const PERF: usize = 1;

impl Switch for Agent {
    fn on(&mut self) -> Result<()> {
        self.resume()
    }

    fn off(&mut self) -> Result<()> {
        self.pause()
    }
}

pub fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for rate in RATES {
        let target = Target::python(bench.repository, &bench.python, bench.work())?;
        let mut agent = Agent::start(&bench.strata, Of::Process(target.pid()), rate, bench.work())?;
        agent.wait_until_sampling(std::time::Duration::from_secs(2))?;
        agent.off()?;
        let mut perf = Perf::start(target.pid(), rate, "fp", bench.work())?;
        // Waits until perf listens.
        perf.off()?;
        let windows = toggle::run(
            &target,
            &mut [&mut agent, &mut perf],
            bench.seconds(SECONDS),
        )?;
        perf.finish()?;
        agent.finish()?;
        target.end()?;
        figures.extend(figures_of(rate, &windows)?);
    }
    Ok(figures)
}

fn figures_of(rate: u32, windows: &[Window]) -> Result<Vec<Figure>> {
    let few = "too few windows to say anything";
    let mut figures = Vec::new();
    for (clock, by) in [(Clock::Wall, "wall"), (Clock::Cpu, "its CPU time")] {
        let strata = slowdowns(windows, STRATA, clock);
        let perf = slowdowns(windows, PERF, clock);
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
