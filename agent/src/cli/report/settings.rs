//! What the arguments of `strata report` mean.

use std::path::{Path, PathBuf};

use super::super::output::OutputError;
use super::args::ReportArgs;
use super::calendar::Zone;
use super::nothing::time;
use super::pattern::Pattern;
use super::select::{Label, Selection};
use super::when::{self, TimeError};

/// Where the agent keeps what it records.
pub const STORE: &str = "/var/lib/strata";

/// Names of what a side of `--diff` may say.
const TERMS: [&str; 8] = [
    "since",
    "until",
    "process",
    "container",
    "thread",
    "function",
    "label",
    "file",
];

/// Arguments that can't be meant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    #[error("{0}: {1}")]
    Time(String, #[source] TimeError),
    #[error(
        "--since ({0}) is in the future. Times of the day are today's; for another day write \
         2026-11-28T14:30."
    )]
    Future(String),
    #[error("--until ({1}) is not after --since ({0}), so nothing is between them.")]
    Reversed(String, String),
    #[error("A label is KEY=VALUE, e.g. service.name=web; {0:?} has no key or no value.")]
    Label(String),
    #[error("{0}.")]
    Pattern(String),
    #[error("{0} is empty; leave it out, or give a name.")]
    Empty(String),
    #[error(
        "{0:?} is no side of a difference: there is no such file, and options are written {terms} \
         with commas between them.",
        terms = terms()
    )]
    Side(String),
    #[error(
        "{0} is a file, and files were given besides --diff. Give the files as the two sides, or \
         let both sides say what is meant of the files."
    )]
    TwoSources(String),
    #[error(
        "One side of --diff is a file and the other is not. Name a file for each, e.g. \
         file=a.otlp,process=web."
    )]
    OneFile,
    #[error(
        "Say what to write of the file: -o flame.svg for a flame graph, --top for a table, or -o - \
         for folded stacks."
    )]
    NoOutput,
    #[error("{0} is a file, and --store was given too. Leave one of them out.")]
    StoreAndFile(String),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error("--json is for the table: add --top, and leave out -o.")]
    Json,
    #[error("The table goes to stdout, which -o - takes. Leave one of them out.")]
    Stdout,
    #[error(
        "{0} can't show a difference: its numbers would have to be negative. Write a flame graph \
         (diff.svg) or folded stacks with two columns (diff.folded)."
    )]
    NoDifference(&'static str),
}

fn terms() -> String {
    let terms: Vec<String> = TERMS.iter().map(|term| format!("{term}=")).collect();
    terms.join(", ")
}

/// A side of a difference, or the only one.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub selection: Selection,
    pub files: Vec<PathBuf>,
}

/// What is shown, as the options say it.
pub fn wanted(args: &ReportArgs, now: u64, zone: &dyn Zone) -> Result<Wanted, ReportError> {
    let mut terms = Vec::new();
    for (name, values) in [
        ("process", &args.process),
        ("container", &args.container),
        ("thread", &args.thread),
        ("function", &args.function),
        ("label", &args.label),
    ] {
        terms.extend(values.iter().map(|value| (name, value.as_str())));
    }
    terms.extend(args.since.iter().map(|value| ("since", value.as_str())));
    terms.extend(args.until.iter().map(|value| ("until", value.as_str())));
    let mut wanted = Wanted {
        files: args.files.clone(),
        ..Wanted::default()
    };
    for (name, value) in terms {
        wanted.add(name, value, now, zone)?;
    }
    wanted.check(now)?;
    Ok(wanted)
}

/// One side of `--diff`, to which the other options apply too.
pub fn side(text: &str, common: &Wanted, now: u64, zone: &dyn Zone) -> Result<Wanted, ReportError> {
    let mut side = Wanted {
        selection: common.selection.clone(),
        files: Vec::new(),
    };
    let mut own = Selection::default();
    std::mem::swap(&mut own, &mut side.selection);
    for part in split(text) {
        match term(part) {
            Some((name, value)) => side.add(name, value, now, zone)?,
            None => {
                let is_file = part == "-" || Path::new(part).exists();
                if !is_file {
                    return Err(ReportError::Side(part.to_owned()));
                }
                side.files.push(part.into());
            }
        }
    }
    let typed = &mut side.selection;
    typed.since = typed.since.or(own.since);
    typed.until = typed.until.or(own.until);
    for (ours, theirs) in [
        (&mut typed.processes, own.processes),
        (&mut typed.threads, own.threads),
        (&mut typed.functions, own.functions),
    ] {
        if ours.is_empty() {
            *ours = theirs;
        }
    }
    if typed.containers.is_empty() {
        typed.containers = own.containers;
    }
    let labels = own.labels.into_iter();
    let labels: Vec<Label> = labels
        .filter(|label| !typed.labels.iter().any(|it| it.key == label.key))
        .collect();
    typed.labels.extend(labels);
    if let (Some(file), false) = (side.files.first(), common.files.is_empty()) {
        return Err(ReportError::TwoSources(file.display().to_string()));
    }
    if side.files.is_empty() {
        side.files.clone_from(&common.files);
    }
    side.check(now)?;
    Ok(side)
}

/// Parts of a side. Names of functions have commas in them: a comma separates only before the name
/// of a term.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (place, _) in text.match_indices(',') {
        if term(&text[place + 1..]).is_some() {
            parts.push(text[start..place].trim());
            start = place + 1;
        }
    }
    parts.push(text[start..].trim());
    parts
}

