//! What hosts install: a tarball and a Debian package, both with one program that needs nothing of the host, completions,
//! manual pages and the systemd unit; and what an image is built of, and a list of what is in the program. The same commit
//! gives the same bytes where the same tools pack them.

mod binary;
mod deb;
mod files;
mod image;
mod proof;
mod sbom;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::process;
use crate::repository::Repository;
use crate::scratch::Scratch;

#[derive(clap::Args)]
pub struct Args {
    /// Where the packages go.
    #[arg(long, default_value = "target/packages")]
    folder: PathBuf,
    /// Take this program instead of building one.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Also run the program without anything around it, and install and purge the package in a root file system of its
    /// own. Needs root.
    #[arg(long)]
    check: bool,
    /// For --check: a Debian root file system, which stays as it is.
    #[arg(long, value_name = "DIR", default_value = "/var/cache/strata-test/sid")]
    root: PathBuf,
}

/// What all packages have in common.
struct Release {
    version: String,
    /// As the kernel calls it, and as Debian does.
    machine: &'static str,
    architecture: &'static str,
    /// Seconds since 1970: the commit's time, which all files have.
    time: String,
}

pub fn run(repository: &Repository, args: &Args) -> Result<()> {
    let release = Release::of(repository)?;
    let built = match &args.binary {
        Some(binary) => binary.clone(),
        None => binary::build(repository)?,
    };
    binary::needs_nothing(&built)?;
    let folder = repository.root().join(&args.folder);
    fs::create_dir_all(&folder).with_context(|| format!("{} can't be made", folder.display()))?;
    let scratch = Scratch::inside(&folder)?;
    let program = scratch.path().join("strata");
    fs::copy(&built, &program).with_context(|| format!("{} can't be copied", built.display()))?;

    let tarball = files::tarball(repository, &release, &program, scratch.path(), &folder)?;
    let package = deb::package(repository, &release, &program, scratch.path(), &folder)?;
    let image = image::context(repository, &release, &program, &folder)?;
    let list = sbom::write(repository, &release, scratch.path(), &folder)?;
    sums(&folder, &[&tarball, &package, &list])?;
    if args.check {
        proof::runs_alone(&program, scratch.path())?;
        proof::installs(&package, &args.root, scratch.path())?;
    }
    for made in [tarball, package, list, image] {
        println!("{}", made.display());
    }
    Ok(())
}

impl Release {
    fn of(repository: &Repository) -> Result<Self> {
        let (machine, architecture) = match std::env::consts::ARCH {
            "x86_64" => ("x86_64", "amd64"),
            "aarch64" => ("aarch64", "arm64"),
            other => bail!("packages are made on x86_64 and aarch64, not on {other}"),
        };
        let time = process::output(Command::new("git").current_dir(repository.root()).args([
            "-c",
            "safe.directory=*",
            "log",
            "-1",
            "--format=%ct",
        ]))?;
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            machine,
            architecture,
            time: time.trim().to_owned(),
        })
    }
}

/// The program that needs nothing of the host, for whoever puts it somewhere else.
pub fn static_program(repository: &Repository) -> Result<PathBuf> {
    let program = binary::build(repository)?;
    binary::needs_nothing(&program)?;
    Ok(program)
}

fn sums(folder: &Path, files: &[&PathBuf]) -> Result<()> {
    let mut text = String::new();
    for file in files {
        let bytes = fs::read(file).with_context(|| format!("{} can't be read", file.display()))?;
        let digits: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        text += &format!("{digits}  {name}\n");
    }
    let path = folder.join("SHA256SUMS");
    fs::write(&path, text).with_context(|| format!("{} can't be written", path.display()))
}
