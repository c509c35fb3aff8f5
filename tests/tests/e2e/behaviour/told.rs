//! Results that can't be written, and what is said when what was asked for can't be done.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use strata_tests::machine::{self, Problem, on_path};

use super::{NOBODY, ends, expect, folder, run, said, simple, text};
use crate::world::World;

/// A tiny file system, gone when dropped.
struct Tiny(PathBuf);

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// A full disk costs no recording: it is somewhere else, and it is said where. What was there is left as it was.
pub fn disk_full(world: &World) -> Result<(), Problem> {
    let target = simple(world)?;
    let place = folder(world, "tiny")?;
    machine::run(
        Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8k", "tmpfs"])
            .arg(&place),
    )?;
    let tiny = Tiny(place);
    let (file, ballast) = (tiny.0.join("a.svg"), tiny.0.join("ballast"));
    for path in [&file, &ballast] {
        fs::write(path, [b'x'; 4096]).map_err(|error| error.to_string())?;
    }
    let rescue = folder(world, "rescue")?;
    let pid = target.pid.to_string();
    let mut command = world.strata()?.command(&[
        "record",
        "-p",
        &pid,
        "-d",
        "1",
        "-r",
        "499",
        "-o",
        &text(&file),
    ]);
    let output = machine::output(command.env("TMPDIR", &rescue))?;
    ends(&output, 1, &["No space left", &text(&rescue), "not lost"])?;
    let mut rescued = fs::read_dir(&rescue).map_err(|error| error.to_string())?;
    let entry = rescued
        .next()
        .and_then(Result::ok)
        .ok_or("nothing was rescued")?;
    let svg = fs::read_to_string(entry.path()).map_err(|error| error.to_string())?;
    expect(
        svg.contains("<title>inner (") && svg.trim_end().ends_with("</svg>"),
        || format!("the rescued file is not the picture: {} bytes", svg.len()),
    )?;
    let before = fs::read(&file).map_err(|error| error.to_string())?;
    let names = fs::read_dir(&tiny.0)
        .map_err(|error| error.to_string())?
        .count();
    expect(before == [b'x'; 4096] && names == 2, || {
        format!(
            "{} bytes and {names} files are left on the full disk",
            before.len()
        )
    })
}

/// Found out before the recording, not after it.
pub fn no_folder(world: &World) -> Result<(), Problem> {
    let file = text(&world.scratch().join("absent/a.svg"));
    let begin = Instant::now();
    ends(
        &run(world, &["record", "-d", "60", "-o", &file])?,
        1,
        &[&file, "-o"],
    )?;
    let stats = ["record", "-d", "60", "-o", "-", "--stats-json", &file];
    ends(&run(world, &stats)?, 1, &[&file])?;
    expect(begin.elapsed() < Duration::from_secs(50), || {
        "only after the recording".to_owned()
    })
}

/// What is in a recording, where it is, and how to open it. No progress where nobody looks.
pub fn summary(world: &World) -> Result<(), Problem> {
    let target = simple(world)?;
    let (svg, pprof) = (
        world.scratch().join("sum.svg"),
        world.scratch().join("sum.pb.gz"),
    );
    let pid = target.pid.to_string();
    let output = run(
        world,
        &[
            "record",
            "-p",
            &pid,
            "-d",
            "1",
            "-r",
            "499",
            "-o",
            &text(&svg),
            "-o",
            &text(&pprof),
        ],
    )?;
    let opened = format!("go tool pprof -http=: {}", pprof.display());
    ends(
        &output,
        0,
        &[
            " samples in 1.",
            "%  burn_turns (simple)",
            &text(&svg),
            "browser",
            &opened,
        ],
    )?;
    let text = said(&output);
    expect(!text.contains(['\r', '\x1b']), || {
        format!("control characters in {text:?}")
    })
}

/// The missing right by its name, and what to type.
pub fn rights(world: &World) -> Result<(), Problem> {
    if !on_path("setpriv") {
        return Err(Problem::Skipped(
            "setpriv is not installed (util-linux)".to_owned(),
        ));
    }
    let binary = &world.strata()?.binary;
    let with = |flags: &[&str], words: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(flags).arg("--").arg(binary);
        ends(
            &machine::output(command.args(["record", "-d", "1", "-o", "-"]))?,
            1,
            words,
        )
    };
    let root = ["--inh-caps=-all", "--bounding-set=-all,+bpf"];
    with(
        &root,
        &[
            "lacks CAP_PERFMON,",
            "--cap-add BPF --cap-add PERFMON",
            "hostPID",
        ],
    )?;
    let nobody = NOBODY.to_string();
    let user = ["--reuid", &nobody, "--regid", &nobody, "--clear-groups"];
    // Where the binary lies in a folder of root's it can't be started as somebody else.
    let reachable = machine::output(
        Command::new("setpriv")
            .args(user)
            .arg(binary)
            .arg("--version"),
    );
    if reachable.is_ok_and(|output| output.status.success()) {
        let typed = format!("sudo {} record -d 1 -o -", binary.display());
        with(
            &user,
            &[
                "lacks CAP_BPF and CAP_PERFMON",
                &typed,
                "setcap cap_bpf,cap_perfmon",
            ],
        )?;
    }
    Ok(())
}

/// A rate that can't be had is told with the one that can.
pub fn rate(world: &World) -> Result<(), Problem> {
    let max = fs::read_to_string("/proc/sys/kernel/perf_event_max_sample_rate")
        .map_err(|error| error.to_string())?;
    let max: u64 = max
        .trim()
        .parse()
        .map_err(|error| format!("{max}: {error}"))?;
    let above = (max + 1).to_string();
    let words = [
        format!("maximum of {max} "),
        format!("sysctl kernel.perf_event_max_sample_rate={above}"),
    ];
    ends(
        &run(world, &["record", "-d", "1", "-r", &above, "-o", "-"])?,
        2,
        &[&words[0], &words[1]],
    )?;
    ends(&run(world, &["record", "-r", "0"])?, 2, &["at least 1"])
}

/// What was typed wrong is answered with what is right.
pub fn usage(world: &World) -> Result<(), Problem> {
    let of = |arguments: &[&str]| run(world, arguments);
    ends(
        &of(&[])?,
        2,
        &["record -d 10", "record -p PID", "-- python3 app.py"],
    )?;
    ends(&of(&["recrod"])?, 2, &["'record'"])?;
    ends(&of(&["record", "--duraton", "1"])?, 2, &["'--duration'"])?;
    ends(&of(&["record", "-f", "svgg"])?, 2, &["flamegraph", "pprof"])?;
    ends(
        &of(&["record", "-o", "a.xyz"])?,
        2,
        &["a.xyz", ".svg", "-f"],
    )?;
    ends(&of(&["record", "-p", "1", "--", "true"])?, 2, &["-p"])?;
    let help = of(&["help", "record"])?;
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    expect(
        help.contains("Examples:") && help.contains("[default: 99]"),
        || help.clone(),
    )
}
