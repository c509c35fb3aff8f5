//! One rule: what was said, whether it can be meant, and what it does.

use super::pattern::{self, Pattern};
use super::template::Template;
use super::{Labels, Refused};

/// The keys of a rule.
pub const SOURCE: &str = "source_labels";
pub const SEPARATOR: &str = "separator";
pub const TARGET: &str = "target_label";
pub const REGEX: &str = "regex";
pub const REPLACEMENT: &str = "replacement";
pub const ACTION: &str = "action";
/// Only there to be explained.
pub const MODULUS: &str = "modulus";

/// A rule as it was written; what is not there has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub source_labels: Option<Vec<String>>,
    pub separator: Option<String>,
    pub target_label: Option<String>,
    pub regex: Option<String>,
    pub replacement: Option<String>,
    pub action: Option<String>,
    /// Whether there is one.
    pub modulus: bool,
}

/// Why a rule can't be meant: a sentence without its end, and the key that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongRule {
    pub field: &'static str,
    pub why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
}

#[derive(Clone, Debug)]
pub struct Rule {
    pub(super) said: Said,
    action: Action,
    separator: String,
    regex: Pattern,
    target: Template,
    replacement: Template,
}

impl Action {
    pub const ALL: [Self; 10] = [
        Self::Replace,
        Self::Keep,
        Self::Drop,
        Self::KeepEqual,
        Self::DropEqual,
        Self::LabelMap,
        Self::LabelDrop,
        Self::LabelKeep,
        Self::Lowercase,
        Self::Uppercase,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Keep => "keep",
            Self::Drop => "drop",
            Self::KeepEqual => "keepequal",
            Self::DropEqual => "dropequal",
            Self::LabelMap => "labelmap",
            Self::LabelDrop => "labeldrop",
            Self::LabelKeep => "labelkeep",
            Self::Lowercase => "lowercase",
            Self::Uppercase => "uppercase",
        }
    }

    /// As Prometheus has it, in letters of any size.
    fn of(said: &str) -> Result<Self, String> {
        let name = said.to_lowercase();
        if let Some(action) = Self::ALL.into_iter().find(|action| action.name() == name) {
            return Ok(action);
        }
        if name == "hashmod" {
            return Err(
                "action hashmod is not supported: it divides work among several Prometheus \
                 servers, and here each agent has its own machine"
                    .to_owned(),
            );
        }
        let said: String = said.chars().take(60).collect();
        let names = Self::ALL.map(Self::name).join(", ");
        Err(format!("action is {said:?}; it has to be one of {names}"))
    }

    /// The keys that it has no use for, though it would be believed that they do something.
    fn takes_not(self) -> &'static [&'static str] {
        match self {
            Self::Lowercase | Self::Uppercase => &[REPLACEMENT],
            Self::KeepEqual | Self::DropEqual => &[REGEX, SEPARATOR, REPLACEMENT],
            Self::LabelDrop | Self::LabelKeep => &[SOURCE, SEPARATOR, TARGET, REPLACEMENT],
            _ => &[],
        }
    }

    fn needs_target(self) -> bool {
        matches!(
            self,
            Self::Replace | Self::Lowercase | Self::Uppercase | Self::KeepEqual | Self::DropEqual
        )
    }
}

impl Said {
    fn has(&self, field: &str) -> bool {
        match field {
            SOURCE => self.source_labels.is_some(),
            SEPARATOR => self.separator.is_some(),
            TARGET => self.target_label.is_some(),
            REGEX => self.regex.is_some(),
            REPLACEMENT => self.replacement.is_some(),
            _ => false,
        }
    }
}

