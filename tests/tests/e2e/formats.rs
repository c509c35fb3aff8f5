//! The formats, each read by the program that people read it with. All are outputs of one recording, of a Python program
//! with C between its frames and of a native one, and have to tell the same to the last sample.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use inferno::flamegraph;
use strata_tests::machine::readers::{self as programs, Collector};
use strata_tests::machine::target::Target;
use strata_tests::machine::{self, Problem, workloads};
use strata_tests::readers::{self, Counts, agree, collector, firefox, pprof, speedscope};

use crate::cell::{Cell, Shared, must_fail};
use crate::world::World;

/// ns between two samples of one CPU.
const PERIOD: u64 = 1_000_000_000 / RATE;
const RATE: u64 = 499;

struct Formats {
    world: Arc<World>,
    recorded: Arc<Shared<Recorded>>,
}

struct Recorded {
    folder: PathBuf,
    python: u32,
    native: u32,
    /// As the folded file has them, with lines.
    stacks: Counts,
}

impl Recorded {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn text(&self, name: &str) -> Result<String, Problem> {
        let path = self.file(name);
        Ok(std::fs::read_to_string(&path)
            .map_err(|error| format!("{}: {error}", path.display()))?)
    }
}

pub fn cells(world: &Arc<World>) -> Vec<Cell> {
    let formats = Arc::new(Formats {
        world: Arc::clone(world),
        recorded: Shared::new(),
    });
    let mut cells = Vec::new();
    let mut add = |row: &str, property: &str, check: fn(&Formats) -> Result<(), Problem>| {
        let formats = Arc::clone(&formats);
        cells.push(Cell::new("formats", row, property, move || check(&formats)));
    };
    add("folded", "inferno", Formats::inferno);
    add("pprof", "counts", Formats::pprof_counts);
    add("pprof", "labels", Formats::pprof_labels);
    add("speedscope", "shown", Formats::speedscope);
    add("firefox", "structure", Formats::firefox);
    add("otlp", "collector", Formats::collector);
    add("report", "from_otlp", |formats| formats.report("all.otlp"));
    add("report", "from_pprof", |formats| {
        formats.report("all.pb.gz")
    });
    cells
}

impl Formats {
    /// One run that writes all formats.
    fn recorded(&self) -> Result<&Recorded, Problem> {
        self.recorded.get(|| {
            let python = PathBuf::from("/usr/bin/python3.11");
            if !python.is_file() {
                return Err(Problem::Skipped(
                    "no /usr/bin/python3.11 (tests/setup.sh)".to_owned(),
                ));
            }
            let folder = self.world.scratch().join("formats");
            std::fs::create_dir_all(&folder)
                .map_err(|error| format!("{}: {error}", folder.display()))?;
            let script = workloads().join("python/callbacks.py");
            let mixed = Target::start(
                Command::new(python)
                    .args(["-E", "-s", "-B"])
                    .arg(script)
                    .args(["--seconds", "60"]),
            )?;
            let program = self.world.compiler.build("simple", "c/simple.c", &[])?;
            let native = Target::start(Command::new(program).arg("60"))?;
            let pids = format!("{},{}", mixed.pid, native.pid);
            let (rate, seconds) = (RATE.to_string(), "3");
            let mut command = self
                .world
                .strata()?
                .command(&["record", "--lines", "-p", &pids, "-r", &rate, "-d", seconds]);
            for name in [
                "all.folded",
                "all.pb.gz",
                "all.speedscope.json",
                "all.firefox.json",
                "all.otlp",
            ] {
                command.arg("-o").arg(folder.join(name));
            }
            machine::run(&mut command)?;
            let mut recorded = Recorded {
                folder,
                python: mixed.pid,
                native: native.pid,
                stacks: Counts::new(),
            };
            recorded.stacks = readers::folded(&recorded.text("all.folded")?)?;
            for pid in [recorded.python, recorded.native] {
                let samples = readers::total(&readers::of_process(&recorded.stacks, pid));
                if samples < 200 {
                    return Err(Problem::Failed(format!(
                        "only {samples} samples of process {pid}"
                    )));
                }
            }
            Ok(recorded)
        })
    }

    /// Same counts; and not the same once a single sample is another's.
    fn same(&self, expected: &Counts, found: &Counts) -> Result<(), Problem> {
        agree(expected, found)?;
        must_fail(
            "one sample is charged to another",
            agree(&readers::one_charged_to_another(expected), found),
        )
    }

    fn inferno(&self) -> Result<(), Problem> {
        let recorded = self.recorded()?;
        let text = recorded.text("all.folded")?;
        let mut options = flamegraph::Options::default();
        options.min_width = 0.0;
        let mut svg = Vec::new();
        flamegraph::from_lines(&mut options, text.lines(), &mut svg)
            .map_err(|error| format!("inferno can't read it: {error}"))?;
        let svg = String::from_utf8_lossy(&svg);
        // `name (1,234 samples, 5.67%)`; processes are the only names that end in their pid.
        let boxes = svg.split("<title>").skip(1).filter_map(|rest| {
            let title = rest.split("</title>").next()?;
            let (name, count) = title.rsplit_once(" (")?;
            let count = count.split(' ').next()?.replace(',', "");
            Some((name, count.parse::<u64>().ok()?))
        });
        let mut found = Counts::new();
        for (name, count) in boxes {
            let pid = name.rsplit(' ').next().and_then(|pid| pid.parse().ok());
            if pid.is_some_and(|pid: u32| pid == recorded.python || pid == recorded.native) {
                *found
                    .entry(pid.map(|pid| pid.to_string()).unwrap_or_default())
                    .or_default() += count;
            }
        }
        let expected = [recorded.python, recorded.native].map(|pid| {
            (
                pid.to_string(),
                readers::total(&readers::of_process(&recorded.stacks, pid)),
            )
        });
        self.same(&Counts::from(expected), &found)
    }

