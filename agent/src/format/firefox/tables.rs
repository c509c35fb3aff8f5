//! The processed format, version 55: each thread has tables, written column by column, whose
//! entries point at each other by number. The viewer converts older versions to its own.

use std::collections::HashMap;
use std::hash::Hash;

use serde_json::{Value, json};

use crate::format::label::{Label, LabelKind};
use crate::profile::FrameKind;

const VERSION: u32 = 55;
/// Where a place is not in a file.
const NOWHERE: i64 = -1;
/// A resource that is a library.
const LIBRARY: u32 = 1;

/// The colours of the viewer that are nearest to those of the flame graph. The first one is for
/// whatever has no category, and has to be grey.
const CATEGORIES: [(&str, &str); 5] = [
    ("Other", "grey"),
    ("Python", "blue"),
    ("Native", "yellow"),
    ("Kernel", "red"),
    ("JIT", "green"),
];

/// Number of a category.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Category(u32);

impl Category {
    pub fn of(label: &Label) -> Self {
        Self(match label.kind {
            LabelKind::Frame(FrameKind::Python) => 1,
            LabelKind::Frame(FrameKind::Native) => 2,
            LabelKind::Frame(FrameKind::Kernel) => 3,
            LabelKind::Frame(FrameKind::Jit) => 4,
            LabelKind::Frame(FrameKind::Marker) | LabelKind::Process | LabelKind::Thread => 0,
        })
    }
}

pub struct File {
    pub meta: Meta,
    pub libs: Vec<Lib>,
    pub threads: Vec<Thread>,
}

pub struct Meta {
    pub product: String,
    /// ms between two samples.
    pub interval: f64,
    /// ms since 1970.
    pub start: f64,
}

/// A file that holds code.
pub struct Lib {
    pub path: String,
    pub build_id: String,
}

impl Lib {
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

pub struct Thread {
    pub name: String,
    pub is_main: bool,
    pub process: String,
    pub pid: String,
    pub tid: u32,
    pub tables: Tables,
}

/// Tables while they grow; each entry once.
#[derive(Default)]
pub struct Tables {
    strings: Numbers<String>,
    functions: Numbers<FunctionRow>,
    frames: Numbers<FrameRow>,
    /// Caller's stack and frame.
    stacks: Numbers<(Option<u32>, u32)>,
    /// Libraries and their names.
    resources: Numbers<(u32, u32)>,
    samples: Samples,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct FunctionRow {
    name: u32,
    resource: i64,
    file: Option<u32>,
    line: Option<u32>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct FrameRow {
    function: u32,
    category: Category,
    line: Option<u32>,
    address: i64,
    inline_depth: u32,
}

#[derive(Default)]
struct Samples {
    stacks: Vec<Option<u32>>,
    /// ms since the sample before.
    time_deltas: Vec<f64>,
    last: f64,
    weights: Vec<u64>,
    /// µs; null where values are no times.
    cpu_deltas: Vec<Option<u64>>,
}

impl Tables {
    /// `lib`: number and name.
    pub fn function(
        &mut self,
        name: &str,
        file: &str,
        first_line: Option<u32>,
        lib: Option<(u32, &str)>,
    ) -> u32 {
        let resource = lib.map(|(lib, name)| {
            let name = self.strings.number(name.to_owned());
            self.resources.number((lib, name))
        });
        let row = FunctionRow {
            name: self.strings.number(name.to_owned()),
            resource: resource.map_or(NOWHERE, i64::from),
            file: (!file.is_empty()).then(|| self.strings.number(file.to_owned())),
            line: first_line,
        };
        self.functions.number(row)
    }

    /// `inline_depth`: how many inlined functions lie between it and the frame that has an
    /// activation.
    pub fn frame(
        &mut self,
        function: u32,
        category: Category,
        line: Option<u32>,
        svma: Option<u32>,
        inline_depth: u32,
    ) -> u32 {
        self.frames.number(FrameRow {
            function,
            category,
            line,
            address: svma.map_or(NOWHERE, i64::from),
            inline_depth,
        })
    }

    pub fn stack(&mut self, caller: Option<u32>, frame: u32) -> u32 {
        self.stacks.number((caller, frame))
    }

    /// `time` in ms since the start, not before the last one's; `cpu` in ns.
    pub fn sample(&mut self, time: f64, stack: Option<u32>, weight: u64, cpu: Option<u64>) {
        let samples = &mut self.samples;
        samples.stacks.push(stack);
        samples.time_deltas.push(time - samples.last);
        samples.last = time;
        samples.weights.push(weight);
        samples.cpu_deltas.push(cpu.map(|cpu| cpu / 1000));
    }
}

/// Distinct things in the order in which they came.
struct Numbers<T> {
    numbers: HashMap<T, u32>,
    items: Vec<T>,
}

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self {
            numbers: HashMap::new(),
            items: Vec::new(),
        }
    }
}

impl<T: Clone + Eq + Hash> Numbers<T> {
    fn number(&mut self, item: T) -> u32 {
        if let Some(number) = self.numbers.get(&item) {
            return *number;
        }
        let number = self.items.len() as u32;
        self.items.push(item.clone());
        self.numbers.insert(item, number);
        number
    }

    /// One member of all of them.
    fn column<C>(&self, member: impl Fn(&T) -> C) -> Vec<C> {
        self.items.iter().map(member).collect()
    }

