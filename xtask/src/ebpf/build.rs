//! Sources + toolchain → object.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail};

use super::object::Note;
use super::toolchain::{self, Toolchain};
use super::{object, sources, wrapper};
use crate::process;
use crate::repository::Repository;

pub const TARGET: &str = "bpfel-unknown-none";

/// May cargo still change Cargo.lock?
pub enum Lock {
    Open,
    Closed,
}

pub fn run(repository: &Repository) -> Result<()> {
    let toolchain = toolchain::required()?;
    if !toolchain.library_is_own {
        eprintln!(
            "warning: {} are not the sources of the pinned compiler's own commit, so others may make other bytes; \
             `rustup component add rust-src` for that toolchain replaces them",
            toolchain::library_folder(&toolchain.sysroot).display()
        );
    }
    let built = build(
        repository.root(),
        &toolchain,
        &repository.target().join("ebpf"),
        Lock::Open,
    )?;
    let path = repository.object();
    let name = path
        .strip_prefix(repository.root())
        .unwrap_or(&path)
        .display();
    // An object that did not change keeps its time, else cargo would build the agent again.
    if fs::read(&path).is_ok_and(|committed| committed == built) {
        println!("{name}: unchanged, {} bytes", built.len());
        return Ok(());
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| format!("{} can't be made", dir.display()))?;
    }
    fs::write(&path, &built).with_context(|| format!("{name} can't be written"))?;
    println!(
        "{name}: written, {} bytes; commit it together with its sources",
        built.len()
    );
    Ok(())
}

/// Builds what lies below `root` and gives the object as it is to be committed.
pub fn build(root: &Path, toolchain: &Toolchain, target_dir: &Path, lock: Lock) -> Result<Vec<u8>> {
    let xtask = env::current_exe().context("the path of this program can't be read")?;
    let mut cargo = cargo(root, toolchain, target_dir)?;
    cargo
        .args(["build", "--release"])
        .env("RUSTC_WRAPPER", xtask)
        .env(wrapper::ROLE_VARIABLE, "1");
    if let Lock::Closed = lock {
        cargo.arg("--locked");
    }
    process::run(&mut cargo)?;

    let linked = target_dir.join(TARGET).join("release/strata-ebpf");
    let linked = fs::read(&linked)
        .with_context(|| format!("cargo left no object at {}", linked.display()))?;
    let note = Note {
        // After the build, which may have completed Cargo.lock.
        sources: sources::hash(root)?,
        rustc: toolchain::RUSTC_VERSION.to_owned(),
        bpf_linker: toolchain::BPF_LINKER_VERSION.to_owned(),
    };
    let finished = object::finish(&linked, &note)?;
    for path in [root, &toolchain.sysroot] {
        if object::names_file_in(&finished, path) {
            bail!(
                "the object names files in {}, so it would be another one in any other place; cargo seems to have taken a crate \
                 that was compiled without our wrapper: delete {} and build again",
                path.display(),
                target_dir.display()
            );
        }
    }
    Ok(finished)
}

/// The pinned cargo, for the kernel side below `root`.
pub fn cargo(root: &Path, toolchain: &Toolchain, target_dir: &Path) -> Result<Command> {
    let mut cargo = process::clean_command(toolchain.cargo());
    cargo
        // cargo finds its flags in this folder's .cargo/config.toml.
        .current_dir(root.join("agent-ebpf"))
        .env("PATH", search_path(toolchain)?)
        // bpf-linker loads the compiler's own LLVM.
        .env("LD_LIBRARY_PATH", toolchain.sysroot.join("lib"))
        .env("CARGO_TARGET_DIR", target_dir)
        .env("RUSTC", toolchain.rustc());
    Ok(cargo)
}

/// The toolchain's own folders first: bpf-linker also looks for LLVM next to what is on PATH.
fn search_path(toolchain: &Toolchain) -> Result<std::ffi::OsString> {
    let mut folders = vec![toolchain.sysroot.join("bin")];
    folders.extend(toolchain.bpf_linker.parent().map(Path::to_owned));
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    env::join_paths(folders)
        .context("a folder of the toolchain has a colon in its name, so it can't be put on PATH")
}
