//! What a recording does first, done for a moment: the kernel side is loaded, CPUs are sampled,
//! and all is dropped again. It samples no process.

use std::fs::File;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::machine;
use super::report::{Check, Finding, Group, Program, State};
use super::rights::Rights;
use crate::bpf::trial::Trial;
use crate::bpf::{Event, LoadError};
use crate::process::rights::{PARANOID, PARANOID_MOST};

/// A rate that any machine allows, and how long its first sample may take.
const RATE: u64 = 99;
const PATIENCE: Duration = Duration::from_millis(500);
/// What the verifier allows.
const INSTRUCTIONS: f64 = 1e6;

/// What came of it.
pub struct Tried {
    pub checks: Vec<Check>,
    pub programs: Vec<Program>,
}

/// Tries, unless something is missing anyway (`ready` is false).
pub fn run(rights: &Rights, ready: bool) -> Tried {
    if !ready {
        return Tried {
            checks: not_tried("not tried, since something above is missing"),
            programs: Vec::new(),
        };
    }
    let begin = Instant::now();
    match Trial::load() {
        Ok(trial) => loaded(trial, begin.elapsed(), rights),
        Err(error) => {
            let detail = sentence(&error);
            let finding = Finding::new(State::Fail, LOAD.1, detail).remedy(remedy(&error, rights));
            let mut checks = not_tried("not tried, since the programs do not load");
            checks[0] = check(LOAD.0, false, finding);
            Tried {
                checks,
                programs: Vec::new(),
            }
        }
    }
}

/// Name and label of each check.
const LOAD: (&str, &str) = ("programs_load", "eBPF programs");
const CLOCK: (&str, &str) = ("cpu_clock", "CPU clock");
const CYCLES: (&str, &str) = ("pmu", "cycles (PMU)");
const FORKS: (&str, &str) = ("forks", "forks");
const FILES: (&str, &str) = ("file_identity", "file identities");

fn check(name: &'static str, value: impl Into<Value>, finding: Finding) -> Check {
    Check::new(Group::Trial, name, value, finding)
}

fn not_tried(why: &str) -> Vec<Check> {
    [LOAD, CLOCK, CYCLES, FORKS, FILES]
        .map(|(name, label)| {
            let finding = Finding::new(State::Skip, label, why);
            let finding = if name == FILES.0 {
                finding.more()
            } else {
                finding
            };
            check(name, Value::Null, finding)
        })
        .into()
}

fn loaded(mut trial: Trial, took: Duration, rights: &Rights) -> Tried {
    let clock = clock(&mut trial, rights);
    let cycles = cycles(&mut trial);
    let forks = forks(&mut trial, rights);
    let files = files(&trial);
    let mut programs: Vec<Program> = trial
        .verified()
        .into_iter()
        .map(|it| Program {
            name: it.program,
            verified_instructions: it.instructions,
            load_ms: it.took.map(|took| took.as_secs_f64() * 1e3),
        })
        .collect();
    programs.sort_by(|one, other| one.name.cmp(&other.name));
    let detail = format!(
        "{} load, in {} ms; the verifier takes them",
        programs.len(),
        took.as_millis()
    );
    let mut checks = vec![check(LOAD.0, true, Finding::ok(LOAD.1, detail))];
    checks.extend([clock, cycles, forks, files]);
    Tried { checks, programs }
}

fn clock(trial: &mut Trial, rights: &Rights) -> Check {
    let (name, label) = CLOCK;
    match trial.fire(Event::CpuClock, RATE, PATIENCE) {
        Ok(silent) if silent.is_empty() => {
            let online = crate::bpf::cpus::online().len();
            let detail = match online {
                1 => "fires on the one CPU".to_owned(),
                online => format!("fires on each of {online} CPUs"),
            };
            check(name, true, Finding::ok(label, detail))
        }
        Ok(silent) => {
            let detail = format!("opens, but does not fire on the CPUs {silent:?}.");
            let finding = Finding::new(State::Fail, label, detail)
                .remedy("Report it, with the output of strata doctor -v --json.");
            check(name, false, finding)
        }
        Err(error) => {
            let finding =
                Finding::new(State::Fail, label, sentence(&error)).remedy(remedy(&error, rights));
            check(name, false, finding)
        }
    }
}

