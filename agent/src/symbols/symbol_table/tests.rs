use super::*;
use crate::symbols::range_map::Entry;

/// A symbol to build a table from: name, start, size, `st_info`.
type Raw<'a> = (&'a str, u64, u64, u8);

const GLOBAL_FUNCTION: u8 = 0x12;
const WEAK_FUNCTION: u8 = 0x22;
const LOCAL_FUNCTION: u8 = 0x02;
const LOCAL_LABEL: u8 = 0x00;

fn table(symbols: &[Raw]) -> SymbolTable {
    let mut builder = Builder::default();
    for (name, start, size, info) in symbols {
        builder.add_symbol(name, *start, *size, *info);
    }
    builder.build(&code())
}

/// Executable from 0x100 to 0x1000.
fn code() -> RangeMap {
    RangeMap::new(vec![Entry {
        key: 0,
        start: 0x100,
        end: 0x1000,
        value: 0,
    }])
}

fn name(table: &SymbolTable, svma: u64) -> Option<&str> {
    table.get(svma).map(|found| found.name)
}

#[test]
fn a_gap_has_no_name() {
    let table = table(&[
        ("first", 0x100, 0x10, GLOBAL_FUNCTION),
        ("second", 0x120, 0x10, GLOBAL_FUNCTION),
    ]);
    assert_eq!(name(&table, 0xff), None);
    assert_eq!(name(&table, 0x10f), Some("first"));
    assert_eq!(name(&table, 0x110), None);
    assert_eq!(name(&table, 0x11f), None);
    assert_eq!(table.get(0x12f).unwrap().start, 0x120);
    assert_eq!(name(&table, 0x130), None);
}

#[test]
fn a_symbol_without_size_names_its_first_byte() {
    let table = table(&[("_start", 0x200, 0, GLOBAL_FUNCTION)]);
    assert_eq!(name(&table, 0x200), Some("_start"));
    assert_eq!(name(&table, 0x201), None);
}

#[test]
fn a_label_does_not_hide_the_function_around_it() {
    let table = table(&[
        ("function", 0x200, 0x40, LOCAL_FUNCTION),
        ("label", 0x210, 0, LOCAL_LABEL),
    ]);
    assert_eq!(name(&table, 0x210), Some("function"));
}

#[test]
fn the_inner_of_two_functions_holds() {
    let table = table(&[
        ("outer", 0x200, 0x40, GLOBAL_FUNCTION),
        ("inner", 0x210, 0x10, LOCAL_FUNCTION),
    ]);
    assert_eq!(name(&table, 0x20f), Some("outer"));
    assert_eq!(name(&table, 0x21f), Some("inner"));
    assert_eq!(name(&table, 0x220), Some("outer"));
}

#[test]
fn of_aliases_the_plainest_public_one_holds() {
    let mut symbols = vec![
        ("__GI___libc_malloc", 0x200, 0x10, LOCAL_FUNCTION),
        ("m", 0x200, 0x10, LOCAL_FUNCTION),
        ("__libc_malloc", 0x200, 0x10, GLOBAL_FUNCTION),
        ("malloc", 0x200, 0x10, WEAK_FUNCTION),
        ("nalloc", 0x200, 0x10, GLOBAL_FUNCTION),
    ];
    assert_eq!(name(&table(&symbols), 0x208), Some("malloc"));
    symbols.reverse();
    assert_eq!(name(&table(&symbols), 0x208), Some("malloc"));
}

#[test]
fn what_is_no_code_has_no_name() {
    let table = table(&[
        ("data", 0x2000, 0x10, GLOBAL_FUNCTION),
        ("", 0x300, 0x10, GLOBAL_FUNCTION),
        ("$x", 0x310, 0x10, LOCAL_LABEL),
        ("wraps", 0x320, u64::MAX, GLOBAL_FUNCTION),
    ]);
    for svma in [0x2000, 0x300, 0x310, 0x320] {
        assert_eq!(name(&table, svma), None);
    }
}

#[test]
fn versions_are_cut_off() {
    assert_eq!(without_version("memcpy@@GLIBC_2.14"), "memcpy");
    assert_eq!(without_version("memcpy@GLIBC_2.2.5"), "memcpy");
    assert_eq!(without_version("f@@v1.0"), "f");
    assert_eq!(without_version("@"), "@");
    assert_eq!(without_version("puts@plt"), "puts@plt");
}

#[test]
fn names_without_end_or_outside_are_none() {
    assert_eq!(name_at(b"abc", 0), b"");
    assert_eq!(name_at(b"abc\0", 1), b"bc");
    assert_eq!(name_at(b"abc\0", 9), b"");
    let long = [vec![b'a'; NAME_LIMIT], vec![0]].concat();
    assert_eq!(name_at(&long, 0), b"");
    let mut builder = Builder::default();
    builder.add_symbol("plain", 0x200, 1, GLOBAL_FUNCTION);
    let mut table = builder.build(&code());
    table.names[0] = 0xff;
    assert_eq!(table.get(0x200), None);
}
