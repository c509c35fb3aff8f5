//! What an agent ships, as real receivers got it: an OpenTelemetry Collector in both protocols, programs that take apart
//! what is pushed to Pyroscope and Parca. A program's own CPU clock says how much there must be; ids say whether something
//! came twice or not at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use strata_tests::machine::agent::Agent;
use strata_tests::machine::readers::Collector;
use strata_tests::machine::receiver::{Receiver, Request};
use strata_tests::machine::target::Target;
use strata_tests::machine::{Problem, workloads};
use strata_tests::readers::collector;

use crate::cell::Cell;
use crate::world::World;

/// Samples a second: so many that chance is small after a few seconds.
const RATE: u64 = 499;
const WORKED: Duration = Duration::from_secs(14);
/// How long the Collector is away in all.
const OUTAGE: Duration = Duration::from_secs(60);
/// Of batches, where many of them are wanted.
const INTERVAL: Duration = Duration::from_secs(3);
/// What the workload says of itself, in seconds.
#[derive(Deserialize)]
struct Truth {
    cpu: f64,
    longer: f64,
    shorter: f64,
}

pub fn cells(world: &Arc<World>) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |row: &str, property: &str, check: fn(&World) -> Result<(), Problem>| {
        let world = Arc::clone(world);
        cells.push(Cell::new("export", row, property, move || check(&world)));
    };
    add("grpc", "arrives", |world| arrives(world, "grpc", WORKED));
    add("http", "arrives", |world| {
        arrives(world, "http/protobuf", WORKED)
    });
    add("grpc", "outage", |world| arrives(world, "grpc", OUTAGE));
    add("grpc", "killed", |world| killed(world, "grpc"));
    add("http", "killed", |world| killed(world, "http/protobuf"));
    add("pyroscope", "as_its_client", pyroscope);
    add("parca", "decoded", parca);
    cells
}

fn folder(world: &World, name: &str) -> Result<PathBuf, Problem> {
    let folder = world.scratch().join(format!("export-{name}"));
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

fn agent(world: &World, folder: &Path, arguments: &[&str]) -> Result<Agent, Problem> {
    let rate = RATE.to_string();
    let always = ["-r", &rate, "--listen", "off", "--flush-deadline", "50s"];
    let arguments = [&always[..], arguments].concat();
    Ok(Agent::start(world.strata()?, folder, &arguments)?)
}

fn to_collector<'a>(endpoint: &'a str, protocol: &'a str) -> [&'a str; 4] {
    ["--otlp-endpoint", endpoint, "--otlp-protocol", protocol]
}

fn endpoint(collector: &Collector, protocol: &str) -> String {
    match protocol {
        "grpc" => collector.grpc(),
        _ => collector.http(),
    }
}

fn workload() -> Result<Target, Problem> {
    let python = Path::new("/usr/bin/python3.11");
    if !python.is_file() {
        let why = "no /usr/bin/python3.11 (tests/setup.sh)".to_owned();
        return Err(Problem::Skipped(why));
    }
    let script = workloads().join("python/steady.py");
    let mut command = Command::new(python);
    command.args(["-E", "-s", "-B"]).arg(script);
    Ok(Target::start(&mut command)?)
}

/// Lets the workload work; what it says.
fn worked(mut target: Target) -> Result<Truth, Problem> {
    target.tell("go")?;
    std::thread::sleep(WORKED);
    let truth = target.stop()?;
    Ok(serde_json::from_str(&truth).map_err(|error| format!("{error} in {truth}"))?)
}

/// CPU time that was seen against what there was. How much that is depends on how busy the machine is, and with it how far
/// samples taken at random may be off: four times their standard deviation, and 1 % for what the clocks themselves cost.
fn assert_close(what: &str, samples: u64, truth: f64) -> Result<(), Problem> {
    let (seen, expected) = (samples as f64, truth * RATE as f64);
    let tolerance = 4.0 * expected.sqrt() + 0.01 * expected;
    if expected < 20.0 || (seen - expected).abs() > tolerance {
        return Err(format!(
            "{what}: {samples} samples, where {truth:.2} s are {expected:.0} ± {tolerance:.0}"
        )
        .into());
    }
    Ok(())
}

