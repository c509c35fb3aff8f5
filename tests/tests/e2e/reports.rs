//! `strata report`: its table against `go tool pprof`, its filters against what was recorded, its differences against what
//! the programs' own clocks say.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use strata_tests::machine::target::Target;
use strata_tests::machine::{self, Problem, readers as programs};
use strata_tests::readers::{self, Counts, agree, pprof};

use crate::cell::{Cell, Shared, must_fail};
use crate::world::World;

/// How far a share may be from what the program's clock says, besides chance.
const POINTS: f64 = 0.03;

struct Reports {
    world: Arc<World>,
    recorded: Arc<Shared<Recorded>>,
}

/// Two recordings, `before` and `after`, of a program whose functions change their shares.
struct Recorded {
    folder: PathBuf,
    /// The share of `first` by the program's clock.
    truth: [f64; 2],
    /// Of the first recording, in which another program runs too.
    pid: u32,
    stacks: Counts,
    /// Samples of the second.
    after: u64,
}

impl Recorded {
    fn file(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }
}

pub fn cells(world: &Arc<World>) -> Vec<Cell> {
    let reports = Arc::new(Reports {
        world: Arc::clone(world),
        recorded: Shared::new(),
    });
    let mut cells = Vec::new();
    let mut add = |row: &str, property: &str, check: fn(&Reports) -> Result<(), Problem>| {
        let reports = Arc::clone(&reports);
        cells.push(Cell::new("report", row, property, move || check(&reports)));
    };
    add("top", "as_pprof", Reports::top);
    add("filter", "process", Reports::process);
    add("filter", "function", Reports::function);
    add("filter", "nothing_fits", Reports::nothing);
    add("time", "halves_make_the_whole", Reports::halves);
    add("diff", "of_itself", Reports::itself);
    add("diff", "swapped", Reports::swapped);
    add("diff", "picture", Reports::picture);
    add("diff", "refused", Reports::refused);
    cells
}

impl Reports {
    fn recorded(&self) -> Result<&Recorded, Problem> {
        self.recorded.get(|| {
            let folder = self.world.scratch().join("reports");
            std::fs::create_dir_all(&folder)
                .map_err(|error| format!("{}: {error}", folder.display()))?;
            let swap = self.world.compiler.build("swap", "c/swap.c", &[])?;
            let simple = self.world.compiler.build("simple", "c/simple.c", &[])?;
            let mut recorded = Recorded {
                folder,
                truth: [0.0; 2],
                pid: 0,
                stacks: Counts::new(),
                after: 0,
            };
            for (place, (name, percent)) in [("before", "70"), ("after", "30")].iter().enumerate() {
                let target = Target::start(Command::new(&swap).args(["60", percent]))?;
                let other = Target::start(Command::new(&simple).arg("60"))?;
                let pids = match place {
                    0 => format!("{},{}", target.pid, other.pid),
                    _ => target.pid.to_string(),
                };
                let arguments = ["record", "-p", &pids, "-r", "999", "-d", "5"];
                let mut command = self.world.strata()?.command(&arguments);
                for end in ["pb.gz", "otlp", "folded"] {
                    command.args(["-o", &recorded.file(&format!("{name}.{end}"))]);
                }
                machine::run(&mut command)?;
                let pid = target.pid;
                recorded.truth[place] = number(&json(target.stop()?.as_bytes())?, "first")?;
                let text = std::fs::read_to_string(recorded.file(&format!("{name}.folded")));
                let text = text.map_err(|error| format!("{name}.folded: {error}"))?;
                let stacks = readers::folded(&text)?;
                if place == 0 {
                    (recorded.pid, recorded.stacks) = (pid, stacks);
                } else {
                    recorded.after = readers::total(&stacks);
                }
            }
            if readers::total(&recorded.stacks) < 400 {
                return Err(Problem::Failed("hardly any samples".to_owned()));
            }
            Ok(recorded)
        })
    }

    /// What `strata report` prints; an error if it fails.
    fn report(&self, arguments: &[&str]) -> Result<String, Problem> {
        let mut command = self.world.strata()?.command(&["report"]);
        Ok(machine::run(command.args(arguments))?)
    }