/// Name and value, if it begins with the name of a term.
fn term(text: &str) -> Option<(&'static str, &str)> {
    let (name, value) = text.trim_start().split_once('=')?;
    let name = TERMS.into_iter().find(|term| *term == name)?;
    Some((name, value))
}

impl Wanted {
    fn add(
        &mut self,
        name: &'static str,
        value: &str,
        now: u64,
        zone: &dyn Zone,
    ) -> Result<(), ReportError> {
        if value.is_empty() {
            return Err(ReportError::Empty(name.to_owned()));
        }
        let time = || {
            let time = when::parse(value, now, zone);
            time.map_err(|error| ReportError::Time(name.to_owned(), error))
        };
        let pattern = |text: &str| Pattern::new(text).map_err(ReportError::Pattern);
        let selection = &mut self.selection;
        match name {
            "since" => selection.since = Some(time()?),
            "until" => selection.until = Some(time()?),
            "process" => selection.processes.push(pattern(value)?),
            "container" => selection.containers.push(value.to_ascii_lowercase()),
            "thread" => selection.threads.push(pattern(value)?),
            "function" => selection.functions.push(pattern(value)?),
            "file" => self.files.push(value.into()),
            _ => {
                let label = value.split_once('=');
                let label = label.filter(|(key, value)| !key.is_empty() && !value.is_empty());
                let Some((key, value)) = label else {
                    return Err(ReportError::Label(value.to_owned()));
                };
                let value = pattern(value)?;
                let key = key.to_owned();
                selection.labels.push(Label { key, value });
            }
        }
        Ok(())
    }

    fn check(&self, now: u64) -> Result<(), ReportError> {
        let Some(since) = self.selection.since else {
            return Ok(());
        };
        if since > now {
            return Err(ReportError::Future(time(since)));
        }
        match self.selection.until {
            Some(until) if until <= since => Err(ReportError::Reversed(time(since), time(until))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::calendar::Fixed;
    use super::*;

    /// 2026-11-28T05:20:00Z.
    const NOW: u64 = 1_795_843_200_000_000_000;
    const MINUTE: u64 = 60_000_000_000;

    fn sided(text: &str, common: &Wanted) -> Result<Wanted, ReportError> {
        side(text, common, NOW, &Fixed(0))
    }

    fn texts(patterns: &[Pattern]) -> Vec<&str> {
        patterns
            .iter()
            .map(|pattern| pattern.text.as_str())
            .collect()
    }

    #[test]
    fn a_side_is_options_with_commas() {
        let text = "since=20m,until=10m,process=web,process=db,label=version=1,container=AB12";
        let side = sided(text, &Wanted::default()).unwrap();
        let selection = side.selection;
        assert_eq!(selection.window(), NOW - 20 * MINUTE..NOW - 10 * MINUTE);
        assert_eq!(texts(&selection.processes), ["web", "db"]);
        assert_eq!(selection.labels[0].key, "version");
        assert_eq!(selection.labels[0].value.text, "1");
        assert_eq!(selection.containers, ["ab12"]);
    }

    #[test]
    fn commas_in_names_stay() {
        let side = sided("function=f(int, char),thread=a", &Wanted::default()).unwrap();
        assert_eq!(texts(&side.selection.functions), ["f(int, char)"]);
        assert_eq!(texts(&side.selection.threads), ["a"]);
    }

    #[test]
    fn a_side_may_be_a_file_with_options() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        for text in [
            path.to_owned(),
            format!("file={path}"),
            format!("{path},process=web"),
        ] {
            let side = sided(&text, &Wanted::default()).unwrap();
            assert_eq!(side.files, [file.path()], "{text}");
        }
        let others = Wanted {
            files: vec!["other".into()],
            ..Wanted::default()
        };
        assert!(matches!(
            sided(path, &others),
            Err(ReportError::TwoSources(_))
        ));
        assert_eq!(
            sided("process=a", &others).unwrap().files,
            [Path::new("other")]
        );
    }

    #[test]
    fn other_options_hold_for_both_sides_unless_a_side_says_otherwise() {
        let args = ReportArgs {
            process: vec!["web".into()],
            since: Some("1h".into()),
            label: vec!["zone=a".into(), "version=0".into()],
            ..ReportArgs::default()
        };
        let common = wanted(&args, NOW, &Fixed(0)).unwrap();
        let side = sided("label=version=1,until=5m", &common)
            .unwrap()
            .selection;
        assert_eq!(side.window(), NOW - 60 * MINUTE..NOW - 5 * MINUTE);
        assert_eq!(texts(&side.processes), ["web"]);
        let mut labels: Vec<_> = side.labels.iter().collect();
        labels.sort_by_key(|label| &label.key);
        assert_eq!(labels.len(), 2);
        assert_eq!(labels[0].value.text, "1");
        assert_eq!(labels[1].value.text, "a");
    }

    #[test]
    fn what_can_not_be_meant_is_told() {
        let error = |text: &str| sided(text, &Wanted::default()).unwrap_err().to_string();
        assert!(error("version=1").contains("no side of a difference"));
        assert!(error("/no/such.otlp").contains("no such file"));
        assert!(error("since=").contains("empty"));
        assert!(error("since=noon").contains("noon"));
        assert!(error("label=version").contains("KEY=VALUE"));
        assert!(error("since=10m,until=20m").contains("nothing is between"));
        assert!(error("since=2099-01-01").contains("future"));
        assert!(error("process=/(/").contains("regular expression"));
    }
}
