//! What holds and where it came from, as a file that says the same, less what is secret.

use std::path::Path;

use super::pairs::Pairs;
use super::resolve::Held;
use super::table::Kind;
use super::value::Value;

const HEAD: &str = "\
# Settings of `strata agent`, as they hold now. What is first here goes before what follows it:
# flags, STRATA_... variables, OTEL_... variables, the file, defaults.
";

/// A setting a line, as TOML.
pub fn show(held: &[Held], file: Option<&Path>) -> String {
    let mut text = HEAD.to_owned();
    match file {
        Some(file) => text += &format!("# The file is {}.\n", line(&file.display().to_string())),
        None => text += &format!("# There is no file ({}).\n", super::file::DEFAULT),
    }
    let mut heading = "";
    for held in held {
        if held.setting.heading != heading {
            heading = held.setting.heading;
            text += &format!("\n# {heading}\n");
        }
        let (code, note) = assignment(held);
        let origin = line(&held.origin.to_string());
        text += &format!("{code:<40} # {origin}{note}\n");
    }
    text
}

/// `key = value`, and what is to be said of it besides its origin.
fn assignment(held: &Held) -> (String, String) {
    let setting = held.setting;
    let (name, value) = (setting.name, &held.value);
    let note = match value {
        Value::None if setting.kind == Kind::Listen => "",
        Value::None => {
            let example = Value::parse(setting.kind, setting.example).unwrap_or(Value::None);
            let code = format!("# {name} = {}", literal(&example));
            return (code, ": not set".to_owned());
        }
        Value::Pairs(pairs) if setting.secret => {
            let names = line(&pairs.to_string());
            return (
                format!("# {name} = {{}}"),
                format!(": {names}; values are not shown"),
            );
        }
        Value::Url(url) if url.has_password() => "; its user and password are not shown",
        _ => "",
    };
    (format!("{name} = {}", literal(value)), note.to_owned())
}

/// As TOML.
fn literal(value: &Value) -> String {
    match value {
        Value::None => quoted("off"),
        Value::Pairs(texts) => pairs(texts),
        Value::List(names) => {
            let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
            format!("[{}]", names.join(", "))
        }
        Value::Number(_) | Value::Switch(_) | Value::Rules(_) => value.to_string(),
        value => quoted(&value.to_string()),
    }
}

/// A table of strings.
fn pairs(pairs: &Pairs) -> String {
    let entries = pairs.0.iter();
    let entries: Vec<String> = entries
        .map(|(name, value)| format!("{} = {}", quoted(name), quoted(value)))
        .collect();
    format!("{{ {} }}", entries.join(", "))
}

/// A TOML string.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted += &format!("\\u{:04X}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Stays in its comment, whatever is in it.
fn line(text: &str) -> String {
    text.replace(|c: char| c.is_control(), "?")
}

#[cfg(test)]
mod tests {
    use super::super::resolve::resolve;
    use super::super::{file, table};
    use super::*;

    fn environment() -> Vec<(String, String)> {
        table::SETTINGS
            .iter()
            .map(|setting| (setting.variable(), setting.example.to_owned()))
            .collect()
    }

    /// What is shown, taken as a file, holds the same again.
    #[test]
    fn what_is_shown_says_the_same() {
        for environment in [Vec::new(), environment()] {
            let (held, problems) = resolve(&[], &environment, &[]);
            assert_eq!(problems, []);
            let shown = show(&held, None);
            let entries = file::parse(Path::new("/x.toml"), &shown).unwrap();
            let (again, _) = resolve(&[], &[], &entries);
            for (held, again) in held.iter().zip(&again) {
                if !held.setting.secret {
                    assert_eq!(held.value, again.value, "{shown}");
                }
            }
        }
    }

    #[test]
    fn origins_are_told_and_secrets_are_not() {
        let environment = [
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "authorization=Bearer%20hunter2,b=hunter2",
            ),
            ("STRATA_OTLP_ENDPOINT", "https://me:hunter2@there:4317"),
            ("STRATA_RESOURCE_ATTRIBUTES", "a=%22%0a%5c"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let (held, problems) = resolve(&[], &environment, &[]);
        assert_eq!(problems, []);
        let shown = show(&held, Some(Path::new("/etc/x\n.toml")));
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(!shown.contains("aHVudGVyMg"), "{shown}");
        assert!(!format!("{held:?}").contains("hunter2"));
        for part in [
            "# otlp-headers",
            "# OTEL_EXPORTER_OTLP_HEADERS: authorization, b; values are not shown\n",
            "otlp-endpoint = \"https://there:4317\"",
            "# STRATA_OTLP_ENDPOINT; its user and password are not shown\n",
            "# default\n",
            "{ \"a\" = \"\\\"\\u000A\\\\\" }",
        ] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        assert!(file::parse(Path::new("x"), &shown).is_ok());
    }
}
