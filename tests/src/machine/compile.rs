//! Builds the workloads that are not Python.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Problem, on_path, run, workloads};

/// Compiles into one folder, each program once a run.
pub struct Compiler {
    out: PathBuf,
}

/// How every C and C++ program is built unless a test says otherwise: as distributions do it, without frame pointers.
const FLAGS: [&str; 4] = ["-O2", "-g", "-fomit-frame-pointer", "-Wall"];

impl Compiler {
    pub fn new(out: &Path) -> Self {
        Self {
            out: out.to_owned(),
        }
    }

    /// A program or library called `name` from one source file below `workloads/`.
    pub fn build(&self, name: &str, source: &str, extra: &[&str]) -> Result<PathBuf, Problem> {
        let path = self.out.join(name);
        let (program, flags): (&str, &[&str]) = match source.rsplit('.').next() {
            Some("c") => ("gcc", &FLAGS),
            Some("cpp") => ("g++", &FLAGS),
            _ => (
                "rustc",
                &[
                    "--edition",
                    "2024",
                    "-C",
                    "opt-level=3",
                    "-C",
                    "debuginfo=2",
                ],
            ),
        };
        if !on_path(program) {
            return Err(Problem::Skipped(format!("{program} is not installed")));
        }
        let mut command = Command::new(program);
        command
            .args(flags)
            .arg(workloads().join(source))
            .arg("-o")
            .arg(&path)
            .args(extra);
        // Where libraries of ours are found when linking and when running.
        if extra.iter().any(|flag| flag.starts_with("-l")) {
            command
                .arg(format!("-L{}", self.out.display()))
                .arg(format!("-Wl,-rpath,{}", self.out.display()));
        }
        run(&mut command)?;
        Ok(path)
    }

    /// The same; what the compiler can't do here (32 bits, static) is a reason to skip and no failure.
    pub fn build_if_can(
        &self,
        name: &str,
        source: &str,
        extra: &[&str],
    ) -> Result<PathBuf, Problem> {
        self.build(name, source, extra)
            .map_err(|problem| Problem::Skipped(format!("{name} can't be built: {problem}")))
    }

    /// A shared library.
    pub fn library(&self, name: &str, source: &str, extra: &[&str]) -> Result<PathBuf, Problem> {
        self.build(name, source, &[&["-shared", "-fPIC"], extra].concat())
    }
}
