//! The container image, built by a real engine of what `cargo xtask dist` made: small, labelled, and at work although there
//! is no file in it but the program. `STRATA_PACKAGES` names the folder of packages; without it there is nothing to build.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use strata_tests::machine::target::Target;
use strata_tests::machine::{self, Problem, http, output};

use crate::cell::{Cell, Shared};
use crate::world::World;

const NAME: &str = "strata-test:image";
/// Bytes of the image at most.
const LARGEST: u64 = 25_000_000;
/// Where the receiver is, by a name that only its own name server knows.
const RECEIVER: &str = "collector.strata.test";
const PATIENCE: Duration = Duration::from_secs(60);
/// By names that old engines know too: theirs for CAP_BPF, CAP_PERFMON and CAP_CHECKPOINT_RESTORE is CAP_SYS_ADMIN.
const RIGHTS: [&str; 7] = [
    "--pid=host",
    "--security-opt=apparmor=unconfined",
    "--cap-drop=ALL",
    "--cap-add=SYS_ADMIN",
    "--cap-add=SYS_PTRACE",
    "--cap-add=DAC_READ_SEARCH",
    "--cap-add=SYSLOG",
];

type Check = fn(&World, &Image) -> Result<(), Problem>;

/// The built image. Removed when dropped.
struct Image {
    /// As `docker image inspect` tells.
    told: Value,
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = docker(&["rmi", "--force", NAME]);
    }
}

/// A container of it. Removed when dropped.
struct Running(String);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = docker(&["rm", "--force", "--volumes", &self.0]);
    }
}

pub fn cells(world: &Arc<World>) -> Vec<Cell> {
    let image = Shared::new();
    let all: [(&str, Check); 4] = [
        ("built", |_, image| built(image)),
        ("doctor", |_, _| doctor()),
        ("alone", |world, _| alone(world)),
        ("health", |world, _| health(world)),
    ];
    let cells = all.map(|(property, check)| {
        let (world, image) = (Arc::clone(world), Arc::clone(&image));
        Cell::new("image", "docker", property, move || {
            let image = image.get(|| build(&world))?;
            check(&world, image)
        })
    });
    cells.into()
}

fn docker(arguments: &[&str]) -> Result<String, String> {
    machine::run(Command::new("docker").args(arguments))
}

fn build(world: &World) -> Result<Image, Problem> {
    let Some(packages) = std::env::var_os("STRATA_PACKAGES") else {
        return Err(Problem::Skipped(
            "STRATA_PACKAGES names no folder of packages (cargo xtask dist makes target/packages)"
                .to_owned(),
        ));
    };
    // Who names packages wants them tried.
    let engine = world.engine().map(drop);
    engine.map_err(|problem| Problem::Failed(problem.to_string()))?;
    // Tests run in their crate's folder, and the variable is of the workspace's.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let context = root.join(packages).join("image");
    docker(&["build", "--tag", NAME, &context.to_string_lossy()])?;
    let told = docker(&["image", "inspect", NAME])?;
    let told: Value = serde_json::from_str(&told).map_err(|error| format!("{error}: {told}"))?;
    Ok(Image {
        told: told[0].clone(),
    })
}

/// What it is made of and what it says of itself.
fn built(image: &Image) -> Result<(), Problem> {
    let told = &image.told;
    let config = &told["Config"];
    let label = |name: &str| {
        let value = &config["Labels"][format!("org.opencontainers.image.{name}")];
        value.as_str().unwrap_or_default()
    };
    let revision = label("revision");
    let right = [
        (
            "size",
            told["Size"].as_u64().is_some_and(|size| size < LARGEST),
        ),
        ("user", config["User"] == "0:0"),
        (
            "program",
            config["Entrypoint"] == serde_json::json!(["/strata"]),
        ),
        ("command", config["Cmd"] == serde_json::json!(["agent"])),
        ("version", label("version").split('.').count() == 3),
        (
            "revision",
            revision.len() == 40 && revision.bytes().all(|it| it.is_ascii_hexdigit()),
        ),
        ("time", label("created").ends_with('Z')),
        ("licences", label("licenses").contains("Apache-2.0")),
        (
            "health check",
            config["Healthcheck"]["Test"]
                == serde_json::json!(["CMD", "/strata", "agent", "--health"]),
        ),
    ];
    match right.iter().find(|(_, right)| !right) {
        Some((what, _)) => Err(format!("the image's {what} is not right: {told:#}").into()),
        None => Ok(()),
    }
}

/// The image finds on this machine what it needs, with the rights that deploy/README.md names.
fn doctor() -> Result<(), Problem> {
    let mut command = Command::new("docker");
    command.args(["run", "--rm", "--network=none"]).args(RIGHTS);
    let said = output(command.args([NAME, "doctor", "--json"]))?;
    let text = String::from_utf8_lossy(&said.stdout);
    let found: Value = serde_json::from_str(&text)
        .map_err(|error| format!("{error}: {text}{}", String::from_utf8_lossy(&said.stderr)))?;
    if said.status.success() && found["works"] == true {
        return Ok(());
    }
    Err(format!("a recording would not work in the image: {found:#}").into())
}

