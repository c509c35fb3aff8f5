//! Samples the machine in batches, and says what each took: `batches SECONDS_A_BATCH COUNT [RATE]`.

use std::time::{Duration, Instant};

use strata::bpf::Event;
use strata::session::{Bounds, Config, Session, View};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse::<u64>());
    let seconds = arguments.next().unwrap_or(Ok(10))?;
    let count = arguments.next().unwrap_or(Ok(6))?;
    let rate = arguments.next().unwrap_or(Ok(19))?;
    let config = Config {
        event: Event::CpuClock,
        rate,
        filter: 0,
        cgroup_subsystem: agent_common::kernel::CGROUP_DEFAULT,
        native_depth: 512,
        python_depth: 1024,
        ring_bytes: 1 << 22,
        table_mib: 24,
        times: true,
        executables: true,
        bounds: Bounds::always_on(),
    };
    let mut session = Session::new(config, &[])?;
    session.scan()?;
    session.start()?;
    let view = View {
        native_python: false,
        inlines: true,
    };
    for _ in 0..count {
        let begin = Instant::now();
        let mut cpus = begin;
        while begin.elapsed() < Duration::from_secs(seconds) {
            std::thread::sleep(Duration::from_millis(100));
            session.pump()?;
            if cpus.elapsed() > Duration::from_secs(1) {
                session.follow_cpus()?;
                cpus = Instant::now();
            }
        }
        let begin = Instant::now();
        let (profile, statistics) = session.batch(view)?;
        let took = begin.elapsed();
        print(&profile, &statistics, took);
    }
    let (profile, statistics) = session.finish(view)?;
    print(&profile, &statistics, Duration::ZERO);
    Ok(())
}

fn print(
    profile: &strata::profile::Profile,
    statistics: &strata::session::Statistics,
    took: Duration,
) {
    let weight: u64 = profile.samples().map(|(_, totals)| totals.weight).sum();
    let outside = profile
        .samples()
        .flat_map(|(_, totals)| &totals.moments)
        .filter(|moment| moment.time < profile.span.start || moment.time >= profile.span.end)
        .count();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = status.lines().find(|line| line.starts_with("RssAnon"));
    let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    println!(
        "{took:?}: {weight} samples in the profile, {} taken, {} wait, {} accepted, {} due, {} runs, {} \
         stacks, {} frames, {} unnamed, {outside} outside of {:?}, lost {:?}, cut {:?}, tables {:?}, {memory:?}, {descriptors} descriptors",
        statistics.total.samples,
        statistics.waiting,
        statistics.total.entries,
        statistics.due.unwrap_or(0),
        statistics.runs,
        profile.stacks().len(),
        statistics.frames,
        statistics.unnamed,
        profile.span.duration(),
        statistics.lost,
        statistics.total.cut,
        statistics.tables,
    );
}
