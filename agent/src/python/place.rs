//! Merges a thread's Python frames into its native stack.
//!
//! Each activation of CPython's evaluation loop is one native frame, inside which one or (from 3.11
//! on) several Python frames run. They go right before that native frame, innermost first:
//!
//! ```text
//! list_sort_impl          native 0, called by the Python frames below
//! inner, outer            Python frames of one activation
//! _PyEval_EvalFrameDefault  native 1, that activation: hidden in most outputs
//! PyEval_EvalCode         native 2
//! ```
//!
//! Which native frame that is, anchors tell by address from 3.10 on. Before, and in 3.10 where
//! frames and anchors are two lists, both are counted off against each other.

use agent_common::cut::{NativeEnd, PythonEnd};
use agent_common::python::chain;
use agent_common::stack::{NativeFrame, PythonEntry, StackShape, entry};

/// One frame of the merged stack, by its index in the list it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    Native(usize),
    /// A native frame that is an activation of the evaluation loop: what it runs are the Python
    /// frames before it, so an output hides it unless asked.
    EvalLoop(usize),
    /// Index among the Python entries.
    Python(usize),
}

/// What a native frame is to the placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// In the evaluation loop (known in 3.8 to 3.10, which alone need it).
    Loop,
    /// In a function that the loop calls while its frame is not pushed ([`super::is_loop_callee`]).
    LoopCallee,
    Other,
}

/// A merged stack, innermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    pub frames: Vec<Placed>,
    /// The order within each list is right, but not every Python frame is known to stand between
    /// the right native frames.
    pub incomplete: bool,
}

/// Merges both lists. Every native and every Python frame is in the result once, in its order.
/// `eval` says whether a native frame is in the evaluation loop; only 3.8 to 3.10 need it.
pub fn place(
    native: &[NativeFrame],
    python: &[PythonEntry],
    shape: StackShape,
    role: impl Fn(&NativeFrame) -> Role,
) -> Merged {
    let mut merged = match shape.chain {
        chain::FRAME => by_eval_loop(native, python, shape, role),
        chain::FRAME_CFRAME => by_two_lists(native, python, shape, role),
        _ => by_anchors(native.len(), python),
    };
    merged.finish();
    merged.result
}

/// The merged list while it grows outwards.
struct Merger {
    result: Merged,
    /// Native frames in all, and the next one to be taken over.
    natives: usize,
    next: usize,
    /// Python frames whose activation is not among the native frames: they stand further in than
    /// the next activation, or outside everything.
    homeless: Vec<usize>,
}

impl Merger {
    fn new(natives: usize) -> Self {
        Self {
            result: Merged::default(),
            natives,
            next: 0,
            homeless: Vec::new(),
        }
    }

    /// `frames` run in the evaluation loop whose native frame is `index`.
    fn activation(&mut self, frames: &[usize], index: Option<usize>) {
        let Some(index) = index.filter(|index| (self.next..self.natives).contains(index)) else {
            self.homeless.extend(frames);
            return;
        };
        self.natives_to(index);
        self.pythons(frames);
        self.result.frames.push(Placed::EvalLoop(index));
        self.next = index + 1;
    }

    /// `frames` stand before the next native frame.
    fn here(&mut self, frames: &[usize]) {
        self.result
            .frames
            .extend(frames.iter().copied().map(Placed::Python));
    }

    fn pythons(&mut self, frames: &[usize]) {
        let homeless = std::mem::take(&mut self.homeless);
        self.result.incomplete |= !homeless.is_empty();
        self.here(&homeless);
        self.here(frames);
    }

    fn natives_to(&mut self, index: usize) {
        self.result
            .frames
            .extend((self.next..index).map(Placed::Native));
        self.next = index;
    }

    fn finish(&mut self) {
        self.natives_to(self.natives);
        self.pythons(&[]);
    }
}

/// The native frame that an anchor names.
fn anchor(entry: &PythonEntry) -> Option<usize> {
    usize::try_from(entry.instruction).ok()
}

/// 3.11 and later: an activation's frames, then its anchor, and so on outwards. Frames behind the
/// last anchor (the chain was cut) have no place; they go outside everything.
fn by_anchors(natives: usize, python: &[PythonEntry]) -> Merger {
    let mut merger = Merger::new(natives);
    let mut frames = Vec::new();
    for (index, item) in python.iter().enumerate() {
        if item.kind == entry::ANCHOR {
            merger.activation(&frames, anchor(item));
            frames.clear();
        } else {
            frames.push(index);
        }
    }
    merger.activation(&frames, None);
    merger
}

