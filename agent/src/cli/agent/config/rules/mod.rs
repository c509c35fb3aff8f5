//! Settings that are rules: a list of tables. In the file `[[name]]` and below it the keys of one rule;
//! as a flag or variable the same on one line, `[{ key = "value" }, …]`.
//!
//! A [`Form`] says which keys a rule may have and whether all of it together can be meant. What the
//! rules do is not known here.

mod read;

use std::fmt;

use super::show::quoted;

pub use read::{Fault, read, read_text};

/// Which rules a setting takes.
pub struct Form {
    /// Of the setting.
    pub name: &'static str,
    pub fields: &'static [Field],
    /// Whether a rule with these keys can be meant; what is wrong, of which key.
    pub check: fn(&Rule) -> Result<(), Wrong>,
}

pub struct Field {
    pub name: &'static str,
    pub kind: FieldKind,
}

impl Field {
    pub const fn new(name: &'static str, kind: FieldKind) -> Self {
        Self { name, kind }
    }
}

#[derive(Clone, Copy, Debug)]
pub enum FieldKind {
    Text,
    /// A list of texts.
    Texts,
    Number {
        min: u64,
        max: u64,
    },
    Switch,
}

/// What is wrong with a rule, as a sentence without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The key that is to be changed, if it is one.
    pub field: Option<&'static str>,
    pub why: String,
}

/// Rules in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules(pub Vec<Rule>);

/// One rule as it was written: the keys that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule(Vec<(&'static str, FieldValue)>);

#[derive(Clone, PartialEq, Eq)]
pub enum FieldValue {
    Text(String),
    Texts(Vec<String>),
    Number(u64),
    Switch(bool),
}

impl Rule {
    fn get(&self, name: &str) -> Option<&FieldValue> {
        let mut fields = self.0.iter();
        fields.find_map(|(other, value)| (*other == name).then_some(value))
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            FieldValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// None where there is no such key: an empty list is there.
    pub fn texts(&self, name: &str) -> Option<&[String]> {
        match self.get(name)? {
            FieldValue::Texts(texts) => Some(texts),
            _ => None,
        }
    }
}

impl Rule {
    pub fn number(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            FieldValue::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub fn switch(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            FieldValue::Switch(switch) => Some(*switch),
            _ => None,
        }
    }
}

impl PartialEq for Form {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Form {}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// As TOML, a rule a line if there are several.
impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [rule] = &self.0[..] {
            return write!(f, "[{rule}]");
        }
        f.write_str("[\n")?;
        for rule in &self.0 {
            writeln!(f, "    {rule},")?;
        }
        f.write_str("]")
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        write!(f, "{{ {} }}", fields.join(", "))
    }
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::Texts(texts) => {
                let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
                write!(f, "[{}]", texts.join(", "))
            }
            Self::Number(number) => write!(f, "{number}"),
            Self::Switch(switch) => write!(f, "{switch}"),
        }
    }
}

/// Rules hold no secrets.
impl fmt::Debug for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests;
