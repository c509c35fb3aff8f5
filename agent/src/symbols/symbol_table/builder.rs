//! Builds a symbol table from an ELF file's tables, and from those of a file with its symbols.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

use super::candidate::Candidate;
use super::{NAME_LIMIT, Symbol, SymbolTable};
use crate::symbols::elf::{Elf, Section, number};
use crate::symbols::error::SymbolError;
use crate::symbols::plt::{self, PltEntry, Target};
use crate::symbols::range_map::{Entry, RangeMap};
use crate::symbols::{Source, decompress};

const SYMBOL_BYTES: usize = 24;
/// Nearly all names are no longer.
const SHORT_NAME: usize = 256;
/// Most bytes of a symbol table and of all names.
const TABLE_LIMIT: u64 = 128 << 20;
const NAMES_LIMIT: u64 = 512 << 20;
/// Most bytes of the file in `.gnu_debugdata`.
const DEBUGDATA_LIMIT: u64 = 256 << 20;
/// Section numbers from here on are no sections (absolute, common).
const RESERVED: u64 = 0xff00;

/// Decides between symbols that cover the same address: one with a size, then the one that begins
/// last, then the one whose name is the likelier (the lower rank).
type Key = (bool, u64, Reverse<u32>);

/// Collects the symbols of tables that describe the same file.
#[derive(Default)]
pub struct Builder {
    names: Vec<u8>,
    candidates: Vec<Candidate>,
    /// Which of the candidates each table gave.
    tables: Vec<(&'static str, Range<usize>)>,
    /// PLT entries of ifuncs by their svma: their names may stand in a table still to come.
    ifunc_entries: Vec<(PltEntry, u64)>,
    /// If some svmas only are to be named: these, in order.
    wanted: Option<Vec<u64>>,
}

impl Builder {
    /// A builder whose table answers for these svmas alone, in their order. It takes next to no
    /// memory, however many symbols the file has.
    pub fn of(svmas: Vec<u64>) -> Self {
        Self {
            wanted: Some(svmas),
            ..Self::default()
        }
    }

    /// Whether somebody may ask for the symbol at this place.
    fn is_wanted(&self, start: u64, size: u64) -> bool {
        let Some(wanted) = &self.wanted else {
            return true;
        };
        let next = wanted.partition_point(|svma| *svma < start);
        let end = start.saturating_add(size.max(1));
        wanted.get(next).is_some_and(|svma| *svma < end)
    }

    /// Takes in the tables of a file: `.symtab`, `.dynsym`, the PLT and `.gnu_debugdata`. Gives
    /// what went wrong with each.
    pub fn add(&mut self, elf: &Elf<'_>) -> Vec<SymbolError> {
        let mut errors = Vec::new();
        for name in [".symtab", ".dynsym"] {
            if let Some(section) = elf.section(name) {
                let before = self.candidates.len();
                errors.extend(self.add_table(elf, section).err());
                self.count(name, before);
            }
        }
        errors.extend(self.add_plt(elf).err());
        let before = self.candidates.len();
        errors.extend(self.add_debugdata(elf).err());
        self.count(".gnu_debugdata", before);
        errors
    }

    fn count(&mut self, table: &'static str, before: usize) {
        self.tables.push((table, before..self.candidates.len()));
    }

