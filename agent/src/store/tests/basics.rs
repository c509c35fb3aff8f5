//! What goes in comes out, in order, for readers and for each destination.

use super::*;

#[test]
fn what_is_appended_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.append(&messages(0..3)).unwrap();
    store.append(&messages(3..5)).unwrap();
    assert_eq!(numbers(folder.path()), [0, 1, 2, 3, 4]);
    drop(store);
    assert_eq!(numbers(folder.path()), [0, 1, 2, 3, 4]);
}

#[test]
fn a_window_leaves_out_what_does_not_touch_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.append(&messages(0..10)).unwrap();
    let mut found = Vec::new();
    let window = 3 * SECOND + 1..5 * SECOND;
    let result = read(folder.path(), window, |stored| {
        found.push(number(&stored.message));
        ControlFlow::Continue(())
    });
    assert_eq!((result.unwrap().messages, &*found), (2, &[3, 4][..]));
    let first = read(folder.path(), 0..u64::MAX, |_| ControlFlow::Break(()));
    assert_eq!(first.unwrap().messages, 1);
}

#[test]
fn a_destination_gets_each_message_until_it_has_acknowledged_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.append(&messages(0..2)).unwrap();
    store.register("collector").unwrap();
    assert_eq!(store.next("collector").unwrap(), None);
    let mut appended = store.appended();
    store.append(&messages(2..6)).unwrap();
    assert_eq!(*appended.borrow_and_update(), 6);
    for sequence in 3..=6 {
        for _ in 0..2 {
            let stored = store.next("collector").unwrap().unwrap();
            assert_eq!(stored.sequence, sequence);
            assert_eq!(number(&stored.message), sequence - 1);
        }
        let waiting = &store.status().destinations["collector"];
        assert_eq!(waiting.messages, 7 - sequence);
        assert_eq!(waiting.oldest, Some(sequence * SECOND));
        store.acknowledge("collector", sequence).unwrap();
    }
    assert_eq!(store.next("collector").unwrap(), None);
    let waiting = &store.status().destinations["collector"];
    assert_eq!((waiting.messages, waiting.bytes), (0, 0));
    assert_eq!(waiting.oldest, None);
}

#[test]
fn cursors_survive() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.register("a").unwrap();
    store.register("b").unwrap();
    store.append(&messages(0..5)).unwrap();
    store.acknowledge("a", 2).unwrap();
    drop(store);
    let store = open(folder.path());
    // More than one segment now.
    store.append(&messages(5..7)).unwrap();
    for (destination, next, waiting) in [("a", 3, 5), ("b", 1, 7)] {
        store.register(destination).unwrap();
        assert_eq!(store.next(destination).unwrap().unwrap().sequence, next);
        assert_eq!(store.status().destinations[destination].messages, waiting);
    }
    store.acknowledge("a", 6).unwrap();
    assert_eq!(store.next("a").unwrap().unwrap().sequence, 7);
    assert_eq!(store.status().destinations["a"].messages, 1);
}
