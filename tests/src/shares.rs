//! Shares of CPU time: what a program clocked of itself against what the recording says.

use std::collections::{BTreeMap, BTreeSet};

use crate::folded::Sample;
use crate::names::bare;

/// Share of the samples asked for in which each function is somewhere on the stack.
pub fn measured(samples: &[Sample], entries: u64) -> BTreeMap<String, f64> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for sample in samples {
        let names: BTreeSet<String> = sample
            .frames
            .iter()
            .filter_map(|frame| {
                let name = frame.name()?;
                Some(if frame.is_python() {
                    name.to_owned()
                } else {
                    bare(name)
                })
            })
            .collect();
        for name in names {
            *counts.entry(name).or_default() += sample.count;
        }
    }
    counts
        .into_iter()
        .map(|(name, count)| (name, count as f64 / entries.max(1) as f64))
        .collect()
}

/// Fails if a share is off by more than the tolerance. Both are shares of 1.
pub fn compare(
    truth: &BTreeMap<String, f64>,
    found: &BTreeMap<String, f64>,
    tolerance: f64,
) -> Result<(), String> {
    if truth.is_empty() {
        return Err("the program measured no shares".to_owned());
    }
    let mut off = Vec::new();
    for (name, expected) in truth {
        let share = found.get(name).copied().unwrap_or(0.0);
        if (share - expected).abs() > tolerance {
            off.push(format!(
                "{name}: {:.1} %, by its own clock {:.1} %",
                share * 100.0,
                expected * 100.0
            ));
        }
    }
    if off.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "shares off by more than {:.1} points:\n    {}",
            tolerance * 100.0,
            off.join("\n    ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folded::parse;

    #[test]
    fn shares_count_callees_and_losses() {
        let samples =
            parse("x 1;main;f;g 50\nx 1;main;f;f 20\nx 1;main;h 20\n").expect("the text is right");
        let found = measured(&samples, 100);
        let truth = |f, h| BTreeMap::from([("f".to_owned(), f), ("h".to_owned(), h)]);
        assert!(compare(&truth(0.71, 0.21), &found, 0.03).is_ok());
        assert!(compare(&truth(0.74, 0.2), &found, 0.03).is_err());
        assert!(compare(&BTreeMap::from([("absent".to_owned(), 0.1)]), &found, 0.03).is_err());
        assert!(compare(&BTreeMap::new(), &found, 0.03).is_err());
    }
}
