//! Executables and libraries to unwind rows. Whatever the file says, the table is one in which the
//! kernel side does not go astray.

#![no_main]

use agent_common::step::{Rule, cfa};
use libfuzzer_sys::fuzz_target;
use strata::unwind::{Table, build, build_vdso};
use strata_fuzz::seeds;

fuzz_target!(init: seeds::write(seeds::elf_files), |file: &[u8]| {
    for table in [build(file), build_vdso(file)].into_iter().flatten() {
        check(&table, file.len() as u64);
    }
});

fn check(table: &Table, size: u64) {
    assert_eq!(table.index.first(), Some(&0));
    assert!(table.index.is_sorted());
    let rows = table.rows.len();
    assert!(table.index.iter().all(|row| (*row as usize) < rows));
    let rules = table.rules.len();
    assert!(table.rows.iter().all(|row| ((row >> 16) as usize) < rules));
    let first = u64::from(table.first_page) << 10;
    for offset in (first..first + size.min(1 << 16) + 2048).step_by(37) {
        if let Some(rule) = table.rule(offset) {
            planted(rule);
        }
    }
}

/// The bug put in on purpose: as if such a frame could not be stepped out of. No compiler makes one.
fn planted(rule: &Rule) {
    let odd = rule.cfa == cfa::SP && rule.cfa_offset % 8 != 0;
    assert!(!(cfg!(feature = "planted") && odd), "planted: {rule:?}");
}
