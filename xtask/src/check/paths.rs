//! Who names what: every path in a file (`a::b::c`), with those inside of `use` trees written out.

use super::source::{Source, is_word};

#[derive(Debug, PartialEq, Eq)]
pub struct Path {
    pub line: usize,
    pub segments: Vec<String>,
}

pub fn paths(source: &Source) -> Vec<Path> {
    let tokens = tokens(&source.code);
    let mut reader = Reader {
        tokens: &tokens,
        at: 0,
        found: Vec::new(),
    };
    while let Some((_, token)) = reader.peek(0) {
        if token == "use" {
            reader.at += 1;
            reader.use_tree(&[]);
        } else if is_name(token) {
            reader.plain_path();
        } else {
            reader.at += 1;
        }
    }
    let found = reader.found.into_iter();
    found
        .map(|(offset, segments)| Path {
            line: source.line(offset),
            segments,
        })
        .collect()
}

/// Names, `::`, and single signs.
fn tokens(code: &str) -> Vec<(usize, &str)> {
    let bytes = code.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = if is_word(bytes[at]) {
            bytes[at..]
                .iter()
                .take_while(|byte| is_word(**byte))
                .count()
        } else if bytes[at..].starts_with(b"::") {
            2
        } else {
            1
        };
        if !bytes[at].is_ascii_whitespace() {
            tokens.push((at, &code[at..at + length]));
        }
        at += length;
    }
    tokens
}

fn is_name(token: &str) -> bool {
    token
        .as_bytes()
        .first()
        .is_some_and(|first| is_word(*first) && !first.is_ascii_digit())
}

struct Reader<'a> {
    tokens: &'a [(usize, &'a str)],
    at: usize,
    found: Vec<(usize, Vec<String>)>,
}

impl<'a> Reader<'a> {
    fn peek(&self, ahead: usize) -> Option<(usize, &'a str)> {
        self.tokens.get(self.at + ahead).copied()
    }

    fn is(&self, ahead: usize, sign: &str) -> bool {
        self.peek(ahead).is_some_and(|(_, token)| token == sign)
    }

    fn plain_path(&mut self) {
        let Some((offset, first)) = self.peek(0) else {
            return;
        };
        let mut segments = vec![first.to_owned()];
        self.at += 1;
        while self.is(0, "::") && self.peek(1).is_some_and(|(_, token)| is_name(token)) {
            segments.extend(self.peek(1).map(|(_, name)| name.to_owned()));
            self.at += 2;
        }
        self.found.push((offset, segments));
    }

    /// `a::{b, c::*} as d`: adds prefix::a::b and prefix::a::c::*.
    fn use_tree(&mut self, prefix: &[String]) {
        let mut segments = prefix.to_vec();
        let mut offset = None;
        while let Some((at, token)) = self.peek(0) {
            match token {
                "::" => {}
                "{" => {
                    self.at += 1;
                    while !self.is(0, "}") && self.peek(0).is_some() {
                        let before = self.at;
                        self.use_tree(&segments);
                        // Each turn takes something, whatever the file holds.
                        if self.is(0, ",") || self.at == before {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "as" => {
                    self.at += 2;
                    break;
                }
                name if name == "*" || is_name(name) => {
                    offset = Some(at);
                    segments.push(name.to_owned());
                }
                _ => break,
            }
            self.at += 1;
        }
        self.found.extend(offset.map(|offset| (offset, segments)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        paths(&Source::new(text))
            .iter()
            .map(|path| path.segments.join("::"))
            .collect()
    }

    #[test]
    fn use_trees_are_written_out() {
        assert_eq!(
            found("pub use crate::{a::{self, B}, c::*, d as e};\nf();"),
            [
                "pub",
                "crate::a::self",
                "crate::a::B",
                "crate::c::*",
                "crate::d",
                "f"
            ]
        );
    }

    #[test]
    fn paths_in_code_end_where_names_end() {
        assert_eq!(
            found("x(crate::a::B::<u8>::new(), ::std::fs::read)"),
            ["x", "crate::a::B", "u8", "new", "std::fs::read"]
        );
    }

    #[test]
    fn lines_are_those_of_the_name() {
        let source = Source::new("use crate::{\n    a,\n    b,\n};");
        let lines: Vec<usize> = paths(&source).iter().map(|path| path.line).collect();
        assert_eq!(lines, [2, 3]);
    }

    #[test]
    fn unfinished_trees_end_with_the_file() {
        for text in [
            "use",
            "use a::{",
            "use a::{b",
            "use {,;",
            "use a as",
            "use {{{",
        ] {
            found(text);
        }
    }
}
