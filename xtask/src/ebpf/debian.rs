//! The standard library's sources from a Debian package of a newer suite, unpacked and never installed.
//!
//! The mirror is the one that this machine's own apt sources name; no file here names one.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::{env, fs};

use anyhow::{Context, Result, bail};

use crate::process::{clean_command, output, run};

/// The release that was made from the branch of the pinned nightly; its `core` compiles with it.
const LIBRARY_RELEASE: &str = "1.97.";
/// Where that release may be found, the likeliest first.
const SUITES: &[&str] = &["sid", "forky"];
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Gives the folder `library` of the unpacked package, somewhere below `scratch`.
pub fn fetch_library(scratch: &Path) -> Result<PathBuf> {
    let mirror = mirror()?;
    let mut seen = Vec::new();
    for suite in SUITES {
        let apt = Apt::new(&scratch.join(suite), &mirror, suite)?;
        apt.update()?;
        let versions = apt.versions("rust-src")?;
        if let Some(version) = versions
            .iter()
            .find(|version| version.starts_with(LIBRARY_RELEASE))
        {
            return apt
                .unpack("rust-src", version)
                .and_then(|unpacked| library_in(&unpacked));
        }
        seen.push(format!(
            "{suite} has {}",
            if versions.is_empty() {
                "none".into()
            } else {
                versions.join(", ")
            }
        ));
    }
    bail!(
        "no suite has rust-src {LIBRARY_RELEASE}x any more ({})",
        seen.join("; ")
    )
}

/// usr/src/rustc-VERSION/library
fn library_in(unpacked: &Path) -> Result<PathBuf> {
    let sources = unpacked.join("usr/src");
    let entries = fs::read_dir(&sources)
        .with_context(|| format!("the package has no {}", sources.display()))?;
    for entry in entries {
        let library = entry
            .with_context(|| format!("{} can't be listed", sources.display()))?
            .path()
            .join("library");
        if library.join("core/src/lib.rs").is_file() {
            return Ok(library);
        }
    }
    bail!("the package has no folder usr/src/rustc-*/library")
}

fn mirror() -> Result<String> {
    let targets = output(clean_command("apt-get").args([
        "indextargets",
        "--format",
        "$(REPO_URI) $(CODENAME) $(COMPONENT)",
        "Created-By: Packages",
    ]))?;
    mirror_among(&targets)
        .context("apt knows no Debian mirror on this machine; add one to its sources")
}

/// The archive itself, not what holds only updates or other vendors' packages.
fn mirror_among(targets: &str) -> Option<String> {
    targets.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (uri, codename, component) = (words.next()?, words.next()?, words.next()?);
        let is_archive = uri.trim_end_matches('/').ends_with("/debian")
            && component == "main"
            && !codename.contains('-');
        is_archive.then(|| uri.to_owned())
    })
}

/// apt with folders of its own: neither the machine's lists nor its packages are touched.
struct Apt {
    folder: PathBuf,
    options: Vec<String>,
}

impl Apt {
    fn new(folder: &Path, mirror: &str, suite: &str) -> Result<Self> {
        // apt resolves relative paths against folders of its own.
        let folder = env::current_dir()
            .context("the current folder can't be read")?
            .join(folder);
        for part in ["lists/partial", "cache/archives/partial", "unpacked"] {
            let part = folder.join(part);
            fs::create_dir_all(&part)
                .with_context(|| format!("{} can't be made", part.display()))?;
        }
        let signed_by = if Path::new(KEYRING).is_file() {
            format!("[signed-by={KEYRING}] ")
        } else {
            String::new()
        };
        let list = folder.join("sources.list");
        fs::write(&list, format!("deb {signed_by}{mirror} {suite} main\n"))
            .with_context(|| format!("{} can't be written", list.display()))?;
        let settings = [
            format!("Dir::Etc::SourceList={}", list.display()),
            "Dir::Etc::SourceParts=/dev/null".into(),
            format!("Dir::State::Lists={}", folder.join("lists").display()),
            format!("Dir::Cache={}", folder.join("cache").display()),
            // apt's own user may not read folders of ours.
            "APT::Sandbox::User=".into(),
            // Of all that a suite offers only the list of packages is wanted.
            "Acquire::Languages=none".into(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".into(),
            "Acquire::Retries=2".into(),
            "Acquire::http::Timeout=30".into(),
            "Acquire::https::Timeout=30".into(),
        ];
        let options = settings
            .into_iter()
            .flat_map(|setting| ["-o".to_owned(), setting])
            .collect();
        Ok(Self { folder, options })
    }

    fn update(&self) -> Result<()> {
        output(
            clean_command("apt-get")
                .args(&self.options)
                .args(["--quiet", "update"]),
        )
        .map(drop)
    }

    fn versions(&self, package: &str) -> Result<Vec<String>> {
        let table = output(
            clean_command("apt-cache")
                .args(&self.options)
                .args(["madison", package]),
        )?;
        Ok(versions_in(&table))
    }

    fn unpack(&self, package: &str, version: &str) -> Result<PathBuf> {
        let wanted = format!("{package}={version}");
        output(
            clean_command("apt-get")
                .current_dir(&self.folder)
                .args(&self.options)
                .args(["--quiet", "download", &wanted]),
        )?;
        let entries = fs::read_dir(&self.folder)
            .with_context(|| format!("{} can't be listed", self.folder.display()))?;
        let file = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .with_context(|| format!("apt-get downloaded {wanted}, but left no .deb file"))?;
        let unpacked = self.folder.join("unpacked");
        unpack_library(&file, &unpacked)?;
        Ok(unpacked)
    }
}

/// The library alone: the package also holds the whole compiler.
fn unpack_library(package: &Path, folder: &Path) -> Result<()> {
    let mut archive = clean_command("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .context("dpkg-deb could not be started")?;
    let stream = archive.stdout.take().context("dpkg-deb gave no output")?;
    let extracted = run(clean_command("tar")
        // Before the pattern: it counts for what follows it.
        .arg("--directory")
        .arg(folder)
        .args(["--extract", "--wildcards", "./usr/src/rustc-*/library"])
        .stdin(stream));
    let status = archive.wait().context("dpkg-deb could not be waited for")?;
    extracted?;
    if !status.success() {
        bail!("dpkg-deb could not read {} ({status})", package.display());
    }
    Ok(())
}

/// `apt-cache madison` prints lines of "package | version | source".
fn versions_in(table: &str) -> Vec<String> {
    table
        .lines()
        .filter_map(|line| line.split('|').nth(1))
        .map(|version| version.trim().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_told_from_updates_and_other_vendors() {
        let targets = "http://vendor.invalid/apt/ stable main\n\
                       http://mirror.invalid/debian-security/ bookworm-security main\n\
                       http://mirror.invalid/debian/ bookworm-updates main\n\
                       http://mirror.invalid/debian/ bookworm contrib\n\
                       http://mirror.invalid/debian/ bookworm main\n";
        assert_eq!(
            mirror_among(targets).as_deref(),
            Some("http://mirror.invalid/debian/")
        );
        assert_eq!(
            mirror_among("http://vendor.invalid/apt/ stable main\n"),
            None
        );
        assert_eq!(mirror_among("\n"), None);
    }

    #[test]
    fn versions_are_read_from_the_table() {
        let table =
            "  rust-src | 1.97.1+dfsg1-1 | http://mirror.invalid/debian sid/main amd64 Packages\n";
        assert_eq!(versions_in(table), ["1.97.1+dfsg1-1"]);
        assert!(versions_in("").is_empty());
    }
}
