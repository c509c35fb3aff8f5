//! A table with a budget of bytes. What was not used for the longest time leaves first.

use std::collections::HashMap;
use std::hash::Hash;

/// A table by key. Beyond its budget an eighth of it is given up at once, so that finding what is
/// oldest costs little per entry.
pub struct Bounded<K, V> {
    of: HashMap<K, Slot<V>>,
    bytes: usize,
    budget: usize,
    /// Number of the last use.
    clock: u64,
    /// Entries that were given up since this was last asked.
    evicted: u64,
}

struct Slot<V> {
    value: V,
    bytes: usize,
    used: u64,
}

/// What an entry costs besides its key and value: the table is never quite full.
const OVERHEAD: usize = 16;

impl<K: Eq + Hash + Clone, V> Bounded<K, V> {
    pub fn new(budget: usize) -> Self {
        Self {
            of: HashMap::new(),
            bytes: 0,
            budget,
            clock: 0,
            evicted: 0,
        }
    }

    /// With room for so many entries that hold nothing behind pointers.
    pub fn of_count(count: usize) -> Self {
        Self::new(count * (size_of::<K>() + size_of::<Slot<V>>() + OVERHEAD))
    }

    pub fn len(&self) -> usize {
        self.of.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn contains(&self, key: &K) -> bool {
        self.of.contains_key(key)
    }

    /// Looks at an entry, which does not count as a use.
    pub fn peek(&self, key: &K) -> Option<&V> {
        self.of.get(key).map(|slot| &slot.value)
    }

    /// Uses an entry.
    pub fn get(&mut self, key: &K) -> Option<&mut V> {
        self.clock += 1;
        let slot = self.of.get_mut(key)?;
        slot.used = self.clock;
        Some(&mut slot.value)
    }

    /// Puts an entry in, for one with the same key if there is one. `bytes` is what it holds behind
    /// pointers. Gives what had to leave.
    pub fn insert(&mut self, key: K, value: V, bytes: usize) -> Vec<(K, V)> {
        self.put(key, value, bytes);
        self.trim()
    }

    /// Puts an entry in, even beyond the budget, until [`Self::trim`].
    pub fn put(&mut self, key: K, value: V, bytes: usize) {
        self.clock += 1;
        let bytes = bytes + size_of::<K>() + size_of::<Slot<V>>() + OVERHEAD;
        let slot = Slot {
            value,
            bytes,
            used: self.clock,
        };
        self.bytes += bytes;
        if let Some(before) = self.of.insert(key, slot) {
            self.bytes -= before.bytes;
        }
    }

    /// Gives up what is too much, and gives it to the caller.
    pub fn trim(&mut self) -> Vec<(K, V)> {
        if self.bytes > self.budget {
            self.evict(self.budget - self.budget / 8)
        } else {
            Vec::new()
        }
    }

    /// What an entry holds behind pointers has changed.
    pub fn resize(&mut self, key: &K, bytes: usize) {
        let bytes = bytes + size_of::<K>() + size_of::<Slot<V>>() + OVERHEAD;
        if let Some(slot) = self.of.get_mut(key) {
            self.bytes = self.bytes - slot.bytes + bytes;
            slot.bytes = bytes;
        }
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        let slot = self.of.remove(key)?;
        self.bytes -= slot.bytes;
        Some(slot.value)
    }

    /// Removes what `keep` says is not needed; that is no eviction.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        let bytes = &mut self.bytes;
        self.of.retain(|key, slot| {
            let kept = keep(key, &slot.value);
            *bytes -= if kept { 0 } else { slot.bytes };
            kept
        });
    }

    /// How many entries were given up since this was last asked.
    pub fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }

    /// Gives up the oldest entries until at most `most` bytes are left, the newest one aside.
    fn evict(&mut self, most: usize) -> Vec<(K, V)> {
        let mut ages: Vec<(u64, usize)> = self
            .of
            .values()
            .map(|slot| (slot.used, slot.bytes))
            .collect();
        ages.sort_unstable();
        let mut left = self.bytes;
        let newest = ages.last().map_or(0, |(used, _)| *used);
        let mut oldest_kept = newest;
        for (used, bytes) in ages {
            if left <= most {
                oldest_kept = used;
                break;
            }
            left -= bytes;
        }
        let gone: Vec<(K, V)> = self
            .of
            .extract_if(|_, slot| slot.used < oldest_kept)
            .map(|(key, slot)| {
                self.bytes -= slot.bytes;
                (key, slot.value)
            })
            .collect();
        self.evicted += gone.len() as u64;
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Room for `count` entries of 100 bytes behind pointers.
    fn room(count: usize) -> Bounded<u32, u32> {
        Bounded::new(count * (100 + size_of::<u32>() + size_of::<Slot<u32>>() + OVERHEAD))
    }

    #[test]
    fn what_was_not_used_for_the_longest_time_leaves_first() {
        let mut table = room(16);
        for key in 0..16 {
            assert!(table.insert(key, key, 100).is_empty());
        }
        for key in [0, 3, 5] {
            assert_eq!(table.get(&key), Some(&mut { key }));
        }
        // Looking at something is no use of it.
        assert_eq!(table.peek(&1), Some(&1));
        let mut gone: Vec<u32> = table
            .insert(16, 16, 100)
            .into_iter()
            .map(|it| it.0)
            .collect();
        gone.sort_unstable();
        assert_eq!(gone, [1, 2, 4]);
        assert_eq!((table.len(), table.take_evicted()), (14, 3));
        assert_eq!(table.take_evicted(), 0);
        for key in [0, 3, 5, 16] {
            assert!(table.contains(&key), "{key}");
        }
    }

    #[test]
    fn the_budget_holds_whatever_comes() {
        let mut table = room(100);
        for key in 0..10_000u32 {
            table.insert(key % 700, key, (key % 300) as usize);
            assert!(table.bytes() <= table.budget, "{key}");
        }
        let bytes: usize = table.of.values().map(|slot| slot.bytes).sum();
        assert_eq!(bytes, table.bytes());
        table.retain(|key, _| key % 2 == 0);
        let bytes: usize = table.of.values().map(|slot| slot.bytes).sum();
        assert_eq!(bytes, table.bytes());
    }

    #[test]
    fn what_is_too_large_for_the_budget_is_alone_in_it() {
        let mut table = room(4);
        table.insert(1, 1, 100);
        assert_eq!(table.insert(2, 2, 100_000), [(1, 1)]);
        assert_eq!(table.peek(&2), Some(&2));
        assert_eq!(table.insert(3, 3, 100), [(2, 2)]);
    }

    #[test]
    fn an_entry_that_is_replaced_counts_once() {
        let mut table = room(4);
        for _ in 0..100 {
            assert!(table.insert(1, 1, 100).is_empty());
        }
        table.remove(&1);
        assert_eq!((table.bytes(), table.len()), (0, 0));
    }
}
