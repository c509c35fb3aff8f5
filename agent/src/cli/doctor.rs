//! `strata doctor`

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::process::ExitCode;

use anyhow::{Context, Result};

use super::args::DoctorArgs;
use crate::doctor::report::{Finding, Report, State};

/// Columns of a terminal that are made use of.
const WIDTH: usize = 80;
/// Where labels begin, and the widest one beside which a text stands. A longer one, as a path, has
/// a line of its own.
const LABELS: usize = 8;
const WIDEST_LABEL: usize = 26;
/// Where texts begin under such a label.
const NARROW: usize = 10;

/// Runs `strata doctor`. The exit code says whether `strata record` would work.
pub fn run(args: &DoctorArgs, verbose: bool) -> Result<ExitCode> {
    let report = crate::doctor::examine(&args.pids);
    let text = if args.json {
        serde_json::to_string_pretty(&report)? + "\n"
    } else {
        text(&report, verbose, colourful())
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("the result can't be written to standard output")?;
    Ok(if report.works {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Colours are for terminals that have them, and for people who did not refuse them
/// (<https://no-color.org>).
pub fn colourful() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    io::stdout().is_terminal() && !set("NO_COLOR") && !dumb
}

fn text(report: &Report, verbose: bool, colour: bool) -> String {
    let mut out = String::new();
    for (title, findings) in report.parts() {
        let shown: Vec<&Finding> = findings
            .iter()
            .filter(|finding| verbose || !finding.more || is_bad(finding.state))
            .collect();
        if !shown.is_empty() {
            let title = paint(&title, "1", colour);
            let _ = write!(out, "{title}\n{}\n", part(&shown, colour));
        }
    }
    out + &verdict(report)
}

fn is_bad(state: State) -> bool {
    matches!(state, State::Warn | State::Fail)
}

fn part(findings: &[&Finding], colour: bool) -> String {
    let width = |finding: &&Finding| finding.label.chars().count();
    let widths = findings.iter().map(width);
    let label_width = widths
        .filter(|&width| width <= WIDEST_LABEL)
        .max()
        .unwrap_or(0);
    let texts = LABELS + label_width + 2;
    let mut out = String::new();
    for (number, finding) in findings.iter().enumerate() {
        let (mark, code) = match finding.state {
            State::Ok => ("ok", "32"),
            State::Warn => ("warn", "33"),
            State::Fail => ("fail", "1;31"),
            State::Skip => ("skip", "2"),
        };
        // Padded before it is painted: the terminal's codes have no width.
        let mark = paint(&format!("{mark:<4}"), code, colour);
        let _ = write!(out, "  {mark}  {}", finding.label);
        let mut indent = texts;
        if width(finding) > label_width {
            indent = NARROW;
            let _ = write!(out, "\n{:indent$}", "");
        } else {
            let _ = write!(out, "{:1$}", "", texts - LABELS - width(finding));
        }
        out.push_str(&wrap(&finding.detail, indent, ""));
        // Said once where one thing helps against several in a row.
        let next = findings
            .get(number + 1)
            .and_then(|next| next.remedy.as_ref());
        if let Some(remedy) = finding
            .remedy
            .as_ref()
            .filter(|remedy| next != Some(remedy))
        {
            let _ = write!(out, "{:indent$}", "");
            out.push_str(&wrap(remedy, indent, "→ "));
        }
    }
    out
}

/// A text whose first line is begun, at column `indent`, and whose other lines begin there. What
/// stands on a line of its own in the text is to be copied, so it is not broken.
fn wrap(text: &str, indent: usize, bullet: &str) -> String {
    let (text, lines) = text.split_once('\n').unwrap_or((text, ""));
    let hang = indent + bullet.chars().count();
    let mut out = bullet.to_owned();
    let mut column = hang;
    for (number, word) in text.split_whitespace().enumerate() {
        let length = word.chars().count();
        if number > 0 {
            if column + 1 + length > WIDTH {
                let _ = write!(out, "\n{:hang$}", "");
                column = hang;
            } else {
                out.push(' ');
                column += 1;
            }
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
    for line in lines.lines() {
        let _ = writeln!(out, "{:hang$}{line}", "");
    }
    out
}

fn paint(text: &str, code: &str, colour: bool) -> String {
    if colour {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

fn verdict(report: &Report) -> String {
    let parts = report.parts();
    let count = |state| {
        let findings = parts.iter().flat_map(|(_, findings)| findings);
        findings.filter(|finding| finding.state == state).count()
    };
    let limits = match count(State::Warn) {
        0 => String::new(),
        1 => ", with the limit marked warn".to_owned(),
        number => format!(", with the {number} limits marked warn"),
    };
    match count(State::Fail) {
        0 => format!("strata record works here{limits}.\n"),
        1 => "strata record does not work here: see the line marked fail.\n".to_owned(),
        number => {
            format!("strata record does not work here: see the {number} lines marked fail.\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_and_aligned() {
        let long = "one two three four five six seven eight nine ten eleven twelve thirteen";
        let findings = [
            Finding::ok("short", "yes"),
            Finding::new(State::Warn, "longer", long).remedy(long),
            Finding::ok("/a/path/that/is/far/too/long/to/stand/beside", "its text"),
        ];
        let shown: Vec<&Finding> = findings.iter().collect();
        let text = part(&shown, false);
        let expected = "  ok    short   yes
  warn  longer  one two three four five six seven eight nine ten eleven twelve
                thirteen
                → one two three four five six seven eight nine ten eleven twelve
                  thirteen
  ok    /a/path/that/is/far/too/long/to/stand/beside
          its text
";
        assert_eq!(text, expected);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn one_remedy_for_several_is_said_once() {
        let finding = |label: &str| Finding::new(State::Fail, label, "no").remedy("do that");
        let findings = [finding("a"), finding("b"), Finding::ok("c", "yes")];
        let shown: Vec<&Finding> = findings.iter().collect();
        let text = part(&shown, false);
        assert_eq!(text.matches("→ do that").count(), 1, "{text}");
        assert!(text.find("→") > text.find("fail  b"), "{text}");
    }

    #[test]
    fn colours_change_nothing_else() {
        let findings = [Finding::new(State::Fail, "a", "no")];
        let shown: Vec<&Finding> = findings.iter().collect();
        let painted = part(&shown, true);
        assert!(painted.contains("\x1b[1;31mfail\x1b[0m"), "{painted:?}");
        let plain = painted.replace("\x1b[1;31m", "").replace("\x1b[0m", "");
        assert_eq!(plain, part(&shown, false));
    }
}
