//! What an agent leaves out of a machine with pods on it, by cgroups as the kubelet makes them. (Which pods are chosen by what
//! the API server says of them is for the tests in a cluster, and for those beside the code.)

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use strata_tests::folded;
use strata_tests::machine::agent::Agent;
use strata_tests::machine::cgroup::{Cgroup, Version};
use strata_tests::machine::target::{self, Target};
use strata_tests::machine::{self, Problem};

use crate::cell::Cell;
use crate::world::World;

const UID: &str = "5f3c2a10-9d1e-4b6a-8c55-0a1b2c3d4e5f";
const PATIENCE: Duration = Duration::from_secs(30);
/// A batch, and the time until it is kept.
const BATCH: Duration = Duration::from_millis(2500);

pub fn cells(world: &Arc<World>) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |row: &str, property: &str, check: fn(&World) -> Result<(), Problem>| {
        let world = Arc::clone(world);
        cells.push(Cell::new("select", row, property, move || check(&world)));
    };
    add("cgroupfs", "pods-and-host", |world| {
        choice(world, &["kubepods", "burstable", &format!("pod{UID}")])
    });
    add("systemd", "pods-and-host", |world| {
        let pod = format!("kubepods-besteffort-pod{}.slice", UID.replace('-', "_"));
        choice(
            world,
            &["kubepods.slice", "kubepods-besteffort.slice", &pod],
        )
    });
    cells
}

/// A pod's cgroup in each kind of hierarchy that there is, as container runtimes make it. The inner ones go first.
struct Pod(Vec<Cgroup>);

impl Pod {
    fn make(path: &[&str]) -> Result<Self, Problem> {
        let mut made = Self(Vec::new());
        let mut tops = Vec::new();
        for version in [Version::One, Version::Two] {
            match Cgroup::make(version) {
                Ok(top) => tops.push(top),
                Err(Problem::Skipped(_)) => {}
                Err(problem) => return Err(problem),
            }
        }
        if tops.is_empty() {
            let why = "this machine has no cgroup hierarchy in which groups can be made";
            return Err(Problem::Skipped(why.to_owned()));
        }
        for top in tops {
            made.0.push(top);
            for name in path {
                let last = made.0.last().ok_or("no cgroup")?;
                let below = last.below(name)?;
                made.0.push(below);
            }
        }
        Ok(made)
    }

    fn add(&self, pid: u32, path: &[&str]) -> Result<(), String> {
        let innermost = path.last().copied().unwrap_or_default();
        let mut pods = self
            .0
            .iter()
            .filter(|group| group.path.ends_with(innermost));
        pods.try_for_each(|group| group.add(pid))
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        while self.0.pop().is_some() {}
    }
}

/// Samples of a process that are in a store by now.
fn stored(world: &World, folder: &Path, pid: u32) -> Result<u64, Problem> {
    let mut command = world.strata()?.command(&["report", "--store"]);
    command.arg(folder.join("store"));
    command.args(["-f", "folded", "-o", "-"]);
    let text = match machine::run(&mut command) {
        // Of an agent that just began.
        Err(why) if why.contains("has no samples") => return Ok(0),
        text => text?,
    };
    let samples = folded::parse(&text)?;
    Ok(folded::total(&folded::of_process(&samples, pid)))
}

struct Running<'a> {
    world: &'a World,
    folder: PathBuf,
    agent: Agent,
    config: PathBuf,
}

impl Running<'_> {
    /// Changes the settings, and waits until they hold.
    fn reload(&self, text: &str, said: &str) -> Result<(), Problem> {
        let before = self.agent.log().len();
        write(&self.config, text)?;
        target::signal(self.agent.pid(), libc::SIGHUP);
        let until = Instant::now() + PATIENCE;
        while !self.agent.log()[before..].contains(said) {
            if Instant::now() > until {
                let what = format!("did not say `{said}`");
                return Err(Problem::Failed(self.agent.explain(&what)));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // What changes holds after 2 s; what was taken before is kept with the next batch.
        std::thread::sleep(Duration::from_secs(2) + BATCH);
        Ok(())
    }

    /// Whether each of these processes is sampled now.
    fn sampled(&self, processes: &[(&Target, bool)]) -> Result<(), Problem> {
        let count = || -> Result<Vec<u64>, Problem> {
            let all = processes.iter();
            all.map(|(it, _)| stored(self.world, &self.folder, it.pid))
                .collect()
        };
        let before = count()?;
        std::thread::sleep(2 * BATCH);
        for ((now, before), (number, (_, wanted))) in count()?
            .into_iter()
            .zip(before)
            .zip(processes.iter().enumerate())
        {
            if (now > before) != *wanted {
                return Err(Problem::Failed(self.agent.explain(&format!(
                    "has {before} and then {now} samples of process {number}, which should be \
                     sampled: {wanted}"
                ))));
            }
        }
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn choice(world: &World, path: &[&str]) -> Result<(), Problem> {
    let pod = Pod::make(path)?;
    let program = world.compiler.build("simple", "c/simple.c", &[])?;
    let start = || Target::start(Command::new(&program).arg("120")).map_err(Problem::from);
    let (inside, outside) = (start()?, start()?);
    pod.add(inside.pid, path)?;
    let folder = world.scratch().join(format!("select-{}", path[0]));
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let config = folder.join("strata.toml");
    write(&config, "profile-host = false\n")?;
    let flags = [
        "--listen",
        "off",
        "--interval",
        "1s",
        "--rate",
        "99",
        "--config",
    ];
    let shown = config.display().to_string();
    let agent = Agent::start(world.strata()?, &folder, &[&flags[..], &[&shown]].concat())?;
    let running = Running {
        world,
        folder,
        agent,
        config,
    };
    running.sampled(&[(&inside, true), (&outside, false)])?;
    running.reload("profile-pods = \"annotated\"\n", "profile-pods")?;
    running.sampled(&[(&inside, false), (&outside, true)])?;
    // A rule needs pods that are known; nothing is known of this one.
    let rule = "profile-pods = \"annotated\"\n[[select]]\nlabels = \"app\"\nprofile = true\n";
    running.reload(rule, "select")?;
    running.sampled(&[(&inside, false), (&outside, true)])?;
    running.reload("", "profile-pods")?;
    running.sampled(&[(&inside, true), (&outside, true)])?;
    // More than the clock can give that began at 99.
    let before = running.agent.log().len();
    let fast = "[[select]]\nlabels = \"app\"\nrate = 199\n";
    write(&running.config, fast)?;
    target::signal(running.agent.pid(), libc::SIGHUP);
    let until = Instant::now() + PATIENCE;
    while !running.agent.log()[before..].contains("at most 99") {
        if Instant::now() > until {
            let what = "did not refuse a rate above its own";
            return Err(Problem::Failed(running.agent.explain(what)));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    running.agent.stop()?;
    Ok(())
}
