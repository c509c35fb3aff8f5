//! Which line an svma belongs to, and the names of source files.

use std::collections::HashMap;
use std::sync::Arc;

use super::names::text;
use super::watch::{Halt, Watch};
use super::{Dwarf, Unit};

/// Most bytes of a source file's path.
const PATH_LIMIT: usize = 4096;

/// A line of a source file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the file in its unit.
    pub file: u64,
    /// None: the compiler made this code, no line did.
    pub line: Option<u32>,
}

impl Place {
    pub fn new(file: u64, line: u64) -> Self {
        let line = u32::try_from(line).ok().filter(|line| *line != 0);
        Self { file, line }
    }
}

/// The places of `svmas` (ascending). Runs the unit's line program past them.
pub fn find(
    unit: &Unit<'_>,
    svmas: &[u64],
    in_code: &impl Fn(u64) -> bool,
    watch: &mut Watch,
) -> Result<Vec<Option<Place>>, Halt> {
    let mut places = vec![None; svmas.len()];
    let Some(program) = unit.line_program.clone() else {
        return Ok(places);
    };
    let mut rows = program.rows();
    // The row before this one, in a sequence that is real.
    let mut before: Option<(u64, Place)> = None;
    let mut first = true;
    // A program that ends in rubbish ends there.
    while let Ok(Some((_, row))) = rows.next_row() {
        watch.step()?;
        let address = row.address();
        if let Some((start, place)) = before {
            let from = svmas.partition_point(|svma| *svma < start);
            for position in from..svmas.len() {
                if svmas[position] >= address {
                    break;
                }
                watch.step()?;
                places[position].get_or_insert(place);
            }
        }
        let real = if first {
            in_code(address)
        } else {
            before.is_some()
        };
        first = row.end_sequence();
        before = (real && !first).then(|| {
            let line = row.line().map_or(0, u64::from);
            (address, Place::new(row.file_index(), line))
        });
    }
    Ok(places)
}

/// Paths of a unit's files.
pub struct Paths<'u, 'd> {
    dwarf: &'u Dwarf<'d>,
    unit: &'u Unit<'d>,
    known: HashMap<u64, Option<Arc<str>>>,
}

impl<'u, 'd> Paths<'u, 'd> {
    pub fn new(dwarf: &'u Dwarf<'d>, unit: &'u Unit<'d>) -> Self {
        Self {
            dwarf,
            unit,
            known: HashMap::new(),
        }
    }

    pub fn get(&mut self, file: u64) -> Option<Arc<str>> {
        if let Some(path) = self.known.get(&file) {
            return path.clone();
        }
        let path = self.compose(file).map(Arc::from);
        self.known.insert(file, path.clone());
        path
    }

    /// Compilation directory / directory / name, as far as they are relative.
    fn compose(&self, file: u64) -> Option<String> {
        let header = self.unit.line_program.as_ref()?.header();
        let file = header.file(file)?;
        let string = |value| text(self.dwarf.attr_string(self.unit, value).ok()?);
        let name = string(file.path_name())?;
        let directory = file.directory(header).and_then(string);
        let root = self.unit.comp_dir.and_then(text);
        let mut path = String::new();
        for part in [root, directory, Some(name)].into_iter().flatten() {
            if part.starts_with('/') {
                path.clear();
            } else if !path.is_empty() && !path.ends_with('/') {
                path.push('/');
            }
            path.push_str(&part);
        }
        (!path.is_empty() && path.len() <= PATH_LIMIT).then_some(path)
    }
}
