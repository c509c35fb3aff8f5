//! That what was packed does what it is for: the program runs where there is nothing else, and the package comes and goes
//! without a trace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::process::{find_program, output, run};

/// Runs the program in a root file system that holds nothing else.
pub fn runs_alone(program: &Path, scratch: &Path) -> Result<()> {
    let root = scratch.join("empty");
    fs::create_dir(&root)?;
    fs::copy(program, root.join("strata"))?;
    for arguments in [&["--version"][..], &["agent", "--print-config"]] {
        let mut command = Command::new("chroot");
        command.arg(&root).arg("/strata").args(arguments);
        let said = output(
            command
                .env_clear()
                .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        )?;
        ensure!(
            !said.is_empty(),
            "the program says nothing in an empty root file system"
        );
    }
    println!("It runs where there is nothing but itself.");
    Ok(())
}

/// Installs, upgrades and purges the package in a copy of a Debian root file system, which only looks like one.
pub fn installs(package: &Path, lower: &Path, scratch: &Path) -> Result<()> {
    if !lower.join("usr/bin/dpkg").is_file() {
        bail!(
            "{} is no Debian root file system; name one with --root (tests/setup.sh makes one)",
            lower.display()
        );
    }
    let root = Overlay::new(lower, scratch)?;
    let inside = root.path.join("strata.deb");
    fs::copy(package, &inside)?;
    let before = state(&root.path)?;
    let dpkg = |arguments: &[&str]| {
        let mut command = Command::new("chroot");
        command.arg(&root.path).arg("dpkg").args(arguments);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        output(&mut command)
    };
    dpkg(&["--install", "/strata.deb"])?;
    let passwd = fs::read_to_string(root.path.join("etc/passwd"))?;
    ensure!(
        passwd.contains("strata:"),
        "the package makes no user strata"
    );
    ensure!(
        enabled(&root.path),
        "the package does not enable its service"
    );
    let verify = dpkg(&["--verify", "strata"])?;
    ensure!(
        verify.is_empty(),
        "dpkg finds other files than the package's: {verify}"
    );
    // What the service would have left behind.
    fs::create_dir_all(root.path.join("var/lib/strata"))?;
    fs::write(root.path.join("var/lib/strata/segment"), "")?;
    let settings = root.path.join("etc/strata/strata.toml");
    fs::write(&settings, "rate = 49\n")?;
    dpkg(&["--force-confold", "--install", "/strata.deb"])?;
    ensure!(
        fs::read_to_string(&settings)? == "rate = 49\n",
        "an upgrade replaces settings"
    );
    dpkg(&["--remove", "strata"])?;
    ensure!(
        settings.is_file(),
        "removing the package takes its settings along"
    );
    dpkg(&["--purge", "strata"])?;
    let after = state(&root.path)?;
    ensure!(
        before == after,
        "purging leaves something behind or takes too much: {:?}",
        difference(&before, &after)
    );
    println!("dpkg installs it, again, removes it and purges it without a trace.");
    if find_program("lintian").is_some() {
        run(Command::new("lintian")
            .args(["--allow-root", "--fail-on", "error"])
            .arg(package))?;
        println!("lintian has no errors.");
    } else {
        println!("lintian is not installed, so the package was not shown to it.");
    }
    Ok(())
}

fn enabled(root: &Path) -> bool {
    let link = root.join("etc/systemd/system/multi-user.target.wants/strata.service");
    fs::symlink_metadata(link).is_ok()
}

/// All paths and all users, less dpkg's own notes.
fn state(root: &Path) -> Result<Vec<String>> {
    let list = output(Command::new("find").current_dir(root).args([
        ".",
        "-xdev",
        "(",
        "-path",
        "./var/lib/dpkg",
        "-o",
        "-path",
        "./var/log",
        "-o",
        "-path",
        "./var/lib/systemd",
        ")",
        "-prune",
        "-o",
        "-printf",
        "%p %M %u %g\n",
    ]))?;
    let mut state: Vec<String> = list.lines().map(str::to_owned).collect();
    for file in ["etc/passwd", "etc/group"] {
        let text = fs::read_to_string(root.join(file))?;
        state.extend(text.lines().map(str::to_owned));
    }
    // useradd and userdel keep the version before.
    state.retain(|line| {
        !line
            .split(' ')
            .next()
            .is_some_and(|path| path.ends_with('-'))
    });
    state.sort();
    Ok(state)
}

fn difference(before: &[String], after: &[String]) -> Vec<String> {
    let gone = before
        .iter()
        .filter(|line| !after.contains(line))
        .map(|line| format!("- {line}"));
    let new = after
        .iter()
        .filter(|line| !before.contains(line))
        .map(|line| format!("+ {line}"));
    gone.chain(new).take(20).collect()
}

/// A root file system in which everything may change and nothing does below.
struct Overlay {
    path: PathBuf,
}

impl Overlay {
    fn new(lower: &Path, scratch: &Path) -> Result<Self> {
        // An overlay's upper layer can't lie on every file system; memory always does.
        let layers = scratch.join("layers");
        fs::create_dir(&layers)?;
        let mount = |arguments: &[&str], on: &Path| {
            run(Command::new("mount").args(arguments).arg(on)).context("--check needs root")
        };
        mount(&["-t", "tmpfs", "tmpfs"], &layers)?;
        let overlay = Self {
            path: scratch.join("root"),
        };
        for folder in [
            layers.join("upper"),
            layers.join("work"),
            overlay.path.clone(),
        ] {
            fs::create_dir(folder)?;
        }
        let options = format!(
            "lowerdir={},upperdir={1}/upper,workdir={1}/work",
            lower.display(),
            layers.display()
        );
        mount(&["-t", "overlay", "overlay", "-o", &options], &overlay.path)?;
        Ok(overlay)
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        for folder in [self.path.clone(), self.path.with_file_name("layers")] {
            // What a maintainer script started may still be at its end.
            if let Err(error) = run(Command::new("umount").arg("--lazy").arg(&folder)) {
                eprintln!("{error}");
            }
        }
    }
}
