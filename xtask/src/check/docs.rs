//! Flags in the documentation exist. A reader types what is written there.

use std::path::Path;

use anyhow::Result;

use super::Violation;
use super::flags;
use super::tree::Tree;

const CLI: &str = "agent/src/cli";
const SETTINGS: &str = "agent/config/table.rs";
const PROGRAM: &str = "strata";

pub fn check(tree: &Tree) -> Result<Vec<Violation>> {
    let sources = tree.sources(CLI)?;
    let mut defined = flags::built_in();
    defined.extend(
        sources
            .iter()
            .flat_map(|(_, source)| flags::defined_in(source)),
    );
    let table = sources.iter().filter(|(file, _)| file.ends_with(SETTINGS));
    defined.extend(table.flat_map(|(_, source)| flags::settings_in(source)));
    // Before there is a command line, there is nothing to compare with.
    if defined == flags::built_in() {
        return Ok(Vec::new());
    }
    let mut violations = Vec::new();
    for file in tree.files().iter().filter(|file| is_documentation(file)) {
        for (line, command) in commands(&tree.text(file)?) {
            for flag in flags_in(&command)
                .into_iter()
                .filter(|flag| !defined.contains(flag))
            {
                let message = format!(
                    "`{PROGRAM}` has no flag --{flag}; correct the text or add the flag in {CLI}"
                );
                violations.push(Violation {
                    file: file.clone(),
                    line,
                    message,
                });
            }
        }
    }
    Ok(violations)
}

fn is_documentation(file: &Path) -> bool {
    let is_markdown = file.extension().is_some_and(|extension| extension == "md");
    let at_root = file.components().count() == 1;
    is_markdown && (at_root || file.starts_with("docs") || file.starts_with("deploy"))
}

/// `strata …` in code blocks and in code spans, with the line each starts in.
fn commands(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            let mut command = line.to_owned();
            while command.ends_with('\\') {
                command.pop();
                let Some((_, next)) = lines.next() else { break };
                command.push_str(next);
            }
            found.extend(arguments(&command).map(|command| (number, command)));
        } else {
            let spans = line.split('`').skip(1).step_by(2);
            found.extend(spans.filter_map(arguments).map(|command| (number, command)));
        }
    }
    found
}

/// What belongs to the program in a line of shell: neither what comes before its name, nor the command that it starts
/// (behind `--`), nor what is behind a pipe.
fn arguments(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_program = |word: &&str| *word == PROGRAM || word.ends_with(&format!("/{PROGRAM}"));
    let start = words.iter().position(is_program)?;
    let is_prefix = |word: &&str| ["$", "#", "sudo"].contains(word) || word.contains('=');
    if !words[..start].iter().all(is_prefix) {
        return None;
    }
    let mut depth = 0usize;
    let mut taken = Vec::new();
    for word in &words[start + 1..] {
        // In `[-p PID | --all]` the bar is no pipe.
        if *word == "--"
            || *word == "#"
            || (depth == 0 && ["|", "||", "&&", ">", ";"].contains(word))
        {
            break;
        }
        depth += word.matches('[').count();
        depth = depth.saturating_sub(word.matches(']').count());
        taken.push(*word);
    }
    Some(taken.join(" "))
}

fn flags_in(command: &str) -> Vec<String> {
    let mut flags = Vec::new();
    for (at, _) in command.match_indices("--") {
        let before = command[..at].chars().next_back();
        let starts_word = before.is_none_or(|before| " [(|,".contains(before));
        let name: String = command[at + 2..]
            .chars()
            .take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')
            .collect();
        if starts_word && name.starts_with(|first: char| first.is_ascii_lowercase()) {
            flags.push(name);
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    const DEFINITIONS: &str =
        "struct Record { #[arg(long)] rate: u32, #[arg(long)] off_cpu: bool }";

    fn found(readme: &str, definitions: &str) -> Vec<String> {
        let scratch = Scratch::new().unwrap();
        scratch.write("README.md", readme).unwrap();
        scratch
            .write("agent/src/cli/record.rs", definitions)
            .unwrap();
        check(&Tree::of_scratch(&scratch))
            .unwrap()
            .iter()
            .map(Violation::to_string)
            .collect()
    }

    #[test]
    fn an_invented_flag_is_found() {
        for readme in [
            "text\n```\n$ sudo strata record --rate 99 --colour\n```",
            "text\n\n    strata record --rate 99 \\\n        --colour",
            "text\n\nAsk `strata record --colour` for it.",
            "\n\n    X=1 ./target/release/strata record [--rate N | --colour]",
        ] {
            let found = found(readme, DEFINITIONS);
            assert!(
                found.len() == 1 && found[0].contains("--colour") && found[0].contains("md:3: "),
                "{found:?}"
            );
        }
    }

    #[test]
    fn real_flags_and_those_of_other_programs_pass() {
        let readme = "`docker run --privileged`\n```\nstrata record --off-cpu --help -- prog --colour\n\
                      strata record --rate=9 | less --raw\ncargo run --bin strata\n```\n";
        assert!(
            found(readme, DEFINITIONS).is_empty(),
            "{:?}",
            found(readme, DEFINITIONS)
        );
    }

    #[test]
    fn without_a_command_line_there_is_nothing_to_compare() {
        assert!(found("`strata record --colour`", "").is_empty());
    }
}
