//! Clocks that jump, and machines that are started anew.

use std::sync::Arc;

use super::*;
use crate::store::clock::Now;

const HOUR: u64 = 3600 * SECOND;
const YEAR: u64 = 365 * 24 * HOUR;

/// A clock that a test sets.
#[derive(Clone)]
struct Time(Arc<Mutex<Now>>);

impl Time {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Now {
            wall: 50 * YEAR,
            since_boot: HOUR,
            boot: 1,
        })))
    }

    fn passes(&self, nanoseconds: u64) {
        let mut now = lock(&self.0);
        now.wall += nanoseconds;
        now.since_boot += nanoseconds;
    }

    fn jumps(&self, nanoseconds: i64) {
        let mut now = lock(&self.0);
        now.wall = now.wall.checked_add_signed(nanoseconds).unwrap();
    }

    fn boots(&self) {
        let mut now = lock(&self.0);
        now.boot += 1;
        now.since_boot = 0;
    }

    fn open(&self, folder: &Path) -> Store {
        let time = self.clone();
        let clock = Clock::from_function(move || *lock(&time.0));
        Store::open_at(folder, LIMITS, clock).unwrap()
    }

    /// Appends messages, one an hour.
    fn hours(&self, store: &Store, numbers: Range<u64>) {
        for number in numbers {
            store.append(&messages(number..number + 1)).unwrap();
            self.passes(HOUR);
        }
    }
}

#[test]
fn the_oldest_go_for_age() {
    let (folder, time) = (fast_folder(), Time::new());
    let store = time.open(folder.path());
    store.register("a").unwrap();
    time.hours(&store, 0..30);
    store.append(&[]).unwrap();
    assert_eq!(numbers(folder.path()), (6..30).collect::<Vec<_>>());
    assert_eq!(dropped(&store), [("age", 6)]);
    assert_eq!(store.status().destinations["a"].dropped, 6);
    // All of it, while nothing comes.
    time.passes(30 * HOUR);
    store.append(&[]).unwrap();
    assert_eq!(store.status().messages, 0);
    assert_eq!(segments(folder.path()).len(), 0);
    store.append(&messages(30..31)).unwrap();
    assert_eq!(numbers(folder.path()), [30]);
    assert_eq!(drain(&store, "a"), [30]);
}

#[test]
fn a_jump_while_running_changes_no_age() {
    for jump in [YEAR as i64, -(YEAR as i64)] {
        let (folder, time) = (fast_folder(), Time::new());
        let store = time.open(folder.path());
        time.hours(&store, 0..5);
        time.jumps(jump);
        time.hours(&store, 5..10);
        assert_eq!(numbers(folder.path()), (0..10).collect::<Vec<_>>());
        // Also over a restart of the agent.
        drop(store);
        let store = time.open(folder.path());
        assert_eq!(numbers(folder.path()), (0..10).collect::<Vec<_>>());
        time.hours(&store, 10..30);
        store.append(&[]).unwrap();
        assert_eq!(numbers(folder.path()), (6..30).collect::<Vec<_>>());
    }
}

#[test]
fn a_restart_of_the_machine_counts_by_the_wall_clock() {
    let (folder, time) = (fast_folder(), Time::new());
    let store = time.open(folder.path());
    time.hours(&store, 0..10);
    drop(store);
    time.boots();
    time.passes(5 * HOUR);
    let store = time.open(folder.path());
    // Message 9 was recorded 6 hours ago.
    time.passes(HOUR * 19 / 2);
    store.append(&[]).unwrap();
    assert_eq!(numbers(folder.path()), (1..10).collect::<Vec<_>>());
    assert_eq!(dropped(&store), [("age", 1)]);
}

/// Neither all at once nor for ever: nobody knows how long it was, so it counts as nothing.
#[test]
fn a_jump_while_the_machine_was_down() {
    for jump in [YEAR as i64, -(YEAR as i64)] {
        let (folder, time) = (fast_folder(), Time::new());
        let store = time.open(folder.path());
        time.hours(&store, 0..5);
        drop(store);
        time.boots();
        time.jumps(jump);
        let store = time.open(folder.path());
        assert_eq!(dropped(&store), []);
        time.hours(&store, 5..10);
        assert_eq!(numbers(folder.path()), (0..10).collect::<Vec<_>>());
        time.passes(16 * HOUR);
        store.append(&[]).unwrap();
        // 4 counts as new when the store is opened, so 0 is 4 + 5 + 16 hours old.
        assert_eq!(numbers(folder.path()), (1..10).collect::<Vec<_>>());
        time.passes(30 * HOUR);
        store.append(&[]).unwrap();
        assert_eq!(store.status().messages, 0);
    }
}

/// A window is looked for in all segments, since times need not rise over them.
#[test]
fn a_window_is_found_after_jumps() {
    let (folder, time) = (fast_folder(), Time::new());
    let store = time.open(folder.path());
    for number in [50, 51, 10, 11, 90, 12] {
        time.hours(&store, number..number + 1);
    }
    assert_eq!(segments(folder.path()).len(), 6);
    assert_eq!(numbers(folder.path()), [50, 51, 10, 11, 90, 12]);
    let mut found = Vec::new();
    let window = 11 * SECOND + 1..51 * SECOND;
    let result = read(folder.path(), window, |stored| {
        found.push(number(&stored.message));
        ControlFlow::Continue(())
    });
    result.unwrap();
    assert_eq!(found, [50, 11, 12]);
    let status = store.status();
    assert_eq!(
        (status.oldest, status.newest),
        (Some(10 * SECOND), Some(91 * SECOND))
    );
}

#[test]
fn a_cursor_that_nobody_needs_goes_after_a_while() {
    let (folder, time) = (fast_folder(), Time::new());
    let store = time.open(folder.path());
    store.register("old").unwrap();
    store.register("current").unwrap();
    time.hours(&store, 0..1);
    drop(store);
    let store = time.open(folder.path());
    store.register("current").unwrap();
    let old = folder.path().join(cursor::file_name("old"));
    time.hours(&store, 1..4);
    // It would still get everything.
    assert!(old.exists());
    time.hours(&store, 4..30);
    assert!(!old.exists());
    assert!(folder.path().join(cursor::file_name("current")).exists());
    // Then it is new.
    store.register("old").unwrap();
    assert_eq!(store.next("old").unwrap(), None);
}

#[test]
fn a_destination_that_comes_back_goes_on_where_it_was() {
    let folder = fast_folder();
    let store = open(folder.path());
    store.register("a").unwrap();
    store.append(&messages(0..3)).unwrap();
    store.acknowledge("a", 1).unwrap();
    store.unregister("a");
    let error = store.next("a").unwrap_err();
    assert!(matches!(error, StoreError::Unknown { .. }), "{error}");
    assert!(store.status().destinations.is_empty());
    store.append(&messages(3..4)).unwrap();
    store.register("a").unwrap();
    assert_eq!(drain(&store, "a"), [1, 2, 3]);
}
