//! Who is compared: how each is found, called, and how its samples are counted.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::bench::Bench;
use crate::bench::target::Target;
use crate::process;

pub struct Tool {
    pub name: &'static str,
    /// Where it is; the error says how to get it.
    pub find: fn(&Bench) -> Result<PathBuf>,
    pub target: fn(&Bench) -> Result<Target>,
    /// Bench, program, process, rate, seconds, output.
    pub command: fn(&Bench, &Path, u32, u32, u32, &Path) -> Command,
    /// Ends by itself when its seconds are over.
    pub ends_alone: bool,
    /// How many stacks came of it, by its output and by what it said.
    pub samples: fn(&Path, &str) -> Option<f64>,
}

pub const TOOLS: &[Tool] = &[
    Tool {
        name: "strata",
        find: |bench| Ok(bench.strata.clone()),
        target: python311,
        command: |bench, program, pid, rate, _, output| {
            let mut command = Command::new(program);
            command.args(["record", "-p", &pid.to_string(), "-r", &rate.to_string()]);
            command.args(["-d", "5", "-f", "folded", "-o"]).arg(output);
            command
                .arg("--stats-json")
                .arg(bench.work().join("rival.json"));
            command
        },
        ends_alone: true,
        samples: |output, _| folded(output),
    },
    Tool {
        name: "perf -g",
        find: |_| perf(),
        target: python311,
        command: |_, program, pid, rate, _, output| perf_record(program, pid, rate, "fp", output),
        ends_alone: false,
        samples: |_, said| crate::bench::perf::captured(said).map(|samples| samples as f64),
    },
    Tool {
        name: "perf --call-graph dwarf",
        find: |_| perf(),
        target: python311,
        command: |_, program, pid, rate, _, output| {
            perf_record(program, pid, rate, "dwarf", output)
        },
        ends_alone: false,
        samples: |_, said| crate::bench::perf::captured(said).map(|samples| samples as f64),
    },
    Tool {
        name: "py-spy",
        find: |_| cached("py-spy/bin/py-spy"),
        target: python311,
        command: |_, program, pid, rate, seconds, output| {
            py_spy(program, pid, rate, seconds, output)
        },
        ends_alone: true,
        samples: |output, _| folded(output),
    },
    Tool {
        name: "py-spy --native",
        find: |_| cached("py-spy/bin/py-spy"),
        target: python311,
        command: |_, program, pid, rate, seconds, output| {
            let mut command = py_spy(program, pid, rate, seconds, output);
            command.arg("--native");
            command
        },
        ends_alone: true,
        samples: |output, _| folded(output),
    },
    Tool {
        name: "Austin",
        find: |_| cached("austin/bin/austin"),
        target: python311,
        command: |_, program, pid, rate, seconds, output| {
            let mut command = with_newer_libc(program);
            command.args(["-i", &format!("{}us", 1_000_000 / rate)]);
            command.args(["-x", &seconds.to_string(), "-p", &pid.to_string(), "-o"]);
            command.arg(output);
            command
        },
        ends_alone: true,
        samples: |_, said| austin(said),
    },
    Tool {
        name: "Tachyon",
        find: |_| cached("sid/usr/bin/python3.15"),
        target: |bench| Target::python_in(bench.repository, &cache().join("sid"), bench.work()),
        command: |_, _, pid, rate, seconds, output| {
            let script = "exec /usr/bin/python3.15 -m profiling.sampling attach -r \"$0\" -d \"$1\" \
                          --collapsed -o /tmp/tachyon.out \"$2\"";
            let _ = std::fs::remove_file(output);
            let _ = std::os::unix::fs::symlink(cache().join("sid/tmp/tachyon.out"), output);
            let mut command = Command::new("nsenter");
            command.args(["-m", "-r", "-t", &pid.to_string(), "/bin/sh", "-c", script]);
            command.args([rate, seconds, pid].map(|number| number.to_string()));
            command
        },
        ends_alone: true,
        samples: |output, _| folded(output),
    },
];

fn python311(bench: &Bench) -> Result<Target> {
    Target::python(bench.repository, &bench.python, bench.work())
}

/// Where tests/setup.sh puts what it fetches.
fn cache() -> PathBuf {
    env::var_os("STRATA_TEST_DIR").map_or_else(|| "/var/cache/strata-test".into(), PathBuf::from)
}

fn cached(name: &str) -> Result<PathBuf> {
    let path = cache().join(name);
    if !path.exists() {
        bail!("{} is not there; tests/setup.sh brings it", path.display());
    }
    Ok(path)
}

fn perf() -> Result<PathBuf> {
    process::find_program("perf").context("perf is not there; tests/setup.sh brings it")
}

fn perf_record(program: &Path, pid: u32, rate: u32, graph: &str, output: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["record", "-e", "cpu-clock", "-F", &rate.to_string()]);
    // Without this, perf goes to each CPU to begin there, and waits for the target's.
    command.args([
        "--per-thread",
        "--call-graph",
        graph,
        "-p",
        &pid.to_string(),
    ]);
    command.arg("-o").arg(output);
    command
}

fn py_spy(program: &Path, pid: u32, rate: u32, seconds: u32, output: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["record", "-f", "raw", "-p", &pid.to_string()]);
    command.args(["-r", &rate.to_string(), "-d", &seconds.to_string(), "-o"]);
    command.arg(output);
    command
}

/// Austin's wheel wants a C library that Debian 12 does not have, and sid does.
fn with_newer_libc(program: &Path) -> Command {
    let libraries = cache().join("sid/usr/lib/x86_64-linux-gnu");
    let loader = libraries.join("ld-linux-x86-64.so.2");
    if !loader.exists() {
        return Command::new(program);
    }
    let mut command = Command::new(loader);
    command.arg("--library-path").arg(libraries).arg(program);
    command
}

/// The sum of the counts at the ends of lines.
fn folded(output: &Path) -> Option<f64> {
    let text = fs::read_to_string(output).ok()?;
    let counts = text
        .lines()
        .filter(|line| line.contains(';'))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Some(counts.sum())
}

/// `Error rate . . . 12/2746 (0.44%)`, with colours in between.
fn austin(said: &str) -> Option<f64> {
    let line = said.lines().find(|line| line.contains("Error rate"))?;
    line.split(|c: char| !(c.is_ascii_digit() || c == '/'))
        .find_map(|word| {
            let (errors, all) = word.split_once('/')?;
            Some(all.parse::<f64>().ok()? - errors.parse::<f64>().ok()?)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn stacks_are_counted_in_what_the_tools_write() {
        let scratch = Scratch::new().unwrap();
        let path = scratch
            .write("out", "a;b c 3\na;b 4\n\nSummary: 12 things\n")
            .unwrap();
        assert_eq!(folded(&path), Some(7.0));
        let said = "Duration . \u{1b}[1m3.00s\n Error rate\u{1b}[0;30m . .\u{1b}[0m[\u{1b}[1m46/2746\u{1b}[0m (1 %)";
        assert_eq!(austin(said), Some(2700.0));
        assert_eq!(austin("nothing"), None);
    }
}
