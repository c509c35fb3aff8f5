//! A recursion of known depth.

use crate::folded::Sample;
use crate::names::bare;
use crate::verdict::Verdict;

/// Samples in `leaf` have to show `function` exactly `depth` times in a row above it. Samples outside `leaf` are wrong too:
/// the program is nowhere else.
pub fn judge(
    samples: &[Sample],
    entries: u64,
    function: &str,
    leaf: &str,
    depth: usize,
) -> Verdict {
    let mut verdict = Verdict::of(entries);
    for sample in samples {
        let mut names = sample
            .frames
            .iter()
            .filter(|f| !f.is_kernel())
            .map(|f| f.name().map(bare).unwrap_or_default());
        let found: Vec<String> = names.by_ref().skip_while(|name| name != function).collect();
        let in_a_row = found.iter().take_while(|name| *name == function).count();
        let below = found.get(in_a_row).map_or("nothing", String::as_str);
        if in_a_row == depth && below == leaf {
            verdict.good(sample.count);
        } else {
            verdict.wrong(
                format!("{in_a_row} x {function}, then {below}"),
                sample.count,
            );
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folded::parse;

    #[test]
    fn depth_is_exact() {
        let text = "x 1;main;d;d;d;leaf 98\nx 1;main;d;d;leaf 1\nx 1;main;d;d;d;d;leaf 1\nx 1;main;d;d;d 1\n";
        let verdict = judge(
            &parse(text).expect("the text is right"),
            101,
            "d",
            "leaf",
            3,
        );
        assert_eq!(verdict.wrong_count(), 3);
        assert!(verdict.at_least(0.97, 1).is_ok());
    }
}
