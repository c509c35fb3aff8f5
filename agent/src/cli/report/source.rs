//! Where samples come from: files and the store, read a piece at a time into what was selected.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::select::{self, Kind, Selection, Selector};
use crate::format::read::{self, Kind as FileKind, MOST_BYTES, MOST_MEMORY, MOST_TIMES, ReadError};
use crate::profile::{Merged, Profile, Span};
use crate::store;

/// Most different values that are kept of a kind of which none has fitted yet.
const MOST_VALUES: usize = 20_000;
/// How often it is said how far the store was read.
const PATIENCE: Duration = Duration::from_millis(500);

/// What was asked for, and what has been found of it.
pub struct Side {
    pub selection: Selection,
    pub merged: Merged,
    pub seen: Seen,
    /// Stands for processes in files that name none; the file's own name where there is none.
    pub process: Option<&'static str>,
}

/// What was met, whether it fitted or not.
#[derive(Debug, Default)]
pub struct Seen {
    /// Samples in the window, and those of them that fitted.
    pub in_window: u64,
    pub taken: u64,
    /// What everything that was read covers, in ns since 1970.
    pub covers: Option<Range<u64>>,
    /// Of each kind that was asked for: samples that fitted, and the values met while none did.
    pub kinds: Vec<(Kind, u64, HashMap<String, u64>)>,
    /// Keys of labels, while a label did not fit.
    pub keys: HashMap<String, u64>,
}

/// What is missing of what was read.
#[derive(Debug, Default)]
pub struct Gaps {
    /// Records of the store that can't be read.
    pub damaged: u64,
}

impl Side {
    pub fn new(selection: Selection, timed: bool, process: Option<&'static str>) -> Self {
        let kinds = selection.kinds().into_iter();
        let seen = Seen {
            kinds: kinds.map(|kind| (kind, 0, HashMap::new())).collect(),
            ..Seen::default()
        };
        Self {
            selection,
            merged: Merged::new(timed, MOST_TIMES),
            seen,
            process,
        }
    }

    /// Takes what fits of a profile, whose times are on the wall clock.
    fn take(&mut self, from: &Profile, origin: u32) -> Result<(), ReadError> {
        let window = self.selection.window();
        let covers = from.span.start..from.span.end;
        // Samples without times were taken at some time of their profile: it counts as its middle.
        let middle = covers.start + covers.end.saturating_sub(covers.start) / 2;
        let is_within = window.contains(&middle);
        let mut selector = Selector::new(&self.selection, from);
        let seen = &mut self.seen;
        seen.cover(&covers);
        let mut copy = self.merged.from(from, origin);
        for (key, totals) in from.samples() {
            let weight = if totals.moments.is_empty() {
                if is_within { totals.weight } else { 0 }
            } else {
                let moments = totals.moments.iter();
                let within = moments.filter(|moment| window.contains(&moment.time));
                within.map(|moment| u64::from(moment.weight)).sum()
            };
            if weight == 0 {
                continue;
            }
            seen.in_window = seen.in_window.saturating_add(weight);
            let kinds = &mut seen.kinds;
            if selector.fits(key, |place| kinds[place].1 += weight) {
                seen.taken = seen.taken.saturating_add(copy.add(key, totals, &window));
            } else {
                seen.note(from, key, weight);
            }
        }
        let part = covers.start.max(window.start)..covers.end.min(window.end);
        if !part.is_empty() {
            let span = &mut self.merged.profile.span;
            *span = match span.end {
                0 => Span {
                    start: part.start,
                    end: part.end,
                },
                _ => Span {
                    start: span.start.min(part.start),
                    end: span.end.max(part.end),
                },
            };
        }
        if self.merged.bytes() > MOST_MEMORY {
            return Err(ReadError::TooMuchMemory(MOST_MEMORY));
        }
        Ok(())
    }
}

impl Seen {
    fn cover(&mut self, covers: &Range<u64>) {
        if covers.end == 0 {
            return;
        }
        self.covers = Some(match &self.covers {
            None => covers.clone(),
            Some(known) => known.start.min(covers.start)..known.end.max(covers.end),
        });
    }

    /// What could have been asked for instead.
    fn note(&mut self, profile: &Profile, key: &crate::profile::SampleKey, weight: u64) {
        let mut labels = false;
        for (kind, fitted, values) in &mut self.kinds {
            if *fitted > 0 {
                *values = HashMap::new();
                continue;
            }
            labels |= matches!(kind, Kind::Label(_));
            for name in select::names(profile, key, kind) {
                count(values, &name, weight);
            }
        }
        if labels {
            for name in select::keys(profile, key) {
                count(&mut self.keys, name, weight);
            }
        }
    }
}

