//! Names of kernel functions from `/proc/kallsyms`.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::sync::Arc;

use super::Symbol;
use super::demangle::demangle;
use super::error::SymbolError;

/// Most bytes of `/proc/kallsyms`. A kernel with many modules has 20 MB of it.
const LIMIT: u64 = 256 << 20;
/// The last symbol of a module ends somewhere on its page: there is no size in kallsyms.
const PAGE: u64 = 4096;
/// Module of the kernel's own functions.
const KERNEL: &str = "[kernel]";

/// The kernel's functions, modules' and BPF programs' among them.
#[derive(Debug, Default)]
pub struct KernelSymbols {
    text: Vec<u8>,
    /// Ascending, without overlaps.
    functions: Vec<Function>,
}

#[derive(Clone, Copy, Debug)]
struct Function {
    start: u64,
    end: u64,
    /// Place of its name in the text, and of its module (empty: the kernel itself).
    name: (u32, u16),
    module: (u32, u16),
}

/// A line of kallsyms.
#[derive(Clone, Copy)]
struct Line {
    address: u64,
    kind: u8,
    name: (u32, u16),
    module: (u32, u16),
}

impl KernelSymbols {
    /// Reads the symbols of the running kernel.
    pub fn load() -> Result<Self, SymbolError> {
        let what = "/proc/kallsyms";
        let read = |cause| SymbolError::Read { what, cause };
        let mut text = Vec::new();
        let file = fs::File::open(what).map_err(read)?;
        file.take(LIMIT).read_to_end(&mut text).map_err(read)?;
        Self::parse(text)
    }

    /// Takes the text of kallsyms.
    pub fn parse(text: Vec<u8>) -> Result<Self, SymbolError> {
        let mut lines: Vec<Line> = lines(&text).collect();
        if lines.is_empty() {
            let cause = io::Error::from(io::ErrorKind::UnexpectedEof);
            let what = "/proc/kallsyms";
            return Err(SymbolError::Read { what, cause });
        }
        lines.retain(|line| line.address != 0);
        if lines.is_empty() {
            return Err(SymbolError::KernelRestricted);
        }
        // At one address functions come first, then global symbols, then short names.
        lines.sort_by_key(|line| {
            let code = !is_code(line.kind);
            let local = line.kind.is_ascii_lowercase();
            (line.address, code, local, line.name.1, line.name.0)
        });
        lines.dedup_by_key(|line| line.address);
        let mut functions = Vec::new();
        for (position, line) in lines.iter().enumerate() {
            if !is_code(line.kind) {
                continue;
            }
            let slice = |place| part(&text, place);
            let next = lines.get(position + 1);
            let same = next.filter(|next| slice(next.module) == slice(line.module));
            let page = line
                .address
                .saturating_add(1)
                .checked_next_multiple_of(PAGE);
            let page = page.unwrap_or(u64::MAX);
            let end = match (same, next) {
                (Some(next), _) => next.address,
                (None, Some(next)) => page.min(next.address),
                (None, None) => page,
            };
            functions.push(Function {
                start: line.address,
                end,
                name: line.name,
                module: line.module,
            });
        }
        functions.shrink_to_fit();
        let mut symbols = Self { text, functions };
        symbols.compact();
        Ok(symbols)
    }

    /// Keeps the names of functions alone: addresses and data are most of the text.
    fn compact(&mut self) {
        let mut text = Vec::new();
        let mut modules = HashMap::new();
        for function in &mut self.functions {
            let start = text.len() as u32;
            text.extend(part(&self.text, function.name));
            function.name.0 = start;
            let module = part(&self.text, function.module);
            function.module.0 = *modules.entry(module).or_insert_with(|| {
                let start = text.len() as u32;
                text.extend(module);
                start
            });
        }
        text.shrink_to_fit();
        self.text = text;
    }

    /// How many functions there are.
    pub fn count(&self) -> usize {
        self.functions.len()
    }

    pub fn get(&self, address: u64) -> Option<Symbol> {
        let behind = self
            .functions
            .partition_point(|function| function.start <= address);
        let function = self.functions.get(behind.checked_sub(1)?)?;
        if address >= function.end {
            return None;
        }
        let system_name = String::from_utf8_lossy(part(&self.text, function.name));
        let module = String::from_utf8_lossy(part(&self.text, function.module));
        let module = if module.is_empty() { KERNEL } else { &module };
        Some(Symbol {
            name: demangle(&system_name).into(),
            system_name: system_name.into(),
            start: Some(function.start),
            module: Some(Arc::from(module)),
            ..Symbol::default()
        })
    }

