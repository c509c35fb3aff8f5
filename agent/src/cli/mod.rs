//! The command line: one file a subcommand. What was parsed is data; what it means is resolved
//! apart from it, so that it can be tested without a kernel.

mod args;
mod command;
mod doctor;
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

use clap::Parser as _;

pub use args::{Args, Command};

/// Runs the program that the arguments ask for.
pub fn main() -> ExitCode {
    let args = Args::parse();
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
    let result = match args.command {
        Command::Record(args) => record::run(args),
        Command::Report(args) => report::run(&args),
        Command::Doctor(doctor) => doctor::run(&doctor, args.verbose),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("strata: {error:#}");
            exit_code(&error)
        }
    }
}

/// What a failure is to scripts: 2 for what was typed, as clap has it; 126 and 127 for commands, as
/// shells have it.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    if let Some(error) = error.downcast_ref::<command::CommandError>() {
        return ExitCode::from(error.exit_code());
    }
    let typed = error.is::<settings::SettingsError>() || error.is::<output::OutputError>();
    ExitCode::from(if typed { 2 } else { 1 })
}
