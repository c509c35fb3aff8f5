//! Whose samples they are: services and containers, as an OpenTelemetry Collector takes them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use strata_tests::machine::agent::Agent;
use strata_tests::machine::cgroup::{Cgroup, Version};
use strata_tests::machine::readers::Collector;
use strata_tests::machine::target::Target;
use strata_tests::machine::{Problem, cache, container, output, run, shown, workloads};
use strata_tests::readers::collector::{self, Resources};

use crate::cell::{Cell, must_fail};
use crate::world::World;

/// What must not leave a process.
const SECRET: &str = "hunter2-in-the-environment";
const ARGUMENT: &str = "--password=hunter2-in-the-arguments";
const CONTAINER: &str = "container.id";
const SERVICE: &str = "service.name";
/// What strata needs in a container, by names that old engines know too: theirs for CAP_BPF and CAP_PERFMON is CAP_SYS_ADMIN.
const CAPABILITIES: [&str; 4] = [
    "--cap-add=SYS_ADMIN",
    "--cap-add=SYS_PTRACE",
    "--cap-add=DAC_READ_SEARCH",
    "--cap-add=SYSLOG",
];

pub fn cells(world: &Arc<World>) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |row: &str, property: &str, check: fn(&World) -> Result<(), Problem>| {
        let world = Arc::clone(world);
        cells.push(Cell::new("metadata", row, property, move || check(&world)));
    };
    add("environment", "service-and-no-more", environment);
    add("executable", "service", executable);
    add("context-memfd", "service", |world| context(world, "memfd"));
    add("context-anonymous", "service", |world| {
        context(world, "anonymous")
    });
    add("context-late", "service", |world| context(world, "late"));
    add("context-updated", "service", |world| {
        context(world, "updated")
    });
    add("context-ddtrace", "service", ddtrace);
    add("container-docker", "id", docker);
    add("container-docker", "names", names);
    add("container-runc", "id", runc);
    add("container-own", "id", own_container);
    add("cgroup-namespace-v1", "id", |world| {
        namespace(world, Version::One)
    });
    add("cgroup-namespace-v2", "id", |world| {
        namespace(world, Version::Two)
    });
    cells
}

/// A recording of some processes: the file, and their attributes as the Collector has them.
struct Recorded {
    bytes: Vec<u8>,
    resources: Resources,
}

impl Recorded {
    /// Records, with the command before strata's that brings it elsewhere.
    fn of(world: &World, before: &[&str], pids: &[u32]) -> Result<Self, Problem> {
        let path = world.scratch().join("metadata.otlp");
        let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
        let mut words: Vec<String> = before.iter().map(|word| word.to_string()).collect();
        words.push(world.strata()?.binary.display().to_string());
        let flags = ["record", "-r", "199", "-d", "4", "-f", "otlp", "-p"];
        words.extend(flags.map(str::to_owned));
        words.extend([pids.join(","), "-o".to_owned(), path.display().to_string()]);
        run(Command::new(&words[0]).args(&words[1..]))?;
        Self::read(world, &path)
    }

    fn read(world: &World, path: &Path) -> Result<Self, Problem> {
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut collector = Collector::start(world.scratch())?;
        let (status, answer) = collector.send(&bytes)?;
        if !status.contains(" 200 ") {
            return Err(Problem::Failed(format!("{status}: {answer}")));
        }
        let resources = collector::resources(&collector.written()?)?;
        let nameless = resources.iter().find(|(_, it)| !it.contains_key(SERVICE));
        match nameless {
            Some((pid, found)) => Err(Problem::Failed(format!(
                "process {pid} has no service.name: {found:?}"
            ))),
            None => Ok(Self { bytes, resources }),
        }
    }

    fn process(&self, pid: u32) -> Result<&BTreeMap<String, String>, String> {
        let found = self.resources.get(&pid);
        found.ok_or_else(|| format!("process {pid} is not among {:?}", self.resources))
    }

    /// Fails unless the process has these attributes; no value: has none of that key.
    fn has(&self, pid: u32, expected: &[(&str, Option<&str>)]) -> Result<(), String> {
        let found = self.process(pid)?;
        for (key, value) in expected {
            if found.get(*key).map(String::as_str) != *value {
                return Err(format!("{key} is not {value:?} in {found:?}"));
            }
        }
        Ok(())
    }

    fn contains(&self, text: &str) -> bool {
        let mut places = self.bytes.windows(text.len());
        places.any(|place| place == text.as_bytes())
    }
}

fn simple(world: &World) -> Result<PathBuf, Problem> {
    world.compiler.build("simple", "c/simple.c", &[])
}

