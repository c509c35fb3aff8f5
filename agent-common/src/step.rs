//! One step of the native walk: a rule and the registers of a frame give the caller's registers.
//!
//! The eBPF program and the agent (for samples that came before their rows) run this same code.

/// How the canonical frame address (CFA, the caller's stack pointer) is found.
pub mod cfa {
    /// No rule, or one that this walker cannot follow.
    pub const UNKNOWN: u8 = 0;
    /// SP + `cfa_offset`
    pub const SP: u8 = 1;
    /// FP + `cfa_offset`
    pub const FP: u8 = 2;
    /// `register` + `cfa_offset`; known in the innermost frame only.
    pub const REGISTER: u8 = 3;
    /// *(FP + `cfa_offset`): functions that realign their stack
    pub const FP_DEREF: u8 = 4;
    /// *(SP + `cfa_offset`): signal frames
    pub const SP_DEREF: u8 = 5;
    /// x86_64 PLT entry: SP + 8, and 8 more once its push was executed ((pc & 15) >= `cfa_offset`)
    pub const PLT: u8 = 6;
}

/// How the caller's frame pointer is found.
pub mod fp {
    /// Unchanged.
    pub const SAME: u8 = 0;
    /// *(CFA + `fp_offset`)
    pub const CFA: u8 = 1;
    /// *(FP + `fp_offset`)
    pub const FP: u8 = 2;
    /// *(SP + `fp_offset`)
    pub const SP: u8 = 3;
    /// Lost.
    pub const UNDEFINED: u8 = 4;
}

/// How the return address is found.
pub mod ra {
    /// *(CFA + `ra_offset`)
    pub const CFA: u8 = 0;
    /// Undefined: the outermost frame.
    pub const END: u8 = 1;
    /// *(SP + `ra_offset`), and it is an interrupted instruction, not one after a call
    pub const SIGNAL: u8 = 2;
    /// `register`; known in the innermost frame only (arm64 leaf functions: the link register).
    pub const REGISTER: u8 = 3;
}

/// DWARF register numbers of the frame's own registers on x86_64 are 0..=16 (16: return address).
pub const REGISTERS: usize = 32;

/// Value of the `RULES` map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Rule {
    /// One of [`cfa`].
    pub cfa: u8,
    /// One of [`fp`].
    pub fp: u8,
    /// One of [`ra`].
    pub ra: u8,
    /// DWARF number of the register that [`cfa::REGISTER`] or [`ra::REGISTER`] mean.
    pub register: u8,
    pub cfa_offset: i32,
    pub fp_offset: i32,
    pub ra_offset: i32,
}

impl Rule {
    pub const END: Self = Self {
        cfa: cfa::UNKNOWN,
        fp: fp::UNDEFINED,
        ra: ra::END,
        register: 0,
        cfa_offset: 0,
        fp_offset: 0,
        ra_offset: 0,
    };
}

/// The registers that the walk carries from frame to frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Frame {
    /// Address of the instruction (innermost, interrupted) or of the one after the call.
    pub pc: u64,
    pub sp: u64,
    /// Frame pointer: rbp or x29.
    pub fp: u64,
    /// 1: `pc` follows a call; the frame's place is `pc - 1`. 0: `pc` itself was executing.
    pub called: u32,
    /// 0: `fp` was lost on the way.
    pub fp_known: u32,
}

/// Outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Step {
    /// `frame` is now the caller's.
    Caller = 0,
    /// The frame was the outermost one.
    End = 1,
    /// The rule is not one that can be followed.
    Unsupported = 2,
    /// The stack could not be read.
    Unreadable = 3,
    /// The rule leads to a frame below this one: rows or stack are not what they seem.
    Backwards = 4,
    /// The rule needs the frame pointer and an earlier frame lost it.
    FramePointerLost = 5,
}

/// Goes one frame out. `read` reads 8 bytes of the target's stack; `register` gives a register of
/// the innermost frame by DWARF number.
#[inline(always)]
pub fn step(
    rule: &Rule,
    frame: &mut Frame,
    mut read: impl FnMut(u64) -> Option<u64>,
    register: impl Fn(u8) -> Option<u64>,
) -> Step {
    if rule.ra == ra::END {
        return Step::End;
    }
    let offset = rule.cfa_offset as i64 as u64;
    let needs_fp = rule.cfa == cfa::FP || rule.cfa == cfa::FP_DEREF || rule.fp == fp::FP;
    if needs_fp && frame.fp_known == 0 {
        return Step::FramePointerLost;
    }
    let found = match rule.cfa {
        cfa::SP => Some(frame.sp.wrapping_add(offset)),
        cfa::FP => Some(frame.fp.wrapping_add(offset)),
        cfa::PLT => {
            let pushed = if frame.pc & 15 >= offset { 16 } else { 8 };
            Some(frame.sp.wrapping_add(pushed))
        }
        cfa::FP_DEREF => read(frame.fp.wrapping_add(offset)),
        cfa::SP_DEREF => read(frame.sp.wrapping_add(offset)),
        cfa::REGISTER => match register(rule.register) {
            Some(value) => Some(value.wrapping_add(offset)),
            None => return Step::Unsupported,
        },
        _ => return Step::Unsupported,
    };
    let Some(cfa) = found else {
        return Step::Unreadable;
    };
    // A signal handler may run on a stack of its own, anywhere.
    if rule.ra != ra::SIGNAL && (cfa < frame.sp || (cfa == frame.sp && frame.called != 0)) {
        return Step::Backwards;
    }
    let found = match rule.ra {
        ra::CFA => read(cfa.wrapping_add(rule.ra_offset as i64 as u64)),
        ra::SIGNAL => read(frame.sp.wrapping_add(rule.ra_offset as i64 as u64)),
        ra::REGISTER => match register(rule.register) {
            Some(value) => Some(value),
            None => return Step::Unsupported,
        },
        _ => return Step::Unsupported,
    };
    let Some(pc) = found else {
        return Step::Unreadable;
    };
    let fp_offset = rule.fp_offset as i64 as u64;
    let found = match rule.fp {
        fp::SAME => Some(frame.fp),
        fp::CFA => read(cfa.wrapping_add(fp_offset)),
        fp::FP => read(frame.fp.wrapping_add(fp_offset)),
        fp::SP => read(frame.sp.wrapping_add(fp_offset)),
        _ => {
            frame.fp_known = 0;
            Some(0)
        }
    };
    let Some(fp) = found else {
        return Step::Unreadable;
    };
    if rule.fp == fp::CFA || rule.fp == fp::FP || rule.fp == fp::SP {
        frame.fp_known = 1;
    }
    frame.fp = fp;
    frame.sp = cfa;
    frame.pc = pc;
    frame.called = (rule.ra != ra::SIGNAL) as u32;
    Step::Caller
}
