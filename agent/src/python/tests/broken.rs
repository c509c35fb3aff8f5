//! Derivation on made-up processes: each way to find a thread's state, each way to fail, and
//! memory that changes at random.

use agent_common::python::{PythonOffsets, thread};

use super::fake::*;
use super::random::Random;
use crate::python::accessor::Hints;
use crate::python::offsets::Layout;
use crate::python::version::Version;
use crate::python::{Unfit, derive, hold_for_file};

fn derived(memory: &FakeMemory, hints: Hints, tls: Option<u64>) -> Result<PythonOffsets, Unfit> {
    derive(&binary(hints, tls), memory, BIAS)
}

fn rule(offsets: PythonOffsets) -> (u8, i32, u32) {
    (offsets.thread, offsets.thread_base, offsets.key_offset)
}

#[test]
fn the_key_is_found_where_the_table_says() {
    let memory = process(3);
    set_glibc_key(&memory, 3, KEY_OFFSET);
    let offsets = derived(&memory, Hints::default(), None).unwrap();
    assert_eq!(rule(offsets), (thread::GLIBC_KEY, 0x310, 1548));
    assert_eq!(
        (offsets.runtime, offsets.ready),
        (0u64.wrapping_sub(0x1000), 1)
    );
    assert!(hold_for_file(&binary(Hints::default(), None), &offsets));
}

#[test]
fn the_key_is_found_where_the_accessor_says_or_by_search() {
    let memory = process(3);
    set_glibc_key(&memory, 3, 0x2008);
    // Another pair of the same look makes the search fail, not the hint.
    memory.put(RUNTIME + 0x3000, KEY << 32 | 1);
    let hints = Hints {
        key_offsets: vec![0xFFFF_FFFC, 0x44, 0x2008],
        tls: None,
    };
    assert_eq!(
        rule(derived(&memory, hints, None).unwrap()),
        (thread::GLIBC_KEY, 0x310, 0x2008)
    );
    assert_eq!(
        derived(&memory, Hints::default(), None),
        Err(Unfit::NoThreadStateRule)
    );
    memory.put(RUNTIME + 0x3000, 0);
    let offsets = derived(&memory, Hints::default(), None).unwrap();
    assert_eq!(rule(offsets), (thread::GLIBC_KEY, 0x310, 0x2008));
    // Behind the interpreter's address it needs not be the only one.
    memory.put(RUNTIME + 0x3000, KEY << 32 | 1);
    memory.put(RUNTIME + 0x2008 - 12, INTERPRETER);
    let offsets = derived(&memory, Hints::default(), None).unwrap();
    assert_eq!(rule(offsets), (thread::GLIBC_KEY, 0x310, 0x2008));
}

#[test]
fn a_thread_without_its_key_yet_does_not_disturb() {
    let memory = process(4);
    set_glibc_key(&memory, 3, KEY_OFFSET);
    assert!(derived(&memory, Hints::default(), None).is_ok());
}

#[test]
fn musl_keeps_the_keys_elsewhere() {
    let memory = process(2);
    memory.put(RUNTIME + KEY_OFFSET - 4, KEY << 32 | 1);
    for number in 0..2 {
        let values = pointer(number) + 0x800;
        memory.put(pointer(number) + 0x80, values);
        memory.put(values + 8 * KEY, tstate(number));
    }
    let offsets = derived(&memory, Hints::default(), None).unwrap();
    assert_eq!(rule(offsets), (thread::MUSL_KEY, 0x80, 1548));
}

#[test]
fn static_tls_is_the_last_resort_and_must_be_unambiguous() {
    let memory = process(2);
    assert_eq!(
        derived(&memory, Hints::default(), None),
        Err(Unfit::NoThreadStateRule)
    );
    let hold = |distance: u64| {
        for number in 0..2 {
            memory.put(pointer(number) - distance, tstate(number));
        }
    };
    hold(0x28);
    let tls = Some(0x30);
    let offsets = derived(&memory, Hints::default(), tls).unwrap();
    assert_eq!(rule(offsets), (thread::STATIC_TLS, -0x28, 0));
    assert!(hold_for_file(&binary(Hints::default(), tls), &offsets));
    assert!(!hold_for_file(&binary(Hints::default(), None), &offsets));
    hold(0x20);
    assert_eq!(
        derived(&memory, Hints::default(), tls),
        Err(Unfit::AmbiguousThreadState)
    );
    let hints = Hints {
        key_offsets: Vec::new(),
        tls: Some(-0x28),
    };
    assert_eq!(
        rule(derived(&memory, hints, tls).unwrap()),
        (thread::STATIC_TLS, -0x28, 0)
    );
    // A positive or far hint is none.
    for wrong in [0x28, i32::MIN, i32::MAX] {
        let hints = Hints {
            key_offsets: Vec::new(),
            tls: Some(wrong),
        };
        assert_eq!(
            derived(&memory, hints, tls),
            Err(Unfit::AmbiguousThreadState)
        );
    }
    // Beyond the executable's own storage is other people's, and the stack.
    assert_eq!(
        derived(&memory, Hints::default(), Some(0x18)),
        Err(Unfit::NoThreadStateRule)
    );
}

