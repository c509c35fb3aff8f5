//! A long outage of the Collector, under load: the operator's story of the tests, ten minutes long.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::process;
use crate::repository::Repository;

/// Takes the Collector away from an agent under load, and proves that nothing is lost.
#[derive(clap::Args)]
pub struct Args {
    /// For how long the Collector is away, in seconds.
    #[arg(long, default_value_t = 600)]
    seconds: u32,
    /// Samples a second and CPU.
    #[arg(long, default_value_t = 19)]
    rate: u32,
    /// grpc or http/protobuf.
    #[arg(long, default_value = "grpc")]
    protocol: String,
    /// Kill the agent in the middle of it.
    #[arg(long)]
    crash: bool,
    /// The binary; built if none is given.
    #[arg(long)]
    strata: Option<PathBuf>,
}

pub fn run(repository: &Repository, args: &Args) -> Result<()> {
    let strata = match &args.strata {
        Some(path) => path.clone(),
        None => crate::vm::build_strata(repository)?,
    };
    let mut command = Command::new(repository.root().join("tests/operator/outage.sh"));
    command
        .args(["--outage", &args.seconds.to_string()])
        .args(["--rate", &args.rate.to_string()])
        .args(["--protocol", &args.protocol, "--load"])
        .env("STRATA", strata);
    if args.crash {
        command.arg("--crash");
    }
    process::run(&mut command)
}
