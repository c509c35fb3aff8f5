use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::profiles::v1development::{
    Line as OtlpLine, Location as OtlpLocation, Profile as OtlpProfile, ProfilesData,
    ProfilesDictionary, ResourceProfiles, Sample as OtlpSample, ScopeProfiles, Stack,
    ValueType as OtlpValueType,
};
use prost::Message as _;

use super::super::sample_profile;
use super::super::{Options, folded as write_folded, otlp as write_otlp, pprof as write_pprof};
use super::*;
use crate::profile::{Attribute, FrameKind, Value};

fn profiles() -> Vec<Profile> {
    let made = sample_profile::profile();
    let mut identified = Profile::with_times();
    identified.span = made.span;
    identified.clock.wall = 1_700_000_000_000_000_000;
    sample_profile::copy(&made, &mut identified, |profile, file| {
        file.build_id = profile.string("0123456789abcdef");
    });
    vec![made, identified, sample_profile::timed()]
}

fn options() -> Vec<Options> {
    let mut all = Vec::new();
    for number in 0..8 {
        all.push(Options {
            lines: number & 1 != 0,
            threads: number & 2 != 0,
            inlines: number & 4 != 0,
            addresses: false,
        });
    }
    all
}

fn read_back(kind: Kind, bytes: &[u8]) -> Profile {
    let mut profile = Profile::with_times();
    read(&mut profile, kind, "file", bytes).unwrap();
    profile
}

fn text(profile: &Profile, options: &Options) -> String {
    String::from_utf8(write_folded(profile, options)).unwrap()
}

#[test]
fn what_was_written_is_read_as_it_was() {
    for profile in profiles() {
        let plain = Options::default();
        let otlp = read_back(Kind::Otlp, &write_otlp(&profile, &plain).unwrap());
        let pprof = read_back(Kind::Pprof, &write_pprof(&profile, &plain).unwrap());
        let both = read_back(Kind::Pprof, &write_pprof(&otlp, &plain).unwrap());
        let again = read_back(Kind::Otlp, &write_otlp(&both, &plain).unwrap());
        for options in options() {
            let expected = text(&profile, &options);
            for found in [&otlp, &pprof, &both, &again] {
                assert_eq!(text(found, &options), expected, "{options:?}");
            }
            let folded = read_back(Kind::Folded, expected.as_bytes());
            let same = Options {
                lines: false,
                ..options
            };
            assert_eq!(text(&folded, &same), expected, "{options:?}");
        }
    }
}

#[test]
fn sums_times_files_and_processes_survive() {
    for profile in profiles() {
        let plain = Options::default();
        let files = [
            (Kind::Otlp, write_otlp(&profile, &plain).unwrap()),
            (Kind::Pprof, write_pprof(&profile, &plain).unwrap()),
        ];
        let totals = |profile: &Profile| {
            let samples = profile.samples().map(|(_, totals)| totals);
            samples.fold((0, 0, 0), |(weight, value, times), totals| {
                let moments = totals.moments.len();
                (
                    weight + totals.weight,
                    value + totals.value,
                    times + moments,
                )
            })
        };
        for (kind, bytes) in files {
            let found = read_back(kind, &bytes);
            let (mut expected, found_totals) = (totals(&profile), totals(&found));
            if kind == Kind::Pprof {
                expected.2 = 0;
            }
            assert_eq!(found_totals, expected, "{kind:?}");
            assert_eq!(found.span.duration(), profile.span.duration());
            assert_eq!(
                found.clock.wall(found.span.start),
                profile.clock.wall(profile.span.start)
            );
            let names = |profile: &Profile| {
                let processes = profile.processes().iter();
                let mut names: Vec<_> = processes
                    .map(|it| (it.id.pid, profile[it.name].to_owned()))
                    .collect();
                names.sort();
                names
            };
            assert_eq!(names(&found), names(&profile));
        }
    }
}

