//! `strata doctor`: what it says of this machine, of a process and of missing rights, held against what others say of them.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use strata_tests::machine::interpreters::{self, Interpreter};
use strata_tests::machine::target::Target;
use strata_tests::machine::{self, Problem, on_path, run};

use crate::cell::Cell;
use crate::world::World;

pub fn cells(world: &Arc<World>) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |row: &str, property: &str, check: fn(&World) -> Result<(), Problem>| {
        let world = Arc::clone(world);
        cells.push(Cell::new("doctor", row, property, move || check(&world)));
    };
    add("machine", "facts", facts);
    add("machine", "no-btf", no_btf);
    add("process", "c", c_program);
    add("process", "gone", gone);
    add("process", "perf-map", perf_map);
    add("rights", "no-bpf", no_bpf);
    add("rights", "user", user);
    add("rights", "pid-namespace", pid_namespace);
    for interpreter in interpreters::all() {
        let world = Arc::clone(world);
        let property = interpreter.name.clone();
        cells.push(Cell::new("doctor", "process", property, move || {
            python(&world, &interpreter)
        }));
    }
    cells
}

/// What a run of `strata doctor --json` gave.
pub struct Examined {
    code: Option<i32>,
    report: Value,
}

impl Examined {
    /// Runs it, behind what `before` says.
    pub fn of(world: &World, before: &[&str], flags: &[&str]) -> Result<Self, Problem> {
        Self::by(&world.strata()?.binary, before, flags)
    }

    fn by(binary: &Path, before: &[&str], flags: &[&str]) -> Result<Self, Problem> {
        let mut command = match before {
            [] => Command::new(binary),
            [program, arguments @ ..] => {
                if !on_path(program) {
                    return Err(Problem::Skipped(format!("{program} is not installed")));
                }
                let mut command = Command::new(program);
                command.args(arguments).arg(binary);
                command
            }
        };
        command.args(["doctor", "--json"]).args(flags);
        let output = machine::output(&mut command)?;
        let report = serde_json::from_slice(&output.stdout).map_err(|error| {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            format!("{}: {error}: {said}", machine::shown(&command))
        })?;
        Ok(Self {
            code: output.status.code(),
            report,
        })
    }

    fn check(&self, name: &str) -> &Value {
        &self.report["checks"][name]
    }

    /// The one process that was asked for.
    fn process(&self) -> &Value {
        &self.report["processes"][0]
    }

    /// Fails unless the exit code, the verdict and the states agree that a recording works, or that it does not.
    pub fn works(&self, expected: bool) -> Result<(), String> {
        let failed = self.in_state("fail");
        let code = if expected { 0 } else { 1 };
        if self.code != Some(code) || self.report["works"] != Value::Bool(expected) {
            return Err(format!(
                "exit code {:?}, works {}, failed {failed:?}",
                self.code, self.report["works"]
            ));
        }
        for name in failed.iter().chain(&self.in_state("warn")) {
            if !self.check(name)["remedy"].is_string() {
                return Err(format!("no remedy: {name}: {}", self.check(name)));
            }
        }
        Ok(())
    }

