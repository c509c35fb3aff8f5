//! Names as filters give them: whole, with `*` and `?`, or a regular expression between slashes.

use regex::Regex;

#[derive(Clone, Debug)]
pub struct Pattern {
    /// As it was typed.
    pub text: String,
    regex: Option<Regex>,
}

impl Pattern {
    pub fn new(text: &str) -> Result<Self, String> {
        let regex = match text.strip_prefix('/').and_then(|it| it.strip_suffix('/')) {
            Some(inner) if !inner.is_empty() => {
                let regex = Regex::new(inner);
                Some(regex.map_err(|error| format!("{text} is no regular expression: {error}"))?)
            }
            _ if text.contains(['*', '?']) => Regex::new(&glob(text)).ok(),
            _ => None,
        };
        Ok(Self {
            text: text.to_owned(),
            regex,
        })
    }

    /// Names may have stars in them, so that a name always fits itself.
    pub fn fits(&self, name: &str) -> bool {
        name == self.text
            || self
                .regex
                .as_ref()
                .is_some_and(|regex| regex.is_match(name))
    }
}

fn glob(text: &str) -> String {
    let mut regex = String::from("(?s)^");
    for character in text.chars() {
        match character {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            other => regex.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push('$');
    regex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stars_and_expressions() {
        for (pattern, fitting, other) in [
            ("handle", "handle", "handler"),
            ("handle*", "handler", "my_handler"),
            ("*.encode", "Encoder.encode", "encode"),
            ("h?ndle", "hondle", "handles"),
            ("f(char*)", "f(char*)", "g(char*)"),
            ("f(char*)", "f(char const*)", "f"),
            ("a.b*", "a.bc", "aXbc"),
            ("/^ext4_.*write/", "ext4_file_write_iter", "my_ext4_write"),
            ("/(?i)json/", "parseJSON", "yaml"),
            ("/usr/bin/x", "/usr/bin/x", "usr"),
            ("/", "/", "a"),
        ] {
            let pattern = Pattern::new(pattern).unwrap();
            assert!(pattern.fits(fitting), "{pattern:?} {fitting}");
            assert!(!pattern.fits(other), "{pattern:?} {other}");
        }
        let error = Pattern::new("/(/").unwrap_err();
        assert!(error.contains("/(/ is no regular expression"), "{error}");
    }
}
