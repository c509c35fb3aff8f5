//! Whole stacks: this very thread's against glibc's `backtrace`, and stacks laid out by hand.

use agent_common::cut::NativeEnd;
use agent_common::stack::{FRAME_BY_POINTER, FRAME_INTERRUPTED};
use agent_common::step::{Frame, Rule, cfa, fp, ra};

use super::super::{Machine, Place, Space, StackSlice, Walk, walk};

const BASE: u64 = 0x7fff_0000_0000;
const CODE: u64 = 0x40_0000;

/// Code at `CODE..CODE + 0x1000`; the rule at each place is what `rules` says, the last one that
/// begins at or before it. `call` instructions end at multiples of 16.
struct Made<'a> {
    rules: &'a [(u64, Option<Rule>)],
}

impl Space for Made<'_> {
    fn place(&mut self, avma: u64) -> Place {
        match avma.checked_sub(CODE) {
            Some(offset @ 0..0x1000) => {
                let rule = self.rules.iter().rev().find(|(start, _)| *start <= offset);
                Place::Code {
                    executable: 7,
                    offset,
                    rule: rule.and_then(|(_, rule)| *rule),
                }
            }
            Some(0x1000..0x2000) => Place::UnknownExecutable,
            _ => Place::NotExecutable,
        }
    }

    fn code_before(&mut self, avma: u64) -> Option<[u8; 8]> {
        avma.is_multiple_of(16)
            .then_some([0x90, 0x90, 0x90, 0xe8, 1, 2, 3, 4])
    }
}

fn rule(bytes: i32) -> Rule {
    let start = Rule {
        cfa: cfa::SP,
        cfa_offset: bytes,
        ra_offset: -8,
        ..Rule::default()
    };
    Rule {
        fp: fp::SAME,
        ra: ra::CFA,
        ..start
    }
}

fn walk_made(words: &[u64], rules: &[(u64, Option<Rule>)], frame: Frame, limit: usize) -> Walk {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let stack = StackSlice {
        base: BASE,
        bytes: &bytes,
    };
    let register = |number| (number == 30).then_some(CODE + 0x50);
    walk(
        Machine::X86_64,
        frame,
        register,
        stack,
        &mut Made { rules },
        limit,
    )
}

fn at(pc: u64) -> Frame {
    Frame {
        pc,
        sp: BASE,
        fp: 0,
        called: 0,
        fp_known: 1,
    }
}

/// Offsets and flags of the frames.
fn frames(walk: &Walk) -> Vec<(u64, u32)> {
    walk.frames
        .iter()
        .map(|frame| (frame.offset, frame.flags))
        .collect()
}

#[test]
fn rules_up_to_the_outermost_function() {
    let rules = [
        (0, Some(rule(16))),
        (0x100, Some(rule(8))),
        (0x200, Some(Rule::END)),
    ];
    let walk = walk_made(
        &[1, CODE + 0x100, CODE + 0x110, CODE + 0x250],
        &rules,
        at(CODE + 5),
        99,
    );
    // The first return address is the first byte behind the function that called.
    assert_eq!(
        frames(&walk),
        [(5, FRAME_INTERRUPTED), (0xff, 0), (0x24f, 0)]
    );
    assert_eq!(walk.cfas, [Some(BASE + 16), Some(BASE + 32), None]);
    assert_eq!(walk.end, NativeEnd::Root);
}

#[test]
fn why_a_walk_ends() {
    let end = |words: &[u64], frame: Frame, limit| {
        let leaf = Rule {
            ra: ra::REGISTER,
            register: 30,
            ..rule(16)
        };
        let lost = Rule {
            cfa: cfa::FP,
            fp: fp::UNDEFINED,
            ..rule(16)
        };
        let rules = [
            (0, Some(rule(8))),
            (0x40, Some(leaf)),
            (0x80, Some(lost)),
            (0xc0, Some(super::super::rule::UNSUPPORTED)),
            (0x100, Some(rule(-8))),
            (0x140, None),
        ];
        let walk = walk_made(words, &rules, frame, limit);
        (walk.frames.len(), walk.end)
    };
    use NativeEnd as E;
    assert_eq!(end(&[CODE + 1; 8], at(CODE), 4), (4, E::TooDeep));
    assert_eq!(end(&[CODE + 1; 8], at(CODE), 99), (9, E::StackUnreadable));
    assert_eq!(
        end(&[CODE + 0x1001], at(CODE), 99),
        (1, E::UnknownExecutable)
    );
    assert_eq!(end(&[5], at(CODE), 99), (1, E::NotExecutable));
    assert_eq!(end(&[0], at(CODE), 99), (1, E::NotExecutable));
    assert_eq!(end(&[], at(3), 99), (0, E::NotExecutable));
    assert_eq!(end(&[CODE + 0xc1], at(CODE), 99), (2, E::UnsupportedRule));
    assert_eq!(end(&[CODE + 0x101], at(CODE), 99), (2, E::Backwards));
    // A link register is known in the innermost frame only.
    assert_eq!(end(&[], at(CODE + 0x40), 99), (2, E::UnsupportedRule));
    let framed = Frame {
        fp: BASE,
        ..at(CODE + 0x80)
    };
    assert_eq!(
        end(&[0, CODE + 0x81], framed, 99),
        (2, E::FramePointerInvalid)
    );
    assert_eq!(end(&[0, CODE + 0x141], framed, 99), (2, E::NoRow));
}

