//! Numbers that travel as bytes and slots: why a stack ends, and the counters.

use std::collections::HashSet;

use agent_common::counter::{COUNTERS, Counter};
use agent_common::cut::{NativeEnd, PythonEnd};

/// Holds an enum's numbers, which the committed object knows too. All variants have to be named.
macro_rules! numbers {
    ($Type:ident { $($variant:ident = $number:literal),* $(,)? }) => {{
        let named = |value: $Type| match value {
            $($Type::$variant => $number,)*
        };
        let numbers = [$($number),*];
        assert_eq!($Type::ALL.len(), numbers.len(), "variants in ALL");
        for value in $Type::ALL {
            assert_eq!(value as u8, named(value), "{value:?}");
        }
        for number in 0..=u8::MAX {
            let value = $Type::from_u8(number);
            assert_eq!(value.is_some(), numbers.contains(&number), "number {number}");
            assert!(value.is_none_or(|value| value as u8 == number), "number {number}");
        }
        let names: HashSet<&str> = $Type::ALL.iter().map(|value| value.name()).collect();
        assert_eq!(names.len(), numbers.len(), "names in use twice");
    }};
}

#[test]
fn native_ends_keep_their_numbers() {
    numbers!(NativeEnd {
        None = 0,
        Root = 1,
        KernelThread = 2,
        UnknownExecutable = 3,
        NoRow = 4,
        UnsupportedRule = 5,
        StackUnreadable = 6,
        NotExecutable = 7,
        FramePointerEnd = 8,
        FramePointerInvalid = 9,
        TooDeep = 10,
        Backwards = 11,
        ThirtyTwoBit = 12,
        ProcessGone = 13,
        StageLimit = 14,
    });
}

#[test]
fn python_ends_keep_their_numbers() {
    numbers!(PythonEnd {
        None = 0,
        Root = 1,
        NoThreadState = 2,
        Unreadable = 3,
        TooDeep = 4,
        BadChain = 5,
        StageLimit = 6,
        NotReady = 7,
    });
}

#[test]
fn every_counter_has_a_slot_of_its_own() {
    assert_eq!(COUNTERS as usize, Counter::ALL.len());
    let mut names = HashSet::new();
    for (slot, counter) in Counter::ALL.iter().enumerate() {
        assert_eq!(*counter as usize, slot, "{counter:?}");
        assert!(names.insert(counter.name()), "{counter:?}");
    }
}
