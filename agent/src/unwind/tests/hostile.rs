//! Files that are broken, or made to cost: no panic, no endless work, no endless memory.

use super::super::frames::Frames;
use super::super::{Machine, Table, UnwindError, build, build_vdso};
use super::files::{Random, real_files};
use super::fixture::{Image, compile, compressed_debug_frame, read};

/// What every table must be whatever it was made from, so that nothing that reads it goes astray.
fn check(table: &Table, file: &[u8]) {
    assert!(!table.index.is_empty() && table.index[0] == 0);
    assert!(table.index.is_sorted());
    assert!(
        table
            .index
            .iter()
            .all(|row| (*row as usize) < table.rows.len())
    );
    assert!(
        table
            .rows
            .iter()
            .all(|row| ((row >> 16) as usize) < table.rules.len())
    );
    assert!(table.index.len() <= file.len() / 1024 + 2);
    for offset in (0..file.len() as u64 + 2048).step_by(1021) {
        table.rule(offset);
    }
}

fn try_both(file: &[u8]) {
    for table in [build(file), build_vdso(file)].into_iter().flatten() {
        check(&table, file);
    }
}

/// A small real file: the loader.
fn victim() -> Vec<u8> {
    let wanted = ["ld-linux-x86-64.so.2", "libc.so.6"];
    let files = real_files();
    let path = wanted
        .iter()
        .find_map(|name| files.iter().find(|path| path.ends_with(name)));
    read(path.unwrap_or(files.last().unwrap()))
}

#[test]
fn cut_short() {
    let file = victim();
    for length in (0..file.len())
        .step_by(997)
        .chain([63, 64, 65, 120, file.len() - 1])
    {
        try_both(&file[..length]);
    }
}

#[test]
fn flipped_bits_in_headers() {
    let source = "int puts(const char *); int main(void) { return puts(\"\"); }";
    let Some(file) = compile("gcc", source, &[]) else {
        return;
    };
    let headers = [0..1024, file.len() - 64 * 30..file.len()];
    for range in headers {
        let mut random = Random(range.start as u64);
        for _ in 0..600 {
            let mut broken = file.clone();
            for _ in 0..1 + random.below(3) {
                let at = range.start + random.below(range.len() as u64) as usize;
                broken[at] ^= 1 << random.below(8);
            }
            try_both(&broken);
        }
    }
}

#[test]
fn flipped_bits_in_frames() {
    use object::{Object, ObjectSection};
    let file = victim();
    let parsed = object::File::parse(&*file).unwrap();
    for name in [".eh_frame", ".eh_frame_hdr"] {
        let (start, size) = parsed.section_by_name(name).unwrap().file_range().unwrap();
        let mut random = Random(start);
        for round in 0..40 {
            let mut broken = file.clone();
            if round % 2 == 0 {
                // Found by .eh_frame_hdr.
                broken[40..48].fill(0);
            }
            for _ in 0..1 + random.below(200) {
                let at = (start + random.below(size)) as usize;
                broken[at] = random.below(256) as u8;
            }
            try_both(&broken);
        }
    }
}

const X86_64: u16 = 62;
const ENTERED: [u8; 5] = [0x0c, 7, 8, 0x90, 1];

/// A long common entry that every one of many short functions refers to: executed once.
#[test]
fn many_functions_with_a_huge_common_entry() {
    let mut image = Image::new(X86_64);
    image.size = 8 << 20;
    let common = image.common("zR", 16, &[&ENTERED[..], &vec![0x0e; 1 << 20]].concat());
    for number in 0..40_000 {
        image.function(common, (4 << 20) + 16 * number, 16, &[]);
    }
    check(&build(&image.bytes()).unwrap(), &image.bytes());
}

