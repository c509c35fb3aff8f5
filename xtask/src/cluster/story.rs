//! `cargo xtask e2e-k8s`: the operator's story on a real Kubernetes, told by tests/kubernetes/story.sh.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::VERSION;
use super::place::Place;
use super::{down, up};
use crate::process;
use crate::repository::Repository;

/// Brings a cluster up, applies the agent and services to it, lets them come and go, and judges what a Collector got.
#[derive(clap::Args)]
pub struct Args {
    /// The agent's image, a tar that `docker save` wrote; or its program, without libraries. Built if none is given.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Which Kubernetes.
    #[arg(long, default_value = VERSION)]
    version: String,
    /// Leave the cluster, and all that the story wrote, as it is at the end.
    #[arg(long)]
    keep: bool,
    /// Parts of it: accuracy churn choice cost faults rights. All of them if none is named.
    phases: Vec<String>,
}

pub fn run(repository: &Repository, args: &Args) -> Result<()> {
    let image = match &args.image {
        Some(image) => image.clone(),
        None => crate::dist::static_program(repository)?,
    };
    let place = Place::of_this_machine();
    {
        // Not for the story's whole length: it calls us.
        let _lock = place.lock()?;
        up::run(&place, &args.version)?;
    }
    let mut command = Command::new(repository.root().join("tests/kubernetes/story.sh"));
    command
        .args(&args.phases)
        .env(
            "XTASK",
            env::current_exe().context("this program has no path")?,
        )
        .env("IMAGE", env::current_dir()?.join(image));
    let told = process::run(&mut command);
    if !args.keep {
        let _lock = place.lock()?;
        down::run(&place)?;
    }
    told
}
