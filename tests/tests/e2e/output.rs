//! What is written, and what is said when nothing can be: the flame graph, standard output, Ctrl-C, errors.

use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use strata_tests::folded;
use strata_tests::machine::target::Target;
use strata_tests::machine::{self, Problem, on_path};

use crate::cell::Cell;
use crate::world::World;

pub fn cells(world: &Arc<World>) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |row: &str, property: &str, check: fn(&World) -> Result<(), Problem>| {
        let world = Arc::clone(world);
        cells.push(Cell::new("output", row, property, move || check(&world)));
    };
    add("flamegraph", "shares", flamegraph);
    add("stdout", "clean", stdout);
    add("ctrl-c", "written", interrupted);
    add("no-such-process", "told", no_such_process);
    add("no-rights", "told", no_rights);
    cells
}

fn simple(world: &World) -> Result<Target, Problem> {
    let program = world.compiler.build("simple", "c/simple.c", &[])?;
    Ok(Target::start(Command::new(program).arg("60"))?)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The picture has a box for the function in which the program is, as wide as its share.
fn flamegraph(world: &World) -> Result<(), Problem> {
    let target = simple(world)?;
    let path = world.scratch().join("flame.svg");
    let (pid, file) = (target.pid.to_string(), path.to_string_lossy().into_owned());
    let arguments = ["record", "-p", &pid, "-d", "2", "-r", "499", "-o", &file];
    let output = machine::output(&mut world.strata()?.command(&arguments))?;
    if !output.status.success() {
        return Err(Problem::Failed(said(&output)));
    }
    let svg = std::fs::read_to_string(&path).map_err(|error| format!("{file}: {error}"))?;
    // Each box says `name (samples, share%)`.
    let share = |name: &str| {
        let titles = svg
            .split("<title>")
            .filter_map(|rest| rest.split("</title>").next());
        let title = titles
            .into_iter()
            .find(|title| title.starts_with(&format!("{name} (")))?;
        title
            .rsplit(", ")
            .next()?
            .strip_suffix("%)")?
            .parse::<f64>()
            .ok()
    };
    for name in ["main", "outer", "middle", "inner"] {
        if share(name).is_none_or(|share| share < 98.0) {
            return Err(Problem::Failed(format!(
                "the box of {name} has {:?} % of the width",
                share(name)
            )));
        }
    }
    Ok(())
}

/// Only the result goes to standard output.
fn stdout(world: &World) -> Result<(), Problem> {
    let target = simple(world)?;
    let pid = target.pid.to_string();
    let arguments = [
        "record", "-p", &pid, "-d", "1", "-r", "499", "-f", "folded", "-o", "-",
    ];
    let output = machine::output(&mut world.strata()?.command(&arguments))?;
    let samples = folded::parse(&String::from_utf8_lossy(&output.stdout))?;
    if !output.status.success() || folded::total(&samples) < 100 {
        return Err(Problem::Failed(format!(
            "{} samples:\n{}",
            folded::total(&samples),
            said(&output)
        )));
    }
    Ok(())
}

/// Ctrl-C ends the recording early, and what was recorded is written.
fn interrupted(world: &World) -> Result<(), Problem> {
    let target = simple(world)?;
    let running = world
        .strata()?
        .start(60, &["-r", "499", "-p", &target.pid.to_string()])?;
    std::thread::sleep(Duration::from_secs(1));
    let begin = Instant::now();
    running.interrupt();
    let recording = running.finish()?;
    if begin.elapsed() > Duration::from_secs(10) || folded::total(&recording.samples) < 100 {
        let (samples, waited) = (folded::total(&recording.samples), begin.elapsed());
        return Err(Problem::Failed(format!(
            "{samples} samples, {waited:?} after the interrupt"
        )));
    }
    Ok(())
}

/// A failure is an exit code and a sentence that names the cause.
fn told(output: &Output, words: &[&str]) -> Result<(), Problem> {
    let text = said(output);
    if output.status.success() || !words.iter().any(|word| text.contains(word)) {
        return Err(Problem::Failed(format!(
            "{}, none of {words:?} in: {text}",
            output.status
        )));
    }
    Ok(())
}

fn no_such_process(world: &World) -> Result<(), Problem> {
    let file = world
        .scratch()
        .join("none.svg")
        .to_string_lossy()
        .into_owned();
    // Above the kernel's highest process id.
    let arguments = ["record", "-p", "4194999", "-d", "1", "-o", &file];
    told(
        &machine::output(&mut world.strata()?.command(&arguments))?,
        &["4194999"],
    )
}

fn no_rights(world: &World) -> Result<(), Problem> {
    if !on_path("setpriv") {
        return Err(Problem::Skipped(
            "setpriv is not installed (util-linux)".to_owned(),
        ));
    }
    let mut command = Command::new("setpriv");
    command.args([
        "--inh-caps=-all",
        "--bounding-set=-all",
        "--no-new-privs",
        "--",
    ]);
    command
        .arg(&world.strata()?.binary)
        .args(["record", "-d", "1", "-f", "folded", "-o", "-"]);
    told(&machine::output(&mut command)?, &["CAP_BPF", "root"])
}
