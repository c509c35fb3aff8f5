//! `strata report`: what the agent kept, or files that were recorded: chosen from, shown in a table,
//! as files of other kinds, and compared.

pub mod args;
mod calendar;
mod nothing;
mod pattern;
mod select;
mod settings;
mod source;
mod terminal;
mod when;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};

use super::args::FormatArg;
use super::output::{self, Output, Place};
use super::{save, summary};
use crate::format::{self, Caption, Options};
use crate::profile::Profile;
use args::ReportArgs;
use calendar::Local;
pub use settings::ReportError;
use settings::{STORE, Wanted};
use source::Side;

/// Rows of a table, unless it is said.
const ROWS: usize = 20;

/// Runs `strata report`.
pub fn run(args: ReportArgs) -> Result<ExitCode> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let plan = Plan::of(args, now.as_nanos() as u64)?;
    output::check(&plan.outputs)?;
    let timed = plan.outputs.iter().any(|output| output.format.has_times());
    let mut sides = plan.read(timed)?;
    for (side, name) in sides.iter().zip(&plan.names) {
        if side.seen.taken == 0 {
            let why = nothing::why(side, &plan.source());
            return Err(match name.as_str() {
                "" => anyhow!(why),
                name => anyhow!("{name}: {why}"),
            });
        }
        if timed && !side.merged.profile.keeps_times() {
            eprintln!("strata: Too many samples to show when each was taken: sums are shown.");
        }
    }
    let profiles: Vec<Profile> = sides.drain(..).map(|side| side.merged.profile).collect();
    match &*profiles {
        [a, b] => plan.difference(a, b),
        [one, ..] => plan.one(one),
        [] => Ok(ExitCode::SUCCESS),
    }
}

/// What is to be done.
struct Plan {
    /// One, or the two of a difference.
    sides: Vec<Wanted>,
    /// As they were typed; empty where there is one.
    names: Vec<String>,
    store: PathBuf,
    outputs: Vec<Output>,
    options: Options,
    /// Rows of the table, if one is to be printed.
    rows: Option<usize>,
    json: bool,
    /// Nothing was asked for.
    by_default: bool,
}

impl Plan {
    fn of(mut args: ReportArgs, now: u64) -> Result<Self, ReportError> {
        let mut rows = None;
        if let Some(top) = &args.top {
            rows = Some(top.parse().unwrap_or(ROWS));
            if top.parse::<usize>().is_err() {
                args.files.insert(0, top.into());
            }
        }
        let common = settings::wanted(&args, now, &Local)?;
        let difference = !args.diff.is_empty();
        let sides = match &*args.diff {
            [a, b] => vec![
                settings::side(a, &common, now, &Local)?,
                settings::side(b, &common, now, &Local)?,
            ],
            _ => vec![common],
        };
        let with_files = sides.iter().filter(|side| !side.files.is_empty()).count();
        if with_files != 0 && with_files != sides.len() {
            return Err(ReportError::OneFile);
        }
        if let (Some(_), Some(file)) = (&args.store, sides[0].files.first()) {
            return Err(ReportError::StoreAndFile(file.display().to_string()));
        }
        let outputs = output::resolve(&args.outputs, args.format)?;
        if difference {
            let unfit = outputs.iter().find(|it| !can_differ(it.format));
            if let Some(unfit) = unfit {
                return Err(ReportError::NoDifference(unfit.format.name()));
            }
        }
        let to_stdout = outputs.iter().any(|output| output.place == Place::Stdout);
        if to_stdout && rows.is_some() {
            return Err(ReportError::Stdout);
        }
        let by_default = outputs.is_empty() && rows.is_none();
        if by_default && !difference && with_files != 0 {
            return Err(ReportError::NoOutput);
        }
        if by_default || difference && !to_stdout {
            rows = rows.or(Some(ROWS));
        }
        if args.json && rows.is_none() {
            return Err(ReportError::Json);
        }
        Ok(Self {
            sides,
            names: match difference {
                true => args.diff,
                false => vec![String::new()],
            },
            store: args.store.unwrap_or_else(|| STORE.into()),
            outputs,
            options: Options {
                lines: args.lines,
                threads: args.threads,
                inlines: !args.no_inlines,
                addresses: false,
            },
            rows,
            json: args.json,
            by_default,
        })
    }

