//! Names of Go functions from the table that every Go program carries for its own tracebacks, also
//! a stripped one: `.gopclntab`. Formats of Go 1.2 to 1.26 (`debug/gosym/pclntab.go`,
//! `runtime/symtab.go`).
//!
//! ```text
//! header     which format, where its parts are
//!   └─ module     where the code begins, if the header does not say it (since 1.26)
//! function   one function's record: its name, its tables of lines, files and inlined calls
//! ```
//!
//! Names are there in all formats. Lines are from 1.16 on, inlined functions from 1.26 on, since
//! they need the module's record, whose layout changes often. Where something was inlined and it is
//! not known what, the function has its name and no line.

mod function;
mod header;
mod module;
mod values;

use self::function::Function;
use self::header::Header;
use super::dwarf::Scope;
use super::elf::Elf;
use super::error::SymbolError;
use super::symbol_table::Found;

/// Most bytes of the table. Kubernetes has 30 MB.
const TABLE_LIMIT: u64 = 256 << 20;
/// Where linkers put it. The second name is that of position-independent programs before 1.26,
/// whose table holds addresses; GNU ld puts that one into the third.
const SECTIONS: [&str; 2] = [".gopclntab", ".data.rel.ro.gopclntab"];
const MERGED: &str = ".data.rel.ro";
/// What tells a Go program where the table's section does not.
const MARKS: [&str; 2] = [".go.buildinfo", ".note.go.buildid"];
/// Most functions inlined into one another.
const INLINED_LIMIT: usize = 128;

/// The table of one file.
pub struct GoTable {
    data: Vec<u8>,
    header: Header,
}

impl GoTable {
    /// The table of a file; None where there is none.
    pub fn load(elf: &Elf<'_>) -> Result<Option<Self>, SymbolError> {
        if let Some(section) = SECTIONS.iter().find_map(|name| elf.section(name)) {
            let data = elf.relocated(section, TABLE_LIMIT)?;
            return Self::new(elf, section.address, data).map(Some);
        }
        let marked = MARKS.iter().any(|name| elf.section(name).is_some());
        let Some(section) = elf.section(MERGED).filter(|_| marked) else {
            return Ok(None);
        };
        let mut data = elf.relocated(section, TABLE_LIMIT)?;
        let Some(offset) = header::search(&data) else {
            return Ok(None);
        };
        data.drain(..offset);
        let address = section.address.wrapping_add(offset as u64);
        Self::new(elf, address, data).map(Some)
    }

    fn new(elf: &Elf<'_>, address: u64, data: Vec<u8>) -> Result<Self, SymbolError> {
        let mut header = Header::parse(&data).ok_or(SymbolError::GoTable)?;
        if let Some(module) = module::find(elf, address, &header, &data)? {
            header.text = Some(module.text);
            header.inlined = module.inlined;
        }
        if header.relative && header.text.is_none() {
            return Err(SymbolError::GoText);
        }
        // All its functions are code of this file.
        let range = header
            .start(&data, 0)
            .zip(header.start(&data, header.count));
        let (start, end) = range.ok_or(SymbolError::GoTable)?;
        let is_code = elf
            .segments
            .iter()
            .filter(|segment| segment.executable)
            .any(|segment| {
                segment.svma <= start && end <= segment.svma.saturating_add(segment.memory_size)
            });
        if start >= end || !is_code {
            return Err(SymbolError::GoTable);
        }
        Ok(Self { data, header })
    }

    /// How many functions it names.
    pub fn count(&self) -> usize {
        self.header.count
    }

    /// The function whose code an svma is in.
    pub fn get(&self, svma: u64) -> Option<Found<'_>> {
        let function = Function::find(&self.data, &self.header, svma)?;
        Some(Found {
            name: function.name()?,
            start: function.start,
            plt: false,
        })
    }

    /// The function at an svma and what is inlined there, innermost first. `work` is what is left
    /// of the work on a batch, 0 where it was too much: tables are read from their beginning for
    /// each svma, and any bytes of the table may be a name.
    pub fn scopes(&self, svma: u64, work: &mut u64) -> Vec<Scope> {
        let function = Function::find(&self.data, &self.header, svma);
        let Some(function) = function.filter(|function| function.name().is_some()) else {
            return Vec::new();
        };
        self.chain(&function, svma, work).unwrap_or_else(|| {
            let outer = Scope {
                name: function.name().map(str::to_owned),
                first_line: function.first_line(),
                ..Scope::default()
            };
            vec![outer]
        })
    }

    /// None: what is inlined can't be said.
    fn chain(&self, function: &Function<'_>, svma: u64, work: &mut u64) -> Option<Vec<Scope>> {
        let mut scopes = Vec::new();
        let mut svma = svma;
        while scopes.len() < INLINED_LIMIT {
            let call = match function.inlined_at(svma, work)? {
                Some(number) => Some(function.call(number)?),
                None => None,
            };
            let place = function.place(svma, work);
            let (name, first_line) = match &call {
                Some(call) => (Some(call.name), call.first_line),
                None => (function.name(), function.first_line()),
            };
            let text = name.map_or(0, str::len) + place.map_or(0, |(file, _)| file.len());
            *work = work.saturating_sub(text as u64);
            if *work == 0 {
                return None;
            }
            scopes.push(Scope {
                name: name.map(str::to_owned),
                first_line,
                line: place.map(|(_, line)| line),
                file: place.map(|(file, _)| file.into()),
                inlined: call.is_some(),
            });
            match call {
                Some(call) => svma = call.parent,
                None => return Some(scopes),
            }
        }
        None
    }

    pub fn bytes(&self) -> usize {
        self.data.capacity()
    }
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
