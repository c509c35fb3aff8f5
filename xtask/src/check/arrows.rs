//! Which room may use which. Data moves one way, and what it passes through last must not reach back.

use anyhow::Result;

use super::Violation;
use super::paths::paths;
use super::room::{AGENT, modules, resolve, room};
use super::tree::Tree;

/// Rooms that may use no other rooms but these. Rooms that are not listed may use any.
const MAY_USE: &[(&str, &[&str])] = &[
    // The hub that everything else writes to or reads from.
    ("profile", &[]),
    // Bytes in, rows out.
    ("unwind", &[]),
    // Profile in, bytes out.
    ("format", &["profile"]),
    // Messages are bytes with a time.
    ("store", &[]),
    // Ships what the store holds; other formats are made of its messages.
    ("export", &["store", "format", "profile"]),
    ("metadata", &["process"]),
    // Shows what the others count.
    ("telemetry", &["store", "export", "session", "metadata"]),
    // Asks those whom a recording asks; how its answers look is not its business.
    (
        "doctor",
        &["bpf", "process", "unwind", "python", "symbols", "session"],
    ),
];

pub fn check(tree: &Tree) -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    for (file, source) in tree.sources(AGENT)? {
        let modules = modules(file);
        let here = room(&modules);
        for path in paths(&source) {
            let mut broken = |message: String| {
                violations.push(Violation {
                    file: file.to_owned(),
                    line: path.line,
                    message,
                });
            };
            if here != Some("bpf") && names_aya(&path.segments) {
                broken("only the room `bpf` may name aya; give the others a type of ours".into());
            }
            let (Some(here), Some(target)) = (here, resolve(&modules, &path.segments)) else {
                continue;
            };
            let Some((_, allowed)) = MAY_USE.iter().find(|(room, _)| *room == here) else {
                continue;
            };
            if target.first().is_some_and(|first| first == "*") {
                broken(format!(
                    "`{here}` takes in everything at the crate's root; name what it needs"
                ));
            }
            match room(&target) {
                Some(target) if target != here && !allowed.contains(&target) => {
                    broken(format!(
                        "`{here}` may not use `{target}`; {}",
                        remedy(allowed)
                    ));
                }
                _ => {}
            }
        }
    }
    Ok(violations)
}

fn names_aya(segments: &[String]) -> bool {
    segments
        .first()
        .is_some_and(|first| first == "aya" || first.starts_with("aya_"))
}

fn remedy(allowed: &[&str]) -> String {
    match allowed {
        [] => "it uses no other room: let the caller hand in what it needs".into(),
        allowed => format!("of the other rooms it uses {} alone", allowed.join(", ")),
    }
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

    #[track_caller]
    fn assert_broken(file: &str, text: &str, part: &str) {
        let found = found(file, text);
        assert!(found.len() == 1 && found[0].contains(part), "{found:?}");
    }

    #[test]
    fn profile_uses_no_other_room() {
        assert_broken(
            "agent/src/profile/frame.rs",
            "\nuse crate::symbols::Name;",
            "frame.rs:2: `profile` may not use `symbols`",
        );
        assert_broken(
            "agent/src/profile/mod.rs",
            "fn f(x: super::process::Pid) {}",
            "`process`",
        );
        assert_broken("agent/src/profile/mod.rs", "use crate::*;", "everything");
        assert!(
            found(
                "agent/src/profile/frame.rs",
                "use super::stack; use crate::profile::X;"
            )
            .is_empty()
        );
    }

    #[test]
    fn unwind_uses_no_other_room() {
        assert_broken(
            "agent/src/unwind/rows.rs",
            "use crate::{process::File, unwind::Row};",
            "`process`",
        );
    }

    #[test]
    fn format_uses_profile_alone() {
        assert!(found("agent/src/format/folded.rs", "use crate::profile::Profile;").is_empty());
        assert_broken(
            "agent/src/format/folded.rs",
            "use crate::symbols::Name;",
            "uses profile alone",
        );
    }

    #[test]
    fn doctor_draws_nothing() {
        assert!(found("agent/src/doctor/machine.rs", "use crate::{bpf, session};").is_empty());
        assert_broken(
            "agent/src/doctor/report.rs",
            "use crate::cli::Args;",
            "`doctor` may not use `cli`",
        );
    }

    #[test]
    fn only_bpf_names_aya() {
        assert!(found("agent/src/bpf/load.rs", "use aya::Ebpf;").is_empty());
        assert_broken(
            "agent/src/cli/record.rs",
            "use aya::Ebpf;",
            "only the room `bpf`",
        );
        assert_broken(
            "agent/src/main.rs",
            "fn f() { aya_log::init() }",
            "only the room `bpf`",
        );
    }

    #[test]
    fn other_rooms_tests_and_comments_are_free() {
        assert!(
            found(
                "agent/src/cli/record.rs",
                "use crate::{bpf, profile, symbols};"
            )
            .is_empty()
        );
        assert!(
            found(
                "agent/src/profile/mod.rs",
                "#[cfg(test)] mod tests { use crate::format::Folded; }"
            )
            .is_empty()
        );
        assert!(
            found(
                "agent/src/profile/mod.rs",
                "//! [`crate::symbols`] names them."
            )
            .is_empty()
        );
    }
}
