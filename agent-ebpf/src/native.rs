//! The native walk: address → mapping → rule → next frame, all out of memory read ahead.

use aya_ebpf::EbpfContext;

use agent_common::counter::Counter;
use agent_common::cut::{NativeEnd, PythonEnd};
use agent_common::executable::EXECUTABLE_UNKNOWN;
use agent_common::row::{RULE_NONE, find_rule};
use agent_common::stack::{FRAME_BY_POINTER, FRAME_INTERRUPTED, NATIVE_FRAMES, NativeFrame};
use agent_common::step::{Step, step};

use crate::maps::{PROCESS_PYTHON, RULES, cell, count, load};
use crate::memory::user_u64;
use crate::scratch::{KNOWN_RULES, KnownRule, MAPPINGS, Scratch, scratch};
use crate::space::{FOUND, at_hand, read_mapping};
use crate::{kernel, setting, stages, task};

/// Frames in one run of the stage, of which a sample has at most 33 (tail calls).
const FRAMES: u32 = 64;
/// A frame pointer further away than this is no frame pointer.
const FARTHEST: u64 = 1 << 20;

/// A frame was walked and the caller is next.
const GO_ON: u32 = u32::MAX;

/// Walks some frames.
pub fn stage<C: EbpfContext>(ctx: &C) -> u32 {
    let Some(scratch) = scratch() else {
        return 0;
    };
    let mut end = GO_ON;
    for _ in 0..FRAMES {
        end = walk_native_frame();
        if end != GO_ON {
            break;
        }
    }
    if end == GO_ON {
        let most = if scratch.python.index != 0 {
            stages::MOST_BEFORE_PYTHON
        } else {
            stages::MOST
        };
        if stages::left(scratch, most) {
            stages::enter(ctx, stages::NATIVE);
        }
        end = NativeEnd::StageLimit as u32;
    }
    scratch.sample.shape.native_end = end as u8;
    if end == NativeEnd::UnknownExecutable as u32 {
        stages::enter(ctx, stages::DEFER);
    }
    if end != NativeEnd::Root as u32 && scratch.python.index == 0 {
        // The walk broke before it met the interpreter: the agent may know it.
        if let Some(python) = PROCESS_PYTHON.get_ptr(&scratch.sample.process) {
            // SAFETY: a value of the map.
            unsafe {
                scratch.python.index = (*python).python;
                scratch.python.runtime = (*python).runtime;
            }
        }
    }
    if scratch.python.index != 0 {
        stages::enter(ctx, stages::PYTHON);
    } else if scratch.python_pending != 0 {
        scratch.sample.shape.python_end = PythonEnd::NotReady as u8;
    }
    stages::enter(ctx, stages::EMIT);
    count(Counter::LostStage);
    0
}

/// Where the current frame's code is: its place in memory.
#[inline(always)]
fn place(scratch: &Scratch) -> u64 {
    scratch
        .frame
        .pc
        .wrapping_sub(scratch.frame.called as u64 & 1)
}

/// Walks one frame: puts it down and turns `scratch.frame` into its caller.
///
/// Exported, so that it is a global function to the verifier, which goes through such a one by
/// itself and once; through a static one it goes again for every turn of the loop that calls it.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn walk_native_frame() -> u32 {
    match scratch() {
        Some(scratch) => one_frame(scratch),
        None => NativeEnd::StageLimit as u32,
    }
}

