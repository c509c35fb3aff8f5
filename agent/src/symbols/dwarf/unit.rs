//! Compilation units: where each is, and which addresses it describes.

use std::cmp::Reverse;
use std::sync::Arc;

use gimli::{
    AttributeValue, DebugAbbrev, DebugAbbrevOffset, DebugInfoOffset, DebugLineOffset, LittleEndian,
    Section, UnitHeader, UnitType,
};

use super::super::elf::number;
use super::super::range_map::{Entry, RangeMap};
use super::ranges;
use super::watch::{Halt, RANGES_LIMIT, Watch};
use super::{Dwarf, Slice, Unit};

/// Most bytes of one unit's abbreviations and of one line program's header. Both take many times
/// their size in memory.
const ABBREVIATIONS_LIMIT: usize = 1 << 20;
const LINE_HEADER_LIMIT: u64 = 1 << 20;

/// The units of a file.
#[derive(Default)]
pub struct UnitIndex {
    /// Ascending.
    offsets: Vec<usize>,
    /// Numbers of the units that describe an address.
    ranges: RangeMap,
    code: RangeMap,
}

/// Whether a unit's line program is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    Read,
    Skip,
}

impl UnitIndex {
    pub fn new(dwarf: &Dwarf<'_>, code: &RangeMap, watch: &mut Watch) -> Result<Self, Halt> {
        let mut index = Self {
            code: code.clone(),
            ..Self::default()
        };
        let mut entries = Vec::new();
        let mut headers = dwarf.units();
        // What follows a damaged header can't be found.
        while let Ok(Some(header)) = headers.next() {
            watch.look()?;
            let Some(DebugInfoOffset(offset)) = header.debug_info_offset() else {
                continue;
            };
            let number = index.offsets.len() as u32;
            index.offsets.push(offset);
            let describes_code = matches!(
                header.type_(),
                UnitType::Compilation | UnitType::Skeleton(_)
            );
            if describes_code && let Ok(unit) = read(dwarf, header, Lines::Skip) {
                index.add_ranges(dwarf, &unit, number, &mut entries, watch)?;
            }
        }
        index.ranges = RangeMap::new(entries);
        index.offsets.shrink_to_fit();
        Ok(index)
    }

    fn add_ranges(
        &self,
        dwarf: &Dwarf<'_>,
        unit: &Unit<'_>,
        number: u32,
        entries: &mut Vec<Entry<(u64, Reverse<u32>)>>,
        watch: &mut Watch,
    ) -> Result<(), Halt> {
        let mut root = unit.entries();
        if !matches!(root.next_dfs(), Ok(Some(_))) {
            return Ok(());
        }
        let attribute = |name| root.current()?.attr_value(name);
        let attributes = [
            attribute(gimli::DW_AT_low_pc),
            attribute(gimli::DW_AT_high_pc),
            attribute(gimli::DW_AT_ranges),
        ];
        ranges::for_each(dwarf, unit, attributes, watch, |start, end, watch| {
            if !self.in_code(start) {
                return Ok(());
            }
            if entries.len() >= RANGES_LIMIT {
                return Err(watch.too_costly());
            }
            entries.push(Entry {
                key: (start, Reverse(number)),
                start,
                end,
                value: number,
            });
            Ok(())
        })
    }

    /// Whether a range that begins there is real. Linkers leave ranges of functions that they
    /// dropped at 0 or 1.
    pub fn in_code(&self, address: u64) -> bool {
        self.code.get(address).is_some()
    }

    /// Number of the unit that describes an address.
    pub fn unit_at(&self, svma: u64) -> Option<u32> {
        self.ranges.get(svma)
    }

    /// Number of the unit that an offset in `.debug_info` lies in.
    pub fn unit_of(&self, offset: usize) -> Option<u32> {
        let behind = self.offsets.partition_point(|start| *start <= offset);
        behind.checked_sub(1).map(|number| number as u32)
    }

    pub fn read<'a>(
        &self,
        dwarf: &Dwarf<'a>,
        number: u32,
        lines: Lines,
    ) -> gimli::Result<Unit<'a>> {
        let offset = self.offsets.get(number as usize).copied();
        let header = dwarf.unit_header(DebugInfoOffset(offset.unwrap_or(usize::MAX)))?;
        read(dwarf, header, lines)
    }

    pub fn bytes(&self) -> usize {
        self.offsets.capacity() * size_of::<usize>() + self.ranges.bytes()
    }
}

