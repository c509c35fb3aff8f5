use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::GzDecoder;

use super::super::folded;
use super::super::sample_profile::{profile, stacks};
use super::*;
use crate::profile::{Attribute, Executable, Frame, FrameKind, Function, Link};

fn message(options: &Options) -> message::Profile {
    decoded(&profile(), options)
}

fn decoded(profile: &Profile, options: &Options) -> message::Profile {
    let bytes = pprof(profile, options).unwrap();
    let mut raw = Vec::new();
    GzDecoder::new(&*bytes).read_to_end(&mut raw).unwrap();
    message::Profile::decode(&*raw).unwrap()
}

impl message::Profile {
    fn text(&self, place: i64) -> &str {
        &self.string_table[place as usize]
    }

    fn types(&self) -> Vec<(&str, &str)> {
        let types = self.sample_type.iter();
        types
            .map(|it| (self.text(it.r#type), self.text(it.unit)))
            .collect()
    }

    fn location_of(&self, id: u64) -> &message::Location {
        &self.location[id as usize - 1]
    }

    fn names(&self, location: &message::Location) -> Vec<&str> {
        let lines = location.line.iter();
        lines
            .map(|line| self.text(self.function[line.function_id as usize - 1].name))
            .collect()
    }

    fn mapping_named(&self, name: &str) -> &message::Mapping {
        let mut mappings = self.mapping.iter();
        mappings
            .find(|mapping| self.text(mapping.filename) == name)
            .unwrap()
    }

    /// Samples by the name of their innermost function.
    fn leaves(&self) -> BTreeMap<String, i64> {
        let mut leaves = BTreeMap::new();
        for sample in &self.sample {
            let leaf = self.location_of(sample.location_id[0]);
            let name = self.names(leaf)[0].to_owned();
            *leaves.entry(name).or_default() += sample.value[0];
        }
        leaves
    }
}

#[test]
fn every_reference_leads_somewhere_and_ids_are_places() {
    let message = message(&Options::default());
    assert_eq!(message.string_table[0], "");
    for (place, mapping) in message.mapping.iter().enumerate() {
        assert_eq!(mapping.id, place as u64 + 1);
        assert!(mapping.memory_start <= mapping.memory_limit);
        assert!(mapping.has_functions);
    }
    for (place, location) in message.location.iter().enumerate() {
        assert_eq!(location.id, place as u64 + 1);
        assert!(location.mapping_id as usize <= message.mapping.len());
        assert!(!message.names(location).is_empty());
    }
    for sample in &message.sample {
        assert_eq!(sample.value.len(), message.sample_type.len());
        assert!(
            sample
                .location_id
                .iter()
                .all(|id| (1..=message.location.len() as u64).contains(id))
        );
    }
}

#[test]
fn leaves_have_the_counts_that_folded_stacks_give_them() {
    for inlines in [true, false] {
        let options = Options {
            inlines,
            ..Options::default()
        };
        let mut expected = BTreeMap::<String, i64>::new();
        for line in String::from_utf8(folded(&profile(), &options))
            .unwrap()
            .lines()
        {
            let (stack, count) = line.rsplit_once(' ').unwrap();
            let leaf = stack.rsplit(';').next().unwrap();
            let leaf = leaf.trim_end_matches("_[k]").trim_end_matches("_[j]");
            *expected.entry(leaf.to_owned()).or_default() += count.parse::<i64>().unwrap();
        }
        assert_eq!(message(&options).leaves(), expected);
    }
}

#[test]
fn samples_are_counted_and_timed_and_the_time_comes_last() {
    let message = message(&Options::default());
    assert_eq!(
        message.types(),
        [("samples", "count"), ("cpu", "nanoseconds")]
    );
    assert_eq!(message.text(message.default_sample_type), "cpu");
    let period = message.period_type.unwrap();
    assert_eq!(message.text(period.r#type), "cpu");
    assert_eq!(message.text(period.unit), "nanoseconds");
    assert_eq!(message.period, 10_101_010);
    assert_eq!(message.duration_nanos, 30_000_000_000);
    for sample in &message.sample {
        assert_eq!(sample.value[1], sample.value[0] * message.period);
    }
}

#[test]
fn the_time_is_the_wall_clock_s() {
    let mut profile = profile();
    profile.clock = crate::profile::Clock {
        monotonic: 500_000_000,
        wall: 1_700_000_000_000_000_000,
    };
    let message = decoded(&profile, &Options::default());
    assert_eq!(message.time_nanos, 1_700_000_000_500_000_000);
}

#[test]
fn labels_name_process_and_thread() {
    let message = message(&Options::default());
    let mut seen = Vec::new();
    for sample in &message.sample {
        let labels = sample.label.iter().map(|label| {
            let value = match label.str {
                0 => label.num.to_string(),
                place => message.text(place).to_owned(),
            };
            format!("{}={value}", message.text(label.key))
        });
        seen.push(labels.collect::<Vec<_>>().join(" "));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(
        seen,
        [
            "pid=4211 comm=python3 tid=4211 thread=python3",
            "pid=4211 comm=python3 tid=4217 thread=worker-1",
            "pid=977 comm=indexer tid=977 thread=indexer",
        ]
    );
}

#[test]
fn a_trace_and_attributes_become_labels() {
    let mut profile = stacks(&[(&["f"], 3)]);
    let (key, totals) = profile.samples().next().unwrap();
    let (key, weight) = (*key, totals.weight);
    let attribute = Attribute {
        key: profile.string("endpoint"),
        value: Value::Text(profile.string("/login")),
    };
    let context = profile.context(Context {
        link: Some(Link {
            trace_id: [0xab; 16],
            span_id: [1; 8],
        }),
        attributes: [attribute].into(),
    });
    let measured = crate::profile::Measurement {
        time: 0,
        value: 1,
        weight: 1,
    };
    profile.add(SampleKey { context, ..key }, measured);
    let message = decoded(&profile, &Options::default());
    let counts: Vec<i64> = message
        .sample
        .iter()
        .map(|sample| sample.value[0])
        .collect();
    assert_eq!(counts, [weight as i64, 1], "the context is part of the key");
    let labels = &message.sample[1].label;
    let text = |place: usize| message.text(labels[labels.len() - place].str);
    assert_eq!(text(3), "ab".repeat(16));
    assert_eq!(text(2), "01".repeat(8));
    assert_eq!(text(1), "/login");
}

#[test]
fn inlined_functions_are_lines_of_one_location() {
    let names = |options| -> Vec<Vec<String>> {
        let message = message(&options);
        let all = message.location.iter();
        all.map(|location| {
            message
                .names(location)
                .iter()
                .map(|it| it.to_string())
                .collect()
        })
        .collect()
    };
    let inlined = Options::default();
    let together = ["inlined_helper", "ascii_escape_unicode"].map(str::to_owned);
    assert!(names(inlined).contains(&together.to_vec()));
    let plain = Options {
        inlines: false,
        ..inlined
    };
    assert!(names(plain).iter().all(|names| names.len() == 1));
    assert!(names(plain).contains(&vec![together[1].clone()]));
    assert!(!names(plain).concat().contains(&together[0]));
}

#[test]
fn files_say_what_is_known_of_them_and_the_main_one_is_first() {
    let mut profile = stacks(&[(&["f"], 3)]);
    let path = profile.string("/usr/bin/worker");
    let build_id = profile.string("0123abcd");
    let main = profile.executable(Executable {
        path,
        build_id,
        htlhash: crate::profile::StringId::EMPTY,
        file: Default::default(),
    });
    let process = profile.samples().next().unwrap().0.process;
    profile.process_mut(process).executable = Some(main);
    let message = decoded(&profile, &Options::default());
    assert_eq!(message.text(message.mapping[0].filename), "/usr/bin/worker");
    assert_eq!(message.text(message.mapping[0].build_id), "0123abcd");

    let message = self::message(&Options::default());
    let library = message.mapping_named("/usr/lib/x86_64-linux-gnu/libz.so.1.2.13");
    assert_eq!(library.memory_limit, 0x4ad0 + 1);
    assert!(library.has_inline_frames && library.has_filenames && library.has_line_numbers);
    let python = message.mapping_named(tables::PYTHON);
    assert!(python.has_filenames && python.has_line_numbers && !python.has_inline_frames);
}

#[test]
fn a_system_name_is_another_name() {
    let profile = stacks(&[(&["<module>"], 1), (&["~inlined"], 1)]);
    let message = decoded(&profile, &Options::default());
    let names = message.function.iter().map(|function| {
        let (name, system_name) = (function.name, function.system_name);
        (message.text(name), message.text(system_name))
    });
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    assert_eq!(names, [("<module>", ""), ("inlined", "~inlined")]);
}

#[test]
fn modules_of_the_kernel_are_no_files() {
    let mut profile = stacks(&[(&["f"], 1)]);
    let name = profile.string("ext4_sync");
    let path = profile.string("ext4");
    let function = Function {
        name,
        system_name: name,
        file: crate::profile::StringId::EMPTY,
        first_line: None,
    };
    let executable = Executable {
        path,
        build_id: crate::profile::StringId::EMPTY,
        htlhash: crate::profile::StringId::EMPTY,
        file: Default::default(),
    };
    let frame = Frame {
        kind: FrameKind::Kernel,
        function: Some(profile.function(function)),
        line: None,
        executable: Some(profile.executable(executable)),
        svma: u64::MAX,
        inlined: false,
    };
    let frame = profile.frame(frame);
    let stack = profile.stack(&[frame]);
    let (key, _) = profile.samples().next().unwrap();
    let key = SampleKey { stack, ..*key };
    let measured = crate::profile::Measurement {
        time: 0,
        value: u64::MAX,
        weight: 2,
    };
    profile.add(key, measured);
    let message = decoded(&profile, &Options::default());
    assert_eq!(message.mapping_named("[ext4]").memory_limit, u64::MAX);
    let values = message.sample.iter().map(|sample| sample.value[1]);
    assert_eq!(values.max(), Some(i64::MAX), "sums stop at their range");
}

#[test]
fn the_same_profile_gives_the_same_bytes() {
    let profile = profile();
    let once = pprof(&profile, &Options::default()).unwrap();
    assert_eq!(once, pprof(&profile, &Options::default()).unwrap());
    assert!(pprof(&Profile::new(), &Options::default()).is_ok());
}
