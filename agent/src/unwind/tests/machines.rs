//! aarch64, and layouts that no assembler makes, from images written byte by byte.

use agent_common::step::{Rule, cfa, fp, ra};

use super::super::{Machine, Segments, UnwindError, build, build_vdso, machine};
use super::fixture::Image;

const AARCH64: u16 = 183;
const X86_64: u16 = 62;
const RET: u64 = 0x8000;

/// `DW_CFA_def_cfa sp, 0`: what every aarch64 function begins with.
const ENTERED: [u8; 3] = [0x0c, 31, 0];
/// `DW_CFA_def_cfa rsp, 8; DW_CFA_offset rip, -8`.
const ENTERED_X86_64: [u8; 5] = [0x0c, 7, 8, 0x90, 1];
const ADVANCE_4: u8 = 0x44;

const LEAF: Rule = Rule {
    cfa: cfa::SP,
    fp: fp::SAME,
    ra: ra::REGISTER,
    register: 30,
    cfa_offset: 0,
    fp_offset: 0,
    ra_offset: 0,
};
const PUSHED: Rule = Rule {
    ra: ra::CFA,
    register: 0,
    cfa_offset: 8,
    ra_offset: -8,
    ..LEAF
};

#[test]
fn aarch64_function_with_a_frame() {
    let mut image = Image::new(AARCH64);
    let common = image.common("zR", 30, &ENTERED);
    let code = [
        // negate_ra_state; stp x29, x30, [sp, #-32]!; mov x29, sp
        [0x2d, ADVANCE_4, 0x0e, 32].as_slice(),
        &[0x80 | 29, 4, 0x80 | 30, 3, ADVANCE_4, 0x0d, 29, ADVANCE_4],
        // ldp x29, x30, [sp], #32
        &[0x0c, 31, 0, 0xc0 | 29, 0xc0 | 30, ADVANCE_4, 0x2d],
    ]
    .concat();
    image.function(common, RET, 20, &code);
    let table = build(&image.bytes()).unwrap();
    let saved = Rule {
        fp: fp::CFA,
        fp_offset: -32,
        ra: ra::CFA,
        ra_offset: -24,
        register: 0,
        cfa_offset: 32,
        ..LEAF
    };
    let framed = Rule {
        cfa: cfa::FP,
        ..saved
    };
    let wanted = [LEAF, saved, framed, LEAF, LEAF].map(Some);
    let found: Vec<_> = (0..5).map(|n| table.rule(RET + 4 * n).copied()).collect();
    assert_eq!(found, wanted);
}

#[test]
fn aarch64_signal_trampoline_of_the_vdso() {
    let mut image = Image::new(AARCH64);
    let common = image.common("zR", 30, &ENTERED);
    image.function(common, RET, 16, &[]);
    let mut file = image.bytes();
    let at = RET as usize + 0x104;
    file[at..at + 8].copy_from_slice(&[0x68, 0x11, 0x80, 0xd2, 1, 0, 0, 0xd4]);
    let trampoline = Rule {
        cfa: cfa::SP_DEREF,
        fp: fp::SP,
        ra: ra::SIGNAL,
        register: 0,
        cfa_offset: 560,
        fp_offset: 544,
        ra_offset: 568,
    };
    let table = build_vdso(&file).unwrap();
    for into in [0x100, 0x103, 0x104, 0x10b] {
        assert_eq!(table.rule(RET + into), Some(&trampoline), "{into:#x}");
    }
    assert_eq!(table.rule(RET + 0xff), None);
    assert_eq!(table.rule(RET + 0x10c), None);
    // A library is not searched for it.
    assert_eq!(build(&file).unwrap().rule(RET + 0x104), None);
}

/// As some arm64 kernels describe theirs: a frame record, which is not the interrupted
/// context.
#[test]
fn aarch64_signal_trampoline_with_a_frame_record() {
    let mut image = Image::new(AARCH64);
    let common = image.common("zRS", 30, &[0x0c, 29, 0, 0x80 | 29, 0]);
    image.function(common, RET, 16, &[]);
    let table = build(&image.bytes()).unwrap();
    assert_eq!(table.rule(RET), Some(&super::super::rule::UNSUPPORTED));
}

