//! pprof: a gzipped message, as `go tool pprof`, Pyroscope and Parca read it.
//!
//! A sample counts twice, as `samples` and as the time that it stands for (`cpu`). Process and
//! thread are no frames here but labels: `pprof -tagroot comm,pid` makes frames of them, `-tagfocus`
//! and `-tags` select and count by them. Lines are always there; `pprof -lines` shows them.

pub(super) mod message;
pub(super) mod tables;

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message as _;

use crate::profile::{
    Context, ContextId, EventId, Index as _, Process, ProcessIndex, Profile, SampleKey, StringId,
    ThreadIndex, Value,
};

use super::label::NO_FRAMES;
use super::places::places;
use super::{FormatError, Options};
use message::{Label, Sample, ValueType};
use tables::Tables;

/// What is one sample: the CPUs that it was taken on are not told apart.
type Key = (Vec<u64>, ProcessIndex, ThreadIndex, ContextId);

/// The profile as a gzipped pprof.
pub fn pprof(profile: &Profile, options: &Options) -> Result<Vec<u8>, FormatError> {
    let message = message_of(profile, options);
    let mut writer = GzEncoder::new(Vec::new(), Compression::default());
    writer
        .write_all(&message.encode_to_vec())
        .and_then(|()| writer.finish())
        .map_err(FormatError::Compress)
}

fn message_of(profile: &Profile, options: &Options) -> message::Profile {
    let mut tables = Tables::new();
    let columns = Columns::new(profile, &mut tables);
    if let Some(main) = main_process(profile).and_then(|process| process.executable) {
        tables.executable(profile, main);
    }
    let mut samples: Vec<_> = profile.samples().collect();
    samples.sort_unstable_by_key(|(key, _)| **key);
    let mut sums = BTreeMap::<Key, Vec<i64>>::new();
    for (key, totals) in samples {
        let locations = locations(profile, key, options, &mut tables);
        let sum = sums
            .entry((locations, key.process, key.thread, key.context))
            .or_insert_with(|| vec![0; columns.types.len()]);
        add(&mut sum[0], totals.weight);
        match columns.of_event.get(&key.event) {
            // What is counted may be the samples themselves.
            None | Some(0) => {}
            Some(column) => add(&mut sum[*column], totals.value),
        }
    }
    let sample = sums
        .into_iter()
        .map(|((location_id, process, thread, context), value)| Sample {
            location_id,
            value,
            label: labels(profile, process, thread, &profile[context], &mut tables),
        })
        .collect();
    let period = profile.events().iter().find_map(|(_, event)| event.period);
    let default = columns.types.last().copied().unwrap_or_default();
    message::Profile {
        sample_type: columns.types,
        sample,
        time_nanos: nanos(profile.clock.wall(profile.span.start)),
        duration_nanos: nanos(profile.span.end.saturating_sub(profile.span.start)),
        period_type: period
            .map(|period| tables.value_type(&profile[period.of.name], &profile[period.of.unit])),
        period: period.map_or(0, |period| nanos(period.amount)),
        default_sample_type: default.r#type,
        mapping: tables.mappings,
        location: tables.locations,
        function: tables.functions,
        string_table: tables.strings,
    }
}

/// What a sample's numbers mean: the first is how many there are.
struct Columns {
    types: Vec<ValueType>,
    of_event: HashMap<EventId, usize>,
}

impl Columns {
    fn new(profile: &Profile, tables: &mut Tables) -> Self {
        let mut types = vec![tables.value_type("samples", "count")];
        let mut of_event = HashMap::new();
        for (id, event) in profile.events().iter() {
            let value = &event.value;
            let value = tables.value_type(&profile[value.name], &profile[value.unit]);
            let column = types.iter().position(|other| *other == value);
            of_event.insert(id, column.unwrap_or(types.len()));
            if column.is_none() {
                types.push(value);
            }
        }
        Self { types, of_event }
    }
}

fn add(sum: &mut i64, amount: u64) {
    *sum = sum.saturating_add(i64::try_from(amount).unwrap_or(i64::MAX));
}

/// The process with the most samples.
fn main_process(profile: &Profile) -> Option<&Process> {
    let mut weights = vec![0_u64; profile.processes().len()];
    for (key, totals) in profile.samples() {
        let weight = &mut weights[key.process.position()];
        *weight = weight.saturating_add(totals.weight);
    }
    let heaviest = weights.iter().max()?;
    let place = weights.iter().position(|weight| weight == heaviest)?;
    profile.processes().get(place)
}

fn locations(
    profile: &Profile,
    key: &SampleKey,
    options: &Options,
    tables: &mut Tables,
) -> Vec<u64> {
    let mut locations = Vec::new();
    for place in places(profile, profile.frames_of(key.stack), options.inlines) {
        locations.push(tables.location(profile, &place, options));
    }
    if locations.is_empty() {
        locations.push(tables.note(NO_FRAMES));
    }
    locations
}

fn labels(
    profile: &Profile,
    process: ProcessIndex,
    thread: ThreadIndex,
    context: &Context,
    tables: &mut Tables,
) -> Vec<Label> {
    let (process, thread) = (&profile[process], &profile[thread]);
    let mut labels = Vec::new();
    for (id, id_key, name, name_key) in [
        (process.id.pid, "pid", process.name, "comm"),
        (thread.tid, "tid", thread.name, "thread"),
    ] {
        if id != 0 {
            labels.push(number(tables, id_key, id.into()));
        }
        if name != StringId::EMPTY {
            labels.push(text(tables, name_key, &profile[name]));
        }
    }
    if let Some(link) = &context.link {
        labels.push(text(tables, "trace_id", &hex(&link.trace_id)));
        labels.push(text(tables, "span_id", &hex(&link.span_id)));
    }
    for attribute in process.attributes.iter().chain(&*context.attributes) {
        let key = &profile[attribute.key];
        labels.push(match attribute.value {
            Value::Text(value) => text(tables, key, &profile[value]),
            Value::Integer(value) => number(tables, key, value),
        });
    }
    labels
}

fn text(tables: &mut Tables, key: &str, value: &str) -> Label {
    Label {
        key: tables.string(key),
        str: tables.string(value),
        ..Label::default()
    }
}

fn number(tables: &mut Tables, key: &str, value: i64) -> Label {
    Label {
        key: tables.string(key),
        num: value,
        ..Label::default()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn nanos(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
