//! `strata record`

use std::fs;
use std::io::{self, IsTerminal};
use std::process::{Child, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::unix::AsyncFd;

use super::args::{FormatArg, RecordArgs};
use super::command::{self, Waiting};
use super::output::{self, Place};
use super::settings::Settings;
use super::signals::{Phase, Wish, Wishes};
use crate::bpf::kernel::cgroup_subsystem;
use crate::process::cgroup;
use crate::process::namespace::check_namespaces;
use crate::process::{ProcessHandle, children};
use crate::session::{Session, Statistics};

/// How often the ring buffer is read when nothing asks for it.
const PUMP: Duration = Duration::from_millis(100);
/// How often CPUs are looked for that came or went.
const CPUS: Duration = Duration::from_secs(1);
/// `command not found` and `command can't be run`, as shells have it.
const NOT_FOUND: u8 = 127;
const NOT_RUNNABLE: u8 = 126;

/// Runs `strata record`.
pub fn run(args: RecordArgs) -> Result<ExitCode> {
    let settings = Settings::resolve(&args)?;
    output::check(&settings.outputs)?;
    check_namespaces()?;
    let mut wishes = Wishes::install().context("signals can't be taken")?;
    let mut settings = settings;
    let mut cgroups = Vec::new();
    if !settings.targets.is_empty() {
        let filter = cgroup::resolve(&settings.targets, &cgroup_subsystem)?;
        settings.config.cgroup_subsystem = filter.subsystem;
        cgroups = filter.cgroups;
    }
    let mut session = Session::new(settings.config.clone())?;
    if args.verifier_stats {
        for program in session.verified() {
            let count = program
                .instructions
                .map_or("unknown".to_owned(), |it| it.to_string());
            eprintln!("verifier: {} {count}", program.program);
        }
    }
    for id in cgroups {
        session.add_cgroup(id)?;
    }
    add_pids(&mut session, &args)?;
    let waiting = if args.command.is_empty() {
        None
    } else {
        match hold(&mut session, &args)? {
            Ok(waiting) => Some(waiting),
            Err(code) => return Ok(ExitCode::from(code)),
        }
    };
    if args.children || waiting.is_some() {
        session.follow_forks()?;
    }
    if let Some(path) = args
        .command
        .first()
        .and_then(|program| command::file_of(program))
    {
        session.read_ahead(&path);
    }
    session.scan(&args.pids)?;
    wishes.enter(Phase::Recording);
    // What was wanted before the first sample.
    while let Ok(wish) = wishes.wishes.try_recv() {
        obey(wish, &mut session)?;
    }
    session.start()?;
    let mut child = match waiting.map(Waiting::release) {
        None => None,
        Some(Ok(child)) => Some(child),
        Some(Err(error)) => {
            let name = args.command[0].to_string_lossy();
            eprintln!("strata: {name} can't be run: {error}");
            let code = if error.kind() == io::ErrorKind::NotFound {
                NOT_FOUND
            } else {
                NOT_RUNNABLE
            };
            return Ok(ExitCode::from(code));
        }
    };
    if let Some(child) = &child {
        wishes.hand_on_to(child.id())?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the event loop could not be made")?;
    let session = runtime.block_on(record(session, &settings, child.as_mut(), &mut wishes))?;
    wishes.enter(Phase::Writing);
    let (profile, statistics) = session.finish(settings.view)?;
    output::write(&settings.outputs, &profile, &settings.options)?;
    if let Some(path) = &args.stats_json {
        let text = serde_json::to_string_pretty(&statistics)?;
        fs::write(path, text).with_context(|| format!("{} can't be written", path.display()))?;
    }
    summary(&settings, &statistics);
    match child {
        None => Ok(ExitCode::SUCCESS),
        Some(mut child) => {
            // It may go on after the recording; it is still what was started here.
            wishes.enter(Phase::Waiting);
            Ok(ExitCode::from(command::exit_code(child.wait()?)))
        }
    }
}

fn add_pids(session: &mut Session, args: &RecordArgs) -> Result<()> {
    for &pid in &args.pids {
        let process = ProcessHandle::open(pid)?;
        session.add_pid(process.pid(), process.start_ticks())?;
        if args.children {
            for child in children::descendants(process.pid()) {
                session.add_pid(child.pid, child.start_ticks)?;
            }
        }
    }
    Ok(())
}

/// Starts the command and holds it; or the exit code with which that failed.
fn hold(session: &mut Session, args: &RecordArgs) -> Result<Result<Waiting, u8>> {
    let waiting = command::hold(&args.command).context("the command could not be started")?;
    let process = ProcessHandle::open(waiting.pid)?;
    session.add_pid(waiting.pid, process.start_ticks())?;
    Ok(Ok(waiting))
}

/// Records until the time is over, the command has ended or somebody presses Ctrl-C.
async fn record(
    session: Session,
    settings: &Settings,
    mut child: Option<&mut Child>,
    wishes: &mut Wishes,
) -> Result<Session> {
    // SAFETY: the session's descriptor is its ring buffer's, the same one as long as it lives.
    let registered = unsafe { AsyncFd::register(session) };
    let mut session = registered.map_err(|error| {
        anyhow::anyhow!(
            "the ring buffer can't be waited for: {}",
            error.into_parts().1
        )
    })?;
    let deadline = settings.duration.map(|duration| Instant::now() + duration);
    let mut cpus = Instant::now() + CPUS;
    loop {
        let now = Instant::now();
        let mut wake = now + PUMP;
        for moment in [deadline, session.get_ref().due()].into_iter().flatten() {
            wake = wake.min(moment.max(now + Duration::from_millis(1)));
        }
        tokio::select! {
            () = tokio::time::sleep_until(wake.into()) => {}
            ready = session.readable_mut() => ready?.clear_ready(),
            Some(wish) = wishes.wishes.recv() => if obey(wish, session.get_mut())? {
                break;
            }
        }
        session.get_mut().pump()?;
        if cpus <= Instant::now() {
            session.get_mut().follow_cpus()?;
            cpus = Instant::now() + CPUS;
        }
        if let Some(running) = &mut child
            && running.try_wait()?.is_some()
        {
            break;
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            break;
        }
    }
    Ok(session.into_inner())
}

/// Does what a signal asks for; true: the recording is to end.
fn obey(wish: Wish, session: &mut Session) -> Result<bool> {
    match wish {
        Wish::Stop => return Ok(true),
        Wish::Pause => session.pause(true)?,
        Wish::Resume => session.pause(false)?,
    }
    Ok(false)
}

/// What came of it, on stderr.
fn summary(settings: &Settings, statistics: &Statistics) {
    let total = &statistics.total;
    let share = |part: u64, of: u64| {
        if of == 0 {
            0.0
        } else {
            part as f64 * 100.0 / of as f64
        }
    };
    let lost: u64 = statistics.lost.values().sum();
    let cut = total.samples.saturating_sub(total.whole);
    eprintln!(
        "{} samples; lost {} ({:.1} %), cut {} ({:.1} %), unnamed frames {:.1} %",
        total.samples,
        lost,
        share(lost, total.entries),
        cut,
        share(cut, total.samples),
        share(statistics.unnamed, statistics.frames),
    );
    if total.entries == 0 {
        eprintln!("Nothing was sampled: the target did not use the CPU.");
    }
    if let Some(count) = total.cut.get("thirty_two_bit") {
        eprintln!("{count} samples are of 32-bit processes, whose stacks are not walked.");
    }
    for output in &settings.outputs {
        let Place::File(path) = &output.place else {
            continue;
        };
        let open = if output.format == FormatArg::Flamegraph && io::stderr().is_terminal() {
            " (open it in a browser)"
        } else {
            ""
        };
        eprintln!("Written to {}{open}", path.display());
    }
}
