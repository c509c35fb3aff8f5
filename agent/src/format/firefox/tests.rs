use std::collections::BTreeMap;

use serde_json::Value;

use super::super::folded::folded;
use super::super::sample_profile::{profile, timed};
use super::*;

fn read(profile: &Profile, options: Options) -> Value {
    serde_json::from_slice(&firefox(profile, &options).unwrap()).unwrap()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn text<'a>(thread: &'a Value, number: &Value) -> &'a str {
    thread["stringArray"][number.as_u64().unwrap() as usize]
        .as_str()
        .unwrap()
}

/// Rows of frames, the root first.
fn frames_of(thread: &Value, stack: &Value) -> Vec<usize> {
    let mut frames = Vec::new();
    let mut next = stack.as_u64();
    while let Some(stack) = next {
        let stack = stack as usize;
        frames.push(thread["stackTable"]["frame"][stack].as_u64().unwrap() as usize);
        next = thread["stackTable"]["prefix"][stack].as_u64();
    }
    frames.reverse();
    frames
}

fn name(thread: &Value, frame: usize) -> &str {
    let function = thread["frameTable"]["func"][frame].as_u64().unwrap() as usize;
    text(thread, &thread["funcTable"]["name"][function])
}

/// Stacks of names by process and thread, with their weights.
fn unfold(value: &Value) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for thread in list(&value["threads"]) {
        let samples = &thread["samples"];
        for (stack, weight) in list(&samples["stack"]).iter().zip(list(&samples["weight"])) {
            let mut line = format!(
                "{} {};{} {}",
                thread["processName"].as_str().unwrap(),
                thread["pid"].as_str().unwrap(),
                thread["name"].as_str().unwrap(),
                thread["tid"]
            );
            for frame in frames_of(thread, stack) {
                line += ";";
                line += name(thread, frame);
            }
            *sums.entry(line).or_default() += weight.as_u64().unwrap();
        }
    }
    sums
}

/// Row of the frame with this name in a thread.
fn find<'a>(value: &'a Value, wanted: &str) -> (&'a Value, usize) {
    let threads = list(&value["threads"]).iter();
    let mut found = threads.flat_map(|thread| {
        let frames = thread["frameTable"]["length"].as_u64().unwrap() as usize;
        (0..frames).map(move |frame| (thread, frame))
    });
    found
        .find(|(thread, frame)| name(thread, *frame) == wanted)
        .unwrap()
}

#[test]
fn stacks_and_counts_are_those_of_folded() {
    let profile = profile();
    let options = Options {
        threads: true,
        ..Options::default()
    };
    let lines = String::from_utf8(folded(&profile, &options)).unwrap();
    let lines = lines.replace("_[k]", "").replace("_[j]", "");
    let expected: BTreeMap<String, u64> = lines
        .lines()
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(stack, count)| (stack.to_owned(), count.parse().unwrap()))
        .collect();
    // Threads are always there.
    assert_eq!(unfold(&read(&profile, Options::default())), expected);
}

#[test]
fn frames_say_where_they_are() {
    let value = read(&profile(), Options::default());
    let (thread, frame) = find(&value, "Store.query.<locals>.rows");
    let function = thread["frameTable"]["func"][frame].as_u64().unwrap() as usize;
    assert_eq!(thread["frameTable"]["line"][frame], 33);
    assert_eq!(thread["frameTable"]["address"][frame], -1);
    let file = &thread["funcTable"]["fileName"][function];
    assert_eq!(text(thread, file), "/srv/app/store.py");
    assert_eq!(thread["funcTable"]["resource"][function], -1);

    let (thread, frame) = find(&value, "deflate_slow");
    let function = thread["frameTable"]["func"][frame].as_u64().unwrap() as usize;
    assert_eq!(thread["frameTable"]["address"][frame], 0x4ad0);
    let resource = thread["funcTable"]["resource"][function].as_u64().unwrap() as usize;
    let lib = thread["resourceTable"]["lib"][resource].as_u64().unwrap() as usize;
    assert_eq!(value["libs"][lib]["name"], "libz.so.1.2.13");
    assert_eq!(
        value["libs"][lib]["path"],
        "/usr/lib/x86_64-linux-gnu/libz.so.1.2.13"
    );
}