/// The workload's time by the Collector's file.
fn assert_whole(text: &str, pid: u32, truth: &Truth) -> Result<(), Problem> {
    let stacks = collector::stacks(text)?;
    let of = |part: &str| -> u64 {
        let begin = format!("{pid};");
        let is_in = |stack: &&String| stack.starts_with(&begin) && stack.contains(part);
        let counts = stacks.iter().filter(|(stack, _)| is_in(stack));
        counts.map(|(_, count)| count).sum()
    };
    assert_whole_of(of(""), of(";longer ("), of(";shorter ("), truth)
}

/// All of the time has to be there, and what is in the two functions in their proportion. How much of it has their names is
/// judged where sampling is: an interpreter that was not read yet has none.
fn assert_whole_of(all: u64, longer: u64, shorter: u64, truth: &Truth) -> Result<(), Problem> {
    assert_close("all", all, truth.cpu)?;
    let named = (longer + shorter) as f64 / RATE as f64;
    if named > truth.cpu / 4.0 {
        let share = truth.longer / (truth.longer + truth.shorter);
        assert_close("longer", longer, named * share)?;
        assert_close("shorter", shorter, named * (1.0 - share))?;
    }
    Ok(())
}

fn once(text: &str) -> Result<(), Problem> {
    let mut seen = BTreeMap::new();
    for (id, samples) in collector::profiles(text)? {
        if id.is_empty() || seen.insert(id.clone(), samples).is_some() {
            return Err(format!("the profile `{id}` came twice or has no id").into());
        }
    }
    Ok(())
}

/// The Collector is away for a while, and comes back; all of it arrives, and once.
fn arrives(world: &World, protocol: &str, away: Duration) -> Result<(), Problem> {
    let folder = folder(world, &format!("{}-{}", &protocol[..4], away.as_secs()))?;
    let mut collector = Collector::start(&folder)?;
    let target = workload()?;
    let pid = target.pid;
    let endpoint = endpoint(&collector, protocol);
    collector.stop();
    let agent = agent(world, &folder, &to_collector(&endpoint, protocol))?;
    let gone = Instant::now();
    let truth = worked(target)?;
    std::thread::sleep(away.saturating_sub(gone.elapsed()));
    collector.again()?;
    let log = agent.stop()?;
    let text = collector.finish()?;
    once(&text)?;
    assert_whole(&text, pid, &truth).map_err(|why| format!("{why}\n{log}").into())
}

/// The agent is killed while an answer is due, and starts again: what was sent before has the same ids, and nothing is
/// missing but what was in memory when it was killed.
fn killed(world: &World, protocol: &str) -> Result<(), Problem> {
    let folder = folder(world, &format!("killed-{}", &protocol[..4]))?;
    let mut collector = Collector::start(&folder)?;
    let endpoint = endpoint(&collector, protocol);
    let interval = format!("{}s", INTERVAL.as_secs());
    let arguments = [
        &to_collector(&endpoint, protocol)[..],
        &["--interval", &interval],
    ]
    .concat();
    let first = agent(world, &folder, &arguments)?;
    let target = workload()?;
    let pid = target.pid;
    // Nothing is taken from here on, and nothing refused.
    collector.signal(libc::SIGSTOP);
    let truth = worked(target)?;
    // All of the workload is in the store by then, and the first message under way.
    std::thread::sleep(5 * INTERVAL);
    first.kill();
    collector.signal(libc::SIGCONT);
    let second = agent(world, &folder, &arguments)?;
    let log = second.stop()?;
    let text = collector.finish()?;
    let mut by_id = BTreeMap::<String, Vec<u64>>::new();
    for (id, samples) in collector::profiles(&text)? {
        by_id.entry(id).or_default().push(samples);
    }
    if let Some((id, samples)) = by_id
        .iter()
        .find(|(_, all)| all.iter().any(|it| *it != all[0]))
    {
        return Err(format!("two profiles have the id {id}: {samples:?} samples").into());
    }
    // Each message once.
    let mut seen = std::collections::BTreeSet::new();
    let mut whole = String::new();
    for line in text.lines() {
        let ids: Vec<String> = collector::profiles(line)?
            .into_iter()
            .map(|it| it.0)
            .collect();
        if seen.insert(ids) {
            whole += line;
            whole.push('\n');
        }
    }
    once(&whole)?;
    assert_whole(&whole, pid, &truth).map_err(|why| format!("{why}\n{log}").into())
}

