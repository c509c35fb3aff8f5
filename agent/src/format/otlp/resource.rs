//! What a message says of a process.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::dictionary::Content;
use super::{EXECUTABLE_NAME, EXECUTABLE_PATH, PID, SERVICE_NAME, TITLE, content};
use crate::profile::{Attribute, Process, ProcessIndex, Profile, Value};

pub fn resource(profile: &Profile, process: &Process) -> Resource {
    let attributes = told(profile, process).into_iter();
    Resource {
        attributes: attributes
            .map(|(key, content)| KeyValue {
                key,
                value: content.value(),
                key_strindex: 0,
            })
            .collect(),
        ..Resource::default()
    }
}

/// Makes attributes of all that would be told of a process, so that they can be changed: from now on
/// nothing else is told of it.
pub fn spell_out(profile: &mut Profile, process: ProcessIndex) {
    let told = told(profile, &profile[process]);
    let mut attributes = Vec::with_capacity(told.len());
    for (key, content) in told {
        let value = match content {
            Content::None => continue,
            Content::Text(text) => Value::Text(profile.string(&text)),
            Content::Integer(number) => Value::Integer(number),
        };
        let key = profile.string(&key);
        attributes.push(Attribute { key, value });
    }
    profile.describe(process, attributes);
    profile.process_mut(process).is_spelt_out = true;
}

/// Each key once: what was seen comes first, then what the process says of itself.
fn told(profile: &Profile, process: &Process) -> Vec<(String, Content)> {
    let mut told = Vec::<(String, Content)>::new();
    let mut add = |key: &str, content: Content| {
        if told.iter().all(|(known, _)| known != key) {
            told.push((key.to_owned(), content));
        }
    };
    if process.is_spelt_out {
        for attribute in &process.attributes {
            add(&profile[attribute.key], content(profile, attribute));
        }
        return told;
    }
    let mut executable_name = None;
    if process.id.pid != 0 {
        add(PID, Content::Integer(process.id.pid.into()));
    }
    add(TITLE, Content::Text(profile[process.name].to_owned()));
    if let Some(executable) = process.executable {
        let path = &profile[profile[executable].path];
        let name = path.rsplit('/').next().unwrap_or(path);
        add(EXECUTABLE_NAME, Content::Text(name.to_owned()));
        add(EXECUTABLE_PATH, Content::Text(path.to_owned()));
        executable_name = Some(name);
    }
    for attribute in &process.attributes {
        let key = &profile[attribute.key];
        if let (EXECUTABLE_NAME, Value::Text(name)) = (key, attribute.value) {
            executable_name = executable_name.or(Some(&profile[name]));
        }
        add(key, content(profile, attribute));
    }
    // The name of what has none, by the semantic conventions.
    let unknown = match executable_name {
        Some(name) => format!("unknown_service:{name}"),
        None => "unknown_service".to_owned(),
    };
    add(SERVICE_NAME, Content::Text(unknown));
    told
}

#[cfg(test)]
#[path = "resource_tests.rs"]
mod tests;
