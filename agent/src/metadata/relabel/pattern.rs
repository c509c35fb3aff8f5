//! Regular expressions as Prometheus takes them: RE2's, and over the whole text.
//!
//! The engine is the `regex` crate, whose language differs in few places: its `\d`, `\w`, `\s` and
//! `\b` know all of Unicode, in brackets `[`, `&&`, `--` and `~~` mean something, and `\<` is the
//! start of a word. What RE2 says is therefore put into this crate's words first.

use regex::{Captures, Regex, RegexBuilder};

pub const DEFAULT: &str = "(.*)";

/// Memory that a compiled expression may take.
const SIZE: usize = 1 << 20;
/// How deep brackets may be in each other.
const DEPTH: u32 = 64;

#[derive(Clone, Debug)]
pub struct Pattern {
    /// None: the default, which fits everything.
    regex: Option<Regex>,
}

/// What each group of a pattern fits.
pub enum Groups<'a> {
    /// There is one, and it is the whole.
    Whole(&'a str),
    Found(Captures<'a>),
}

impl Pattern {
    /// The error is a sentence about the regex, without its end.
    pub fn new(text: &str) -> Result<Self, String> {
        if text == DEFAULT {
            return Ok(Self { regex: None });
        }
        let own = translate(text).map_err(|why| wrong(text, &why))?;
        let build = |text_of: &str| {
            let built = RegexBuilder::new(text_of)
                .size_limit(SIZE)
                .nest_limit(DEPTH)
                .build();
            built.map_err(|error| wrong(text, &reason(&error)))
        };
        // By itself first: `a)|(b` would pass inside of a group.
        build(&own)?;
        let regex = build(&format!("^(?s:{own})$"))?;
        Ok(Self { regex: Some(regex) })
    }

    pub fn fits(&self, text: &str) -> bool {
        let regex = self.regex.as_ref();
        regex.is_none_or(|regex| regex.is_match(text))
    }

    pub fn groups<'a>(&self, text: &'a str) -> Option<Groups<'a>> {
        match &self.regex {
            Some(regex) => Some(Groups::Found(regex.captures(text)?)),
            None => Some(Groups::Whole(text)),
        }
    }
}

impl Groups<'_> {
    pub fn number(&self, number: usize) -> &str {
        match self {
            Self::Whole(text) if number <= 1 => text,
            Self::Whole(_) => "",
            Self::Found(captures) => captures.get(number).map_or("", |found| found.as_str()),
        }
    }

    pub fn name(&self, name: &str) -> &str {
        match self {
            Self::Whole(_) => "",
            Self::Found(captures) => captures.name(name).map_or("", |found| found.as_str()),
        }
    }
}

fn wrong(text: &str, why: &str) -> String {
    let mut shown: String = text.chars().take(60).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("regex {shown:?} can't be read: {why}")
}

fn reason(error: &regex::Error) -> String {
    match error {
        // Drawn over several lines; the last one says what it is.
        regex::Error::Syntax(drawn) => {
            let last = drawn.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        }
        regex::Error::CompiledTooBig(_) => {
            format!("it would take more than {} KiB of memory", SIZE >> 10)
        }
        other => other.to_string(),
    }
}

/// What a letter behind a backslash stands for in RE2, if it is something else here.
fn class_of(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        's' => r"[\t\n\x0C\r ]",
        'S' => r"[^\t\n\x0C\r ]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        _ => return None,
    })
}

/// RE2's language in the words of this crate. What is no expression may stay none.
fn translate(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let behind = &rest[letter.len_utf8()..];
        rest = match letter {
            '\\' => escape(behind, &mut out)?,
            '[' => bracket(behind, &mut out)?,
            '(' => {
                flags(behind)?;
                out.push('(');
                behind
            }
            // One that counts nothing stands for itself.
            '{' if !counts(behind) => {
                out.push_str(r"\{");
                behind
            }
            other => {
                out.push(other);
                behind
            }
        };
    }
    Ok(out)
}

