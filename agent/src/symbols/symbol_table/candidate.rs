//! Symbols while a table is built, and which of several at one address holds.

use std::cmp::Ordering;

use super::{Symbol, name_at};

/// Bytes of a name that decide between aliases.
const HEAD: usize = 64;

const NO_TYPE: u8 = 0;
const FUNCTION: u8 = 2;
const IFUNC: u8 = 10;
const LOCAL: u8 = 0;

#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    pub symbol: Symbol,
    pub size: u64,
    /// Chooses an implementation of the function that it names.
    pub ifunc: bool,
    /// Local, no function: what speaks against a name.
    drawback: u8,
    /// Underscores that the name begins with, and its length: the plainest alias is the likeliest.
    underscores: usize,
    length: usize,
}

impl Candidate {
    /// Whether a symbol with this `st_info` chooses an implementation.
    pub fn is_ifunc(info: u8) -> bool {
        info & 15 == IFUNC
    }

    /// A symbol by its `st_info`; None if it can't be code.
    pub fn new(info: u8, start: u64, size: u64, name: u32, names: &[u8]) -> Option<Self> {
        let kind = info & 15;
        let local = info >> 4 == LOCAL;
        if !matches!(kind, NO_TYPE | FUNCTION | IFUNC) || size.checked_add(start).is_none() {
            return None;
        }
        let candidate = Self {
            symbol: Symbol {
                start,
                name,
                plt: false,
            },
            size,
            ifunc: Self::is_ifunc(info),
            drawback: u8::from(local) + 2 * u8::from(kind == NO_TYPE),
            underscores: 0,
            length: 0,
        };
        candidate.measured(names)
    }

    /// A PLT entry of the function with this name.
    pub fn plt(start: u64, size: u64, name: u32, names: &[u8]) -> Option<Self> {
        let mut candidate = Self::new(FUNCTION, start, size, name, names)?;
        candidate.symbol.plt = true;
        Some(candidate)
    }

    fn measured(mut self, names: &[u8]) -> Option<Self> {
        let name = name_at(names, self.symbol.name);
        self.underscores = name.iter().take_while(|byte| **byte == b'_').count();
        self.length = name.len();
        // `$x`, `$d`: mapping symbols of arm64.
        (!name.is_empty() && !name.starts_with(b"$")).then_some(self)
    }

    /// Ascending starts, the likeliest name of aliases first. A name is compared by its first
    /// bytes only: a hostile table has millions of long ones that differ in their last byte.
    pub fn compare(&self, other: &Self, names: &[u8]) -> Ordering {
        self.order()
            .cmp(&other.order())
            .then_with(|| self.head(names).cmp(other.head(names)))
            .then_with(|| self.symbol.name.cmp(&other.symbol.name))
    }

    fn order(&self) -> (u64, u8, usize, usize) {
        let start = self.symbol.start;
        (start, self.drawback, self.underscores, self.length)
    }

    fn head<'n>(&self, names: &'n [u8]) -> &'n [u8] {
        let start = self.symbol.name as usize;
        let end = start + self.length.min(HEAD);
        names.get(start..end).unwrap_or_default()
    }
}
