//! A small ELF file around given sections: a fuzzer that has to find out how sections are listed
//! does not get to what is in them.

/// Where the code of such a file begins, and how much there is.
pub const TEXT: u64 = 0x1000;
pub const TEXT_BYTES: u64 = 0x100;

pub struct Section<'a> {
    pub name: &'a str,
    pub kind: u32,
    pub address: u64,
    pub content: &'a [u8],
}

const HEADER_BYTES: usize = 64;
const SEGMENT_BYTES: usize = 56;
const SECTION_BYTES: usize = 64;
const STRINGS: u32 = 3;

/// x86_64, one executable segment, the sections in their order.
pub fn file(sections: &[Section<'_>]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES + SEGMENT_BYTES];
    let mut names = vec![0];
    let mut headers = vec![0; SECTION_BYTES];
    for section in sections {
        let header = header(names.len(), section, bytes.len());
        headers.extend(header);
        names.extend(section.name.as_bytes());
        names.push(0);
        bytes.extend(section.content);
    }
    let strings = Section {
        name: "",
        kind: STRINGS,
        address: 0,
        content: &names,
    };
    headers.extend(header(0, &strings, bytes.len()));
    bytes.extend(&names);
    let table = bytes.len() as u64;
    bytes.extend(headers);

    let mut set = |offset: usize, value: &[u8]| {
        bytes[offset..offset + value.len()].copy_from_slice(value);
    };
    set(0, b"\x7fELF\x02\x01\x01");
    set(16, &[3, 0, 62, 0]);
    set(32, &(HEADER_BYTES as u64).to_le_bytes());
    set(40, &table.to_le_bytes());
    set(54, &[SEGMENT_BYTES as u8, 0, 1, 0, SECTION_BYTES as u8, 0]);
    set(60, &(sections.len() as u16 + 2).to_le_bytes());
    set(62, &(sections.len() as u16 + 1).to_le_bytes());
    // PT_LOAD, readable and executable.
    set(64, &[1, 0, 0, 0, 5, 0, 0, 0]);
    set(64 + 16, &TEXT.to_le_bytes());
    set(64 + 40, &TEXT_BYTES.to_le_bytes());
    bytes
}

fn header(name: usize, section: &Section<'_>, offset: usize) -> [u8; SECTION_BYTES] {
    let mut raw = [0; SECTION_BYTES];
    raw[..4].copy_from_slice(&(name as u32).to_le_bytes());
    raw[4..8].copy_from_slice(&section.kind.to_le_bytes());
    // In memory.
    raw[8] = 2;
    raw[16..24].copy_from_slice(&section.address.to_le_bytes());
    raw[24..32].copy_from_slice(&(offset as u64).to_le_bytes());
    raw[32..40].copy_from_slice(&(section.content.len() as u64).to_le_bytes());
    raw
}
