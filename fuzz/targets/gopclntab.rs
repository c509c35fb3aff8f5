//! Tables of Go functions, in an ELF file with and without the module's record (the first 16 bytes
//! of the input change its members).

#![no_main]

use libfuzzer_sys::fuzz_target;
use strata::symbols::{ExecutableFile, Options, Source, Symbol, Symbolizer};
use strata_fuzz::elf::{self, Section, TEXT, TEXT_BYTES};
use strata_fuzz::{go, seeds};

const TABLE: u64 = 0x20000;
const DATA: u32 = 1;

fuzz_target!(init: seeds::write(tables), |input: &[u8]| {
    let Some((head, table)) = input.split_at_checked(16) else {
        return;
    };
    let module = module(head, table);
    let mut sections = vec![Section {
        name: ".gopclntab",
        kind: DATA,
        address: TABLE,
        content: table,
    }];
    if head[15] & 1 == 0 {
        sections.push(Section {
            name: ".go.module",
            kind: DATA,
            address: 0x10000,
            content: &module,
        });
    }
    let file = ExecutableFile {
        id: 1,
        path: String::new(),
        source: Source::Bytes(elf::file(&sections).into()),
    };
    let svmas: Vec<u64> = (TEXT..=TEXT + TEXT_BYTES).step_by(8).collect();
    let mut symbolizer = Symbolizer::new(Options {
        debug_directories: Vec::new(),
        ..Options::default()
    });
    for symbols in symbolizer.native_batch(&file, &svmas) {
        check(&symbols);
    }
});

/// A chain ends with the function itself, and with no other.
fn check(symbols: &[Symbol]) {
    let inlined = symbols.iter().filter(|symbol| symbol.inlined).count();
    assert!(inlined + 1 == symbols.len() || symbols.is_empty());
    assert!(symbols.last().is_none_or(|outer| !outer.inlined));
    // The bug put in on purpose: lines that no seed has, of something inlined.
    let far = symbols
        .iter()
        .any(|symbol| symbol.inlined && symbol.line > Some(30));
    assert!(!(cfg!(feature = "planted") && far), "planted: {symbols:?}");
}

/// A record that agrees with the table but for what the input changes of it.
fn module(head: &[u8], table: &[u8]) -> Vec<u8> {
    let mut module = vec![0; 592];
    let change = |at: usize| u64::from(u16::from_le_bytes([head[at], head[at + 1]]));
    let end = TABLE + table.len() as u64;
    let members = [
        (0, TABLE + change(0)),
        (160, TEXT + change(2)),
        (168, TEXT + 0x50 + change(4)),
        (176, TEXT + change(6)),
        (320, end.saturating_sub(16 + change(8))),
        (328, end + change(10)),
    ];
    for (offset, value) in members {
        module[offset..offset + 8].copy_from_slice(&u64::to_le_bytes(value));
    }
    module
}

fn tables() -> Vec<Vec<u8>> {
    let tables = go::tables().into_iter();
    tables.map(|table| [vec![0; 16], table].concat()).collect()
}