/// Service and container stay the process's, in whatever order formats follow one another.
#[test]
fn attributes_of_processes_survive() {
    let mut profile = sample_profile::profile();
    let process = profile.samples().next().unwrap().0.process;
    let attributes = [
        ("service.name", Value::Text(profile.string("web"))),
        ("container.id", Value::Text(profile.string("0123abcd"))),
        ("process.parent_pid", Value::Integer(7)),
    ];
    let attributes = attributes.map(|(key, value)| {
        let key = profile.string(key);
        Attribute { key, value }
    });
    profile.describe(process, attributes.to_vec());
    let plain = Options::default();
    let otlp = read_back(Kind::Otlp, &write_otlp(&profile, &plain).unwrap());
    let pprof = read_back(Kind::Pprof, &write_pprof(&otlp, &plain).unwrap());
    let again = read_back(Kind::Otlp, &write_otlp(&pprof, &plain).unwrap());
    for found in [&otlp, &pprof, &again] {
        let web = found.processes().iter().filter(|it| {
            let says = |wanted: &str| {
                let mut attributes = it.attributes.iter();
                attributes.any(|attribute| &found[attribute.key] == wanted)
            };
            let names = ["service.name", "container.id", "process.parent_pid"];
            it.id.pid == profile[process].id.pid && names.into_iter().all(says)
        });
        assert_eq!(web.count(), 1);
        assert_eq!(found.processes().len(), profile.processes().len());
    }
}

#[test]
fn folded_stacks_of_others_belong_to_their_file() {
    let profile = read_back(
        Kind::Folded,
        b"main;work (app.py:12);read_[k] 3\n\nmain 2\n",
    );
    assert_eq!(
        text(&profile, &Options::default()),
        "file;main 2\nfile;main;work (app.py:12);read_[k] 3\n"
    );
    let threads = Options {
        threads: true,
        ..Options::default()
    };
    let profile = read_back(Kind::Folded, b"python3 7;worker 8;f 3\n");
    assert_eq!(text(&profile, &threads), "python3 7;worker 8;f 3\n");
    assert_eq!(text(&profile, &Options::default()), "python3 7;f 3\n");
}

#[test]
fn several_files_are_one_profile_of_several_processes() {
    let mut profile = Profile::with_times();
    for name in ["a.folded", "b.folded"] {
        read(&mut profile, Kind::Folded, name, b"main;f 3\n").unwrap();
    }
    assert_eq!(
        text(&profile, &Options::default()),
        "a.folded;main;f 3\nb.folded;main;f 3\n"
    );
}

#[test]
fn name_or_content_tell_the_kind() {
    let otlp = write_otlp(&sample_profile::profile(), &Options::default()).unwrap();
    let pprof = write_pprof(&sample_profile::profile(), &Options::default()).unwrap();
    assert_eq!(Kind::of("a.OTLP", &otlp), Some(Kind::Otlp));
    assert_eq!(Kind::of("stdin", &pprof), Some(Kind::Pprof));
    assert_eq!(Kind::of("stdin", b"a;b 1\n"), Some(Kind::Folded));
    assert_eq!(Kind::of("stdin", b"\x00\xff"), None);
}

fn error(kind: Kind, bytes: &[u8]) -> ReadError {
    read(&mut Profile::with_times(), kind, "file", bytes).unwrap_err()
}

#[test]
fn damaged_text_is_refused_by_line() {
    for bad in [
        "a;b",
        "a;b x",
        "a;b -1",
        "a;b 1.5",
        "a 99999999999999999999",
    ] {
        let text = format!("a;b 1\n{bad}\n");
        assert_eq!(
            error(Kind::Folded, text.as_bytes()),
            ReadError::Line(2),
            "{bad}"
        );
    }
    assert!(matches!(
        error(Kind::Folded, b"\xff 1"),
        ReadError::Decode(_)
    ));
}