/// 3.10: all frames, then all anchors.
///
/// The evaluation loop sets `tstate.cframe`, then `tstate.frame`; it takes back the first, then the
/// second (ceval.c of 3.10). So, seen from the outermost end, frames and anchors pair off, and at
/// the innermost end there may be one anchor without its frame (prologue) or one frame without its
/// anchor (epilogue: native frame 0 is still that loop). Both chains hang on the thread state, so a
/// cut native walk does not disturb them. Where the chain itself was cut, its innermost part is
/// there, and pairs are made from the innermost end.
fn by_two_lists(
    native: &[NativeFrame],
    python: &[PythonEntry],
    shape: StackShape,
    role: impl Fn(&NativeFrame) -> Role,
) -> Merger {
    let (anchors, frames): (Vec<usize>, Vec<usize>) =
        (0..python.len()).partition(|index| python[*index].kind == entry::ANCHOR);
    let anchors: Vec<Option<usize>> = anchors
        .into_iter()
        .map(|index| anchor(&python[index]))
        .collect();
    let whole = PythonEnd::from_u8(shape.python_end) == Some(PythonEnd::Root);
    let extra_anchors = anchors.len().saturating_sub(frames.len());
    let extra_frames = frames.len().saturating_sub(anchors.len());
    let innermost_runs = native
        .first()
        .is_some_and(|frame| role(frame) == Role::Loop);
    let sound = match (extra_frames, extra_anchors) {
        (0, 0) => true,
        (0, 1) => whole && matches!(anchors.first(), Some(Some(0) | None)),
        (1, 0) => whole && innermost_runs && anchors.first() != Some(&Some(0)),
        _ => false,
    };
    let mut merger = Merger::new(native.len());
    let (skipped_frames, skipped_anchors) = if whole {
        (extra_frames, extra_anchors)
    } else {
        (0, 0)
    };
    if extra_frames == 1 && sound {
        merger.activation(&frames[..1], Some(0));
    } else {
        merger.here(&frames[..skipped_frames]);
    }
    for anchor in &anchors[..skipped_anchors] {
        merger.activation(&[], *anchor);
    }
    merger.pairs(&frames[skipped_frames..], &anchors[skipped_anchors..]);
    merger.result.incomplete |= !sound;
    merger
}

/// 3.8 and 3.9: a frame an activation, native frames in the evaluation loop an activation.
///
/// `tstate.frame` is set after the loop is entered and taken back before it is left, so one loop
/// more than frames is the rule in its first and last instructions, and in what those call: then
/// pairs are made from the outermost end. Any other difference means that one list
/// lacks its outermost part (a native walk that was cut; a greenlet, whose native stack goes on in
/// another's): what is there is the innermost part of both, and pairs are made from that end.
fn by_eval_loop(
    native: &[NativeFrame],
    python: &[PythonEntry],
    shape: StackShape,
    role: impl Fn(&NativeFrame) -> Role,
) -> Merger {
    let is_frame = |index: &usize| python[*index].kind != entry::ANCHOR;
    let frames: Vec<usize> = (0..python.len()).filter(is_frame).collect();
    let loops: Vec<Option<usize>> = (0..native.len())
        .filter(|index| role(&native[*index]) == Role::Loop)
        .map(Some)
        .collect();
    let whole = NativeEnd::from_u8(shape.native_end).is_some_and(NativeEnd::is_whole)
        && PythonEnd::from_u8(shape.python_end) == Some(PythonEnd::Root);
    // The innermost activation has not pushed its frame yet or has popped it: it is in its own
    // first or last instructions, or in what those call (`_Py_EnterRecursiveCall`,
    // `_Py_CheckFunctionResult` and what that asks for an error).
    let innermost = loops.first().copied().flatten();
    let between = innermost.filter(|index| {
        let callees = &native[..*index];
        whole
            && loops.len() == frames.len() + 1
            && callees
                .iter()
                .all(|callee| role(callee) == Role::LoopCallee)
    });
    let mut merger = Merger::new(native.len());
    if between.is_some() {
        merger.activation(&[], between);
    }
    merger.pairs(&frames, &loops[usize::from(between.is_some())..]);
    merger.result.incomplete |= between.is_none() && loops.len() != frames.len();
    merger
}

impl Merger {
    /// Frames and activations pair off in turn; frames left over go outside everything.
    fn pairs(&mut self, frames: &[usize], activations: &[Option<usize>]) {
        let paired = frames.len().min(activations.len());
        for (frame, index) in frames.iter().zip(activations) {
            self.activation(&[*frame], *index);
        }
        for index in &activations[paired..] {
            self.activation(&[], *index);
        }
        self.activation(&frames[paired..], None);
    }
}
