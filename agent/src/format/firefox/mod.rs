//! JSON for the Firefox Profiler (<https://profiler.firefox.com>), in its processed format.
//!
//! Processes and threads are parts of that format, so they are no boxes of the stacks; and it
//! always has a track for each thread. What knows the file format is in [`tables`]. The published
//! crate for it (fxprof-processed-profile 0.8) leaves files and lines empty, so it does not do.

mod tables;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::profile::{
    ExecutableId, Frame, FrameKind, ProcessIndex, Profile, StringId, ThreadIndex,
};

use super::caption::subject;
use super::label::Label;
use super::numbered::{Numbered, Piece, in_order, is_time, pieces};
use super::{FormatError, Options};
use tables::{Category, File, Lib, Meta, Tables, Thread};

/// What stands for a sample's length where no period says it.
const MILLISECOND: u64 = 1_000_000;

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place {
    /// Number of the file.
    lib: u32,
    svma: Option<u32>,
}

/// A frame as the tables need it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Shown {
    label: Label,
    file: String,
    first_line: Option<u32>,
    line: Option<u32>,
    place: Option<Place>,
    inlined: bool,
}

/// The profile for the Firefox Profiler.
pub fn firefox(profile: &Profile, options: &Options) -> Result<Vec<u8>, FormatError> {
    let libs = Libs::of(profile);
    let stacks = Numbered::new(profile, options, |frame| {
        shown(profile, options, &libs, frame)
    });
    let mut found = BTreeMap::<ThreadIndex, Vec<Piece<'_>>>::new();
    for (key, totals) in profile.samples() {
        let pieces =
            pieces(totals, stacks.stack(key.stack), true).filter(|piece| piece.weight != 0);
        found.entry(key.thread).or_default().extend(pieces);
    }
    found.retain(|_, pieces| !pieces.is_empty());
    if found.is_empty() {
        return Err(FormatError::Empty);
    }
    let pids = pids(profile, found.keys());
    let mut threads: Vec<_> = found.into_iter().collect();
    threads.sort_by_key(|(thread, _)| {
        let thread = &profile[*thread];
        let id = profile[thread.process].id;
        let is_main = thread.tid == id.pid;
        (id.pid, id.start, id.exec, !is_main, thread.tid)
    });
    let threads = threads.into_iter().map(|(index, pieces)| {
        let thread = &profile[index];
        let process = &profile[thread.process];
        let mut tables = Tables::default();
        fill(&mut tables, profile, &stacks.items, &libs.list, pieces);
        let is_main = thread.tid == process.id.pid;
        Thread {
            name: profile[thread.name].to_owned(),
            is_main,
            process: profile[process.name].to_owned(),
            pid: pids[&thread.process].clone(),
            tid: thread.tid,
            tables,
        }
    });
    let file = File {
        meta: Meta {
            product: subject(profile),
            interval: milliseconds(interval(profile)),
            start: milliseconds(profile.clock.wall(profile.span.start)),
        },
        threads: threads.collect(),
        libs: libs.list,
    };
    file.to_json().map_err(FormatError::Json)
}

/// Writes the samples of one thread.
fn fill(
    tables: &mut Tables,
    profile: &Profile,
    frames: &[Shown],
    libs: &[Lib],
    pieces: Vec<Piece<'_>>,
) {
    let timed = is_time(profile);
    let interval = interval(profile);
    // Sums have no times. So that each is as long as it was, they stand one behind the other.
    let mut next = profile.span.start;
    let mut stacks = HashMap::new();
    for piece in in_order(pieces) {
        let stack = *stacks
            .entry(piece.stack)
            .or_insert_with(|| stack(tables, frames, libs, piece.stack));
        let time = piece.time.unwrap_or(next);
        next = time.saturating_add(interval.saturating_mul(piece.weight));
        let time = milliseconds(time.saturating_sub(profile.span.start));
        tables.sample(time, stack, piece.weight, timed.then_some(piece.value));
    }
}

