//! Native programs: C, C++, Rust × orders of calls, roots, names, shares, depth, the kernel's part.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use serde::Deserialize;
use strata_tests::folded::{Frame, Sample};
use strata_tests::machine::target::Target;
use strata_tests::machine::{Problem, tools};
use strata_tests::orders::Orders;
use strata_tests::symbols::Oracle;
use strata_tests::{depth, faults, shares};

use crate::cell::{Cell, Shared, must_fail};
use crate::python::reach_root;
use crate::world::{Recorded, World};

const RIGHT: f64 = 0.995;
const POINTS: f64 = 0.03;

/// A program that knows its legal orders, and what else is asked of it.
struct Row {
    name: &'static str,
    build: fn(&World) -> Result<PathBuf, Problem>,
    clocks_itself: bool,
}

const ROWS: [Row; 10] = [
    Row {
        name: "c-library",
        build: chain,
        clocks_itself: true,
    },
    Row {
        name: "c-signal",
        build: |world| world.compiler.build("signal", "c/signal.c", &[]),
        clocks_itself: true,
    },
    Row {
        name: "c-alloca",
        build: |world| world.compiler.build("alloca", "c/alloca.c", &[]),
        clocks_itself: false,
    },
    Row {
        name: "c-vdso",
        build: |world| world.compiler.build("vdso", "c/vdso.c", &[]),
        clocks_itself: false,
    },
    Row {
        name: "c-static",
        build: |world| simple(world, "static", &["-static"]),
        clocks_itself: false,
    },
    Row {
        name: "c-static-pie",
        build: |world| simple(world, "static-pie", &["-static-pie"]),
        clocks_itself: false,
    },
    Row {
        name: "c-no-pie",
        build: |world| simple(world, "no-pie", &["-no-pie"]),
        clocks_itself: false,
    },
    Row {
        name: "c-debug-frame",
        build: debug_frame,
        clocks_itself: false,
    },
    Row {
        name: "cpp-exceptions",
        build: throwing,
        clocks_itself: false,
    },
    Row {
        name: "rust",
        build: |world| world.compiler.build("mixed", "rust/mixed.rs", &[]),
        clocks_itself: false,
    },
];

fn simple(world: &World, kind: &str, flags: &[&str]) -> Result<PathBuf, Problem> {
    world
        .compiler
        .build_if_can(&format!("simple-{kind}"), "c/simple.c", flags)
}

fn chain(world: &World) -> Result<PathBuf, Problem> {
    world.compiler.library("libchain.so", "c/libchain.c", &[])?;
    world
        .compiler
        .build("chain", "c/chain.c", &["-pthread", "-lchain"])
}

/// The program's own functions have rows in `.debug_frame` only.
fn debug_frame(world: &World) -> Result<PathBuf, Problem> {
    simple(
        world,
        "debug-frame",
        &[
            "-fno-asynchronous-unwind-tables",
            "-fno-exceptions",
            "-fno-unwind-tables",
            "-g",
        ],
    )
}

fn throwing(world: &World) -> Result<PathBuf, Problem> {
    world
        .compiler
        .library("libthrowing.so", "cpp/libthrowing.cpp", &["-std=c++17"])?;
    world.compiler.build(
        "throwing",
        "cpp/throwing.cpp",
        &["-std=c++17", "-lthrowing"],
    )
}

type Session = (Recorded, Oracle, String);

pub fn cells(world: &Arc<World>) -> Vec<Cell> {
    let mut cells = Vec::new();
    for row in &ROWS {
        let session: Arc<Shared<Session>> = Shared::new();
        let mut add = |property: &'static str, check: fn(&Session) -> Result<(), Problem>| {
            let (world, session) = (Arc::clone(world), Arc::clone(&session));
            cells.push(Cell::new("native", row.name, property, move || {
                check(session.get(|| record(&world, row))?)
            }));
        };
        add("orders", orders);
        add("roots", |(recorded, _, _)| reach_root(recorded));
        add("symbols", symbols);
        if row.clocks_itself {
            add("shares", clocked);
        }
    }
    for frames in [60, 200, 500] {
        let world = Arc::clone(world);
        cells.push(Cell::new(
            "native",
            "c-deep",
            format!("depth_{frames}"),
            move || deep(&world, frames),
        ));
    }
    let mut add = |row: &str, property: &str, check: fn(&World) -> Result<(), Problem>| {
        let world = Arc::clone(world);
        cells.push(Cell::new("native", row, property, move || check(&world)));
    };
    add("c-deep", "depth_limit", depth_limit);
    add("c-dev-zero", "kernel", kernel_path);
    cells
}

fn record(world: &World, row: &Row) -> Result<Session, Problem> {
    let target = Target::start(Command::new((row.build)(world)?).arg("60"))?;
    let recorded = world.record(target.pid, 999, 4, &["--addresses"])?;
    let oracle = tools::oracle(target.pid, &recorded.samples, world.scratch())?;
    Ok((recorded, oracle, target.stop()?))
}

fn orders((recorded, _, truth): &Session) -> Result<(), Problem> {
    let orders: Orders = parse(truth)?;
    let judge = |samples: &[Sample]| {
        orders
            .judge(samples, recorded.entries())
            .at_least(RIGHT, 1000)
    };
    judge(&recorded.samples)?;
    orders.all_seen(&recorded.samples)?;
    must_fail(
        "1 % of frames left out",
        judge(&faults::frames_left_out(&recorded.samples)),
    )?;
    must_fail(
        "frames reordered",
        judge(&faults::order_reversed(&recorded.samples)),
    )
}

