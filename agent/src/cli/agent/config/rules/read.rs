//! How rules are read from TOML, and what is said of those that can't be meant.

use toml::de::{DeTable, DeValue};

use super::super::error::nearest;
use super::super::file::{in_order, mismatch};
use super::super::table::Setting;
use super::{Field, FieldKind, FieldValue, Form, Rule, Rules, Wrong};

/// More would be a mistake, or somebody else's.
const MOST: usize = 128;
/// Texts in a list.
const TEXTS: usize = 64;
/// Bytes of a text.
const LONGEST: usize = 4 << 10;

/// What is wrong: the end of a sentence about the setting, and the byte of the text where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub at: Option<usize>,
    pub why: String,
}

/// Reads rules from a value of the file. All that is wrong is told.
pub fn read(form: &Form, value: &DeValue<'_>) -> Result<Rules, Vec<Fault>> {
    let whole = |why: String| vec![Fault { at: None, why }];
    let wanted = format!(
        "a list of tables: [[{0}]] above the keys of each rule, or {0} = [{{ … }}, …]",
        form.name
    );
    let DeValue::Array(list) = value else {
        return Err(whole(mismatch(&wanted, value)));
    };
    if list.len() > MOST {
        let have = list.len();
        return Err(whole(format!(
            "has {have} rules; at most {MOST} are taken: put several into one regex or list"
        )));
    }
    let mut rules = Vec::new();
    let mut faults = Vec::new();
    for (number, value) in (1..).zip(list.iter()) {
        let mut fault = |at: usize, why: &str| {
            faults.push(Fault {
                at: Some(at),
                why: format!("has a fault in rule {number}: {why}"),
            });
        };
        match value.get_ref() {
            DeValue::Table(table) => match rule(form, table) {
                Ok(rule) => rules.push(rule),
                Err(wrong) => {
                    for (at, why) in wrong {
                        fault(at.unwrap_or(value.span().start), &why);
                    }
                }
            },
            other => {
                let why = format!("it {}", mismatch("a table: { key = \"value\" }", other));
                fault(value.span().start, &why);
            }
        }
    }
    match faults.is_empty() {
        true => Ok(Rules(rules)),
        false => Err(faults),
    }
}

/// Reads rules from a flag or a variable. The error is the end of a sentence about it.
pub fn read_text(form: &Form, text: &str) -> Result<Rules, String> {
    let value = DeValue::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let place = 1 + text.get(..at).map_or(0, |before| before.chars().count());
        format!(
            "is no TOML ({}, at character {place}); it has to be [{{ key = \"value\", … }}, …]",
            error.message()
        )
    })?;
    read(form, value.get_ref()).map_err(|faults| {
        let faults: Vec<String> = faults.into_iter().map(|fault| fault.why).collect();
        faults.join("; it ")
    })
}

/// The errors have the byte where they are, if it is a key's.
fn rule(form: &Form, table: &DeTable<'_>) -> Result<Rule, Vec<(Option<usize>, String)>> {
    let mut fields = Vec::new();
    let mut places = Vec::new();
    let mut wrong = Vec::new();
    for (key, value) in in_order(table) {
        let at = key.span().start;
        let Some(field) = form.fields.iter().find(|field| field.name == key.get_ref()) else {
            wrong.push((Some(at), unknown(form, key.get_ref())));
            continue;
        };
        match take(field, value.get_ref()) {
            Ok(value) => fields.push((field.name, value)),
            Err(why) => wrong.push((Some(at), format!("{} {why}", field.name))),
        }
        places.push((field.name, at));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let rule = Rule(fields);
    match (form.check)(&rule) {
        Ok(()) => Ok(rule),
        Err(Wrong { field, why }) => {
            let named = places.iter().find(|(name, _)| Some(*name) == field);
            let place = named.or(places.first());
            Err(vec![(place.map(|(_, at)| *at), why)])
        }
    }
}

fn unknown(form: &Form, key: &str) -> String {
    let (key, name) = (shown(key), form.name);
    // Whatever is below [[name]] in the file is part of that rule.
    if Setting::of(&key).is_some() {
        return format!(
            "`{key}` is no key of a rule; the setting of that name has to stand above the first \
             [[{name}]]"
        );
    }
    let spelt = key.to_lowercase().replace('-', "_");
    match nearest(&spelt, form.fields.iter().map(|field| field.name)) {
        Some(nearest) => format!("`{key}` is no key of a rule; is `{nearest}` meant?"),
        None => {
            let names: Vec<&str> = form.fields.iter().map(|field| field.name).collect();
            format!(
                "`{key}` is no key of a rule; there are {}",
                names.join(", ")
            )
        }
    }
}

fn shown(key: &str) -> String {
    key.chars().take(60).collect()
}

/// The error is the end of a sentence about the key.
fn take(field: &Field, value: &DeValue<'_>) -> Result<FieldValue, String> {
    Ok(match (field.kind, value) {
        (FieldKind::Text, DeValue::String(text)) => FieldValue::Text(bounded(text)?),
        (FieldKind::Texts, DeValue::Array(list)) => {
            if list.len() > TEXTS {
                return Err(format!("has more than {TEXTS} entries"));
            }
            let texts = list.iter().map(|text| match text.get_ref() {
                DeValue::String(text) => bounded(text),
                other => Err(format!("has an entry that {}", mismatch("a string", other))),
            });
            FieldValue::Texts(texts.collect::<Result<_, _>>()?)
        }
        (FieldKind::Number { min, max }, DeValue::Integer(number)) => {
            match u64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) if (min..=max).contains(&number) => FieldValue::Number(number),
                _ => return Err(format!("has to be a whole number from {min} to {max}")),
            }
        }
        (FieldKind::Switch, DeValue::Boolean(switch)) => FieldValue::Switch(*switch),
        (kind, other) => return Err(mismatch(wanted(kind), other)),
    })
}

fn bounded(text: &str) -> Result<String, String> {
    match text.len() <= LONGEST {
        true => Ok(text.to_owned()),
        false => Err(format!("has a text of more than {LONGEST} bytes")),
    }
}

fn wanted(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Text => "a string, in quotes",
        FieldKind::Texts => "a list of strings: [\"one\", \"two\"]",
        FieldKind::Number { .. } => "a number without quotes",
        FieldKind::Switch => "true or false, without quotes",
    }
}