/// Same as [`gimli::Unit::new`], with bounds on what is allocated and the line program on demand.
fn read<'a>(
    dwarf: &Dwarf<'a>,
    header: UnitHeader<Slice<'a>>,
    lines: Lines,
) -> gimli::Result<Unit<'a>> {
    let mut unit = Unit {
        abbreviations: abbreviations(dwarf, header.debug_abbrev_offset())?,
        name: None,
        comp_dir: None,
        low_pc: 0,
        str_offsets_base: gimli::DebugStrOffsetsBase::default_for_encoding_and_file(
            header.encoding(),
            dwarf.file_type,
        ),
        addr_base: gimli::DebugAddrBase(0),
        loclists_base: gimli::DebugLocListsBase(0),
        rnglists_base: gimli::DebugRngListsBase::default_for_encoding_and_file(
            header.encoding(),
            dwarf.file_type,
        ),
        line_program: None,
        dwo_id: None,
        header,
    };
    let mut name = None;
    let mut directory = None;
    let mut low_pc = None;
    let mut program = None;
    let mut entries = unit.header.entries_raw(&unit.abbreviations, None)?;
    let Some(root) = entries.read_abbreviation()? else {
        return Err(gimli::Error::MissingUnitDie);
    };
    for specification in root.attributes() {
        let attribute = entries.read_attribute(*specification)?;
        match (attribute.name(), attribute.value()) {
            (gimli::DW_AT_name, value) => name = Some(value),
            (gimli::DW_AT_comp_dir, value) => directory = Some(value),
            (gimli::DW_AT_low_pc, value) => low_pc = Some(value),
            (gimli::DW_AT_stmt_list, AttributeValue::DebugLineRef(offset)) => {
                program = Some(offset);
            }
            (_, AttributeValue::DebugStrOffsetsBase(base)) => unit.str_offsets_base = base,
            (_, AttributeValue::DebugAddrBase(base)) => unit.addr_base = base,
            (_, AttributeValue::DebugRngListsBase(base)) => unit.rnglists_base = base,
            _ => {}
        }
    }
    unit.name = name.and_then(|value| dwarf.attr_string(&unit, value).ok());
    unit.comp_dir = directory.and_then(|value| dwarf.attr_string(&unit, value).ok());
    if let Some(value) = low_pc
        && let Some(address) = dwarf.attr_address(&unit, value)?
    {
        unit.low_pc = address;
    }
    if lines == Lines::Read
        && let Some(offset) = program
        && line_header_size(dwarf, offset) <= LINE_HEADER_LIMIT
    {
        let size = unit.header.address_size();
        let (directory, name) = (unit.comp_dir, unit.name);
        // A unit with a damaged line program still has its functions.
        unit.line_program = dwarf.debug_line.program(offset, size, directory, name).ok();
    }
    Ok(unit)
}

fn abbreviations(
    dwarf: &Dwarf<'_>,
    offset: DebugAbbrevOffset,
) -> gimli::Result<Arc<gimli::Abbreviations>> {
    let all = dwarf.debug_abbrev.reader().slice();
    let own = all.get(offset.0..).unwrap_or_default();
    let own = &own[..own.len().min(ABBREVIATIONS_LIMIT)];
    let section = DebugAbbrev::new(own, LittleEndian);
    section.abbreviations(DebugAbbrevOffset(0)).map(Arc::new)
}

/// What a line program says about the size of its header.
fn line_header_size(dwarf: &Dwarf<'_>, offset: DebugLineOffset) -> u64 {
    let all = dwarf.debug_line.reader().slice();
    let program = all.get(offset.0..).unwrap_or_default();
    let long = number::<4>(program, 0) == 0xffff_ffff;
    let start = if long { 12 } else { 4 };
    let version = number::<2>(program, start);
    let field = start + if version >= 5 { 4 } else { 2 };
    if long {
        number::<8>(program, field)
    } else {
        number::<4>(program, field)
    }
}
