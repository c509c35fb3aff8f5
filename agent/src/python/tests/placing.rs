//! Merging Python frames into native stacks, each kind of chain.

use agent_common::cut::{NativeEnd, PythonEnd};
use agent_common::python::chain;
use agent_common::stack::{ANCHOR_NOWHERE, NativeFrame, PythonEntry, StackShape, entry};

use super::random::Random;
use crate::python::place::{Merged, Placed, Role, place};

fn role(frame: &NativeFrame) -> Role {
    match frame.offset {
        1 => Role::Loop,
        2 => Role::LoopCallee,
        _ => Role::Other,
    }
}

/// Native stacks are written as words: `eval` is the evaluation loop, `leave` what that calls
/// without a frame, anything else is neither.
/// Python entries: `f` a frame, a number an anchor at that native frame, `?` one nowhere.
fn merge_cut(chain: u8, native: &str, python: &str, ends: (NativeEnd, PythonEnd)) -> Merged {
    let native: Vec<NativeFrame> = native
        .split_whitespace()
        .map(|name| NativeFrame {
            offset: match name {
                "eval" => 1,
                "leave" => 2,
                _ => 0,
            },
            ..NativeFrame::default()
        })
        .collect();
    let python: Vec<PythonEntry> = python
        .split_whitespace()
        .map(|word| match word {
            "f" => PythonEntry {
                kind: entry::FRAME,
                ..PythonEntry::default()
            },
            _ => PythonEntry {
                kind: entry::ANCHOR,
                instruction: word.parse().unwrap_or(ANCHOR_NOWHERE),
                ..PythonEntry::default()
            },
        })
        .collect();
    let shape = StackShape {
        native: native.len() as u16,
        python: python.len() as u16,
        chain,
        native_end: ends.0 as u8,
        python_end: ends.1 as u8,
        ..StackShape::default()
    };
    place(&native, &python, shape, role)
}

/// The merged list as text: `n0` native, `[n1]` an evaluation loop, `p0` Python; `!` incomplete.
fn text(merged: &Merged) -> String {
    let mut words: Vec<String> = merged
        .frames
        .iter()
        .map(|placed| match placed {
            Placed::Native(index) => format!("n{index}"),
            Placed::EvalLoop(index) => format!("[n{index}]"),
            Placed::Python(index) => format!("p{index}"),
        })
        .collect();
    if merged.incomplete {
        words.push("!".into());
    }
    words.join(" ")
}

fn check(chain: u8, native: &str, python: &str, expected: &str) {
    let merged = merge_cut(chain, native, python, (NativeEnd::Root, PythonEnd::Root));
    assert_eq!(text(&merged), expected, "{native} / {python}");
}

#[test]
fn frames_stand_before_their_anchor() {
    for chain in [chain::CFRAME_ENTRY, chain::CFRAME_SHIM, chain::SHIM] {
        // sorted(key=f): f in one activation, its caller in another.
        check(
            chain,
            "sleep eval vectorcall sort eval main",
            "f 1 f f 4",
            "n0 p0 [n1] n2 n3 p2 p3 [n4] n5",
        );
        // Nothing but the loop; an activation that runs nothing yet.
        check(chain, "eval main", "f 0", "p0 [n0] n1");
        check(chain, "eval call eval", "0 f 2", "[n0] n1 p1 [n2]");
        check(chain, "main", "", "n0");
        check(chain, "", "f f 0", "p0 p1 !");
        // 3.15's base frame lies in no native frame and has no frames of its own.
        check(chain, "a eval", "f 1 ?", "n0 p0 [n1]");
    }
}

#[test]
fn frames_without_a_place_go_outwards() {
    // The native walk broke above the interpreter.
    check(chain::SHIM, "a b", "f f ? f ?", "n0 n1 p0 p1 p3 !");
    // An inner activation is not found, an outer one is.
    check(chain::SHIM, "a b eval", "f ? f 2", "n0 n1 p0 p2 [n2] !");
    // The chain was cut: the rest has no anchor.
    check(chain::SHIM, "a eval b", "f 1 f f", "n0 p0 [n1] n2 p2 p3 !");
    // Anchors in the wrong order or out of range.
    check(
        chain::SHIM,
        "a eval b eval",
        "f 3 f 1 f 9",
        "n0 n1 n2 p0 [n3] p2 p4 !",
    );
}