/// Starts an agent in a container that has nothing but its store.
fn start(world: &World, name: &str, options: &[&str]) -> Result<(Running, PathBuf), Problem> {
    let folder = world.scratch().join(format!("image-{name}"));
    let store = folder.join("store");
    std::fs::create_dir_all(&store).map_err(|error| format!("{}: {error}", store.display()))?;
    let mount = format!("{}:/var/lib/strata", store.display());
    let mut command = Command::new("docker");
    command.args(["run", "--detach", "--read-only", "--network=host"]);
    command
        .args(RIGHTS)
        .args(["--volume", &mount])
        .args(options);
    let id = machine::run(command.arg(NAME))?;
    Ok((Running(id.trim().to_owned()), folder))
}

/// Waits until `done` gives something. What was there last is in the error.
fn wait<T>(what: &str, mut done: impl FnMut() -> Result<T, String>) -> Result<T, Problem> {
    let until = Instant::now() + PATIENCE;
    loop {
        match done() {
            Ok(found) => return Ok(found),
            Err(last) if Instant::now() > until => return Err(format!("{what}: {last}").into()),
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}

fn logs(container: &Running) -> String {
    let said = output(Command::new("docker").args(["logs", &container.0]));
    said.map(|said| String::from_utf8_lossy(&said.stderr).into_owned())
        .unwrap_or_default()
}

/// It resolves a name by the name server of its resolv.conf, and trusts by the authorities that are built in, which do not
/// know the receiver's, and then by the one that it is given.
fn alone(world: &World) -> Result<(), Problem> {
    let folder = world.scratch().join("image-receiver");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("receivers/tls.py");
    let mut command = Command::new("/usr/bin/python3");
    command
        .args(["-E", "-s"])
        .arg(script)
        .arg(&folder)
        .arg(RECEIVER);
    let mut receiver = Target::spawn(&mut command)?;
    let ready = receiver.line_with("ready ")?;
    let port = ready.trim_start_matches("ready ").to_owned();
    let endpoint = format!("STRATA_OTLP_ENDPOINT=https://{RECEIVER}:{port}");
    let file = |name: &str, inside: &str| format!("{}:{inside}:ro", folder.join(name).display());
    let (names, authority) = (
        file("resolv.conf", "/etc/resolv.conf"),
        file("ca.pem", "/ca.pem"),
    );
    let options = [
        "--env",
        &endpoint,
        "--env=STRATA_OTLP_PROTOCOL=http/protobuf",
        "--env=STRATA_INTERVAL=2s",
        "--env=STRATA_LISTEN=off",
        "--env=STRATA_LOG_LEVEL=info,strata::export=debug",
        "--volume",
        &names,
    ];
    let (container, _) = start(world, "stranger", &options)?;
    let explain = |why: String| Problem::Failed(format!("{why}\n{}", logs(&container)));
    receiver
        .line_with(&format!("asked {RECEIVER}"))
        .map_err(explain)?;
    let refused = receiver.line_with("refused ").map_err(explain)?;
    if !refused.contains("unknown ca") {
        return Err(explain(format!("TLS ends with `{refused}`")));
    }
    if !logs(&container).contains("built in") {
        return Err(explain(
            "the agent does not say that it trusts what is built in".to_owned(),
        ));
    }
    drop(container);
    let trusted = [
        "--volume",
        &authority,
        "--env=STRATA_OTLP_CERTIFICATE=/ca.pem",
    ];
    let (container, _) = start(world, "trusted", &[&options[..], &trusted].concat())?;
    let got = receiver.line_with("got ");
    let got = got.map_err(|why| Problem::Failed(format!("{why}\n{}", logs(&container))))?;
    if !got.starts_with("got POST /v1development/profiles ") {
        return Err(format!("the receiver got something else: {got}").into());
    }
    Ok(())
}

/// The engine finds out by the image's own check that the agent lives, and what it says when nobody answers.
fn health(world: &World) -> Result<(), Problem> {
    let listen = format!("--env=STRATA_LISTEN=0.0.0.0:{}", http::free_port()?);
    let options = [&*listen, "--health-interval=1s", "--health-start-period=0s"];
    let (container, _) = start(world, "health", &options)?;
    let state = || {
        docker(&[
            "inspect",
            "--format",
            "{{.State.Health.Status}}",
            &container.0,
        ])
    };
    wait("the container does not get healthy", || match state()? {
        text if text.trim() == "healthy" => Ok(()),
        text => Err(format!("{text}{}", logs(&container))),
    })?;
    let ask = |listen: &str| {
        let mut command = Command::new("docker");
        command.args(["exec", listen, &container.0, "/strata", "agent", "--health"]);
        output(&mut command)
    };
    let right = ask(&listen)?;
    let wrong = ask("--env=STRATA_LISTEN=127.0.0.1:1")?;
    let said = String::from_utf8_lossy(&wrong.stderr);
    if right.status.success() && wrong.status.code() == Some(1) && said.contains("No agent answers")
    {
        return Ok(());
    }
    Err(format!("{}; {}: {said}", right.status, wrong.status).into())
}
