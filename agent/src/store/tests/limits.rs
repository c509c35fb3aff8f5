//! What is over the limits goes, the oldest first.

use super::*;

#[test]
fn the_oldest_go_for_bytes() {
    let folder = fast_folder();
    let store = Store::open(folder.path(), SMALL).unwrap();
    store.register("slow").unwrap();
    store.register("quick").unwrap();
    let on_disk = || -> u64 {
        let files = segments(folder.path());
        files.iter().map(|it| fs::metadata(it).unwrap().len()).sum()
    };
    for number in 0..300 {
        store.append(&[sized(number, 10_000)]).unwrap();
        store.acknowledge("quick", number + 1).unwrap();
        let status = store.status();
        assert!(status.bytes <= SMALL.bytes && status.bytes == on_disk());
    }
    let status = store.status();
    assert!(status.bytes > SMALL.bytes * 8 / 10);
    assert!(status.segments > 10);
    let left = numbers(folder.path());
    assert_eq!(left, (300 - status.messages..300).collect::<Vec<_>>());
    assert_eq!(dropped(&store), [("bytes", 300 - status.messages)]);
    let slow = &status.destinations["slow"];
    assert_eq!(slow.messages + slow.dropped, 300);
    assert_eq!((slow.messages, slow.bytes), (status.messages, status.bytes));
    assert_eq!(slow.oldest, Some((left[0] + 1) * SECOND));
    let quick = &status.destinations["quick"];
    assert_eq!((quick.messages, quick.dropped), (0, 0));
    assert_eq!(drain(&store, "slow"), left);
}

#[test]
fn other_limits_hold_at_once() {
    let folder = fast_folder();
    let store = Store::open(folder.path(), SMALL).unwrap();
    for number in 0..60 {
        store.append(&[sized(number, 10_000)]).unwrap();
    }
    let bytes = 200 << 10;
    store.limit(Limits { bytes, ..SMALL });
    let status = store.status();
    assert!(status.bytes <= bytes && status.messages >= 10);
    assert_eq!(*numbers(folder.path()).last().unwrap(), 59);
    drop(store);
    let bytes = 70 << 10;
    let store = Store::open(folder.path(), Limits { bytes, ..SMALL }).unwrap();
    assert!(store.status().bytes <= bytes);
}

#[test]
fn a_batch_that_is_over_the_limit_by_itself() {
    let folder = fast_folder();
    let bytes = 100 << 10;
    let store = Store::open(folder.path(), Limits { bytes, ..SMALL }).unwrap();
    store.register("a").unwrap();
    let batch: Vec<Message> = (0..40).map(|number| sized(number, 10_000)).collect();
    store.append(&batch).unwrap();
    let left = numbers(folder.path());
    assert_eq!(*left.last().unwrap(), 39);
    assert!(store.status().bytes <= bytes);
    // One that never fits leaves the others alone.
    let batch = [sized(40, 200), sized(41, 200_000), sized(42, 200)];
    store.append(&batch).unwrap();
    let kept = numbers(folder.path());
    assert!(kept.ends_with(&[39, 40, 42]));
    let waiting = &store.status().destinations["a"];
    assert_eq!(waiting.messages + waiting.dropped, 43);
    assert_eq!(drain(&store, "a"), kept);
}

#[test]
fn a_message_that_receivers_would_not_take_is_refused() {
    let folder = fast_folder();
    let store = open(folder.path());
    let huge = Message {
        bytes: vec![0; record::MESSAGE_BYTES + 1],
        ..Message::default()
    };
    let batch = [sized(0, 100), huge, sized(1, 100)];
    let error = store.append(&batch).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
    assert_eq!(numbers(folder.path()), [0, 1]);
    assert_eq!(dropped(&store), [("too_large", 1)]);
    let largest = [Message {
        bytes: vec![0; record::MESSAGE_BYTES],
        ..Message::default()
    }];
    store.append(&largest).unwrap();
    store.append(&[Message::default()]).unwrap();
    let mut lengths = Vec::new();
    let all = read(folder.path(), 0..u64::MAX, |stored| {
        lengths.push(stored.message.bytes.len());
        ControlFlow::Continue(())
    });
    assert_eq!(all.unwrap().messages, 4);
    assert_eq!(lengths, [100, 100, record::MESSAGE_BYTES, 0]);
}