/// What was pushed of the workload: its time by function, under its pid.
fn assert_pushed(requests: &[Request], pid: u32, truth: &Truth) -> Result<(), Problem> {
    let pid = pid.to_string();
    let (mut all, mut longer, mut shorter) = (0, 0, 0);
    for request in requests {
        if !request.faults.is_empty() {
            return Err(format!("the receiver refuses: {:?}", request.faults).into());
        }
        for profile in request.series.iter().flat_map(|series| &series.profiles) {
            let Some(samples) = profile.pids.get(&pid) else {
                continue;
            };
            let of = |function| profile.functions.get(function).copied().unwrap_or(0);
            all += samples;
            longer += of("longer");
            shorter += of("shorter");
        }
    }
    assert_whole_of(all, longer, shorter, truth)
}

/// All that an agent pushes while the workload works.
fn pushed(
    world: &World,
    receiver: &mut Receiver,
    name: &str,
    flag: &str,
    url: &str,
) -> Result<(Vec<Request>, u32, Truth), Problem> {
    let folder = folder(world, name)?;
    let agent = agent(world, &folder, &[flag, url])?;
    let target = workload()?;
    let pid = target.pid;
    let truth = worked(target)?;
    agent.stop()?;
    Ok((receiver.all(name)?, pid, truth))
}

fn pyroscope(world: &World) -> Result<(), Problem> {
    let mut receiver = Receiver::start()?;
    let client = receiver.client()?;
    let theirs = receiver.request()?;
    drop(client);
    let url = receiver.pyroscope.clone();
    let (ours, pid, truth) = pushed(world, &mut receiver, "pyroscope", "--push-pyroscope", &url)?;
    // The client's last words may come after its first.
    let is_ours = |request: &&Request| request.headers["user-agent"].starts_with("strata/");
    let ours: Vec<Request> = ours.iter().filter(is_ours).cloned().collect();
    assert_pushed(&ours, pid, &truth)?;
    let their_series = theirs.series.first().ok_or("the client pushed nothing")?;
    let their_profile = their_series
        .profiles
        .first()
        .ok_or("the client pushed nothing")?;
    for request in &ours {
        if request.path != theirs.path {
            return Err(format!("{} is not {}", request.path, theirs.path).into());
        }
        for header in ["content-type", "content-encoding"] {
            if request.headers.get(header) != theirs.headers.get(header) {
                return Err(format!("{header} differs: {:?}", request.headers).into());
            }
        }
        for series in &request.series {
            let name = |labels: &BTreeMap<String, String>| labels.get("__name__").cloned();
            if name(&series.labels) != name(&their_series.labels) {
                return Err(format!("the labels are {:?}", series.labels).into());
            }
            if !series.labels.contains_key("service_name") {
                return Err(format!("no service_name in {:?}", series.labels).into());
            }
            for profile in &series.profiles {
                let types = &profile.sample_types;
                let has = |kind| types.contains(kind);
                if !their_profile.sample_types.iter().all(has)
                    || profile.period_type != their_profile.period_type
                    || profile.id.len() != their_profile.id.len()
                {
                    return Err(format!("{profile:?} is not like {their_profile:?}").into());
                }
            }
        }
    }
    Ok(())
}

fn parca(world: &World) -> Result<(), Problem> {
    let mut receiver = Receiver::start()?;
    let url = receiver.parca.clone();
    let (ours, pid, truth) = pushed(world, &mut receiver, "parca", "--push-parca", &url)?;
    assert_pushed(&ours, pid, &truth)?;
    if !ours.iter().all(|request| request.normalized) {
        return Err("addresses are not said to be the file's own".into());
    }
    Ok(())
}