/// What is behind a backslash, outside of brackets; gives what is behind that.
fn escape<'a>(rest: &'a str, out: &mut String) -> Result<&'a str, String> {
    let letter = rest.chars().next().ok_or("it ends in a backslash")?;
    let behind = &rest[letter.len_utf8()..];
    match letter {
        'Q' => {
            let (quoted, behind) = behind.split_once(r"\E").unwrap_or((behind, ""));
            out.push_str(&regex::escape(quoted));
            return Ok(behind);
        }
        'b' => out.push_str(r"(?-u:\b)"),
        'B' => out.push_str(r"(?-u:\B)"),
        '<' | '>' => out.push(letter),
        'p' | 'P' | 'x' => {
            out.extend(['\\', letter]);
            return Ok(operand(letter, behind, out));
        }
        letter => match class_of(letter) {
            Some(class) => out.push_str(class),
            None => out.extend(['\\', letter]),
        },
    }
    Ok(behind)
}

/// What is in brackets, and the one that closes them.
fn bracket<'a>(rest: &'a str, out: &mut String) -> Result<&'a str, String> {
    out.push('[');
    let mut rest = match rest.strip_prefix('^') {
        Some(rest) => {
            out.push('^');
            rest
        }
        None => rest,
    };
    let mut first = true;
    loop {
        if let Some(behind) = rest.strip_prefix(']')
            && !first
        {
            out.push(']');
            return Ok(behind);
        }
        first = false;
        // [:alpha:]
        if rest.starts_with("[:")
            && let Some(end) = rest.find(":]")
        {
            let (class, behind) = rest.split_at(end + 2);
            out.push_str(class);
            rest = behind;
            continue;
        }
        if let Some(letter) = rest.strip_prefix('\\').and_then(|it| it.chars().next()) {
            let behind = &rest[1 + letter.len_utf8()..];
            if let Some(class) = class_of(letter) {
                out.push_str(class);
                rest = behind;
                continue;
            }
            if matches!(letter, 'p' | 'P') {
                out.extend(['\\', letter]);
                rest = operand(letter, behind, out);
                continue;
            }
        }
        rest = member(rest, out)?;
        // A range, unless the hyphen is the last one.
        if let Some(behind) = rest.strip_prefix('-')
            && !behind.starts_with(']')
        {
            out.push('-');
            rest = member(behind, out)?;
        }
    }
}

/// What belongs to `\p` and `\x`: `L` or `{Greek}`, `7F` or `{10FFFF}`.
fn operand<'a>(letter: char, rest: &'a str, out: &mut String) -> &'a str {
    let most = if letter == 'x' { 2 } else { 1 };
    let end = match rest.strip_prefix('{') {
        Some(_) => rest.find('}').map_or(rest.len(), |end| end + 1),
        None => rest.chars().take(most).map(char::len_utf8).sum(),
    };
    let (operand, behind) = rest.split_at(end);
    out.push_str(operand);
    behind
}

/// A single character in brackets.
fn member<'a>(rest: &'a str, out: &mut String) -> Result<&'a str, String> {
    let mut letters = rest.chars();
    let letter = letters.next().ok_or("its `[` is not closed")?;
    if letter != '\\' {
        literal(letter, out);
        return Ok(letters.as_str());
    }
    let letter = letters.next().ok_or("it ends in a backslash")?;
    if class_of(letter).is_some() {
        return Err(format!(r"`\{letter}` can't be the end of a range"));
    }
    if letter.is_ascii_punctuation() {
        literal(letter, out);
        return Ok(letters.as_str());
    }
    out.extend(['\\', letter]);
    Ok(match letter {
        'x' => operand(letter, letters.as_str(), out),
        _ => letters.as_str(),
    })
}

/// In brackets this crate has a meaning for more characters.
fn literal(letter: char, out: &mut String) {
    if letter.is_ascii_punctuation() && !matches!(letter, '<' | '>') {
        out.push('\\');
    }
    out.push(letter);
}

/// Refuses flags that RE2 does not have.
fn flags(rest: &str) -> Result<(), String> {
    let Some(flags) = rest.strip_prefix('?') else {
        return Ok(());
    };
    let end = flags.find(|c: char| !c.is_ascii_alphabetic() && c != '-');
    let (flags, behind) = flags.split_at(end.unwrap_or(flags.len()));
    let is_list = behind.starts_with([':', ')']);
    match flags.chars().find(|flag| !"imsU-".contains(*flag)) {
        Some(flag) if is_list => Err(format!("there is no flag `{flag}`")),
        _ => Ok(()),
    }
}

