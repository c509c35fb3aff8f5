//! `strata agent`: an operator's story with a Collector that goes away (`operator/outage.sh`), and its life from start to
//! end.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use strata_tests::folded;
use strata_tests::machine::agent::Agent;
use strata_tests::machine::target::{self, Target};
use strata_tests::machine::{self, Problem, cache};

use crate::cell::Cell;
use crate::world::World;

const PATIENCE: Duration = Duration::from_secs(60);

pub fn cells(world: &Arc<World>) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |row: &str, property: &str, check: fn(&World) -> Result<(), Problem>| {
        let world = Arc::clone(world);
        cells.push(Cell::new("agent", row, property, move || check(&world)));
    };
    add("outage", "nothing_lost", |world| {
        story(world, &["--outage", "60"])
    });
    add("outage", "crash", |world| {
        let http = ["--protocol", "http/protobuf"];
        story(world, &[&["--outage", "24", "--crash"], &http[..]].concat())
    });
    add("life", "last_batch", last_batch);
    add("life", "second_agent", second_agent);
    add("life", "rights", rights);
    add("life", "reload", reload);
    cells
}

/// Runs the script, which judges by itself.
fn story(world: &World, arguments: &[&str]) -> Result<(), Problem> {
    let collector = cache().join("bin/otelcol");
    if !collector.is_file() {
        let what = collector.display();
        return Err(Problem::Skipped(format!(
            "there is no {what} (tests/setup.sh)"
        )));
    }
    // What it says is shown if it fails.
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec \"$0\" \"$@\" >&2"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("operator/outage.sh"));
    // Many samples: shares and totals are judged, and chance should have no say.
    command
        .args(["--rate", "49"])
        .args(arguments)
        .env("STRATA", &world.strata()?.binary)
        .env("OTELCOL", collector);
    machine::run(&mut command)?;
    Ok(())
}

fn folder(world: &World, name: &str) -> PathBuf {
    world.scratch().join(format!("agent-{name}"))
}

/// A C program that computes.
fn busy(world: &World) -> Result<Target, Problem> {
    let program = world.compiler.build("simple", "c/simple.c", &[])?;
    Ok(Target::start(Command::new(program).arg("120"))?)
}

/// Samples of a process in a store.
fn stored(world: &World, folder: &Path, pid: u32) -> Result<u64, Problem> {
    let mut command = world.strata()?.command(&["report", "--store"]);
    command.arg(folder.join("store"));
    command.args(["-f", "folded", "-o", "-"]);
    let text = machine::run(&mut command)?;
    let samples = folded::parse(&text)?;
    Ok(folded::total(&folded::of_process(&samples, pid)))
}

/// What was sampled since the last whole batch is kept as well; and the agent is not in it.
fn last_batch(world: &World) -> Result<(), Problem> {
    let folder = folder(world, "last");
    let target = busy(world)?;
    let agent = Agent::start(
        world.strata()?,
        &folder,
        &["--listen", "off", "--interval", "10m", "--rate", "99"],
    )?;
    let own = agent.pid();
    std::thread::sleep(Duration::from_secs(4));
    agent.stop()?;
    let samples = stored(world, &folder, target.pid)?;
    // 99 a second, on a machine that may be busy with other things.
    if samples < 19 {
        return Err(Problem::Failed(format!(
            "{samples} samples of four seconds"
        )));
    }
    match stored(world, &folder, own)? {
        0 => Ok(()),
        samples => Err(Problem::Failed(format!(
            "{samples} samples of the agent itself"
        ))),
    }
}

