//! The table of page indices and rows: shards of 1 MiB, made as they are needed and filled through
//! mmap (0.2 ms for what 100,000 single updates do in 100–340).

use std::os::fd::{AsFd, AsRawFd};

use agent_common::executable::Executable;
use agent_common::row::{
    RULE_END, RULE_NONE, RULES, SHARD_CELLS, SHARD_SHIFT, SHARDS, find_rule, pack,
};
use agent_common::step::Rule;
use aya::maps::{Array, ArrayOfMaps, MapData};
use memmap2::{MmapMut, MmapOptions};

use super::load::{Loaded, access};
use super::load_error::LoadError;
use super::plain::Plain;
use super::room::{Room, Rules};
use crate::unwind;

pub use super::room::{REST, Range};

/// Why rows could not be put into the kernel.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("the unwind tables have reached their budget of {budget} MiB")]
    Budget { budget: u32 },
    #[error("more than {RULES} different unwind rules are in use")]
    Rules,
    #[error("a shard of the unwind tables could not be made: {0}")]
    Shard(#[source] aya::maps::MapError),
    #[error("a shard of the unwind tables could not be mapped: {0}")]
    Map(#[source] std::io::Error),
}

impl TableError {
    /// Its name in statistics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Budget { .. } => "table_budget",
            Self::Rules => "too_many_rules",
            Self::Shard(_) | Self::Map(_) => "table_not_made",
        }
    }
}

struct Shard {
    cells: MmapMut,
    /// Keeps the map while the kernel side may look rows up in it.
    _map: MapData,
}

/// What a file has of the table.
#[derive(Debug, Default)]
pub struct Placed {
    pub range: Range,
    /// Global numbers of its rules.
    pub(super) rules: Box<[u16]>,
}

/// Owner of the table's memory.
pub struct Table {
    outer: ArrayOfMaps<MapData, MapData>,
    rules_map: Array<MapData, Plain<Rule>>,
    shards: Vec<Option<Shard>>,
    room: Room,
    rules: Rules,
    /// Shards allowed.
    budget: u32,
}

impl Table {
    /// `budget`: most shards (1 MiB each) to be made.
    pub fn new(loaded: &mut Loaded, budget: u32) -> Result<Self, LoadError> {
        let budget = budget.clamp(1, SHARDS);
        let outer = ArrayOfMaps::try_from(loaded.take("TABLE")?).map_err(access("TABLE"))?;
        let mut rules_map: Array<MapData, Plain<Rule>> =
            Array::try_from(loaded.take("RULES")?).map_err(access("RULES"))?;
        rules_map
            .set(RULE_END as u32, Plain(Rule::END), 0)
            .map_err(access("RULES"))?;
        let cells = budget.saturating_mul(SHARD_CELLS);
        Ok(Self {
            outer,
            rules_map,
            shards: (0..SHARDS).map(|_| None).collect(),
            room: Room::new(cells),
            rules: Rules::default(),
            budget,
        })
    }

    /// Puts a file's table in. The returned description still lacks its id and interpreter.
    pub fn insert(&mut self, table: &unwind::Table) -> Result<(Executable, Placed), TableError> {
        let pages = table.index.len().saturating_sub(1) as u32;
        if pages == 0 || table.rows.is_empty() {
            return Ok((Executable::default(), Placed::default()));
        }
        self.wake();
        let cells = table.index.len() + table.rows.len();
        let cells = u32::try_from(cells).unwrap_or(u32::MAX);
        let range = self.room.allocate(cells).ok_or(TableError::Budget {
            budget: self.budget,
        })?;
        let rules = match self.intern_rules(&table.rules) {
            Ok(rules) => rules,
            Err(error) => {
                self.room.free(range);
                return Err(error);
            }
        };
        let rows = range.first + table.index.len() as u32;
        let packed = table.rows.iter().map(|&row| {
            let rule = rules.get((row >> 16) as usize).copied().unwrap_or(0);
            pack(row as u16, rule)
        });
        let written = self.write(range.first, table.index.iter().copied().chain(packed));
        let placed = Placed { range, rules };
        if let Err(error) = written {
            self.remove(placed);
            return Err(error);
        }
        let executable = Executable {
            index: range.first,
            pages,
            first_page: table.first_page,
            rows,
            ..Executable::default()
        };
        Ok((executable, placed))
    }

    /// Gives back what a file has, once the kernel side does not look that up any more: a walk that
    /// is under way may still read it, so it is given to nobody else for a while.
    pub fn remove(&mut self, placed: Placed) {
        if placed.range.cells != 0 {
            self.room.rest(placed);
        }
    }