/// The hardware counter of `--event cycles`, which is seldom there and seldom needed.
fn cycles(trial: &mut Trial) -> Check {
    let (name, label) = CYCLES;
    let devices = machine::counters();
    let opens = trial.fire(Event::Cycles, RATE, Duration::ZERO).is_ok();
    let value = json!({"opens": opens, "devices": devices});
    let finding = if opens {
        Finding::ok(label, format!("there ({})", devices.join(", ")))
    } else {
        Finding::new(
            State::Warn,
            label,
            "no hardware counter: --event cycles does not work, the CPU clock does.",
        )
        .remedy("Leave --event out; a virtual machine gets counters from its host (vPMU), if any.")
    };
    check(name, value, finding)
}

fn forks(trial: &mut Trial, rights: &Rights) -> Check {
    let (name, label) = FORKS;
    match trial.follow_forks() {
        Ok(()) => check(
            name,
            true,
            Finding::ok(label, "can be followed, for --children and commands"),
        ),
        Err(error) => {
            let detail = format!(
                "can't be followed, so --children and commands do not work: {}",
                sentence(&error)
            );
            let finding = Finding::new(State::Warn, label, detail).remedy(remedy(&error, rights));
            check(name, false, finding)
        }
    }
}

/// Whether the kernel side tells its identity of a file that was opened.
fn files(trial: &Trial) -> Check {
    let (name, label) = FILES;
    let known = File::open("/proc/self/exe").is_ok_and(|file| trial.identifies(&file));
    let finding = if known {
        Finding::ok(
            label,
            "the kernel side tells them, overlay file systems' too",
        )
        .more()
    } else {
        Finding::new(
            State::Warn,
            label,
            "the kernel side does not tell them ahead: first samples in containers on overlay \
             file systems wait for their files.",
        )
        .remedy("Nothing needs to be done; a newer kernel does it.")
    };
    check(name, known, finding)
}

/// What went wrong, without the advice that goes with it elsewhere.
fn sentence(error: &LoadError) -> String {
    use std::error::Error as _;
    match error {
        LoadError::Map(source) => {
            let cause = deepest(source);
            format!("the kernel refused to make a map: {cause}.")
        }
        LoadError::Program { program, source } => {
            let cause = deepest(source);
            format!("the kernel refused the program {program}: {cause}.")
        }
        LoadError::Attach { cpu, source, .. } | LoadError::Refused { cpu, source } => {
            let cause = source.source().map_or_else(|| source.to_string(), deepest);
            format!("CPU {cpu} can't be sampled: {cause}.")
        }
        LoadError::Paranoid { cpu, level } => {
            format!("CPU {cpu} can't be sampled: {PARANOID} is {level}.")
        }
        other => other.to_string(),
    }
}

/// The cause of all causes, on one line.
fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let text = cause.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

fn remedy(error: &LoadError, rights: &Rights) -> String {
    match error {
        LoadError::Missing(_) => "Build strata anew from one state of its sources.".to_owned(),
        LoadError::Paranoid { .. } => format!(
            "Debian's and Ubuntu's kernels take CAP_SYS_ADMIN for it at such a level: sudo sysctl \
             {PARANOID}={PARANOID_MOST} (and in /etc/sysctl.d, so that it stays)"
        ),
        _ => rights.suspects.remedy(),
    }
}

/// A program for people: its share of what the verifier allows.
pub fn describe(program: &Program) -> Finding {
    let mut parts = Vec::new();
    if let Some(count) = program.verified_instructions {
        let share = f64::from(count) / INSTRUCTIONS * 100.0;
        parts.push(format!("{count} instructions ({share:.1} %)"));
    }
    match program.load_ms {
        Some(took) => parts.push(format!("{took:.1} ms")),
        None => parts.push("not loaded".to_owned()),
    }
    Finding::ok(&*program.name, parts.join(", ")).more()
}
