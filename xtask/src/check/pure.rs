//! Which rooms do no I/O: parsers take bytes and give values, so that tests and fuzzers can call them.

use anyhow::Result;

use super::Violation;
use super::memory::may_read;
use super::paths::paths;
use super::tree::Tree;

const PURE: &[&str] = &["agent/src/unwind", "agent/src/python"];

/// What leads out of the process. `std::io`'s traits and errors do not.
const OUTSIDE: &[&[&str]] = &[
    &["std", "env"],
    &["std", "fs"],
    &["std", "net"],
    &["std", "process"],
    &["std", "io", "stdin"],
    &["std", "io", "stdout"],
    &["std", "io", "stderr"],
    &["std", "os", "unix", "fs"],
    &["std", "os", "unix", "net"],
    &["libc"],
    &["memmap2"],
    &["nix"],
    &["procfs"],
    &["rustix"],
    &["tokio"],
];

pub fn check(tree: &Tree) -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    for room in PURE {
        for (file, source) in tree.sources(room)? {
            // python's reader is the one place there that leads out.
            if may_read(file) {
                continue;
            }
            for path in paths(&source) {
                if let Some(outside) = OUTSIDE
                    .iter()
                    .find(|outside| leads_to(&path.segments, outside))
                {
                    let message = format!(
                        "parsers do no I/O, but this uses `{}`; take the bytes as an argument",
                        outside.join("::")
                    );
                    violations.push(Violation {
                        file: file.to_owned(),
                        line: path.line,
                        message,
                    });
                }
            }
        }
    }
    Ok(violations)
}

fn leads_to(segments: &[String], outside: &[&str]) -> bool {
    // A name alone may be a variable; a crate is followed by what is used of it.
    segments.len() > 1
        && segments.len() >= outside.len()
        && segments
            .iter()
            .zip(outside)
            .all(|(one, other)| one == other)
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

    #[test]
    fn parsers_open_nothing() {
        for text in [
            "use std::fs;",
            "use std::{fs::File, io};",
            "fn f() { std::fs::read(x) }",
            "use libc::pread;",
        ] {
            assert_eq!(found("agent/src/unwind/rows.rs", text), 1, "{text}");
            assert_eq!(found("agent/src/python/code.rs", text), 1, "{text}");
        }
    }

    #[test]
    fn readers_other_rooms_and_tests_may() {
        for file in [
            "agent/src/python/reader.rs",
            "agent/src/symbols/native.rs",
            "agent/src/unwind/tests.rs",
        ] {
            assert_eq!(found(file, "use std::fs;"), 0, "{file}");
        }
        assert_eq!(
            found(
                "agent/src/unwind/rows.rs",
                "#[cfg(test)] mod tests { use std::fs; }"
            ),
            0
        );
    }

    #[test]
    fn errors_and_traits_are_no_io() {
        assert_eq!(
            found(
                "agent/src/python/code.rs",
                "use std::io::{self, Read}; let process = 1; x.libc"
            ),
            0
        );
    }
}
