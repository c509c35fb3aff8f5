//! What is made of the command line's own description: completions for shells, manual pages.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

/// Prints a shell's completions.
pub fn complete(shell: clap_complete::Shell) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "strata", &mut script);
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(&script)
        .and_then(|()| stdout.flush())
        .context("the completions can't be written to stdout")?;
    Ok(ExitCode::SUCCESS)
}

/// Writes `strata.1` and a page for each subcommand.
pub fn pages(folder: &Path) -> Result<ExitCode> {
    let failed = || {
        format!(
            "pages of the manual can't be written to {}",
            folder.display()
        )
    };
    fs::create_dir_all(folder).with_context(failed)?;
    clap_mangen::generate_to(super::command(), folder).with_context(failed)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        super::super::command().debug_assert();
    }

    /// What a line of the documents has people type, up to what is the shell's.
    fn typed(line: &str) -> Option<Vec<&str>> {
        let line = line.trim().trim_start_matches("sudo ");
        let is_word = |word: &str| !matches!(word, "#" | "|" | ">" | "\\" | "&&" | "...");
        let words = line.split_whitespace().take_while(|word| is_word(word));
        let words: Vec<&str> = words.map(|word| word.trim_matches('\'')).collect();
        let known = super::super::command();
        let is_ours = matches!(words.first(), Some(&("strata" | "/strata")));
        let is_command = known.find_subcommand(words.get(1)?).is_some();
        (is_ours && is_command).then_some(words)
    }

    #[test]
    fn what_the_documents_have_people_type_is_understood() {
        let texts = [
            include_str!("../../../README.md"),
            include_str!("../../../deploy/README.md"),
            include_str!("../../../docs/agent.md"),
            include_str!("../../../docs/doctor.md"),
            include_str!("../../../docs/reading.md"),
            include_str!("../../../docs/security.md"),
        ];
        let mut count = 0;
        for line in texts.into_iter().flat_map(str::lines) {
            // The last words of the doctor.
            let Some(words) = typed(line).filter(|_| !line.contains("works here")) else {
                continue;
            };
            count += 1;
            let parsed = super::super::command().try_get_matches_from(words);
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
        assert!(count > 20, "{count}");
        let wrong = typed("strata report -f svg  # a picture").unwrap();
        assert!(super::super::command().try_get_matches_from(wrong).is_err());
    }

    #[test]
    fn each_subcommand_that_people_see_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        pages(folder.path()).unwrap();
        let page = |name: &str| fs::read_to_string(folder.path().join(name));
        // In roff a hyphen is written `\\-`.
        assert!(
            page("strata.1")
                .unwrap()
                .contains("strata record \\-p 1234")
        );
        let record = page("strata-record.1").unwrap();
        assert!(record.contains("perf_event_max_sample_rate"), "{record}");
        assert!(page("strata-doctor.1").is_ok());
        assert!(page("strata-man.1").is_err());
    }

    #[test]
    fn examples_fit_a_terminal() {
        let texts = [super::super::args::WELCOME.to_owned()].into_iter();
        let helps = super::super::command();
        let helps = helps.get_subcommands().filter_map(|it| it.get_after_help());
        for text in texts.chain(helps.map(ToString::to_string)) {
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }
}
