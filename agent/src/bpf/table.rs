//! The table of page indices and rows: shards of 1 MiB, made as they are needed and filled through
//! mmap (0.2 ms for what 100,000 single updates do in 100–340).

use std::collections::HashMap as StdHashMap;
use std::os::fd::{AsFd, AsRawFd};

use agent_common::executable::Executable;
use agent_common::row::{RULE_END, RULES, SHARD_CELLS, SHARD_SHIFT, SHARDS, pack};
use agent_common::step::Rule;
use aya::maps::{Array, ArrayOfMaps, MapData};
use memmap2::{MmapMut, MmapOptions};

use super::load::{LoadError, Loaded, access};
use super::plain::Plain;
use crate::unwind;

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

/// A file's stretch of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub first: u32,
    pub cells: u32,
}

/// Owner of the table's memory.
pub struct Table {
    outer: ArrayOfMaps<MapData, MapData>,
    rules_map: Array<MapData, Plain<Rule>>,
    shards: Vec<Option<Shard>>,
    /// Stretches that are free, in order.
    free: Vec<Range>,
    rules: StdHashMap<Rule, u16>,
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
            free: vec![Range { first: 0, cells }],
            rules: StdHashMap::from([(Rule::END, RULE_END)]),
            budget,
        })
    }

    /// Puts a file's table in. The returned description still lacks its id and interpreter.
    pub fn insert(&mut self, table: &unwind::Table) -> Result<(Executable, Range), TableError> {
        let pages = table.index.len().saturating_sub(1) as u32;
        if pages == 0 || table.rows.is_empty() {
            return Ok((Executable::default(), Range { first: 0, cells: 0 }));
        }
        let rules = self.intern_rules(&table.rules)?;
        let cells = table.index.len() + table.rows.len();
        let range = self.allocate(u32::try_from(cells).unwrap_or(u32::MAX))?;
        let rows = range.first + table.index.len() as u32;
        let packed = table.rows.iter().map(|&row| {
            let rule = rules.get((row >> 16) as usize).copied().unwrap_or(0);
            pack(row as u16, rule)
        });
        if let Err(error) = self.write(range.first, table.index.iter().copied().chain(packed)) {
            self.remove(range);
            return Err(error);
        }
        let executable = Executable {
            index: range.first,
            pages,
            first_page: table.first_page,
            rows,
            ..Executable::default()
        };
        Ok((executable, range))
    }

    /// Gives a file's cells back. Its rules stay: files share most of them.
    pub fn remove(&mut self, range: Range) {
        if range.cells == 0 {
            return;
        }
        let place = self.free.partition_point(|free| free.first < range.first);
        self.free.insert(place, range);
        self.free.dedup_by(|next, kept| {
            let joins = kept.first + kept.cells == next.first;
            if joins {
                kept.cells += next.cells;
            }
            joins
        });
    }

    /// Memory of the shards that exist, in bytes.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().flatten().count() as u64 * SHARD_CELLS as u64 * 4
    }

    /// Global numbers of a file's rules.
    fn intern_rules(&mut self, rules: &[Rule]) -> Result<Vec<u16>, TableError> {
        let mut numbers = Vec::with_capacity(rules.len());
        for (local, rule) in rules.iter().enumerate() {
            if local == 0 {
                numbers.push(0);
                continue;
            }
            if let Some(&known) = self.rules.get(rule) {
                numbers.push(known);
                continue;
            }
            let number = self.rules.len() as u32 + 1;
            if number >= RULES {
                return Err(TableError::Rules);
            }
            self.rules_map
                .set(number, Plain(*rule), 0)
                .map_err(TableError::Shard)?;
            self.rules.insert(*rule, number as u16);
            numbers.push(number as u16);
        }
        Ok(numbers)
    }

    /// First fit.
    fn allocate(&mut self, cells: u32) -> Result<Range, TableError> {
        let budget = TableError::Budget {
            budget: self.budget,
        };
        let Some(place) = self.free.iter().position(|free| free.cells >= cells) else {
            return Err(budget);
        };
        let free = &mut self.free[place];
        let range = Range {
            first: free.first,
            cells,
        };
        free.first += cells;
        free.cells -= cells;
        if free.cells == 0 {
            self.free.remove(place);
        }
        Ok(range)
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
