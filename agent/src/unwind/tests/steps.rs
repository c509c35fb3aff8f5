//! One step, on stacks laid out by hand: every kind of CFA, frame pointer and return address.

use agent_common::step::{Frame, Rule, Step, cfa, fp, ra, step};

const SP: u64 = 0x7fff_0000_1000;
const FP: u64 = SP + 0x40;
const PC: u64 = 0x40_1234;

/// The word at `address` is `address + 1`, on the stack's 256 bytes from `SP` on.
fn read(address: u64) -> Option<u64> {
    (SP..SP + 0x100).contains(&address).then_some(address + 1)
}

fn frame() -> Frame {
    Frame {
        pc: PC,
        sp: SP,
        fp: FP,
        called: 1,
        fp_known: 1,
    }
}

fn rule(cfa: u8, cfa_offset: i32) -> Rule {
    Rule {
        cfa,
        fp: fp::SAME,
        ra: ra::CFA,
        register: 0,
        cfa_offset,
        fp_offset: 0,
        ra_offset: -8,
    }
}

/// Steps by `rule` from `from` and gives the caller.
fn caller(rule: Rule, from: Frame) -> Frame {
    let mut frame = from;
    let outcome = step(&rule, &mut frame, read, |number| {
        Some(SP + 0x10 * number as u64)
    });
    assert_eq!(outcome, Step::Caller, "{rule:?}");
    frame
}

fn outcome(rule: Rule, from: Frame) -> Step {
    step(&rule, &mut { from }, read, |_| None)
}

#[test]
fn cfa_from_the_stack_pointer() {
    let caller = caller(rule(cfa::SP, 0x20), frame());
    let wanted = Frame {
        pc: SP + 0x19,
        sp: SP + 0x20,
        fp: FP,
        called: 1,
        fp_known: 1,
    };
    assert_eq!(caller, wanted);
}

#[test]
fn cfa_from_the_frame_pointer() {
    assert_eq!(caller(rule(cfa::FP, 0x10), frame()).sp, FP + 0x10);
    let lost = Frame {
        fp_known: 0,
        ..frame()
    };
    assert_eq!(outcome(rule(cfa::FP, 0x10), lost), Step::FramePointerLost);
    assert_eq!(
        outcome(rule(cfa::FP_DEREF, 0x10), lost),
        Step::FramePointerLost
    );
}

#[test]
fn cfa_from_memory() {
    assert_eq!(caller(rule(cfa::FP_DEREF, -8), frame()).sp, FP - 8 + 1);
    assert_eq!(caller(rule(cfa::SP_DEREF, 0x18), frame()).sp, SP + 0x18 + 1);
    assert_eq!(
        outcome(rule(cfa::SP_DEREF, 0x100), frame()),
        Step::Unreadable
    );
}

#[test]
fn cfa_from_another_register() {
    let by_register = Rule {
        register: 10,
        ..rule(cfa::REGISTER, 8)
    };
    assert_eq!(caller(by_register, frame()).sp, SP + 0xa0 + 8);
    assert_eq!(outcome(by_register, frame()), Step::Unsupported);
}

#[test]
fn cfa_in_a_linkage_table() {
    for low in 0..16 {
        let at = Frame {
            pc: 0x1000 + low,
            ..frame()
        };
        let pushed = if low >= 11 { 16 } else { 8 };
        assert_eq!(caller(rule(cfa::PLT, 11), at).sp, SP + pushed, "{low}");
    }
}

#[test]
fn cfa_without_a_rule() {
    assert_eq!(outcome(Rule::default(), frame()), Step::Unsupported);
    assert_eq!(
        outcome(super::super::rule::UNSUPPORTED, frame()),
        Step::Unsupported
    );
}

