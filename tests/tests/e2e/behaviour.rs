//! How `strata record` behaves towards people and scripts: the command that it starts, signals, targets that end, results
//! that can't be written, and what it says when it can't do what was asked.

mod told;

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use strata_tests::folded;
use strata_tests::machine::strata::wait_for_events;
use strata_tests::machine::target::{Target, signal};
use strata_tests::machine::{self, Problem};

use crate::cell::Cell;
use crate::world::World;

/// The user `nobody` and its group, in every distribution or in none: only the numbers count.
const NOBODY: u32 = 65_534;

type Check = fn(&World) -> Result<(), Problem>;

pub fn cells(world: &Arc<World>) -> Vec<Cell> {
    let all: [(&str, &str, Check); 17] = [
        ("command", "exit-codes", exit_codes),
        ("command", "streams", streams),
        ("command", "user", user_behind_sudo),
        ("command", "goes-on", goes_on),
        ("command", "idle", idle),
        ("signals", "second-ctrl-c", second_ctrl_c),
        (
            "signals",
            "ctrl-c-leaves-command",
            ctrl_c_leaves_the_command,
        ),
        ("signals", "terminate-is-handed-on", terminate),
        ("signals", "pause", pause),
        ("targets", "one-ends", one_ends),
        ("targets", "all-end", all_end),
        ("result", "disk-full", told::disk_full),
        ("result", "no-folder", told::no_folder),
        ("result", "summary", told::summary),
        ("told", "rights", told::rights),
        ("told", "rate", told::rate),
        ("told", "usage", told::usage),
    ];
    let cells = all.map(|(row, property, check)| {
        let world = Arc::clone(world);
        Cell::new("behaviour", row, property, move || check(&world))
    });
    cells.into()
}

fn simple(world: &World) -> Result<Target, Problem> {
    let program = world.compiler.build("simple", "c/simple.c", &[])?;
    Ok(Target::start(Command::new(program).arg("60"))?)
}

/// A new folder of this name that anybody may write to.
fn folder(world: &World, name: &str) -> Result<PathBuf, Problem> {
    use std::os::unix::fs::PermissionsExt;
    let folder = world.scratch().join(name);
    let made = fs::create_dir_all(&folder)
        .and_then(|()| fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)));
    made.map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn run(world: &World, arguments: &[&str]) -> Result<Output, Problem> {
    Ok(machine::output(&mut world.strata()?.command(arguments))?)
}

fn expect(right: bool, what: impl FnOnce() -> String) -> Result<(), Problem> {
    if right {
        Ok(())
    } else {
        Err(Problem::Failed(what()))
    }
}

/// It ends with this code and says all of these words.
fn ends(output: &Output, code: i32, words: &[&str]) -> Result<(), Problem> {
    let text = said(output);
    let missing = words.iter().find(|word| !text.contains(**word));
    expect(
        output.status.code() == Some(code) && missing.is_none(),
        || {
            format!(
                "{} instead of {code}, without {missing:?}:\n{text}",
                output.status
            )
        },
    )
}

/// The command's end is Strata's; what is no command ends it as a shell would.
fn exit_codes(world: &World) -> Result<(), Problem> {
    let file = text(&world.scratch().join("codes.folded"));
    let of = |command: &[&str]| run(world, &[&["record", "-o", &file, "--"], command].concat());
    ends(&of(&["/bin/sh", "-c", "exit 3"])?, 3, &[])?;
    ends(&of(&["/bin/sh", "-c", "kill -KILL $$"])?, 128 + 9, &[])?;
    ends(
        &of(&["no-such-command"])?,
        127,
        &["no-such-command", "PATH"],
    )?;
    ends(&of(&["/no/such/file"])?, 127, &["/no/such/file"])?;
    ends(&of(&["/etc/passwd"])?, 126, &["/etc/passwd", "chmod +x"])?;
    // Only the exec itself finds this out.
    let script = world.scratch().join("no-interpreter");
    fs::write(&script, "#!/no/such/interpreter\n").map_err(|error| error.to_string())?;
    machine::run(Command::new("chmod").arg("+x").arg(&script))?;
    ends(&of(&[&text(&script)])?, 126, &["interpreter"])
}