/// Each function lies in the one before, so that each is entered again behind the next.
#[test]
fn nested_functions_that_are_all_long() {
    let mut image = Image::new(X86_64);
    image.size = 16 << 20;
    let common = image.common("zR", 16, &ENTERED);
    let long = [0x41, 0x0e, 16].repeat(500);
    for number in 0..4_000 {
        image.function(common, (8 << 20) + number, (4 << 20) - 2 * number, &long);
    }
    check(&build(&image.bytes()).unwrap(), &image.bytes());
}

/// One function with many short ones inside of it: it is read once.
#[test]
fn one_function_cut_to_pieces() {
    let mut image = Image::new(X86_64);
    image.size = 16 << 20;
    let common = image.common("zR", 16, &ENTERED);
    let long = [0x41, 0x0e, 16, 0x41, 0x0e, 24].repeat(100_000);
    image.function(common, 8 << 20, 4 << 20, &long);
    for number in 1..50_000 {
        image.function(common, (8 << 20) + 64 * number, 16, &[]);
    }
    let table = build(&image.bytes()).unwrap();
    let at = |into: u64| table.rule((8 << 20) + into).unwrap().cfa_offset;
    assert_eq!(
        [at(0), at(15), at(16), at(17), at(63), at(64)],
        [8, 16, 24, 16, 16, 8]
    );
}

/// One long function that `.eh_frame_hdr` names again and again: it is read once.
#[test]
fn one_function_listed_many_times() {
    let mut image = Image::new(X86_64);
    image.size = 16 << 20;
    let common = image.common("zR", 16, &ENTERED);
    image.listed = vec![image.entries.len() as u32; 50_000];
    image.function(common, 8 << 20, 4 << 20, &[0x41, 0x0e, 16].repeat(300_000));
    let table = build(&image.bytes()).unwrap();
    assert_eq!(table.rows.len(), 2);
}

/// Entries that overlap are read up to a multiple of the section's size.
#[test]
fn work_is_limited() {
    let data = [0; 1000];
    let bases = gimli::BaseAddresses::default();
    let section = gimli::EhFrame::new(&data, gimli::LittleEndian);
    let mut frames = Frames::new(Machine::X86_64, section, &data, &bases);
    assert_eq!(frames.spend(3_000), Ok(()));
    assert_eq!(frames.spend(3_000), Err(UnwindError::TooComplex));
}

/// More different rules than there are numbers: the rest has none.
#[test]
fn too_many_rules() {
    let mut image = Image::new(X86_64);
    image.size = 4 << 20;
    let common = image.common("zR", 16, &ENTERED);
    let mut code = Vec::new();
    for offset in 0..70_000u32 {
        let bytes = [
            offset & 0x7f | 0x80,
            offset >> 7 & 0x7f | 0x80,
            offset >> 14,
        ];
        code.push(0x0e);
        code.extend(bytes.map(|byte| byte as u8));
        code.push(0x41);
    }
    image.function(common, 3 << 20, 70_000, &code);
    let table = build(&image.bytes()).unwrap();
    assert_eq!(table.rules.len(), 60_000);
    assert!(table.rule((3 << 20) + 59_000).is_some());
    assert_eq!(table.rule((3 << 20) + 69_000), None);
    check(&table, &image.bytes());
}

/// A section that claims to unpack to more than any memory has.
#[test]
fn a_compressed_section_that_lies() {
    use object::{Object, ObjectSection};
    let Some(mut file) = compressed_debug_frame() else {
        return;
    };
    let parsed = object::File::parse(&*file).unwrap();
    let section = parsed.section_by_name(".debug_frame").unwrap();
    assert_ne!(
        section.compressed_data().unwrap().format,
        object::CompressionFormat::None
    );
    let at = section.file_range().unwrap().0 as usize;
    for size in [1 << 62, 1 << 28, 1 << 20, 0] {
        file[at + 8..at + 16].copy_from_slice(&u64::to_le_bytes(size));
        assert_eq!(build(&file).unwrap_err(), UnwindError::NoFrames);
    }
}
