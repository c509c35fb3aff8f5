//! A whole native stack by rules, for samples that were shipped because their rows came later.
//! Gives the frames, flags and ends that the kernel side gives (`native.rs` there).

use agent_common::cut::NativeEnd;
use agent_common::stack::{FRAME_BY_POINTER, FRAME_INTERRUPTED, NativeFrame};
use agent_common::step::{Frame, Rule, Step, step};

use super::Machine;

/// A frame pointer further above the stack pointer than this (bytes) is no frame pointer.
const FARTHEST: u64 = 1 << 20;

/// A copy of a part of a thread's stack.
#[derive(Clone, Copy, Debug)]
pub struct StackSlice<'a> {
    /// Avma of the first byte.
    pub base: u64,
    pub bytes: &'a [u8],
}

impl StackSlice<'_> {
    /// The word at an avma, if all of it was copied.
    pub fn read(&self, avma: u64) -> Option<u64> {
        let start = usize::try_from(avma.checked_sub(self.base)?).ok()?;
        let word = self.bytes.get(start..)?.first_chunk()?;
        Some(u64::from_le_bytes(*word))
    }
}

/// What is at an address.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    Code {
        /// Id of the executable.
        executable: u32,
        /// File offset; for code without a file the avma.
        offset: u64,
        /// The rule at `offset`; none if its table has none, or if there is no table.
        rule: Option<Rule>,
    },
    /// In a mapped file that is not described yet.
    UnknownExecutable,
    NotExecutable,
}

/// The process whose stack it is.
pub trait Space {
    fn place(&mut self, avma: u64) -> Place;

    /// The 8 bytes before an address of code. Without them no frame pointer is believed.
    fn code_before(&mut self, avma: u64) -> Option<[u8; 8]>;
}

/// A walked stack, innermost frame first.
#[derive(Clone, Debug, PartialEq)]
pub struct Walk {
    pub frames: Vec<NativeFrame>,
    /// For each frame its canonical frame address: the caller's stack pointer. What lies below, and
    /// not below the previous one's, is this frame's. `None`: no caller was found.
    pub cfas: Vec<Option<u64>>,
    pub end: NativeEnd,
}

/// Walks from `frame` outwards, at most `limit` frames far. `register` gives the innermost frame's
/// other registers by their DWARF numbers, as far as they are known.
pub fn walk(
    machine: Machine,
    frame: Frame,
    register: impl Fn(u8) -> Option<u64>,
    stack: StackSlice,
    space: &mut impl Space,
    limit: usize,
) -> Walk {
    let mut walk = Walk {
        frames: Vec::new(),
        cfas: Vec::new(),
        end: NativeEnd::TooDeep,
    };
    let mut frame = frame;
    let mut by_pointer = false;
    while walk.frames.len() < limit {
        let called = frame.called & 1;
        let (executable, offset, rule) = match space.place(frame.pc.wrapping_sub(called.into())) {
            Place::Code {
                executable,
                offset,
                rule,
            } => (executable, offset, rule),
            Place::UnknownExecutable => {
                walk.end = NativeEnd::UnknownExecutable;
                return walk;
            }
            Place::NotExecutable => {
                walk.end = NativeEnd::NotExecutable;
                return walk;
            }
        };
        let pointed = if by_pointer { FRAME_BY_POINTER } else { 0 };
        let interrupted = if called == 0 { FRAME_INTERRUPTED } else { 0 };
        let innermost = walk.frames.is_empty();
        walk.frames.push(NativeFrame {
            offset,
            executable,
            flags: pointed | interrupted,
        });

        let outcome = match rule {
            Some(rule) => {
                let register = |number| if innermost { register(number) } else { None };
                by_rule(&rule, &mut frame, stack, register)
            }
            None => by_frame_pointer(machine, &mut frame, stack, space),
        };
        by_pointer = rule.is_none();
        walk.cfas.push(outcome.is_none().then_some(frame.sp));
        if let Some(end) = outcome {
            walk.end = end;
            return walk;
        }
    }
    walk
}

/// `None`: `frame` is the caller's now.
fn by_rule(
    rule: &Rule,
    frame: &mut Frame,
    stack: StackSlice,
    register: impl Fn(u8) -> Option<u64>,
) -> Option<NativeEnd> {
    match step(rule, frame, |avma| stack.read(avma), register) {
        Step::Caller => None,
        Step::End => Some(NativeEnd::Root),
        Step::Unsupported => Some(NativeEnd::UnsupportedRule),
        Step::Unreadable => Some(NativeEnd::StackUnreadable),
        Step::Backwards => Some(NativeEnd::Backwards),
        Step::FramePointerLost => Some(NativeEnd::FramePointerInvalid),
    }
}

/// One frame by the frame pointer, believed only if it points up the stack, to an address behind a
/// call instruction. `None`: `frame` is the caller's now.
fn by_frame_pointer(
    machine: Machine,
    frame: &mut Frame,
    stack: StackSlice,
    space: &mut impl Space,
) -> Option<NativeEnd> {
    if frame.fp_known == 0 {
        return Some(NativeEnd::NoRow);
    }
    if frame.fp == 0 {
        return Some(NativeEnd::FramePointerEnd);
    }
    let above = frame
        .fp
        .checked_sub(frame.sp)
        .filter(|above| *above <= FARTHEST);
    if above.is_none() || !frame.fp.is_multiple_of(8) {
        return Some(NativeEnd::FramePointerInvalid);
    }
    let (Some(fp), Some(pc)) = (stack.read(frame.fp), stack.read(frame.fp.wrapping_add(8))) else {
        return Some(NativeEnd::StackUnreadable);
    };
    if pc == 0 {
        return Some(NativeEnd::FramePointerEnd);
    }
    if !space
        .code_before(pc)
        .is_some_and(|code| machine.ends_with_call(code))
    {
        return Some(NativeEnd::FramePointerInvalid);
    }
    *frame = Frame {
        pc,
        sp: frame.fp.wrapping_add(16),
        fp,
        called: 1,
        fp_known: 1,
    };
    None
}
