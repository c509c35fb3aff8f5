//! `strata record`

use std::path::Path;
use std::process::{Child, ExitCode};

use anyhow::{Context, Result};

use super::args::RecordArgs;
use super::command::{self, Limits, Waiting};
use super::progress::Progress;
use super::settings::Settings;
use super::signals::{Phase, Wishes};
use super::targets::Targets;
use super::watch::{End, Watch};
use super::{output, save, summary};
use crate::bpf::kernel::cgroup_subsystem;
use crate::bpf::limits::check_limits;
use crate::format::FormatError;
use crate::process::namespace::check_namespaces;
use crate::process::rights::check_rights;
use crate::process::{ProcessHandle, cgroup};
use crate::session::Session;

/// Runs `strata record`.
pub fn run(args: RecordArgs) -> Result<ExitCode> {
    let mut settings = Settings::resolve(&args)?;
    let limits = Limits::raise();
    check(&args, &settings)?;
    let mut wishes = Wishes::install().context("signals can't be taken")?;
    let mut progress = Progress::new(args.command.is_empty());
    let mut targets = Targets::open(&args.pids, args.children)?;
    if !settings.targets.is_empty() {
        let filter = cgroup::resolve(&settings.targets, &cgroup_subsystem)?;
        settings.config.cgroup_subsystem = filter.subsystem;
        targets.add_cgroups(filter);
    }
    progress.say("Loading …");
    let mut session = Session::new(settings.config.clone(), &args.pids)?;
    if args.verifier_stats {
        print_verified(&session);
    }
    targets.put_into(&mut session)?;
    let waiting = match &*args.command {
        [] => None,
        command => Some(hold(&mut session, command, limits)?),
    };
    if args.children || waiting.is_some() {
        session.follow_forks()?;
    }
    progress.say("Reading the files that run …");
    session.scan()?;
    wishes.enter(Phase::Recording);
    let watch = Watch::begin(session, &mut wishes, &mut targets, &mut progress)?;
    let mut child = waiting.map(Waiting::release).transpose()?;
    if let Some(child) = &child {
        watch.wishes.hand_on_to(child.id())?;
    }
    let (session, end) = watch.run(settings.duration, child.as_mut())?;
    wishes.enter(Phase::Writing);
    progress.say("Naming functions …");
    let written = write(session, &args, &settings, end, &mut progress);
    match child {
        None => written.map(|written| match written {
            Written::All => ExitCode::SUCCESS,
            Written::Nothing => ExitCode::FAILURE,
        }),
        Some(child) => {
            wishes.enter(Phase::Waiting);
            wait(child, written)
        }
    }
}

/// Finds out what is in the way before anything is loaded or recorded.
fn check(args: &RecordArgs, settings: &Settings) -> Result<()> {
    if let Some(program) = args.command.first() {
        command::check(program)?;
    }
    output::check(&settings.outputs)?;
    if let Some(path) = &args.stats_json {
        save::check(path)?;
    }
    check_namespaces()?;
    check_limits(settings.config.rate)?;
    Ok(check_rights()?)
}

fn print_verified(session: &Session) {
    for program in session.verified() {
        let count = program
            .instructions
            .map_or("unknown".to_owned(), |it| it.to_string());
        eprintln!("verifier: {} {count}", program.program);
    }
}

/// Starts the command and holds it.
fn hold(session: &mut Session, command: &[std::ffi::OsString], limits: Limits) -> Result<Waiting> {
    let waiting = command::hold(command, limits)?;
    let process = ProcessHandle::open(waiting.pid)?;
    session.add_pid(waiting.pid, process.start_ticks())?;
    if let Some(path) = command.first().and_then(|it| command::file_of(it)) {
        session.read_ahead(&path);
    }
    Ok(waiting)
}

/// What became of the results.
enum Written {
    All,
    /// There were no samples, of which some formats can't make anything.
    Nothing,
}

/// Makes the results of a recording and says what is in them.
fn write(
    session: Session,
    args: &RecordArgs,
    settings: &Settings,
    end: End,
    progress: &mut Progress,
) -> Result<Written> {
    let (profile, statistics) = session.finish(settings.view)?;
    progress.say("Writing …");
    let written = output::write(&settings.outputs, &profile, &settings.options);
    let counted = match &args.stats_json {
        Some(path) => write_statistics(path, &statistics),
        None => Ok(()),
    };
    progress.clear();
    if let End::Targets = &end {
        eprintln!("What was to be recorded has ended, and so has the recording.");
    }
    let empty = |error: &anyhow::Error| matches!(error.downcast_ref(), Some(FormatError::Empty));
    let (outputs, written) = match written {
        Ok(()) => (&*settings.outputs, Ok(Written::All)),
        Err(error) if empty(&error) => (&[][..], Ok(Written::Nothing)),
        // What is where, the error says.
        Err(error) => (&[][..], Err(error)),
    };
    for line in summary::lines(outputs, &profile, &statistics) {
        eprintln!("{line}");
    }
    if let Ok(Written::Nothing) = written {
        eprintln!("strata: nothing was written, since there is nothing to draw.");
    }
    let written = match (written, counted) {
        (Err(error), Err(other)) => {
            eprintln!("strata: {other:#}");
            Err(error)
        }
        (written, counted) => counted.and(written),
    };
    match end {
        End::Failed(error) => {
            written?;
            Err(error).context("the recording ended early, and what there was is written")
        }
        End::Meant | End::Targets => written,
    }
}

fn write_statistics(path: &Path, statistics: &crate::session::Statistics) -> Result<()> {
    let text = serde_json::to_string_pretty(statistics)?;
    Ok(save::save(path, text.as_bytes())?)
}

/// Waits for a command that may go on after its recording, and ends as it does. A result that could
/// not be written makes a failure of a success.
fn wait(mut child: Child, written: Result<Written>) -> Result<ExitCode> {
    // A command that does nothing leaves nothing to draw, and has done no wrong.
    let failed = written.is_err();
    if let Err(error) = written {
        eprintln!("strata: {error:#}");
    }
    if child.try_wait()?.is_none() {
        let pid = child.id();
        eprintln!("The command (pid {pid}) goes on. Strata ends when it does, with its exit code.");
    }
    Ok(match command::exit_code(child.wait()?) {
        0 if failed => ExitCode::FAILURE,
        code => ExitCode::from(code),
    })
}
