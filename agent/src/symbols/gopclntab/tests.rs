//! A table made by hand, as a whole and broken.

use super::*;
use crate::symbols::Source;

const TEXT: u64 = 0x1000;
/// Bytes of the header of 1.20.
const HEADER: usize = 72;
const NAMES: &[u8] = b"main.outer\0main.inner\0main.last\0";

/// Two functions as Go 1.20 lays them out, of 64 and 16 bytes. In the first, 16 bytes come from
/// another one.
fn table(text: u64) -> Vec<u8> {
    // Files, lines and inlined calls of the first function. Offset 0 stands for nothing.
    let values: [&[u8]; 4] = [
        &[0],
        &[2, 0x40, 0],
        &[8, 0x10, 8, 0x10, 5, 0x20, 0],
        &[0, 0x10, 2, 0x10, 1, 0x20, 0],
    ];
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let functions: [Vec<u8>; 4] = [
        // Beginnings and records, and the end of the last.
        words(&[0, 20, 0x40, 92, 0x50]),
        // Beginning, name, …, files, lines, number of tables, unit, first line, number of lists;
        // the tables; the lists.
        words(&[
            0,
            0,
            0,
            0,
            0,
            1,
            4,
            3,
            0,
            3,
            4 << 24,
            0,
            0,
            11,
            !0,
            !0,
            !0,
            0,
        ]),
        words(&[0x40, 22, 0, 0, 0, 0, 0, 0, 0, 9, 0]),
        // The inlined call: kind, name, place of the call, first line.
        words(&[0, 11, 8, 6]),
    ];
    let parts = [
        NAMES.to_vec(),
        words(&[0]),
        b"/src/main.go\0".to_vec(),
        values.concat(),
        functions.concat(),
    ];
    let mut data = vec![0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8];
    for number in [2, 1, text] {
        data.extend(number.to_le_bytes());
    }
    let mut offset = HEADER;
    for part in &parts {
        data.extend((offset as u64).to_le_bytes());
        offset += part.len();
    }
    data.extend(parts.concat());
    data
}

fn go_table(data: Vec<u8>) -> Option<GoTable> {
    let mut header = Header::parse(&data)?;
    header.text = Some(TEXT);
    header.inlined = data.len().checked_sub(16);
    Some(GoTable { data, header })
}

fn shown(table: &GoTable, svma: u64) -> Vec<String> {
    let scopes = table.scopes(svma, &mut 1000);
    let of = |scope: &Scope| {
        let name = scope.name.as_deref().unwrap_or("?");
        format!(
            "{name} {:?} {:?} {}",
            scope.first_line, scope.line, scope.inlined
        )
    };
    scopes.iter().map(of).collect()
}

#[test]
fn functions_lines_and_inlined_calls() {
    let table = go_table(table(TEXT)).unwrap();
    let outer = ["main.outer Some(3) Some(3) false"];
    assert_eq!(shown(&table, TEXT), outer);
    assert_eq!(shown(&table, TEXT + 0xf), outer);
    let inner = "main.inner Some(6) Some(7) true";
    assert_eq!(shown(&table, TEXT + 0x10), [inner, outer[0]]);
    assert_eq!(
        shown(&table, TEXT + 0x20),
        ["main.outer Some(3) Some(4) false"]
    );
    // Without tables there is no line.
    assert_eq!(shown(&table, TEXT + 0x40), ["main.last Some(9) None false"]);
    for outside in [TEXT - 1, TEXT + 0x50] {
        assert!(table.get(outside).is_none() && shown(&table, outside).is_empty());
    }
    let place = table.scopes(TEXT, &mut 1000)[0].file.clone();
    assert_eq!(place.as_deref(), Some("/src/main.go"));
}

#[test]
fn what_is_inlined_must_be_known() {
    let mut table = go_table(table(TEXT)).unwrap();
    table.header.inlined = None;
    assert_eq!(
        shown(&table, TEXT + 0x10),
        ["main.outer Some(3) None false"]
    );
    assert_eq!(shown(&table, TEXT), ["main.outer Some(3) Some(3) false"]);
    // The work on a batch is bounded.
    // Steps alone, and with the texts.
    for mut work in [2, 20] {
        assert_eq!(table.scopes(TEXT, &mut work)[0].line, None);
        assert_eq!(work, 0);
    }
}

#[test]
fn a_chain_that_leads_back_to_itself_ends() {
    let mut data = table(TEXT);
    let call = data.len() - 16;
    data[call + 8] = 0x10;
    let table = go_table(data).unwrap();
    assert_eq!(
        shown(&table, TEXT + 0x10),
        ["main.outer Some(3) None false"]
    );
}

/// Each byte of the table replaced, and the table cut at each.
#[test]
fn broken_tables_name_nothing_or_something_of_theirs() {
    let whole = table(TEXT);
    for position in 0..whole.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut data = whole.clone();
            data[position] = value;
            ask(data);
        }
        ask(whole[..position].to_vec());
    }
}

fn ask(data: Vec<u8>) {
    let Some(table) = go_table(data) else { return };
    for svma in TEXT - 1..TEXT + 0x60 {
        assert_eq!(table.get(svma).is_some(), !shown(&table, svma).is_empty());
    }
}

