//! Which shared libraries a program of this machine needs, so that the guest gets the same ones.
//!
//! Asks the dynamic linker through `ldd`: these are the machine's own programs and our own build, never a stranger's.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The loader and every library, each at the path where the program looks for it.
pub fn needed_by(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd")
        .arg(program)
        .env("LC_ALL", "C")
        .output()
        .context("ldd can't be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    if text.contains("statically linked") || complaint.contains("not a dynamic executable") {
        return Ok(Vec::new());
    }
    if !output.status.success() {
        bail!("ldd can't read {}: {}", program.display(), complaint.trim());
    }
    parse(&text).with_context(|| format!("{} can't run on this machine either", program.display()))
}

/// Lines are `NAME => PATH (ADDRESS)`, or `PATH (ADDRESS)` for the loader, or a bare name for the vDSO.
fn parse(listing: &str) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for line in listing.lines().map(str::trim) {
        let place = line.split_once(" => ").map_or(line, |(_, place)| place);
        if place == "not found" {
            bail!("a shared library is missing: {line}");
        }
        let path = place.split(" (").next().unwrap_or_default();
        if path.starts_with('/') {
            paths.push(PathBuf::from(path));
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_loader_but_no_vdso() {
        let listing = "\tlinux-vdso.so.1 (0x00007fff)\n\
                       \tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f00)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x00007f10)\n";
        let paths = parse(listing).unwrap();
        assert_eq!(
            paths,
            [
                Path::new("/lib/x86_64-linux-gnu/libm.so.6"),
                Path::new("/lib64/ld-linux-x86-64.so.2")
            ]
        );
    }

    #[test]
    fn a_missing_library_is_named() {
        let error = parse("\tlibodd.so.3 => not found\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("libodd.so.3"), "{error}");
    }
}
