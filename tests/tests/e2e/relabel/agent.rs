//! Rules and budget in an agent that runs: of all processes of the machine only those of this test are kept.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use strata_tests::folded;
use strata_tests::machine::Problem;
use strata_tests::machine::agent::Agent;
use strata_tests::machine::http::{self, Answer, free_port};
use strata_tests::machine::target::{self, Target};

use crate::world::World;

const PATIENCE: Duration = Duration::from_secs(60);

/// Two services are within the budget, the third is not.
const RULES: &str = r#"
interval = "1s"
label-values = 2

[[relabel]]
source_labels = ["service.name"]
regex = "relabelled-.*"
action = "keep"

[[relabel]]
source_labels = ["service.name"]
regex = ".*-secret"
action = "drop"

[[relabel]]
source_labels = ["service.name", "process.executable.name"]
regex = "relabelled-(.*);(.*)"
target_label = "service.name"
replacement = "$2/$1"
"#;

struct Running<'a> {
    world: &'a World,
    agent: Agent,
    store: PathBuf,
    port: u16,
}

impl Running<'_> {
    /// Samples in the store that fit.
    fn samples(&self, filter: &[&str]) -> Result<u64, String> {
        let strata = self.world.strata().map_err(|problem| problem.to_string())?;
        let mut command = strata.command(&["report", "--store"]);
        command.arg(&self.store).args(["-f", "folded", "-o", "-"]);
        let output = command
            .args(filter)
            .output()
            .map_err(|error| format!("strata report: {error}"))?;
        // It is a failure that nothing fits.
        if output.status.code() == Some(1) {
            return Ok(0);
        }
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(folded::total(&folded::parse(&text)?))
    }

    fn metric(&self, series: &str) -> Result<f64, String> {
        let metrics = http::get(self.port, "/metrics", "*/*").and_then(Answer::ok)?;
        let mut lines = metrics.lines();
        let value = lines.find_map(|line| line.strip_prefix(series));
        Ok(value
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or(0.0))
    }

    fn wait(&self, what: &str, holds: impl Fn() -> Result<bool, String>) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        while !holds()? {
            if Instant::now() > until {
                return Err(self.agent.explain(&format!("does not get to this: {what}")));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }
}

pub fn in_force(world: &World) -> Result<(), Problem> {
    let program = world.compiler.build("simple", "c/simple.c", &[])?;
    let start = |service: &str| {
        let mut command = Command::new(&program);
        Target::start(command.arg("120").env("OTEL_SERVICE_NAME", service))
    };
    let services = [
        start("relabelled-one")?,
        start("relabelled-two")?,
        start("relabelled-three")?,
    ];
    let secret = start("relabelled-secret")?;
    let stranger = start("stranger")?;
    let folder = world.scratch().join("agent-relabel");
    let config = folder.join("strata.toml");
    write(&config, RULES)?;
    let port = free_port()?;
    let listen = format!("127.0.0.1:{port}");
    let path = config.display().to_string();
    let flags = ["--listen", &listen, "--rate", "49", "--config", &path];
    let running = Running {
        world,
        agent: Agent::start(world.strata()?, &folder, &flags)?,
        store: folder.join("store"),
        port,
    };
    let label = |service: &str| format!("service.name={service}");
    let of = |service: &str| running.samples(&["--label", &label(service)]);
    running.wait("samples over the budget", || {
        Ok(running.metric(r#"strata_label_over_budget_samples_total{key="service.name"}"#)? > 0.0)
    })?;
    running.wait("samples of all three", || {
        let mut seen = 0;
        for target in &services {
            let pid = target.pid.to_string();
            seen += usize::from(running.samples(&["--process", &pid])? > 0);
        }
        Ok(seen == services.len())
    })?;
    for series in [
        r#"strata_relabel_left_out_samples_total{action="keep"}"#,
        r#"strata_relabel_left_out_samples_total{action="drop"}"#,
    ] {
        if running.metric(series)? == 0.0 {
            return Err(running.agent.explain(&format!("counts no {series}")).into());
        }
    }
    let mut through = 0;
    for service in ["simple/one", "simple/two", "simple/three"] {
        through += usize::from(of(service)? > 0);
    }
    if through != 2 || of("other")? == 0 {
        return Err(format!("{through} services are let through").into());
    }
    for target in [&secret, &stranger] {
        let pid = target.pid.to_string();
        let samples = running.samples(&["--process", &pid])?;
        if samples > 0 {
            return Err(format!("{samples} samples of what is to be left out").into());
        }
    }
    if of("relabelled-one")? > 0 {
        return Err("a name is there that was to be replaced".to_owned().into());
    }
    // Another rule comes into force while it runs.
    write(&config, &RULES.replace(".*-secret", "relabelled-[ot].*"))?;
    target::signal(running.agent.pid(), libc::SIGHUP);
    let pid = secret.pid.to_string();
    running.wait("samples of what was left out before", || {
        Ok(running.samples(&["--process", &pid])? > 0)
    })?;
    running.agent.stop()?;
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let why = |error: std::io::Error| format!("{}: {error}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(why)?;
    }
    std::fs::write(path, text).map_err(why)
}
