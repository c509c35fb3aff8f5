//! The one toolchain that makes the committed bytes, and whether this machine has it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use super::sources;
use crate::process::{clean_command, find_program, output};

/// Told apart by commit, not by name: a nightly is installed under its date on one machine and as `nightly` on another.
pub const RUSTC_COMMIT: &str = "e50aa6fba4e63ab34c72bf9acfd2c307c1155d1a";
/// The same compiler as people and rustup name it.
pub const RUSTC_VERSION: &str = "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)";
pub const RUSTUP_NAME: &str = "nightly-2026-05-20";
/// The standard library's sources of that very commit. Those of a release near to it compile too, but may make other
/// bytes.
const LIBRARY_HASH: &str = "a48c20e63be4f4342466765e9a9c4f07e9e341735c354b06b2e1444ec8b9aa1e";
/// The last that uses the compiler's own LLVM; newer ones need one that is installed beside it.
pub const BPF_LINKER_VERSION: &str = "0.10.4";

/// What of the standard library ends up in the object. The rest of its sources may differ.
const LIBRARY_PARTS: &[&str] = &[
    "core/Cargo.toml",
    "core/src",
    "compiler-builtins/compiler-builtins",
];

pub struct Toolchain {
    pub sysroot: PathBuf,
    pub bpf_linker: PathBuf,
    /// Are the standard library's sources the compiler's own? Only then the bytes are those that anybody else makes.
    pub library_is_own: bool,
}

impl Toolchain {
    pub fn cargo(&self) -> PathBuf {
        self.sysroot.join("bin/cargo")
    }

    pub fn rustc(&self) -> PathBuf {
        self.sysroot.join("bin/rustc")
    }
}

/// The toolchain, or the names of its missing parts.
pub fn locate() -> Result<Result<Toolchain, Vec<String>>> {
    let mut missing = Vec::new();
    let sysroot = find_compiler()?;
    let library = sysroot.as_deref().map(library_folder);
    match (&sysroot, &library) {
        (None, _) => missing.push(format!("{RUSTC_VERSION}, which rustup names {RUSTUP_NAME}")),
        (_, Some(library)) if !library.is_dir() => {
            missing.push(format!(
                "the standard library's sources for {RUSTC_VERSION} ({})",
                library.display()
            ));
        }
        _ => {}
    }
    let bpf_linker = match find_bpf_linker()? {
        Linker::Pinned(path) => Some(path),
        Linker::Other(version) => {
            missing.push(format!(
                "bpf-linker {BPF_LINKER_VERSION} (this machine has {version})"
            ));
            None
        }
        Linker::None => {
            missing.push(format!("bpf-linker {BPF_LINKER_VERSION}"));
            None
        }
    };
    match (sysroot, bpf_linker, library) {
        (Some(sysroot), Some(bpf_linker), Some(library)) if missing.is_empty() => {
            Ok(Ok(Toolchain {
                sysroot,
                bpf_linker,
                library_is_own: hash_library(&library)? == LIBRARY_HASH,
            }))
        }
        _ => Ok(Err(missing)),
    }
}

/// The toolchain, or an error that says how to get it.
pub fn required() -> Result<Toolchain> {
    locate()?.map_err(|missing| {
        anyhow!(
            "this machine lacks {}; `cargo xtask ebpf --setup` installs it. The object is only ever built by this \
             toolchain, so that anybody can make the same bytes again",
            missing.join(" and ")
        )
    })
}

/// The folder of the pinned compiler, under whatever name rustup has it.
pub fn find_compiler() -> Result<Option<PathBuf>> {
    let Some(rustup) = find_program("rustup") else {
        return Ok(None);
    };
    let list = output(clean_command(&rustup).args(["toolchain", "list"]))?;
    for name in list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
    {
        // A toolchain that is listed but broken is not the one we look for.
        let Ok(rustc) =
            output(clean_command(&rustup).args(["which", "rustc", "--toolchain", name]))
        else {
            continue;
        };
        let rustc = PathBuf::from(rustc.trim_end());
        let Ok(version) = output(clean_command(&rustc).arg("-vV")) else {
            continue;
        };
        if commit_of(&version) == Some(RUSTC_COMMIT) {
            let sysroot = output(clean_command(&rustc).args(["--print", "sysroot"]))?;
            return Ok(Some(PathBuf::from(sysroot.trim_end())));
        }
    }
    Ok(None)
}

fn commit_of(version: &str) -> Option<&str> {
    version
        .lines()
        .find_map(|line| line.strip_prefix("commit-hash: "))
}

pub enum Linker {
    Pinned(PathBuf),
    Other(String),
    None,
}

pub fn find_bpf_linker() -> Result<Linker> {
    let Some(path) = find_program("bpf-linker") else {
        return Ok(Linker::None);
    };
    let version = output(clean_command(&path).arg("--version"))?;
    let version = version.trim();
    if version == format!("bpf-linker {BPF_LINKER_VERSION}") {
        Ok(Linker::Pinned(path))
    } else {
        Ok(Linker::Other(format!("{version} at {}", path.display())))
    }
}

/// Where cargo's build-std looks for the sources.
pub fn library_folder(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib/src/rust/library")
}

fn hash_library(library: &Path) -> Result<String> {
    // A linked folder is the same library as a copied one.
    let library = fs::canonicalize(library)
        .with_context(|| format!("{} can't be read", library.display()))?;
    let mut files = Vec::new();
    for part in LIBRARY_PARTS {
        sources::collect(&library, Path::new(part), &mut files)?;
    }
    files.sort();
    sources::hash_files(&library, &files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_is_known_by_its_commit() {
        let version =
            format!("{RUSTC_VERSION}\nbinary: rustc\ncommit-hash: {RUSTC_COMMIT}\nhost: x86_64\n");
        assert_eq!(commit_of(&version), Some(RUSTC_COMMIT));
        assert_eq!(commit_of("rustc 1.95.0\nbinary: rustc\n"), None);
    }

    #[test]
    fn the_two_ways_to_name_the_compiler_agree() {
        assert!(RUSTC_VERSION.contains(&RUSTC_COMMIT[..9]));
    }
}
