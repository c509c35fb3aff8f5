//! What the image is built of, in a folder by itself: any builder takes that, without this repository and without cargo.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Release;
use super::files::Folder;
use crate::process;
use crate::repository::Repository;

/// Fills `TO/image`: the Dockerfile and all that it copies.
pub fn context(
    repository: &Repository,
    release: &Release,
    program: &Path,
    to: &Path,
) -> Result<PathBuf> {
    let root = repository.root();
    let path = to.join("image");
    if path.exists() {
        fs::remove_dir_all(&path)
            .with_context(|| format!("{} can't be removed", path.display()))?;
    }
    let folder = Folder::new(path.clone())?;
    let from = root.join("deploy/Dockerfile");
    let text =
        fs::read_to_string(&from).with_context(|| format!("{} can't be read", from.display()))?;
    let text = filled(&text, &arguments(repository, release)?)?;
    folder.write("Dockerfile", 0o644, text.as_bytes())?;
    folder.copy("strata", 0o755, program)?;
    for name in ["LICENSE-APACHE", "LICENSE-MIT", "LICENSE-GPL"] {
        folder.copy(&format!("licenses/{name}"), 0o644, &root.join(name))?;
    }
    Ok(path)
}

fn arguments(repository: &Repository, release: &Release) -> Result<[(&'static str, String); 3]> {
    let revision = process::output(Command::new("git").current_dir(repository.root()).args([
        "-c",
        "safe.directory=*",
        "rev-parse",
        "HEAD",
    ]))?;
    let created = process::output(Command::new("date").args([
        "-u",
        "+%Y-%m-%dT%H:%M:%SZ",
        &format!("-d@{}", release.time),
    ]))?;
    Ok([
        ("VERSION", release.version.clone()),
        ("REVISION", revision.trim().to_owned()),
        ("CREATED", created.trim().to_owned()),
    ])
}

/// The Dockerfile with other defaults for its arguments.
fn filled(text: &str, arguments: &[(&str, String)]) -> Result<String> {
    let mut text = text.to_owned();
    for (name, value) in arguments {
        let unfilled = format!("ARG {name}=unknown\n");
        ensure!(
            text.contains(&unfilled),
            "deploy/Dockerfile has no line `{}`",
            unfilled.trim()
        );
        text = text.replace(&unfilled, &format!("ARG {name}={value}\n"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_filled_in_or_missed() {
        let arguments = [("VERSION", "1.2".to_owned())];
        let text = filled("FROM scratch\nARG VERSION=unknown\nCOPY a /a\n", &arguments).unwrap();
        assert_eq!(text, "FROM scratch\nARG VERSION=1.2\nCOPY a /a\n");
        assert!(filled("FROM scratch\n", &arguments).is_err());
    }

    /// What the folder lacks, no builder can copy.
    #[test]
    fn the_dockerfile_copies_only_what_is_put_there() {
        let dockerfile = include_str!("../../../deploy/Dockerfile");
        let copied = dockerfile
            .lines()
            .filter_map(|line| line.strip_prefix("COPY "));
        let sources: Vec<&str> = copied.filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(sources, ["strata", "licenses"]);
        for argument in ["VERSION", "REVISION", "CREATED"] {
            let value = [(argument, "x".to_owned())];
            assert!(filled(dockerfile, &value).is_ok(), "{argument}");
        }
    }
}
