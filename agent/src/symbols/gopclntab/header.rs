//! The table's header: which format it is and where its parts begin.

use super::values::{long, word};

/// Formats by the Go version that they came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    Go12,
    Go116,
    Go118,
    Go120,
}

/// Offsets of the table's parts, and what else is needed to read it.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    pub format: Format,
    /// Code comes in multiples of so many bytes.
    pub quantum: u64,
    /// Functions.
    pub count: usize,
    /// The functions' addresses count from [`Self::text`], not from 0.
    pub relative: bool,
    /// svma at which the Go code begins (the symbol `runtime.text`).
    pub text: Option<u64>,
    pub names: usize,
    /// Numbers of files as compilation units count them. Go 1.2 has none.
    pub units: usize,
    pub files: usize,
    pub values: usize,
    /// Address and record of each function in turn, then the records.
    pub functions: usize,
    /// Where the records of inlined calls count from.
    pub inlined: Option<usize>,
}

/// Where a table begins among other data.
pub fn search(data: &[u8]) -> Option<usize> {
    let offsets = (0..data.len()).step_by(8);
    let mut marked =
        offsets.filter(|offset| matches!(data[*offset..], [_, 0xff, 0xff, 0xff, 0, 0, ..]));
    marked.find(|offset| Header::parse(&data[*offset..]).is_some())
}

impl Header {
    pub fn parse(data: &[u8]) -> Option<Self> {
        let format = match word(data, 0)? {
            0xffff_fffb => Format::Go12,
            0xffff_fffa => Format::Go116,
            0xffff_fff0 => Format::Go118,
            0xffff_fff1 => Format::Go120,
            _ => return None,
        };
        let quantum = match data.get(4..8)? {
            [0, 0, quantum @ (1 | 2 | 4), 8] => u64::from(*quantum),
            _ => return None,
        };
        let number = |position: usize| long(data, 8 + position * 8);
        let offset = |position| usize::try_from(number(position)?).ok();
        let mut header = Self {
            format,
            quantum,
            count: offset(0)?,
            relative: format >= Format::Go118,
            text: None,
            names: 0,
            units: 0,
            files: 0,
            values: 0,
            functions: 16,
            inlined: None,
        };
        // The parts in their order, behind the numbers of functions and files, and the text's start.
        let first = match format {
            Format::Go12 => None,
            Format::Go116 => Some(2),
            Format::Go118 | Format::Go120 => {
                // 0 since 1.26: it would have to be relocated.
                header.text = number(2).filter(|text| *text != 0);
                Some(3)
            }
        };
        if let Some(first) = first {
            header.names = offset(first)?;
            header.units = offset(first + 1)?;
            header.files = offset(first + 2)?;
            header.values = offset(first + 3)?;
            header.functions = offset(first + 4)?;
        }
        // All addresses are there, the end of the last function included.
        let size = header.count.checked_mul(2)?.checked_add(1)?;
        let size = size.checked_mul(header.field())?;
        let end = header.functions.checked_add(size)?;
        (header.count > 0 && end <= data.len()).then_some(header)
    }

    /// Bytes of an entry of the functions' table.
    pub fn field(&self) -> usize {
        if self.relative { 4 } else { 8 }
    }

    /// What the table has at a position: addresses at even ones, offsets of records at odd ones.
    pub fn entry(&self, data: &[u8], position: usize) -> Option<u64> {
        let at = position.checked_mul(self.field())?;
        let at = self.functions.checked_add(at)?;
        if self.relative {
            word(data, at).map(u64::from)
        } else {
            long(data, at)
        }
    }

    /// svma at which a function begins, and for the number of functions, at which the last ends.
    pub fn start(&self, data: &[u8], number: usize) -> Option<u64> {
        let entry = self.entry(data, number.checked_mul(2)?)?;
        if self.relative {
            self.text?.checked_add(entry)
        } else {
            Some(entry)
        }
    }
}