fn environment(world: &World) -> Result<(), Problem> {
    let target = Target::start(
        Command::new(simple(world)?)
            .args(["60", ARGUMENT])
            .env("A_SECRET", SECRET)
            .env("OTEL_SERVICE_NAME", "web")
            .env(
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.name=not-this,team=payments",
            ),
    )?;
    let recorded = Recorded::of(world, &[], &[target.pid])?;
    recorded.has(target.pid, &[(SERVICE, Some("web")), (CONTAINER, None)])?;
    for (text, wanted) in [
        ("web", true),
        (SECRET, false),
        (ARGUMENT, false),
        ("payments", false),
        ("not-this", false),
    ] {
        if recorded.contains(text) != wanted {
            return Err(Problem::Failed(format!(
                "that {text:?} is in the file should be {wanted}"
            )));
        }
    }
    must_fail(
        "another name",
        recorded.has(target.pid, &[(SERVICE, Some("not-this"))]),
    )
}

fn executable(world: &World) -> Result<(), Problem> {
    let target = Target::start(Command::new(simple(world)?).arg("60"))?;
    let recorded = Recorded::of(world, &[], &[target.pid])?;
    let expected = [
        (SERVICE, Some("unknown_service:simple")),
        ("process.executable.name", Some("simple")),
        (CONTAINER, None),
    ];
    Ok(recorded.has(target.pid, &expected)?)
}

fn context(world: &World, how: &str) -> Result<(), Problem> {
    let program = world.compiler.build("context", "c/context.c", &[])?;
    let mut command = Command::new(program);
    command.args([how, "60"]).env("OTEL_SERVICE_NAME", "less");
    let target = Target::start(&mut command)?;
    let recorded = Recorded::of(world, &[], &[target.pid])?;
    let pid = target.pid;
    if target.stop()?.contains("\"published\": false") {
        return Err(Problem::Skipped(
            "this kernel names no anonymous memory (CONFIG_ANON_VMA_NAME)".to_owned(),
        ));
    }
    let (name, version) = match how {
        "updated" => ("updated", "2.0"),
        _ => ("published", "1.0"),
    };
    let expected = [
        (SERVICE, Some(name)),
        ("service.version", Some(version)),
        ("deployment.environment.name", Some("testing")),
        ("telemetry.sdk.language", Some("c")),
        // What it says of itself and is not so.
        (CONTAINER, None),
        ("process.pid", Some(&*pid.to_string())),
    ];
    Ok(recorded.has(pid, &expected)?)
}

/// A publisher that is not ours: Datadog's tracer, which publishes what it is told by its own variables.
fn ddtrace(world: &World) -> Result<(), Problem> {
    let python = cache().join("ddtrace/bin/python");
    if !python.is_file() {
        return Err(Problem::Skipped(format!(
            "there is no {} (tests/setup.sh)",
            python.display()
        )));
    }
    let mut command = Command::new(python);
    command
        .args(["-B"])
        .arg(workloads().join("python/traced.py"))
        .args(["--seconds", "60"])
        .env("DD_SERVICE", "checkout")
        .env("DD_VERSION", "3.1")
        .env("DD_ENV", "staging")
        .env("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false")
        .env("DD_REMOTE_CONFIGURATION_ENABLED", "false")
        .env("A_SECRET", SECRET);
    let target = Target::start(&mut command)?;
    let recorded = Recorded::of(world, &[], &[target.pid])?;
    let expected = [
        (SERVICE, Some("checkout")),
        ("service.version", Some("3.1")),
        ("deployment.environment.name", Some("staging")),
        ("process.executable.name", Some("python3.11")),
    ];
    recorded.has(target.pid, &expected)?;
    if recorded.contains(SECRET) {
        return Err("the file holds a variable of the environment".into());
    }
    Ok(())
}

fn copy(world: &World) -> Result<PathBuf, Problem> {
    let folder = container::folder(world.scratch())?;
    let to = folder.join("simple");
    std::fs::copy(simple(world)?, &to).map_err(|error| format!("{}: {error}", to.display()))?;
    Ok(folder)
}

fn docker(world: &World) -> Result<(), Problem> {
    let folder = copy(world)?;
    let named = ["--env", "OTEL_SERVICE_NAME=web"];
    let command = ["/workload/simple", "60"];
    let engine = world.engine()?;
    let one = engine.run_with(&named, &folder, &command)?;
    let other = engine.run(&folder, &command)?;
    let outside = Target::start(Command::new(simple(world)?).arg("60"))?;
    let recorded = Recorded::of(world, &[], &[one.pid, other.pid, outside.pid])?;
    recorded.has(
        one.pid,
        &[(CONTAINER, Some(&one.id)), (SERVICE, Some("web"))],
    )?;
    let unknown = (SERVICE, Some("unknown_service:simple"));
    recorded.has(other.pid, &[(CONTAINER, Some(&other.id)), unknown])?;
    recorded.has(outside.pid, &[(CONTAINER, None), unknown])?;
    must_fail(
        "the other container's id",
        recorded.has(one.pid, &[(CONTAINER, Some(&other.id))]),
    )
}

