//! On which lines of Python code the leaves are.

use std::collections::BTreeMap;

use crate::folded::{Frame, Sample};

/// Share of the samples asked for whose innermost Python frame is on each line, as `function:line`.
pub fn measured(samples: &[Sample], entries: u64) -> BTreeMap<String, f64> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for sample in samples {
        let leaf = sample.frames.iter().rev().find(|frame| frame.is_python());
        if let Some(Frame::Python { name, line, .. }) = leaf {
            *counts.entry(format!("{name}:{line}")).or_default() += sample.count;
        }
    }
    counts
        .into_iter()
        .map(|(line, count)| (line, count as f64 / entries.max(1) as f64))
        .collect()
}

/// Fails if a line's share is off by more than the tolerance, in either direction: lines that the truth doesn't know have
/// no share at all.
pub fn compare(
    truth: &BTreeMap<String, f64>,
    found: &BTreeMap<String, f64>,
    tolerance: f64,
) -> Result<(), String> {
    if truth.is_empty() {
        return Err("there is no truth to compare with".to_owned());
    }
    let mut off = Vec::new();
    let lines: std::collections::BTreeSet<&String> = truth.keys().chain(found.keys()).collect();
    for line in lines {
        let [expected, share] =
            [truth, found].map(|shares| shares.get(line).copied().unwrap_or(0.0));
        if (share - expected).abs() > tolerance {
            off.push(format!(
                "{line}: {:.1} %, in truth {:.1} %",
                share * 100.0,
                expected * 100.0
            ));
        }
    }
    if off.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "lines off by more than {:.1} points:\n    {}",
            tolerance * 100.0,
            off.join("\n    ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults;
    use crate::folded::parse;

    #[test]
    fn one_line_off_is_found() {
        let samples = parse("x 1;f (a.py:3);g (a.py:8);clib 40\nx 1;f (a.py:4) 60\n")
            .expect("the text is right");
        let truth = BTreeMap::from([("g:8".to_owned(), 0.41), ("f:4".to_owned(), 0.59)]);
        assert!(compare(&truth, &measured(&samples, 100), 0.03).is_ok());
        assert!(
            compare(
                &truth,
                &measured(&faults::leaf_lines_off_by_one(&samples), 100),
                0.03
            )
            .is_err()
        );
    }
}
