//! The configuration file: TOML, one key a setting.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

use super::error::{Problem, nearest_setting};
use super::pairs::Pairs;
use super::rules::{self, Fault};
use super::table::{Kind, Setting};
use super::value::Value;

/// Read if it is there and no other is named.
pub const DEFAULT: &str = "/etc/strata/strata.toml";

/// More is no configuration.
const LARGEST: u64 = 1 << 20;

/// A setting that the file has a value for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub setting: &'static Setting,
    pub value: Value,
    /// File and line.
    pub place: String,
}

/// A file's text, and whether others than its owner and group may read it.
pub struct Text {
    pub text: String,
    pub open_to_all: bool,
}

pub fn read(path: &Path) -> io::Result<Text> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::Error::other(format!(
            "it has more than {LARGEST} bytes"
        )));
    }
    Ok(Text {
        text,
        open_to_all: metadata.mode() & 0o004 != 0,
    })
}

/// Takes a file's text apart. Paths in it are relative to its folder.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Entry>, Vec<Problem>> {
    let place_of = |at: usize| {
        let before = text.as_bytes().get(..at).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        format!("{}:{line}", path.display())
    };
    let table = match DeTable::parse(text) {
        Ok(table) => table.into_inner(),
        Err(error) => {
            // Its `Display` quotes the line, in which there may be a secret.
            let place = place_of(error.span().map_or(0, |span| span.start));
            let why = error.message();
            return Err(vec![Problem::File(format!("{place}: {why}."))]);
        }
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut entries = Vec::new();
    let mut problems = Vec::new();
    for (key, value) in in_order(&table) {
        let place = place_of(key.span().start);
        let Some(setting) = Setting::of(key.get_ref()) else {
            problems.push(unknown(key.get_ref(), value.get_ref(), place));
            continue;
        };
        match take(setting.kind, value.get_ref(), folder) {
            Ok(value) => entries.push(Entry {
                setting,
                value,
                place,
            }),
            Err(faults) => problems.extend(faults.into_iter().map(|fault| Problem::Value {
                origin: format!(
                    "{}: {}",
                    fault.at.map_or_else(|| place.clone(), place_of),
                    setting.name
                ),
                why: fault.why,
            })),
        }
    }
    if problems.is_empty() {
        Ok(entries)
    } else {
        Err(problems)
    }
}

fn unknown(key: &str, value: &DeValue<'_>, place: String) -> Problem {
    // Who writes `[otlp]` and `endpoint` means what is one key here.
    let inner = value.as_table().and_then(|table| table.keys().next());
    let key = match inner {
        Some(inner) => format!("{key}.{}", inner.get_ref()),
        None => key.to_owned(),
    };
    Problem::Unknown {
        nearest: nearest_setting(&key).map(|name| format!("`{name}`")),
        what: format!("`{key}`"),
        place: Some(place),
    }
}

fn take(kind: Kind, value: &DeValue<'_>, folder: &Path) -> Result<Value, Vec<Fault>> {
    match kind {
        Kind::Rules(form) => rules::read(form, value).map(Value::rules),
        kind => flat(kind, value, folder).map_err(|why| vec![Fault { at: None, why }]),
    }
}

/// The error is the end of a sentence about the setting.
fn flat(kind: Kind, value: &DeValue<'_>, folder: &Path) -> Result<Value, String> {
    match (kind, value) {
        (Kind::Number { .. }, DeValue::Integer(number)) => {
            match u64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::parse(kind, &number.to_string()),
                Err(_) => Value::parse(kind, number.as_str()),
            }
        }
        (Kind::Switch, DeValue::Boolean(switch)) => Ok(Value::Switch(*switch)),
        (Kind::Pairs, DeValue::Table(table)) => Ok(Value::pairs(strings(table)?)),
        (Kind::List, DeValue::Array(names)) => list(names),
        (Kind::Number { .. } | Kind::Switch | Kind::Pairs, other) => {
            Err(mismatch(wanted(kind), other))
        }
        (_, DeValue::String(text)) => Ok(match Value::parse(kind, text)? {
            Value::Path(path) => Value::Path(folder.join(path)),
            value => value,
        }),
        (_, other) => Err(mismatch(wanted(kind), other)),
    }
}

/// The file's order; a table has another.
pub fn in_order<'a, 'i>(
    table: &'a DeTable<'i>,
) -> Vec<(&'a Spanned<DeString<'i>>, &'a Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// A table of strings.
fn strings(table: &DeTable<'_>) -> Result<Pairs, String> {
    let mut pairs = Pairs::default();
    for (name, value) in in_order(table) {
        let Some(value) = value.get_ref().as_str() else {
            return Err(format!(
                "has a value that is no string, under {:?}; write it in quotes",
                name.get_ref()
            ));
        };
        pairs.add(name.get_ref().to_string(), value.to_owned())?;
    }
    Ok(pairs)
}

fn list(names: &DeArray<'_>) -> Result<Value, String> {
    let names = names.iter().map(|name| match name.get_ref() {
        DeValue::String(name) => Ok(name.to_string()),
        other => Err(mismatch("a list of strings: [\"a\", \"b\"]", other)),
    });
    Ok(Value::list(names.collect::<Result<_, _>>()?))
}

fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Number { .. } => "a number without quotes",
        Kind::Switch => "true or false, without quotes",
        Kind::Pairs => "a table of strings: { name = \"value\" }",
        Kind::List => "a list of strings: [\"a\", \"b\"]",
        Kind::Duration { .. } => "a duration with its unit, in quotes: \"10s\"",
        Kind::Size { .. } => "a size with its unit, in quotes: \"512MiB\"",
        _ => "a string, in quotes",
    }
}

