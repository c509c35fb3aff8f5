//! `strata agent` as a host's service: what it is told, and its systemd unit with all that it takes away.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use strata_tests::machine::systemd::Manager;
use strata_tests::machine::{self, Problem, on_path};

use crate::cell::{Cell, must_fail};
use crate::world::World;

/// What `systemd-analyze security` gives the unit at most, of 100. The rest is what a profiler is for.
const EXPOSURE: u32 = 32;

type Check = fn(&World) -> Result<(), Problem>;

pub fn cells(world: &Arc<World>) -> Vec<Cell> {
    let all: [(&str, &str, Check); 5] = [
        ("settings", "printed", printed),
        ("settings", "wrong", wrong),
        ("unit", "valid", valid),
        ("unit", "security", security),
        ("unit", "runs", runs),
    ];
    let cells = all.map(|(row, property, check)| {
        let world = Arc::clone(world);
        Cell::new("host", row, property, move || check(&world))
    });
    cells.into()
}

fn expect(right: bool, what: impl FnOnce() -> String) -> Result<(), Problem> {
    if right {
        Ok(())
    } else {
        Err(Problem::Failed(what()))
    }
}

/// The agent with no variables but these.
fn agent(world: &World, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Output, Problem> {
    let mut command = Command::new(&world.strata()?.binary);
    command.arg("agent").args(arguments).env_clear();
    Ok(machine::output(command.envs(variables.iter().copied()))?)
}

fn all_said(output: &Output) -> String {
    let (out, errors) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(errors)
}

/// What holds and where it came from, as a file that says the same, without what is secret.
fn printed(world: &World) -> Result<(), Problem> {
    let file = world.scratch().join("printed.toml");
    let set = "store-age = '7d'\nrate = 20\n[otlp-headers]\nauthorization = 'Bearer hunter2'\n";
    fs::write(&file, set).map_err(|error| error.to_string())?;
    let file = file.to_string_lossy().into_owned();
    let variables = [
        ("STRATA_CONFIG", file.as_str()),
        ("STRATA_RATE", "21"),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "https://me:hunter2@there:4317",
        ),
    ];
    let output = agent(
        world,
        &["--print-config", "--store-size", "1GiB"],
        &variables,
    )?;
    let said = all_said(&output);
    let line = |setting: &str, origin: &str| {
        let found = |line: &str| line.starts_with(setting) && line.contains(origin);
        said.lines().any(found)
    };
    expect(
        output.status.success()
            && !said.contains("hunter2")
            && line("store-size = \"1GiB\"", "# --store-size")
            && line("rate = 21", "# STRATA_RATE")
            && line(
                "otlp-endpoint = \"https://there:4317\"",
                "# OTEL_EXPORTER_OTLP_ENDPOINT",
            )
            && line("store-age = \"7d\"", "printed.toml:1")
            && line("# otlp-headers", "printed.toml:3")
            && line("interval = \"10s\"", "# default"),
        || said.clone(),
    )?;
    let again = world.scratch().join("again.toml");
    fs::write(&again, &output.stdout).map_err(|error| error.to_string())?;
    let again = again.to_string_lossy().into_owned();
    let output = agent(world, &["--print-config", "--config", &again], &[])?;
    let said = all_said(&output);
    let set = ["rate = 21", "store-age = \"7d\"", "store-size = \"1GiB\""];
    expect(
        output.status.success() && set.iter().all(|set| said.contains(set)),
        || said.clone(),
    )
}