/// The command has Strata's input and output to itself.
fn streams(world: &World) -> Result<(), Problem> {
    let file = text(&world.scratch().join("streams.folded"));
    let mut command = world
        .strata()?
        .command(&["record", "-o", &file, "--", "cat"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let mut input = child.stdin.take().ok_or("no pipe")?;
    input
        .write_all(b"one\ntwo\n")
        .map_err(|error| error.to_string())?;
    drop(input);
    let output = child
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    expect(
        output.status.success() && output.stdout == b"one\ntwo\n",
        || {
            format!(
                "{}: {:?}",
                output.status,
                String::from_utf8_lossy(&output.stdout)
            )
        },
    )
}

/// Under sudo the command is run as who typed it, and all files are that user's.
fn user_behind_sudo(world: &World) -> Result<(), Problem> {
    // The scratch folder may be in root's own.
    let folder = tempfile_folder()?;
    let place = folder.0.as_path();
    let script = "id -u; id -g; id -G; echo ${SUDO_UID:-none}; : > made; i=0; while [ $i -lt 99999 ]; do i=$((i+1)); done";
    let mut command = world.strata()?.command(&[
        "record",
        "-o",
        "a.folded",
        "-o",
        "a.svg",
        "--stats-json",
        "s.json",
        "--",
        "/bin/sh",
        "-c",
        script,
    ]);
    command
        .current_dir(place)
        .env("SUDO_UID", NOBODY.to_string())
        .env("SUDO_GID", NOBODY.to_string())
        .env_remove("SUDO_COMMAND");
    let output = machine::output(&mut command)?;
    ends(&output, 0, &[])?;
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = out.lines().collect();
    let nobody = NOBODY.to_string();
    expect(
        lines.len() == 4
            && lines[0] == nobody
            && lines[1] == nobody
            && !lines[2].split(' ').any(|group| group == "0")
            && lines[3] == "none",
        || format!("the command was run as {lines:?}"),
    )?;
    for name in ["made", "a.folded", "a.svg", "s.json"] {
        let metadata =
            fs::metadata(place.join(name)).map_err(|error| format!("{name}: {error}"))?;
        let owner = (metadata.uid(), metadata.gid());
        expect(owner == (NOBODY, NOBODY), || {
            format!("{name} belongs to {owner:?}")
        })?;
    }
    Ok(())
}

/// A folder in /tmp that anybody may write to, removed when dropped.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn tempfile_folder() -> Result<Folder, Problem> {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::temp_dir().join(format!("strata-e2e-{}", std::process::id()));
    let made = fs::create_dir_all(&path)
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o777)));
    made.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Folder(path))
}

/// A recording that is over before its command is written, and then waits for it.
fn goes_on(world: &World) -> Result<(), Problem> {
    let file = world.scratch().join("goes-on.folded");
    let go = world.scratch().join("goes-on.go");
    // The command ends only once the result is there; were it awaited first, nothing would ever end.
    let script = format!(
        "i=0; while [ ! -s '{}' ]; do i=$((i+1)); done; : > '{}'; exit 4",
        file.display(),
        go.display()
    );
    let name = text(&file);
    let command = [
        "record", "-d", "1", "-r", "499", "-o", &name, "--", "/bin/sh", "-c", &script,
    ];
    let output = run(world, &command)?;
    ends(&output, 4, &[])?;
    expect(go.exists(), || {
        "the command did not go on after its recording".to_owned()
    })?;
    let written = fs::read_to_string(&file).map_err(|error| error.to_string())?;
    let samples = folded::total(&folded::parse(&written)?);
    expect(samples > 10, || {
        format!("{samples} samples of a busy second")
    })
}

/// A command that uses no CPU leaves nothing to draw, which is no failure of the command.
fn idle(world: &World) -> Result<(), Problem> {
    let file = text(&world.scratch().join("idle.svg"));
    // At one sample a second, none hits a program that is over at once.
    let arguments = ["record", "-r", "1", "-o", &file, "--", "/bin/sleep", "0.1"];
    ends(
        &run(world, &arguments)?,
        0,
        &["0 samples in", "nothing to draw"],
    )
}

/// Ctrl-C again, while the result is being written, ends Strata at once, as if it took no signals.
fn second_ctrl_c(world: &World) -> Result<(), Problem> {
    let target = simple(world)?;
    // Writing to a pipe that nobody reads does not end by itself.
    let pipe = world.scratch().join("second.fifo");
    machine::run(Command::new("mkfifo").arg(&pipe))?;
    let reader = fs::OpenOptions::new().read(true).write(true).open(&pipe);
    let reader = reader.map_err(|error| format!("{}: {error}", pipe.display()))?;
    let flags = ["-f", "folded", "-o", &text(&pipe)];
    let mut running = Started::new(world, &target, &flags)?;
    drop(reader);
    running.signal(libc::SIGINT);
    std::thread::sleep(Duration::from_secs(3));
    expect(running.is_there()?, || {
        "it did not write to the pipe".to_owned()
    })?;
    running.signal(libc::SIGINT);
    let status = running.wait()?;
    expect(status.signal() == Some(libc::SIGINT), || {
        format!("it ended with {status}")
    })
}

/// An interrupt ends the recording, not the command, unless the command got it as well.
fn ctrl_c_leaves_the_command(world: &World) -> Result<(), Problem> {
    let done = world.scratch().join("left.done");
    let script = format!("sleep 8; : > '{}'; exit 6", done.display());
    let running = world
        .strata()?
        .start(60, &["--", "/bin/sh", "-c", &script])?;
    std::thread::sleep(Duration::from_millis(500));
    running.interrupt();
    let recording = running.finish_unchecked()?;
    expect(recording.code == Some(6) && done.exists(), || {
        format!(
            "{:?}, done: {}\n{}",
            recording.code,
            done.exists(),
            recording.errors
        )
    })
}

