//! Functions by their shares, as a table for a terminal.

use std::fmt::Write as _;

use serde::Serialize;

use crate::profile::{FrameKind, Profile};

use super::functions::{Function, Functions, Measure};
use super::{FormatError, Options, grouped};

/// How a table is laid out.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Most rows.
    pub rows: usize,
    /// Columns of the terminal; none where lines may be of any length.
    pub width: Option<usize>,
    pub colour: bool,
}

/// Least columns for a function's name.
const LEAST: usize = 16;
/// Most columns for its place, where there are not columns enough for all.
const PLACE: usize = 28;

/// The functions that most time was spent in.
pub fn top(profile: &Profile, options: &Options, layout: &Layout) -> Result<String, FormatError> {
    let functions = Functions::of(profile, options);
    if functions.samples == 0 {
        return Err(FormatError::Empty);
    }
    let ranked = functions.ranked();
    let shown = ranked.len().min(layout.rows);
    let timed = functions.measure != Measure::Samples;
    let mut table = Table::new(*layout);
    table.head(&["self", "total"]);
    match functions.measure {
        Measure::Nanoseconds => table.head(&["CPU time", "samples"]),
        Measure::Bytes => table.head(&["bytes", "samples"]),
        Measure::Samples => table.head(&["samples"]),
    }
    for (function, sums) in &ranked[..shown] {
        let mut cells = vec![
            percent(share(sums.own, functions.total)),
            percent(share(sums.total, functions.total)),
        ];
        if timed {
            cells.push(functions.measure.text(sums.own));
        }
        cells.push(grouped(sums.own_samples));
        table.row(cells, function, false);
    }
    let mut text = table.text();
    if shown < ranked.len() {
        let more = grouped((ranked.len() - shown) as u64);
        let _ = writeln!(text, "… {more} more functions");
    }
    Ok(text)
}

/// The same as JSON, for programs.
pub fn top_json(profile: &Profile, options: &Options, rows: usize) -> Result<Vec<u8>, FormatError> {
    #[derive(Serialize)]
    struct Row<'a> {
        function: &'a str,
        place: &'a str,
        kind: &'a str,
        self_share: f64,
        total_share: f64,
        self_samples: u64,
        total_samples: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        self_ns: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        total_ns: Option<u64>,
    }
    let functions = Functions::of(profile, options);
    let ns = |amount| (functions.measure == Measure::Nanoseconds).then_some(amount);
    let ranked = functions.ranked().into_iter().take(rows);
    let rows: Vec<Row> = ranked
        .map(|(function, sums)| Row {
            function: &function.name,
            place: &function.place,
            kind: kind(function.kind),
            self_share: share(sums.own, functions.total),
            total_share: share(sums.total, functions.total),
            self_samples: sums.own_samples,
            total_samples: sums.total_samples,
            self_ns: ns(sums.own),
            total_ns: ns(sums.total),
        })
        .collect();
    let mut json = serde_json::to_vec_pretty(&rows).map_err(FormatError::Json)?;
    json.push(b'\n');
    Ok(json)
}

fn kind(kind: FrameKind) -> &'static str {
    match kind {
        FrameKind::Kernel => "kernel",
        FrameKind::Native => "native",
        FrameKind::Python => "python",
        FrameKind::Jit => "jit",
        FrameKind::Marker => "note",
    }
}

pub fn share(part: u64, of: u64) -> f64 {
    part as f64 / of.max(1) as f64
}

pub fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// Where places begin at most, where lines may be of any length.
const FAR: usize = 60;

/// Columns of numbers, right-aligned, and then a function and its place.
pub struct Table {
    layout: Layout,
    heads: Vec<String>,
    rows: Vec<Row>,
}

struct Row {
    cells: Vec<String>,
    name: String,
    place: String,
    kind: FrameKind,
    /// Hardly worth looking at.
    faint: bool,
}

impl Table {
    pub fn new(layout: Layout) -> Self {
        Self {
            layout,
            heads: Vec::new(),
            rows: Vec::new(),
        }
    }

    pub fn head(&mut self, heads: &[&str]) {
        self.heads
            .extend(heads.iter().map(|head| (*head).to_owned()));
    }

    pub fn row(&mut self, cells: Vec<String>, function: &Function, faint: bool) {
        self.rows.push(Row {
            cells,
            name: function.name.clone(),
            place: function.place.clone(),
            kind: function.kind,
            faint,
        });
    }

