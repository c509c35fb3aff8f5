//! Real files of this machine against the [`Oracle`].

use std::path::PathBuf;

use object::{Object, ObjectSection};

use super::super::{Segments, build};
use super::fixture::read;
use super::oracle::{Caller, Oracle, Ours, ours};

/// Libraries and programs that are there, by several compilers and linkers.
pub fn real_files() -> Vec<PathBuf> {
    let home = std::env::var("HOME").unwrap_or_default();
    let mut paths: Vec<PathBuf> = [
        "/usr/lib/x86_64-linux-gnu/libc.so.6",
        "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
        "/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
        "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        "/usr/bin/python3.11",
        "/usr/aarch64-linux-gnu/lib/libc.so.6",
        "/usr/aarch64-linux-gnu/lib/libstdc++.so.6",
        "/usr/aarch64-linux-gnu/lib/ld-linux-aarch64.so.1",
    ]
    .map(PathBuf::from)
    .to_vec();
    paths.push(format!("{home}/.pyenv/versions/3.11.7/lib/libpython3.11.so.1.0").into());
    paths.retain(|path| path.exists());
    paths.push(std::env::current_exe().expect("the test is a file"));
    paths
}

/// Numbers that are the same in every run (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % limit
    }
}

/// Svmas in the functions: their first and last bytes, and some in between.
fn places(oracle: &Oracle, random: &mut Random) -> Vec<u64> {
    let mut places = Vec::new();
    for _ in 0..1_500 {
        let function = &oracle.functions[random.below(oracle.functions.len() as u64) as usize];
        let (start, size) = (function.initial_address(), function.len().max(1));
        places.extend([start, start + size - 1, start + random.below(size)]);
    }
    places
}

#[test]
fn every_step_is_what_gimli_makes_of_the_row() {
    for path in real_files() {
        let file = read(&path);
        let table = build(&file).unwrap();
        let segments = Segments::of(&file).unwrap();
        let entry = object::File::parse(&*file).unwrap().entry();
        let mut oracle = Oracle::new(&file);
        let mut random = Random(1);
        let mut unsupported = 0;
        let places = places(&oracle, &mut random);
        for &pc in &places {
            let offset = segments.offset_of(pc).unwrap();
            let theirs = oracle.caller(pc).unwrap();
            match ours(&table, oracle.machine, offset, pc) {
                Ours::Caller(Caller::End) if theirs != Caller::End => {
                    let function = oracle.functions.iter().find(|f| f.contains(pc)).unwrap();
                    assert!(
                        function.contains(entry),
                        "{pc:#x} of {path:?} ends the stack"
                    );
                }
                Ours::Caller(caller) => {
                    assert_eq!(
                        caller,
                        theirs,
                        "at {pc:#x} of {path:?}: {:?}",
                        table.rule(offset)
                    );
                }
                Ours::Unsupported => unsupported += 1,
                Ours::NoRow => panic!("no row at {pc:#x} of {path:?}, but {theirs:x?}"),
            }
        }
        // Expressions that fit no rule: a handful of functions.
        assert!(
            unsupported * 200 <= places.len(),
            "{unsupported} unsupported of {path:?}"
        );
        eprintln!(
            "{}: {} places, {unsupported} unsupported",
            path.display(),
            places.len()
        );
    }
}

#[test]
fn there_is_no_row_where_no_function_is() {
    for path in real_files() {
        let file = read(&path);
        let table = build(&file).unwrap();
        let oracle = Oracle::new(&file);
        let parsed = object::File::parse(&*file).unwrap();
        let mut functions: Vec<_> = oracle
            .functions
            .iter()
            .map(|f| (f.initial_address(), f.end_address()))
            .collect();
        functions.sort();
        // What is known without unwind information.
        let linkage = parsed
            .sections()
            .filter(|s| s.name().unwrap().starts_with(".plt"));
        let mut known: Vec<_> = linkage
            .map(|s| (s.address(), s.address() + s.size()))
            .collect();
        known.push((parsed.entry(), parsed.entry() + 64));

        let mut random = Random(2);
        let segments = Segments::of(&file).unwrap();
        for segment in segments.executable() {
            for _ in 0..4_000 {
                let pc = segment.svma + random.below(segment.size);
                let inside = |&(start, end): &(u64, u64)| start <= pc && pc < end;
                if functions.iter().any(inside) || known.iter().any(inside) {
                    continue;
                }
                let next = functions.iter().find(|function| function.0 > pc);
                let filling = next.is_some_and(|next| next.0 - pc < 16 && next.0 % 16 == 0);
                let rule = table.rule(segment.offset_of(pc).unwrap());
                assert!(rule.is_none() || filling, "{rule:?} at {pc:#x} of {path:?}");
            }
        }
    }
}

#[test]
fn rows_and_rules_stay_few() {
    for path in real_files() {
        let table = build(&read(&path)).unwrap();
        let functions = Oracle::new(&read(&path)).functions.len();
        assert!(
            table.rules.len() < 1_500,
            "{} rules in {path:?}",
            table.rules.len()
        );
        assert!(
            table.rows.len() < 40 * functions,
            "{} rows in {path:?}",
            table.rows.len()
        );
        let mut rules = table.rules.clone();
        rules.sort_by_key(|rule| format!("{rule:?}"));
        rules.dedup();
        assert_eq!(rules.len(), table.rules.len(), "{path:?} has a rule twice");
    }
}
