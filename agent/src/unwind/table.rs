//! The table of one file, and how it is filled.

use agent_common::executable::Executable;
use agent_common::row::{PAGE_SHIFT, RULE_NONE, find_rule, pack};
use agent_common::step::Rule;

use super::UnwindError;

/// Most rows of one file: 64 MiB. The largest library that was seen has 1.1 million.
pub(super) const MOST_ROWS: usize = 16 << 20;
/// Most bytes between a table's first and last row.
const LARGEST: u64 = 1 << 32;

/// Unwind rows of a file, keyed by file offset, in the layout of [`agent_common::row`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// File offset >> 10 of the first page.
    pub first_page: u32,
    /// One entry a page and one more: number of the row in force where the page starts.
    pub index: Vec<u32>,
    /// [`pack`]ed; the rule numbers are places in `rules`.
    pub rows: Vec<u32>,
    /// Local numbering: 0 stands for "no rule", 1 is [`Rule::END`].
    pub rules: Vec<Rule>,
}

impl Table {
    /// Number of the rule at `offset` (a file offset), or [`RULE_NONE`]: the search of the kernel
    /// side.
    pub fn rule_number(&self, offset: u64) -> u16 {
        let rows = self.index.len() as u32;
        let table = Executable {
            pages: rows.saturating_sub(1),
            first_page: self.first_page,
            index: 0,
            rows,
            ..Executable::default()
        };
        find_rule(&table, offset, |cell| match cell.checked_sub(rows) {
            None => self.index.get(cell as usize).copied(),
            Some(row) => self.rows.get(row as usize).copied(),
        })
    }

    /// The rule at `offset` (a file offset).
    pub fn rule(&self, offset: u64) -> Option<&Rule> {
        match self.rule_number(offset) {
            RULE_NONE => None,
            number => self.rules.get(number as usize),
        }
    }

    /// Cells of 4 bytes that rows and index take.
    pub fn cells(&self) -> usize {
        self.index.len() + self.rows.len()
    }
}

/// Takes rows in the order of their offsets.
pub(super) struct Builder {
    first_page: u64,
    index: Vec<u32>,
    rows: Vec<u32>,
    /// Rule number of the last row.
    last: u16,
}

impl Builder {
    /// For code at `start..end` (file offsets), which has about `rows` rows.
    pub fn new(start: u64, end: u64, rows: usize) -> Result<Self, UnwindError> {
        let first_page = start >> PAGE_SHIFT;
        if end - start > LARGEST || first_page > u32::MAX as u64 {
            return Err(UnwindError::TooLarge(end));
        }
        let mut rows = Vec::with_capacity(rows.min(MOST_ROWS));
        let page_start = first_page << PAGE_SHIFT;
        if page_start < start {
            rows.push(pack(page_start as u16, RULE_NONE));
        }
        Ok(Self {
            first_page,
            index: vec![0],
            rows,
            last: RULE_NONE,
        })
    }

    /// From `offset` on, rule `number` holds. Offsets must grow from call to call.
    #[inline]
    pub fn push(&mut self, offset: u64, number: u16) -> Result<(), UnwindError> {
        if number == self.last && !self.rows.is_empty() {
            return Ok(());
        }
        if self.rows.len() >= MOST_ROWS {
            return Err(UnwindError::TooManyRows(MOST_ROWS));
        }
        // Pages that start before this row have the one before it in force; a page that starts
        // with it has this one.
        let row = self.rows.len() as u32;
        let page = ((offset >> PAGE_SHIFT) - self.first_page) as usize;
        if page >= self.index.len() {
            self.index.resize(page, row - 1);
            let starts_page = offset & ((1 << PAGE_SHIFT) - 1) == 0;
            self.index.push(if starts_page { row } else { row - 1 });
        }
        self.rows.push(pack(offset as u16, number));
        self.last = number;
        Ok(())
    }

    /// The table. Its last row ends at `end`.
    pub fn finish(mut self, end: u64, rules: Vec<Rule>) -> Result<Table, UnwindError> {
        if end & ((1 << PAGE_SHIFT) - 1) != 0 {
            self.push(end, RULE_NONE)?;
        }
        let pages = (end.div_ceil(1 << PAGE_SHIFT) - self.first_page) as usize;
        self.index
            .resize(pages + 1, self.rows.len().saturating_sub(1) as u32);
        self.rows.shrink_to_fit();
        let first_page = self.first_page as u32;
        Ok(Table {
            first_page,
            index: self.index,
            rows: self.rows,
            rules,
        })
    }
}