fn symbols((recorded, oracle, _): &Session) -> Result<(), Problem> {
    let judge = |samples: &[Sample]| oracle.judge(samples).none_wrong();
    judge(&recorded.samples)?;
    must_fail(
        "names exchanged",
        judge(&faults::names_exchanged(&recorded.samples)),
    )
}

fn clocked((recorded, _, truth): &Session) -> Result<(), Problem> {
    #[derive(Deserialize)]
    struct Truth {
        shares: BTreeMap<String, f64>,
    }
    let truth: Truth = parse(truth)?;
    let check = |samples: &[Sample]| {
        shares::compare(
            &truth.shares,
            &shares::measured(samples, recorded.entries()),
            POINTS,
        )
    };
    check(&recorded.samples)?;
    let from = truth.shares.keys().next().cloned().unwrap_or_default();
    must_fail(
        "half of one function charged to another",
        check(&faults::charged_to(&recorded.samples, &from, "other")),
    )
}

fn parse<'a, T: Deserialize<'a>>(truth: &'a str) -> Result<T, String> {
    serde_json::from_str(truth)
        .map_err(|error| format!("the workload's truth can't be read: {error}\n{truth}"))
}

fn start_deep(world: &World, frames: usize) -> Result<Target, Problem> {
    // Without this, GCC unrolls the recursion into fewer frames.
    let flags = ["-fno-inline", "-fno-optimize-sibling-calls"];
    let program = world.compiler.build("depth", "c/depth.c", &flags)?;
    Ok(Target::start(
        Command::new(program).args(["60", &frames.to_string()]),
    )?)
}

fn deep(world: &World, frames: usize) -> Result<(), Problem> {
    let target = start_deep(world, frames)?;
    let recorded = world.record(target.pid, 999, 3, &[])?;
    target.stop()?;
    let judge = |samples: &[Sample]| {
        depth::judge(samples, recorded.entries(), "descend", "bottom", frames).at_least(RIGHT, 1000)
    };
    judge(&recorded.samples)?;
    recorded.whole(RIGHT)?;
    must_fail(
        "1 % of frames left out",
        judge(&faults::frames_left_out(&recorded.samples)),
    )
}

/// A stack that is deeper than the limit says so, in itself and in the statistics.
fn depth_limit(world: &World) -> Result<(), Problem> {
    let target = start_deep(world, 500)?;
    let recorded = world.record(target.pid, 499, 2, &["--depth", "128"])?;
    target.stop()?;
    let cut = recorded.process.cut.get("too_deep").copied().unwrap_or(0);
    let marked = |sample: &&Sample| {
        sample.frames.contains(&Frame::Cut {
            reason: "too_deep".to_owned(),
        })
    };
    let marked: u64 = recorded
        .samples
        .iter()
        .filter(marked)
        .map(|sample| sample.count)
        .sum();
    if recorded.process.whole != 0 || cut != recorded.entries() || marked != cut || cut < 300 {
        return Err(Problem::Failed(format!(
            "{marked} stacks are marked as cut; {}",
            recorded.process.summary()
        )));
    }
    Ok(())
}

/// Time in the kernel is shown under the function that asked for it, with the kernel's own functions.
fn kernel_path(world: &World) -> Result<(), Problem> {
    #[derive(Deserialize)]
    struct Truth {
        kernel_share: f64,
    }
    let target =
        Target::start(Command::new(world.compiler.build("zero", "c/zero.c", &[])?).arg("60"))?;
    let recorded = world.record(target.pid, 999, 3, &[])?;
    let truth = target.stop()?;
    let truth: Truth = parse(&truth)?;
    let under = |sample: &&Sample| {
        let position = |wanted: fn(&Frame) -> bool| sample.frames.iter().position(wanted);
        let own = position(|frame| frame.is_native() && frame.name() == Some("read_zeros"));
        let begin = position(Frame::is_kernel);
        let vfs = position(|frame| frame.is_kernel() && frame.name() == Some("vfs_read"));
        // By read or by read_iter, as the kernel's version has it.
        let zero = position(|frame| {
            frame.is_kernel() && matches!(frame.name(), Some("read_zero" | "read_iter_zero"))
        });
        // Once in the kernel, a stack stays there.
        let tail = begin.is_some_and(|begin| sample.frames[begin..].iter().all(Frame::is_kernel));
        tail && own.is_some() && own < begin && begin < vfs && vfs < zero
    };
    let count: u64 = recorded
        .samples
        .iter()
        .filter(under)
        .map(|sample| sample.count)
        .sum();
    let share = count as f64 / recorded.entries().max(1) as f64;
    if (share - truth.kernel_share).abs() > POINTS {
        let (found, own) = (share * 100.0, truth.kernel_share * 100.0);
        return Err(Problem::Failed(format!(
            "{found:.1} % are under read_zeros in the kernel's read of /dev/zero, by getrusage {own:.1} %; {}",
            recorded.process.summary()
        )));
    }
    recorded.whole(RIGHT)?;
    Ok(())
}
