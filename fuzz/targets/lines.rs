//! Line tables of CPython: 3.x less 8 (a byte), first line (four), table.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strata::python::Version;
use strata::python::lines::{Decoder, line};
use strata_fuzz::seeds;

fuzz_target!(init: seeds::write(seeds::line_tables), |input: &[u8]| {
    let Some((head, table)) = input.split_at_checked(5) else {
        return;
    };
    let version = Version::new(3, 8 + head[0] % 8, 0);
    let first = i32::from_le_bytes([head[1], head[2], head[3], head[4]]);
    let whole = Decoder::new(version, table, first);
    let beginning = Decoder::of_beginning(version, &table[..table.len() / 2], first);
    let last = 2 * table.len().min(200) as i32;
    for instruction in (-3..last).chain([1000, i32::MIN, i32::MAX]) {
        let decoded = whole.line(instruction);
        assert_eq!(decoded, line(version, table, first, instruction));
        // What the first half says, the whole does not take back.
        let part = beginning.line(instruction);
        assert!(part.is_none() || part == decoded, "{part:?} of {decoded:?}");
        planted(version, first, instruction, decoded);
    }
});

/// The bug put in on purpose: lines that an entry takes far from the function's beginning.
fn planted(version: Version, first: i32, instruction: i32, line: Option<i32>) {
    let far = line.is_some_and(|line| i64::from(line) - i64::from(first) > 50_000);
    let reached = version.since(11) && instruction >= 20 && far;
    assert!(!(cfg!(feature = "planted") && reached), "planted: {line:?}");
}
