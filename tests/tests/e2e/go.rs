//! A stripped Go program: its names come from the table that Go itself uses for tracebacks.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use serde::Deserialize;
use strata_tests::faults;
use strata_tests::folded::{Frame, Sample};
use strata_tests::machine::target::Target;
use strata_tests::machine::{Problem, tools};
use strata_tests::symbols::Oracle;
use strata_tests::verdict::Verdict;

use crate::cell::{Cell, Shared, must_fail};
use crate::world::{Recorded, World};

const RIGHT: f64 = 0.99;

/// What the workload says of itself.
#[derive(Deserialize)]
struct Truth {
    /// Its own functions from the root on, separated by spaces.
    legal: BTreeSet<String>,
    inlined: String,
}

struct Session {
    recorded: Recorded,
    oracle: Oracle,
    truth: Truth,
}

pub fn cells(world: &Arc<World>) -> Vec<Cell> {
    let session: Arc<Shared<Session>> = Shared::new();
    let cell = |property: &'static str, check: fn(&Session) -> Result<(), Problem>| {
        let (world, session) = (Arc::clone(world), Arc::clone(&session));
        Cell::new("native", "go-stripped", property, move || {
            check(session.get(|| record(&world))?)
        })
    };
    vec![
        cell("orders", orders),
        cell("roots", roots),
        cell("symbols", symbols),
    ]
}

fn record(world: &World) -> Result<Session, Problem> {
    let (whole, stripped): (PathBuf, PathBuf) = world.compiler.go("mixed-go", "go/mixed.go")?;
    let target = Target::start(Command::new(stripped).arg("60"))?;
    let recorded = world.record(target.pid, 999, 4, &["--addresses"])?;
    let mut oracle = tools::oracle(target.pid, &recorded.samples, world.scratch())?;
    tools::unstripped(&mut oracle, "mixed-go-stripped", &whole, &recorded.samples)?;
    let truth = target.stop()?;
    let truth = serde_json::from_str(&truth)
        .map_err(|error| format!("the workload's truth can't be read: {error}\n{truth}"))?;
    Ok(Session {
        recorded,
        oracle,
        truth,
    })
}

/// The program's own functions in a stack: those of its legal orders.
fn own(sample: &Sample, truth: &Truth) -> String {
    let is_own = |name: &&str| {
        truth
            .legal
            .iter()
            .any(|order| order.split(' ').any(|own| own == *name))
    };
    let names = sample.frames.iter().filter_map(Frame::name);
    names.filter(is_own).collect::<Vec<_>>().join(" ")
}

/// Whether the program's Go writes what is inlined in a form that is read (1.26 and later).
fn tells_inlined() -> bool {
    let output = Command::new("go").args(["env", "GOVERSION"]).output();
    let version = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let minor = version
        .ok()
        .and_then(|version| version.trim().split('.').nth(1)?.parse::<u32>().ok());
    minor.is_some_and(|minor| minor >= 26)
}

fn orders(session: &Session) -> Result<(), Problem> {
    let Session {
        recorded, truth, ..
    } = session;
    let judge = |samples: &[Sample]| {
        let mut verdict = Verdict::of(recorded.entries());
        for sample in samples {
            let order = own(sample, truth);
            // The scheduler and the collector run on their own, too.
            if truth.legal.contains(&order) || order.is_empty() {
                verdict.good(sample.count);
            } else {
                verdict.wrong(format!("illegal order: {order}"), sample.count);
            }
        }
        verdict.at_least(RIGHT, 1000)
    };
    judge(&recorded.samples)?;
    let met: BTreeSet<String> = recorded
        .samples
        .iter()
        .map(|sample| own(sample, truth))
        .collect();
    if let Some(absent) = truth.legal.iter().find(|order| !met.contains(*order)) {
        return Err(Problem::Failed(format!(
            "never met: {absent}; met: {met:?}"
        )));
    }
    let inlined = |sample: &Sample| {
        sample
            .frames
            .iter()
            .any(|frame| frame.name() == Some(&*truth.inlined))
    };
    if tells_inlined() && !recorded.samples.iter().any(inlined) {
        return Err(Problem::Failed(format!("{} was never met", truth.inlined)));
    }
    must_fail(
        "the order reversed",
        judge(&faults::order_reversed(&recorded.samples)),
    )
}

/// The outermost functions of goroutines. `runtime.goexit`, to which they return, has no frame pointer to be reached by, so
/// that a stripped program's stacks are right but marked.
const ROOTS: [&str; 4] = [
    "runtime.goexit",
    "runtime.main",
    "main.main.gowrap1",
    "main.worker",
];

fn roots(session: &Session) -> Result<(), Problem> {
    let Session {
        recorded, truth, ..
    } = session;
    let judge = |samples: &[Sample]| {
        let mut verdict = Verdict::of(recorded.entries());
        for sample in samples {
            let first = sample
                .frames
                .iter()
                .find(|frame| !matches!(frame, Frame::Cut { .. }));
            let name = first.and_then(Frame::name).unwrap_or("?");
            if ROOTS.contains(&name) || own(sample, truth).is_empty() {
                verdict.good(sample.count);
            } else {
                verdict.wrong(format!("begins at {name}"), sample.count);
            }
        }
        verdict.at_least(RIGHT, 1000)
    };
    judge(&recorded.samples)?;
    must_fail(
        "the order reversed",
        judge(&faults::order_reversed(&recorded.samples)),
    )
}

fn symbols(session: &Session) -> Result<(), Problem> {
    let judge = |samples: &[Sample]| session.oracle.judge(samples).none_wrong();
    judge(&session.recorded.samples)?;
    must_fail(
        "names exchanged",
        judge(&faults::names_exchanged(&session.recorded.samples)),
    )
}
