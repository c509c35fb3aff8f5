//! What the agent itself uses once it has settled: CPU and memory at 997 Hz.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::Bench;
use super::agent::{Agent, Of};
use super::figure::Figure;
use super::proc::{Ebpf, cpu_seconds, status_kib};
use super::target::Target;

const RATE: u32 = 997;
const WARM_UP: Duration = Duration::from_secs(5);
const SECONDS: u32 = 20;

pub fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let target = Target::python(bench.repository, &bench.python, bench.work())?;
    for (of, name) in [
        (Of::Process(target.pid()), "the target alone"),
        (Of::Machine, "the whole machine"),
    ] {
        let mut agent = Agent::start(&bench.strata, of, RATE, bench.work())?;
        agent.wait_until_sampling(WARM_UP)?;
        let before = cpu_seconds(agent.pid())?;
        let seconds = bench.seconds(SECONDS);
        thread::sleep(seconds);
        let used = cpu_seconds(agent.pid())? - before;
        let rss = status_kib(agent.pid(), "RssAnon")? as f64 / 1024.0;
        let whole_rss = status_kib(agent.pid(), "VmRSS")? as f64 / 1024.0;
        let maps = Ebpf::of(agent.pid())?.map_bytes as f64 / f64::from(1 << 20);
        let (stats, _) = agent.finish()?;
        let samples = stats.number("samples")?;
        figures.push(
            Figure::new(
                format!("own CPU in 10 s, {RATE} Hz, {name}"),
                used * 10.0 / seconds.as_secs_f64(),
                "s",
            )
            .note(format!(
                "{samples} samples, {} bodies",
                stats.0["kernel"]["stacks"]
            )),
        );
        figures.push(
            Figure::new(
                format!("RssAnon + eBPF maps, {RATE} Hz, {name}"),
                rss + maps,
                "MiB",
            )
            .note(format!(
                "{rss:.1} + {maps:.1}; RSS with the pages of files {whole_rss:.1}"
            )),
        );
    }
    target.end()?;
    Ok(figures)
}
