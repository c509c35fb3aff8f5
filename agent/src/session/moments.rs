//! When each sample was taken, for formats that can say it.

use std::collections::HashMap;

use super::samples::Key;
use crate::profile::Measurement;

/// Most moments that are kept: half an hour of a thousand samples a second on two CPUs.
const MOST: usize = 1 << 22;

/// The moments of all samples, or none at all: a profile in which some are missing would show a
/// program that stopped.
#[derive(Default)]
pub struct Moments {
    kept: bool,
    count: usize,
    of: HashMap<Key, Vec<Measurement>>,
}

impl Moments {
    pub fn new(kept: bool) -> Self {
        Self {
            kept,
            ..Self::default()
        }
    }

    pub fn add(&mut self, key: Key, measured: Measurement) {
        if !self.kept {
            return;
        }
        if self.count >= MOST {
            tracing::warn!(
                "More than {MOST} samples: their times are not kept any longer. Record for a \
                 shorter time or at a lower rate to have them."
            );
            *self = Self::default();
            return;
        }
        self.count += 1;
        self.of.entry(key).or_default().push(measured);
    }

    pub fn bytes(&self) -> usize {
        self.count * size_of::<Measurement>() + self.of.capacity() * size_of::<(Key, Vec<()>)>()
    }

    pub fn are_kept(&self) -> bool {
        self.kept
    }

    /// Takes a sample's moments out, for another batch.
    pub fn take(&mut self, key: &Key) -> Vec<Measurement> {
        let taken = self.of.remove(key).unwrap_or_default();
        self.count -= taken.len();
        taken
    }

    /// Puts those of an earlier batch in.
    pub fn put(&mut self, key: Key, moments: Vec<Measurement>) {
        if self.kept && !moments.is_empty() {
            self.count += moments.len();
            self.of.entry(key).or_default().extend(moments);
        }
    }

    pub fn of(&self, key: &Key) -> &[Measurement] {
        self.of.get(key).map_or(&[], Vec::as_slice)
    }
}