/// Bytes cut, and each byte changed: any answer is right but a panic.
#[test]
fn damaged_messages_are_refused_or_harmless() {
    let profile = sample_profile::stacks(&[(&["f", "g"], 3), (&["h"], 2)]);
    let plain = Options::default();
    let otlp = write_otlp(&profile, &plain).unwrap();
    let packed = write_pprof(&profile, &plain).unwrap();
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*packed), &mut unpacked).unwrap();
    let mut refused = 0;
    for (kind, good) in [
        (Kind::Otlp, &otlp),
        (Kind::Pprof, &unpacked),
        (Kind::Pprof, &packed),
    ] {
        for place in 0..good.len() {
            let cut = read(&mut Profile::with_times(), kind, "file", &good[..place]);
            refused += usize::from(cut.is_err());
            for value in [0, 0x7f, 0xff] {
                let mut bytes = good.clone();
                bytes[place] = value;
                let mut profile = Profile::with_times();
                match read(&mut profile, kind, "file", &bytes) {
                    Err(_) => refused += 1,
                    // What is read can be written too.
                    Ok(()) => {
                        write_folded(&profile, &plain);
                        let _ = write_otlp(&profile, &plain);
                        write_pprof(&profile, &plain).unwrap();
                    }
                }
            }
        }
    }
    assert!(refused > 1000, "{refused}");
}

#[test]
fn a_small_file_does_not_become_a_large_one() {
    let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
    let zeros = vec![0; 1 << 20];
    for _ in 0..=MOST_BYTES >> 20 {
        bomb.write_all(&zeros).unwrap();
    }
    assert_eq!(
        error(Kind::Pprof, &bomb.finish().unwrap()),
        ReadError::TooLarge
    );

    // A location of a thousand functions, and a stack of a thousand such locations.
    let location = OtlpLocation {
        lines: vec![OtlpLine::default(); 1000],
        ..OtlpLocation::default()
    };
    let dictionary = ProfilesDictionary {
        location_table: vec![OtlpLocation::default(), location],
        stack_table: vec![
            Stack::default(),
            Stack {
                location_indices: vec![1; 1000],
            },
        ],
        ..ProfilesDictionary::default()
    };
    let sample = OtlpSample {
        stack_index: 1,
        values: vec![1],
        ..OtlpSample::default()
    };
    let data = one_sample(dictionary, sample);
    let error = error(Kind::Otlp, &data.encode_to_vec());
    assert!(matches!(error, ReadError::TooManyFrames(..)), "{error}");
}

/// A stack that is small in the file, in many samples: each format writes it for each.
#[test]
fn many_samples_of_a_deep_stack_are_refused() {
    let dictionary = ProfilesDictionary {
        stack_table: vec![
            Stack::default(),
            Stack {
                location_indices: vec![0; 1 << 16],
            },
        ],
        ..ProfilesDictionary::default()
    };
    let sample = OtlpSample {
        stack_index: 1,
        values: vec![1],
        ..OtlpSample::default()
    };
    let mut data = one_sample(dictionary, sample.clone());
    let bytes = data.encode_to_vec();
    assert_eq!(read_back(Kind::Otlp, &bytes).samples().len(), 1);
    let samples = &mut data.resource_profiles[0].scope_profiles[0].profiles[0].samples;
    samples.resize(1025, sample);
    let error = error(Kind::Otlp, &data.encode_to_vec());
    assert!(matches!(error, ReadError::TooManyFrames(..)), "{error}");
}

#[test]
fn one_line_of_text_has_a_limit_too() {
    let line = |depth: usize| "a;".repeat(depth - 1) + "a 1\n";
    let found = read_back(Kind::Folded, line(1 << 16).as_bytes());
    assert_eq!(found.samples().len(), 1);
    let error = error(Kind::Folded, line((1 << 16) + 1).as_bytes());
    assert!(matches!(error, ReadError::TooManyFrames(..)), "{error}");
}

#[test]
fn many_kinds_of_values_are_refused() {
    let with = |count: i32| {
        let mut data = one_sample(ProfilesDictionary::default(), OtlpSample::default());
        let names = (0..=count).map(|number| number.to_string());
        data.dictionary.as_mut().unwrap().string_table = names.collect();
        let profiles = &mut data.resource_profiles[0].scope_profiles[0].profiles;
        *profiles = (1..=count)
            .map(|number| OtlpProfile {
                sample_type: Some(OtlpValueType {
                    type_strindex: number,
                    unit_strindex: 0,
                }),
                ..OtlpProfile::default()
            })
            .collect();
        data.encode_to_vec()
    };
    assert_eq!(read_back(Kind::Otlp, &with(64)).events().len(), 64);
    assert_eq!(error(Kind::Otlp, &with(65)), ReadError::TooManyEvents(64));
}

