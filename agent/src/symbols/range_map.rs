//! Address ranges that may overlap, made disjoint: at each address the range with the highest key
//! holds. Lookups are a binary search whatever a hostile file puts into its tables.

use std::collections::BinaryHeap;

/// A range `start..end` before it is made disjoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry<K> {
    /// Decides between overlapping ranges: the highest one holds.
    pub key: K,
    pub start: u64,
    pub end: u64,
    pub value: u32,
}

/// Disjoint ranges in ascending order.
#[derive(Clone, Debug, Default)]
pub struct RangeMap {
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    start: u64,
    end: u64,
    value: u32,
}

impl RangeMap {
    /// At most twice as many pieces as there are entries come out of it.
    pub fn new<K: Copy + Ord>(mut entries: Vec<Entry<K>>) -> Self {
        entries.retain(|entry| entry.start < entry.end);
        entries.sort_unstable_by_key(|entry| entry.start);
        let mut map = Self::default();
        // Entries that hold at `position`, and some that ended before it.
        let mut open = BinaryHeap::new();
        let mut position = 0;
        for entry in entries {
            map.close(&mut open, position, entry.start);
            position = entry.start;
            open.push(entry);
        }
        map.close(&mut open, position, u64::MAX);
        map.pieces.shrink_to_fit();
        map
    }

    /// Writes the pieces of `position..limit`.
    fn close<K: Ord>(&mut self, open: &mut BinaryHeap<Entry<K>>, mut position: u64, limit: u64) {
        while position < limit
            && let Some(top) = open.peek()
        {
            if top.end <= position {
                open.pop();
                continue;
            }
            let end = top.end.min(limit);
            self.push(Piece {
                start: position,
                end,
                value: top.value,
            });
            position = end;
        }
    }

    fn push(&mut self, piece: Piece) {
        match self.pieces.last_mut() {
            Some(last) if last.value == piece.value && last.end == piece.start => {
                last.end = piece.end;
            }
            _ => self.pieces.push(piece),
        }
    }

    /// The value that holds at an address.
    pub fn get(&self, address: u64) -> Option<u32> {
        let behind = self.pieces.partition_point(|piece| piece.start <= address);
        let piece = self.pieces.get(behind.checked_sub(1)?)?;
        (address < piece.end).then_some(piece.value)
    }

    /// Values of all pieces, to be renumbered.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut u32> {
        self.pieces.iter_mut().map(|piece| &mut piece.value)
    }

    pub fn bytes(&self) -> usize {
        self.pieces.capacity() * size_of::<Piece>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: u32, start: u64, end: u64) -> Entry<u32> {
        Entry {
            key,
            start,
            end,
            value: key,
        }
    }

    #[test]
    fn gaps_belong_to_nobody() {
        let map = RangeMap::new(vec![entry(1, 10, 20), entry(2, 30, 40), entry(3, 25, 25)]);
        let found: Vec<_> = [9, 10, 19, 20, 25, 29, 30, 39, 40]
            .map(|at| map.get(at))
            .into();
        let expected = [
            None,
            Some(1),
            Some(1),
            None,
            None,
            None,
            Some(2),
            Some(2),
            None,
        ];
        assert_eq!(found, expected);
        assert_eq!(RangeMap::default().get(0), None);
    }

    #[test]
    fn the_highest_key_holds_at_each_address() {
        // A small generator of overlapping ranges, compared with the definition.
        let mut state = 1u32;
        let mut random = |limit: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % limit
        };
        for _ in 0..200 {
            let entries: Vec<_> = (0..random(20))
                .map(|number| {
                    let start = random(50);
                    let end = start + random(30);
                    entry(random(1000) << 8 | number, start as u64, end as u64)
                })
                .collect();
            let map = RangeMap::new(entries.clone());
            for address in 0..90 {
                let holds = |entry: &&Entry<u32>| entry.start <= address && address < entry.end;
                let expected = entries.iter().filter(holds).map(|entry| entry.key).max();
                assert_eq!(map.get(address), expected, "at {address} of {entries:?}");
            }
        }
    }

    #[test]
    fn ranges_may_reach_the_end_of_the_address_space() {
        let map = RangeMap::new(vec![entry(1, 5, u64::MAX)]);
        assert_eq!(map.get(u64::MAX - 1), Some(1));
        assert_eq!(map.get(u64::MAX), None);
    }
}
