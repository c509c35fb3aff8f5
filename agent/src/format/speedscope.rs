//! JSON for speedscope (<https://www.speedscope.app/file-format-schema.json>): one profile a
//! process, or a thread, of which the viewer shows one at a time.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::profile::{Frame, ProcessIndex, Profile, StringId, ThreadIndex};

use super::caption::subject;
use super::label::Label;
use super::numbered::{Numbered, Piece, in_order, is_time, pieces};
use super::{FormatError, Options};

const SCHEMA: &str = "https://www.speedscope.app/file-format-schema.json";
/// Most frames of all samples: each is written with its whole stack.
const FRAMES: usize = 1 << 26;
const EXPORTER: &str = concat!("strata ", env!("CARGO_PKG_VERSION"));

#[derive(Serialize)]
struct File {
    #[serde(rename = "$schema")]
    schema: &'static str,
    exporter: &'static str,
    name: String,
    #[serde(rename = "activeProfileIndex")]
    active: u32,
    shared: Shared,
    profiles: Vec<Sampled>,
}

#[derive(Serialize)]
struct Shared {
    frames: Vec<Shown>,
}

/// A box. Boxes are merged if all of this is equal.
#[derive(Clone, Serialize, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Shown {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

#[derive(Serialize)]
struct Sampled {
    r#type: &'static str,
    name: String,
    unit: &'static str,
    #[serde(rename = "startValue")]
    start: u64,
    #[serde(rename = "endValue")]
    end: u64,
    /// Numbers of frames, the root first.
    samples: Vec<Vec<u32>>,
    weights: Vec<u64>,
}

/// The samples of one process, or of one of its threads.
struct Tower<'a> {
    labels: Vec<Label>,
    pieces: Vec<Piece<'a>>,
    total: u64,
}

/// The profile for speedscope, the process or thread with most samples first.
pub fn speedscope(profile: &Profile, options: &Options) -> Result<Vec<u8>, FormatError> {
    within(profile, options, FRAMES)
}

fn within(profile: &Profile, options: &Options, most: usize) -> Result<Vec<u8>, FormatError> {
    let timed = is_time(profile);
    let weight = |piece: &Piece<'_>| if timed { piece.value } else { piece.weight };
    let stacks = Numbered::new(profile, options, |frame| shown(profile, options, frame));
    let mut name = subject(profile);
    let mut found = towers(profile, options, &stacks, weight, true);
    if profile.keeps_times() && size(&found) > most {
        name.push_str(" (sums: too many samples to show when each was taken)");
        found = towers(profile, options, &stacks, weight, false);
    }
    if size(&found) > most {
        return Err(FormatError::TooLarge(most));
    }
    let mut frames = stacks.items.clone();
    let mut profiles = Vec::new();
    for tower in found {
        let root: Vec<u32> = tower
            .labels
            .iter()
            .map(|label| {
                frames.push(Shown {
                    name: label.text.clone(),
                    file: None,
                    line: None,
                });
                frames.len() as u32 - 1
            })
            .collect();
        let names: Vec<&str> = tower.labels.iter().map(|label| &*label.text).collect();
        profiles.push(Sampled {
            r#type: "sampled",
            name: names.join(", "),
            unit: if timed { "nanoseconds" } else { "none" },
            start: 0,
            end: tower.total,
            samples: tower
                .pieces
                .iter()
                .map(|piece| [&root, piece.stack].concat())
                .collect(),
            weights: tower.pieces.iter().map(weight).collect(),
        });
    }
    if profiles.is_empty() {
        return Err(FormatError::Empty);
    }
    let file = File {
        schema: SCHEMA,
        exporter: EXPORTER,
        name,
        active: 0,
        shared: Shared { frames },
        profiles,
    };
    serde_json::to_vec(&file).map_err(FormatError::Json)
}

