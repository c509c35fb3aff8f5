//! Names of one file's functions: its symbol tables, and its debug information where there is any.

use std::collections::HashMap;
use std::sync::Arc;

use super::debug_file;
use super::demangle::demangle;
use super::dwarf::{DebugInfo, Limits, Scope};
use super::elf::{self, Elf, Segment};
use super::error::SymbolError;
use super::gopclntab::GoTable;
use super::range_map::{Entry, RangeMap};
use super::source::ExecutableFile;
use super::symbol_table::{Builder, Found, SymbolTable};
use super::{Options, Symbol};

/// What was read of a file.
pub struct NativeFile {
    is_whole: bool,
    segments: Vec<Segment>,
    table: SymbolTable,
    debug: Option<DebugInfo>,
    /// What Go programs know of themselves, where the others are silent.
    go: Option<GoTable>,
    /// Whether that may tell lines and inlined functions.
    go_lines: bool,
}

/// Most steps through tables of Go programs for one batch.
const GO_WORK: u64 = 1 << 28;

impl NativeFile {
    /// Reads what there is. A part that can't be read is an error, and left out.
    ///
    /// Of a file with large symbol tables only those symbols are kept that `svmas` need; see
    /// [`Self::is_whole`].
    pub fn load(
        file: &ExecutableFile,
        options: &Options,
        svmas: &[u64],
    ) -> (Self, Vec<SymbolError>) {
        let mut errors = Vec::new();
        let mut loaded = Self {
            is_whole: true,
            segments: Vec::new(),
            table: SymbolTable::default(),
            debug: None,
            go: None,
            go_lines: options.debug_information,
        };
        let elf = match Elf::parse(&file.source) {
            Ok(elf) => elf,
            Err(error) => return (loaded, vec![error]),
        };
        loaded.segments.clone_from(&elf.segments);
        let code = code(&elf);
        let separate = if elf.section(".debug_info").is_none() {
            debug_file::find(&elf, &file.path, &options.debug_directories)
        } else {
            None
        };
        let separate = separate
            .as_ref()
            .and_then(|(_, source)| match Elf::parse(source) {
                Ok(elf) => Some(elf),
                Err(error) => {
                    errors.push(error);
                    None
                }
            });
        let tables = table_bytes(&elf) + separate.as_ref().map_or(0, table_bytes);
        loaded.is_whole = tables <= options.whole_table_bytes;
        let mut builder = if loaded.is_whole {
            Builder::default()
        } else {
            let mut wanted = svmas.to_vec();
            wanted.sort_unstable();
            Builder::of(wanted)
        };
        for elf in [Some(&elf), separate.as_ref()].into_iter().flatten() {
            errors.extend(builder.add(elf));
        }
        loaded.table = builder.build(&code);

        if options.debug_information {
            match debug_information(separate.as_ref().unwrap_or(&elf), &code, options) {
                Ok(debug) => loaded.debug = debug,
                Err(error) => errors.push(error),
            }
        }
        match GoTable::load(&elf) {
            Ok(go) => loaded.go = go,
            Err(error) => errors.push(error),
        }
        (loaded, errors)
    }

    /// Whether it answers for all svmas, and not only for those that it was loaded for.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The symbols at each of `svmas`, innermost first; an empty list where nothing is known.
    pub fn symbols(&self, svmas: &[u64]) -> (Vec<Vec<Symbol>>, Option<SymbolError>) {
        let mut sorted = svmas.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let (scopes, error) = match &self.debug {
            Some(debug) => {
                let symbol = |svma| Some(self.table.get(svma)?.name.to_owned());
                debug.scopes(&sorted, symbol)
            }
            None => (Vec::new(), None),
        };
        let mut texts = Texts::default();
        let mut work = GO_WORK;
        let symbols = svmas.iter().map(|svma| {
            let position = sorted.partition_point(|other| other < svma);
            let scopes = scopes.get(position).map_or(&[][..], Vec::as_slice);
            let go = self.go.as_ref();
            let in_go = go.and_then(|go| go.get(*svma));
            let found = self.table.get(*svma).or(in_go);
            // Where the symbol table knows of another function, the line would not be its own.
            let agrees = found.map(|found| found.start) == in_go.map(|found| found.start);
            match go.filter(|_| self.go_lines && agrees && scopes.is_empty()) {
                Some(go) => combine(found, &go.scopes(*svma, &mut work), &mut texts),
                None => combine(found, scopes, &mut texts),
            }
        });
        let symbols = symbols.collect();
        let too_costly = (work == 0).then_some(SymbolError::GoTooCostly);
        (symbols, error.or(too_costly))
    }

