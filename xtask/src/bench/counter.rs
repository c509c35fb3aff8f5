//! Reads the counter that a workload keeps in a file: see tests/workloads/python/cost.py for its layout.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// The end of one unit of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    pub units: u64,
    /// Nanoseconds of the machine's monotonic clock.
    pub monotonic: u64,
    /// Nanoseconds that the working thread has used.
    pub cpu: u64,
    /// Nanoseconds that it could have run and others did; not in the counter.
    pub waited: u64,
}

/// The counter of a running workload.
pub struct Counter {
    file: File,
    slots: u64,
}

impl Counter {
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("{} can't be read", path.display()))?;
        let mut counter = Self { file, slots: 0 };
        [counter.slots] = counter.words(1)?;
        ensure!(
            counter.slots > 1,
            "{} is not the counter of a workload",
            path.display()
        );
        Ok(counter)
    }

    /// The unit that ended last. Its slot is written before its number, and again only after as many units as there
    /// are slots.
    pub fn mark(&self) -> Result<Mark> {
        let [units] = self.words(0)?;
        let [monotonic, cpu] = self.words(2 + 2 * (units % self.slots))?;
        Ok(Mark {
            units,
            monotonic,
            cpu,
            waited: 0,
        })
    }

    fn words<const N: usize>(&self, first: u64) -> Result<[u64; N]> {
        let mut words = [0; N];
        for (word, number) in words.iter_mut().zip(first..) {
            let mut bytes = [0; 8];
            self.file
                .read_exact_at(&mut bytes, number * 8)
                .context("a workload's counter is too short")?;
            *word = u64::from_ne_bytes(bytes);
        }
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn the_last_unit_is_read_from_its_slot() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().join("counter");
        let words: [u64; 8] = [7, 3, 1, 2, 70, 71, 5, 6];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        std::fs::write(&path, bytes).unwrap();
        let mark = Counter::open(&path).unwrap().mark().unwrap();
        assert_eq!(
            mark,
            Mark {
                units: 7,
                monotonic: 70,
                cpu: 71,
                waited: 0
            }
        );
    }

    #[test]
    fn what_is_no_counter_is_refused() {
        let scratch = Scratch::new().unwrap();
        for (name, bytes) in [("empty", vec![]), ("zeros", vec![0; 64])] {
            let path = scratch.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            assert!(Counter::open(&path).is_err(), "{name}");
        }
    }
}
