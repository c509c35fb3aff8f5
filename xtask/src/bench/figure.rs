//! One measured figure, and the table and the JSON of all.

use anyhow::Result;
use serde::Serialize;

use super::machine::Machine;
use super::statistics::Estimate;

#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Of whom.
    pub who: String,
    pub what: String,
    pub value: f64,
    /// 95 % confidence, where the value is a mean of many.
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub unit: &'static str,
    /// How it came about: counts, places, conditions.
    pub note: String,
}

impl Figure {
    pub fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            who: "strata".to_owned(),
            what: what.into(),
            value,
            low: None,
            high: None,
            unit,
            note: String::new(),
        }
    }

    pub fn estimated(what: impl Into<String>, estimate: Estimate, unit: &'static str) -> Self {
        Self {
            low: Some(estimate.low),
            high: Some(estimate.high),
            ..Self::new(what, estimate.value, unit)
        }
    }

    pub fn of(self, who: impl Into<String>) -> Self {
        Self {
            who: who.into(),
            ..self
        }
    }

    pub fn note(self, note: impl Into<String>) -> Self {
        Self {
            note: note.into(),
            ..self
        }
    }

    fn value_text(&self) -> String {
        let value = number(self.value);
        match (self.low, self.high) {
            (Some(low), Some(high)) => format!("{value} ({} .. {})", number(low), number(high)),
            _ => value,
        }
    }
}

/// Three digits that count, and no more after the point than that takes.
fn number(value: f64) -> String {
    let size = value.abs();
    let decimals = if size >= 100.0 {
        0
    } else if size >= 10.0 {
        1
    } else if size >= 1.0 {
        2
    } else {
        3
    };
    format!("{value:.decimals$}")
}

/// Columns of the same width, each as wide as its widest cell.
pub fn table(machine: &Machine, figures: &[Figure]) -> String {
    let head = ["who", "figure", "value", "unit", "note"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(head)
        .chain(figures.iter().map(|figure| {
            [
                figure.who.clone(),
                figure.what.clone(),
                figure.value_text(),
                figure.unit.to_owned(),
                figure.note.clone(),
            ]
        }))
        .collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..5).map(width).collect();
    let mut text = format!("{machine}\n\n");
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

pub fn json(machine: &Machine, figures: &[Figure]) -> Result<String> {
    #[derive(Serialize)]
    struct All<'a> {
        machine: &'a Machine,
        figures: &'a [Figure],
    }
    Ok(serde_json::to_string_pretty(&All { machine, figures })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_intervals_shown() {
        let estimate = Estimate {
            value: 1.234,
            low: 0.5,
            high: 12.34,
        };
        let figures = [
            Figure::estimated("slowdown at 999 Hz", estimate, "%").note("240 windows"),
            Figure::new("µs", 1234.5, "ns").of("perf -g"),
        ];
        let text = table(&Machine::here(), &figures);
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(lines.len(), 3, "{text}");
        let column = |line: &str, word: &str| {
            let at = line.find(word).unwrap();
            line[..at].chars().count()
        };
        assert!(lines[1].contains("1.23 (0.500 .. 12.3)"), "{text}");
        assert_eq!(column(lines[0], "unit"), column(lines[1], "%"), "{text}");
        assert_eq!(column(lines[0], "unit"), column(lines[2], "ns"), "{text}");
    }
}
