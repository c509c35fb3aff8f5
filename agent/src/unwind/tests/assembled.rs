//! Each kind of rule from assembler source, as compilers and hand-written code state it.

use agent_common::step::{Rule, cfa, fp, ra};

use super::super::{UnwindError, build};
use super::fixture::{Folder, assemble, compile, compressed_debug_frame, read, run, symbol, text};

const PUSHED: Rule = Rule {
    cfa: cfa::SP,
    fp: fp::SAME,
    ra: ra::CFA,
    register: 0,
    cfa_offset: 8,
    fp_offset: 0,
    ra_offset: -8,
};

/// One function `f` of one-byte instructions (`nop`), with directives between them.
fn function(body: &str) -> String {
    format!(".globl f\n.type f, @function\nf:\n.cfi_startproc\n{body}\n.cfi_endproc\nhlt\n")
}

/// The rule at each of the first `bytes` bytes of `f`.
fn rules(file: &[u8], bytes: u64) -> Vec<Option<Rule>> {
    let table = build(file).unwrap();
    let start = symbol(file, "f");
    (start..start + bytes)
        .map(|offset| table.rule(offset).copied())
        .collect()
}

#[test]
fn push_and_pop_with_remembered_state() {
    let source = function(
        "push %rbp\n.cfi_def_cfa_offset 16\n.cfi_offset %rbp, -16
         mov %rsp, %rbp\n.cfi_def_cfa_register %rbp
         .cfi_remember_state
         pop %rbp\n.cfi_def_cfa %rsp, 8\n.cfi_restore %rbp
         ret
         .cfi_restore_state
         nop",
    );
    let Some(file) = assemble(&source, &[]) else {
        return;
    };
    let entered = PUSHED;
    let saved = Rule {
        cfa_offset: 16,
        fp: fp::CFA,
        fp_offset: -16,
        ..PUSHED
    };
    let framed = Rule {
        cfa: cfa::FP,
        ..saved
    };
    let wanted = [entered, saved, saved, saved, framed, entered, framed].map(Some);
    assert_eq!(rules(&file, 7), wanted);
    // The next byte is nobody's.
    assert_eq!(rules(&file, 8)[7], None);
}

#[test]
fn nested_remembered_states() {
    let deep = 40;
    let mut body = String::new();
    for depth in 0..deep {
        body += &format!(
            "nop\n.cfi_remember_state\n.cfi_def_cfa_offset {}\n",
            16 + 8 * depth
        );
    }
    body += &"nop\n.cfi_restore_state\n".repeat(deep);
    body += "nop";
    let Some(file) = assemble(&function(&body), &[]) else {
        return;
    };
    let offsets = rules(&file, 2 * deep as u64 + 1)
        .into_iter()
        .map(|rule| rule.unwrap().cfa_offset);
    let down = (0..deep as i32)
        .rev()
        .map(|depth| if depth == 0 { 8 } else { 8 + 8 * depth });
    let up = (0..deep as i32).map(|depth| if depth == 0 { 8 } else { 8 + 8 * depth });
    let wanted: Vec<i32> = up.chain([8 + 8 * deep as i32]).chain(down).collect();
    assert_eq!(offsets.collect::<Vec<_>>(), wanted);
}

#[test]
fn signal_trampoline() {
    // glibc's __restore_rt: everything by expressions, on registers 7 (rsp) and its frame.
    let source = function(
        ".cfi_signal_frame
         .cfi_escape 0x0f, 4, 0x77, 0xa0, 0x01, 0x06
         .cfi_escape 0x10, 7, 3, 0x77, 0xa0, 0x01
         .cfi_escape 0x10, 6, 3, 0x77, 0xf8, 0x00
         .cfi_escape 0x10, 16, 3, 0x77, 0xa8, 0x01
         nop",
    );
    let Some(file) = assemble(&source, &[]) else {
        return;
    };
    let wanted = Rule {
        cfa: cfa::SP_DEREF,
        fp: fp::SP,
        ra: ra::SIGNAL,
        register: 0,
        cfa_offset: 160,
        fp_offset: 120,
        ra_offset: 168,
    };
    assert_eq!(rules(&file, 1), [Some(wanted)]);
}

#[test]
fn signal_trampoline_by_offsets_from_the_cfa() {
    let source = function(
        ".cfi_signal_frame
         .cfi_def_cfa %rsp, 8
         .cfi_offset %rsp, 152\n.cfi_offset %rbp, 112\n.cfi_offset %rip, 160
         nop
         .cfi_def_cfa %rbx, 0
         nop",
    );
    let Some(file) = assemble(&source, &[]) else {
        return;
    };
    let [first, second] = rules(&file, 2).try_into().unwrap();
    let wanted = Rule {
        cfa: cfa::SP_DEREF,
        fp: fp::SP,
        ra: ra::SIGNAL,
        register: 0,
        cfa_offset: 160,
        fp_offset: 120,
        ra_offset: 168,
    };
    assert_eq!(first, Some(wanted));
    // A frame at no register that is known: said to be beyond the walker, not guessed.
    assert_eq!(second, Some(super::super::rule::UNSUPPORTED));
}

