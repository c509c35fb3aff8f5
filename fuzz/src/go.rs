//! A table of Go functions made by hand, in each of its formats: what a compiler makes is too
//! large for a fuzzer.

use crate::elf::TEXT;

const NAMES: &[u8] = b"main.outer\0main.inner\0main.last\0";
const FILES: &[u8] = b"/src/main.go\0";
/// Files, lines and inlined calls of the first function; offset 0 stands for nothing.
const VALUES: &[u8] = &[
    0, 2, 0x40, 0, 8, 0x10, 8, 0x10, 5, 0x20, 0, 0, 0x10, 2, 0x10, 1, 0x20, 0,
];

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Tables of 1.16, 1.18 and 1.20 on, with two functions at [`TEXT`]. The last 16 bytes are the
/// record of an inlined call.
pub fn tables() -> Vec<Vec<u8>> {
    vec![table(0xfffffffa), table(0xfffffff0), table(0xfffffff1)]
}

fn table(magic: u32) -> Vec<u8> {
    let relative = magic != 0xfffffffa;
    let text = TEXT as u32;
    let address = |distance: u32| match relative {
        true => words(&[distance]),
        false => words(&[text + distance, 0]),
    };
    let field = |value: u32| match relative {
        true => words(&[value]),
        false => words(&[value, 0]),
    };
    let size = if relative { 4 } else { 8 };
    // 1.20 has a first line more.
    let line = |line: u32| {
        if magic == 0xfffffff1 {
            words(&[line])
        } else {
            Vec::new()
        }
    };
    let tables = words(&[0, 0, 11, !0, !0, !0, 0]);
    let first = [
        address(0),
        words(&[0, 0, 0, 0, 1, 4, 3, 0]),
        line(3),
        words(&[4 << 24]),
        tables,
    ]
    .concat();
    let last = [
        address(0x40),
        words(&[22, 0, 0, 0, 0, 0, 0, 0]),
        line(9),
        words(&[0]),
    ]
    .concat();
    let records = 5 * size;
    let functions = [
        address(0),
        field(records),
        address(0x40),
        field(records + first.len() as u32),
        address(0x50),
        first,
        last,
        words(&[0, 11, 8, 6]),
    ]
    .concat();
    let parts = [NAMES, &words(&[0]), FILES, VALUES, &functions];

    let mut data = words(&[magic, 0x0801_0000]);
    let mut numbers = vec![2, 1];
    if relative {
        numbers.push(TEXT);
    }
    let mut offset = 8 + 8 * (numbers.len() + parts.len());
    for part in parts {
        numbers.push(offset as u64);
        offset += part.len();
    }
    data.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    data.extend(parts.concat());
    data
}
