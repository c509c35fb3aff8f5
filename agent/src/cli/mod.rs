//! The command line: one file a subcommand. What was parsed is data; what it means is resolved
//! apart from it, so that it can be tested without a kernel.

mod args;
mod command;
mod doctor;
mod output;
mod record;
mod settings;
mod signals;

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
        Command::Doctor(doctor) => doctor::run(&doctor, args.verbose),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("strata: {error:#}");
            ExitCode::FAILURE
        }
    }
}