/// The number of a stack, the root first.
fn stack(tables: &mut Tables, frames: &[Shown], libs: &[Lib], numbers: &[u32]) -> Option<u32> {
    let mut stack = None;
    let mut depth = 0;
    for number in numbers {
        let shown = &frames[*number as usize];
        depth = if shown.inlined { depth + 1 } else { 0 };
        let lib = shown.place.and_then(|place| {
            let lib = libs.get(place.lib as usize)?;
            Some((place.lib, lib.name()))
        });
        let name = &shown.label.text;
        let function = tables.function(name, &shown.file, shown.first_line, lib);
        let category = Category::of(&shown.label);
        let svma = shown.place.and_then(|place| place.svma);
        let frame = tables.frame(function, category, shown.line, svma, depth);
        stack = Some(tables.stack(stack, frame));
    }
    stack
}

fn shown(profile: &Profile, options: &Options, libs: &Libs, frame: Option<&Frame>) -> Shown {
    let Some(frame) = frame else {
        return Shown {
            label: Label::no_frames(),
            file: String::new(),
            first_line: None,
            line: None,
            place: None,
            inlined: false,
        };
    };
    let function = frame.function.map(|function| &profile[function]);
    let file = function.map_or(StringId::EMPTY, |function| function.file);
    Shown {
        label: Label::frame(profile, frame, options),
        file: profile[file].to_owned(),
        first_line: function.and_then(|function| function.first_line),
        line: frame.line,
        place: libs.place(frame),
        inlined: frame.inlined,
    }
}

/// The files that hold code, by path and build id.
struct Libs {
    list: Vec<Lib>,
    numbers: HashMap<ExecutableId, u32>,
}

impl Libs {
    fn of(profile: &Profile) -> Self {
        let mut found = BTreeMap::<(&str, &str), Vec<ExecutableId>>::new();
        for (id, executable) in profile.executables().iter() {
            let key = (&profile[executable.path], &profile[executable.build_id]);
            found.entry(key).or_default().push(id);
        }
        let mut numbers = HashMap::new();
        let mut list = Vec::with_capacity(found.len());
        for ((path, build_id), ids) in found {
            numbers.extend(ids.into_iter().map(|id| (id, list.len() as u32)));
            list.push(Lib {
                path: path.to_owned(),
                build_id: build_id.to_owned(),
            });
        }
        Self { list, numbers }
    }

    fn place(&self, frame: &Frame) -> Option<Place> {
        // The addresses of kernel and JIT code belong to no file.
        let in_file = frame.kind == FrameKind::Native;
        Some(Place {
            lib: *self.numbers.get(&frame.executable?)?,
            svma: u32::try_from(frame.svma).ok().filter(|_| in_file),
        })
    }
}

/// A text for each process: its pid, with the number of its exec where several have that pid.
fn pids<'a>(
    profile: &Profile,
    threads: impl Iterator<Item = &'a ThreadIndex>,
) -> HashMap<ProcessIndex, String> {
    let processes: HashSet<ProcessIndex> = threads.map(|it| profile[*it].process).collect();
    let mut counts = HashMap::<u32, u32>::new();
    for process in &processes {
        *counts.entry(profile[*process].id.pid).or_default() += 1;
    }
    let text = |process: ProcessIndex| {
        let id = profile[process].id;
        match counts.get(&id.pid) {
            Some(1) | None => id.pid.to_string(),
            Some(_) => format!("{}.{}.{}", id.pid, id.start, id.exec),
        }
    };
    processes.iter().map(|it| (*it, text(*it))).collect()
}

/// ns between two samples of a thread that is always busy.
fn interval(profile: &Profile) -> u64 {
    let periods = profile
        .events()
        .iter()
        .filter_map(|(_, event)| event.period);
    let times = periods.filter(|period| &profile[period.of.unit] == "nanoseconds");
    let shortest = times
        .map(|period| period.amount)
        .filter(|it| *it != 0)
        .min();
    shortest.unwrap_or(MILLISECOND)
}

fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

#[cfg(test)]
mod tests;
