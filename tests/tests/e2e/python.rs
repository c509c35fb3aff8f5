//! Python: every version and build × shares, legal stacks, lines, C frames, roots, names.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use strata_tests::callbacks::{Modes, Naming};
use strata_tests::folded::Sample;
use strata_tests::legal::LegalStacks;
use strata_tests::machine::interpreters::{self, Interpreter};
use strata_tests::machine::target::Target;
use strata_tests::machine::{Problem, pyspy, run, tools};
use strata_tests::symbols::Oracle;
use strata_tests::{depth, faults, lines, roots, shares};

use crate::cell::{Cell, Shared, must_fail};
use crate::world::{Recorded, World};

/// Share of the samples asked for that has to be right.
const RIGHT: f64 = 0.995;
/// How far a share may be off.
const POINTS: f64 = 0.03;

/// The recordings of one interpreter, each made by the first cell that needs it.
struct Row {
    world: Arc<World>,
    interpreter: Interpreter,
    legal: Arc<Shared<LegalStacks>>,
    at_999: Arc<Shared<Recorded>>,
    pyspy: Arc<Shared<Vec<Sample>>>,
    shares: Arc<Shared<(Recorded, String)>>,
    callbacks: Arc<Shared<(Recorded, Modes)>>,
    internals: Arc<Shared<(Recorded, Oracle)>>,
}

pub fn cells(world: &Arc<World>) -> Vec<Cell> {
    interpreters::all()
        .into_iter()
        .flat_map(|interpreter| row(world, interpreter))
        .collect()
}

fn row(world: &Arc<World>, interpreter: Interpreter) -> Vec<Cell> {
    let row = Arc::new(Row {
        world: Arc::clone(world),
        interpreter,
        legal: Shared::new(),
        at_999: Shared::new(),
        pyspy: Shared::new(),
        shares: Shared::new(),
        callbacks: Shared::new(),
        internals: Shared::new(),
    });
    let mut cells = Vec::new();
    let mut add = |property: &str, check: fn(&Row) -> Result<(), Problem>| {
        let cell_row = Arc::clone(&row);
        cells.push(Cell::new(
            "python",
            row.interpreter.name.clone(),
            property,
            move || check(&cell_row),
        ));
    };
    add("legal_999", Row::legal_999);
    add("legal_99", Row::legal_99);
    add("roots", Row::roots);
    add("shares", Row::shares);
    add("roots_threads", Row::roots_threads);
    add("leaf_lines", Row::leaf_lines);
    add("leaf_lines_pyspy", Row::leaf_lines_pyspy);
    add("symbols", Row::symbols);
    add("internals", Row::internals);
    add("depth_500", |row| row.depth(500, "512"));
    add("depth_1000", |row| row.depth(1000, "1024"));
    add("reused_code", Row::reused_code);
    add("ended", Row::ended);
    for mode in [
        "sorted",
        "re_sub",
        "json",
        "reduce",
        "ctypes",
        "cached",
        "decorator",
        "generator",
        "gen_list",
    ] {
        let cell_row = Arc::clone(&row);
        cells.push(Cell::new(
            "python",
            row.interpreter.name.clone(),
            mode,
            move || cell_row.callback(mode),
        ));
    }
    cells
}

#[derive(Deserialize)]
struct Shares {
    shares: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct Lines {
    lines: BTreeMap<String, f64>,
}

fn parse<'a, T: Deserialize<'a>>(truth: &'a str) -> Result<T, String> {
    serde_json::from_str(truth)
        .map_err(|error| format!("the workload's truth can't be read: {error}\n{truth}"))
}

impl Row {
    fn start(&self, script: &str, more: &[&str]) -> Result<Target, Problem> {
        Ok(Target::start(
            self.interpreter
                .command(script)?
                .args(["--seconds", "60"])
                .args(more),
        )?)
    }

    /// The truth that a script finds out by tracing itself.
    fn traced(&self, script: &str) -> Result<String, Problem> {
        Ok(run(self.interpreter.command(script)?.arg("--truth"))?)
    }

