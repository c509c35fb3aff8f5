//! C frames between Python frames, in the order of the calls.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::folded::{Frame, Sample};
use crate::names::bare;
use crate::verdict::Verdict;

/// What `workloads/python/callbacks.py` says of its modes: Python functions, outermost first; `*` where native code is.
#[derive(Clone, Debug, Deserialize)]
pub struct Modes {
    modes: BTreeMap<String, Vec<String>>,
}

/// The C functions that call back in each mode, outermost first, by the beginnings of their names in CPython's sources (3.8
/// to 3.14). Alternatives are separated by `|`. What gdb shows of these builds agrees.
pub fn native_functions(mode: &str) -> &'static [&'static str] {
    match mode {
        "sorted" => &["builtin_sorted", "list_sort"],
        "re_sub" => &["_sre_SRE_Pattern_sub", "pattern_sub"],
        "json" => &["scanner_call", "scan_once_unicode", "_parse_object_unicode"],
        "reduce" => &["functools_reduce|_functools_reduce"],
        "ctypes" => &[
            "PyCFuncPtr_call",
            "_ctypes_callproc",
            "qsort",
            "closure_fcn|_CallPythonObject",
        ],
        "cached" => &["bounded_lru_cache_wrapper"],
        "generator" => &["builtin_sum"],
        "gen_list" => &["list_extend|list___init__|list_vectorcall"],
        _ => &[],
    }
}

/// How much is known of the interpreter's own functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// The interpreter has a symbol table: each C function has to be there by name, in order.
    Named,
    /// It is stripped: at least one native frame has to be there, by whatever name.
    Stripped,
}

impl Modes {
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.modes.keys()
    }

    /// Counts, of the samples asked for, those that are in no mode's inner function or show its whole order. A sample whose
    /// inner function has another function above it than the one that called it is wrong.
    pub fn judge(&self, samples: &[Sample], entries: u64, naming: Naming) -> Verdict {
        let mut verdict = Verdict::of(entries);
        for sample in samples {
            match self.fault(&sample.frames, naming) {
                None => verdict.good(sample.count),
                Some(why) => verdict.wrong(why, sample.count),
            }
        }
        verdict
    }

    /// The same for one mode; other modes' samples are not counted at all.
    pub fn judge_mode(&self, mode: &str, samples: &[Sample], naming: Naming) -> Verdict {
        let inner = format!("inner_{mode}");
        let of_mode: Vec<_> = samples
            .iter()
            .filter(|sample| sample.frames.iter().any(|frame| is_python(frame, &inner)))
            .cloned()
            .collect();
        self.judge(&of_mode, crate::folded::total(&of_mode), naming)
    }

    fn fault(&self, frames: &[Frame], naming: Naming) -> Option<String> {
        if !frames.iter().any(Frame::is_python) {
            return Some("no Python frame".to_owned());
        }
        for (mode, order) in &self.modes {
            let Some(inner) = order.last() else { continue };
            if let Some(at) = frames.iter().rposition(|frame| is_python(frame, inner)) {
                return fault_above(&frames[..at], mode, &order[..order.len() - 1], naming);
            }
        }
        None
    }
}

/// Walks from the inner function outwards.
fn fault_above(frames: &[Frame], mode: &str, order: &[String], naming: Naming) -> Option<String> {
    let mut frames = frames;
    for wanted in order.iter().rev() {
        let above = frames.iter().rposition(Frame::is_python);
        if wanted == "*" {
            // The native frames right above; they end at the next Python frame, which the next turn looks for.
            let native = &frames[above.map_or(0, |at| at + 1)..];
            if let Some(why) = native_fault(native, mode, naming) {
                return Some(why);
            }
            continue;
        }
        let Some(at) = above else {
            return Some(format!("{mode}: nothing above where {wanted} should be"));
        };
        if !is_python(&frames[at], wanted) {
            return Some(format!(
                "{mode}: {} where {wanted} should be",
                frames[at].name().unwrap_or("nothing")
            ));
        }
        frames = &frames[..at];
    }
    None
}

