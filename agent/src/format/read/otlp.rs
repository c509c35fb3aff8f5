//! OTLP profiles.

mod shape;

use std::collections::HashMap;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::profiles::v1development::{
    self as messages, ProfilesData, ProfilesDictionary, Sample, ValueType,
};
use prost::Message as _;

use crate::profile::{
    Attribute, Context, ContextId, EventId, Frame, FrameKind, FunctionId, Link, Measurement,
    Period, ProcessIndex, Profile, SampleKey, StackId, UNKNOWN_CPU,
};

use super::super::otlp::frames::{BUILD_ID, FRAME_TYPE, HTLHASH};
use super::super::otlp::{
    CPU, EXECUTABLE_NAME, EXECUTABLE_PATH, PID, THREAD_ID, THREAD_NAME, TITLE,
};
use super::ReadError;
use super::builder::{ANONYMOUS, Builder, Content, Named, frame, kind_of};
use super::wire;

#[cfg(test)]
pub use shape::ANY;
pub use shape::DATA as SHAPE;

pub fn read(profile: &mut Profile, bytes: &[u8]) -> Result<(), ReadError> {
    wire::check(bytes, &SHAPE)?;
    let data = ProfilesData::decode(bytes).map_err(|error| ReadError::Decode(error.to_string()))?;
    let dictionary = data.dictionary.unwrap_or_default();
    let mut reader = Reader::new(profile, &dictionary);
    for resource in &data.resource_profiles {
        reader.resource(resource)?;
    }
    Ok(())
}

/// Adds one resource of a message of ours that is decoded already.
pub fn resource(
    profile: &mut Profile,
    resource: &messages::ResourceProfiles,
    dictionary: &ProfilesDictionary,
) -> Result<(), ReadError> {
    Reader::new(profile, dictionary).resource(resource)
}

type Place = (Frame, Vec<(FunctionId, i64)>);

struct Reader<'a, 'b> {
    builder: Builder<'b>,
    dictionary: &'a ProfilesDictionary,
    places: HashMap<i32, Place>,
    stacks: HashMap<i32, StackId>,
}

/// What a sample counts.
#[derive(Clone, Copy)]
struct Counted {
    event: EventId,
    /// Each sample stands for so much.
    period: Option<u64>,
}

impl<'a, 'b> Reader<'a, 'b> {
    fn new(profile: &'b mut Profile, dictionary: &'a ProfilesDictionary) -> Self {
        Self {
            builder: Builder::new(profile),
            dictionary,
            places: HashMap::new(),
            stacks: HashMap::new(),
        }
    }

    fn resource(&mut self, resource: &messages::ResourceProfiles) -> Result<(), ReadError> {
        let attributes = resource
            .resource
            .as_ref()
            .map_or(&[][..], |it| &it.attributes);
        let process = self.process(attributes);
        for scope in &resource.scope_profiles {
            for profile in &scope.profiles {
                self.profile(process, profile)?;
            }
        }
        Ok(())
    }

    fn process(&mut self, attributes: &[KeyValue]) -> ProcessIndex {
        let find = |key: &str| {
            let mut found = attributes.iter().filter(|attribute| attribute.key == key);
            found.find_map(|attribute| attribute.value.as_ref()?.value.as_ref())
        };
        let text = |key: &str| match find(key) {
            Some(any_value::Value::StringValue(text)) => Some(text.as_str()),
            _ => None,
        };
        let pid = match find(PID) {
            Some(any_value::Value::IntValue(pid)) => u32::try_from(*pid).unwrap_or(0),
            _ => 0,
        };
        let names = [TITLE, EXECUTABLE_NAME, "service.name"];
        let name = names.into_iter().find_map(text).unwrap_or("[unknown]");
        let known = [PID, TITLE, EXECUTABLE_NAME, EXECUTABLE_PATH];
        let mut others = Vec::new();
        for attribute in attributes {
            let value = attribute.value.as_ref().and_then(|it| it.value.as_ref());
            if let Some(value) = value
                && !known.contains(&attribute.key.as_str())
            {
                others.extend(self.described(&attribute.key, value));
            }
        }
        let process = self.builder.process(pid, name, others);
        if let Some(path) = text(EXECUTABLE_PATH) {
            let executable = self.builder.executable(path, "", "");
            self.builder.profile.process_mut(process).executable = Some(executable);
        }
        process
    }