    /// How many symbols in `code` each table gave so far, those without any left out.
    pub fn counts(&self, code: &RangeMap) -> Vec<(&'static str, usize)> {
        let count = |range: &Range<usize>| {
            let candidates = self.candidates.get(range.clone()).unwrap_or_default();
            let in_code = |candidate: &&Candidate| code.get(candidate.symbol.start).is_some();
            candidates.iter().filter(in_code).count()
        };
        let tables = self.tables.iter();
        tables
            .map(|(table, range)| (*table, count(range)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    fn add_table(&mut self, elf: &Elf<'_>, section: &Section) -> Result<(), SymbolError> {
        let names = match elf.sections.get(section.link as usize) {
            Some(names) if self.wanted.is_some() && !names.is_compressed() => Some(names),
            _ => None,
        };
        let base = match names {
            Some(_) => 0,
            None => self.add_names(elf, section)?,
        };
        let mut failed = None;
        elf.pieces(section, TABLE_LIMIT, SYMBOL_BYTES, |raw| {
            let number_of_section = number::<2>(raw, 6);
            let (start, size) = (number::<8>(raw, 8), number::<8>(raw, 16));
            let is_defined = number_of_section != 0 && number_of_section < RESERVED;
            if !is_defined || !(self.is_wanted(start, size) || Candidate::is_ifunc(raw[4])) {
                return;
            }
            let name = match names {
                Some(names) => self
                    .read_name(elf, names, number::<4>(raw, 0))
                    .unwrap_or_else(|error| {
                        failed = Some(error);
                        None
                    }),
                None => name(base, raw),
            };
            if let Some(name) = name {
                let candidate = Candidate::new(raw[4], start, size, name, &self.names);
                self.candidates.extend(candidate);
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// Appends one name; gives where it begins.
    fn read_name(
        &mut self,
        elf: &Elf<'_>,
        names: &Section,
        offset: u64,
    ) -> Result<Option<u32>, SymbolError> {
        let mut name = Vec::new();
        for most in [SHORT_NAME, NAME_LIMIT] {
            name = elf.part(names, offset, most as u64)?;
            if let Some(end) = name.iter().position(|byte| *byte == 0) {
                name.truncate(end);
                break;
            }
        }
        let place = u32::try_from(self.names.len()).ok();
        if place.is_some() {
            self.names.extend(name);
            self.names.push(0);
        }
        Ok(place)
    }

    /// Appends the names that a table refers to; gives where they begin.
    fn add_names(&mut self, elf: &Elf<'_>, table: &Section) -> Result<usize, SymbolError> {
        let base = self.names.len();
        if let Some(section) = elf.sections.get(table.link as usize) {
            let limit = NAMES_LIMIT.saturating_sub(base as u64);
            self.names.extend(elf.data(section, limit)?);
        }
        // Ends the last name, even where the file does not.
        self.names.push(0);
        Ok(base)
    }

    fn add_plt(&mut self, elf: &Elf<'_>) -> Result<(), SymbolError> {
        let mut entries = plt::entries(elf)?;
        entries.retain(|entry| self.is_wanted(entry.start, entry.size));
        let Some(table) = elf.section(".dynsym").filter(|_| !entries.is_empty()) else {
            return Ok(());
        };
        let symbols = elf.data(table, TABLE_LIMIT)?;
        let base = self.add_names(elf, table)?;
        for entry in entries {
            match entry.target {
                Target::Ifunc(svma) => self.ifunc_entries.push((entry, svma)),
                Target::Symbol(position) => {
                    let raw = symbols.chunks_exact(SYMBOL_BYTES).nth(position as usize);
                    if let Some(name) = raw.and_then(|raw| name(base, raw)) {
                        self.add_plt_entry(entry, name);
                    }
                }
            }
        }
        Ok(())
    }

    fn add_plt_entry(&mut self, entry: PltEntry, name: u32) {
        let candidate = Candidate::plt(entry.start, entry.size, name, &self.names);
        self.candidates.extend(candidate);
    }

    /// Fedora's executables keep their functions' names in a compressed ELF file inside of them.
    fn add_debugdata(&mut self, elf: &Elf<'_>) -> Result<(), SymbolError> {
        let packed = elf.data_of(".gnu_debugdata", DEBUGDATA_LIMIT)?;
        if packed.is_empty() {
            return Ok(());
        }
        let source = Source::Bytes(decompress::xz(&packed, DEBUGDATA_LIMIT)?.into());
        let inner = Elf::parse(&source)?;
        match inner.section(".symtab") {
            Some(section) => self.add_table(&inner, section),
            None => Ok(()),
        }
    }

    /// The table of the symbols that lie in `code`, the file's executable segments.
    pub fn build(mut self, code: &RangeMap) -> SymbolTable {
        let in_code = |candidate: &Candidate| code.get(candidate.symbol.start).is_some();
        self.candidates.retain(in_code);
        self.sort();
        if !self.ifunc_entries.is_empty() {
            self.name_ifunc_entries();
            self.sort();
        }
        let entries = self.candidates.iter().enumerate();
        let entries = entries.map(|(rank, candidate)| {
            let start = candidate.symbol.start;
            let key: Key = (candidate.size != 0, start, Reverse(rank as u32));
            Entry {
                key,
                start,
                end: start.saturating_add(candidate.size.max(1)),
                value: rank as u32,
            }
        });
        let mut ranges = RangeMap::new(entries.collect());
        let symbols = keep_used(&mut ranges, &self.candidates);
        SymbolTable {
            names: self.names,
            symbols,
            ranges,
        }
    }

    fn sort(&mut self) {
        let names = &self.names;
        self.candidates.sort_unstable_by(|a, b| a.compare(b, names));
    }

    fn name_ifunc_entries(&mut self) {
        let mut names = HashMap::new();
        for candidate in self.candidates.iter().filter(|candidate| candidate.ifunc) {
            names
                .entry(candidate.symbol.start)
                .or_insert(candidate.symbol.name);
        }
        for (entry, svma) in std::mem::take(&mut self.ifunc_entries) {
            if let Some(name) = names.get(&svma) {
                self.add_plt_entry(entry, *name);
            }
        }
    }

    #[cfg(test)]
    pub fn add_symbol(&mut self, name: &str, start: u64, size: u64, info: u8) {
        let offset = self.names.len() as u32;
        self.names.extend(name.as_bytes());
        self.names.push(0);
        self.candidates
            .extend(Candidate::new(info, start, size, offset, &self.names));
    }
}

/// Where the name of a symbol is, if its table's names begin at `base`.
fn name(base: usize, symbol: &[u8]) -> Option<u32> {
    u32::try_from(base as u64 + number::<4>(symbol, 0)).ok()
}

/// Symbols that hold somewhere, renumbered.
fn keep_used(ranges: &mut RangeMap, candidates: &[Candidate]) -> Vec<Symbol> {
    let mut numbers = vec![u32::MAX; candidates.len()];
    let mut symbols = Vec::new();
    for value in ranges.values_mut() {
        let rank = *value as usize;
        if numbers[rank] == u32::MAX {
            numbers[rank] = symbols.len() as u32;
            symbols.push(candidates[rank].symbol);
        }
        *value = numbers[rank];
    }
    symbols
}
