//! The command line: one file a subcommand. What was parsed is data; what it means is resolved
//! apart from it, so that it can be tested without a kernel.

mod agent;
mod args;
mod command;
mod doctor;
mod manual;
mod output;
mod progress;
mod record;
mod report;
mod save;
mod settings;
mod signals;
mod summary;
mod targets;
mod user;
mod watch;

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser as _};

use agent::config::ConfigError;
pub use args::{Args, Command};
use command::CommandError;
use output::OutputError;
use report::ReportError;
use settings::SettingsError;

use crate::bpf::limits::LimitError;

/// Runs the program that the arguments ask for.
pub fn main() -> ExitCode {
    if std::env::args_os().len() < 2 {
        eprint!("{}", args::WELCOME);
        return ExitCode::from(2);
    }
    let args = Args::try_parse().unwrap_or_else(|error| without_values(error).exit());
    // It has a log of its own.
    if let Command::Agent(agent) = &args.command {
        return end(agent::run(agent, args.verbose));
    }
    log(&args);
    end(match args.command {
        Command::Record(args) => record::run(args),
        Command::Report(args) => report::run(args),
        Command::Agent(agent) => agent::run(&agent, args.verbose),
        Command::Completions { shell } => manual::complete(shell),
        Command::Man { folder } => manual::pages(&folder),
        Command::Doctor(doctor) => doctor::run(&doctor, args.verbose),
    })
}

fn log(args: &Args) {
    // There, more is a longer result, which the log would only be in the way of.
    let is_doctor = matches!(args.command, Command::Doctor(_));
    let level = if args.verbose && !is_doctor {
        "strata=debug"
    } else {
        "strata=warn"
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("STRATA_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}

fn end(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("strata: {error:#}");
            exit_code(&error)
        }
    }
}

/// What the agent is told may be secret, and clap repeats what it does not understand.
fn without_values(mut error: clap::Error) -> clap::Error {
    let is_agent = std::env::args_os().any(|argument| argument == "agent");
    if is_agent
        && let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg)
        && error.kind() == ErrorKind::UnknownArgument
    {
        let shown = match argument.split_once('=') {
            _ if !argument.starts_with('-') => "(a value without a flag)",
            Some((flag, _)) => flag,
            None => argument,
        };
        let shown = ContextValue::String(shown.to_owned());
        error.insert(ContextKind::InvalidArg, shown);
    }
    error
}

/// The whole command line, for what is made of it: completions, manual pages.
pub fn command() -> clap::Command {
    Args::command()
}

/// What a failure is to scripts: 2 for what was typed, as clap has it; 126 and 127 for commands, as
/// shells have it.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    if let Some(error) = error.downcast_ref::<CommandError>() {
        return ExitCode::from(error.exit_code());
    }
    let rate = matches!(error.downcast_ref(), Some(LimitError::Rate { .. }));
    let typed = rate
        || error.is::<SettingsError>()
        || error.is::<OutputError>()
        || error.is::<ConfigError>()
        || error.is::<ReportError>();
    ExitCode::from(if typed { 2 } else { 1 })
}
