//! What goes wrong with requests of one kind, from the first failure until they go well again.

use std::collections::BTreeSet;

#[derive(Default)]
pub struct Trouble {
    /// Causes so far: a few fixed words.
    causes: BTreeSet<&'static str>,
    last: Option<String>,
}

impl Trouble {
    /// Whether there is something new to say: each cause once, however long it lasts and however its
    /// text changes.
    pub fn add(&mut self, cause: &'static str, text: &str) -> bool {
        self.last = Some(text.to_owned());
        self.causes.insert(cause)
    }

    pub fn last(&self) -> Option<&String> {
        self.last.as_ref()
    }

    pub fn end(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_said_once_until_it_is_over() {
        let mut trouble = Trouble::default();
        assert!(trouble.add("gone", "version 1"));
        assert!(!trouble.add("gone", "version 2"));
        assert!(trouble.add("server", "500"));
        assert!(!trouble.add("gone", "version 3"));
        assert_eq!(trouble.last().map(String::as_str), Some("version 3"));
        trouble.end();
        assert_eq!(trouble.last(), None);
        assert!(trouble.add("gone", "version 4"));
    }
}
