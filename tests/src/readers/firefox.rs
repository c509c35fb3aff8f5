//! The Firefox Profiler's processed format: what its viewer takes for granted when it reads a file. The viewer is a page
//! of a server, so its rules are checked here: columns of one length, numbers that point into their tables, callers that
//! come before their callees, times that do not run backwards.

use serde_json::Value;

use super::Counts;

/// The oldest version of which the viewer has all rules that are checked here.
const OLDEST: u64 = 50;
const COLOURS: [&str; 14] = [
    "transparent",
    "lightblue",
    "red",
    "lightred",
    "orange",
    "blue",
    "green",
    "purple",
    "yellow",
    "brown",
    "magenta",
    "lightgreen",
    "grey",
    "darkgray",
];

/// Columns of a table: name, and what is in it.
type Columns = &'static [(&'static str, Kind)];

enum Kind {
    /// A number of an entry of that table, or of the thread's strings; perhaps null.
    Index(&'static str),
    IndexOrNull(&'static str),
    /// Perhaps -1.
    IndexOrNone(&'static str),
    Natural,
    NaturalOrNull,
    /// Perhaps -1.
    Address,
    Number,
    Flag,
    Any,
}

const TABLES: [(&str, Columns); 7] = [
    (
        "samples",
        &[
            ("stack", Kind::IndexOrNull("stackTable")),
            ("timeDeltas", Kind::Number),
            ("weight", Kind::Natural),
        ],
    ),
    (
        "stackTable",
        &[
            ("prefix", Kind::IndexOrNull("stackTable")),
            ("frame", Kind::Index("frameTable")),
        ],
    ),
    (
        "frameTable",
        &[
            ("address", Kind::Address),
            ("inlineDepth", Kind::Natural),
            ("category", Kind::Index("categories")),
            ("subcategory", Kind::Natural),
            ("func", Kind::Index("funcTable")),
            ("nativeSymbol", Kind::IndexOrNull("nativeSymbols")),
            ("innerWindowID", Kind::NaturalOrNull),
            ("line", Kind::NaturalOrNull),
            ("column", Kind::NaturalOrNull),
        ],
    ),
    (
        "funcTable",
        &[
            ("name", Kind::Index("stringArray")),
            ("isJS", Kind::Flag),
            ("relevantForJS", Kind::Flag),
            ("resource", Kind::IndexOrNone("resourceTable")),
            ("fileName", Kind::IndexOrNull("stringArray")),
            ("lineNumber", Kind::NaturalOrNull),
            ("columnNumber", Kind::NaturalOrNull),
        ],
    ),
    (
        "resourceTable",
        &[
            ("lib", Kind::IndexOrNull("libs")),
            ("name", Kind::Index("stringArray")),
            ("host", Kind::IndexOrNull("stringArray")),
            ("type", Kind::Natural),
        ],
    ),
    (
        "nativeSymbols",
        &[
            ("libIndex", Kind::Index("libs")),
            ("address", Kind::Natural),
            ("name", Kind::Index("stringArray")),
            ("functionSize", Kind::NaturalOrNull),
        ],
    ),
    (
        "markers",
        &[
            ("data", Kind::Any),
            ("name", Kind::Index("stringArray")),
            ("startTime", Kind::Any),
            ("endTime", Kind::Any),
            ("phase", Kind::Natural),
            ("category", Kind::Index("categories")),
        ],
    ),
];

/// A name, and what puts that fault into a file.
type Fault = (&'static str, fn(&mut Value));

/// Checks a file; its stacks below their pids.
pub fn stacks(text: &str) -> Result<Counts, String> {
    let file: Value = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
    check_meta(&file["meta"])?;
    for lib in array(&file, "libs")? {
        for member in ["name", "path", "debugName", "debugPath", "breakpadId"] {
            lib[member]
                .as_str()
                .ok_or_else(|| format!("a library has no {member}"))?;
        }
    }
    let mut counts = Counts::new();
    let threads = array(&file, "threads")?;
    if threads.is_empty() {
        return Err("there are no threads".to_owned());
    }
    for thread in threads {
        check_thread(&file, thread)?;
        add(thread, &mut counts)?;
    }
    Ok(counts)
}

fn array<'a>(value: &'a Value, name: &str) -> Result<&'a Vec<Value>, String> {
    value[name]
        .as_array()
        .ok_or_else(|| format!("there is no list {name}"))
}

fn check_meta(meta: &Value) -> Result<(), String> {
    for member in ["interval", "startTime", "version", "processType"] {
        meta[member]
            .as_f64()
            .ok_or_else(|| format!("meta has no number {member}"))?;
    }
    if meta["preprocessedProfileVersion"]
        .as_u64()
        .is_none_or(|it| it < OLDEST)
    {
        return Err("meta says no version of the processed format".to_owned());
    }
    meta["product"].as_str().ok_or("meta has no product")?;
    array(meta, "markerSchema")?;
    let mut default = false;
    for category in array(meta, "categories")? {
        category["name"].as_str().ok_or("a category has no name")?;
        let colour = category["color"].as_str().unwrap_or_default();
        if !COLOURS.contains(&colour) {
            return Err(format!("{colour} is none of the viewer's colours"));
        }
        default |= colour == "grey";
        if array(category, "subcategories")?.is_empty() {
            return Err("a category has no subcategories".to_owned());
        }
    }
    if default {
        Ok(())
    } else {
        Err("no category is grey, so there is no default".to_owned())
    }
}

fn check_thread(file: &Value, thread: &Value) -> Result<(), String> {
    for member in ["name", "processName", "processType", "pid"] {
        thread[member]
            .as_str()
            .ok_or_else(|| format!("a thread has no text {member}"))?;
    }
    thread["isMainThread"]
        .as_bool()
        .ok_or("a thread does not say whether it is the main one")?;
    for member in ["tid", "registerTime", "processStartupTime"] {
        thread[member]
            .as_f64()
            .ok_or_else(|| format!("a thread has no number {member}"))?;
    }
    if array(thread, "stringArray")?
        .iter()
        .any(|text| !text.is_string())
    {
        return Err("a string is none".to_owned());
    }
    for (name, columns) in &TABLES {
        let table = &thread[*name];
        let length = table["length"]
            .as_u64()
            .ok_or_else(|| format!("{name} has no length"))?;
        for (column, kind) in *columns {
            let values = array(table, column).map_err(|error| format!("{name}: {error}"))?;
            if values.len() as u64 != length {
                return Err(format!(
                    "{name}.{column} has {} entries of {length}",
                    values.len()
                ));
            }
            for value in values {
                if !fits(kind, value, &|table| length_of(file, thread, table)) {
                    return Err(format!("{name}.{column} must not have {value}"));
                }
            }
        }
    }
    let callers = array(&thread["stackTable"], "prefix")?.iter().enumerate();
    if callers
        .into_iter()
        .any(|(at, caller)| caller.as_u64().is_some_and(|it| it >= at as u64))
    {
        return Err("a caller stands behind its callee".to_owned());
    }
    let mut deltas = array(&thread["samples"], "timeDeltas")?.iter();
    if deltas.any(|delta| delta.as_f64().is_none_or(|delta| delta < 0.0)) {
        return Err("time runs backwards".to_owned());
    }
    Ok(())
}

fn length_of(file: &Value, thread: &Value, table: &str) -> u64 {
    let list = match table {
        "libs" => &file["libs"],
        "categories" => &file["meta"]["categories"],
        "stringArray" => &thread["stringArray"],
        other => return thread[other]["length"].as_u64().unwrap_or(0),
    };
    list.as_array().map_or(0, Vec::len) as u64
}

fn fits(kind: &Kind, value: &Value, length: &impl Fn(&str) -> u64) -> bool {
    let within = |table: &str| value.as_u64().is_some_and(|index| index < length(table));
    match kind {
        Kind::Index(table) => within(table),
        Kind::IndexOrNull(table) => value.is_null() || within(table),
        Kind::IndexOrNone(table) => value.as_i64() == Some(-1) || within(table),
        Kind::Natural => value.is_u64(),
        Kind::NaturalOrNull => value.is_null() || value.is_u64(),
        Kind::Address => value.as_i64().is_some_and(|address| address >= -1),
        Kind::Number => value.is_number(),
        Kind::Flag => value.is_boolean(),
        Kind::Any => true,
    }
}

/// The stacks of a thread that was found right.
fn add(thread: &Value, counts: &mut Counts) -> Result<(), String> {
    let at = |value: &Value| value.as_u64().map(|it| it as usize);
    let pid = thread["pid"].as_str().unwrap_or_default();
    // A pid that was used twice has the number of its exec behind it.
    let pid = pid.split('.').next().unwrap_or_default();
    let weights = array(&thread["samples"], "weight")?;
    for (stack, weight) in array(&thread["samples"], "stack")?.iter().zip(weights) {
        let mut names = Vec::new();
        let mut next = at(stack);
        while let Some(stack) = next {
            let frame = at(&thread["stackTable"]["frame"][stack]).unwrap_or_default();
            let function = at(&thread["frameTable"]["func"][frame]).unwrap_or_default();
            let name = at(&thread["funcTable"]["name"][function]).unwrap_or_default();
            names.push(thread["stringArray"][name].as_str().unwrap_or_default());
            next = at(&thread["stackTable"]["prefix"][stack]);
        }
        names.reverse();
        let stack = format!("{pid};{}", names.join(";"));
        *counts.entry(stack).or_default() += weight.as_u64().unwrap_or_default();
    }
    Ok(())
}

/// Faults put into a right file, each of a kind, for a look whether they are found.
pub fn spoiled(text: &str) -> Result<Vec<(&'static str, String)>, String> {
    let file: Value = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
    let faults: [Fault; 6] = [
        ("a column lacks an entry", |file| {
            if let Some(column) = file["threads"][0]["frameTable"]["func"].as_array_mut() {
                column.pop();
            }
        }),
        ("a stack has a frame that is not there", |file| {
            file["threads"][0]["stackTable"]["frame"][0] = 1_000_000.into();
        }),
        ("a caller is its own callee", |file| {
            file["threads"][0]["stackTable"]["prefix"][0] = 0.into();
        }),
        ("time runs backwards", |file| {
            file["threads"][0]["samples"]["timeDeltas"][0] = (-1).into();
        }),
        ("a colour is unknown", |file| {
            file["meta"]["categories"][0]["color"] = "mauve".into();
        }),
        ("a table is missing", |file| {
            file["threads"][0]["resourceTable"] = Value::Null;
        }),
    ];
    let spoil = |fault: fn(&mut Value)| {
        let mut file = file.clone();
        fault(&mut file);
        file.to_string()
    };
    Ok(faults.map(|(what, fault)| (what, spoil(fault))).into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file() -> Value {
        json!({
            "meta": {
                "interval": 1, "startTime": 0, "version": 24, "processType": 0, "product": "x",
                "preprocessedProfileVersion": 55, "markerSchema": [],
                "categories": [{ "name": "Other", "color": "grey", "subcategories": ["Other"] }],
            },
            "libs": [],
            "threads": [{
                "name": "x", "processName": "x", "processType": "default", "pid": "12", "tid": 13, "isMainThread": false,
                "registerTime": 0, "processStartupTime": 0, "stringArray": ["f", "g"],
                "samples": { "length": 1, "stack": [1], "timeDeltas": [0.5], "weight": [3] },
                "stackTable": { "length": 2, "prefix": [null, 0], "frame": [1, 0] },
                "frameTable": {
                    "length": 2, "address": [-1, 5], "inlineDepth": [0, 0], "category": [0, 0], "subcategory": [0, 0],
                    "func": [0, 1], "nativeSymbol": [null, null], "innerWindowID": [0, 0], "line": [null, 3],
                    "column": [null, null],
                },
                "funcTable": {
                    "length": 2, "name": [0, 1], "isJS": [false, false], "relevantForJS": [false, false],
                    "resource": [-1, -1], "fileName": [null, 0], "lineNumber": [1, null], "columnNumber": [null, null],
                },
                "resourceTable": { "length": 0, "lib": [], "name": [], "host": [], "type": [] },
                "nativeSymbols": { "length": 0, "libIndex": [], "address": [], "name": [], "functionSize": [] },
                "markers": {
                    "length": 0, "data": [], "name": [], "startTime": [], "endTime": [], "phase": [], "category": [],
                },
            }],
        })
    }

    #[test]
    fn stacks_are_put_together() {
        let expected = [("12;g;f".to_owned(), 3)];
        assert_eq!(stacks(&file().to_string()), Ok(Counts::from(expected)));
    }

    #[test]
    fn each_fault_is_found() {
        for (fault, text) in spoiled(&file().to_string()).expect("the file is right") {
            assert!(stacks(&text).is_err(), "{fault}");
        }
        assert!(stacks("{}").is_err());
    }
}
