//! What is printed after the trials: the table, what was skipped and why, what must not be skipped.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// Cells that have to run where STRATA_CI=1 is set: one name a line, `*` for any row or property.
const REQUIRED: &str = include_str!("../../required.txt");

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Result {
    Passed,
    Failed,
    Skipped(String),
}

/// Group, row, property.
type Place = (&'static str, String, String);

#[derive(Default)]
pub struct Report {
    cells: Mutex<Vec<(Place, Result)>>,
    times: Mutex<Vec<(Duration, String)>>,
}

impl Report {
    pub fn note(&self, place: Place, result: Result, took: Duration) {
        if let Ok(mut times) = self.times.lock() {
            times.push((took, name(&place)));
        }
        if let Ok(mut cells) = self.cells.lock() {
            cells.push((place, result));
        }
    }

    /// Names of the cells that were wrong.
    pub fn failed(&self) -> Vec<String> {
        let Ok(cells) = self.cells.lock() else {
            return Vec::new();
        };
        let failed = cells.iter().filter(|(_, result)| *result == Result::Failed);
        failed.map(|(place, _)| name(place)).collect()
    }

    /// Prints the closing lines. False if something was skipped, or never run, that had to run. `whole`: no trial was
    /// left out by the command line.
    pub fn close(&self, whole: bool) -> bool {
        let Ok(cells) = self.cells.lock() else {
            return false;
        };
        for group in in_order(cells.iter().map(|((group, _, _), _)| *group)) {
            print!("{}", table(group, &cells));
        }
        let count =
            |wanted: fn(&Result) -> bool| cells.iter().filter(|(_, result)| wanted(result)).count();
        let skipped = count(|result| matches!(result, Result::Skipped(_)));
        if skipped > 0 {
            println!("Skipped, since this machine lacks what they need:");
            print!("{}", skipped_by_reason(&cells));
            println!();
        }
        if let Ok(mut times) = self.times.lock() {
            times.sort();
            let slowest = times.iter().rev().take(5);
            let slowest: Vec<_> = slowest
                .map(|(took, name)| format!("{name} {} s", took.as_secs()))
                .collect();
            println!("slowest: {}", slowest.join(", "));
        }
        println!(
            "{} cells right (✓), {} wrong (✗), {skipped} skipped (–)",
            count(|result| *result == Result::Passed),
            count(|result| *result == Result::Failed)
        );
        if std::env::var_os("STRATA_CI").is_none_or(|value| value != "1") || !whole {
            return true;
        }
        let absent = missing(REQUIRED, &cells);
        for name in &absent {
            println!("required in CI, but it did not run: {name}");
        }
        absent.is_empty()
    }
}

/// Required cells that were skipped or not there at all.
fn missing(required: &str, cells: &[(Place, Result)]) -> Vec<String> {
    let ran = |result: &Result| !matches!(result, Result::Skipped(_));
    let mut absent = Vec::new();
    for line in required
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let wanted: Vec<&str> = line.split("::").collect();
        let fits = |(group, row, property): &Place| {
            let parts = [*group, row, property];
            wanted.len() == 3
                && wanted
                    .iter()
                    .zip(parts)
                    .all(|(wanted, part)| *wanted == "*" || *wanted == part)
        };
        let found: Vec<_> = cells.iter().filter(|(place, _)| fits(place)).collect();
        absent.extend(
            found
                .iter()
                .filter(|(_, result)| !ran(result))
                .map(|(place, _)| name(place)),
        );
        if found.is_empty() {
            absent.push(line.to_owned());
        }
    }
    absent
}

fn name((group, row, property): &Place) -> String {
    format!("{group}::{row}::{property}")
}

/// One group: a row a target, a column a property.
fn table(group: &str, cells: &[(Place, Result)]) -> String {
    let ours: Vec<_> = cells
        .iter()
        .filter(|((of, _, _), _)| *of == group)
        .collect();
    let rows = in_order(ours.iter().map(|((_, row, _), _)| row.as_str()));
    let columns = in_order(ours.iter().map(|((_, _, property), _)| property.as_str()));
    let marks: BTreeMap<(&str, &str), &str> = ours
        .iter()
        .map(|((_, row, property), result)| ((row.as_str(), property.as_str()), mark(result)))
        .collect();
    let first = rows
        .iter()
        .map(|row| row.chars().count())
        .chain([group.len()])
        .max()
        .unwrap_or(0);
    let mut text = format!("\n{group:first$}");
    for column in &columns {
        text += &format!("  {column}");
    }
    for row in &rows {
        text += &format!("\n{row:first$}");
        for column in &columns {
            let mark = marks.get(&(row, column)).copied().unwrap_or("");
            text += &format!("  {mark:^width$}", width = column.chars().count());
        }
        text = text.trim_end().to_owned();
    }
    text + "\n\n"
}

fn mark(result: &Result) -> &'static str {
    match result {
        Result::Passed => "✓",
        Result::Failed => "✗",
        Result::Skipped(_) => "–",
    }
}

fn skipped_by_reason(cells: &[(Place, Result)]) -> String {
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (place, result) in cells {
        if let Result::Skipped(why) = result {
            reasons.entry(why).or_default().push(name(place));
        }
    }
    reasons
        .iter()
        .map(|(why, names)| format!("  {why}\n    {}\n", names.join("\n    ")))
        .collect()
}

/// Each once, in the order of first appearance.
fn in_order<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut found = Vec::new();
    for one in all {
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found
}