    pub fn bytes(&self) -> usize {
        self.text.capacity() + self.functions.capacity() * size_of::<Function>()
    }
}

fn is_code(kind: u8) -> bool {
    matches!(kind, b't' | b'T' | b'w' | b'W')
}

fn part(text: &[u8], (start, size): (u32, u16)) -> &[u8] {
    let start = start as usize;
    text.get(start..start + size as usize).unwrap_or_default()
}

/// The lines `ADDRESS KIND NAME [MODULE]`.
fn lines(text: &[u8]) -> impl Iterator<Item = Line> {
    let mut start = 0;
    text.split_inclusive(|byte| *byte == b'\n')
        .filter_map(move |line| {
            let offset = start;
            start += line.len();
            let mut words = line
                .split(|byte| byte.is_ascii_whitespace())
                .filter(|word| !word.is_empty());
            let place = |word: &[u8]| {
                let within = word.as_ptr() as usize - line.as_ptr() as usize;
                let start = u32::try_from(offset + within).ok()?;
                Some((start, u16::try_from(word.len()).ok()?))
            };
            let address = std::str::from_utf8(words.next()?).ok()?;
            let address = u64::from_str_radix(address, 16).ok()?;
            let kind = *words.next()?.first()?;
            let name = place(words.next()?)?;
            let module = words.next().map_or(Some((0, 0)), place)?;
            Some(Line {
                address,
                kind,
                name,
                module,
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000000 t a_local
ffffffff81000040 t do_one
ffffffff81000080 T do_two
ffffffff81000100 T _etext
ffffffff81000200 D some_data
ffffffff81000300 T behind_data
ffffffffc0000000 t first\t[one]
ffffffffc0000800 t last\t[one]
ffffffffc0004000 t other\t[two]
";

    fn symbols(text: &str) -> KernelSymbols {
        KernelSymbols::parse(text.into()).unwrap()
    }

    fn name(symbols: &KernelSymbols, address: u64) -> Option<String> {
        Some(symbols.get(address)?.name.to_string())
    }

    #[test]
    fn functions_reach_to_the_next_symbol() {
        let symbols = symbols(TEXT);
        let name = |address| name(&symbols, address);
        assert_eq!(name(0xffff_ffff_80ff_ffff), None);
        assert_eq!(name(0xffff_ffff_8100_0000).as_deref(), Some("_text"));
        assert_eq!(name(0xffff_ffff_8100_007f).as_deref(), Some("do_one"));
        assert_eq!(name(0xffff_ffff_8100_0080).as_deref(), Some("do_two"));
        assert_eq!(name(0xffff_ffff_8100_0200), None);
        assert_eq!(name(0xffff_ffff_8100_0300).as_deref(), Some("behind_data"));
    }

    #[test]
    fn a_module_ends_before_another_begins() {
        let symbols = symbols(TEXT);
        let found = symbols.get(0xffff_ffff_c000_0fff).unwrap();
        assert_eq!(
            (&*found.name, found.module.as_deref()),
            ("last", Some("[one]"))
        );
        assert_eq!(name(&symbols, 0xffff_ffff_c000_1000), None);
        assert_eq!(name(&symbols, 0xffff_ffff_8100_1000), None);
        assert_eq!(
            name(&symbols, 0xffff_ffff_c000_4001).as_deref(),
            Some("other")
        );
        assert_eq!(name(&symbols, 0xffff_ffff_c000_5000), None);
    }

    /// Each function of the running kernel has one of the names that stand at its address.
    #[test]
    fn own_kernel() {
        let Ok(symbols) = KernelSymbols::load() else {
            return;
        };
        let text = fs::read_to_string("/proc/kallsyms").unwrap();
        let mut names = std::collections::HashMap::<u64, Vec<&str>>::new();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if is_code(words[1].as_bytes()[0]) {
                let address = u64::from_str_radix(words[0], 16).unwrap();
                names.entry(address).or_default().push(words[2]);
            }
        }
        assert!(names.len() > 1000);
        for (address, names) in names {
            // BPF programs come and go meanwhile.
            if let Some(found) = symbols.get(address)
                && found.start == Some(address)
            {
                assert!(
                    names.contains(&&*found.system_name),
                    "{found:?} is {names:?}"
                );
            }
        }
    }

    #[test]
    fn hidden_addresses_are_an_error() {
        let error = KernelSymbols::parse(b"0000000000000000 T _text\n".to_vec());
        assert!(matches!(error, Err(SymbolError::KernelRestricted)));
        assert!(KernelSymbols::parse(Vec::new()).is_err());
        assert!(KernelSymbols::parse(b"rubbish\n\xff \n x y z".to_vec()).is_err());
    }
}