fn shown(profile: &Profile, options: &Options, frame: Option<&Frame>) -> Shown {
    let Some(frame) = frame else {
        return Shown {
            name: Label::no_frames().text,
            file: None,
            line: None,
        };
    };
    let function = frame.function.map(|function| &profile[function]);
    let file = function.filter(|function| function.file != StringId::EMPTY);
    let line = if options.lines {
        frame.line
    } else {
        // One box a function: where it begins.
        function.and_then(|function| function.first_line)
    };
    Shown {
        name: Label::frame(profile, frame, options).text,
        file: file.map(|function| profile[function.file].to_owned()),
        line: line.filter(|_| file.is_some()),
    }
}

/// Frames of all samples.
fn size(towers: &[Tower<'_>]) -> usize {
    let sizes = towers.iter().flat_map(|tower| {
        let below = tower.labels.len();
        tower
            .pieces
            .iter()
            .map(move |piece| below + piece.stack.len())
    });
    sizes.fold(0, usize::saturating_add)
}

fn towers<'a>(
    profile: &'a Profile,
    options: &Options,
    stacks: &'a Numbered<Shown>,
    weight: impl Fn(&Piece<'_>) -> u64,
    times: bool,
) -> Vec<Tower<'a>> {
    let mut found = BTreeMap::<(ProcessIndex, Option<ThreadIndex>), Vec<Piece<'a>>>::new();
    for (key, totals) in profile.samples() {
        let place = (key.process, options.threads.then_some(key.thread));
        let pieces = pieces(totals, stacks.stack(key.stack), times);
        let wanted = pieces.filter(|piece| weight(piece) != 0);
        found.entry(place).or_default().extend(wanted);
    }
    found.retain(|_, pieces| !pieces.is_empty());
    let towers = found.into_iter().map(|((process, thread), pieces)| {
        let mut labels = vec![Label::process(profile, &profile[process], true)];
        labels.extend(thread.map(|thread| Label::thread(profile, &profile[thread], true)));
        let weights = pieces.iter().map(&weight);
        Tower {
            total: weights.fold(0, u64::saturating_add),
            labels,
            pieces: joined(in_order(pieces)),
        }
    });
    let mut towers: Vec<Tower<'a>> = towers.collect();
    towers.sort_by(|a, b| (Reverse(a.total), &a.labels).cmp(&(Reverse(b.total), &b.labels)));
    towers
}

