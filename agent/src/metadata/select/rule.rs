//! Rules of the configuration: which pods are meant, and what is to be done with them.

use super::selector::{Selector, SelectorError, shown};
use crate::metadata::pods::Pod;

/// Keys of a rule.
pub const NAMESPACES: &str = "namespaces";
pub const LABELS: &str = "labels";
pub const PROFILE: &str = "profile";
pub const RATE: &str = "rate";

/// The first rule that means a pod holds for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Pods of these namespaces; of all if there are none.
    namespaces: Vec<String>,
    /// With these labels.
    labels: Selector,
    pub outcome: Outcome,
}

/// What is to be done with a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    LeftOut,
    /// At this rate, or at the agent's own.
    Sampled(Option<u32>),
}

/// What is wrong with a rule, as a sentence without its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("it says nothing of its pods; add profile = false, profile = true or rate = NUMBER")]
    Nothing,
    #[error("it leaves its pods out and gives them a rate; take one of the two away")]
    Both,
    #[error(
        "namespaces has {0}, which no namespace is called: a-z, 0-9 and, inside, `-`, at most 63 \
         of them"
    )]
    Namespace(String),
    #[error("labels {0}")]
    Labels(#[from] SelectorError),
}

impl RuleError {
    /// The key that is to be changed, if it is one.
    pub fn key(&self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Both => Some(RATE),
            Self::Namespace(_) => Some(NAMESPACES),
            Self::Labels(_) => Some(LABELS),
        }
    }
}

impl Rule {
    /// A rule as it is written; `profile` and `rate` say what is to be done, one of them at least.
    pub fn new(
        namespaces: &[String],
        labels: &str,
        profile: Option<bool>,
        rate: Option<u32>,
    ) -> Result<Self, RuleError> {
        let outcome = match (profile, rate) {
            (None, None) => return Err(RuleError::Nothing),
            (Some(false), Some(_)) => return Err(RuleError::Both),
            (Some(false), None) => Outcome::LeftOut,
            (_, rate) => Outcome::Sampled(rate),
        };
        let mut wrong = namespaces.iter().filter(|name| !is_namespace(name));
        if let Some(wrong) = wrong.next() {
            return Err(RuleError::Namespace(shown(wrong)));
        }
        Ok(Self {
            namespaces: namespaces.to_vec(),
            labels: Selector::parse(labels)?,
            outcome,
        })
    }

    pub fn means(&self, pod: &Pod) -> bool {
        let here = self.namespaces.is_empty() || self.namespaces.contains(&pod.namespace);
        here && self.labels.matches(&pod.labels)
    }
}

/// A DNS label.
fn is_namespace(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let ends = name.starts_with('-') || name.ends_with('-');
    (1..=63).contains(&name.len()) && name.bytes().all(fits) && !ends
}
