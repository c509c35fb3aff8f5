//! pprof's tables: each string, function, mapping and location once.

use std::collections::HashMap;

use crate::profile::{ExecutableId, Frame, FrameId, FrameKind, Profile};

use super::super::Options;
use super::super::label::Label;
use super::message::{Function, Line, Location, Mapping, ValueType};

/// Stands for the executable of what is no machine code: pprof leaves names in brackets alone,
/// and shows them where it shows binaries.
pub const PYTHON: &str = "[python]";
/// The same for code that comes without a file from where it was read.
const KERNEL: &str = "[kernel]";
pub const ANONYMOUS: &str = "[anon]";

#[derive(Default)]
pub struct Tables {
    pub strings: Vec<String>,
    pub functions: Vec<Function>,
    pub mappings: Vec<Mapping>,
    pub locations: Vec<Location>,
    string_places: HashMap<String, i64>,
    function_ids: HashMap<(i64, i64, i64, i64), u64>,
    frame_functions: HashMap<FrameId, u64>,
    mapping_ids: HashMap<(String, String), u64>,
    location_ids: HashMap<(u64, u64, Vec<Line>), u64>,
}

impl Tables {
    pub fn new() -> Self {
        let mut tables = Self::default();
        tables.string("");
        tables
    }

    pub fn string(&mut self, text: &str) -> i64 {
        if let Some(place) = self.string_places.get(text) {
            return *place;
        }
        let place = self.strings.len() as i64;
        self.strings.push(text.to_owned());
        self.string_places.insert(text.to_owned(), place);
        place
    }

    pub fn value_type(&mut self, name: &str, unit: &str) -> ValueType {
        ValueType {
            r#type: self.string(name),
            unit: self.string(unit),
        }
    }

    /// A function under the text that all formats show for the frame, so that the counts of all
    /// formats agree. A frame without a name has its file and address as a name: pprof would
    /// otherwise put the nearest one there, or merge all of them.
    fn function(&mut self, profile: &Profile, id: FrameId, options: &Options) -> u64 {
        if let Some(known) = self.frame_functions.get(&id) {
            return *known;
        }
        let frame = &profile[id];
        let plain = Options {
            lines: false,
            ..*options
        };
        let name = Label::frame(profile, frame, &plain).text;
        let function = frame.function.map(|function| &profile[function]);
        let system_name = function.map_or("", |function| &profile[function.system_name]);
        let key = (
            self.string(&name),
            // None where it is no other: pprof takes equal names for ones to be demangled, and cuts
            // `<module>` and all else in brackets off.
            self.string(if system_name == name { "" } else { system_name }),
            self.string(function.map_or("", |function| &profile[function.file])),
            function
                .and_then(|function| function.first_line)
                .map_or(0, i64::from),
        );
        let function = self.function_of(key);
        self.frame_functions.insert(id, function);
        function
    }

    fn function_of(&mut self, key: (i64, i64, i64, i64)) -> u64 {
        let next = self.functions.len() as u64 + 1;
        let id = *self.function_ids.entry(key).or_insert(next);
        if id == next {
            let (name, system_name, filename, start_line) = key;
            self.functions.push(Function {
                id,
                name,
                system_name,
                filename,
                start_line,
            });
        }
        id
    }

    /// A file. Addresses count as in the file itself, so that two recordings of it compare: it
    /// begins at 0.
    pub fn executable(&mut self, profile: &Profile, executable: ExecutableId) -> u64 {
        let executable = &profile[executable];
        self.mapping(&profile[executable.path], &profile[executable.build_id])
    }

    fn mapping(&mut self, path: &str, build_id: &str) -> u64 {
        let next = self.mappings.len() as u64 + 1;
        let key = (path.to_owned(), build_id.to_owned());
        let id = *self.mapping_ids.entry(key).or_insert(next);
        if id == next {
            let filename = self.string(path);
            let build_id = self.string(build_id);
            self.mappings.push(Mapping {
                id,
                filename,
                build_id,
                // Each of its locations gets one.
                has_functions: true,
                ..Mapping::default()
            });
        }
        id
    }

    /// The location of functions at one place, the innermost first.
    pub fn location(&mut self, profile: &Profile, place: &[FrameId], options: &Options) -> u64 {
        let mut lines = Vec::with_capacity(place.len());
        for id in place {
            lines.push(Line {
                function_id: self.function(profile, *id, options),
                line: profile[*id].line.map_or(0, i64::from),
            });
        }
        let Some(frame) = place.last().map(|last| &profile[*last]) else {
            return 0;
        };
        let mapping = self.mapping_of(profile, frame);
        if let Some(mapping) = mapping
            .checked_sub(1)
            .and_then(|place| self.mappings.get_mut(place as usize))
        {
            mapping.memory_limit = mapping.memory_limit.max(frame.svma.saturating_add(1));
            mapping.has_inline_frames |= lines.len() > 1;
            mapping.has_line_numbers |= lines.iter().any(|line| line.line != 0);
            mapping.has_filenames |= lines.iter().any(|line| {
                let function = self.functions.get(line.function_id as usize - 1);
                function.is_some_and(|function| function.filename != 0)
            });
        }
        let next = self.locations.len() as u64 + 1;
        let key = (mapping, frame.svma, lines);
        if let Some(known) = self.location_ids.get(&key) {
            return *known;
        }
        self.locations.push(Location {
            id: next,
            mapping_id: mapping,
            address: frame.svma,
            line: key.2.clone(),
        });
        self.location_ids.insert(key, next);
        next
    }

    /// A location for what has no frames.
    pub fn note(&mut self, text: &str) -> u64 {
        let name = self.string(text);
        let line = vec![Line {
            function_id: self.function_of((name, 0, 0, 0)),
            line: 0,
        }];
        let next = self.locations.len() as u64 + 1;
        let key = (0, 0, line);
        let id = *self.location_ids.entry(key.clone()).or_insert(next);
        if id == next {
            self.locations.push(Location {
                id,
                line: key.2,
                ..Location::default()
            });
        }
        id
    }

    fn mapping_of(&mut self, profile: &Profile, frame: &Frame) -> u64 {
        match (frame.kind, frame.executable) {
            (FrameKind::Python, _) => self.mapping(PYTHON, ""),
            (FrameKind::Kernel, Some(executable)) => {
                let executable = &profile[executable];
                let path = bracketed(&profile[executable.path]);
                self.mapping(&path, &profile[executable.build_id])
            }
            (FrameKind::Kernel, None) => self.mapping(KERNEL, ""),
            (FrameKind::Jit, None) => self.mapping(ANONYMOUS, ""),
            (_, Some(executable)) => self.executable(profile, executable),
            (_, None) => 0,
        }
    }
}

/// The kernel's modules in brackets, as perf has them, so that they are told from files.
fn bracketed(path: &str) -> String {
    if path.starts_with('[') {
        path.to_owned()
    } else {
        format!("[{path}]")
    }
}
