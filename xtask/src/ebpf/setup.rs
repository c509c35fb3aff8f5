//! Brings the toolchain to a new machine. What is there already is left alone, so a second run costs a second.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use super::debian;
use super::toolchain::{self, Linker};
use crate::process::{self, clean_command, find_program};
use crate::repository::Repository;
use crate::scratch::Scratch;

pub fn run(repository: &Repository) -> Result<()> {
    let sysroot = compiler()?;
    library(&sysroot, repository)?;
    bpf_linker()?;
    match toolchain::locate()? {
        Ok(_) => {
            println!("This machine can build the eBPF object.");
            Ok(())
        }
        Err(missing) => bail!(
            "everything was installed, yet this machine lacks {}",
            missing.join(" and ")
        ),
    }
}

fn compiler() -> Result<PathBuf> {
    if let Some(sysroot) = toolchain::find_compiler()? {
        return Ok(sysroot);
    }
    let name = toolchain::RUSTUP_NAME;
    let rustup = find_program("rustup").with_context(|| {
        format!(
            "rustup is not installed; install it, or {} in another way",
            toolchain::RUSTC_VERSION
        )
    })?;
    println!("Installing {}", toolchain::RUSTC_VERSION);
    process::run(within(600, &rustup).args([
        "toolchain",
        "install",
        name,
        "--profile",
        "minimal",
        "--no-self-update",
        "--component",
        "rust-src",
    ]))?;
    toolchain::find_compiler()?.with_context(|| {
        format!(
            "rustup installed {name}, but it is not {}",
            toolchain::RUSTC_VERSION
        )
    })
}

/// rustup has the sources of the compiler's own commit. Where it can't reach them, those of a release near to it serve
/// for work, but not for the bytes to be committed.
fn library(sysroot: &Path, repository: &Repository) -> Result<()> {
    let library = toolchain::library_folder(sysroot);
    if library.is_dir() {
        return Ok(());
    }
    println!("Fetching the standard library's sources");
    let Err(by_rustup) = library_by_rustup(sysroot) else {
        return Ok(());
    };
    let scratch = Scratch::inside(&repository.target())?;
    let fetched = debian::fetch_library(scratch.path()).map_err(|by_debian| {
        anyhow!(
            "the standard library's sources can't be had. By rustup: {by_rustup:#}. By a Debian package: {by_debian:#}. \
             Put them at {} by hand",
            library.display()
        )
    })?;
    println!(
        "rustup can't fetch them ({by_rustup:#}); taking Debian's, of a release near to the pinned compiler"
    );
    place(&fetched, &library)
}

fn library_by_rustup(sysroot: &Path) -> Result<()> {
    let rustup = find_program("rustup").context("rustup is not installed")?;
    let toolchain = sysroot
        .file_name()
        .context("the compiler's folder has no name")?;
    process::run(
        within(60, &rustup)
            .args(["component", "add", "rust-src", "--toolchain"])
            .arg(toolchain),
    )
}

/// Copied under another name first: a folder under its own name is always a whole one.
fn place(fetched: &Path, library: &Path) -> Result<()> {
    let parent = library
        .parent()
        .context("the library's folder has no parent")?;
    fs::create_dir_all(parent).with_context(|| format!("{} can't be made", parent.display()))?;
    let half = Scratch::inside(parent)?;
    process::run(clean_command("cp").arg("-a").arg(fetched).arg(half.path()))?;
    let name = fetched
        .file_name()
        .context("the fetched folder has no name")?;
    fs::rename(half.path().join(name), library)
        .with_context(|| format!("{} can't be made", library.display()))
}

fn bpf_linker() -> Result<()> {
    let pinned = toolchain::BPF_LINKER_VERSION;
    match toolchain::find_bpf_linker()? {
        Linker::Pinned(_) => Ok(()),
        // Somebody chose that one, so it is theirs to replace.
        Linker::Other(found) => bail!(
            "{found} is installed, and this project needs {pinned}; \
             replace it by `cargo install bpf-linker --version {pinned} --locked --force`"
        ),
        Linker::None => {
            println!("Installing bpf-linker {pinned} (a minute or two)");
            // From the root folder: what a checkout says about flags and toolchains is for its own crates.
            process::run(clean_command("cargo").current_dir("/").args([
                "install",
                "--quiet",
                "bpf-linker",
                "--version",
                pinned,
                "--locked",
            ]))
        }
    }
}

/// A program that is stopped after so many seconds: a server that is not reachable from here may never answer.
fn within(seconds: u32, program: &Path) -> std::process::Command {
    let mut command = clean_command("timeout");
    command.arg(seconds.to_string()).arg(program);
    command
}
