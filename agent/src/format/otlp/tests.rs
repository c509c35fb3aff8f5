use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::profiles::v1development::{
    self, KeyValueAndUnit, Link, ProfilesDictionary, Sample,
};

use std::collections::HashSet;

use super::super::{read, sample_profile};
use super::conformance::faults;
use super::*;
use crate::profile::{Clock, Context, Link as Span, Measurement};

/// The made-up profile with a build id for its library, a trace, and times if wanted.
fn full(times: bool) -> Profile {
    let made = sample_profile::profile();
    let mut profile = if times {
        Profile::with_times()
    } else {
        Profile::new()
    };
    profile.clock = Clock {
        monotonic: 1_000_000_000,
        wall: 1_700_000_000_000_000_000,
    };
    profile.span = made.span;
    sample_profile::copy(&made, &mut profile, |profile, file| {
        file.build_id = profile.string("0123456789abcdef");
        file.htlhash = profile.string("00112233445566778899aabbccddeeff");
    });
    let (key, _) = profile.samples().min_by_key(|(key, _)| **key).unwrap();
    let key = *key;
    let context = profile.context(Context {
        link: Some(Span {
            trace_id: [7; 16],
            span_id: [8; 8],
        }),
        attributes: [].into(),
    });
    let measured = Measurement {
        time: 2_000_000_000,
        value: 10_101_010,
        weight: 1,
    };
    profile.add(SampleKey { context, ..key }, measured);
    profile
}

fn message(times: bool) -> ProfilesData {
    let profile = full(times);
    let bytes = otlp(&profile, &Options::default()).unwrap();
    ProfilesData::decode(&*bytes).unwrap()
}

#[test]
fn both_shapes_keep_all_rules() {
    for times in [false, true] {
        let data = message(times);
        assert_eq!(faults(&data), Vec::<String>::new());
        let samples = || {
            let scopes = data
                .resource_profiles
                .iter()
                .flat_map(|it| &it.scope_profiles);
            scopes
                .flat_map(|it| &it.profiles)
                .flat_map(|it| &it.samples)
        };
        let values: i64 = samples().flat_map(|sample| &sample.values).sum();
        let moments: usize = samples().map(|it| it.timestamps_unix_nano.len()).sum();
        let expected = if times { (0, 2906) } else { (2906, 0) };
        assert_eq!((values, moments), expected);
    }
}

#[test]
fn samples_that_stand_for_several_are_sums() {
    let mut profile = full(true);
    let key = *profile.samples().map(|(key, _)| key).min().unwrap();
    let measured = Measurement {
        time: 3_000_000_000,
        value: 1,
        weight: 5,
    };
    profile.add(key, measured);
    let data = data(&profile, &Options::default());
    assert_eq!(faults(&data), Vec::<String>::new());
    let busiest = &data.resource_profiles[0].scope_profiles[0].profiles[0];
    assert!(
        busiest
            .samples
            .iter()
            .all(|sample| sample.values.len() == 1)
    );
}

#[test]
fn a_sample_outside_of_the_recording_widens_its_window() {
    let mut profile = full(true);
    let key = *profile.samples().next().unwrap().0;
    for time in [0, 90_000_000_000] {
        let measured = Measurement {
            time,
            value: 1,
            weight: 1,
        };
        profile.add(key, measured);
    }
    assert_eq!(
        faults(&data(&profile, &Options::default())),
        Vec::<String>::new()
    );
}

#[test]
fn a_file_that_nothing_identifies_is_no_mapping() {
    let profile = sample_profile::profile();
    let data = data(&profile, &Options::default());
    assert_eq!(faults(&data), Vec::<String>::new());
    let dictionary = data.dictionary.unwrap();
    assert_eq!(dictionary.mapping_table.len(), 1);
    let name = "libz.so.1.2.13+0x4ad0".to_owned();
    assert!(dictionary.string_table.contains(&name));
}

