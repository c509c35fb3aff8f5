//! The same program, profiled by others at the same rates: slowdown, samples, own CPU, memory.
//!
//! They can't be paused without harm, so each is started and ended several times within one run of the target, and its
//! windows are compared with those before and after it. `perf record` and strata go through the same, to be compared.

mod tool;

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::Bench;
use super::child::{Place, Running};
use super::figure::Figure;
use super::proc::{cpu_seconds, status_kib};
use super::statistics::{Estimate, median};
use super::target::Target;
use super::windows::{Clock, Window, slowdowns};
use tool::{TOOLS, Tool};

const RATES: [u32; 2] = [99, 999];
const TIMES: usize = 4;
/// For how long a tool records. The window lies in the middle.
const RECORD: u32 = 5;
const BEGIN: Duration = Duration::from_millis(1500);
const WINDOW: Duration = Duration::from_millis(2500);
const PAUSE: Duration = Duration::from_millis(1500);

/// What came of one tool at one rate.
#[derive(Default)]
struct Seen {
    windows: Vec<Window>,
    /// Samples of those asked, in per cent.
    got: Vec<f64>,
    /// Seconds of CPU in ten seconds.
    cpu: Vec<f64>,
    rss: Vec<f64>,
}

pub fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let wanted = |tool: &&Tool| bench.rival.as_ref().is_none_or(|name| name == tool.name);
    for tool in TOOLS.iter().filter(wanted) {
        let place = match (tool.find)(bench) {
            Ok(place) => place,
            Err(error) => {
                eprintln!("bench: {} is left out: {error:#}", tool.name);
                continue;
            }
        };
        for rate in RATES {
            let seen = measure(bench, tool, &place, rate)
                .with_context(|| format!("{} at {rate} Hz", tool.name))?;
            figures.extend(seen.figures(tool.name, rate)?);
        }
    }
    Ok(figures)
}

fn measure(bench: &Bench, tool: &Tool, place: &Path, rate: u32) -> Result<Seen> {
    let target = (tool.target)(bench)?;
    let mut seen = Seen::default();
    seen.windows.push(window(&target, None, PAUSE)?);
    let times = if bench.quick { 1 } else { TIMES };
    for _ in 0..times {
        let output = bench.work().join("rival.out");
        let _ = std::fs::remove_file(&output);
        let log = std::fs::File::create(bench.work().join("rival.log"))?;
        let mut command = (tool.command)(bench, place, target.pid(), rate, RECORD, &output);
        command
            .stdin(std::process::Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let mut running = Running::start(&mut command, Place::Aside)?;
        thread::sleep(BEGIN);
        let before = cpu_seconds(running.pid())?;
        seen.windows.push(window(&target, Some(0), WINDOW)?);
        let used = cpu_seconds(running.pid())? - before;
        seen.cpu.push(used * 10.0 / WINDOW.as_secs_f64());
        seen.rss
            .push(status_kib(running.pid(), "VmRSS")? as f64 / 1024.0);
        if tool.ends_alone {
            running.wait(Duration::from_secs(60))?;
        } else {
            thread::sleep(Duration::from_secs(u64::from(RECORD)) - BEGIN - WINDOW);
            running.end(Signal::INT, Duration::from_secs(60))?;
        }
        let said = std::fs::read(bench.work().join("rival.log"))?;
        let said = String::from_utf8_lossy(&said);
        let samples = (tool.samples)(&output, &said)
            .with_context(|| format!("its samples can't be counted; it said: {said}"))?;
        seen.got.push(samples / f64::from(rate * RECORD) * 100.0);
        // Until whatever it does at its end is over.
        thread::sleep(Duration::from_millis(300));
        seen.windows.push(window(&target, None, PAUSE)?);
    }
    target.end()?;
    Ok(seen)
}

fn window(target: &Target, on: Option<usize>, time: Duration) -> Result<Window> {
    let from = target.mark()?;
    thread::sleep(time);
    let to = target.mark()?;
    Ok(Window { on, from, to })
}

impl Seen {
    fn figures(&self, who: &str, rate: u32) -> Result<Vec<Figure>> {
        let nothing = "nothing was measured";
        let slower = slowdowns(&self.windows, 0, Clock::Wall);
        let slower = Estimate::mean(&slower).context(nothing)?;
        let middle = |values: &[f64]| median(values).context(nothing);
        let figures = vec![
            Figure::estimated(format!("slowdown, {rate} Hz"), slower, "%"),
            Figure::new(
                format!("samples of those asked, {rate} Hz"),
                middle(&self.got)?,
                "%",
            ),
            Figure::new(
                format!("own CPU in 10 s, {rate} Hz"),
                middle(&self.cpu)?,
                "s",
            ),
            Figure::new(format!("RSS, {rate} Hz"), middle(&self.rss)?, "MiB"),
        ];
        Ok(figures
            .into_iter()
            .map(|figure| {
                figure
                    .of(who)
                    .note(format!("started {} times", self.got.len()))
            })
            .collect())
    }
}