    /// A table's rows, by function. Those of the same name in several files come behind one another.
    fn rows(&self, arguments: &[&str]) -> Result<BTreeMap<String, Vec<Value>>, Problem> {
        let mut all = vec!["--top", "100000", "--json"];
        all.extend(arguments);
        let Value::Array(rows) = json(self.report(&all)?.as_bytes())? else {
            return Err(Problem::Failed("the table is no list".to_owned()));
        };
        let mut named = BTreeMap::<String, Vec<Value>>::new();
        for row in rows {
            let name = row["function"].as_str().unwrap_or_default().to_owned();
            named.entry(name).or_default().push(row);
        }
        Ok(named)
    }

    fn folded(&self, arguments: &[&str]) -> Result<Counts, Problem> {
        let mut all = vec!["-o", "-"];
        all.extend(arguments);
        Ok(readers::folded(&self.report(&all)?)?)
    }

    /// Flat and cumulative counts are those of pprof: the latter of functions whose name there is once, since pprof does
    /// not tell the others apart and counts a sample with two of them once.
    fn top(&self) -> Result<(), Problem> {
        let recorded = self.recorded()?;
        let file = recorded.file("before.pb.gz");
        let table = programs::pprof("-top", file.as_ref())?;
        let rows = self.rows(&[&file])?;
        let is_once = |name: &str| rows.get(name).is_some_and(|rows| rows.len() == 1);
        let named = |name: &str| !name.starts_with('[') && rows.contains_key(name);
        for (key, theirs, once) in [
            ("self_samples", pprof::flat(&table)?, false),
            ("total_samples", pprof::cumulative(&table)?, true),
        ] {
            let mut ours = Counts::new();
            for (name, rows) in &rows {
                let count = rows.iter().filter_map(|row| row[key].as_u64()).sum();
                if count > 0 && named(name) && (!once || rows.len() == 1) {
                    ours.insert(name.clone(), count);
                }
            }
            let theirs = theirs.into_iter();
            let theirs: Counts = theirs
                .filter(|(name, _)| named(name) && (!once || is_once(name)))
                .collect();
            if readers::total(&theirs) * 2 < readers::total(&recorded.stacks) {
                return Err(Problem::Failed(format!(
                    "few functions have names:\n{table}"
                )));
            }
            agree(&theirs, &ours)?;
            let spoiled = readers::one_charged_to_another(&theirs);
            must_fail("one sample is charged to another", agree(&spoiled, &ours))?;
        }
        Ok(())
    }

    fn process(&self) -> Result<(), Problem> {
        let recorded = self.recorded()?;
        let pid = recorded.pid.to_string();
        let expected = readers::of_process(&recorded.stacks, recorded.pid);
        for end in ["pb.gz", "otlp", "folded"] {
            let file = recorded.file(&format!("before.{end}"));
            for process in [pid.as_str(), "swap", "sw*", "/^swap$/"] {
                let found = self.folded(&[&file, "--process", process])?;
                agree(&expected, &found)?;
            }
            let both = self.folded(&[&file, "--process", "swap", "--process", "simple"])?;
            agree(&recorded.stacks, &both)?;
            must_fail("another process is there", agree(&expected, &both))?;
        }
        let file = recorded.file("before.otlp");
        let label = format!("process.pid={pid}");
        agree(&expected, &self.folded(&[&file, "--label", &label])?)?;
        Ok(())
    }

    fn function(&self) -> Result<(), Problem> {
        let recorded = self.recorded()?;
        let has = |stack: &str, name: &str| stack.split(';').skip(1).any(|it| it == name);
        let expected = recorded
            .stacks
            .iter()
            .filter(|(stack, _)| has(stack, "first"));
        let expected: Counts = expected
            .map(|(stack, count)| (stack.clone(), *count))
            .collect();
        let file = recorded.file("before.otlp");
        for function in ["first", "firs?", "/^first$/"] {
            agree(&expected, &self.folded(&[&file, "--function", function])?)?;
        }
        let both = ["--function", "first", "--process", "swap"];
        agree(
            &expected,
            &self.folded(&[&[file.as_str()], &both[..]].concat())?,
        )?;
        Ok(())
    }

