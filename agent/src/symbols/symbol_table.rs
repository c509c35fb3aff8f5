//! A file's symbol tables: which function's symbol covers an svma.
//!
//! A symbol covers what its size says and nothing behind it: in a gap there is no name, since what
//! stands there is often a function whose symbol was stripped. One without a size has a name for
//! its first byte only.

mod builder;
mod candidate;

use super::range_map::RangeMap;

pub use builder::Builder;

/// Most bytes of one name.
const NAME_LIMIT: usize = 16 << 10;

/// A symbol of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// Not demangled.
    pub name: &'a str,
    /// Where the symbol begins.
    pub start: u64,
    /// The PLT entry of that function rather than the function.
    pub plt: bool,
}

#[derive(Clone, Debug, Default)]
pub struct SymbolTable {
    /// Names, each ended by 0.
    names: Vec<u8>,
    symbols: Vec<Symbol>,
    /// Numbers of the symbols that hold.
    ranges: RangeMap,
}

#[derive(Clone, Copy, Debug)]
struct Symbol {
    start: u64,
    /// Where its name begins.
    name: u32,
    plt: bool,
}

impl SymbolTable {
    /// The symbol that covers an svma.
    pub fn get(&self, svma: u64) -> Option<Found<'_>> {
        let symbol = self.symbols.get(self.ranges.get(svma)? as usize)?;
        let name = std::str::from_utf8(name_at(&self.names, symbol.name)).ok()?;
        (!name.is_empty()).then_some(Found {
            name: without_version(name),
            start: symbol.start,
            plt: symbol.plt,
        })
    }

    pub fn bytes(&self) -> usize {
        let symbols = self.symbols.capacity() * size_of::<Symbol>();
        self.names.capacity() + symbols + self.ranges.bytes()
    }
}

/// The bytes of the name at an offset; none where there is no end to it.
fn name_at(names: &[u8], offset: u32) -> &[u8] {
    let rest = names.get(offset as usize..).unwrap_or_default();
    let rest = &rest[..rest.len().min(NAME_LIMIT)];
    let end = rest.iter().position(|byte| *byte == 0);
    &rest[..end.unwrap_or(0)]
}

/// Cuts a symbol version off (`memcpy@@GLIBC_2.14`).
fn without_version(name: &str) -> &str {
    match name.split_once('@') {
        Some((bare, version)) if !bare.is_empty() => {
            let version = version.trim_start_matches('@');
            let is_version = version.starts_with(|first: char| first.is_ascii_uppercase())
                || version.contains('.');
            if is_version { bare } else { name }
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests;
