//! Python call chains with the calling line of each frame.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;

use crate::folded::{Frame, Sample};
use crate::verdict::Verdict;

/// All legal stacks, as a tree of frames.
pub struct LegalStacks {
    /// The node below a node (None: the root) at which a frame is.
    below: HashMap<(Option<usize>, Key), usize>,
    may_be_leaf: Vec<bool>,
}

/// What one stack is.
enum Walk {
    Legal,
    /// Legal but for its end: on the way to the leaf kinds, at this depth.
    Short(usize),
    Illegal(String),
}

/// So many samples may be anywhere by chance, however few there are in all.
const FEW: u64 = 3;

/// Function, last part of its file's path, line.
type Key = (String, String, u32);

/// What `workloads/python/legal.py --truth` prints.
#[derive(Deserialize)]
struct Truth {
    frames: Vec<(String, String, u32)>,
    nodes: Vec<(i64, usize, bool)>,
}

impl LegalStacks {
    pub fn parse(text: &str) -> Result<Self, String> {
        let truth: Truth = serde_json::from_str(text)
            .map_err(|error| format!("the legal stacks can't be read: {error}"))?;
        let mut below = HashMap::new();
        let mut may_be_leaf = Vec::new();
        for (number, (parent, frame, leaf)) in truth.nodes.into_iter().enumerate() {
            let (name, file, line) = truth
                .frames
                .get(frame)
                .ok_or("a legal stack has a frame that is not listed")?;
            let parent = usize::try_from(parent).ok();
            below.insert((parent, (name.clone(), last_part(file), *line)), number);
            may_be_leaf.push(leaf);
        }
        if below.is_empty() {
            return Err("there are no legal stacks".to_owned());
        }
        Ok(Self { below, may_be_leaf })
    }

    /// Counts legal stacks of the samples asked for. Stacks that end on the way to the leaf kinds are
    /// legal too, but the program is there for less than a thousandth of its time: where there are more
    /// of them, leaves were left out, and all of them are wrong.
    pub fn judge(&self, samples: &[Sample], entries: u64) -> Verdict {
        let mut verdict = Verdict::of(entries);
        let mut short: BTreeMap<String, u64> = BTreeMap::new();
        for sample in samples {
            match self.walk(&sample.frames) {
                Walk::Legal => verdict.good(sample.count),
                Walk::Short(depth) => {
                    let why = format!("ends at depth {depth}, where hardly anything ends");
                    *short.entry(why).or_default() += sample.count;
                }
                Walk::Illegal(why) => verdict.wrong(why, sample.count),
            }
        }
        let all: u64 = short.values().sum();
        if all <= entries / 1000 + FEW {
            verdict.good(all);
        } else {
            short
                .into_iter()
                .for_each(|(why, count)| verdict.wrong(why, count));
        }
        verdict
    }

    fn walk(&self, frames: &[Frame]) -> Walk {
        let mut node = None;
        let mut depth = 0;
        for frame in frames {
            let Frame::Python { name, file, line } = frame else {
                continue;
            };
            let key = (name.clone(), last_part(file), *line);
            match self.below.get(&(node, key)) {
                Some(next) => node = Some(*next),
                None => return Walk::Illegal(self.explain(node, depth, name, file, *line)),
            }
            depth += 1;
        }
        match node {
            None => Walk::Illegal(no_python(frames)),
            Some(node) if !self.may_be_leaf[node] => Walk::Short(depth),
            Some(_) => Walk::Legal,
        }
    }

    fn explain(
        &self,
        node: Option<usize>,
        depth: usize,
        name: &str,
        file: &str,
        line: u32,
    ) -> String {
        let here = self
            .below
            .keys()
            .filter(|(parent, _)| *parent == node)
            .map(|(_, key)| key);
        let mut lines: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
        for (legal, _, line) in here {
            lines.entry(legal).or_default().insert(*line);
        }
        match lines.get(name) {
            Some(legal) => format!("depth {depth}: {name} on line {line}, legal are {legal:?}"),
            None => {
                let legal: Vec<_> = lines.keys().take(6).collect();
                format!("depth {depth}: {name} ({file}:{line}), legal are {legal:?}")
            }
        }
    }
}

/// What stands where Python frames should be.
fn no_python(frames: &[Frame]) -> String {
    let cut = frames.iter().find_map(|frame| match frame {
        Frame::Cut { reason } => Some(reason.as_str()),
        _ => None,
    });
    let leaf = frames
        .iter()
        .rev()
        .find(|frame| !frame.is_kernel())
        .and_then(Frame::name)
        .unwrap_or("an unnamed frame");
    match cut {
        Some(reason) => format!("no Python frame, cut: {reason}"),
        None => format!("no Python frame, {} frames down to {leaf}", frames.len()),
    }
}

fn last_part(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults;
    use crate::folded::parse;

    const TRUTH: &str = r#"{"frames": [["<module>", "/x/a.py", 9], ["f", "/x/a.py", 3], ["g", "/x/a.py", 5], ["g", "/x/a.py", 7]],
        "nodes": [[-1, 0, false], [0, 1, false], [1, 2, true], [1, 3, true], [3, 1, false], [4, 2, true]]}"#;

    fn legal(text: &str) -> Verdict {
        let samples = parse(text).expect("the text is right");
        LegalStacks::parse(TRUTH)
            .expect("the truth is right")
            .judge(&samples, 1000)
    }

    #[test]
    fn legal_and_illegal_stacks() {
        let right = "x 1;_start;<module> (x/a.py:9);eval;f (a.py:3);g (/x/a.py:7) 1000\n";
        assert!(legal(right).at_least(1.0, 1).is_ok());
        for wrong in [
            "<module> (a.py:9);f (a.py:3)",            // where nothing ends
            "<module> (a.py:9);f (a.py:4);g (a.py:5)", // calling line
            "<module> (a.py:9);g (a.py:5)",            // a frame is missing
            "f (a.py:3);g (a.py:5)",                   // the root is missing
            "<module> (a.py:9);f (a.py:3);g (a.py:5);f (a.py:3)", // a call that is none
            "<module> (b.py:9);f (a.py:3);g (a.py:5)", // file
            "_start;main",                             // no Python
        ] {
            assert!(
                legal(&format!("x 1;{wrong} 1000\n")).none_wrong().is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn few_may_end_on_the_way() {
        let way = |short| {
            let whole = 1000 - short;
            let stack = "x 1;<module> (a.py:9);f (a.py:3)";
            let verdict = legal(&format!("{stack};g (a.py:5) {whole}\n{stack} {short}\n"));
            verdict.none_wrong()
        };
        assert!(way(4).is_ok() && way(5).is_err());
    }

    #[test]
    fn faults_are_found() {
        let legal = LegalStacks::parse(TRUTH).expect("the truth is right");
        let samples = parse(
            "x 1;_start;<module> (a.py:9);f (a.py:3);g (a.py:7);f (a.py:3);g (a.py:5) 10000\n",
        );
        let samples = samples.expect("the text is right");
        assert!(legal.judge(&samples, 10000).at_least(0.995, 1).is_ok());
        for spoiled in [
            faults::frames_left_out(&samples),
            faults::roots_left_out(&samples),
            faults::leaf_lines_off_by_one(&samples),
            faults::calling_lines_off_by_one(&samples),
        ] {
            assert!(legal.judge(&spoiled, 10000).at_least(0.995, 1).is_err());
        }
    }
}