    /// The message names what there is.
    fn nothing(&self) -> Result<(), Problem> {
        let recorded = self.recorded()?;
        let file = recorded.file("before.otlp");
        for (arguments, said) in [
            (["--process", "swpa"], "`swap`"),
            (["--function", "frist"], "`first`"),
            // Each is there, but not together.
            (["--function", "first"], "simple"),
        ] {
            let mut command = self
                .world
                .strata()?
                .command(&["report", "--top", "5", &file]);
            command.args(arguments);
            if said == "simple" {
                command.args(["--process", said]);
            }
            let output = machine::output(&mut command)?;
            let text = String::from_utf8_lossy(&output.stderr);
            if output.status.code() != Some(1) || !text.contains(said) {
                return Err(Problem::Failed(format!(
                    "{}, {said} not in: {text}",
                    output.status
                )));
            }
        }
        Ok(())
    }

    /// A recording cut at any moment is there as a whole in the two parts, and in neither twice.
    fn halves(&self) -> Result<(), Problem> {
        let recorded = self.recorded()?;
        let file = recorded.file("before.otlp");
        // `… samples of 2026-11-28 14:30:15 – 14:30:18`
        let mut command = self
            .world
            .strata()?
            .command(&["report", "--top", "1", &file]);
        let said = machine::output(&mut command)?.stderr;
        let said = String::from_utf8_lossy(&said).into_owned();
        let start = said
            .split(" samples of ")
            .nth(1)
            .and_then(|it| it.get(..19));
        let start = start.ok_or_else(|| format!("no time is said: {said}"))?;
        let unix = machine::run(Command::new("date").args(["-d", start, "+%s"]))?;
        let unix: f64 = unix
            .trim()
            .parse()
            .map_err(|_| format!("{unix} is no number"))?;
        let mut cut = 0;
        for later in [1.0, 1.25, 2.123_456_789, 2.5] {
            let time = format!("{:.9}", unix + later);
            let part = |option: &str| {
                let mut command = self.world.strata()?.command(&["report", "-o", "-", &file]);
                let output = machine::output(command.args([option, &time]))?;
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                Ok::<Counts, Problem>(readers::folded(&text)?)
            };
            let (early, late) = (part("--until")?, part("--since")?);
            cut += u32::from(!early.is_empty() && !late.is_empty());
            let mut whole = early;
            for (stack, count) in late {
                *whole.entry(stack).or_default() += count;
            }
            agree(&recorded.stacks, &whole)?;
        }
        if cut == 0 {
            return Err(Problem::Failed(
                "no time was within the recording".to_owned(),
            ));
        }
        Ok(())
    }

    fn itself(&self) -> Result<(), Problem> {
        let recorded = self.recorded()?;
        for end in ["pb.gz", "otlp", "folded"] {
            let file = recorded.file(&format!("before.{end}"));
            let rows = self.rows(&["--diff", &file, &file])?;
            if !rows.contains_key("first") {
                return Err(Problem::Failed(format!(
                    "`first` is not among {:?}",
                    rows.keys()
                )));
            }
            for (name, rows) in &rows {
                for row in rows {
                    let change = number(row, "self_change")?;
                    let total = number(row, "total_a")? - number(row, "total_b")?;
                    if change != 0.0 || total != 0.0 {
                        return Err(Problem::Failed(format!("{name} changed: {row}")));
                    }
                }
            }
        }
        Ok(())
    }

