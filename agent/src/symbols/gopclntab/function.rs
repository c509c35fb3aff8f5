//! One function's record (`runtime._func`).

use super::header::{Format, Header};
use super::values::{self, text, word};

/// Numbers of fields of four bytes behind the address that a record begins with.
const NAME: usize = 0;
const FILE_VALUES: usize = 4;
const LINE_VALUES: usize = 5;
const TABLES: usize = 6;
const UNIT: usize = 7;
/// From 1.20 on.
const FIRST_LINE: usize = 8;
/// The table of inlined calls' numbers, and the list of the calls.
const INLINED_TABLE: usize = 2;
const INLINED_LIST: usize = 3;
/// A call in that list: kind, name, where it was called, first line.
const CALL_BYTES: usize = 16;
const NOTHING: u32 = u32::MAX;

pub struct Function<'a> {
    data: &'a [u8],
    header: &'a Header,
    /// Where the fields behind the address are.
    fields: usize,
    pub start: u64,
    end: u64,
}

/// A function that was inlined.
pub struct Call<'a> {
    pub name: &'a str,
    pub first_line: Option<u32>,
    /// svma of an instruction whose place is that of the call.
    pub parent: u64,
}

impl<'a> Function<'a> {
    /// The function whose code an svma is in.
    pub fn find(data: &'a [u8], header: &'a Header, svma: u64) -> Option<Self> {
        let (mut low, mut high) = (0, header.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if header.start(data, middle)? <= svma {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let number = low.checked_sub(1)?;
        let (start, end) = (header.start(data, number)?, header.start(data, number + 1)?);
        if !(start..end).contains(&svma) {
            return None;
        }
        let record = usize::try_from(header.entry(data, number * 2 + 1)?).ok()?;
        // Go 1.2 counts from the table's beginning.
        let base = match header.format {
            Format::Go12 => 0,
            _ => header.functions,
        };
        let record = base.checked_add(record)?;
        // A record begins with its function's address once more.
        let (same, fields) = if header.relative {
            let entry = word(data, record)?;
            (header.entry(data, number * 2)? == u64::from(entry), 4)
        } else {
            (values::long(data, record)? == start, 8)
        };
        same.then_some(Self {
            data,
            header,
            fields: record.checked_add(fields)?,
            start,
            end,
        })
    }

    pub fn name(&self) -> Option<&'a str> {
        self.text(self.field(NAME)?)
    }

    /// The line on which it begins.
    pub fn first_line(&self) -> Option<u32> {
        let known = self.header.format >= Format::Go120;
        line(self.field(FIRST_LINE).filter(|_| known)?)
    }

    /// File and line of an svma, of whatever is inlined there.
    pub fn place(&self, svma: u64, work: &mut u64) -> Option<(&'a str, u32)> {
        if self.header.format == Format::Go12 {
            return None;
        }
        let line = self.value(self.field(LINE_VALUES)?, svma, work)?;
        let file = self.value(self.field(FILE_VALUES)?, svma, work)?;
        // The unit's list leads to the file's path.
        let position = usize::try_from(self.field(UNIT)?).ok()?;
        let position = position.checked_add(usize::try_from(file).ok()?)?;
        let offset = self.header.units.checked_add(position.checked_mul(4)?)?;
        let path = match word(self.data, offset)? {
            NOTHING => return None,
            path => self.header.files.checked_add(path as usize)?,
        };
        let line = u32::try_from(line).ok().filter(|line| *line > 0)?;
        Some((text(self.data, path)?, line))
    }

    /// Number of the call that was inlined at an svma. Some(None): nothing was; None: that can't be
    /// said, since the format numbers its tables otherwise or is damaged.
    pub fn inlined_at(&self, svma: u64, work: &mut u64) -> Option<Option<usize>> {
        if self.header.format == Format::Go12 {
            return None;
        }
        if self.field(TABLES)? as usize <= INLINED_TABLE {
            return Some(None);
        }
        let offset = word(self.data, self.table(INLINED_TABLE)?)?;
        if offset == 0 {
            return Some(None);
        }
        let number = self.value(offset, svma, work)?;
        Some(usize::try_from(number).ok())
    }

    /// A call of the function's list of inlined ones.
    pub fn call(&self, number: usize) -> Option<Call<'a>> {
        let base = self.header.inlined?;
        let tables = self.field(TABLES)? as usize;
        // The number of lists is the last byte before the tables.
        let lists = *self.data.get(self.table(0)?.checked_sub(1)?)?;
        if usize::from(lists) <= INLINED_LIST {
            return None;
        }
        let list = word(self.data, self.table(tables.checked_add(INLINED_LIST)?)?)?;
        if list == NOTHING {
            return None;
        }
        let offset = number.checked_mul(CALL_BYTES)?.checked_add(list as usize)?;
        let call = base.checked_add(offset)?;
        let parent = self
            .start
            .checked_add(word(self.data, call.checked_add(8)?)?.into())?;
        Some(Call {
            name: self.text(word(self.data, call.checked_add(4)?)?)?,
            first_line: line(word(self.data, call.checked_add(12)?)?),
            parent: Some(parent).filter(|parent| (self.start..self.end).contains(parent))?,
        })
    }

    fn field(&self, number: usize) -> Option<u32> {
        word(self.data, self.fields.checked_add(number * 4)?)
    }

    /// Where the offset of a table of values stands.
    fn table(&self, number: usize) -> Option<usize> {
        let fields = match self.header.format {
            Format::Go12 | Format::Go116 | Format::Go118 => 9,
            Format::Go120 => 10,
        };
        let offset = number.checked_add(fields)?.checked_mul(4)?;
        self.fields.checked_add(offset)
    }

    fn value(&self, offset: u32, svma: u64, work: &mut u64) -> Option<i32> {
        let start = self.header.values.checked_add(offset as usize)?;
        let distance = svma.checked_sub(self.start)?;
        values::at(self.data.get(start..)?, distance, self.header.quantum, work)
    }

    fn text(&self, offset: u32) -> Option<&'a str> {
        text(self.data, self.header.names.checked_add(offset as usize)?)
    }
}

fn line(line: u32) -> Option<u32> {
    (0 < line && line <= i32::MAX as u32).then_some(line)
}