/// What followed each other with the same stack as one piece: the viewer draws it as one anyway.
fn joined(pieces: Vec<Piece<'_>>) -> Vec<Piece<'_>> {
    let mut joined: Vec<Piece<'_>> = Vec::new();
    for piece in pieces {
        match joined.last_mut() {
            Some(last) if last.stack == piece.stack => {
                last.weight = last.weight.saturating_add(piece.weight);
                last.value = last.value.saturating_add(piece.value);
            }
            _ => joined.push(piece),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::super::folded::folded;
    use super::super::sample_profile::{profile, stacks, timed};
    use super::*;

    fn read(profile: &Profile, options: Options) -> Value {
        serde_json::from_slice(&speedscope(profile, &options).unwrap()).unwrap()
    }

    fn numbers(value: &Value) -> Vec<usize> {
        let all = value.as_array().unwrap().iter();
        all.map(|one| one.as_u64().unwrap() as usize).collect()
    }

    /// Stacks of names with their weights.
    fn unfold(value: &Value) -> BTreeMap<String, u64> {
        let frames = value["shared"]["frames"].as_array().unwrap();
        let mut sums = BTreeMap::new();
        for one in value["profiles"].as_array().unwrap() {
            let samples = one["samples"].as_array().unwrap();
            let weights = numbers(&one["weights"]);
            assert_eq!(samples.len(), weights.len());
            assert_eq!(one["endValue"], weights.iter().sum::<usize>());
            for (sample, weight) in samples.iter().zip(weights) {
                let names = numbers(sample);
                let names = names.iter().map(|at| frames[*at]["name"].as_str().unwrap());
                *sums.entry(names.collect::<Vec<_>>().join(";")).or_default() += weight as u64;
            }
        }
        sums
    }

    #[test]
    fn stacks_and_counts_are_those_of_folded() {
        let profile = profile();
        for threads in [false, true] {
            let options = Options {
                threads,
                ..Options::default()
            };
            let text = String::from_utf8(folded(&profile, &options)).unwrap();
            let text = text.replace("_[k]", "").replace("_[j]", "");
            let expected: BTreeMap<String, u64> = text
                .lines()
                .map(|line| line.rsplit_once(' ').unwrap())
                .map(|(stack, count)| {
                    (stack.to_owned(), count.parse::<u64>().unwrap() * 10_101_010)
                })
                .collect();
            assert_eq!(unfold(&read(&profile, options)), expected);
        }
    }

    #[test]
    fn the_busiest_comes_first() {
        let names = |options| {
            let value = read(&profile(), options);
            assert_eq!(value["activeProfileIndex"], 0);
            let profiles = value["profiles"].as_array().unwrap().iter();
            profiles
                .map(|one| one["name"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(Options::default()), ["python3 4211", "indexer 977"]);
        let threads = Options {
            threads: true,
            ..Options::default()
        };
        let expected = [
            "python3 4211, python3 4211",
            "indexer 977, indexer 977",
            "python3 4211, worker-1 4217",
        ];
        assert_eq!(names(threads), expected);
    }

    #[test]
    fn frames_carry_files_and_lines() {
        let value = read(
            &profile(),
            Options {
                lines: true,
                ..Options::default()
            },
        );
        let frames = value["shared"]["frames"].as_array().unwrap();
        let handle = frames
            .iter()
            .find(|frame| frame["name"] == "handle (/srv/app/server.py:91)")
            .unwrap();
        assert_eq!(handle["file"], "/srv/app/server.py");
        assert_eq!(handle["line"], 91);
        let start = frames
            .iter()
            .find(|frame| frame["name"] == "_start")
            .unwrap();
        assert!(start.get("file").is_none() && start.get("line").is_none());
    }

    #[test]
    fn kept_times_give_the_order() {
        let value = read(&timed(), Options::default());
        let frames = value["shared"]["frames"].as_array().unwrap();
        let samples = value["profiles"][0]["samples"].as_array().unwrap().iter();
        let leaves: Vec<&str> = samples
            .map(|sample| {
                frames[*numbers(sample).last().unwrap()]["name"]
                    .as_str()
                    .unwrap()
            })
            .collect();
        // Two samples of b at the end are one.
        assert_eq!(leaves, ["b", "a", "b"]);
        let period = 10_101_010;
        assert_eq!(
            numbers(&value["profiles"][0]["weights"]),
            [period, period, 2 * period]
        );
    }

    #[test]
    fn too_many_frames_are_shown_as_sums_and_far_too_many_not_at_all() {
        let profile = timed();
        let options = Options::default();
        // Three pieces of a process and a function, and two sums of the same.
        let whole = within(&profile, &options, 6).unwrap();
        assert_eq!(whole, speedscope(&profile, &options).unwrap());
        let sums: Value = serde_json::from_slice(&within(&profile, &options, 5).unwrap()).unwrap();
        assert_eq!(unfold(&sums), unfold(&read(&profile, options)));
        assert_eq!(sums["profiles"][0]["samples"].as_array().unwrap().len(), 2);
        assert!(sums["name"].as_str().unwrap().contains("sums"));
        let error = within(&profile, &options, 3);
        assert!(matches!(error, Err(FormatError::TooLarge(3))));
    }

    #[test]
    fn the_same_profile_gives_the_same_bytes() {
        let profile = profile();
        let all = speedscope(&profile, &Options::default()).unwrap();
        let copies = (0..5).map(|_| speedscope(&profile.clone(), &Options::default()).unwrap());
        assert!(copies.into_iter().all(|copy| copy == all));
    }

    #[test]
    fn nothing_to_show_is_an_error() {
        let error = speedscope(&Profile::new(), &Options::default());
        assert!(matches!(error, Err(FormatError::Empty)));
        let error = speedscope(&stacks(&[(&["f"], 0)]), &Options::default());
        assert!(matches!(error, Err(FormatError::Empty)));
    }
}