/// What the engine calls a container, asked by the agent: also of one that has ended.
fn names(world: &World) -> Result<(), Problem> {
    let folder = copy(world)?;
    let engine = world.engine()?;
    let name = format!("strata-names-{}", std::process::id());
    let place = world.scratch().join("names");
    let flags = ["--listen", "off", "--interval", "10m", "--rate", "199"];
    let socket = ["--container-engine", "/run/docker.sock"];
    let command = ["/workload/simple", "60"];
    // Before the agent, which would else see the engine's own program begin it, under the same pid.
    let container = engine.run_with(&["--name", &name], &folder, &command)?;
    let agent = Agent::start(world.strata()?, &place, &[&flags[..], &socket].concat())?;
    let outside = Target::start(Command::new(simple(world)?).arg("60"))?;
    std::thread::sleep(std::time::Duration::from_secs(3));
    container.stop()?;
    agent.stop()?;
    let file = place.join("names.otlp");
    let mut report = world.strata()?.command(&["report", "--store"]);
    report.arg(place.join("store")).args(["-f", "otlp", "-o"]);
    run(report.arg(&file))?;
    let recorded = Recorded::read(world, &file)?;
    let (key, image) = ("container.name", "container.image.name");
    recorded.has(
        container.pid,
        &[(key, Some(&name)), (image, Some("strata-test"))],
    )?;
    recorded.has(outside.pid, &[(key, None), (image, None)])?;
    must_fail(
        "another name",
        recorded.has(container.pid, &[(key, Some("strata-names"))]),
    )
}

/// Ids as engines of Kubernetes make them, in cgroups as they make them.
fn runc(world: &World) -> Result<(), Problem> {
    let id = format!("{:064x}", u64::from(std::process::id()) << 8 | 0xC0);
    let root = cache().join("sid");
    if !root.join("usr").is_dir() || run(Command::new("runc").arg("--version")).is_err() {
        return Err(Problem::Skipped(
            "there is no runc, or no root file system for it (tests/setup.sh)".to_owned(),
        ));
    }
    let folder = copy(world)?;
    let bundle = world.scratch().join("bundle");
    std::fs::create_dir_all(&bundle).map_err(|error| format!("{}: {error}", bundle.display()))?;
    run(Command::new("runc").args(["spec", "--bundle"]).arg(&bundle))?;
    let file = bundle.join("config.json");
    let text = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut spec: serde_json::Value =
        serde_json::from_slice(&text).map_err(|error| format!("runc's own spec: {error}"))?;
    spec["root"]["path"] = root.display().to_string().into();
    spec["process"]["args"] = serde_json::json!(["/mnt/simple", "60"]);
    spec["process"]["env"] = serde_json::json!(["OTEL_SERVICE_NAME=pod"]);
    spec["process"]["terminal"] = false.into();
    let uid = format!("00000000-0000-4000-8000-{:012x}", std::process::id());
    let pod = format!("strata-tests/kubepods/burstable/pod{uid}");
    spec["linux"]["cgroupsPath"] = format!("/{pod}/{id}").into();
    let mounts = spec["mounts"].as_array_mut();
    mounts
        .ok_or("runc's own spec has no mounts")?
        .push(serde_json::json!({
            "destination": "/mnt", "type": "bind", "source": folder, "options": ["bind", "ro"]
        }));
    std::fs::write(&file, spec.to_string())
        .map_err(|error| format!("{}: {error}", file.display()))?;
    let mut command = Command::new("runc");
    command.args(["run", "--bundle"]).arg(&bundle).arg(&id);
    // Whatever comes of it, nothing is left of the container.
    struct Removed<'a>(&'a str, &'a str);
    impl Drop for Removed<'_> {
        fn drop(&mut self) {
            let _ = run(Command::new("runc").args(["delete", "--force", self.0]));
            // It removes its own cgroups and not those above them.
            let folder = PathBuf::from("/sys/fs/cgroup");
            let below = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            let mounts = below.map(|entry| entry.path());
            for mount in mounts.chain([folder]) {
                for above in Path::new(self.1)
                    .ancestors()
                    .filter(|it| *it != Path::new(""))
                {
                    let _ = std::fs::remove_dir(mount.join(above));
                }
            }
        }
    }
    let removed = Removed(&id, &pod);
    let target = Target::start(&mut command)?;
    let state = run(Command::new("runc").args(["state", &id]))?;
    let state: serde_json::Value =
        serde_json::from_str(&state).map_err(|error| format!("{state}: {error}"))?;
    let pid = state["pid"].as_u64().ok_or("runc tells no pid")? as u32;
    let recorded = Recorded::of(world, &[], &[pid])?;
    drop(removed);
    drop(target);
    let pod = ("k8s.pod.uid", Some(&*uid));
    Ok(recorded.has(pid, &[(CONTAINER, Some(&id)), (SERVICE, Some("pod")), pod])?)
}

