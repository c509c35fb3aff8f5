//! The agent's rooms: the modules right below `agent/src`.

use std::path::Path;

pub const AGENT: &str = "agent/src";

pub const ROOMS: &[&str] = &[
    "cli",
    "bpf",
    "process",
    "unwind",
    "python",
    "symbols",
    "profile",
    "format",
    "session",
    "doctor",
    "store",
    "export",
    "metadata",
    "telemetry",
];

/// The modules that a file of the agent lies in, outermost first.
pub fn modules(file: &Path) -> Vec<String> {
    let Ok(inside) = file.strip_prefix(AGENT) else {
        return Vec::new();
    };
    let mut modules: Vec<String> = inside
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if modules.last().is_some_and(|last| last == "mod")
        || ["main", "lib"].iter().any(|root| modules == [*root])
    {
        modules.pop();
    }
    modules
}

/// The room of a file, or of whatever lies at this path of modules.
pub fn room(modules: &[String]) -> Option<&'static str> {
    let first = modules.first()?;
    ROOMS.iter().find(|room| *room == first).copied()
}

/// What a path names inside of this crate, counted from the crate's root. None if it leads to another crate.
pub fn resolve(modules: &[String], segments: &[String]) -> Option<Vec<String>> {
    let supers = segments
        .iter()
        .take_while(|segment| *segment == "super")
        .count();
    match segments.first()?.as_str() {
        "crate" | "strata" => Some(segments[1..].to_vec()),
        "self" => Some([modules, &segments[1..]].concat()),
        "super" => Some(
            [
                &modules[..modules.len().saturating_sub(supers)],
                &segments[supers..],
            ]
            .concat(),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(path: &str) -> Vec<String> {
        path.split("::")
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn a_file_lies_in_its_modules() {
        for (file, expected) in [
            ("agent/src/lib.rs", ""),
            ("agent/src/main.rs", ""),
            ("agent/src/profile/mod.rs", "profile"),
            ("agent/src/profile/frame.rs", "profile::frame"),
            ("agent/src/python.rs", "python"),
        ] {
            assert_eq!(modules(Path::new(file)), words(expected), "{file}");
        }
        assert_eq!(room(&words("profile::frame")), Some("profile"));
        assert_eq!(room(&words("error")), None);
    }

    #[test]
    fn paths_lead_to_the_same_place_however_they_are_written() {
        let modules = words("profile::frame");
        for path in [
            "crate::symbols::Name",
            "super::super::symbols::Name",
            "strata::symbols::Name",
        ] {
            assert_eq!(
                resolve(&modules, &words(path)),
                Some(words("symbols::Name")),
                "{path}"
            );
        }
        assert_eq!(
            resolve(&modules, &words("super::stack")),
            Some(words("profile::stack"))
        );
        assert_eq!(
            resolve(&modules, &words("self::inner")),
            Some(words("profile::frame::inner"))
        );
        assert_eq!(resolve(&modules, &words("std::fs")), None);
    }
}
