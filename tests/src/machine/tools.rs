//! What `nm`, `c++filt` and `addr2line` say of the files that a process has mapped.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Problem, on_path, run};
use crate::folded::Sample;
use crate::symbols::{Oracle, Symbols, nm_names, parse_inlines, places};

/// The oracle for a recording of a process that still runs.
pub fn oracle(pid: u32, samples: &[Sample], scratch: &Path) -> Result<Oracle, Problem> {
    for tool in ["nm", "c++filt", "addr2line"] {
        if !on_path(tool) {
            return Err(Problem::Skipped(format!(
                "{tool} is not installed (binutils)"
            )));
        }
    }
    let mapped = mapped_files(pid, scratch)?;
    let mut oracle = Oracle {
        files: HashMap::new(),
        inlines: HashMap::new(),
    };
    for (name, addresses) in places(samples) {
        // A file that the process does not have stays unknown, and the check says so.
        let Some(path) = mapped.get(&name) else {
            continue;
        };
        let asked: Vec<u64> = addresses
            .iter()
            .flat_map(|address| [*address, address.saturating_sub(1)])
            .collect();
        oracle.files.insert(name.clone(), symbols(path)?);
        let inlines = addr2line(path, &asked)?;
        let demangled = demangle(&inlines)?;
        oracle
            .inlines
            .insert(name, parse_inlines(&inlines, &demangled));
    }
    Ok(oracle)
}

/// Makes the oracle speak of a stripped file by the same file as it was before.
pub fn unstripped(
    oracle: &mut Oracle,
    name: &str,
    whole: &Path,
    samples: &[Sample],
) -> Result<(), Problem> {
    let addresses = places(samples).remove(name).unwrap_or_default();
    let asked: Vec<u64> = addresses
        .iter()
        .flat_map(|address| [*address, address.saturating_sub(1)])
        .collect();
    let inlines = addr2line(whole, &asked)?;
    let demangled = demangle(&inlines)?;
    oracle.files.insert(name.to_owned(), symbols(whole)?);
    oracle
        .inlines
        .insert(name.to_owned(), parse_inlines(&inlines, &demangled));
    Ok(())
}

/// Executable mappings of a process by the last part of their path, and a way to each that works from here.
fn mapped_files(pid: u32, scratch: &Path) -> Result<BTreeMap<String, PathBuf>, String> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))
        .map_err(|error| format!("/proc/{pid}/maps: {error}"))?;
    let mut found = BTreeMap::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let path = words.nth(3).unwrap_or_default();
        if !rights.contains('x') || path.is_empty() {
            continue;
        }
        if path == "[vdso]" {
            found.insert(path.to_owned(), dump_vdso(scratch)?);
        } else if let Some(name) = path.rsplit('/').next() {
            // Leads to the file itself, also when it is deleted or in another root.
            found.insert(
                name.to_owned(),
                PathBuf::from(format!("/proc/{pid}/map_files/{}", plain(range))),
            );
        }
    }
    Ok(found)
}

/// The links in map_files are named without leading zeros.
fn plain(range: &str) -> String {
    range
        .split('-')
        .map(|address| address.trim_start_matches('0'))
        .collect::<Vec<_>>()
        .join("-")
}

/// The vDSO is the same in every 64-bit process: ours is written to a file.
fn dump_vdso(scratch: &Path) -> Result<PathBuf, String> {
    use std::os::unix::fs::FileExt;
    let why = |error: std::io::Error| format!("the vDSO can't be read: {error}");
    let maps = std::fs::read_to_string("/proc/self/maps").map_err(why)?;
    let range = maps
        .lines()
        .find(|line| line.ends_with("[vdso]"))
        .and_then(|line| line.split(' ').next());
    let (start, end) = range
        .and_then(|range| range.split_once('-'))
        .ok_or("this process has no vDSO")?;
    let [start, end] = [start, end].map(|digits| u64::from_str_radix(digits, 16).unwrap_or(0));
    let mut image = vec![0; usize::try_from(end - start).map_err(|error| error.to_string())?];
    std::fs::File::open("/proc/self/mem")
        .and_then(|memory| memory.read_exact_at(&mut image, start))
        .map_err(why)?;
    let path = scratch.join("vdso.so");
    std::fs::write(&path, image).map_err(why)?;
    Ok(path)
}

/// The symbol tables of a file, and those of its separate debug file where one is installed.
fn symbols(path: &Path) -> Result<Symbols, String> {
    let mut symbols = Symbols::default();
    for file in [Some(path.to_owned()), debug_file(path)]
        .into_iter()
        .flatten()
    {
        for table in ["--dynamic", "--debug-syms"] {
            let mut command = Command::new("nm");
            command
                .args([
                    "--print-size",
                    "--synthetic",
                    "--defined-only",
                    "--no-sort",
                    table,
                ])
                .arg(&file);
            // A stripped file has no such table, which nm takes for an error.
            let Ok(text) = run(&mut command) else {
                continue;
            };
            let names = nm_names(&text);
            symbols.add(&text, &demangle(&names)?);
        }
    }
    Ok(symbols)
}

/// What distributions keep apart from a stripped file, found by the file's build id.
fn debug_file(path: &Path) -> Option<PathBuf> {
    let notes = run(Command::new("readelf").arg("--notes").arg(path)).ok()?;
    let id = notes
        .lines()
        .find_map(|line| line.trim().strip_prefix("Build ID: "))?;
    let (folder, name) = id.split_at_checked(2)?;
    let debug = PathBuf::from(format!("/usr/lib/debug/.build-id/{folder}/{name}.debug"));
    debug.is_file().then_some(debug)
}

/// Each mangled name in a text, made readable.
fn demangle(names: &str) -> Result<String, String> {
    filter(Command::new("c++filt").arg("--no-strip-underscore"), names)
}

fn addr2line(path: &Path, addresses: &[u64]) -> Result<String, String> {
    let path = &debug_file(path).unwrap_or_else(|| path.to_owned());
    let input: String = addresses
        .iter()
        .map(|address| format!("0x{address:x}\n"))
        .collect();
    let mut command = Command::new("addr2line");
    command
        .args(["--addresses", "--functions", "--inlines", "--exe"])
        .arg(path);
    filter(&mut command, &input)
}

/// Runs a command with text as its input.
fn filter(command: &mut Command, input: &str) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let why = |error: std::io::Error| format!("{program}: {error}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(why)?;
    let mut pipe = child.stdin.take().ok_or("no pipe")?;
    let input = input.to_owned();
    // From a thread of its own: the other side answers while it is still being asked.
    let writer = std::thread::spawn(move || pipe.write_all(input.as_bytes()));
    let output = child.wait_with_output().map_err(why)?;
    let _ = writer.join();
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
