//! Runs the fuzz targets in `fuzz/`, or shows that each of them finds the bug that is put into it on purpose.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::process::{clean_command, find_program, output, run as run_command};
use crate::repository::Repository;
use crate::scratch::Scratch;

const TOOLCHAIN: &str = "nightly";
const SEEDS: &str = "STRATA_FUZZ_SEEDS";
/// Bytes of an input, seconds and MiB that one may take. Seeds have a few KB.
const LIMITS: [&str; 3] = ["-max_len=16384", "-timeout=25", "-rss_limit_mb=2048"];

#[derive(clap::Args)]
pub struct Args {
    /// Targets [default: all in fuzz/targets].
    targets: Vec<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 300)]
    seconds: u64,
    /// Build the targets with the bugs that are put in on purpose; each must be found.
    #[arg(long)]
    planted: bool,
}

pub fn run(repository: &Repository, args: &Args) -> Result<()> {
    let folder = repository.root().join("fuzz");
    let targets = targets(&folder, &args.targets)?;
    let programs = build(repository, &folder, args.planted)?;
    for target in &targets {
        let fuzzer = Fuzzer {
            program: programs.join(target),
            folder: &folder,
            target,
            scratch: Scratch::inside(&folder.join("target/scratch"))?,
        };
        fuzzer.plant_seeds()?;
        match args.planted {
            true => fuzzer.find_planted(args.seconds)?,
            false => fuzzer.fuzz(args.seconds)?,
        }
    }
    Ok(())
}

/// The targets that are wanted, each of which has a file.
fn targets(folder: &Path, wanted: &[String]) -> Result<Vec<String>> {
    let files = fs::read_dir(folder.join("targets"));
    let files = files.with_context(|| format!("{} has no targets", folder.display()))?;
    let stem = |file: fs::DirEntry| Some(file.path().file_stem()?.to_str()?.to_owned());
    let mut known: Vec<String> = files.flatten().filter_map(stem).collect();
    known.sort();
    if let Some(unknown) = wanted.iter().find(|target| !known.contains(target)) {
        bail!(
            "there is no fuzz target {unknown}; there are {}",
            known.join(", ")
        );
    }
    Ok(if wanted.is_empty() {
        known
    } else {
        wanted.to_vec()
    })
}