    fn legal(&self) -> Result<&LegalStacks, Problem> {
        self.legal
            .get(|| Ok(LegalStacks::parse(&self.traced("legal.py")?)?))
    }

    /// The program of known stacks at 999 Hz, and py-spy's view of the same process before and after.
    fn at_999(&self) -> Result<&Recorded, Problem> {
        self.at_999.get(|| {
            let target = self.start("legal.py", &[])?;
            let pyspy = || pyspy::record(target.pid, 400, 2, self.world.scratch());
            let before = pyspy();
            let recorded = self.world.record(target.pid, 999, 4, &["--lines"])?;
            let _ = self.pyspy.get(|| Ok([before?, pyspy()?].concat()));
            target.stop()?;
            Ok(recorded)
        })
    }

    fn legal_999(&self) -> Result<(), Problem> {
        let recorded = self.at_999()?;
        let judge = |samples: &[Sample]| -> Result<(), Problem> {
            Ok(self
                .legal()?
                .judge(samples, recorded.entries())
                .at_least(RIGHT, 1000)?)
        };
        judge(&recorded.samples)?;
        let fails = |fault, samples: Vec<Sample>| {
            must_fail(
                fault,
                judge(&samples).map_err(|problem| problem.to_string()),
            )
        };
        fails(
            "1 % of frames left out",
            faults::frames_left_out(&recorded.samples),
        )?;
        fails("roots left out", faults::roots_left_out(&recorded.samples))?;
        fails(
            "calling lines off by one",
            faults::calling_lines_off_by_one(&recorded.samples),
        )?;
        fails(
            "leaf lines off by one",
            faults::leaf_lines_off_by_one(&recorded.samples),
        )
    }

    fn legal_99(&self) -> Result<(), Problem> {
        let target = self.start("legal.py", &[])?;
        let recorded = self.world.record(target.pid, 99, 5, &["--lines"])?;
        target.stop()?;
        let judge = |samples: &[Sample]| -> Result<(), Problem> {
            Ok(self
                .legal()?
                .judge(samples, recorded.entries())
                .at_least(RIGHT, 100)?)
        };
        judge(&recorded.samples)?;
        let spoiled = judge(&faults::frames_left_out(&recorded.samples));
        must_fail(
            "1 % of frames left out",
            spoiled.map_err(|problem| problem.to_string()),
        )
    }

    fn roots(&self) -> Result<(), Problem> {
        reach_root(self.at_999()?)
    }

    fn shares_recorded(&self) -> Result<&(Recorded, String), Problem> {
        self.shares.get(|| {
            let mut target = self.start("shares.py", &[])?;
            let pid = target.pid;
            let flags = ["-r", "999", "--lines", "-p", &pid.to_string()];
            let running = self.world.strata()?.start(5, &flags)?;
            // All that the program clocks is done while it is recorded.
            target.tell("go")?;
            std::thread::sleep(Duration::from_millis(4800));
            let truth = target.stop()?;
            Ok((Recorded::of(running.finish()?, pid)?, truth))
        })
    }

    fn shares(&self) -> Result<(), Problem> {
        let (recorded, truth) = self.shares_recorded()?;
        let truth: Shares = parse(truth)?;
        let check = |samples: &[Sample]| {
            shares::compare(
                &truth.shares,
                &shares::measured(samples, recorded.entries()),
                POINTS,
            )
        };
        check(&recorded.samples)?;
        let spoiled = faults::charged_to(&recorded.samples, "replace_word", "key_of");
        must_fail("half of one function charged to another", check(&spoiled))
    }

    fn roots_threads(&self) -> Result<(), Problem> {
        reach_root(&self.shares_recorded()?.0)
    }

