//! Counting right and wrong samples against the number that was asked for.

use std::collections::BTreeMap;

/// Of the samples asked for, how many passed, and what was the matter with the others.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    asked: u64,
    good: u64,
    wrong: BTreeMap<String, u64>,
}

impl Verdict {
    /// `asked` is the kernel side's own count: samples that never arrived are in it and count as wrong.
    pub fn of(asked: u64) -> Self {
        Self {
            asked,
            ..Self::default()
        }
    }

    pub fn good(&mut self, count: u64) {
        self.good += count;
    }

    pub fn wrong(&mut self, why: impl Into<String>, count: u64) {
        *self.wrong.entry(why.into()).or_default() += count;
    }

    pub fn share(&self) -> f64 {
        if self.asked == 0 {
            0.0
        } else {
            self.good as f64 / self.asked as f64
        }
    }

    pub fn wrong_count(&self) -> u64 {
        self.wrong.values().sum()
    }

    /// Fails below a share, with the commonest causes. Too few samples to tell are a failure too.
    pub fn at_least(&self, share: f64, fewest: u64) -> Result<(), String> {
        let seen = self.good + self.wrong_count();
        if self.asked < fewest {
            return Err(format!(
                "only {} samples were asked for; at least {fewest} are needed to tell",
                self.asked
            ));
        }
        if seen > self.asked {
            return Err(format!(
                "{seen} samples arrived, but only {} were asked for",
                self.asked
            ));
        }
        if self.share() >= share {
            return Ok(());
        }
        Err(format!("{self}, which is less than {:.2} %", share * 100.0))
    }

    /// Fails if any single sample is wrong.
    pub fn none_wrong(&self) -> Result<(), String> {
        if self.wrong.is_empty() {
            Ok(())
        } else {
            Err(self.to_string())
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { asked, good, wrong } = self;
        write!(
            f,
            "{good} right of {asked} asked for ({:.2} %)",
            self.share() * 100.0
        )?;
        let missing = asked.saturating_sub(good + self.wrong_count());
        if missing > 0 {
            write!(f, "\n    {missing} x never arrived")?;
        }
        let mut causes: Vec<_> = wrong.iter().collect();
        causes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (why, count) in causes.iter().take(8) {
            write!(f, "\n    {count} x {why}")?;
        }
        if causes.len() > 8 {
            write!(f, "\n    and {} causes more", causes.len() - 8)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_arrived_counts_against() {
        let mut verdict = Verdict::of(1000);
        verdict.good(994);
        assert!(verdict.at_least(0.995, 100).is_err());
        verdict.good(1);
        assert!(verdict.at_least(0.995, 100).is_ok());
        assert!(verdict.at_least(0.995, 2000).is_err(), "too few to tell");
        verdict.wrong("odd", 6);
        assert!(
            verdict.at_least(0.9, 100).is_err(),
            "more than were asked for"
        );
        assert!(verdict.none_wrong().is_err());
    }
}