fn native_fault(native: &[Frame], mode: &str, naming: Naming) -> Option<String> {
    let native: Vec<_> = native.iter().filter(|frame| frame.is_native()).collect();
    if native.is_empty() {
        return Some(format!("{mode}: no native frame between the Python frames"));
    }
    if naming == Naming::Stripped {
        return None;
    }
    let mut names = native.iter().filter_map(|frame| frame.name()).map(bare);
    for wanted in native_functions(mode) {
        if !names.any(|name| wanted.split('|').any(|begin| name.starts_with(begin))) {
            let shown: Vec<_> = native
                .iter()
                .map(|frame| frame.name().unwrap_or("?"))
                .collect();
            return Some(format!("{mode}: no {wanted} in its place among {shown:?}"));
        }
    }
    None
}

fn is_python(frame: &Frame, wanted: &str) -> bool {
    matches!(frame, Frame::Python { name, .. } if name == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults;
    use crate::folded::parse;

    fn modes() -> Modes {
        let text = r#"{"modes": {"sorted": ["outer_sorted", "*", "inner_sorted"], "decorator": ["outer_d", "w", "inner_d"]}}"#;
        serde_json::from_str(text).expect("the text is right")
    }

    const RIGHT: &str = "x 1;_start;main (a.py:1);outer_sorted (a.py:2);builtin_sorted;list_sort_impl;inner_sorted (a.py:3);\
        burn (a.py:4);long_mul 90\nx 1;_start;main (a.py:1);outer_d (a.py:5);call;w (a.py:6);inner_d (a.py:7) 10\n";

    #[test]
    fn the_order_of_calls() {
        let samples = parse(RIGHT).expect("the text is right");
        assert!(
            modes()
                .judge(&samples, 100, Naming::Named)
                .at_least(1.0, 1)
                .is_ok()
        );
        assert!(
            modes()
                .judge_mode("sorted", &samples, Naming::Named)
                .at_least(1.0, 90)
                .is_ok()
        );
        for wrong in [
            "outer_sorted (a.py:2);inner_sorted (a.py:3)",
            "builtin_sorted;list_sort_impl;outer_sorted (a.py:2);inner_sorted (a.py:3);long_mul",
            "outer_sorted (a.py:2);list_sort_impl;builtin_sorted;inner_sorted (a.py:3)",
            "main (a.py:1);builtin_sorted;list_sort_impl;inner_sorted (a.py:3)",
            "outer_d (a.py:5);inner_d (a.py:7)",
            "builtin_sorted;list_sort",
        ] {
            let samples = parse(&format!("x 1;{wrong} 1\n")).expect("the text is right");
            assert!(
                modes()
                    .judge(&samples, 1, Naming::Named)
                    .none_wrong()
                    .is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn stripped_interpreters_need_a_frame_there() {
        let with = parse("x 1;outer_sorted (a.py:2);python3.13+0x1a2b;inner_sorted (a.py:3) 1\n")
            .expect("the text is right");
        let without =
            parse("x 1;python3.13+0x1a2b;outer_sorted (a.py:2);inner_sorted (a.py:3) 1\n")
                .expect("the text is right");
        assert!(
            modes()
                .judge(&with, 1, Naming::Stripped)
                .none_wrong()
                .is_ok()
        );
        assert!(modes().judge(&with, 1, Naming::Named).none_wrong().is_err());
        assert!(
            modes()
                .judge(&without, 1, Naming::Stripped)
                .none_wrong()
                .is_err()
        );
    }

    #[test]
    fn faults_are_found() {
        let samples = parse(RIGHT).expect("the text is right");
        for naming in [Naming::Named, Naming::Stripped] {
            let spoiled = faults::c_frames_reordered(&samples);
            assert!(
                modes()
                    .judge(&spoiled, 100, naming)
                    .at_least(0.995, 1)
                    .is_err()
            );
        }
    }
}