/// What can't be meant ends the agent before it does anything, with the nearest right name and no secret.
fn wrong(world: &World) -> Result<(), Problem> {
    let file = world.scratch().join("wrong.toml");
    fs::write(&file, "\nstore-sice = '1GiB'\n").map_err(|error| error.to_string())?;
    let file = file.to_string_lossy().into_owned();
    let told = |arguments: &[&str], variables: &[(&str, &str)], words: &[&str]| {
        let output = agent(world, arguments, variables)?;
        let said = all_said(&output);
        let missing = words.iter().find(|word| !said.contains(**word));
        expect(
            output.status.code() == Some(2) && missing.is_none() && !said.contains("hunter2"),
            || format!("{}, without {missing:?}: {said}", output.status),
        )
    };
    told(&["--config", &file], &[], &["wrong.toml:2", "`store-size`"])?;
    told(
        &[],
        &[("STRATA_STORE_SICE", "1GiB")],
        &["STRATA_STORE_SIZE"],
    )?;
    told(&["--store-sice", "1GiB"], &[], &["--store-size"])?;
    told(&["--interval", "10"], &[], &["--interval", "with its unit"])?;
    let headers = [("OTEL_EXPORTER_OTLP_HEADERS", "hunter2")];
    told(&[], &headers, &["OTEL_EXPORTER_OTLP_HEADERS", "NAME=VALUE"])?;
    told(
        &["--otlp-header=authorization=hunter2"],
        &[],
        &["--otlp-headers"],
    )?;
    told(
        &["--otlp-headers", "a=b", "c=hunter2"],
        &[],
        &["without a flag"],
    )
}

fn unit() -> Result<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd/strata.service");
    fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The unit with some settings replaced, as `NAME=VALUE`.
fn changed(unit: &str, changes: &[String]) -> String {
    let changed = unit.lines().map(|line| {
        let is_of = |change: &&String| {
            let name = change.split_once('=').map(|(name, _)| name);
            name.is_some() && line.split_once('=').map(|(name, _)| name) == name
        };
        changes.iter().find(is_of).map_or(line, String::as_str)
    });
    changed.map(|line| format!("{line}\n")).collect()
}

fn analyze(arguments: &[&str], unit: &Path) -> Result<(), Problem> {
    if !on_path("systemd-analyze") {
        return Err(Problem::Skipped("systemd is not installed".to_owned()));
    }
    let mut command = Command::new("systemd-analyze");
    let output = machine::output(command.args(arguments).arg(unit))?;
    // `verify` tells mistakes and ends well all the same.
    let said = all_said(&output);
    let has_mistakes = arguments[0] == "verify" && !said.trim().is_empty();
    expect(output.status.success() && !has_mistakes, || said)
}

/// systemd understands each line of it.
fn valid(world: &World) -> Result<(), Problem> {
    let binary = world.strata()?.binary.display().to_string();
    let unit = changed(&unit()?, &[format!("ExecStart={binary} agent")]);
    let path = world.scratch().join("strata.service");
    let verify = |text: &str| {
        fs::write(&path, text).map_err(|error| error.to_string())?;
        analyze(&["verify", "--man=no"], &path)
    };
    verify(&unit)?;
    let faulty = unit.replace("ProtectSystem=strict", "ProtectSytem=strict");
    match verify(&faulty) {
        Err(Problem::Skipped(why)) => Err(Problem::Skipped(why)),
        other => must_fail("a misspelt name", other.map_err(|why| why.to_string())),
    }
}

/// It takes away what can be taken away.
fn security(world: &World) -> Result<(), Problem> {
    let path = world.scratch().join("secure.service");
    let threshold = format!("--threshold={EXPOSURE}");
    let judge = |text: &str| {
        fs::write(&path, text).map_err(|error| error.to_string())?;
        analyze(
            &["security", "--offline=true", "--no-pager", &threshold],
            &path,
        )
    };
    let unit = unit()?;
    judge(&unit)?;
    let open = changed(&unit, &["ProtectSystem=no".to_owned()]);
    let open = open.replace("SystemCallFilter=", "#");
    let judged = judge(&open).map_err(|why| why.to_string());
    must_fail("a unit that may write everywhere", judged)
}