    /// The changes are those of the program's clock, as far as so many samples can tell.
    fn swapped(&self) -> Result<(), Problem> {
        let recorded = self.recorded()?;
        let [before, after] = recorded.truth;
        let expected = after - before;
        let of = readers::of_process(&recorded.stacks, recorded.pid);
        let samples = readers::total(&of).min(recorded.after) as f64;
        // Four standard deviations of a difference of two shares.
        let chance = 4.0 * ((before * (1.0 - before) + after * (1.0 - after)) / samples).sqrt();
        let most = POINTS + chance;
        for end in ["pb.gz", "otlp", "folded"] {
            let file = |name: &str| recorded.file(&format!("{name}.{end}"));
            let rows = self.rows(&[
                "--diff",
                &format!("file={},process=swap", file("before")),
                &file("after"),
            ])?;
            let change = |name: &str| {
                let row = rows.get(name).and_then(|rows| rows.first());
                let row = row.ok_or_else(|| format!("no row of {name}"))?;
                Ok::<f64, String>(number(row, "total_b")? - number(row, "total_a")?)
            };
            let (first, second) = (change("first")?, change("second")?);
            let right = |expected: f64| {
                let near = |found: f64, expected: f64| (found - expected).abs() < most;
                match near(first, expected) && near(second, -expected) {
                    true => Ok(()),
                    false => Err(format!(
                        "first changed by {first}, second by {second}, and the clock says {expected}"
                    )),
                }
            };
            right(expected)?;
            must_fail("the sides are exchanged", right(-expected))?;
        }
        Ok(())
    }

    /// The picture's boxes say what the table says; its colours which way.
    fn picture(&self) -> Result<(), Problem> {
        let recorded = self.recorded()?;
        let svg = recorded.file("diff.svg");
        let sides = [recorded.file("before.otlp"), recorded.file("after.otlp")];
        let common = ["--process", "swap", "-o", &svg];
        let table = self.report(&[&["--diff", &sides[0], &sides[1]], &common[..]].concat())?;
        let text = std::fs::read_to_string(&svg).map_err(|error| format!("{svg}: {error}"))?;
        let found = |name: &str| {
            let start = format!("<title>{name} (B ");
            let rest = text.split(&start).nth(1)?;
            let points = rest.split(" points").next()?.rsplit(' ').next()?;
            let colour = rest.split("rgb(").nth(1)?.split(')').next()?;
            let colour: Vec<i32> = colour.split(',').filter_map(|it| it.parse().ok()).collect();
            Some((points.parse::<f64>().ok()?, colour))
        };
        for (name, more) in [("first", false), ("second", true)] {
            let (points, colour) = found(name).ok_or_else(|| format!("no box of {name}"))?;
            let [red, _, blue] = *colour else {
                return Err(Problem::Failed(format!("{colour:?} is no colour")));
            };
            if (points > 0.0) != more || points.abs() < 20.0 || (red > blue) != more {
                return Err(Problem::Failed(format!(
                    "{name}: {points} points, {colour:?}"
                )));
            }
            if !table.contains(name) {
                return Err(Problem::Failed(format!(
                    "{name} is not in the table:\n{table}"
                )));
            }
        }
        Ok(())
    }

    fn refused(&self) -> Result<(), Problem> {
        let recorded = self.recorded()?;
        let (a, b) = (recorded.file("before.otlp"), recorded.file("after.otlp"));
        for (arguments, said) in [
            (
                vec!["--diff", &a, &b, "-o", "/tmp/strata-diff.pb.gz"],
                "pprof can't show a difference",
            ),
            (vec!["--diff", &a, "proces=swap"], "no side of a difference"),
            (
                vec!["--diff", &a, "process=swap"],
                "file and the other is not",
            ),
            (vec!["--top", &a, "--since", "10"], "no unit"),
            (vec![a.as_str()], "Say what to write"),
        ] {
            let mut command = self.world.strata()?.command(&["report"]);
            let output = machine::output(command.args(&arguments))?;
            let text = String::from_utf8_lossy(&output.stderr);
            if output.status.code() != Some(2) || !text.contains(said) {
                return Err(Problem::Failed(format!(
                    "{}, {said} not in: {text}",
                    output.status
                )));
            }
        }
        Ok(())
    }
}

fn json(text: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(text)
        .map_err(|error| format!("no JSON ({error}): {}", String::from_utf8_lossy(text)))
}

fn number(value: &Value, key: &str) -> Result<f64, String> {
    let number = value[key].as_f64();
    number.ok_or_else(|| format!("there is no number {key} in {value}"))
}
