//! Where results go and in which format: found out, and tried, before anything is recorded.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::args::FormatArg;
use super::save;
use crate::format::{self, FormatError};
use crate::profile::Profile;

/// The extensions that tell a format.
const EXTENSIONS: &[(&str, FormatArg)] = &[
    (".svg", FormatArg::Flamegraph),
    (".folded", FormatArg::Folded),
    (".txt", FormatArg::Folded),
    (".pb.gz", FormatArg::Pprof),
    (".pprof", FormatArg::Pprof),
    (".speedscope.json", FormatArg::Speedscope),
    (".firefox.json", FormatArg::Firefox),
    (".otlp", FormatArg::Otlp),
];

/// One result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    pub place: Place,
    pub format: FormatArg,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Stdout,
    File(PathBuf),
}

/// Outputs that can't be meant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    #[error(
        "The name {0} does not tell the format. Let it end in {endings}, or give the format by -f.",
        endings = endings()
    )]
    Unknown(String),
    #[error(
        "-f gives one format, but there are {0} outputs, and all would be the same. Leave -f out: \
         each file's extension tells its format."
    )]
    FormatOfMany(usize),
    #[error("{0} is given twice as an output; the second result would overwrite the first.")]
    Twice(String),
    #[error(
        "{format} is binary and stdout is a terminal. Write to a file, e.g. -o {example}, or send \
         stdout to a file or a program."
    )]
    Terminal {
        format: &'static str,
        example: &'static str,
    },
}

impl FormatArg {
    /// What a terminal should not get.
    fn is_binary(self) -> bool {
        match self {
            Self::Flamegraph | Self::Folded | Self::Speedscope | Self::Firefox => false,
            Self::Pprof | Self::Otlp => true,
        }
    }

    /// Whether it says when each sample was taken.
    pub fn has_times(self) -> bool {
        match self {
            Self::Flamegraph | Self::Folded | Self::Pprof => false,
            Self::Speedscope | Self::Firefox | Self::Otlp => true,
        }
    }

    /// Whether it says which file each process executes.
    pub fn has_executables(self) -> bool {
        match self {
            Self::Flamegraph | Self::Folded | Self::Speedscope => false,
            Self::Pprof | Self::Firefox | Self::Otlp => true,
        }
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flamegraph => "flamegraph",
            Self::Folded => "folded",
            Self::Pprof => "pprof",
            Self::Speedscope => "speedscope",
            Self::Firefox => "firefox",
            Self::Otlp => "otlp",
        }
    }

    /// What shows a file of it.
    pub fn opened_by(self, file: &str) -> String {
        match self {
            Self::Flamegraph => "open it in a browser".to_owned(),
            Self::Folded => "open it in https://speedscope.app, or by flamegraph.pl".to_owned(),
            Self::Pprof => format!("go tool pprof -http=: {file}"),
            Self::Speedscope => "open it in https://speedscope.app".to_owned(),
            Self::Firefox => "open it in https://profiler.firefox.com".to_owned(),
            Self::Otlp => format!(
                "curl -H 'Content-Type: application/x-protobuf' --data-binary @{file} \
                 http://localhost:4318/v1development/profiles"
            ),
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Flamegraph => "flame.svg",
            Self::Folded => "stacks.folded",
            Self::Pprof => "profile.pb.gz",
            Self::Speedscope => "profile.speedscope.json",
            Self::Firefox => "profile.firefox.json",
            Self::Otlp => "profile.otlp",
        }
    }
}

/// The outputs that are meant by `-o` and `-f`.
pub fn resolve(paths: &[PathBuf], given: Option<FormatArg>) -> Result<Vec<Output>, OutputError> {
    if given.is_some() && paths.len() > 1 {
        return Err(OutputError::FormatOfMany(paths.len()));
    }
    let mut outputs: Vec<Output> = Vec::with_capacity(paths.len());
    for path in paths {
        let format = match given.or_else(|| by_name(path)) {
            Some(format) => format,
            None => return Err(OutputError::Unknown(path.display().to_string())),
        };
        let place = if path == Path::new("-") {
            Place::Stdout
        } else {
            Place::File(path.clone())
        };
        if outputs.iter().any(|output| output.place == place) {
            return Err(OutputError::Twice(path.display().to_string()));
        }
        outputs.push(Output { place, format });
    }
    Ok(outputs)
}

/// Text is what people expect of stdout, so `-` without a format is folded stacks.
fn by_name(path: &Path) -> Option<FormatArg> {
    if path == Path::new("-") {
        return Some(FormatArg::Folded);
    }
    let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
    let known = EXTENSIONS.iter().find(|(end, _)| name.ends_with(end));
    known.map(|(_, format)| *format)
}

