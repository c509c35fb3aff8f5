//! The program: static, on musl, with names resolved in Rust.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use object::elf;
use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _};

use crate::process::{self, clean_command, find_program};
use crate::repository::Repository;

/// See the workspace's Cargo.toml.
const PROFILE: &str = "dist";

pub fn build(repository: &Repository) -> Result<PathBuf> {
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let installed = process::output(clean_command("rustc").args([
        "--print",
        "target-libdir",
        "--target",
        &target,
    ]))?;
    if !Path::new(installed.trim()).is_dir() {
        bail!("Rust's library for {target} is missing: rustup target add {target}");
    }
    if find_program("musl-gcc").is_none() {
        bail!("musl-gcc is missing, which compiles zstd and ring: apt-get install musl-tools");
    }
    let mut command = clean_command("cargo");
    command.current_dir(repository.root());
    command.args(["build", "--locked", "--package", "strata"]);
    process::run(command.args(["--profile", PROFILE, "--target", &target]))?;
    Ok(repository
        .target()
        .join(target)
        .join(PROFILE)
        .join("strata"))
}

/// Fails for a program that the kernel can't start by itself.
pub fn needs_nothing(binary: &Path) -> Result<()> {
    let data = fs::read(binary).with_context(|| format!("{} can't be read", binary.display()))?;
    let file = ElfFile64::<object::Endianness>::parse(&*data)
        .with_context(|| format!("{} is no program", binary.display()))?;
    let endian = file.endian();
    let headers = file.elf_header().program_headers(endian, &*data)?;
    if headers
        .iter()
        .any(|header| header.p_type(endian) == elf::PT_INTERP)
    {
        bail!(
            "{} asks for a loader, so it is not static",
            binary.display()
        );
    }
    for header in headers {
        for entry in header.dynamic(endian, &*data)?.unwrap_or_default() {
            if entry.d_tag.get(endian) == elf::DT_NEEDED {
                bail!("{} needs a library, so it is not static", binary.display());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_libraries_is_told_from_one_without() {
        // Rust's programs for glibc have a loader.
        let own = std::env::current_exe().unwrap();
        let error = needs_nothing(&own).unwrap_err().to_string();
        assert!(error.contains("not static"), "{error}");
        assert!(needs_nothing(Path::new("/etc/passwd")).is_err());
    }
}
