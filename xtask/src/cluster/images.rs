//! What pods are made of here: the pause image that each needs, BusyBox, Python, and images of single programs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::place::{Place, make_folder, write};
use super::system::{System, debootstrap};
use super::{archive, daemon};
use crate::process;
use crate::scratch::Scratch;

pub const PAUSE: &str = "localhost/pause:1";
const BUSYBOX: &str = "localhost/busybox:1";
const PYTHON: &str = "localhost/python:1";

/// Packs what is missing in the cache; all of them, to be imported.
pub fn prepare(place: &Place, system: &System) -> Result<Vec<PathBuf>> {
    let folder = place.cache().join("images");
    make_folder(&folder)?;
    let made = [
        (
            "pause.tar",
            pause as fn(&Path, &System, &Path) -> Result<()>,
        ),
        ("busybox.tar", busybox),
        ("python.tar", python),
    ]
    .map(|(name, make)| (folder.join(name), make));
    for (image, make) in &made {
        if !image.is_file() {
            println!("packing {}", image.display());
            let work = Scratch::inside(place.cache())?;
            make(work.path(), system, image)?;
        }
    }
    Ok(made.map(|(image, _)| image).into())
}

fn pause(work: &Path, _: &System, image: &Path) -> Result<()> {
    let source = work.join("pause.c");
    write(&source, include_str!("pause.c"))?;
    let root = work.join("root");
    make_folder(&root)?;
    let mut compiler = Command::new("gcc");
    compiler
        .args(["-Os", "-static", "-s", "-Wall", "-o"])
        .args([root.join("pause"), source]);
    process::run(&mut compiler)?;
    archive::pack(&root, PAUSE, &["/pause"], &[], image)
}

fn busybox(work: &Path, system: &System, image: &Path) -> Result<()> {
    let root = work.join("root");
    base(&root)?;
    make_folder(&root.join("bin"))?;
    let program = root.join("bin/busybox");
    fs::copy(system.program("busybox")?, &program)?;
    let applets = process::output(Command::new(&program).arg("--list"))?;
    for applet in applets.lines().filter(|name| *name != "busybox") {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    archive::pack(&root, BUSYBOX, &[], &[], image)
}

/// Debian's own, as most people's images have it.
fn python(work: &Path, _: &System, image: &Path) -> Result<()> {
    let root = work.join("root");
    debootstrap(&root, "python3")?;
    // What names the mirror, and what only fills the image.
    for what in [
        "etc/apt/sources.list",
        "var/cache/apt",
        "var/lib/apt/lists",
        "var/log",
        "usr/share/doc",
        "usr/share/locale",
        "usr/share/man",
    ] {
        let path = root.join(what);
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.with_context(|| format!("{} can't be removed", path.display()))?;
    }
    archive::pack(&root, PYTHON, &[], &[], image)
}

/// Folders and files that a program expects, and a mount needs.
fn base(root: &Path) -> Result<()> {
    for folder in ["etc", "tmp", "var", "proc", "sys", "dev", "run"] {
        make_folder(&root.join(folder))?;
    }
    write(
        &root.join("etc/passwd"),
        "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    )?;
    write(&root.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n")
}

/// Imports an image into the cluster that runs.
pub fn load(place: &Place, image: &Path) -> Result<()> {
    let mut command = images(place, "import")?;
    let said = process::output(command.arg(image))
        .context("an image is a tar such as `docker save` writes")?;
    print!("{said}");
    Ok(())
}

/// Afterwards both names mean it.
pub fn tag(place: &Place, image: &str, name: &str) -> Result<()> {
    process::output(images(place, "tag")?.args(["--force", image, name])).map(drop)
}

fn images(place: &Place, what: &str) -> Result<Command> {
    ensure!(
        daemon::Daemon::new(place, "containerd").running().is_some(),
        "there is no cluster that could have images; `cargo xtask cluster up` makes one"
    );
    let mut command = Command::new(System::at(place).program("ctr")?);
    command
        .arg("--address")
        .arg(place.socket())
        .args(["--namespace", "k8s.io", "images", what]);
    Ok(command)
}

/// An image that holds one program and nothing that it needs, under its own name at the root.
pub fn load_program(place: &Place, program: &Path, arguments: &[String], tag: &str) -> Result<()> {
    let name = program.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("{} has no name", program.display()))?;
    let work = Scratch::inside(place.cache())?;
    let root = work.path().join("root");
    base(&root)?;
    fs::copy(program, root.join(name))
        .with_context(|| format!("{} can't be copied", program.display()))?;
    let image = work.path().join("image.tar");
    let entrypoint = format!("/{name}");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    archive::pack(&root, tag, &[&entrypoint], &arguments, &image)?;
    load(place, &image)
}
