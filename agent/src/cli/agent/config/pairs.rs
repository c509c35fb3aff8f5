//! Names with values: headers, resource attributes. Text has OpenTelemetry's form for variables.

use std::fmt;

/// In the order in which they were given.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pairs(pub Vec<(String, String)>);

/// More would be a mistake, or somebody else's.
const MOST: usize = 128;
const LONGEST: usize = 16 << 10;

impl Pairs {
    /// `name=value,name=value`, with `%XX` for bytes that mean something else.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pairs = Self::default();
        for (number, part) in (1..).zip(text.split(',')) {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            let Some((name, value)) = part.split_once('=') else {
                return Err(format!("has no `=` in its part {number}; {FORM}"));
            };
            let decoded = (decode(name.trim()), decode(value.trim()));
            let (Some(name), Some(value)) = decoded else {
                return Err(format!(
                    "has a `%` in its part {number} that no two hexadecimal digits follow, or \
                     bytes that are not UTF-8; write `%25` for a `%`"
                ));
            };
            pairs.add(name, value)?;
        }
        Ok(pairs)
    }

    pub fn add(&mut self, name: String, value: String) -> Result<(), String> {
        if name.is_empty() {
            return Err(format!("has a value without a name; {FORM}"));
        }
        if value.len() + name.len() > LONGEST || self.0.len() >= MOST {
            return Err(format!(
                "is too long: at most {MOST} pairs of {LONGEST} bytes are taken"
            ));
        }
        match self.0.iter_mut().find(|(other, _)| *other == name) {
            Some((_, other)) => *other = value,
            None => self.0.push((name, value)),
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

const FORM: &str = "it has to be NAME=VALUE,NAME=VALUE…";

/// Resolves `%XX`.
pub fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_hex.then_some(())?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

/// The names alone.
impl fmt::Display for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        f.write_str(&names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opentelemetrys_form_is_read() {
        let pairs = Pairs::parse("a=1, b = x%2Cy%20z ,,a=2,c=d=e").unwrap();
        let expected = [("a", "2"), ("b", "x,y z"), ("c", "d=e")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pairs.0, expected);
        assert!(Pairs::parse("").unwrap().is_empty());
    }

    #[test]
    fn neither_errors_nor_what_is_shown_have_values() {
        for wrong in [
            "a=1,hunter2",
            "a=hunter2%",
            "a=hunter2%zz",
            "=hunter2",
            "a=hunter2%ff",
        ] {
            let error = Pairs::parse(wrong).err().unwrap();
            assert!(!error.contains("hunter2"), "{error}");
        }
        let pairs = Pairs::parse("authorization=hunter2,b=c").unwrap();
        assert_eq!(pairs.to_string(), "authorization, b");
    }
}