#[test]
fn every_broken_link_is_named() {
    let far = 1 << 40;
    let breaks: [(&str, u64, u64); 16] = [
        ("not_initialised", RUNTIME + 40, 0),
        ("unreadable", RUNTIME + 40, far),
        ("not_initialised", INTERPRETER + 72, 0),
        ("unreadable", INTERPRETER + 72, far),
        ("back_pointer", tstate(0) + 16, far),
        ("no_frames", tstate(0) + 56, frame(0, 3)),
        ("frame_chain", tstate(0) + 56, far),
        ("frame_chain", frame(0, 1), 0),
        ("frame_chain", frame(0, 1) + 8, frame(0, 0)),
        ("unreadable", frame(0, 1), far),
        ("code_type", CODE + 8, TEXT),
        ("text_type", CODE + 120, TABLE),
        ("text_type", TEXT + 32, 0x44),
        ("bytes_type", CODE + 136, TEXT),
        ("first_line", CODE + 64, u64::MAX),
        ("instruction", frame(0, 2) + 56, CODE),
    ];
    for (name, avma, value) in breaks {
        let memory = process(1);
        set_glibc_key(&memory, 1, KEY_OFFSET);
        assert!(derived(&memory, Hints::default(), None).is_ok());
        if name == "no_frames" {
            // The chain begins with the shim.
            memory.put(memory.at(0x4_0000), value);
        } else if name == "code_type" {
            // Names the wrong type: the pointer of a text leads to no name of a type.
            memory.put(TEXT + 24, TEXT + 40);
            memory.put(avma, value);
        } else {
            memory.put(avma, value);
        }
        let unfit = derived(&memory, Hints::default(), None).unwrap_err();
        assert_eq!(unfit.name(), name, "{avma:#x} = {value:#x}: {unfit}");
        assert!(!unfit.is_final());
    }
    let memory = process(1);
    memory.put(pointer(0), 0);
    assert_eq!(
        derived(&memory, Hints::default(), None),
        Err(Unfit::ThreadPointer)
    );
}

#[test]
fn endless_lists_end() {
    let memory = process(2);
    set_glibc_key(&memory, 2, KEY_OFFSET);
    memory.put(tstate(1) + 8, tstate(0));
    memory.put(INTERPRETER, INTERPRETER);
    assert!(derived(&memory, Hints::default(), None).is_ok());
}

/// Whatever offsets an interpreter publishes, an answer comes.
#[test]
fn random_debug_offsets_never_panic() {
    let mut random = Random::new(13);
    let mut accepted = 0;
    for _ in 0..20_000 {
        let version = Version::new(3, 13 + random.below(3) as u8, 0);
        let mut image = b"xdebugpy".to_vec();
        image.extend(u64::from(version.hex()).to_le_bytes());
        image.extend([0; 8]);
        let limit = [40, 120, 300, 1 << 17][random.below(4)];
        image.extend((0..110).flat_map(|_| (random.below(limit) as u64).to_le_bytes()));
        let Ok(layout) = Layout::of(version, &image) else {
            continue;
        };
        accepted += 1;
        let memory = process(1);
        set_glibc_key(&memory, 1, KEY_OFFSET);
        let mut binary = binary(Hints::default(), None);
        binary.layout = Ok(layout);
        assert!(derive(&binary, &memory, BIAS).is_err());
    }
    assert!(accepted > 1_000, "{accepted}");
}

/// Whatever is written into the process, an answer comes.
#[test]
fn random_changes_never_panic() {
    let mut random = Random::new(7);
    let mut outcomes = std::collections::BTreeMap::new();
    for _ in 0..3_000 {
        let memory = process(1);
        set_glibc_key(&memory, 1, KEY_OFFSET);
        for _ in 0..random.below(6) + 1 {
            let places = [
                RUNTIME + 40,
                INTERPRETER,
                tstate(0),
                frame(0, 0),
                CODE,
                TEXT,
                TABLE,
            ];
            let at = places[random.below(places.len())] + 8 * random.below(24) as u64;
            let value = match random.below(4) {
                0 => random.next(),
                1 => random.next() >> random.below(64),
                2 => memory.at(random.below(memory.size())),
                _ => places[random.below(places.len())],
            };
            memory.put(at, value);
        }
        let outcome = match derived(&memory, Hints::default(), Some(0x40)) {
            Ok(_) => "ok",
            Err(unfit) => unfit.name(),
        };
        *outcomes.entry(outcome).or_insert(0) += 1;
    }
    println!("random changes: {outcomes:?}");
    assert!(outcomes.len() > 8, "{outcomes:?}");
}