#[test]
fn the_busiest_process_comes_first_and_says_who_it_is() {
    let data = message(false);
    let keys = |place: usize| -> Vec<String> {
        let resource = data.resource_profiles[place].resource.as_ref().unwrap();
        let attributes = resource.attributes.iter();
        attributes
            .map(|attribute| {
                let value = attribute.value.as_ref().unwrap().value.as_ref().unwrap();
                format!("{}={value:?}", attribute.key)
            })
            .collect()
    };
    assert_eq!(
        keys(0),
        [
            "process.pid=IntValue(4211)",
            "process.title=StringValue(\"python3\")",
            "service.name=StringValue(\"unknown_service\")"
        ]
    );
    assert_eq!(keys(1)[0], "process.pid=IntValue(977)");
}

#[test]
fn an_empty_profile_is_refused() {
    let error = otlp(&Profile::new(), &Options::default());
    assert!(matches!(error, Err(FormatError::Empty)));
}

type Plant = fn(&mut ProfilesData);

fn dictionary(data: &mut ProfilesData) -> &mut ProfilesDictionary {
    data.dictionary.as_mut().unwrap()
}

fn first(data: &mut ProfilesData) -> &mut v1development::Profile {
    &mut data.resource_profiles[0].scope_profiles[0].profiles[0]
}

fn sample(data: &mut ProfilesData) -> &mut Sample {
    &mut first(data).samples[0]
}