    pub fn svma(&self, offset: u64) -> Option<u64> {
        elf::svma(&self.segments, offset)
    }

    /// Estimate of the memory that it holds.
    pub fn bytes(&self) -> usize {
        let debug = self.debug.as_ref().map_or(0, DebugInfo::bytes);
        self.table.bytes() + debug + self.go.as_ref().map_or(0, GoTable::bytes)
    }
}

/// Bytes of a file's symbol tables with their names, as they are in memory.
fn table_bytes(elf: &Elf<'_>) -> u64 {
    let tables = [".symtab", ".dynsym"].map(|name| elf.section(name));
    let tables = tables.into_iter().flatten();
    let names = |table: &elf::Section| {
        let names = elf.sections.get(table.link as usize);
        names.map_or(0, |names| names.size)
    };
    tables.fold(0_u64, |sum, table| {
        sum.saturating_add(table.size).saturating_add(names(table))
    })
}

/// Executable segments.
pub(super) fn code(elf: &Elf<'_>) -> RangeMap {
    let segments = elf.segments.iter().filter(|segment| segment.executable);
    let entries = segments.map(|segment| Entry {
        key: 0,
        start: segment.svma,
        end: segment.svma.saturating_add(segment.memory_size),
        value: 0,
    });
    RangeMap::new(entries.collect())
}

fn debug_information(
    elf: &Elf<'_>,
    code: &RangeMap,
    options: &Options,
) -> Result<Option<DebugInfo>, SymbolError> {
    let limits = Limits {
        bytes: options.debug_information_bytes,
        time: options.debug_information_time,
    };
    let supplement = debug_file::supplement(elf, &options.debug_directories);
    let supplement = supplement.as_ref().map(Elf::parse).transpose()?;
    DebugInfo::load(elf, supplement.as_ref(), code, limits)
}

/// The outermost function has the name of its symbol, so that it is what `nm` says; what is inlined
/// there only the debug information knows.
fn combine(found: Option<Found<'_>>, scopes: &[Scope], texts: &mut Texts) -> Vec<Symbol> {
    let outer = scopes.iter().position(|scope| !scope.inlined);
    let (inner, outer) = match outer {
        Some(position) => (&scopes[..position], Some(&scopes[position])),
        None => (scopes, None),
    };
    let mut symbols = Vec::with_capacity(scopes.len().max(1));
    for scope in inner {
        // Without a name it is left out: its caller still has the right line.
        if let Some(name) = &scope.name {
            symbols.push(symbol(texts.get(name), Some(scope)));
        }
    }
    let outermost = match (found, outer) {
        (Some(found), outer) => {
            let mut symbol = symbol(texts.of(found), outer);
            symbol.start = Some(found.start);
            Some(symbol)
        }
        (None, Some(scope)) => {
            let name = scope.name.as_deref();
            name.map(|name| symbol(texts.get(name), Some(scope)))
        }
        (None, None) => None,
    };
    match outermost {
        Some(outermost) => symbols.push(outermost),
        // Inlined into something without a name.
        None => symbols.clear(),
    }
    symbols
}

fn symbol((name, system_name): (Arc<str>, Arc<str>), scope: Option<&Scope>) -> Symbol {
    Symbol {
        name,
        system_name,
        file: scope.and_then(|scope| scope.file.clone()),
        line: scope.and_then(|scope| scope.line),
        first_line: scope.and_then(|scope| scope.first_line),
        inlined: scope.is_some_and(|scope| scope.inlined),
        start: None,
        module: None,
    }
}

/// Demangled and mangled names, each made once a batch.
#[derive(Default)]
struct Texts {
    known: HashMap<String, (Arc<str>, Arc<str>)>,
}

impl Texts {
    fn get(&mut self, name: &str) -> (Arc<str>, Arc<str>) {
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        let demangled = demangle(name);
        let system_name: Arc<str> = name.into();
        let shown = if demangled == name {
            Arc::clone(&system_name)
        } else {
            demangled.into()
        };
        let texts = (shown, system_name);
        self.known.insert(name.to_owned(), texts.clone());
        texts
    }

    fn of(&mut self, found: Found<'_>) -> (Arc<str>, Arc<str>) {
        let (name, system_name) = self.get(found.name);
        if !found.plt {
            return (name, system_name);
        }
        (
            format!("{name}@plt").into(),
            format!("{system_name}@plt").into(),
        )
    }
}

#[cfg(test)]
mod tests;
