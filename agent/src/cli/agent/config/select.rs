//! The rules of `select`.

use super::rules::{Field, FieldKind, Form, Rule, Wrong};
use super::value::Value;
use crate::metadata::select::{self, LABELS, NAMESPACES, PROFILE_KEY, RATE_KEY};

pub static FORM: Form = Form {
    name: "select",
    fields: &[
        Field::new(NAMESPACES, FieldKind::Texts),
        Field::new(LABELS, FieldKind::Text),
        Field::new(PROFILE_KEY, FieldKind::Switch),
        Field::new(
            RATE_KEY,
            FieldKind::Number {
                min: 1,
                max: super::table::FASTEST,
            },
        ),
    ],
    check: |rule| understood(rule).map(drop),
};

/// What they mean, once [`FORM`] has found them right.
pub fn rules(value: &Value) -> Vec<select::Rule> {
    let understood = value
        .each_rule()
        .iter()
        .filter_map(|rule| understood(rule).ok());
    understood.collect()
}

fn understood(rule: &Rule) -> Result<select::Rule, Wrong> {
    let rate = rule.number(RATE_KEY).map(u32::try_from);
    select::Rule::new(
        rule.texts(NAMESPACES).unwrap_or_default(),
        rule.text(LABELS).unwrap_or_default(),
        rule.switch(PROFILE_KEY),
        rate.transpose().unwrap_or(Some(u32::MAX)),
    )
    .map_err(|error| Wrong {
        field: error.key(),
        why: error.to_string(),
    })
}
