//! How long it takes until the target's first sample, with a hundred other processes there; and from Ctrl-C until the
//! picture is written.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

use super::Bench;
use super::agent::{Agent, Of};
use super::child::{Place, Running, wait_for_word};
use super::figure::Figure;
use super::statistics::median;
use super::target::Target;

const RATE: u32 = 997;
const TIMES: usize = 5;
const SECONDS: u32 = 10;
const OTHERS: usize = 100;
/// An interpreter with many libraries mapped, which waits for its input to end.
const IDLE: &str = "import asyncio, ctypes, decimal, hashlib, json, lzma, sqlite3, ssl, sys, zlib
print('ready', flush=True)
sys.stdin.read()";

pub fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let mut others = Vec::new();
    for number in 0..OTHERS {
        // Half of them one interpreter, the rest another.
        let python = if number % 2 == 0 {
            bench.python.clone()
        } else {
            "/usr/bin/python3".into()
        };
        let mut command = Command::new(python);
        command.args(["-c", IDLE]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        others.push(Running::start(&mut command, Place::Aside)?);
    }
    for other in &mut others {
        wait_for_word(&mut other.stdout()?, "ready")?;
    }
    let mut figures = Vec::new();
    for (name, whole) in [("the target alone", false), ("the whole machine", true)] {
        let (mut firsts, mut ends, mut samples) = (Vec::new(), Vec::new(), 0);
        for _ in 0..TIMES {
            let (repository, work) = (bench.repository, bench.work());
            let target = Target::python_at(repository, &bench.python, work, Place::Shared)?;
            let of = if whole {
                Of::Machine
            } else {
                Of::Process(target.pid())
            };
            let begin = now();
            let mut agent = Agent::start_at(
                &bench.strata,
                of,
                RATE,
                &bench.work().join("out.svg"),
                Place::Anywhere,
            )?;
            agent.wait_until_sampling(bench.seconds(SECONDS))?;
            let (stats, end) = agent.finish()?;
            let first = stats.of_process(target.pid(), "first_sample_ns")?;
            firsts.push(first.saturating_sub(begin) as f64 * 1e-9);
            ends.push(end.as_secs_f64());
            samples = stats.number("samples")?;
            target.end()?;
            thread::sleep(Duration::from_millis(100));
        }
        let note = format!("{} processes there; median of {TIMES}", OTHERS + 1);
        let first = median(&firsts).context("nothing was measured")?;
        figures.push(
            Figure::new(format!("start to first sample, {name}"), first, "s").note(format!(
                "{note}, longest {:.2}",
                firsts.iter().fold(0.0, |a, &b| f64::max(a, b))
            )),
        );
        let end = median(&ends).context("nothing was measured")?;
        figures.push(
            Figure::new(format!("end to flame graph written, {name}"), end, "s").note(format!(
                "after {samples} samples; longest {:.2}",
                ends.iter().fold(0.0, |a, &b| f64::max(a, b))
            )),
        );
    }
    Ok(figures)
}

fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
