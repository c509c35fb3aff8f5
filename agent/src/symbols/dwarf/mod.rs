//! Debug information: lines, and the functions that the compiler put into others.
//!
//! Nothing of a unit is kept: a batch of svmas is sorted by unit, each unit's entries and line
//! program are streamed once past them. No recursion over entries, no table of all rows: debug
//! information is as hostile as any other part of a file, and what takes too long is given up.

mod lines;
mod names;
mod ranges;
mod scopes;
mod unit;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gimli::{DwarfSections, EndianSlice, LittleEndian, SectionId};

use self::names::Names;
use self::unit::UnitIndex;
use self::watch::{Halt, Watch};
use super::elf::Elf;
use super::error::SymbolError;
use super::range_map::RangeMap;

type Slice<'a> = EndianSlice<'a, LittleEndian>;
type Dwarf<'a> = gimli::Dwarf<Slice<'a>>;
type Unit<'a> = gimli::Unit<Slice<'a>>;

/// A function that an svma belongs to: its own, or one that was inlined there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Not demangled. None: the debug information gives none.
    pub name: Option<String>,
    pub first_line: Option<u32>,
    /// Where the svma is in it, or the call of the next inner one.
    pub file: Option<Arc<str>>,
    pub line: Option<u32>,
    pub inlined: bool,
}

/// The debug information of one file.
pub struct DebugInfo {
    sections: DwarfSections<Vec<u8>>,
    /// What `dwz` moved to a file that several share (`.gnu_debugaltlink`).
    supplement: Option<DwarfSections<Vec<u8>>>,
    index: UnitIndex,
    supplement_index: UnitIndex,
    allowed: Duration,
}

/// Bounds of the work on one file's debug information.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Sum of its sections, decompressed.
    pub bytes: u64,
    /// For the index of a file's units, and again for each batch.
    pub time: Duration,
}

impl DebugInfo {
    /// Loads the debug information of `elf`; None where there is none. `code` are the executable
    /// segments of the file that runs.
    pub fn load(
        elf: &Elf<'_>,
        supplement: Option<&Elf<'_>>,
        code: &RangeMap,
        limits: Limits,
    ) -> Result<Option<Self>, SymbolError> {
        if elf.section(".debug_info").is_none() {
            return Ok(None);
        }
        let mut left = limits.bytes;
        let sections = load(elf, &mut left)?;
        let supplement = supplement.map(|elf| load(elf, &mut left)).transpose()?;
        let mut info = Self {
            sections,
            supplement,
            index: UnitIndex::default(),
            supplement_index: UnitIndex::default(),
            allowed: limits.time,
        };
        let mut watch = Watch::new(limits.time);
        info.index = UnitIndex::new(&info.dwarf(), code, &mut watch)?;
        if let Some(supplement) = info.dwarf().sup() {
            // It has no code of its own, only what others refer to.
            info.supplement_index = UnitIndex::new(supplement, &RangeMap::default(), &mut watch)?;
        }
        Ok(Some(info))
    }

    fn dwarf(&self) -> Dwarf<'_> {
        self.sections
            .borrow_with_sup(self.supplement.as_ref(), |bytes| {
                EndianSlice::new(bytes.as_slice(), LittleEndian)
            })
    }

    /// The functions at each of `svmas` (ascending), innermost first; an empty list where nothing
    /// is known. Of several functions that share their code, `symbol` says which one is meant.
    pub fn scopes(
        &self,
        svmas: &[u64],
        symbol: impl Fn(u64) -> Option<String>,
    ) -> (Vec<Vec<Scope>>, Option<SymbolError>) {
        let dwarf = self.dwarf();
        let mut watch = Watch::new(self.allowed);
        let mut names = Names::new(&dwarf, &self.index, &self.supplement_index);
        let mut found = vec![Vec::new(); svmas.len()];
        let mut error = None;

        let mut by_unit = BTreeMap::<u32, Vec<usize>>::new();
        for (position, svma) in svmas.iter().enumerate() {
            if let Some(unit) = self.index.unit_at(*svma) {
                by_unit.entry(unit).or_default().push(position);
            }
        }
        for (unit, positions) in by_unit {
            let own: Vec<u64> = positions.iter().map(|position| svmas[*position]).collect();
            match self.scopes_of_unit(&dwarf, unit, &own, &mut names, &symbol, &mut watch) {
                Ok(scopes) => {
                    for (position, scopes) in positions.into_iter().zip(scopes) {
                        found[position] = scopes;
                    }
                }
                Err(Halt::Damaged(cause)) => error = Some(SymbolError::Dwarf(cause)),
                Err(halt) => {
                    error = Some(halt.into());
                    break;
                }
            }
        }
        (found, error)
    }

    fn scopes_of_unit<'d>(
        &'d self,
        dwarf: &'d Dwarf<'d>,
        unit: u32,
        svmas: &[u64],
        names: &mut Names<'d>,
        symbol: &impl Fn(u64) -> Option<String>,
        watch: &mut Watch,
    ) -> Result<Vec<Vec<Scope>>, Halt> {
        let unit = self.index.read(dwarf, unit, unit::Lines::Read)?;
        let code = |address: u64| self.index.in_code(address);
        let chains = scopes::find(dwarf, &unit, svmas, &code, watch)?;
        let places = lines::find(&unit, svmas, &code, watch)?;
        let mut paths = lines::Paths::new(dwarf, &unit);
        let mut found = Vec::with_capacity(svmas.len());
        for ((svma, chains), place) in svmas.iter().zip(chains).zip(places) {
            let chain = names.choose(&unit, chains, || symbol(*svma), watch)?;
            let mut place = place;
            let mut scopes = Vec::with_capacity(chain.len());
            for link in chain.iter().rev() {
                let (name, first_line) = names.describe(&unit, link.entry, watch)?;
                scopes.push(Scope {
                    // An empty one is none.
                    name: name.filter(|name| !name.is_empty()),
                    first_line,
                    file: place.and_then(|place| paths.get(place.file)),
                    line: place.and_then(|place| place.line),
                    inlined: link.inlined,
                });
                place = link.call;
            }
            if scopes.is_empty()
                && let Some(place) = place
            {
                scopes.push(Scope {
                    file: paths.get(place.file),
                    line: place.line,
                    ..Scope::default()
                });
            }
            found.push(scopes);
        }
        Ok(found)
    }

    pub fn bytes(&self) -> usize {
        let sections = [Some(&self.sections), self.supplement.as_ref()];
        let sections = sections.into_iter().flatten().map(size);
        sections.sum::<usize>() + self.index.bytes() + self.supplement_index.bytes()
    }
}

/// Sections that lines, names and inlined functions need.
const SECTIONS: [SectionId; 9] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
];

fn load(elf: &Elf<'_>, left: &mut u64) -> Result<DwarfSections<Vec<u8>>, SymbolError> {
    DwarfSections::load(|id| {
        if !SECTIONS.contains(&id) {
            return Ok(Vec::new());
        }
        let data = elf.data_of(id.name(), *left)?;
        *left = left.saturating_sub(data.len() as u64);
        Ok(data)
    })
}

fn size(sections: &DwarfSections<Vec<u8>>) -> usize {
    let mut size = 0;
    drop(sections.borrow(|bytes| {
        size += bytes.capacity();
        EndianSlice::new(&bytes[..0], LittleEndian)
    }));
    size
}