#[test]
fn too_many_times_become_sums() {
    let count = (1 << 22) + 1;
    let sample = OtlpSample {
        timestamps_unix_nano: vec![7; count],
        ..OtlpSample::default()
    };
    let data = one_sample(ProfilesDictionary::default(), sample);
    let profile = read_back(Kind::Otlp, &data.encode_to_vec());
    assert!(!profile.keeps_times());
    let (_, totals) = profile.samples().next().unwrap();
    assert_eq!(totals.weight, count as u64);
    assert!(totals.moments.is_empty());
}

/// Sums of two files may be more than a number holds.
#[test]
fn sums_end_at_the_largest_number() {
    let text = format!("a;b {}\na;c {}\n", u64::MAX, u64::MAX);
    let profile = read_back(Kind::Folded, text.as_bytes());
    let caption = super::super::Caption::of(&profile);
    assert!(
        caption
            .details
            .ends_with("18,446,744,073,709,551,615 samples")
    );
}

#[test]
fn memory_of_a_process_is_not_the_kernel() {
    use super::super::pprof::message;
    for (path, kind) in [
        ("[heap]", FrameKind::Jit),
        ("[stack]", FrameKind::Jit),
        ("[anon:jit]", FrameKind::Jit),
        ("[vdso]", FrameKind::Native),
        ("[kernel.kallsyms]", FrameKind::Kernel),
        ("[ext4]", FrameKind::Kernel),
    ] {
        let message = message::Profile {
            sample_type: vec![message::ValueType::default()],
            sample: vec![message::Sample {
                location_id: vec![1],
                value: vec![1],
                label: Vec::new(),
            }],
            mapping: vec![message::Mapping {
                id: 1,
                filename: 1,
                ..Default::default()
            }],
            location: vec![message::Location {
                id: 1,
                mapping_id: 1,
                address: 4096,
                line: Vec::new(),
            }],
            string_table: vec![String::new(), path.to_owned()],
            ..Default::default()
        };
        let profile = read_back(Kind::Pprof, &message.encode_to_vec());
        let (_, frame) = profile.frames().iter().next().unwrap();
        assert_eq!(frame.kind, kind, "{path}");
    }
}

#[test]
fn references_to_nothing_and_negative_numbers_are_named() {
    let faults = [
        (
            OtlpSample {
                stack_index: 9,
                values: vec![1],
                ..OtlpSample::default()
            },
            "stack 9",
        ),
        (
            OtlpSample {
                link_index: -1,
                values: vec![1],
                ..OtlpSample::default()
            },
            "link -1",
        ),
        (
            OtlpSample {
                attribute_indices: vec![5],
                values: vec![1],
                ..OtlpSample::default()
            },
            "attribute 5",
        ),
        (
            OtlpSample {
                values: vec![-1],
                ..OtlpSample::default()
            },
            "negative",
        ),
        (
            OtlpSample {
                values: vec![1],
                timestamps_unix_nano: vec![1, 2],
                ..OtlpSample::default()
            },
            "1 values instead of 2",
        ),
    ];
    for (sample, text) in faults {
        let data = one_sample(ProfilesDictionary::default(), sample);
        let error = error(Kind::Otlp, &data.encode_to_vec()).to_string();
        assert!(error.contains(text), "{error}");
    }
}

fn one_sample(dictionary: ProfilesDictionary, sample: OtlpSample) -> ProfilesData {
    ProfilesData {
        resource_profiles: vec![ResourceProfiles {
            scope_profiles: vec![ScopeProfiles {
                profiles: vec![OtlpProfile {
                    samples: vec![sample],
                    ..OtlpProfile::default()
                }],
                ..ScopeProfiles::default()
            }],
            ..ResourceProfiles::default()
        }],
        dictionary: Some(dictionary),
    }
}
