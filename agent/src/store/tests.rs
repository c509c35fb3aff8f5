//! Stores in real folders.

use std::fs;

use tempfile::TempDir;

use super::*;

mod basics;
mod clocks;
mod crash;
mod damage;
mod disk;
mod limits;
mod refusals;
mod together;

const LIMITS: Limits = Limits {
    bytes: 64 << 20,
    age: Duration::from_hours(24),
};
/// With segments of 64 KiB.
const SMALL: Limits = Limits {
    bytes: 1 << 20,
    age: Duration::from_hours(24),
};
const SECOND: u64 = 1_000_000_000;

fn open(folder: &Path) -> Store {
    Store::open(folder, LIMITS).unwrap()
}

/// A folder in memory where there is one: what matters here is not whether disks work.
fn fast_folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// A message that says which it is, of so many bytes that hardly compress.
fn sized(number: u64, length: usize) -> Message {
    let mut bytes = number.to_le_bytes().to_vec();
    let mut state = number;
    while bytes.len() < length {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        bytes.push((state >> 56) as u8);
    }
    Message {
        start: number * SECOND,
        end: (number + 1) * SECOND,
        samples: number + 7,
        bytes,
    }
}

fn messages(numbers: Range<u64>) -> Vec<Message> {
    numbers.map(|number| sized(number, 200)).collect()
}

/// The number of a message, which must be as it was made.
fn number(message: &Message) -> u64 {
    let number = u64::from_le_bytes(*message.bytes.first_chunk().unwrap());
    assert!(*message == sized(number, message.bytes.len()));
    number
}

/// What a reader finds: the messages' numbers, and what is damaged. Sequences must rise.
fn look(folder: &Path) -> (Vec<u64>, u64) {
    let mut numbers = Vec::new();
    let mut last = 0;
    let read = read(folder, 0..u64::MAX, |stored| {
        assert!(stored.sequence > last);
        last = stored.sequence;
        numbers.push(number(&stored.message));
        ControlFlow::Continue(())
    });
    let read = read.unwrap();
    assert_eq!(read.messages, numbers.len() as u64);
    (numbers, read.damaged)
}

/// What a reader finds where nothing is damaged.
fn numbers(folder: &Path) -> Vec<u64> {
    let (numbers, damaged) = look(folder);
    assert_eq!(damaged, 0);
    numbers
}

/// All that waits for a destination.
fn drain(store: &Store, destination: &str) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some(stored) = store.next(destination).unwrap() {
        numbers.push(number(&stored.message));
        store.acknowledge(destination, stored.sequence).unwrap();
    }
    numbers
}

fn segments(folder: &Path) -> Vec<std::path::PathBuf> {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|it| it == "segment"))
        .collect();
    files.sort();
    files
}

fn dropped(store: &Store) -> Vec<(&'static str, u64)> {
    store.status().dropped.into_iter().collect()
}

/// What a test needs and does not find makes it end here, and fail where all of it must be there.
fn skip(missing: &str) {
    assert!(
        std::env::var_os("STRATA_CI").is_none_or(|value| value != "1"),
        "{missing}"
    );
    eprintln!("skipped: {missing}");
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
