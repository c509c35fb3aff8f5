//! Which processes are recorded: by process id with its threads, with children, by control group, a command of our own.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Arc;

use serde::Deserialize;
use strata_tests::machine::cgroup::{Cgroup, Version};
use strata_tests::machine::strata::Recording;
use strata_tests::machine::target::Target;
use strata_tests::machine::{Problem, interpreters};
use strata_tests::{faults, shares};

use crate::cell::{Cell, must_fail};
use crate::world::{Recorded, World};

const POINTS: f64 = 0.03;
const RATE: &str = "999";

pub fn cells(world: &Arc<World>) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |row: &str, property: &str, check: fn(&World) -> Result<(), Problem>| {
        let world = Arc::clone(world);
        cells.push(Cell::new("filters", row, property, move || check(&world)));
    };
    add("pids", "only-these", pids);
    add("children", "with", |world| {
        children(world, native_family(world)?)
    });
    add("children-3.9", "with", |world| {
        children(world, python_family("3.9-pyenv")?)
    });
    add("children-3.12", "with", |world| {
        children(world, python_family("3.12-pyenv")?)
    });
    add("children", "without", without_children);
    add("cgroup-v1", "only-these", |world| {
        cgroup(world, Version::One)
    });
    add("cgroup-v2", "only-these", |world| {
        cgroup(world, Version::Two)
    });
    add("command", "first-instruction", first_instruction);
    add("command", "exit-code", exit_code);
    add("everything", "idle-and-own", everything);
    cells
}

fn parse<'a, T: Deserialize<'a>>(truth: &'a str) -> Result<T, String> {
    serde_json::from_str(truth)
        .map_err(|error| format!("the workload's truth can't be read: {error}\n{truth}"))
}

fn simple(world: &World) -> Result<Target, Problem> {
    let program = world.compiler.build("simple", "c/simple.c", &[])?;
    Ok(Target::start(Command::new(program).arg("60"))?)
}

/// Exactly these processes are in the output and in the statistics, each busy for as long as could be expected of it, and
/// others were seen and left out.
fn exactly(recording: &Recording, wanted: &[u32], left_out_by: &str) -> Result<(), String> {
    let wanted: BTreeSet<u32> = wanted.iter().copied().collect();
    let sampled: BTreeSet<u32> = recording.samples.iter().map(|sample| sample.pid).collect();
    let counted: BTreeSet<u32> = recording
        .stats
        .processes
        .iter()
        .filter(|p| p.entries > 0)
        .map(|p| p.pid)
        .collect();
    if sampled != wanted || counted != wanted {
        return Err(format!(
            "{sampled:?} are in the output, {counted:?} in the statistics, wanted are {wanted:?}"
        ));
    }
    let left_out = recording
        .stats
        .left_out
        .get(left_out_by)
        .copied()
        .unwrap_or(0);
    if left_out < 300 {
        return Err(format!(
            "only {left_out} samples are counted as {left_out_by}: {:?}",
            recording.stats.left_out
        ));
    }
    Ok(())
}

fn pids(world: &World) -> Result<(), Problem> {
    let targets = [simple(world)?, simple(world)?, simple(world)?];
    let list = format!("{},{}", targets[0].pid, targets[1].pid);
    let recording = world.strata()?.record(3, &["-r", RATE, "-p", &list])?;
    exactly(
        &recording,
        &[targets[0].pid, targets[1].pid],
        "other_process",
    )?;
    Ok(())
}

#[derive(Deserialize)]
struct Family {
    pid: u32,
    elder: u32,
    younger: u32,
    shares: BTreeMap<String, f64>,
}

fn native_family(world: &World) -> Result<Command, Problem> {
    let mut command = Command::new(world.compiler.build("family", "c/family.c", &[])?);
    command.arg("60");
    Ok(command)
}

/// Forked interpreters never exec: nothing tells of them but their fork.
fn python_family(name: &str) -> Result<Command, Problem> {
    interpreters::named(name)?.command("family.py")
}

fn family(
    world: &World,
    mut command: Command,
    flags: &[&str],
) -> Result<(Recording, Family), Problem> {
    let mut target = Target::start(&mut command)?;
    let pid = target.pid.to_string();
    let running = world
        .strata()?
        .start(4, &[&["-r", RATE, "-p", &pid], flags].concat())?;
    // Everything that the family does is done while it is recorded.
    target.tell("go")?;
    std::thread::sleep(std::time::Duration::from_millis(3700));
    let truth = target.stop()?;
    let recording = running.finish()?;
    Ok((recording, parse(&truth)?))
}