    /// A column in which all are the same.
    fn filled(&self, value: Value) -> Vec<Value> {
        vec![value; self.items.len()]
    }
}

impl File {
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let libs: Vec<Value> = self.libs.iter().map(lib).collect();
        let threads: Vec<Value> = self.threads.iter().map(thread).collect();
        serde_json::to_vec(&json!({
            "meta": meta(&self.meta),
            "libs": libs,
            "threads": threads,
            "pages": [],
            "profilerOverhead": [],
            "counters": [],
        }))
    }
}

fn meta(meta: &Meta) -> Value {
    let categories = CATEGORIES
        .map(|(name, colour)| json!({ "name": name, "color": colour, "subcategories": ["Other"] }));
    json!({
        "product": meta.product,
        "interval": meta.interval,
        "startTime": meta.start,
        "categories": categories,
        "preprocessedProfileVersion": VERSION,
        // Of an older format; the viewer wants it, and does not use it.
        "version": 24,
        "processType": 0,
        "symbolicated": true,
        "sourceCodeIsNotOnSearchfox": true,
        "usesOnlyOneStackType": true,
        "debug": false,
        "oscpu": "Linux",
        "sampleUnits": { "time": "ms", "eventDelay": "ms", "threadCPUDelta": "µs" },
        "extensions": { "length": 0, "baseURL": [], "id": [], "name": [] },
        "pausedRanges": [],
        "markerSchema": [],
    })
}

fn lib(lib: &Lib) -> Value {
    json!({
        "name": lib.name(),
        "path": lib.path,
        "debugName": lib.name(),
        "debugPath": lib.path,
        "breakpadId": breakpad_id(&lib.build_id),
        "codeId": (!lib.build_id.is_empty()).then_some(&lib.build_id),
        "arch": null,
    })
}

/// The id by which symbol servers know a file: the first 16 bytes of its build id as a GUID, whose
/// first three numbers are little-endian, and an age of 0.
fn breakpad_id(build_id: &str) -> String {
    let mut bytes = [0u8; 16];
    for (byte, digits) in bytes.iter_mut().zip(build_id.as_bytes().chunks(2)) {
        let digits = str::from_utf8(digits).unwrap_or_default();
        *byte = u8::from_str_radix(digits, 16).unwrap_or_default();
    }
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    digits + "0"
}

fn thread(thread: &Thread) -> Value {
    let tables = &thread.tables;
    json!({
        "name": thread.name,
        "isMainThread": thread.is_main,
        "processName": thread.process,
        "processType": "default",
        "pid": thread.pid,
        "tid": thread.tid,
        "processStartupTime": 0,
        "processShutdownTime": null,
        "registerTime": 0,
        "unregisterTime": null,
        "pausedRanges": [],
        "showMarkersInTimeline": false,
        "stringArray": tables.strings.items,
        "samples": samples(&tables.samples),
        "stackTable": {
            "length": tables.stacks.items.len(),
            "prefix": tables.stacks.column(|(caller, _)| *caller),
            "frame": tables.stacks.column(|(_, frame)| *frame),
        },
        "frameTable": frames(&tables.frames),
        "funcTable": functions(&tables.functions),
        "resourceTable": {
            "length": tables.resources.items.len(),
            "lib": tables.resources.column(|(lib, _)| *lib),
            "name": tables.resources.column(|(_, name)| *name),
            "host": tables.resources.filled(Value::Null),
            "type": tables.resources.filled(LIBRARY.into()),
        },
        // Where symbols begin is not known here; the functions have all names.
        "nativeSymbols": {
            "length": 0, "address": [], "functionSize": [], "libIndex": [], "name": [],
        },
        "markers": {
            "length": 0, "category": [], "data": [], "endTime": [], "name": [], "phase": [],
            "startTime": [],
        },
    })
}

fn samples(samples: &Samples) -> Value {
    let mut table = json!({
        "length": samples.stacks.len(),
        "stack": samples.stacks,
        "timeDeltas": samples.time_deltas,
        "weight": samples.weights,
        "weightType": "samples",
    });
    // All or none: it depends on the event.
    if samples.cpu_deltas.iter().all(Option::is_some) {
        table["threadCPUDelta"] = json!(samples.cpu_deltas);
    }
    table
}

fn frames(frames: &Numbers<FrameRow>) -> Value {
    json!({
        "length": frames.items.len(),
        "address": frames.column(|frame| frame.address),
        "inlineDepth": frames.column(|frame| frame.inline_depth),
        "category": frames.column(|frame| frame.category.0),
        "subcategory": frames.filled(0.into()),
        "func": frames.column(|frame| frame.function),
        "nativeSymbol": frames.filled(Value::Null),
        "innerWindowID": frames.filled(0.into()),
        "line": frames.column(|frame| frame.line),
        "column": frames.filled(Value::Null),
    })
}

fn functions(functions: &Numbers<FunctionRow>) -> Value {
    json!({
        "length": functions.items.len(),
        "name": functions.column(|function| function.name),
        "isJS": functions.filled(false.into()),
        "relevantForJS": functions.filled(false.into()),
        "resource": functions.column(|function| function.resource),
        "fileName": functions.column(|function| function.file),
        "lineNumber": functions.column(|function| function.line),
        "columnNumber": functions.filled(Value::Null),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_ids_become_guids() {
        let id = breakpad_id("0011223344556677889900aabbccddeeff0011aa");
        assert_eq!(id, "33221100554477668899".to_owned() + "00AABBCCDDEE0");
        assert_eq!(breakpad_id(""), "0".repeat(33));
        assert_eq!(breakpad_id("zé"), "0".repeat(33));
    }
}
