//! What gets the name or the address of something else: exec in place, a process id used again, libraries that come and go
//! at one address or are replaced on disk, processes that have ended.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use strata_tests::folded::{Frame, Sample, total};
use strata_tests::machine::target::Target;
use strata_tests::machine::{self, Problem, interpreters};
use strata_tests::orders::Orders;
use strata_tests::{faults, shares};

use crate::cell::{Cell, must_fail};
use crate::world::{Recorded, World};

const RIGHT: f64 = 0.995;
const POINTS: f64 = 0.03;
const RATE: u32 = 999;

pub fn cells(world: &Arc<World>) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |row: &str, property: &str, check: fn(&World) -> Result<(), Problem>| {
        let world = Arc::clone(world);
        cells.push(Cell::new("identity", row, property, move || check(&world)));
    };
    add("exec-in-place", "lives", exec_in_place);
    add("process-id-again", "lives", process_id_again);
    add("library-reloaded", "orders", library_reloaded);
    add("library-replaced-before", "orders", |world| {
        library_replaced(world, When::Before)
    });
    add("library-replaced-during", "orders", |world| {
        library_replaced(world, When::During)
    });
    add("ended-and-deleted", "named", ended_and_deleted);
    add("short-lives-3.8", "named", |world| {
        short_lives(world, "3.8-pyenv")
    });
    add("short-lives-3.11", "named", |world| {
        short_lives(world, "3.11-pyenv")
    });
    add("short-lives-3.14", "named", |world| {
        short_lives(world, "3.14-sid")
    });
    cells
}

fn parse<'a, T: Deserialize<'a>>(truth: &'a str) -> Result<T, String> {
    serde_json::from_str(truth)
        .map_err(|error| format!("the workload's truth can't be read: {error}\n{truth}"))
}

/// What a life printed.
#[derive(Deserialize)]
struct Life {
    pid: u32,
    cpu_seconds: f64,
}

/// Two programs whose functions are at the same addresses, with frames of unlike sizes.
fn lives(world: &World) -> Result<[PathBuf; 2], Problem> {
    let build = |life: &str, room: &str| {
        let (life_flag, room_flag) = (format!("-DLIFE={life}"), format!("-DROOM={room}"));
        world.compiler.build(
            &format!("life-{life}"),
            "c/life.c",
            &["-no-pie", &life_flag, &room_flag],
        )
    };
    Ok([build("first", "7")?, build("second", "41")?])
}

/// Each life has its own functions, as much as it clocked, and never one of the other's.
fn judge_lives(recorded: &Recorded, truths: &[Life; 2]) -> Result<(), Problem> {
    let orders: Orders = parse(
        r#"{"own": ["main", "first_outer", "first_inner", "second_outer", "second_inner"],
            "legal": ["main first_outer first_inner", "main second_outer second_inner"]}"#,
    )?;
    // The start of each program and its clock are outside; the lives are nearly all.
    let judge = |samples: &[Sample]| {
        orders
            .judge(samples, recorded.entries())
            .at_least(0.97, 500)
    };
    judge(&recorded.samples)?;
    orders.all_seen(&recorded.samples)?;
    recorded.whole(RIGHT)?;
    let all: f64 = truths.iter().map(|life| life.cpu_seconds).sum();
    let truth = ["first_outer", "second_outer"]
        .map(str::to_owned)
        .into_iter()
        .zip(truths);
    let truth = truth
        .map(|(name, life)| (name, life.cpu_seconds / all))
        .collect();
    shares::compare(
        &truth,
        &shares::measured(&recorded.samples, recorded.entries()),
        POINTS,
    )?;
    must_fail(
        "one life charged to the other",
        judge(&faults::charged_to(
            &recorded.samples,
            "second_inner",
            "first_inner",
        )),
    )
}

fn exec_in_place(world: &World) -> Result<(), Problem> {
    let [first, second] = lives(world)?;
    let [first, second] = [first, second].map(|path| path.to_string_lossy().into_owned());
    let recording = world.strata()?.record(
        4,
        &[
            "-r",
            &RATE.to_string(),
            "--",
            &first,
            "1000",
            &second,
            "700",
        ],
    )?;
    let truths = two_lives(&recording.output)?;
    let recorded = Recorded::of(recording, truths[0].pid)?;
    judge_lives(&recorded, &truths)
}

