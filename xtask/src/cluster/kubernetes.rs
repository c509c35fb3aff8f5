//! Kubernetes itself, which Debian does not have: built from its own Go modules.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::place::{Place, make_folder, write};
use crate::process;
use crate::scratch::Scratch;

const PROGRAMS: &[&str] = &[
    "kubelet",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
];

/// Go that builds Kubernetes 1.30 to 1.37. An older one fetches it.
const GO: &str = "1.26.8";

/// Where a module was unpacked.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Module {
    dir: PathBuf,
}

/// Builds the programs, once for each version.
pub fn prepare(place: &Place, version: &str) -> Result<PathBuf> {
    ensure!(
        is_version(version),
        "{version} is not a version of Kubernetes, such as v1.33.13"
    );
    let folder = place.cache().join(version);
    if folder.is_dir() {
        return Ok(folder);
    }
    println!("building Kubernetes {version}, which takes some minutes");
    let work = Scratch::inside(place.cache())?;
    let built = build(work.path(), version);
    // Modules are read-only, and a scratch folder could not remove them.
    let _ = Command::new("chmod")
        .args(["-R", "u+w"])
        .arg(work.path())
        .status();
    fs::rename(built?, &folder).with_context(|| format!("{} can't be made", folder.display()))?;
    Ok(folder)
}

fn is_version(text: &str) -> bool {
    let Some(numbers) = text.strip_prefix('v') else {
        return false;
    };
    let parts: Vec<&str> = numbers.split('.').collect();
    parts.len() == 3 && parts[0] == "1" && parts.iter().all(|part| part.parse::<u16>().is_ok())
}

fn build(work: &Path, version: &str) -> Result<PathBuf> {
    let go = Go::find(work)?;
    let kubernetes = go.download(&format!("k8s.io/kubernetes@{version}"))?;
    let original = kubernetes.dir.join("go.mod");
    let original = fs::read_to_string(&original)
        .with_context(|| format!("{} can't be read", original.display()))?;
    let source = work.join("source");
    make_folder(&source)?;
    write(&source.join("go.mod"), wrapper(&original, version))?;
    let bin = work.join("bin");
    make_folder(&bin)?;
    let mut command = go.command(&source);
    command
        .args(["build", "-trimpath", "-ldflags", &link_flags(version)])
        .arg("-o")
        .arg(format!("{}/", bin.display()))
        .args(
            PROGRAMS
                .iter()
                .map(|name| format!("k8s.io/kubernetes/cmd/{name}")),
        );
    // It tells of hundreds of modules that it fetches; that is shown if it fails.
    process::output(&mut command)?;
    Ok(bin)
}

/// A module of our own that requires Kubernetes. Its go.mod takes its parts from folders of its repository, which the
/// module lacks; they are published as modules v0.MINOR.PATCH, and only a main module may say so.
fn wrapper(original: &str, version: &str) -> String {
    let mut text = "module cluster\n".to_owned();
    for line in original.lines() {
        if line.starts_with("go ") || line.starts_with("godebug ") {
            text += &format!("{line}\n");
        }
    }
    text += &format!("require k8s.io/kubernetes {version}\n");
    let parts = version.trim_start_matches("v1.");
    for line in original.lines() {
        if let Some((name, _)) = line.split_once(" => ./staging/") {
            let name = name.trim().trim_start_matches("replace ").trim();
            text += &format!("replace {name} => {name} v0.{parts}\n");
        }
    }
    text
}

/// What `kubectl version` and the API server tell, which clients go by.
fn link_flags(version: &str) -> String {
    let minor = version.split('.').nth(1).unwrap_or_default();
    let mut flags = "-s -w".to_owned();
    for package in [
        "k8s.io/component-base/version",
        "k8s.io/client-go/pkg/version",
    ] {
        for (name, value) in [
            ("gitVersion", version),
            ("gitMajor", "1"),
            ("gitMinor", minor),
            ("gitTreeState", "clean"),
        ] {
            flags += &format!(" -X {package}.{name}={value}");
        }
    }
    flags
}

struct Go {
    program: PathBuf,
    work: PathBuf,
}

impl Go {
    fn find(work: &Path) -> Result<Self> {
        let program = process::find_program("go")
            .context("there is no Go on the PATH; tests/setup.sh installs one")?;
        let go = Self {
            program,
            work: work.to_owned(),
        };
        let version = process::output(go.command(work).args(["env", "GOVERSION"]))?;
        if minor(version.trim().trim_start_matches("go")) >= minor(GO) {
            return Ok(go);
        }
        // Go publishes its toolchains as a module, whose programs lack their execute bits.
        let module = go.download(&format!("golang.org/toolchain@v0.0.1-go{GO}.linux-amd64"))?;
        process::run(Command::new("chmod").args(["-R", "u+wx"]).arg(&module.dir))?;
        for folder in ["src", "src/cmd"].map(|folder| module.dir.join(folder)) {
            fs::rename(folder.join("_go.mod"), folder.join("go.mod"))?;
        }
        Ok(Self {
            program: module.dir.join("bin/go"),
            work: work.to_owned(),
        })
    }

    /// What is downloaded and made on the way is gigabytes and goes with the scratch folder.
    fn command(&self, folder: &Path) -> Command {
        let mut command = process::clean_command(&self.program);
        command
            .current_dir(folder)
            .env("GOPATH", self.work.join("path"))
            .env("GOCACHE", self.work.join("cache"))
            .env("GOFLAGS", "-mod=mod -modcacherw")
            .env("GOTOOLCHAIN", "local")
            .env("CGO_ENABLED", "0");
        command
    }

    fn download(&self, module: &str) -> Result<Module> {
        let mut command = self.command(&self.work);
        let said = process::output(command.args(["mod", "download", "-json", module]))?;
        serde_json::from_str(&said)
            .with_context(|| format!("`go mod download` of {module} does not say where it is"))
    }
}

fn minor(version: &str) -> u32 {
    let number = version.split('.').nth(1).unwrap_or_default();
    number.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_repository_become_modules() {
        let original = "module k8s.io/kubernetes\n\ngo 1.24.0\n\ngodebug default=go1.24\n\nrequire (\n\tk8s.io/api v0.0.0\n)\n\n\
            replace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n\tk8s.io/cri-api => ./staging/src/k8s.io/cri-api\n)\n";
        assert_eq!(
            wrapper(original, "v1.33.13"),
            "module cluster\ngo 1.24.0\ngodebug default=go1.24\nrequire k8s.io/kubernetes v1.33.13\n\
             replace k8s.io/api => k8s.io/api v0.33.13\nreplace k8s.io/cri-api => k8s.io/cri-api v0.33.13\n"
        );
    }

    #[test]
    fn versions() {
        assert!(is_version("v1.33.13"));
        for not in ["1.33.13", "v1.33", "v2.0.0", "v1.33.x", "v1.33.13/..", ""] {
            assert!(!is_version(not), "{not}");
        }
    }
}
