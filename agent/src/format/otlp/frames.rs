//! Frames, files and stacks as entries of the dictionary.

use std::collections::HashMap;

use opentelemetry_proto::tonic::profiles::v1development::{Function, Mapping};

use crate::profile::{Executable, Frame, FrameId, FrameKind, Profile, StackId, StringId};

use super::super::Options;
use super::super::label::{Label, NO_FRAMES};
use super::super::places::places;
use super::dictionary::{Content, Dictionary};

/// Attributes of the semantic conventions (1.44).
pub const FRAME_TYPE: &str = "profile.frame.type";
pub const BUILD_ID: &str = "process.executable.build_id.gnu";
pub const HTLHASH: &str = "process.executable.build_id.htlhash";

/// What names a file: path, build id, hash.
type File = (StringId, StringId, StringId);

pub struct Frames<'a> {
    profile: &'a Profile,
    options: &'a Options,
    /// Behind the last address of each file.
    limits: HashMap<File, u64>,
    stacks: HashMap<StackId, i32>,
    functions: HashMap<FrameId, i32>,
}

impl<'a> Frames<'a> {
    pub fn new(profile: &'a Profile, options: &'a Options) -> Self {
        let mut limits = HashMap::new();
        for (_, frame) in profile.frames().iter() {
            if let Some(executable) = frame.executable {
                let limit = limits.entry(file(&profile[executable])).or_insert(0);
                *limit = frame.svma.saturating_add(1).max(*limit);
            }
        }
        Self {
            profile,
            options,
            limits,
            stacks: HashMap::new(),
            functions: HashMap::new(),
        }
    }

    pub fn stack(&mut self, dictionary: &mut Dictionary, stack: StackId) -> i32 {
        if let Some(known) = self.stacks.get(&stack) {
            return *known;
        }
        let frames = self.profile.frames_of(stack);
        let mut locations = Vec::new();
        for place in places(self.profile, frames, self.options.inlines) {
            locations.extend(self.location(dictionary, &place));
        }
        if locations.is_empty() {
            let name = dictionary.string(NO_FRAMES);
            let function = dictionary.function(Function {
                name_strindex: name,
                ..Function::default()
            });
            locations.push(dictionary.location((0, 0, vec![(function, 0)], Vec::new())));
        }
        let place = dictionary.stack(locations);
        self.stacks.insert(stack, place);
        place
    }

    /// Functions at one place, the innermost first.
    fn location(&mut self, dictionary: &mut Dictionary, place: &[FrameId]) -> Option<i32> {
        let profile = self.profile;
        let frame = &profile[*place.last()?];
        let mapping = self.mapping(dictionary, frame);
        let mut lines = Vec::with_capacity(place.len());
        for id in place {
            // A backend can name what has a file and an address; everything else has a text.
            if profile[*id].function.is_some() || mapping == 0 {
                let function = self.function(dictionary, *id);
                lines.push((function, profile[*id].line.map_or(0, i64::from)));
            }
        }
        let kind = frame_type(frame.kind);
        let kind =
            kind.map(|kind| dictionary.attribute(FRAME_TYPE, Content::Text(kind.to_owned())));
        Some(dictionary.location((mapping, frame.svma, lines, kind.into_iter().collect())))
    }

    fn function(&mut self, dictionary: &mut Dictionary, id: FrameId) -> i32 {
        if let Some(known) = self.functions.get(&id) {
            return *known;
        }
        let profile = self.profile;
        let frame = &profile[id];
        let plain = Options {
            lines: false,
            ..*self.options
        };
        let name = Label::frame(profile, frame, &plain).text;
        let function = frame.function.map(|function| &profile[function]);
        let system_name = function.map_or("", |function| &profile[function.system_name]);
        let function = Function {
            name_strindex: dictionary.string(&name),
            system_name_strindex: dictionary.string(if system_name == name {
                ""
            } else {
                system_name
            }),
            filename_strindex: dictionary
                .string(function.map_or("", |function| &profile[function.file])),
            start_line: function
                .and_then(|function| function.first_line)
                .map_or(0, i64::from),
        };
        let place = dictionary.function(function);
        self.functions.insert(id, place);
        place
    }

    /// The file of a frame; 0 without one, and for a file that nothing identifies: each mapping
    /// has to have an id.
    fn mapping(&self, dictionary: &mut Dictionary, frame: &Frame) -> i32 {
        let profile = self.profile;
        let Some(executable) = frame.executable.map(|executable| &profile[executable]) else {
            return 0;
        };
        let ids = [
            (BUILD_ID, &profile[executable.build_id]),
            (HTLHASH, &profile[executable.htlhash]),
        ];
        let mut attributes = Vec::new();
        for (key, id) in ids {
            if !id.is_empty() {
                attributes.push(dictionary.attribute(key, Content::Text(id.to_owned())));
            }
        }
        if attributes.is_empty() {
            return 0;
        }
        let path = &profile[executable.path];
        let module = frame.kind == FrameKind::Kernel && !path.starts_with('[');
        let path = if module {
            format!("[{path}]")
        } else {
            path.to_owned()
        };
        let mapping = Mapping {
            memory_start: 0,
            memory_limit: self.limits.get(&file(executable)).copied().unwrap_or(0),
            file_offset: 0,
            filename_strindex: dictionary.string(&path),
            attribute_indices: attributes,
        };
        dictionary.mapping(mapping)
    }
}

fn file(executable: &Executable) -> File {
    (executable.path, executable.build_id, executable.htlhash)
}

/// JIT code may be of any kind, and a note is of none.
fn frame_type(kind: FrameKind) -> Option<&'static str> {
    match kind {
        FrameKind::Kernel => Some("kernel"),
        FrameKind::Native => Some("native"),
        FrameKind::Python => Some("cpython"),
        FrameKind::Jit | FrameKind::Marker => None,
    }
}
