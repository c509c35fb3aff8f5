//! Which pods are sampled, and how often: what a pod says by its annotations goes before the rules of
//! the configuration, of which the first that means it holds, and these before what holds for all.

mod lexer;
mod rule;
mod selector;
#[cfg(test)]
mod tests;

use serde::Serialize;

use super::pods::Pod;

pub use rule::{
    LABELS, NAMESPACES, Outcome, PROFILE as PROFILE_KEY, RATE as RATE_KEY, Rule, RuleError,
};

/// `"false"`: not to be sampled. `"true"`: to be sampled, whatever the rules say.
pub const PROFILE: &str = "strata.dev/profile";
/// Samples a second.
pub const RATE: &str = "strata.dev/rate";

/// What the configuration says of pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only those are sampled that an annotation or a rule chooses. Else all that none leaves out.
    pub only_chosen: bool,
    pub rules: Vec<Rule>,
}

/// What holds for a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub outcome: Outcome,
    /// Annotations of the pod that can't be meant, which say nothing then.
    pub misspelt: Vec<&'static str>,
}

/// Pods by what became of the choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub sampled: u64,
    pub at_own_rate: u64,
    pub left_out: u64,
    /// Their cgroups are not there, or were not found.
    pub without_cgroup: u64,
    /// Entries of the kernel side's table.
    pub policies: u64,
    /// Policies that found no room there.
    pub refused: u64,
    /// Annotations that can't be meant.
    pub misspelt: u64,
}

impl Selection {
    pub fn decide(&self, pod: &Pod) -> Decision {
        let mut misspelt = Vec::new();
        let annotation = |name| pod.annotations.get(name).map(|text| text.trim());
        let profile = annotation(PROFILE).and_then(|text| {
            let known = switch(text);
            if known.is_none() {
                misspelt.push(PROFILE);
            }
            known
        });
        let rate = annotation(RATE).and_then(|text| {
            let known = text.parse().ok().filter(|rate| *rate != 0);
            if known.is_none() {
                misspelt.push(RATE);
            }
            known
        });
        let rule = self.rules.iter().find(|rule| rule.means(pod));
        let by_rule = rule.map_or(self.otherwise(), |rule| rule.outcome);
        let outcome = match (profile, by_rule) {
            (Some(false), _) | (None, Outcome::LeftOut) => Outcome::LeftOut,
            (Some(true), Outcome::LeftOut) => Outcome::Sampled(rate),
            (_, Outcome::Sampled(by_rule)) => Outcome::Sampled(rate.or(by_rule)),
        };
        Decision { outcome, misspelt }
    }

    /// What holds for pods that nothing is said of, or that nothing is known of yet.
    pub fn otherwise(&self) -> Outcome {
        if self.only_chosen {
            Outcome::LeftOut
        } else {
            Outcome::Sampled(None)
        }
    }

    /// The highest rate of a rule.
    pub fn highest_rate(&self) -> Option<u32> {
        let rates = self.rules.iter().filter_map(|rule| match rule.outcome {
            Outcome::Sampled(rate) => rate,
            Outcome::LeftOut => None,
        });
        rates.max()
    }
}

fn switch(text: &str) -> Option<bool> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    if is("true") {
        Some(true)
    } else {
        is("false").then_some(false)
    }
}