/// A fault for each rule.
const PLANTED: &[(&str, Plant)] = &[
    ("dictionary", |data| data.dictionary = None),
    ("string-zero-value", |data| {
        dictionary(data).string_table[0].push('x')
    }),
    ("attribute-zero-value", |data| {
        dictionary(data).attribute_table[0].key_strindex = 1
    }),
    ("mapping-zero-value", |data| {
        dictionary(data).mapping_table[0].file_offset = 1
    }),
    ("function-zero-value", |data| {
        dictionary(data).function_table[0].start_line = 1
    }),
    ("location-zero-value", |data| {
        dictionary(data).location_table[0].address = 1
    }),
    ("stack-zero-value", |data| {
        dictionary(data).stack_table[0].location_indices.push(1)
    }),
    ("link-zero-value", |data| {
        dictionary(data).link_table[0].trace_id = vec![0; 16]
    }),
    ("string-twice", |data| {
        dictionary(data).string_table.push("cpu".to_owned())
    }),
    ("attribute-twice", |data| {
        repeat(&mut dictionary(data).attribute_table)
    }),
    ("mapping-twice", |data| {
        repeat(&mut dictionary(data).mapping_table)
    }),
    ("function-twice", |data| {
        repeat(&mut dictionary(data).function_table)
    }),
    ("location-twice", |data| {
        repeat(&mut dictionary(data).location_table)
    }),
    ("stack-twice", |data| {
        repeat(&mut dictionary(data).stack_table)
    }),
    ("link-twice", |data| {
        repeat(&mut dictionary(data).link_table)
    }),
    ("string-orphan", |data| {
        dictionary(data).string_table.push("alone".to_owned())
    }),
    ("attribute-orphan", |data| {
        dictionary(data).attribute_table.push(KeyValueAndUnit {
            key_strindex: 1,
            value: Some(AnyValue {
                value: Some(any_value::Value::BoolValue(true)),
            }),
            unit_strindex: 0,
        });
    }),
    ("mapping-orphan", |data| {
        alone(&mut dictionary(data).mapping_table, |it| it.file_offset = 9)
    }),
    ("function-orphan", |data| {
        alone(&mut dictionary(data).function_table, |it| it.start_line = 9)
    }),
    ("location-orphan", |data| {
        alone(&mut dictionary(data).location_table, |it| it.address ^= 1)
    }),
    ("stack-orphan", |data| {
        alone(&mut dictionary(data).stack_table, |it| {
            it.location_indices.push(1)
        })
    }),
    ("link-orphan", |data| {
        alone(&mut dictionary(data).link_table, |it| it.span_id[0] = 9)
    }),
    ("string-in-range", |data| {
        dictionary(data).function_table[1].name_strindex = 99_999
    }),
    ("attribute-in-range", |data| {
        sample(data).attribute_indices[0] = -1
    }),
    ("mapping-in-range", |data| {
        dictionary(data).location_table[1].mapping_index = 99
    }),
    ("function-in-range", |data| {
        lines(data)[0].function_index = 99_999
    }),
    ("location-in-range", |data| {
        dictionary(data).stack_table[1].location_indices[0] = 99_999
    }),
    ("stack-in-range", |data| sample(data).stack_index = 99_999),
    ("link-in-range", |data| sample(data).link_index = 2),
    ("attribute-key", |data| {
        dictionary(data).attribute_table[1].key_strindex = 0
    }),
    ("attribute-value", |data| {
        dictionary(data).attribute_table[1].value = None
    }),
    ("attribute-zero", |data| {
        sample(data).attribute_indices.push(0)
    }),
    ("attribute-key-twice", |data| {
        let place = sample(data).attribute_indices[0];
        sample(data).attribute_indices.push(place);
    }),
    ("mapping-build-id", |data| {
        dictionary(data).mapping_table[1].attribute_indices.clear()
    }),
    ("mapping-range", |data| {
        let mapping = &mut dictionary(data).mapping_table[1];
        mapping.memory_start = mapping.memory_limit;
    }),
    ("location-in-mapping", |data| {
        dictionary(data).mapping_table[1].memory_limit = 1
    }),
    ("location-says-something", |data| {
        let all = &mut dictionary(data).location_table;
        let python = all
            .iter_mut()
            .find(|it| it.mapping_index == 0 && !it.lines.is_empty());
        python.unwrap().lines.clear();
    }),
    ("function-name", |data| {
        dictionary(data).function_table[1].name_strindex = 0
    }),
    ("function-line", |data| {
        dictionary(data).function_table[1].start_line = -1
    }),
    ("line-function", |data| lines(data)[0].function_index = 0),
    ("line-number", |data| lines(data)[0].line = -1),
    ("frame-type", |data| {
        let table = &mut dictionary(data).attribute_table;
        let text = |it: &&mut KeyValueAndUnit| format!("{:?}", it.value).contains("\"native\"");
        let value = any_value::Value::StringValue("fortran".to_owned());
        table.iter_mut().find(text).unwrap().value = Some(AnyValue { value: Some(value) });
    }),
    ("stack-location", |data| {
        dictionary(data).stack_table[1].location_indices[0] = 0
    }),
    ("link-size", |data| {
        dictionary(data).link_table[1] = Link {
            trace_id: vec![1; 8],
            span_id: vec![1; 8],
        }
    }),
    ("no-resource", |data| data.resource_profiles.clear()),
    ("resource-key-twice", |data| {
        let resource = data.resource_profiles[0].resource.as_mut().unwrap();
        repeat(&mut resource.attributes);
    }),
    ("no-scope", |data| {
        data.resource_profiles[0].scope_profiles.clear()
    }),
    ("scope-name", |data| {
        data.resource_profiles[0].scope_profiles[0].scope = None
    }),
    ("no-profile", |data| {
        data.resource_profiles[0].scope_profiles[0].profiles.clear()
    }),
    ("no-sample", |data| first(data).samples.clear()),
    ("type-that-receivers-know", |data| {
        first(data).sample_type = None
    }),
    ("type-that-receivers-know", |data| first(data).period = 0),
    ("sample-twice", |data| repeat(&mut first(data).samples)),
    ("sample-stack", |data| sample(data).stack_index = 0),
    ("sample-says-something", |data| {
        sample(data).timestamps_unix_nano.clear()
    }),
    ("as-many-values", |data| sample(data).values = vec![1]),
    ("one-sum", |data| {
        sample(data).timestamps_unix_nano.clear();
        sample(data).values = vec![1, 2];
    }),
    ("one-shape", |data| {
        sample(data).timestamps_unix_nano.clear();
        sample(data).values = vec![1];
    }),
    ("one-value-where-a-period-is", |data| {
        let count = sample(data).timestamps_unix_nano.len();
        sample(data).values = vec![1; count];
    }),
    ("value", |data| sample(data).values = vec![-1]),
    ("time-in-window", |data| {
        let end = first(data).time_unix_nano + first(data).duration_nano;
        sample(data).timestamps_unix_nano[0] = end;
    }),
];

