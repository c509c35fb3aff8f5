//! Unwind rows: 4 bytes a row behind an index of 1 KiB pages (25–31 ns a search, warm or cold,
//! where a plain binary search over 8-byte rows costs 42–103).
//!
//! The table lives in *cells* of 4 bytes. A cell number is a reference: its upper bits name the
//! shard (one BPF array of [`SHARD_CELLS`]), its lower ones the cell in it, so that memory is
//! taken a shard at a time and given back. A file's cells are consecutive and may run over into
//! the following shards.
//!
//! A row says: from this file offset on, until the next row, this rule holds. Index entry `p` is
//! the number (relative to the file's first row) of the row in force at the first byte of page
//! `first_page + p`; one entry more follows the last page.

use crate::executable::Executable;

/// Bytes of code a page of the index covers, as a shift.
pub const PAGE_SHIFT: u32 = 10;
/// Cells of 4 bytes in a shard: 1 MiB.
pub const SHARD_CELLS: u32 = 1 << SHARD_SHIFT;
pub const SHARD_SHIFT: u32 = 18;
/// Most shards that can be referred to.
pub const SHARDS: u32 = 512;
/// Turns that a search in one page can take: a page holds at most 1,024 rows.
pub const SEARCH_STEPS: u32 = 11;

/// Rule number of a stretch for which there is no rule.
pub const RULE_NONE: u16 = 0;
/// Rule number of the outermost function of a thread or process: the stack ends here.
pub const RULE_END: u16 = 1;
/// Most rules, all files together. At most 804 different ones were seen in one file.
pub const RULES: u32 = 16_384;

/// A row as it is stored: low half of the file offset, number of the rule.
#[inline(always)]
pub const fn pack(offset_low: u16, rule: u16) -> u32 {
    (rule as u32) << 16 | offset_low as u32
}

/// The rule in force at `offset` (a file offset), or [`RULE_NONE`] when the table has none.
/// `cell` reads one cell; `None` from it ends the search.
#[inline(always)]
pub fn find_rule(table: &Executable, offset: u64, cell: impl Fn(u32) -> Option<u32>) -> u16 {
    let page = (offset >> PAGE_SHIFT).wrapping_sub(table.first_page as u64);
    if page >= table.pages as u64 {
        return RULE_NONE;
    }
    let entry = table.index.wrapping_add(page as u32);
    let (Some(first), Some(last)) = (cell(entry), cell(entry.wrapping_add(1))) else {
        return RULE_NONE;
    };
    // Row `first` is in force where the page begins; rows first + 1 ..= last begin in this page
    // (the last one perhaps with the next page). Their low halves count from the page's start.
    let start = ((offset >> PAGE_SHIFT) << PAGE_SHIFT) as u16;
    let wanted = (offset as u16).wrapping_sub(start);
    // `rows` shrinks the same way on both sides of the comparison, so that the eBPF verifier finds
    // the two states equal and goes on from one of them.
    let mut low = first;
    let mut rows = last.wrapping_sub(first).wrapping_add(1);
    for _ in 0..SEARCH_STEPS {
        if rows <= 1 {
            break;
        }
        let half = rows >> 1;
        let middle = low.wrapping_add(half);
        let Some(row) = cell(table.rows.wrapping_add(middle)) else {
            return RULE_NONE;
        };
        if (row as u16).wrapping_sub(start) <= wanted {
            low = middle;
        }
        rows -= half;
    }
    match cell(table.rows.wrapping_add(low)) {
        Some(row) => (row >> 16) as u16,
        None => RULE_NONE,
    }
}