#[test]
fn functions_in_any_order_and_one_inside_of_another() {
    let mut image = Image::new(X86_64);
    let common = image.common("zR", 16, &ENTERED_X86_64);
    let offset = |bytes: u8| [0x0e, bytes];
    image.function(common, 0x9000, 0x100, &offset(16));
    image.function(
        common,
        0x8000,
        0x1000,
        &[&offset(24)[..], &[0x04, 0, 8, 0, 0], &offset(32)].concat(),
    );
    image.function(common, 0x8100, 0x100, &offset(40));
    image.function(common, 0x8180, 0x10, &offset(48));
    image.function(common, 0x8180, 0x20, &offset(56));
    image.function(common, 0x8f00, 0x200, &offset(64));
    let table = build(&image.bytes()).unwrap();
    let at = |offset| table.rule(offset).map(|rule| rule.cfa_offset);
    for (offset, wanted) in [
        (0x7fff, None),
        (0x8000, Some(24)),
        (0x80ff, Some(24)),
        (0x8100, Some(40)),
        (0x817f, Some(40)),
        // Two begin here: the first has it.
        (0x8180, Some(48)),
        (0x818f, Some(48)),
        (0x8190, Some(40)),
        (0x81ff, Some(40)),
        (0x8200, Some(24)),
        (0x87ff, Some(24)),
        (0x8800, Some(32)),
        (0x8eff, Some(32)),
        (0x8f00, Some(64)),
        (0x8fff, Some(64)),
        (0x9000, Some(16)),
        (0x90ff, Some(16)),
        (0x9100, None),
    ] {
        assert_eq!(at(offset), wanted, "at {offset:#x}");
    }
}

#[test]
fn functions_that_the_linker_threw_away() {
    let mut image = Image::new(X86_64);
    let common = image.common("zR", 16, &ENTERED_X86_64);
    image.function(common, 0, 0x9000, &[]);
    image.function(common, 0x9000, 0, &[]);
    image.function(common, u64::MAX - 5, 0x20, &[]);
    image.function(common, 0xffff, 0x100, &[]);
    let table = build(&image.bytes()).unwrap();
    assert_eq!(table.rule(0x8000), None);
    assert_eq!(table.rule(0x9000), None);
    // Cut where the segment ends.
    assert_eq!(table.rule(0xffff), Some(&PUSHED));
    assert_eq!(table.rule(0x10000), None);
}

#[test]
fn padding_belongs_to_the_function_before() {
    let mut image = Image::new(X86_64);
    let common = image.common("zR", 16, &ENTERED_X86_64);
    for (start, size) in [
        (0x8000, 1),
        (0x8010, 1),
        (0x8021, 1),
        (0x8025, 1),
        (0x8040, 1),
    ] {
        image.function(common, start, size, &[]);
    }
    let table = build(&image.bytes()).unwrap();
    let covered: Vec<u64> = (0x8000..0x8050)
        .filter(|at| table.rule(*at).is_some())
        .collect();
    // Only what fills up to an aligned function, and less than 16 bytes.
    let wanted: Vec<u64> = (0x8000..0x8011).chain([0x8021, 0x8025, 0x8040]).collect();
    assert_eq!(covered, wanted);
}

#[test]
fn an_entry_that_cannot_be_read_costs_its_own_function() {
    let mut image = Image::new(X86_64);
    let good = image.common("zR", 16, &ENTERED_X86_64);
    let unknown = image.common("zR~", 16, &ENTERED_X86_64);
    let broken = image.common("zR", 16, &[0x3b]);
    image.function(unknown, 0x8000, 0x10, &[]);
    image.function(good, 0x8010, 0x10, &[]);
    image.function(broken, 0x8020, 0x10, &[]);
    // Row at 0x8034, then an instruction that does not exist.
    image.function(good, 0x8030, 0x10, &[0x44, 0x0e, 16, 0x44, 0x3b]);
    // A pop without a push; an offset for a CFA that is an expression.
    image.function(good, 0x8040, 0x10, &[0x44, 0x0b]);
    image.function(good, 0x8050, 0x10, &[0x0f, 2, 0x77, 0, 0x44, 0x0e, 16]);
    image.function(good, 0x8060, 0x10, &[]);
    let table = build(&image.bytes()).unwrap();
    let found = |offset| table.rule(offset).map(|rule| rule.cfa_offset);
    let wanted = [
        (0x8000, None),
        (0x8010, Some(8)),
        (0x8020, None),
        (0x8030, Some(8)),
        (0x8034, Some(16)),
        (0x8038, None),
        (0x803f, None),
        (0x8040, Some(8)),
        (0x8044, None),
        (0x8050, Some(0)),
        (0x8054, None),
        (0x8060, Some(8)),
    ];
    for (offset, wanted) in wanted {
        assert_eq!(found(offset), wanted, "at {offset:#x}");
    }
}

