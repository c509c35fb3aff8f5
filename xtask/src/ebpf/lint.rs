//! Clippy over the kernel side. The workspace's own run can't compile it.

use anyhow::Result;

use super::{build, toolchain};
use crate::process;
use crate::repository::Repository;

pub fn run(repository: &Repository) -> Result<()> {
    let toolchain = toolchain::required()?;
    if !toolchain.sysroot.join("bin/cargo-clippy").is_file() {
        println!(
            "The kernel side was not linted: {} has no clippy here.",
            toolchain::RUSTC_VERSION
        );
        return Ok(());
    }
    let mut cargo = build::cargo(
        repository.root(),
        &toolchain,
        &repository.target().join("ebpf"),
    )?;
    process::run(cargo.args(["clippy", "--release", "--quiet", "--", "-D", "warnings"]))
}
