//! The stages of a sample, entered by tail calls (33 at most in a sample).
//!
//! The stages themselves know nothing of the type of program that they run in: another type needs
//! a table of its own and entry points in `main.rs`.

use aya_ebpf::EbpfContext;

use crate::maps::STAGES;
use crate::scratch::Scratch;

pub const NATIVE: u32 = 0;
pub const PYTHON: u32 = 1;
pub const EMIT: u32 = 2;
pub const CODES: u32 = 3;
pub const DEFER: u32 = 4;

/// Runs of stages after which a walk ends, so that what there is can still be sent: the kernel
/// allows 33 tail calls.
pub const MOST: u32 = 28;
/// The native walk's part of them in a process with an interpreter: whatever depth is asked for,
/// 1,000 Python frames must still be reached.
pub const MOST_BEFORE_PYTHON: u32 = 18;

/// Whether the walk may have another run of a stage, of `most` in all.
#[inline(always)]
pub fn left(scratch: &mut Scratch, most: u32) -> bool {
    scratch.stages += 1;
    scratch.stages < most
}

/// Goes on in another stage. Comes back only if it could not be entered.
#[inline(always)]
pub fn enter<C: EbpfContext>(ctx: &C, stage: u32) {
    // SAFETY: nothing needs dropping where this is called.
    unsafe { STAGES.tail_call(ctx, stage) }
}