    fn profile(
        &mut self,
        process: ProcessIndex,
        profile: &messages::Profile,
    ) -> Result<(), ReadError> {
        self.builder
            .covers(profile.time_unix_nano, profile.duration_nano);
        let kind = self.value_type(profile.sample_type.unwrap_or_default())?;
        let samples = self.builder.value_type("samples", "count");
        let counted = match profile.period_type {
            Some(of) if kind == samples && profile.period > 0 => {
                let of = self.value_type(of)?;
                let amount = profile.period as u64;
                let period = Some(Period { of, amount });
                Counted {
                    event: self.builder.event(of, period)?,
                    period: Some(amount),
                }
            }
            _ => Counted {
                event: self.builder.event(kind, None)?,
                period: None,
            },
        };
        for sample in &profile.samples {
            self.sample(process, counted, sample)?;
        }
        Ok(())
    }

    fn sample(
        &mut self,
        process: ProcessIndex,
        counted: Counted,
        sample: &Sample,
    ) -> Result<(), ReadError> {
        let (values, times) = (&sample.values, &sample.timestamps_unix_nano);
        if !values.is_empty() && !times.is_empty() && values.len() != times.len() {
            let (expected, found) = (times.len(), values.len());
            return Err(ReadError::Values { expected, found });
        }
        let key = self.key(process, counted.event, sample)?;
        if times.is_empty() {
            for value in values {
                let amount = u64::try_from(*value).map_err(|_| ReadError::Negative)?;
                let value = amount.saturating_mul(counted.period.unwrap_or(1));
                self.builder.add_sum(key, amount, value)?;
            }
            return Ok(());
        }
        let mut all = Vec::with_capacity(times.len());
        for (place, time) in times.iter().enumerate() {
            let value = values.get(place).copied().unwrap_or(1);
            let amount = u64::try_from(value).map_err(|_| ReadError::Negative)?;
            // With a period it is a number of samples, without one it is what one amounts to.
            let (value, weight) = match counted.period {
                Some(period) => (period, u32::try_from(amount).unwrap_or(u32::MAX)),
                None => (amount, 1),
            };
            all.push(Measurement {
                time: *time,
                value,
                weight,
            });
        }
        self.builder.add(key, &all)
    }

    fn key(
        &mut self,
        process: ProcessIndex,
        event: EventId,
        sample: &Sample,
    ) -> Result<SampleKey, ReadError> {
        let (mut tid, mut thread, mut cpu) = (0, String::new(), UNKNOWN_CPU);
        let mut attributes = Vec::new();
        for place in &sample.attribute_indices {
            let (key, value) = self.attribute(*place)?;
            match (key, value) {
                (THREAD_ID, any_value::Value::IntValue(id)) => {
                    tid = u32::try_from(*id).unwrap_or(0);
                }
                (THREAD_NAME, any_value::Value::StringValue(name)) => thread.clone_from(name),
                (CPU, any_value::Value::IntValue(number)) => {
                    cpu = u32::try_from(*number).unwrap_or(UNKNOWN_CPU);
                }
                (key, value) => attributes.extend(self.described(key, value)),
            }
        }
        let link = entry(&self.dictionary.link_table, sample.link_index, "link")?;
        let link = link.and_then(|link| {
            Some(Link {
                trace_id: link.trace_id.as_slice().try_into().ok()?,
                span_id: link.span_id.as_slice().try_into().ok()?,
            })
        });
        let context = if link.is_some() || !attributes.is_empty() {
            let attributes = attributes.into();
            self.builder.profile.context(Context { link, attributes })
        } else {
            ContextId::NONE
        };
        Ok(SampleKey {
            stack: self.stack(sample.stack_index)?,
            context,
            process,
            thread: self.builder.thread(process, tid, &thread),
            cpu,
            event,
        })
    }

    /// An attribute of ours. Lists and the like are not in a profile.
    fn described(&mut self, key: &str, value: &any_value::Value) -> Option<Attribute> {
        let flag;
        let content = match value {
            any_value::Value::StringValue(text) => Content::Text(text),
            any_value::Value::IntValue(number) => Content::Integer(*number),
            any_value::Value::BoolValue(value) if !key.is_empty() => {
                flag = value.to_string();
                Content::Text(&flag)
            }
            _ => return None,
        };
        Some(self.builder.attribute(key, content))
    }