    fn leaf_lines(&self) -> Result<(), Problem> {
        let target = self.start("leaf_lines.py", &[])?;
        // At the same time as the recording: what else the machine does changes what lines cost.
        let mut traced = Target::spawn(self.interpreter.command("leaf_lines.py")?.arg("--truth"))?;
        let recorded = self.world.record(target.pid, 999, 4, &["--lines"])?;
        target.stop()?;
        let truth = traced.truth()?;
        let truth: Lines = parse(&truth)?;
        compare_lines(&truth.lines, &recorded)
    }

    fn leaf_lines_pyspy(&self) -> Result<(), Problem> {
        let recorded = self.at_999()?;
        let other = self
            .pyspy
            .get(|| Err(Problem::Failed("py-spy was not asked in time".to_owned())))?;
        let total = strata_tests::folded::total(other);
        if total < 800 {
            return Err(Problem::Failed(format!(
                "py-spy took only {total} samples: too few to compare with"
            )));
        }
        compare_lines(&lines::measured(other, total), recorded)
    }

    fn callbacks(&self) -> Result<&(Recorded, Modes), Problem> {
        self.callbacks.get(|| {
            let target = self.start("callbacks.py", &[])?;
            let recorded = self.world.record(target.pid, 999, 4, &["--lines"])?;
            let modes = parse(&target.stop()?)?;
            Ok((recorded, modes))
        })
    }

    fn callback(&self, mode: &str) -> Result<(), Problem> {
        let (recorded, modes) = self.callbacks()?;
        let naming = self.interpreter.naming;
        let judge =
            |samples: &[Sample]| modes.judge_mode(mode, samples, naming).at_least(RIGHT, 100);
        judge(&recorded.samples)?;
        // Where no C function stands between the Python functions, only their own order can be wrong.
        let spoiled = match mode {
            "decorator" => faults::frames_left_out(&faults::frames_left_out(&recorded.samples)),
            _ => faults::c_frames_reordered(&recorded.samples),
        };
        must_fail("frames reordered", judge(&spoiled))
    }

    /// All native frames with their places, the interpreter's own too.
    fn with_internals(&self) -> Result<&(Recorded, Oracle), Problem> {
        self.internals.get(|| {
            let target = self.start("callbacks.py", &[])?;
            let flags = ["--lines", "--native-python", "--addresses"];
            let recorded = self.world.record(target.pid, 499, 2, &flags)?;
            let oracle = tools::oracle(target.pid, &recorded.samples, self.world.scratch())?;
            target.stop()?;
            Ok((recorded, oracle))
        })
    }

    fn symbols(&self) -> Result<(), Problem> {
        let (recorded, oracle) = self.with_internals()?;
        let judge = |samples: &[Sample]| oracle.judge(samples).none_wrong();
        judge(&recorded.samples)?;
        must_fail(
            "names exchanged",
            judge(&faults::names_exchanged(&recorded.samples)),
        )
    }

    /// The interpreter's own functions are hidden unless asked for.
    fn internals(&self) -> Result<(), Problem> {
        let eval = |samples: &[Sample]| {
            let frames = samples
                .iter()
                .flat_map(|sample| &sample.frames)
                .filter(|frame| frame.is_native());
            frames
                .filter_map(|frame| frame.name())
                .find(|name| name.starts_with("_PyEval_"))
                .map(str::to_owned)
        };
        if let Some(name) = eval(&self.callbacks()?.0.samples) {
            return Err(Problem::Failed(format!(
                "{name} is shown without --native-python"
            )));
        }
        if eval(&self.with_internals()?.0.samples).is_none()
            && self.interpreter.naming == Naming::Named
        {
            return Err(Problem::Failed(
                "--native-python shows no _PyEval_ function".to_owned(),
            ));
        }
        Ok(())
    }

    /// Python's frames are all there also where there are several times as many native ones.
    fn depth(&self, frames: usize, limit: &str) -> Result<(), Problem> {
        let target = self.start("depth.py", &[&frames.to_string()])?;
        let recorded = self
            .world
            .record(target.pid, 499, 2, &["--lines", "--depth", limit])?;
        target.stop()?;
        let judge = |samples: &[Sample]| {
            let python: Vec<Sample> = samples.iter().map(only_python).collect();
            depth::judge(&python, recorded.entries(), "descend", "bottom", frames)
                .at_least(RIGHT, 200)
        };
        judge(&recorded.samples)?;
        must_fail(
            "1 % of frames left out",
            judge(&faults::frames_left_out(&recorded.samples)),
        )
    }

