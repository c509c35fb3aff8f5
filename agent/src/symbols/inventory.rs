//! Where a file's names come from, for people: which tables there are and what is in them.

use std::path::PathBuf;

use super::Options;
use super::debug_file;
use super::elf::Elf;
use super::error::SymbolError;
use super::gopclntab::GoTable;
use super::identity;
use super::native;
use super::source::ExecutableFile;
use super::symbol_table::Builder;

/// What a file has to name its functions with.
#[derive(Debug, Default)]
pub struct Inventory {
    /// In hexadecimal digits.
    pub build_id: Option<String>,
    /// How many symbols of functions each table gives, those of a separate debug file apart.
    pub tables: Vec<(&'static str, usize)>,
    pub debug_file_tables: Vec<(&'static str, usize)>,
    pub debug_file: Option<PathBuf>,
    /// Whether there is DWARF, which has lines and inlined functions.
    pub dwarf: bool,
    pub errors: Vec<SymbolError>,
}

/// Looks through a file as the names of its functions are looked for.
pub fn take(file: &ExecutableFile, options: &Options) -> Inventory {
    let mut found = Inventory::default();
    let elf = match Elf::parse(&file.source) {
        Ok(elf) => elf,
        Err(error) => {
            found.errors.push(error);
            return found;
        }
    };
    let id = elf.build_id();
    found.build_id = id.map(|id| identity::hex(&id));
    let mut builder = Builder::default();
    found.errors.extend(builder.add(&elf));
    let code = native::code(&elf);
    found.tables = builder.counts(&code);
    match GoTable::load(&elf) {
        Ok(Some(table)) => found.tables.push((".gopclntab", table.count())),
        Ok(None) => {}
        Err(error) => found.errors.push(error),
    }
    found.dwarf = elf.section(".debug_info").is_some();
    if found.dwarf {
        return found;
    }
    let Some((path, source)) = debug_file::find(&elf, &file.path, &options.debug_directories)
    else {
        return found;
    };
    found.debug_file = Some(path);
    match Elf::parse(&source) {
        Ok(separate) => {
            let mut builder = Builder::default();
            found.errors.extend(builder.add(&separate));
            found.debug_file_tables = builder.counts(&code);
            found.dwarf = separate.section(".debug_info").is_some();
        }
        Err(error) => found.errors.push(error),
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn own_file() {
        let path = std::env::current_exe().expect("our own path");
        let file = Arc::new(File::open(&path).expect("our own file"));
        let file = ExecutableFile::new(1, path.to_string_lossy(), file);
        let found = take(&file, &Options::default());
        assert!(found.errors.is_empty(), "{:?}", found.errors);
        let symtab = found.tables.iter().find(|(name, _)| *name == ".symtab");
        assert!(symtab.is_some_and(|(_, count)| *count > 1000), "{found:?}");
        assert_eq!(found.build_id.map(|id| id.len()), Some(40));
    }
}
