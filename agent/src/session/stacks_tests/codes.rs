//! Code objects of the stacks: none is given the name of another one that was at its address.

use agent_common::code::{TEXT_BYTES, Text};
use agent_common::process::ProcessId;
use agent_common::record::{self, Header};

use super::PROCESS;
use crate::python::Version;
use crate::session::codes::{CodeKey, Codes};

const KEY: CodeKey = CodeKey {
    process: PROCESS,
    code: 0x7f00_1234_5670,
    signature: 0x1111_2222_3333_4445,
};

/// Every code object that differs from [`KEY`] in one bit.
fn other_codes() -> Vec<(String, CodeKey)> {
    let mut others = changes!(KEY, CodeKey { code, signature } besides { process });
    for (name, process) in changes!(KEY.process, ProcessId { pid, exec, start }) {
        others.push((name, CodeKey { process, ..KEY }));
    }
    others
}

/// The record of a code object with a name and file of ASCII.
fn code(key: CodeKey, name: &str, first_line: i32) -> record::Code {
    // One byte a character, compact, ASCII.
    const STATE: u32 = 1 << 2 | 1 << 5 | 1 << 6;
    let text = |text: &str| {
        let mut data = [0; TEXT_BYTES];
        data[..text.len()].copy_from_slice(text.as_bytes());
        Text {
            length: text.len() as u64,
            state: STATE,
            stored: text.len() as u32,
            data,
        }
    };
    record::Code {
        header: Header::default(),
        process: key.process,
        code: key.code,
        signature: key.signature,
        linetable: 0,
        python: 0,
        first_line,
        name: text(name),
        file: text("file.py"),
    }
}

#[test]
fn a_code_object_is_not_found_by_one_that_differs() {
    let mut codes = Codes::new(1 << 20);
    codes.add(&code(KEY, "first", 10), None);
    for (name, other) in other_codes() {
        assert_ne!(other, KEY, "{name}");
        assert!(codes.get_mut(&other).is_none(), "{name}");
    }
    assert_eq!(
        codes.get_mut(&KEY).map(|code| code.name.clone()).as_deref(),
        Some("first")
    );
}

/// Freed memory is used again: the same address with another signature is another code object.
#[test]
fn code_objects_keep_their_names_apart() {
    let mut codes = Codes::new(1 << 20);
    codes.add(&code(KEY, "first", 10), None);
    for (_, other) in other_codes() {
        codes.add(&code(other, "second", 20), None);
    }
    let first = codes.get_mut(&KEY).expect("the first one");
    assert_eq!((first.name.as_str(), first.first_line), ("first", 10));
    for (name, other) in other_codes() {
        let second = codes.get_mut(&other).expect("a second one");
        assert_eq!(
            (second.name.as_str(), second.first_line),
            ("second", 20),
            "{name}"
        );
    }
}

/// `co_linetable` of a function whose first line is 10 and whose first two instructions are on it (3.11: one entry of kind
/// "no column", no lines on, for two code units).
const LINES: [u8; 2] = [0x80 | 13 << 3 | 1, 0];

#[test]
fn a_line_table_that_did_not_travel_whole_gives_no_line() {
    let lines = |size| record::Lines {
        header: Header::default(),
        process: KEY.process,
        code: KEY.code,
        signature: KEY.signature,
        size,
        stored: LINES.len() as u32,
        padding: 0,
    };
    let mut codes = Codes::new(1 << 20);
    codes.add(&code(KEY, "first", 10), None);
    let version = Version::from_hex(0x030b_07f0);
    let line = |codes: &mut Codes| codes.get_mut(&KEY).and_then(|code| code.line(version, 2));
    assert_eq!(line(&mut codes), None, "no table");
    codes.add_lines(&lines(LINES.len() as u64), &LINES);
    assert_eq!(line(&mut codes), Some(10));
    codes.add_lines(&lines(9000), &LINES);
    assert_eq!(line(&mut codes), None, "a part of it");
}

#[test]
fn code_objects_that_were_not_sampled_for_the_longest_time_leave_first() {
    let numbered = |number: u64| CodeKey {
        code: number,
        ..KEY
    };
    let mut codes = Codes::new(64 << 10);
    for number in 0..5000 {
        codes.add(&code(numbered(number), "name", 1), None);
        // In each sample.
        assert!(codes.get_mut(&numbered(0)).is_some(), "{number}");
        assert!(codes.bytes() <= 64 << 10);
    }
    assert!(codes.take_evicted() > 0);
    assert!(codes.get_mut(&numbered(4999)).is_some());
    assert!(codes.get_mut(&numbered(1)).is_none());
}

/// One that is not there is asked for once; if it does not come, nobody could read it.
#[test]
fn a_code_object_is_waited_for_once() {
    let mut codes = Codes::new(1 << 20);
    assert!(!codes.is_settled(&KEY));
    assert!(codes.is_settled(&KEY));
    // One that was given up is asked for like a new one.
    codes.add(&code(KEY, "name", 1), None);
    assert!(codes.is_settled(&KEY));
    let mut small = Codes::new(0);
    assert!(!small.is_settled(&KEY));
    small.add(&code(KEY, "name", 1), None);
    small.add(&code(CodeKey { code: 1, ..KEY }, "other", 1), None);
    assert!(!small.is_settled(&KEY));
}

/// Many lives of a moment each must not cost a program that works all the time its names.
#[test]
fn what_is_sampled_outlives_what_only_came() {
    let mut codes = Codes::new(64 << 10);
    codes.add(&code(KEY, "works", 10), None);
    let mut asked_for_a_batch = false;
    for signature in 0..5000 {
        codes.sampled(&KEY);
        let other = CodeKey { signature, ..KEY };
        codes.add(&code(other, "came", 20), None);
        asked_for_a_batch |= codes.is_full();
    }
    assert!(codes.take_evicted() > 1000);
    assert!(asked_for_a_batch);
    assert_eq!(
        codes.get_mut(&KEY).map(|code| code.name.clone()).as_deref(),
        Some("works")
    );
    codes.next_batch();
    assert!(!codes.is_full());
}
