//! What `strata report` reads: OTLP, pprof and folded stacks. Whatever is read can be copied, without a sample more or
//! less, and be written in each format.

#![no_main]

use std::ops::Range;

use libfuzzer_sys::fuzz_target;
use strata::format::read::{self, Kind};
use strata::format::{self, Caption, Layout, Options};
use strata::profile::{Merged, Profile};
use strata_fuzz::seeds;

const ALL: Range<u64> = 0..u64::MAX;
const OPTIONS: Options = Options {
    lines: true,
    threads: true,
    inlines: true,
    addresses: false,
};
const LAYOUT: Layout = Layout {
    rows: 20,
    width: Some(80),
    colour: true,
};

fuzz_target!(init: seeds::write(files), |input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else {
        return;
    };
    let kind = [Kind::Otlp, Kind::Pprof, Kind::Folded][usize::from(*kind % 3)];
    let mut profile = Profile::with_times();
    if read::read(&mut profile, kind, "file", bytes).is_err() {
        return;
    }
    let mut merged = Merged::new(true, 1 << 20);
    let mut copy = merged.from(&profile, 0);
    for (key, totals) in profile.samples() {
        copy.add(key, totals, &ALL);
    }
    // A sample at the end of all time is in no window.
    let mut timed = profile.samples().flat_map(|(_, totals)| &totals.moments);
    if timed.all(|moment| moment.time < u64::MAX) {
        assert_eq!(weight(&merged.profile), weight(&profile));
        let folded = |profile| format::folded(profile, &OPTIONS);
        assert_eq!(folded(&merged.profile), folded(&profile));
    }
    written(&merged.profile);
    // The bug put in on purpose: more samples of a stack than the seeds have.
    let many = profile.samples().any(|(_, totals)| totals.weight > 20);
    assert!(!(cfg!(feature = "planted") && many), "planted: many samples");
});

fn weight(profile: &Profile) -> u128 {
    profile
        .samples()
        .map(|(_, totals)| u128::from(totals.weight))
        .sum()
}

fn written(profile: &Profile) {
    let _ = format::otlp(profile, &OPTIONS);
    let _ = format::speedscope(profile, &OPTIONS);
    let _ = format::firefox(profile, &OPTIONS);
    let _ = format::top(profile, &OPTIONS, &LAYOUT);
    let _ = format::changes(profile, profile, &OPTIONS, &LAYOUT);
    let caption = Caption::of_difference(profile, profile, ["a", "b"]);
    let _ = format::flamegraph_difference(profile, profile, &OPTIONS, &caption);
    let _ = format::folded_difference(profile, profile, &OPTIONS);
    let pprof = format::pprof(profile, &OPTIONS);
    let mut again = Profile::new();
    if let Ok(bytes) = pprof {
        let _ = read::read(&mut again, Kind::Pprof, "file", &bytes);
    }
}

/// The same stacks in all three formats, with a byte for the format before them.
fn files() -> Vec<Vec<u8>> {
    let texts = [
        "python3 17;main;handle (app.py:12);json.loads;sys_read_[k] 5\npython3 17;main 2\n",
        "web 3;worker 4;start;run;py::f_[j] 7\nweb 3;worker 4;[cut: no_row];libc.so.6+0x12 1\n",
        "a;b;c 3\na;b 9\n",
    ];
    let mut files = Vec::new();
    for text in texts {
        let mut profile = Profile::new();
        if read::read(&mut profile, Kind::Folded, "file", text.as_bytes()).is_err() {
            continue;
        }
        files.push([b"\x02", text.as_bytes()].concat());
        if let Ok(bytes) = format::otlp(&profile, &OPTIONS) {
            files.push([b"\x00", &*bytes].concat());
        }
        // Compressed bytes teach a fuzzer nothing.
        let bytes = format::pprof(&profile, &OPTIONS).ok();
        if let Some(bytes) = bytes.as_deref().and_then(seeds::unzipped) {
            files.push([b"\x01", &*bytes].concat());
        }
    }
    files
}
