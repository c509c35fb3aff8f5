//! What Strata makes of a file with code that a process has mapped: rows to unwind by, and names.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use super::report::{Finding, State};
use crate::process::ProcessHandle;
use crate::process::file_id::Wanted;
use crate::process::open::{OpenError, open_executable};
use crate::python::Binary;
use crate::session::loader;
use crate::session::space::Snapshot;
use crate::symbols::{ExecutableFile, Options, inventory};

/// Why something is missing: `name` is that of the statistics.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    pub name: &'static str,
    pub message: String,
}

/// A file.
#[derive(Debug, Default, Serialize)]
pub struct FileReport {
    pub path: String,
    /// Executable mappings of it.
    pub mappings: usize,
    pub build_id: Option<String>,
    pub rows: Option<usize>,
    /// Different rules among the rows.
    pub rules: Option<usize>,
    pub rows_from: Vec<&'static str>,
    pub rows_error: Option<Problem>,
    /// Symbols of functions by table.
    pub symbols: BTreeMap<&'static str, usize>,
    pub debug_file: Option<String>,
    pub debug_file_symbols: BTreeMap<&'static str, usize>,
    /// Whether there are lines and inlined functions.
    pub dwarf: bool,
    pub symbol_errors: Vec<String>,
    /// Why it was not opened.
    pub error: Option<Problem>,
}

/// A file of a process, and the interpreter in it.
pub struct Examined {
    pub report: FileReport,
    /// With a mapping's start and file offset.
    pub python: Option<(Binary, u64, u64)>,
    /// What to do if it was not opened.
    unopened: &'static str,
}

/// Looks at each file that is mapped, once: the first one, which is the program, then those with
/// most rows.
pub fn examine(handle: &ProcessHandle, snapshot: &Snapshot) -> Vec<Examined> {
    let mut places: Vec<Place> = Vec::new();
    for listed in snapshot.files() {
        let same =
            |place: &&mut Place| place.device == listed.device && place.inode == listed.inode;
        if let Some(place) = places.iter_mut().find(same) {
            place.mappings += 1;
            continue;
        }
        places.push(Place {
            device: listed.device,
            inode: listed.inode,
            avma: listed.avma.clone(),
            offset: listed.offset,
            path: listed.path.to_owned(),
            mappings: 1,
        });
    }
    let numbered = (1..).zip(&places);
    let mut examined: Vec<Examined> = numbered
        .map(|(number, place)| place.examine(handle, number))
        .collect();
    if let Some((_, others)) = examined.split_first_mut() {
        others.sort_by_key(|file| std::cmp::Reverse(file.report.rows));
    }
    examined
}

/// Where a file is mapped.
struct Place {
    device: u64,
    inode: u64,
    avma: Range<u64>,
    offset: u64,
    path: String,
    mappings: usize,
}

impl Place {
    fn examine(&self, handle: &ProcessHandle, number: u32) -> Examined {
        let mut report = FileReport {
            path: self.path.clone(),
            mappings: self.mappings,
            ..FileReport::default()
        };
        let wanted = Wanted::Listed {
            device: self.device,
            inode: self.inode,
        };
        let found = match open_executable(handle, &self.avma, &wanted) {
            Ok(found) => found,
            Err(error) => {
                report.error = Some(Problem {
                    name: error.name(),
                    message: error.to_string(),
                });
                return Examined {
                    report,
                    python: None,
                    unopened: remedy(&error),
                };
            }
        };
        let file = Arc::new(found.file);
        let mut python = None;
        match loader::examine(&file) {
            Ok((contents, rows_from)) => {
                python = contents.python;
                match contents.rows {
                    Ok(table) => {
                        report.rows = Some(table.rows.len());
                        report.rules = Some(table.rules.len());
                        report.rows_from = rows_from;
                    }
                    Err(error) => {
                        report.rows_error = Some(Problem {
                            name: error.name(),
                            message: error.to_string(),
                        });
                    }
                }
            }
            Err(error) => {
                report.rows_error = Some(Problem {
                    name: "unreadable",
                    message: format!("The file can't be read: {error}."),
                });
            }
        }
        let file = ExecutableFile::new(number, self.path.clone(), file);
        let names = inventory::take(&file, &Options::default());
        report.build_id = names.build_id;
        report.symbols = names.tables.into_iter().collect();
        report.debug_file = names.debug_file.map(|path| path.display().to_string());
        report.debug_file_symbols = names.debug_file_tables.into_iter().collect();
        report.dwarf = names.dwarf;
        report.symbol_errors = names.errors.iter().map(ToString::to_string).collect();
        Examined {
            report,
            python: python.map(|binary| (binary, self.avma.start, self.offset)),
            unopened: "",
        }
    }
}

fn remedy(error: &OpenError) -> &'static str {
    match error {
        OpenError::Replaced { .. } => {
            "Start the program anew, or run strata with CAP_CHECKPOINT_RESTORE (or sudo)."
        }
        OpenError::NoFile { .. } | OpenError::TooLarge { .. } => {
            "Nothing can be done; its frames are followed by frame pointers."
        }
        _ => "Run strata with sudo, or with CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE.",
    }
}

impl Examined {
    /// For people.
    pub fn finding(&self) -> Finding {
        let report = &self.report;
        let new = |state, detail: String| Finding::new(state, &*report.path, detail);
        if let Some(problem) = &report.error {
            return new(State::Warn, format!("not opened: {}", problem.message))
                .remedy(self.unopened);
        }
        let mut parts = Vec::new();
        if let Some(rows) = report.rows {
            parts.push(format!("{rows} rows ({})", report.rows_from.join(", ")));
        }
        if let Some(problem) = &report.rows_error {
            parts.push(format!("no rows ({}): {}", problem.name, problem.message));
        }
        parts.push(names(report));
        parts.extend(report.symbol_errors.iter().cloned());
        if let Some(id) = &report.build_id {
            parts.push(format!("build id {}", id.get(..12).unwrap_or(id)));
        }
        let detail = parts.join("; ");
        if report.rows_error.is_some() {
            return new(State::Warn, detail).remedy(
                "Its frames are followed by frame pointers: build it with \
                 -fasynchronous-unwind-tables or -fno-omit-frame-pointer.",
            );
        }
        if !self.has_names() {
            return new(State::Warn, detail)
                .remedy("Install its debug symbols (a -dbgsym or -debuginfo package).");
        }
        new(State::Ok, detail)
    }

    fn has_names(&self) -> bool {
        let report = &self.report;
        !report.symbols.is_empty() || !report.debug_file_symbols.is_empty()
    }
}

/// Where names come from.
fn names(report: &FileReport) -> String {
    let mut tables: Vec<String> = report
        .symbols
        .iter()
        .map(|(table, count)| format!("{count} in {table}"))
        .collect();
    if report.debug_file.is_some() {
        let count: usize = report.debug_file_symbols.values().sum();
        tables.push(format!("{count} in its debug file"));
    }
    let lines = if report.dwarf {
        ", with lines (DWARF)"
    } else {
        ""
    };
    if tables.is_empty() {
        return format!("no names{lines}");
    }
    format!("names: {}{lines}", tables.join(", "))
}
