//! Jobs for threads. What most samples wait for is done first, whatever came before it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Jobs by key, each of them once.
pub struct Queue<K, J> {
    waiting: Mutex<Waiting<K, J>>,
    changed: Condvar,
}

struct Waiting<K, J> {
    jobs: HashMap<K, Job<J>>,
    next: u64,
    closed: bool,
}

struct Job<J> {
    job: J,
    /// How often it was asked for.
    asked: u64,
    number: u64,
}

impl<K: Eq + Hash + Clone, J> Queue<K, J> {
    pub fn new() -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                jobs: HashMap::new(),
                next: 0,
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<K, J>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `asked`: samples that wait for it, as far as that is known.
    pub fn push(&self, key: K, job: J, asked: u64) {
        let mut waiting = self.lock();
        let number = waiting.next;
        waiting.next += 1;
        waiting.jobs.insert(key, Job { job, asked, number });
        drop(waiting);
        // Not every thread may take it.
        self.changed.notify_all();
    }

    /// One more sample waits for a job. Those that nobody has begun yet are reordered by that.
    pub fn ask_again(&self, key: &K) {
        if let Some(job) = self.lock().jobs.get_mut(key) {
            job.asked += 1;
        }
    }

    /// Waits for a job that fits; None: there will be no more.
    pub fn pop(&self, fits: impl Fn(&J) -> bool) -> Option<J> {
        let mut waiting = self.lock();
        loop {
            let first = waiting
                .jobs
                .iter()
                .filter(|(_, job)| fits(&job.job))
                .max_by_key(|(_, job)| (job.asked, std::cmp::Reverse(job.number)))
                .map(|(key, _)| key.clone());
            if let Some(first) = first {
                return waiting.jobs.remove(&first).map(|job| job.job);
            }
            if waiting.closed {
                return None;
            }
            waiting = self
                .changed
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No more jobs come, and those that nobody has begun are not done.
    pub fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        waiting.jobs.clear();
        drop(waiting);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_most_wait_for_comes_first() {
        let queue = Queue::new();
        for (number, asked) in [(1, 0), (2, 1), (3, 0), (4, 1)] {
            queue.push(number, number, asked);
        }
        for _ in 0..3 {
            queue.ask_again(&3);
        }
        queue.ask_again(&9);
        let any = |_: &i32| true;
        let order: Vec<i32> = (0..4).filter_map(|_| queue.pop(any)).collect();
        assert_eq!(order, [3, 2, 4, 1]);
        queue.push(5, 5, 0);
        queue.close();
        assert_eq!(queue.pop(any), None);
    }

    #[test]
    fn a_thread_leaves_jobs_that_do_not_fit() {
        let queue = Queue::new();
        for number in [1, 2, 3] {
            queue.push(number, number, number as u64);
        }
        assert_eq!(queue.pop(|number| *number < 3), Some(2));
        assert_eq!(queue.pop(|_| true), Some(3));
    }

    #[test]
    fn a_thread_waits_for_jobs() {
        let queue = Queue::new();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| [queue.pop(|_| true), queue.pop(|_| true)]);
            queue.push(7, "job", 0);
            while !queue.lock().jobs.is_empty() {
                std::thread::yield_now();
            }
            queue.close();
            assert_eq!(thread.join().expect("no panic"), [Some("job"), None]);
        });
    }
}
