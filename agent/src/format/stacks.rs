//! A profile's stacks as lists of labels: summed, and in an order of their own.

use std::collections::{BTreeSet, HashMap};

use crate::profile::{FrameId, ProcessIndex, Profile, ThreadIndex, Totals};

use super::Options;
use super::label::Label;

/// Stacks, the root first, each with the number of samples that it stands for.
pub struct Stacks {
    /// Ascending.
    labels: Vec<Label>,
    /// Ascending; numbers of labels.
    stacks: Vec<(Vec<u32>, u64)>,
}

impl Stacks {
    pub fn new(profile: &Profile, options: &Options) -> Self {
        Self::with(Texts::default(), profile, options)
    }

    /// Processes and threads by their names alone: those of two recordings are compared.
    pub fn by_name(profile: &Profile, options: &Options) -> Self {
        let texts = Texts {
            unnumbered: true,
            ..Texts::default()
        };
        Self::with(texts, profile, options)
    }

    fn with(mut texts: Texts, profile: &Profile, options: &Options) -> Self {
        let mut sums = HashMap::<Vec<u32>, u64>::new();
        let measure = Measure::of(profile);
        for (key, totals) in profile.samples() {
            let mut stack = vec![texts.process(profile, key.process)];
            if options.threads {
                stack.push(texts.thread(profile, key.thread));
            }
            let below = stack.len();
            for frame in profile.frames_of(key.stack).iter().rev() {
                if options.inlines || !profile[*frame].inlined {
                    stack.push(texts.frame(profile, *frame, options));
                }
            }
            if stack.len() == below {
                stack.push(texts.number(Label::no_frames()));
            }
            let sum = sums.entry(stack).or_default();
            *sum = sum.saturating_add(measure.amount(totals));
        }
        let mut stacks = texts.sorted(sums);
        measure.count(&mut stacks.stacks);
        stacks
    }

    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// Each stack's labels, the root first, and its number of samples.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (impl Iterator<Item = &Label>, u64)> {
        self.stacks.iter().map(|(stack, sum)| {
            let labels = stack.iter().map(|number| &self.labels[*number as usize]);
            (labels, *sum)
        })
    }

    pub fn total(&self) -> u64 {
        let sums = self.stacks.iter().map(|(_, sum)| *sum);
        sums.fold(0, u64::saturating_add)
    }
}

/// What is summed of the samples.
#[derive(Clone, Copy)]
enum Measure {
    Samples,
    /// They were taken at different rates, so that they stand for different times. The sum of these
    /// becomes the number of samples that it would be at the highest rate, of this period.
    Time {
        period: u64,
    },
}

impl Measure {
    fn of(profile: &Profile) -> Self {
        let periods = profile.samples().map(|(key, _)| {
            let period = profile[key.event].period?;
            let is_time = &profile[period.of.unit] == "nanoseconds" && period.amount != 0;
            is_time.then_some(period.amount)
        });
        let periods: Option<BTreeSet<u64>> = periods.collect();
        match periods {
            Some(periods) if periods.len() > 1 => Self::Time {
                period: periods.first().copied().unwrap_or(1),
            },
            _ => Self::Samples,
        }
    }

    fn amount(self, totals: &Totals) -> u64 {
        match self {
            Self::Samples => totals.weight,
            Self::Time { .. } => totals.value,
        }
    }

    /// Makes numbers of samples of the sums. What is lost by rounding goes to the next stack, so that
    /// functions and the whole have what is theirs.
    fn count(self, stacks: &mut [(Vec<u32>, u64)]) {
        let Self::Time { period } = self else {
            return;
        };
        let (mut sum, mut counted) = (0_u128, 0_u64);
        for (_, amount) in stacks {
            sum += u128::from(*amount);
            let rounded = (sum + u128::from(period / 2)) / u128::from(period);
            let until = u64::try_from(rounded).unwrap_or(u64::MAX);
            *amount = until - counted;
            counted = until;
        }
    }
}

/// Labels in the order in which they came, each made once.
#[derive(Default)]
struct Texts {
    /// Pids and thread ids are left out.
    unnumbered: bool,
    numbers: HashMap<Label, u32>,
    frames: HashMap<FrameId, u32>,
    processes: HashMap<ProcessIndex, u32>,
    threads: HashMap<ThreadIndex, u32>,
}

impl Texts {
    fn number(&mut self, label: Label) -> u32 {
        let next = self.numbers.len() as u32;
        *self.numbers.entry(label).or_insert(next)
    }

    fn process(&mut self, profile: &Profile, process: ProcessIndex) -> u32 {
        if let Some(number) = self.processes.get(&process) {
            return *number;
        }
        let label = Label::process(profile, &profile[process], !self.unnumbered);
        let number = self.number(label);
        self.processes.insert(process, number);
        number
    }

    fn thread(&mut self, profile: &Profile, thread: ThreadIndex) -> u32 {
        if let Some(number) = self.threads.get(&thread) {
            return *number;
        }
        let label = Label::thread(profile, &profile[thread], !self.unnumbered);
        let number = self.number(label);
        self.threads.insert(thread, number);
        number
    }

    fn frame(&mut self, profile: &Profile, frame: FrameId, options: &Options) -> u32 {
        if let Some(number) = self.frames.get(&frame) {
            return *number;
        }
        let number = self.number(Label::frame(profile, &profile[frame], options));
        self.frames.insert(frame, number);
        number
    }

    /// Renumbers all labels in ascending order, and sorts the stacks by them.
    fn sorted(self, sums: HashMap<Vec<u32>, u64>) -> Stacks {
        let ordered: BTreeSet<(Label, u32)> = self.numbers.into_iter().collect();
        let mut ranks = vec![0; ordered.len()];
        let mut labels = Vec::with_capacity(ordered.len());
        for (rank, (label, number)) in ordered.into_iter().enumerate() {
            ranks[number as usize] = rank as u32;
            labels.push(label);
        }
        let renumbered = sums
            .into_iter()
            .filter(|(_, sum)| *sum != 0)
            .map(|(stack, sum)| {
                let stack = stack.into_iter().map(|number| ranks[number as usize]);
                (stack.collect(), sum)
            });
        let mut stacks: Vec<(Vec<u32>, u64)> = renumbered.collect();
        stacks.sort_unstable();
        Stacks { labels, stacks }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample_profile::at_rates;
    use super::*;

    fn counts(profile: &Profile) -> Vec<u64> {
        let stacks = Stacks::new(profile, &Options::default());
        let counts = stacks.iter().map(|(_, count)| count);
        counts.collect()
    }

    #[test]
    fn samples_at_different_rates_count_by_their_time() {
        // 99 a second and 33: half a second each.
        let profile = at_rates(&[(10_101_010, 50), (30_303_030, 17)]);
        assert_eq!(counts(&profile), [50, 51]);
        let alike = at_rates(&[(30_303_030, 50), (30_303_030, 17)]);
        assert_eq!(counts(&alike), [50, 17]);
    }

    #[test]
    fn rounding_keeps_the_whole() {
        // 1.4 samples each.
        let mut all = vec![(14, 1); 1000];
        all.push((10, 1));
        let counts = counts(&at_rates(&all));
        assert_eq!(counts.iter().sum::<u64>(), 1401);
        assert!(counts.iter().all(|count| matches!(count, 1 | 2)));
    }
}