    pub fn text(&self) -> String {
        let columns = self.heads.iter().enumerate().map(|(column, head)| {
            let cells = self.rows.iter().map(|row| width(&row.cells[column]));
            cells.max().unwrap_or(0).max(width(head))
        });
        let columns: Vec<usize> = columns.collect();
        let numbers: usize = columns.iter().map(|column| column + 2).sum();
        let longest = |text: fn(&Row) -> &str| {
            let widths = self.rows.iter().map(|row| width(text(row)));
            widths.max().unwrap_or(0)
        };
        let mut names = longest(|row| &row.name).max("function".len());
        let mut places = longest(|row| &row.place).max("where".len());
        let all = self.layout.width;
        if all.is_none() {
            // Whole names; but one that is very long does not push all places away.
            (names, places) = (names.min(FAR), usize::MAX);
        }
        if let Some(all) = all {
            let room = all.saturating_sub(numbers + 2).max(LEAST);
            if names + places > room {
                places = places.min(PLACE).min(room / 3);
                names = names.min(room - places);
            }
        }
        let mut text = String::new();
        let mut line = String::new();
        for (head, column) in self.heads.iter().zip(&columns) {
            let _ = write!(line, "{}{head}  ", blanks(column - width(head)));
        }
        let _ = write!(line, "function{}  where", blanks(names - "function".len()));
        let _ = writeln!(text, "{}", self.painted(&line, "2"));
        for row in &self.rows {
            let mut line = String::new();
            for (cell, column) in row.cells.iter().zip(&columns) {
                let _ = write!(line, "{}{cell}  ", blanks(column - width(cell)));
            }
            // Padded before it is painted: the terminal's codes have no width.
            let name = match all {
                Some(_) => cut(&row.name, names),
                None => row.name.clone(),
            };
            let blank = blanks(names.saturating_sub(width(&name)));
            let name = match row.faint {
                true => name,
                false => self.painted(&name, hue(row.kind)),
            };
            let place = cut_front(&row.place, places);
            let line = format!("{line}{name}{blank}  {place}");
            let line = line.trim_end();
            let _ = match row.faint {
                true => writeln!(text, "{}", self.painted(line, "2")),
                false => writeln!(text, "{line}"),
            };
        }
        text
    }

    fn painted(&self, text: &str, code: &str) -> String {
        match self.layout.colour && !code.is_empty() {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

/// As in flame graphs, as far as terminals have such colours.
fn hue(kind: FrameKind) -> &'static str {
    match kind {
        FrameKind::Python => "34",
        FrameKind::Native => "33",
        FrameKind::Kernel => "31",
        FrameKind::Jit => "32",
        FrameKind::Marker => "2",
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn blanks(count: usize) -> String {
    " ".repeat(count)
}

/// The beginning of a text that is too long.
fn cut(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let kept = text.chars().take(most.saturating_sub(1));
    kept.chain(['…']).collect()
}

/// The end of a text that is too long.
fn cut_front(text: &str, most: usize) -> String {
    let length = width(text);
    if length <= most {
        return text.to_owned();
    }
    let kept = text.chars().skip(length - most.saturating_sub(1));
    ['…'].into_iter().chain(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample_profile;
    use super::*;

    const WIDE: Layout = Layout {
        rows: 10,
        width: None,
        colour: false,
    };

    #[test]
    fn columns_are_aligned_and_numbers_are_shares() {
        let profile = sample_profile::stacks(&[(&["main", "f"], 750), (&["main", "g"], 250)]);
        let text = top(&profile, &Options::default(), &WIDE).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "   self     total  CPU time  samples  function  where"
        );
        assert_eq!(
            lines[1],
            "75.00 %   75.00 %    7.58 s      750  f         libz.so.1.2.13"
        );
        assert_eq!(
            lines[3],
            " 0.00 %  100.00 %      0 ns        0  main      libz.so.1.2.13"
        );
        let two = Layout { rows: 2, ..WIDE };
        let text = top(&profile, &Options::default(), &two).unwrap();
        assert!(text.ends_with("… 1 more functions\n"), "{text}");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let long = "a_function_with_a_name_that_nobody_would_have_wanted_to_type_by_hand_ever";
        let profile = sample_profile::stacks(&[(&[long, "f"], 7), (&["é"], 1)]);
        for width in [60, 80, 100] {
            let layout = Layout {
                width: Some(width),
                ..WIDE
            };
            let text = top(&profile, &Options::default(), &layout).unwrap();
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{line}");
            }
            assert!(text.contains("a_function"));
        }
        let text = top(&profile, &Options::default(), &WIDE).unwrap();
        assert!(text.contains(long));
    }

    #[test]
    fn colours_only_where_they_are_wanted() {
        let profile = sample_profile::profile();
        let text = top(&profile, &Options::default(), &WIDE).unwrap();
        assert!(!text.contains('\x1b'));
        let colour = Layout {
            colour: true,
            ..WIDE
        };
        let painted = top(&profile, &Options::default(), &colour).unwrap();
        let mut bare = painted.replace("\x1b[0m", "");
        for code in ["2", "31", "32", "33", "34"] {
            bare = bare.replace(&format!("\x1b[{code}m"), "");
        }
        assert_ne!(painted, text);
        assert_eq!(bare, text);
    }

    #[test]
    fn programs_get_the_same_numbers() {
        let profile = sample_profile::stacks(&[(&["main", "f"], 3), (&["main"], 1)]);
        let json = top_json(&profile, &Options::default(), 10).unwrap();
        let rows: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(rows[0]["function"], "f");
        assert_eq!(rows[0]["self_share"], 0.75);
        assert_eq!(rows[1]["total_samples"], 4);
        assert_eq!(rows[1]["kind"], "native");
    }
}
