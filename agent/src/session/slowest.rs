//! The files that took longest to read: where a start, or a new program, was slow.

use std::cmp::Reverse;
use std::time::Duration;

use super::Session;
use super::loader::Described;

/// Files that are remembered.
const MOST: usize = 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slow {
    pub path: String,
    /// 0: it has none.
    pub rows: u64,
    pub took: Duration,
}

/// The slowest first.
#[derive(Default)]
pub struct Slowest(Vec<Slow>);

impl Slowest {
    pub(super) fn add(&mut self, described: &Described) {
        let took = described.took;
        if self.0.len() >= MOST && self.0.last().is_some_and(|last| last.took >= took) {
            return;
        }
        let rows = described.rows.as_ref().map_or(0, |table| table.rows.len());
        self.insert(Slow {
            path: described.path.clone(),
            rows: rows as u64,
            took,
        });
    }

    /// A file that is read again, since it had been given up or was replaced, counts once.
    fn insert(&mut self, slow: Slow) {
        match self.0.iter_mut().find(|known| known.path == slow.path) {
            Some(known) if known.took >= slow.took => return,
            Some(known) => *known = slow,
            None => self.0.push(slow),
        }
        self.0.sort_by_key(|slow| Reverse(slow.took));
        self.0.truncate(MOST);
    }
}

impl Session {
    /// The files that took longest to read, the slowest first.
    pub fn slowest(&self) -> &[Slow] {
        &self.slowest.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow(path: &str, took: u64) -> Slow {
        Slow {
            path: path.to_owned(),
            rows: took,
            took: Duration::from_millis(took),
        }
    }

    #[test]
    fn the_slowest_stay_and_each_path_counts_once() {
        let mut slowest = Slowest::default();
        for took in 0..100 {
            slowest.insert(slow(&format!("/{took}"), took));
        }
        slowest.insert(slow("/99", 5));
        slowest.insert(slow("/90", 200));
        let paths: Vec<&str> = slowest.0.iter().map(|slow| slow.path.as_str()).collect();
        assert_eq!(paths.len(), MOST);
        assert_eq!(&paths[..3], ["/90", "/99", "/98"]);
        assert_eq!(paths[MOST - 1], "/80");
    }
}