fn count(values: &mut HashMap<String, u64>, name: &str, weight: u64) {
    if let Some(known) = values.get_mut(name) {
        *known = known.saturating_add(weight);
    } else if values.len() < MOST_VALUES && !name.is_empty() {
        values.insert(name.to_owned(), weight);
    }
}

/// Reads files into sides. Processes of different files are different.
pub fn files(files: &[PathBuf], sides: &mut [&mut Side]) -> Result<()> {
    for (number, path) in files.iter().enumerate() {
        file(path, number as u32, sides)
            .with_context(|| format!("{} can't be read", path.display()))?;
    }
    Ok(())
}

fn file(path: &Path, origin: u32, sides: &mut [&mut Side]) -> Result<()> {
    let (bytes, name) = if path == Path::new("-") {
        (take(io::stdin().lock())?, "stdin".into())
    } else {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        (take(File::open(path)?)?, name)
    };
    let kind = FileKind::of(&name, &bytes).ok_or(ReadError::Unknown)?;
    if let [side] = sides
        && side.selection.is_all()
    {
        // All of it, straight into what is wanted.
        let process = side.process.unwrap_or(&name);
        let before = weight(&side.merged.profile);
        read::read(&mut side.merged.profile, kind, process, &bytes)?;
        let taken = weight(&side.merged.profile).saturating_sub(before);
        side.seen.in_window = side.seen.in_window.saturating_add(taken);
        side.seen.taken = side.seen.taken.saturating_add(taken);
        return Ok(());
    }
    let process = sides.iter().find_map(|side| side.process);
    let mut all = Profile::with_times();
    read::read(&mut all, kind, process.unwrap_or(&name), &bytes)?;
    drop(bytes);
    let timed = sides.iter().any(|side| side.selection.is_timed());
    if timed && all.span.end == 0 && all.times() == 0 {
        bail!(
            "it does not say when it was recorded, so that no time can be chosen from it; leave \
             --since and --until out"
        );
    }
    for side in sides {
        side.take(&all, origin)?;
    }
    Ok(())
}

fn weight(profile: &Profile) -> u64 {
    let weights = profile.samples().map(|(_, totals)| totals.weight);
    weights.fold(0, u64::saturating_add)
}

fn take(reader: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        bail!("it has more than {} MiB", MOST_BYTES >> 20);
    }
    Ok(bytes)
}

/// Reads a store into sides, a message at a time.
pub fn store(folder: &Path, sides: &mut [&mut Side]) -> Result<Gaps> {
    let window = |side: &Side| side.selection.window();
    let from = sides.iter().map(|side| window(side).start).min();
    let to = sides.iter().map(|side| window(side).end).max();
    let mut gaps = Gaps::default();
    let mut failed = Ok(());
    let window = from.unwrap_or(0)..to.unwrap_or(u64::MAX);
    let mut progress = Progress::new();
    let read = store::read(folder, window, |stored| {
        progress.at(stored.message.start);
        match message(&stored.message, sides) {
            Ok(true) => {}
            Ok(false) => gaps.damaged += 1,
            Err(error) => {
                failed = Err(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    });
    progress.end();
    failed.context(
        "The store's samples don't fit into memory; choose a shorter time by --since and --until, \
         or a process",
    )?;
    gaps.damaged += read?.damaged;
    Ok(gaps)
}

/// Says on a terminal how far a store was read, where that takes long: a day may take a minute.
struct Progress {
    shown: Instant,
    terminal: bool,
    any: bool,
}

impl Progress {
    fn new() -> Self {
        Self {
            shown: Instant::now(),
            terminal: io::stderr().is_terminal(),
            any: false,
        }
    }

    fn at(&mut self, time: u64) {
        if self.terminal && self.shown.elapsed() > PATIENCE {
            eprint!("\rReading {} …", super::nothing::time(time));
            (self.shown, self.any) = (Instant::now(), true);
        }
    }

    fn end(&self) {
        if self.any {
            eprint!("\r\x1b[K");
        }
    }
}

/// Whether a message could be read.
fn message(message: &store::Message, sides: &mut [&mut Side]) -> Result<bool, ReadError> {
    let covers = |side: &Side| {
        let window = side.selection.window();
        message.start < window.end && window.start <= message.end
    };
    if !sides.iter().any(|side| covers(side)) {
        return Ok(true);
    }
    let mut profile = Profile::with_times();
    if read::read(&mut profile, FileKind::Otlp, "", &message.bytes).is_err() {
        return Ok(false);
    }
    if profile.span.end == 0 {
        (profile.span.start, profile.span.end) = (message.start, message.end);
    }
    for side in sides {
        if covers(side) {
            side.take(&profile, 0)?;
        }
    }
    Ok(true)
}
