//! Samples that were taken, of those that were due: the rate times the CPU time that the target used meanwhile, by the
//! target's own clock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Bench;
use super::agent::{Agent, Of};
use super::counter::Mark;
use super::figure::Figure;
use super::target::Target;

const RATES: [u32; 2] = [99, 999];
const SECONDS: u32 = 20;

pub fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for rate in RATES {
        let python = Target::python(bench.repository, &bench.python, bench.work())?;
        figures.push(of_target(bench, python, rate, "one busy thread")?);
        let threads = Target::c_anywhere(bench.repository, "busy", bench.work())?;
        figures.push(of_target(bench, threads, rate, "four threads on all CPUs")?);
    }
    Ok(figures)
}

fn of_target(bench: &Bench, target: Target, rate: u32, name: &str) -> Result<Figure> {
    let ended = AtomicBool::new(false);
    let (stats, marks) = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut marks = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                marks.push(target.mark()?);
                thread::sleep(Duration::from_millis(1));
            }
            anyhow::Ok(marks)
        });
        let stats = record(bench, &target, rate);
        ended.store(true, Ordering::Relaxed);
        let marks = watcher.join().ok().context("the watcher ended early")?;
        anyhow::Ok((stats?, marks?))
    })?;
    let pid = target.pid();
    target.end()?;
    let at = |name| {
        let time = stats.number(name)?;
        cpu_at(&marks, time).with_context(|| format!("the target did not run at {name}"))
    };
    let cpu = (at("ended_ns")? - at("started_ns")?) * 1e-9;
    let due = f64::from(rate) * cpu;
    let got = stats.of_process(pid, "samples")? as f64;
    let lost: u64 = stats.0["lost"]
        .as_object()
        .map_or(0, |lost| lost.values().filter_map(|it| it.as_u64()).sum());
    Ok(Figure::new(
        format!("samples of those due, {rate} Hz, {name}"),
        got / due * 100.0,
        "%",
    )
    .note(format!(
        "{got} of {due:.0} in {cpu:.1} s of CPU; lost as strata counts: {lost}"
    )))
}

fn record(bench: &Bench, target: &Target, rate: u32) -> Result<super::agent::Stats> {
    let mut agent = Agent::start(&bench.strata, Of::Process(target.pid()), rate, bench.work())?;
    agent.wait_until_sampling(bench.seconds(SECONDS))?;
    Ok(agent.finish()?.0)
}

/// CPU time that the target had used at a moment, between the two units that ended around it.
fn cpu_at(marks: &[Mark], time: u64) -> Option<f64> {
    let after = marks.partition_point(|mark| mark.monotonic < time);
    let (before, after) = (marks.get(after.checked_sub(1)?)?, marks.get(after)?);
    let share = (time - before.monotonic) as f64 / (after.monotonic - before.monotonic) as f64;
    Some(before.cpu as f64 + share * (after.cpu as f64 - before.cpu as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_taken_between_the_marks_around_a_moment() {
        let mark = |monotonic, cpu| Mark {
            units: 0,
            monotonic,
            cpu,
            waited: 0,
        };
        let marks = [mark(100, 1000), mark(200, 1080), mark(300, 1090)];
        assert_eq!(cpu_at(&marks, 150), Some(1040.0));
        assert_eq!(cpu_at(&marks, 200), Some(1080.0));
        assert_eq!(cpu_at(&marks, 250), Some(1085.0));
        assert_eq!(cpu_at(&marks, 100), None);
        assert_eq!(cpu_at(&marks, 301), None);
    }
}
