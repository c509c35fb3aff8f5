//! Averages with an honest interval.

/// Resamples of a bootstrap: the 2.5th percentile of 4,000 is the 100th smallest.
const RESAMPLES: usize = 4000;
/// Share of the values that is left out on each side of a mean: a window in which something else ran says nothing.
const TRIMMED: f64 = 0.1;

/// A value and the interval that holds it with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

impl Estimate {
    /// The trimmed mean, with the interval of its bootstrap. None without values.
    pub fn mean(values: &[f64]) -> Option<Self> {
        Some(Self::from(trimmed_mean(values)?, &mut resampled(values, 1)))
    }

    /// The trimmed mean of `values` less that of `others`, which were taken independently.
    pub fn difference(values: &[f64], others: &[f64]) -> Option<Self> {
        let value = trimmed_mean(values)? - trimmed_mean(others)?;
        let mut resamples = resampled(values, 1);
        for (resample, other) in resamples.iter_mut().zip(resampled(others, 2)) {
            *resample -= other;
        }
        Some(Self::from(value, &mut resamples))
    }

    fn from(value: f64, resamples: &mut [f64]) -> Self {
        resamples.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let index = (resamples.len() as f64 * share) as usize;
            resamples
                .get(index)
                .or(resamples.last())
                .copied()
                .unwrap_or(value)
        };
        Self {
            value,
            low: at(0.025),
            high: at(0.975),
        }
    }
}

/// The mean of what is left without the smallest and the largest tenth.
pub fn trimmed_mean(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let cut = (sorted.len() as f64 * TRIMMED) as usize;
    let kept = sorted.get(cut..sorted.len() - cut)?;
    (!kept.is_empty()).then(|| kept.iter().sum::<f64>() / kept.len() as f64)
}

pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get(sorted.len() / 2 - 1)?;
    Some((lower + upper) / 2.0)
}

fn resampled(values: &[f64], seed: u64) -> Vec<f64> {
    let mut random = Random(seed);
    let mut resample = vec![0.0; values.len()];
    (0..RESAMPLES)
        .filter_map(|_| {
            for slot in &mut resample {
                *slot = values.get(random.below(values.len())).copied()?;
            }
            trimmed_mean(&resample)
        })
        .collect()
}

/// SplitMix64 (Steele, Lea, Flood 2014): enough for resampling, and the same in each run.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `bound`; 0 for 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// In [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Roughly normal: the sum of twelve uniform numbers has a deviation of 1.
    fn noisy(mean: f64, deviation: f64, count: usize, seed: u64) -> Vec<f64> {
        let mut random = Random(seed);
        (0..count)
            .map(|_| {
                let sum: f64 = (0..12).map(|_| random.unit()).sum();
                mean + deviation * (sum - 6.0)
            })
            .collect()
    }

    #[test]
    fn the_interval_holds_the_truth_about_as_often_as_it_says() {
        let held = (0..60)
            .filter(|seed| {
                let found = Estimate::mean(&noisy(1.5, 3.0, 40, 1000 + seed)).unwrap();
                found.low <= 1.5 && 1.5 <= found.high
            })
            .count();
        // 95 % of 60 are 57; the deviation of that count is 2.
        assert!((51..=60).contains(&held), "{held} of 60");
    }

    #[test]
    fn a_difference_is_found_and_one_that_is_not_there_is_not() {
        let base = noisy(1.0, 0.5, 200, 1);
        let more = noisy(1.4, 0.5, 200, 2);
        let found = Estimate::difference(&more, &base).unwrap();
        assert!(found.low > 0.2 && found.high < 0.6, "{found:?}");
        let same = Estimate::difference(&noisy(1.0, 0.5, 200, 3), &base).unwrap();
        assert!(same.low < 0.0 && same.high > 0.0, "{same:?}");
    }

    #[test]
    fn a_few_wild_values_change_little() {
        let mut values = noisy(1.0, 0.1, 100, 4);
        values[..5].fill(1000.0);
        let found = Estimate::mean(&values).unwrap();
        assert!(found.high < 1.2, "{found:?}");
    }

    #[test]
    fn nothing_gives_nothing() {
        assert_eq!(Estimate::mean(&[]), None);
        assert_eq!(Estimate::difference(&[1.0], &[]), None);
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        let one = Estimate::mean(&[2.0]).unwrap();
        assert_eq!((one.value, one.low, one.high), (2.0, 2.0, 2.0));
    }

    #[test]
    fn random_numbers_stay_in_their_bounds_and_reach_them() {
        let mut random = Random(7);
        let mut seen = [0u32; 5];
        for _ in 0..1000 {
            seen[random.below(5)] += 1;
            assert!((0.0..1.0).contains(&random.unit()));
        }
        assert!(seen.iter().all(|&count| count > 120), "{seen:?}");
        assert_eq!(random.below(0), 0);
    }
}