/// Whether what is behind a `{` makes it a number of repetitions.
fn counts(rest: &str) -> bool {
    let Some((inner, _)) = rest.split_once('}') else {
        return false;
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match inner.split_once(',') {
        Some((least, most)) => is_number(least) && (most.is_empty() || is_number(most)),
        None => is_number(inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn fits(regex: &str, text: &str) -> bool {
        let pattern = Pattern::new(regex).unwrap_or_else(|why| panic!("{why}"));
        let fits = pattern.fits(text);
        assert_eq!(fits, pattern.groups(text).is_some());
        fits
    }

    #[test]
    fn all_of_the_text_is_meant() {
        assert!(fits("kube-.*", "kube-system"));
        assert!(!fits("kube", "kube-system"));
        assert!(!fits("system", "kube-system"));
        assert!(fits("a|b", "b") && !fits("a|b", "ab"));
        assert!(fits("", "") && !fits("", "a"));
        assert!(fits("(.*)", "") && fits("(.*)", "a\nb") && fits(".*", "a\nb"));
        assert!(!fits("a", "a\n"));
    }

    /// By the syntax page of RE2.
    #[test]
    fn letters_mean_what_they_mean_in_re2() {
        for (regex, yes, no) in [
            (r"\d", "7", "٧"),
            (r"[\d.]+", "1.2", "٧"),
            (r"\w+", "a_1", "é"),
            (r"\s", "\t", "\u{a0}"),
            (r"\S", "\u{b}", " "),
            (r"[^\W]", "a", "-"),
            (r".*\bb", "é b", "ab"),
            (r"\Qa.b\E+", "a.b", "axb"),
            (r"\Qa.b", "a.b", "axb"),
            (r"\<a\>", "<a>", "a"),
            (r"a{,2}", "a{,2}", "aa"),
            (r"a{2}", "aa", "a{2}"),
            (r"{a}", "{a}", "a"),
            (r"(?i)ABC", "aBc", "abd"),
            (r"(?P<x>a)", "a", "b"),
            (r"(?<x>a)", "a", "b"),
            (r"\x41\x{4A}", "AJ", "ab"),
        ] {
            assert!(fits(regex, yes), "{regex} {yes}");
            assert!(!fits(regex, no), "{regex} {no}");
        }
    }

    #[test]
    fn brackets_mean_what_they_mean_in_re2() {
        for (regex, yes, no) in [
            ("[[]", "[", "]"),
            ("[a[b]", "[", "c"),
            ("[]a]", "]", "b"),
            ("[^]a]", "b", "]"),
            ("[a&&b]", "&", "c"),
            ("[a~~b]", "~", "c"),
            ("[+--]", ",", "a"),
            ("[a-]", "-", "b"),
            ("[-a]", "-", "b"),
            ("[a-c-e]", "e", "d"),
            ("[[:alpha:]]", "x", "é"),
            (r"[\]x]", "]", r"\"),
            (r"[\x41-\x{43}]", "B", "x"),
            (r"[\<]", "<", r"\"),
        ] {
            assert!(fits(regex, yes), "{regex} {yes}");
            assert!(!fits(regex, no), "{regex} {no}");
        }
    }

    #[test]
    fn what_can_t_be_read_is_told_on_one_line() {
        for (regex, part) in [
            ("(", "unclosed group"),
            ("a)|(b", "unopened group"),
            ("[a", "not closed"),
            ("[a-", "not closed"),
            ("*", "missing expression"),
            ("a\\", "backslash"),
            ("(?x: a)", "flag `x`"),
            (r"(a)\1", "backreferences"),
            ("(?=a)", "look-around"),
            (r"[a-\d]", "range"),
            ("[b-a]", "range"),
            ("((a{1000}){1000}){1000}", "KiB"),
        ] {
            let why = Pattern::new(regex).unwrap_err();
            assert!(why.contains(part), "{regex}: {why}");
            assert!(why.contains(&format!("{regex:?}")), "{why}");
            assert!(!why.contains('\n'), "{why}");
        }
        let deep = "(".repeat(9999) + &")".repeat(9999);
        assert!(Pattern::new(&deep).unwrap_err().len() < 300);
    }
}
