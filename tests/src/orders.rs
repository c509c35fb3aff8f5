//! Native call chains: which of a program's own functions may call which.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::folded::Sample;
use crate::names::bare;
use crate::verdict::Verdict;

/// What a native workload says of itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Orders {
    /// Its own functions by their bare names; all others (the C library's, the start code's) may come and go.
    own: BTreeSet<String>,
    /// Each legal stack: its own functions from the root on, separated by spaces.
    legal: BTreeSet<String>,
    /// What has to be met at all: legal orders or single functions.
    #[serde(default)]
    seen: Vec<String>,
}

impl Orders {
    pub fn judge(&self, samples: &[Sample], entries: u64) -> Verdict {
        let mut verdict = Verdict::of(entries);
        for sample in samples {
            let order = self.order(sample);
            if self.legal.contains(&order) {
                verdict.good(sample.count);
            } else {
                verdict.wrong(format!("illegal order: {order}"), sample.count);
            }
        }
        verdict
    }

    /// Fails if one of the orders that have to be met is not.
    pub fn all_seen(&self, samples: &[Sample]) -> Result<(), String> {
        let met: BTreeSet<String> = samples.iter().map(|sample| self.order(sample)).collect();
        let wanted = if self.seen.is_empty() {
            self.legal.iter().collect::<Vec<_>>()
        } else {
            self.seen.iter().collect()
        };
        match wanted.iter().find(|order| {
            !met.iter()
                .any(|found| found == **order || words(found).any(|word| word == **order))
        }) {
            None => Ok(()),
            Some(absent) => Err(format!("never met: {absent}; met: {met:?}")),
        }
    }

    fn order(&self, sample: &Sample) -> String {
        let names = sample
            .frames
            .iter()
            .filter(|frame| !frame.is_kernel())
            .filter_map(|frame| frame.name());
        let own = names
            .map(|name| self.own_name(&bare(name)))
            .filter(|name| !name.is_empty());
        own.collect::<Vec<_>>().join(" ")
    }

    /// A name as the program lists it: a Rust crate's name in front of it is left out.
    fn own_name(&self, name: &str) -> String {
        let short = name.split_once("::").map_or("", |(_, rest)| rest);
        [name, short]
            .into_iter()
            .find(|name| self.own.contains(*name))
            .unwrap_or_default()
            .to_owned()
    }
}

fn words(order: &str) -> impl Iterator<Item = &str> {
    order.split(' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults;
    use crate::folded::parse;

    fn orders() -> Orders {
        let text = r#"{"own": ["main", "f", "leaf", "S::area"], "legal": ["main f leaf", "main S::area"]}"#;
        serde_json::from_str(text).expect("the text is right")
    }

    #[test]
    fn foreign_functions_come_and_go() {
        let text = "x 1;_start;main;qsort;f;leaf;handle_irq_[k] 5\nx 1;_start;main;<mixed::S as mixed::Shape>::area 5\n";
        let samples = parse(text).expect("the text is right");
        assert!(orders().judge(&samples, 10).at_least(1.0, 1).is_ok());
        assert!(orders().all_seen(&samples).is_ok());
        assert!(orders().all_seen(&samples[..1]).is_err());
    }

    #[test]
    fn faults_are_found() {
        let samples = parse("x 1;_start;main;f;leaf 10000\n").expect("the text is right");
        assert!(orders().judge(&samples, 10000).at_least(0.995, 1).is_ok());
        for spoiled in [
            faults::frames_left_out(&samples),
            faults::order_reversed(&samples),
        ] {
            assert!(orders().judge(&spoiled, 10000).at_least(0.995, 1).is_err());
        }
    }
}