    fn pprof_counts(&self) -> Result<(), Problem> {
        let recorded = self.recorded()?;
        let top = programs::pprof("-top", &recorded.file("all.pb.gz"))?;
        let expected = readers::leaves(&recorded.stacks, readers::without_line);
        self.same(&expected, &pprof::flat(&top)?)
    }

    fn pprof_labels(&self) -> Result<(), Problem> {
        let recorded = self.recorded()?;
        let tags = programs::pprof("-tags", &recorded.file("all.pb.gz"))?;
        let mut pids = Counts::new();
        for (stack, count) in &recorded.stacks {
            let pid = stack.split(';').next().unwrap_or_default();
            *pids.entry(pid.to_owned()).or_default() += count;
        }
        self.same(&pids, &pprof::tag(&tags, "pid")?)?;
        // Both have one thread, whose id is the process's.
        self.same(&pids, &pprof::tag(&tags, "tid")?)?;
        for label in ["comm", "thread"] {
            let names = pprof::tag(&tags, label)?;
            let names: BTreeSet<&str> = names.keys().map(String::as_str).collect();
            if names != BTreeSet::from(["python3.11", "simple"]) {
                return Err(Problem::Failed(format!(
                    "the names by {label} are {names:?}"
                )));
            }
        }
        Ok(())
    }

    fn speedscope(&self) -> Result<(), Problem> {
        let recorded = self.recorded()?;
        let dom =
            programs::speedscope(&recorded.file("all.speedscope.json"), self.world.scratch())?;
        let page = speedscope::Page::parse(&dom)?;
        let mut processes = [recorded.python, recorded.native]
            .map(|pid| (pid, readers::of_process(&recorded.stacks, pid)));
        processes.sort_by_key(|(_, stacks)| std::cmp::Reverse(readers::total(stacks)));
        let (_, busiest) = &processes[0];
        shown(&page, &processes)?;
        let spoiled = readers::one_charged_to_another(busiest);
        let mut wrong = processes.clone();
        // One sample of 2 ms is less than the last digit of what is shown: many are.
        wrong[0].1 = (0..readers::total(busiest) / 10).fold(spoiled, |counts, _| {
            readers::one_charged_to_another(&counts)
        });
        must_fail(
            "a tenth of the samples is charged to another",
            shown(&page, &wrong),
        )
    }

    fn firefox(&self) -> Result<(), Problem> {
        let recorded = self.recorded()?;
        let text = recorded.text("all.firefox.json")?;
        self.same(&recorded.stacks, &firefox::stacks(&text)?)?;
        for (fault, text) in firefox::spoiled(&text)? {
            must_fail(fault, firefox::stacks(&text).map(drop))?;
        }
        Ok(())
    }

    fn collector(&self) -> Result<(), Problem> {
        let recorded = self.recorded()?;
        let path = recorded.file("all.otlp");
        let body = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut collector = Collector::start(self.world.scratch())?;
        let (status, _) = collector.send(&body[..body.len() / 2])?;
        if !status.contains(" 400 ") {
            return Err(Problem::Failed(format!(
                "half of the file is answered by {status}"
            )));
        }
        let (status, answer) = collector.send(&body)?;
        if !status.contains(" 200 ") {
            return Err(Problem::Failed(format!("{status}: {answer}")));
        }
        let written = collector.written()?;
        self.same(&recorded.stacks, &collector::stacks(&written)?)
    }

    /// What was recorded tells the same once it was turned into another format.
    fn report(&self, name: &str) -> Result<(), Problem> {
        let recorded = self.recorded()?;
        let folded = recorded.file(&format!("{name}.folded"));
        let mut command = self.world.strata()?.command(&["report", "--lines"]);
        machine::run(command.arg(recorded.file(name)).arg("-o").arg(&folded))?;
        let text = std::fs::read_to_string(&folded)
            .map_err(|error| format!("{}: {error}", folded.display()))?;
        self.same(&recorded.stacks, &readers::folded(&text)?)?;
        // Names of processes too, and the marks of kernel code: the very same file.
        if text != recorded.text("all.folded")? {
            return Err(Problem::Failed(
                "the folded files differ in more than their counts".to_owned(),
            ));
        }
        Ok(())
    }
}

/// Compares a page with the processes, the busiest first, which is the one whose functions it shows.
fn shown(page: &speedscope::Page, processes: &[(u32, Counts)]) -> Result<(), String> {
    if page.profiles.len() != processes.len() {
        return Err(format!("{} profiles are offered", page.profiles.len()));
    }
    for (row, (pid, stacks)) in page.profiles.iter().zip(processes) {
        let time = readers::total(stacks) * PERIOD;
        if !row.name.ends_with(&format!(" {pid}")) || !row.time.is(time) {
            return Err(format!(
                "{row:?} is offered for process {pid} with {time} ns"
            ));
        }
    }
    let own = processes
        .first()
        .map(|(_, stacks)| readers::leaves(stacks, |name| name))
        .unwrap_or_default();
    let mut seen = 0;
    for row in &page.functions {
        let samples = own.get(&row.name).copied().unwrap_or(0);
        seen += samples;
        if !row.time.is(samples * PERIOD) {
            return Err(format!("{row:?} has {samples} samples of {PERIOD} ns"));
        }
    }
    let total = readers::total(&own);
    if seen * 10 < total * 9 {
        return Err(format!(
            "the functions shown have {seen} of {total} samples"
        ));
    }
    Ok(())
}