    fn reused_code(&self) -> Result<(), Problem> {
        #[derive(Deserialize)]
        struct Reuse {
            turns: u64,
            same_address: u64,
        }
        let legal = LegalStacks::parse(&self.traced("reuse_code.py")?)?;
        let target = self.start("reuse_code.py", &[])?;
        let recorded = self.world.record(target.pid, 999, 3, &["--lines"])?;
        let truth = target.stop()?;
        let reuse: Reuse = parse(&truth)?;
        if reuse.same_address * 2 < reuse.turns {
            return Err(Problem::Failed(format!(
                "code objects hardly ever share an address, so nothing is tested: {truth}"
            )));
        }
        let judge = |samples: &[Sample]| {
            legal
                .judge(samples, recorded.entries())
                .at_least(RIGHT, 1000)
        };
        judge(&recorded.samples)?;
        must_fail(
            "half of one life charged to the other",
            judge(&faults::charged_to(
                &recorded.samples,
                "first_life",
                "other_life",
            )),
        )
    }

    /// A Python that is started by the recording and over before its end: all its samples have names.
    fn ended(&self) -> Result<(), Problem> {
        let mut command = self.interpreter.command("legal.py")?;
        command.args(["--cpu-seconds", "2"]);
        let words: Vec<String> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let mut arguments = vec!["-r", "999", "--lines", "--"];
        arguments.extend(words.iter().map(String::as_str));
        let recording = self.world.strata()?.record(40, &arguments)?;
        let process = recording
            .stats
            .processes
            .iter()
            .max_by_key(|process| process.entries);
        let pid = process.ok_or("no process in the statistics")?.pid;
        let recorded = Recorded::of(recording, pid)?;
        // Start and end of the interpreter are outside the legal stacks; the two seconds between are most of it.
        let verdict = self.legal()?.judge(&recorded.samples, recorded.entries());
        verdict.at_least(0.85, 1500)?;
        // The first process of an interpreter that strata has not met has no Python frames until its offsets were
        // validated on it, and says so; its native stacks reach their root from the first instruction on.
        let not_ready = recorded
            .process
            .cut
            .get("python_not_ready")
            .copied()
            .unwrap_or(0);
        recorded.whole_but_for(not_ready, RIGHT)?;
        if not_ready as f64 > 0.05 * recorded.entries() as f64 {
            return Err(Problem::Failed(format!(
                "{not_ready} samples before Python was ready"
            )));
        }
        Ok(())
    }
}

/// By the statistics, and by what the stacks themselves show.
pub fn reach_root(recorded: &Recorded) -> Result<(), Problem> {
    recorded.whole(RIGHT)?;
    let judge =
        |samples: &[Sample]| roots::judge(samples, recorded.entries()).at_least(RIGHT, 1000);
    judge(&recorded.samples)?;
    must_fail(
        "roots left out",
        judge(&faults::roots_left_out(&recorded.samples)),
    )
}

fn compare_lines(truth: &BTreeMap<String, f64>, recorded: &Recorded) -> Result<(), Problem> {
    let check = |samples: &[Sample]| {
        lines::compare(truth, &lines::measured(samples, recorded.entries()), POINTS)
    };
    check(&recorded.samples)?;
    must_fail(
        "leaf lines off by one",
        check(&faults::leaf_lines_off_by_one(&recorded.samples)),
    )
}

fn only_python(sample: &Sample) -> Sample {
    let frames = sample
        .frames
        .iter()
        .filter(|frame| frame.is_python())
        .cloned()
        .collect();
    Sample {
        frames,
        ..sample.clone()
    }
}
