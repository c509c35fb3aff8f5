//! What replaces something: text with the groups of a match in it, as Go's `Regexp.Expand` has it.

use super::VALUE;
use super::pattern::Groups;

#[derive(Clone, Debug)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// `$1`
    Number(usize),
    /// `$name`
    Name(String),
}

/// What begins with a number that is larger than this is a name that no group has.
const LARGEST: usize = 100_000_000;

impl Template {
    pub fn new(text: &str) -> Self {
        let mut parts = Self(Vec::new());
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('$') {
            parts.text_part(before);
            rest = behind;
            if let Some(behind) = rest.strip_prefix('$') {
                parts.text_part("$");
                rest = behind;
            } else if let Some((part, behind)) = group(rest) {
                parts.0.push(part);
                rest = behind;
            } else {
                // One that begins nothing stands for itself.
                parts.text_part("$");
            }
        }
        parts.text_part(rest);
        parts
    }

    /// In which nothing is replaced.
    pub fn literal(text: &str) -> Self {
        let mut parts = Self(Vec::new());
        parts.text_part(text);
        parts
    }

    fn text_part(&mut self, text: &str) {
        match self.0.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Text(before)) => before.push_str(text),
            _ => self.0.push(Part::Text(text.to_owned())),
        }
    }

    /// What is the same whatever was found.
    pub fn text(&self) -> String {
        let texts = self.0.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    /// With what was found; groups that are not there are nothing. None: it would be longer than
    /// anything that is taken.
    pub fn expand(&self, groups: &Groups<'_>) -> Option<String> {
        let mut expanded = String::new();
        for part in &self.0 {
            let text = match part {
                Part::Text(text) => text.as_str(),
                Part::Number(number) => groups.number(*number),
                Part::Name(name) => groups.name(name),
            };
            if expanded.len() + text.len() > VALUE {
                return None;
            }
            expanded.push_str(text);
        }
        Some(expanded)
    }
}

/// What stands behind a `$`: a name, as long as it gets, or one in braces; and the rest.
fn group(text: &str) -> Option<(Part, &str)> {
    let (inner, braced) = match text.strip_prefix('{') {
        Some(inner) => (inner, true),
        None => (text, false),
    };
    let end = inner.find(|c: char| !c.is_alphanumeric() && c != '_');
    let (name, rest) = inner.split_at(end.unwrap_or(inner.len()));
    if name.is_empty() {
        return None;
    }
    let rest = if braced {
        rest.strip_prefix('}')?
    } else {
        rest
    };
    let leading_zero = name.len() > 1 && name.starts_with('0');
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit()) && !leading_zero;
    let number = name.parse().ok().filter(|number| *number < LARGEST);
    let part = match number {
        Some(number) if is_number => Part::Number(number),
        _ => Part::Name(name.to_owned()),
    };
    Some((part, rest))
}

#[cfg(test)]
mod tests {
    use super::super::pattern::Pattern;
    use super::*;

    #[track_caller]
    fn expanded(template: &str, regex: &str, text: &str) -> String {
        let pattern = Pattern::new(regex).unwrap();
        let groups = pattern.groups(text).unwrap();
        Template::new(template).expand(&groups).unwrap()
    }

    /// What the documentation of Go's `Regexp.Expand` says.
    #[test]
    fn groups_are_named_as_in_go() {
        let date = "(?P<year>[0-9]+)-(?P<month>[0-9]+)";
        for (template, expected) in [
            ("$1/$2", "2026/11"),
            ("${1}x", "2026x"),
            // As long as it gets: there is no group `1x`.
            ("$1x", ""),
            ("$1.x", "2026.x"),
            ("$1_x", ""),
            ("$1-x", "2026-x"),
            ("$month", "11"),
            ("${year}s", "2026s"),
            ("$0", "2026-11"),
            ("$3", ""),
            ("$01", ""),
            ("$nothing", ""),
            ("$99999999999999999999", ""),
            ("$$1", "$1"),
            ("$", "$"),
            ("a$", "a$"),
            ("$-", "$-"),
            ("${", "${"),
            ("${1", "${1"),
            ("${}", "${}"),
            ("${1x", "${1x"),
            ("$ $1", "$ 2026"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(expanded(template, date, "2026-11"), expected, "{template}");
        }
    }

    #[test]
    fn a_group_that_took_no_part_is_nothing() {
        assert_eq!(expanded("<$1|$2>", "(a)|(b)", "b"), "<|b>");
    }

    #[test]
    fn what_would_be_too_long_is_refused() {
        let pattern = Pattern::new("(.*)").unwrap();
        let text = "x".repeat(VALUE / 2 + 1);
        let groups = pattern.groups(&text).unwrap();
        assert!(Template::new("$1").expand(&groups).is_some());
        assert!(Template::new("$1$1").expand(&groups).is_none());
    }
}