#[test]
fn inlined_functions_lie_in_the_frame_below() {
    let value = read(&profile(), Options::default());
    let (thread, frame) = find(&value, "inlined_helper");
    assert_eq!(thread["frameTable"]["inlineDepth"][frame], 1);
    let (thread, frame) = find(&value, "ascii_escape_unicode");
    assert_eq!(thread["frameTable"]["inlineDepth"][frame], 0);
    let without = Options {
        inlines: false,
        ..Options::default()
    };
    assert!(
        !read(&profile(), without)
            .to_string()
            .contains("inlined_helper")
    );
}

#[test]
fn each_kind_has_its_category() {
    let value = read(&profile(), Options::default());
    for (wanted, category, colour) in [
        ("serve", "Python", "blue"),
        ("sqlite3_step", "Native", "yellow"),
        ("do_syscall_64", "Kernel", "red"),
        ("py::trampoline", "JIT", "green"),
        ("[cut: no_row]", "Other", "grey"),
    ] {
        let (thread, frame) = find(&value, wanted);
        let number = thread["frameTable"]["category"][frame].as_u64().unwrap() as usize;
        assert_eq!(value["meta"]["categories"][number]["name"], category);
        assert_eq!(value["meta"]["categories"][number]["color"], colour);
    }
}

#[test]
fn kept_times_are_times() {
    let value = read(&timed(), Options::default());
    let samples = &value["threads"][0]["samples"];
    // The recording began at 1 s; samples came at 1, 2, 3 and 4 s.
    assert_eq!(
        samples["timeDeltas"],
        serde_json::json!([0.0, 1000.0, 1000.0, 1000.0])
    );
    assert_eq!(
        samples["threadCPUDelta"],
        serde_json::json!([10101, 10101, 10101, 10101])
    );
    assert_eq!(value["meta"]["interval"], 10.10101);
}

#[test]
fn sums_stand_one_behind_the_other() {
    let value = read(&profile(), Options::default());
    for thread in list(&value["threads"]) {
        let deltas = list(&thread["samples"]["timeDeltas"]);
        let weights = list(&thread["samples"]["weight"]);
        assert_eq!(deltas[0], 0.0);
        for (delta, weight) in deltas[1..].iter().zip(weights) {
            let expected = weight.as_f64().unwrap() * 10.10101;
            assert!((delta.as_f64().unwrap() - expected).abs() < 1e-6);
        }
    }
}

#[test]
fn processes_with_the_same_pid_are_told_apart() {
    let mut profile = profile();
    let mut id = profile.processes()[0].id;
    id.exec += 1;
    let (key, totals) = profile
        .samples()
        .next()
        .map(|(k, t)| (*k, t.clone()))
        .unwrap();
    let process = profile.process(id);
    let thread = profile.thread(process, id.pid);
    let measured = crate::profile::Measurement {
        time: 0,
        value: totals.value,
        weight: 1,
    };
    profile.add(
        crate::profile::SampleKey {
            process,
            thread,
            ..key
        },
        measured,
    );
    let value = read(&profile, Options::default());
    let pids = list(&value["threads"])
        .iter()
        .map(|thread| thread["pid"].as_str().unwrap());
    let pids: std::collections::BTreeSet<&str> = pids.collect();
    assert_eq!(
        pids.into_iter().collect::<Vec<_>>(),
        ["4211.7.1", "4211.7.2", "977"]
    );
}

#[test]
fn the_same_profile_gives_the_same_bytes() {
    let profile = profile();
    let all = firefox(&profile, &Options::default()).unwrap();
    let copies = (0..5).map(|_| firefox(&profile.clone(), &Options::default()).unwrap());
    assert!(copies.into_iter().all(|copy| copy == all));
}

#[test]
fn nothing_to_show_is_an_error() {
    let error = firefox(&Profile::new(), &Options::default());
    assert!(matches!(error, Err(FormatError::Empty)));
}
