//! py-spy, an independent profiler of Python. It stops its target for each sample and reads the frames from outside.

use std::path::PathBuf;
use std::process::Command;

use super::{Problem, cache, run};
use crate::folded::{self, Sample};

/// From `$STRATA_TEST_DIR/py-spy` (a virtual environment) or the path.
fn find() -> Result<PathBuf, Problem> {
    let ours = cache().join("py-spy/bin/py-spy");
    if ours.is_file() {
        return Ok(ours);
    }
    if super::on_path("py-spy") {
        return Ok(PathBuf::from("py-spy"));
    }
    let folder = cache().join("py-spy");
    Err(Problem::Skipped(format!(
        "py-spy is not installed (python3 -m venv {0} && {0}/bin/pip install py-spy)",
        folder.display()
    )))
}

/// What py-spy says of a process: folded stacks with the line of each frame.
pub fn record(
    pid: u32,
    rate: u32,
    seconds: u32,
    scratch: &std::path::Path,
) -> Result<Vec<Sample>, Problem> {
    let out = scratch.join("py-spy.raw");
    run(Command::new(find()?)
        .args([
            "record",
            "--format",
            "raw",
            "--rate",
            &rate.to_string(),
            "--duration",
            &seconds.to_string(),
        ])
        .args(["--pid", &pid.to_string(), "--output"])
        .arg(&out))?;
    let text =
        std::fs::read_to_string(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    let lines: String = text
        .lines()
        .map(|line| format!("target {pid};{line}\n"))
        .collect();
    Ok(folded::parse(&lines)?)
}