/// An ELF file with one executable segment at [`TEXT`] and the sections given, by their addresses.
fn elf(sections: &[(&str, u32, u64, &[u8])]) -> Source {
    let mut names = vec![0];
    let mut bytes = vec![0; 64 + 56];
    let mut headers = vec![0; 64];
    let mut header = |name: u32, kind: u32, address: u64, offset: usize, size: usize| {
        let mut raw = [0; 64];
        raw[..4].copy_from_slice(&name.to_le_bytes());
        raw[4..8].copy_from_slice(&kind.to_le_bytes());
        raw[8] = 2;
        raw[16..24].copy_from_slice(&address.to_le_bytes());
        raw[24..32].copy_from_slice(&(offset as u64).to_le_bytes());
        raw[32..40].copy_from_slice(&(size as u64).to_le_bytes());
        headers.extend(raw);
    };
    for (name, kind, address, content) in sections {
        header(
            names.len() as u32,
            *kind,
            *address,
            bytes.len(),
            content.len(),
        );
        names.extend(name.as_bytes());
        names.push(0);
        bytes.extend(*content);
    }
    header(0, 3, 0, bytes.len(), names.len());
    bytes.extend(&names);
    let mut set = |offset: usize, value: &[u8]| {
        bytes[offset..offset + value.len()].copy_from_slice(value);
    };
    set(0, b"\x7fELF\x02\x01\x01");
    set(18, &[62, 0]);
    set(32, &64_u64.to_le_bytes());
    set(54, &[56, 0, 1, 0, 64, 0]);
    set(60, &(sections.len() as u16 + 2).to_le_bytes());
    set(62, &(sections.len() as u16 + 1).to_le_bytes());
    set(64, &[1, 0, 0, 0, 5, 0, 0, 0]);
    set(64 + 16, &TEXT.to_le_bytes());
    set(64 + 40, &0x100_u64.to_le_bytes());
    let offset = bytes.len() as u64;
    bytes[40..48].copy_from_slice(&offset.to_le_bytes());
    bytes.extend(headers);
    Source::Bytes(bytes.into())
}

fn load(sections: &[(&str, u32, u64, &[u8])]) -> Result<Option<GoTable>, SymbolError> {
    let source = elf(sections);
    GoTable::load(&Elf::parse(&source).unwrap())
}

fn named(loaded: Result<Option<GoTable>, SymbolError>) -> bool {
    let Ok(Some(table)) = loaded else {
        return false;
    };
    table
        .get(TEXT + 0x40)
        .is_some_and(|found| found.name == "main.last")
}

const AT: u64 = 0x8000;
const DATA: u32 = 1;
const RELA: u32 = 4;

#[test]
fn the_code_begins_where_the_header_says() {
    let data = table(TEXT);
    assert!(named(load(&[(".gopclntab", DATA, AT, &data)])));
    // Not where this file has code.
    let wrong = table(TEXT + 0xc0);
    assert!(load(&[(".gopclntab", DATA, AT, &wrong)]).is_err());
    assert!(load(&[(".gopclntab", DATA, AT, &data[..80])]).is_err());
    assert!(load(&[(".text", DATA, AT, &data)]).unwrap().is_none());
}

#[test]
fn or_where_a_relocation_says() {
    let data = table(0);
    let number = |value: u64| value.to_le_bytes();
    let relocation = [number(AT + 24), number(8), number(TEXT)].concat();
    let list = (".rela.dyn", RELA, 0, &relocation[..]);
    assert!(named(load(&[
        (".data.rel.ro.gopclntab", DATA, AT, &data),
        list
    ])));
    // Among other data, if it is a Go program.
    let merged = [&[0xf1; 64][..], &data].concat();
    let relocation = [number(AT + 64 + 24), number(8), number(TEXT)].concat();
    let list = (".rela.dyn", RELA, 0, &relocation[..]);
    let merged = (".data.rel.ro", DATA, AT, &merged[..]);
    let mark = (".go.buildinfo", DATA, 0x100, &[0_u8; 16][..]);
    assert!(named(load(&[merged, list, mark])));
    assert!(load(&[merged, list]).unwrap().is_none());
}

#[test]
fn or_the_module_if_it_agrees() {
    let data = table(0);
    let mut module = vec![0; 592];
    let mut set = |offset: usize, value: u64| {
        module[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
    };
    set(0, AT);
    set(160, TEXT);
    set(168, TEXT + 0x50);
    set(176, TEXT);
    set(320, AT + data.len() as u64 - 16);
    set(328, AT + data.len() as u64);
    let table = (".gopclntab", DATA, AT, &data[..]);
    let found = load(&[table, (".go.module", DATA, 0x20000, &module)]);
    assert_eq!(
        shown(found.unwrap().as_ref().unwrap(), TEXT + 0x10).len(),
        2
    );
    // Where the record's end is another one, its beginning may still be right.
    let mut other = module.clone();
    other[328] ^= 8;
    let found = load(&[table, (".go.module", DATA, 0x20000, &other)]);
    assert_eq!(
        shown(found.unwrap().as_ref().unwrap(), TEXT + 0x10),
        ["main.outer Some(3) None false"]
    );
    assert!(matches!(load(&[table]), Err(SymbolError::GoText)));
    for offset in [0, 160, 168, 176] {
        let mut other = module.clone();
        other[offset] ^= 8;
        assert!(load(&[table, (".go.module", DATA, 0x20000, &other)]).is_err());
    }
}