fn two_lives(output: &str) -> Result<[Life; 2], String> {
    let lives: Vec<Life> = output
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(parse)
        .collect::<Result<_, _>>()?;
    lives
        .try_into()
        .map_err(|_| format!("two lives were to be told, not: {output}"))
}

fn process_id_again(world: &World) -> Result<(), Problem> {
    let [first, second] = lives(world)?;
    let parent = world.compiler.build("reuse_pid", "c/reuse_pid.c", &[])?;
    let mut target = Target::start(
        Command::new(parent)
            .arg(first)
            .arg("1000")
            .arg("--")
            .arg(second)
            .arg("700"),
    )?;
    let running = world.strata()?.start(5, &["-r", &RATE.to_string()])?;
    target.tell("go")?;
    let first: Result<String, String> = target.line_with("{");
    let Ok(first) = first else {
        return match target.wait()?.code() {
            Some(3) => Err(Problem::Skipped(
                "the kernel does not let a process id be chosen (clone3 set_tid)".to_owned(),
            )),
            _ => Err(Problem::Failed(
                "the workload ended without a first life".to_owned(),
            )),
        };
    };
    let second = target.line_with("{")?;
    let truths = [parse::<Life>(&first)?, parse::<Life>(&second)?];
    if truths[0].pid != truths[1].pid {
        return Err(Problem::Failed(
            "the two lives have different process ids".to_owned(),
        ));
    }
    let recorded = Recorded::of(running.finish()?, truths[0].pid)?;
    judge_lives(&recorded, &truths)
}

fn colour(world: &World, name: &str, colour: &str, room: u32) -> Result<PathBuf, Problem> {
    let flags = [format!("-DCOLOUR={colour}"), format!("-DROOM={room}")];
    world
        .compiler
        .library(name, "c/libcolour.c", &[&flags[0], &flags[1]])
}

fn library_reloaded(world: &World) -> Result<(), Problem> {
    #[derive(Deserialize)]
    struct Truth {
        shares: std::collections::BTreeMap<String, f64>,
        turns: u64,
        same_address: u64,
    }
    let red = colour(world, "libred.so", "red", 7)?;
    let blue = colour(world, "libblue.so", "blue", 41)?;
    let program = world.compiler.build("reload", "c/reload.c", &["-ldl"])?;
    let target = Target::start(Command::new(program).arg("60").arg(red).arg(blue))?;
    let recorded = world.record(target.pid, RATE, 4, &[])?;
    let text = target.stop()?;
    let truth: Truth = parse(&text)?;
    if truth.same_address < truth.turns {
        return Err(Problem::Failed(format!(
            "the libraries do not share an address, so nothing is tested: {text}"
        )));
    }
    let orders: Orders = parse(&text)?;
    let judge = |samples: &[Sample]| {
        orders
            .judge(samples, recorded.entries())
            .at_least(RIGHT, 1000)
    };
    judge(&recorded.samples)?;
    recorded.whole(RIGHT)?;
    shares::compare(
        &truth.shares,
        &shares::measured(&recorded.samples, recorded.entries()),
        POINTS,
    )?;
    must_fail(
        "one library charged to the other",
        judge(&faults::charged_to(
            &recorded.samples,
            "blue_leaf",
            "red_leaf",
        )),
    )
}

/// When a library is replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Before,
    During,
}

fn library_replaced(world: &World, when: When) -> Result<(), Problem> {
    let path = colour(world, "libreplaced.so", "red", 7)?;
    let new = colour(world, "libreplaced-new.so", "blue", 41)?;
    let program = world
        .compiler
        .build("replaced", "c/replaced.c", &["-ldl"])?;
    let target = Target::start(Command::new(program).arg("60").arg(&path))?;
    let replace =
        || std::fs::rename(&new, &path).map_err(|error| format!("{}: {error}", path.display()));
    if when == When::Before {
        replace()?;
    }
    let running = world
        .strata()?
        .start(4, &["-r", &RATE.to_string(), "-p", &target.pid.to_string()])?;
    if when == When::During {
        std::thread::sleep(std::time::Duration::from_millis(1500));
        replace()?;
    }
    let recorded = Recorded::of(running.finish()?, target.pid)?;
    let text = target.stop()?;
    let orders: Orders = parse(&text)?;
    let judge = |samples: &[Sample]| {
        orders
            .judge(samples, recorded.entries())
            .at_least(RIGHT, 1000)
    };
    judge(&recorded.samples)?;
    recorded.whole(RIGHT)?;
    must_fail(
        "the new library's names",
        judge(&faults::charged_to(
            &recorded.samples,
            "red_leaf",
            "blue_leaf",
        )),
    )
}

