//! Programs that Debian has: taken out of its packages, not installed, since some of these packages start services.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::place::{Place, make_folder};
use crate::process;
use crate::scratch::Scratch;

const PACKAGES: &[&str] = &[
    "containerd",
    "runc",
    "etcd-server",
    "containernetworking-plugins",
    "busybox-static",
];

/// Where the programs lie once they are unpacked.
pub struct System(PathBuf);

impl System {
    pub fn at(place: &Place) -> Self {
        Self(place.cache().join("system"))
    }

    /// Unpacks what is missing.
    pub fn prepare(place: &Place) -> Result<Self> {
        let system = Self::at(place);
        if system.0.is_dir() {
            return Ok(system);
        }
        println!("unpacking {}", PACKAGES.join(", "));
        let work = Scratch::inside(place.cache())?;
        if download(work.path()).is_err() {
            process::run(apt_get().arg("update"))?;
            download(work.path())
                .context("Debian 12 has these packages; apt's sources have to name its mirror")?;
        }
        let new = work.path().join("system");
        make_folder(&new)?;
        for entry in fs::read_dir(work.path())? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                process::run(Command::new("dpkg-deb").arg("-x").arg(&path).arg(&new))?;
            }
        }
        fs::rename(&new, &system.0)?;
        Ok(system)
    }

    pub fn program(&self, name: &str) -> Result<PathBuf> {
        let found = ["usr/bin", "usr/sbin", "bin", "sbin"]
            .map(|folder| self.0.join(folder).join(name))
            .into_iter()
            .find(|path| path.is_file());
        found.with_context(|| {
            format!(
                "{name} is not in {}; delete that folder to have it made anew",
                self.0.display()
            )
        })
    }

    /// Network plugins, which containerd calls.
    pub fn plugins(&self) -> PathBuf {
        self.0.join("usr/lib/cni")
    }

    /// For programs that call others by their names: containerd its shim, the shim runc.
    pub fn path(&self) -> String {
        let ours = ["usr/bin", "usr/sbin"].map(|folder| self.0.join(folder).display().to_string());
        let machines = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        format!("{}:{machines}", ours.join(":"))
    }
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.args(["-qq", "-o", "APT::Sandbox::User=root"]);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn download(folder: &Path) -> Result<()> {
    process::run(apt_get().current_dir(folder).arg("download").args(PACKAGES))
}

/// Makes a small Debian with these packages.
pub fn debootstrap(root: &Path, packages: &str) -> Result<()> {
    let targets = process::output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(REPO_URI) $(CODENAME)",
        "Created-By: Packages",
    ]))?;
    // Which mirror this machine uses is read at run time and kept in no file of ours.
    let mirror = targets
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(_, suite)| *suite == "bookworm")
        .map(|(uri, _)| uri);
    let mirror = mirror.context("no source of apt has Debian 12 (bookworm)")?;
    ensure!(
        process::find_program("debootstrap").is_some(),
        "debootstrap is not installed; tests/setup.sh does it"
    );
    let mut command = Command::new("debootstrap");
    command
        .args(["--variant=minbase", &format!("--include={packages}")])
        .arg("bookworm")
        .arg(root)
        .arg(mirror);
    process::output(&mut command).map(drop)
}
