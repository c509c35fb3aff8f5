//! Names of functions: an entry has its own, or refers to another one that has.

use std::collections::HashMap;
use std::rc::Rc;

use gimli::{AttributeValue, UnitOffset, UnitSectionOffset};

use super::scopes::Chain;
use super::unit::{Lines, UnitIndex};
use super::watch::{Halt, Watch};
use super::{Dwarf, Slice, Unit};

/// Most entries that refer to each other until a name is found.
const STEPS_LIMIT: usize = 16;
/// Most bytes of a name.
const TEXT_LIMIT: usize = 16 << 10;
/// Most units kept for references between units.
const UNITS_LIMIT: usize = 64;

/// A string of the debug information, if it is one.
pub fn text(slice: Slice<'_>) -> Option<String> {
    if slice.len() > TEXT_LIMIT {
        return None;
    }
    Some(slice.to_string_lossy().into_owned())
}

/// A unit that is referred to, and whether it is one of the supplement's.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    supplement: bool,
    number: u32,
}

pub struct Names<'d> {
    dwarf: &'d Dwarf<'d>,
    index: &'d UnitIndex,
    supplement_index: &'d UnitIndex,
    units: HashMap<Key, Rc<Unit<'d>>>,
    /// What [`Self::describe`] gave for an entry of a unit.
    known: HashMap<(UnitSectionOffset, UnitOffset), (Option<String>, Option<u32>)>,
}

/// What an entry says about its function.
#[derive(Default)]
struct Entry<'d> {
    name: Option<Slice<'d>>,
    linkage_name: Option<Slice<'d>>,
    first_line: Option<u32>,
    origin: Option<AttributeValue<Slice<'d>>>,
}

impl<'d> Names<'d> {
    pub fn new(
        dwarf: &'d Dwarf<'d>,
        index: &'d UnitIndex,
        supplement_index: &'d UnitIndex,
    ) -> Self {
        Self {
            dwarf,
            index,
            supplement_index,
            units: HashMap::new(),
            known: HashMap::new(),
        }
    }

    /// Of several functions whose code is the same, the one that the symbol table names, else the
    /// smallest.
    pub fn choose(
        &mut self,
        unit: &Unit<'d>,
        mut chains: Vec<Chain>,
        symbol: impl FnOnce() -> Option<String>,
        watch: &mut Watch,
    ) -> Result<Chain, Halt> {
        if chains.len() < 2 {
            return Ok(chains.pop().unwrap_or_default());
        }
        chains.sort_by_key(|chain| chain[0].size);
        if let Some(symbol) = symbol() {
            for position in 0..chains.len() {
                let (name, _) = self.describe(unit, chains[position][0].entry, watch)?;
                if name.as_ref() == Some(&symbol) {
                    return Ok(chains.swap_remove(position));
                }
            }
        }
        Ok(chains.swap_remove(0))
    }

    /// The name of an entry's function (the linker's, where it has one) and its first line.
    pub fn describe(
        &mut self,
        unit: &Unit<'d>,
        entry: UnitOffset,
        watch: &mut Watch,
    ) -> Result<(Option<String>, Option<u32>), Halt> {
        let key = (unit.header.offset(), entry);
        if let Some(known) = self.known.get(&key) {
            return Ok(known.clone());
        }
        let described = self.follow(unit, entry, watch)?;
        self.known.insert(key, described.clone());
        Ok(described)
    }

    fn follow(
        &mut self,
        unit: &Unit<'d>,
        entry: UnitOffset,
        watch: &mut Watch,
    ) -> Result<(Option<String>, Option<u32>), Halt> {
        let (mut name, mut first_line) = (None, None);
        let mut place = (false, None::<Rc<Unit<'d>>>, entry);
        for _ in 0..STEPS_LIMIT {
            let (supplement, other, offset) = &place;
            let Some(dwarf) = self.dwarf_of(*supplement) else {
                break;
            };
            let unit = other.as_deref().unwrap_or(unit);
            let entry = read(dwarf, unit, *offset, watch)?;
            first_line = first_line.or(entry.first_line);
            name = name.or(entry.name);
            if let Some(linkage_name) = entry.linkage_name {
                return Ok((text(linkage_name), first_line));
            }
            let next = match entry.origin {
                Some(AttributeValue::UnitRef(offset)) => Some((*supplement, other.clone(), offset)),
                Some(AttributeValue::DebugInfoRef(offset)) => self.refer(*supplement, offset),
                Some(AttributeValue::DebugInfoRefSup(offset)) => self.refer(true, offset),
                _ => None,
            };
            match next {
                Some(next) => place = next,
                None => break,
            }
        }
        Ok((name.and_then(text), first_line))
    }

    fn dwarf_of(&self, supplement: bool) -> Option<&'d Dwarf<'d>> {
        if supplement {
            self.dwarf.sup()
        } else {
            Some(self.dwarf)
        }
    }

    /// The unit and the place in it that an offset in `.debug_info` means.
    fn refer(
        &mut self,
        supplement: bool,
        offset: gimli::DebugInfoOffset,
    ) -> Option<(bool, Option<Rc<Unit<'d>>>, UnitOffset)> {
        let index = if supplement {
            self.supplement_index
        } else {
            self.index
        };
        let number = index.unit_of(offset.0)?;
        let key = Key { supplement, number };
        let unit = match self.units.get(&key) {
            Some(unit) => Rc::clone(unit),
            None => {
                let unit = index.read(self.dwarf_of(supplement)?, number, Lines::Skip);
                let unit = Rc::new(unit.ok()?);
                if self.units.len() >= UNITS_LIMIT {
                    self.units.clear();
                }
                self.units.insert(key, Rc::clone(&unit));
                unit
            }
        };
        let offset = offset.to_unit_offset(&unit.header)?;
        Some((supplement, Some(unit), offset))
    }
}

fn read<'d>(
    dwarf: &Dwarf<'d>,
    unit: &Unit<'d>,
    offset: UnitOffset,
    watch: &mut Watch,
) -> Result<Entry<'d>, Halt> {
    let mut found = Entry::default();
    let mut entries = unit.entries_raw(Some(offset))?;
    let Some(abbreviation) = entries.read_abbreviation()? else {
        return Ok(found);
    };
    for specification in abbreviation.attributes() {
        watch.step()?;
        let attribute = entries.read_attribute(*specification)?;
        let value = attribute.value();
        match attribute.name() {
            gimli::DW_AT_linkage_name | gimli::DW_AT_MIPS_linkage_name => {
                found.linkage_name = dwarf.attr_string(unit, value).ok();
            }
            gimli::DW_AT_name => found.name = dwarf.attr_string(unit, value).ok(),
            gimli::DW_AT_decl_line => {
                let line = attribute
                    .udata_value()
                    .and_then(|line| u32::try_from(line).ok());
                found.first_line = line.filter(|line| *line != 0);
            }
            gimli::DW_AT_abstract_origin | gimli::DW_AT_specification => {
                found.origin = Some(value);
            }
            _ => {}
        }
    }
    Ok(found)
}
