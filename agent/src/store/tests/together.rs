//! Several threads at once, as in an agent that others read from.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

const MESSAGES: u64 = 1500;

#[test]
fn writers_readers_and_destinations_at_once() {
    let folder = fast_folder();
    let limits = Limits {
        bytes: 400 << 10,
        ..SMALL
    };
    let store = Store::open(folder.path(), limits).unwrap();
    store.register("quick").unwrap();
    store.register("slow").unwrap();
    let done = AtomicBool::new(false);
    let (store, done, path) = (&store, &done, folder.path());
    let destination = move |name: &'static str, pause: Duration| {
        let mut taken = Vec::new();
        loop {
            let ended = done.load(Ordering::Acquire);
            match store.next(name).unwrap() {
                Some(stored) => {
                    assert_eq!(number(&stored.message), stored.sequence - 1);
                    taken.push(stored.sequence);
                    store.acknowledge(name, stored.sequence).unwrap();
                    std::thread::sleep(pause);
                }
                None if ended => return taken,
                None => std::thread::yield_now(),
            }
        }
    };
    std::thread::scope(|scope| {
        let quick = scope.spawn(move || destination("quick", Duration::ZERO));
        let slow = scope.spawn(move || destination("slow", Duration::from_millis(1)));
        let reader = scope.spawn(move || {
            while !done.load(Ordering::Acquire) {
                // In order, nothing damaged; what is dropped meanwhile may be missing.
                numbers(path);
                let status = store.status();
                assert!(status.bytes <= limits.bytes);
                assert!(status.destinations["slow"].messages <= status.messages);
            }
        });
        for first in (0..MESSAGES).step_by(3) {
            let batch: Vec<Message> = (first..first + 3).map(|it| sized(it, 3000)).collect();
            store.append(&batch).unwrap();
        }
        done.store(true, Ordering::Release);
        reader.join().unwrap();
        for (name, taken) in [("quick", quick), ("slow", slow)] {
            let taken = taken.join().unwrap();
            assert!(taken.is_sorted_by(|a, b| a < b));
            let waiting = &store.status().destinations[name];
            assert_eq!(waiting.messages, 0);
            // A message that is dropped while it is sent is both.
            let sum = taken.len() as u64 + waiting.dropped;
            assert!((MESSAGES..MESSAGES + 100).contains(&sum), "{name}: {sum}");
        }
    });
}