#[test]
fn frames_of_3_10_pair_off_with_their_anchors() {
    let chain = chain::FRAME_CFRAME;
    check(
        chain,
        "sleep eval call eval main",
        "f f 1 3",
        "n0 p0 [n1] n2 p1 [n3] n4",
    );
    // Prologue: the loop has its anchor, its frame not yet.
    check(chain, "eval call eval main", "f 0 2", "[n0] n1 p0 [n2] n3");
    // Epilogue: the anchor is taken back, the frame not yet.
    check(
        chain,
        "eval call eval main",
        "f f 2",
        "p0 [n0] n1 p1 [n2] n3",
    );
    // The native walk was cut, the anchors are known all the same.
    check(
        chain,
        "sleep eval call",
        "f f f 1 ? ?",
        "n0 p0 [n1] n2 p1 p2 !",
    );
    // More frames than anchors, without an epilogue: the outermost pairs are right.
    check(chain, "memcpy eval main", "f f 1", "p0 n0 p1 [n1] n2 !");
    check(chain, "eval main", "f f 0", "p0 p1 [n0] n1 !");
    check(chain, "a eval b eval", "f 1 3", "n0 [n1] n2 p0 [n3] !");
    // The chain was cut: its innermost part is there, and pairs from there.
    let merged = merge_cut(
        chain,
        "a eval b eval",
        "f f f 1 3",
        (NativeEnd::Root, PythonEnd::TooDeep),
    );
    assert_eq!(text(&merged), "n0 p0 [n1] n2 p1 [n3] p2 !");
}

#[test]
fn frames_of_3_8_pair_off_with_the_loops() {
    let chain = chain::FRAME;
    check(
        chain,
        "sleep eval call eval main",
        "f f",
        "n0 p0 [n1] n2 p1 [n3] n4",
    );
    // Prologue or epilogue: the loop is there, its frame is not.
    check(chain, "eval call eval main", "f", "[n0] n1 p0 [n2] n3");
    check(chain, "eval main", "", "[n0] n1");
    check(
        chain,
        "leave leave eval call eval main",
        "f",
        "n0 n1 [n2] n3 p0 [n4] n5",
    );
    // A greenlet's frames, on a stack that goes on in another's.
    check(
        chain,
        "a eval b eval c eval",
        "f f",
        "n0 p0 [n1] n2 p1 [n3] n4 [n5] !",
    );
    check(chain, "a eval b eval", "f", "n0 p0 [n1] n2 [n3] !");
    // Frames that no loop runs.
    check(chain, "a eval", "f f f", "n0 p0 [n1] p1 p2 !");
    // The native walk was cut: the innermost loops run the innermost frames.
    let merged = merge_cut(
        chain,
        "eval call eval",
        "f f f f",
        (NativeEnd::NoRow, PythonEnd::Root),
    );
    assert_eq!(text(&merged), "p0 [n0] n1 p1 [n2] p2 p3 !");
    // Nothing native at all.
    let merged = merge_cut(chain, "", "f f", (NativeEnd::NoRow, PythonEnd::Root));
    assert_eq!(text(&merged), "p0 p1 !");
}

/// Whatever comes, every frame is there once, each list in its order, and a chain whose anchors
/// are all sound is complete.
#[test]
fn nothing_is_lost_or_reordered() {
    let mut random = Random::new(11);
    for _ in 0..50_000 {
        let chain = random.below(7) as u8;
        let native: Vec<NativeFrame> = (0..random.below(8))
            .map(|_| NativeFrame {
                offset: random.below(2) as u64,
                ..NativeFrame::default()
            })
            .collect();
        let python: Vec<PythonEntry> = (0..random.below(10))
            .map(|_| PythonEntry {
                kind: 1 + random.below(2) as u32,
                instruction: random.below(12) as i32 - 2,
                ..PythonEntry::default()
            })
            .collect();
        let shape = StackShape {
            chain,
            native_end: random.below(16) as u8,
            python_end: random.below(8) as u8,
            ..StackShape::default()
        };
        let merged = place(&native, &python, shape, role);
        let (mut natives, mut pythons) = (Vec::new(), Vec::new());
        for placed in &merged.frames {
            match placed {
                Placed::Native(index) | Placed::EvalLoop(index) => natives.push(*index),
                Placed::Python(index) => pythons.push(*index),
            }
        }
        assert!(natives.iter().copied().eq(0..native.len()), "{merged:?}");
        let frames = (0..python.len()).filter(|index| python[*index].kind == entry::FRAME);
        assert!(pythons.iter().copied().eq(frames), "{python:?} {merged:?}");
    }
}
