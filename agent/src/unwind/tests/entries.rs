//! Where stacks end: the entry points of programs, by several C libraries and ways of linking.

use agent_common::step::Rule;

use super::super::{Segments, build};
use super::fixture::{assemble, compile, symbol};

/// The rule at the entry point of a file.
fn rule_at_entry(file: &[u8]) -> Option<Rule> {
    let entry = object::Object::entry(&object::File::parse(file).unwrap());
    let offset = Segments::of(file).unwrap().offset_of(entry).unwrap();
    build(file).unwrap().rule(offset).copied()
}

#[test]
fn entry_points_of_programs_are_outermost() {
    let source = "int main(void) { return 0; }";
    let kinds: [(&str, &[&str]); 6] = [
        ("gcc", &[]),
        ("gcc", &["-no-pie"]),
        ("gcc", &["-static"]),
        ("gcc", &["-static-pie"]),
        ("musl-gcc", &[]),
        ("musl-gcc", &["-static"]),
    ];
    for (compiler, options) in kinds {
        let Some(file) = compile(compiler, source, options) else {
            continue;
        };
        assert_eq!(
            rule_at_entry(&file),
            Some(Rule::END),
            "{compiler} {options:?}"
        );
    }
    let loaders = [
        "/lib64/ld-linux-x86-64.so.2",
        "/lib/ld-musl-x86_64.so.1",
        "/usr/aarch64-linux-gnu/lib/ld-linux-aarch64.so.1",
    ];
    for loader in loaders {
        if let Ok(file) = std::fs::read(loader) {
            assert_eq!(rule_at_entry(&file), Some(Rule::END), "{loader}");
        }
    }
}

/// Older GNU linkers made the first byte of .text a library's entry point, where just any
/// function may be.
#[test]
fn the_entry_point_of_a_library_means_nothing() {
    let source = ".globl f\nf:\n.cfi_startproc\nnop\n.cfi_endproc\n";
    let Some(mut file) = assemble(source, &[]) else {
        return;
    };
    let start = symbol(&file, "f");
    let entry = Segments::of(&file).unwrap().svma_of(start).unwrap();
    file[24..32].copy_from_slice(&entry.to_le_bytes());
    let rule = rule_at_entry(&file).unwrap();
    assert_eq!((rule.cfa_offset, rule.ra_offset), (8, -8));
}