/// Builds all targets; gives the folder of the programs.
fn build(repository: &Repository, folder: &Path, planted: bool) -> Result<PathBuf> {
    if find_program("cargo-fuzz").is_none() {
        bail!("cargo-fuzz is missing; `cargo install cargo-fuzz --locked` installs it");
    }
    let version = output(clean_command("rustup").args(["run", TOOLCHAIN, "rustc", "-vV"]))
        .with_context(|| format!("sanitizers need a {TOOLCHAIN} compiler; `rustup toolchain install {TOOLCHAIN}` gets it"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc does not name its host")?;
    let mut cargo = clean_command("rustup");
    cargo
        .current_dir(repository.root())
        .args([
            "run",
            TOOLCHAIN,
            "cargo",
            "fuzz",
            "build",
            "--release",
            "--fuzz-dir",
        ])
        .arg(folder);
    if planted {
        cargo.args(["--features", "planted"]);
    }
    run_command(&mut cargo)?;
    Ok(folder.join("target").join(host).join("release"))
}

struct Fuzzer<'a> {
    program: PathBuf,
    folder: &'a Path,
    target: &'a str,
    scratch: Scratch,
}

impl Fuzzer<'_> {
    /// Has the target write its seeds and run them: they must be harmless, also with the planted bug.
    fn plant_seeds(&self) -> Result<()> {
        let seeds = self.made("seeds")?;
        let mut command = self.command();
        command.env(SEEDS, &seeds).arg("-runs=0").arg(&seeds);
        let output = self.output(&mut command)?;
        if !output.status.success() {
            bail!(
                "the seeds of {} already fail:\n{}",
                self.target,
                text(&output)
            );
        }
        let count = fs::read_dir(&seeds).map_or(0, Iterator::count);
        if count == 0 {
            bail!(
                "{} has no seeds; what it says:\n{}",
                self.target,
                text(&output)
            );
        }
        println!("{}: {count} seeds", self.target);
        Ok(())
    }

    fn fuzz(&self, seconds: u64) -> Result<()> {
        let corpus = self.folder.join("corpus").join(self.target);
        fs::create_dir_all(&corpus)?;
        let artifacts = self.folder.join("artifacts");
        fs::create_dir_all(&artifacts)?;
        let prefix = format!("-artifact_prefix={}/{}-", artifacts.display(), self.target);
        let mut command = self.command();
        command
            .arg(format!("-max_total_time={seconds}"))
            .args(LIMITS)
            .arg(prefix);
        command
            .arg("-print_final_stats=1")
            .arg(&corpus)
            .arg(self.made("seeds")?);
        let output = self.output(&mut command)?;
        if !output.status.success() {
            bail!(
                "{} failed; the input lies in {} and fails again as an argument of {}:\n{}",
                self.target,
                artifacts.display(),
                self.program.display(),
                text(&output)
            );
        }
        let lines = text(&output);
        let done = lines
            .lines()
            .find(|line| line.contains("DONE"))
            .unwrap_or_default();
        println!("{}: clean after {seconds} s; {}", self.target, done.trim());
        self.shrink(&corpus)
    }

    /// Keeps of the corpus what reaches something that the rest does not.
    fn shrink(&self, corpus: &Path) -> Result<()> {
        let small = self.made("small")?;
        let mut command = self.command();
        command.arg("-merge=1").args(LIMITS).arg(&small).arg(corpus);
        if !self.output(&mut command)?.status.success() {
            bail!("the corpus of {} could not be made smaller", self.target);
        }
        fs::remove_dir_all(corpus)?;
        fs::rename(&small, corpus).with_context(|| format!("{} can't be written", corpus.display()))
    }

    fn find_planted(&self, seconds: u64) -> Result<()> {
        let prefix = format!("-artifact_prefix={}/", self.scratch.path().display());
        let mut command = self.command();
        command
            .arg(format!("-max_total_time={seconds}"))
            .args(LIMITS)
            .arg(prefix);
        command.arg(self.made("corpus")?).arg(self.made("seeds")?);
        let begin = Instant::now();
        let output = self.output(&mut command)?;
        let said = text(&output);
        if output.status.success() {
            bail!(
                "{} did not find its planted bug within {seconds} s",
                self.target
            );
        }
        let Some(panic) = said
            .lines()
            .position(|line| line.contains("panicked at targets/"))
        else {
            bail!(
                "{} failed, but not by its planted bug:\n{said}",
                self.target
            );
        };
        let message = said.lines().nth(panic + 1).unwrap_or_default();
        println!(
            "{}: found after {} s: {message}",
            self.target,
            begin.elapsed().as_secs()
        );
        Ok(())
    }

    fn command(&self) -> Command {
        clean_command(&self.program)
    }

    fn output(&self, command: &mut Command) -> Result<Output> {
        let output = command.output();
        output.with_context(|| format!("{} can't be started", self.program.display()))
    }

    /// A folder of this name in the scratch folder.
    fn made(&self, name: &str) -> Result<PathBuf> {
        let path = self.scratch.path().join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }
}

/// The last lines of what was written; libFuzzer writes everything to stderr.
fn text(output: &Output) -> String {
    const LINES: usize = 400;
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_files_and_unknown_ones_are_refused() {
        let scratch = Scratch::new().unwrap();
        scratch.write("targets/rows.rs", "").unwrap();
        scratch.write("targets/lines.rs", "").unwrap();
        let wanted = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            targets(scratch.path(), &names)
        };
        assert_eq!(wanted(&[]).unwrap(), ["lines", "rows"]);
        assert_eq!(wanted(&["rows"]).unwrap(), ["rows"]);
        let error = wanted(&["row"]).unwrap_err().to_string();
        assert!(error.contains("lines, rows"), "{error}");
    }
}
