//! What is said where nothing fits: what there would have been.

use std::collections::HashMap;
use std::ops::Range;

use super::calendar::{Local, Zone};
use super::select::{Kind, Selection};
use super::source::{Seen, Side};
use crate::cli::summary;
use crate::format::plain;

/// Most values that are named.
const NAMED: usize = 8;
/// Longer ones are cut.
const LONGEST: usize = 60;

/// Why a side is empty, in sentences.
pub fn why(side: &Side, source: &str) -> String {
    let (seen, selection) = (&side.seen, &side.selection);
    if seen.in_window == 0 {
        return outside(selection, seen, source);
    }
    let none = seen.kinds.iter().find(|(_, fitted, _)| *fitted == 0);
    if let Some((kind, _, values)) = none {
        let typed = selection.typed(kind);
        let what = format!("No sample {} {}.", phrase(kind), list(&typed));
        return format!("{what} {}", instead(kind, &typed, values, &seen.keys));
    }
    let each = seen.kinds.iter().map(|(kind, fitted, _)| {
        let typed = list(&selection.typed(kind));
        format!("{} {typed}: {}", option(kind), summary::samples(*fitted))
    });
    let each: Vec<String> = each.collect();
    format!(
        "No sample fits all that was asked for; each alone would ({}). Leave one out.",
        each.join("; ")
    )
}

fn outside(selection: &Selection, seen: &Seen, source: &str) -> String {
    let wanted = match (selection.since, selection.until) {
        (Some(since), Some(until)) => format!(" between {} and {}", time(since), time(until)),
        (Some(since), None) => format!(" since {}", time(since)),
        (None, Some(until)) => format!(" until {}", time(until)),
        (None, None) => return format!("{source} has no samples."),
    };
    let there = match &seen.covers {
        Some(covers) => format!(" It covers {}.", range(covers)),
        None => String::new(),
    };
    format!("{source} has no samples{wanted}.{there}")
}

/// `2026-11-28 14:30:15 – 14:40:15`
pub fn range(covers: &Range<u64>) -> String {
    let (start, end) = (civil(covers.start), civil(covers.end));
    match start.is_same_day(&end) {
        true => format!("{} – {}", start.text(), end.clock()),
        false => format!("{} – {}", start.text(), end.text()),
    }
}

pub fn time(ns: u64) -> String {
    civil(ns).text()
}

fn civil(ns: u64) -> super::calendar::Civil {
    Local.civil((ns / 1_000_000_000) as i64)
}

fn phrase(kind: &Kind) -> String {
    match kind {
        Kind::Process => "is of the process".to_owned(),
        Kind::Container => "is of a container whose id begins with".to_owned(),
        Kind::Thread => "is of the thread".to_owned(),
        Kind::Function => "has the function".to_owned(),
        Kind::Label(key) => format!("has the label {key} ="),
    }
}

fn option(kind: &Kind) -> &'static str {
    match kind {
        Kind::Process => "--process",
        Kind::Container => "--container",
        Kind::Thread => "--thread",
        Kind::Function => "--function",
        Kind::Label(_) => "--label",
    }
}

fn list(typed: &[&str]) -> String {
    let typed: Vec<String> = typed
        .iter()
        .map(|text| format!("`{}`", plain(text)))
        .collect();
    typed.join(" or ")
}

/// Those that are most like what was typed, then those with the most samples.
fn instead(
    kind: &Kind,
    typed: &[&str],
    values: &HashMap<String, u64>,
    keys: &HashMap<String, u64>,
) -> String {
    let (values, typed, what) = match kind {
        // It is the key that is not there.
        Kind::Label(key) if values.is_empty() => (keys, vec![key.as_str()], "There are the labels"),
        _ => (values, typed.to_vec(), "There are"),
    };
    if values.is_empty() {
        let known = match kind {
            Kind::Container => "which container a process is in",
            Kind::Thread => "the threads' names",
            Kind::Label(_) => "any label",
            Kind::Process | Kind::Function => "a name",
        };
        return format!("The samples don't say {known}.");
    }
    let mut nearest: Vec<(f64, u64, &str)> = values
        .iter()
        .map(|(name, count)| (likeness(name, &typed), *count, name.as_str()))
        .collect();
    nearest.sort_by(|a, b| (b.0.total_cmp(&a.0)).then(b.1.cmp(&a.1)).then(a.2.cmp(b.2)));
    let others = nearest.len().saturating_sub(NAMED);
    let named = nearest.iter().take(NAMED);
    let mut named: Vec<String> = named
        .map(|(_, _, name)| format!("`{}`", short(name)))
        .collect();
    if others > 0 {
        named.push(format!("and {others} more"));
    }
    format!("{what} {}.", named.join(", "))
}

/// How much a name is like what was typed; 0 where it is not like it, so that samples count then.
fn likeness(name: &str, typed: &[&str]) -> f64 {
    let name = name.to_lowercase();
    let like = typed.iter().map(|typed| {
        let typed = typed.trim_matches(['*', '/', '?']).to_lowercase();
        if typed.is_empty() {
            return 0.0;
        }
        // Names may be hostile, and comparing them takes the product of their lengths.
        let part: String = name.chars().take(LONGEST * 2).collect();
        let within = if name.contains(&typed) { 1.0 } else { 0.0 };
        within + strsim::jaro_winkler(&part, &typed)
    });
    let most = like.fold(0.0, f64::max);
    if most < 0.75 { 0.0 } else { most }
}

fn short(name: &str) -> String {
    let name = plain(name);
    match name.char_indices().nth(LONGEST) {
        Some((place, _)) => format!("{}…", &name[..place]),
        None => name,
    }
}
