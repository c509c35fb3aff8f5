//! A message that is being put together: samples are added until it is full.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::profiles::v1development::{
    self as messages, ProfilesData, ResourceProfiles, ScopeProfiles,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use super::super::Options;
use super::dictionary::Dictionary;
use super::frames::Frames;
use super::resource::resource;
use super::{Samples, attributes, link, signed};
use crate::profile::{ProcessIndex, Profile, Totals};

/// What is one sample: stack, attributes, link.
type Identity = (i32, Vec<i32>, i32);

/// Most that a sample takes besides its times: a stack, attributes, a link, a value.
const SAMPLE_BYTES: usize = 48;
/// Most that one moment takes: a time and a value.
const MOMENT_BYTES: usize = 18;

/// A message that is being put together.
pub struct Writer<'a> {
    profile: &'a Profile,
    frames: Frames<'a>,
    dictionary: Dictionary,
    resources: Vec<(ProcessIndex, ResourceProfiles)>,
    /// What the resources take when they are encoded.
    bytes: usize,
    /// No sample is added to a message of more bytes than this.
    most: usize,
    samples: u64,
}

impl<'a> Writer<'a> {
    pub fn new(profile: &'a Profile, options: &'a Options, most: usize) -> Self {
        Self {
            profile,
            frames: Frames::new(profile, options),
            dictionary: Dictionary::new(),
            resources: Vec::new(),
            bytes: 0,
            most,
            samples: 0,
        }
    }

    /// Takes as many of the samples as there is room for, at least one if the message is empty.
    pub fn add(&mut self, process: ProcessIndex, left: &mut Samples, id: Vec<u8>) {
        let Some(profile) = self.profile_of(left, id) else {
            return;
        };
        match self.resources.last_mut() {
            Some((last, resource)) if *last == process => {
                if let Some(scope) = resource.scope_profiles.first_mut() {
                    scope.profiles.push(profile);
                }
            }
            _ => {
                let resource = self.resource_of(process, profile);
                self.bytes += resource.resource.as_ref().map_or(0, Resource::encoded_len);
                self.resources.push((process, resource));
            }
        }
    }

    fn resource_of(&self, process: ProcessIndex, profile: messages::Profile) -> ResourceProfiles {
        let scope = InstrumentationScope {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        ResourceProfiles {
            resource: Some(resource(self.profile, &self.profile[process])),
            scope_profiles: vec![ScopeProfiles {
                scope: Some(scope),
                profiles: vec![profile],
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        }
    }

    fn is_full(&self) -> bool {
        self.bytes + self.dictionary.bytes() > self.most
    }

    /// The message, and how many samples are in it.
    pub fn finish(self) -> (ProfilesData, u64) {
        let data = ProfilesData {
            resource_profiles: self.resources.into_iter().map(|(_, it)| it).collect(),
            dictionary: Some(self.dictionary.finish()),
        };
        (data, self.samples)
    }

    fn profile_of(&mut self, left: &mut Samples, id: Vec<u8>) -> Option<messages::Profile> {
        let profile = self.profile;
        let event = &profile[left.front()?.0.event];
        let counts = event.period.is_some();
        let shape = Shape::of(counts, left);
        let mut window = window(profile);
        let mut sums = BTreeMap::<Identity, messages::Sample>::new();
        while !left.is_empty() && (self.samples == 0 || !self.is_full()) {
            let Some((key, totals)) = left.pop_front() else {
                break;
            };
            let dictionary = &mut self.dictionary;
            let identity = (
                self.frames.stack(dictionary, key.stack),
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
            self.bytes += SAMPLE_BYTES + totals.moments.len() * MOMENT_BYTES;
            self.samples += totals.weight;
        }
        if sums.is_empty() {
            return None;
        }
        // Pyroscope knows CPU time as a number of samples with a period, everything else as a sum.
        let mut type_of = |name, unit| self.dictionary.value_type(&profile[name], &profile[unit]);
        let (sample_type, period_type) = match event.period {
            Some(period) => {
                let of = type_of(period.of.name, period.of.unit);
                (self.dictionary.value_type("samples", "count"), Some(of))
            }
            None => (type_of(event.value.name, event.value.unit), None),
        };
        Some(messages::Profile {
            sample_type: Some(sample_type),
            samples: sums.into_values().collect(),
            time_unix_nano: window.0,
            duration_nano: window.1 - window.0,
            period_type,
            period: event.period.map_or(0, |period| signed(period.amount)),
            profile_id: id,
            ..messages::Profile::default()
        })
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
pub fn window(profile: &Profile) -> (u64, u64) {
    let start = profile.clock.wall(profile.span.start);
    (start, profile.clock.wall(profile.span.end).max(start))
}
