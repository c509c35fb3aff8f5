//! Samples: what is counted together, and what is counted.

use super::index::{ContextId, EventId, ProcessIndex, StackId, ThreadIndex};

/// For samples whose CPU is not known.
pub const UNKNOWN_CPU: u32 = u32::MAX;

/// Samples with the same key are one entry of the profile; nothing else is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SampleKey {
    pub stack: StackId,
    pub context: ContextId,
    pub process: ProcessIndex,
    pub thread: ThreadIndex,
    /// Or [`UNKNOWN_CPU`].
    pub cpu: u32,
    pub event: EventId,
}

/// One sample as it comes from the kernel side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// `CLOCK_MONOTONIC`, ns.
    pub time: u64,
    /// In the unit of its event.
    pub value: u64,
    /// How many such samples it stands for.
    pub weight: u32,
}

/// What the samples of one key add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records that came.
    pub records: u64,
    /// Samples that they stand for.
    pub weight: u64,
    /// Sum of value × weight.
    pub value: u64,
    /// Each record, in the order in which they came; empty unless the profile keeps times.
    pub moments: Vec<Moment>,
}

/// One record of [`Totals::moments`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// `CLOCK_MONOTONIC`, ns.
    pub time: u64,
    /// value × weight.
    pub value: u64,
    pub weight: u32,
}

impl Totals {
    pub(super) fn add_sum(&mut self, weight: u64, value: u64) {
        self.records += 1;
        self.weight = self.weight.saturating_add(weight);
        self.value = self.value.saturating_add(value);
    }

    pub(super) fn add(&mut self, measured: Measurement, keep_time: bool) {
        let value = measured.value.saturating_mul(measured.weight as u64);
        self.add_sum(measured.weight as u64, value);
        if keep_time {
            self.moments.push(Moment {
                time: measured.time,
                value,
                weight: measured.weight,
            });
        }
    }
}