#[test]
fn linkage_table_as_ld_describes_it() {
    let source = format!("{}\n.globl g\n", function("call g@plt\nnop"));
    let Some(file) = assemble(&source, &["-Wl,-z,lazy", "-Wl,-z,noibtplt"]) else {
        return;
    };
    let table = build(&file).unwrap();
    let plt = section(&file, ".plt").0;
    let expected = |offset| Rule {
        cfa_offset: offset,
        ..PUSHED
    };
    assert_eq!(table.rule(plt), Some(&expected(16)));
    assert_eq!(table.rule(plt + 6), Some(&expected(24)));
    let entry = Rule {
        cfa: cfa::PLT,
        cfa_offset: 11,
        ..PUSHED
    };
    assert_eq!(table.rule(plt + 16), Some(&entry));
    assert_eq!(table.rule(plt + 31), Some(&entry));
}

#[test]
fn linkage_table_that_nothing_describes() {
    let source = format!("{}\n.globl g\n", function("call g@plt\nnop"));
    let options = [
        "-Wl,-z,lazy",
        "-Wl,-z,noibtplt",
        "-Wl,--no-ld-generated-unwind-info",
    ];
    let Some(file) = assemble(&source, &options) else {
        return;
    };
    let Some(described) = assemble(&source, &options[..2]) else {
        return;
    };
    let (start, size) = section(&file, ".plt");
    let (other, _) = section(&described, ".plt");
    let (table, judge) = (build(&file).unwrap(), build(&described).unwrap());
    for into in 0..size {
        assert_eq!(
            table.rule(start + into),
            judge.rule(other + into),
            "at byte {into}"
        );
    }
}

/// File offset and bytes of a section.
fn section(file: &[u8], name: &str) -> (u64, u64) {
    use object::{Object, ObjectSection};
    let parsed = object::File::parse(file).unwrap();
    parsed.section_by_name(name).unwrap().file_range().unwrap()
}

#[test]
fn outermost_function() {
    let Some(file) = assemble(&function(".cfi_undefined %rip\nnop\nnop"), &[]) else {
        return;
    };
    assert_eq!(rules(&file, 2), [Some(Rule::END); 2]);
    let table = build(&file).unwrap();
    let number = table.rule_number(symbol(&file, "f"));
    assert_eq!(number, agent_common::row::RULE_END);
}

#[test]
fn realigned_stack() {
    // What GCC makes of a function that needs 32-byte alignment.
    let source = function(
        "nop\n.cfi_def_cfa %r10, 0
         nop\n.cfi_escape 0x10, 6, 2, 0x76, 0
         nop\n.cfi_escape 0x0f, 3, 0x76, 0x78, 0x06
         nop",
    );
    let Some(file) = assemble(&source, &[]) else {
        return;
    };
    let by_r10 = Rule {
        cfa: cfa::REGISTER,
        register: 10,
        cfa_offset: 0,
        ..PUSHED
    };
    let saved = Rule {
        fp: fp::FP,
        ..by_r10
    };
    let realigned = Rule {
        cfa: cfa::FP_DEREF,
        register: 0,
        cfa_offset: -8,
        ..saved
    };
    assert_eq!(
        rules(&file, 4),
        [PUSHED, by_r10, saved, realigned].map(Some)
    );
}

#[test]
fn registers_of_the_caller_in_odd_places() {
    let source = function(
        "nop\n.cfi_register %rip, %rdi
         nop\n.cfi_restore %rip\n.cfi_register %rbp, %rax
         nop\n.cfi_same_value %rbp
         nop\n.cfi_undefined %rbp
         nop\n.cfi_restore %rbp\n.cfi_escape 0x10, 6, 2, 0x77, 24
         nop\n.cfi_escape 0x16, 6, 2, 0x77, 24
         nop\n.cfi_restore %rbp\n.cfi_escape 0x10, 16, 2, 0x77, 16
         nop",
    );
    let Some(file) = assemble(&source, &[]) else {
        return;
    };
    let wanted = [
        PUSHED,
        // vfork keeps its return address in rdi, for the child pops it.
        Rule {
            ra: ra::REGISTER,
            register: 5,
            ra_offset: 0,
            ..PUSHED
        },
        Rule {
            fp: fp::UNDEFINED,
            ..PUSHED
        },
        PUSHED,
        Rule {
            fp: fp::UNDEFINED,
            ..PUSHED
        },
        Rule {
            fp: fp::SP,
            fp_offset: 24,
            ..PUSHED
        },
        Rule {
            fp: fp::UNDEFINED,
            ..PUSHED
        },
        // *(rsp + 16) is *(CFA + 8).
        Rule {
            ra_offset: 8,
            ..PUSHED
        },
    ];
    assert_eq!(rules(&file, 8), wanted.map(Some));
}

