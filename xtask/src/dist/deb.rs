//! The Debian package. Its maintainer scripts are in deploy/debian.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Release;
use super::files::{Folder, gzip, settings};
use crate::process;
use crate::repository::Repository;

/// What is as it is on purpose.
const OVERRIDES: &str = "\
# It runs on any host, whatever libraries that has.
strata: statically-linked-binary [usr/bin/strata]
strata: shared-library-lacks-prerequisites [usr/bin/strata]
# Names of functions stay, so that its own stacks can be read.
strata: unstripped-binary-or-object [usr/bin/strata]
# There may be secrets in it.
strata: non-standard-file-perm 0600 != 0644 [etc/strata/strata.toml]
# Who builds the package answers for it; there is no address for all.
strata: bogus-mail-host *
strata: bogus-mail-host-in-debian-changelog *
";

/// Writes `strata_VERSION_ARCHITECTURE.deb`.
pub fn package(
    repository: &Repository,
    release: &Release,
    program: &Path,
    scratch: &Path,
    to: &Path,
) -> Result<PathBuf> {
    let deploy = repository.root().join("deploy");
    let root = Folder::new(scratch.join("deb"))?;
    let usr = Folder::new(root.0.join("usr"))?;
    usr.copy("bin/strata", 0o755, program)?;
    usr.add_documentation(program, scratch)?;
    usr.copy(
        "lib/systemd/system/strata.service",
        0o644,
        &deploy.join("systemd/strata.service"),
    )?;
    usr.copy(
        "share/doc/strata/README.md",
        0o644,
        &deploy.join("README.md"),
    )?;
    usr.copy(
        "share/doc/strata/copyright",
        0o644,
        &deploy.join("debian/copyright"),
    )?;
    let changes = gzip(changelog(release)?.as_bytes())?;
    usr.write("share/doc/strata/changelog.gz", 0o644, &changes)?;
    usr.write(
        "share/lintian/overrides/strata",
        0o644,
        OVERRIDES.as_bytes(),
    )?;
    // There may be secrets in it; the agent's capabilities let it read it all the same.
    root.write(
        "etc/strata/strata.toml",
        0o600,
        settings(program)?.as_bytes(),
    )?;

    let size = process::output(
        Command::new("du")
            .args(["-sk", "--apparent-size"])
            .arg(&root.0),
    )?;
    let size = size.split_whitespace().next().unwrap_or("0");
    let control = fs::read_to_string(deploy.join("debian/control"))
        .context("deploy/debian/control can't be read")?
        .replace("@VERSION@", &release.version)
        .replace("@ARCHITECTURE@", release.architecture)
        .replace("@SIZE@", size);
    root.write("DEBIAN/control", 0o644, control.as_bytes())?;
    root.write("DEBIAN/conffiles", 0o644, b"/etc/strata/strata.toml\n")?;
    for script in ["postinst", "prerm", "postrm"] {
        let from = deploy.join("debian").join(script);
        root.copy(&format!("DEBIAN/{script}"), 0o755, &from)?;
    }
    sums(&root)?;

    let name = format!("strata_{}_{}.deb", release.version, release.architecture);
    let package = to.join(name);
    process::run(
        Command::new("dpkg-deb")
            .env("SOURCE_DATE_EPOCH", &release.time)
            .args(["--root-owner-group", "-Zxz", "--build"])
            .args([&root.0, &package]),
    )?;
    Ok(package)
}

fn changelog(release: &Release) -> Result<String> {
    let date = process::output(Command::new("date").env("LC_ALL", "C").args([
        "-u",
        "-R",
        &format!("-d@{}", release.time),
    ]))?;
    Ok(format!(
        "strata ({}) unstable; urgency=medium\n\n  * As of this time.\n\n -- The Strata authors <strata@localhost>  {}\n",
        release.version,
        date.trim()
    ))
}

/// What `dpkg --verify` compares with.
fn sums(root: &Folder) -> Result<()> {
    let list = process::output(Command::new("sh").current_dir(&root.0).args([
        "-c",
        "find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum",
    ]))?;
    root.write("DEBIAN/md5sums", 0o644, list.as_bytes())
}
