//! The module's record (`runtime.moduledata`), which says where the code begins. From Go 1.26 on
//! nothing else does in a stripped file, and it stands in a section of its own.

use super::header::{Format, Header};
use super::values::long;
use crate::symbols::elf::Elf;
use crate::symbols::error::SymbolError;

const RECORD_LIMIT: u64 = 1 << 16;
/// Members of the record as Go 1.26 has it.
const TABLE: usize = 0;
const FIRST: usize = 160;
const LAST: usize = 168;
const TEXT: usize = 176;
const INLINED: usize = 320;
const END: usize = 328;

pub struct Module {
    /// svma at which the code begins.
    pub text: u64,
    /// Offset in the table that the records of inlined calls count from.
    pub inlined: Option<usize>,
}

/// The record, if there is one and it agrees with the table: it points to it, and begins and ends
/// with the same functions. `table` is the table's address. So a record of another layout is not taken.
pub fn find(
    elf: &Elf<'_>,
    table: u64,
    header: &Header,
    data: &[u8],
) -> Result<Option<Module>, SymbolError> {
    let Some(section) = elf.section(".go.module") else {
        return Ok(None);
    };
    if header.format < Format::Go120 {
        return Ok(None);
    }
    let record = elf.relocated(section, RECORD_LIMIT)?;
    Ok(agreeing(&record, table, header, data))
}

fn agreeing(record: &[u8], table: u64, header: &Header, data: &[u8]) -> Option<Module> {
    let text = long(record, TEXT)?;
    let header = Header {
        text: Some(text),
        ..*header
    };
    let agrees = long(record, TABLE)? == table
        && long(record, FIRST) == header.start(data, 0)
        && long(record, LAST) == header.start(data, header.count);
    // The table's end is behind that member: so it is still where it was.
    let end = long(record, END).and_then(|end| end.checked_sub(table));
    let inlined = long(record, INLINED).and_then(|inlined| inlined.checked_sub(table));
    let inlined = inlined.filter(|_| end == Some(data.len() as u64));
    let inlined = inlined.and_then(|offset| usize::try_from(offset).ok());
    agrees.then_some(Module {
        text,
        inlined: inlined.filter(|offset| *offset < data.len()),
    })
}