/// Who ends Strata by SIGTERM ends the command too, and the recording is written.
fn terminate(world: &World) -> Result<(), Problem> {
    let running = world.strata()?.start(
        60,
        &["-r", "499", "--", "/bin/sh", "-c", "while :; do :; done"],
    )?;
    std::thread::sleep(Duration::from_secs(1));
    running.signal(libc::SIGTERM);
    let recording = running.finish_unchecked()?;
    let samples = folded::total(&recording.samples);
    expect(
        recording.code == Some(128 + libc::SIGTERM) && samples > 10,
        || {
            format!(
                "{:?}, {samples} samples\n{}",
                recording.code, recording.errors
            )
        },
    )
}

/// A recording that is paused samples nothing, and says for how long.
fn pause(world: &World) -> Result<(), Problem> {
    let target = simple(world)?;
    let running = world
        .strata()?
        .start(6, &["-r", "499", "-p", &target.pid.to_string()])?;
    let nap = || std::thread::sleep(Duration::from_millis(1500));
    nap();
    running.signal(libc::SIGUSR1);
    nap();
    running.signal(libc::SIGUSR2);
    let recording = running.finish()?;
    let paused = recording.stats.paused_ns as f64 / 1e9;
    expect((0.5..4.0).contains(&paused), || {
        format!("{paused} s are said to have been paused, of a second and a half")
    })?;
    // However busy the machine is, a clock never fires more often than it was told to. Without the pause it would have.
    let stats = &recording.stats;
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let seconds = (stats.ended_ns - stats.started_ns) as f64 / 1e9 - paused;
    let most = 499.0 * cpus as f64 * seconds * 1.02;
    expect((100.0..most).contains(&(stats.runs as f64)), || {
        format!(
            "{} runs in {seconds:.2} s, at most {most:.0} were due",
            stats.runs
        )
    })
}

/// Of several processes one ends; the others are recorded on.
fn one_ends(world: &World) -> Result<(), Problem> {
    let (short, long) = (simple(world)?, simple(world)?);
    let (gone, pids) = (short.pid, format!("{},{}", short.pid, long.pid));
    let running = world.strata()?.start(5, &["-r", "499", "-p", &pids])?;
    std::thread::sleep(Duration::from_secs(1));
    drop(short);
    let recording = running.finish()?;
    let word = format!("Process {gone} has ended");
    expect(recording.errors.contains(&word), || {
        format!("no `{word}` in:\n{}", recording.errors)
    })?;
    for (pid, least) in [(gone, 10), (long.pid, 50)] {
        let samples = recording.stats.process(pid)?.samples;
        expect(samples > least, || {
            format!("{samples} samples of process {pid}")
        })?;
    }
    Ok(())
}

/// Nothing is left to record, so the recording ends, and its samples are kept.
fn all_end(world: &World) -> Result<(), Problem> {
    let targets = [simple(world)?, simple(world)?];
    let pids = format!("{},{}", targets[0].pid, targets[1].pid);
    // Far longer than the test waits for it.
    let mut running = world.strata()?.start(3600, &["-r", "499", "-p", &pids])?;
    std::thread::sleep(Duration::from_secs(1));
    drop(targets);
    let until = Instant::now() + Duration::from_secs(30);
    while running.is_there() {
        expect(Instant::now() < until, || {
            "the recording goes on".to_owned()
        })?;
        std::thread::sleep(Duration::from_millis(50));
    }
    let recording = running.finish()?;
    let samples = folded::total(&recording.samples);
    expect(
        samples > 10 && recording.errors.contains("so has the recording"),
        || format!("{samples} samples\n{}", recording.errors),
    )
}

/// A recording without an end and without results that anybody could read.
struct Started {
    child: std::process::Child,
}

impl Started {
    /// Records a target, and returns once there are samples to be had.
    fn new(world: &World, target: &Target, flags: &[&str]) -> Result<Self, Problem> {
        let pid = target.pid.to_string();
        let mut command = world
            .strata()?
            .command(&[&["record", "-p", &pid], flags].concat());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| error.to_string())?;
        let mut started = Self { child };
        let until = Instant::now() + Duration::from_secs(60);
        wait_for_events(&mut started.child, until)?;
        std::thread::sleep(Duration::from_millis(500));
        Ok(started)
    }

    fn signal(&self, number: i32) {
        signal(self.child.id(), number);
    }

    fn is_there(&mut self) -> Result<bool, Problem> {
        let ended = self.child.try_wait().map_err(|error| error.to_string())?;
        Ok(ended.is_none())
    }

    fn wait(&mut self) -> Result<std::process::ExitStatus, Problem> {
        let until = Instant::now() + Duration::from_secs(20);
        while self.is_there()? {
            expect(Instant::now() < until, || "it does not end".to_owned())?;
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(self.child.wait().map_err(|error| error.to_string())?)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
