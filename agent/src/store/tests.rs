//! Stores in real folders.

use super::*;

mod basics;

const LIMITS: Limits = Limits {
    bytes: 64 << 20,
    age: Duration::from_hours(24),
};
const SECOND: u64 = 1_000_000_000;

fn open(folder: &Path) -> Store {
    Store::open(folder, LIMITS).unwrap()
}

/// A message that says which it is: its number, and bytes that compress a little.
fn message(number: u64) -> Message {
    let mut bytes = number.to_le_bytes().to_vec();
    let mut state = number;
    while bytes.len() < 300 {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        bytes.push((state >> 60) as u8);
    }
    Message {
        start: number * SECOND,
        end: (number + 1) * SECOND,
        samples: number + 7,
        bytes,
    }
}

fn messages(numbers: Range<u64>) -> Vec<Message> {
    numbers.map(message).collect()
}

/// The number of a message, which must be as it was made.
fn number(message: &Message) -> u64 {
    let number = message
        .bytes
        .first_chunk()
        .map(|it| u64::from_le_bytes(*it))
        .unwrap();
    assert_eq!(*message, self::message(number));
    number
}

/// What a reader finds; sequences must rise.
fn numbers(folder: &Path) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut last = 0;
    let read = read(folder, 0..u64::MAX, |stored| {
        assert!(stored.sequence > last);
        last = stored.sequence;
        numbers.push(number(&stored.message));
        ControlFlow::Continue(())
    });
    assert_eq!(read.unwrap().messages, numbers.len() as u64);
    numbers
}