#[test]
fn what_no_rule_can_say() {
    let source = function(
        // CFA = rsp + rax; unspecified return address; a moved stack pointer.
        "nop\n.cfi_remember_state\n.cfi_escape 0x0f, 5, 0x77, 0, 0x70, 0, 0x22
         nop\n.cfi_restore_state\n.cfi_remember_state\n.cfi_same_value %rip
         nop\n.cfi_restore_state\n.cfi_remember_state\n.cfi_register %rsp, %rdx
         nop\n.cfi_restore_state\n.cfi_def_cfa_offset 0x80000000
         nop",
    );
    let Some(file) = assemble(&source, &[]) else {
        return;
    };
    let unsupported = Some(super::super::rule::UNSUPPORTED);
    let found = rules(&file, 5);
    assert_eq!(
        found,
        [
            Some(PUSHED),
            unsupported,
            unsupported,
            unsupported,
            unsupported
        ]
    );
}

#[test]
fn large_steps_and_offsets() {
    let source = function(
        "nop\n.cfi_def_cfa_offset 0x12345678
         .skip 300, 0x90\n.cfi_def_cfa_offset 16
         .skip 70000, 0x90\n.cfi_def_cfa_offset 24
         .cfi_offset %rbp, -4096
         nop\n.cfi_escape 0x2e, 0x80, 0x01
         nop\n.cfi_escape 0x2f, 6, 0x80, 0x01
         nop",
    );
    let Some(file) = assemble(&source, &[]) else {
        return;
    };
    let found = rules(&file, 70_304);
    assert_eq!(found[0], Some(PUSHED));
    assert_eq!(
        found[300],
        Some(Rule {
            cfa_offset: 0x1234_5678,
            ..PUSHED
        })
    );
    assert_eq!(
        found[70_300],
        Some(Rule {
            cfa_offset: 16,
            ..PUSHED
        })
    );
    let saved = Rule {
        cfa_offset: 24,
        fp: fp::CFA,
        fp_offset: -4096,
        ..PUSHED
    };
    assert_eq!(found[70_301], Some(saved));
    // GNU_args_size changes nothing.
    assert_eq!(found[70_302], Some(saved));
    // GNU_negative_offset_extended is one that gimli does not know: no rule from there on.
    assert_eq!(found[70_303], None);
}

#[test]
fn debug_frame_alone() {
    let source = format!(
        ".cfi_sections .debug_frame\n{}",
        function("nop\n.cfi_def_cfa_offset 24\nnop")
    );
    let Some(file) = assemble(&source, &[]) else {
        return;
    };
    let wanted = [
        PUSHED,
        Rule {
            cfa_offset: 24,
            ..PUSHED
        },
    ]
    .map(Some);
    assert_eq!(rules(&file, 2), wanted);
    let Some(compressed) = compressed_debug_frame() else {
        return;
    };
    let table = build(&compressed).unwrap();
    for number in 0..200 {
        let start = symbol(&compressed, &format!("f{number}"));
        assert_eq!(
            [start, start + 1].map(|at| table.rule(at).copied()),
            wanted,
            "f{number}"
        );
    }
}

#[test]
fn eh_frame_before_debug_frame() {
    let folder = Folder::new();
    let source = |name: &str, section: &str, offset: u32| {
        let body = format!("nop\n.cfi_def_cfa_offset {offset}\nnop");
        let path = folder.path(name);
        let code = function(&body)
            .replace("f:", &format!("{name}:"))
            .replace(" f", &format!(" {name}"));
        std::fs::write(&path, format!(".cfi_sections {section}\n{code}")).unwrap();
        path.with_extension("s")
    };
    let both = source("both.s", ".eh_frame, .debug_frame", 24);
    let one = source("one.s", ".debug_frame", 32);
    let output = folder.path("out.so");
    let arguments = [
        "-nostdlib",
        "-shared",
        text(&both),
        text(&one),
        "-o",
        text(&output),
    ];
    if run("gcc", &arguments).is_none() {
        return;
    }
    let file = read(&output);
    let table = build(&file).unwrap();
    let at = |name: &str| table.rule(symbol(&file, name) + 1).unwrap().cfa_offset;
    assert_eq!((at("both.s"), at("one.s")), (24, 32));
}

#[test]
fn without_section_headers() {
    let source = function("nop\n.cfi_def_cfa_offset 24\nnop");
    let Some(mut file) = assemble(&source, &[]) else {
        return;
    };
    let whole = build(&file).unwrap();
    let start = symbol(&file, "f");
    // e_shoff, e_shnum, e_shstrndx.
    file[40..48].fill(0);
    file[60..64].fill(0);
    let stripped = build(&file).unwrap();
    for offset in start..start + 4 {
        assert_eq!(stripped.rule(offset), whole.rule(offset));
    }
}

#[test]
fn neither_section_nor_program() {
    let Some(file) = assemble(".globl f\nf: nop\n", &[]) else {
        return;
    };
    assert_eq!(build(&file).unwrap_err(), UnwindError::NoFrames);
    let Some(object) = compile("gcc", "int f(void) { return 1; }", &["-c"]) else {
        return;
    };
    assert_eq!(build(&object).unwrap_err(), UnwindError::NotLoadable(1));
}
