//! OTLP profiles: a `ProfilesData` message (opentelemetry-proto 1.11, `profiles/v1development`),
//! which is also the body of an export request.
//!
//! One resource a process, the busiest first. Its samples are of type `samples` with the period
//! `cpu`, and say when they were taken; or, where that is not known, how many there were. Native
//! frames have addresses as the file itself counts them.

pub(super) mod dictionary;
pub(super) mod frames;

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::profiles::v1development::{
    self as messages, ProfilesData, ResourceProfiles, ScopeProfiles,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use crate::profile::{
    Attribute, Event, EventId, Process, ProcessIndex, Profile, SampleKey, Totals, UNKNOWN_CPU,
    Value,
};

use super::{FormatError, Options};
use dictionary::{Content, Dictionary};
use frames::Frames;

/// Attributes of the semantic conventions (1.44).
pub(super) const PID: &str = "process.pid";
pub(super) const TITLE: &str = "process.title";
const EXECUTABLE_NAME: &str = "process.executable.name";
pub(super) const EXECUTABLE_PATH: &str = "process.executable.path";
pub(super) const THREAD_ID: &str = "thread.id";
pub(super) const THREAD_NAME: &str = "thread.name";
pub(super) const CPU: &str = "cpu.logical_number";

/// What is one sample: stack, attributes, link.
type Identity = (i32, Vec<i32>, i32);
type Samples<'a> = Vec<(&'a SampleKey, &'a Totals)>;

/// The profile as OTLP.
pub fn otlp(profile: &Profile, options: &Options) -> Result<Vec<u8>, FormatError> {
    if profile.samples().len() == 0 {
        return Err(FormatError::Empty);
    }
    Ok(data(profile, options).encode_to_vec())
}

fn data(profile: &Profile, options: &Options) -> ProfilesData {
    let mut dictionary = Dictionary::new();
    let mut frames = Frames::new(profile, options);
    let mut resources = Vec::new();
    for (process, samples) in by_process(profile) {
        let mut by_event = BTreeMap::<EventId, Samples>::new();
        for sample in samples {
            by_event.entry(sample.0.event).or_default().push(sample);
        }
        let profiles = by_event.into_iter().map(|(event, samples)| {
            profile_of(
                profile,
                &profile[event],
                samples,
                &mut frames,
                &mut dictionary,
            )
        });
        let scope = InstrumentationScope {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        resources.push(ResourceProfiles {
            resource: Some(resource(profile, &profile[process])),
            scope_profiles: vec![ScopeProfiles {
                scope: Some(scope),
                profiles: profiles.collect(),
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        });
    }
    ProfilesData {
        resource_profiles: resources,
        dictionary: Some(dictionary.finish()),
    }
}

/// Each process's samples, those of the busiest process first.
fn by_process(profile: &Profile) -> Vec<(ProcessIndex, Samples<'_>)> {
    let mut processes = BTreeMap::<ProcessIndex, Samples>::new();
    for sample in profile.samples() {
        processes.entry(sample.0.process).or_default().push(sample);
    }
    let mut processes: Vec<_> = processes.into_iter().collect();
    for (_, samples) in &mut processes {
        samples.sort_unstable_by_key(|(key, _)| **key);
    }
    let weight = |samples: &Samples| {
        let weights = samples.iter().map(|(_, totals)| totals.weight);
        weights.fold(0, u64::saturating_add)
    };
    processes.sort_by_key(|(_, samples)| std::cmp::Reverse(weight(samples)));
    processes
}

fn resource(profile: &Profile, process: &Process) -> Resource {
    let mut attributes = Vec::new();
    let mut add = |key: &str, content: Content| {
        attributes.push(KeyValue {
            key: key.to_owned(),
            value: content.value(),
            key_strindex: 0,
        });
    };
    if process.id.pid != 0 {
        add(PID, Content::Integer(process.id.pid.into()));
    }
    add(TITLE, Content::Text(profile[process.name].to_owned()));
    if let Some(executable) = process.executable {
        let path = &profile[profile[executable].path];
        let name = path.rsplit('/').next().unwrap_or(path);
        add(EXECUTABLE_NAME, Content::Text(name.to_owned()));
        add(EXECUTABLE_PATH, Content::Text(path.to_owned()));
    }
    for attribute in &process.attributes {
        add(&profile[attribute.key], content(profile, attribute));
    }
    Resource {
        attributes,
        ..Resource::default()
    }
}

fn profile_of(
    profile: &Profile,
    event: &Event,
    samples: Samples,
    frames: &mut Frames,
    dictionary: &mut Dictionary,
) -> messages::Profile {
    // Pyroscope knows CPU time as a number of samples with a period, everything else as a sum.
    let (sample_type, period_type) = match event.period {
        Some(period) => {
            let of = dictionary.value_type(&profile[period.of.name], &profile[period.of.unit]);
            (dictionary.value_type("samples", "count"), Some(of))
        }
        None => {
            let value = &event.value;
            let (name, unit) = (&profile[value.name], &profile[value.unit]);
            (dictionary.value_type(name, unit), None)
        }
    };
    let counts = event.period.is_some();
    let shape = Shape::of(counts, &samples);
    let mut window = window(profile);
    let mut sums = BTreeMap::<Identity, messages::Sample>::new();
    for (key, totals) in samples {
        let identity = (
            frames.stack(dictionary, key.stack),
            attributes(profile, key, dictionary),
            link(profile, key, dictionary),
        );
        let (stack_index, attribute_indices, link_index) = identity.clone();
        let sample = sums.entry(identity).or_insert_with(|| messages::Sample {
            stack_index,
            attribute_indices,
            link_index,
            ..messages::Sample::default()
        });
        shape.add(profile, sample, totals, counts, &mut window);
    }
    messages::Profile {
        sample_type: Some(sample_type),
        samples: sums.into_values().collect(),
        time_unix_nano: window.0,
        duration_nano: window.1 - window.0,
        period_type,
        period: event.period.map_or(0, |period| signed(period.amount)),
        ..messages::Profile::default()
    }
}

/// How the samples of a profile say what they stand for: all of them in the same way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Sum,
    /// Each counts once.
    Times,
    TimesAndValues,
}

impl Shape {
    fn of(counts: bool, samples: &Samples) -> Self {
        let mut all = samples.iter().map(|(_, totals)| totals);
        if !all.clone().all(|totals| timed(totals)) {
            Self::Sum
        } else if !counts {
            Self::TimesAndValues
        } else if all.all(|totals| totals.moments.iter().all(|moment| moment.weight == 1)) {
            Self::Times
        } else {
            // Pyroscope refuses several values where there is a period.
            Self::Sum
        }
    }

    fn add(
        self,
        profile: &Profile,
        sample: &mut messages::Sample,
        totals: &Totals,
        counts: bool,
        window: &mut (u64, u64),
    ) {
        if self == Self::Sum {
            let amount = signed(if counts { totals.weight } else { totals.value });
            match sample.values.first_mut() {
                Some(sum) => *sum = sum.saturating_add(amount),
                None => sample.values.push(amount),
            }
            return;
        }
        for moment in &totals.moments {
            let time = profile.clock.wall(moment.time);
            sample.timestamps_unix_nano.push(time);
            *window = (window.0.min(time), window.1.max(time.saturating_add(1)));
            if self == Self::TimesAndValues {
                sample.values.push(signed(moment.value));
            }
        }
    }
}

/// Whether all of it is known by its time.
fn timed(totals: &Totals) -> bool {
    !totals.moments.is_empty() && totals.moments.len() as u64 == totals.records
}

/// The time that the profile covers, on the wall clock. Samples widen it.
fn window(profile: &Profile) -> (u64, u64) {
    let start = profile.clock.wall(profile.span.start);
    (start, profile.clock.wall(profile.span.end).max(start))
}

fn attributes(profile: &Profile, key: &SampleKey, dictionary: &mut Dictionary) -> Vec<i32> {
    let thread = &profile[key.thread];
    let mut attributes = Vec::new();
    if thread.tid != 0 {
        let id = Content::Integer(thread.tid.into());
        attributes.push(dictionary.attribute(THREAD_ID, id));
    }
    let name = &profile[thread.name];
    if !name.is_empty() {
        attributes.push(dictionary.attribute(THREAD_NAME, Content::Text(name.to_owned())));
    }
    if key.cpu != UNKNOWN_CPU {
        attributes.push(dictionary.attribute(CPU, Content::Integer(key.cpu.into())));
    }
    for attribute in &*profile[key.context].attributes {
        let content = content(profile, attribute);
        attributes.push(dictionary.attribute(&profile[attribute.key], content));
    }
    attributes
}

fn link(profile: &Profile, key: &SampleKey, dictionary: &mut Dictionary) -> i32 {
    match &profile[key.context].link {
        Some(link) => dictionary.link(&link.trace_id, &link.span_id),
        None => 0,
    }
}

fn content(profile: &Profile, attribute: &Attribute) -> Content {
    match attribute.value {
        Value::Text(text) => Content::Text(profile[text].to_owned()),
        Value::Integer(number) => Content::Integer(number),
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;