#[inline(always)]
fn one_frame(scratch: &mut Scratch) -> u32 {
    let depth = scratch.sample.shape.native as usize;
    if depth >= NATIVE_FRAMES || depth >= setting!(native_depth) as usize {
        return NativeEnd::TooDeep as u32;
    }
    let called = scratch.frame.called;
    let place = place(scratch);
    if !at_hand(scratch, place) && read_mapping(scratch, place) != FOUND {
        return if scratch.frame.pc == 0 && scratch.by_pointer != 0 {
            NativeEnd::FramePointerEnd as u32
        } else {
            NativeEnd::NotExecutable as u32
        };
    }
    // Afresh, without what the comparisons taught the verifier about it.
    let place = load(&raw const scratch.frame.pc)
        .wrapping_sub(load(&raw const scratch.frame.called) as u64 & 1);
    let mapping = &scratch.mappings[scratch.mapping as usize & (MAPPINGS - 1)];
    let executable = mapping.executable;
    let delta = mapping.delta;
    if executable.id == EXECUTABLE_UNKNOWN {
        return NativeEnd::UnknownExecutable as u32;
    }
    let offset = place.wrapping_add(delta);
    let pointed = if scratch.by_pointer != 0 {
        FRAME_BY_POINTER
    } else {
        0
    };
    let interrupted = if called == 0 { FRAME_INTERRUPTED } else { 0 };
    let frame = NativeFrame {
        offset,
        executable: executable.id,
        flags: pointed | interrupted,
    };
    scratch.native_section.frames[depth & (NATIVE_FRAMES - 1)] = frame;
    scratch.hash.push_native(&frame);
    scratch.sample.shape.native = depth as u16 + 1;
    // Until the caller is known, everything above belongs to this frame.
    scratch.cfa[depth & (NATIVE_FRAMES - 1)] = u64::MAX;

    let number = rule_number(scratch, offset);
    let outcome = if number == RULE_NONE {
        pointer_step(scratch)
    } else {
        let Some(rule) = RULES.get(number as u32) else {
            return NativeEnd::NoRow as u32;
        };
        scratch.by_pointer = 0;
        let stack = &mut scratch.stack;
        let registers = &scratch.registers;
        let outcome = step(
            rule,
            &mut scratch.frame,
            |address| stack.read(address),
            |number| {
                if depth == 0 {
                    task::register(registers, number)
                } else {
                    None
                }
            },
        );
        match outcome {
            Step::Caller => GO_ON,
            Step::End => NativeEnd::Root as u32,
            Step::Unsupported => NativeEnd::UnsupportedRule as u32,
            Step::Unreadable => NativeEnd::StackUnreadable as u32,
            Step::Backwards => NativeEnd::Backwards as u32,
            Step::FramePointerLost => NativeEnd::FramePointerInvalid as u32,
        }
    };
    if outcome == GO_ON {
        scratch.cfa[depth & (NATIVE_FRAMES - 1)] = scratch.frame.sp;
    } else if outcome != NativeEnd::Root as u32 {
        scratch.cfa[depth & (NATIVE_FRAMES - 1)] = 0;
    }
    outcome
}

/// The rule in force in the mapping in use. Stacks share most of their places with those before:
/// a search costs 26 ns warm and 120 cold, a slot 1.
#[inline(never)]
fn rule_number(scratch: &mut Scratch, offset: u64) -> u16 {
    let executable = &scratch.mappings[scratch.mapping as usize & (MAPPINGS - 1)].executable;
    let mixed = (offset as u32 ^ executable.id << 16).wrapping_mul(0x9e37_79b1);
    let slot = &mut scratch.rules[(mixed >> 16) as usize & (KNOWN_RULES - 1)];
    if slot.offset as u64 == offset
        && slot.executable == executable.id
        && slot.generation == scratch.generation
    {
        return slot.rule as u16;
    }
    let rule = find_rule(executable, offset, |number| Some(cell(number)));
    if offset >> 32 == 0 {
        *slot = KnownRule {
            offset: offset as u32,
            executable: executable.id,
            generation: scratch.generation,
            rule: rule as u32,
        };
    }
    rule
}

/// Where there are no rows: one frame by the frame pointer, believed only if it points up the
/// stack to an address that follows a call instruction.
#[inline(never)]
fn pointer_step(scratch: &mut Scratch) -> u32 {
    let fp = scratch.frame.fp;
    if scratch.frame.fp_known == 0 {
        return NativeEnd::NoRow as u32;
    }
    if fp == 0 {
        return NativeEnd::FramePointerEnd as u32;
    }
    if fp < scratch.frame.sp || fp - scratch.frame.sp > FARTHEST || fp & 7 != 0 {
        return NativeEnd::FramePointerInvalid as u32;
    }
    let (Some(caller_fp), Some(pc)) = (scratch.stack.read(fp), scratch.stack.read(fp + 8)) else {
        return NativeEnd::StackUnreadable as u32;
    };
    if pc == 0 {
        return NativeEnd::FramePointerEnd as u32;
    }
    if !follows_call(pc) {
        return NativeEnd::FramePointerInvalid as u32;
    }
    scratch.frame.fp = caller_fp;
    scratch.frame.sp = fp + 16;
    scratch.frame.pc = pc;
    scratch.frame.called = 1;
    scratch.frame.fp_known = 1;
    scratch.by_pointer = 1;
    GO_ON
}

/// Whether the instruction before `pc` is a call.
#[inline(always)]
fn follows_call(pc: u64) -> bool {
    let Some(code) = user_u64(pc.wrapping_sub(8)) else {
        return false;
    };
    if kernel!(arm64) != 0 {
        let word = (code >> 32) as u32;
        // bl, blr
        return word >> 26 == 0b100101 || word & 0xffff_fc1f == 0xd63f_0000;
    }
    let byte = |back: u64| (code >> (64 - 8 * back)) & 0xff;
    // call rel32; call r/m64 with its different lengths (opcode ff, /2 in the next byte)
    byte(5) == 0xe8
        || (byte(2) == 0xff && byte(1) & 0x38 == 0x10)
        || (byte(3) == 0xff && byte(2) & 0x38 == 0x10)
        || (byte(4) == 0xff && byte(3) & 0x38 == 0x10)
        || (byte(6) == 0xff && byte(5) & 0x38 == 0x10)
        || (byte(7) == 0xff && byte(6) & 0x38 == 0x10)
}