/// A program that is over, and whose file is gone, by the time that names are asked for.
fn ended_and_deleted(world: &World) -> Result<(), Problem> {
    #[derive(Deserialize)]
    struct Truth {
        cpu_seconds: f64,
    }
    let program = world.compiler.build("early-deleted", "c/early.c", &[])?;
    let running = world.strata()?.start(4, &["-r", &RATE.to_string()])?;
    let mut target = Target::spawn(Command::new(&program).arg("60"))?;
    let pid = target.pid;
    let text = target.truth()?;
    std::fs::remove_file(&program).map_err(|error| format!("{}: {error}", program.display()))?;
    let recorded = Recorded::of(running.finish()?, pid)?;
    let truth: Truth = parse(&text)?;
    let named = shares::measured(&recorded.samples, recorded.entries());
    let both =
        ["early_constructor", "late_leaf"].map(|name| named.get(name).copied().unwrap_or(0.0));
    if both.iter().sum::<f64>() < 0.97 {
        return Err(Problem::Failed(format!(
            "named are {both:.3?} of its samples; {}",
            recorded.process.summary()
        )));
    }
    let seconds = total(&recorded.samples) as f64 / f64::from(RATE);
    if (seconds / truth.cpu_seconds - 1.0).abs() > 0.05 {
        return Err(Problem::Failed(format!(
            "{seconds:.3} s were sampled of {:.3} s of CPU time",
            truth.cpu_seconds
        )));
    }
    Ok(())
}

/// Many processes that live for a blink, one after the other: each is seen, and its time has a name. The first of them may
/// teach the interpreter.
fn short_lives(world: &World, interpreter: &str) -> Result<(), Problem> {
    const LIVES: usize = 40;
    #[derive(Deserialize)]
    struct Truth {
        pid: u32,
        seconds: f64,
    }
    let mut command = interpreters::named(interpreter)?.command("short.py")?;
    let running = world
        .strata()?
        .start(60, &["-r", &RATE.to_string(), "--lines"])?;
    // Of an interpreter that strata has not met the first processes may be over before its offsets were validated, on a
    // busy machine several.
    let first = Target::start(&mut interpreters::named(interpreter)?.command("legal.py")?)?;
    std::thread::sleep(Duration::from_secs(1));
    first.stop()?;
    let mut truths: Vec<Truth> = Vec::new();
    for _ in 0..LIVES {
        truths.push(parse(&machine::run(&mut command)?)?);
    }
    running.interrupt();
    let recording = running.finish()?;
    let named = |samples: &[Sample], pid: u32| -> u64 {
        let in_function = |sample: &&Sample| {
            let mut names = sample
                .frames
                .iter()
                .filter(|frame| frame.is_python())
                .filter_map(Frame::name);
            sample.pid == pid && names.any(|name| name == "short_life")
        };
        samples
            .iter()
            .filter(in_function)
            .map(|sample| sample.count)
            .sum()
    };
    let judge = |samples: &[Sample]| -> Result<(), String> {
        let counts: Vec<u64> = truths
            .iter()
            .map(|truth| named(samples, truth.pid))
            .collect();
        let seen = counts.iter().filter(|count| **count > 0).count();
        let found = counts.iter().sum::<u64>() as f64 / f64::from(RATE);
        let clocked: f64 = truths.iter().map(|truth| truth.seconds).sum();
        if seen < LIVES || (found / clocked - 1.0).abs() > POINTS {
            return Err(format!(
                "{seen} of {LIVES} were seen, {found:.2} s named of {clocked:.2} s"
            ));
        }
        Ok(())
    };
    judge(&recording.samples)?;
    must_fail(
        "one function charged to another",
        judge(&faults::charged_to(
            &recording.samples,
            "short_life",
            "other",
        )),
    )
}
