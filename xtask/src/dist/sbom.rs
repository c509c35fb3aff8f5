//! What the program is made of, for those who have to know: CycloneDX, by cargo's own plugin for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Release;
use crate::process::{self, clean_command, find_program};
use crate::repository::Repository;

const VERSION: &str = "0.5.9";
const FORMAT: &str = "1.5";

/// Writes `strata-VERSION-MACHINE-linux.cdx.json`.
pub fn write(
    repository: &Repository,
    release: &Release,
    scratch: &Path,
    to: &Path,
) -> Result<PathBuf> {
    install()?;
    // The plugin writes beside each crate's Cargo.toml, so it gets a copy. It asks cargo for the whole workspace's choice of
    // features, and so lists a few optional crates that are not linked; none that is linked is missing.
    let copy = scratch.join("sources");
    copy_sources(repository.root(), &copy)?;
    let name = format!("strata-{}-{}-linux.cdx", release.version, release.machine);
    let target = format!("{}-unknown-linux-musl", release.machine);
    process::run(
        clean_command("cargo")
            .current_dir(&copy)
            // For its date, and without a random number: the same commit gives the same bytes.
            .env("SOURCE_DATE_EPOCH", &release.time)
            .args(["cyclonedx", "--quiet", "--format", "json"])
            .args(["--spec-version", FORMAT, "--target", &target])
            .args(["--no-build-deps", "--override-filename", &name])
            .args(["--manifest-path", "agent/Cargo.toml"]),
    )?;
    let name = format!("{name}.json");
    let made = copy.join("agent").join(&name);
    let text =
        fs::read_to_string(&made).with_context(|| format!("{} was not made", made.display()))?;
    // Its references to our own crates have the folder in them, which is another each time.
    let text = text.replace(&copy.display().to_string(), "");
    let to = to.join(name);
    fs::write(&to, text).with_context(|| format!("{} can't be written", to.display()))?;
    Ok(to)
}

fn install() -> Result<()> {
    if let Some(program) = find_program("cargo-cyclonedx") {
        let version = process::output(Command::new(program).args(["cyclonedx", "--version"]))?;
        if version.split_whitespace().any(|word| word == VERSION) {
            return Ok(());
        }
        // Somebody chose that one, so it is theirs to replace.
        bail!(
            "{} is installed, and this project needs {VERSION}; replace it by \
             `cargo install cargo-cyclonedx --version {VERSION} --locked --force`",
            version.trim()
        );
    }
    println!("Installing cargo-cyclonedx {VERSION} (some minutes)");
    // From the root folder: what a checkout says about flags and toolchains is for its own crates.
    process::run(clean_command("cargo").current_dir("/").args([
        "install",
        "--quiet",
        "cargo-cyclonedx",
        "--version",
        VERSION,
        "--locked",
    ]))
}

/// All that git knows of, as it is now.
fn copy_sources(root: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to).with_context(|| format!("{} can't be made", to.display()))?;
    let list = process::output(Command::new("git").current_dir(root).args([
        "-c",
        "safe.directory=*",
        "ls-files",
        "-z",
    ]))?;
    for file in list.split_terminator('\0') {
        let (from, to) = (root.join(file), to.join(file));
        if !from.is_file() {
            continue;
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(&from, &to).with_context(|| format!("{} can't be copied", from.display()))?;
    }
    Ok(())
}
