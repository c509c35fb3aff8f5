//! A file is one concept. One that grows past the limit is two.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Violation;
use super::tree::{Tree, is_rust};

const LIMIT: usize = 500;

/// Files that may be longer, each with its reason.
const EXCEPTIONS: &[(&str, &str)] = &[];

pub fn check(tree: &Tree) -> Result<Vec<Violation>> {
    check_with(tree, EXCEPTIONS)
}

fn check_with(tree: &Tree, exceptions: &[(&str, &str)]) -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    let mut used = Vec::new();
    for file in tree.files().iter().filter(|file| is_rust(file)) {
        let lines = tree.text(file)?.lines().count();
        if lines <= LIMIT {
            continue;
        }
        match exceptions
            .iter()
            .find(|(exception, _)| Path::new(exception) == file)
        {
            Some((exception, _)) => used.push(*exception),
            None => violations.push(Violation {
                file: file.clone(),
                line: LIMIT + 1,
                message: format!(
                    "the file has {lines} lines and may have {LIMIT}; divide it by concept"
                ),
            }),
        }
    }
    for (exception, reason) in exceptions
        .iter()
        .filter(|(exception, _)| !used.contains(exception))
    {
        violations.push(Violation {
            file: PathBuf::from(exception),
            line: 1,
            message: format!(
                "the file needs no exception any more ({reason}); take it off the list in sizes.rs"
            ),
        });
    }
    Ok(violations)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn found(lines: usize, exceptions: &[(&str, &str)]) -> usize {
        let scratch = Scratch::new().unwrap();
        scratch
            .write("agent/src/long.rs", &"//\n".repeat(lines))
            .unwrap();
        scratch
            .write("README.md", &"text\n".repeat(LIMIT + 1))
            .unwrap();
        check_with(&Tree::of_scratch(&scratch), exceptions)
            .unwrap()
            .len()
    }

    #[test]
    fn a_file_may_have_so_many_lines_and_no_more() {
        assert_eq!(found(LIMIT, &[]), 0);
        assert_eq!(found(LIMIT + 1, &[]), 1);
    }

    #[test]
    fn an_exception_passes_as_long_as_it_is_needed() {
        let exceptions = &[("agent/src/long.rs", "a table that is generated")];
        assert_eq!(found(LIMIT + 1, exceptions), 0);
        assert_eq!(found(LIMIT, exceptions), 1);
    }
}
