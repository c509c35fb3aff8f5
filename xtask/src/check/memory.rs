//! Who may read another process's memory; that nobody stops a process or writes to it.

use std::path::Path;

use anyhow::Result;

use super::Violation;
use super::paths::paths;
use super::room::{AGENT, modules};
use super::source::Source;
use super::tree::Tree;

const READS: &[&str] = &["process_vm_readv"];
/// Nobody may, in no room: the target is only ever read.
const DISTURBS: &[&str] = &["ptrace", "process_vm_writev"];

pub fn check(tree: &Tree) -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    for (file, source) in tree.sources(AGENT)? {
        let mut broken = |line, message: &str| {
            violations.push(Violation {
                file: file.to_owned(),
                line,
                message: message.to_owned(),
            });
        };
        for path in paths(&source) {
            let names = |any: &[&str]| {
                path.segments
                    .iter()
                    .any(|segment| any.contains(&segment.as_str()))
            };
            if names(DISTURBS) {
                broken(path.line, "a target is never stopped and never written to");
            }
            if names(READS) && !may_read(file) {
                broken(path.line, READ_REMEDY);
            }
        }
        if !may_read(file) {
            for line in opens_memory(&source) {
                broken(line, READ_REMEDY);
            }
        }
    }
    Ok(violations)
}

const READ_REMEDY: &str = "only `process` and `python`'s reader (python/reader or python/memory) may read another process's memory";

pub fn may_read(file: &Path) -> bool {
    let modules = modules(file);
    let modules: Vec<&str> = modules.iter().map(String::as_str).collect();
    matches!(
        modules[..],
        ["process", ..] | ["python", "reader" | "memory", ..]
    )
}

/// Lines with a name that ends like /proc/PID/mem.
fn opens_memory(source: &Source) -> Vec<usize> {
    source
        .literals()
        .filter(|(_, text)| text.ends_with("/mem"))
        .map(|(line, _)| line)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn found(file: &str, text: &str) -> usize {
        let scratch = Scratch::new().unwrap();
        scratch.write(file, text).unwrap();
        check(&Tree::of_scratch(&scratch)).unwrap().len()
    }

    const CALL: &str = "fn f() { unsafe { libc::process_vm_readv(pid, a, 1, b, 1, 0) } }";
    const OPEN: &str = "fn f() { File::open(format!(\"/proc/{pid}/mem\")) }";

    #[test]
    fn two_places_may_read_memory() {
        for file in [
            "agent/src/process/read.rs",
            "agent/src/python/reader.rs",
            "agent/src/python/memory/mod.rs",
        ] {
            assert_eq!((found(file, CALL), found(file, OPEN)), (0, 0), "{file}");
        }
    }

    #[test]
    fn no_other_place_may() {
        for file in [
            "agent/src/python/code.rs",
            "agent/src/symbols/native.rs",
            "agent/src/main.rs",
        ] {
            assert_eq!((found(file, CALL), found(file, OPEN)), (1, 1), "{file}");
        }
    }

    #[test]
    fn nobody_stops_or_writes() {
        assert_eq!(
            found(
                "agent/src/process/read.rs",
                "use libc::{ptrace, process_vm_writev};"
            ),
            2
        );
    }
}
