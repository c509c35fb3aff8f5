//! Rust as text: code, literals and comments told apart, tests left out.

use std::ops::Range;

pub struct Source {
    /// The code alone. Comments, what is inside of literals, and tests are blanks, so offsets and lines stay.
    pub code: String,
    /// The same with literals.
    pub with_literals: String,
    /// String literals with the offsets of their contents.
    literals: Vec<Range<usize>>,
}

impl Source {
    pub fn new(text: &str) -> Self {
        let mut code = text.as_bytes().to_vec();
        let mut with_literals = code.clone();
        let mut literals = Vec::new();
        for (piece, range) in pieces(text.as_bytes()) {
            blank(&mut code[range.clone()]);
            match piece {
                Piece::Comment => blank(&mut with_literals[range]),
                Piece::Text => literals.push(range),
                Piece::Char => {}
            }
        }
        for range in test_items(&code) {
            blank(&mut code[range.clone()]);
            blank(&mut with_literals[range.clone()]);
            literals.retain(|literal| !range.contains(&literal.start));
        }
        // Blanks replaced whole comments, literals and items, none of which ends inside of a character.
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            code: text(code),
            with_literals: text(with_literals),
            literals,
        }
    }

    pub fn literals(&self) -> impl Iterator<Item = (usize, &str)> {
        self.literals
            .iter()
            .map(|range| (self.line(range.start), &self.with_literals[range.clone()]))
    }

    /// The number, from 1, of the line that holds this offset.
    pub fn line(&self, offset: usize) -> usize {
        1 + self.code.as_bytes()[..offset]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
    }
}

fn blank(bytes: &mut [u8]) {
    for byte in bytes {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

enum Piece {
    Comment,
    /// What is between the quotes of a string.
    Text,
    /// A character with its quotes.
    Char,
}

fn pieces(text: &[u8]) -> Vec<(Piece, Range<usize>)> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with(b"//") {
            let length = rest
                .iter()
                .position(|byte| *byte == b'\n')
                .unwrap_or(rest.len());
            pieces.push((Piece::Comment, at..at + length));
            at += length;
        } else if rest.starts_with(b"/*") {
            let length = block_comment(rest);
            pieces.push((Piece::Comment, at..at + length));
            at += length;
        } else if rest[0] == b'"' {
            let length = quoted(&rest[1..], b'"');
            pieces.push((Piece::Text, at + 1..at + 1 + length));
            at = (at + length + 2).min(text.len());
        } else if let Some((open, length, close)) = raw_string(text, at) {
            pieces.push((Piece::Text, at + open..at + open + length));
            at = (at + open + length + close).min(text.len());
        } else if let Some(length) = character(rest) {
            pieces.push((Piece::Char, at..at + length));
            at += length;
        } else {
            at += 1;
        }
    }
    pieces
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// How long the text is before its closing quote.
fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 0;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    at.min(rest.len())
}

/// r"…", r#"…"#, br"…": how long the opening, the text and the closing are.
fn raw_string(text: &[u8], at: usize) -> Option<(usize, usize, usize)> {
    let starts_word = at == 0
        || !is_word(text[at - 1])
        || (text[at - 1] == b'b' && (at == 1 || !is_word(text[at - 2])));
    if text[at] != b'r' || !starts_word {
        return None;
    }
    let hashes = text[at + 1..]
        .iter()
        .take_while(|byte| **byte == b'#')
        .count();
    let open = hashes + 2;
    if text.get(at + open - 1) != Some(&b'"') {
        return None;
    }
    let closing: Vec<u8> = std::iter::once(b'"')
        .chain(std::iter::repeat_n(b'#', hashes))
        .collect();
    let body = &text[at + open..];
    let length = body
        .windows(closing.len())
        .position(|window| window == closing)
        .unwrap_or(body.len());
    Some((open, length, closing.len()))
}

/// A character literal, told from a lifetime by its second quote.
fn character(rest: &[u8]) -> Option<usize> {
    if rest[0] != b'\'' {
        return None;
    }
    if rest.get(1) == Some(&b'\\') {
        return Some((quoted(&rest[1..], b'\'') + 2).min(rest.len()));
    }
    // One character of up to four bytes.
    (2..=5)
        .find(|end| rest.get(*end) == Some(&b'\''))
        .filter(|end| *end == 2 || !rest[1].is_ascii())
        .map(|end| end + 1)
}

pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// Items that are there for tests alone, with the attribute that says so.
fn test_items(code: &[u8]) -> Vec<Range<usize>> {
    let mut items = Vec::new();
    let mut at = 0;
    while let Some(found) = code[at..].windows(2).position(|window| window == b"#[") {
        let start = at + found;
        let end = after_bracket(code, start + 1);
        at = end;
        if is_test_attribute(&code[start + 2..end]) {
            at = item_end(code, end);
            items.push(start..at);
        }
    }
    items
}

fn is_test_attribute(attribute: &[u8]) -> bool {
    let text = String::from_utf8_lossy(attribute);
    let text: String = text
        .chars()
        .filter(|character| !character.is_whitespace())
        .collect();
    text == "test]"
        || ["cfg(test)", "cfg(all(test"]
            .iter()
            .any(|form| text.starts_with(form))
}

/// The offset behind the bracket that closes the one at `open`.
pub fn after_bracket(code: &[u8], open: usize) -> usize {
    let mut depth = 0usize;
    for (offset, byte) in code[open..].iter().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return open + offset + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// The offset behind the item that starts at `at`: behind its semicolon or its body.
fn item_end(code: &[u8], mut at: usize) -> usize {
    while at < code.len() {
        match code[at] {
            b';' => return at + 1,
            b'{' => return after_bracket(code, at),
            b'(' | b'[' => at = after_bracket(code, at),
            _ => at += 1,
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_no_code() {
        let source = Source::new(
            "a /* b /* c */ d */ e // f\n\"g \\\" h\" i r#\"j \" k\"# l 'm' '\\'' 'n: &'o p b\"q\"",
        );
        let words: Vec<&str> = source
            .code
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        assert_eq!(words, ["a", "e", "i", "r", "l", "n", "o", "p", "b"]);
        let literals: Vec<(usize, &str)> = source.literals().collect();
        assert_eq!(literals, [(2, "g \\\" h"), (2, "j \" k"), (2, "q")]);
    }

    #[test]
    fn tests_are_left_out() {
        let text = "before\n#[cfg(test)]\nmod tests { fn f() { \"x\" } }\nafter\n#[test]\nfn g(_: [u8; 2]) {}\nend";
        let source = Source::new(text);
        assert_eq!(
            source.code.split_whitespace().collect::<Vec<_>>(),
            ["before", "after", "end"]
        );
        assert_eq!(source.literals().count(), 0);
        assert_eq!(source.line(source.code.find("end").unwrap()), 7);
    }

    #[test]
    fn what_is_not_for_tests_stays() {
        let source = Source::new("#[cfg(not(test))] fn a() {} #[cfg(test)] mod tests; fn b() {}");
        assert!(
            source.code.contains("fn a")
                && source.code.contains("fn b")
                && !source.code.contains("tests")
        );
    }

    #[test]
    fn unfinished_text_ends_with_the_file() {
        for text in [
            "\"abc",
            "r#\"abc",
            "/* abc",
            "'\\",
            "#[cfg(test)] mod x {",
            "#[",
            "'",
            "\"\\",
        ] {
            Source::new(text);
        }
    }
}
