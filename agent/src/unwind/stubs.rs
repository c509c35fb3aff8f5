//! Code that linkers and kernels write without unwind information.

use agent_common::step::{Rule, cfa, fp, ra};

use super::Machine;
use super::elf::{Header, bytes};
use super::segments::Segments;
use super::spans::{Source, Span};

/// Just entered, nothing pushed but the return address.
static X86_64_ENTERED: Rule = pushed(8);
/// The shared first entry of `.plt`, which the others jump to with one word pushed …
static X86_64_FIRST: Rule = pushed(16);
/// … and behind its own push.
static X86_64_FIRST_PUSHED: Rule = pushed(24);
/// `jmp`, `push` (up to byte 11), `jmp`.
static X86_64_LAZY: Rule = Rule {
    cfa: cfa::PLT,
    cfa_offset: 11,
    ..pushed(0)
};
/// `endbr64`, `push` (up to byte 9), `jmp`.
static X86_64_LAZY_IBT: Rule = Rule {
    cfa: cfa::PLT,
    cfa_offset: 9,
    ..pushed(0)
};
/// Linkage table entries on aarch64 leave stack and link register alone.
static AARCH64_ENTERED: Rule = Rule {
    cfa: cfa::SP,
    fp: fp::SAME,
    ra: ra::REGISTER,
    register: 30,
    cfa_offset: 0,
    fp_offset: 0,
    ra_offset: 0,
};
/// The kernel's frame on aarch64: siginfo (128 bytes), then ucontext, in which 176 bytes precede
/// sigcontext: fault address, x0 to x30, sp, pc (arch/arm64/include/uapi/asm/sigcontext.h and
/// ucontext.h).
static AARCH64_SIGNAL: Rule = Rule {
    cfa: cfa::SP_DEREF,
    fp: fp::SP,
    ra: ra::SIGNAL,
    register: 0,
    cfa_offset: 128 + 176 + 8 + 8 * 31,
    fp_offset: 128 + 176 + 8 + 8 * 29,
    ra_offset: 128 + 176 + 8 + 8 * 32,
};

const fn pushed(bytes: i32) -> Rule {
    Rule {
        cfa: cfa::SP,
        fp: fp::SAME,
        ra: ra::CFA,
        register: 0,
        cfa_offset: bytes,
        fp_offset: 0,
        ra_offset: -8,
    }
}

/// Bytes of a linkage table's entry.
const ENTRY: u64 = 16;

/// The linkage tables, which GNU ld describes on x86_64 only and lld nowhere.
pub(super) fn linkage(header: &Header, segments: &Segments) -> Vec<Span> {
    let mut spans = Vec::new();
    for name in [".plt", ".plt.got", ".plt.sec"] {
        let Some(section) = header.section(name) else {
            continue;
        };
        let executable = segments
            .executable()
            .find(|s| s.svma_of(section.offset).is_some());
        let Some(segment) = executable.filter(|s| s.svma_of(section.offset) == Some(section.svma))
        else {
            continue;
        };
        let start = section.offset;
        let end = start + section.size.min(segment.offset + segment.size - start);
        let mut add = |start: u64, end: u64, rule| {
            if start < end {
                spans.push(Span {
                    start,
                    end,
                    source: Source::Fixed(rule),
                });
            }
        };
        match (header.machine, name) {
            (Machine::Aarch64, ".plt") => add(start + 2 * ENTRY, end, &AARCH64_ENTERED),
            (Machine::Aarch64, _) => {}
            (Machine::X86_64, ".plt") => {
                let second = bytes(header.file, start + ENTRY, 4);
                let rule = match second {
                    Some([0xff, 0x25, ..]) => &X86_64_LAZY,
                    Some([0xf3, 0x0f, 0x1e, 0xfa]) => &X86_64_LAZY_IBT,
                    _ => continue,
                };
                if section.svma % ENTRY == 0 && start + ENTRY < end {
                    add(start, start + 6, &X86_64_FIRST);
                    add(start + 6, start + ENTRY, &X86_64_FIRST_PUSHED);
                    add(start + ENTRY, end, rule);
                }
            }
            (Machine::X86_64, _) => add(start, end, &X86_64_ENTERED),
        }
    }
    super::spans::flatten(spans)
}

/// The vDSO's `__kernel_rt_sigreturn` on aarch64, by its code (`mov x8, #139; svc #0`). Kernels
/// describe it by the frame record of the interrupted function, which does not say where that was
/// interrupted, or not at all (arch/arm64/kernel/vdso/sigreturn.S in different versions).
pub(super) fn trampolines(header: &Header, segments: &Segments) -> Vec<Span> {
    const CODE: [u8; 8] = [0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4];
    let mut spans = Vec::new();
    if header.machine != Machine::Aarch64 {
        return spans;
    }
    for segment in segments.executable() {
        let code = bytes(header.file, segment.offset, segment.size).unwrap_or_default();
        for (at, _) in code
            .windows(8)
            .enumerate()
            .filter(|(_, window)| *window == CODE)
        {
            let start = segment.offset + at as u64;
            // The handler "returns" to the first instruction, so its caller is looked up before
            // it: at the nop that the kernel put there for that very reason.
            let (start, end) = (start.saturating_sub(4).max(segment.offset), start + 8);
            spans.push(Span {
                start,
                end,
                source: Source::Fixed(&AARCH64_SIGNAL),
            });
        }
    }
    super::spans::flatten(spans)
}