    /// Whether all of a file would find room if the table were empty.
    pub fn can_hold(&self, table: &unwind::Table) -> bool {
        let cells = table.index.len() + table.rows.len();
        cells <= self.budget as usize * SHARD_CELLS as usize
    }

    /// Cells in use, given back ones that rest among them, and cells that there are room for.
    pub fn occupancy(&self) -> (u64, u64) {
        let all = u64::from(self.budget) * u64::from(SHARD_CELLS);
        (all - self.room.cells(), all)
    }

    /// How many cells are free, or will be soon.
    pub fn free_soon(&self) -> u64 {
        self.room.cells() + self.room.resting()
    }

    /// Whether something was given back that nobody may have yet.
    pub fn rests(&self) -> bool {
        self.room.resting() > 0
    }

    fn wake(&mut self) {
        for rules in self.room.wake() {
            self.rules.release(&rules);
        }
    }

    /// The rule at an offset of a file that was told to the kernel side, by what is told there.
    pub fn rule(&self, file: &Executable, offset: u64) -> Option<Rule> {
        match find_rule(file, offset, |cell| self.cell(cell)) {
            RULE_NONE => None,
            number => self.rules.get(number),
        }
    }

    fn cell(&self, number: u32) -> Option<u32> {
        let shard = self
            .shards
            .get((number >> SHARD_SHIFT) as usize)?
            .as_ref()?;
        let place = (number & (SHARD_CELLS - 1)) as usize * 4;
        let cell = shard.cells.get(place..place + 4)?;
        Some(u32::from_ne_bytes(cell.try_into().ok()?))
    }

    /// Memory of the shards that exist, in bytes.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().flatten().count() as u64 * SHARD_CELLS as u64 * 4
    }

    /// Global numbers of a file's rules.
    fn intern_rules(&mut self, rules: &[Rule]) -> Result<Box<[u16]>, TableError> {
        let mut numbers = Vec::with_capacity(rules.len());
        for (local, rule) in rules.iter().enumerate() {
            if local == 0 {
                numbers.push(0);
                continue;
            }
            let interned = match self.rules.intern(rule) {
                Some((number, false)) => Ok(number),
                Some((number, true)) => self
                    .rules_map
                    .set(u32::from(number), Plain(*rule), 0)
                    .map(|()| number)
                    .map_err(TableError::Shard),
                None => Err(TableError::Rules),
            };
            match interned {
                Ok(number) => numbers.push(number),
                Err(error) => {
                    self.rules.release(&numbers);
                    return Err(error);
                }
            }
        }
        Ok(numbers.into())
    }

    fn write(&mut self, first: u32, cells: impl Iterator<Item = u32>) -> Result<(), TableError> {
        for (number, value) in (first..).zip(cells) {
            let shard = self.shard(number >> SHARD_SHIFT)?;
            let place = (number & (SHARD_CELLS - 1)) as usize * 4;
            if let Some(cell) = shard.cells.get_mut(place..place + 4) {
                cell.copy_from_slice(&value.to_ne_bytes());
            }
        }
        Ok(())
    }

    fn shard(&mut self, number: u32) -> Result<&mut Shard, TableError> {
        let Some(slot) = self.shards.get_mut(number as usize) else {
            return Err(TableError::Budget {
                budget: self.budget,
            });
        };
        if slot.is_none() {
            let kind = aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_ARRAY as u32;
            let shape = aya_obj::Map::new_from_params(kind, 4, 8, SHARD_CELLS / 2, BPF_F_MMAPABLE);
            let map = MapData::create(shape, "strata_rows", None).map_err(TableError::Shard)?;
            let cells = map_cells(&map)?;
            self.outer.set(number, &map, 0).map_err(TableError::Shard)?;
            *slot = Some(Shard { cells, _map: map });
        }
        slot.as_mut().ok_or(TableError::Budget {
            budget: self.budget,
        })
    }
}

/// Flag of arrays that userspace may map (5.5+).
const BPF_F_MMAPABLE: u32 = 1 << 10;

fn map_cells(map: &MapData) -> Result<MmapMut, TableError> {
    let fd = map.fd().as_fd().as_raw_fd();
    // SAFETY: the map is ours alone; the kernel side only reads it, in aligned words.
    unsafe { MmapOptions::new().len(SHARD_CELLS as usize * 4).map_mut(fd) }.map_err(TableError::Map)
}
