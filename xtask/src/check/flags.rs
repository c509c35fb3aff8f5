//! The flags that the agent's command line defines, read from clap's attributes.

use std::collections::HashSet;

use super::source::{Source, after_bracket, is_word};

/// What clap adds by itself.
const BUILT_IN: &[&str] = &["help", "version"];

pub fn built_in() -> HashSet<String> {
    BUILT_IN.iter().map(|flag| (*flag).to_owned()).collect()
}

/// Long flags, with their aliases, in `#[arg(…)]`, `#[clap(…)]` and `#[command(…)]`.
pub fn defined_in(source: &Source) -> Vec<String> {
    let code = source.code.as_bytes();
    let mut flags = Vec::new();
    let mut at = 0;
    while let Some(found) = source.code[at..].find("#[") {
        let start = at + found + 2;
        at = after_bracket(code, start - 1);
        let kind = &source.code[start..at];
        if ["arg", "clap", "command"]
            .iter()
            .any(|name| kind.trim_start().starts_with(name))
        {
            let field = field_name(&source.code[at..]);
            flags.extend(in_attribute(kind, &source.with_literals[start..at], &field));
        }
    }
    flags
}

/// The agent's flags: names of the table of settings, each in `plain("name", …`.
pub fn settings_in(source: &Source) -> Vec<String> {
    let starts = source.code.match_indices("plain(");
    let names = starts.filter_map(|(at, start)| {
        let text = source.with_literals[at + start.len()..].trim_start();
        let (name, _) = text.strip_prefix('"')?.split_once('"')?;
        Some(name.to_owned())
    });
    names.collect()
}

/// `code` and `text` are the same attribute, the first with empty literals.
fn in_attribute(code: &str, text: &str, field: &str) -> Vec<String> {
    let mut flags = Vec::new();
    let bytes = code.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !is_word(bytes[at]) {
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && is_word(bytes[at]) {
            at += 1;
        }
        match &code[start..at] {
            "long" if !code[at..].trim_start().starts_with('=') => {
                flags.push(field.replace('_', "-"))
            }
            "long" | "alias" | "visible_alias" | "aliases" | "visible_aliases" => {
                let end = end_of_value(bytes, at);
                // Every second piece is inside of quotes.
                flags.extend(
                    text[at..end]
                        .split('"')
                        .skip(1)
                        .step_by(2)
                        .map(str::to_owned),
                );
            }
            _ => {}
        }
    }
    flags
}

/// Where `= "x"` or `= ["x", "y"]` ends: at the comma behind it or at the end of the attribute.
fn end_of_value(code: &[u8], mut at: usize) -> usize {
    while at < code.len() {
        match code[at] {
            b',' | b')' => return at,
            b'[' | b'(' => at = after_bracket(code, at),
            _ => at += 1,
        }
    }
    code.len()
}

/// The name of the field behind an attribute, past other attributes and `pub`.
fn field_name(mut code: &str) -> String {
    loop {
        code = code.trim_start();
        if code.starts_with("#[") {
            code = &code[after_bracket(code.as_bytes(), 1)..];
        } else if let Some(rest) = code.strip_prefix("pub") {
            let rest = rest.trim_start();
            code = if rest.starts_with('(') {
                &rest[after_bracket(rest.as_bytes(), 0)..]
            } else {
                rest
            };
        } else {
            let end = code.bytes().take_while(|byte| is_word(*byte)).count();
            return code[..end].trim_start_matches("r#").to_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_flags() {
        let source = Source::new(
            r#"const fn plain(name: &str) {}
            static ALL: &[S] = &[short(plain("rate", "1"), 'r'), plain( "store-size", "plain(x")]"#,
        );
        assert_eq!(settings_in(&source), ["rate", "store-size"]);
    }

    #[test]
    fn flags_are_found_in_every_form() {
        let source = Source::new(
            r#"
            struct Record {
                /// "long" in a comment
                #[arg(short, long, default_value = "long")]
                #[doc(hidden)]
                pub(crate) off_cpu: bool,
                #[arg(long = "rate", short = 'r', visible_alias = "freq", aliases = ["hz", "frequency"])]
                rate: u32,
                #[clap(long)] pub duration: u64,
                #[arg(value_name = "longitude")]
                program: String,
            }"#,
        );
        assert_eq!(
            defined_in(&source),
            ["off-cpu", "rate", "freq", "hz", "frequency", "duration"]
        );
    }
}
