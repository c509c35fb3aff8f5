//! A container of the image that `tests/setup.sh` made, and an engine to run it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Problem, on_path, run};

const IMAGE: &str = "strata-test:sid";

/// The engine that is there, or one started for the tests and ended with them.
pub struct Engine {
    ours: Option<Child>,
}

/// A running container. Removed when dropped.
pub struct Container {
    pub id: String,
    /// Its first process, as this machine counts.
    pub pid: u32,
}

impl Engine {
    pub fn start(scratch: &Path) -> Result<Self, Problem> {
        for program in ["docker", "dockerd"] {
            if !on_path(program) {
                return Err(Problem::Skipped(format!(
                    "{program} is not installed (tests/setup.sh)"
                )));
            }
        }
        let mut engine = Self { ours: None };
        if !answers() {
            let log = scratch.join("dockerd.log");
            let to = || {
                std::fs::File::create(&log).map_err(|error| format!("{}: {error}", log.display()))
            };
            // Without a network: nothing on this machine's own is changed.
            let child = Command::new("dockerd")
                .args([
                    "--iptables=false",
                    "--ip6tables=false",
                    "--bridge=none",
                    "--pidfile",
                ])
                .arg(scratch.join("dockerd.pid"))
                .stdin(Stdio::null())
                .stdout(to()?)
                .stderr(Stdio::null())
                .spawn()
                .map_err(|error| Problem::Skipped(format!("dockerd can't be started: {error}")))?;
            engine.ours = Some(child);
            if !(0..120).any(|_| {
                std::thread::sleep(Duration::from_millis(250));
                answers()
            }) {
                return Err(Problem::Skipped(
                    "dockerd does not come up on this machine".to_owned(),
                ));
            }
        }
        if run(Command::new("docker").args(["image", "inspect", IMAGE])).is_err() {
            return Err(Problem::Skipped(format!(
                "there is no image {IMAGE} (tests/setup.sh)"
            )));
        }
        Ok(engine)
    }

    /// Runs a command in a new container that sees `folder` as /workload.
    pub fn run(&self, folder: &Path, command: &[&str]) -> Result<Container, Problem> {
        self.run_with(&[], folder, command)
    }

    /// The same with further options of `docker run`.
    pub fn run_with(
        &self,
        options: &[&str],
        folder: &Path,
        command: &[&str],
    ) -> Result<Container, Problem> {
        let mount = format!("{}:/workload:ro", folder.display());
        let id = run(Command::new("docker")
            .args(["run", "--detach", "--network", "none", "--volume", &mount])
            .args(options)
            .arg(IMAGE)
            .args(command))?;
        let id = id.trim().to_owned();
        let pid = run(Command::new("docker").args(["inspect", "--format", "{{.State.Pid}}", &id]))?;
        let pid = pid
            .trim()
            .parse()
            .map_err(|_| format!("the container's process id is {pid:?}"))?;
        let container = Container { id, pid };
        for _ in 0..100 {
            if container.log()?.contains("ready") {
                return Ok(container);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(Problem::Failed(format!(
            "the container did not get ready:\n{}",
            container.log()?
        )))
    }
}

impl Container {
    pub fn log(&self) -> Result<String, String> {
        run(Command::new("docker").args(["logs", &self.id]))
    }

    /// Ends the program in it and returns what it printed.
    pub fn stop(&self) -> Result<String, String> {
        run(Command::new("docker").args(["stop", "--time", "10", &self.id]))?;
        self.log()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = run(Command::new("docker").args(["rm", "--force", &self.id]));
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(child) = &mut self.ours {
            super::target::signal(child.id(), libc::SIGTERM);
            let _ = child.wait();
        }
    }
}

fn answers() -> bool {
    Command::new("docker")
        .arg("version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A folder whose contents a container may see.
pub fn folder(scratch: &Path) -> Result<PathBuf, String> {
    let folder = scratch.join("container");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}
