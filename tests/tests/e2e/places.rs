//! Off the beaten track: targets in a container or in another root, and one whose stacks can't be read.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde::Deserialize;
use strata_tests::faults;
use strata_tests::folded::{Frame, Sample};
use strata_tests::legal::LegalStacks;
use strata_tests::machine::target::Target;
use strata_tests::machine::{Problem, cache, container, interpreters, run, workloads};
use strata_tests::orders::Orders;

use crate::cell::{Cell, must_fail};
use crate::doctor::asked;
use crate::world::{Recorded, World};

const RIGHT: f64 = 0.995;
const RATE: &str = "999";

pub fn cells(world: &Arc<World>) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |row: &str, property: &str, check: fn(&World) -> Result<(), Problem>| {
        let world = Arc::clone(world);
        cells.push(Cell::new("places", row, property, move || check(&world)));
    };
    add("chroot", "native", chroot_native);
    add("container", "native", container_native);
    add("container", "python", container_python);
    add("32-bit", "honest", thirty_two_bit);
    add("perf-map", "named", perf_map);
    cells
}

fn simple(world: &World) -> Result<PathBuf, Problem> {
    world.compiler.build("simple", "c/simple.c", &[])
}

/// What every target that runs simple.c has to show, wherever it runs.
fn judge_simple(recorded: &Recorded, truth: &str) -> Result<(), Problem> {
    let line = truth
        .lines()
        .find(|line| line.starts_with('{'))
        .unwrap_or_default();
    let orders: Orders = serde_json::from_str(line)
        .map_err(|error| format!("the truth can't be read: {error}\n{truth}"))?;
    let judge = |samples: &[Sample]| {
        orders
            .judge(samples, recorded.entries())
            .at_least(RIGHT, 1000)
    };
    judge(&recorded.samples)?;
    recorded.whole(RIGHT)?;
    must_fail(
        "1 % of frames left out",
        judge(&faults::frames_left_out(&recorded.samples)),
    )
}

fn copy(from: &Path, folder: &Path) -> Result<(), String> {
    let why = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(why)?;
    std::fs::copy(from, folder.join(from.file_name().unwrap_or_default())).map_err(why)?;
    Ok(())
}

/// A file that exists only inside the other root.
fn chroot_native(world: &World) -> Result<(), Problem> {
    let root = cache().join("sid");
    if !root.join("usr/bin").is_dir() {
        return Err(Problem::Skipped(format!(
            "there is no root file system at {} (tests/setup.sh)",
            root.display()
        )));
    }
    copy(&simple(world)?, &interpreters::chroot_folder())?;
    let target = Target::start(
        Command::new("chroot")
            .arg(&root)
            .args(["/tmp/strata-tests/simple", "60"]),
    )?;
    let recorded = world.record(target.pid, 999, 3, &[])?;
    judge_simple(&recorded, &target.stop()?)
}

fn container_native(world: &World) -> Result<(), Problem> {
    let engine = world.engine()?;
    let folder = container::folder(world.scratch())?;
    copy(&simple(world)?, &folder)?;
    let container = engine.run(&folder, &["/workload/simple", "60"])?;
    let recording = world
        .strata()?
        .record(3, &["-r", RATE, "--container", &container.id])?;
    let others: Vec<_> = recording
        .stats
        .processes
        .iter()
        .filter(|p| p.entries > 0 && p.pid != container.pid)
        .collect();
    if !others.is_empty() {
        return Err(Problem::Failed(format!(
            "processes outside the container are recorded: {others:?}"
        )));
    }
    let recorded = Recorded::of(recording, container.pid)?;
    judge_simple(&recorded, &container.stop()?)
}

fn container_python(world: &World) -> Result<(), Problem> {
    let engine = world.engine()?;
    let folder = container::folder(world.scratch())?;
    interpreters::copy_scripts(&folder)?;
    let python = ["python3.13", "-B", "/workload/legal.py"];
    let traced = engine.run(
        &folder,
        &[
            &["sh", "-c", "echo ready; exec \"$@\"", "sh"],
            &python[..],
            &["--truth"],
        ]
        .concat(),
    )?;
    let finished = || run(Command::new("docker").args(["wait", &traced.id]));
    finished()?;
    let log = traced.log()?;
    let truth = log
        .lines()
        .find(|line| line.starts_with('{'))
        .ok_or("no truth from the container")?;
    let legal = LegalStacks::parse(truth)?;
    let container = engine.run(&folder, &python)?;
    // By process id, as people find it with ps on the machine.
    let recorded = world.record(container.pid, 999, 3, &["--lines"])?;
    container.stop()?;
    let judge = |samples: &[Sample]| {
        legal
            .judge(samples, recorded.entries())
            .at_least(RIGHT, 1000)
    };
    judge(&recorded.samples)?;
    recorded.whole(RIGHT)?;
    must_fail(
        "1 % of frames left out",
        judge(&faults::frames_left_out(&recorded.samples)),
    )
}