#[test]
fn entry_point_without_a_function() {
    let mut image = Image::new(X86_64);
    let common = image.common("zR", 16, &ENTERED_X86_64);
    image.function(common, 0x8000, 0x10, &[]);
    image.function(common, 0x8120, 0x10, &[]);
    let ends = |image: &Image| {
        let table = build(&image.bytes()).unwrap();
        let end = |at: &u64| table.rule(*at) == Some(&Rule::END);
        (0x8000..0x9000).filter(end).collect::<Vec<u64>>()
    };
    image.entry = 0x8040;
    assert_eq!(ends(&image), [] as [u64; 0], "a library");
    image.kind = 2;
    assert_eq!(
        ends(&image),
        (0x8040..0x8080).collect::<Vec<_>>(),
        "as long as a _start"
    );
    image.entry = 0x8110;
    assert_eq!(
        ends(&image),
        (0x8110..0x8120).collect::<Vec<_>>(),
        "up to the next function"
    );
    image.entry = 0x8128;
    assert_eq!(
        ends(&image),
        (0x8120..0x8130).collect::<Vec<_>>(),
        "inside of a function"
    );
    image.entry = 0x20000;
    assert_eq!(ends(&image), [] as [u64; 0], "outside of the file");
}

#[test]
fn wrong_kinds_of_files() {
    let mut image = Image::new(X86_64);
    let common = image.common("zR", 16, &ENTERED_X86_64);
    image.function(common, 0x8000, 0x10, &[]);
    let good = image.bytes();
    let with = |at: usize, value: u8| {
        let mut file = good.clone();
        file[at] = value;
        build(&file).unwrap_err()
    };
    assert_eq!(with(0, 0), UnwindError::NotElf);
    assert_eq!(with(4, 1), UnwindError::ThirtyTwoBit);
    assert_eq!(with(5, 2), UnwindError::BigEndian);
    assert_eq!(with(18, 40), UnwindError::Machine(40));
    assert_eq!(with(16, 1), UnwindError::NotLoadable(1));
    assert_eq!(with(54, 8), UnwindError::Truncated("program headers"));
    // The segment's flags; the type of .eh_frame_hdr's program header.
    assert_eq!(with(64 + 4, 4), UnwindError::NoCode);
    assert_eq!(with(64 + 56, 0), UnwindError::NoFrames);
    assert_eq!(build(&[]).unwrap_err(), UnwindError::NotElf);
    assert_eq!(
        build(&good[..63]).unwrap_err(),
        UnwindError::Truncated("file header's fields")
    );
    assert_eq!(machine(&good), Ok(Machine::X86_64));
    assert_eq!(machine(&Image::new(AARCH64).bytes()), Ok(Machine::Aarch64));
}

#[test]
fn offsets_and_svmas() {
    let segments = Segments::of(&std::fs::read(std::env::current_exe().unwrap()).unwrap()).unwrap();
    assert!(segments.executable().count() >= 1);
    for segment in segments.iter() {
        let last = segment.size - 1;
        assert_eq!(
            segment.svma_of(segment.offset + last),
            Some(segment.svma + last)
        );
        assert_eq!(segment.svma_of(segment.offset + segment.size), None);
        assert_eq!(segment.offset_of(segment.svma + segment.size), None);
        assert_eq!(segments.offset_of(segment.svma), Some(segment.offset));
    }
    for segment in segments.executable() {
        assert_eq!(segments.svma_of(segment.offset), Some(segment.svma));
    }
    assert_eq!(segments.svma_of(u64::MAX), None);
    assert_eq!(segments.offset_of(u64::MAX), None);
}
