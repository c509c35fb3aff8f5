//! OTLP profiles: a `ProfilesData` message (opentelemetry-proto 1.11, `profiles/v1development`),
//! which is also the body of an export request.
//!
//! One resource a process, the busiest first. Its samples are of type `samples` with the period
//! `cpu`, and say when they were taken; or, where that is not known, how many there were. Native
//! frames have addresses as the file itself counts them.

pub(super) mod dictionary;
pub(super) mod frames;
mod resource;
mod writer;

use std::collections::{BTreeMap, VecDeque};
use std::mem::replace;

use opentelemetry_proto::tonic::profiles::v1development::ProfilesData;
use prost::Message as _;

use crate::profile::{
    Attribute, EventId, ProcessIndex, Profile, SampleKey, Totals, UNKNOWN_CPU, Value,
};

use super::{FormatError, Options};
use dictionary::{Content, Dictionary};
pub use resource::spell_out;
use writer::Writer;

/// Attributes of the semantic conventions (1.44).
pub(super) const PID: &str = "process.pid";
pub(super) const TITLE: &str = "process.title";
pub(super) const EXECUTABLE_NAME: &str = "process.executable.name";
pub(super) const SERVICE_NAME: &str = "service.name";
pub(super) const EXECUTABLE_PATH: &str = "process.executable.path";
pub(super) const THREAD_ID: &str = "thread.id";
pub(super) const THREAD_NAME: &str = "thread.name";
pub(super) const CPU: &str = "cpu.logical_number";

/// No message has as many bytes: what gRPC servers take unless they are told otherwise.
pub const MOST_BYTES: usize = 4 << 20;
/// Nothing is added to a message of so many bytes.
const FULL_BYTES: usize = 3 << 20;

/// Samples that are yet to be written.
type Samples<'a> = VecDeque<(&'a SampleKey, &'a Totals)>;

/// The profile as OTLP.
pub fn otlp(profile: &Profile, options: &Options) -> Result<Vec<u8>, FormatError> {
    if profile.samples().len() == 0 {
        return Err(FormatError::Empty);
    }
    Ok(data(profile, options).encode_to_vec())
}

/// A message of its own, to be sent as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// ns since 1970: the time that the profile covers.
    pub start: u64,
    pub end: u64,
    pub samples: u64,
    /// An encoded `ProfilesData`, of less than [`MOST_BYTES`].
    pub bytes: Vec<u8>,
}

/// A profile in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    pub messages: Vec<Message>,
    /// Samples in messages that became too large: names of a length that nobody means.
    pub too_large: u64,
}

/// The profile as messages that receivers take: many refuse what has more than 4 MiB. `id` makes the
/// ids of profiles, by which a receiver can tell that a message came twice.
pub fn messages(profile: &Profile, options: &Options, id: impl FnMut() -> [u8; 16]) -> Messages {
    split(profile, options, id, FULL_BYTES)
}

fn split(
    profile: &Profile,
    options: &Options,
    mut id: impl FnMut() -> [u8; 16],
    full_bytes: usize,
) -> Messages {
    let mut done = Messages::default();
    let mut writer = Writer::new(profile, options, full_bytes);
    for (process, mut left) in by_event(profile) {
        while !left.is_empty() {
            writer.add(process, &mut left, id().to_vec());
            if !left.is_empty() {
                let full = replace(&mut writer, Writer::new(profile, options, full_bytes));
                done.take(profile, full);
            }
        }
    }
    done.take(profile, writer);
    done
}

impl Messages {
    fn take(&mut self, profile: &Profile, writer: Writer) {
        let (data, samples) = writer.finish();
        if samples == 0 {
            return;
        }
        let bytes = data.encode_to_vec();
        if bytes.len() >= MOST_BYTES {
            self.too_large += samples;
            return;
        }
        let (start, end) = writer::window(profile);
        self.messages.push(Message {
            start,
            end,
            samples,
            bytes,
        });
    }
}

fn data(profile: &Profile, options: &Options) -> ProfilesData {
    let mut writer = Writer::new(profile, options, usize::MAX);
    for (process, mut left) in by_event(profile) {
        writer.add(process, &mut left, Vec::new());
    }
    writer.finish().0
}

/// Samples of one process and event, the events of a process one after the other, the busiest
/// process first.
fn by_event(profile: &Profile) -> impl Iterator<Item = (ProcessIndex, Samples<'_>)> {
    by_process(profile)
        .into_iter()
        .flat_map(|(process, samples)| {
            let mut by_event = BTreeMap::<EventId, VecDeque<_>>::new();
            for sample in samples {
                let samples = by_event.entry(sample.0.event).or_default();
                samples.push_back(sample);
            }
            by_event
                .into_values()
                .map(move |samples| (process, samples))
        })
}

/// Each process's samples, those of the busiest process first.
fn by_process(profile: &Profile) -> Vec<(ProcessIndex, Vec<(&SampleKey, &Totals)>)> {
    let mut processes = BTreeMap::<ProcessIndex, Vec<_>>::new();
    for sample in profile.samples() {
        processes.entry(sample.0.process).or_default().push(sample);
    }
    let mut processes: Vec<_> = processes.into_iter().collect();
    for (_, samples) in &mut processes {
        samples.sort_unstable_by_key(|(key, _)| **key);
    }
    let weight = |samples: &[(_, &Totals)]| {
        let weights = samples.iter().map(|(_, totals)| totals.weight);
        weights.fold(0, u64::saturating_add)
    };
    processes.sort_by_key(|(_, samples)| std::cmp::Reverse(weight(samples)));
    processes
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