    fn stack(&mut self, place: i32) -> Result<StackId, ReadError> {
        if let Some(known) = self.stacks.get(&place) {
            return Ok(*known);
        }
        let mut frames = Vec::new();
        if let Some(stack) = entry(&self.dictionary.stack_table, place, "stack")? {
            for location in &stack.location_indices {
                if !self.places.contains_key(location) {
                    let found = self.place(*location)?;
                    self.places.insert(*location, found);
                }
                let (frame, lines) = &self.places[location];
                self.builder.place(*frame, lines, &mut frames)?;
            }
        }
        let stack = self.builder.stack(&frames);
        self.stacks.insert(place, stack);
        Ok(stack)
    }

    fn place(&mut self, place: i32) -> Result<Place, ReadError> {
        let dictionary = self.dictionary;
        let location = entry(&dictionary.location_table, place, "location")?;
        let Some(location) = location else {
            return Ok((frame(FrameKind::Marker, None, 0), Vec::new()));
        };
        let mut lines = Vec::with_capacity(location.lines.len());
        let mut guess = FrameKind::Native;
        for line in &location.lines {
            let function = entry(&dictionary.function_table, line.function_index, "function")?;
            let function = function.copied().unwrap_or_default();
            let named = Named {
                name: self.text(function.name_strindex)?,
                system_name: self.text(function.system_name_strindex)?,
                file: self.text(function.filename_strindex)?,
                first_line: function.start_line,
            };
            guess = kind_of(named.name, named.file);
            lines.push((self.builder.function(&named), line.line));
        }
        let mut kind = None;
        for attribute in &location.attribute_indices {
            if let (FRAME_TYPE, any_value::Value::StringValue(text)) = self.attribute(*attribute)? {
                kind = Some(match text.as_str() {
                    "kernel" => FrameKind::Kernel,
                    "cpython" => FrameKind::Python,
                    _ => FrameKind::Native,
                });
            }
        }
        let mapping = entry(&dictionary.mapping_table, location.mapping_index, "mapping")?;
        let mut executable = None;
        if let Some(mapping) = mapping {
            let (mut build_id, mut htlhash) = (String::new(), String::new());
            for attribute in &mapping.attribute_indices {
                match self.attribute(*attribute)? {
                    (BUILD_ID, any_value::Value::StringValue(id)) => build_id.clone_from(id),
                    (HTLHASH, any_value::Value::StringValue(id)) => htlhash.clone_from(id),
                    _ => {}
                }
            }
            let path = self.text(mapping.filename_strindex)?;
            if path == ANONYMOUS {
                kind = kind.or(Some(FrameKind::Jit));
            }
            executable = Some(self.builder.executable(path, &build_id, &htlhash));
        } else if kind.is_none() && location.address != 0 {
            kind = Some(FrameKind::Jit);
            executable = Some(self.builder.executable(ANONYMOUS, "", ""));
        }
        let kind = kind.unwrap_or(if executable.is_some() {
            FrameKind::Native
        } else {
            guess
        });
        Ok((frame(kind, executable, location.address), lines))
    }

    fn value_type(&mut self, kind: ValueType) -> Result<crate::profile::ValueType, ReadError> {
        let (name, unit) = (
            self.text(kind.type_strindex)?,
            self.text(kind.unit_strindex)?,
        );
        Ok(self.builder.value_type(name, unit))
    }

    fn text(&self, place: i32) -> Result<&'a str, ReadError> {
        let text = entry(&self.dictionary.string_table, place, "string")?;
        Ok(text.map_or("", String::as_str))
    }

    fn attribute(&self, place: i32) -> Result<(&'a str, &'a any_value::Value), ReadError> {
        const NONE: &any_value::Value = &any_value::Value::BoolValue(false);
        let Some(found) = entry(&self.dictionary.attribute_table, place, "attribute")? else {
            return Ok(("", NONE));
        };
        let key = self.text(found.key_strindex)?;
        let value = found
            .value
            .as_ref()
            .and_then(|AnyValue { value }| value.as_ref());
        Ok((key, value.unwrap_or(NONE)))
    }
}

/// An entry of a table, none at place 0.
fn entry<'a, T>(
    table: &'a [T],
    place: i32,
    what: &'static str,
) -> Result<Option<&'a T>, ReadError> {
    if place == 0 {
        return Ok(None);
    }
    let found = usize::try_from(place)
        .ok()
        .and_then(|place| table.get(place));
    match found {
        Some(found) => Ok(Some(found)),
        None => Err(ReadError::Missing {
            what,
            index: place.into(),
        }),
    }
}
