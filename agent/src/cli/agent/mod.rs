//! `strata agent`: always on. What it is told is in `config`, how it speaks in `logs`, what it and
//! systemd say to each other in `service`, what it does in `run`; `health` asks one that runs.

pub mod args;
mod chooser;
pub mod config;
mod health;
mod keeper;
mod labels;
pub mod logs;
mod names;
mod orders;
mod reporter;
mod run;
pub mod service;

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use args::AgentArgs;
use config::Loaded;

/// `verbose`: more in the log, unless a level is set.
pub fn run(args: &AgentArgs, verbose: bool) -> Result<ExitCode> {
    if args.health {
        return Ok(health::run(args));
    }
    let loaded = Loaded::new(&args.clone().verbose(verbose))?;
    if args.print_config {
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(loaded.show().as_bytes())
            .and_then(|()| stdout.flush())
            .context("the settings can't be written to stdout")?;
        for warning in &loaded.warnings {
            eprintln!("strata: {warning}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    logs::start(&loaded.config.log_level, loaded.config.log_format);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    // The log's reader may be a program, so that this is told there too.
    run::run(loaded).or_else(|error| {
        tracing::error!("{error:#}");
        Ok(super::exit_code(&error))
    })
}
