//! The contract between kernel and agent depends on nothing but `core`: both sides compile it, with two compilers.

use std::path::Path;

use anyhow::Result;

use super::Violation;
use super::paths::paths;
use super::tree::Tree;

const MANIFEST: &str = "agent-common/Cargo.toml";
const SOURCES: &str = "agent-common/src";

pub fn check(tree: &Tree) -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    if tree.files().iter().any(|file| file == Path::new(MANIFEST)) {
        for (line, dependency) in dependencies(&tree.text(Path::new(MANIFEST))?) {
            let message = format!(
                "agent-common depends on nothing, but here on `{dependency}`; move its user elsewhere"
            );
            violations.push(Violation {
                file: MANIFEST.into(),
                line,
                message,
            });
        }
    }
    for (file, source) in tree.sources(SOURCES)? {
        for path in paths(&source) {
            if let Some(outside @ ("std" | "alloc")) = path.segments.first().map(String::as_str)
                && path.segments.len() > 1
            {
                let message = format!(
                    "agent-common uses `core` alone, but here `{outside}`; the kernel side has none"
                );
                violations.push(Violation {
                    file: file.to_owned(),
                    line: path.line,
                    message,
                });
            }
        }
    }
    Ok(violations)
}

/// What a manifest names in its tables of dependencies, without those of tests.
fn dependencies(manifest: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut inside = false;
    for (line, text) in (1..).zip(manifest.lines()) {
        let text = text.split('#').next().unwrap_or_default().trim();
        if let Some(header) = text.strip_prefix('[') {
            let header = header.trim_end_matches(']');
            let kinds = ["dependencies", "build-dependencies"];
            inside = header
                .rsplit('.')
                .next()
                .is_some_and(|last| kinds.contains(&last));
            // [dependencies.NAME]
            if let Some((table, name)) = header.rsplit_once('.')
                && table
                    .rsplit('.')
                    .next()
                    .is_some_and(|last| kinds.contains(&last))
            {
                found.push((line, name.to_owned()));
            }
        } else if inside && let Some((name, _)) = text.split_once('=') {
            found.push((line, name.trim().to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn found(file: &str, text: &str) -> Vec<String> {
        let scratch = Scratch::new().unwrap();
        scratch.write(file, text).unwrap();
        check(&Tree::of_scratch(&scratch))
            .unwrap()
            .iter()
            .map(Violation::to_string)
            .collect()
    }

    #[test]
    fn a_dependency_is_found_in_every_form() {
        for text in [
            "[dependencies]\naya = \"1\"\n",
            "\n[dependencies.aya]\nversion = \"1\"\n",
            "[target.'cfg(unix)'.dependencies]\naya.version = \"1\"\n",
            "[build-dependencies]\naya = { version = \"1\" }\n",
        ] {
            let found = found(MANIFEST, text);
            assert!(
                found.len() == 1 && found[0].contains("toml:2: ") && found[0].contains("aya"),
                "{found:?}"
            );
        }
    }

    #[test]
    fn no_dependencies_and_those_of_tests_pass() {
        assert!(
            found(
                MANIFEST,
                "[dependencies]\n# none = 1\n[dev-dependencies]\nx = \"1\"\n[features]\ny = []\n"
            )
            .is_empty()
        );
    }

    #[test]
    fn std_is_found_and_core_passes() {
        assert_eq!(
            found("agent-common/src/record.rs", "use std::mem::size_of;").len(),
            1
        );
        assert_eq!(
            found("agent-common/src/record.rs", "use alloc::vec::Vec;").len(),
            1
        );
        assert!(
            found(
                "agent-common/src/record.rs",
                "use core::mem; #[cfg(test)] mod tests { use std::fs; }"
            )
            .is_empty()
        );
    }
}