#[test]
fn frame_pointer_of_the_caller() {
    let with = |fp, fp_offset| Rule {
        fp,
        fp_offset,
        ..rule(cfa::SP, 0x20)
    };
    assert_eq!(caller(with(fp::SAME, 0), frame()).fp, FP);
    assert_eq!(caller(with(fp::CFA, -16), frame()).fp, SP + 0x10 + 1);
    assert_eq!(caller(with(fp::FP, 8), frame()).fp, FP + 8 + 1);
    assert_eq!(caller(with(fp::SP, 0x78), frame()).fp, SP + 0x78 + 1);
    assert_eq!(outcome(with(fp::CFA, 0x100), frame()), Step::Unreadable);
}

#[test]
fn a_lost_frame_pointer_stays_lost_until_it_is_found_in_memory() {
    let with = |fp, fp_offset| Rule {
        fp,
        fp_offset,
        ..rule(cfa::SP, 0x20)
    };
    let lost = caller(with(fp::UNDEFINED, 0), frame());
    assert_eq!((lost.fp, lost.fp_known), (0, 0));
    let still = caller(with(fp::SAME, 0), lost);
    assert_eq!(still.fp_known, 0);
    assert_eq!(outcome(with(fp::FP, 0), still), Step::FramePointerLost);
    let again = caller(with(fp::CFA, -16), still);
    assert_eq!((again.fp, again.fp_known), (still.sp + 0x10 + 1, 1));
}

#[test]
fn return_address_of_a_signal_trampoline() {
    let trampoline = Rule {
        ra: ra::SIGNAL,
        ra_offset: 0xa8,
        fp: fp::SP,
        fp_offset: 0x78,
        ..rule(cfa::SP_DEREF, 0xa0)
    };
    let interrupted = caller(trampoline, frame());
    let wanted = Frame {
        pc: SP + 0xa9,
        sp: SP + 0xa1,
        fp: SP + 0x79,
        called: 0,
        fp_known: 1,
    };
    assert_eq!(interrupted, wanted);
}

/// A handler on a stack of its own, above or below the interrupted one.
#[test]
fn a_signal_trampoline_may_lead_down() {
    let trampoline = Rule {
        ra: ra::SIGNAL,
        ra_offset: 8,
        ..rule(cfa::SP_DEREF, 0)
    };
    let mut frame = frame();
    let below = |address| Some(if address == SP { 0x1000 } else { 0x2000 });
    assert_eq!(step(&trampoline, &mut frame, below, |_| None), Step::Caller);
    assert_eq!((frame.sp, frame.pc, frame.called), (0x1000, 0x2000, 0));
}

#[test]
fn return_address_in_a_register() {
    let leaf = Rule {
        ra: ra::REGISTER,
        register: 5,
        ..rule(cfa::SP, 0)
    };
    let innermost = Frame {
        called: 0,
        ..frame()
    };
    let outer = caller(leaf, innermost);
    assert_eq!((outer.pc, outer.sp, outer.called), (SP + 0x50, SP, 1));
    assert_eq!(outcome(leaf, innermost), Step::Unsupported);
}

#[test]
fn the_end() {
    assert_eq!(outcome(Rule::END, frame()), Step::End);
}

#[test]
fn never_down_the_stack() {
    assert_eq!(outcome(rule(cfa::SP, -8), frame()), Step::Backwards);
    // No progress: only a leaf function may have nothing on the stack.
    assert_eq!(outcome(rule(cfa::SP, 0), frame()), Step::Backwards);
    assert_eq!(outcome(rule(cfa::FP, -0x48), frame()), Step::Backwards);
    assert_eq!(
        outcome(
            rule(cfa::SP, 0),
            Frame {
                called: 0,
                ..frame()
            }
        ),
        Step::Unreadable
    );
}

#[test]
fn addresses_wrap_without_a_panic() {
    let edge = Frame {
        sp: u64::MAX - 4,
        fp: u64::MAX,
        ..frame()
    };
    for kind in [cfa::SP, cfa::FP, cfa::FP_DEREF, cfa::SP_DEREF, cfa::PLT] {
        for offset in [i32::MIN, -8, 8, i32::MAX] {
            let wild = Rule {
                fp: fp::CFA,
                fp_offset: offset,
                ra_offset: offset,
                ..rule(kind, offset)
            };
            step(&wild, &mut { edge }, Some, |_| None);
        }
    }
}
