//! The parts of a label selector.

use std::fmt;

use super::selector::shown;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// A name, a value, `in` or `notin`: which one is known by its place.
    Word(&'a str),
    Comma,
    /// `=` or `==`.
    Equals,
    /// `!=`
    NotEquals,
    /// `!`
    Not,
    Open,
    Close,
    /// `<`, `>`, or `=` and `!` in a row that mean nothing.
    Other(&'a str),
    End,
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(text) | Self::Other(text) => f.write_str(&shown(text)),
            Self::Comma => f.write_str("`,`"),
            Self::Equals => f.write_str("`=`"),
            Self::NotEquals => f.write_str("`!=`"),
            Self::Not => f.write_str("`!`"),
            Self::Open => f.write_str("`(`"),
            Self::Close => f.write_str("`)`"),
            Self::End => f.write_str("its end"),
        }
    }
}

pub struct Lexer<'a> {
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    pub fn peek(&self) -> Token<'a> {
        self.first().0
    }

    pub fn take(&mut self) -> Token<'a> {
        let (token, rest) = self.first();
        self.rest = rest;
        token
    }

    /// The next token, and what is behind it.
    fn first(&self) -> (Token<'a>, &'a str) {
        let text = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let Some(first) = text.chars().next() else {
            return (Token::End, text);
        };
        // What is a token whatever stands behind it, comparisons, and words.
        let ends: fn(char) -> bool = match first {
            ',' | '(' | ')' => |_| true,
            '=' | '!' | '<' | '>' => |letter| !matches!(letter, '=' | '!' | '<' | '>'),
            _ => |letter| {
                matches!(
                    letter,
                    ',' | '(' | ')' | '=' | '!' | '<' | '>' | ' ' | '\t' | '\r' | '\n'
                )
            },
        };
        let behind = &text[first.len_utf8()..];
        let length = first.len_utf8() + behind.find(ends).unwrap_or(behind.len());
        let (token, rest) = text.split_at(length);
        let token = match token {
            "," => Token::Comma,
            "(" => Token::Open,
            ")" => Token::Close,
            "=" | "==" => Token::Equals,
            "!=" => Token::NotEquals,
            "!" => Token::Not,
            other if other.starts_with(['=', '!', '<', '>']) => Token::Other(other),
            word => Token::Word(word),
        };
        (token, rest)
    }
}
