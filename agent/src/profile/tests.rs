use super::*;

fn event(profile: &mut Profile) -> EventId {
    let name = profile.string("cpu-clock");
    let value = ValueType {
        name: profile.string("cpu"),
        unit: profile.string("nanoseconds"),
    };
    profile.event(Event {
        name,
        value,
        period: Some(Period {
            of: value,
            amount: 10_101_010,
        }),
    })
}

fn key(profile: &mut Profile, pid: u32, tid: u32, stack: StackId) -> SampleKey {
    let process = profile.process(ProcessId {
        pid,
        exec: 1,
        start: 1,
    });
    SampleKey {
        stack,
        context: ContextId::NONE,
        process,
        thread: profile.thread(process, tid),
        cpu: 0,
        event: event(profile),
    }
}

fn measured(time: u64) -> Measurement {
    Measurement {
        time,
        value: 10,
        weight: 2,
    }
}

#[test]
fn constants_are_the_first_entries() {
    let profile = Profile::new();
    assert_eq!(&profile[StringId::EMPTY], "");
    assert!(profile.frames_of(StackId::EMPTY).is_empty());
    assert_eq!(profile[ContextId::NONE], Context::default());
}

#[test]
fn equal_keys_are_one_entry_and_others_are_not() {
    let mut profile = Profile::new();
    let frame = profile.marker("[cut: no_row]");
    let stack = profile.stack(&[frame]);
    let here = key(&mut profile, 1, 1, stack);
    profile.add(here, measured(1));
    profile.add(here, measured(2));
    let other_thread = key(&mut profile, 1, 2, stack);
    profile.add(other_thread, measured(3));
    profile.add(SampleKey { cpu: 1, ..here }, measured(4));

    assert_eq!(profile.samples().len(), 3);
    let totals = &profile.samples[&here];
    assert_eq!((totals.records, totals.weight, totals.value), (2, 4, 40));
    assert!(totals.moments.is_empty());
}

#[test]
fn exec_makes_another_process() {
    let mut profile = Profile::new();
    let id = ProcessId {
        pid: 7,
        exec: 1,
        start: 5,
    };
    let before = profile.process(id);
    let after = profile.process(ProcessId { exec: 2, ..id });
    assert_ne!(before, after);
    assert_ne!(profile.thread(before, 7), profile.thread(after, 7));
    let name = profile.string("sh");
    profile.process_mut(before).name = name;
    assert_eq!(&profile[profile[before].name], "sh");
    assert_eq!(profile[after].name, StringId::EMPTY);
}

#[test]
fn times_are_kept_on_demand() {
    let mut profile = Profile::with_times();
    let here = key(&mut profile, 1, 1, StackId::EMPTY);
    profile.add(here, measured(8));
    profile.add(here, measured(9));
    let moments = &profile.samples[&here].moments;
    assert_eq!(moments.iter().map(|m| m.time).collect::<Vec<_>>(), [8, 9]);
    assert_eq!((moments[0].value, moments[0].weight), (20, 2));
}

#[test]
fn sums_stop_at_the_end_of_their_range() {
    let mut profile = Profile::new();
    let here = key(&mut profile, 1, 1, StackId::EMPTY);
    let huge = Measurement {
        time: 0,
        value: u64::MAX,
        weight: u32::MAX,
    };
    profile.add(here, huge);
    profile.add(here, huge);
    assert_eq!(profile.samples[&here].value, u64::MAX);
}

#[test]
fn memory_follows_distinct_things_only() {
    let mut profile = Profile::new();
    let here = key(&mut profile, 1, 1, StackId::EMPTY);
    profile.add(here, measured(1));
    let before = profile.bytes();
    for time in 0..10_000 {
        profile.string("cpu-clock");
        profile.add(here, measured(time));
    }
    assert_eq!(profile.bytes(), before);
    for number in 0..10_000 {
        profile.string(&format!("a long enough name of a function {number}"));
    }
    assert!(profile.bytes() > before + 10_000 * 50);
}

#[test]
fn forgotten_times_leave_the_sums() {
    let mut profile = Profile::with_times();
    let key = key(&mut profile, 1, 1, StackId::EMPTY);
    profile.add(key, measured(1));
    profile.add(key, measured(2));
    assert_eq!(profile.times(), 2);
    profile.forget_times();
    profile.add(key, measured(3));
    let (_, totals) = profile.samples().next().unwrap();
    assert_eq!((totals.records, totals.weight, totals.value), (3, 6, 60));
    assert!(totals.moments.is_empty() && !profile.keeps_times());
    assert_eq!(profile.times(), 0);
}

#[test]
fn samples_that_leave_take_their_times_along() {
    let mut profile = Profile::with_times();
    let stack = profile.stack(&[]);
    let (one, two) = (
        key(&mut profile, 1, 1, stack),
        key(&mut profile, 2, 2, stack),
    );
    for (key, times) in [(one, 3), (two, 2)] {
        (0..times).for_each(|time| profile.add(key, measured(time)));
    }
    profile.retain(|key| *key != one);
    assert_eq!(profile.times(), 2);
    let left: Vec<SampleKey> = profile.samples().map(|(key, _)| *key).collect();
    assert_eq!(left, [two]);
}
