//! Samples of the batch that is under way: counted by what nothing else is merged with, until all
//! that belongs to them is there.

use std::collections::HashMap;

use agent_common::process::ProcessId;
use agent_common::record::Sample;

use super::moments::Moments;
use crate::profile::Measurement;

/// Most distinct samples that are kept.
const SAMPLES: usize = 1 << 20;
/// Batches that a sample waits for its stack, until it is told of without.
const PATIENCE: u8 = 2;

/// Samples that are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub stack: u64,
    pub context: u64,
    pub process: ProcessId,
    pub thread: u32,
    pub cpu: u32,
    pub event: u32,
    /// What one of them stands for, where processes are sampled at different rates.
    pub value: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub weight: u64,
    pub value: u64,
    /// Time of the earliest one.
    pub first: u64,
    /// Batches that were made without them.
    waited: u8,
}

/// All of them.
pub struct Samples {
    of: HashMap<Key, Count>,
    moments: Moments,
    keep_times: bool,
    most: usize,
    /// Samples that found no room.
    pub dropped: u64,
}

/// What makes a batch.
pub struct Ready {
    pub counts: Vec<(Key, Count)>,
    pub moments: Moments,
}

impl Samples {
    /// `bytes`: most memory.
    pub fn new(keep_times: bool, bytes: usize) -> Self {
        Self {
            of: HashMap::new(),
            moments: Moments::new(keep_times),
            keep_times,
            most: SAMPLES.min(bytes / size_of::<(Key, Count)>()),
            dropped: 0,
        }
    }

    /// Counts a sample. Whether it is the first of its kind in this batch.
    pub fn add(&mut self, sample: &Sample) -> bool {
        let weight = u64::from(sample.weight);
        let key = Key {
            stack: sample.stack,
            context: sample.context,
            process: sample.process,
            thread: sample.thread,
            cpu: sample.cpu,
            event: sample.event,
            value: sample.value,
        };
        if self.of.len() >= self.most && !self.of.contains_key(&key) {
            self.dropped += weight;
            return false;
        }
        let before = self.of.len();
        let count = self.of.entry(key).or_insert(Count {
            weight: 0,
            value: 0,
            first: sample.time,
            waited: 0,
        });
        count.first = count.first.min(sample.time);
        count.weight += weight;
        count.value += sample.value * weight;
        let measured = Measurement {
            time: sample.time,
            value: sample.value,
            weight: sample.weight,
        };
        self.moments.add(key, measured);
        self.of.len() > before
    }

    /// Takes those out that are complete or have waited for long enough; with `last` all of them.
    pub fn take(&mut self, last: bool, mut is_complete: impl FnMut(&Key) -> bool) -> Ready {
        let next = Moments::new(self.keep_times);
        let mut moments = std::mem::replace(&mut self.moments, next);
        let mut complete = HashMap::new();
        let (counts, waiting): (Vec<_>, Vec<_>) = self.of.drain().partition(|(key, count)| {
            last || count.waited >= PATIENCE
                || *complete
                    .entry((key.stack, key.process))
                    .or_insert_with(|| is_complete(key))
        });
        self.of.shrink_to(waiting.len());
        for (key, mut count) in waiting {
            count.waited += 1;
            self.moments.put(key, moments.take(&key));
            self.of.insert(key, count);
        }
        Ready { counts, moments }
    }

    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.of.keys()
    }

    /// Samples that are there.
    pub fn weight(&self) -> u64 {
        self.of.values().map(|count| count.weight).sum()
    }

    pub fn bytes(&self) -> usize {
        self.of.capacity() * size_of::<(Key, Count)>() + self.moments.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(stack: u64, time: u64, weight: u32) -> Sample {
        Sample {
            stack,
            time,
            value: 10,
            weight,
            ..Sample::default()
        }
    }

    fn weight(ready: &Ready) -> u64 {
        ready.counts.iter().map(|(_, count)| count.weight).sum()
    }

    /// Whatever waits when and for how long: each sample is in one batch, with its time.
    #[test]
    fn batches_add_up_to_all_samples() {
        let mut samples = Samples::new(true, usize::MAX);
        let (mut sent, mut got, mut values) = (0u64, 0u64, 0u64);
        let mut times = Vec::new();
        let mut random = 1u64;
        for batch in 0..50u64 {
            for number in 0..200u64 {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let weight = (random >> 60) as u32 + 1;
                samples.add(&sample((random >> 40) % 97, batch * 1000 + number, weight));
                sent += u64::from(weight);
            }
            let last = batch == 49;
            let ready = samples.take(last, |key| !(key.stack + batch).is_multiple_of(3));
            got += weight(&ready);
            values += ready
                .counts
                .iter()
                .map(|(_, count)| count.value)
                .sum::<u64>();
            for (key, count) in &ready.counts {
                let moments = ready.moments.of(key);
                let of_moments: u64 = moments.iter().map(|it| u64::from(it.weight)).sum();
                assert_eq!(of_moments, count.weight, "{key:?}");
                let first = moments.iter().map(|it| it.time).min();
                assert_eq!(first, Some(count.first), "{key:?}");
                times.extend(moments.iter().map(|it| it.time));
            }
            assert_eq!(got + samples.weight(), sent, "batch {batch}");
        }
        assert_eq!((got, values), (sent, sent * 10));
        times.sort_unstable();
        let all: Vec<u64> = (0..50)
            .flat_map(|batch| (0..200).map(move |it| batch * 1000 + it))
            .collect();
        assert_eq!(times, all);
    }

    #[test]
    fn a_sample_waits_for_two_batches_at_most() {
        let mut samples = Samples::new(false, usize::MAX);
        samples.add(&sample(7, 1, 3));
        for _ in 0..2 {
            assert_eq!(weight(&samples.take(false, |_| false)), 0);
            assert_eq!(samples.weight(), 3);
        }
        assert_eq!(weight(&samples.take(false, |_| false)), 3);
        assert_eq!(samples.weight(), 0);
        // The last batch waits for nothing.
        samples.add(&sample(7, 1, 3));
        assert_eq!(weight(&samples.take(true, |_| false)), 3);
    }

    #[test]
    fn samples_without_room_are_counted() {
        let mut samples = Samples::new(true, 10 * size_of::<(Key, Count)>());
        for stack in 0..15 {
            samples.add(&sample(stack, 1, 2));
        }
        samples.add(&sample(3, 2, 2));
        assert_eq!((samples.weight(), samples.dropped), (22, 10));
    }
}
