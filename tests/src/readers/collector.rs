//! What an OpenTelemetry Collector writes of the profiles that it took: OTLP as JSON, a message a line.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::Counts;

const PID: &str = "process.pid";

/// Attributes by process id.
pub type Resources = BTreeMap<u32, BTreeMap<String, String>>;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Message {
    resource_profiles: Vec<ResourceProfiles>,
    dictionary: Dictionary,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ResourceProfiles {
    resource: Resource,
    scope_profiles: Vec<ScopeProfiles>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource {
    attributes: Vec<Attribute>,
}

/// The Collector moves the texts of attributes into the dictionary.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Attribute {
    key: String,
    key_strindex: usize,
    value: serde_json::Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ScopeProfiles {
    profiles: Vec<Profile>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Profile {
    profile_id: String,
    samples: Vec<Sample>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Sample {
    stack_index: usize,
    values: Vec<Number>,
    timestamps_unix_nano: Vec<Number>,
}

impl Sample {
    /// Each sample says when it was taken, or there is one number for all of them.
    fn count(&self) -> u64 {
        match self.values.as_slice() {
            [] => self.timestamps_unix_nano.len() as u64,
            values => values.iter().map(|value| value.0).sum(),
        }
    }
}

/// Members of the tables are left out where they are 0, so each has a default.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Dictionary {
    mapping_table: Vec<Mapping>,
    location_table: Vec<Location>,
    function_table: Vec<Function>,
    string_table: Vec<String>,
    stack_table: Vec<Stack>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Mapping {
    filename_strindex: usize,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Location {
    mapping_index: usize,
    address: Number,
    lines: Vec<Line>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Line {
    function_index: usize,
    line: Number,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Function {
    name_strindex: usize,
    filename_strindex: usize,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stack {
    location_indices: Vec<usize>,
}

/// A number of 64 bits, which JSON has as a text.
#[derive(Clone, Copy, Default)]
struct Number(u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Text(String),
            Number(u64),
        }
        match Either::deserialize(from)? {
            Either::Number(number) => Ok(Self(number)),
            Either::Text(text) => text.parse().map(Self).map_err(serde::de::Error::custom),
        }
    }
}

/// The stacks of all messages, below their pids, each frame with its line as `--lines` shows it.
pub fn stacks(text: &str) -> Result<Counts, String> {
    let mut counts = Counts::new();
    for line in text.lines() {
        let message: Message =
            serde_json::from_str(line).map_err(|error| format!("not a message: {error}"))?;
        for resource in &message.resource_profiles {
            let pid = pid(&message.dictionary, &resource.resource)
                .ok_or("a resource has no process.pid")?;
            let scopes = resource.scope_profiles.iter();
            for sample in scopes
                .flat_map(|scope| &scope.profiles)
                .flat_map(|it| &it.samples)
            {
                let stack = stack(&message.dictionary, sample.stack_index)
                    .ok_or("an index of the dictionary is out of its range")?;
                *counts.entry(format!("{pid};{stack}")).or_default() += sample.count();
            }
        }
    }
    Ok(counts)
}

/// The attributes of each process's resource, numbers as texts, by the process's id.
pub fn resources(text: &str) -> Result<Resources, String> {
    let mut resources = Resources::new();
    for line in text.lines() {
        let message: Message =
            serde_json::from_str(line).map_err(|error| format!("not a message: {error}"))?;
        for resource in &message.resource_profiles {
            let resource = &resource.resource;
            let pid = pid(&message.dictionary, resource).ok_or("a resource has no process.pid")?;
            let pid = pid.parse().map_err(|_| format!("the pid is {pid:?}"))?;
            let own: &mut BTreeMap<_, _> = resources.entry(pid).or_default();
            for attribute in &resource.attributes {
                let strings = &message.dictionary.string_table;
                let key = match attribute.key_strindex {
                    0 => Some(&attribute.key),
                    index => strings.get(index),
                };
                let value = match &attribute.value["stringValueStrindex"] {
                    serde_json::Value::Number(index) => {
                        let index = index.as_u64().unwrap_or(u64::MAX) as usize;
                        strings.get(index).map(String::as_str)
                    }
                    _ => ["stringValue", "intValue"]
                        .iter()
                        .find_map(|kind| attribute.value[kind].as_str()),
                };
                let (key, value) = key.zip(value).ok_or_else(|| {
                    format!("attribute {} is none: {}", attribute.key, attribute.value)
                })?;
                if own.insert(key.clone(), value.to_owned()).is_some() {
                    return Err(format!("process {pid} has {key} twice"));
                }
            }
        }
    }
    Ok(resources)
}

/// Each profile's id and how many samples it has, in the order in which they came.
pub fn profiles(text: &str) -> Result<Vec<(String, u64)>, String> {
    let mut profiles = Vec::new();
    for line in text.lines() {
        let message: Message =
            serde_json::from_str(line).map_err(|error| format!("not a message: {error}"))?;
        let resources = message.resource_profiles.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_profiles);
        for profile in scopes.flat_map(|scope| scope.profiles) {
            let samples = profile.samples.iter().map(Sample::count).sum();
            profiles.push((profile.profile_id, samples));
        }
    }
    Ok(profiles)
}

fn pid<'a>(dictionary: &Dictionary, resource: &'a Resource) -> Option<&'a str> {
    let pid = resource.attributes.iter().find(|attribute| {
        let moved = dictionary.string_table.get(attribute.key_strindex);
        attribute.key == PID || moved.is_some_and(|key| key == PID)
    })?;
    pid.value["intValue"].as_str()
}

fn stack(dictionary: &Dictionary, index: usize) -> Option<String> {
    let mut frames = Vec::new();
    // The innermost comes first, in the stack and in each location.
    for location in dictionary
        .stack_table
        .get(index)?
        .location_indices
        .iter()
        .rev()
    {
        let location = dictionary.location_table.get(*location)?;
        for line in location.lines.iter().rev() {
            let function = dictionary.function_table.get(line.function_index)?;
            let name = dictionary.string_table.get(function.name_strindex)?;
            let file = dictionary.string_table.get(function.filename_strindex)?;
            frames.push(match (file.as_str(), line.line.0) {
                ("", _) => name.clone(),
                (file, 0) => format!("{name} ({file})"),
                (file, line) => format!("{name} ({file}:{line})"),
            });
        }
        if location.lines.is_empty() {
            let mapping = dictionary.mapping_table.get(location.mapping_index)?;
            let path = dictionary.string_table.get(mapping.filename_strindex)?;
            let name = path.rsplit('/').next().unwrap_or_default();
            frames.push(format!("{name}+{:#x}", location.address.0));
        }
    }
    Some(frames.join(";"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = r#"{"resourceProfiles":[{"resource":{"attributes":[{"key":"process.pid","value":{"intValue":"12"}}]},
        "scopeProfiles":[{"profiles":[{"samples":[{"stackIndex":1,"values":["3"]},
        {"stackIndex":1,"timestampsUnixNano":["5","6"]}]}]}]}],"dictionary":{"mappingTable":[{},{"filenameStrindex":4}],
        "locationTable":[{},{"lines":[{"functionIndex":1,"line":"7"},{"functionIndex":2}]},{"mappingIndex":1,"address":"31"}],
        "functionTable":[{},{"nameStrindex":1,"filenameStrindex":2},{"nameStrindex":3}],
        "stringTable":["","f","a.py","main","/lib/x.so"],"stackTable":[{},{"locationIndices":[1,2]}]}}"#;

    #[test]
    fn stacks_are_put_together() {
        let one = MESSAGE.replace('\n', "");
        let expected = [("12;x.so+0x1f;main;f (a.py:7)".to_owned(), 5)];
        assert_eq!(stacks(&one), Ok(Counts::from(expected)));
    }

    #[test]
    fn the_pid_may_be_in_the_dictionary() {
        let moved = MESSAGE
            .replace('\n', "")
            .replace(r#""key":"process.pid""#, r#""keyStrindex":5"#)
            .replace(r#""/lib/x.so"]"#, r#""/lib/x.so","process.pid"]"#);
        let counts = stacks(&moved).expect("the message is right");
        assert!(counts.keys().all(|stack| stack.starts_with("12;")));
    }

    #[test]
    fn attributes_of_resources() {
        let one = MESSAGE.replace('\n', "");
        let more = one.replace(
            r#""attributes":["#,
            r#""attributes":[{"keyStrindex":3,"value":{"stringValueStrindex":1}},
            {"key":"a","value":{"stringValue":"b"}},"#,
        );
        let more = more.replace('\n', "");
        let expected = [("a", "b"), ("main", "f"), ("process.pid", "12")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(
            resources(&more),
            Ok(Resources::from([(12, BTreeMap::from(expected))]))
        );
        let twice = more.replace(r#""key":"a""#, r#""key":"main""#);
        assert!(resources(&twice).is_err());
    }

    #[test]
    fn profiles_have_ids_and_samples() {
        let one = MESSAGE.replace('\n', "");
        let with_id = one.replace(r#"{"samples":"#, r#"{"profileId":"0a","samples":"#);
        let expected = vec![("0a".to_owned(), 5); 2];
        assert_eq!(profiles(&format!("{with_id}\n{with_id}\n")), Ok(expected));
    }

    #[test]
    fn indices_out_of_range_are_told() {
        let one = MESSAGE.replace('\n', "");
        for (right, wrong) in [
            (r#""stackIndex":1"#, r#""stackIndex":2"#),
            (r#""functionIndex":2"#, r#""functionIndex":3"#),
            (r#"[1,2]"#, r#"[1,3]"#),
            (r#""nameStrindex":3"#, r#""nameStrindex":5"#),
            ("process.pid", "process.id"),
        ] {
            assert!(stacks(&one.replace(right, wrong)).is_err(), "{wrong}");
        }
    }
}