    fn in_state(&self, state: &str) -> Vec<String> {
        let checks = self.report["checks"].as_object();
        let found = checks.into_iter().flatten();
        found
            .filter(|(_, check)| check["state"] == state)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Fails unless exactly these checks failed.
    fn failed(&self, expected: &[&str]) -> Result<(), String> {
        let mut failed = self.in_state("fail");
        failed.sort();
        if failed != expected {
            return Err(format!("failed are {failed:?}, not {expected:?}"));
        }
        Ok(())
    }
}

#[track_caller]
fn same(what: &str, ours: &Value, theirs: impl Into<Value>) -> Result<(), String> {
    let theirs = theirs.into();
    if *ours == theirs {
        Ok(())
    } else {
        Err(format!("{what} is {ours}, and others say {theirs}"))
    }
}

/// The machine as other programs know it.
fn facts(world: &World) -> Result<(), Problem> {
    let examined = Examined::of(world, &[], &[])?;
    examined.works(true)?;
    let said = |program: &str, arguments: &[&str]| {
        run(Command::new(program).args(arguments)).map(|text| text.trim().to_owned())
    };
    let value = |name: &str| &examined.check(name)["value"];
    same("kernel", value("kernel"), said("uname", &["-r"])?)?;
    same(
        "architecture",
        value("architecture"),
        said("uname", &["-m"])?,
    )?;
    let online: u64 = said("getconf", &["_NPROCESSORS_ONLN"])?
        .parse()
        .map_err(|_| "getconf gives no number")?;
    same("CPUs online", &value("cpus")["online"], online)?;
    for name in [
        "perf_event_paranoid",
        "perf_event_max_sample_rate",
        "unprivileged_bpf_disabled",
    ] {
        let text = said("cat", &[&format!("/proc/sys/kernel/{name}")])?;
        let number: i64 = text.parse().map_err(|_| format!("{name}: {text}"))?;
        same(name, value(name), number)?;
    }
    let mounts = said("cat", &["/proc/self/mounts"])?;
    let has = |kind: &str| {
        mounts
            .lines()
            .any(|line| line.split(' ').nth(2) == Some(kind))
    };
    let layout = match (has("cgroup"), has("cgroup2")) {
        (true, true) => "hybrid",
        (true, false) => "v1",
        (false, true) => "v2",
        (false, false) => "none",
    };
    same("cgroup layout", &value("cgroups")["layout"], layout)?;
    let tracefs = mounts
        .lines()
        .find(|line| line.split(' ').nth(2) == Some("tracefs"));
    let tracefs = tracefs.and_then(|line| line.split(' ').nth(1));
    same("tracefs", value("tracefs"), tracefs)?;
    // It ran as this test did, which may load programs; what else it may is the kernel's own word.
    for name in ["cap_bpf", "btf", "programs_load", "cpu_clock", "forks"] {
        same(name, &examined.check(name)["state"], "ok")?;
    }
    let programs = examined.report["programs"].as_array();
    let names: Vec<&str> = programs
        .into_iter()
        .flatten()
        .filter(|it| it["load_ms"].as_f64().is_some_and(|took| took > 0.0))
        .filter_map(|it| it["name"].as_str())
        .collect();
    for name in ["on_sample", "on_sample_native", "on_sample_python"] {
        if !names.contains(&name) {
            return Err(format!("{name} is not among the programs {names:?}").into());
        }
    }
    Ok(())
}

/// A kernel whose BTF is out of sight.
fn no_btf(world: &World) -> Result<(), Problem> {
    let hide = "mount -t tmpfs none /sys/kernel/btf && exec \"$@\"";
    let examined = Examined::of(world, &["unshare", "--mount", "sh", "-c", hide, "sh"], &[])?;
    examined.works(false)?;
    examined.failed(&["btf"])?;
    same(
        "programs_load",
        &examined.check("programs_load")["state"],
        "skip",
    )?;
    Ok(())
}

/// Root without one capability.
fn no_bpf(world: &World) -> Result<(), Problem> {
    let without = [
        "setpriv",
        "--inh-caps=-all",
        "--bounding-set=-bpf,-sys_admin",
    ];
    let examined = Examined::of(world, &without, &[])?;
    examined.works(false)?;
    examined.failed(&["cap_bpf"])?;
    let remedy = examined.check("cap_bpf")["remedy"].to_string();
    if !remedy.contains("BPF") {
        return Err(format!("the remedy names no BPF: {remedy}").into());
    }
    // What it does instead of BPF and PERFMON is enough.
    let admin = ["setpriv", "--inh-caps=-all", "--bounding-set=-bpf,-perfmon"];
    let examined = Examined::of(world, &admin, &[])?;
    examined.works(true)?;
    same("CAP_BPF", &examined.check("cap_bpf")["value"], false)?;
    Ok(())
}

/// A user without any rights, and the same one with all that the documents name.
fn user(world: &World) -> Result<(), Problem> {
    let nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    // Where this user may execute it, which a target folder in somebody's home is not.
    let binary = std::env::temp_dir().join(format!("strata-doctor-{}", std::process::id()));
    std::fs::copy(&world.strata()?.binary, &binary)
        .map_err(|error| format!("{}: {error}", binary.display()))?;
    let examine = |before: &[&str]| Examined::by(&binary, before, &[]);
    let plain = examine(&nobody);
    let sets = ["inh-caps", "ambient-caps", "bounding-set"].map(|set| {
        format!(
            "--{set}=-all,+bpf,+perfmon,+sys_ptrace,+dac_read_search,+checkpoint_restore,+syslog"
        )
    });
    let mut before = nobody.to_vec();
    before.extend(sets.iter().map(String::as_str));
    let granted = examine(&before);
    let _ = std::fs::remove_file(&binary);
    let plain = plain?;
    plain.works(false)?;
    plain.failed(&["cap_bpf", "cap_perfmon"])?;
    granted?.works(true)?;
    Ok(())
}

/// As in a container that has pids of its own.
fn pid_namespace(world: &World) -> Result<(), Problem> {
    let inside = ["unshare", "--pid", "--fork", "--mount-proc"];
    let examined = Examined::of(world, &inside, &[])?;
    examined.works(false)?;
    examined.failed(&["namespaces"])?;
    Ok(())
}

/// A C program: the file, its rows and its build id.
fn c_program(world: &World) -> Result<(), Problem> {
    let program = world.compiler.build("simple", "c/simple.c", &[])?;
    let target = Target::start(Command::new(&program).arg("60"))?;
    let examined = Examined::of(world, &[], &["-p", &target.pid.to_string()])?;
    examined.works(true)?;
    let process = examined.process();
    same("pid", &process["pid"], target.pid)?;
    same("name", &process["name"], "simple")?;
    same(
        "interpreters",
        &process["interpreters"],
        Vec::<Value>::new(),
    )?;
    let file = &process["files"][0];
    same("path", &file["path"], program.to_string_lossy())?;
    same("DWARF", &file["dwarf"], true)?;
    same("sources of rows", &file["rows_from"], vec![".eh_frame"])?;
    if file["rows"].as_u64().is_none_or(|rows| rows < 4) {
        return Err(format!("{} rows", file["rows"]).into());
    }
    let notes = run(Command::new("readelf").arg("--notes").arg(&program))?;
    let id = notes
        .lines()
        .find_map(|line| line.trim().strip_prefix("Build ID: "));
    same("build id", &file["build_id"], id)?;
    // All that nm calls code, `main` and its callees among them.
    let names = run(Command::new("nm").arg(&program))?;
    let functions = names
        .lines()
        .filter(|line| {
            matches!(
                line.split_whitespace().nth(1),
                Some("t" | "T" | "w" | "W" | "i")
            )
        })
        .count() as u64;
    let ours = file["symbols"][".symtab"].as_u64().unwrap_or(0);
    if ours < 4 || ours > functions {
        return Err(format!("{ours} symbols where nm has {functions} functions").into());
    }
    Ok(())
}

/// A pid that nobody has.
fn gone(world: &World) -> Result<(), Problem> {
    // Above the kernel's highest process id.
    let examined = Examined::of(world, &[], &["-p", "4194999"])?;
    if examined.code != Some(1) || !examined.process()["error"].is_string() {
        return Err(format!("{:?}: {}", examined.code, examined.process()).into());
    }
    Ok(())
}

/// An interpreter, by what it says of itself.
fn python(world: &World, interpreter: &Interpreter) -> Result<(), Problem> {
    let mut command = interpreter.command("shares.py")?;
    let version = run(asked(&command, &[]).args(["-c", VERSION]))?;
    let target = Target::start(&mut command)?;
    let examined = Examined::of(world, &[], &["-p", &target.pid.to_string()])?;
    examined.works(true)?;
    let found = &examined.process()["interpreters"];
    let [found] = &found.as_array().cloned().unwrap_or_default()[..] else {
        return Err(format!("not one interpreter: {found}").into());
    };
    same("version", &found["version"], version.trim())?;
    same("error", &found["error"], Value::Null)?;
    let published = ["3.13", "3.14", "3.15"];
    let publishes = published.iter().any(|it| version.starts_with(it));
    let from = if publishes {
        "_Py_DebugOffsets"
    } else {
        "table"
    };
    same("source of the offsets", &found["offsets_from"], from)?;
    if found["frames"].as_u64().is_none_or(|frames| frames == 0) {
        return Err(format!("nothing was confirmed: {found}").into());
    }
    let libraries = run(Command::new("cat").arg(format!("/proc/{}/maps", target.pid)))?;
    let path = found["path"].as_str().unwrap_or_default();
    if path.is_empty() || !libraries.contains(path) {
        return Err(format!("{path} is not mapped").into());
    }
    Ok(())
}

const VERSION: &str = "import platform; print(platform.python_version())";

/// The same interpreter with other arguments than a script.
pub fn asked(command: &Command, flags: &[&str]) -> Command {
    let mut other = Command::new(command.get_program());
    let arguments: Vec<_> = command.get_args().collect();
    let (_, before) = arguments
        .split_last()
        .unwrap_or((&command.get_program(), &[]));
    other.args(before).args(flags);
    other
}

/// The map that CPython writes for perf.
fn perf_map(world: &World) -> Result<(), Problem> {
    let interpreter = interpreters::named("3.12-pyenv")?;
    let mut command = asked(&interpreter.command("shares.py")?, &["-X", "perf"]);
    command.arg(machine::workloads().join("python/shares.py"));
    let target = Target::start(&mut command)?;
    let lines = || {
        let path = format!("/tmp/perf-{}.map", target.pid);
        std::fs::read_to_string(&path)
            .map(|text| text.lines().count() as u64)
            .map_err(|error| format!("{path}: {error}"))
    };
    let before = lines()?;
    let examined = Examined::of(world, &[], &["-p", &target.pid.to_string()])?;
    let after = lines()?;
    let _ = std::fs::remove_file(format!("/tmp/perf-{}.map", target.pid));
    let process = examined.process();
    let names = process["perf_map"]["names"].as_u64().unwrap_or(0);
    if before == 0 || names < before || names > after {
        return Err(format!("{names} names, where the map has {before} to {after} lines").into());
    }
    if process["code_without_file"]["bytes"]
        .as_u64()
        .is_none_or(|bytes| bytes == 0)
    {
        return Err("its trampolines are in no file, and not seen".into());
    }
    Ok(())
}
