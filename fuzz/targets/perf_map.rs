//! Perf maps: the name at an address is that of the last line that covers it, as a loop over all
//! lines finds it too.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strata::symbols::perf_map::PerfMap;
use strata_fuzz::seeds;

fuzz_target!(init: seeds::write(maps), |text: &[u8]| {
    let map = PerfMap::parse(text.to_vec());
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let Some(lines) = lines.map(plain).collect::<Option<Vec<_>>>() else {
        // Whether such a line counts is not said here; it must only do no harm.
        drop((0..64).map(|shift| map.get(1 << shift)).collect::<Vec<_>>());
        return;
    };
    for (start, end, _) in &lines {
        for avma in [start.wrapping_sub(1), *start, end.wrapping_sub(1), *end] {
            let found = map.get(avma).map(|symbol| symbol.system_name.to_string());
            assert_eq!(found.as_deref(), expected(&lines, avma), "at {avma:#x}");
        }
    }
});

type Line<'a> = (u64, u64, &'a str);

/// The range and the name of a line in plain form.
fn plain(line: &[u8]) -> Option<Line<'_>> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let mut words = line.split(' ');
    let number = |word: &str| {
        let hex = word.bytes().all(|byte| byte.is_ascii_hexdigit());
        u64::from_str_radix(word, 16).ok().filter(|_| hex)
    };
    let (start, size) = (number(words.next()?)?, number(words.next()?)?);
    let name = words.next()?;
    let graphic = name.bytes().all(|byte| byte.is_ascii_graphic());
    let is_plain = graphic && (1..1000).contains(&name.len()) && words.next().is_none();
    is_plain.then_some((start, start.saturating_add(size), name))
}

fn expected<'a>(lines: &[Line<'a>], avma: u64) -> Option<&'a str> {
    // The bug put in on purpose: ranges that include their ends, where they lie in another one.
    let nested = |end: u64| lines.iter().any(|line| line.0 < end && end < line.1);
    let more = |end: u64| u64::from(cfg!(feature = "planted") && nested(end));
    let covers = |line: &&Line<'_>| line.0 <= avma && avma < line.1.saturating_add(more(line.1));
    lines.iter().rev().find(covers).map(|(_, _, name)| *name)
}

fn maps() -> Vec<Vec<u8>> {
    let maps: [&[u8]; 4] = [
        b"7f0010 20 LazyCompile:~f\n7f0040 20 py::main:/a\n",
        b"1000 100 old\n1050 100 new\n",
        b"1000 100 old\n2000 10 new\n",
        b"0x1000 8 _ZN3foo3barEv\n",
    ];
    maps.map(<[u8]>::to_vec).to_vec()
}
