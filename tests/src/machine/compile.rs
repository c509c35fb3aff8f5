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

    /// A Go program called `name`, and the same one stripped: `NAME-stripped`.
    pub fn go(&self, name: &str, source: &str) -> Result<(PathBuf, PathBuf), Problem> {
        for program in ["go", "strip"] {
            if !on_path(program) {
                return Err(Problem::Skipped(format!("{program} is not installed")));
            }
        }
        let (whole, stripped) = (
            self.out.join(name),
            self.out.join(format!("{name}-stripped")),
        );
        // binutils before 2.42 can't read what Go writes as DWARF 5; Go before 1.25 does not know the word.
        let build = |experiment: &str| {
            let mut command = Command::new("go");
            // Flags that this machine has set may be for another Go.
            command
                .env("GOFLAGS", "")
                .env("GOENV", "off")
                .env("GO111MODULE", "off");
            command
                .env("GOEXPERIMENT", experiment)
                .args(["build", "-o"]);
            run(command.arg(&whole).arg(workloads().join(source)))
        };
        build("nodwarf5").or_else(|_| build(""))?;
        run(Command::new("strip").arg("-o").arg(&stripped).arg(&whole))?;
        Ok((whole, stripped))
    }

    /// A shared library.
    pub fn library(&self, name: &str, source: &str, extra: &[&str]) -> Result<PathBuf, Problem> {
        self.build(name, source, &[&["-shared", "-fPIC"], extra].concat())
    }
}
