//! `cargo xtask soak`: an agent that samples a machine on which everything comes and goes, watched for what grows.

mod churn;
mod judge;
mod watch;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::bench::child::{Place, Running, quiet};
use crate::bench::proc::RunTimes;
use crate::repository::Repository;
use crate::scratch::Scratch;
use churn::Churn;
use judge::{Limits, Verdict};
use watch::Reading;

/// How often is looked.
const INTERVAL: Duration = Duration::from_secs(10);

/// Runs the agent under full load while processes, executables and libraries come and go, and judges whether its memory,
/// descriptors, threads and CPU time stay within bounds.
#[derive(clap::Args)]
pub struct Args {
    /// For how long.
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// The binary; built if none is given.
    #[arg(long, value_name = "PATH")]
    strata: Option<PathBuf>,
    /// Samples a second and CPU.
    #[arg(long, default_value_t = 19)]
    rate: u32,
    /// Writes all readings and the verdict there too.
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
}

pub fn run(repository: &Repository, args: &Args) -> Result<()> {
    ensure!(
        args.minutes > 0.0 && args.minutes < 1e6,
        "--minutes has to be a time"
    );
    let strata = match &args.strata {
        Some(path) => path.clone(),
        None => crate::vm::build_strata(repository)?,
    };
    let scratch = Scratch::inside(&std::env::temp_dir())?;
    // Without the right to it the eBPF side's time is missing in the figures, which the table says.
    let run_times = RunTimes::enable().ok();
    let duration = Duration::from_secs_f64(args.minutes * 60.0);
    let churn = Churn::start(scratch.path())?;
    let soaked = soak(&strata, args.rate, duration, scratch.path());
    let turns = churn.stop();
    drop(run_times);
    let readings = soaked?;
    let verdict = judge::judge(&readings, &Limits::of(&readings));
    print!("{}", report(&readings, &verdict, turns));
    if let Some(path) = &args.json {
        let value = serde_json::json!({
            "rate": args.rate,
            "turns": turns,
            "readings": readings,
            "verdict": verdict,
        });
        let text = serde_json::to_string_pretty(&value)?;
        fs::write(path, text).with_context(|| format!("{} can't be written", path.display()))?;
    }
    if !verdict.is_good() {
        bail!("the agent does not stay within its bounds; what is wrong is listed above");
    }
    Ok(())
}

fn soak(strata: &Path, rate: u32, duration: Duration, work: &Path) -> Result<Vec<Reading>> {
    let log = work.join("agent.log");
    let mut command = quiet(strata);
    command
        .args([
            "agent",
            "--rate",
            &rate.to_string(),
            "--listen",
            "127.0.0.1:0",
        ])
        .arg("--store")
        .arg(work.join("store"))
        .stderr(fs::File::create(&log)?);
    let mut agent = Running::start(&mut command, Place::Anywhere)?;
    let said = || fs::read_to_string(&log).unwrap_or_default();
    let begin = Instant::now();
    let mut readings: Vec<Reading> = Vec::new();
    while begin.elapsed() < duration {
        std::thread::sleep(INTERVAL);
        if agent.has_ended()? {
            bail!("the agent ended: {}", said());
        }
        let reading = Reading::take(agent.pid(), begin.elapsed(), &said())?;
        if readings.is_empty() {
            println!("{}", Reading::head());
        }
        println!("{}", reading.line(readings.last()));
        readings.push(reading);
    }
    let status = agent.end(Signal::TERM, Duration::from_secs(60))?;
    ensure!(status.success(), "the agent failed: {}", said());
    Ok(readings)
}

fn report(readings: &[Reading], verdict: &Verdict, turns: u64) -> String {
    let mut text = String::new();
    let minutes = readings.last().map_or(0.0, |last| last.seconds / 60.0);
    text += &format!("\n{minutes:.0} minutes, {turns} processes came and went\n");
    for finding in &verdict.findings {
        let mark = if finding.good { "good" } else { "BAD " };
        text += &format!("{mark}  {}\n", finding.text);
    }
    text
}