/// Strata in a container with a cgroup namespace of its own, as in a pod: its own container is in no path that it sees.
fn own_container(world: &World) -> Result<(), Problem> {
    let folder = copy(world)?;
    let engine = world.engine()?;
    let other = engine.run(&folder, &["/workload/simple", "60"])?;
    let outside = Target::start(Command::new(simple(world)?).arg("60"))?;
    let out = world.scratch().join("own");
    std::fs::create_dir_all(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    let binary = format!("{}:/strata:ro", world.strata()?.binary.display());
    let place = format!("{}:/out", out.display());
    let mut options = vec![
        "--pid=host",
        "--cgroupns=private",
        "--security-opt=seccomp=unconfined",
        "--security-opt=apparmor=unconfined",
        "--volume",
        &binary,
        "--volume",
        &place,
    ];
    options.extend(CAPABILITIES);
    let command = format!(
        "/workload/simple 60 & own=$!; sleep 1; \
         /strata record -r 199 -d 4 -f otlp -p $own,{},{} -o /out/own.otlp 2>&1; echo ended $own; wait",
        other.pid, outside.pid
    );
    let container = engine.run_with(&options, &folder, &["sh", "-c", &command])?;
    let mut log = String::new();
    for _ in 0..600 {
        log = container.log()?;
        if log.contains("ended") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let own = log.lines().find_map(|line| line.strip_prefix("ended "));
    let own = own.and_then(|pid| pid.trim().parse::<u32>().ok());
    let own = own.ok_or_else(|| format!("strata in the container did not end:\n{log}"))?;
    let recorded = Recorded::read(world, &out.join("own.otlp"))
        .map_err(|problem| format!("{problem}\n{log}"))?;
    recorded.has(own, &[(CONTAINER, Some(&container.id))])?;
    recorded.has(other.pid, &[(CONTAINER, Some(&other.id))])?;
    Ok(recorded.has(outside.pid, &[(CONTAINER, None)])?)
}

/// The same by a namespace alone, in each kind of hierarchy: strata and one target in a cgroup as containers have them, one
/// in another, one outside.
fn namespace(world: &World, version: Version) -> Result<(), Problem> {
    let id = |digit: u32| {
        format!(
            "{:064x}",
            u64::from(std::process::id()) << 8 | u64::from(digit)
        )
    };
    let top = Cgroup::make(version)?;
    let own = top.below(&format!("cri-containerd-{}.scope", id(0xA)))?;
    let other = top.below(&format!("cri-containerd-{}.scope", id(0xB)))?;
    let start = || Target::start(Command::new(simple(world)?).arg("60")).map_err(Problem::from);
    let targets = [start()?, start()?, start()?];
    own.add(targets[0].pid)?;
    other.add(targets[1].pid)?;
    let script = format!(
        "echo $$ > {}/cgroup.procs && exec unshare --cgroup \"$@\"",
        own.path.display()
    );
    let before = ["sh", "-c", &script, "sh"];
    // Inside, the own path is the root.
    let mut seen = Command::new(before[0]);
    seen.args(&before[1..]).args(["cat", "/proc/self/cgroup"]);
    let said = output(&mut seen)?;
    let text = String::from_utf8_lossy(&said.stdout);
    if !said.status.success() || text.contains(&id(0xA)) {
        return Err(Problem::Failed(format!(
            "`{}` does not hide its own cgroup: {text}{}",
            shown(&seen),
            String::from_utf8_lossy(&said.stderr)
        )));
    }
    let pids = targets.each_ref().map(|target| target.pid);
    let recorded = Recorded::of(world, &before, &pids)?;
    drop(targets);
    recorded.has(pids[0], &[(CONTAINER, Some(&id(0xA)))])?;
    recorded.has(pids[1], &[(CONTAINER, Some(&id(0xB)))])?;
    Ok(recorded.has(pids[2], &[(CONTAINER, None)])?)
}