    fn uses_store(&self) -> bool {
        self.sides.iter().all(|side| side.files.is_empty())
    }

    /// What is read, for messages.
    fn source(&self) -> String {
        match self.uses_store() {
            true => format!("The store {}", self.store.display()),
            false if self.sides[0].files.len() == 1 => "The file".to_owned(),
            false => "What was given".to_owned(),
        }
    }

    fn read(&self, timed: bool) -> Result<Vec<Side>> {
        // Processes of files that name none are the same on both sides.
        let process = (self.sides.len() == 2).then_some("[process]");
        let new = |wanted: &Wanted| Side::new(wanted.selection.clone(), timed, process);
        let mut sides: Vec<Side> = self.sides.iter().map(new).collect();
        if self.uses_store() {
            let mut all: Vec<&mut Side> = sides.iter_mut().collect();
            let gaps = source::store(&self.store, &mut all)?;
            if gaps.damaged > 0 {
                eprintln!(
                    "strata: {} of the store can't be read and are left out: they are damaged.",
                    records(gaps.damaged)
                );
            }
            return Ok(sides);
        }
        for (wanted, side) in self.sides.iter().zip(&mut sides) {
            source::files(&wanted.files, &mut [side])?;
        }
        Ok(sides)
    }

    fn one(&self, profile: &Profile) -> Result<ExitCode> {
        output::write(&self.outputs, profile, &self.options)?;
        if let Some(rows) = self.rows {
            let table = match self.json {
                true => format::top_json(profile, &self.options, rows)?,
                false => format::top(profile, &self.options, &terminal::layout(rows))?.into(),
            };
            terminal::print(&table)?;
        }
        eprintln!("{}", said(profile));
        if self.by_default {
            eprintln!("For a flame graph: strata report -o flame.svg");
        }
        self.written();
        Ok(ExitCode::SUCCESS)
    }

    fn difference(&self, a: &Profile, b: &Profile) -> Result<ExitCode> {
        let options = &self.options;
        for output in &self.outputs {
            let bytes = match output.format {
                FormatArg::Folded => format::folded_difference(a, b, options),
                _ => {
                    let names = [self.names[0].as_str(), self.names[1].as_str()];
                    let caption = Caption::of_difference(a, b, names);
                    format::flamegraph_difference(a, b, options, &caption)?
                }
            };
            match &output.place {
                Place::Stdout => terminal::print(&bytes)?,
                Place::File(path) => save::save(path, &bytes)?,
            }
        }
        if let Some(rows) = self.rows {
            let table = match self.json {
                true => format::changes_json(a, b, options, rows)?,
                false => format::changes(a, b, options, &terminal::layout(rows))?.into(),
            };
            terminal::print(&table)?;
        }
        for (letter, (name, profile)) in ["A", "B"].iter().zip(self.names.iter().zip([a, b])) {
            eprintln!("{letter} ({name}): {}", said(profile));
        }
        if self.rows.is_some() && !self.json {
            eprintln!("Changes are points of a share, from A to B; ± is what chance alone may do.");
        }
        self.written();
        Ok(ExitCode::SUCCESS)
    }

    fn written(&self) {
        for output in &self.outputs {
            if let Place::File(path) = &output.place {
                eprintln!("{}", summary::written(path, output.format));
            }
        }
    }
}

/// Formats without negative numbers can't say that there is less.
fn can_differ(format: FormatArg) -> bool {
    matches!(format, FormatArg::Flamegraph | FormatArg::Folded)
}

fn records(count: u64) -> String {
    match count {
        1 => "1 record".to_owned(),
        _ => format!("{} records", format::grouped(count)),
    }
}

/// `2,905 samples of 2026-11-28 14:30:15 – 14:40:15`
fn said(profile: &Profile) -> String {
    let weights = profile.samples().map(|(_, totals)| totals.weight);
    let samples = summary::samples(weights.fold(0, u64::saturating_add));
    let wall = |time| profile.clock.wall(time);
    match profile.span.end {
        0 => samples,
        end => format!(
            "{samples} of {}",
            nothing::range(&(wall(profile.span.start)..wall(end)))
        ),
    }
}