/// A folder in /tmp that everybody may pass, removed when dropped.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// systemd starts it with all that it takes away, and it still sees all: it says that it is ready, reads its settings
/// again, keeps what the kernel and other users' programs do, by name, and ends well.
fn runs(world: &World) -> Result<(), Problem> {
    let folder = Folder(PathBuf::from(format!(
        "/tmp/strata-host-{}",
        std::process::id()
    )));
    let store = folder.0.join("store");
    let made = fs::create_dir_all(&store)
        .and_then(|()| fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o711)))
        .and_then(|()| fs::set_permissions(&store, fs::Permissions::from_mode(0o700)))
        .and_then(|()| std::os::unix::fs::chown(&store, Some(65_534), Some(65_534)));
    made.map_err(|error| format!("{}: {error}", folder.0.display()))?;
    let strata = folder.0.join("strata");
    fs::copy(&world.strata()?.binary, &strata).map_err(|error| error.to_string())?;
    let start = format!(
        "ExecStart={} agent --config /dev/null --interval 1s --listen off --store {}",
        strata.display(),
        store.display()
    );
    // The user and the folder are not there before the package is; the test's own folder is in /tmp.
    let unit = changed(
        &unit()?,
        &[
            start,
            "User=nobody".to_owned(),
            "Group=nogroup".to_owned(),
            format!(
                "PrivateTmp=no\nReadWritePaths={}\nStandardError=append:{}",
                store.display(),
                folder.0.join(Manager::SERVICE_LOG).display()
            ),
        ],
    );
    let manager = Manager::start(&folder.0, "strata.service", &unit)?;
    // Comes back once the agent has said that it is ready.
    manager.control(&["start", "strata.service"])?;
    let mut burner = Command::new("dd")
        .args(["if=/dev/zero", "of=/dev/null", "bs=1k"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .map_err(|error| format!("dd: {error}"))?;
    std::thread::sleep(std::time::Duration::from_secs(5));
    let show = |what: &str| {
        let said = manager.control(&["show", "strata.service", "--value", "-p", what]);
        said.map(|said| said.trim().to_owned())
    };
    let pid = show("MainPID")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    manager.control(&["reload", "strata.service"])?;
    let (state, restarts) = (show("SubState")?, show("NRestarts")?);
    manager.control(&["stop", "strata.service"])?;
    let _ = burner.kill();
    let _ = burner.wait();
    let status = status.map_err(|error| format!("{error}: {}", manager.log()))?;
    let has = |field: &str, value: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.is_some_and(|line| line.split_whitespace().any(|word| word == value))
    };
    // Bits 2 (DAC_READ_SEARCH), 19 (SYS_PTRACE), 34 (SYSLOG), 38 (PERFMON), 39 (BPF), 40 (CHECKPOINT_RESTORE).
    expect(
        has("CapBnd:", "000001c400080004")
            && has("CapEff:", "000001c400080004")
            && has("NoNewPrivs:", "1")
            && has("Seccomp:", "2")
            && has("Uid:", "65534"),
        || status.clone(),
    )?;
    let ended = (show("Result")?, show("ExecMainStatus")?);
    expect(
        (state.as_str(), restarts.as_str()) == ("running", "0")
            && (ended.0.as_str(), ended.1.as_str()) == ("success", "0"),
        || format!("{state}, {restarts} restarts, {ended:?}\n{}", manager.log()),
    )?;
    let owners = fs::read_dir(&store).map_err(|error| error.to_string())?;
    for entry in owners {
        let metadata = entry.and_then(|entry| entry.metadata());
        let metadata = metadata.map_err(|error| error.to_string())?;
        let (owner, mode) = (metadata.uid(), metadata.mode() & 0o777);
        expect(owner == 65_534 && mode & 0o077 == 0, || {
            format!("a file of the store belongs to {owner} and has mode {mode:o}")
        })?;
    }
    let mut report = Command::new(&strata);
    report.args(["report", "--store"]).arg(&store);
    let text = machine::run(report.args(["-f", "folded", "-o", "-"]))?;
    let of_dd: Vec<&str> = text.lines().filter(|line| line.contains("dd")).collect();
    let named = of_dd
        .iter()
        .filter(|line| line.contains("read_zero_[k]") || line.contains("read_iter_zero_[k]"));
    expect(named.count() > 0 && !text.contains("[kernel]+0x"), || {
        format!(
            "the kernel has no names in {} lines of dd, of {}",
            of_dd.len(),
            text.lines().count()
        )
    })
}