fn repeat<T: Clone>(table: &mut Vec<T>) {
    table.push(table.last().unwrap().clone());
}

fn alone<T: Clone>(table: &mut Vec<T>, change: fn(&mut T)) {
    repeat(table);
    change(table.last_mut().unwrap());
}

fn lines(data: &mut ProfilesData) -> &mut Vec<v1development::Line> {
    let mut all = dictionary(data).location_table.iter_mut();
    &mut all.find(|it| !it.lines.is_empty()).unwrap().lines
}

#[test]
fn each_rule_finds_a_planted_fault() {
    for (rule, plant) in PLANTED {
        let mut data = message(true);
        plant(&mut data);
        let found = faults(&data);
        let named = |fault: &String| fault.split(':').next() == Some(rule);
        assert!(found.iter().any(named), "{rule}: {found:#?}");
    }
}

/// For other programs: `STRATA_OTLP=/tmp/x.otlp cargo test written_for_others`.
#[test]
fn written_for_others() {
    if let Ok(path) = std::env::var("STRATA_OTLP") {
        std::fs::write(path, otlp(&full(true), &Options::default()).unwrap()).unwrap();
    }
}

/// As many stacks as it takes to fill several messages.
fn large(times: bool) -> Profile {
    let mut profile = full(times);
    let (key, _) = profile.samples().min_by_key(|(key, _)| **key).unwrap();
    let key = *key;
    for number in 0..2000 {
        let frames: Vec<_> = (0..8)
            .map(|depth| profile.marker(&format!("function {number} at {depth}")))
            .collect();
        let stack = profile.stack(&frames);
        let measured = Measurement {
            time: 2_000_000_000 + number,
            value: 10_101_010,
            weight: 1,
        };
        profile.add(SampleKey { stack, ..key }, measured);
    }
    profile
}

#[test]
fn messages_are_bounded_and_hold_each_sample_once() {
    const FULL: usize = 64 << 10;
    let mut ids = HashSet::new();
    let mut last = 0_u128;
    for times in [false, true] {
        let profile = large(times);
        let options = Options::default();
        let made = split(
            &profile,
            &options,
            || {
                last += 1;
                last.to_be_bytes()
            },
            FULL,
        );
        assert_eq!(made.too_large, 0);
        assert!(made.messages.len() > 5, "{}", made.messages.len());
        let mut read = if times {
            Profile::with_times()
        } else {
            Profile::new()
        };
        let mut samples = 0;
        for message in &made.messages {
            // What one sample may add, and what a message has besides.
            assert!(message.bytes.len() < FULL + 4096, "{}", message.bytes.len());
            let data = ProfilesData::decode(&*message.bytes).unwrap();
            assert_eq!(faults(&data), Vec::<String>::new());
            let scopes = data
                .resource_profiles
                .iter()
                .flat_map(|it| &it.scope_profiles);
            for profile in scopes.flat_map(|it| &it.profiles) {
                assert!(ids.insert(profile.profile_id.clone()), "an id came twice");
            }
            samples += message.samples;
            read::read(&mut read, read::Kind::Otlp, "part", &message.bytes).unwrap();
        }
        assert_eq!(samples, 2906 + 2000);
        let folded = |profile: &Profile| {
            let text = String::from_utf8(super::super::folded(profile, &options)).unwrap();
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(folded(&read), folded(&profile));
    }
}

#[test]
fn nothing_recorded_needs_no_message() {
    let made = messages(&Profile::new(), &Options::default(), || [1; 16]);
    assert_eq!(made, Messages::default());
}