/// The end of a sentence about a value that is of another kind.
pub fn mismatch(wanted: &str, value: &DeValue<'_>) -> String {
    let kind = match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    format!("is {kind}; it has to be {wanted}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<Entry>, Vec<String>> {
        parse(Path::new("/etc/s.toml"), text)
            .map_err(|problems| problems.iter().map(Problem::to_string).collect())
    }

    #[track_caller]
    fn told(text: &str, parts: &[&str]) {
        let problems = parsed(text).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        for part in parts {
            assert!(problems[0].contains(part), "{problems:?}");
        }
        assert!(!problems[0].contains("hunter2"), "{problems:?}");
    }

    #[test]
    fn values_of_each_kind_are_read() {
        let text = "\
            # comment\n\
            rate = 0x31\n\
            store-size = \"1GiB\"\n\
            store-age = '7d'\n\
            inlines = false\n\
            store = \"data\"\n\
            listen = \"off\"\n\
            otlp-certificate = \"/ca.pem\"\n\
            \n\
            [otlp-headers]\n\
            b = \"1%2C,=\"\n\
            a = \"2\"\n";
        let mut entries = parsed(text).unwrap();
        entries.sort_by_key(|entry| entry.place.len());
        let found = |name: &str| {
            let entry = entries.iter().find(|entry| entry.setting.name == name);
            let entry = entry.unwrap();
            (entry.value.to_string(), entry.place.clone())
        };
        let pair = |value: &str, place: &str| (value.to_owned(), format!("/etc/s.toml:{place}"));
        assert_eq!(found("rate"), pair("49", "2"));
        assert_eq!(found("store-size"), pair("1GiB", "3"));
        assert_eq!(found("store-age"), pair("7d", "4"));
        assert_eq!(found("inlines"), pair("false", "5"));
        assert_eq!(found("store"), pair("/etc/data", "6"));
        assert_eq!(found("listen"), pair("", "7"));
        assert_eq!(found("otlp-certificate"), pair("/ca.pem", "8"));
        assert_eq!(found("otlp-headers"), pair("b, a", "10"));
        let headers = Setting::of("otlp-headers").unwrap();
        let headers = entries.iter().find(|entry| entry.setting == headers);
        let Value::Pairs(pairs) = &headers.unwrap().value else {
            panic!("no headers");
        };
        assert_eq!(pairs.0[0], ("b".to_owned(), "1%2C,=".to_owned()));
    }

    #[test]
    fn unknown_keys_name_their_line_and_the_nearest() {
        told(
            "rate = 1\n\nstoresize = 1",
            &["/etc/s.toml:3: ", "`storesize`", "`store-size`"],
        );
        told(
            "[otlp]\nendpoint = 'http://a:hunter2@b'",
            &[":1: ", "`otlp.endpoint`", "`otlp-endpoint`"],
        );
        told("quux = 1", &["`quux`", "--help"]);
    }

    #[test]
    fn wrong_values_name_their_line_and_what_is_right() {
        told(
            "rate = '19'",
            &["s.toml:1: rate is a string", "number without quotes"],
        );
        told("rate = 0", &["from 1 to 100000"]);
        told("rate = -1", &["from 1 to 100000"]);
        told("rate = 99999999999999999999", &["from 1 to 100000"]);
        told("interval = 10", &["is a number", "\"10s\""]);
        told("inlines = 'yes'", &["true or false"]);
        told(
            "otlp-headers = 'authorization=hunter2'",
            &["a table of strings"],
        );
        told(
            "otlp-headers = { a = ['hunter2'] }",
            &["no string, under \"a\""],
        );
        told("push-parca = 'ftp://hunter2'", &["scheme"]);
    }

    #[test]
    fn what_is_no_toml_is_told_without_quoting_it() {
        told("a = 1\notlp-headers = { a = 'hunter2'", &["/etc/s.toml:2"]);
        told("otlp-headers = hunter2", &["/etc/s.toml:1"]);
        told("rate = 1\nrate = 2", &["/etc/s.toml:2", "duplicate"]);
        told("hunter2", &["/etc/s.toml:1"]);
    }

    #[test]
    fn a_file_that_everybody_may_read_is_known_and_a_large_one_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.toml");
        std::fs::write(&path, "rate = 1").unwrap();
        let may = |mode: u32| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, permissions).unwrap();
            read(&path).unwrap().open_to_all
        };
        assert!(may(0o644));
        assert!(!may(0o640));
        assert!(read(Path::new("/dev/zero")).is_err());
        assert!(read(folder.path()).is_err());
    }
}