fn children(world: &World, command: Command) -> Result<(), Problem> {
    let (recording, family) = family(world, command, &["--children"])?;
    let entries: u64 = recording
        .stats
        .processes
        .iter()
        .map(|process| process.entries)
        .sum();
    let check = |samples: &[_]| {
        shares::compare(&family.shares, &shares::measured(samples, entries), POINTS)
    };
    check(&recording.samples)?;
    let pids: BTreeSet<u32> = recording.samples.iter().map(|sample| sample.pid).collect();
    if !pids.contains(&family.pid)
        || !pids.contains(&family.elder)
        || pids.len() < 10
        || family.younger < 10
    {
        return Err(Problem::Failed(format!(
            "of parent, elder child and {} others there are {pids:?}",
            family.younger
        )));
    }
    must_fail(
        "half of one function charged to another",
        check(&faults::charged_to(
            &recording.samples,
            "younger_leaf",
            "elder_leaf",
        )),
    )
}

fn without_children(world: &World) -> Result<(), Problem> {
    let (recording, family) = family(world, native_family(world)?, &[])?;
    exactly(&recording, &[family.pid], "other_process")?;
    Ok(())
}

fn cgroup(world: &World, version: Version) -> Result<(), Problem> {
    let group = Cgroup::make(version)?;
    let targets = [simple(world)?, simple(world)?];
    group.add(targets[0].pid)?;
    let path = group.path.to_string_lossy().into_owned();
    let recording = world
        .strata()?
        .record(3, &["-r", RATE, "--cgroup", &path])?;
    exactly(&recording, &[targets[0].pid], "other_cgroup")?;
    let pid = targets[0].pid;
    drop(targets);
    drop(group);
    let recorded = Recorded::of(recording, pid)?;
    recorded.whole(0.995)?;
    Ok(())
}

/// The program's own clock counts from its very first instruction; nothing of it may be missing.
fn first_instruction(world: &World) -> Result<(), Problem> {
    #[derive(Deserialize)]
    struct Truth {
        shares: BTreeMap<String, f64>,
        cpu_seconds: f64,
    }
    let program = world.compiler.build("early", "c/early.c", &[])?;
    let program = program.to_string_lossy().into_owned();
    let recording = world
        .strata()?
        .record(5, &["-r", RATE, "--", &program, "400"])?;
    let truth: Truth = parse(&recording.output)?;
    let entries: u64 = recording
        .stats
        .processes
        .iter()
        .map(|process| process.entries)
        .sum();
    let check =
        |samples: &[_]| shares::compare(&truth.shares, &shares::measured(samples, entries), POINTS);
    check(&recording.samples)?;
    let seconds = entries as f64 / 999.0;
    if (seconds / truth.cpu_seconds - 1.0).abs() > 0.05 {
        return Err(Problem::Failed(format!(
            "{seconds:.3} s were sampled of {:.3} s of CPU time",
            truth.cpu_seconds
        )));
    }
    must_fail(
        "half of one function charged to another",
        check(&faults::charged_to(
            &recording.samples,
            "early_constructor",
            "main",
        )),
    )
}

/// The command's exit code is handed on, and its end is the recording's.
fn exit_code(world: &World) -> Result<(), Problem> {
    let begin = std::time::Instant::now();
    let running = world
        .strata()?
        .start(20, &["-r", RATE, "--", "/bin/sh", "-c", "exit 7"])?;
    let recording = running.finish_unchecked()?;
    if recording.code != Some(7) {
        return Err(Problem::Failed(format!(
            "exit code {:?} instead of the command's 7:\n{}",
            recording.code, recording.errors
        )));
    }
    if begin.elapsed().as_secs() > 15 {
        return Err(Problem::Failed(
            "the recording went on after the command's end".to_owned(),
        ));
    }
    Ok(())
}

/// Without a filter everything is recorded but idle CPUs and the agent itself, and both are counted.
fn everything(world: &World) -> Result<(), Problem> {
    let target = simple(world)?;
    let recording = world.strata()?.record(3, &["-r", RATE])?;
    let stats = &recording.stats;
    if !stats
        .processes
        .iter()
        .any(|process| process.pid == target.pid && process.entries > 1000)
    {
        return Err(Problem::Failed(
            "a busy process is not in a recording of the whole machine".to_owned(),
        ));
    }
    let counted = |what: &str| stats.left_out.get(what).copied();
    if counted("idle").is_none() || counted("own").is_none() {
        return Err(Problem::Failed(format!(
            "idle or own samples are not counted: {:?}",
            stats.left_out
        )));
    }
    if let Some(sample) = recording
        .samples
        .iter()
        .find(|sample| sample.comm.starts_with("strata") || sample.pid == 0)
    {
        return Err(Problem::Failed(format!(
            "this should have been left out: {sample:?}"
        )));
    }
    Ok(())
}
