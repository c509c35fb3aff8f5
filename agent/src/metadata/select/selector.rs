//! Label selectors as Kubernetes writes them (kubernetes.io/docs/concepts/overview/working-with-objects/labels):
//! requirements with commas between them, all of which have to hold.
//!
//! | requirement | holds if the label |
//! |---|---|
//! | `app` / `!app` | is there / is not there |
//! | `app=web`, `app==web` | is there and has this value |
//! | `app!=web` | has another value or is not there |
//! | `app in (web,db)` | is there and has one of these values |
//! | `app notin (web,db)` | has none of these values or is not there |
//!
//! `>` and `<`, which only node affinity has a use for, are not taken.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::lexer::{Lexer, Token};

/// Most characters of a name or value, and of the domain before a name's slash.
const LONGEST: usize = 63;
const LONGEST_DOMAIN: usize = 253;
/// Most requirements and values of one selector.
const MOST: usize = 1000;

/// Requirements, all of which have to hold. Without any it holds for everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operator {
    Exists,
    Absent,
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
}

/// What is wrong with a selector: the end of a sentence about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(String);

impl Selector {
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut lexer = Lexer::new(text);
        let mut requirements = Vec::new();
        if lexer.peek() == Token::End {
            return Ok(Self(requirements));
        }
        loop {
            requirements.push(requirement(&mut lexer)?);
            if requirements.len() > MOST {
                return Err(SelectorError(format!("has more than {MOST} requirements")));
            }
            match lexer.take() {
                Token::End => return Ok(Self(requirements)),
                Token::Comma => {}
                other => return Err(unexpected(other, "`,` or the end")),
            }
        }
    }

    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            match &requirement.operator {
                Operator::Exists => value.is_some(),
                Operator::Absent => value.is_none(),
                Operator::In(values) => value.is_some_and(|value| values.contains(value)),
                Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            }
        })
    }
}

/// In its one form, from which the same selector is read again.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(Requirement::to_string).collect();
        f.write_str(&texts.join(","))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, operator } = self;
        let list = |values: &BTreeSet<String>| {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            values.join(",")
        };
        match operator {
            Operator::Exists => f.write_str(key),
            Operator::Absent => write!(f, "!{key}"),
            Operator::In(values) if values.len() == 1 => write!(f, "{key}={}", list(values)),
            Operator::NotIn(values) if values.len() == 1 => write!(f, "{key}!={}", list(values)),
            Operator::In(values) => write!(f, "{key} in ({})", list(values)),
            Operator::NotIn(values) => write!(f, "{key} notin ({})", list(values)),
        }
    }
}

fn requirement(lexer: &mut Lexer<'_>) -> Result<Requirement, SelectorError> {
    let absent = lexer.peek() == Token::Not;
    if absent {
        lexer.take();
    }
    let key = match lexer.take() {
        Token::Word(key) => key,
        other => return Err(unexpected(other, "a label's name")),
    };
    check_key(key)?;
    let key = key.to_owned();
    if absent {
        let operator = Operator::Absent;
        return Ok(Requirement { key, operator });
    }
    let operator = match lexer.peek() {
        Token::End | Token::Comma => Operator::Exists,
        Token::Equals => {
            lexer.take();
            Operator::In(value(lexer)?)
        }
        Token::NotEquals => {
            lexer.take();
            Operator::NotIn(value(lexer)?)
        }
        Token::Word("in") => {
            lexer.take();
            Operator::In(values(lexer)?)
        }
        Token::Word("notin") => {
            lexer.take();
            Operator::NotIn(values(lexer)?)
        }
        other => return Err(unexpected(other, "`=`, `!=`, `in` or `notin`")),
    };
    Ok(Requirement { key, operator })
}

/// One value, which may be empty.
fn value(lexer: &mut Lexer<'_>) -> Result<BTreeSet<String>, SelectorError> {
    let value = match lexer.peek() {
        Token::End | Token::Comma => "",
        Token::Word(value) => {
            lexer.take();
            value
        }
        other => return Err(unexpected(other, "a value")),
    };
    check_value(value)?;
    Ok(BTreeSet::from([value.to_owned()]))
}

/// `(a,b)`; between commas there may be nothing, which is the empty value.
fn values(lexer: &mut Lexer<'_>) -> Result<BTreeSet<String>, SelectorError> {
    match lexer.take() {
        Token::Open => {}
        other => return Err(unexpected(other, "`(`")),
    }
    let mut values = BTreeSet::new();
    loop {
        let value = match lexer.peek() {
            Token::Word(value) => {
                lexer.take();
                value
            }
            Token::Comma | Token::Close => "",
            other => return Err(unexpected(other, "a value, `,` or `)`")),
        };
        check_value(value)?;
        values.insert(value.to_owned());
        if values.len() > MOST {
            return Err(SelectorError(format!("has more than {MOST} values")));
        }
        match lexer.take() {
            Token::Close => return Ok(values),
            Token::Comma => {}
            other => return Err(unexpected(other, "`,` or `)`")),
        }
    }
}

fn unexpected(token: Token<'_>, expected: &str) -> SelectorError {
    SelectorError(format!("has {token} where {expected} has to be"))
}

/// `name` or `domain/name`.
fn check_key(key: &str) -> Result<(), SelectorError> {
    let (domain, name) = match key.split_once('/') {
        Some((domain, name)) => (Some(domain), name),
        None => (None, key),
    };
    let is_lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_part = |part: &str| {
        part.len() <= LONGEST && is_name(part) && part.bytes().all(|b| is_lower(b) || b == b'-')
    };
    let is_domain = |domain: &str| domain.len() <= LONGEST_DOMAIN && domain.split('.').all(is_part);
    if name.len() <= LONGEST && is_name(name) && domain.is_none_or(is_domain) {
        return Ok(());
    }
    Err(SelectorError(format!(
        "has the name {}, which no label has: letters, digits, `-`, `_` and `.`, at most {LONGEST} \
         of them, behind a domain and a slash if it has one",
        shown(key)
    )))
}

fn check_value(value: &str) -> Result<(), SelectorError> {
    if value.is_empty() || (value.len() <= LONGEST && is_name(value)) {
        return Ok(());
    }
    Err(SelectorError(format!(
        "has the value {}, which no label has: letters, digits, `-`, `_` and `.`, at most {LONGEST} \
         of them",
        shown(value)
    )))
}

/// Letters, digits and, not at its ends, `-`, `_` and `.`.
fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    bytes.iter().all(fits) && ends(bytes.first()) && ends(bytes.last())
}

pub(super) fn shown(text: &str) -> String {
    let start: String = text.chars().take(60).collect();
    format!("{start:?}")
}

#[cfg(test)]
mod tests;