fn endings() -> String {
    let all: Vec<&str> = EXTENSIONS.iter().map(|(end, _)| *end).collect();
    match all.split_last() {
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// Finds out before the recording that its results can't be written.
pub fn check(outputs: &[Output]) -> Result<()> {
    for output in outputs {
        match &output.place {
            Place::Stdout => check_stdout(output.format, io::stdout().is_terminal())?,
            Place::File(path) => save::check(path)?,
        }
    }
    Ok(())
}

fn check_stdout(format: FormatArg, terminal: bool) -> Result<(), OutputError> {
    if terminal && format.is_binary() {
        return Err(OutputError::Terminal {
            format: format.name(),
            example: format.example(),
        });
    }
    Ok(())
}

/// Writes all outputs. One that fails does not keep the others from being written.
pub fn write(outputs: &[Output], profile: &Profile, options: &format::Options) -> Result<()> {
    let mut failed = Ok(());
    for output in outputs {
        if let Err(error) = write_one(output, profile, options) {
            match &failed {
                Ok(()) => failed = Err(error),
                Err(_) => eprintln!("strata: {error:#}"),
            }
        }
    }
    failed
}

fn write_one(output: &Output, profile: &Profile, options: &format::Options) -> Result<()> {
    let bytes = render(output.format, profile, options)?;
    match &output.place {
        Place::Stdout => {
            let mut stdout = io::stdout().lock();
            stdout
                .write_all(&bytes)
                .and_then(|()| stdout.flush())
                .context("stdout can't be written")
        }
        Place::File(path) => Ok(save::save(path, &bytes)?),
    }
}

fn render(
    format: FormatArg,
    profile: &Profile,
    options: &format::Options,
) -> Result<Vec<u8>, FormatError> {
    match format {
        FormatArg::Flamegraph => {
            let caption = format::Caption::of(profile);
            format::flamegraph(profile, options, &caption)
        }
        FormatArg::Folded => Ok(format::folded(profile, options)),
        FormatArg::Pprof => format::pprof(profile, options),
        FormatArg::Speedscope => format::speedscope(profile, options),
        FormatArg::Firefox => format::firefox(profile, options),
        FormatArg::Otlp => format::otlp(profile, options),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn resolved(paths: &[&str], format: Option<FormatArg>) -> Result<Vec<Output>, OutputError> {
        let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
        resolve(&paths, format)
    }

    fn formats(paths: &[&str], format: Option<FormatArg>) -> Result<Vec<FormatArg>, OutputError> {
        let outputs = resolved(paths, format)?;
        Ok(outputs.iter().map(|output| output.format).collect())
    }

    #[test]
    fn the_extension_tells_the_format_unless_it_is_given() {
        for (end, format) in EXTENSIONS {
            let name = format!("/tmp/of.a.day{end}");
            assert_eq!(formats(&[&name], None), Ok(vec![*format]), "{name}");
        }
        assert_eq!(formats(&["a.SVG"], None), Ok(vec![FormatArg::Flamegraph]));
        assert_eq!(formats(&["-"], None), Ok(vec![FormatArg::Folded]));
        let given = Some(FormatArg::Flamegraph);
        assert_eq!(formats(&["a.x"], given), Ok(vec![FormatArg::Flamegraph]));
        assert_eq!(formats(&["a.txt"], given), Ok(vec![FormatArg::Flamegraph]));
        for unknown in ["a.x", "svg", "/", "a.json"] {
            let error = OutputError::Unknown(unknown.to_owned());
            assert_eq!(formats(&[unknown], None), Err(error));
        }
    }

    #[test]
    fn several_outputs_each_have_their_own_format() {
        assert_eq!(
            formats(&["a.svg", "-", "b.folded"], None),
            Ok(vec![
                FormatArg::Flamegraph,
                FormatArg::Folded,
                FormatArg::Folded
            ])
        );
        assert_eq!(
            formats(&["a.svg", "b.svg"], Some(FormatArg::Folded)),
            Err(OutputError::FormatOfMany(2))
        );
        for twice in ["-", "a.svg"] {
            assert_eq!(
                formats(&[twice, "b.svg", twice], None),
                Err(OutputError::Twice(twice.to_owned()))
            );
        }
    }

    #[test]
    fn only_binary_formats_are_kept_from_a_terminal() {
        for (_, format) in EXTENSIONS {
            assert_eq!(check_stdout(*format, true).is_err(), format.is_binary());
            assert_eq!(check_stdout(*format, false), Ok(()));
        }
    }

    #[test]
    fn an_output_that_fails_does_not_take_the_others_along() {
        let folder = std::env::temp_dir().join(format!("strata-outputs-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let outputs = ["a.svg", "b.folded"].map(|name| {
            let path = folder.join(name);
            let format = by_name(&path).unwrap();
            let place = Place::File(path);
            Output { place, format }
        });
        // An empty profile is an empty text, but can't be drawn.
        let error = write(&outputs, &Profile::new(), &format::Options::default()).unwrap_err();
        assert!(error.to_string().contains("no samples"), "{error}");
        assert!(!folder.join("a.svg").exists());
        assert!(folder.join("b.folded").exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