/// Nothing is made up: each sample says that its stack is cut, and why.
fn thirty_two_bit(world: &World) -> Result<(), Problem> {
    #[derive(Deserialize)]
    struct Truth {
        own: Vec<String>,
    }
    let program = world
        .compiler
        .build_if_can("simple-32", "c/simple.c", &["-m32"])?;
    let target = Target::start(Command::new(program).arg("60"))?;
    let recorded = world.record(target.pid, 999, 3, &[])?;
    let truth = target.stop()?;
    let truth: Truth = serde_json::from_str(&truth)
        .map_err(|error| format!("the truth can't be read: {error}"))?;
    let cut = recorded
        .process
        .cut
        .get("thirty_two_bit")
        .copied()
        .unwrap_or(0);
    if cut != recorded.entries() || cut < 1500 || recorded.process.whole > 0 {
        return Err(Problem::Failed(format!(
            "not every stack is said to be cut: {}",
            recorded.process.summary()
        )));
    }
    for sample in &recorded.samples {
        let marked = sample.frames.contains(&Frame::Cut {
            reason: "thirty_two_bit".to_owned(),
        });
        // The innermost function may be named, if it is named right; its callers are unknown.
        let names = sample
            .frames
            .iter()
            .filter(|frame| frame.is_native())
            .filter_map(Frame::name);
        let (own, others): (Vec<_>, Vec<_>) =
            names.partition(|name| truth.own.iter().any(|own| own == name));
        let made_up = others.iter().any(|name| *name != "burn_turns");
        if !marked || own.len() > 1 || made_up {
            return Err(Problem::Failed(format!(
                "not honest about a 32-bit target: {:?}",
                sample.frames
            )));
        }
    }
    if !recorded.recording.errors.contains("32-bit") {
        return Err(Problem::Failed(format!(
            "the closing lines say nothing of a 32-bit target:\n{}",
            recorded.recording.errors
        )));
    }
    Ok(())
}

/// Code without a file: CPython's trampolines, which it lists for perf as it makes them.
fn perf_map(world: &World) -> Result<(), Problem> {
    let interpreter = interpreters::named("3.12-pyenv")?;
    let mut command = asked(&interpreter.command("legal.py")?, &["-X", "perf"]);
    let target = Target::start(command.arg(workloads().join("python/legal.py")))?;
    let recorded = world.record(target.pid, 999, 3, &[])?;
    let path = format!("/tmp/perf-{}.map", target.pid);
    let map = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    target.stop()?;
    let _ = std::fs::remove_file(&path);
    // Start, size and name, blanks between them.
    let known: HashSet<&str> = map
        .lines()
        .filter_map(|line| line.splitn(3, ' ').nth(2))
        .collect();
    let judge = |samples: &[Sample]| -> Result<(), String> {
        let mut named = 0;
        for sample in samples {
            let names = sample.frames.iter().filter_map(Frame::name);
            let mut made = names
                .filter_map(|name| name.strip_suffix("_[j]"))
                .peekable();
            named += made.peek().map_or(0, |_| sample.count);
            if let Some(wrong) = made.find(|name| !known.contains(name)) {
                return Err(format!("{wrong} is not in the map"));
            }
        }
        // The interpreter's start, and C code below no Python function, have no trampoline.
        if named * 10 < recorded.entries() * 9 {
            return Err(format!("{named} of {} are named", recorded.entries()));
        }
        Ok(())
    };
    judge(&recorded.samples)?;
    let jit = recorded
        .samples
        .iter()
        .flat_map(|sample| &sample.frames)
        .filter_map(Frame::name)
        .find(|name| name.ends_with("_[j]"))
        .unwrap_or_default();
    must_fail(
        "one function charged to another",
        judge(&faults::charged_to(&recorded.samples, jit, "other_[j]")),
    )
}
