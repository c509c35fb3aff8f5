//! Relabelling: rules of the operator's over the attributes of a process, with the words and the
//! meaning that Prometheus has for them (`relabel_configs`), so that what is written there can be
//! copied. A label is an attribute under its own name; names with dots are nothing special.
//!
//! Where Prometheus' versions differ, this does what 3.x does: `.` is also a line break.
//! Knows texts alone: whose they are is the caller's business.

mod pattern;
mod rule;
mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use rule::{
    ACTION, Action, MODULUS, REGEX, REPLACEMENT, Rule, SEPARATOR, SOURCE, Said, TARGET, WrongRule,
};

/// By name. One whose value is empty is none.
pub type Labels = BTreeMap<String, String>;

/// Most labels that rules can make. Those that are there already stay.
pub const MOST: usize = 256;
/// Longest name and value that a rule can make, in bytes.
pub const NAME: usize = 256;
pub const VALUE: usize = 4 << 10;

/// Labels with such names are for the rules among themselves, and gone after the last one.
const TEMPORARY: &str = "__";

/// Rules in their order.
#[derive(Clone, Debug, Default)]
pub struct Rules(Arc<[Rule]>);

/// Labels that rules would have made beyond the bounds, and that were left as they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    pub too_many: u64,
    /// A name or a value. A text that is cut off would be another one.
    pub too_long: u64,
}

impl Rules {
    pub fn new(rules: Vec<Rule>) -> Self {
        Self(rules.into())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Applies them one after the other. Some: the process is to be left out, by a rule of this
    /// action; then the labels mean nothing.
    pub fn apply(&self, labels: &mut Labels, refused: &mut Refused) -> Option<Action> {
        if self.is_empty() {
            return None;
        }
        for rule in &*self.0 {
            if !rule.apply(labels, refused) {
                return Some(rule.action());
            }
        }
        labels.retain(|name, _| !name.starts_with(TEMPORARY));
        None
    }
}

/// Rules are the same if the same was said.
impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        let pairs = self.0.iter().zip(&*other.0);
        self.0.len() == other.0.len() && pairs.into_iter().all(|(one, two)| one.said == two.said)
    }
}

impl Eq for Rules {}

impl Refused {
    /// Gives a label a value, or takes it away if that is empty.
    fn set(&mut self, labels: &mut Labels, name: &str, value: String) {
        if name.is_empty() {
            return;
        }
        if value.is_empty() {
            labels.remove(name);
        } else if name.len() > NAME || value.len() > VALUE {
            self.too_long += 1;
        } else if let Some(known) = labels.get_mut(name) {
            *known = value;
        } else if labels.len() >= MOST {
            self.too_many += 1;
        } else {
            labels.insert(name.to_owned(), value);
        }
    }
}