impl Rule {
    pub fn new(said: Said) -> Result<Self, WrongRule> {
        let wrong = |field, why| WrongRule { field, why };
        let action = match &said.action {
            Some(action) => Action::of(action).map_err(|why| wrong(ACTION, why))?,
            None => Action::Replace,
        };
        let name = action.name();
        if said.modulus {
            let why = "modulus is for the action hashmod, which is not supported".to_owned();
            return Err(wrong(MODULUS, why));
        }
        if let Some(field) = action.takes_not().iter().copied().find(|it| said.has(it)) {
            return Err(wrong(field, format!("{field} means nothing to {name}")));
        }
        if action.needs_target() && said.target_label.as_deref().unwrap_or("").is_empty() {
            let field = if said.has(TARGET) { TARGET } else { ACTION };
            return Err(wrong(field, format!("{name} needs a target_label")));
        }
        if let Some(labels) = &said.source_labels
            && labels.iter().any(String::is_empty)
        {
            let why = "source_labels has a name that is empty".to_owned();
            return Err(wrong(SOURCE, why));
        }
        let regex = said.regex.as_deref().unwrap_or(pattern::DEFAULT);
        let regex = Pattern::new(regex).map_err(|why| wrong(REGEX, why))?;
        // Only `replace` makes a name of what was found.
        let target = said.target_label.as_deref().unwrap_or("");
        let target = match action {
            Action::Replace => Template::new(target),
            _ => Template::literal(target),
        };
        Ok(Self {
            action,
            separator: said.separator.clone().unwrap_or_else(|| ";".to_owned()),
            regex,
            target,
            replacement: Template::new(said.replacement.as_deref().unwrap_or("$1")),
            said,
        })
    }

    pub fn action(&self) -> Action {
        self.action
    }

    /// Whether whoever has these labels stays.
    pub(super) fn apply(&self, labels: &mut Labels, refused: &mut Refused) -> bool {
        match self.action {
            Action::Keep => return self.regex.fits(&self.source(labels)),
            Action::Drop => return !self.regex.fits(&self.source(labels)),
            Action::KeepEqual => return self.is_equal(labels),
            Action::DropEqual => return !self.is_equal(labels),
            Action::Replace => self.replace(labels, refused),
            Action::Lowercase => self.change_case(labels, refused, lower),
            Action::Uppercase => self.change_case(labels, refused, upper),
            Action::LabelMap => self.map(labels, refused),
            Action::LabelDrop => labels.retain(|name, _| !self.regex.fits(name)),
            Action::LabelKeep => labels.retain(|name, _| self.regex.fits(name)),
        }
        true
    }

    /// The values of the source labels; of those that are not there, nothing.
    fn source(&self, labels: &Labels) -> String {
        let names = self.said.source_labels.iter().flatten();
        let values: Vec<&str> = names
            .map(|name| labels.get(name).map_or("", String::as_str))
            .collect();
        values.join(&self.separator)
    }

    fn is_equal(&self, labels: &Labels) -> bool {
        let target = self.target.text();
        labels.get(&*target).map_or("", String::as_str) == self.source(labels)
    }

    fn replace(&self, labels: &mut Labels, refused: &mut Refused) {
        let source = self.source(labels);
        let Some(groups) = self.regex.groups(&source) else {
            return;
        };
        match (
            self.target.expand(&groups),
            self.replacement.expand(&groups),
        ) {
            (Some(name), Some(value)) => refused.set(labels, &name, value),
            _ => refused.too_long += 1,
        }
    }

    fn change_case(&self, labels: &mut Labels, refused: &mut Refused, change: fn(char) -> char) {
        let value = self.source(labels).chars().map(change).collect();
        refused.set(labels, &self.target.text(), value);
    }

    /// Labels that are mapped to one name: the last one by name is the one that stays.
    fn map(&self, labels: &mut Labels, refused: &mut Refused) {
        let mut mapped = Vec::new();
        for (name, value) in &*labels {
            let Some(groups) = self.regex.groups(name) else {
                continue;
            };
            match self.replacement.expand(&groups) {
                Some(name) => mapped.push((name, value.clone())),
                None => refused.too_long += 1,
            }
        }
        for (name, value) in mapped {
            refused.set(labels, &name, value);
        }
    }
}

/// A letter for a letter, as Go does it, which has no use for words and languages.
fn lower(letter: char) -> char {
    letter.to_lowercase().next().unwrap_or(letter)
}

fn upper(letter: char) -> char {
    let mut upper = letter.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(one), None) => one,
        // Such as ß, of which there is no single capital letter.
        _ => letter,
    }
}
