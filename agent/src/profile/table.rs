//! A table of distinct values, each with an index of its own.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::marker::PhantomData;
use std::mem::size_of;

use super::index::Index;

/// Distinct values in the order in which they came.
#[derive(Clone, Debug)]
pub struct Table<T, I> {
    items: Vec<T>,
    positions: HashMap<T, u32>,
    index: PhantomData<I>,
}

impl<T, I> Default for Table<T, I> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            positions: HashMap::new(),
            index: PhantomData,
        }
    }
}

impl<T: Clone + Eq + Hash, I: Index> Table<T, I> {
    /// Index of `key`, which `make` turns into a new entry where there is none yet.
    pub fn intern<Q>(&mut self, key: &Q, make: impl FnOnce() -> T) -> I
    where
        T: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if let Some(position) = self.positions.get(key) {
            return I::new(*position);
        }
        // No input gets here: 2^32 of the smallest entries take more than 100 GB, a recording has
        // at most a million stacks, and whoever reads files watches `Profile::bytes`.
        let position = u32::try_from(self.items.len())
            .expect("a profile is written out long before a table has 2^32 entries");
        let item = make();
        self.items.push(item.clone());
        self.positions.insert(item, position);
        I::new(position)
    }

    pub fn get(&self, index: I) -> &T {
        &self.items[index.position()]
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (I, &T)> {
        let numbered = self.items.iter().enumerate();
        numbered.map(|(position, item)| (I::new(position as u32), item))
    }

    /// Bytes of the table itself, without what its entries point at.
    pub fn bytes(&self) -> usize {
        let slot = size_of::<T>() + size_of::<u32>() + 1;
        self.items.capacity() * size_of::<T>() + self.positions.capacity() * slot * 8 / 7
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::index::StringId;
    use super::*;

    #[test]
    fn equal_values_share_an_index() {
        let mut table = Table::<Arc<str>, StringId>::default();
        let a = table.intern("a", || "a".into());
        let b = table.intern("b", || "b".into());
        assert_ne!(a, b);
        assert_eq!(table.intern("a", || unreachable!()), a);
        assert_eq!(table.len(), 2);
        assert_eq!(&**table.get(b), "b");
        assert_eq!(
            table.iter().map(|(index, _)| index).collect::<Vec<_>>(),
            [a, b]
        );
    }
}
