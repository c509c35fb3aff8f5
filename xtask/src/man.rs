//! The manual's pages, written by the program itself.

use std::path::PathBuf;

use anyhow::Result;

use crate::process::{self, clean_command};
use crate::repository::Repository;

#[derive(clap::Args)]
pub struct Args {
    /// Where the pages go.
    #[arg(default_value = "target/man")]
    folder: PathBuf,
}

pub fn run(_: &Repository, args: &Args) -> Result<()> {
    let mut command = clean_command("cargo");
    command.args([
        "run",
        "--quiet",
        "--locked",
        "--package",
        "strata",
        "--",
        "man",
    ]);
    process::run(command.arg(&args.folder))?;
    println!(
        "man {}/strata-record.1 shows one of them",
        args.folder.display()
    );
    Ok(())
}