#[test]
fn frame_pointers_where_there_are_no_rows() {
    let words = [
        1,
        BASE + 32,
        CODE + 0x20,
        2,
        BASE + 48,
        CODE + 0x30,
        0,
        CODE + 0x40,
    ];
    let framed = Frame {
        fp: BASE + 8,
        ..at(CODE + 9)
    };
    let found = walk_made(&words, &[], framed, 99);
    let pointed = FRAME_BY_POINTER;
    let wanted = [
        (9, FRAME_INTERRUPTED),
        (0x1f, pointed),
        (0x2f, pointed),
        (0x3f, pointed),
    ];
    assert_eq!(frames(&found), wanted);
    assert_eq!(found.end, NativeEnd::FramePointerEnd);
    assert_eq!(
        found.cfas,
        [Some(BASE + 24), Some(BASE + 48), Some(BASE + 64), None]
    );

    let end = |fp, words: &[u64]| walk_made(words, &[], Frame { fp, ..framed }, 99).end;
    assert_eq!(
        end(BASE - 8, &words),
        NativeEnd::FramePointerInvalid,
        "below the stack pointer"
    );
    assert_eq!(
        end(BASE + 12, &words),
        NativeEnd::FramePointerInvalid,
        "not aligned"
    );
    assert_eq!(
        end(BASE + (2 << 20), &words),
        NativeEnd::FramePointerInvalid,
        "far away"
    );
    assert_eq!(end(BASE + 1024, &words), NativeEnd::StackUnreadable);
    assert_eq!(
        end(BASE, &[0, CODE + 0x21]),
        NativeEnd::FramePointerInvalid,
        "no call before it"
    );
    assert_eq!(end(BASE, &[0, 0]), NativeEnd::FramePointerEnd);
}

/// Rows, a frame without them, rows again: only the frame that the pointer led to says so.
#[test]
fn frame_pointers_between_rules() {
    let rules = [
        (0, Some(rule(8))),
        (0x100, None),
        (0x200, Some(rule(8))),
        (0x300, Some(Rule::END)),
    ];
    let words = [CODE + 0x110, 0, CODE + 0x210, CODE + 0x310];
    let found = walk_made(
        &words,
        &rules,
        Frame {
            fp: BASE + 8,
            ..at(CODE)
        },
        99,
    );
    let wanted = [
        (0, FRAME_INTERRUPTED),
        (0x10f, 0),
        (0x20f, FRAME_BY_POINTER),
        (0x30f, 0),
    ];
    assert_eq!(frames(&found), wanted);
    assert_eq!(found.end, NativeEnd::Root);
}

#[test]
fn calls_are_recognised() {
    let ends = |machine: Machine, code: &[u8]| {
        let mut last = [0x90; 8];
        last[8 - code.len()..].copy_from_slice(code);
        machine.ends_with_call(last)
    };
    let x86_64: [&[u8]; 7] = [
        &[0xe8, 1, 2, 3, 4],
        &[0xff, 0xd0],
        &[0xff, 0x53, 0x10],
        &[0xff, 0x54, 0x24, 8],
        &[0xff, 0x15, 1, 2, 3, 4],
        &[0xff, 0x94, 0x24, 1, 2, 3, 4],
        &[0x41, 0xff, 0xd4],
    ];
    for code in x86_64 {
        assert!(ends(Machine::X86_64, code), "{code:x?}");
    }
    assert!(!ends(Machine::X86_64, &[0xff, 0xe0]), "jmp *%rax");
    assert!(!ends(Machine::X86_64, &[]));
    assert!(ends(Machine::Aarch64, &0x9400_0123u32.to_le_bytes()), "bl");
    assert!(
        ends(Machine::Aarch64, &0xd63f_0200u32.to_le_bytes()),
        "blr x16"
    );
    assert!(
        !ends(Machine::Aarch64, &0xd65f_03c0u32.to_le_bytes()),
        "ret"
    );
}

#[test]
fn words_at_the_edges_of_a_slice() {
    let stack = StackSlice {
        base: BASE,
        bytes: &[1; 12],
    };
    assert!(stack.read(BASE).is_some() && stack.read(BASE + 4).is_some());
    for outside in [BASE - 1, BASE + 5, BASE + 12, u64::MAX, 0] {
        assert_eq!(stack.read(outside), None);
    }
}
