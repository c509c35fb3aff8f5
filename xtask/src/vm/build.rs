//! What the guest runs, built on the host: `strata` in release mode and the C program.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::repository::Repository;

/// The release binary, as a user gets it: dynamically linked, so the libraries it needs go into the guest with it.
pub fn strata(repository: &Repository) -> Result<PathBuf> {
    let target = repository.target();
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(repository.root())
        .env("CARGO_TARGET_DIR", &target);
    command.args([
        "build",
        "--release",
        "--package",
        "strata",
        "--bin",
        "strata",
    ]);
    process::run(&mut command).context("give --strata PATH to use one that is built already")?;
    Ok(target.join("release/strata"))
}

/// With the distribution's own hardening defaults, as real targets have it. Without frame pointers, and without the
/// knowledge of its callees' registers that a real library's caller lacks: so rbp is saved and used for something else.
pub fn chain(repository: &Repository, work: &Path) -> Result<PathBuf> {
    guest_program(repository, work, "chain")
}

/// What takes a right away from a command.
pub fn without_admin(repository: &Repository, work: &Path) -> Result<PathBuf> {
    guest_program(repository, work, "without_admin")
}

fn guest_program(repository: &Repository, work: &Path, name: &str) -> Result<PathBuf> {
    let program = work.join(name);
    let mut command = Command::new("gcc");
    command
        .args(["-O2", "-fomit-frame-pointer", "-fno-ipa-ra", "-Wall", "-o"])
        .arg(&program);
    let source = format!("xtask/src/vm/guest/{name}.c");
    command.arg(repository.root().join(source));
    process::run(&mut command)
        .context("the guest's C program does not build; tests/setup.sh installs gcc")?;
    Ok(program)
}
