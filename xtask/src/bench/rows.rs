//! `.eh_frame` to unwind rows, for libraries of three sizes. `agent/examples/rows.rs` does the work.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Bench;
use super::figure::Figure;
use crate::process;

#[derive(Deserialize)]
struct Line {
    file: PathBuf,
    rows: u64,
    best_seconds: f64,
    median_seconds: f64,
}

pub fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let target = bench.repository.target();
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build
        .current_dir(bench.repository.root())
        .env("CARGO_TARGET_DIR", &target)
        .args([
            "build",
            "--quiet",
            "--release",
            "--package",
            "strata",
            "--example",
            "rows",
        ]);
    process::run(&mut build)?;
    let mut command = Command::new(target.join("release/examples/rows"));
    command.args(libraries(&bench.python));
    let text = process::output(&mut command)?;
    text.lines()
        .map(|line| {
            let line: Line = serde_json::from_str(line).context("rows did not print JSON")?;
            let name = line.file.file_name().unwrap_or_default().to_string_lossy();
            let per_second = line.rows as f64 / line.median_seconds / 1e6;
            let figure = Figure::new(format!("rows of {}", short(&name)), per_second, "M/s");
            Ok(figure.note(format!(
                "{} rows in {:.1} ms (best {:.1})",
                line.rows,
                line.median_seconds * 1e3,
                line.best_seconds * 1e3
            )))
        })
        .collect()
}

/// `librustc_driver-6108105cd7e839cf.so` without its hash, `libLLVM.so.22.1-rust-1.95.0-stable` without its version.
fn short(name: &str) -> &str {
    let end = name.find(['-', '.']).unwrap_or(name.len());
    name.get(..end).unwrap_or(name)
}

/// Those of them that are there.
fn libraries(python: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/usr/lib/x86_64-linux-gnu/libc.so.6")];
    if let Some(version) = python.ancestors().nth(2) {
        found.push(version.join("lib/libpython3.11.so.1.0"));
    }
    let sysroot = process::output(Command::new("rustc").args(["--print", "sysroot"]));
    let folder = PathBuf::from(sysroot.unwrap_or_default().trim()).join("lib");
    let mut compiler: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("librustc_driver") || name.starts_with("libLLVM.so")
        })
        .collect();
    compiler.sort();
    found.extend(compiler);
    found.retain(|path| path.is_file());
    found
}