/// An agent that finds its store in use says whose it is, and does not disturb that one.
fn second_agent(world: &World) -> Result<(), Problem> {
    let folder = folder(world, "second");
    let target = busy(world)?;
    let first = Agent::start(world.strata()?, &folder, &["--listen", "off"])?;
    let mut command = world.strata()?.command(&["agent", "--store"]);
    command.arg(folder.join("store")).args(["--listen", "off"]);
    // The tests' own variables are none of its settings.
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"STRATA_") {
            command.env_remove(name);
        }
    }
    let output = command
        .output()
        .map_err(|error| format!("the second agent: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() != Some(1) || !said.contains(&first.pid().to_string()) {
        let status = output.status;
        return Err(Problem::Failed(format!("it ended with {status}: {said}")));
    }
    std::thread::sleep(Duration::from_secs(2));
    first.stop()?;
    match stored(world, &folder, target.pid)? {
        0 => Err(Problem::Failed("the first one kept nothing".to_owned())),
        _ => Ok(()),
    }
}

/// The agent has the six rights of sampling, whatever it was started with, and its files are its own.
fn rights(world: &World) -> Result<(), Problem> {
    let folder = folder(world, "rights");
    let agent = Agent::start(world.strata()?, &folder, &["--listen", "off"])?;
    let tasks = format!("/proc/{}/task", agent.pid());
    let tasks = std::fs::read_dir(&tasks).map_err(|error| format!("{tasks}: {error}"))?;
    // DAC_READ_SEARCH, SYS_PTRACE, SYSLOG, PERFMON, BPF, CHECKPOINT_RESTORE.
    let most = [2, 19, 34, 38, 39, 40]
        .iter()
        .fold(0_u64, |sum, bit| sum | 1 << bit);
    let mut threads = 0;
    for task in tasks.flatten() {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let field = |name: &str| {
            let lines = status.lines();
            let mut values = lines.filter_map(|line| line.strip_prefix(name));
            values.next().map(str::trim)
        };
        for set in ["CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            let has = field(set).and_then(|bits| u64::from_str_radix(bits, 16).ok());
            let has = has.ok_or(format!("no {set} in a thread's status"))?;
            if has & !most != 0 {
                return Err(Problem::Failed(format!("a thread has {set} {has:x}")));
            }
        }
        if field("NoNewPrivs:") != Some("1") {
            return Err(Problem::Failed("a thread may gain rights".to_owned()));
        }
        threads += 1;
    }
    if threads < 3 {
        return Err(Problem::Failed(format!("{threads} threads")));
    }
    agent.stop()?;
    only_for_us(&folder.join("store"))?;
    Ok(())
}

/// Folders 0700, files 0600.
fn only_for_us(path: &Path) -> Result<(), String> {
    let why = |error: std::io::Error| format!("{}: {error}", path.display());
    let metadata = std::fs::symlink_metadata(path).map_err(why)?;
    let (mode, right) = (
        metadata.mode() & 0o7777,
        if metadata.is_dir() { 0o700 } else { 0o600 },
    );
    if mode != right {
        return Err(format!("{} has mode {mode:o}", path.display()));
    }
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path).map_err(why)? {
            only_for_us(&entry.map_err(why)?.path())?;
        }
    }
    Ok(())
}

/// SIGHUP reads the settings again. Those that make no sense leave the agent as it was.
fn reload(world: &World) -> Result<(), Problem> {
    let folder = folder(world, "reload");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let config = folder.join("strata.toml");
    let write = |text: &str| {
        std::fs::write(&config, text).map_err(|error| format!("{}: {error}", config.display()))
    };
    write("store-size = \"64MiB\"\n")?;
    let path = config.display().to_string();
    let agent = Agent::start(
        world.strata()?,
        &folder,
        &["--listen", "off", "--config", &path],
    )?;
    for (text, said) in [
        ("store-size = \"128MiB\"\n", "store-size changed"),
        ("store-sice = \"1MiB\"\n", "store-size"),
        ("rate = 49\n", "restart"),
    ] {
        let before = agent.log().len();
        write(text)?;
        target::signal(agent.pid(), libc::SIGHUP);
        let until = Instant::now() + PATIENCE;
        while !agent.log()[before..].contains(said) {
            if Instant::now() > until {
                return Err(Problem::Failed(
                    agent.explain(&format!("did not say `{said}`")),
                ));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    agent.stop()?;
    Ok(())
}
